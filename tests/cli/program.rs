//! The program from outside: what it writes, what it repeats, and what it refuses.

use std::path::Path;

use crate::common::program::{bptt, entries, read, refused, train};
use serde_json::Value;

fn metrics(folder: &Path, run: &str) -> Vec<Value> {
    let text = read(folder, &format!("{run}/metrics.jsonl"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A folder with a small series, `s.csv`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..60).map(|row| format!("{row},{:.3},x\n", (f64::from(row) * 0.7).sin() + 2.0)).collect();
    std::fs::write(folder.path().join("s.csv"), format!("t,level,word\n{rows}")).unwrap();
    folder
}

const TINY: &str = "series s.csv --target level --window 5 --hidden 4 --epochs 3 --batch 16";

#[test]
fn the_default_run_writes_all_its_files_and_is_compared_with_the_last_value() {
    let folder = tempfile::tempdir().unwrap();
    let output = bptt(folder.path(), "train --device cpu --epochs 2");
    assert!(output.status.success());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.lines().all(|line| line.starts_with("step ")), "{stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    for part in ["1722–1920 (199)", "1921–1955 (35)", "1956–2008 (53)", "1,233 parameters", "33.42", "30.44"] {
        assert!(stdout.contains(part), "{part:?} is not in {stdout}");
    }
    let files = [
        ".lock",
        "checkpoints",
        "config.toml",
        "forecast.csv",
        "forecast.svg",
        "gradient_norm.svg",
        "loss.svg",
        "metrics.jsonl",
        "model.safetensors",
        "report.html",
        "rolled.svg",
        "timings.jsonl",
    ];
    assert_eq!(entries(&folder.path().join("runs/sunspots-1")), files);
    let output = bptt(folder.path(), "train --device cpu --epochs 1");
    assert!(output.status.success());
    assert_eq!(entries(&folder.path().join("runs")), ["sunspots-1", "sunspots-2"]);
}

#[test]
fn the_weights_have_the_names_and_shapes_of_pytorch() {
    let folder = folder();
    train(folder.path(), "a", &format!("{TINY} --cell gru --layers 2 --bidirectional"));
    let bytes = std::fs::read(folder.path().join("a/model.safetensors")).unwrap();
    let weights = bptt::StateDict::from_safetensors(&bytes).unwrap();
    assert_eq!(weights.get("rnn.weight_ih_l0").unwrap().shape(), [12, 1]);
    assert_eq!(weights.get("rnn.weight_ih_l1_reverse").unwrap().shape(), [12, 8]);
    assert_eq!(weights.get("head.weight").unwrap().shape(), [1, 8]);
    assert_eq!(weights.get("head.bias").unwrap().shape(), [1]);
}

#[test]
fn metrics_have_a_line_per_step_with_null_where_nothing_was_validated() {
    let folder = folder();
    train(folder.path(), "a", TINY);
    let lines = metrics(folder.path(), "a");
    let keys = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert!(lines.iter().all(|line| keys(line) == ["epoch", "grad_norm", "loss", "lr", "step", "val_loss"]));
    let first = read(folder.path(), "a/metrics.jsonl");
    assert!(first.starts_with("{\"step\":1,\"epoch\":1,\"loss\":"), "{first}");
    // 55 targets, of which 38 or 39 train: three batches an epoch.
    assert_eq!(
        lines.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(),
        (1..=9).collect::<Vec<_>>()
    );
    assert_eq!(
        lines.iter().map(|line| line["epoch"].as_u64().unwrap()).collect::<Vec<_>>(),
        [1, 1, 1, 2, 2, 2, 3, 3, 3]
    );
    for line in &lines {
        assert_eq!(line["val_loss"].is_null(), line["step"].as_u64().unwrap() % 3 != 0);
        assert!(line["loss"].is_f64() && line["grad_norm"].is_f64());
    }
}

#[test]
fn a_configuration_alone_repeats_its_run() {
    let folder = folder();
    let arguments = "--cell rnn --set model.activation=relu --set model.init=identity --optimizer rmsprop --lr 0.01 --clip 0.5 --seed 7";
    train(
        folder.path(),
        "a",
        &format!("{TINY} {arguments} --keep best --set training.micro-batch=6 --split 0.6,0.2,0.2"),
    );
    train(folder.path(), "b", "--config a/config.toml");
    for file in ["metrics.jsonl", "model.safetensors", "config.toml", "forecast.csv"] {
        let [a, b] = ["a", "b"].map(|run| std::fs::read(folder.path().join(run).join(file)).unwrap());
        assert_eq!(a, b, "{file}");
    }
    for task in ["adding", "copy"] {
        train(folder.path(), task, &format!("task {task} --length 6 --steps 4 --set training.val-every=2 --hidden 4"));
        train(folder.path(), &format!("{task}-2"), &format!("--config {task}/config.toml"));
        let [a, b] = [task.to_owned(), format!("{task}-2")].map(|run| metrics(folder.path(), &run));
        assert_eq!(a, b);
    }
}

