//! Series under one network, windows seen relatively and read in segments, from outside.

use serde_json::Value;

use crate::common::program::{json, read, refused, succeeds, train};

/// A folder with `s.csv`: 120 rows of three series of whole numbers, at levels of their own, and a column that is known
/// in advance; and `up.csv`, the same 4096 higher.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let row = |row: usize, up: f64| {
        let wave = |speed: f64, level: f64| (8.0 * (row as f64 * speed).sin()).round() + level + up;
        format!("{row},{},{},{},{}\n", wave(0.7, 10.0), wave(0.4, 300.0), wave(0.2, -50.0), row % 4)
    };
    for (name, up) in [("s.csv", 0.0), ("up.csv", 4096.0)] {
        let rows: String = (0..120).map(|n| row(n, up)).collect();
        std::fs::write(folder.path().join(name), format!("t,a,b,c,k\n{rows}")).unwrap();
    }
    folder
}

const TINY: &str = "--window 6 --horizon 2 --hidden 4 --epochs 2 --batch 16";

#[test]
fn a_panel_of_one_series_trains_and_forecasts_like_the_series_alone() {
    let folder = folder();
    let path = folder.path();
    for (name, more) in [("alone", ""), ("panel", "--panel")] {
        train(path, name, &format!("series s.csv --target b --features k --relative mean --segment 3 {TINY} {more}"));
    }
    for file in ["metrics.jsonl", "forecast.csv"] {
        assert!(read(path, &format!("alone/{file}")) == read(path, &format!("panel/{file}")), "{file}");
    }
    assert_eq!(succeeds(path, "predict alone"), succeeds(path, "predict panel"));
    let forecast = |run: &str| json(path, &format!("forecast {run} --json"))["targets"].clone();
    assert_eq!(forecast("alone"), forecast("panel"));
}

#[test]
fn the_series_of_a_panel_are_measured_each_and_over_all() {
    let folder = folder();
    let path = folder.path();
    let stdout = train(path, "r", &format!("series s.csv --panel --known k {TINY}"));
    for part in ["3 series under one network a, b, c; known in advance k", "lstm 2 → 4 → 2", "over all series, in "]
    {
        assert!(stdout.contains(part), "{part:?} is not in {stdout}");
    }
    let summary = json(path, "eval r --json");
    let overall = &summary["baselines"]["test"]["last_value"];
    assert_eq!(overall["measure"], "scaled MSE");
    assert_eq!(overall["network"], summary["test"]["standardized"]["mse"]);
    for name in ["a", "b", "c"] {
        assert!(overall["targets"][name]["network"].as_f64().unwrap() > 0.0, "{overall}");
        assert!(summary["test"]["targets"][name]["by_step"].as_array().unwrap().len() == 2);
    }
    // A forecast of a series reads that series alone: another one beside it changes nothing.
    let table =
        |text: &str| text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect::<Vec<Vec<_>>>();
    let mut rows = table(&read(path, "s.csv"));
    rows.iter_mut().skip(1).for_each(|row| row[3] = "1".into());
    let other: Vec<String> = rows.iter().map(|row| row.join(",")).collect();
    std::fs::write(path.join("other.csv"), other.join("\n")).unwrap();
    train(path, "p", &format!("series s.csv --panel --target a,b,c {TINY}"));
    let forecast = |data: &str| json(path, &format!("forecast p {data} --json"))["targets"].clone();
    let (own, other) = (forecast(""), forecast("other.csv"));
    assert_eq!((&own["a"], &own["b"]), (&other["a"], &other["b"]));
    assert_ne!(own["c"], other["c"]);
}

#[test]
fn forecasts_and_quantiles_of_relative_windows_move_with_the_level() {
    let folder = folder();
    let path = folder.path();
    for relative in ["last", "mean", "standard"] {
        let run = format!("run-{relative}");
        train(
            path,
            &run,
            &format!("series s.csv --panel --known k --relative {relative} --quantiles 0.1,0.5,0.9 {TINY}"),
        );
        let forecast = |data: &str| json(path, &format!("forecast {run} {data} --rows 2 --json"));
        let up = read(path, "up.csv");
        let future: String = (120..124).map(|row| format!("{row},,,,{}\n", row % 4)).collect();
        std::fs::write(path.join("up2.csv"), up + &future).unwrap();
        std::fs::write(path.join("s2.csv"), read(path, "s.csv") + &future).unwrap();
        let (own, up) = (forecast("s2.csv"), forecast("up2.csv"));
        for quantile in ["0.1", "0.5", "0.9"] {
            for name in ["a", "b", "c"] {
                let of = |json: &Value| json["quantiles"][quantile][name].as_array().unwrap().clone();
                for (low, high) in of(&own).iter().zip(of(&up)) {
                    let moved = high.as_f64().unwrap() - low.as_f64().unwrap();
                    assert!((moved - 4096.0).abs() < 1e-4, "{relative} {quantile} {name}: {low} {high}");
                }
            }
        }
        std::fs::remove_file(path.join("s2.csv")).unwrap();
        std::fs::remove_file(path.join("up2.csv")).unwrap();
    }
}

