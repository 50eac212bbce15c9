//! Series of several columns from outside: their roles, gaps and horizons, and forecasts beyond the last row.

#[allow(dead_code, reason = "an example has a main of its own")]
#[path = "../../examples/forecast_saved_model.rs"]
mod forecast_saved_model;

use crate::common::program;
use crate::common::program::{bptt, json, read, refused, succeeds, train};
use serde_json::Value;

/// Days from 2024-01-01 on.
fn day(row: usize) -> String {
    let months = [31, 29, 31, 30, 31, 30];
    let mut row = row;
    for (month, days) in (1..).zip(months) {
        if row < days {
            return format!("2024-{month:02}-{:02}", row + 1);
        }
        row -= days;
    }
    unreachable!("no month is that long");
}

/// A folder with `s.csv`, 100 days of two waves and columns that help, of which `known` goes on for 10 more; and
/// `gaps.csv`, the same with values of `a` missing.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let wave = |row: usize, speed: f64| (row as f64 * speed).sin() * 3.0 + 10.0;
    let rows = |gaps: &[usize]| -> String {
        let row = |row: usize| {
            let a = if gaps.contains(&row) { String::new() } else { format!("{:.3}", wave(row, 0.7)) };
            format!("{},{a},{:.3},{},{}\n", day(row), wave(row, 0.3) * 100.0, row % 7, row % 5)
        };
        let future = |row: usize| format!("{},,,,{}\n", day(row), row % 5);
        (0..100).map(row).chain((100..110).map(future)).collect()
    };
    let names = "day,a,b,extra,known\n";
    std::fs::write(folder.path().join("s.csv"), format!("{names}{}", rows(&[]))).unwrap();
    std::fs::write(folder.path().join("gaps.csv"), format!("{names}{}", rows(&[5, 30, 31, 90]))).unwrap();
    folder
}

const TINY: &str = "--window 6 --hidden 4 --epochs 2 --batch 16";

