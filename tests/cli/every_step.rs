//! The program on sequences with a label at each step: what it learns, measures, writes and refuses.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use crate::common::program::{json, read, refused, succeeds, train};

/// Sequences of random bits, each with the parity so far.
fn parities(n: usize, steps: impl Fn(usize) -> usize) -> Vec<Vec<(u8, u8)>> {
    let mut state = 1u64;
    let mut bit = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 63) as u8
    };
    let mut sequence = |steps: usize| {
        let parity = |so_far: &mut u8, bit: u8| {
            *so_far ^= bit;
            Some((bit, *so_far))
        };
        (0..steps).map(|_| bit()).scan(0, parity).collect()
    };
    (0..n).map(|n| sequence(steps(n))).collect()
}

/// In long form; `label` writes that of a step, counted through all.
fn long_form(sequences: &[Vec<(u8, u8)>], label: impl Fn(usize, u8) -> String) -> String {
    let mut text = String::from("id,time,label,bit\n");
    let steps =
        sequences.iter().enumerate().flat_map(|(id, sequence)| sequence.iter().enumerate().map(move |step| (id, step)));
    for (row, (id, (t, (bit, parity)))) in steps.enumerate() {
        writeln!(text, "s{id},{t},{},{bit}", label(row, *parity)).unwrap();
    }
    text
}

fn npy(folder: &Path, name: &str, descr: &str, shape: &str, data: Vec<u8>) {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let bytes =
        [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes(), &data].concat();
    std::fs::write(folder.join(name), bytes).unwrap();
}

fn floats(numbers: impl IntoIterator<Item = f32>) -> Vec<u8> {
    numbers.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// The records of comma-separated text, by the names in its first line.
fn records(text: &str) -> Vec<Vec<(&str, &str)>> {
    let mut lines = text.lines().map(|line| line.split(','));
    let names: Vec<&str> = lines.next().unwrap().collect();
    lines.map(|line| names.iter().copied().zip(line).collect()).collect()
}

fn field<'a>(record: &[(&str, &'a str)], name: &str) -> &'a str {
    record.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no {name} in {record:?}")).1
}

fn test_accuracy(summary: &Value) -> f64 {
    summary["test"]["accuracy"].as_f64().unwrap_or_else(|| panic!("{summary}"))
}

const SOLVES: &str = "--predict every --cell gru --hidden 16 --lr 0.02 --epochs 20 --json";

#[test]
fn the_parity_so_far_is_learned_at_every_step_from_csv_and_npy_alike() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let sequences = parities(400, |n| 8 + n % 17);
    let name = |_: usize, parity: u8| ["even", "odd"][usize::from(parity)].to_owned();
    std::fs::write(path.join("bits.csv"), long_form(&sequences, name)).unwrap();
    let summary: Value = serde_json::from_str(&train(path, "a", &format!("sequences bits.csv {SOLVES}"))).unwrap();
    assert!(test_accuracy(&summary) > 0.99, "{summary}");
    assert_eq!(json(path, "eval a --device cpu --json")["test"], summary["test"]);

    // What is told is what the predictions show, a row for each step.
    let csv = succeeds(path, "predict a --device cpu");
    let rows = records(&csv);
    assert_eq!(rows.len(), sequences.iter().map(Vec::len).sum::<usize>());
    let mut steps = sequences.iter().enumerate().flat_map(|(id, sequence)| (0..sequence.len()).map(move |t| (id, t)));
    for row in &rows {
        let (id, t) = steps.next().unwrap();
        let label = name(0, sequences[id][t].1);
        assert_eq!(
            [field(row, "id"), field(row, "step"), field(row, "label")],
            [&format!("s{id}"), &(t + 1).to_string(), &*label]
        );
        let [even, odd] = ["p_even", "p_odd"].map(|name| field(row, name).parse::<f64>().unwrap());
        assert!((even + odd - 1.0).abs() < 1e-6);
        assert_eq!(field(row, "predicted"), if odd > even { "odd" } else { "even" });
    }
    let of_test: Vec<_> = rows.iter().filter(|row| field(row, "part") == "test").collect();
    let right = of_test.iter().filter(|row| field(row, "label") == field(row, "predicted")).count();
    assert_eq!(test_accuracy(&summary), right as f64 / of_test.len() as f64);
    assert_eq!(summary["test"]["steps"], of_test.len());

    let sequences = parities(400, |_| 20);
    let all = || sequences.iter().flatten();
    npy(path, "x.npy", "<f4", "400, 20", floats(all().map(|(bit, _)| f32::from(*bit))));
    npy(path, "y.npy", "|u1", "400, 20", all().map(|(_, parity)| *parity).collect());
    let summary: Value =
        serde_json::from_str(&train(path, "b", &format!("sequences x.npy --labels y.npy {SOLVES}"))).unwrap();
    assert!(test_accuracy(&summary) > 0.99, "{summary}");
    let csv = succeeds(path, "predict b x.npy --device cpu");
    assert_eq!(csv.lines().next(), Some("number,step,part,label,predicted,p_0,p_1"));
    assert!(csv.lines().nth(21).unwrap().starts_with("2,1,") && csv.lines().count() == 8001, "{csv:.500}");
}

