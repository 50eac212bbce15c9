//! `bptt plan`, `--memory`, `--batch auto` and `--recompute` from outside.

use crate::common::{gpu, program};
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::program::{bptt, refused, train};
use serde_json::Value;

const ADDING: &str = "task adding --length 100 --hidden 8 --steps 5 --set training.val-every=5";

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn planned(folder: &Path, arguments: &str) -> Value {
    let output = bptt(folder, &format!("plan --device cpu --json {arguments}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_plan_lists_every_category_and_they_add_up() {
    let folder = folder("cli_memory_plan");
    let plan = planned(&folder, &format!("{ADDING} --batch 40"));
    let parts = plan["bytes"].as_object().unwrap();
    assert_eq!(parts.values().map(|bytes| bytes.as_u64().unwrap()).sum::<u64>(), plan["total_bytes"].as_u64().unwrap());
    // An LSTM of 2 inputs and 8 units with one output: its weights, and the gates of 100 steps of 40 rows.
    let weights = 4 * (8 * (2 + 8) + 2 * 8) + 8 + 1;
    assert_eq!(parts["gradients"], 4 * weights);
    assert_eq!(parts["optimizer"], 8 * weights + 8);
    assert_eq!(parts["gates"], 4 * 40 * 100 * 4 * 8);
    assert_eq!((&plan["batch"], &plan["micro_batch"], &plan["steps"]), (&40.into(), &40.into(), &100.into()));
    let told = String::from_utf8(bptt(&folder, &format!("plan --device cpu {ADDING}")).stdout).unwrap();
    for part in
        ["weights", "gradients", "optimizer", "gates", "states", "total", "the largest batch that fits at once is"]
    {
        assert!(told.contains(part), "{told}");
    }
    assert!(program::entries(&folder).is_empty(), "a plan leaves nothing behind");
}

#[test]
fn the_plan_counts_the_weight_copies_of_a_run() {
    let folder = folder("cli_memory_kept");
    let kept = |arguments: &str| {
        let plan = planned(&folder, &format!("{ADDING} --batch 40 {arguments}"));
        (plan["bytes"]["copies"].as_u64().unwrap(), plan["bytes"]["gradients"].as_u64().unwrap())
    };
    // What describes the model is written beside them; of a synthetic task it is short.
    let (one, weights) = kept("");
    let description = one - weights;
    assert!(description < 1024, "{description}");
    // One that a checkpoint writes, a copy of the best, and of what the run goes back to with both of Adam's numbers.
    for (arguments, copies) in
        [("", 1), ("--keep best", 2), ("--set training.on-nan=back", 4), ("--keep best --set training.on-nan=back", 5)]
    {
        let (kept, weights) = kept(arguments);
        assert_eq!(kept - description, copies * weights, "{arguments}");
    }
}

#[test]
fn a_memory_budget_splits_the_batch_and_the_run_stores_the_split() {
    let folder = folder("cli_memory_cut");
    let whole = planned(&folder, &format!("{ADDING} --batch 2048"));
    let parts = whole["bytes"].as_object().unwrap();
    // Room for the program, the whole batch, and some rows at once.
    let budget = whole["total_bytes"].as_u64().unwrap() - 3 * parts["gates"].as_u64().unwrap() / 2;
    let told = train(&folder, "cut", &format!("{ADDING} --batch 2048 --memory {budget}"));
    assert!(told.contains("a batch of 2048 in") && told.contains("with the same result"), "{told}");
    let config = fs::read_to_string(folder.join("cut/config.toml")).unwrap();
    let config: toml::Table = config.parse().unwrap();
    let rows = config["training"]["micro-batch"].as_integer().unwrap();
    assert!((1..2048).contains(&rows), "{rows}");
    assert_eq!(config["training"]["batch"].as_integer(), Some(2048));
    // Repeated, it is the same run; and the plan of the run tells the same parts.
    train(&folder, "again", "--config cut/config.toml");
    let metrics = |run: &str| fs::read(folder.join(run).join("metrics.jsonl")).unwrap();
    assert_eq!(metrics("cut"), metrics("again"));
    assert_eq!(planned(&folder, "cut")["micro_batch"], rows);
}

#[test]
fn the_largest_batch_fits_its_budget_and_is_stored_as_a_number() {
    let folder = folder("cli_memory_auto");
    let plan = planned(&folder, &format!("{ADDING} --batch auto --memory 96MiB"));
    let batch = plan["batch"].as_u64().unwrap();
    assert!(batch > 100 && batch.is_multiple_of(8) && plan["total_bytes"].as_u64().unwrap() <= 96 << 20, "{plan}");
    assert!(plan["largest_batch"].as_u64().unwrap() - batch < 8);
    train(&folder, "auto", &format!("{ADDING} --batch auto --memory 96MiB"));
    let config = fs::read_to_string(folder.join("auto/config.toml")).unwrap();
    assert!(config.contains("memory = \"96MiB\"") && !config.contains("batch = \"auto\""), "{config}");
}

#[test]
fn recompute_needs_less_memory_for_the_same_run() {
    let folder = folder("cli_memory_recompute");
    let long = ADDING.replace("100", "1000");
    let (kept, again) = (planned(&folder, &long), planned(&folder, &format!("{long} --recompute")));
    let gates = |plan: &Value| plan["bytes"]["gates"].as_u64().unwrap();
    assert!(gates(&again) * 5 < gates(&kept), "{again}");
    train(&folder, "kept", &long);
    train(&folder, "again", &format!("{long} --recompute"));
    let model = |run: &str| fs::read(folder.join(run).join("model.safetensors")).unwrap();
    assert!(model("kept") == model("again"));
}

/// A plan and a run of a network that the tests' machine has room for, and of one that none has.
#[test]
fn plan_allocates_nothing_and_a_run_without_enough_memory_is_refused() {
    let folder = folder("cli_memory_none");
    let small = planned(&folder, &format!("{ADDING} --threads 1"));
    let large = planned(&folder, &format!("{} --threads 1", ADDING.replace("--hidden 8", "--hidden 8000")));
    let program = |plan: &Value| plan["bytes"]["program_and_data"].as_u64().unwrap();
    assert!(large["total_bytes"].as_u64().unwrap() > 4 << 30);
    // What the program has resident when it plans, of which the network is no part.
    assert!(program(&large) < program(&small) + (8 << 20), "{large}");
    // A few parameters short of the most that a network may have.
    let huge = "task adding --length 20 --hidden 10000 --layers 1 --steps 1 --cell lstm --batch 8";
    let taken = planned(&folder, huge)["total_bytes"].as_u64().unwrap();
    if cfg!(target_os = "linux") && taken > free() {
        let parts = ["not enough memory: training takes", "and there is the", "--batch", "--memory"];
        refused(&folder, &format!("train --device cpu {huge}"), 1, &parts);
        let told = String::from_utf8(bptt(&folder, &format!("plan --device cpu {huge}")).stdout).unwrap();
        assert!(told.contains("bptt train would be refused: it takes"), "{told}");
    }
}

/// What the machine has free.
fn free() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap_or_default();
    1024 * line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or_default()
}

/// Runs the program in an address space of so many MiB; `None` where it cannot even begin in that.
#[cfg(target_os = "linux")]
fn within(folder: &Path, mebibytes: u64, arguments: &str) -> Option<std::process::Output> {
    let limited = |arguments: &str| {
        let mut shell = std::process::Command::new("sh");
        let script = "ulimit -v $0 && exec \"$@\"";
        shell.current_dir(folder).args(["-c", script, &(1024 * mebibytes).to_string(), env!("CARGO_BIN_EXE_bptt")]);
        shell.args(arguments.split_whitespace()).output().unwrap()
    };
    limited("--version").status.success().then(|| limited(arguments))
}

#[cfg(target_os = "linux")]
#[test]
fn under_any_address_space_limit_a_command_finishes_or_reports_out_of_memory() {
    let folder = folder("cli_memory_limited");
    let text: String = (0..8_000_u64).map(|n| format!("{}\n", n * n % 9973)).collect();
    fs::write(folder.join("text.txt"), &text).unwrap();
    let rows: String = (0..6_000_u64).map(|n| format!("{},{}\n", n, n * n % 97)).collect();
    fs::write(folder.join("rows.csv"), format!("time,level\n{rows}")).unwrap();
    train(&folder, "run", &format!("{ADDING} --hidden 64 --threads 1").replace("--hidden 8 ", ""));
    let network = "--device cpu --threads 1 --hidden 200";
    let commands = [
        format!("train task adding --length 60 --steps 1 --batch 64 {network}"),
        format!("train text text.txt --steps 1 --window 100 --batch 32 {network}"),
        format!("train series rows.csv --target level --steps 2 --window 100 --batch 512 {network}"),
        "bench --cell gru --size M --batch 16 --device cpu --threads 1 --seconds 0 --min-reps 1 --check-steps 1 --warmup-s 0"
            .into(),
        "eval run --device cpu --threads 1 --batch 4096".into(),
    ];
    let (mut ended, mut refused) = (0, 0);
    for mebibytes in [20, 28, 36, 48, 72, 120, 300] {
        for command in &commands {
            let Some(output) = within(&folder, mebibytes, command) else { continue };
            let stderr = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => ended += 1,
                Some(1) => {
                    refused += 1;
                    assert!(stderr.contains("memory"), "{command} within {mebibytes} MiB: {stderr}");
                }
                code => panic!("{command} within {mebibytes} MiB: {code:?}, {stderr}"),
            }
        }
    }
    assert!(ended >= 3 && refused >= 8, "{ended} ended, {refused} refused");
}

