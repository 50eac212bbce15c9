//! Parameter groups of a run.

use std::fs;
use std::path::Path;

use bptt::StateDict;

use crate::common::program::{command, refused, succeeds};

const TRAIN: &str = "train text t.txt --embedding 3 --hidden 5 --window 8 --device cpu --threads 1";
const GROUPS: &str = "training.groups=[\"embedding.*:frozen\", \"head.*:lr=10x,weight-decay=0\"]";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t.txt"), "to be or not to be ".repeat(200)).unwrap();
    folder
}

/// Standard output of a run with [`GROUPS`].
fn train(folder: &Path, arguments: &str) -> String {
    let output = command(folder, &format!("{TRAIN} {arguments}")).args(["--set", GROUPS]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

fn weights(folder: &Path, run: &str) -> StateDict {
    StateDict::from_safetensors(&fs::read(folder.join(run).join("model.safetensors")).unwrap()).unwrap()
}

#[test]
fn a_run_has_the_groups_that_its_configuration_keeps() {
    let folder = folder();
    let path = folder.path();
    let shown = train(path, "--steps 1 --out one");
    for line in ["embedding.*: frozen", "head.*: 10 × the learning rate, weight decay 0"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let config = fs::read_to_string(path.join("one/config.toml")).unwrap().parse::<toml::Table>().unwrap();
    let groups: Vec<&str> =
        config["training"]["groups"].as_array().unwrap().iter().flat_map(|it| it.as_str()).collect();
    assert_eq!(groups, ["embedding.*:frozen", "head.*:lr=10x,weight-decay=0"]);
    // Three steps at once, two of them resumed, and those of the configuration.
    train(path, "--steps 3 --out three");
    succeeds(path, "train --resume one --steps 3 --out resumed");
    succeeds(path, "train --config three/config.toml --out repeated");
    let (one, three) = (weights(path, "one"), weights(path, "three"));
    assert_eq!(weights(path, "resumed"), three);
    assert_eq!(weights(path, "repeated"), three);
    for (name, array) in three.iter() {
        assert_eq!(one.get(name) == Some(array), name == "embedding.weight", "{name}");
    }
    // Adam's first step is about the rate in every weight.
    succeeds(path, &format!("{TRAIN} --steps 1 --out plain"));
    let (plain, two) = (weights(path, "plain"), weights(path, "one"));
    let bias = |weights: &StateDict| weights.get("head.bias").unwrap().clone();
    let before = (10.0 * bias(&plain) - bias(&two)) / 9.0;
    let (small, large) = (bias(&plain) - &before, bias(&two) - &before);
    for (small, large) in small.iter().zip(&large) {
        assert!((small.abs() - 0.002).abs() < 1e-4 && (large / small - 10.0).abs() < 1e-2, "{small} {large}");
    }
}

#[test]
fn groups_that_fit_no_tensor_and_other_groups_of_a_resumed_run_are_usage_errors() {
    let folder = folder();
    let path = folder.path();
    let none = ["training.groups", "'decoder.*'", "embedding.weight, head.bias, head.weight, rnn.bias_hh_l0"];
    for command in ["train", "plan"] {
        refused(path, &format!("{command} text t.txt --embedding 3 --set training.groups=decoder.*:frozen"), 2, &none);
    }
    let parts = ["--set training.groups: lr: expected a factor of the learning rate, as in 10x or 0.1x, got '3', got"];
    refused(path, &format!("{TRAIN} --set training.groups=head.*:lr=3"), 2, &parts);
    fs::write(path.join("c.toml"), "[text]\nfile = \"t.txt\"\n[training]\ngroups = [\"*:lr=2x\",\n \"head.*\"]\n")
        .unwrap();
    refused(path, "train --config c.toml", 2, &["c.toml, line 5, training.groups: expected a pattern with settings"]);
    train(path, "--steps 1 --out run");
    refused(path, "train --resume run --steps 2 --out x --groups *:lr=2x", 2, &["--set training.groups="]);
}