#[test]
fn a_run_prints_and_keeps_how_its_windows_are_seen() {
    let folder = folder();
    let path = folder.path();
    let stdout = train(path, "r", &format!("series s.csv --target a,c --relative last --segment 3 {TINY}"));
    let words = "windows of 6, read in 2 segments of 3, relative to their last value, 2 steps ahead";
    assert!(stdout.contains(words) && stdout.contains("lstm 6 → 4 → 4"), "{stdout}");
    let config = read(path, "r/config.toml");
    assert!(config.contains("relative = \"last\"") && config.contains("segment = 3"), "{config}");
    // The same settings from the file are the same run, and the model alone knows how to see a window.
    succeeds(path, "train --config r/config.toml --out again");
    assert_eq!(read(path, "r/forecast.csv"), read(path, "again/forecast.csv"));
    let rows: Vec<String> = read(path, "s.csv").lines().take(119).map(str::to_owned).collect();
    std::fs::write(path.join("shorter.csv"), rows.join("\n")).unwrap();
    let next = json(path, "forecast r/model.safetensors shorter.csv --json");
    let predictions = succeeds(path, "predict r");
    let of_row =
        |step: &str| predictions.lines().find(|line| line.contains(&format!(",117,{step},"))).unwrap().to_owned();
    for (index, step) in ["1", "2"].into_iter().enumerate() {
        let line: Vec<String> = of_row(step).split(',').map(str::to_owned).collect();
        for (target, column) in [("a", 5), ("c", 7)] {
            assert_eq!(next["targets"][target][index].as_f64(), line[column].parse().ok(), "{line:?}");
        }
    }
}

#[test]
fn settings_of_windows_that_make_no_sense_are_refused_by_flag() {
    let folder = folder();
    let path = folder.path();
    let data = format!("series s.csv --target a {TINY}");
    refused(path, &format!("train {data} --segment 4"), 2, &["--segment", "divides the window of 6", "got 4"]);
    refused(path, &format!("train {data} --relative first"), 2, &["--relative", "none, last, mean, standard"]);
    let parts = ["--relative standard", "--scale none", "take --scale standard or min-max"];
    refused(path, &format!("train {data} --relative standard --scale none"), 2, &parts);
    train(path, "r", &format!("{data} --relative last --segment 2"));
    let from = "train series s.csv --init-from r --epochs 1";
    refused(path, &format!("{from} --relative mean"), 2, &["--relative mean", "the model was trained with last"]);
    refused(path, &format!("{from} --segment 3"), 2, &["--segment 3", "the model was trained with 2"]);
    refused(path, &format!("{from} --panel"), 2, &["--panel true", "the model was trained with false"]);
    std::fs::write(path.join("t.txt"), "abcdefgh".repeat(60)).unwrap();
    refused(path, "train text t.txt --relative last", 2, &["--relative"]);
    refused(path, "train text t.txt --set text.segment=2", 2, &["text.segment"]);
}

/// The series of `s.csv` in long form, and those of `more`, each from a row to another.
fn long(path: &std::path::Path, more: &[(&str, std::ops::Range<usize>)]) -> String {
    let mut text = String::from("t,name,value\n");
    for line in read(path, "s.csv").lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        for (name, value) in ["a", "b", "c"].iter().zip(&fields[1..4]) {
            text += &format!("{},{name},{value}\n", fields[0]);
        }
        let row: usize = fields[0].parse().unwrap();
        for (name, _) in more.iter().filter(|(_, rows)| rows.contains(&row)) {
            text += &format!("{row},{name},{}\n", (row * 5) % 7);
        }
    }
    text
}