#[cfg(target_os = "linux")]
#[test]
fn under_any_address_space_limit_many_sequences_are_read_or_the_error_names_the_buffer() {
    let folder = folder("cli_memory_sequences");
    let rows: String =
        (0..400_000_u64).map(|n| format!("{},{}:{}\n", n % 7, n % 5, ["a", "b"][n as usize % 2])).collect();
    fs::write(folder.join("many.ts"), format!("@classLabel true a b\n@data\n{rows}")).unwrap();
    let (mut ended, mut refused) = (0, 0);
    for mebibytes in (27..=99).step_by(3) {
        let command = "plan sequences many.ts --hidden 2 --batch 4096 --steps 2 --device cpu --threads 1";
        let Some(output) = within(&folder, mebibytes, command) else { continue };
        let stderr = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => ended += 1,
            Some(1) => {
                refused += 1;
                assert!(stderr.contains("memory") && !stderr.contains("allocation of"), "{mebibytes} MiB: {stderr}");
            }
            code => panic!("{mebibytes} MiB: {code:?}, {stderr}"),
        }
    }
    assert!(ended >= 2 && refused >= 5, "{ended} ended, {refused} refused");
}

#[test]
fn the_budget_suggested_by_a_refusal_is_enough() {
    let folder = folder("cli_memory_enough");
    let wide = ADDING.replace("--hidden 8", "--hidden 300 --batch 1 --threads 1");
    // Its plan to the byte: what threads take for a while is in none.
    let total = planned(&folder, &wide)["total_bytes"].as_u64().unwrap();
    let output = bptt(&folder, &format!("train --device cpu {wide} --memory {total}"));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let enough = stderr.split_once("--memory ").and_then(|(_, rest)| rest.split_once(" is enough"));
    // `(--memory): --memory 24MiB is enough`.
    let enough = enough.and_then(|(words, _)| words.split_whitespace().last()).unwrap_or_else(|| panic!("{stderr}"));
    assert!(enough.ends_with("MiB"), "{stderr}");
    train(&folder, "run", &format!("{wide} --memory {enough}"));
}

