//! Trained networks on data that they may have been trained on: what is measured, and what is told of the rest.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use crate::common::program::{bptt, command, entries, json, read, refused, succeeds, train};
use bptt::StateDict;
use serde_json::Value;

/// Rows of a series from `first` on, by number, with one of them changed where that is asked for.
fn rows(numbers: std::ops::Range<usize>, changed: Option<usize>) -> String {
    let mut text = String::from("hour,load\n");
    for row in numbers {
        let off = if changed == Some(row) { 0.5 } else { 0.0 };
        writeln!(text, "{row},{:.4}", (row as f64 * 0.4).sin() * 5.0 + off).unwrap();
    }
    text
}

/// A run `r` on 120 rows, of which rows 1 to 85 train, 86 to 103 validate and the rest test.
fn series() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.csv"), rows(1..121, None)).unwrap();
    train(folder.path(), "r", "series s.csv --window 4 --hidden 3 --epochs 2 --batch 16 --season 4");
    folder
}

/// The first and last rows of a part that was measured.
fn span(measured: &Value, part: &str) -> (u64, u64) {
    let number = |key: &str| measured[part][key].as_str().unwrap_or("0").parse().unwrap();
    (number("from"), number("until"))
}

/// A model's file as it was before it said what it was trained on.
fn without_origin(from: &Path, to: &Path) {
    let bytes = fs::read(from).unwrap();
    let note = StateDict::safetensors_note(&bytes, "bptt").unwrap().unwrap();
    let mut note: Value = serde_json::from_str(&note).unwrap();
    let fields = note.as_object_mut().unwrap();
    assert!(fields.remove("origin").is_some() && fields.remove("step").is_some());
    let weights = StateDict::from_safetensors(&bytes).unwrap();
    fs::write(to, weights.to_safetensors(Some(("bptt", &note.to_string()))).unwrap()).unwrap();
}

#[test]
fn the_data_of_a_run_keep_their_splits_under_any_file_name() {
    let folder = series();
    let path = folder.path();
    let own = json(path, "eval r --json --device cpu");
    assert_eq!((span(&own, "validation"), span(&own, "test")), ((86, 103), (104, 120)));
    fs::copy(path.join("s.csv"), path.join("copy.csv")).unwrap();
    fs::copy(path.join("r/model.safetensors"), path.join("alone.safetensors")).unwrap();
    for model in ["r", "alone.safetensors"] {
        let measured = json(path, &format!("eval {model} copy.csv --json --device cpu"));
        for part in ["validation", "test", "both"] {
            assert_eq!(measured[part], own[part], "{model} {part}");
        }
        assert!(measured["trained_on"].as_str().unwrap().contains("the file that the model was trained on"));
        let said = succeeds(path, &format!("eval {model} copy.csv --device cpu"));
        assert!(said.contains("training 5–85 (81)") && said.contains("its splits are those of the run"), "{said}");
    }
    let predicted = succeeds(path, "predict alone.safetensors copy.csv --device cpu");
    assert_eq!(predicted, succeeds(path, "predict r --device cpu"));
    assert!(predicted.contains(",training,") && predicted.contains(",test,"));
}

#[test]
fn the_data_of_a_run_keep_their_validation_share_with_train_until() {
    let folder = series();
    let path = folder.path();
    let split = "--train-until 60 --validation 0.25";
    train(path, "u", &format!("series s.csv --window 4 --hidden 3 --epochs 1 --batch 16 {split}"));
    fs::copy(path.join("s.csv"), path.join("copy.csv")).unwrap();
    let [own, copy] =
        ["u", "u/model.safetensors copy.csv"].map(|of| json(path, &format!("eval {of} --json --device cpu")));
    for measured in [&own, &copy] {
        assert_eq!((span(measured, "validation"), span(measured, "test")), ((61, 75), (76, 120)), "{measured}");
    }
}