#[test]
fn a_step_without_a_label_is_predicted_and_neither_learned_from_nor_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let sequences = parities(60, |n| 3 + n % 5);
    let has_label = |row: usize| !row.is_multiple_of(4);
    for (file, missing) in [("empty.csv", ""), ("word.csv", "NaN")] {
        let label = |row: usize, parity: u8| if has_label(row) { parity.to_string() } else { missing.to_owned() };
        std::fs::write(path.join(file), long_form(&sequences, label)).unwrap();
        train(path, &file.replace(".csv", ""), &format!("sequences {file} --predict every --hidden 4 --epochs 3"));
    }
    let weights = |run: &str| {
        let bytes = std::fs::read(path.join(run).join("model.safetensors")).unwrap();
        bptt::StateDict::from_safetensors(&bytes).unwrap()
    };
    assert_eq!(weights("empty"), weights("word"));
    assert!(read(path, "empty/config.toml").contains("predict = \"every\""));
    let csv = succeeds(path, "predict empty --device cpu");
    let rows = records(&csv);
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(!field(row, "label").is_empty(), has_label(n));
        assert!(!field(row, "predicted").is_empty());
    }
    let measured = json(path, "eval empty --device cpu --json");
    let of_test: Vec<_> =
        rows.iter().filter(|row| field(row, "part") == "test" && !field(row, "label").is_empty()).collect();
    // Majority, balanced accuracy and F1 by hand, from the four counts.
    let count = |truth: &str, predicted: &str| {
        let such = |row: &&&Vec<(&str, &str)>| field(row, "label") == truth && field(row, "predicted") == predicted;
        of_test.iter().filter(such).count() as f64
    };
    let [a, b, c, d] = [count("0", "0"), count("0", "1"), count("1", "0"), count("1", "1")];
    assert!(a + b > 0.0 && c + d > 0.0);
    let close = |key: &str, expected: f64| {
        let got = measured["test"][key].as_f64().unwrap();
        assert!((got - expected).abs() < 1e-12, "{key}: {got}, expected {expected}");
    };
    close("steps", of_test.len() as f64);
    close("accuracy", (a + d) / (a + b + c + d));
    close("balanced_accuracy", (a / (a + b) + d / (c + d)) / 2.0);
    close("macro_f1", a / (2.0 * a + b + c) + d / (2.0 * d + b + c));
    assert_eq!(measured["test"]["confusion"], serde_json::json!([[a as u64, b as u64], [c as u64, d as u64]]));
    let of_training = rows.iter().filter(|row| field(row, "part") == "training");
    let ones = of_training.clone().filter(|row| field(row, "label") == "1").count();
    let zeros = of_training.filter(|row| field(row, "label") == "0").count();
    close("majority_share", if ones > zeros { c + d } else { a + b } / of_test.len() as f64);
    // Sequences without any label are predicted too.
    std::fs::write(path.join("new.csv"), "id,time,bit\nn,1,1\nn,2,0\n").unwrap();
    let csv = succeeds(path, "predict empty new.csv --device cpu");
    assert_eq!(records(&csv).iter().map(|row| field(row, "label")).collect::<Vec<_>>(), ["", ""]);
    refused(path, "eval empty new.csv --device cpu", 2, &["labels are missing"]);
}

