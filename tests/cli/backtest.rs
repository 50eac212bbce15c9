//! Forecasts from several origins, from outside.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::common::program::{bptt, command, entries, json, read, refused, succeeds, train};

/// A folder with `s.csv`: 90 rows of a wave and of one with a trend.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let row = |row: usize| {
        let wave = |speed: f64| (9.0 * (row as f64 * speed).sin()).round();
        format!("{},{},{}\n", 1900 + row, wave(0.52) + 20.0, wave(0.8) + row as f64)
    };
    let rows: String = (0..90).map(row).collect();
    fs::write(folder.path().join("s.csv"), format!("year,a,b\n{rows}")).unwrap();
    folder
}

const TINY: &str = "--window 6 --horizon 3 --hidden 4 --batch 16 --device cpu";
const FOLDS: &str = "--folds 3 --stride 2 --season 6";

/// The lines of a file as maps from the names of its columns.
fn table(folder: &Path, file: &str) -> Vec<HashMap<String, String>> {
    let text = read(folder, file);
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let names = lines.next().unwrap();
    lines.map(|line| names.iter().cloned().zip(line).collect()).collect()
}

fn number(line: &HashMap<String, String>, column: &str) -> f64 {
    line[column].parse().unwrap()
}

#[track_caller]
fn near(got: &Value, want: f64) {
    let got = got.as_f64().unwrap();
    assert!((got - want).abs() < 1e-9 * want.abs().max(1.0), "{got} for {want}");
}

#[track_caller]
fn assert_same_files(folder: &Path, a: &str, b: &str, files: &[&str]) {
    for file in files {
        let [one, other] = [a, b].map(|of| fs::read(folder.join(of).join(file)).unwrap());
        assert!(one == other, "{a}/{file} and {b}/{file} differ");
    }
}

const OF_RUN: [&str; 3] = ["model.safetensors", "metrics.jsonl", "forecast.csv"];

#[test]
fn a_fold_is_the_run_of_train_series_with_the_same_cuts_to_the_bit() {
    let folder = folder();
    let path = folder.path();
    let set = format!("{TINY} --epochs 3 --target a --quantiles 0.1,0.5,0.9 --patience 2");
    let printed = succeeds(path, &format!("backtest s.csv {set} {FOLDS} --out b"));
    // The last origin is row 87 of 90, and a fifth of the rows before each origin validates.
    for (fold, known) in [(1, 83), (2, 85), (3, 87)] {
        let validation = (0.2 * f64::from(known)).round();
        let (until, end) = (1900 + known - validation as i32 - 1, 1900 + known + 2);
        let cuts = format!("--train-until {until} --validation {} --test-until {end}", validation / (validation + 3.0));
        train(path, &format!("r{fold}"), &format!("series s.csv {set} --season 6 {cuts}"));
        assert_same_files(path, &format!("r{fold}"), &format!("b/fold-0{fold}"), &OF_RUN);
        assert!(printed.contains(&format!("after {}: ", 1900 + known - 1)), "{printed}");
    }
    // Only the rows after each origin are scored, with the forecasts that the runs wrote.
    let all = table(path, "b/backtest.csv");
    assert_eq!(all.len(), 9);
    for line in &all {
        let of_run = table(path, &format!("b/fold-0{}/forecast.csv", line["fold"]));
        let same = of_run.iter().find(|row| row["part"] == "test" && row["step"] == line["step"]).unwrap();
        assert_eq!((&same["origin"], &same["year"]), (&line["origin"], &line["year"]));
        for (column, of_run) in [
            ("truth", "a_truth"),
            ("forecast", "a_q0.5"),
            ("q0.1", "a_q0.1"),
            ("q0.9", "a_q0.9"),
            ("last_value", "a_last_value"),
            ("seasonal_naive", "a_seasonal_naive"),
            ("drift", "a_drift"),
            ("linear_autoregression", "a_linear_autoregression"),
            ("last_value_q0.1", "a_last_value_q0.1"),
            ("drift_q0.5", "a_drift_q0.5"),
            ("linear_autoregression_q0.9", "a_linear_autoregression_q0.9"),
        ] {
            assert_eq!(line[column], same[of_run], "{column}");
        }
    }
}

