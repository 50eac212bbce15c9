//! Names, paths and texts that a file or a folder brings: of any length and any characters.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::common::program::{bptt, json, succeeds, train};
use bptt::StateDict;
use bptt::ndarray::ArrayD;

/// An order to the terminal in each of its forms, what turns the order of writing around, and lines of their own.
const ODD: &str =
    "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\u{202e}x\u{2067}\u{200f}\u{61c}\r\u{7f}\u{8}\nerror: not ours\ty";

/// Whether a text has what a terminal would take as an order, or what turns the order of writing around.
fn is_odd(character: char) -> bool {
    character.is_control() && !"\n\t".contains(character)
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[track_caller]
fn is_plain(what: &str, text: &str) {
    let odd = text.lines().find(|line| line.contains(is_odd));
    assert!(odd.is_none(), "{what}: {odd:?}");
    assert!(!text.lines().any(|line| line.starts_with("error: not ours")), "{what}: {text}");
}

/// Runs it, and looks at what it prints.
#[track_caller]
fn prints_plain(folder: &Path, arguments: &str) -> Output {
    let output = bptt(folder, arguments);
    for bytes in [&output.stdout, &output.stderr] {
        is_plain(arguments, std::str::from_utf8(bytes).unwrap());
    }
    assert_ne!(output.status.code(), Some(101), "{arguments}");
    output
}

/// All files of a folder whose name has this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let paths = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|it| it == ending)).collect()
}

