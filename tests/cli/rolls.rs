//! Piano rolls from outside: learning them, measuring, predicting, and what is refused.

use crate::common::program::{bptt, entries, refused, train};
use serde_json::{Value, json};

/// A folder with `r.json`: pieces in which two keys take turns and a third is always there.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let piece = |length: usize| (0..length).map(|step| json!([60 + step % 2, 64])).collect::<Vec<Value>>();
    let pieces = |lengths: std::ops::Range<usize>| lengths.map(piece).collect::<Vec<_>>();
    let rolls = json!({"train": pieces(6..18), "valid": pieces(7..10), "test": pieces(8..12)});
    std::fs::write(folder.path().join("r.json"), rolls.to_string()).unwrap();
    folder
}

const TINY: &str = "rolls r.json --hidden 16 --batch 4 --lr 0.02 --epochs 60";

#[test]
fn alternating_keys_are_learned_and_predicted_for_every_frame() {
    let folder = folder();
    let summary: Value = serde_json::from_str(&train(folder.path(), "a", &format!("{TINY} --json"))).unwrap();
    let test = &summary["test"];
    assert!(test["loss"].as_f64().unwrap() < 0.2, "{test}");
    assert!(test["accuracy"].as_f64().unwrap() > 0.99, "{test}");
    // Who expects the frame before has the key that stays, and none of the other two.
    assert!((test["baseline_accuracy"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-9, "{test}");
    assert!(test["baseline_loss"].as_f64().unwrap() > 1.3, "{test}");
    let files = entries(&folder.path().join("a"));
    assert!(files.contains(&"roll.svg".into()), "{files:?}");
    let output = bptt(folder.path(), "predict a --device cpu");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let mut lines = stdout.lines();
    assert_eq!(lines.next(), Some("piece,step,60,61,62,63,64"));
    // The first frame that is told is the second of the first piece that was held back.
    let first: Vec<f64> = lines.next().unwrap().split(',').map(|cell| cell.parse().unwrap()).collect();
    assert_eq!(first[..2], [13.0, 2.0]);
    assert!(first[2] < 0.3 && first[3] > 0.7 && first[6] > 0.7, "{first:?}");
}

#[test]
fn training_pieces_are_not_measured_in_a_larger_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    // Each piece has an end of its own.
    let piece = |number: usize| -> Vec<Value> {
        (0..8).map(|step| json!([60 + step % 2, 62 + (number >> (step % 4) & 1) + 2 * (step / 4)])).collect()
    };
    let rolls = |pieces: std::ops::Range<usize>| json!(pieces.map(piece).collect::<Vec<_>>()).to_string();
    std::fs::write(path.join("r.json"), rolls(0..10)).unwrap();
    train(path, "a", "rolls r.json --keys 60-66 --hidden 3 --batch 4 --epochs 1 --split 0.7,0.1,0.2");
    std::fs::write(path.join("grown.json"), rolls(0..12)).unwrap();
    let eval = |file: &str| -> Value {
        let output = bptt(path, &format!("eval a {file} --device cpu --json"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let grown = eval("grown.json");
    assert_eq!(grown["trained_on"], "the model was trained on 7 of these pieces: only what follows them is measured");
    assert!(grown["data"].to_string().contains("training 7, test 5 pieces"), "{grown}");
    std::fs::write(path.join("other.json"), rolls(10..16)).unwrap();
    let other = eval("other.json");
    assert!(
        other["trained_on"].as_str().unwrap().contains("none of the measured pieces is a known training piece"),
        "{other}"
    );
}

#[test]
fn a_single_roll_is_split_in_time_and_every_frame_predicted_with_its_position() {
    let folder = folder();
    let path = folder.path();
    let rows: String = (0..60).map(|row| format!("{},{},1\n", row % 2, (row + 1) % 2)).collect();
    std::fs::write(path.join("r.csv"), format!("a,b,c\n{rows}")).unwrap();
    let stdout = train(path, "a", "rolls r.csv --hidden 4 --epochs 1 --split 0.5,0.3,0.2");
    assert!(
        stdout.contains("1 piece, 3 keys") && stdout.contains("training 30, validation 17, test 12 frames"),
        "{stdout}"
    );
    let summary: Value = serde_json::from_slice(&bptt(path, "eval a --device cpu --json").stdout).unwrap();
    assert!(summary["validation"]["loss"].is_f64() && summary["test"]["loss"].is_f64(), "{summary}");
    // What was held back: the rows after the first and the 30 that trained, in the file's numbers.
    let stdout = String::from_utf8(bptt(path, "predict a --device cpu").stdout).unwrap();
    let places = stdout.lines().skip(1).map(|line| line.split(',').take(2).collect::<Vec<_>>().join(","));
    assert_eq!(places.collect::<Vec<_>>(), (32..=60).map(|row| format!("1,{row}")).collect::<Vec<_>>());
}

#[test]
fn an_invalid_roll_is_refused_by_position() {
    let folder = folder();
    let path = folder.path();
    let write = |name: &str, text: &str| std::fs::write(path.join(name), text).unwrap();
    write("empty.json", "");
    write("cut.json", r#"{"train": [[[60], [6"#);
    write("word.json", r#"{"train": [[[60], ["C"]]], "valid": [], "test": []}"#);
    write("short.json", r#"{"train": [[[60], [61]], [[60]]], "valid": [], "test": []}"#);
    write("twice.csv", "a,b,a\n1,0,1\n0,1,0\n");
    write("twice.json", r#"{"train": [[[60], [61]]], "train": [[[60], [62]]]}"#);
    write("two.csv", "a,b\n1,0\n0,2\n");
    refused(path, "train rolls empty.json", 1, &["empty.json"]);
    refused(path, "train rolls cut.json", 1, &["cut.json"]);
    refused(path, "train rolls word.json", 1, &["word.json"]);
    refused(path, "train rolls short.json", 1, &["short.json", "train, piece 2", "at least 2 steps"]);
    refused(path, "train rolls twice.csv", 1, &["twice.csv", "\"a\""]);
    refused(path, "train rolls twice.json", 1, &["twice.json", "each part once", "`train`"]);
    refused(path, "train rolls two.csv", 1, &["two.csv", "row 2", "\"b\"", "2"]);
    refused(path, "train rolls r.json --keys 60-62", 1, &["train, piece 1", "64"]);
    refused(path, "train rolls r.json --keys 0-70000", 2, &["--keys", "numbers from 0 to 65535"]);
    refused(path, "train rolls r.json --keys 9-3", 2, &["--keys", "21-108"]);
    refused(path, "train rolls r.json --bidirectional", 2, &["--bidirectional", "reverse direction"]);
    train(path, "a", &format!("{TINY} --steps 2").replace("--epochs 60 ", ""));
    refused(path, "eval a r.json --keys 21-108", 2, &["--keys is a flag of train rolls"]);
    refused(path, "sample a", 2, &["a text"]);
}
