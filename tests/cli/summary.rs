//! A run's lines, its line of JSON and its report say the same, from outside.

use crate::common::program::{bptt, succeeds};
use serde_json::Value;

const RUN: &str = "train --device cpu --hidden 4 --layers 2 --epochs 6 --lr 0.02 --optimizer rmsprop --seed 3";

/// The texts of a run and of its repetition as JSON.
fn both() -> (tempfile::TempDir, String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let text = succeeds(folder.path(), &format!("{RUN} --out text"));
    let json = serde_json::from_str(&succeeds(folder.path(), &format!("{RUN} --out json --json"))).unwrap();
    (folder, text, json)
}

/// The numbers of the line that begins so.
fn numbers(text: &str, begin: &str) -> Vec<f64> {
    let line =
        text.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("{begin:?} is not in {text}"));
    line.split(|c: char| c.is_whitespace() || c == ',').filter_map(|word| word.parse().ok()).collect()
}

fn is_near(printed: f64, exact: &Value) {
    let exact = exact.as_f64().unwrap();
    assert!((printed - exact).abs() <= 6e-4 * exact.abs(), "{printed} was printed, and the JSON has {exact}");
}

#[test]
fn losses_errors_and_memory_agree_between_text_and_json() {
    let (_folder, text, json) = both();
    let [mean, steps, validation] = numbers(&text, "loss ")[..3] else { panic!("{text}") };
    is_near(mean, &json["loss"]);
    assert_eq!(steps, json["loss_over_steps"].as_f64().unwrap());
    is_near(validation, &json["val_loss"]);
    for part in ["validation", "test", "both"] {
        let line = numbers(&text, &format!("{part} "));
        let keys = ["rmse", "naive_rmse", "drift_rmse", "linear_rmse"];
        keys.iter().zip(&line[line.len() - keys.len()..]).for_each(|(key, value)| is_near(*value, &json[part][key]));
    }
    let parts = json["memory"]["bytes"].as_object().unwrap();
    let total: u64 = parts.values().map(|bytes| bytes.as_u64().unwrap()).sum();
    assert_eq!(json["memory"]["total_bytes"].as_u64(), Some(total));
    // The program itself, which differs from run to run by little, is in both.
    let printed = numbers(&text, "memory ")[0] * f64::from(1 << 20);
    assert!((printed / total as f64 - 1.0).abs() < 0.2, "{printed} bytes were printed, and the JSON has {total}");
}

#[test]
fn the_json_of_a_run_holds_everything_needed_to_repeat_it() {
    let (folder, text, json) = both();
    let config = std::fs::read_to_string(folder.path().join("json/config.toml")).unwrap();
    let config: Value = toml::from_str(&config).unwrap();
    assert_eq!(json["settings"], config);
    assert_eq!((&json["settings"]["training"]["lr"], &json["settings"]["model"]["layers"]), (&0.02.into(), &2.into()));
    assert_eq!(json["settings"]["training"]["optimizer"], "rmsprop");
    assert_eq!(json["command"], format!("bptt {RUN} --out json --json"));
    let data: Vec<&str> = json["data"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert!(data.iter().all(|line| text.contains(line)) && data[0].contains("SUNACTIVITY"), "{data:?}");
    assert!(text.contains(json["model"].as_str().unwrap()));
    let measured: Value = serde_json::from_str(&succeeds(folder.path(), "eval json --device cpu --json")).unwrap();
    assert_eq!(measured["run"], json["run"]);
    // What it says of the same file is a line more.
    assert!(json["data"].as_array().unwrap().iter().all(|line| measured["data"].as_array().unwrap().contains(line)));
    assert_eq!((&measured["test"], &measured["version"]), (&json["test"], &json["version"]));
    assert_eq!(measured["command"], "bptt eval json --device cpu --json");
}

#[test]
fn the_report_states_when_where_and_how_it_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["train", "--device", "cpu", "--epochs", "1", "--out", "a run"];
    let ended =
        std::process::Command::new(env!("CARGO_BIN_EXE_bptt")).args(arguments).current_dir(folder.path()).output();
    assert!(ended.unwrap().status.success());
    let report = std::fs::read_to_string(folder.path().join("a run/report.html")).unwrap();
    let fact = |name: &str| {
        let begin = format!("<dt>{name}</dt><dd>");
        let (_, rest) = report.split_once(&begin).unwrap_or_else(|| panic!("{name} is not in the report"));
        rest.split_once("</dd>").unwrap().0.to_owned()
    };
    assert_eq!(fact("command"), "bptt train --device cpu --epochs 1 --out 'a run'");
    assert!(fact("version").starts_with(env!("CARGO_PKG_VERSION")));
    assert!(!fact("host").is_empty());
    let date = fact("date");
    assert!(date.len() == 23 && date.starts_with("20") && date.ends_with(" UTC"), "{date}");
    let shown = String::from_utf8(bptt(folder.path(), "--version").stdout).unwrap();
    assert_eq!(shown.trim_end(), format!("bptt {}", fact("version")));
}