fn field(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Series, sequences in classes and piano rolls, in whose every name there is `name`.
fn data(folder: &Path, name: &str) {
    let mut series = format!("{},{},{}\n", field(name), field(&format!("a{name}")), field(&format!("b{name}")));
    let mut sequences = format!("id,time,{},{}\n", "label", field(&format!("v{name}")));
    let mut rolls = format!("piece,{},{}\n", field(&format!("k{name}")), field(&format!("l{name}")));
    for row in 0..60 {
        writeln!(series, "{},{},{}", field(&format!("{name}{row}")), row % 7, row % 5).unwrap();
        let class = if row % 2 == 0 { format!("even{name}") } else { format!("odd{name}") };
        for time in 0..3 {
            writeln!(sequences, "{row},{time},{},{}", field(&class), row % 2 * 3 + time).unwrap();
        }
        writeln!(rolls, "{},{},{}", field(&format!("{name}{}", row / 6)), row % 2, row % 3 / 2).unwrap();
    }
    fs::write(folder.join("series.csv"), series).unwrap();
    // A string of JSON is one of TOML too.
    let targets = ["a", "b"].map(|column| serde_json::Value::from(format!("{column}{name}")).to_string());
    let settings =
        format!("[series]\nfile = \"series.csv\"\nwindow = 4\nhorizon = 2\ntarget = [{}]\n", targets.join(", "));
    fs::write(folder.join("series.toml"), settings.replace('\u{7f}', "\\u007f")).unwrap();
    fs::write(folder.join("sequences.csv"), sequences).unwrap();
    fs::write(folder.join("rolls.csv"), rolls).unwrap();
    fs::write(folder.join("text.txt"), format!("{name} and {name}\n").repeat(400)).unwrap();
}

/// A run of each kind of data, and the commands that go on with it.
const KINDS: [(&str, &str); 4] = [
    ("series", "--config series.toml"),
    ("sequences", "sequences sequences.csv"),
    ("rolls", "rolls rolls.csv"),
    ("text", "text text.txt --window 8"),
];

#[test]
fn no_name_from_a_file_reaches_a_terminal_or_picture_as_control_characters() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    data(folder, ODD);
    for (kind, arguments) in KINDS {
        let run = format!("--device cpu --steps 3 --hidden 4 --batch 4 --out {kind}");
        let output = prints_plain(folder, &format!("train {run} {arguments}"));
        assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
        let mut pictures = files(&folder.join(kind), "svg");
        pictures.push(folder.join(kind).join("report.html"));
        assert!(pictures.len() > 2);
        for path in pictures {
            // A line end is a blank there.
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains(is_odd), "{}", path.display());
        }
        for command in
            ["inspect", "eval --device cpu", "eval --json --device cpu", "inspect --json", "flow --device cpu"]
        {
            // A folder that is called as a kind of data is named as a path.
            let output = prints_plain(folder, &format!("{command} ./{kind}"));
            assert!(output.status.success(), "{command} {kind}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    prints_plain(folder, "forecast series --device cpu --svg forecast.svg");
    prints_plain(folder, "forecast series --device cpu --json");
    assert!(!fs::read_to_string(folder.join("forecast.svg")).unwrap().contains(is_odd));
    prints_plain(folder, "train series series.csv --target none --device cpu");
    prints_plain(folder, "train sequences series.csv --device cpu");
    prints_plain(folder, &format!("train series series.csv --features {} --device cpu", "\u{1b}[31m\u{202e}"));
    for text in [
        "\"ODD\" = 3",
        "file = \"ODD",
        "file = \"a.csv\"\n[ODD]",
        "file = \"ODD\"",
        "target = [\"ODD\"]\nfile = \"series.csv\"",
    ] {
        for name in [ODD.to_owned(), serde_json::Value::from(ODD).to_string().trim_matches('"').to_owned()] {
            fs::write(folder.join("odd.toml"), format!("[series]\n{}\n", text.replace("ODD", &name))).unwrap();
            prints_plain(folder, "train --config odd.toml --device cpu --out never");
        }
    }
}

#[test]
fn machine_readable_output_has_names_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    data(folder, ODD);
    train(folder, "run", "sequences sequences.csv --steps 3 --hidden 4");
    let told = json(folder, "eval run --json --device cpu");
    assert!(told["test"]["classes"].is_object() || told["classes"].is_array(), "{told}");
    assert!(told.to_string().contains("not ours"), "{told}");
    let csv = bptt(folder, "predict run --device cpu").stdout;
    assert!(String::from_utf8(csv).unwrap().contains(&field(&format!("even{ODD}"))));
    // A text to a pipe is the text.
    train(folder, "text", "text text.txt --window 8 --steps 3 --hidden 4");
    let sample = bptt(folder, "sample text --device cpu --length 400 --temperature 5").stdout;
    assert!(String::from_utf8(sample).unwrap().contains(is_odd));
}

#[test]
fn an_overlong_name_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for length in [65_535, 65_536, 70_000] {
        let name = "n".repeat(length);
        data(folder, &name);
        for (kind, arguments) in &KINDS[..3] {
            let out = format!("{kind}-{length}");
            let said = train(folder, &out, &format!("{arguments} --steps 2 --hidden 4 --batch 4"));
            assert!(*kind == "rolls" || said.contains("nnn…"), "{kind}");
            succeeds(folder, &format!("eval {out} --device cpu"));
        }
        let said = succeeds(folder, &format!("forecast series-{length} --device cpu"));
        assert!(said.lines().all(|line| line.chars().count() < 300), "{said}");
        let weights: StateDict =
            [(name.clone(), ArrayD::from_elem(vec![2], 1.0_f32)), ("b".into(), ArrayD::zeros(vec![1]))]
                .into_iter()
                .collect();
        fs::write(folder.join("w.safetensors"), weights.to_safetensors(None).unwrap()).unwrap();
        let said = succeeds(folder, "inspect w.safetensors");
        assert!(said.lines().all(|line| line.chars().count() < 200), "{said}");
        assert_eq!(json(folder, "inspect w.safetensors --json")["tensors"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn tensor_names_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let weights: StateDict = [(format!("a\0{ODD}"), ArrayD::from_elem(vec![2], 1.0_f32))].into_iter().collect();
    fs::write(folder.join("w.safetensors"), weights.to_safetensors(None).unwrap()).unwrap();
    let output = prints_plain(folder, "inspect w.safetensors");
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("a\\u{0}\\u{1b}]0;title\\u{7}\\u{1b}[2J\\u{9b}31m\\u{202e}x")
    );
    prints_plain(folder, "inspect w.safetensors --json");
    prints_plain(folder, "train --init-from w.safetensors --device cpu --steps 1 --out run");
}

/// Every command with `--json`, and what else takes a path, in a folder whose name is no text.
#[cfg(unix)]
#[test]
fn a_non_unicode_path_does_not_panic() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let odd = folder.join(OsStr::from_bytes(b"a\xff\x1b[2J\n\xe2\x80b"));
    fs::create_dir(&odd).unwrap();
    train(folder, "done", "--steps 2 --hidden 4 --set training.checkpoint-every=1");
    train(folder, "begun", "--steps 2 --hidden 4 --set training.checkpoint-every=1");
    fs::remove_file(folder.join("begun/checkpoints/finished")).unwrap();
    for run in ["done", "begun"] {
        fs::rename(folder.join(run), odd.join(run)).unwrap();
    }
    data(&odd, "n");
    let sweep = "[training]\nsteps = 2\n[sweep]\ntrials = 2\n[sweep.space]\nmodel.hidden = [2, 3]\n";
    fs::write(odd.join("sweep.toml"), sweep).unwrap();
    // `@` stands for the folder; what is `true` has to come to its end.
    let commands = [
        ("train --steps 1 --device cpu --json --out @/new", true),
        ("train --resume @/done --json", true),
        ("train --resume @/begun --json", true),
        ("train --steps 1 --device cpu --out @/other", true),
        ("train series @/series.csv --steps 1 --device cpu --target an --json --out made", false),
        ("train --steps 1 --device cpu --config @/bptt.toml --json", false),
        ("backtest --folds 1 --horizon 2 --steps 1 --device cpu --json --out @/backtest", true),
        ("backtest --resume @/backtest --json", true),
        ("backtest @/series.csv --target an --folds 1 --steps 1 --device cpu --json --out backtest", false),
        ("sweep @/sweep.toml --device cpu --json --out @/sweep", true),
        ("sweep --worker @/sweep --json", true),
        ("sweep --worker @/done --json", false),
        ("plan series @/series.csv --target an --device cpu --json", false),
        ("eval @/done --device cpu --json", true),
        ("flow @/done --device cpu --json", true),
        ("flow @/done @/begun --compare --device cpu --json", true),
        ("gradcheck @/done --device cpu --json", true),
        ("forecast @/done --device cpu --json", true),
        ("stream @/done", true),
        ("stream @/nothing --json", false),
        ("inspect @/done --json", true),
        ("inspect @/nothing --json", false),
        ("export @/done @/m.onnx", true),
        ("predict @/done --device cpu --out @/p.csv", true),
        ("init @/c.toml", true),
    ];
    for (arguments, succeeds) in commands {
        let words = arguments.split_whitespace().map(|word| match word.split_once('@') {
            Some((before, after)) => {
                let path = [before.as_bytes(), odd.as_os_str().as_bytes(), after.as_bytes()].concat();
                OsStr::from_bytes(&path).to_owned()
            }
            None => word.into(),
        });
        let output = Command::new(env!("CARGO_BIN_EXE_bptt")).args(words).current_dir(folder).output().unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        let code = output.status.code();
        assert!(
            if succeeds { code == Some(0) } else { [Some(0), Some(1), Some(2)].contains(&code) },
            "{arguments}: {stderr}"
        );
        is_plain(arguments, &stdout);
        is_plain(arguments, &stderr);
        if succeeds && arguments.contains("--json") {
            assert!(serde_json::from_str::<serde_json::Value>(&stdout).is_ok(), "{arguments}: {stdout}");
        }
    }
    // Whoever has `--json` is among them; `devices` and `bench` take no path that they print.
    let commands: Vec<&str> = commands.iter().map(|(arguments, _)| arguments.split(' ').next().unwrap()).collect();
    let help = succeeds(folder, "--help");
    let listed = help.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    for command in listed.filter(|word| word.chars().all(|c| c.is_ascii_lowercase())) {
        let with_json = bptt(folder, &format!("{command} --help")).stdout;
        if String::from_utf8(with_json).unwrap().contains("--json") {
            assert!(
                commands.contains(&command) || command == "devices",
                "{command} --json is not tried with such a path"
            );
        }
    }
}

/// The text of each file under src, by its path.
fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found)
        } else {
            found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()))
        }
    }
}