#[test]
fn another_validation_share_changes_the_splits() {
    let folder = series();
    let path = folder.path();
    let known = |flags: &str| {
        let measured = json(path, &format!("eval u {flags} --json --device cpu"));
        measured["trained_on"].as_str().unwrap().to_owned()
    };
    let of_run = |known: String| known.ends_with("its splits are those of the run");
    for (own, other) in [("", "--validation 0"), ("--validation 0.4", "--validation 0.2"), ("--validation 0.2", "")] {
        train(path, "u", &format!("series s.csv --window 4 --hidden 3 --epochs 1 --batch 16 --train-until 60 {own}"));
        assert!(of_run(known("")), "{own}");
        assert!(of_run(known(&format!("s.csv --train-until 60 {own}"))), "{own}");
        assert!(!of_run(known(&format!("s.csv --train-until 60 {other}"))), "{own}, then {other}");
        fs::remove_dir_all(path.join("u")).unwrap();
    }
}

#[test]
fn training_rows_are_recognised_in_a_grown_cut_or_revised_file() {
    let folder = series();
    let path = folder.path();
    let measured = |text: String| {
        fs::write(path.join("other.csv"), text).unwrap();
        json(path, "eval r other.csv --json --device cpu")
    };
    let told = |measured: &Value| measured["trained_on"].as_str().unwrap().to_owned();
    let grown = measured(rows(1..133, None));
    assert_eq!((span(&grown, "validation"), span(&grown, "test")), ((86, 103), (104, 132)));
    assert!(told(&grown).contains("85 of these rows, 1–85; 12 rows after 120 are new"), "{grown}");
    // The new rows alone, by the flag that names the last of the others.
    let new = json(path, "eval r other.csv --train-until 120 --validation 0 --json --device cpu");
    assert_eq!((span(&new, "test"), &new["validation"]), ((121, 132), &Value::Null));
    let cut = measured(rows(30..121, None));
    assert_eq!((span(&cut, "validation"), span(&cut, "test")), ((86, 103), (104, 120)));
    let revised = measured(rows(1..121, Some(40)));
    assert_eq!((span(&revised, "validation"), span(&revised, "test")), ((86, 103), (104, 120)));
    // Nothing that was held back is left.
    let early = measured(rows(1..60, None));
    assert!(early["test"].is_null() && early["validation"].is_null(), "{early}");
    let said = succeeds(path, "eval r other.csv --device cpu");
    assert!(said.contains("every row was used in training"), "{said}");
    // Other values at the same hours are other data, and so are later hours.
    for other in [rows(1..121, None).replace(".", ".9"), rows(1..121, None).replace("\n", "\n9")] {
        let other = measured(other.trim_end_matches('9').to_owned());
        assert!(told(&other).contains("none of its rows is a known training row"), "{other}");
        assert!(span(&other, "test").0 % 9000 % 900 <= 95 && other["validation"].is_null(), "{other}");
    }
}

#[test]
fn a_short_slice_of_a_long_training_split_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("s.csv"), rows(1..20_011, None)).unwrap();
    train(path, "r", "series s.csv --window 4 --hidden 3 --steps 2 --batch 16");
    // Of five rows one alone or two are among those that are looked for, wherever they begin.
    let few = (9_000..9_004).map(|first| first..first + 5);
    for slice in [9_000..9_200, 9_000..9_006, 1..8].into_iter().chain(few) {
        fs::write(path.join("slice.csv"), rows(slice.clone(), None)).unwrap();
        let measured = json(path, "eval r slice.csv --json --device cpu");
        assert!(measured["test"].is_null() && measured["validation"].is_null(), "{slice:?}: {measured}");
        let told = measured["trained_on"].as_str().unwrap();
        assert!(told.contains("the model was trained on"), "{slice:?}: {told}");
    }
    fs::write(path.join("later.csv"), rows(30_000..30_200, None)).unwrap();
    let measured = json(path, "eval r later.csv --json --device cpu");
    let told = measured["trained_on"].as_str().unwrap();
    assert!(told.contains("none of the 4,096 training rows on record is here"), "{told}");
    assert_eq!(measured["device"].as_str().map(|device| device.starts_with("CPU")), Some(true), "{measured}");
}

