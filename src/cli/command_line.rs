//! Parses the command line. Errors suggest what was probably meant.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use bptt::data::SEPARATORS;
use bptt::experiment::config::DataKind;
use bptt::experiment::files::names::CONFIG;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory, FromArgMatches};

use super::args;
use super::nearest::nearest;
use super::terminal::help;
use super::terminal::printed::{columns, eprint_lines, print_data};

/// Flags of other programs, with the equivalent or a hint.
const SYNONYMS: [(&str, &str); 26] = [
    ("learning-rate", "lr"),
    ("rate", "lr"),
    ("batch-size", "batch"),
    ("num-epochs", "epochs"),
    ("max-steps", "steps"),
    ("iterations", "steps"),
    ("hidden-size", "hidden"),
    ("units", "hidden"),
    ("rnn-size", "hidden"),
    ("num-layers", "layers"),
    ("model", "cell"),
    ("rnn-type", "cell"),
    ("seq-len", "window"),
    ("seq-length", "window"),
    ("sequence-length", "window"),
    ("lookback", "window"),
    ("grad-clip", "clip"),
    ("clip-norm", "clip"),
    ("max-norm", "clip"),
    ("lr-schedule", "schedule"),
    ("scheduler", "schedule"),
    ("random-seed", "seed"),
    ("early-stopping", "patience"),
    ("output", "out"),
    ("output-dir", "out"),
    ("start", "prime"),
];

