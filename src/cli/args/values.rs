//! What the values of flags are: each parser holds a configuration file's values too.

use bptt::RecurrentKernel;
use bptt::data::{DateOrder, DecimalMark};
use bptt::experiment::config::{ABOVE_0, Auto, BatchSize, COUNT, Names, SIZE, is_above_0};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::DeserializeOwned;

/// Names between commas, of which one in quotes may have commas: `"a, b",c`. A quote within is doubled.
pub(crate) fn names(text: &str) -> Result<Names, String> {
    let (mut all, mut name) = (Vec::new(), String::new());
    let (mut quoted, mut was_quoted) = (false, false);
    let mut letters = text.chars().peekable();
    loop {
        match letters.next() {
            None if quoted => return Err("expected a closing quote".into()),
            Some('"') if quoted && letters.peek() == Some(&'"') => name.extend(letters.next()),
            Some('"') if quoted => quoted = false,
            Some('"') if name.is_empty() && !was_quoted => (quoted, was_quoted) = (true, true),
            letter if letter.is_none() || letter == Some(',') && !quoted => {
                if name.is_empty() && !was_quoted {
                    return Err("expected a name before and after each comma, got none".into());
                }
                all.push(std::mem::take(&mut name));
                was_quoted = false;
                if letter.is_none() {
                    return Ok(all);
                }
            }
            letter => name.extend(letter),
        }
    }
}

pub(crate) fn batch(text: &str) -> Result<BatchSize, String> {
    match text {
        "auto" => Ok(BatchSize::Fitting(Auto::Auto)),
        _ => match whole::<1, SIZE>(text) {
            Ok(rows) => Ok(BatchSize::Rows(rows)),
            Err(expected) => Err(format!("{expected}, or auto")),
        },
    }
}

/// A whole number within bounds; another is refused where the flag is read.
pub(crate) fn whole<const LEAST: usize, const MOST: usize>(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (LEAST..=MOST).contains(&number) => Ok(number),
        _ => Err(format!("expected a whole number from {LEAST} to {MOST}")),
    }
}

pub(crate) fn count(text: &str) -> Result<u64, String> {
    whole::<1, COUNT>(text).map(|count| count as u64)
}

pub(crate) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1".into()),
    }
}

pub(crate) fn below_1(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to below 1".into()),
    }
}

pub(crate) fn quantile(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("expected numbers above 0 and below 1".into()),
    }
}

pub(crate) fn above_0(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if is_above_0(value) => Ok(value),
        _ => Err(format!("expected {ABOVE_0}")),
    }
}

/// What a configuration file can hold: TOML's integers are signed.
pub(crate) fn signed(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| i64::try_from(*number).is_ok());
    number.ok_or_else(|| format!("expected a whole number from 0 to {}", i64::MAX))
}

/// What a parameter can be: beyond f32 a number that is finite here is not.
pub(crate) fn single(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|value| (*value as f32).is_finite());
    number.ok_or_else(|| format!("expected a number from {:e} to {:e}", f32::MIN, f32::MAX))
}

/// What a gradient's norm can be held to: a smaller number is 0 as f32, and would leave nothing of the gradient.
pub(crate) fn norm(text: &str) -> Result<f64, String> {
    let (least, most) = (f32::MIN_POSITIVE, f32::MAX);
    let bounds = f64::from(least)..=f64::from(most);
    let number = text.parse::<f64>().ok().filter(|value| *value == 0.0 || bounds.contains(value));
    number.ok_or_else(|| format!("expected 0, or a number from {least:e} to {most:e}"))
}

pub(crate) fn at_least_0(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value >= 0.0 && value.is_finite() => Ok(value),
        _ => Err("expected a finite number of at least 0".into()),
    }
}

/// The recurrent kernels by their names.
pub(crate) fn kernel() -> impl TypedValueParser<Value = RecurrentKernel> {
    one_of(&["auto", "sequence", "step"])
}

/// The marks before decimals.
pub(crate) fn decimal() -> impl TypedValueParser<Value = DecimalMark> {
    one_of(&[".", ","])
}

/// The orders of day and month.
pub(crate) fn dates() -> impl TypedValueParser<Value = DateOrder> {
    one_of(&["day-first", "month-first", "year-first"])
}

/// One of the names that `T` has in a configuration file.
pub(crate) fn one_of<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| serde_json::from_value(serde_json::Value::String(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_has_a_comma_stands_in_quotes() {
        let read = |text| names(text).map(|names| names.join("|"));
        assert_eq!(read("a"), Ok("a".into()));
        assert_eq!(read("a,b c"), Ok("a|b c".into()));
        assert_eq!(read(r#""a, b",c"#), Ok("a, b|c".into()));
        assert_eq!(read(r#"c,"5"" pipe, new","""#), Ok("c|5\" pipe, new|".into()));
        assert_eq!(read(r#""Smith, J"=2,b=1"#), Ok("Smith, J=2|b=1".into()));
        assert_eq!(read(r#"5" pipe,b"#), Ok("5\" pipe|b".into()));
        for text in ["", ",", "a,", ",a", "a,,b", r#""a"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
