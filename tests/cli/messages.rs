//! Mistakes that a new user makes, and what is said to them; help and the manual.

use crate::common::program;
use std::fs;
use std::path::Path;

use crate::common::program::{bptt, command, entries, refused, succeeds, train};
use bptt::StateDict;

const COMMANDS: [&str; 19] = [
    "train",
    "backtest",
    "sweep",
    "plan",
    "eval",
    "predict",
    "apply",
    "forecast",
    "sample",
    "stream",
    "flow",
    "gradcheck",
    "inspect",
    "export",
    "devices",
    "bench",
    "init",
    "completions",
    "man",
];

#[track_caller]
fn not_said(folder: &Path, arguments: &str, part: &str) {
    let stderr = String::from_utf8(bptt(folder, arguments).stderr).unwrap();
    assert!(!stderr.contains(part), "{arguments}: {stderr}");
}

#[test]
fn a_negative_number_after_a_flag_is_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (arguments, parts) in [
        ("sample t --temperature -1", ["--temperature", "at least 0"]),
        ("sample t --top-p -0.5", ["--top-p", "above 0"]),
        ("sample t --length -3", ["--length", "from 1 to"]),
        ("train --hidden -3", ["--hidden", "from 1 to"]),
        ("train --warmup -1", ["--warmup", "from 0 to"]),
        ("train series s.csv --validation -1", ["--validation", "from 0 to 1"]),
        ("train --seed -1", ["--seed", "from 0 to"]),
        ("bench --cell rnn --size S --seconds -1", ["--seconds", "at least 0"]),
        ("plan --memory -1", ["--memory", "expected bytes"]),
    ] {
        refused(path, arguments, 2, &parts);
        not_said(path, arguments, "-- -");
    }
    refused(path, "train --lr -inf", 2, &["--lr=-inf"]);
    refused(path, "train series s.csv --quantiles -0.1,0.5", 2, &["--quantiles=-0.1,0.5"]);
    refused(path, "train series s.csv --quantiles=-0.1,0.5", 2, &["--quantiles", "above 0 and below 1"]);
    refused(path, "sample t --prime --hello", 2, &["--prime=--hello"]);
}

#[test]
fn an_unknown_flag_gets_a_useful_suggestion_or_none() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, tip) in [
        ("eval a --epochs 3", "tip: --epochs is a flag of train, backtest, plan and flow"),
        ("--epochs 3", "tip: --epochs is a flag of train, backtest, plan and flow"),
        ("train --temperature 1", "tip: --temperature is a flag of sample"),
        ("train --rows 3", "tip: --rows is a flag of forecast"),
        ("train --epoch 3", "tip: a similar flag is '--epochs'"),
        ("train --hiden 3", "tip: a similar flag is '--hidden'"),
        ("train --learning-rate 0.1", "tip: its name in this command is '--lr'"),
        ("train --batch_size 3", "tip: its name in this command is '--batch'"),
        ("train series --train_until 3", "tip: its name in this command is '--train-until'"),
        ("train --window 3", "tip: --window is a flag of train series, train text and train audio"),
        ("train task --window 3", "tip: --window is a flag of train series, train text and train audio"),
        ("train --csv s.csv", "tip: the kind of data goes after the command: bptt train series FILE"),
        ("train --gpu", "tip: name the device with '--device gpu'"),
        ("train -epochs 3", "tip: flags have two dashes: --epochs"),
        ("train --bidirectional true", "--bidirectional=true"),
        ("train --json true", "--json takes no value"),
        ("trian", "tip: a similar command is 'bptt train'"),
    ] {
        refused(folder.path(), arguments, 2, &[tip]);
    }
    for arguments in ["train --bogus 3", "train --zzz", "frobnicate"] {
        not_said(folder.path(), arguments, "tip:");
    }
}

#[test]
fn a_file_without_a_kind_gets_the_command_that_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("data.csv"), "t,level\n1,2\n").unwrap();
    fs::write(path.join("long.csv"), "id,time,label,x\n1,1,a,2\n").unwrap();
    fs::write(path.join("keys.csv"), "60,61,62\n0,1,1\n").unwrap();
    fs::write(path.join("bars.csv"), "c|d|e\n0|1|1\n").unwrap();
    fs::write(path.join("notes"), "to be").unwrap();
    for run in ["names", "run"] {
        fs::create_dir(path.join(run)).unwrap();
    }
    fs::write(path.join("run/config.toml"), "").unwrap();
    for (file, kind) in [
        ("data.csv", "series"),
        ("long.csv", "sequences"),
        ("keys.csv", "rolls"),
        ("bars.csv", "rolls"),
        ("absent.csv", "series"),
        ("x.txt", "text"),
        ("notes", "text"),
        ("X_TRAIN.ts", "sequences"),
        ("train-images-idx3-ubyte.gz", "sequences"),
        ("x.npz", "sequences"),
        ("chorales.json", "rolls"),
        ("bptt.toml", "--config"),
        ("model.safetensors", "--init-from"),
        ("names", "classes"),
        ("run", "--resume"),
    ] {
        let tip = format!("tip: name the kind of data: bptt train {kind} {file}");
        refused(path, &format!("train {file}"), 2, &[&tip]);
    }
    refused(path, "data.csv", 2, &["tip: name the kind of data: bptt train series data.csv"]);
}

