//! Compares settings with those of a model, and formats errors that name a setting.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Error, Result};

/// Resolves a setting: the given value, or that of the model, or the default. The result is stored in `given`.
///
/// # Errors
/// If the model has another value.
pub(crate) fn as_the_model<T: Clone + PartialEq + Serialize>(
    flag: &str,
    given: &mut Option<T>,
    of_model: Option<T>,
    default: T,
) -> Result<T> {
    let value = of_model.or_else(|| given.clone()).unwrap_or(default);
    match given.replace(value.clone()).filter(|given| *given != value) {
        Some(given) => {
            let (given, value) = (words(&given), words(&value));
            Err(unsupported(format!("--{flag} {given}: the model was trained with {value}")))
        }
        None => Ok(value),
    }
}

/// A setting in the notation of its flag.
pub fn words(setting: &impl Serialize) -> String {
    match serde_json::to_value(setting).unwrap_or_default() {
        Value::String(text) => text,
        Value::Array(texts) if texts.is_empty() => "none".into(),
        Value::Array(texts) => texts.iter().map(words).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// The first setting that differs, with its value there and here; `None` if all are the same.
pub(crate) fn difference(here: &Map<String, Value>, there: &Map<String, Value>) -> Option<String> {
    let [setting, here, there] = differing(here, there)?;
    Some(format!("{setting} is {there} there, and {here} here"))
}

/// The name of the first setting that differs, as `training.lr`, and its values here and there in words.
pub(crate) fn differing(here: &Map<String, Value>, there: &Map<String, Value>) -> Option<[String; 3]> {
    there.keys().chain(here.keys()).find_map(|section| {
        let keys = |map: &Map<String, Value>| map.get(section).and_then(Value::as_object).cloned().unwrap_or_default();
        let (here, there) = (keys(here), keys(there));
        let key = there.keys().chain(here.keys()).find(|key| here.get(*key) != there.get(*key))?.clone();
        let words = |value: Option<&Value>| value.map_or("not set".to_owned(), ToString::to_string);
        Some([format!("{section}.{key}"), words(here.get(&key)), words(there.get(&key))])
    })
}

/// The split of a file beside a test file: a share of `validation` validates, the rest trains.
pub(crate) fn shares_beside_test(validation: Option<f64>) -> [f64; 3] {
    let validation = validation.unwrap_or(0.2);
    [1.0 - validation, validation, 0.0]
}

/// The shares of training, validation and test, from `--split` or the default.
pub(crate) fn shares(split: &mut Option<Vec<f64>>, default: [f64; 3]) -> Result<[f64; 3]> {
    let shares = split.get_or_insert_with(|| default.to_vec());
    let three = <[f64; 3]>::try_from(shares.as_slice()).map_err(|_| Error::Value {
        what: "--split".into(),
        expected: "three shares, as in 0.7,0.15,0.15".into(),
        got: format!("{} of them", shares.len()),
    })?;
    let sum: f64 = three.iter().sum();
    if three.iter().all(|share| (0.0..=1.0).contains(share)) && (sum - 1.0).abs() < 1e-6 {
        Ok(three)
    } else {
        Err(Error::Value {
            what: "--split".into(),
            expected: "three shares of at least 0 that add up to 1".into(),
            got: format!("{}, {}, {}", three[0], three[1], three[2]),
        })
    }
}

/// An error in a flag's value.
pub(crate) fn in_flag(flag: &str, error: Error) -> Error {
    match error {
        Error::Value { expected, got, .. } => Error::Value { what: flag.into(), expected, got },
        other => other,
    }
}

/// An [`Error::Unsupported`] with this message.
pub fn unsupported(message: impl Into<String>) -> Error {
    Error::Unsupported(message.into())
}
