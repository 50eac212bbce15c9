//! The program on labelled sequences: what it learns from, what it compares itself with, and what it refuses.

use crate::common::program;
use std::fmt::Write;
use std::path::Path;

use crate::common::program::{bptt, entries, read, refused, succeeds, train};
use serde_json::Value;

const TINY: &str = "--hidden 6 --batch 8 --lr 0.02 --epochs 3";

/// Sequences of two dimensions and 3 to 6 steps, whose first dimension tells the class.
fn cases(classes: &[&str], each: usize) -> Vec<(Vec<[f64; 2]>, String)> {
    let case = |n: usize| {
        let class = n % classes.len();
        let step = |t: usize| [class as f64 - 1.0 + 0.1 * ((n + t) as f64).sin(), 100.0 + ((n * t) as f64).cos()];
        ((0..3 + n % 4).map(step).collect(), classes[class].to_owned())
    };
    (0..each * classes.len()).map(case).collect()
}

/// As a `.ts` file, whose header names the classes.
fn ts(header: &str, cases: &[(Vec<[f64; 2]>, String)]) -> String {
    let mut text = format!("{header}\n@data\n");
    for (steps, label) in cases {
        let column = |i: usize| steps.iter().map(|step| step[i].to_string()).collect::<Vec<_>>().join(",");
        let label = if label.is_empty() { String::new() } else { format!(":{label}") };
        writeln!(text, "{}:{}{label}", column(0), column(1)).unwrap();
    }
    text
}

/// A folder with `a_TRAIN.ts`, 24 sequences of 3 classes.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a_TRAIN.ts", &ts("@classLabel true low mid high", &cases(&["low", "mid", "high"], 8)));
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// Runs what must succeed and tells what it printed.
#[track_caller]
fn run(folder: &Path, arguments: &str) -> String {
    let output = bptt(folder, &format!("{arguments} --device cpu"));
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The records of comma-separated text by the names in its first line.
fn column(text: &str, name: &str) -> Vec<String> {
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let index = lines.next().unwrap().iter().position(|column| *column == name);
    let index = index.unwrap_or_else(|| panic!("no column {name} in {text}"));
    lines.map(|line| line[index].to_owned()).collect()
}

fn shape(folder: &Path, run: &str, tensor: &str) -> Vec<usize> {
    let bytes = std::fs::read(folder.join(run).join("model.safetensors")).unwrap();
    bptt::StateDict::from_safetensors(&bytes).unwrap().get(tensor).unwrap().shape().to_vec()
}

#[test]
fn a_run_learns_its_classes_and_is_compared_with_the_majority() {
    let folder = folder();
    let arguments = "sequences a_TRAIN.ts --scale standard --hidden 8 --batch 8 --lr 0.03 --epochs 60";
    let stdout = train(folder.path(), "a", arguments);
    for part in ["24 sequences of 2 dimensions", "3–6 steps", "3 classes in training", "majority", "precision"] {
        assert!(stdout.contains(part), "{part:?} is not in {stdout}");
    }
    let files = entries(&folder.path().join("a"));
    assert!(["confusion.svg", "lengths.svg", "loss.svg"].iter().all(|file| files.contains(&(*file).into())));
    let summary = json(&train(folder.path(), "b", &format!("{arguments} --json")));
    let test = &summary["test"];
    assert_eq!(summary["classes"].as_array().unwrap().len(), 3);
    assert_eq!(test["accuracy"].as_f64(), Some(1.0), "{summary}");
    assert!(test["majority_share"].as_f64().unwrap() < 0.7);
    assert!(test["loss"].as_f64().unwrap() < 0.5 * test["baseline_loss"].as_f64().unwrap());
    let report = read(folder.path(), "a/report.html");
    assert!(report.contains("majority class, test") && report.contains("<td>high</td>"));
    assert_eq!(json(&run(folder.path(), "eval a a_TRAIN.ts --json"))["test"], *test);
}

#[test]
fn two_classes_use_one_output_and_print_both_probabilities() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "two.ts", &ts("@classLabel true no yes", &cases(&["no", "yes"], 10)));
    train(folder.path(), "a", &format!("sequences two.ts --bidirectional {TINY}"));
    assert_eq!(shape(folder.path(), "a", "head.weight"), [1, 12]);
    let csv = run(folder.path(), "predict a");
    let [no, yes] = ["p_no", "p_yes"].map(|name| column(&csv, name));
    assert_eq!(no.len(), 20);
    run(folder.path(), "predict a --out p.csv");
    assert_eq!(read(folder.path(), "p.csv"), csv);
    for ((no, yes), told) in no.iter().zip(&yes).zip(column(&csv, "predicted")) {
        let [no, yes] = [no, yes].map(|p| p.parse::<f64>().unwrap());
        assert!((no + yes - 1.0).abs() < 1e-6);
        assert_eq!(told, if yes > no { "yes" } else { "no" });
    }
}