/// Fields by line.
fn fields(text: &str) -> Vec<Vec<String>> {
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn several_targets_over_a_horizon_are_compared_with_both_naive_forecasts() {
    let folder = folder();
    let path = folder.path();
    let data = "series s.csv --target a,b --features extra --known known --horizon 3 --season 7";
    let stdout = train(path, "r", &format!("{data} {TINY}"));
    for part in [
        "targets a, b; features extra; known in advance known",
        "windows of 6, relative to their mean, 3 steps ahead",
        "lstm 4 → 4 → 6",
        "seasonal naive: the value 7 rows before",
        "RMSE by step ahead, test",
    ] {
        assert!(stdout.contains(part), "{part:?} is not in {stdout}");
    }
    // The truth of a file is the data's, the naive forecasts are values of the rows before.
    let table = fields(&read(path, "r/forecast.csv"));
    let names = ["truth", "forecast", "last_value", "seasonal_naive", "drift", "linear_autoregression"];
    let of = |target: &str| names.map(|name| format!("{target}_{name}"));
    assert_eq!(
        table[0],
        [["day", "part", "origin", "step"].map(String::from).to_vec(), of("a").to_vec(), of("b").to_vec()].concat()
    );
    let data = fields(&read(path, "s.csv"));
    let row_of = |label: &str| data.iter().position(|row| row[0] == label).unwrap();
    for line in &table[1..] {
        let (row, step) = (row_of(&line[0]), line[3].parse::<usize>().unwrap());
        // A forecast knows the rows up to its origin.
        assert_eq!(row_of(&line[2]) + step, row, "{line:?}");
        for (target, column) in [(1, 4), (2, 10)] {
            let value = |row: usize| data[row][target].parse::<f64>().unwrap();
            let told = |offset: usize| line[column + offset].parse::<f64>().unwrap();
            assert_eq!([told(0), told(2), told(3)], [value(row), value(row - step), value(row - 7)], "{line:?}");
        }
    }
    let summary = json(path, "eval r --json");
    for part in ["validation", "test"] {
        let errors = &summary[part]["targets"]["b"];
        assert_eq!(errors["by_step"].as_array().unwrap().len(), 3);
        // The errors are those of the file's numbers, of forecasts that lie in the part as a whole.
        let [from, until] = ["from", "until"].map(|end| row_of(summary[part][end].as_str().unwrap()));
        for line in &table[1..] {
            let (row, step) = (row_of(&line[0]), line[3].parse::<usize>().unwrap());
            let within = row + 1 - step >= from && row + 3 - step <= until;
            assert_eq!(line[1] == part, within, "{line:?}");
        }
        // The file has the rows that the errors are of, and no others.
        let of_part = || table[1..].iter().filter(|line| line[1] == part);
        assert_eq!(of_part().count() as u64, 3 * summary[part]["forecasts"].as_u64().unwrap());
        for (key, column) in
            [("mae", 11), ("naive_mae", 12), ("seasonal_mae", 13), ("drift_mae", 14), ("linear_mae", 15)]
        {
            let number = |field: &String| field.parse::<f64>().unwrap();
            let distance = |line: &Vec<String>| (number(&line[10]) - number(&line[column])).abs();
            let distances: Vec<f64> = of_part().map(distance).collect();
            let mean = distances.iter().sum::<f64>() / distances.len() as f64;
            assert!((errors[key].as_f64().unwrap() - mean).abs() < 1e-9, "{part} {key}: {errors} {mean}");
        }
    }
    assert!(table[1..].iter().all(|line| ["validation", "test"].contains(&line[1].as_str())));
    let all = summary["both"]["forecasts"].as_u64().unwrap();
    assert_eq!(table.len() as u64 - 1, 3 * all);
    // Every forecast is among the predictions; what reaches from one part into the next is of neither.
    let predictions = fields(&succeeds(path, "predict r"));
    assert_eq!(predictions[0], [&table[0][..4], &table[0][4..6], &table[0][10..12]].concat());
    let key = |line: &Vec<String>| line[..4].to_vec();
    let told: Vec<Vec<String>> = predictions[1..].iter().map(key).collect();
    assert!(table[1..].iter().all(|line| told.contains(&key(line))));
    assert_eq!(told.iter().filter(|line| line[1].is_empty()).count(), 2 * 2 * 3);
}

/// A folder with `up.csv`, which rises by more and more, and `wave.csv`, which comes again every 8 rows.
fn easy_and_hard() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows = |value: &dyn Fn(f64) -> f64| -> String {
        (0..160).map(|row| format!("{row},{:.4}\n", value(f64::from(row)))).collect()
    };
    let wave = |row: f64| 10.0 + 4.0 * (row * std::f64::consts::TAU / 8.0).sin();
    std::fs::write(folder.path().join("up.csv"), format!("t,v\n{}", rows(&|row| 1.05f64.powf(row)))).unwrap();
    std::fs::write(folder.path().join("wave.csv"), format!("t,v\n{}", rows(&wave))).unwrap();
    folder
}

