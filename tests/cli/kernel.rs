//! `run.kernel` from outside.

use crate::common::gpu;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::program::{bptt, refused};
use serde_json::Value;

const ADDING: &str = "task adding --length 12 --steps 5 --set training.val-every=5";

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// What a command prints that must succeed.
fn told(folder: &Path, arguments: &str) -> String {
    let output = bptt(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_kernel_is_printed_and_stored_and_changes_no_bit() {
    if gpu::gpu().is_none() {
        return;
    }
    let folder = folder("cli_kernel_told");
    let mut weights = Vec::new();
    for (kernel, line) in [
        ("sequence", "kernel    one dispatch per sequence (run.kernel sequence)\n"),
        ("step", "kernel    one dispatch per step (run.kernel step)\n"),
        ("auto", " (run.kernel auto)\n"),
    ] {
        let text =
            told(&folder, &format!("train --device gpu --out {kernel} {ADDING} --hidden 8 --set run.kernel={kernel}"));
        assert!(text.contains(line), "{text}");
        let config: toml::Table = fs::read_to_string(folder.join(kernel).join("config.toml")).unwrap().parse().unwrap();
        assert_eq!(config["run"]["kernel"].as_str(), Some(kernel));
        weights.push(fs::read(folder.join(kernel).join("model.safetensors")).unwrap());
        // A repeated run has it from there.
        assert!(told(&folder, &format!("plan {kernel}")).contains(line));
    }
    assert!(weights.iter().all(|bytes| *bytes == weights[0]), "the weights depend on the kernel");
}

#[test]
fn the_plan_names_the_kernel_on_a_gpu_only() {
    let folder = folder("cli_kernel_plan");
    let planned = |arguments: &str| -> Value {
        serde_json::from_str(&told(&folder, &format!("plan --json {ADDING} {arguments}"))).unwrap()
    };
    assert_eq!(planned("--device cpu --set run.kernel=step")["kernel"], Value::Null);
    assert!(!told(&folder, &format!("plan {ADDING} --device cpu --set run.kernel=step")).contains("kernel"));
    if gpu::gpu().is_none() {
        return;
    }
    assert_eq!(planned("--device gpu --set run.kernel=step")["kernel"], "step");
    assert_eq!(planned("--device gpu --set run.kernel=sequence")["kernel"], "sequence");
    // Of 2000 units none is a sequence's.
    assert_eq!(planned("--device gpu --hidden 2000")["kernel"], "step");
}

#[test]
fn an_unsuitable_unknown_or_changed_kernel_is_refused() {
    let folder = folder("cli_kernel_refused");
    refused(
        &folder,
        &format!("train --device cpu {ADDING} --set run.kernel=fast"),
        2,
        &["--set run.kernel", "sequence", "step", "got fast"],
    );
    fs::write(folder.join("fast.toml"), "[run]\nkernel = \"fast\"\n").unwrap();
    refused(&folder, "train --config fast.toml", 2, &["fast.toml", "kernel"]);
    told(&folder, &format!("train --device cpu --out run {ADDING} --hidden 8"));
    fs::remove_file(folder.join("run/checkpoints/finished")).unwrap();
    refused(
        &folder,
        "train --resume run --set run.kernel=step",
        2,
        &["--resume <RUN>", "cannot be used with", "--set <KEY=VALUE>"],
    );
    // The CPU backend has no use for it.
    told(&folder, &format!("plan --device cpu {ADDING} --hidden 1025 --set run.kernel=sequence"));
    if gpu::gpu().is_none() {
        return;
    }
    let parts = ["run.kernel sequence", "at most 1024", "has 1025", "--set run.kernel=step"];
    refused(&folder, &format!("train --device gpu {ADDING} --hidden 1025 --set run.kernel=sequence"), 2, &parts);
    refused(
        &folder,
        "gradcheck --device gpu --hidden 1025 --set run.kernel=sequence --batch 1 --length 1 --elements 1",
        2,
        &parts,
    );
}

#[test]
fn gradcheck_and_bench_accept_both_kernels() {
    if gpu::gpu().is_none() {
        return;
    }
    let folder = folder("cli_kernel_others");
    for kernel in ["sequence", "step"] {
        let text = told(&folder, &format!("gradcheck --device gpu --cell gru --set run.kernel={kernel}"));
        assert!(text.contains("passed"), "{text}");
        let timed = "--seconds 0 --warmup 0 --warmup-s 0 --min-reps 1 --max-reps 1 --check-steps 2";
        let text = told(&folder, &format!("bench --device gpu --cell gru --size S --kernel {kernel} {timed}"));
        let fields: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(fields["losses"].as_array().map(Vec::len), Some(2), "{text}");
    }
}