#[test]
fn an_argument_that_equals_the_program_path_is_refused_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_bptt");
    for word in [&program[..1], program] {
        refused(folder.path(), &format!("inspect a {word}"), 2, &[&format!("unexpected argument '{word}'")]);
    }
}

#[test]
fn a_folder_in_place_of_a_file_and_the_reverse_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("s.csv"), "t,x\n1,2\n").unwrap();
    fs::create_dir(path.join("f")).unwrap();
    for kind in ["series", "text", "sequences", "rolls"] {
        refused(path, &format!("train {kind} f"), 1, &["/f: ", &format!("{kind}: expected a file, got a folder")]);
    }
    for flag in ["test-file", "labels", "test-labels"] {
        let arguments = format!("train sequences s.csv --{flag} f");
        refused(path, &arguments, 1, &[&format!("--{flag}: expected a file, got a folder")]);
    }
    refused(path, "train --config f", 1, &["f: expected a configuration file, got a folder"]);
    refused(path, "train --resume s.csv", 1, &["s.csv: expected the folder of a run", "got a file"]);
    refused(path, "train classes s.csv", 1, &["classes: expected a folder", "got a file"]);
    refused(path, "bench --device cpu --cell rnn --size S --compare f", 1, &["f: expected a file, got a folder"]);
    refused(path, "inspect f", 1, &["f: expected the folder of a run"]);
    refused(path, "train --device cpu --steps 1 --out s.csv/run", 1, &["s.csv/run: expected a folder in its path"]);
}

#[test]
fn a_column_name_with_a_comma_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let rows: String = (0..40).map(|row| format!("{row},{},{},{}\n", row % 7, row % 5, row % 3)).collect();
    fs::write(path.join("s.csv"), format!("t,\"Preis, EUR\",b,c\n{rows}")).unwrap();
    let trained = |out: &str, flags: &[&str]| {
        let mut command = command(path, &format!("train series s.csv --device cpu --window 3 --steps 1 --out {out}"));
        command.args(flags).output().unwrap()
    };
    let output = trained("a", &["--target", "\"Preis, EUR\",c", "--features", "b"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout).unwrap().contains("targets \"Preis, EUR\", c"));
    // The run's own configuration has it too.
    succeeds(path, "train --device cpu --config a/config.toml --out b");
    let output = trained("c", &["--target", "Preis"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("\"Preis\"") && stderr.contains("t, \"Preis, EUR\", b, c"), "{stderr}");
    for wrong in ["b,", ",b", "b,,c", "\"b"] {
        let output = trained("c", &["--target", wrong]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && stderr.contains("--target"), "{wrong}: {stderr}");
    }
}

#[test]
fn an_unknown_or_misplaced_key_gets_the_intended_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (text, message) in [
        ("[model]\nhiden = 3\n", "c.toml, line 2, model.hiden: unknown key; a similar one is hidden\n"),
        ("[model]\n\nlr = 0.1\n", "c.toml, line 3, model.lr: unknown key; it is a key of [training]\n"),
        ("[model]\nepoch = 1\n", "a similar one is epochs of [training]"),
        ("hidden = 3\n", "c.toml, line 1, hidden: unknown key; it is a key of [model]\n"),
        (
            "[optimizer]\nlr = 1\n",
            "c.toml, line 1, optimizer: expected one of the sections [series], [text], [sequences], [classes], [rolls], [audio], [task], [run], [model], [training], [backtest], [sweep]\n",
        ),
        ("[model]\nzzz = 1\n", "`bptt init` writes a file with every key"),
    ] {
        fs::write(path.join("c.toml"), text).unwrap();
        refused(path, "train --config c.toml", 2, &[message]);
    }
}

#[test]
fn a_file_that_is_not_a_model_is_recognised_by_its_first_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("input.txt"), "First Citizen:\nBefore we proceed any further, hear me speak.\n").unwrap();
    for arguments in ["inspect input.txt", "eval input.txt", "train task adding --init-from input.txt"] {
        let part = "input.txt: expected a run's folder or a safetensors file; it begins with \"First Citizen:…\"";
        refused(path, arguments, 1, &[part]);
        not_said(path, arguments, "header of");
    }
}