/// Parses the command line. Prints help, the version or an error, and returns the exit code.
pub(crate) fn parse<P: CommandFactory + FromArgMatches>(arguments: &[OsString]) -> Result<P, ExitCode> {
    let mut command = prepared(P::command());
    let read = command.try_get_matches_from_mut(arguments).and_then(|matches| P::from_arg_matches(&matches));
    read.map_err(|error| {
        let is_help =
            matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
        let error = if is_help { error } else { with_tips(error, &command, arguments) };
        let text = error.render().to_string();
        let text = if is_help { help::wrapped(&text, help::width(columns())) } else { text };
        if error.use_stderr() {
            eprint_lines(text.strip_suffix('\n').unwrap_or(&text));
        } else {
            print_data(&text);
        }
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}

/// The parser of the program.
pub(crate) fn prepared(program: Command) -> Command {
    // A negative number after a flag is its value, which the flag's own parser checks.
    let negative = |arg: Arg| if arg.get_action().takes_values() { arg.allow_negative_numbers(true) } else { arg };
    // Shared flags may come before or after the kind of data. clap keeps the values of a global flag from only one
    // place, but `--set` may be used in both: so every kind has its own `--set`.
    let has_kinds = program.find_subcommand("series").is_some();
    let everywhere = |arg: Arg| {
        let is_common = has_kinds && !arg.is_positional();
        if is_common && arg.get_id() != "set" { arg.global(true) } else { arg }
    };
    let shared = program.get_arguments().filter(|arg| has_kinds && !arg.is_positional());
    let common: Vec<Arg> = shared.cloned().map(everywhere).collect();
    let program = program.mut_subcommands(|command| {
        let kind = DataKind::ALL.into_iter().find(|kind| kind.section() == command.get_name());
        let of_kind = |arg: &Arg| kind.map_or(arg.clone(), |kind| args::help_of_kind(kind, arg.clone()));
        // A backtest is of a series.
        let command = match command.get_name() {
            "backtest" => command.mut_args(|arg| args::help_of_kind(DataKind::Series, arg)),
            _ => command,
        };
        command.args(common.iter().map(of_kind))
    });
    program.mut_args(|arg| everywhere(negative(arg))).mut_subcommands(prepared)
}

/// The same error with this program's suggestions instead of those by spelling alone.
fn with_tips(mut error: clap::Error, program: &Command, arguments: &[OsString]) -> clap::Error {
    let given = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let mut command = program;
    for name in arguments.iter().skip(1) {
        command = command.find_subcommand(name).unwrap_or(command);
    }
    let tip = match error.kind() {
        ErrorKind::UnknownArgument => {
            let Some(argument) = given(ContextKind::InvalidArg) else { return error };
            tip(&argument, command, program, arguments)
        }
        ErrorKind::InvalidSubcommand => {
            let Some(word) = given(ContextKind::InvalidSubcommand) else { return error };
            let names = command.get_subcommands().map(Command::get_name);
            let before =
                if command.get_name() == "bptt" { "bptt train" } else { &format!("bptt {}", command.get_name()) };
            let of_data = || Some(format!("name the kind of data: {before} {}", train_with(&word)?));
            let similar = || Some(format!("a similar command is '{}'", full_name(command, nearest(&word, names)?)));
            // It may be the value of a flag that needs an equals sign.
            tip(&word, command, program, arguments).or_else(of_data).or_else(similar)
        }
        _ => return error,
    };
    for kind in [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::Suggested] {
        error.remove(kind);
    }
    error.remove(ContextKind::TrailingArg);
    let usage = command.clone().render_usage();
    error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    if let Some(tip) = tip {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// A suggestion for an unknown argument.
fn tip(argument: &str, command: &Command, program: &Command, arguments: &[OsString]) -> Option<String> {
    let Some(flag) = argument.strip_prefix("--") else {
        // clap reports `-inf` as `-i`.
        let at =
            |fits: &dyn Fn(&str) -> bool| (1..arguments.len()).find(|at| arguments[*at].to_str().is_some_and(fits));
        let raw = at(&|raw| raw == argument).or_else(|| at(&|raw| raw.starts_with(argument)))?;
        let (raw, before) = (arguments[raw].to_str()?, arguments[raw - 1].to_str().unwrap_or_default());
        if let Some(value) = flag_before(before, command) {
            return Some(if !takes(value) {
                format!("{before} takes no value")
            } else if value.get_num_args().is_some_and(|count| count.min_values() == 0) {
                format!("write the value with an equals sign: {before}={raw}")
            } else {
                format!("a value that begins with - needs an equals sign: {before}={raw}")
            });
        }
        return match raw.strip_prefix('-') {
            Some(name) => long(command, name).map(|flag| format!("flags have two dashes: --{flag}")),
            None => None,
        };
    };
    let name = flag.split('=').next().unwrap_or(flag).to_lowercase();
    let before = arguments.windows(2).find(|pair| pair[1].to_str() == Some(argument));
    let before = before.and_then(|pair| pair[0].to_str()).unwrap_or_default();
    let synonym = SYNONYMS.iter().find(|(other, _)| *other == name.replace('_', "-")).map(|(_, flag)| *flag);
    if let Some(flag) = long(command, &name.replace('_', "-")).or(synonym.filter(|flag| long(command, flag).is_some()))
    {
        return Some(format!("its name in this command is '--{flag}'"));
    }
    if ["gpu", "cpu"].contains(&name.as_str()) && long(command, "device").is_some() {
        return Some(format!("name the device with '--device {name}'"));
    }
    if let Some(kind) = named_kind(&name).filter(|_| ["train", "plan"].contains(&top_name(program, arguments))) {
        let top = top_name(program, arguments);
        return Some(format!("the kind of data goes after the command: bptt {top} {kind}"));
    }
    if let Some(tip) = setting_tip(&name, command, arguments) {
        return Some(tip);
    }
    let others: Vec<String> = program
        .get_subcommands()
        .filter(|other| other.get_name() != "help")
        .flat_map(|other| {
            let own = long(other, &name).map(|_| other.get_name().to_owned());
            let kinds = other.get_subcommands().filter(|kind| own.is_none() && long(kind, &name).is_some());
            let kinds: Vec<String> = kinds.map(|kind| full_name(other, kind.get_name())).collect();
            own.into_iter().chain(kinds).collect::<Vec<_>>()
        })
        .collect();
    // Of the command's own kinds, if it has any.
    let own = format!("{} ", top_name(program, arguments));
    let is_own = |other: &String| other.starts_with(&own);
    let has_own = others.iter().any(is_own);
    let others: Vec<String> = others.into_iter().filter(|other| !has_own || is_own(other)).collect();
    if !others.is_empty() {
        return Some(format!("--{name} is a flag of {}", joined(&others)));
    }
    let flags = command.get_arguments().filter_map(Arg::get_long);
    match (nearest(&name, flags), flag_before(before, command).filter(|flag| takes(flag))) {
        (Some(flag), _) => Some(format!("a similar flag is '--{flag}'")),
        (None, Some(_)) => Some(format!("a value that begins with - needs an equals sign: {before}={argument}")),
        _ => None,
    }
}

/// How to set a setting without a flag, for a command with settings.
fn setting_tip(name: &str, command: &Command, arguments: &[OsString]) -> Option<String> {
    long(command, "set")?;
    let of = |section: &'static str| {
        let setting = args::section(section)?.into_iter().find(|setting| setting.is_key() && setting.key == name)?;
        Some((section, setting))
    };
    let found: Vec<_> = args::SECTIONS.into_iter().filter_map(of).collect();
    let kind = DataKind::ALL.into_iter().map(DataKind::section).find(|kind| *kind == command.get_name());
    let is_data = |section: &str| DataKind::ALL.iter().any(|kind| kind.section() == section);
    let Some((section, setting)) =
        found.iter().find(|(section, _)| kind.is_none_or(|kind| kind == *section) || !is_data(section))
    else {
        let names: Vec<String> = found.iter().map(|(section, _)| format!("[{section}]")).collect();
        return (!names.is_empty()).then(|| format!("--{name} is a setting of {}", joined(&names)));
    };
    let flag = format!("--{name}");
    let at = arguments.iter().position(|raw| raw.to_str().is_some_and(|raw| raw.split('=').next() == Some(&flag)))?;
    let given = match arguments[at].to_str()?.split_once('=') {
        Some((_, value)) => Some(value),
        None if setting.is_switch() => Some("true"),
        None => arguments.get(at + 1).and_then(|next| next.to_str()).filter(|next| !next.starts_with("--")),
    };
    let value = given.map_or_else(|| setting.example().trim_matches('"').to_owned(), str::to_owned);
    Some(format!("set it with --set {section}.{name}={value}"))
}

/// `a, b and c`.
fn joined(names: &[String]) -> String {
    match names {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        _ => names.concat(),
    }
}

fn takes(flag: &Arg) -> bool {
    flag.get_action().takes_values()
}

/// The flag before an argument, if it has no value of its own.
fn flag_before<'a>(before: &str, command: &'a Command) -> Option<&'a Arg> {
    let name = before.strip_prefix("--")?;
    command.get_arguments().find(|flag| flag.get_long() == Some(name))
}

fn long<'a>(command: &'a Command, name: &str) -> Option<&'a str> {
    command.get_arguments().filter_map(Arg::get_long).find(|flag| *flag == name)
}

