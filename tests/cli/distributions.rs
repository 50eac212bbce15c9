//! Forecasts that are distributions.

use std::fmt::Write;
use std::path::Path;

use crate::common::program::{json, read, refused, succeeds, train};
use serde_json::{Value, json as value};

/// Numbers spread evenly from 0 to 1, in an order that looks like chance (the golden ratio).
fn spread(row: usize) -> f64 {
    (row as f64 * 0.618_033_988_749_895).fract()
}

/// A folder with `wave.csv`, a wave with noise; `sold.csv`, counts of two products of very different means, in columns;
/// and `half.csv`, the same with one number that is no count.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (mut wave, mut sold) = ("t,level\n".to_owned(), "day,few,many\n".to_owned());
    for row in 0..160 {
        let level = 50.0 + 10.0 * (row as f64 * 0.5).sin();
        writeln!(wave, "{row},{:.3}", level + 6.0 * (spread(row) - 0.5)).unwrap();
        let few = (2.0 + 1.9 * (row as f64 * 0.5).sin() + 2.0 * spread(row)).floor();
        let many = (900.0 + 300.0 * (row as f64 * 0.5).sin() + 200.0 * spread(row + 7)).floor();
        writeln!(sold, "{row},{few},{many}").unwrap();
    }
    let half = sold.replace("\n100,", "\n100,0.5").replace("\n7,", "\n7,-");
    for (name, text) in [("wave.csv", wave), ("sold.csv", sold), ("half.csv", half)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

const WAVE: &str = "series wave.csv --window 8 --hidden 6 --epochs 12 --batch 16 --lr 0.02";
const SOLD: &str = "series sold.csv --panel --window 8 --hidden 6 --epochs 12 --batch 16 --lr 0.02";

fn column(text: &str, name: &str) -> Vec<f64> {
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let index = lines.next().unwrap().iter().position(|column| *column == name);
    let index = index.unwrap_or_else(|| panic!("no column {name} in {text}"));
    lines.map(|line| line[index].parse().unwrap()).collect()
}

/// The normal quantile of a level, for the levels of the tests.
fn z(level: &str) -> f64 {
    match level {
        "0.05" => -1.644_853_626_951_472_7,
        "0.5" => 0.0,
        "0.95" => 1.644_853_626_951_472_7,
        _ => panic!("{level}"),
    }
}

fn measured(path: &Path, run: &str) -> Value {
    json(path, &format!("eval {run} --device cpu --json"))
}

#[test]
fn a_normal_head_forecasts_its_quantiles_everywhere_and_reports_its_likelihood() {
    let folder = folder();
    let path = folder.path();
    let told = train(path, "g", &format!("{WAVE} --loss gaussian --quantiles 0.05,0.5,0.95 --horizon 2"));
    for part in ["lstm 1 → 6 → 4", "normal distribution", "coverage", "-ln p", "pinball"] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    let summary = measured(path, "g");
    let of = |key: &str| summary["test"][key].as_f64().unwrap();
    assert_eq!(summary["quantiles"], value!([0.05, 0.5, 0.95]));
    assert!((0.6..=1.0).contains(&of("coverage")) && of("pinball") < of("naive_pinball"), "{summary}");
    // The figures are those of the quantiles that were written: μ is the middle, and σ follows from the ends.
    let text = read(path, "g/forecast.csv");
    let test: Vec<bool> = text.lines().skip(1).map(|line| line.split(',').nth(1) == Some("test")).collect();
    let [truth, low, middle, high] =
        ["truth", "q0.05", "q0.5", "q0.95"].map(|name| column(&text, &format!("level_{name}")));
    let mut losses = Vec::new();
    for row in 0..truth.len() {
        let deviation = (high[row] - middle[row]) / z("0.95");
        assert!((middle[row] - low[row] - deviation * z("0.95")).abs() < 1e-9 * middle[row].abs());
        let error = (truth[row] - middle[row]) / deviation;
        losses.push(deviation.ln() + 0.5 * error * error + 0.5 * std::f64::consts::TAU.ln());
    }
    let tested: Vec<f64> = losses.iter().zip(&test).filter(|(_, test)| **test).map(|(loss, _)| *loss).collect();
    let expected = tested.iter().sum::<f64>() / tested.len() as f64;
    assert!((of("negative_log_likelihood") - expected).abs() < 1e-9, "{expected} {summary}");
    // The same forecasts come from predict, and one horizon of forecast is quantiles of one distribution.
    let predicted = succeeds(path, "predict g --device cpu");
    let tested = |text: &str| -> Vec<String> {
        let of_test = |line: &&str| line.split(',').nth(1) == Some("test");
        let quantile = |line: &str| line.split(',').nth(7).unwrap().to_owned();
        text.lines().filter(of_test).map(quantile).collect()
    };
    assert!(
        tested(&predicted).len() > 20 && predicted.lines().next().unwrap().split(',').nth(7) == Some("level_q0.95")
    );
    assert_eq!(tested(&predicted), tested(&text));
    let next = json(path, "forecast g --device cpu --json");
    let row = |level: &str| next["quantiles"][level]["level"][1].as_f64().unwrap();
    assert_eq!(next["targets"]["level"][1], row("0.5"));
    let deviation = (row("0.95") - row("0.5")) / z("0.95");
    assert!(deviation > 0.0 && (row("0.5") - row("0.05") - deviation * z("0.95")).abs() < 1e-9, "{next}");
    assert!(read(path, "g/rolled.svg").contains("class=\"area blue\""));
    assert!(read(path, "g/loss.svg").contains("last value, validation"));
}

#[test]
fn a_distribution_is_stored_repeated_continued_and_exported() {
    let folder = folder();
    let path = folder.path();
    let short = WAVE.replace("--epochs 12", "--epochs 2");
    for (loss, outputs, parameter) in [("gaussian", 2, "deviation"), ("student-t", 3, "freedom")] {
        train(path, loss, &format!("{short} --loss {loss} --relative standard"));
        let description = json(path, &format!("inspect {loss} --json"))["model"].clone();
        assert_eq!(description["model"]["head"]["loss"], value!(loss), "{description}");
        assert_eq!(description["model"]["head"]["outputs"], value!(outputs), "{description}");
        assert_eq!(description["data"]["series"]["quantiles"], value!([0.1, 0.5, 0.9]), "{description}");
        train(path, &format!("{loss}-2"), &format!("--config {loss}/config.toml"));
        assert_eq!(measured(path, loss)["test"], measured(path, &format!("{loss}-2"))["test"]);
        train(path, &format!("{loss}-on"), &format!("series wave.csv --init-from {loss} --epochs 1"));
        succeeds(path, &format!("export {loss} {loss}.onnx"));
        let onnx = std::fs::read(path.join(format!("{loss}.onnx"))).unwrap();
        let onnx = String::from_utf8_lossy(&onnx);
        assert!(onnx.contains("Softplus") && onnx.contains(&format!("\"parameter\":\"{parameter}\"")), "{loss}");
        let table = succeeds(path, &format!("forecast {loss} --device cpu --rows 3"));
        assert!(table.contains("level q0.9"), "{table}");
        let on = format!("train series wave.csv --init-from {loss}");
        refused(path, &format!("{on} --loss squared"), 2, &["--loss squared: the model was trained with", loss]);
        refused(
            path,
            &format!("{on} --quantiles 0.5"),
            2,
            &["--quantiles 0.5: the model was trained with 0.1,0.5,0.9"],
        );
    }
    // A flag for the quantiles keeps the distribution of a configuration, and one for another distribution its quantiles.
    let set =
        |flags: &str| succeeds(path, &format!("train series --config gaussian/config.toml {flags} --dump-config"));
    let other = set("--quantiles 0.2,0.8");
    assert!(other.contains("loss = \"gaussian\"") && other.contains("quantiles = [0.2, 0.8]"), "{other}");
    let other = set("--quantiles 0.2,0.8 --loss student-t");
    assert!(other.contains("loss = \"student-t\"") && other.contains("quantiles = [0.2, 0.8]"), "{other}");
    let other = set("--loss absolute");
    assert!(other.contains("loss = \"absolute\"") && !other.contains("quantiles = ["), "{other}");
}

#[test]
fn counts_of_very_different_sizes_are_forecast_by_one_network_as_whole_numbers() {
    let folder = folder();
    let path = folder.path();
    let told = train(path, "n", &format!("{SOLD} --loss negative-binomial"));
    assert!(told.contains("negative binomial distribution") && told.contains("-ln p"), "{told}");
    let config = read(path, "n/config.toml");
    assert!(config.contains("scale = \"mean-absolute\""), "{config}");
    let text = read(path, "n/forecast.csv");
    for (name, size) in [("few", 4.0), ("many", 1000.0)] {
        let [low, middle, high] = ["q0.1", "q0.5", "q0.9"].map(|of| column(&text, &format!("{name}_{of}")));
        for quantiles in [&low, &middle, &high] {
            assert!(quantiles.iter().all(|count| *count >= 0.0 && count.fract() == 0.0), "{quantiles:?}");
        }
        let mean = middle.iter().sum::<f64>() / middle.len() as f64;
        assert!((0.5 * size..1.5 * size).contains(&mean), "{name}: {mean}");
        assert!((0..low.len()).all(|row| low[row] <= middle[row] && middle[row] <= high[row]));
    }
    let summary = measured(path, "n");
    for name in ["few", "many"] {
        assert!(summary["test"]["targets"][name]["negative_log_likelihood"].is_f64(), "{summary}");
    }
    let next = json(path, "forecast n --device cpu --json --rows 3");
    for counts in next["quantiles"].as_object().unwrap().values() {
        let many = counts["many"].as_array().unwrap();
        assert!(many.len() == 3 && many.iter().all(|count| count.as_f64().unwrap().fract() == 0.0), "{next}");
    }
    assert!(!read(path, "n/loss.svg").contains("last value, validation"));
    // The units of the panel are those of its series, and others than counts are refused by their place.
    let place = "line 9, \"7\"), column \"few\": expected a count, a whole number of at least 0, got -";
    let data = "series half.csv --panel --loss negative-binomial";
    refused(path, &format!("train {data}"), 1, &[place, "gaussian, student-t and quantile are for other numbers"]);
    for command in ["eval", "predict", "forecast"] {
        refused(path, &format!("{command} n half.csv"), 1, &[place]);
    }
}

#[test]
fn what_a_distribution_cannot_be_of_is_refused() {
    let folder = folder();
    let path = folder.path();
    let counts = "train series sold.csv --target few --loss negative-binomial";
    refused(
        path,
        &format!("{counts} --scale standard"),
        2,
        &["--scale standard", "take --scale mean-absolute or none"],
    );
    refused(path, &format!("{counts} --scale min-max"), 2, &["--scale min-max"]);
    refused(path, &format!("{counts} --relative last"), 2, &["--relative last", "take --relative none"]);
    let now = "train series sold.csv --target few --now many --loss";
    for loss in ["gaussian", "student-t", "negative-binomial", "quantile"] {
        refused(path, &format!("{now} {loss}"), 2, &[&format!("--loss {loss}: with --now a row has one estimate")]);
    }
    let other = "train series wave.csv --loss huber --quantiles 0.5";
    refused(path, other, 2, &["--quantiles", "the loss huber", "gaussian"]);
    let order = "train series wave.csv --loss gaussian --quantiles 0.9,0.1";
    refused(path, order, 2, &["--quantiles", "each greater than the one before"]);
    refused(path, "train series wave.csv --loss normal", 2, &["gaussian, student-t or negative-binomial"]);
    // Divided by the mean absolute value, other losses learn too.
    train(path, "m", "series sold.csv --target many --features few --scale mean-absolute --epochs 1 --hidden 4");
    let codec = json(path, "inspect m --json")["model"]["data"]["series"]["codec"].clone();
    assert_eq!(codec["targets"][0]["scaling"]["offset"], value!(0.0), "{codec}");
    assert_ne!(codec["features"][0]["scaling"]["offset"], value!(0.0), "{codec}");
}

/// A random walk of 300 rows, `walk.csv`, with a column `day` that is known for `future` more.
fn walk(path: &Path, future: usize) {
    let mut text = "t,level,day\n".to_owned();
    let (mut level, mut state) = (100.0, 1u64);
    for row in 0..300 {
        // Knuth's linear congruential generator.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        level += (state >> 40) as f64 / 16_777_216.0 - 0.5;
        writeln!(text, "{row},{level:.4},{}", row % 7).unwrap();
    }
    (300..300 + future).for_each(|row| writeln!(text, "{row},,{}", row % 7).unwrap());
    std::fs::write(path.join("walk.csv"), text).unwrap();
}

const WALK: &str = "series walk.csv --target level --known day --window 6 --hidden 4 --epochs 12 --lr 0.01 --batch 16";

/// The width between two quantiles of the level at each row.
fn widths(forecast: &Value, [low, high]: [&str; 2]) -> Vec<f64> {
    let of = |quantile: &str| forecast["quantiles"][quantile]["level"].as_array().unwrap().clone();
    let width = |(low, high): (Value, Value)| high.as_f64().unwrap() - low.as_f64().unwrap();
    of(low).into_iter().zip(of(high)).map(width).collect()
}

#[test]
fn beyond_the_horizon_sample_paths_widen_the_range_as_a_random_walk_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    walk(path, 10);
    for loss in ["gaussian", "quantile"] {
        train(path, loss, &format!("{WALK} --relative last --loss {loss}"));
        let forecast = |flags: &str| json(path, &format!("forecast {loss} --device cpu --rows 9 --json {flags}"));
        let drawn = forecast("--paths-out paths.csv --svg next.svg");
        assert_eq!(drawn["paths"], value!({"count": 1000, "seed": 1}), "{drawn}");
        let (wide, narrow) = (widths(&drawn, ["0.1", "0.9"]), widths(&forecast("--paths 0"), ["0.1", "0.9"]));
        // √9 times as wide after nine steps, and as wide as before without paths.
        assert!((2.3..4.0).contains(&(wide[8] / wide[0])), "{loss}: {wide:?}");
        assert!(wide.windows(2).all(|pair| pair[1] > 0.9 * pair[0]) && wide[0] == narrow[0], "{wide:?} {narrow:?}");
        assert!((0.5..1.5).contains(&(narrow[8] / narrow[0])), "{loss}: {narrow:?}");
        // The quantiles are those of the paths that are written, beyond the first row.
        let text = read(path, "paths.csv");
        assert_eq!(text.lines().next(), Some("path,t,step,level"));
        assert_eq!(text.lines().count(), 1 + 9 * 1000);
        let (steps, levels) = (column(&text, "step"), column(&text, "level"));
        let mut last: Vec<f64> =
            steps.iter().zip(&levels).filter(|(step, _)| **step == 9.0).map(|(_, of)| *of).collect();
        last.sort_by(f64::total_cmp);
        assert_eq!(drawn["quantiles"]["0.9"]["level"][8].as_f64(), Some(last[899]));
        assert_eq!(drawn["targets"]["level"][8].as_f64(), Some(last[499]));
        let picture = read(path, "next.svg");
        assert!(picture.contains("class=\"area blue\"") && !picture.contains("not widened"));
        // The same seed draws the same paths, and another one others.
        assert_eq!(drawn, forecast("--seed 1"));
        let other = forecast("--seed 2 --paths 2000");
        assert_eq!(other["paths"], value!({"count": 2000, "seed": 2}));
        assert_ne!(other["quantiles"], drawn["quantiles"]);
        let table = succeeds(path, &format!("forecast {loss} --device cpu --rows 9"));
        assert!(table.contains("after one step ahead the quantiles are those of 1,000 sample paths"), "{table}");
        assert!(!succeeds(path, &format!("forecast {loss} --device cpu")).contains("paths"));
        for name in ["paths.csv", "next.svg"] {
            std::fs::remove_file(path.join(name)).unwrap();
        }
        // No further than the known columns.
        refused(path, &format!("forecast {loss} --device cpu --rows 11"), 1, &["known column \"day\""]);
    }
}

