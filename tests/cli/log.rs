//! What training tells on standard error where that is no terminal.

use crate::common::program;
use std::path::Path;

use crate::common::program::{bptt, entries, refused, train};
use serde_json::Value;

/// A folder with a small series, `s.csv`, of three batches an epoch.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..60).map(|row| format!("{row},{:.3}\n", (f64::from(row) * 0.7).sin())).collect();
    std::fs::write(folder.path().join("s.csv"), format!("t,level\n{rows}")).unwrap();
    folder
}

const RUN: &str = "train series s.csv --device cpu --window 5 --hidden 3 --batch 16";

/// Standard output and the lines on standard error of what must succeed.
#[track_caller]
fn told(folder: &Path, arguments: &str) -> (String, Vec<String>) {
    let output = bptt(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments}: {stderr}");
    (String::from_utf8(output.stdout).unwrap(), stderr.lines().map(str::to_owned).collect())
}

#[test]
fn a_redirected_run_prints_a_line_every_n_steps() {
    let folder = folder();
    let (stdout, lines) = told(folder.path(), &format!("{RUN} --epochs 3 --log-every 2"));
    let places: Vec<&str> = lines.iter().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(places, ["step 2/9, epoch 1/3", "step 4/9, epoch 2/3", "step 6/9, epoch 2/3", "step 8/9, epoch 3/3"]);
    for (index, line) in lines.iter().enumerate() {
        assert!(line.contains("loss ") && line.contains(" seq/s  ") && line.ends_with(" left"), "{line}");
        // The first validation is that of step 3.
        assert_eq!(line.contains("validation "), index > 0, "{line}");
    }
    assert!(!stdout.contains("epoch 2/3"), "{stdout}");
}

#[test]
fn a_line_has_the_mean_loss_since_the_previous_one() {
    let folder = folder();
    let (_, lines) = told(folder.path(), &format!("{RUN} --epochs 2 --log-every 3 --out a"));
    let metrics = std::fs::read_to_string(folder.path().join("a/metrics.jsonl")).unwrap();
    let metrics: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (line, steps) in lines.iter().zip(metrics.chunks(3)) {
        let mean = steps.iter().map(|step| step["loss"].as_f64().unwrap()).sum::<f64>() / 3.0;
        let loss = line.split("loss ").nth(1).unwrap().split(' ').next().unwrap().parse::<f64>().unwrap();
        assert!((loss / mean - 1.0).abs() < 1e-3, "{line}: {mean}");
        let validation = line.split("validation ").nth(1).unwrap().split(' ').next().unwrap().parse::<f64>().unwrap();
        assert!((validation / steps[2]["val_loss"].as_f64().unwrap() - 1.0).abs() < 1e-3, "{line}");
    }
    assert_eq!(lines.len(), 2);
}

#[test]
fn a_short_run_prints_few_lines() {
    let folder = folder();
    let (_, lines) = told(folder.path(), &format!("{RUN} --epochs 50"));
    assert!((5..=12).contains(&lines.len()), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("validation ")), "{lines:?}");
    assert!(lines.last().unwrap().starts_with("step 150/150, epoch 50/50"), "{lines:?}");
}

#[test]
fn a_quiet_run_prints_only_errors() {
    let folder = folder();
    let (stdout, lines) = told(folder.path(), &format!("{RUN} --epochs 3 --out a --quiet"));
    assert!(stdout.is_empty() && lines.is_empty(), "{stdout} {lines:?}");
    assert!(entries(&folder.path().join("a")).contains(&"report.html".to_owned()));
    let (stdout, lines) = told(folder.path(), &format!("{RUN} --epochs 3 --quiet --json"));
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["steps"], 9);
    assert!(lines.is_empty(), "{lines:?}");
    assert!(told(folder.path(), "train --resume a --quiet") == (String::new(), Vec::new()));
    refused(folder.path(), "train series none.csv --quiet", 1, &["none.csv"]);
    refused(folder.path(), "train --quiet --log-every 3", 2, &["--quiet", "--log-every"]);
    refused(folder.path(), "train --log-every 0", 2, &["--log-every", "whole number from 1"]);
}

#[test]
fn with_json_progress_stays_off_standard_output() {
    let folder = folder();
    let (stdout, lines) = told(folder.path(), &format!("{RUN} --epochs 3 --log-every 3 --json"));
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["steps"], 9);
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
fn a_resumed_run_continues_its_step_count() {
    let folder = folder();
    train(folder.path(), "a", "series s.csv --window 5 --hidden 3 --batch 16 --epochs 2");
    let (_, lines) = told(folder.path(), "train --resume a --epochs 4 --out b --log-every 3");
    let places: Vec<&str> = lines.iter().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(places, ["step 9/12, epoch 3/4", "step 12/12, epoch 4/4"]);
}

#[test]
fn compared_networks_report_their_progress() {
    let folder = tempfile::tempdir().unwrap();
    let run = "flow task adding --device cpu --length 6 --hidden 3 --batch 4 --steps 4";
    let (stdout, lines) = told(folder.path(), &format!("{run} --log-every 2 --json"));
    assert!(serde_json::from_str::<Value>(&stdout).is_ok(), "{stdout}");
    let begins: Vec<&str> = lines.iter().map(|line| line.split(',').next().unwrap()).collect();
    let names = ["tanh RNN  ", "IRNN      ", "LSTM      ", "GRU       "];
    let expected: Vec<String> =
        names.iter().flat_map(|name| [2, 4].map(|step| format!("{name}step {step}/4"))).collect();
    assert_eq!(begins, expected);
    assert!(told(folder.path(), &format!("{run} --quiet")) == (String::new(), Vec::new()));
    train(folder.path(), "a", "task adding --length 6 --hidden 3 --steps 2");
    refused(folder.path(), "flow a --device cpu --log-every 2", 2, &["--log-every", "--compare"]);
}

/// Mesa's layer for choosing devices asks for a Wayland session, and complains where a service or a container has none.
#[test]
fn no_driver_message_looks_like_an_error_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in ["devices", "train --steps 1", "gradcheck --hidden 2 --length 3 --elements 3 --device cpu"] {
        let output = program::command(folder.path(), arguments).env_remove("XDG_RUNTIME_DIR").output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{stderr}");
        assert!(stderr.lines().all(|line| line.starts_with("step ")), "{arguments}: {stderr}");
    }
}