#[test]
fn the_last_line_compares_the_network_with_each_naive_forecast() {
    let folder = easy_and_hard();
    let path = folder.path();
    let told = |run: &str, arguments: &str| -> Vec<String> {
        let stdout = train(path, run, arguments);
        stdout.lines().filter(|line| line.starts_with("the network ")).map(str::to_owned).collect()
    };
    // Where the level rises beyond all that was trained on, the last value is hard to beat.
    let lost = told("lost", "series up.csv --window 8 --hidden 4 --epochs 2");
    assert_eq!(lost.len(), 3, "{lost:?}");
    assert!(lost[0].starts_with("the network does not beat the last value on the test split: RMSE "), "{lost:?}");
    assert!(lost[0].ends_with(" worse)") || lost[0].ends_with(" times as large)"), "{lost:?}");
    let won = told("won", "series wave.csv --window 8 --hidden 8 --epochs 40 --lr 0.02 --season 8");
    assert!(won[0].starts_with("the network beats the last value on the test split: RMSE "), "{won:?}");
    assert!(won[0].ends_with("% better)"), "{won:?}");
    // What comes again exactly has been told by the season before.
    assert!(won[1].starts_with("the network does not beat the season before on the test split: RMSE "), "{won:?}");
    // The same of `eval`, in its words, in JSON and in the report.
    let eval = succeeds(path, "eval won --device cpu");
    assert!(eval.trim_end().ends_with(&won.join("\n")), "{eval}");
    let summary = json(path, "eval won --device cpu --json");
    let beaten = |baseline: &str| summary["baselines"]["test"][baseline]["beaten"].as_bool();
    assert_eq!((beaten("last_value"), beaten("seasonal_naive")), (Some(true), Some(false)));
    let of = &summary["baselines"]["test"]["last_value"];
    let ratio = summary["test"]["rmse"].as_f64().unwrap() / summary["test"]["naive_rmse"].as_f64().unwrap();
    assert!((of["ratio"].as_f64().unwrap() - ratio).abs() < 1e-12 && ratio < 1.0, "{of}");
    assert!(read(path, "won/report.html").contains("<p>The network beats the last value on the test split: RMSE "));
    // The picture names the best of them.
    assert!(read(path, "lost/forecast.svg").contains(", last value "));
    let picture = read(path, "won/forecast.svg");
    assert!(picture.contains(", seasonal naive ") && picture.contains(">value 8 steps before<"), "{picture}");
}

#[test]
fn a_picture_or_table_is_not_written_under_another_extension() {
    let folder = folder();
    let path = folder.path();
    train(path, "r", &format!("series s.csv --target a --known known {TINY}"));
    let name = |flag: &str, given: &str, own: &str| {
        [format!("{flag} {given}"), format!("{flag} {own}")].map(|part| part.to_owned()).to_vec()
    };
    for (arguments, flag, given, own) in [
        ("forecast r --svg next.png", "--svg", "next.png", "next.svg"),
        ("forecast r --svg next.pdf", "--svg", "next.pdf", "next.svg"),
        ("forecast r --out next.xlsx", "--out", "next.xlsx", "next.csv"),
        ("predict r --out all.PNG", "--out", "all.PNG", "all.csv"),
        ("flow r --out flow.jpeg", "--out", "flow.jpeg", "flow.svg"),
        ("bench --cell lstm --size S --sweep 1..2 --svg sweep.html", "--svg", "sweep.html", "sweep.svg"),
    ] {
        let parts = name(flag, given, own);
        refused(path, arguments, 2, &parts.iter().map(String::as_str).collect::<Vec<_>>());
    }
    succeeds(path, "forecast r --device cpu --svg next.SVG --out next.txt");
    assert!(read(path, "next.SVG").starts_with("<svg") && read(path, "next.txt").starts_with("day,"));
}

#[test]
fn a_forecast_reaches_as_far_as_the_known_columns_for_any_horizon() {
    let folder = folder();
    let path = folder.path();
    // 10 rows are known beyond the data.
    for (horizon, rows) in [(1, 10), (3, 10), (4, 10), (3, 7)] {
        let run = format!("r{horizon}-{rows}");
        train(path, &run, &format!("series s.csv --target a --known known --horizon {horizon} {TINY}"));
        let next = json(path, &format!("forecast {run} --device cpu --rows {rows} --json"));
        assert_eq!(next["labels"].as_array().unwrap().len(), rows);
        assert_eq!(next["origin"].as_str(), Some(day(99).as_str()));
        refused(path, &format!("forecast {run} --rows 11"), 1, &["known column \"known\"", "11 rows", "values for 10"]);
    }
    // Less than a horizon is known: the forecast begins so many rows earlier, and says so.
    let rows: Vec<String> = read(path, "s.csv").lines().take(103).map(str::to_owned).collect();
    std::fs::write(path.join("two.csv"), rows.join("\n")).unwrap();
    let told = succeeds(path, "forecast r4-10 --device cpu two.csv --rows 2 --out two-next.csv");
    assert!(told.contains(&format!("from the rows up to {}", day(97))), "{told}");
    let table = fields(&read(path, "two-next.csv"));
    assert_eq!(table[1][..3], [day(100), day(97), "3".to_owned()]);
    // It is the forecast that was made from there, in its last two steps.
    let predictions = fields(&succeeds(path, "predict r4-10 --device cpu"));
    let made = predictions.iter().find(|line| line[2] == day(95) && line[3] == "4").unwrap();
    let fewer: Vec<String> = read(path, "s.csv").lines().take(99).map(str::to_owned).collect();
    let future = (98..100).map(|row| format!("{},,,,{}", day(row), row % 5));
    std::fs::write(path.join("fewer.csv"), fewer.into_iter().chain(future).collect::<Vec<_>>().join("\n")).unwrap();
    let next = json(path, "forecast r4-10 --device cpu fewer.csv --rows 2 --json");
    assert_eq!((next["origin"].as_str(), next["labels"][1].as_str()), (Some(day(95).as_str()), Some(day(99).as_str())));
    assert_eq!(next["targets"]["a"][1].as_f64(), Some(made[5].parse().unwrap()));
}

