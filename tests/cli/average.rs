//! A run that averages its weights.

use std::fs;
use std::path::Path;

use bptt::StateDict;

use crate::common::program::{refused, succeeds, train};

const TASK: &str = "--epochs 3 --hidden 4 --batch 16 --threads 1";

fn weights(folder: &Path, run: &str) -> StateDict {
    StateDict::from_safetensors(&fs::read(folder.join(run).join("model.safetensors")).unwrap()).unwrap()
}

#[test]
fn the_average_is_validated_stored_and_resumed_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let average = "--set training.ema-decay=0.9";
    let shown = train(path, "whole", &format!("{TASK} {average}"));
    assert!(shown.contains("validates and stores the moving average of the weights, decay 0.9"), "{shown}");
    let config = fs::read_to_string(path.join("whole/config.toml")).unwrap();
    assert!(config.contains("ema-decay = 0.9"), "{config}");
    train(path, "plain", TASK);
    let losses = |run: &str, key: &str| -> Vec<String> {
        let text = fs::read_to_string(path.join(run).join("metrics.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()[key].to_string());
        lines.filter(|number| number != "null").collect()
    };
    // The steps are the same, and the validations are not.
    assert_eq!(losses("whole", "loss"), losses("plain", "loss"));
    assert_ne!(losses("whole", "val_loss"), losses("plain", "val_loss"));
    assert_ne!(weights(path, "whole"), weights(path, "plain"));
    // A shorter run, extended.
    train(path, "short", &format!("{TASK} {average}").replace("--epochs 3", "--epochs 2"));
    succeeds(path, "train --resume short --epochs 3 --out resumed");
    assert_eq!(weights(path, "resumed"), weights(path, "whole"));
    assert_eq!(losses("resumed", "val_loss"), losses("whole", "val_loss"));
    refused(
        path,
        "train --set training.ema-decay=1",
        2,
        &["--set training.ema-decay: expected a number from 0 to below 1"],
    );
}