#[test]
fn sequences_are_read_in_reverse_by_a_key_and_the_run_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "two.ts", &ts("@classLabel true no yes", &cases(&["no", "yes"], 10)));
    train(path, "a", &format!("sequences two.ts --set model.direction=reverse {TINY}"));
    assert_eq!(shape(path, "a", "rnn.weight_ih_l0_reverse")[1], 2);
    assert_eq!(shape(path, "a", "head.weight"), [1, 6]);
    assert!(read(path, "a/config.toml").contains("direction = \"reverse\""));
    assert!(succeeds(path, "inspect a").contains(", in reverse, "));
    train(path, "b", "--config a/config.toml");
    let weights = |run: &str| std::fs::read(path.join(run).join("model.safetensors")).unwrap();
    assert!(weights("a") == weights("b"));
    assert_eq!(run(path, "predict a"), run(path, "predict b"));
    train(path, "on", "sequences two.ts --init-from a --epochs 1");
    assert!(succeeds(path, "inspect on").contains(", in reverse, "));
    succeeds(path, "export a a.onnx");
    // One thing by two names.
    train(path, "both", &format!("sequences two.ts --bidirectional {TINY}"));
    let config = read(path, "both/config.toml");
    assert!(config.contains("direction = \"both\"") && !config.contains("bidirectional"), "{config}");
    train(path, "again", &format!("sequences two.ts --set model.direction=both {TINY}"));
    assert!(weights("both") == weights("again"));
    let refused = |arguments: &str, part: &str| {
        crate::common::program::refused(path, &format!("train sequences two.ts {arguments}"), 2, &[part]);
    };
    let reverse = "--set model.direction=reverse";
    refused(&format!("{reverse} --bidirectional"), "model.direction reverse and --bidirectional exclude each other");
    refused("--set model.direction=back", "expected one of forward, reverse, both");
    refused(&format!("{reverse} --recompute"), "needs a network that reads forward only");
    refused(&format!("--init-from a {reverse}"), "--init-from");
}

#[test]
fn values_are_predicted_in_their_units_and_compared_with_the_mean() {
    let folder = tempfile::tempdir().unwrap();
    let cases: Vec<_> = cases(&["1000", "3000", "5000"], 12);
    write(folder.path(), "v.ts", &ts("@targetLabel true", &cases));
    let arguments = "sequences v.ts --scale standard --hidden 8 --batch 8 --lr 0.03 --epochs 60 --json";
    let summary = json(&train(folder.path(), "a", arguments));
    let error = |name: &str| summary["test"]["values"][0][name].as_f64().unwrap();
    assert!(error("rmse") < 500.0 && error("mean_rmse") > 1000.0, "{summary}");
    assert!(error("mae") <= error("rmse") && error("mean_mae") > 1000.0);
    let csv = run(folder.path(), "predict a");
    assert!(column(&csv, "label").iter().all(|label| ["1000", "3000", "5000"].contains(&label.as_str())));
    for (truth, told) in column(&csv, "label").iter().zip(column(&csv, "predicted")) {
        let [truth, told] = [truth, &told].map(|value| value.parse::<f64>().unwrap());
        assert!((truth - told).abs() < 1500.0, "{truth} and {told}");
    }
    let output = String::from_utf8(bptt(folder.path(), "eval a --device cpu").stdout).unwrap();
    assert!(output.contains("mean's RMSE") && !output.contains("accuracy"), "{output}");
}