#[test]
fn the_errors_are_means_over_folds_by_fold_and_by_step() {
    let folder = folder();
    let path = folder.path();
    let printed = succeeds(path, &format!("backtest s.csv {TINY} --epochs 2 --target b {FOLDS} --out b"));
    let summary: Value = serde_json::from_str(&read(path, "b/metrics.json")).unwrap();
    let all = table(path, "b/backtest.csv");
    let truths: Vec<f64> = table(path, "s.csv").iter().map(|line| number(line, "b")).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    for (name, column) in [("network", "forecast"), ("seasonal_naive", "seasonal_naive"), ("drift", "drift")] {
        let error = |line: &HashMap<String, String>| number(line, column) - number(line, "truth");
        let squares: Vec<f64> = all.iter().map(|line| error(line).powi(2)).collect();
        near(&summary["overall"][name]["rmse"], mean(&squares).sqrt());
        near(&summary["by_step"][1]["step"], 2.0);
        let second: Vec<f64> = all.iter().filter(|line| line["step"] == "2").map(|line| error(line).abs()).collect();
        near(&summary["by_step"][1][name]["mae"], mean(&second));
        // Of each fold in units of the seasonal naive forecast's error up to its origin.
        let mut scaled = Vec::new();
        for (fold, known) in [(1, 83), (2, 85), (3, 87)] {
            let of_fold = all.iter().filter(|line| line["fold"] == fold.to_string());
            let mae = mean(&of_fold.map(|line| error(line).abs()).collect::<Vec<_>>());
            let scale = mean(&(6..known).map(|row| (truths[row] - truths[row - 6]).abs()).collect::<Vec<_>>());
            near(&summary["by_fold"][fold - 1][name]["mae"], mae);
            near(&summary["by_fold"][fold - 1][name]["mase"], mae / scale);
            scaled.push(mae / scale);
        }
        near(&summary["overall"][name]["mase"], mean(&scaled));
    }
    let fold = &summary["by_fold"][2];
    assert_eq!(
        (&fold["origin"], &fold["test_until"], &fold["validation_rows"]),
        (&"1986".into(), &"1989".into(), &17.into())
    );
    let verdict = summary["verdict"]["words"].as_str().unwrap();
    assert!(printed.lines().any(|line| line == verdict) && verdict.contains("(backtest RMSE "), "{printed}");
    for part in ["over 3 folds", "beaten in", "RMSE by fold", "fold 3, after 1986", "RMSE by step ahead"] {
        assert!(printed.contains(part), "{part} is not in {printed}");
    }
    for file in ["backtest.svg", "report.html"] {
        assert!(read(path, &format!("b/{file}")).contains("RMSE by step ahead"), "{file}");
    }
    // What is finished is scored again, and nothing trained.
    let before = read(path, "b/fold-03/timings.jsonl");
    assert_eq!(json(path, "backtest --resume b --json")["overall"], summary["overall"]);
    assert_eq!(read(path, "b/fold-03/timings.jsonl"), before);
}

#[test]
fn networks_go_on_from_the_fold_before_or_are_that_of_the_first() {
    let folder = folder();
    let path = folder.path();
    let set = format!("{TINY} --epochs 2 --target a --season 6");
    succeeds(path, &format!("backtest s.csv {set} --folds 3 --stride 2 --refit continue --out c"));
    let cuts = "--train-until 1967 --validation 0.85 --test-until 1987";
    succeeds(path, &format!("backtest s.csv {set} --folds 3 --stride 2 --refit none --out n"));
    assert_same_files(path, "c/fold-01", "n/fold-01", &OF_RUN);
    train(
        path,
        "r",
        &format!(
            "series s.csv {} --season 6 --target a {cuts} --init-from c/fold-01",
            "--window 6 --horizon 3 --epochs 2 --batch 16"
        ),
    );
    assert_same_files(path, "r", "c/fold-02", &["metrics.jsonl", "forecast.csv"]);
    // The first network forecasts from the other origins too.
    assert_eq!(entries(&path.join("n/fold-03")), ["forecast.csv"]);
    let predicted = succeeds(path, "predict n/fold-01");
    for line in table(path, "n/backtest.csv") {
        let begin = format!("{},", line["year"]);
        let end = format!(",{},{},{},{}", line["origin"], line["step"], line["truth"], line["forecast"]);
        assert!(
            predicted.lines().any(|row| row.starts_with(&begin) && row.ends_with(&end)),
            "{end} is not in {predicted}"
        );
    }
}