#[test]
fn paths_that_cannot_be_drawn_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    walk(path, 0);
    let small = "series walk.csv --target level --window 6 --hidden 4 --epochs 1";
    for (name, flags, reason) in [
        ("squared", "", "the network forecasts one value and no distribution"),
        ("two", "--quantiles 0.1,0.9", "2 quantiles do not say how far the values spread beyond them"),
        ("long", "--loss gaussian --horizon 2", "train it with --horizon 1"),
    ] {
        train(path, name, &format!("{small} {flags}"));
        refused(path, &format!("forecast {name} --device cpu --rows 5 --paths 10"), 2, &["--paths: ", reason]);
        refused(path, &format!("forecast {name} --device cpu --rows 5 --paths-out p.csv"), 2, &["--paths: ", reason]);
        let told = succeeds(path, &format!("forecast {name} --device cpu --rows 5"));
        assert_eq!(told.contains("no sample paths: "), name != "squared", "{told}");
    }
    train(path, "far", &format!("{small} --loss gaussian --quantiles 0.01,0.99"));
    let few = "forecast far --device cpu --rows 5 --paths 99";
    refused(path, few, 2, &["--paths: expected at least 100", "got 99"]);
    refused(path, "forecast far --rows 5 --paths 0 --paths-out p.csv", 2, &["--paths-out", "--paths 0"]);
    refused(path, "forecast far --device cpu --rows 50 --paths 10000000", 2, &["--paths", "expected at most"]);
}

