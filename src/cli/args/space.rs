//! Checks the values of `[sweep.space]` like flags, with their lines.

use std::borrow::Cow;
use std::path::Path;

use bptt::experiment::config::Dimension;
use bptt::format::path_text;
use bptt::{Error, Result};
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::{SECTIONS, section, unknown};

/// Passes the values of each setting that varies to the parser of the setting.
///
/// # Errors
/// [`Error::Unsupported`] names the line and the setting.
pub(crate) fn check_space(space: &DeValue<'_>, text: &str, path: &Path) -> Result<()> {
    let DeValue::Table(space) = space else { return Ok(()) };
    for (name, value) in space {
        match value.get_ref() {
            // `training.lr = [1, 2]` is a table `training` with a key `lr`.
            DeValue::Table(keys) if !name.get_ref().contains('.') => {
                for (key, value) in keys {
                    check_setting(&format!("{}.{}", name.get_ref(), key.get_ref()), key, value, text, path)?;
                }
            }
            _ => check_setting(name.get_ref(), name, value, text, path)?,
        }
    }
    Ok(())
}

fn check_setting(
    name: &str,
    key: &Spanned<Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    text: &str,
    path: &Path,
) -> Result<()> {
    let line = 1 + text[..key.span().start].matches('\n').count();
    let place = format!("{}, line {line}, sweep.space, {name}", path_text(path));
    let refused = |expected: String| Err(Error::Unsupported(format!("{place}: {expected}")));
    let Some((of, key)) = name.split_once('.') else {
        return refused("expected SECTION.KEY, as in training.lr".into());
    };
    let Some(settings) = section(of).filter(|_| !["sweep", "backtest"].contains(&of)) else {
        let names: Vec<&str> = SECTIONS.into_iter().filter(|name| !["sweep", "backtest"].contains(name)).collect();
        return refused(format!("expected a key of one of the sections {}", names.join(", ")));
    };
    let Some(setting) = settings.iter().find(|setting| setting.key == key) else {
        return Err(unknown(&place, Some(of), key));
    };
    let dimension = match Dimension::read(&to_json(value.get_ref())) {
        Ok(dimension) => dimension,
        Err(expected) => return refused(format!("{expected}, got {}", &text[value.span()])),
    };
    for value in dimension.examples() {
        if let Err(expected) = setting.parse(&typed(&value, false)) {
            return refused(format!("{expected}, got {value}"));
        }
    }
    Ok(())
}

fn to_json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::from(number),
            Err(_) => Value::from(number.as_str()),
        },
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Value::Null, Value::from),
        DeValue::Boolean(truth) => Value::from(*truth),
        DeValue::Array(values) => values.iter().map(|value| to_json(value.get_ref())).collect(),
        DeValue::Table(keys) => {
            let keys = keys.iter().map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref())));
            Value::Object(keys.collect::<Map<_, _>>())
        }
        DeValue::Datetime(date) => Value::from(date.to_string()),
    }
}

/// A value as typed after a flag; the names of a list are quoted.
fn typed(value: &Value, within: bool) -> String {
    match value {
        Value::String(text) if within => format!("\"{}\"", text.replace('"', "\"\"")),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(|value| typed(value, true)).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
