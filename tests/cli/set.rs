//! `--set section.key=value` from outside.

use std::fs;
use std::path::Path;

use crate::common::program::{bptt, refused, succeeds};

/// A folder with a series and a text.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..60).map(|row| format!("{row},{},{}\n", row % 7, row % 5)).collect();
    fs::write(folder.path().join("s.csv"), format!("t,level,\"a, b\"\n{rows}")).unwrap();
    fs::write(folder.path().join("t.txt"), "to be or not to be ".repeat(200)).unwrap();
    folder
}

fn dumped(folder: &Path, arguments: &str) -> toml::Table {
    succeeds(folder, &format!("train --dump-config --device cpu {arguments}")).parse().unwrap()
}

#[test]
fn every_setting_can_be_set_in_the_syntax_of_flags_or_files() {
    let folder = folder();
    let path = folder.path();
    let series = "series s.csv --target level";
    let with_flags =
        dumped(path, &format!("{series} --hidden 3 --lr 0.5 --bidirectional --split 0.6,0.2,0.2 --batch auto"));
    let sets = "--set model.hidden=3 --set training.lr=0.5 --set model.bidirectional=true --set training.batch=auto";
    assert_eq!(dumped(path, &format!("{series} {sets} --set series.split=0.6,0.2,0.2")), with_flags);
    assert_eq!(dumped(path, &format!("{series} {sets} --set series.split=[0.6,0.2,0.2]")), with_flags);
    // Before the kind and behind it, and beside a flag of another key.
    let both = dumped(path, "--set training.accumulate=4 text t.txt --set training.on-nan=skip --epochs 2");
    let training = &both["training"];
    assert_eq!(
        (training["accumulate"].as_integer(), training["on-nan"].as_str(), training["epochs"].as_integer()),
        (Some(4), Some("skip"), Some(2))
    );
    // A name in quotes is that name, and a number may be a text.
    let named = |target: &str| {
        let mut command = crate::common::program::command(path, "train series s.csv --dump-config --device cpu --set");
        let output =
            command.arg(format!("series.target={target}")).arg("--set=series.train-until=30").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().parse::<toml::Table>().unwrap()["series"].clone()
    };
    for target in ["[\"a, b\"]", "\"a, b\"", "'\"a, b\"'"] {
        let series = named(target);
        assert_eq!(series["target"].as_array().unwrap()[0].as_str(), Some("a, b"));
        assert_eq!(series["train-until"].as_str(), Some("30"));
    }
    // Without a kind the data are the sunspots.
    assert_eq!(dumped(path, "--set series.window=5")["series"]["window"].as_integer(), Some(5));
}

#[test]
fn set_overrides_a_configuration_file() {
    let folder = folder();
    let path = folder.path();
    let text = succeeds(path, "train text t.txt --dump-config --device cpu --set training.accumulate=4 --epochs 3");
    fs::write(path.join("c.toml"), text).unwrap();
    let over = dumped(path, "--config c.toml --set training.accumulate=2 --set training.steps=5 --set text.window=9");
    assert_eq!(over["training"]["accumulate"].as_integer(), Some(2));
    assert!(over["training"].get("epochs").is_none() && over["text"]["window"].as_integer() == Some(9));
    let parts = ["--set series.window: the data are a text, whose settings are in [text]"];
    refused(path, "train --config c.toml --set series.window=9", 2, &parts);
    refused(path, "train text --config c.toml --set series.window=9", 2, &parts);
    // The flow of a run takes what changes no network.
    assert!(bptt(path, "train text t.txt --device cpu --steps 1 --hidden 3 --out run").status.success());
    assert!(bptt(path, "flow run --device cpu --set training.clip=1").status.success());
    refused(path, "flow run --device cpu --set training.accumulate=2", 2, &["only the data, --batch and --clip"]);
}

#[test]
fn a_mistake_in_set_is_reported_like_one_in_a_file() {
    let folder = folder();
    let path = folder.path();
    for (set, message) in [
        ("model.hiden=3", "--set model.hiden: unknown key; a similar one is hidden\n"),
        ("model.lr=3", "--set model.lr: unknown key; it is a key of [training]\n"),
        ("lr=3", "--set lr: unknown key; it is a key of [training]\n"),
        ("optimizer.lr=3", "--set optimizer.lr: expected a key of one of the sections [series], [text], "),
        ("training.lr", "--set training.lr: expected SECTION.KEY=VALUE, as in training.accumulate=4\n"),
        ("training.accumulate=no", "--set training.accumulate: expected a whole number from 1 to 4294967295, got no\n"),
        ("training.on-nan=ignore", "--set training.on-nan: expected one of stop, skip, back, got ignore\n"),
        ("training.tensorboard=yes", "--set training.tensorboard: expected true or false, got yes\n"),
        ("text.window=5", "--set text.window: the data are a series, whose settings are in [series]\n"),
        (
            "training.schedule=step:floor=1",
            "--set training.schedule: expected every or factor of step, got 'floor', got",
        ),
    ] {
        refused(path, &format!("train series s.csv --target level --set {set}"), 2, &[message]);
    }
    let twice = "--set training.lr: expected it once: a flag or another --set sets it too\n";
    refused(path, "train --lr 0.1 --set training.lr=0.2", 2, &[twice]);
    refused(path, "train --set training.lr=0.1 --set training.lr=0.2", 2, &[twice]);
    refused(path, "train --set training.steps=3 --epochs 2", 2, &["--epochs and --steps"]);
    refused(path, "gradcheck --set training.lr=1", 2, &["this command takes the settings of [model] and [run]"]);
    refused(path, "train --set text.window=3 --set task.length=3", 2, &["got [text] and [task]"]);
}

#[test]
fn a_setting_used_as_a_flag_gets_the_set_form() {
    let folder = folder();
    for (arguments, tip) in [
        ("train --accumulate 4", "tip: set it with --set training.accumulate=4"),
        ("train --accumulate=4 --epochs 3", "tip: set it with --set training.accumulate=4"),
        ("train --tensorboard --epochs 3", "tip: set it with --set training.tensorboard=true"),
        ("train text t.txt --min-count 3", "tip: set it with --set text.min-count=3"),
        ("train classes t --predict mean", "tip: set it with --set classes.predict=mean"),
        ("train --on-nan", "tip: set it with --set training.on-nan=stop"),
        ("gradcheck --forget-bias 1", "tip: set it with --set model.forget-bias=1"),
        ("train task --buckets 3", "tip: --buckets is a setting of [sequences], [classes] and [rolls]"),
        ("eval run --kernel step", "tip: --kernel is a flag of bench"),
    ] {
        refused(folder.path(), arguments, 2, &[tip]);
    }
}
