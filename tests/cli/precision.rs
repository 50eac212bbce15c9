//! `--precision` from outside.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::gpu;
use crate::common::program::{json, refused, succeeds};

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

const ADDING: &str = "task adding --length 12 --set training.val-every=5 --hidden 8 --set training.checkpoint-every=5";

#[test]
fn halves_train_on_a_gpu_are_told_and_resume_to_the_bit() {
    if gpu::gpu().is_none() {
        return;
    }
    let folder = folder("cli_precision_train");
    let train = |arguments: &str| succeeds(&folder, &format!("train {arguments}"));
    let told = train(&format!("{ADDING} --steps 20 --device gpu --precision f16 --out whole"));
    assert!(told.contains("z, h and W_hh read as halves (--precision f16)"), "{told}");
    let config: toml::Table = fs::read_to_string(folder.join("whole/config.toml")).unwrap().parse().unwrap();
    assert_eq!(config["run"]["precision"].as_str(), Some("f16"));
    train(&format!("{ADDING} --steps 20 --device gpu --out full"));
    let model = |run: &str| fs::read(folder.join(run).join("model.safetensors")).unwrap();
    assert_ne!(model("whole"), model("full"), "halves were not used");
    // From an earlier checkpoint to the same end.
    fs::remove_file(folder.join("whole/checkpoints/finished")).unwrap();
    let before = model("whole");
    fs::remove_file(folder.join("whole/model.safetensors")).unwrap();
    train("--resume whole");
    assert_eq!(model("whole"), before);
    // A CPU applies it in its own precision.
    succeeds(&folder, "eval whole --device cpu");
}

#[test]
fn the_plan_of_halves_is_smaller() {
    if gpu::gpu().is_none() {
        return;
    }
    let folder = folder("cli_precision_plan");
    let total = |precision: &str| {
        let planned = json(&folder, &format!("plan --json {ADDING} --device gpu --precision {precision}"));
        planned["bytes"]["gates"].as_u64().unwrap()
    };
    assert_eq!(total("f16"), total("f32") / 2);
}

#[test]
fn gradients_in_halves_pass_gradcheck_within_a_bound_of_their_own() {
    if gpu::gpu().is_none() {
        return;
    }
    let folder = folder("cli_precision_gradcheck");
    for cell in ["rnn", "lstm", "gru"] {
        let said = succeeds(&folder, &format!("gradcheck --cell {cell} --device gpu --precision f16 --elements 10"));
        assert!(said.contains("2 · 2⁻¹⁰ · √(T · (B + G·H + I))"), "{said}");
        let within = |text: &str| text.contains("32 · 2⁻²³");
        assert!(within(&succeeds(&folder, &format!("gradcheck --cell {cell} --device gpu --elements 10"))));
    }
}

#[test]
fn the_cpu_refuses_to_train_in_halves() {
    let folder = folder("cli_precision_cpu");
    let words = ["--precision f16 (run.precision)", "take f32, or name a GPU with --device"];
    refused(&folder, &format!("train {ADDING} --device cpu --precision f16"), 2, &words);
    refused(&folder, "gradcheck --device cpu --precision f16", 2, &words);
}