#[test]
fn equal_seeds_give_equal_bytes_for_any_number_of_threads() {
    let folder = folder();
    train(folder.path(), "a", &format!("{TINY} --threads 1"));
    train(folder.path(), "b", &format!("{TINY} --threads 3"));
    train(folder.path(), "c", &format!("{TINY} --seed 2"));
    let bytes = |run: &str, file: &str| std::fs::read(folder.path().join(run).join(file)).unwrap();
    for file in ["metrics.jsonl", "model.safetensors"] {
        assert_eq!(bytes("a", file), bytes("b", file));
        assert_ne!(bytes("a", file), bytes("c", file));
    }
}

#[test]
fn flags_override_a_configuration() {
    let folder = folder();
    train(folder.path(), "a", TINY);
    train(folder.path(), "b", "--config a/config.toml --cell gru --steps 2 --hidden 3");
    let config = read(folder.path(), "b/config.toml");
    assert!(config.contains("cell = \"gru\"") && config.contains("hidden = 3"), "{config}");
    assert!(config.contains("steps = 2") && !config.contains("epochs"), "{config}");
    assert!(config.contains("window = 5"), "{config}");
}

/// Whether a flag is of a kind of data, and not of all.
fn is_of_a_kind(flag: &str) -> bool {
    let of_all = [
        "--seed",
        "--threads",
        "--cell",
        "--hidden",
        "--layers",
        "--bidirectional",
        "--batch",
        "--epochs",
        "--steps",
        "--patience",
        "--keep",
        "--optimizer",
        "--lr",
        "--clip",
        "--weight-decay",
        "--warmup",
        "--schedule",
        "--dropout",
    ];
    flag.starts_with("--")
        && !flag.starts_with("--set")
        && !of_all.contains(&flag.split(' ').next().unwrap_or_default())
}