#[test]
fn a_split_inside_the_training_rows_measures_none_of_them() {
    let folder = series();
    let path = folder.path();
    for data in ["", "s.csv"] {
        let measured = json(path, &format!("eval r {data} --split 0.3,0.5,0.2 --json --device cpu"));
        assert_eq!((span(&measured, "validation"), span(&measured, "test")), ((86, 97), (98, 120)), "{data}");
        let told = measured["trained_on"].as_str().unwrap();
        assert!(told.contains("85 of these rows, 1–85: no measured split has them"), "{told}");
    }
    // More that trained than the run had is no such split.
    let measured = json(path, "eval r --split 0.8,0.1,0.1 --json --device cpu");
    assert_eq!(span(&measured, "test").1, 120);
    assert!(measured["trained_on"].as_str().unwrap().contains("its training data are not measured"));
}

#[test]
fn a_model_without_training_digests_reports_that_its_data_are_unknown() {
    let folder = series();
    let path = folder.path();
    without_origin(&path.join("r/model.safetensors"), &path.join("old.safetensors"));
    let measured = json(path, "eval old.safetensors s.csv --json --device cpu");
    assert!(measured["trained_on"].as_str().unwrap().contains("does not record its training data"), "{measured}");
    assert_eq!(span(&measured, "test"), (5, 120));
}

#[test]
fn other_data_are_compared_with_the_season_of_the_run() {
    let folder = series();
    let path = folder.path();
    fs::write(path.join("later.csv"), rows(500..560, None)).unwrap();
    let measured = json(path, "eval r later.csv --json --device cpu");
    assert!(measured["test"]["seasonal_rmse"].is_f64(), "{measured}");
    assert!(succeeds(path, "eval r later.csv --device cpu").contains("seasonal naive: the value 4 rows before"));
    // Before the first forecast there are as many rows as a window has.
    train(path, "long", "series s.csv --window 4 --hidden 3 --epochs 1 --batch 16 --season 9");
    let said = succeeds(path, "eval long later.csv --device cpu");
    assert!(said.contains("a season of 9 rows starts before these"), "{said}");
}

#[test]
fn training_from_a_model_on_its_own_data_keeps_their_split() {
    let folder = series();
    let path = folder.path();
    let on = "--init-from r --epochs 1 --batch 16";
    fs::copy(path.join("s.csv"), path.join("copy.csv")).unwrap();
    train(path, "cut", "series s.csv --window 4 --hidden 3 --epochs 1 --batch 16 --split 0.5,0.25,0.25");
    let said = train(path, "on", &format!("series copy.csv {on}").replace("from r", "from cut"));
    assert!(said.contains("training 5–62") && said.contains("its splits are those of the run"), "{said}");
    assert!(read(path, "on/config.toml").contains("split = [0.5, 0.25, 0.25]"));
    let parts = ["--init-from", "85 of these rows, 1–85", "--train-until 85"];
    refused(path, &format!("train series s.csv {on} --split 0.5,0.25,0.25"), 2, &parts);
    train(path, "more", &format!("series s.csv {on} --split 0.8,0.1,0.1"));
    fs::write(path.join("grown.csv"), rows(1..125, None)).unwrap();
    train(path, "grown", &format!("series grown.csv {on}"));
    refused(path, &format!("train series grown.csv {on} --train-until 50"), 2, &parts);
    // The configuration repeats it, and a second generation still knows the first one's data.
    train(path, "again", "--config on/config.toml");
    assert_eq!(
        fs::read(path.join("on/model.safetensors")).unwrap(),
        fs::read(path.join("again/model.safetensors")).unwrap()
    );
    fs::write(path.join("far.csv"), rows(900..1000, None)).unwrap();
    train(path, "far", &format!("series far.csv {on}"));
    let measured = json(path, "eval far copy.csv --json --device cpu");
    assert_eq!(span(&measured, "test"), (104, 120));
}

/// Sentences that differ from each other.
fn text(numbers: std::ops::Range<usize>) -> String {
    numbers.fold(String::new(), |mut text, number| {
        writeln!(text, "{number} and {} are {}.", number * 7 % 13, number + number * 7 % 13).unwrap();
        text
    })
}

