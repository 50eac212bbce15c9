//! Flags at random, with values that nobody means.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use super::call::Call;
use super::case::{Case, each, folder};
use super::changes::{NUMBERS, argument};
use super::runs::{OUT, RUNS, Run, Wholes, data};
use super::tree::copy;

/// A flag as a command's help has it.
#[derive(Clone, Debug)]
struct Flag {
    name: String,
    /// Whether a value follows it, or may with `=`.
    takes: Option<bool>,
    /// The values, where they are named.
    values: Vec<String>,
}

/// A setting as `bptt init` writes it.
struct Setting {
    section: String,
    key: String,
    /// The values, where they are named.
    values: Vec<String>,
}

/// Every setting of a configuration file.
fn settings() -> Vec<Setting> {
    let folder = folder();
    Call::new(folder.path()).words("init all.toml").go().unwrap();
    let text = fs::read_to_string(folder.path().join("all.toml")).unwrap();
    let (mut settings, mut section, mut values) = (Vec::new(), String::new(), Vec::new());
    for line in text.lines().map(|line| line.trim_start_matches("# ")) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !section.is_empty()) {
            settings.push(Setting {
                section: section.clone(),
                key: key.to_owned(),
                values: std::mem::take(&mut values),
            });
        } else if let Some(names) = line.strip_prefix("One of ") {
            values = names.split(", ").map(str::to_owned).collect();
        }
    }
    settings
}

/// The kinds of data, which have flags of their own.
const KINDS: [&str; 7] = ["series", "text", "sequences", "classes", "rolls", "audio", "task"];

/// The commands of the program and their flags, from its help. What lists devices opens them all, which is not for
/// here.
fn commands() -> BTreeMap<String, Vec<Flag>> {
    let nowhere = folder();
    let help = |arguments: &str| Call::new(nowhere.path()).words(arguments).go().unwrap().stdout;
    let all = help("-h");
    let listed = all.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    // A line that goes on is further in.
    let names = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names =
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| !["help", "devices"].contains(name));
    let kinds = |name: &str| match name {
        "train" | "plan" | "flow" => KINDS.map(|kind| format!("{name} {kind}")).to_vec(),
        _ => vec![name.to_owned()],
    };
    let settings = settings();
    names.flat_map(kinds).map(|name| (name.clone(), flags(&help(&format!("{name} -h")), &name, &settings))).collect()
}

/// The flags that a help lists. What is a setting too has its values.
fn flags(help: &str, command: &str, settings: &[Setting]) -> Vec<Flag> {
    let mut flags = Vec::<String>::new();
    for line in help.lines() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim_start();
        if indent <= 6 && (line.starts_with("--") || line.starts_with('-') && line.contains(", --")) {
            flags.push(line[line.find("--").unwrap()..].to_owned());
        } else if let Some(text) = flags.last_mut() {
            text.push(' ');
            text.push_str(line);
        }
    }
    let flags = flags.into_iter().map(|text| {
        let head = text.split("  ").next().unwrap_or_default();
        let name: String = head.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let takes = head.contains('<').then(|| head.contains("[="));
        let values = text.split("[possible values: ").nth(1).and_then(|rest| rest.split(']').next());
        let values = values.map(|values| values.split(", ").map(|value| value.trim().to_owned()).collect());
        let of = |setting: &&Setting| {
            let is_data = KINDS.contains(&&*setting.section);
            name[2..] == setting.key && (!is_data || command.ends_with(&setting.section) || !command.contains(' '))
        };
        let values = values.or_else(|| settings.iter().find(of).map(|setting| setting.values.clone()));
        Flag { name, takes, values: values.unwrap_or_default() }
    });
    flags.filter(|flag| flag.name != "--help").collect()
}

/// A value for any flag or setting, of which these are named.
fn value(case: &Case<'_>, named: &[String]) -> OsString {
    if !named.is_empty() && case.chance(80) {
        return named[case.below(named.len())].clone().into();
    }
    let files =
        ["series.csv", "text.txt", "classes.ts", "names", "rolls.json", "x.npy", "y.npy", "run", "nowhere", "."];
    let lists =
        ["a,b", "0.1,0.9", "0.5,0.5,0", "0,0,1", "1,0,0", "a=2,b=1e300", ",", "\"a,b\",c", "nan,nan", "0-127", "127-0"];
    match case.below(12) {
        0..=3 => case.pick(&NUMBERS).to_string().into(),
        4 => case.pick(&["-1", "-0", "1e308", "-1e-320", "nan", "inf", "0x10", "1_000", "٣", "+1", " 1", "1.0"]).into(),
        5 => case.pick(&["0.5", "1", "3", "4", "7"]).into(),
        6 | 7 => case.pick(&lists).into(),
        8 => case
            .pick(&["1GiB", "1B", "0", "16EiB", "99999999999GiB", "-1MiB", "1.5 GB", "16..8192", "64..1", "auto"])
            .into(),
        9 => case.pick(&files).into(),
        10 => OsString::from_vec(b"\xff\xfe\x1b[m".to_vec()),
        _ => argument(case).into(),
    }
}

