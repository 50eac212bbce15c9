//! `bptt train` as several processes of MPI, from outside. `scripts/test-mpi` installs what they need and runs them.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands, as it should")]

#[path = "../common/program.rs"]
mod program;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use program::{read, succeeds};

/// `mpirun`, for any number of ranks on any number of cores and for root, in `folder`.
fn mpirun(folder: &Path) -> Command {
    let mut command = Command::new("mpirun");
    command.current_dir(folder).args(["--oversubscribe", "--mca", "mpi_yield_when_idle", "1"]);
    let allowed = ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"];
    command.envs(allowed.map(|name| (name, "1")));
    command
}

/// `bptt train` on `size` ranks.
fn ranks(folder: &Path, size: usize, arguments: &str) -> Command {
    let mut command = mpirun(folder);
    command.args(["-n", &size.to_string(), env!("CARGO_BIN_EXE_bptt"), "train"]).args(arguments.split_whitespace());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn trains(folder: &Path, size: usize, arguments: &str) -> String {
    let Output { status, stdout, stderr } = ranks(folder, size, arguments).output().unwrap();
    assert!(status.success(), "{arguments}: {}", text(&stderr));
    text(&stdout)
}

/// Text for a network of characters, sequences of two classes of several lengths, and a series.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let words = ["the ", "cat ", "sat ", "on ", "a ", "mat ", "and ", "sang. "];
    let letters: String = (0..3000).map(|n: usize| words[(n * n + n / 7) % 8]).collect();
    std::fs::write(path.join("t.txt"), letters).unwrap();
    let mut series = String::from("t,y,z\n");
    (0..300u32).for_each(|t| {
        let wave = f64::from(t) * 0.3;
        writeln!(series, "{t},{},{}", wave.sin() + f64::from(t * 7 % 5) * 0.1, wave.cos()).unwrap();
    });
    std::fs::write(path.join("s.csv"), series).unwrap();
    let mut classes = String::from("id,time,x,label\n");
    for id in 0..60u32 {
        for t in 0..5 + id % 7 {
            let class = id % 2;
            writeln!(
                classes,
                "{id},{t},{},{}",
                f64::from((id * 5 + t * 3) % 11) * 0.1 + f64::from(class),
                ["a", "b"][class as usize]
            )
            .unwrap();
        }
    }
    std::fs::write(path.join("c.csv"), classes).unwrap();
    folder
}

const TEXT: &str = "text t.txt --carry-state --cell gru --hidden 12 --window 16 --batch 6 --epochs 2 --device cpu --set training.checkpoint-every=10";

fn losses(folder: &Path, run: &str) -> Vec<[f64; 2]> {
    let numbers = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        ["loss", "grad_norm"].map(|name| line[name].as_f64().unwrap())
    };
    read(folder, &format!("{run}/metrics.jsonl")).lines().map(numbers).collect()
}

#[test]
fn four_ranks_train_as_one_and_twice_to_the_same_bits() {
    let folder = folder();
    let path = folder.path();
    let tasks = [
        ("text", TEXT),
        (
            "classes",
            "sequences c.csv --cell lstm --hidden 6 --layers 2 --dropout 0.3 --batch 9 --epochs 3 --device cpu",
        ),
        (
            "series",
            "series s.csv --target y --features z --window 12 --horizon 2 --cell rnn --hidden 8 --batch 30 --epochs 3 --device cpu",
        ),
    ];
    for (name, task) in tasks {
        succeeds(path, &format!("train {task} --out {name}-1"));
        for run in ["a", "b"] {
            trains(path, 4, &format!("{task} --out {name}-4{run}"));
        }
        for file in ["model.safetensors", "metrics.jsonl", "report.html"] {
            let of = |run: &str| std::fs::read(path.join(format!("{name}-4{run}/{file}"))).unwrap();
            assert!(file == "report.html" || of("a") == of("b"), "{name}: {file}");
        }
        let (one, four) = (losses(path, &format!("{name}-1")), losses(path, &format!("{name}-4a")));
        assert_eq!(one.len(), four.len());
        for (step, (one, four)) in one.as_flattened().iter().zip(four.as_flattened()).enumerate() {
            assert!((one - four).abs() < 1e-3 * one.abs(), "{name}, number {step}: {one} {four}");
        }
    }
}