#[test]
fn training_text_is_not_measured_whatever_follows_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("t.txt"), text(0..200)).unwrap();
    train(path, "a", "text t.txt --window 8 --hidden 4 --steps 3");
    let own = json(path, "eval a --json --device cpu");
    let length = text(0..200).len() as u64;
    let trained = (length as f64 * 0.9).round() as u64;
    let measured = |text: &str, flags: &str| {
        fs::write(path.join("other.txt"), text).unwrap();
        json(path, &format!("eval a other.txt {flags} --json --device cpu"))
    };
    let same = measured(&text(0..200), "");
    let loss = |measured: &Value| measured["validation"]["loss"].as_f64().unwrap();
    assert!((loss(&same) - loss(&own)).abs() < 1e-6 && same["test"].is_null(), "{same}");
    assert_eq!(same["validation"]["characters"], own["validation"]["characters"]);
    let grown = measured(&text(0..260), "");
    assert_eq!(grown["test"]["characters"].as_u64(), Some(text(0..260).len() as u64 - trained - 1));
    assert!(grown["trained_on"].as_str().unwrap().contains("they are not measured"), "{grown}");
    // Another text that only begins alike.
    let begins = measured(&(text(0..60) + &text(800..900)), "");
    assert!(
        begins["test"]["characters"].as_u64().unwrap() < text(800..900).len() as u64 + trained / 64 + 1,
        "{begins}"
    );
    let other = measured(&text(500..600), "");
    // Whether it is another text is not known: a line before it would do.
    assert!(other["trained_on"].as_str().unwrap().starts_with("it does not start like the text"), "{other}");
    assert_eq!(other["test"]["characters"].as_u64(), Some(text(500..600).len() as u64 - 1));
    assert!(other["test"]["baseline_loss"].is_f64(), "the frequencies of the training travel with it: {other}");
    let split = json(path, "eval a --split 0.1,0.4,0.5 --json --device cpu");
    assert_eq!(split["validation"], Value::Null);
    assert_eq!(split["test"]["characters"].as_u64(), Some(length - trained - 1));
    let on = "train text t.txt --init-from a --window 8 --steps 1 --split 0.5,0.5,0";
    refused(path, on, 2, &["--init-from", "the first", "--split"]);
}

#[test]
fn a_new_text_is_compared_with_the_frequencies_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("t.txt"), "aaab".repeat(200)).unwrap();
    fs::write(path.join("other.txt"), "bababa".repeat(200)).unwrap();
    train(path, "a", "text t.txt --window 8 --hidden 3 --steps 3");
    let baseline = |flags: &str| {
        let measured = json(path, &format!("eval a other.txt {flags} --json --device cpu"));
        measured["test"]["baseline_loss"].as_f64().unwrap()
    };
    // One of four is b there, and every second one here.
    let expected = -(0.75_f64.ln() + 0.25_f64.ln()) / 2.0;
    for flags in ["", "--split 0.5,0.25,0.25", "--split 0,0.5,0.5"] {
        assert!((baseline(flags) - expected).abs() < 0.01, "{flags}: {}, not {expected}", baseline(flags));
    }
}

#[test]
fn distinct_characters_are_counted_in_the_file_and_not_in_the_vocabulary() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("t.txt"), "abcdefghij\n".repeat(40)).unwrap();
    let said = train(path, "a", "text t.txt --window 8 --hidden 4 --steps 1");
    assert!(said.contains("11 distinct, plus unknown"), "{said}");
    fs::write(path.join("few.txt"), "abc?\n".repeat(40)).unwrap();
    let said = succeeds(path, "eval a few.txt --device cpu");
    assert!(said.contains("5 distinct; the vocabulary has 11, plus unknown"), "{said}");
    // In training, too, what only the held back part has is no part of the vocabulary.
    fs::write(path.join("late.txt"), "abab\n".repeat(90) + &"xyz\n".repeat(11)).unwrap();
    let said = train(path, "b", "text late.txt --window 8 --hidden 4 --steps 1");
    assert!(said.contains("6 distinct; the vocabulary has 3, plus unknown"), "{said}");
    let said = train(path, "c", "text few.txt --bytes --window 8 --hidden 4 --steps 1");
    assert!(said.contains("5 distinct of 256"), "{said}");
}