#[test]
fn a_table_in_long_form_is_the_panel_of_its_wide_form() {
    let folder = folder();
    let path = folder.path();
    std::fs::write(path.join("long.csv"), long(path, &[])).unwrap();
    train(path, "wide", &format!("series s.csv --panel --target a,b,c --relative last {TINY}"));
    let stdout = train(path, "long", &format!("series long.csv --id name --relative last {TINY}"));
    for part in ["t 0–119, 120 times", "3 series under one network a, b, c", "over all series, in "] {
        assert!(stdout.contains(part), "{part:?} is not in {stdout}");
    }
    assert_eq!(read(path, "wide/metrics.jsonl"), read(path, "long/metrics.jsonl"));
    let forecast = |run: &str| json(path, &format!("forecast {run} --json"))["targets"].clone();
    assert_eq!(forecast("wide"), forecast("long"));
    // What comes out is in long form too, with the same numbers.
    let lines = |text: String| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
    };
    let (of_wide, of_long) = (lines(succeeds(path, "predict wide")), lines(succeeds(path, "predict long")));
    assert_eq!(of_long[0], ["name", "t", "part", "origin", "step", "truth", "forecast"]);
    assert_eq!(of_long.len() - 1, 3 * (of_wide.len() - 1));
    let of = |name: &str| of_long.iter().filter(|line| line[0] == name).cloned().collect::<Vec<_>>();
    for (index, name) in ["a", "b", "c"].into_iter().enumerate() {
        for (wide, long) in of_wide[1..].iter().zip(of(name)) {
            assert_eq!([&wide[..4], &wide[4 + 2 * index..][..2]].concat(), long[1..], "{name}");
        }
    }
    let head = "name,t,part,origin,step,truth,forecast,last_value,drift,linear_autoregression\na,";
    assert!(read(path, "long/forecast.csv").starts_with(head));
    succeeds(path, "forecast long --out next.csv");
    let next = lines(read(path, "next.csv"));
    assert_eq!((next[0].join(","), next.len()), ("name,t,origin,step,forecast".into(), 1 + 3 * 2));
    assert_eq!(next[3][4].parse().ok(), forecast("long")["b"][0].as_f64());
    // The model knows the columns; a file without one of its series is refused, one with more is not.
    let other = long(path, &[("d", 0..120)]);
    std::fs::write(path.join("other.csv"), &other).unwrap();
    assert!(succeeds(path, "eval long other.csv").contains("unknown to the model: 1 series, d"));
    let without: String = other.lines().filter(|line| !line.contains(",b,")).map(|line| format!("{line}\n")).collect();
    std::fs::write(path.join("without.csv"), without).unwrap();
    refused(path, "eval long without.csv", 1, &["without.csv", "no row of \"b\""]);
}

#[test]
fn series_of_a_panel_may_begin_late_and_end_early() {
    let folder = folder();
    let path = folder.path();
    std::fs::write(path.join("ends.csv"), long(path, &[("late", 78..120), ("early", 0..70)])).unwrap();
    let data = format!("series ends.csv --id name --train-until 83 {TINY}");
    let parts = ["series \"late\"", "at least 8 rows up to 83", "got 6", "series.drop-short=true"];
    refused(path, &format!("train {data} --out r"), 1, &parts);
    let stdout = train(path, "r", &format!("{data} --set series.drop-short=true"));
    for part in [
        "left out, too short for a training window: 1 series, late",
        "4 series under one network a, b, c, early",
        "not measured, without a window after training: 1 series, early",
    ] {
        assert!(stdout.contains(part), "{part:?} is not in {stdout}");
    }
    // It was trained on: windows of its own rows alone.
    let predictions = succeeds(path, "predict r");
    let of_early: Vec<&str> = predictions.lines().filter(|line| line.starts_with("early,")).collect();
    let column =
        |index: usize| of_early.iter().map(move |line| line.split(',').nth(index).unwrap().parse::<usize>().unwrap());
    assert_eq!((column(1).min(), column(3).max()), (Some(6), Some(68)));
    let stdout = succeeds(path, "forecast r");
    assert!(stdout.contains("not forecast, ended before 119: early"), "{stdout}");
    assert!(!stdout.contains("that it is made from"), "{stdout}");
    let next = json(path, "forecast r --json");
    assert_eq!((next["not_forecast"][0].as_str(), next["targets"].get("early")), (Some("early"), None));
    // One goes on to the end, and begins within the last window.
    let begins = read(path, "ends.csv");
    let begins =
        begins.lines().filter(|line| !line.contains(",c,") || line.starts_with("118,") || line.starts_with("119,"));
    std::fs::write(path.join("begins.csv"), begins.collect::<Vec<_>>().join("\n")).unwrap();
    let stdout = succeeds(path, "forecast r begins.csv");
    for part in
        ["not forecast, ended before 119: early", "not forecast, without the 6 rows up to 119 that it is made from: c"]
    {
        assert!(stdout.contains(part), "{part:?} is not in {stdout}");
    }
    assert_eq!(json(path, "forecast r begins.csv --json")["not_forecast"], serde_json::json!(["early", "c"]));
    // The run repeats from its configuration, and is measured again by its model.
    succeeds(path, "train --config r/config.toml --out again");
    assert_eq!(read(path, "r/metrics.jsonl"), read(path, "again/metrics.jsonl"));
    assert_eq!(json(path, "eval r --json")["test"], json(path, "eval again --json")["test"]);
}