#[test]
fn a_flag_over_a_stored_configuration_applies_or_is_refused_by_name() {
    let folder = folder();
    let path = folder.path();
    std::fs::write(path.join("t.txt"), "to be or not to be ".repeat(200)).unwrap();
    let rows: String = (0..40).map(|id| format!("{id},0,1.5,{0}\n{id},1,{id},{0}\n", ["a", "b"][id % 2])).collect();
    ["q.csv", "q2.csv"].iter().for_each(|file| {
        std::fs::write(path.join(file), format!("id,time,x,label\n{rows}")).unwrap();
    });
    let small = "--hidden 2 --batch 16 --device cpu";
    let sources = [
        ("text", "text t.txt"),
        ("bytes", "text t.txt --bytes"),
        ("series", "series s.csv --target level --window 5"),
        ("until", "series s.csv --target level --window 5 --train-until 30"),
        ("split", "sequences q.csv"),
        ("tested", "sequences q.csv --test-file q2.csv"),
        ("task", "task adding --length 6"),
        ("step", "task adding --length 6 --schedule step"),
        ("plateau", "task adding --length 6 --schedule plateau"),
        ("cosine", "task copy --length 6 --schedule cosine:floor=0.1"),
        ("rnn", "task adding --length 6 --cell rnn --set model.activation=relu"),
        ("quantiles", "series s.csv --target level --window 5 --quantiles 0.1,0.9 --set series.predict=mean"),
        (
            "weights",
            "sequences q.csv --class-weights balanced --set sequences.label-smoothing=0.1 --layers 2 --dropout 0.1",
        ),
    ];
    let flags = "--seed 2|--threads 2|--split 0.6,0.2,0.2|--test-file q2.csv|--validation 0.3|--window 7|--scale min-max|\
        --missing mask|--bytes|--set text.min-count=2|--carry-state|--target level|--horizon 2|--season 3|--train-until 35|\
        --read pixels|--id id|--time time|--label label|--keys 1-9|--length 7|--cell rnn|--cell gru|--set model.activation=relu|\
        --hidden 3|--set model.proj-size=1|--layers 2|--bidirectional|--set model.init=orthogonal|--set model.forget-bias=1|--batch 8|--set training.micro-batch=4|\
        --set training.accumulate=2|--set sequences.buckets=2|--epochs 2|--steps 3|--set training.val-every=2|--patience 2|--keep best|--optimizer sgd|\
        --lr 0.1|--clip 0|--weight-decay 0.1|--warmup 2|--schedule constant|--schedule step|--schedule exponential|\
        --schedule cosine|--schedule plateau|--schedule step:every=2|--schedule exponential:factor=0.1|--schedule cosine:floor=0.1|\
        --schedule plateau:patience=2|--schedule constant:every=2|\
        --dropout 0.2|--set model.recurrent-dropout=0.2|--set series.predict=mean|--set task.predict=every|--loss absolute|--loss huber:delta=2|\
        --quantiles 0.2,0.8|--set sequences.label-smoothing=0.1|--class-weights balanced|\
        text t.txt|sequences q2.csv|task copy";
    for (name, source) in sources {
        let config = bptt(path, &format!("train --dump-config {small} {source}"));
        assert!(config.status.success(), "{name}: {}", String::from_utf8_lossy(&config.stderr));
        std::fs::write(path.join(format!("{name}.toml")), config.stdout).unwrap();
        for flag in flags.split('|').map(str::trim) {
            // What is of the kind alone stands behind it.
            let kind = if is_of_a_kind(flag) { source.split(' ').next().unwrap() } else { "" };
            let output = bptt(path, &format!("train --dump-config --config {name}.toml {kind} {flag}"));
            let stderr = String::from_utf8(output.stderr).unwrap();
            let key = flag.strip_prefix("--set ").and_then(|set| set.split(['.', '=']).nth(1));
            let word = key.unwrap_or_else(|| flag.split(' ').next().unwrap());
            assert!(output.status.success() || stderr.contains(word), "{name} {flag}: {stderr}");
        }
        // What follows from an epoch follows from the new one, and a kind's own split takes another's place.
        let taken = ["--schedule constant", "--schedule cosine", "--schedule plateau", "--batch 8", "--patience 2"];
        for flag in taken {
            let output = bptt(path, &format!("train --dump-config --config {name}.toml {flag}"));
            assert!(output.status.success(), "{name} {flag}: {}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(source.contains("task") || !text.contains("val-every"), "{name} {flag}: {text}");
            assert!(!text.contains("keep ="), "{name} {flag}: {text}");
        }
    }
    for (flag, buckets) in [("sequences q2.csv", "3"), ("task copy", "None"), ("series s.csv --target level", "None")] {
        let output = bptt(path, &format!("train sequences q.csv --dump-config {small} --set sequences.buckets=3"));
        std::fs::write(path.join("buckets.toml"), output.stdout).unwrap();
        let output = bptt(path, &format!("train --dump-config --config buckets.toml {flag}"));
        assert!(output.status.success(), "{flag}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let told = text.lines().find_map(|line| line.strip_prefix("buckets = "));
        assert_eq!(told.unwrap_or("None"), buckets, "{flag}: {text}");
    }
    for (name, flag) in [("split", "sequences --test-file q2.csv"), ("until", "series --split 0.6,0.2,0.2")] {
        let output = bptt(path, &format!("train --dump-config --config {name}.toml {flag}"));
        assert!(output.status.success(), "{name} {flag}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_summary_is_one_line_of_json() {
    let folder = folder();
    let stdout = train(folder.path(), "a", &format!("{TINY} --json"));
    assert_eq!(stdout.lines().count(), 1);
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert!(summary["test"]["rmse"].is_f64() && summary["test"]["naive_rmse"].is_f64(), "{summary}");
    assert_eq!((summary["steps"].as_u64(), summary["run"].as_str()), (Some(9), Some("a")));
}

#[test]
fn without_validation_the_test_split_is_everything_after_training() {
    let folder = tempfile::tempdir().unwrap();
    let stdout = train(folder.path(), "a", "series bundled:sunspots --epochs 1 --validation 0 --json");
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((summary["test"]["from"].as_str(), summary["test"]["until"].as_str()), (Some("1921"), Some("2008")));
    assert!((summary["test"]["naive_rmse"].as_f64().unwrap() - 30.436).abs() < 1e-3);
    assert!(metrics(folder.path(), "a").iter().all(|line| line["val_loss"].is_null()));
}

#[test]
fn a_diverging_run_stops_with_its_last_good_weights() {
    let folder = folder();
    let arguments = "--cell rnn --set model.activation=relu --optimizer sgd --lr 1e30 --clip 0 --epochs 50";
    let output =
        bptt(folder.path(), &format!("train --device cpu --out a {TINY} {arguments}").replace("--epochs 3 ", ""));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("is not finite") && stderr.contains("a/model.safetensors"), "{stderr}");
    let bytes = std::fs::read(folder.path().join("a/model.safetensors")).unwrap();
    let weights = bptt::StateDict::from_safetensors(&bytes).unwrap();
    assert!(weights.iter().all(|(_, array)| array.iter().all(|value| value.is_finite())));
    assert!(!metrics(folder.path(), "a").is_empty());
}

#[test]
fn an_existing_run_folder_is_never_overwritten() {
    let folder = folder();
    train(folder.path(), "a", TINY);
    let before = read(folder.path(), "a/metrics.jsonl");
    refused(folder.path(), &format!("train --device cpu --out a {TINY} --seed 9"), 2, &["--out a", "does not exist"]);
    assert_eq!(read(folder.path(), "a/metrics.jsonl"), before);
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    std::fs::write(folder.path().join("empty/mine"), "").unwrap();
    refused(folder.path(), &format!("train --device cpu --out empty {TINY}"), 2, &["--out empty"]);
    std::fs::remove_file(folder.path().join("empty/mine")).unwrap();
    // There is nothing in it that could be overwritten.
    train(folder.path(), "empty", TINY);
}

#[test]
fn a_run_that_starts_from_weights_repeats_from_any_folder_with_the_same_weights_only() {
    let folder = folder();
    let path = folder.path();
    train(path, "a", TINY);
    train(path, "b", "series s.csv --target level --window 5 --epochs 1 --batch 16 --init-from a");
    std::fs::create_dir(path.join("elsewhere")).unwrap();
    let bytes = |file: &str| std::fs::read(path.join(file)).unwrap();
    train(&path.join("elsewhere"), "c", "--config ../b/config.toml");
    assert_eq!(bytes("b/model.safetensors"), bytes("elsewhere/c/model.safetensors"));
    assert_eq!(read(path, "b/config.toml"), read(path, "elsewhere/c/config.toml"));
    std::fs::copy(path.join("b/model.safetensors"), path.join("a/model.safetensors")).unwrap();
    refused(path, "train --config b/config.toml", 1, &["a/model.safetensors", "SHA-256"]);
    train(path, "d", "--config b/config.toml --init-from b");
    std::fs::remove_dir_all(path.join("a")).unwrap();
    refused(path, "train --config b/config.toml", 1, &["b/config.toml, init-from", "name it with --init-from"]);
    assert!(bptt(path, "eval b --device cpu").status.success());
}

#[test]
fn no_command_overwrites_a_file() {
    let folder = folder();
    let path = folder.path();
    train(path, "a", TINY);
    std::fs::create_dir(path.join("pages")).unwrap();
    let there = ["bptt.toml", "pages/bptt-train.1", "out.csv", "out.svg"];
    there.iter().for_each(|file| std::fs::write(path.join(file), "mine").unwrap());
    let expected = "expected a file that does not exist yet; nothing was written";
    refused(path, "init", 2, &["bptt.toml", expected]);
    refused(path, "man --out pages", 2, &["--out pages/bptt-train.1", expected]);
    assert_eq!(entries(&path.join("pages")), ["bptt-train.1"]);
    refused(path, "predict a --out out.csv", 2, &["--out out.csv", expected]);
    refused(path, "forecast a --out out.csv", 2, &["--out out.csv", expected]);
    refused(path, "forecast a --svg out.svg", 2, &["--svg out.svg", expected]);
    there.iter().for_each(|file| assert_eq!(read(path, file), "mine"));
}

#[test]
fn an_invalid_series_file_is_refused_by_row_and_column() {
    let folder = folder();
    let path = folder.path();
    let write = |name: &str, text: &str| std::fs::write(path.join(name), text).unwrap();
    write("empty.csv", "");
    write("head.csv", "t,v\n");
    write("word.csv", "t,v\n1,2\n2,three\n");
    write("gap.csv", "t,v\n1,2\n2,\n");
    write("ragged.csv", "t,v\n1,2\n2\n");
    write("short.csv", "t,v\n1,2\n2,3\n3,4\n");
    write("flat.csv", &format!("t,v\n{}", (0..90).map(|t| format!("{t},2\n")).collect::<String>()));
    refused(path, "train series none.csv", 1, &["none.csv"]);
    refused(path, "train series empty.csv", 1, &["empty.csv", "empty file"]);
    refused(path, "train series head.csv", 1, &["head.csv", "expected rows"]);
    refused(path, "train series word.csv", 1, &["word.csv, row 2 (line 3), column \"v\"", "got \"three\""]);
    refused(path, "train series gap.csv", 1, &["gap.csv, row 2 (line 3, \"2\"), column \"v\"", "a missing value"]);
    refused(path, "train series ragged.csv", 1, &["ragged.csv, row 2", "expected 2 fields, got 1"]);
    refused(path, "train series short.csv", 1, &["short.csv", "at least 23 rows", "got 3 rows"]);
    refused(path, "train series flat.csv", 1, &["flat.csv", "values that differ"]);
    refused(path, "train series s.csv --target depth", 1, &["s.csv", "\"depth\"", "t, level, word"]);
    refused(path, "train series s.csv --target word", 1, &["row 1", "column \"word\"", "got \"x\""]);
    refused(path, "train series s.csv", 1, &["--target", "one or more of level"]);
    refused(path, "train series s.csv --target level --train-until soon", 2, &["--train-until", "a number"]);
    refused(path, "train series s.csv --target level --train-until 60", 2, &["--train-until", "\"0\" to \"59\""]);
    refused(path, "train series s.csv --target level --split 0.5,0.6,0.1", 2, &["--split", "0.5, 0.6, 0.1"]);
}

#[test]
fn meaningless_values_are_refused_by_flag() {
    let folder = folder();
    let path = folder.path();
    refused(path, "train series s.csv --window 0", 2, &["--window", "whole number from 1", "'0'"]);
    for key in ["micro-batch", "val-every"] {
        let parts = [&format!("--set training.{key}"), "whole number from 1", "got 0"];
        refused(path, &format!("train --set training.{key}=0"), 2, &parts);
    }
    for flag in ["hidden", "layers", "batch", "epochs", "steps", "threads"] {
        refused(path, &format!("train --{flag} 0"), 2, &[&format!("--{flag}"), "whole number from 1", "'0'"]);
    }
    refused(path, "train --epochs 3 --steps 4", 2, &["--epochs", "--steps"]);
    refused(path, "train task adding series s.csv", 2, &["unexpected argument"]);
    refused(path, "train task adding --length 1", 2, &["--length", "at least 2"]);
    refused(path, "train --lr -0.1", 2, &["--lr", "at least 0"]);
    refused(path, "train --lr nan", 2, &["--lr"]);
    refused(path, "train series s.csv --validation 1.5", 2, &["--validation", "from 0 to 1"]);
    refused(path, "train series s.csv --target level --split 0.5,0.5", 2, &["--split", "three shares"]);
    refused(path, "train --cell transformer", 2, &["--cell", "rnn, lstm, gru"]);
    refused(path, "train --set model.activation=relu --cell gru", 2, &["model.activation", "rnn"]);
    refused(path, "train --set model.forget-bias=1 --cell rnn", 2, &["model.forget-bias", "lstm"]);
    for bias in ["nan", "-inf", "1e39"] {
        refused(
            path,
            &format!("train --set model.forget-bias={bias}"),
            2,
            &["--set model.forget-bias", "a number from -3.4028235e38", bias],
        );
    }
    for norm in ["1e-300", "1e300", "nan", "-1"] {
        refused(path, &format!("train --clip {norm}"), 2, &["--clip", "0, or a number from 1.1754944e-38", norm]);
    }
    for data in ["series s.csv", "task adding", "text s.csv"] {
        let parts = ["--buckets is a setting of [sequences], [classes] and [rolls]"];
        refused(path, &format!("train {data} --buckets 2"), 2, &parts);
    }
    refused(path, "train --bogus", 2, &["--bogus"]);
    refused(path, "train --device abacus", 1, &["--device abacus", "auto, gpu, cpu"]);
    refused(path, "train --device 99", 1, &["--device 99"]);
    refused(path, "bench --cell lstm --size S --device abacus", 1, &["--device abacus"]);
    refused(path, "bench --cell lstm --size XL", 2, &["--size", "S, M, L, C"]);
}

#[test]
fn sizes_beyond_any_machine_are_refused_by_flag_and_key() {
    let folder = folder();
    let path = folder.path();
    let sizes = [
        ("run", "threads", 1024),
        ("text", "window", 1 << 24),
        ("task", "length", 1 << 24),
        ("model", "hidden", 1 << 24),
        ("model", "layers", 64),
        ("training", "batch", 1 << 24),
        ("training", "micro-batch", 1 << 24),
        ("training", "epochs", 0xffff_ffff_u64),
    ];
    for (section, key, most) in sizes {
        let expected = format!("from 1 to {most}");
        let data = if section == "text" { "text t.txt" } else { "task adding" };
        let flag = if key == "micro-batch" { "--set training.micro-batch=" } else { &format!("--{key} ") };
        refused(path, &format!("train {data} {flag}{}", most + 1), 2, &[flag.trim_end_matches([' ', '=']), &expected]);
        std::fs::write(path.join("big.toml"), format!("[{section}]\n{key} = {}\n", i64::MAX)).unwrap();
        refused(path, "train --config big.toml", 2, &["big.toml, line ", &format!("{section}.{key}"), &expected]);
    }
    std::fs::write(path.join("t.txt"), "to be or not to be ".repeat(200)).unwrap();
    let remedy = |flag| ["--batch", flag, "training.micro-batch"];
    refused(path, "train text t.txt --device cpu --batch 16777216", 2, &remedy("--window"));
    refused(path, "train task adding --device cpu --length 16777216", 2, &remedy("--length"));
    refused(path, "train task copy --device cpu --length 16777216", 2, &remedy("--length"));
    train(path, "a", TINY);
    refused(path, "forecast a --rows 20000000", 2, &["--rows", "from 1 to 100000"]);
    for flag in ["sync-every", "warmup", "check-steps", "threads"] {
        refused(path, &format!("bench --cell rnn --size S --{flag} 4294967295"), 2, &[&format!("--{flag}")]);
    }
}

#[test]
fn a_configuration_with_an_unknown_key_or_changed_data_is_refused() {
    let folder = folder();
    let path = folder.path();
    train(path, "a", TINY);
    let config = read(path, "a/config.toml");
    let write = |name: &str, text: String| std::fs::write(path.join(name), text).unwrap();
    write("key.toml", config.replace("hidden =", "hiden ="));
    write("top.toml", format!("colour = \"red\"\n{config}"));
    write("data.toml", config.replace("window =", "windows ="));
    write("rate.toml", config.replace("lr =", "rate ="));
    write("kind.toml", config.replace("[series]", "[text]"));
    write("two.toml", format!("{config}\n[task]\nname = \"copy\"\n"));
    write("zero.toml", config.replace("hidden = 4", "hidden = 0"));
    write("both.toml", config.replace("epochs = 3", "epochs = 3\nsteps = 4"));
    refused(path, "train --config none.toml", 1, &["none.toml"]);
    refused(path, "train --config key.toml", 2, &["key.toml", "hiden"]);
    refused(path, "train --config top.toml", 2, &["top.toml", "colour"]);
    refused(path, "train --config data.toml", 2, &["data.toml", "windows"]);
    refused(path, "train --config kind.toml", 2, &["kind.toml, line ", "text.calendar", "it is a key of [series]"]);
    refused(path, "train --config two.toml", 2, &["the section of one kind of data, got [series] and [task]"]);
    refused(path, "train --config rate.toml", 2, &["rate.toml", "rate"]);
    refused(path, "train --config zero.toml", 2, &["zero.toml, line ", "model.hidden", "from 1 to 16777216", "got 0"]);
    refused(path, "train --config both.toml", 2, &["--epochs and --steps"]);
    write("s.csv", read(path, "s.csv") + "60,2.0,x\n");
    refused(path, "train --config a/config.toml", 1, &["s.csv", "SHA-256"]);
}

#[test]
fn a_value_refused_by_a_flag_is_refused_in_a_configuration_by_line_and_key() {
    let folder = folder();
    let path = folder.path();
    let values = [
        ("run", "seed = 99999999999999999999", "a whole number from 0 to 9223372036854775807"),
        ("run", "seed = -1", "a whole number from 0 to 9223372036854775807"),
        ("series", "validation = 1.5", "a number from 0 to 1"),
        ("model", "forget-bias = nan", "a number from -3.4028235e38 to 3.4028235e38"),
        ("model", "layers = 0", "a whole number from 1 to 64"),
        ("training", "lr = nan", "a finite number of at least 0"),
        ("training", "lr = -0.5", "a finite number of at least 0"),
        ("training", "clip = 1e-300", "0, or a number from 1.1754944e-38 to 3.4028235e38"),
        ("training", "weight-decay = -1.0", "a finite number of at least 0"),
        ("training", "batch = 0x1000001", "a whole number from 1 to 16777216, or auto"),
    ];
    for (section, line, expected) in values {
        std::fs::write(path.join("c.toml"), format!("# Größe\n[{section}]\n{line}\n")).unwrap();
        let (key, value) = line.split_once(" = ").unwrap();
        let message = format!("error: c.toml, line 3, {section}.{key}: expected {expected}, got {value}\n");
        refused(path, "train --config c.toml", 2, &[&message]);
    }
    std::fs::write(path.join("c.toml"), "[training]\nlr = \"0.1\"\n").unwrap();
    refused(path, "train --config c.toml", 2, &["c.toml", "line 2", "invalid type: string"]);
    std::fs::write(path.join("c.toml"), "[series]\nfile = \"s.csv\"\ntarget = []\n").unwrap();
    refused(path, "train --config c.toml", 2, &["--target", "at least one column"]);
    std::fs::write(path.join("c.toml"), b"[run]\n# Gr\xF6\xDFe\n").unwrap();
    refused(path, "train --config c.toml", 2, &["c.toml, line 2, byte offset 10", "Latin-1"]);
}

#[test]
fn moved_or_grown_data_are_reported_with_the_flag_to_use() {
    let folder = folder();
    let path = folder.path();
    train(path, "a", TINY);
    let text = read(path, "s.csv");
    std::fs::write(path.join("s.csv"), format!("{text}60,2.0,x\n")).unwrap();
    for command in ["eval a --device cpu", "predict a", "forecast a", "train --config a/config.toml"] {
        refused(path, command, 1, &["s.csv: expected the file of the run", "with `series FILE`"]);
    }
    std::fs::rename(path.join("s.csv"), path.join("t.csv")).unwrap();
    for command in ["eval a --device cpu", "predict a", "forecast a", "train --config a/config.toml"] {
        refused(
            path,
            command,
            1,
            &["a/config.toml, file: expected an existing file, got ", "s.csv", "name it with `series FILE`"],
        );
    }
    for command in ["eval a t.csv", "predict a t.csv", "forecast a t.csv"] {
        let output = bptt(path, &format!("{command} --device cpu"));
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn unfinished_runs_and_files_without_a_model_are_refused() {
    let folder = folder();
    let path = folder.path();
    train(path, "a", TINY);
    let model = std::fs::read(path.join("a/model.safetensors")).unwrap();
    std::fs::remove_file(path.join("a/model.safetensors")).unwrap();
    std::fs::create_dir(path.join("empty")).unwrap();
    std::fs::write(path.join("alone.safetensors"), model).unwrap();
    for command in ["eval", "predict", "forecast", "sample", "stream", "inspect"] {
        refused(path, &format!("{command} a"), 1, &["error: a: expected model.safetensors, which a finished run has"]);
        refused(path, &format!("{command} empty"), 1, &["error: empty: expected the folder of a run"]);
        refused(path, &format!("{command} s.csv"), 1, &["s.csv: expected a run's folder or a safetensors file"]);
    }
    for command in ["eval", "predict", "forecast"] {
        let message = "error: alone.safetensors: a model file does not name its data: add a series\n";
        refused(path, &format!("{command} alone.safetensors"), 2, &[message]);
    }
}

#[test]
fn the_reported_memory_is_that_of_the_longest_sequences() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let rows = |id: usize, steps: usize| {
        (0..steps).map(move |step| format!("{id},{step},{},{}\n", ["a", "b"][id % 2], (id + step) % 5))
    };
    let planned = |long: usize| {
        let rows: String = (0..40).flat_map(|id| rows(id, if id % 8 == 0 { long } else { 3 })).collect();
        let name = format!("{long}.csv");
        std::fs::write(path.join(&name), format!("id,time,label,x\n{rows}")).unwrap();
        // Whatever the first batch is.
        let of = |seed: usize| {
            let arguments = format!("sequences {name} --hidden 8 --batch 4 --steps 1 --seed {seed} --json");
            let stdout = train(path, &format!("{long}-{seed}"), &arguments);
            let summary = serde_json::from_str::<Value>(&stdout).unwrap();
            let parts = summary["memory"]["bytes"].as_object().unwrap();
            // What the program itself takes differs from run to run.
            let of_network = parts.iter().filter(|(part, _)| *part != "program_and_data");
            of_network.map(|(_, bytes)| bytes.as_u64().unwrap()).sum::<u64>()
        };
        let all: Vec<u64> = (1..=4).map(of).collect();
        assert!(all.iter().all(|bytes| *bytes == all[0]), "{all:?}");
        all[0]
    };
    assert!(planned(300) > 2 * planned(30));
}

#[test]
fn the_bench_starts_from_the_same_bits_as_its_peers() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [("rnn", 3.478_362, 3.284_748), ("lstm", 3.468_654, 3.440_863), ("gru", 3.468_476, 3.409_337)];
    for (cell, first, fifth) in cases {
        let timing = "--seconds 0 --warmup 0 --warmup-s 0 --min-reps 1";
        let output = bptt(folder.path(), &format!("bench --device cpu --cell {cell} --size S --lr 2.0 {timing}"));
        let line: Value = serde_json::from_slice(&output.stdout).unwrap();
        let losses: Vec<f64> = line["losses"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect();
        assert!((losses[0] - first).abs() < 1e-5 && (losses[4] - fifth).abs() < 1e-5, "{cell}: {losses:?}");
        assert_eq!((line["peer"].as_str(), line["reps"].as_u64()), (Some("bptt"), Some(1)));
    }
}

#[test]
fn the_device_list_ends_with_the_cpu() {
    let output = bptt(Path::new("."), "devices");
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().lines().any(|line| line.starts_with("cpu")));
}

#[test]
fn the_rate_follows_the_schedule_and_patience_ends_a_run() {
    let folder = folder();
    let rates = |out: &str, arguments: &str| {
        train(folder.path(), out, &format!("{TINY} --lr 0.01 {arguments}"));
        let lines = metrics(folder.path(), out);
        lines.iter().map(|line| (line["lr"].as_f64().unwrap() * 1e6).round() / 1e6).collect::<Vec<f64>>()
    };
    // Three batches an epoch, two of them a step: six steps.
    let rates_of_steps = rates("a", "--set training.accumulate=2 --warmup 2 --schedule step:every=2,factor=0.1");
    assert_eq!(rates_of_steps, [0.005, 0.01, 0.01, 0.01, 0.001, 0.001]);
    let config = read(folder.path(), "a/config.toml");
    assert!(config.contains("accumulate = 2") && config.contains("schedule = \"step:every=2,factor=0.1\""), "{config}");
    let cosine = rates("b", "--schedule cosine:floor=0.2");
    assert!(cosine[0] == 0.01 && cosine.is_sorted_by(|a, b| a > b) && cosine[8] > 0.002, "{cosine:?}");
    // At a rate of 0 the first validation stays the best.
    let stdout = train(folder.path(), "c", &format!("{TINY} --lr 0 --patience 1 --json"));
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((summary["ended"].as_str(), summary["steps"].as_u64()), (Some("no-improvement"), Some(6)));
    assert!(read(folder.path(), "c/config.toml").contains("patience = 1"));
    refused(
        folder.path(),
        &format!("train {TINY} --schedule constant:every=3"),
        2,
        &["--schedule", "no parameter of constant", "'every'"],
    );
}

#[test]
fn a_flag_replaces_the_settings_that_it_excludes() {
    let folder = folder();
    let path = folder.path();
    let cosine = "--schedule cosine:floor=0.1 --split 0.6,0.2,0.2";
    train(path, "a", &format!("{TINY} {cosine}"));
    let flags = [
        "--schedule constant",
        "--schedule step:every=2",
        "--schedule plateau",
        "--patience 3",
        "--batch 4",
        "series --train-until 40",
        "series --train-until 40 --validation 0.5",
        "--cell rnn",
        "--optimizer adamw",
        "--steps 5",
        "task adding --length 5",
    ];
    for flags in flags {
        let output = bptt(path, &format!("train --config a/config.toml --device cpu --dump-config {flags}"));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{flags}: {stderr}");
    }
    // An epoch of other batches has other validations, and patience keeps the best weights.
    train(path, "b", "--config a/config.toml --batch 4 --patience 9");
    let lines = metrics(path, "b");
    let measured = lines.iter().filter(|line| !line["val_loss"].is_null()).count();
    assert_eq!((lines.len(), measured), (27, 3), "{measured} of {}", lines.len());
}