#[test]
fn a_file_larger_than_the_budget_is_refused_before_it_is_read() {
    let folder = folder("cli_memory_file");
    // No disk holds any of it, nor would what is read of it be data.
    fs::File::create(folder.join("large.csv")).unwrap().set_len(500 << 20).unwrap();
    let parts = ["to read ", "large.csv takes the 500 MiB that it has", "there is 64 MiB (--memory)"];
    for command in ["train", "plan"] {
        for kind in ["sequences", "series"] {
            let arguments = format!("{command} --device cpu {kind} large.csv --memory 64MiB --hidden 2");
            refused(&folder, &arguments, 2, &parts);
        }
    }
}

#[test]
fn the_memory_of_a_software_driver_is_reported_beside_the_plan() {
    let Some(gpu) = gpu::gpu() else { return };
    let folder = folder("cli_memory_driver");
    let arguments = format!("--device gpu {ADDING} --batch 40");
    let output = bptt(&folder, &format!("plan --json {arguments}"));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cpu = planned(&folder, &format!("{ADDING} --batch 40"));
    assert!(cpu["driver_bytes"].is_null(), "{cpu}");
    if gpu.info().device_type != bptt::wgpu::DeviceType::Cpu {
        return;
    }
    let told = program::succeeds(&folder, &format!("train --out a {arguments}"));
    assert!(told.contains("plus the GPU's driver, which uses the same memory"), "{told}");
    if cfg!(target_os = "linux") {
        assert!(plan["driver_bytes"].as_u64().unwrap() > 1 << 20, "{plan}");
        assert!(told.contains("at its peak; about "), "{told}");
        assert!(told.contains(" of it are the GPU's driver and its compiled kernels"), "{told}");
    }
    // The program's own share is in it as on the CPU backend, the driver's is not.
    for part in ["batch", "copies", "results"] {
        assert_eq!(plan["bytes"][part], cpu["bytes"][part], "{part}");
    }
    let parts = plan["bytes"].as_object().unwrap();
    assert_eq!(parts.values().map(|bytes| bytes.as_u64().unwrap()).sum::<u64>(), plan["total_bytes"].as_u64().unwrap());
}

#[test]
fn impossible_memory_settings_are_refused_by_flag() {
    let folder = folder("cli_memory_refused");
    let refused =
        |flags: &str, parts: &[&str]| refused(&folder, &format!("train --device cpu {ADDING} {flags}"), 2, parts);
    refused("--memory 3apples", &["--memory", "2GiB"]);
    refused("--batch none", &["--batch", "or auto"]);
    refused("--memory 1KiB", &["the program itself", "takes", "there is 1 KiB (--memory)"]);
    refused("--batch auto --set training.micro-batch=3", &["--batch auto", "training.micro-batch"]);
    refused(
        "--batch 4096 --set training.micro-batch=4096 --memory 20MiB",
        &["training.micro-batch 4096", "more than --memory 20MiB"],
    );
    refused("--recompute --bidirectional", &["--recompute", "reads forward only"]);
}