#[test]
fn the_configuration_has_every_column_and_repeats_the_run_and_its_evaluation() {
    let folder = folder();
    let path = folder.path();
    train(path, "a", &format!("series gaps.csv --target b --features all --missing mask --scale min-max {TINY}"));
    let config = read(path, "a/config.toml");
    for line in ["features = [\"a\", \"extra\", \"known\"]", "known = []", "scale = \"min-max\"", "missing = \"mask\""]
    {
        assert!(config.contains(line), "{line} is not in {config}");
    }
    let again: Value = serde_json::from_str(&train(path, "b", "--config a/config.toml --json")).unwrap();
    assert_eq!(read(path, "a/forecast.csv"), read(path, "b/forecast.csv"));
    let measured = json(path, "eval a --json");
    assert_eq!(measured["test"], again["test"]);
}

#[test]
fn gaps_are_counted_filled_masked_or_refused_with_advice() {
    let folder = folder();
    let path = folder.path();
    let known = "series gaps.csv --target a --known known";
    refused(
        path,
        &format!("train {known} {TINY}"),
        1,
        &["row 6", "the first of 4", "--missing ffill", "--missing mask"],
    );
    let stdout = train(path, "f", &format!("{known} --missing ffill {TINY}"));
    assert!(stdout.contains("missing: 4 of a; filled with the previous value"), "{stdout}");
    let stdout = train(path, "m", &format!("{known} --missing mask {TINY}"));
    for part in [
        "missing: 4 of a; 0, and a mask column that marks them",
        "lstm 3 → 4 → 1",
        "windows left out: 2 in training with a missing target, 1 later without a target",
    ] {
        assert!(stdout.contains(part), "{part:?} is not in {stdout}");
    }
    // A row without a truth is still predicted.
    let predictions = fields(&succeeds(path, "predict m"));
    let gaps: Vec<&Vec<String>> = predictions.iter().filter(|line| line[4].is_empty()).collect();
    assert_eq!(gaps.iter().map(|line| line[0].clone()).collect::<Vec<_>>(), [day(30), day(31), day(90)]);
    assert!(gaps.iter().all(|line| line[5].parse::<f64>().unwrap().is_finite()));
    assert_eq!(predictions.len(), 1 + 94);
    let parts = ["training", "validation", "test"];
    let of = |line: &Vec<String>| parts.iter().position(|part| *part == line[1]).unwrap();
    let order: Vec<usize> = predictions[1..].iter().map(of).collect();
    assert!(order.is_sorted() && order.first() == Some(&0) && order.last() == Some(&2), "{order:?}");
}