/// As `cases`, with `offset` added to every number.
fn far(classes: &[&str], each: usize, offset: f64) -> Vec<(Vec<[f64; 2]>, String)> {
    let mut cases = cases(classes, each);
    cases.iter_mut().flat_map(|(steps, _)| steps).flatten().for_each(|number| *number += offset);
    cases
}

#[test]
fn class_differences_are_learned_at_any_offset() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let cases = far(&["low", "mid", "high"], 8, 1e8);
    write(path, "far.ts", &ts("@classLabel true low mid high", &cases));
    let mut long = "id,time,label,x,y\n".to_owned();
    let mut series = String::new();
    for (id, (steps, class)) in cases.iter().enumerate() {
        steps.iter().enumerate().for_each(|(t, [x, y])| writeln!(long, "{id},{t},{class},{x},{y}").unwrap());
        writeln!(series, "{class}\t{}\t{}\t{}", steps[0][0], steps[1][0], steps[2][0]).unwrap();
    }
    write(path, "far.csv", &long);
    write(path, "far.tsv", &series);
    for file in ["far.ts", "far.csv", "far.tsv"] {
        for scale in ["standard", "min-max"] {
            let arguments =
                format!("sequences {file} --scale {scale} --hidden 8 --batch 8 --lr 0.03 --epochs 60 --json");
            let summary = json(&train(path, &format!("{file}-{scale}"), &arguments));
            assert_eq!(summary["test"]["accuracy"].as_f64(), Some(1.0), "{file}, {scale}: {summary}");
        }
        let stdout = train(path, &format!("{file}-none"), &format!("sequences {file} {TINY}"));
        for part in ["dimension ", " varies by ", "f32 has steps of 11.92", "--scale standard scales it first"] {
            assert!(stdout.contains(part), "{part:?} is not in {stdout}");
        }
    }
}

#[test]
fn values_far_from_0_are_printed_with_the_digits_that_differ() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let cases = cases(&["100000000.25", "100000001.25", "100000002.25"], 12);
    write(path, "v.ts", &ts("@targetLabel true", &cases));
    let arguments = "sequences v.ts --scale standard --hidden 8 --batch 8 --lr 0.03 --epochs 60 --json";
    let summary = json(&train(path, "a", arguments));
    let error = |name: &str| summary["test"]["values"][0][name].as_f64().unwrap();
    assert!(error("rmse") < 0.25 && error("mean_rmse") > 0.5, "{summary}");
    let csv = run(path, "predict a");
    assert!(column(&csv, "label").iter().all(|label| label.starts_with("10000000") && label.ends_with(".25")));
    for (truth, told) in column(&csv, "label").iter().zip(column(&csv, "predicted")) {
        let [truth, told] = [truth, &told].map(|value| value.parse::<f64>().unwrap());
        assert!((truth - told).abs() < 0.75, "{truth} and {told}");
    }
}

#[test]
fn a_dimension_that_varies_only_by_rounding_counts_as_constant() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let with = |third: fn(usize) -> f64| {
        let mut text = "id,time,label,x,third\n".to_owned();
        for (id, (steps, class)) in cases(&["low", "mid", "high"], 8).iter().enumerate() {
            steps
                .iter()
                .enumerate()
                .for_each(|(t, [x, _])| writeln!(text, "{id},{t},{class},{x},{}", third(id)).unwrap());
        }
        text
    };
    write(path, "a.csv", &with(|id| if id % 2 == 0 { 0.1 + 0.2 } else { 0.3 }));
    write(path, "later.csv", &with(|_| 1.3));
    for scale in ["standard", "min-max"] {
        train(path, scale, &format!("sequences a.csv --scale {scale} {TINY}"));
        // A test on which the dimension is another number is measured, not blown up.
        let later = json(&run(path, &format!("eval {scale} later.csv --json")));
        assert!(later["test"]["loss"].as_f64().unwrap() < 3.0, "{scale}: {later}");
        let config = read(path, &format!("{scale}/config.toml"));
        assert!(config.contains(&format!("scale = \"{scale}\"")), "{config}");
    }
}