/// Sequences whose first number tells their class, which is one of `classes`, more often the first.
fn sequences(numbers: std::ops::Range<usize>, classes: [&str; 2]) -> String {
    let mut text = format!("@classLabel true {}\n@data\n", classes.join(" "));
    for n in numbers {
        let class = usize::from(n % 3 == 2);
        writeln!(text, "{class},{},{}:{}", n % 7, n, classes[class]).unwrap();
    }
    text
}

const SEQUENCES: &str = "--hidden 3 --batch 8 --epochs 1 --scale standard";

#[test]
fn training_sequences_are_not_tested_under_another_name_seed_or_split() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("a.ts"), sequences(0..60, ["b", "c"])).unwrap();
    train(path, "r", &format!("sequences a.ts {SEQUENCES} --seed 3"));
    let own = json(path, "eval r --json --device cpu");
    fs::copy(path.join("a.ts"), path.join("copy.ts")).unwrap();
    let parts = |arguments: &str| -> Vec<String> {
        let csv = succeeds(path, arguments);
        let mut parts: Vec<(usize, String)> = csv
            .lines()
            .skip(1)
            .map(|line| line.split(',').collect::<Vec<_>>())
            .map(|fields| (fields[0].parse().unwrap(), fields[1].to_owned()))
            .collect();
        parts.sort();
        parts.into_iter().map(|(_, part)| part).collect()
    };
    let of_run = parts("predict r --device cpu");
    for model in ["r", "r/model.safetensors"] {
        let measured = json(path, &format!("eval {model} copy.ts --seed 8 --json --device cpu"));
        assert_eq!((&measured["test"], &measured["validation"]), (&own["test"], &own["validation"]));
        assert_eq!(parts(&format!("predict {model} copy.ts --device cpu")), of_run);
    }
    let measured = json(path, "eval r --split 0.2,0.4,0.4 --json --device cpu");
    let count: u64 = ["validation", "test"].iter().map(|part| measured[part]["sequences"].as_u64().unwrap_or(0)).sum();
    assert!(
        count <= 18 && measured["trained_on"].as_str().unwrap().contains("that --split would measure"),
        "{measured}"
    );
    // And in another file, whatever else is in it.
    fs::write(path.join("grown.ts"), sequences(0..75, ["b", "c"])).unwrap();
    let grown = json(path, "eval r grown.ts --json --device cpu");
    assert_eq!(grown["test"]["sequences"].as_u64(), Some(75 - 42));
    assert!(grown["trained_on"].as_str().unwrap().contains("trained on 42 of these sequences"), "{grown}");
    // Counts of classes are those of the model's training, and not of what is here of it.
    let classes = |data: &Value| {
        let lines = data["data"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned());
        lines.filter(|line| line.contains(" in training: ")).collect::<Vec<_>>()
    };
    fs::write(path.join("cut.ts"), sequences(20..75, ["b", "c"])).unwrap();
    let cut = json(path, "eval r cut.ts --json --device cpu");
    assert_eq!((classes(&cut), classes(&own).len()), (classes(&own), 1), "{cut}");
    assert_eq!(grown["test"]["majority_share"].as_f64().map(|share| share > 0.5), Some(true));
    // Another seed would have drawn other parts.
    let on = "sequences copy.ts --init-from r --epochs 1 --batch 8";
    train(path, "on", &format!("{on} --seed 9"));
    assert_eq!(parts("predict on --device cpu"), of_run);
    refused(
        path,
        &format!("train {on} --split 0.4,0.3,0.3"),
        2,
        &["sequences that the weights of --init-from", "--split"],
    );
}

#[test]
fn a_model_keeps_its_class_frequencies_on_other_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("a.ts"), sequences(0..60, ["b", "c"])).unwrap();
    fs::write(path.join("other.ts"), sequences(100..130, ["b", "c"])).unwrap();
    let summary: Value =
        serde_json::from_str(&train(path, "r", &format!("sequences a.ts --test-file other.ts {SEQUENCES} --json")))
            .unwrap();
    let measured = json(path, "eval r/model.safetensors other.ts --json --device cpu");
    for key in ["majority_share", "baseline_loss", "accuracy"] {
        assert!(summary["test"][key].is_f64());
        assert_eq!(measured["test"][key], summary["test"][key], "{key}");
    }
    let said = succeeds(path, "eval r other.ts --device cpu");
    assert!(said.contains("majority") && said.contains("and without its training sequences"), "{said}");
    without_origin(&path.join("r/model.safetensors"), &path.join("old.safetensors"));
    let old = json(path, "eval old.safetensors other.ts --json --device cpu");
    assert!(old["test"]["majority_share"].is_null() && old["test"]["accuracy"].is_f64(), "{old}");
}