#[test]
fn every_baseline_is_measured_on_the_rows_of_the_network_however_young_a_series_is() {
    let folder = folder();
    let path = folder.path();
    // When the forecasts begin, the fourth is younger than a season.
    std::fs::write(path.join("young.csv"), long(path, &[("young", 60..120)])).unwrap();
    let run = format!("series young.csv --id name --season 45 --split 0.8,0,0.2 {TINY} --json");
    let errors = |summary: &Value, name: &str| summary["test"]["targets"][name]["by_step"].clone();
    let summary: Value = serde_json::from_str(&train(path, "point", &run)).unwrap();
    for step in errors(&summary, "young").as_array().unwrap() {
        assert!(step["seasonal_rmse"].is_f64(), "{step}");
    }
    let stdout = succeeds(path, "eval point");
    assert!(stdout.contains("the value 45 rows before, or the last value where young has none"), "{stdout}");
    let quantiles: Value = serde_json::from_str(&train(path, "q", &format!("{run} --quantiles 0.1,0.5,0.9"))).unwrap();
    let overall = &quantiles["baselines"]["test"]["seasonal_naive"];
    assert_eq!(overall["measure"], "scaled pinball loss");
    assert!(["a", "b", "c", "young"].iter().all(|name| overall["targets"][name]["baseline"].is_f64()), "{overall}");
}

#[test]
fn settings_of_panels_that_make_no_sense_are_refused_by_flag() {
    let folder = folder();
    let path = folder.path();
    std::fs::write(path.join("long.csv"), long(path, &[])).unwrap();
    let refuse =
        |arguments: &str, code: i32, parts: &[&str]| refused(path, &format!("train series {arguments}"), code, parts);
    refuse("s.csv --target a --time t", 2, &["--time", "with --id"]);
    refuse("long.csv --id name --features t", 2, &["--features and --known", "the long form"]);
    refuse("long.csv --id name --panel=false", 2, &["--panel=false", "the series of a panel"]);
    refuse("s.csv --id t", 1, &["--target COLUMN", "one of b, c, k"]);
    refuse("s.csv --target a --set series.drop-short=true", 2, &["series.drop-short", "--panel"]);
    refuse("long.csv --id nam", 1, &["the column \"nam\" of --id", "t, name, value"]);
    refuse("long.csv --id name --time day", 1, &["the column \"day\" of --time", "t, name, value"]);
    let twice = read(path, "long.csv") + "119,b,3\n";
    std::fs::write(path.join("twice.csv"), twice).unwrap();
    refuse("twice.csv --id name", 1, &["twice.csv", "line 362", "one row for each time of \"b\"", "line 360"]);
}

/// A folder with `two.csv` in long form: a long series and one of a quarter of its length, of other levels.
fn two_lengths() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let wave = |row: u32, by: f64| (f64::from(row) * by).sin();
    let long = (0..120).map(|row| format!("long,{row},{:.4}\n", 10.0 + wave(row, 0.4)));
    let short = (0..120).filter(|row| (50..90).contains(row));
    let short = short.map(|row| format!("short,{row},{:.4}\n", 100.0 + 20.0 * wave(row, 0.9)));
    let rows: String = long.chain(short).collect();
    std::fs::write(folder.path().join("two.csv"), format!("name,t,v\n{rows}")).unwrap();
    folder
}