/// Sequences in long form, with these labels: the first number of each goes with its label.
fn long(labels: &[f64], written: impl Fn(usize, f64) -> String) -> String {
    let (least, most) = labels.iter().fold((f64::MAX, f64::MIN), |(a, b), label| (a.min(*label), b.max(*label)));
    let mut text = "id,time,label,x\n".to_owned();
    for (id, label) in labels.iter().enumerate() {
        let x = (label - least) / (most - least);
        (0..3 + id % 3).for_each(|t| writeln!(text, "{id},{t},{},{x}", written(id, *label)).unwrap());
    }
    text
}

#[test]
fn numeric_labels_are_classes_or_values_by_their_form_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let plain = |_, label: f64| label.to_string();
    let halves: Vec<f64> = (0..36).map(|n| f64::from(n * 7 % 36) / 2.0).collect();
    write(path, "values.csv", &long(&halves, plain));
    let learn = "--hidden 8 --batch 8 --lr 0.03 --epochs 60";
    let stdout = train(path, "values", &format!("sequences values.csv {learn}"));
    for part in ["labels are values, since not all are whole numbers; --labels-as classes", "a value per sequence"] {
        assert!(stdout.contains(part), "{part:?} is not in {stdout}");
    }
    let summary = json(&run(path, "eval values --json"));
    let error = |name: &str| summary["test"]["values"][0][name].as_f64().unwrap();
    assert!(error("rmse") < 0.5 * error("mean_rmse"), "{summary}");
    // Whole numbers in another file are values too to a model of values.
    write(path, "whole.csv", &long(&[0.0, 17.0, 17.0], plain));
    assert!(json(&run(path, "eval values whole.csv --json"))["test"]["values"][0]["rmse"].is_number());

    // One number in several ways of writing it is one class, and a test file lacks one.
    let three: Vec<f64> = (0..36).map(|n| f64::from(n % 3)).collect();
    let ways =
        |n: usize, label: f64| [format!("{label}"), format!("{label:.1}"), format!("{label:+e}")][n / 3 % 3].clone();
    write(path, "classes.csv", &long(&three, ways));
    write(path, "test.csv", &long(&[2.0, 0.0], |_, label| format!("{label:.2}")));
    let stdout = train(path, "classes", &format!("sequences classes.csv --test-file test.csv {TINY}"));
    for part in
        ["labels are classes, since there are few distinct whole numbers; --labels-as values", "3 classes", "test 2"]
    {
        assert!(stdout.contains(part), "{part:?} is not in {stdout}");
    }
    assert!(read(path, "classes/config.toml").contains("labels-as = \"classes\""));
    assert_eq!(column(&run(path, "predict classes test.csv"), "label"), ["2", "0"]);
    let parts = ["--labels-as values", "trained with classes"];
    refused(path, "eval classes test.csv --labels-as values", 2, &parts);
    let stdout = train(path, "numbers", &format!("sequences classes.csv --labels-as values {TINY}"));
    assert!(stdout.contains("a value per sequence") && !stdout.contains("labels are"), "{stdout}");
}

#[test]
fn ambiguous_labels_are_refused_with_the_flag_to_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let ages: Vec<f64> = (0..90).map(|n| f64::from(n * 7 % 45 + 20)).collect();
    write(path, "ages.csv", &long(&ages, |_, label| label.to_string()));
    let question = "ages.csv, the labels: expected labels that are clearly classes or values";
    let got = "got 45 different whole numbers for 90 sequences, which could be either";
    refused(path, "train sequences ages.csv", 1, &[question, "--labels-as classes or --labels-as values", got]);
    let stdout = train(path, "a", &format!("sequences ages.csv --labels-as values {TINY}"));
    assert!(stdout.contains("a value per sequence"), "{stdout}");
    let stdout = train(path, "b", &format!("sequences ages.csv --labels-as classes --split 0.5,0.5,0 {TINY}"));
    assert!(stdout.contains("45 classes"), "{stdout}");
    // The answer is kept: a configuration repeats it.
    train(path, "c", "--config a/config.toml");
    write(path, "words.csv", "id,time,label,x\n1,0,up,1\n2,0,down,2\n");
    let parts = ["words.csv, the label of sequence 1", "--labels-as values", "\"up\""];
    refused(path, "train sequences words.csv --labels-as values", 1, &parts);
    refused(path, "train task adding --labels-as values", 2, &["--labels-as is a flag of train sequences"]);
}