/// Waits until a run has a checkpoint after its first.
fn wait_for_checkpoints(folder: &Path, child: &mut std::process::Child) {
    let checkpoints = || {
        let names = folder.join("checkpoints").read_dir().into_iter().flatten();
        names
            .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "ckpt")))
            .count()
    };
    while checkpoints() < 2 {
        assert!(child.try_wait().unwrap().is_none(), "the backtest had ended before it was stopped");
        sleep(Duration::from_millis(1));
    }
}

const LONG: &str = "--epochs 60 --set training.checkpoint-every=1 --target a";

#[test]
fn a_killed_backtest_goes_on_where_it_was_to_the_same_end() {
    let folder = folder();
    let path = folder.path();
    let call = |out: &str| format!("backtest s.csv {TINY} {LONG} {FOLDS} --out {out}");
    let mut child = command(path, &call("killed")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_checkpoints(&path.join("killed/fold-02"), &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    let first = path.join("killed/fold-01/model.safetensors");
    let written = fs::metadata(&first).unwrap().modified().unwrap();
    let printed = succeeds(path, "backtest --resume killed");
    assert!(printed.contains("fold 1    after 1982: finished before"), "{printed}");
    assert!(printed.contains("fold 2    after 1984: resumes after step "), "{printed}");
    assert_eq!(fs::metadata(&first).unwrap().modified().unwrap(), written);
    succeeds(path, &call("whole"));
    for fold in 1..=3 {
        assert_same_files(path, &format!("whole/fold-0{fold}"), &format!("killed/fold-0{fold}"), &OF_RUN);
    }
    assert_same_files(path, "whole", "killed", &["backtest.csv", "backtest.svg", "backtest.toml"]);
}

#[test]
#[cfg(unix)]
fn a_stopped_backtest_tells_how_to_go_on_and_the_same_command_does() {
    let folder = folder();
    let path = folder.path();
    let call = |out: &str| format!("backtest s.csv {TINY} {LONG} {FOLDS} --out {out}");
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let out = format!("stopped{signal}");
        let child = command(path, &call(&out)).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.unwrap();
        wait_for_checkpoints(&path.join(&out).join("fold-02"), &mut child);
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{printed}");
        assert!(printed.ends_with(&format!("resume    bptt backtest --resume {out}\n")), "{printed}");
        let printed = succeeds(path, &call(&out));
        assert!(printed.contains("finished before") && printed.contains("resumes after step "), "{printed}");
    }
    for fold in 1..=3 {
        let of = |signal: &str| format!("stopped{signal}/fold-0{fold}");
        assert_same_files(path, &of("-INT"), &of("-TERM"), &OF_RUN);
    }
    assert_same_files(path, "stopped-INT", "stopped-TERM", &["backtest.csv"]);
}

#[test]
fn a_backtest_of_other_settings_or_of_a_changed_file_is_refused_and_nothing_written() {
    let folder = folder();
    let path = folder.path();
    let set = format!("{TINY} --epochs 2 --target a");
    succeeds(path, &format!("backtest s.csv {set} {FOLDS} --out b"));
    let again = |more: &str| format!("backtest s.csv {set} --out b {more}");
    refused(path, &again("--folds 3 --stride 3 --season 6"), 2, &["--out b", "backtest.stride is 2 there, and 3 here"]);
    refused(path, &again(&format!("{FOLDS} --seed 2")), 2, &["run.seed is 1 there, and 2 here", "nothing was written"]);
    refused(path, "backtest --resume b --epochs 5", 2, &["--resume keeps the run's own settings"]);
    refused(path, "backtest --resume b --folds 5", 2, &["--resume keeps the run's own settings"]);
    train(path, "r", &format!("series s.csv {set}"));
    refused(
        path,
        "backtest --resume r",
        1,
        &["expected the folder of a backtest, with backtest.toml", "bptt train --resume"],
    );
    refused(
        path,
        &format!("backtest s.csv {set} {FOLDS} --out r"),
        2,
        &["--out r: expected a folder that does not exist"],
    );
    let text = read(path, "s.csv");
    fs::write(path.join("s.csv"), text.replacen("1900,", "1899,", 1)).unwrap();
    let changed = ["s.csv: expected the file as the backtest in b has it, SHA-256 ", "it has changed since"];
    refused(path, "backtest --resume b", 1, &changed);
    refused(path, &again(FOLDS), 1, &changed);
    // The same file elsewhere is the same.
    fs::write(path.join("moved.csv"), text).unwrap();
    succeeds(path, "backtest moved.csv --resume b");
}

#[test]
fn what_leaves_no_fold_or_cuts_the_series_otherwise_is_refused_and_nothing_written() {
    let folder = folder();
    let path = folder.path();
    let set = "--target a --window 6 --device cpu --out b";
    for (flags, parts) in [
        ("--horizon 3 --folds 40 --stride 2", &["--folds: expected at most 38", "got 40 of a series of 90 rows"][..]),
        ("--horizon 50", &["--folds: expected a series with more rows, or a smaller --horizon 50"]),
        ("--horizon 3 --stride 0", &["--stride", "expected a whole number from 1"]),
        ("--horizon 3 --folds 0", &["--folds", "expected a whole number from 1"]),
        ("--horizon 3 --now b", &["--now: a virtual sensor forecasts nothing"]),
        ("--horizon 3 --carry-state", &["--carry-state: a virtual sensor"]),
        ("--train-until 1950", &["--train-until: a backtest cuts the series itself"]),
        ("--split 0.5,0.2,0.3", &["--split: a backtest cuts the series itself"]),
        (
            "--horizon 3 --validation 0.01",
            &["--validation 0.01: expected 0, or a share of at least the horizon of 3 rows"],
        ),
        ("--horizon 3 --validation 0 --patience 2", &["--patience and --keep best need a validation loss"]),
        ("--horizon 3 --refit never", &["--refit", "scratch, continue, none"]),
    ] {
        let output = bptt(path, &format!("backtest s.csv {set} {flags}"));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags}: {stderr}");
        parts.iter().for_each(|part| assert!(stderr.contains(part), "{flags}: {part:?} is not in {stderr}"));
        assert_eq!(entries(path), ["s.csv"], "{flags}");
    }
    fs::write(path.join("c.toml"), "[backtest]\nfolds = 2\n[text]\nfile = \"s.csv\"\n").unwrap();
    refused(path, "backtest --config c.toml --out b", 2, &["a backtest forecasts a series, and the data are a text"]);
    refused(path, "train --config c.toml --out b", 2, &["[backtest] has the folds of `bptt backtest`"]);
}