#[test]
fn a_forecast_starts_after_the_last_row_and_agrees_with_its_files() {
    let folder = folder();
    let path = folder.path();
    train(path, "r", &format!("series s.csv --target a,b --known known --horizon 2 {TINY}"));
    let next = json(path, "forecast r --json");
    assert_eq!(
        (next["after"].as_str(), next["labels"].clone()),
        (Some("2024-04-09"), [day(100), day(101)].to_vec().into())
    );
    let stdout = succeeds(path, "forecast r --rows 9 --out next.csv --svg next.svg");
    let lines: Vec<Vec<&str>> = stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((lines[0].clone(), lines.len(), lines[9][0]), (vec!["day", "a", "b"], 10, day(108).as_str()));
    let table = fields(&read(path, "next.csv"));
    assert_eq!(table[0], ["day", "origin", "step", "a_forecast", "b_forecast"]);
    assert!(table[1..].iter().zip(1..).all(|(line, step)| line[1..3] == [day(99), step.to_string()]));
    let value = |row: usize, column: usize| table[row][column].parse::<f64>().unwrap();
    // The first horizon reads nothing of the second.
    assert_eq!(next["targets"]["a"][1].as_f64(), Some(value(2, 3)));
    for (row, line) in lines.iter().enumerate().skip(1) {
        assert!(
            (line[2].parse::<f64>().unwrap() - value(row, 4)).abs() < 0.06 * value(row, 4).abs().max(1.0),
            "{stdout}"
        );
    }
    assert!(read(path, "next.svg").contains("after the data"));
    refused(path, "forecast r --out next.csv", 2, &["--out next.csv", "does not exist yet"]);
    refused(path, "forecast r --svg next.svg", 2, &["--svg next.svg", "does not exist yet"]);
    refused(path, "forecast r --rows 11", 1, &["known column \"known\"", "11 rows", "values for 10"]);
    // Fewer rows make another series: what comes after row 50 is known of it.
    let rows: Vec<String> = read(path, "s.csv").lines().take(51).map(str::to_owned).collect();
    std::fs::write(path.join("half.csv"), rows.join("\n")).unwrap();
    refused(path, "forecast r half.csv", 1, &["half.csv", "known column \"known\"", "values for 0"]);
}

#[test]
fn a_one_step_forecast_equals_the_later_prediction_of_that_row() {
    let folder = folder();
    let path = folder.path();
    let rows: Vec<String> = read(path, "s.csv").lines().take(91).map(str::to_owned).collect();
    let future = (90..95).map(|row| format!("{},,,,{}", day(row), row % 5));
    let shorter: Vec<String> = rows.into_iter().chain(future).collect();
    std::fs::write(path.join("shorter.csv"), shorter.join("\n")).unwrap();
    // A window is there whole, in whichever direction it is read, and so is that of every later horizon.
    for (run, direction) in [("r", "forward"), ("reverse", "reverse"), ("both", "both")] {
        let direction = format!("--set model.direction={direction}");
        train(path, run, &format!("series s.csv --target b --split 0.8,0.1,0.1 --known known {direction} {TINY}"));
        let next = json(path, &format!("forecast {run} shorter.csv --rows 3 --json"));
        let predictions = fields(&succeeds(path, &format!("predict {run}")));
        let line = predictions.iter().find(|line| line[0] == day(90)).unwrap();
        let forecast = next["targets"]["b"].as_array().unwrap();
        assert_eq!((forecast.len(), forecast[0].as_f64()), (3, Some(line[5].parse().unwrap())), "{run}");
    }
}

#[test]
fn an_impossible_rollout_is_refused_with_the_reason() {
    let folder = folder();
    let path = folder.path();
    train(path, "f", &format!("series s.csv --target a --features b,extra --known known --horizon 2 {TINY}"));
    succeeds(path, "forecast f");
    refused(path, "forecast f --rows 3", 2, &["the future of the features \"b\", \"extra\"", "at most 2 steps"]);
    std::fs::write(path.join("t.txt"), "abcdefgh".repeat(60)).unwrap();
    train(path, "t", "text t.txt --window 8 --hidden 4 --steps 1");
    refused(path, "forecast t", 2, &["a series", "a text"]);
    refused(path, "forecast f/model.safetensors", 2, &["does not name its data: add a series"]);
}