#[test]
fn every_line_has_its_row_in_the_predictions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::create_dir(path.join("words")).unwrap();
    let lines = |word: &str| -> String { (0..20).map(|n| format!("{word}{n}\n\n")).collect() };
    write(path, "words/left.txt", &lines("ab"));
    write(path, "words/right.txt", &lines("cd"));
    train(path, "a", &format!("classes words {TINY}"));
    write(path, "new.txt", "\nab\n \n\ncd\n\n");
    let csv = run(path, "predict a new.txt");
    assert_eq!(column(&csv, "line_number"), ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(column(&csv, "line"), ["", "ab", "", "", "cd", ""]);
    let told = ["predicted", "p_left", "p_right"].map(|name| column(&csv, name));
    for row in 0..6 {
        assert!(told.iter().all(|cells| cells[row].is_empty() != [1, 4].contains(&row)), "{csv}");
    }
    // In a folder the lines of each class are known by their numbers.
    let csv = run(path, "predict a words");
    let rows: Vec<_> = column(&csv, "line").into_iter().zip(column(&csv, "line_number")).collect();
    assert_eq!(rows.len(), 40);
    for (line, number) in rows {
        assert_eq!((line[2..].parse::<usize>().unwrap() * 2 + 1).to_string(), number, "{line}");
    }
}

#[test]
fn a_test_file_is_the_test_split_and_a_share_of_the_first_file_validates() {
    let folder = folder();
    let path = folder.path();
    write(path, "b.ts", &ts("@classLabel true mid high", &cases(&["mid", "high"], 4)));
    let stdout = train(path, "a", &format!("sequences a_TRAIN.ts --test-file b.ts {TINY}"));
    assert!(stdout.contains("training 19, validation 5, test 8"), "{stdout}");
    let stdout = train(path, "b", &format!("sequences a_TRAIN.ts --test-file b.ts --validation 0 {TINY}"));
    assert!(stdout.contains("training 24, test 8"), "{stdout}");
    assert!(read(path, "b/metrics.jsonl").lines().all(|line| json(line)["val_loss"].is_null()));
    write(path, "c.ts", &ts("@classLabel true mid top", &cases(&["mid", "top"], 4)));
    let parts = ["c.ts, the label of sequence 2", "one of low, mid, high", "\"top\""];
    refused(path, "train sequences a_TRAIN.ts --test-file c.ts", 1, &parts);
}

#[test]
fn a_configuration_repeats_its_run_and_no_seed_moves_its_split() {
    let folder = folder();
    let path = folder.path();
    let arguments = format!("sequences a_TRAIN.ts --scale standard --seed 5 {TINY} --json");
    let summary = json(&train(path, "a", &arguments));
    train(path, "b", "--config a/config.toml");
    for file in ["metrics.jsonl", "model.safetensors", "config.toml"] {
        let [a, b] = ["a", "b"].map(|run| std::fs::read(path.join(run).join(file)).unwrap());
        assert_eq!(a, b, "{file}");
    }
    let config = read(path, "a/config.toml");
    for key in ["split = [0.7, 0.15, 0.15]", "split-seed = 5", "scale = \"standard\"", "missing = \"error\"", "sha256"]
    {
        assert!(config.contains(key), "{key:?} is not in {config}");
    }
    for seed in ["", "--seed 9"] {
        let measured = json(&run(path, &format!("eval a --json {seed}")));
        assert_eq!((&measured["test"], &measured["validation"]), (&summary["test"], &summary["validation"]));
    }
    let other = ts("@classLabel true low mid high", &cases(&["low", "mid", "high"], 9));
    write(path, "a_TRAIN.ts", &other);
    refused(path, "train --config a/config.toml", 1, &["a_TRAIN.ts", "SHA-256"]);
}