/// What a command needs to have something to do, short.
fn begin(case: &Case<'_>, name: &str) -> String {
    let (command, kind) = name.split_once(' ').unwrap_or((name, ""));
    let short = "--device cpu --threads 1 --hidden 3 --steps 2 --batch 4";
    match command {
        "train" | "plan" | "flow" => {
            let of_kind: Vec<Run> = RUNS.into_iter().filter(|run| run.1.split(' ').next() == Some(kind)).collect();
            let data = of_kind[case.below(of_kind.len())].1.split(" --").next().unwrap_or_default();
            let more = match (command, case.chance(30)) {
                ("train", _) => "--out out",
                ("flow", true) => "run --device cpu --threads 1",
                _ => "",
            };
            if more.starts_with("run") {
                format!("{command} {more}")
            } else {
                format!("{command} {data} {short} {more}")
            }
        }
        "eval" | "predict" | "forecast" => format!("{command} run --device cpu --threads 1"),
        "sample" => "sample text --length 5 --device cpu --threads 1".into(),
        "inspect" => "inspect run".into(),
        "export" => format!("export run {}", case.pick(&["out.onnx", "out.safetensors"])),
        "gradcheck" => "gradcheck --device cpu --threads 1 --elements 2".into(),
        "bench" => "bench --device cpu --threads 1 --seconds 0.05 --warmup-s 0 --hidden 4 --batch 2".into(),
        "completions" => format!("completions {}", case.pick(&["bash", "zsh", "fish", "none"])),
        other => other.into(),
    }
}

#[test]
fn random_flags_are_accepted_as_meant_or_refused() {
    let commands = commands();
    assert!(commands["train series"].len() > 40 && commands.len() > 25, "{commands:?}");
    let settings = settings();
    assert!(settings.len() > 90);
    let names: Vec<&str> = commands.keys().map(String::as_str).collect();
    let wholes = Wholes::default();
    each("random flags", 160, |case| {
        data(case.folder());
        copy(&wholes.of(Run::named("sunspots"))?.0.join(OUT), &case.folder().join(OUT));
        copy(&wholes.of(Run::named("lanes of a text"))?.0.join(OUT), &case.folder().join("text"));
        // `train` has most of the flags.
        let trains = format!("train {}", case.pick(&KINDS));
        let command = if case.chance(35) { trains.as_str() } else { case.pick(&names) };
        let mut words: Vec<OsString> = begin(case, command).split_whitespace().map(OsString::from).collect();
        let flags = &commands[command];
        let (kind, mut config, mut set) = (command.split(' ').nth(1), BTreeMap::<&str, String>::new(), Vec::new());
        for _ in 0..(1 + case.below(4)).min(flags.len()) {
            // Some by their keys, in a file or behind --set.
            if let Some(kind) = kind.filter(|_| case.chance(35)) {
                let is_other = |section: &str| KINDS.contains(&section) && section != kind;
                let own: Vec<&Setting> = settings.iter().filter(|setting| !is_other(&setting.section)).collect();
                let setting = own[case.below(own.len())];
                let (section, key) = (&*setting.section, &*setting.key);
                let value = value(case, &setting.values);
                if case.chance(50) {
                    let mut word = OsString::from(format!("--set={section}.{key}="));
                    word.push(value);
                    words.push(word);
                } else if !command.starts_with("flow") && !set.contains(&(section, key)) {
                    set.push((section, key));
                    let value = value.to_string_lossy();
                    let plain = ["true", "false", "nan", "inf"].contains(&&*value) || value.parse::<f64>().is_ok();
                    let value = if plain && case.chance(80) { value.into_owned() } else { format!("{value:?}") };
                    config.entry(section).or_default().push_str(&format!("{key} = {value}\n"));
                }
                continue;
            }
            let flag = &flags[case.below(flags.len())];
            if let Some(at) = words.iter().position(|word| *word == *flag.name.as_str()) {
                // In place of what it had.
                words.drain(at..(at + if flag.takes == Some(false) { 2 } else { 1 }).min(words.len()));
            }
            let value = value(case, &flag.values);
            match flag.takes {
                None => words.push(flag.name.clone().into()),
                Some(true) if case.chance(50) => words.push(flag.name.clone().into()),
                // `--flag=value`, so that values that begin with a dash are values.
                Some(_) => {
                    let mut word = OsString::from(format!("{}=", flag.name));
                    word.push(value);
                    words.push(word);
                }
            }
        }
        if !config.is_empty() {
            let text: String = config.iter().map(|(section, keys)| format!("[{section}]\n{keys}\n")).collect();
            fs::write(case.folder().join("given.toml"), text).unwrap();
            words.push("--config=given.toml".into());
        }
        let call = words.iter().fold(case.bptt(""), |call, word| call.word(word));
        // As many steps as a value says may be meant.
        let ended = call.signal(Duration::from_secs(5), "INT").go()?;
        drop(ended);
        Ok(())
    });
}
