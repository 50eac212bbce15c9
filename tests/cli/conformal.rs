//! Conformal ranges, from outside.

use std::path::Path;

use serde_json::Value;

use crate::common::program::{entries, json, read, refused, succeeds, train};

/// A folder with `s.csv`: a wave of two columns with noise.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let noise = |row: u32, by: u32| f64::from((row * by) % 101) / 50.0 - 1.0;
    let row = |row: u32| {
        let wave = (f64::from(row) * 0.4).sin();
        format!("{row},{:.4},{:.4}\n", 5.0 + wave + noise(row, 37), 50.0 - 4.0 * wave + 3.0 * noise(row, 53))
    };
    let rows: String = (0..240).map(row).collect();
    std::fs::write(folder.path().join("s.csv"), format!("t,a,b\n{rows}")).unwrap();
    folder
}

const TINY: &str = "--window 6 --horizon 2 --hidden 4 --epochs 4 --batch 16 --threads 1 --device cpu";

/// The rows of a table as numbers, of these columns; NaN where a field is no number.
fn table(text: &str, columns: &[&str]) -> Vec<Vec<f64>> {
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = lines.next().unwrap();
    let of =
        |name: &&str| head.iter().position(|column| column == name).unwrap_or_else(|| panic!("{name} in {head:?}"));
    let columns: Vec<usize> = columns.iter().map(of).collect();
    lines.map(|line| columns.iter().map(|column| line[*column].parse().unwrap_or(f64::NAN)).collect()).collect()
}

/// The lines of a table with this beginning.
fn part(text: &str, name: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let of_part = lines[1..].iter().filter(|line| line.contains(&format!(",{name},")));
    std::iter::once(&lines[0]).chain(of_part).map(|line| format!("{line}\n")).collect()
}

/// The ⌊q (n + 1)⌋-th smallest of n errors for the low end, and the ⌈q (n + 1)⌉-th for the high one.
fn shifts(mut errors: Vec<f64>, [low, high]: [f64; 2]) -> [f64; 2] {
    errors.sort_by(f64::total_cmp);
    let rank = |level: f64| level * (errors.len() + 1) as f64;
    [errors[rank(low).floor() as usize - 1], errors[rank(high).ceil() as usize - 1]]
}

fn near(got: f64, expected: f64, what: &str) {
    assert!((got - expected).abs() < 2e-5 * expected.abs().max(1.0), "{what}: {got}, not {expected}");
}

/// Each end of the test ranges against the errors of the validation windows, by target and step.
fn check_by_hand(path: &Path, run: &str, before: &str, levels: [f64; 2], own: [&str; 2]) {
    let (text, plain) = (read(path, &format!("{run}/forecast.csv")), read(path, &format!("{before}/forecast.csv")));
    for target in ["a", "b"] {
        let names = [format!("q{}", levels[0]), format!("q{}", levels[1])];
        let column = |name: &str| format!("{target}_{name}");
        let shifted = [&column(&names[0])[..], &column(&names[1])];
        let ends = own.map(column);
        for step in [1.0, 2.0] {
            let rows = |text: &str, name: &str, columns: &[&str]| {
                let rows = table(&part(text, name), &[&["step"], columns].concat());
                rows.into_iter().filter(|row| row[0] == step).collect::<Vec<_>>()
            };
            let truth = column("truth");
            let errors = |end: usize| {
                let rows = rows(&plain, "validation", &[&truth, &ends[end]]);
                rows.iter().map(|row| row[1] - row[2]).collect::<Vec<_>>()
            };
            let by = [shifts(errors(0), levels)[0], shifts(errors(1), levels)[1]];
            let (got, plain) = (rows(&text, "test", &shifted), rows(&plain, "test", &[&ends[0], &ends[1]]));
            assert!(got.len() > 20 && got.len() == plain.len());
            for (got, plain) in got.iter().zip(&plain) {
                let mut expected = [plain[1] + by[0], plain[2] + by[1]];
                expected.sort_by(f64::total_cmp);
                near(got[1], expected[0], target);
                near(got[2], expected[1], target);
            }
        }
    }
}

#[test]
fn a_point_forecast_gets_a_range_from_its_errors_in_the_validation_windows() {
    let folder = folder();
    let path = folder.path();
    let data = format!("series s.csv --target a,b --relative last {TINY} --loss absolute");
    train(path, "plain", &data);
    let stdout = train(path, "r", &format!("{data} --conformal"));
    assert!(stdout.contains("ranges: conformal, shifted by the errors in 34 validation windows"), "{stdout}");
    check_by_hand(path, "r", "plain", [0.1, 0.9], ["forecast", "forecast"]);
    // The forecast itself is not touched.
    let forecasts = |run: &str| table(&read(path, &format!("{run}/forecast.csv")), &["a_forecast", "b_forecast"]);
    assert_eq!(forecasts("r"), forecasts("plain"));
    // In validation at least as many as promised are in the range, and at most two windows more at each end.
    let validation = &json(path, "eval r --device cpu --json")["validation"];
    for target in ["a", "b"] {
        let covered = validation["targets"][target]["coverage"].as_f64().unwrap();
        assert!((0.8..=0.8 + 4.0 / 34.0).contains(&covered), "{validation}");
    }
}