#[test]
fn other_data_are_read_as_the_model_was_fitted() {
    let folder = folder();
    let path = folder.path();
    train(path, "a", &format!("sequences a_TRAIN.ts --scale min-max {TINY}"));
    write(path, "all.ts", &(read(path, "a_TRAIN.ts") + "1,2,3:100,100,100:low\n"));
    let of_all = run(path, "predict a all.ts");
    // Two sequences of one class, without labels: neither range nor classes are those of the model.
    let two: Vec<_> = cases(&["low", "mid", "high"], 8).into_iter().skip(2).step_by(3).take(2).collect();
    let two: Vec<_> = two.into_iter().map(|(steps, _)| (steps, String::new())).collect();
    write(path, "two.ts", &ts("@classLabel false", &two));
    let of_two = run(path, "predict a two.ts");
    for name in ["predicted", "p_low", "p_mid", "p_high"] {
        let all = column(&of_all, name);
        assert_eq!(column(&of_two, name), [all[2].clone(), all[5].clone()], "{name}");
    }
    assert_eq!(column(&of_two, "label"), ["", ""]);
    // Those that trained are known again in another file.
    let trained = column(&of_all, "part").iter().filter(|part| *part == "training").count();
    assert_eq!((trained, column(&of_all, "part").len()), (17, 25));
    refused(path, "eval a --device cpu two.ts", 2, &["labels are missing", "predict"]);
    refused(path, "predict a a_TRAIN.ts --scale none", 2, &["--scale is a flag of train series, train sequences"]);
    refused(path, "predict a adding", 1, &["adding"]);
    write(path, "one.ts", "@classLabel true low mid high\n@data\n1,2,3:low\n");
    refused(path, "predict a one.ts", 1, &["one.ts", "2 dimensions per step, as the model reads, got 1"]);
}

#[test]
fn a_run_initialised_from_another_keeps_its_fitted_scalings() {
    let folder = folder();
    let path = folder.path();
    train(path, "a", &format!("sequences a_TRAIN.ts --scale standard {TINY}"));
    let few: Vec<_> = cases(&["low", "mid", "high"], 8).into_iter().filter(|(_, label)| label != "low").collect();
    write(path, "few.ts", &ts("@classLabel true high mid", &few));
    let stdout = train(path, "b", "sequences few.ts --init-from a --epochs 1 --lr 0 --batch 8");
    assert!(stdout.contains("starts from the weights of /") && stdout.contains("/a/model.safetensors"), "{stdout}");
    assert_eq!(shape(path, "b", "head.weight"), [3, 6]);
    // Nothing was learned at a rate of 0, so the two are the same where the scaling and the classes are.
    let [a, b] = ["a", "b"].map(|model| run(path, &format!("predict {model} few.ts")));
    ["number", "predicted", "p_low", "p_mid", "p_high"]
        .into_iter()
        .for_each(|name| assert_eq!(column(&a, name), column(&b, name), "{name}"));
}

#[test]
fn missing_values_are_refused_filled_or_masked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut text = ts("@classLabel true low mid high", &cases(&["low", "mid", "high"], 8));
    text.push_str("1,?,3:100,100,100:low\n");
    write(path, "gap.ts", &text);
    refused(path, "train sequences gap.ts", 1, &["gap.ts, line 27, dimension 1, step 2", "\"?\""]);
    train(path, "a", &format!("sequences gap.ts --missing ffill {TINY}"));
    assert_eq!(shape(path, "a", "rnn.weight_ih_l0"), [24, 2]);
    train(path, "b", &format!("sequences gap.ts --missing mask --scale standard {TINY}"));
    assert_eq!(shape(path, "b", "rnn.weight_ih_l0"), [24, 4]);
    assert_eq!(column(&run(path, "predict b gap.ts"), "predicted").len(), 25);
    // A model that saw no gap reads what fills them.
    write(path, "whole.ts", &ts("@classLabel true low mid high", &cases(&["low", "mid", "high"], 8)));
    train(path, "c", &format!("sequences whole.ts {TINY}"));
    assert_eq!(column(&run(path, "predict c gap.ts --missing ffill"), "predicted").len(), 25);
    refused(path, "predict c gap.ts --missing mask", 2, &["--missing mask", "trained with error"]);
}