#[test]
fn other_data_are_encoded_as_in_training_and_measured_completely() {
    let folder = folder();
    let path = folder.path();
    train(path, "r", &format!("series s.csv --target a --known known --horizon 2 {TINY}"));
    // The columns in another order, and one more.
    let turned: String = fields(&read(path, "s.csv"))
        .iter()
        .map(|row| [&row[0], &row[4], &row[2], &row[1]].map(String::as_str).join(",") + "\n")
        .collect();
    std::fs::write(path.join("turned.csv"), turned).unwrap();
    let other = read(path, "turned.csv").replace("2024-", "2028-");
    std::fs::write(path.join("other.csv"), other).unwrap();
    let measured = json(path, "eval r other.csv --json");
    let before = |row: usize| day(row).replace("2024-", "2028-");
    assert_eq!(
        (measured["test"]["from"].as_str(), measured["test"]["until"].as_str()),
        (Some(before(6).as_str()), Some(before(99).as_str()))
    );
    assert!(measured["validation"].is_null());
    // The same forecasts, and since the rows are those of the run, its parts.
    let told = |arguments: &str| {
        let lines = fields(&succeeds(path, arguments)).into_iter().skip(1);
        lines.map(|mut line| (line.remove(1), line)).unzip::<_, _, Vec<String>, Vec<Vec<String>>>()
    };
    let (turned, own) = (told("predict r turned.csv"), told("predict r"));
    assert_eq!(turned.1, own.1);
    assert_eq!(turned.0, own.0);
    refused(path, "eval r s.csv --window 7", 2, &["--window 7: the model was trained with 6"]);
    refused(path, "eval r s.csv --target b", 2, &["--target is a flag of train series"]);
    refused(path, "eval r s.csv --scale none", 2, &["--scale is a flag of train series"]);
    refused(path, "eval r s.csv --features b", 2, &["--features is a flag of train series"]);
    refused(path, "eval r gaps.csv", 1, &["gaps.csv, row 6", "a missing value", "--missing ffill"]);
    let output = bptt(path, "eval r gaps.csv");
    // What would be refused is not advised.
    assert!(!String::from_utf8(output.stderr).unwrap().contains("--missing mask"));
    refused(path, "eval r gaps.csv --missing mask", 2, &["--missing mask: the model was trained with error"]);
    let filled = succeeds(path, "eval r gaps.csv --missing ffill");
    assert!(filled.contains("test"), "{filled}");
    assert_eq!(
        fields(&succeeds(path, "predict r gaps.csv --missing ffill")).len(),
        fields(&succeeds(path, "predict r")).len()
    );
    std::fs::write(path.join("less.csv"), "day,a\n2024-01-01,1\n").unwrap();
    refused(path, "eval r less.csv", 1, &["less.csv", "\"known\"", "day, a"]);
}

#[test]
fn training_from_a_model_keeps_its_scaling_on_other_data() {
    let folder = folder();
    let path = folder.path();
    train(path, "r", &format!("series s.csv --target a --known known {TINY}"));
    let ten_times: String = fields(&read(path, "s.csv"))
        .iter()
        .map(|row| {
            let a = row[1].parse::<f64>().map_or(row[1].clone(), |a| (10.0 * a).to_string());
            format!("{},{a},{}\n", row[0], row[4])
        })
        .collect();
    std::fs::write(path.join("ten.csv"), ten_times).unwrap();
    let stdout = train(path, "on", "series ten.csv --init-from r --epochs 1");
    assert!(stdout.contains("starts from the weights of"), "{stdout}");
    let scaling = |run: &str| {
        let bytes = std::fs::read(path.join(run).join("model.safetensors")).unwrap();
        let note = bptt::StateDict::safetensors_note(&bytes, "bptt").unwrap().unwrap();
        serde_json::from_str::<Value>(&note).unwrap()["data"]["series"]["codec"]["targets"][0]["scaling"].clone()
    };
    assert_eq!(scaling("r"), scaling("on"));
    refused(
        path,
        "train series s.csv --init-from r --window 9 --epochs 1",
        2,
        &["--window 9: the model was trained with 6"],
    );
}

