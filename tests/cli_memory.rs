//! `bptt plan`, `--memory`, `--batch auto` and `--recompute` from outside.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands, as it should")]

#[path = "common/program.rs"]
mod program;

use std::fs;
use std::path::{Path, PathBuf};

use program::{bptt, refused, train};
use serde_json::Value;

const ADDING: &str = "--task adding --length 100 --hidden 8 --steps 5 --val-every 5";

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
fn the_plan_lists_every_part_and_they_add_up() {
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
    for part in ["weights", "gradients", "optimizer", "gates", "states", "in all", "the largest batch at once is"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(program::entries(&folder).is_empty(), "a plan leaves nothing behind");
}

#[test]
fn a_budget_cuts_the_batch_and_the_run_keeps_how() {
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
fn the_largest_batch_stays_within_its_budget_and_is_kept_as_a_number() {
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
fn recompute_takes_less_for_the_same_run() {
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

#[test]
fn what_has_no_room_or_no_meaning_is_refused_by_its_flag() {
    let folder = folder("cli_memory_refused");
    let refused =
        |flags: &str, parts: &[&str]| refused(&folder, &format!("train --device cpu {ADDING} {flags}"), 2, parts);
    refused("--memory 3apples", &["--memory", "2GiB"]);
    refused("--batch none", &["--batch", "or auto"]);
    refused("--memory 1KiB", &["the program itself", "takes", "there is 1 KiB (--memory)"]);
    refused("--batch auto --micro-batch 3", &["--batch auto", "--micro-batch"]);
    refused("--batch 4096 --micro-batch 4096 --memory 20MiB", &["--micro-batch 4096", "over --memory 20MiB"]);
    refused("--recompute --bidirectional", &["--recompute", "one direction"]);
}