#[test]
fn columns_are_matched_by_name_and_sequences_keep_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let table = |names: &str, swap: bool| {
        let mut text = format!("{names}\n");
        for (id, (steps, class)) in cases(&["low", "mid", "high"], 8).iter().enumerate() {
            for (t, [x, y]) in steps.iter().enumerate() {
                let [a, b] = if swap { [y, x] } else { [x, y] };
                writeln!(text, "case {id},{t},{class},{a},{b}").unwrap();
            }
        }
        text
    };
    write(path, "a.csv", &table("who,time,label,x,y", false));
    write(path, "b.csv", &table("who,time,label,y,x", true));
    write(path, "c.csv", &table("who,time,label,x,z", false));
    let stdout = train(path, "a", &format!("sequences a.csv --id who {TINY}"));
    assert!(stdout.contains("2 dimensions (x, y)"), "{stdout}");
    let [a, b] = ["a", "b"].map(|file| run(path, &format!("predict a {file}.csv --id who")));
    ["id", "predicted", "p_low", "p_mid", "p_high"]
        .into_iter()
        .for_each(|name| assert_eq!(column(&a, name), column(&b, name), "{name}"));
    assert_eq!(column(&a, "id")[..2], ["case 0", "case 1"]);
    let parts = ["c.csv, the dimensions: expected x, y, got x, z"];
    refused(path, "predict a c.csv --id who", 1, &parts);
    refused(path, "train sequences a.csv", 1, &["a.csv", "a column \"id\" of ids"]);
    write(path, "none.csv", "id,time,x\n1,1,2\n1,2,3\n2,1,4\n3,1,4\n");
    refused(path, "train sequences none.csv", 1, &["none.csv: expected labels, got none", "--labels"]);
}

#[test]
fn images_are_read_by_rows_or_pixels_as_for_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let idx = |shape: &[u8], values: &[u8]| {
        let sizes = shape.iter().flat_map(|size| [0, 0, 0, *size]);
        [0, 0, 8, shape.len() as u8].into_iter().chain(sizes).chain(values.iter().copied()).collect::<Vec<u8>>()
    };
    let pixels: Vec<u8> = (0..12).flat_map(|n| [if n % 2 == 0 { 0 } else { 250 }; 6]).collect();
    std::fs::write(path.join("x"), idx(&[12, 2, 3], &pixels)).unwrap();
    std::fs::write(path.join("y"), idx(&[12], &(0..12).map(|n| n % 2).collect::<Vec<u8>>())).unwrap();
    let stdout = train(path, "rows", &format!("sequences x --labels y {TINY}"));
    assert!(stdout.contains("3 dimensions") && stdout.contains("2 steps each"), "{stdout}");
    let stdout = train(path, "pixels", &format!("sequences x --labels y --read pixels {TINY}"));
    assert!(stdout.contains("1 dimension") && stdout.contains("6 steps each"), "{stdout}");
    assert!(!entries(&path.join("pixels")).contains(&"lengths.svg".into()));
    assert_eq!(column(&run(path, "predict pixels x"), "predicted").len(), 12);
    refused(path, "predict pixels x --read rows", 2, &["--read is a flag of train sequences"]);
    std::fs::write(path.join("empty"), "").unwrap();
    refused(path, "train sequences empty --labels y", 1, &["empty: ", "got an empty file"]);
    refused(path, "train sequences x --labels empty", 1, &["empty: ", "got an empty file"]);
    refused(path, "train sequences x", 1, &["expected labels, got none", "--labels"]);
    refused(path, "train sequences x --labels y --test-file x", 1, &["expected labels, got none", "--test-labels"]);
}