#[test]
fn rows_out_of_time_order_are_refused_before_the_split() {
    let folder = folder();
    let path = folder.path();
    let file = |name: &str, label: fn(usize) -> String| {
        let rows: String = (0..100).map(|row| format!("{},{}\n", label(row), row % 9)).collect();
        std::fs::write(path.join(name), format!("t,v\n{rows}")).unwrap();
    };
    file("turned.csv", |row| day(99 - row));
    file("constant.csv", |_| "7".into());
    file("words.csv", |row| char::from(b'z' - (row % 26) as u8).to_string());
    file("steps.csv", |row| format!("after {}", 99 - row));
    file("total.csv", |row| if row < 99 { day(row) } else { "Total".into() });
    let order = "expected the first column in ascending order";
    let parts = ["turned.csv, row 2 (line 3, ", order, "2024-04-08", "2024-04-09", "newest rows come first"];
    refused(path, &format!("train series turned.csv {TINY}"), 1, &parts);
    refused(path, &format!("train series constant.csv {TINY}"), 1, &["row 2", order, "\"7\" after \"7\""]);
    refused(path, &format!("train series steps.csv {TINY}"), 1, &["row 2", order, "\"after 98\" after \"after 99\""]);
    let odd = ["total.csv, row 100 (line 101, \"Total\")", "a date like \"2024-01-01\"", "remove the row"];
    refused(path, &format!("train series total.csv {TINY}"), 1, &odd);
    let stdout = train(path, "words", &format!("series words.csv {TINY}"));
    assert!(
        stdout
            .contains("order of rows not checked: labels of column \"t\" are neither numbers nor dates, such as \"z\"")
    );
    let stdout = succeeds(path, "forecast words");
    assert!(
        stdout.contains("+1") && stdout.contains("labels are neither numbers nor dates: rows are numbered"),
        "{stdout}"
    );
}

/// Rows of a number that goes up and down, below the names `t` and `v`.
fn rows(labels: impl Iterator<Item = String>) -> String {
    let rows: String = labels.enumerate().map(|(row, label)| format!("{label},{}\n", row * row % 9)).collect();
    format!("t,v\n{rows}")
}

#[test]
fn the_date_order_flag_applies_to_training_and_later_commands() {
    let folder = folder();
    let path = folder.path();
    // The nth of the nth month or its turn: every row could be either.
    let labels = || (1920..2000).map(|year| format!("{}/{}/{year}", 1 + year % 12, 1 + year % 11));
    std::fs::write(path.join("d.csv"), rows(labels())).unwrap();
    let asked = ["d.csv, row 1 (line 2, \"1/7/1920\")", "--dates", "day-first or month-first"];
    let both = ["1 July 1920 day first", "7 January 1920 month first"];
    refused(path, &format!("train series d.csv {TINY}"), 1, &[&asked[..], &both].concat());
    let stdout = train(path, "r", &format!("series d.csv --dates month-first --train-until 1970 {TINY}"));
    assert!(stdout.contains("dates of column \"t\" are read month first, as given"), "{stdout}");
    assert!(read(path, "r/config.toml").contains("dates = \"month-first\""));
    succeeds(path, "eval r");
    // What the model was trained with holds for other data.
    std::fs::write(path.join("e.csv"), rows(labels().map(|label| label + " 10:00"))).unwrap();
    succeeds(path, "eval r e.csv");
    refused(path, "eval r e.csv --dates day-first", 2, &["--dates", "the model was trained with month-first"]);
    refused(path, "train task adding --dates day-first", 2, &["--dates is a flag of train series and train sequences"]);
}

