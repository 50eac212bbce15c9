//! A configuration file: its keys are the flags, and its values are held to what these take.

use std::borrow::Cow;
use std::error::Error as _;
use std::path::Path;

use bptt::data::{read_settings, utf8};
use bptt::experiment::config::merge::over;
use bptt::experiment::config::{Config, check_files};
use bptt::experiment::files::names::CONFIG;
use bptt::experiment::settings::Settings;
use bptt::format::path_text;
use bptt::{Error, Result};
use clap::{Arg, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::args;
use super::nearest::nearest;

/// Reads a configuration file.
///
/// # Errors
/// [`Error::Unsupported`] names the line and the key that is unknown or has a value which its flag refuses: the same mistake
/// as in a flag, with the same exit code.
pub(crate) fn read(path: &Path) -> Result<Config> {
    if path.is_dir() {
        let own = path.join(CONFIG);
        let tip = if own.is_file() { format!("; a run's own is {}", path_text(&own)) } else { String::new() };
        let message = format!("expected a configuration file, got a folder{tip}");
        return Err(Error::Data { path: path.into(), place: String::new(), message });
    }
    parse(&read_settings(path)?, path)
}

/// As [`read`], of the file's bytes; the path is what errors name.
pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Config> {
    let text = utf8(bytes, path).map_err(|error| unsupported(error.to_string()))?;
    let refused = |error: toml::de::Error| {
        unsupported(format!("{}: {}", path_text(path), error.to_string().trim_end().replace('\n', "\n  ")))
    };
    check_values(DeTable::parse(text).map_err(refused)?.get_ref(), text, path)?;
    toml::from_str(text).map_err(refused)
}

/// Hands each value to its flag's own parser, so that no bound is written twice.
fn check_values(sections: &DeTable<'_>, text: &str, path: &Path) -> Result<()> {
    for (section, values) in sections {
        let place = |key: &Spanned<Cow<'_, str>>, name: &str| {
            let line = 1 + text[..key.span().start].matches('\n').count();
            format!("{}, line {line}, {name}", path_text(path))
        };
        let DeValue::Table(values) = values.get_ref() else {
            return Err(unknown(&place(section, section.get_ref()), None, section.get_ref()));
        };
        let Some(flags) = args::section(section.get_ref()) else {
            let names = args::SECTIONS.map(|name| format!("[{name}]")).join(", ");
            let message = format!("expected one of the sections {names}");
            return Err(unsupported(format!("{}: {message}", place(section, section.get_ref()))));
        };
        for (key, value) in values {
            let name = format!("{}.{}", section.get_ref(), key.get_ref());
            let Some(flag) = flag(&flags, key.get_ref()) else {
                if UNFLAGGED.contains(&key.get_ref().as_ref()) {
                    continue;
                }
                return Err(unknown(&place(key, &name), Some(section.get_ref()), key.get_ref()));
            };
            // One flag has several names between commas, and a list in the file an element for each.
            let (elements, names): (Vec<_>, bool) = match value.get_ref() {
                DeValue::Array(elements) => (elements.iter().collect(), flag.get_value_delimiter().is_none()),
                _ => (vec![value], false),
            };
            let told = |element: &Spanned<DeValue<'_>>| {
                let words = words(element.get_ref());
                if names { format!("\"{}\"", words.replace('"', "\"\"")) } else { words }
            };
            // What a parser of the flag's own says; what has the wrong type, serde tells better.
            let refused = |elements: &[&Spanned<DeValue<'_>>]| {
                let words: Vec<String> = elements.iter().map(|element| told(element)).collect();
                let argument = format!("--{}={}", key.get_ref(), words.join(","));
                flags.clone().try_get_matches_from([argument]).err().filter(|error| error.source().is_some())
            };
            // A list may have a million elements: all at once, and where one is refused, ever smaller parts with it.
            let mut part: &[&Spanned<DeValue<'_>>] = &elements;
            if part.len() > 1 && refused(part).is_some() {
                while let (first, second @ [_, ..]) = part.split_at(part.len() / 2)
                    && !first.is_empty()
                {
                    part = if refused(first).is_some() { first } else { second };
                }
            }
            if let [element] = part
                && let Some(reason) = refused(part).as_ref().and_then(|error| error.source())
            {
                let line = 1 + text[..element.span().start].matches('\n').count();
                let place = format!("line {line}, {}.{}", section.get_ref(), key.get_ref());
                let message = format!("{}, {place}: {reason}, got {}", path_text(path), &text[element.span()]);
                return Err(unsupported(message));
            }
        }
    }
    Ok(())
}

fn unsupported(message: String) -> Error {
    Error::Unsupported(message)
}

/// The keys that are no flags: what a command line names without one, and what a run writes for itself to be repeated. Of
/// those that a section does not have, its type says so.
const UNFLAGGED: [&str; 5] = ["file", "name", "split-seed", "sha256", "init-sha256"];

fn flag<'a>(flags: &'a Command, key: &str) -> Option<&'a Arg> {
    flags.get_arguments().find(|flag| flag.get_long() == Some(key))
}

/// The refusal of a key, with the one that was probably meant.
fn unknown(place: &str, section: Option<&str>, key: &str) -> Error {
    let flags: Vec<(&str, Command)> =
        args::SECTIONS.iter().filter_map(|name| Some((*name, args::section(name)?))).collect();
    let in_its_section = |own: &str| if section == Some(own) { String::new() } else { format!(" of [{own}]") };
    let keys = || flags.iter().flat_map(|(name, flags)| flags.get_arguments().map(|flag| (*name, flag.get_long())));
    let keys: Vec<(&str, &str)> = keys().filter_map(|(section, key)| Some((section, key?))).collect();
    let same = keys.iter().find(|(_, other)| *other == key);
    let near = || {
        let own = keys.iter().filter(|(of, _)| section == Some(*of)).map(|(_, key)| *key);
        let name = nearest(key, own).or_else(|| nearest(key, keys.iter().map(|(_, key)| *key)))?;
        keys.iter().find(|(of, key)| *key == name && section == Some(*of)).or(keys.iter().find(|(_, key)| *key == name))
    };
    let tip = match same {
        Some((own, _)) => format!("it is a key{}", in_its_section(own)),
        None => match near() {
            Some((own, key)) => format!("a similar one is {key}{}", in_its_section(own)),
            None => "`bptt init` writes a file with every key".into(),
        },
    };
    unsupported(format!("{place}: there is no such key here; {tip}"))
}

/// A value as it stands behind a flag.
fn words(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.to_string(),
            Err(_) => number.to_string(),
        },
        DeValue::Float(number) => number.as_str().into(),
        DeValue::Boolean(truth) => truth.to_string(),
        // No flag takes one, and serde refuses it.
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => String::new(),
    }
}

/// The settings of a configuration file, or defaults, with the flags over them.
pub(crate) fn resolve(file: Option<&Path>, flags: &Config) -> Result<Settings> {
    let config = match file {
        Some(path) => {
            let config = over(read(path)?, flags)?;
            check_files(path, &config, flags)?;
            config
        }
        None => flags.clone(),
    };
    Settings::new(config)
}

/// The text of a run's `config.toml`.
pub(crate) fn to_toml(config: &Config) -> Result<String> {
    let body = toml::to_string(config).map_err(|error| unsupported(format!("{CONFIG}: {error}")))?;
    let version = env!("CARGO_PKG_VERSION");
    Ok(format!("# bptt {version}: the settings of this run. `bptt train --config config.toml` repeats it.\n\n{body}"))
}