#[test]
fn lines_are_classified_by_characters_known_from_training_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::create_dir(path.join("words")).unwrap();
    // Every line has a character that no other has.
    let lines = |word: &str, first: u32| -> String {
        (0..20).map(|n| format!("{word}{}\n", char::from_u32(first + n).unwrap())).collect()
    };
    write(path, "words/left.txt", &lines("ab", 0x4e00));
    write(path, "words/right.txt", &lines("cd", 0x5e00));
    let arguments = "classes words --hidden 8 --batch 8 --lr 0.03 --epochs 30 --json";
    let summary = json(&train(path, "a", arguments));
    assert_eq!(summary["test"]["accuracy"].as_f64(), Some(1.0), "{summary}");
    // a, b, c, d, the characters of 32 training lines, and the unknown.
    assert_eq!(shape(path, "a", "rnn.weight_ih_l0"), [32, 4 + 32 + 1]);
    write(path, "new.txt", "dc\nba\n");
    let csv = run(path, "predict a new.txt");
    assert_eq!(
        (column(&csv, "line"), column(&csv, "predicted")),
        (vec!["dc".into(), "ba".into()], vec!["right".into(), "left".into()])
    );
    std::fs::create_dir(path.join("more")).unwrap();
    write(path, "more/right.txt", "dcd\n");
    assert_eq!(json(&run(path, "eval a more --json"))["test"]["accuracy"].as_f64(), Some(1.0));
    write(path, "more/middle.txt", "dcd\n");
    refused(path, "eval a more", 1, &["more, the label of sequence 1", "one of left, right", "\"middle\""]);
    refused(path, "train classes more --split 1,0,0 --set classes.min-count=9", 1, &["more, the vocabulary"]);
    std::fs::remove_file(path.join("more/middle.txt")).unwrap();
    refused(
        path,
        "train classes more --split 1,0,0 --set classes.min-count=1",
        1,
        &["more, the classes", "at least 2"],
    );
}

#[test]
fn no_training_line_is_tested() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::create_dir(path.join("words")).unwrap();
    let lines = |word: &str| -> String { (0..60).map(|n| format!("{word}{}\n", n % 20)).collect() };
    write(path, "words/left.txt", &lines("ab"));
    write(path, "words/right.txt", &lines("cd"));
    let stdout = train(path, "a", &format!("classes words {TINY}"));
    assert!(stdout.contains("120 lines") && stdout.contains("80 lines are duplicates within their class"), "{stdout}");
    let csv = run(path, "predict a");
    let rows: Vec<_> = column(&csv, "line").into_iter().zip(column(&csv, "part")).collect();
    assert_eq!(rows.len(), 120);
    for (line, part) in &rows {
        assert!(rows.iter().all(|(other, of)| other != line || of == part), "{line} in {part} and another");
    }
}

#[test]
fn impossible_settings_are_refused_with_the_reason() {
    let folder = folder();
    let path = folder.path();
    let refused = |flags: &str, code, parts: &[&str]| {
        refused(path, &format!("train sequences a_TRAIN.ts {flags}"), code, parts);
    };
    refused("--validation 0.3", 2, &["--validation", "--test-file"]);
    refused("--split 0.5,0.2,0.3 --test-file a_TRAIN.ts", 2, &["--split", "--test-file"]);
    refused("--test-labels a_TRAIN.ts", 2, &["--test-labels", "--test-file"]);
    refused("--labels a_TRAIN.ts", 1, &["no label file", "has its own labels"]);
    refused("--split 0.5,0.6,0.1", 2, &["--split", "add up to 1"]);
    refused("--split 0.98,0.01,0.01", 1, &["a_TRAIN.ts, the", "at least 1 sequence"]);
    refused("--split 0,0.5,0.5", 2, &["no training data"]);
    refused("--split 1,0,0 --patience 3", 2, &["--patience", "no validation data"]);
    refused("--window 5", 2, &["--window is a flag of train series, train text and train audio"]);
    write(path, "one.ts", &ts("@classLabel true low", &cases(&["low"], 8)));
    program::refused(path, "train sequences one.ts", 1, &["one.ts, the classes: expected at least 2", "low"]);
    write(path, "none.xyz", "1,2,3");
    program::refused(path, "train sequences none.xyz", 1, &["none.xyz", ".ts, .tsv, .txt, .csv, .npy, .npz or idx"]);
}