#[test]
fn weights_under_pytorch_wrappers_equal_those_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    train(path, "a", "task adding --length 6 --hidden 4 --steps 2");
    let bytes = fs::read(path.join("a/model.safetensors")).unwrap();
    let description = StateDict::safetensors_note(&bytes, "bptt").unwrap().unwrap();
    let weights = StateDict::from_safetensors(&bytes).unwrap();
    let wrapped = weights.iter().map(|(name, array)| (format!("_orig_mod.module.{name}"), array.clone()));
    let wrapped: StateDict = wrapped.collect();
    fs::write(path.join("w.safetensors"), wrapped.to_safetensors(Some(("bptt", &description))).unwrap()).unwrap();
    let of = |model: &str| {
        let summary = program::json(path, &format!("eval {model} --device cpu --length 6 --json"));
        (summary["test"].clone(), summary["baselines"].clone())
    };
    assert_eq!(of("a/model.safetensors"), of("w.safetensors"));
}

/// As it is printed where nothing tells the terminal's width.
fn help(arguments: &str, columns: Option<&str>) -> String {
    let mut command = command(Path::new("."), arguments);
    command.env_remove("COLUMNS");
    command.envs(columns.map(|columns| ("COLUMNS", columns)));
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn help_fits_80_columns_and_breaks_only_between_words() {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for of in COMMANDS.iter().map(|command| format!("{command} ")).chain([String::new()]) {
        for flag in ["-h", "--help"] {
            let (narrow, wide) = (help(&format!("{of}{flag}"), None), help(&format!("{of}{flag}"), Some("110")));
            assert_eq!(words(&narrow), words(&wide), "{of}{flag}");
            for line in narrow.lines() {
                assert!(line.chars().count() <= 80, "{of}{flag}: {line}");
            }
            assert!(narrow.contains("Usage: bptt"));
            // An example can be copied as it stands.
            for line in wide.lines().filter(|line| line.starts_with("  bptt ") && !line[3..].contains("   ")) {
                assert!(narrow.contains(&format!("{line}\n")), "{of}{flag}: {line}");
            }
        }
    }
    let long = help("train --help", None);
    assert!(long.contains("\n          - constant: no decay\n"), "{long}");
    assert!(help("--help", None).contains("\n  130  stopped by Ctrl-C (SIGINT)\n"));
}

#[test]
fn a_missing_output_folder_is_refused_early_and_printed_commands_are_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    refused(path, "predict nowhere --out nodir/p.csv", 2, &["--out nodir/p.csv", "an existing folder nodir"]);
    let said = command(path, "init").arg("my own.toml").output().unwrap().stdout;
    assert!(String::from_utf8(said).unwrap().contains("bptt train --config 'my own.toml'\n"));
}

#[test]
fn the_manual_names_only_existing_pages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let pages_named = |text: &str| -> Vec<String> {
        let text = text.replace("\\-", "-").replace("\\fR", "").replace("\\fB", "");
        let names = text.split_whitespace().filter(|word| word.starts_with("bptt") && word.ends_with("(1)"));
        names.map(|name| name.replace("(1)", ".1")).collect()
    };
    let one = succeeds(path, "man");
    assert_eq!(pages_named(&one), Vec::<String>::new());
    for command in COMMANDS {
        assert!(one.contains(&format!(".SH \"BPTT {}\"\n", command.to_uppercase())), "{command}");
    }
    for part in ["\\-\\-epochs", "\\-\\-temperature", "\\-\\-log\\-every", "SIGTERM"] {
        assert!(one.contains(part), "{part}");
    }
    succeeds(path, "man --out pages");
    let pages = entries(&path.join("pages"));
    // Three commands have a page for each of seven kinds of data.
    assert_eq!(pages.len(), COMMANDS.len() + 1 + 3 * 7);
    for page in &pages {
        for name in pages_named(&fs::read_to_string(path.join("pages").join(page)).unwrap()) {
            assert!(pages.contains(&name), "{page} speaks of {name}");
        }
    }
}

#[test]
fn the_help_of_a_kind_has_its_own_defaults_and_at_most_45_flags() {
    let folder = tempfile::tempdir().unwrap();
    let defaults = [
        ("series", ["16", "0.005"], "Number of epochs [default: 50]"),
        ("text", ["128", "0.002"], "Number of epochs [default: 10]"),
        ("sequences", ["64", "0.001"], "Number of epochs [default: 100]"),
        ("classes", ["128", "0.002"], "Number of epochs [default: 15]"),
        ("rolls", ["128", "0.001"], "Number of epochs [default: 50]"),
        ("audio", ["32", "0.005"], "Number of epochs [default: 100]"),
        ("task", ["64", "0.005"], "Number of optimizer steps [default: 2000]"),
    ];
    for (kind, [hidden, rate], length) in defaults {
        let help = String::from_utf8(bptt(folder.path(), &format!("train {kind} -h")).stdout).unwrap();
        let hidden = format!("Number of hidden units [default: {hidden}]");
        for line in [hidden, format!("Learning rate [default: {rate}]"), length.into()] {
            assert!(help.contains(&line), "{kind}: expected {line:?} in\n{help}");
        }
        let flags = help.lines().filter(|line| line.trim_start().starts_with("--")).count();
        assert!((30..=45).contains(&flags), "{kind}: {flags} flags\n{help}");
        assert!(help.lines().count() <= 100, "{kind}: {} lines", help.lines().count());
    }
}
