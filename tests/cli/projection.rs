//! `model.proj-size` from outside.

use crate::common::gpu;
use crate::common::program::{bptt, json, read, refused, succeeds, train};

const ADDING: &str = "task adding --length 8 --hidden 6 --steps 4";

#[test]
fn a_projected_network_is_trained_repeated_measured_and_inspected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let told = train(path, "a", &format!("{ADDING} --set model.proj-size=4 --layers 2"));
    assert!(told.contains("lstm 2 → 6 projected to 4 → 1, 2 layers, "), "{told}");
    assert!(read(path, "a/config.toml").contains("proj-size = 4"));
    train(path, "b", "--config a/config.toml");
    let weights = |run: &str| std::fs::read(path.join(run).join("model.safetensors")).unwrap();
    assert!(weights("a") == weights("b"), "a repeated run has the same weights");
    let shapes = json(path, "inspect a --json");
    let shape = |name: &str| {
        let tensors = shapes["tensors"].as_array().unwrap();
        tensors.iter().find(|tensor| tensor["name"] == name).unwrap()["shape"].clone()
    };
    assert_eq!(shape("rnn.weight_hr_l1"), serde_json::json!([4, 6]));
    assert_eq!(shape("rnn.weight_ih_l1"), serde_json::json!([24, 4]));
    assert_eq!(shape("head.weight"), serde_json::json!([1, 4]));
    succeeds(path, "eval a --device cpu");
    // From another run it is taken with the rest of the network.
    let told = train(path, "c", "task adding --length 8 --steps 2 --init-from a");
    assert!(told.contains("projected to 4"), "{told}");
    // In PyTorch's names it leaves; ONNX has no such node.
    succeeds(path, "export a w.safetensors --names lstm,fc");
    assert!(succeeds(path, "inspect w.safetensors").contains("lstm.weight_hr_l0"));
    refused(path, "export a a.onnx", 2, &["ONNX", "no weight that projects h", "proj_size"]);
    assert!(!path.join("a.onnx").exists());
}

#[test]
fn a_resumed_run_of_a_projected_network_ends_with_the_bits_of_one_that_was_not_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("t.txt"), "to be or not to be ".repeat(200)).unwrap();
    let of = |steps: u64| {
        format!(
            "text t.txt --carry-state --window 9 --batch 4 --hidden 6 --set model.proj-size=5 --embedding 5 --tied --steps {steps}"
        )
    };
    train(path, "whole", &of(8));
    train(path, "half", &of(4));
    succeeds(path, "train --resume half --steps 8 --device cpu --out longer");
    let weights = |run: &str| std::fs::read(path.join(run).join("model.safetensors")).unwrap();
    assert!(weights("longer") == weights("whole"));
    assert_eq!(succeeds(path, "sample whole --device cpu --length 30").trim().chars().count(), 30);
}

#[test]
fn a_projected_network_passes_the_gradient_check_on_both_backends() {
    let folder = tempfile::tempdir().unwrap();
    let flags = "--set model.proj-size=3 --hidden 5 --layers 2 --bidirectional --dropout 0.2 --set model.recurrent-dropout=0.3 \
                 --elements 20 --json";
    for device in [Some("cpu"), gpu::gpu().map(|_| "gpu")].into_iter().flatten() {
        let checked = json(folder.path(), &format!("gradcheck --device {device} {flags}"));
        assert_eq!(checked["passed"], true, "{checked}");
        let names: Vec<&str> =
            checked["checked"].as_array().unwrap().iter().map(|of| of["name"].as_str().unwrap()).collect();
        assert!(names.contains(&"rnn.weight_hr_l1_reverse"), "{names:?}");
    }
}

#[test]
fn a_plan_counts_the_projection_and_names_the_kernel_that_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let plan = json(path, &format!("plan --device cpu --json {ADDING} --set model.proj-size=4 --batch 10"));
    // W_ih, W_hh and W_hr, both biases, and the head.
    let weights = 4 * 6 * (2 + 4) + 4 * 6 + 2 * 4 * 6 + 4 + 1;
    assert_eq!(plan["bytes"]["gradients"], 4 * weights);
    if gpu::gpu().is_some() {
        let told = succeeds(path, &format!("plan --device gpu {ADDING} --set model.proj-size=4 --batch 32"));
        assert!(told.contains("one dispatch per step (run.kernel auto)"), "{told}");
        let sequence = format!("plan --device gpu {ADDING} --set model.proj-size=4 --set run.kernel=sequence");
        refused(path, &sequence, 2, &["run.kernel sequence", "model.proj-size", "run.kernel=step"]);
    }
}

#[test]
fn a_projection_that_cannot_be_is_refused_by_flag_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for size in ["6", "7"] {
        let parts = ["model.proj-size: expected below --hidden, which is 6", &format!("got {size}")];
        refused(path, &format!("train {ADDING} --set model.proj-size={size}"), 2, &parts);
    }
    for size in ["0", "-1", "many"] {
        refused(
            path,
            &format!("train {ADDING} --set model.proj-size={size}"),
            2,
            &["model.proj-size", "from 1 to", size],
        );
    }
    for cell in ["gru", "rnn"] {
        let parts = ["model.proj-size is for --cell lstm"];
        refused(path, &format!("train {ADDING} --set model.proj-size=4 --cell {cell}"), 2, &parts);
    }
    // Another cell over a stored configuration has none.
    let config = bptt(path, &format!("train --dump-config {ADDING} --set model.proj-size=4"));
    std::fs::write(path.join("a.toml"), config.stdout).unwrap();
    assert!(!succeeds(path, "train --dump-config --config a.toml --cell gru").contains("proj-size"));
    refused(path, "train --config a.toml --hidden 3", 2, &["model.proj-size", "below --hidden, which is 3", "got 4"]);
}