#[test]
fn the_paths_of_a_panel_are_counts_and_in_long_form_if_the_data_are() {
    let folder = folder();
    let path = folder.path();
    let long: String =
        read(path, "sold.csv").lines().skip(1).fold("day,product,sold\n".to_owned(), |mut text, line| {
            let fields: Vec<&str> = line.split(',').collect();
            writeln!(text, "{},few,{}\n{},many,{}", fields[0], fields[1], fields[0], fields[2]).unwrap();
            text
        });
    std::fs::write(path.join("long.csv"), long).unwrap();
    let data = "series long.csv --id product --time day --window 8 --hidden 6 --epochs 3 --lr 0.02";
    train(path, "n", &format!("{data} --loss negative-binomial"));
    let drawn = json(path, "forecast n --device cpu --rows 3 --paths 50 --paths-out paths.csv --json");
    for counts in drawn["quantiles"].as_object().unwrap().values() {
        assert!(counts["many"].as_array().unwrap().iter().all(|of| of.as_f64().unwrap().fract() == 0.0), "{drawn}");
    }
    let text = read(path, "paths.csv");
    assert_eq!(text.lines().next(), Some("path,product,day,step,sold"));
    assert_eq!((text.lines().count(), text.lines().nth(4).unwrap().starts_with("1,many,160,1,")), (1 + 50 * 6, true));
    assert!(column(&text, "sold").iter().all(|count| *count >= 0.0 && count.fract() == 0.0));
}
