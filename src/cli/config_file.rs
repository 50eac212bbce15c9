//! A configuration file: its keys are the flags, and its values are held to what these take.

use std::error::Error as _;
use std::path::Path;

use bptt::data::utf8;
use bptt::{Error, Result};
use clap::{Args, Command};
use toml::de::{DeTable, DeValue};

use super::args::{BUNDLED, Given};
use super::folder::io_error;

/// Reads a configuration file.
///
/// # Errors
/// [`Error::Data`] names the line and the key that is unknown or has a value which its flag refuses.
pub(crate) fn read(path: &Path) -> Result<Given> {
    parse(&std::fs::read(path).map_err(io_error(path))?, path)
}

/// As [`read`], of the file's bytes; the path is what errors name.
pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Given> {
    let text = utf8(bytes, path)?;
    let refused = |error: toml::de::Error| {
        let message = error.to_string().trim_end().into();
        Error::Data { path: path.into(), place: String::new(), message }
    };
    check_values(DeTable::parse(text).map_err(refused)?.get_ref(), text, path)?;
    toml::from_str(text).map_err(refused)
}

/// Hands each value to its flag's own parser, so that no bound is written twice.
fn check_values(sections: &DeTable<'_>, text: &str, path: &Path) -> Result<()> {
    let flags = Given::augment_args(Command::new("bptt").no_binary_name(true));
    for (section, values) in sections {
        let DeValue::Table(values) = values.get_ref() else { continue };
        for (key, value) in values {
            if !flags.get_arguments().any(|flag| flag.get_long() == Some(key.get_ref())) {
                continue;
            }
            let elements = match value.get_ref() {
                DeValue::Array(elements) => elements.iter().collect(),
                _ => vec![value],
            };
            for element in elements {
                let argument = format!("--{}={}", key.get_ref(), words(element.get_ref()));
                // What a parser of the flag's own says; what has the wrong type, serde tells better.
                let refused = flags.clone().try_get_matches_from([argument]).err();
                if let Some(reason) = refused.as_ref().and_then(|error| error.source()) {
                    let line = 1 + text[..element.span().start].matches('\n').count();
                    let place = format!(", line {line}, {}.{}", section.get_ref(), key.get_ref());
                    let message = format!("{reason}, got {}", &text[element.span()]);
                    return Err(Error::Data { path: path.into(), place, message });
                }
            }
        }
    }
    Ok(())
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

/// Refuses a configuration whose files are no longer where they were, by the flag that tells where they are now; `flags`
/// are those that stand over it.
///
/// # Errors
/// [`Error::Data`] names the file and its key.
pub(crate) fn check_files(path: &Path, given: &Given, flags: &Given) -> Result<()> {
    let (mut given, mut flags) = (given.clone(), flags.clone());
    for ((key, file), (_, told)) in given.files().into_iter().zip(flags.files()) {
        let file = file.take().filter(|file| told.is_none() && file.as_os_str() != BUNDLED);
        let Some(file) = file else { continue };
        if let Err(error) = file.metadata() {
            let message =
                format!("expected a file that is there, got {}: {error}; name it with --{key}", file.display());
            return Err(Error::Data { path: path.into(), place: format!(", {key}"), message });
        }
    }
    Ok(())
}