#[test]
fn rank_0_alone_prints_and_writes_and_says_who_takes_part() {
    let folder = folder();
    let stdout = trains(folder.path(), 2, &format!("{TEXT} --out r"));
    for once in [
        "ranks     2: 2 on ",
        "done ",
        "a batch of 6 on 2 ranks, at most 3 rows on each",
        "mpirun -n 2 bptt train --resume r",
    ] {
        assert_eq!(stdout.matches(once).count(), 1, "{once:?} in {stdout}");
    }
    let runs = std::fs::read_dir(folder.path()).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(runs.count(), 1);
}

/// Waits until the run has a checkpoint of at least this step.
fn wait_for(folder: &Path, run: &str, step: u64) {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(60) {
        let files = std::fs::read_dir(folder.join(run).join("checkpoints")).into_iter().flatten().flatten();
        let steps = files.filter_map(|file| {
            file.file_name().to_str()?.strip_prefix("step-")?.strip_suffix(".ckpt")?.parse::<u64>().ok()
        });
        if steps.max().is_some_and(|last| last >= step) {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("{run} has no checkpoint of step {step} after a minute");
}

/// The processes of the ranks, in their order.
fn processes(mpirun: &Child) -> Vec<String> {
    let of = |child: &str| {
        std::fs::read_to_string(format!("/proc/{child}/task/{child}/children"))
            .unwrap()
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    of(&mpirun.id().to_string())
}

fn signal(process: &str, signal: &str) {
    assert!(Command::new("kill").args([signal, process]).status().unwrap().success());
}

fn begin(folder: &Path, size: usize, arguments: &str) -> Child {
    ranks(folder, size, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn same_bits(folder: &Path, [a, b]: [&str; 2]) {
    for file in ["model.safetensors", "metrics.jsonl"] {
        let of = |run: &str| std::fs::read(folder.join(run).join(file)).unwrap();
        assert!(of(a) == of(b), "{file} of {a} and {b}");
    }
}

#[test]
fn a_killed_rank_ends_all_and_the_run_resumes_to_the_bits_of_one_that_was_not() {
    let folder = folder();
    let path = folder.path();
    trains(path, 2, &format!("{TEXT} --out whole"));
    // How often: scripts/test-mpi sets it, at moments that the steps of checkpoints tell.
    let kills = std::env::var("BPTT_KILLS").map_or(2, |kills| kills.parse::<u64>().unwrap());
    for kill in 0..kills {
        let run = format!("killed-{kill}");
        let mut child = begin(path, 2, &format!("{TEXT} --out {run}"));
        wait_for(path, &run, 10 * (kill % 7));
        thread::sleep(Duration::from_millis(kill * 7 % 20));
        let killed = processes(&child)[usize::from(kill % 2 == 0)].clone();
        signal(&killed, "-9");
        let begin = Instant::now();
        assert!(!child.wait().unwrap().success());
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        let stdout = trains(path, 2, &format!("--resume {run} --device cpu"));
        assert!(stdout.contains("resumes after step") && !stdout.contains("ranks: 2 before"), "{stdout}");
        same_bits(path, ["whole", &run]);
    }
}

#[test]
fn a_signal_to_any_rank_saves_and_ends_all_and_another_number_of_ranks_is_told() {
    let folder = folder();
    let path = folder.path();
    let seldom = TEXT.replace("checkpoint-every=10", "checkpoint-every=100000").replace("epochs 2", "epochs 40");
    trains(path, 2, &format!("{seldom} --out whole"));
    for rank in [0, 1] {
        let run = format!("ended-{rank}");
        let child = begin(path, 2, &format!("{seldom} --out {run}"));
        wait_for(path, &run, 0);
        thread::sleep(Duration::from_millis(300));
        signal(&processes(&child)[rank], "-TERM");
        let Output { status, stdout, .. } = child.wait_with_output().unwrap();
        let stdout = text(&stdout);
        assert_eq!(status.code(), Some(143), "{stdout}");
        assert!(stdout.contains("stopped by a signal") && stdout.contains(&format!("--resume {run}\n")), "{stdout}");
        if rank == 0 {
            trains(path, 2, &format!("--resume {run} --device cpu"));
            same_bits(path, ["whole", &run]);
        } else {
            let stdout = succeeds(path, &format!("train --resume {run} --device cpu"));
            assert!(stdout.contains("ranks: 2 before, 1 now; from here on the last bits may differ"), "{stdout}");
        }
    }
}

#[test]
fn sigusr1_to_any_rank_saves_early() {
    let folder = folder();
    let path = folder.path();
    let seldom = TEXT.replace("checkpoint-every=10", "checkpoint-every=100000").replace("epochs 2", "epochs 2000");
    let child = begin(path, 2, &format!("{seldom} --out r"));
    wait_for(path, "r", 0);
    thread::sleep(Duration::from_millis(200));
    signal(&processes(&child)[1], "-USR1");
    wait_for(path, "r", 1);
    signal(&processes(&child)[0], "-TERM");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(143));
}

#[test]
fn a_rank_with_other_settings_or_data_is_refused_and_named() {
    let folder = folder();
    let path = folder.path();
    let other = path.join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("t.txt"), read(path, "t.txt").replacen("cat", "dog", 1)).unwrap();
    let cases = [
        (
            format!("{TEXT} --out r"),
            format!("{TEXT} --lr 0.5 --out r"),
            "rank 1 differs from rank 0: training.lr is 0.5 there, not 0.002",
        ),
        (
            format!("{TEXT} --out r"),
            format!("{} --out r", TEXT.replace("t.txt", "other/t.txt")),
            "rank 1 differs from rank 0: its data files have other contents",
        ),
        (
            format!("{TEXT} --out r"),
            format!("{} --out r", TEXT.replace("t.txt", "none.txt")),
            "rank 1: none.txt: No such file",
        ),
        (
            format!("{} --out r", TEXT.replace("t.txt", "none.txt")),
            format!("{TEXT} --out r"),
            "error: none.txt: No such file",
        ),
        // What fails on one rank alone, where the others would go on.
        (
            format!("{TEXT} --out r"),
            format!("{} --out r", TEXT.replace("--device cpu", "--device nonesuch")),
            "rank 1: no GPU: --device nonesuch",
        ),
        (
            format!("{} --out r", TEXT.replace("--device cpu", "--device nonesuch")),
            format!("{TEXT} --out r"),
            "error: no GPU: --device nonesuch",
        ),
        (format!("{TEXT} --out r"), format!("{TEXT} --memory 1KB --out r"), "rank 1: "),
    ];
    for (first, second, expected) in cases {
        let mut command = mpirun(path);
        let bptt = env!("CARGO_BIN_EXE_bptt");
        command.args(["-n", "1", bptt, "train"]).args(first.split_whitespace());
        command.args([":", "-n", "1", bptt, "train"]).args(second.split_whitespace());
        let Output { status, stderr, .. } = command.output().unwrap();
        let stderr = text(&stderr);
        assert!(!status.success() && stderr.contains(expected), "{expected:?} is not in {stderr}");
        assert_eq!(stderr.matches("error:").count(), 1, "{stderr}");
        assert!(!path.join("r").exists());
    }
}

#[test]
fn ranks_on_different_devices_take_the_weights_of_rank_0() {
    let folder = folder();
    let path = folder.path();
    let (cpu, bptt) = (TEXT.replace("--epochs 2", "--steps 12"), env!("CARGO_BIN_EXE_bptt"));
    succeeds(path, &format!("train {cpu} --out one"));
    let mut command = mpirun(path);
    command.args(["-n", "1", bptt, "train", "--out", "two"]).args(cpu.split_whitespace());
    let gpu = cpu.replace("--device cpu", "--device gpu");
    command.args([":", "-n", "1", bptt, "train", "--out", "two"]).args(gpu.split_whitespace());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let stdout = text(&stdout);
    assert!(status.success(), "{}", text(&stderr));
    assert!(stdout.contains("rank 0: CPU") && stdout.contains("rank 0's weights are sent to all"), "{stdout}");
    for (one, two) in losses(path, "one").as_flattened().iter().zip(losses(path, "two").as_flattened()) {
        assert!((one - two).abs() < 1e-3 * one.abs(), "{one} {two}");
    }
    // A run that is not quite over: rank 1 alone has another device than before.
    std::fs::remove_file(path.join("two/checkpoints/finished")).unwrap();
    let stdout = trains(path, 2, "--resume two --device cpu");
    assert!(stdout.contains(" device of rank 1: ") && stdout.contains(" before, CPU now; from here on"), "{stdout}");
}

#[test]
fn a_rank_that_sees_another_folder_is_refused_and_a_loss_that_is_not_finite_ends_all() {
    let folder = folder();
    let path = folder.path();
    let bptt = env!("CARGO_BIN_EXE_bptt");
    trains(path, 2, &format!("{TEXT} --out r"));
    std::fs::create_dir(path.join("other")).unwrap();
    assert!(Command::new("cp").args(["-r", "r", "t.txt", "other"]).current_dir(path).status().unwrap().success());
    std::fs::remove_file(path.join("other/r/checkpoints/finished")).unwrap();
    let mut command = mpirun(path);
    command.args(["-n", "1", bptt, "train", "--resume", "r", ":", "-n", "1", bptt, "train", "--resume", "other/r"]);
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = text(&stderr);
    assert!(!status.success() && stderr.contains("the run's folder must be the same on every machine"), "{stderr}");
    let Output { status, stderr, .. } =
        ranks(path, 2, &format!("{TEXT} --set training.lr=1e30 --set training.clip=0 --out nan")).output().unwrap();
    let stderr = text(&stderr);
    assert!(!status.success() && stderr.contains("is not finite"), "{stderr}");
    assert!(path.join("nan/model.safetensors").exists() && !stderr.contains("rank 1: error"), "{stderr}");
}

#[test]
fn two_ranks_share_a_gpu_and_train_as_one() {
    let folder = folder();
    let path = folder.path();
    let gpu = TEXT.replace("--device cpu", "--device gpu").replace("--epochs 2", "--steps 12");
    succeeds(path, &format!("train {gpu} --out one"));
    let stdout = trains(path, 2, &format!("{gpu} --out two"));
    assert!(stdout.contains("2 ranks of this machine share 1 GPU"), "{stdout}");
    for (one, two) in losses(path, "one").as_flattened().iter().zip(losses(path, "two").as_flattened()) {
        assert!((one - two).abs() < 1e-3 * one.abs(), "{one} {two}");
    }
}

#[test]
fn the_bytes_that_ranks_send_in_a_step_are_those_of_the_plan() {
    let folder = folder();
    let path = folder.path();
    // Some steps save besides, and the classes are measured.
    let text = &TEXT.replace("--epochs 2", "--steps 12");
    let classes = "sequences c.csv --cell lstm --hidden 6 --layers 2 --batch 9 --epochs 2 --device cpu";
    // The tensors between two that are frozen are a sum of their own.
    let frozen = format!("{classes} --set training.groups=rnn.weight_ih_l1:frozen");
    // Both steps of this one begin with a comparison, which does not count.
    let compared = text.replace("--steps 12", "--steps 2");
    for (task, size) in [(text.as_str(), 2), (text, 4), (&compared, 2), (classes, 4), (&frozen, 3)] {
        let plan = succeeds(path, &format!("plan {task} --ranks {size} --step-time 1ms --json"));
        let plan: Value = serde_json::from_str(&plan).unwrap();
        let planned = &plan["scaling"]["bytes_sent_per_step"];
        let summary: Value = serde_json::from_str(&trains(path, size, &format!("{task} --json"))).unwrap();
        assert_eq!((&summary["bytes_sent_per_step"], &summary["ranks"]), (planned, &size.into()), "{task}");
        assert!(planned["most"].as_u64().unwrap() > 0, "{plan}");
    }
    let stdout = trains(path, 2, &format!("{text} --out r"));
    let plan = succeeds(path, &format!("plan {text} --ranks 2 --step-time 1ms"));
    let words = plan.lines().find_map(|line| line.strip_prefix("network   ")).unwrap();
    let words = words.split(';').next().unwrap();
    assert!(stdout.contains(&format!("\nsent      {words}\n")), "{words:?} is not in {stdout}");
}