#[test]
fn a_panel_is_scored_over_its_series_and_what_does_not_reach_an_origin_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    // Two series of 60 times, and one that ends after 50.
    let row =
        |id: &str, time: usize, speed: f64| format!("{id},{time},{}\n", (9.0 * (time as f64 * speed).sin()).round());
    let rows =
        |(id, count, speed): &(&str, usize, f64)| (0..*count).map(|time| row(id, time, *speed)).collect::<String>();
    let text: String = [("x", 60, 0.5), ("y", 60, 0.9), ("z", 50, 0.7)].iter().map(rows).collect();
    fs::write(path.join("p.csv"), format!("shop,t,v\n{text}")).unwrap();
    let call = format!("backtest p.csv --id shop {TINY} --epochs 2 --folds 2 --stride 12 --out b");
    let printed = succeeds(path, &call);
    for part in [
        "3 series under one network x, y, z",
        "fold 2 leaves out what has no window up to 56 and a row after it: 1 series, z",
        "means over 3 targets, without units",
        "RMSSE by fold",
    ] {
        assert!(printed.contains(part), "{part:?} is not in {printed}");
    }
    let all = table(path, "b/backtest.csv");
    let of =
        |fold: &str, target: &str| all.iter().filter(|line| line["fold"] == fold && line["target"] == target).count();
    assert_eq!([of("1", "z"), of("2", "z"), of("2", "x")], [3, 0, 3]);
    let summary: Value = serde_json::from_str(&read(path, "b/metrics.json")).unwrap();
    let mase = |name: &str| summary["by_target"][name]["network"]["mase"].as_f64().unwrap();
    near(&summary["overall"]["network"]["mase"], (mase("x") + mase("y") + mase("z")) / 3.0);
    assert!(summary["overall"]["network"]["rmse"].is_null() && summary["by_target"]["z"]["network"]["rmse"].is_f64());
}

