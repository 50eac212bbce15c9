//! What the program asks of a network: dropout, where it predicts, its loss, and what its labels weigh.

use std::fmt::Write;
use std::path::Path;

use crate::common::program::{json, read, refused, succeeds, train};
use serde_json::Value;

fn weights(folder: &Path, run: &str) -> Vec<u8> {
    let bytes = std::fs::read(folder.join(run).join("model.safetensors")).unwrap();
    // Without the description, which differs.
    bptt::StateDict::from_safetensors(&bytes).unwrap().to_safetensors(None).unwrap()
}

/// The description of a model's file.
fn description(folder: &Path, run: &str) -> Value {
    json(folder, &format!("inspect {run} --json"))["model"].clone()
}

/// The column of this name of comma-separated text.
fn column(text: &str, name: &str) -> Vec<String> {
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let index = lines.next().unwrap().iter().position(|column| *column == name);
    let index = index.unwrap_or_else(|| panic!("no column {name} in {text}"));
    lines.map(|line| line[index].to_owned()).collect()
}

fn numbers(text: &str, name: &str) -> Vec<f64> {
    column(text, name).iter().map(|field| field.parse().unwrap()).collect()
}

fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = numbers.fold((0.0, 0.0), |(sum, count), number| (sum + number, count + 1.0));
    sum / count
}

/// A folder with `s.csv`, a wave; `t.txt`; and sequences of numbers around their class: `two.csv` of 2 classes, and
/// `rare.csv` of 3, of which `few` is one in ten and hard to tell from `many`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..90).map(|row| format!("{row},{:.3}\n", (f64::from(row) * 0.7).sin() + 2.0)).collect();
    let labelled = |class: &dyn Fn(usize) -> (&'static str, f64)| {
        let mut text = "id,time,x,label\n".to_owned();
        for id in 0..120 {
            let (name, level) = class(id);
            for time in 0..4 {
                // Spread evenly, in an order that has nothing to do with the classes.
                let noise = ((id * 37 + time * 11) % 41) as f64 / 20.0 - 1.0;
                writeln!(text, "{id},{time},{:.3},{name}", level + noise).unwrap();
            }
        }
        text
    };
    let rare = |id: usize| match id % 10 {
        0 => ("few", 0.6),
        1..=3 => ("other", -3.0),
        _ => ("many", 0.0),
    };
    for (name, text) in [
        ("s.csv", format!("t,level\n{rows}")),
        ("t.txt", "to be or not to be ".repeat(200)),
        ("two.csv", labelled(&|id| if id % 2 == 0 { ("no", -0.4) } else { ("yes", 0.4) })),
        ("rare.csv", labelled(&rare)),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

const SERIES: &str = "series s.csv --target level --window 6 --hidden 4 --epochs 3 --batch 16";
const RARE: &str = "sequences rare.csv --hidden 8 --batch 16 --lr 0.02 --epochs 12";

#[test]
fn sunspot_quantiles_are_ordered_and_cover_about_their_share() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let stdout = train(path, "q", "series bundled:sunspots --relative none --quantiles 0.1,0.5,0.9");
    for part in ["lstm 1 → 16 → 3", "the quantile loss of 0.1, 0.5, 0.9", "coverage", "80.0%", "pinball"] {
        assert!(stdout.contains(part), "{part:?} is not in {stdout}");
    }
    let measured = json(path, "eval q --device cpu --json");
    let all = &measured["both"];
    let of = |key: &str| all[key].as_f64().unwrap();
    assert!((0.6..0.95).contains(&of("coverage")), "{all}");
    assert!(of("pinball") < 0.8 * of("naive_pinball") && of("mae") < of("naive_mae"), "{all}");
    // The last value is a range too, by its errors in training, and holds about its share.
    assert!((0.6..0.95).contains(&of("naive_coverage")), "{all}");
    let beaten = &measured["baselines"]["both"]["last_value"];
    assert_eq!(
        (beaten["measure"].as_str(), beaten["beaten"].as_bool()),
        (Some("pinball loss"), Some(true)),
        "{beaten}"
    );
    assert!(stdout.contains("the network beats the last value on the test split: pinball loss "), "{stdout}");
    assert_eq!(measured["quantiles"], serde_json::json!([0.1, 0.5, 0.9]));
    // The figures are those of the file's numbers.
    let text = read(path, "q/forecast.csv");
    let of_column = |name: &str| numbers(&text, &format!("SUNACTIVITY_{name}"));
    let (truth, [low, middle, high]) = (of_column("truth"), ["q0.1", "q0.5", "q0.9"].map(of_column));
    assert!((0..truth.len()).all(|row| low[row] <= middle[row] && middle[row] <= high[row]));
    let within = (0..truth.len()).map(|row| f64::from(u8::from((low[row]..=high[row]).contains(&truth[row]))));
    assert!((mean(within) - of("coverage")).abs() < 1e-9);
    let distance = truth.iter().zip(&middle).map(|(truth, middle)| (truth - middle).abs());
    assert!((mean(distance) - of("mae")).abs() < 1e-9);
    let pinball = |told: &[f64], quantile: f64| {
        let errors = truth.iter().zip(told).map(|(truth, told)| truth - told);
        mean(errors.map(|error| (quantile * error).max((quantile - 1.0) * error)))
    };
    let expected = (pinball(&low, 0.1) + pinball(&middle, 0.5) + pinball(&high, 0.9)) / 3.0;
    assert!((of("pinball") - expected).abs() < 1e-9);
    let naive = ["0.1", "0.5", "0.9"].map(|quantile| of_column(&format!("last_value_q{quantile}")));
    let expected = (pinball(&naive[0], 0.1) + pinball(&naive[1], 0.5) + pinball(&naive[2], 0.9)) / 3.0;
    assert!((of("naive_pinball") - expected).abs() < 1e-9);
    // The same shift of the last value at every row.
    let last = of_column("last_value");
    let shift = naive[2][0] - last[0];
    assert!(shift > 0.0 && naive[2].iter().zip(&last).all(|(range, last)| (range - last - shift).abs() < 1e-9));
    assert!(numbers(&succeeds(path, "predict q --device cpu"), "SUNACTIVITY_q0.9").ends_with(&high));
    for picture in ["q/forecast.svg", "q/rolled.svg"] {
        let svg = read(path, picture);
        assert!(svg.contains("class=\"area blue\"") && svg.contains(">quantiles 0.1 to 0.9<"), "{picture}");
    }
}