#[test]
fn predicted_quantiles_are_shifted_each_by_its_own_errors() {
    let folder = folder();
    let path = folder.path();
    let data = format!("series s.csv --target a,b --relative mean {TINY} --quantiles 0.2,0.5,0.8");
    train(path, "plain", &data);
    train(path, "r", &format!("{data} --conformal"));
    check_by_hand(path, "r", "plain", [0.2, 0.8], ["q0.2", "q0.8"]);
}

#[test]
fn the_ranges_of_a_model_are_those_of_its_run_in_every_command() {
    let folder = folder();
    let path = folder.path();
    train(path, "r", &format!("series s.csv --target a {TINY} --conformal --quantiles 0.05,0.9"));
    // The quantiles stand for a quantile loss, if nothing else is asked for.
    let text = succeeds(path, "eval r --device cpu");
    assert!(text.contains("q0.05") || text.contains("0.05, 0.9"), "{text}");
    train(path, "p", &format!("series s.csv --target a {TINY} --conformal --loss squared --quantiles 0.05,0.9"));
    let columns = ["a_q0.05", "a_forecast", "a_q0.9"];
    // The rows by time and step, which `predict` has for all windows.
    let columns = [&["t", "step"], &columns[..]].concat();
    let of_run = table(&read(path, "p/forecast.csv"), &columns);
    succeeds(path, "predict p --device cpu --out p.csv");
    let predicted = table(&read(path, "p.csv"), &columns);
    let alike = |row: &Vec<f64>| predicted.iter().find(|other| other[..2] == row[..2]).unwrap();
    assert!(of_run.len() > 100 && of_run.iter().all(|row| row == alike(row)));
    assert!(of_run.iter().all(|row| row[2] < row[3] && row[3] < row[4]), "{of_run:?}");
    let forecast = json(path, "forecast p --device cpu --json");
    let quantiles = forecast["quantiles"].as_object().unwrap();
    assert_eq!(quantiles.keys().collect::<Vec<_>>(), ["0.05", "0.9"]);
    let first = |value: &Value| value["a"][0].as_f64().unwrap();
    let [low, point, high] = [&quantiles["0.05"], &forecast["targets"], &quantiles["0.9"]].map(first);
    assert!(low < point && point < high, "{forecast}");
    let text = succeeds(path, "forecast p --device cpu");
    assert!(text.contains("a q0.05") && text.contains("a q0.9") && !text.contains("q0.5"), "{text}");
    let onnx = json(path, "inspect p --json");
    assert_eq!(onnx["model"]["data"]["series"]["codec"]["conformal"]["examples"], 34, "{onnx}");
}

#[test]
fn ranges_that_the_validation_windows_cannot_support_are_refused_before_training() {
    let folder = folder();
    let path = folder.path();
    let before = entries(path);
    let data = format!("train series s.csv --target a {TINY} --conformal");
    for (flags, parts) in [
        ("--quantiles 0.01,0.99", &["--conformal", "0.01, 0.99", "at least 99 validation windows", "leaves 34"][..]),
        ("--split 0.9,0,0.1", &["--conformal", "at least 9", "leaves 0"]),
        ("--loss absolute --quantiles 0.9,0.1", &["--quantiles", "greater than the one before"]),
        ("--now b", &["--conformal", "--now"]),
    ] {
        let data = if flags.starts_with("--now") { data.replace("--horizon 2", "") } else { data.clone() };
        refused(path, &format!("{data} {flags}"), 2, parts);
    }
    refused(
        path,
        &format!("train series s.csv --target a {TINY} --loss absolute --quantiles 0.1,0.9"),
        2,
        &["--quantiles"],
    );
    assert_eq!(entries(path), before);
}

#[test]
fn a_network_that_is_trained_further_gets_ranges_of_its_own() {
    let folder = folder();
    let path = folder.path();
    let data = format!("series s.csv --target a {TINY} --loss absolute --conformal");
    train(path, "r", &data);
    train(path, "further", &format!("{} --init-from r --lr 0.02", data.replace("--hidden 4", "")));
    let shifts = |run: &str| {
        json(path, &format!("inspect {run} --json"))["model"]["data"]["series"]["codec"]["conformal"]["shifts"].clone()
    };
    let (first, second) = (shifts("r"), shifts("further"));
    assert!(first.is_array() && second.is_array() && first != second, "{first} {second}");
    train(
        path,
        "without",
        "series s.csv --init-from r --epochs 1 --device cpu --set series.conformal=false --target a --window 6 --horizon 2 --batch 16",
    );
    assert!(shifts("without").is_null());
}