#[test]
fn a_series_that_a_network_was_not_trained_on_is_left_out_of_its_folds_and_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    // Two series of 60 times, and one of the last 24: 9 before the first origin, none of them in its training part.
    let row =
        |id: &str, time: usize, speed: f64| format!("{id},{time},{}\n", (9.0 * (time as f64 * speed).sin()).round());
    let rows =
        |(id, first, speed): &(&str, usize, f64)| (*first..60).map(|time| row(id, time, *speed)).collect::<String>();
    let text: String = [("x", 0, 0.5), ("s", 36, 0.7), ("y", 0, 0.9)].iter().map(rows).collect();
    fs::write(path.join("p.csv"), format!("shop,t,v\n{text}")).unwrap();
    let drop = "--epochs 2 --folds 2 --stride 12 --set series.drop-short=true";
    for (refit, left_out) in [("scratch", &["1"][..]), ("continue", &["1", "2"]), ("none", &["1", "2"])] {
        let call = format!("backtest p.csv --id shop {TINY} {drop} --refit {refit} --out {refit}");
        let printed = succeeds(path, &call);
        assert!(!printed.contains("no true value"), "{refit}: {printed}");
        let all = table(path, &format!("{refit}/backtest.csv"));
        for fold in ["1", "2"] {
            let note = format!(
                "fold {fold} leaves out what its network was not trained on, with fewer than 9 rows up to 35: 1 series, s"
            );
            let is_out = left_out.contains(&fold);
            assert_eq!(printed.contains(&note), is_out, "{refit}, fold {fold}: {printed}");
            let scored = all.iter().filter(|line| line["fold"] == fold && line["target"] == "s").count();
            assert_eq!(scored, if is_out { 0 } else { 3 }, "{refit}, fold {fold}");
        }
    }
}

#[test]
fn a_run_until_a_test_row_is_that_of_a_file_that_ends_there() {
    let folder = folder();
    let path = folder.path();
    let text = read(path, "s.csv");
    let shorter: Vec<&str> = text.lines().take(1 + 71).collect();
    fs::write(path.join("short.csv"), shorter.join("\n")).unwrap();
    let set = format!("{TINY} --epochs 2 --target a --train-until 1950 --validation 0.5");
    let printed = train(path, "cut", &format!("series s.csv {set} --test-until 1970"));
    assert!(printed.contains("the 19 rows after 1970 (--test-until) are not used"), "{printed}");
    train(path, "short", &format!("series short.csv {set}"));
    assert_same_files(path, "cut", "short", &["metrics.jsonl", "forecast.csv"]);
    // An evaluation of the same file measures the same rows.
    for data in ["", "s.csv"] {
        let test = &json(path, &format!("eval cut {data} --json"))["test"];
        assert_eq!((&test["until"], &test["forecasts"]), (&"1970".into(), &8.into()), "{data}");
    }
    let set = format!("series s.csv {TINY} --target a --out x");
    refused(path, &format!("train {set} --test-until 1970"), 2, &["--test-until needs --train-until"]);
    let before = format!("train {set} --train-until 1950 --test-until 1940");
    refused(path, &before, 2, &["--test-until 1940: expected a row after --train-until 1950"]);
    let unknown = format!("train {set} --train-until 1950 --test-until 2000");
    refused(path, &unknown, 2, &["--test-until", "2000"]);
}