#[test]
fn one_scaling_for_all_series_is_that_of_the_values_of_all() {
    let folder = two_lengths();
    let path = folder.path();
    let data = format!("series two.csv --id name {TINY} --split 0.7,0.15,0.15");
    let scalings = |run: &str| {
        let codec = json(path, &format!("inspect {run} --json"))["model"]["data"]["series"]["codec"].clone();
        let targets = codec["targets"].as_array().unwrap().clone();
        targets.iter().map(|of| ["offset", "unit"].map(|key| of["scaling"][key].as_f64().unwrap())).collect::<Vec<_>>()
    };
    train(path, "apart", &data);
    train(path, "together", &format!("{data} --set series.scale-over=all"));
    let (apart, together) = (scalings("apart"), scalings("together"));
    assert!(apart[0] != apart[1] && together[0] == together[1], "{apart:?} {together:?}");
    // Of the values of both in the first 86 rows: those of the long one, and of the short one from row 50 on.
    let text = read(path, "two.csv");
    let rows = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let values: Vec<f64> =
        rows.filter(|row| row[1].parse::<u32>().unwrap() < 86).map(|row| row[2].parse().unwrap()).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
    assert!((together[0][0] - mean).abs() < 1e-9 && (together[0][1] - variance.sqrt()).abs() < 1e-9, "{together:?}");
}

#[test]
fn series_that_weigh_alike_have_the_mean_of_their_own_losses() {
    let folder = two_lengths();
    let path = folder.path();
    // One batch with all windows, and no step that changes the network: the training loss is that of its initial weights.
    let still = "--hidden 4 --epochs 1 --batch 1000 --lr 1e-9 --window 6 --horizon 2 --loss absolute --device cpu";
    let training_loss = |run: &str| {
        let lines = read(path, &format!("{run}/metrics.jsonl"));
        let line = lines.lines().find(|line| line.contains("\"loss\"")).unwrap();
        serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64().unwrap()
    };
    let first_loss = |run: &str, data: &str| {
        train(path, run, &format!("series {data} {still} --split 0.75,0.25,0"));
        training_loss(run)
    };
    let windows = first_loss("windows", "two.csv --id name");
    let series = first_loss("series", "two.csv --id name --set series.weigh=series");
    assert!((windows - series).abs() > 1e-3, "{windows} {series}");
    // The long series has 85 training windows, the short one 33.
    // Both from the two weightings: (85 long + 33 short) / 118, and (long + short) / 2.
    let long = (118.0 * windows - 66.0 * series) / 52.0;
    let short = 2.0 * series - long;
    assert!(long > 0.0 && short > 0.0, "{long} {short}");
    let alone = |name: &str| {
        let text = read(path, "two.csv");
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with(name)).collect();
        let rows: String = rows.iter().map(|row| format!("{}\n", row.split_once(',').unwrap().1)).collect();
        std::fs::write(path.join("one.csv"), format!("t,v\n{rows}")).unwrap();
        let split = if name == "long" { "0.75,0.25,0" } else { "1,0,0" };
        train(path, name, &format!("series one.csv {still} --split {split} --seed 1"));
        training_loss(name)
    };
    for (name, expected) in [("long", long), ("short", short)] {
        let got = alone(name);
        assert!((got - expected).abs() < 1e-4, "{name}: {got}, not {expected}");
    }
}

#[test]
fn what_is_for_a_panel_is_refused_without_one() {
    let folder = folder();
    let path = folder.path();
    for key in ["scale-over=all", "weigh=series"] {
        let parts = ["series.", key.split('=').next().unwrap(), "--panel"];
        refused(path, &format!("train series s.csv --target a --set series.{key}"), 2, &parts);
    }
}

/// A folder with `shops.csv` in long form: three shops, whose waves have the frequency of their `kind`.
fn shops() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "shop,t,v,kind,size\n".to_owned();
    for (shop, kind, size) in [("a", "fast", 1.0), ("b", "slow", 4.0), ("c", "fast", 2.0)] {
        let by = if kind == "fast" { 1.1 } else { 0.2 };
        text.extend(
            (0..100).map(|row| format!("{shop},{row},{:.4},{kind},{size}\n", size + (f64::from(row) * by).sin())),
        );
    }
    std::fs::write(folder.path().join("shops.csv"), text).unwrap();
    folder
}

const SHOPS: &str = "series shops.csv --id shop --target v --window 6 --horizon 2 --hidden 4 --epochs 3 --batch 16";