#[test]
fn a_folder_of_classes_and_piano_rolls_keep_the_splits_of_their_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::create_dir(path.join("words")).unwrap();
    fs::write(path.join("words/one.txt"), (0..40).map(|n| format!("a{n}\n")).collect::<String>()).unwrap();
    fs::write(path.join("words/two.txt"), (0..20).map(|n| format!("b{n}\n")).collect::<String>()).unwrap();
    train(path, "r", "classes words --hidden 3 --epochs 1");
    let own = json(path, "eval r --json --device cpu");
    fs::rename(path.join("words"), path.join("moved")).unwrap();
    let moved = json(path, "eval r/model.safetensors moved --json --device cpu");
    assert_eq!((&moved["test"], &moved["validation"]), (&own["test"], &own["validation"]));
    let frames: String = (0..60).map(|row| format!("{},{},1\n", row % 2, (row + 1) % 2)).collect();
    fs::write(path.join("r.csv"), format!("a,b,c\n{frames}")).unwrap();
    train(path, "rolls", "rolls r.csv --hidden 3 --epochs 1 --split 0.5,0.3,0.2");
    let own = json(path, "eval rolls --json --device cpu");
    let again = json(path, "eval rolls/model.safetensors r.csv --json --device cpu");
    assert_eq!((&again["test"], &again["validation"]), (&own["test"], &own["validation"]));
    let parts = ["--split", "trained on this file with 0.5,0.3,0.2"];
    refused(path, "eval rolls r.csv --split 0.2,0.4,0.4 --device cpu", 2, &parts);
    fs::write(path.join("later.csv"), format!("a,b,c\n1,1,1\n{frames}")).unwrap();
    let other = json(path, "eval rolls later.csv --json --device cpu");
    assert!(other["test"]["baseline_loss"].is_f64() && other["validation"].is_null(), "{other}");
}

#[test]
fn settings_that_need_a_validation_loss_are_refused_without_validation_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("s.csv"), rows(1..60, None)).unwrap();
    for flags in ["--schedule plateau", "--keep best", "--patience 2"] {
        let run = format!("train series s.csv --split 1,0,0 --epochs 3 --device cpu {flags}");
        refused(path, &run, 2, &[flags.trim_end_matches(" 2"), "a validation loss", "no validation data"]);
    }
}

#[test]
fn an_empty_prime_is_the_start_of_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("lines.txt"), "abcabc\n".repeat(60)).unwrap();
    fs::write(path.join("one.txt"), "abcabc".repeat(60)).unwrap();
    for (name, said) in [("lines", "starts like a new line"), ("one", "no line ends")] {
        train(path, name, &format!("text {name}.txt --window 8 --hidden 4 --steps 2"));
        let with = |prime: &[&str]| {
            let output = command(path, &format!("sample {name} --length 9 --device cpu")).args(prime).output().unwrap();
            assert!(output.status.success());
            (output.stdout, String::from_utf8(output.stderr).unwrap())
        };
        let (empty, note) = with(&["--prime", ""]);
        assert!(note.contains(said) && !note.contains("unknown to the vocabulary"), "{note}");
        assert_eq!(empty, with(&[]).0);
        assert!(with(&["--prime", "a?"]).1.contains("1 characters of --prime are unknown"));
    }
}