#[test]
fn a_quantile_forecast_continues_from_the_middle_quantile() {
    let folder = folder();
    let path = folder.path();
    train(path, "q", &format!("{SERIES} --quantiles 0.2,0.6"));
    let next = json(path, "forecast q --device cpu --rows 4 --json --out next.csv --svg next.svg");
    let rows = |quantile: &str| -> Vec<f64> {
        next["quantiles"][quantile]["level"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    };
    assert_eq!(next["targets"]["level"], next["quantiles"]["0.6"]["level"]);
    let written = read(path, "next.csv");
    assert_eq!(written.lines().next(), Some("t,origin,step,level_q0.2,level_q0.6"));
    assert_eq!(numbers(&written, "level_q0.2"), rows("0.2"));
    assert!(rows("0.2").iter().zip(rows("0.6")).all(|(low, high)| *low <= high));
    assert!(read(path, "next.svg").contains("class=\"area blue\""));
    let table = succeeds(path, "forecast q --device cpu --rows 4");
    assert!(table.contains("level q0.2") && table.contains("the true range is wider"), "{table}");
    assert!(!succeeds(path, "forecast q --device cpu").contains("widens"));
    // With what the middle one told as data, the next row is told the same.
    let middle = rows("0.6")[0];
    std::fs::write(path.join("more.csv"), format!("{}90,{middle}\n", read(path, "s.csv"))).unwrap();
    let after = json(path, "forecast q --device cpu more.csv --json");
    let told = after["targets"]["level"][0].as_f64().unwrap();
    assert!((told - rows("0.6")[1]).abs() < 1e-5, "{told} {:?}", rows("0.6"));
    // One quantile has no range.
    train(path, "one", &format!("{SERIES} --quantiles 0.9"));
    let measured = json(path, "eval one --device cpu --json");
    assert!(measured["test"]["coverage"].is_null() && measured["test"]["pinball"].is_f64(), "{measured}");
    assert!(!read(path, "one/forecast.svg").contains("<path class=\"area"));
}

#[test]
fn each_loss_of_a_series_gives_other_weights_and_is_stored_with_the_model() {
    let folder = folder();
    let path = folder.path();
    let losses = [
        ("squared", "--loss squared", "squared-error"),
        ("absolute", "--loss absolute", "absolute-error"),
        ("huber", "--loss huber:delta=0.5", "huber"),
        ("quantile", "--loss quantile", "quantile"),
    ];
    let mut learned = Vec::new();
    for (name, flags, stored) in losses {
        train(path, name, &format!("{SERIES} {flags} --horizon 2"));
        assert!(
            description(path, name)["model"]["head"]["loss"].to_string().contains(stored),
            "{}",
            description(path, name)
        );
        let loss = if name == "huber" { "huber:delta=0.5" } else { name };
        assert!(read(path, &format!("{name}/config.toml")).contains(&format!("loss = \"{loss}\"")));
        train(path, &format!("{name}-2"), &format!("--config {name}/config.toml"));
        assert_eq!(weights(path, name), weights(path, &format!("{name}-2")));
        // Whoever goes on with it goes on with its loss.
        let on = format!("series s.csv --target level --init-from {name} --epochs 1");
        train(path, &format!("{name}-on"), &on);
        assert_eq!(
            description(path, name)["model"]["head"]["loss"],
            description(path, &format!("{name}-on"))["model"]["head"]["loss"]
        );
        let other = if name == "absolute" { "squared" } else { "absolute" };
        refused(path, &format!("train {on} --loss {other}"), 2, &[&format!("--loss {other}"), name]);
        learned.push(weights(path, name));
    }
    for (index, one) in learned.iter().enumerate() {
        assert!(learned[..index].iter().all(|other| other != one), "{}", losses[index].0);
    }
    assert_eq!(description(path, "huber")["model"]["head"]["loss"]["huber"]["delta"], 0.5);
    assert_eq!(description(path, "quantile")["model"]["head"]["outputs"], 6);
    refused(
        path,
        "train series s.csv --target level --init-from quantile --quantiles 0.2,0.5,0.9",
        2,
        &["--quantiles 0.2,0.5,0.9: the model was trained with 0.1,0.5,0.9"],
    );
}

#[test]
fn dropout_changes_training_and_not_measurement() {
    let folder = folder();
    let path = folder.path();
    let two = format!("{SERIES} --layers 2");
    train(path, "plain", &two);
    for (name, flag) in [("between", "--dropout 0.3"), ("recurrent", "--set model.recurrent-dropout=0.3")] {
        let told: Value = serde_json::from_str(&train(path, name, &format!("{two} {flag} --json"))).unwrap();
        assert_ne!(weights(path, "plain"), weights(path, name));
        let [once, twice] = [(); 2].map(|()| json(path, &format!("eval {name} --device cpu --json")));
        assert_eq!(once, twice);
        assert_eq!(once["test"], told["test"]);
        train(path, &format!("{name}-2"), &format!("--config {name}/config.toml"));
        assert_eq!(weights(path, name), weights(path, &format!("{name}-2")));
    }
    let rates = |run: &str| {
        let model = description(path, run);
        ["dropout", "recurrent_dropout"].map(|name| model["model"]["recurrent"][name].as_f64().unwrap())
    };
    assert_eq!((rates("plain"), rates("between"), rates("recurrent")), ([0.0, 0.0], [0.3, 0.0], [0.0, 0.3]));
    assert!(succeeds(path, "inspect recurrent").contains("2 layers, recurrent dropout 0.3"));
    // It goes on with its model, unless another rate is told.
    let on = "series s.csv --target level --epochs 1 --init-from between";
    train(path, "on", on);
    train(path, "other", &format!("{on} --dropout 0 --set model.recurrent-dropout=0.1"));
    assert_eq!((rates("on"), rates("other")), ([0.3, 0.0], [0.0, 0.1]));
    assert_ne!(weights(path, "on"), weights(path, "other"));
    train(path, "other-2", "--config other/config.toml");
    assert_eq!(weights(path, "other"), weights(path, "other-2"));
    for data in ["text t.txt --window 8", "sequences two.csv", "task adding --length 6"] {
        let small = "--hidden 4 --layers 2 --dropout 0.2 --set model.recurrent-dropout=0.2 --steps 2";
        train(path, &format!("{}", data.len()), &format!("{data} {small}"));
    }
}

#[test]
fn predict_mean_selects_mean_pooling() {
    let folder = folder();
    let path = folder.path();
    for (name, data) in [
        ("two", "sequences two.csv --hidden 4 --epochs 2"),
        ("series", SERIES),
        ("adding", "task adding --length 6 --hidden 4 --steps 3"),
    ] {
        train(path, name, data);
        let mean = format!("{name}-mean");
        let set = format!("--set {}.predict", data.split(' ').next().unwrap());
        train(path, &mean, &format!("{data} {set}=mean"));
        let readout = |run: &str| description(path, run)["model"]["head"]["readout"].clone();
        assert_eq!((readout(name), readout(&mean)), ("last".into(), "mean".into()));
        assert_ne!(weights(path, name), weights(path, &mean));
        succeeds(path, &format!("eval {mean} --device cpu"));
        train(path, &format!("{mean}-2"), &format!("--config {mean}/config.toml"));
        assert_eq!(weights(path, &mean), weights(path, &format!("{mean}-2")));
        // Sequences may have a label at every step.
        if name != "two" {
            refused(path, &format!("train {data} {set}=every"), 2, &["predict", "last or mean", "got every"]);
        }
    }
    let on = "sequences two.csv --epochs 1 --init-from two-mean";
    train(path, "on", on);
    assert_eq!(description(path, "on")["model"]["head"]["readout"], "mean");
    for at in ["last", "every"] {
        refused(path, &format!("train {on} --predict {at}"), 2, &["--init-from", "or predict"]);
    }
    succeeds(path, "predict two-mean --device cpu two.csv");
    refused(path, "train task copy --set task.predict=mean", 2, &["predict", "expected every", "got mean"]);
    train(path, "copy", "task copy --set task.predict=every --hidden 4 --steps 1");
    // A text has no choice.
    let parts = ["--set text.predict: unknown key; it is a key of [series]"];
    refused(path, "train text t.txt --set text.predict=mean", 2, &parts);
}

/// −ln of the probability that a prediction gives to the truth, over the part.
fn cross_entropy(predictions: &str, part: &str) -> f64 {
    let labels = column(predictions, "label");
    let parts = column(predictions, "part");
    let told = |row: usize| numbers(predictions, &format!("p_{}", labels[row]))[row];
    mean((0..labels.len()).filter(|row| parts[*row] == part).map(|row| -told(row).ln()))
}

#[test]
fn class_weights_shift_the_network_towards_the_rare_class() {
    let folder = folder();
    let path = folder.path();
    let recall = |of: &str| {
        let predictions = succeeds(path, &format!("predict {of} --device cpu"));
        let pairs: Vec<(String, String)> =
            column(&predictions, "label").into_iter().zip(column(&predictions, "predicted")).collect();
        let few = pairs.iter().filter(|(label, _)| label == "few");
        mean(few.map(|(_, told)| f64::from(u8::from(told == "few"))))
    };
    train(path, "plain", RARE);
    let stdout = train(path, "balanced", &format!("{RARE} --class-weights balanced"));
    assert!(stdout.contains("weights in training: few 3.50"), "{stdout}");
    assert!(stdout.contains("cross-entropy: without class weights and label smoothing"), "{stdout}");
    let (plain, balanced) = (recall("plain"), recall("balanced"));
    assert!(balanced > plain + 0.3, "{plain} {balanced}");
    let measured = json(path, "eval balanced --device cpu --json");
    // What is told is the cross-entropy of all sequences alike.
    let predictions = succeeds(path, "predict balanced --device cpu");
    let loss = measured["test"]["loss"].as_f64().unwrap();
    assert!((loss - cross_entropy(&predictions, "test")).abs() < 1e-5, "{loss}");
    train(path, "balanced-2", "--config balanced/config.toml");
    assert_eq!(weights(path, "balanced"), weights(path, "balanced-2"));
    // Of two classes too, and by name; those that are told as they are change nothing.
    let two = "sequences two.csv --hidden 4 --batch 16 --lr 0.02 --epochs 4";
    train(path, "two", two);
    train(path, "ones", &format!("{two} --class-weights no=1,yes=1"));
    train(path, "yes", &format!("{two} --class-weights yes=20"));
    assert_eq!(weights(path, "two"), weights(path, "ones"));
    let said =
        |run_: &str| mean(numbers(&succeeds(path, &format!("predict {run_} --device cpu")), "p_yes").into_iter());
    assert!(said("yes") > said("two") + 0.2, "{} {}", said("yes"), said("two"));
}

#[test]
fn label_smoothing_affects_training_and_not_final_metrics() {
    let folder = folder();
    let path = folder.path();
    for (name, data) in [("rare", RARE), ("two", "sequences two.csv --hidden 4 --batch 16 --lr 0.02 --epochs 6")] {
        train(path, name, data);
        let smoothed = format!("{name}-smoothed");
        let arguments = format!("{data} --set sequences.label-smoothing=0.3 --json");
        let told: Value = serde_json::from_str(&train(path, &smoothed, &arguments)).unwrap();
        assert_ne!(weights(path, name), weights(path, &smoothed));
        let measured = json(path, &format!("eval {smoothed} --device cpu --json"));
        let loss = measured["validation"]["loss"].as_f64().unwrap();
        assert_eq!(measured["validation"], told["validation"]);
        let predictions = succeeds(path, &format!("predict {smoothed} --device cpu"));
        assert!((loss - cross_entropy(&predictions, "validation")).abs() < 1e-5, "{name}: {loss}");
        assert!((loss - told["val_loss"].as_f64().unwrap()).abs() > 0.01, "{name}: {told}");
        train(path, &format!("{smoothed}-2"), &format!("--config {smoothed}/config.toml"));
        assert_eq!(weights(path, &smoothed), weights(path, &format!("{smoothed}-2")));
        // It is of the run and not of the network, which goes on with another.
        train(
            path,
            &format!("{name}-on"),
            &format!("{} --epochs 1 --init-from {smoothed}", data.split(" --hidden").next().unwrap()),
        );
    }
    let text = "text t.txt --window 8 --hidden 8 --lr 0.02 --steps 80";
    let told: Value =
        serde_json::from_str(&train(path, "text", &format!("{text} --set text.label-smoothing=0.2 --json"))).unwrap();
    let measured = json(path, "eval text --device cpu --json");
    assert_eq!(measured["validation"]["loss"], told["validation"]["loss"]);
    assert!(told["val_loss"].as_f64().unwrap() > told["validation"]["loss"].as_f64().unwrap() + 0.1, "{told}");
    assert_eq!(description(path, "text")["model"]["head"]["loss"]["smoothed-cross-entropy"]["smoothing"], 0.2);
    assert!(succeeds(path, "eval text --device cpu").contains("without label smoothing"));
    succeeds(path, "sample text --device cpu --length 20");
}

#[test]
fn an_impossible_objective_is_refused_by_flag_and_key() {
    let folder = folder();
    let path = folder.path();
    let series = "train series s.csv --target level";
    refused(
        path,
        &format!("{series} --dropout 0.2"),
        2,
        &["--dropout 0.2", "--layers 2", "--set model.recurrent-dropout=0.2"],
    );
    for (flag, data) in [
        ("--dropout ", series),
        ("--set model.recurrent-dropout=", series),
        ("--set text.label-smoothing=", "train text t.txt"),
    ] {
        for value in ["-0.1", "1", "nan", "many"] {
            let parts = [flag.trim_end_matches([' ', '=']), "from 0 to below 1", value];
            refused(path, &format!("{data} {flag}{value}"), 2, &parts);
        }
    }
    refused(path, &format!("{series} --loss huber:delta=0"), 2, &["--loss", "delta: expected", "above 0", "got '0'"]);
    for quantiles in ["0,0.5", "0.5,1", "-0.1", "nan", "median"] {
        refused(path, &format!("{series} --quantiles {quantiles}"), 2, &["--quantiles", "above 0 and below 1"]);
    }
    for quantiles in ["0.5,0.1", "0.5,0.5"] {
        refused(path, &format!("{series} --quantiles {quantiles}"), 2, &["--quantiles", "greater than the one before"]);
    }
    refused(path, &format!("{series} --loss cubic"), 2, &["--loss", "squared, absolute, huber, quantile, gaussian"]);
    refused(
        path,
        &format!("{series} --loss huber --quantiles 0.5"),
        2,
        &["--quantiles", "no meaning for the loss huber"],
    );
    let parts = ["--loss", "expected no parameter of absolute, got 'delta'"];
    refused(path, &format!("{series} --loss absolute:delta=1"), 2, &parts);
    refused(path, &format!("{series} --loss huber:delta=1 --quantiles 0.5"), 2, &["--quantiles", "huber:delta=1"]);
    refused(
        path,
        &format!("{series} --label-smoothing 0.1"),
        2,
        &["--label-smoothing is a setting of [text], [sequences] and [classes]"],
    );
    refused(
        path,
        &format!("{series} --class-weights balanced"),
        2,
        &["--class-weights is a flag of train sequences and train classes"],
    );
    refused(path, "train text t.txt --loss absolute", 2, &["--loss is a flag of train series"]);
    let rare = "train sequences rare.csv --class-weights";
    refused(path, &format!("{rare} none=2"), 2, &["--class-weights", "few, many, other", "none"]);
    refused(path, &format!("{rare} few=0"), 2, &["--class-weights", "above 0", "few=0"]);
    refused(path, &format!("{rare} few=1,few=2"), 2, &["--class-weights", "each class once"]);
    refused(path, &format!("{rare} even"), 2, &["--class-weights", "balanced"]);
    let rows: String = (0..20).map(|row| format!("{row},1:{}.5\n", row % 7)).collect();
    std::fs::write(path.join("v.ts"), format!("@targetLabel true\n@data\n{rows}")).unwrap();
    for flag in ["--class-weights balanced", "--set sequences.label-smoothing=0.1"] {
        let name = flag.split([' ', '.', '=']).rfind(|word| word.contains("class-") || word.contains("label-"));
        let parts = [name.unwrap(), "is for classes; these labels are values"];
        refused(path, &format!("train sequences v.ts {flag}"), 2, &parts);
    }
    // What no flag takes is as wrong in a file, and named by its line there.
    let keys = [
        ("model", "dropout = 1.5", "line 2, model.dropout"),
        ("model", "dropout = 0.5", "--dropout 0.5 (model.dropout)"),
        ("model", "recurrent-dropout = -1.0", "line 2, model.recurrent-dropout"),
        ("series", "predict = \"every\"", "predict: expected last or mean"),
        ("text", "label-smoothing = 1.0", "line 2, text.label-smoothing"),
        ("series", "label-smoothing = 0.1", "line 2, series.label-smoothing: unknown key; it is a key of [text]"),
        ("series", "loss = \"huber:delta=0\"", "line 2, series.loss: delta: expected"),
        ("series", "quantiles = []", "--quantiles"),
        ("series", "quantiles = [0.5, 1.0]", "line 2, series.quantiles"),
        ("series", "quantiles = [0.9, 0.1]", "--quantiles"),
        ("series", "loss = \"absolute\"\nquantiles = [0.1, 0.9]", "--quantiles"),
        ("series", "class-weights = [\"balanced\"]", "series.class-weights"),
    ];
    let file = "file = \"s.csv\"\ntarget = [\"level\"]";
    for (section, key, named) in keys {
        std::fs::write(
            path.join("bad.toml"),
            format!("[{section}]\n{key}\n{}\n", if section == "series" { file } else { "" }),
        )
        .unwrap();
        refused(path, "train --config bad.toml", 2, &[named]);
    }
}

#[test]
fn another_loss_or_data_set_replaces_that_of_a_configuration() {
    let folder = folder();
    let path = folder.path();
    let dump = |name: &str, arguments: &str| {
        let text = succeeds(path, &format!("train --dump-config {arguments}"));
        std::fs::write(path.join(name), &text).unwrap();
        text
    };
    dump("q.toml", &format!("{SERIES} --quantiles 0.1,0.9 --set series.predict=mean"));
    let over = dump("h.toml", "series --config q.toml --loss huber:delta=2");
    assert!(over.contains("loss = \"huber:delta=2\"") && !over.contains("quantiles"), "{over}");
    let back = dump("b.toml", "series --config h.toml --loss absolute");
    assert!(back.contains("loss = \"absolute\"") && !back.contains("delta"), "{back}");
    // Another series keeps what is asked of it, a text has no use for it.
    std::fs::copy(path.join("s.csv"), path.join("again.csv")).unwrap();
    let again = dump("a.toml", "series again.csv --config q.toml --target level");
    assert!(again.contains("quantiles = [0.1, 0.9]"), "{again}");
    let text = dump("t.toml", "text t.txt --config q.toml");
    assert!(!text.contains("quantiles") && !text.contains("predict"), "{text}");
    dump(
        "c.toml",
        "sequences rare.csv --class-weights balanced --set sequences.label-smoothing=0.1 --layers 2 --dropout 0.1",
    );
    let series = dump("d.toml", "series s.csv --config c.toml --target level");
    assert!(!series.contains("class-weights") && !series.contains("smoothing"), "{series}");
    assert!(series.contains("dropout = 0.1"), "{series}");
}