/// Words are classes and numbers one input each, after the rows of a step: the classes of `kind`, then `size`.
#[test]
fn static_columns_are_inputs_of_every_step_of_their_series() {
    let folder = shops();
    let path = folder.path();
    let stdout = train(path, "r", &format!("{SHOPS} --static kind,size --segment 3"));
    assert!(stdout.contains("static kind, size") && stdout.contains("lstm 6 → 4"), "{stdout}");
    let codec = json(path, "inspect r --json")["model"]["data"]["series"]["codec"].clone();
    assert_eq!(codec["static"][0]["encoding"]["classes"], serde_json::json!(["fast", "slow"]), "{codec}");
    let unit = codec["static"][1]["encoding"]["number"]["scaling"]["unit"].as_f64().unwrap();
    assert!((unit - (14.0_f64 / 9.0).sqrt()).abs() < 1e-12, "{codec}");
    // A shop that is said to be of another kind is forecast otherwise, and the others are not.
    let forecast =
        |run: &str, file: &str| json(path, &format!("forecast {run} {file} --json --device cpu"))["targets"].clone();
    let own = forecast("r", "");
    let text = read(path, "shops.csv");
    std::fs::write(path.join("other.csv"), text.replace(",fast,2", ",slow,2")).unwrap();
    let other = forecast("r", "other.csv");
    assert!(own["a"] == other["a"] && own["b"] == other["b"] && own["c"] != other["c"], "{own} {other}");
    // Numbers as classes; a class that is unknown to the model is told.
    train(path, "classes", &format!("{SHOPS} --static kind,size:classes"));
    assert!(succeeds(path, "inspect classes").contains("lstm 6 → 4"));
    std::fs::write(path.join("new.csv"), text.replace(",fast,2", ",new,2")).unwrap();
    let text = succeeds(path, "eval r new.csv --device cpu");
    assert!(text.contains("static kind: \"new\" is unknown to the model, and so 1 series have none"), "{text}");
    train(path, "again", "--config r/config.toml");
    assert_eq!(read(path, "r/forecast.csv"), read(path, "again/forecast.csv"));
}

#[test]
fn a_learned_vector_for_each_series_tells_them_apart() {
    let folder = shops();
    let path = folder.path();
    let plain = format!("{SHOPS} --relative none --scale none");
    let stdout = train(path, "r", &format!("{plain} --set series.ids=true"));
    assert!(stdout.contains("a learned vector for each series") && stdout.contains("lstm 4 → 4"), "{stdout}");
    // Series with the same values have different forecasts with it, and the same without.
    let text = read(path, "shops.csv");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("a,")).collect();
    let all = ["a", "b", "c"].map(|shop| rows.iter().map(|line| format!("{shop}{}\n", &line[1..])).collect::<String>());
    std::fs::write(path.join("same.csv"), format!("shop,t,v,kind,size\n{}", all.concat())).unwrap();
    train(path, "without", &plain);
    let forecast = |run: &str| json(path, &format!("forecast {run} same.csv --json --device cpu"))["targets"].clone();
    let (with, without) = (forecast("r"), forecast("without"));
    assert!(with["a"] != with["b"] && with["b"] != with["c"], "{with}");
    assert!(without["a"] == without["b"] && without["b"] == without["c"], "{without}");
}

#[test]
fn static_columns_that_cannot_be_are_refused() {
    let folder = shops();
    let path = folder.path();
    let text = read(path, "shops.csv");
    let row = text.lines().position(|line| line.starts_with("b,7,")).unwrap();
    let change = |line: &str| if line.starts_with("b,7,") { line.replace("slow", "fast") } else { line.to_owned() };
    let changed: String = text.lines().map(|line| change(line) + "\n").collect();
    std::fs::write(path.join("changed.csv"), changed).unwrap();
    let place = format!("row {row} (line {})", row + 1);
    let parts = [&place[..], "\"kind\"", "\"b\"", "got \"fast\", and \"slow\" in row 101 (line 102)"];
    refused(path, &format!("train {} --static kind", SHOPS.replace("shops.csv", "changed.csv")), 1, &parts);
    refused(path, &format!("train {SHOPS} --static color"), 1, &["\"color\""]);
    std::fs::write(path.join("wide.csv"), "t,a,b\n1,2,3\n").unwrap();
    refused(path, "train series wide.csv --target a --static b", 2, &["--static", "--id"]);
    refused(path, "train series wide.csv --target a --set series.ids=true", 2, &["series.ids", "--panel"]);
    std::fs::write(path.join("same.csv"), text.replace("slow", "fast")).unwrap();
    let parts = ["\"kind\"", "tells some of the series apart", "\"fast\" for all 3"];
    refused(path, &format!("train {} --static kind", SHOPS.replace("shops.csv", "same.csv")), 1, &parts);
}