#[test]
fn numbers_at_every_step_are_measured_by_rmse_and_r_squared_beside_their_mean() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (n, steps) = (40, 6);
    let input = |k: usize| (k as f32 * 0.7).sin();
    npy(path, "x.npy", "<f4", "40, 6", floats((0..n * steps).map(input)));
    let target = |k: usize| if k % 5 == 2 { [f32::NAN; 2] } else { [3.0 + input(k), 100.0 * input(k + 1)] };
    npy(path, "y.npy", "<f4", "40, 6, 2", floats((0..n * steps).flat_map(target)));
    train(path, "a", "sequences x.npy --labels y.npy --predict every --hidden 4 --lr 0.02 --epochs 5");
    let csv = succeeds(path, "predict a x.npy --labels y.npy --device cpu");
    let rows = records(&csv);
    assert_eq!(rows.len(), n * steps);
    let measured = json(path, "eval a --device cpu --json");
    for output in [1, 2] {
        let numbers = |part: &str| -> Vec<[f64; 2]> {
            let rows = rows.iter().filter(|row| field(row, "part") == part && !field(row, "label_1").is_empty());
            rows.map(|row| ["label", "predicted"].map(|what| field(row, &format!("{what}_{output}")).parse().unwrap()))
                .collect()
        };
        let mean = |numbers: &[[f64; 2]]| numbers.iter().map(|[truth, _]| truth).sum::<f64>() / numbers.len() as f64;
        let squares = |numbers: &[[f64; 2]], of: &dyn Fn(f64) -> f64| {
            numbers.iter().map(|[truth, predicted]| (truth - of(*predicted)).powi(2)).sum::<f64>()
        };
        let (of_test, of_training) = (numbers("test"), mean(&numbers("training")));
        let of_mean = mean(&of_test);
        let told = &measured["test"]["values"][output - 1];
        let close = |key: &str, expected: f64| {
            let got = told[key].as_f64().unwrap_or_else(|| panic!("{key} in {measured}"));
            assert!((got / expected - 1.0).abs() < 1e-5, "{key}: {got}, expected {expected}");
        };
        let count = of_test.len() as f64;
        close("rmse", (squares(&of_test, &|predicted| predicted) / count).sqrt());
        close("mean_rmse", (squares(&of_test, &|_| of_training) / count).sqrt());
        close("r_squared", 1.0 - squares(&of_test, &|predicted| predicted) / squares(&of_test, &|_| of_mean));
        assert_eq!(measured["test"]["steps"], of_test.len());
    }
}

#[test]
fn labels_of_another_shape_or_format_are_refused_with_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    npy(path, "x.npy", "<f4", "4, 3", floats([0.0; 12]));
    npy(path, "y.npy", "|u1", "4, 3", vec![0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1]);
    npy(path, "short.npy", "|u1", "4, 2", vec![0; 8]);
    npy(path, "whole.npy", "|u1", "4,", vec![0, 1, 0, 1]);
    std::fs::write(path.join("a.ts"), "@classLabel true a b\n@data\n1,2:a\n2,1:b\n").unwrap();
    let every = |rest: &str, parts: &[&str]| refused(path, &format!("train sequences {rest} --device cpu"), 1, parts);
    every(
        "x.npy --labels short.npy --predict every",
        &["short.npy", "expected shape [4, 3], one class for each step", "got [4, 2]"],
    );
    every("x.npy --labels whole.npy --predict every", &["whole.npy", "expected shape [4, 3]", "got [4]"]);
    every(
        "x.npy --labels y.npy",
        &["y.npy", "expected shape [4]", "got [4, 3]; --predict every reads a label for each step"],
    );
    every("a.ts --predict every", &["a.ts", "expected a .csv, .npy or .npz file"]);
    every("x.npy --predict every", &["x.npy", "expected labels, got none"]);
}