/// Begins a run and kills it behind some checkpoints.
fn killed(folder: &Path, arguments: &str, run: &str) {
    let mut child = command(folder, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let checkpoints = folder.join(run).join("checkpoints");
    let last = || entries(&checkpoints).into_iter().rfind(|name| name.ends_with(".ckpt"));
    while !checkpoints.is_dir() || last().is_none_or(|name| name.as_str() < "step-000000000003") {
        assert!(child.try_wait().unwrap().is_none(), "the run has ended");
        sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_last_checkpoint_of_a_killed_run_is_used_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("s.csv"), rows(1..121, None)).unwrap();
    fs::write(path.join("t.txt"), text(0..200)).unwrap();
    let with = "--device cpu --set training.checkpoint-every=1 --json";
    killed(path, &format!("train series s.csv --window 4 --hidden 3 --epochs 100000 --out s {with}"), "s");
    killed(path, &format!("train text t.txt --window 8 --hidden 3 --steps 100000 --out t {with}"), "t");
    for (run, commands) in [
        (
            "s",
            vec![
                "eval s --device cpu",
                "predict s --device cpu",
                "forecast s --device cpu",
                "inspect s",
                "export s s.onnx",
            ],
        ),
        ("t", vec!["eval t --device cpu", "sample t --length 5 --device cpu", "inspect t", "export t t.safetensors"]),
    ] {
        let last =
            entries(&path.join(run).join("checkpoints")).into_iter().rfind(|name| name.ends_with(".ckpt")).unwrap();
        let step: u64 = last["step-".len()..last.len() - ".ckpt".len()].parse().unwrap();
        assert!(!path.join(run).join("model.safetensors").exists());
        for arguments in commands {
            let output = bptt(path, arguments);
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{arguments}: {said}");
            let digits = said.replace(',', "");
            assert!(
                digits.contains(&format!("{run}: the weights of the checkpoint after step {step}")),
                "{arguments}: {said}"
            );
            assert_eq!(said.matches("the run is not finished").count(), 1, "{arguments}: {said}");
        }
    }
    // The one before, where the last is damaged; and none, where all are.
    let checkpoints = path.join("t/checkpoints");
    let mut files: Vec<String> = entries(&checkpoints).into_iter().filter(|name| name.ends_with(".ckpt")).collect();
    fs::write(checkpoints.join(files.pop().unwrap()), "half").unwrap();
    let before: u64 = files.last().unwrap()["step-".len()..][..12].parse().unwrap();
    let said = String::from_utf8(bptt(path, "sample t --length 5 --device cpu").stderr).unwrap().replace(',', "");
    assert!(said.contains(&format!("after step {before};")), "{said}");
    files.iter().for_each(|file| fs::write(checkpoints.join(file), "half").unwrap());
    refused(path, "sample t", 1, &["error: t: this run has not finished", "no checkpoint that can be read"]);
}

#[test]
fn stored_weights_are_used_unless_a_checkpoint_is_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("t.txt"), text(0..200)).unwrap();
    train(
        path,
        "t",
        "text t.txt --window 8 --hidden 3 --steps 6 --set training.checkpoint-every=1 --set training.checkpoints=9",
    );
    let said = |arguments: &str| String::from_utf8(bptt(path, arguments).stderr).unwrap();
    assert_eq!(said("inspect t"), "");
    fs::remove_file(path.join("t/checkpoints/finished")).unwrap();
    assert!(said("inspect t").contains("the stored weights after step 6; the run is not finished"));
    // The weights may be of an earlier step, of which nothing is said.
    train(
        path,
        "b",
        "text t.txt --window 8 --hidden 3 --steps 6 --set training.val-every=1 --keep best --lr 100 --clip 0",
    );
    fs::remove_file(path.join("b/checkpoints/finished")).unwrap();
    assert!(said("inspect b").contains("the stored weights after step 6; the run is not finished"));
    // As after a run that was stopped earlier, gone on with and killed.
    let model = path.join("t/model.safetensors");
    let bytes = fs::read(&model).unwrap();
    let note = StateDict::safetensors_note(&bytes, "bptt").unwrap().unwrap().replace("\"step\":6", "\"step\":4");
    let weights = StateDict::from_safetensors(&bytes).unwrap();
    fs::write(&model, weights.to_safetensors(Some(("bptt", &note))).unwrap()).unwrap();
    assert!(said("inspect t").contains("the weights of the checkpoint after step 6"));
}
