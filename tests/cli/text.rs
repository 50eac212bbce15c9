//! Texts from outside: learning one, going on with it, and what is refused.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use crate::common::program::{bptt, command, entries, refused, train};
use serde_json::Value;

/// A folder with a text, `t.txt`, that says the same again and again, with an umlaut in each line.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.txt"), "the cat sat on the mät.\n".repeat(200)).unwrap();
    folder
}

const TINY: &str = "text t.txt --window 16 --hidden 24 --batch 8 --lr 0.01 --set training.val-every=50";

fn output(folder: &Path, arguments: &str) -> String {
    let output = bptt(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_repeating_text_is_learned_and_continued() {
    let folder = folder();
    let summary = json(&train(folder.path(), "a", &format!("{TINY} --cell gru --steps 300 --json")));
    let validation = &summary["validation"];
    assert!(validation["loss"].as_f64().unwrap() < 0.2, "{validation}");
    assert!(validation["baseline_loss"].as_f64().unwrap() > 2.0, "{validation}");
    let sampled = output(folder.path(), "sample a --prime the --temperature 0 --length 45 --device cpu");
    assert_eq!(sampled, "the cat sat on the mät.\nthe cat sat on the mät.\n");
    // A model's file alone is enough, and the seed decides.
    std::fs::copy(folder.path().join("a/model.safetensors"), folder.path().join("m.safetensors")).unwrap();
    let sample = |arguments: &str| output(folder.path(), &format!("sample m.safetensors --device cpu {arguments}"));
    assert_eq!(sample("--seed 3 --temperature 2"), sample("--seed 3 --temperature 2"));
    assert_ne!(sample("--seed 3 --temperature 2"), sample("--seed 4 --temperature 2"));
    assert_eq!(sample("--seed 3 --top-k 1"), sample("--seed 4 --top-k 1"));
    let files = entries(&folder.path().join("a"));
    assert!(files.contains(&"sample.svg".into()) && files.contains(&"report.html".into()), "{files:?}");
}

#[test]
fn eval_prints_the_loss_of_the_run_for_any_batch() {
    let folder = folder();
    let summary = json(&train(folder.path(), "a", &format!("{TINY} --steps 20 --json")));
    for batch in ["", "--batch 1", "--batch 3"] {
        let again = json(&output(folder.path(), &format!("eval a --device cpu --json {batch}")));
        let [a, b] = [&summary, &again].map(|it| it["validation"]["loss"].as_f64().unwrap());
        assert!((a - b).abs() < 1e-4, "{batch}: {a} {b}");
    }
    // Another text is measured whole; what its characters are was settled by the first.
    std::fs::write(folder.path().join("other.txt"), "the cat sat on the mat?\n".repeat(20)).unwrap();
    let stdout = output(folder.path(), "eval a --device cpu other.txt");
    assert!(stdout.contains("test 480") && stdout.contains("20 characters of test are unknown"), "{stdout}");
}

#[test]
fn an_epoch_with_carried_state_is_one_pass_over_the_text() {
    let folder = folder();
    // Nothing is learned at a rate of 0, so that the steps' losses are those of one network.
    let settings = "text t.txt --window 16 --hidden 24 --batch 1 --optimizer sgd --lr 0 --epochs 1 --split 1,0,0";
    let loss = |out: &str, arguments: &str| {
        train(folder.path(), out, &format!("{settings} {arguments}"));
        let metrics = std::fs::read_to_string(folder.path().join(out).join("metrics.jsonl")).unwrap();
        let losses: Vec<f64> = metrics.lines().map(|line| json(line)["loss"].as_f64().unwrap()).collect();
        // 4799 characters are told, 15 of them by the last window.
        assert_eq!(losses.len(), 300);
        (losses[..299].iter().sum::<f64>() * 16.0 + losses[299] * 15.0) / 4799.0
    };
    let (carried, anew) = (loss("a", "--carry-state"), loss("b", ""));
    let once = json(&output(folder.path(), "eval a t.txt --batch 1 --device cpu --json"));
    assert!(once["test"].is_null(), "all of it was trained on: {once}");
    let once = once["training"]["loss"].as_f64().unwrap();
    assert!((carried - once).abs() < 1e-5 && (anew - once).abs() > 1e-4, "{carried} {anew} {once}");
}

#[test]
fn bytes_are_read_unchanged() {
    let folder = folder();
    std::fs::write(folder.path().join("b.bin"), [0u8, 255, 7, 254].repeat(300)).unwrap();
    let settings = "text b.bin --bytes --window 8 --hidden 16 --batch 8 --lr 0.02 --steps 150 --json";
    let summary = json(&train(folder.path(), "a", settings));
    assert!(summary["validation"]["loss"].as_f64().unwrap() < 0.5, "{summary}");
    let sampled = bptt(folder.path(), "sample a --length 8 --temperature 0 --device cpu").stdout;
    assert_eq!(sampled.len(), 9);
    assert!(sampled[..8].contains(&255), "{sampled:?}");
}

#[test]
fn a_run_initialised_from_another_keeps_its_vocabulary() {
    let folder = folder();
    std::fs::write(folder.path().join("more.txt"), "the mat sat on the cat.\n".repeat(100)).unwrap();
    train(folder.path(), "a", &format!("{TINY} --steps 200"));
    let first = |out: &str, arguments: &str| {
        train(folder.path(), out, &format!("text more.txt --window 16 --steps 3 --json {arguments}"));
        let metrics = std::fs::read_to_string(folder.path().join(out).join("metrics.jsonl")).unwrap();
        json(metrics.lines().next().unwrap())["loss"].as_f64().unwrap()
    };
    let (tuned, anew) = (first("b", "--init-from a"), first("c", "--hidden 24"));
    assert!(tuned < 2.0 && anew > 2.3, "{tuned} {anew}");
    // What a configuration keeps repeats it.
    train(folder.path(), "d", "--config b/config.toml");
    let weights = |out: &str| std::fs::read(folder.path().join(out).join("model.safetensors")).unwrap();
    assert_eq!(weights("b"), weights("d"));
}

#[test]
fn characters_can_be_embedded_alone_or_tied_to_the_head() {
    let folder = folder();
    let path = folder.path();
    let names = |out: &str| {
        let bytes = std::fs::read(path.join(out).join("model.safetensors")).unwrap();
        bptt::StateDict::from_safetensors(&bytes).unwrap()
    };
    let run = |out: &str, flags: &str| {
        let said = train(path, out, &format!("text t.txt --window 16 --steps 4 {flags}"));
        output(path, &format!("sample {out} --length 5 --device cpu"));
        output(path, &format!("eval {out} --device cpu"));
        output(path, &format!("export {out} {out}.onnx"));
        said
    };
    let said = run("a", "--hidden 6 --embedding 5");
    assert!(said.contains("(vectors of 5) → 6"), "{said}");
    let own = names("a");
    let vectors = own.get("embedding.weight").unwrap();
    assert_eq!((vectors.shape()[1], own.get("rnn.weight_ih_l0").unwrap().shape()[1]), (5, 5));
    let said = run("b", "--hidden 6 --tied");
    assert!(said.contains("(vectors of 6, tied) → 6"), "{said}");
    let tied = names("b");
    assert_eq!(tied.get("embedding.weight"), tied.get("head.weight"));
    // The network comes with the weights.
    let said = run("c", "--init-from b");
    assert!(said.contains("(vectors of 6, tied) → 6"), "{said}");
    refused(path, "train task adding --embedding 4", 2, &["--embedding", "these data are numbers"]);
    refused(path, "train --embedding 4", 2, &["--embedding is a flag of train text, train classes and train task"]);
    refused(path, &format!("train {TINY} --embedding 4 --tied"), 2, &["--embedding 4", "the 24 numbers"]);
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_a_run_after_its_step_and_keeps_the_weights() {
    let folder = folder();
    let mut run = command(folder.path(), &format!("train --device cpu --out a {TINY} --steps 100000000"));
    let mut run = run.stdout(Stdio::piped()).spawn().unwrap();
    // Its first screen stands, and some steps have been taken.
    let metrics = folder.path().join("a/metrics.jsonl");
    while std::fs::metadata(&metrics).map_or(0, |it| it.len()) == 0 {
        assert!(run.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(std::process::Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap().success());
    let mut stdout = String::new();
    run.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert!(stdout.contains("stopped by a signal"), "{stdout}");
    let files = entries(&folder.path().join("a"));
    assert!(files.contains(&"model.safetensors".into()) && files.iter().all(|file| !file.ends_with(".part")));
    output(folder.path(), "sample a --length 5 --device cpu");
}

#[test]
fn sample_ends_quietly_when_its_reader_closes() {
    let folder = folder();
    train(folder.path(), "a", &format!("{TINY} --steps 2"));
    let mut sample = command(folder.path(), "sample a --length 100000 --device cpu");
    let mut sample = sample.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut few = [0; 10];
    sample.stdout.take().unwrap().read_exact(&mut few).unwrap();
    let output = sample.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn an_unwritable_result_is_a_failure() {
    let folder = folder();
    train(folder.path(), "a", &format!("{TINY} --steps 2"));
    std::fs::write(
        folder.path().join("s.ts"),
        "@classLabel true a b\n@data\n".to_owned() + &"1,2:a\n3,4:b\n".repeat(10),
    )
    .unwrap();
    train(folder.path(), "c", "sequences s.ts --hidden 2 --steps 1");
    for arguments in ["eval a --json", "inspect a", "sample a", "predict c", "devices"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(folder.path(), arguments).stdout(full).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments}: {stderr}");
        assert!(stderr.contains("standard output"), "{arguments}: {stderr}");
    }
}

#[test]
fn a_split_of_unknown_characters_is_reported_and_does_not_fail_the_run() {
    let folder = tempfile::tempdir().unwrap();
    // No two characters of it are the same.
    let text: String = (0x4e00..0x4e00 + 900).filter_map(char::from_u32).collect();
    std::fs::write(folder.path().join("t.txt"), text).unwrap();
    let text = "text t.txt --window 8 --hidden 2 --batch 2 --steps 3 --set training.val-every=1";
    let told = train(folder.path(), "a", text);
    assert!(told.contains("validation: none of its characters is in the vocabulary"), "{told}");
    assert!(entries(&folder.path().join("a")).contains(&"report.html".into()));
    let measured = output(folder.path(), "eval a --device cpu");
    assert!(measured.contains("validation: none of its characters is in the vocabulary"), "{measured}");
    refused(
        folder.path(),
        &format!("train --device cpu {text} --patience 2"),
        2,
        &["--patience", "no validation data"],
    );
    // One that it knows is enough.
    let text: String = (0x4e00..0x4e00 + 899).chain([0x4e00]).filter_map(char::from_u32).collect();
    std::fs::write(folder.path().join("t.txt"), text).unwrap();
    let summary = json(&train(folder.path(), "b", &format!("{TINY} --steps 1 --json")));
    assert!(summary["validation"]["loss"].as_f64().unwrap() > 0.0, "{summary}");
}

#[test]
fn invalid_text_is_refused_by_position() {
    let folder = folder();
    let path = folder.path();
    let write = |name: &str, bytes: &[u8]| std::fs::write(path.join(name), bytes).unwrap();
    write("empty.txt", b"");
    write("one.txt", &b"a".repeat(2000));
    write("short.txt", b"abc");
    write("latin.txt", b"ab\ncd\xe9 ef\n");
    write("cut.txt", "abcdé".repeat(99).strip_suffix('é').unwrap().as_bytes());
    std::fs::OpenOptions::new().append(true).open(path.join("cut.txt")).unwrap().write_all(&[0xc3]).unwrap();
    write("utf16.txt", &[0xff, 0xfe, b'a', 0, b'b', 0]);
    refused(path, "train text none.txt", 1, &["none.txt"]);
    refused(path, "train text empty.txt", 1, &["empty.txt", "empty file"]);
    refused(
        path,
        "train text one.txt",
        1,
        &["one.txt, the vocabulary", "at least two different characters", "only 'a'"],
    );
    refused(path, "train text short.txt", 1, &["short.txt, the training split", "window of 64"]);
    refused(path, "train text latin.txt", 1, &["latin.txt", "line 2", "byte offset 5"]);
    refused(path, "train text cut.txt", 1, &["cut.txt", "UTF-8"]);
    refused(path, "train text utf16.txt", 1, &["utf16.txt", "UTF-16"]);
    refused(path, "train text t.txt --split 0.5,0.6,0.1", 2, &["--split", "0.5, 0.6, 0.1"]);
    refused(path, "train text t.txt --target level", 2, &["--target is a flag of train series"]);
    refused(path, "train text t.txt --bidirectional", 2, &["--bidirectional", "reverse direction"]);
    refused(
        path,
        "train text t.txt --set model.direction=reverse",
        2,
        &["model.direction reverse: the reverse direction of a text"],
    );
    refused(path, "train text t.txt --bidirectional --carry-state", 2, &["--bidirectional"]);
    refused(path, "train text t.txt --patience 3 --split 1,0,0", 2, &["--patience", "no validation data"]);
}

#[test]
fn mismatched_models_and_data_are_refused() {
    let folder = folder();
    let path = folder.path();
    let write = |name: &str, text: &str| std::fs::write(path.join(name), text).unwrap();
    write("s.csv", &format!("t,v\n{}", (0..60).map(|n| format!("{n},{}\n", n % 7)).collect::<String>()));
    train(path, "a", &format!("{TINY} --steps 2"));
    train(path, "series", "series s.csv --window 4 --epochs 1");
    refused(path, "forecast a s.csv", 2, &["only a series can be forecast", "is of a text"]);
    refused(path, "train series s.csv --init-from a", 2, &["the model is of a text, the data are a series"]);
    refused(path, "train text t.txt --init-from a --hidden 3", 2, &["--init-from", "its network"]);
    refused(path, "eval a t.txt --bytes", 2, &["--bytes is a flag of train text"]);
    refused(path, "train text t.txt --bytes --set text.min-count=2", 2, &["text.min-count", "--bytes"]);
    refused(path, "sample series", 2, &["a text", "a series"]);
    refused(path, "predict a", 2, &["bptt sample"]);
    refused(path, "sample none", 1, &["none"]);
    refused(path, "sample a --top-p 0", 2, &["--top-p", "a number above 0 and at most 1"]);
    refused(path, "eval a/model.safetensors", 2, &["a/model.safetensors", "does not name its data: add a text"]);
    // A model's file that is none, is cut, or is of another version.
    let model = std::fs::read(path.join("a/model.safetensors")).unwrap();
    std::fs::write(path.join("cut.safetensors"), &model[..model.len() / 2]).unwrap();
    std::fs::write(path.join("earlier.safetensors"), with_format(&model, 1)).unwrap();
    std::fs::write(path.join("later.safetensors"), with_format(&model, 9)).unwrap();
    refused(path, "sample t.txt", 1, &["t.txt: expected a run's folder or a safetensors file"]);
    refused(path, "sample cut.safetensors", 1, &["cut.safetensors"]);
    let earlier =
        "expected a model of format 2, got format 1: an earlier version of bptt wrote it, and only that one reads it";
    refused(path, "sample earlier.safetensors", 1, &["earlier.safetensors: ", earlier]);
    refused(path, "train text t.txt --init-from earlier.safetensors", 1, &["earlier.safetensors: ", earlier]);
    // A later form that has nothing new in it.
    let length = "--length 20 --device cpu";
    assert_eq!(
        output(path, &format!("sample later.safetensors {length}")),
        output(path, &format!("sample a {length}"))
    );
}

/// The file with another version in its description, which is as long.
fn with_format(model: &[u8], format: u8) -> Vec<u8> {
    let key = br#"\"format\":"#;
    let at = model.windows(key.len()).position(|window| window == key).unwrap() + key.len();
    let mut model = model.to_vec();
    model[at] = b'0' + format;
    model
}

#[test]
fn init_writes_a_valid_configuration_with_every_setting() {
    let folder = folder();
    let path = folder.path();
    output(path, "init");
    let text = std::fs::read_to_string(path.join("bptt.toml")).unwrap();
    for key in [
        "file",
        "train-until",
        "carry-state",
        "labels",
        "keys",
        "length",
        "cell",
        "hidden",
        "lr",
        "schedule",
        "patience",
        "device",
    ] {
        assert!(text.contains(&format!("\n# {key} = ")), "{key}");
    }
    refused(path, "init", 2, &["bptt.toml"]);
    let own = output(path, "train --dump-config --config bptt.toml");
    assert_eq!(own, output(path, "train --dump-config"));
    // Every key that stands by itself may be taken as it is.
    let sections = ["[training]", "[model]"].map(|section| {
        let rest = text.split_once(section).unwrap().1;
        (section, rest.split("\n[").next().unwrap().to_owned())
    });
    for (section, body) in sections {
        for setting in body.lines().filter_map(|line| line.strip_prefix("# ")).filter(|line| line.contains(" = ")) {
            let skipped =
                ["init-from", "activation", "embedding", "tied", "buckets", "steps", "patience", "class-weights"];
            if skipped.iter().any(|key| setting.starts_with(key)) {
                continue;
            }
            std::fs::write(path.join("one.toml"), format!("{section}\n{setting}\n")).unwrap();
            output(path, "train --dump-config --config one.toml");
        }
    }
}

#[test]
fn a_dumped_configuration_equals_that_of_the_run() {
    let folder = folder();
    let dumped = output(folder.path(), &format!("train {TINY} --device cpu --steps 3 --dump-config"));
    assert_eq!(entries(folder.path()), ["t.txt"]);
    train(folder.path(), "a", &format!("{TINY} --steps 3"));
    assert_eq!(dumped, std::fs::read_to_string(folder.path().join("a/config.toml")).unwrap());
}

#[test]
fn inspect_shows_shapes_and_norms_of_any_safetensors_file() {
    let folder = folder();
    train(folder.path(), "a", &format!("{TINY} --steps 2 --cell gru"));
    let stdout = output(folder.path(), "inspect a");
    for part in ["gru", "a text, a vocabulary of 14", "rnn.weight_hh_l0", "[72, 24]"] {
        assert!(stdout.contains(part), "{part:?} is not in {stdout}");
    }
    let weights = bptt::StateDict::from_iter([("x".into(), bptt::ndarray::arr1(&[3.0f32, -4.0]).into_dyn())]);
    std::fs::write(folder.path().join("x.safetensors"), weights.to_safetensors(None).unwrap()).unwrap();
    let value = json(&output(folder.path(), "inspect x.safetensors --json"));
    assert_eq!(
        value["tensors"][0],
        serde_json::json!({
            "name": "x", "dtype": "F32", "shape": [2], "norm": 5.0, "min": -4.0, "max": 3.0, "non_finite": 0
        })
    );
    refused(folder.path(), "inspect t.txt", 1, &["t.txt", "safetensors"]);
}

#[test]
fn completions_and_the_manual_cover_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let commands = ["train", "eval", "predict", "sample", "inspect", "devices", "bench", "init"];
    for text in [output(folder.path(), "completions bash"), output(folder.path(), "man")] {
        assert!(commands.iter().all(|command| text.contains(command)));
    }
    // Kinds of data and choices by their names, folders where one is expected, and files everywhere else.
    let script = output(folder.path(), "completions bash");
    let of_train = script.split("\n        bptt__subcmd__train)").nth(1).unwrap();
    let choices = ["series text sequences classes rolls audio task help\"", "-W \"rnn lstm gru\"", "-o plusdirs"];
    assert!(choices.iter().all(|choice| of_train.contains(choice)), "{of_train}");
    assert!(script.contains("complete -F _bptt -o nosort -o bashdefault -o default bptt"));
    output(folder.path(), "man --out pages");
    assert!(entries(&folder.path().join("pages")).contains(&"bptt-train.1".into()));
    assert!(output(folder.path(), "train --help").contains("Examples:"));
    assert!(!output(folder.path(), "train -h").contains("Examples:"));
    assert_eq!(bptt(folder.path(), "").status.code(), Some(2));
}