#[test]
fn the_last_training_row_can_be_given_in_any_date_form() {
    let folder = folder();
    let path = folder.path();
    let german = |row: usize| day(row).split('-').rev().collect::<Vec<_>>().join(".");
    std::fs::write(path.join("g.csv"), rows((0..100).map(german))).unwrap();
    for (run, until) in [("a", "29.02.2024"), ("b", "2024-02"), ("c", "2024-02-29")] {
        let stdout = train(path, run, &format!("series g.csv --train-until {until} {TINY}"));
        assert!(stdout.contains("–29.02.2024"), "{until}: {stdout}");
        assert!(stdout.contains("dates of column \"t\" are read day first"), "{stdout}");
    }
    let output = program::command(path, "train series g.csv --train-until").arg("").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("--train-until") && error.contains("got none"), "{error}");
    refused(path, "train series g.csv --train-until 2025", 2, &["--train-until", "\"01.01.2024\" to \"09.04.2024\""]);
    let next = json(path, "forecast a --rows 2 --json");
    assert_eq!(next["labels"], serde_json::json!(["10.04.2024", "11.04.2024"]));
}

#[test]
fn forecasts_are_printed_by_their_variation_with_the_reason_for_numbered_rows() {
    let folder = folder();
    let path = folder.path();
    let file = |name: &str, value: fn(usize) -> f64| {
        let rows: String = (0..100).map(|row| format!("{},{:e}\n", row * row, value(row))).collect();
        std::fs::write(path.join(name), format!("n,v\n{rows}")).unwrap();
    };
    file("rate.csv", |row| 1.08 + 0.002 * (row as f64).sin());
    file("tiny.csv", |row| 3e-9 + 1e-10 * (row as f64).sin());
    for (name, digits) in [("rate", 3), ("tiny", 1)] {
        let stdout = train(path, name, &format!("series {name}.csv --horizon 3 {TINY}"));
        assert!(!stdout.contains("0.0000 "), "{stdout}");
        let stdout = succeeds(path, &format!("forecast {name}"));
        let values: Vec<&str> =
            stdout.lines().skip(1).take(3).filter_map(|line| line.split_whitespace().nth(1)).collect();
        let places = |value: &str| value.split(['.', 'e']).nth(1).map(str::len);
        assert!(values.len() == 3 && values.iter().all(|value| places(value) >= Some(digits)), "{stdout}");
        assert!(values[0] != values[1] || values[1] != values[2], "{stdout}");
        let why = "steps between numbers differ (1 before \"1\", 3 before \"4\"): rows are numbered";
        assert!(stdout.contains(why), "{stdout}");
        let counted = &json(path, &format!("forecast {name} --json"))["counted"];
        assert!(counted.as_str().unwrap().starts_with("steps between numbers differ"), "{counted}");
    }
}

#[test]
fn meaningless_series_settings_are_refused_by_flag() {
    let folder = folder();
    let path = folder.path();
    refused(path, "train series s.csv", 1, &["--target", "one or more of a, b, extra, known"]);
    refused(path, "train series s.csv --target a --features a --known known", 1, &["column \"a\"", "twice"]);
    refused(path, "train series s.csv --target a --features c", 1, &["\"c\"", "day, a, b, extra, known"]);
    let known = "train series s.csv --target a --known known";
    refused(
        path,
        &format!("{known} --season 90 {TINY}"),
        2,
        &["--season", "the rows before the first forecast", "got 90"],
    );
    refused(path, &format!("{known} --window 2 --horizon 3"), 1, &["window", "at least the horizon, 3"]);
    refused(path, &format!("{known} {TINY} --split 0,0,1"), 2, &["--split", "no training data"]);
    refused(
        path,
        &format!("{known} {TINY} --horizon 20 --split 0.8,0.1,0.1"),
        1,
        &["the validation split", "a horizon of 20"],
    );
}

#[test]
fn the_example_program_prints_what_the_command_prints() {
    let folder = folder();
    let path = folder.path();
    train(path, "r", &format!("series s.csv --target a,b --known known {TINY} --horizon 2"));
    let run = path.join("r");
    for rows in [None, Some(5)] {
        let lines = pollster::block_on(forecast_saved_model::forecast(run.to_str().unwrap(), rows)).unwrap();
        let flags = rows.map(|rows| format!(" --rows {rows}")).unwrap_or_default();
        let printed = succeeds(path, &format!("forecast r{flags}"));
        assert_eq!(lines.join("\n") + "\n", printed);
        assert_eq!(lines.len(), 1 + rows.unwrap_or(2), "{printed}");
    }
}