/// A subcommand: `train series`.
fn full_name(command: &Command, name: &str) -> String {
    if command.get_name() == "bptt" { format!("bptt {name}") } else { format!("{} {name}", command.get_name()) }
}

/// The first command on a command line.
fn top_name<'a>(program: &'a Command, arguments: &[OsString]) -> &'a str {
    arguments.iter().skip(1).find_map(|name| program.find_subcommand(name)).map_or("", Command::get_name)
}

/// The kind of data for a flag of older versions.
fn named_kind(flag: &str) -> Option<&'static str> {
    Some(match flag {
        "csv" | "series" => "series FILE",
        "text" => "text FILE",
        "sequences" => "sequences FILE",
        "classes" => "classes FOLDER",
        "rolls" => "rolls FILE",
        "audio" => "audio DRY WET",
        "task" => "task NAME",
        _ => return None,
    })
}

/// The kind of a file or folder for `bptt train`, from its extension or else its contents.
fn train_with(word: &str) -> Option<String> {
    let path = Path::new(word);
    let lower = word.to_lowercase();
    let plain = lower.strip_suffix(".gz").unwrap_or(&lower);
    let extension =
        Path::new(plain).extension().map(|extension| extension.to_str().unwrap_or_default()).unwrap_or_default();
    let before = match extension {
        _ if path.is_dir() && path.join(CONFIG).is_file() => "--resume",
        _ if path.is_dir() => "classes",
        "csv" => csv(path),
        "ts" | "tsv" | "npy" | "npz" | "idx" => "sequences",
        _ if plain.ends_with("-ubyte") => "sequences",
        "json" => "rolls",
        "wav" => return Some(format!("audio {word} WET")),
        "toml" => "--config",
        "safetensors" => "--init-from",
        "txt" | "md" | "text" => "text",
        _ if path.is_file() => "text",
        _ => return None,
    };
    Some(format!("{before} {word}"))
}

/// The kind of comma-separated text: long-form sequences have certain columns, and piano rolls have only 0 and 1.
fn csv(path: &Path) -> &'static str {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(4096).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(if read.is_ok() { &bytes } else { &[] }).into_owned();
    let mut lines = text.lines().map(|line| line.split(SEPARATORS).map(str::trim).collect::<Vec<_>>());
    let Some(header) = lines.next() else { return "series" };
    let names: Vec<String> = header.iter().map(|name| name.trim_matches('"').to_lowercase()).collect();
    if ["id", "label"].iter().all(|column| names.iter().any(|name| name == column)) {
        return "sequences";
    }
    let keys = |fields: &[&str]| fields.len() > 2 && fields.iter().all(|field| ["0", "1"].contains(field));
    if keys(&header) || header.len() > 2 && lines.next().is_some_and(|fields| keys(&fields)) {
        "rolls"
    } else {
        "series"
    }
}