/// What a `{` of a format has behind its colon where its width is a variable's, as in `{name:<width$}` and
/// `{name:>1$}`, and not its precision alone, as in `{value:.digits$}`.
fn has_width(format: &str) -> bool {
    let Some((_, form)) = format.split_once(':') else { return false };
    let width = form.split('.').next().unwrap_or_default();
    width.contains('$') || width.contains('*')
}

#[test]
fn only_one_file_prints_and_no_format_width_is_a_variable() {
    assert!(["a:<w$", ":>1$", "a:0w$", "a:0<w$.3"].iter().all(|format| has_width(format)));
    assert!(["a:.w$", "a", "a:<12", "a:.*"].iter().all(|format| !has_width(format)));
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 100);
    for (path, text) in &found {
        let text = text.split("\n#[cfg(test)]").next().unwrap();
        for (index, line) in text.lines().enumerate() {
            let place = format!("{path}, line {}: {line}", index + 1);
            // A width beyond 65,535 is a panic: printed.rs pads.
            let formats = line.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
            assert!(!formats.clone().any(|(format, _)| !format.contains(' ') && has_width(format)), "{place}");
            if !path.contains("/cli/") || path.ends_with("printed.rs") {
                continue;
            }
            // What comes from data goes through printed.rs, and so does every path.
            let printing = ["io::stdout", "io::stderr", "println!", "print!(", ".display()"];
            assert!(!printing.iter().any(|word| line.contains(word)), "{place}");
            // serde refuses a path that is no text, of which `json!` makes a panic.
            let value = |name: &str| {
                let values = [name.to_owned(), format!("&{name}")];
                let ends = |value: &String| [format!(": {value},"), format!(": {value}}}"), format!("json!({value})")];
                values.iter().flat_map(ends).any(|end| line.contains(&end)) && line.contains('"')
            };
            let paths = [
                "path",
                "run",
                "file",
                "out",
                "folder",
                "folder.path()",
                "self.folder.path()",
                "args.run",
                "self.path",
            ];
            assert!(!paths.iter().any(|name| value(name)), "{place}");
        }
    }
}

#[test]
fn formula_like_labels_are_written_as_text_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows = (0..24).map(|n| format!("{n},{},{},{}\n", n % 3, if n % 2 == 0 { "=1+2" } else { "even" }, n % 5));
    let rows: String = rows.collect();
    fs::write(folder.join("s.csv"), format!("id,time,label,x\n{rows}")).unwrap();
    train(folder, "run", "sequences s.csv --hidden 2 --steps 1");
    let said = |flags: &str| succeeds(folder, &format!("predict run --device cpu {flags}"));
    let (as_it_is, plain) = (said(""), said("--spreadsheet"));
    assert!(as_it_is.lines().any(|line| line.split(',').any(|field| field == "=1+2")), "{as_it_is}");
    assert!(!plain.lines().any(|line| line.split(',').any(|field| field.starts_with('='))), "{plain}");
    assert_eq!(plain.replace("'=", "="), as_it_is);
}
