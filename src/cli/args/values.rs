//! What the values of flags are: each parser holds a configuration file's values too.

use std::fmt;

use bptt::data::{DateOrder, DecimalMark};
use bptt::{Model, Recurrent, RecurrentKernel};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most of a size: it is what a model's check has for each of its own.
pub(crate) const SIZE: usize = Model::SIZE;
/// The most of what is only counted.
pub(crate) const COUNT: usize = 0xffff_ffff;
/// The most layers, as a model's check has it.
pub(crate) const LAYERS: usize = Recurrent::LAYERS;
/// The most threads: more than the cores of any one machine, fewer than any system starts.
pub(crate) const THREADS: usize = 1024;

/// What a distance or a weight is to be.
pub(crate) const ABOVE_0: &str = "a finite number above 0";

/// Whether f32, which the GPU computes in, has it as a finite number above 0.
pub(crate) fn is_above_0(value: f64) -> bool {
    value as f32 > 0.0 && (value as f32).is_finite()
}

/// Names between commas. Under a name of its own clap takes the flag as one value, which [`names`] takes apart.
pub(crate) type Names = Vec<String>;

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

/// How many sequences a batch has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum BatchSize {
    Rows(usize),
    Fitting(Auto),
}

/// The word for what is to be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Auto {
    Auto,
}

impl BatchSize {
    /// The number, where it is told.
    pub(crate) fn rows(self) -> Option<usize> {
        match self {
            Self::Rows(rows) => Some(rows),
            Self::Fitting(_) => None,
        }
    }
}

pub(super) fn batch(text: &str) -> Result<BatchSize, String> {
    match text {
        "auto" => Ok(BatchSize::Fitting(Auto::Auto)),
        _ => match whole::<1, SIZE>(text) {
            Ok(rows) => Ok(BatchSize::Rows(rows)),
            Err(expected) => Err(format!("{expected}, or auto")),
        },
    }
}

/// The units of bytes, the longer names first, since they end in the shorter ones.
const UNITS: [(&str, u64); 9] = [
    ("tib", 1 << 40),
    ("gib", 1 << 30),
    ("mib", 1 << 20),
    ("kib", 1 << 10),
    ("tb", 1_000_000_000_000),
    ("gb", 1_000_000_000),
    ("mb", 1_000_000),
    ("kb", 1_000),
    ("b", 1),
];

/// Bytes as a flag has them, and a configuration file as text or as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

impl Bytes {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_lowercase();
        let (number, unit) = match UNITS.iter().find_map(|(name, unit)| Some((lower.strip_suffix(name)?, *unit))) {
            Some((number, unit)) => (number.trim_end(), unit),
            None => (lower.as_str(), 1),
        };
        let refused = || "expected bytes, as in 2GiB, 512MiB, 1.5GB or 1000000".to_owned();
        // Digits alone, so that neither an exponent nor a name of infinity passes.
        let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let count = number.parse::<f64>().ok().filter(|_| plain).map(|number| (number * unit as f64).floor());
        // TOML's integers are signed.
        match count.filter(|count| (1.0..i64::MAX as f64).contains(count)) {
            Some(count) => Ok(Self(count as u64)),
            None => Err(refused()),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match names.iter().find(|(_, unit)| self.0.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Count(u64),
            Text(String),
        }
        let text = match Given::deserialize(deserializer)? {
            Given::Count(count) => count.to_string(),
            Given::Text(text) => text,
        };
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A whole number within bounds; another is refused where the flag is read.
pub(crate) fn whole<const LEAST: usize, const MOST: usize>(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (LEAST..=MOST).contains(&number) => Ok(number),
        _ => Err(format!("expected a whole number from {LEAST} to {MOST}")),
    }
}

pub(super) fn count(text: &str) -> Result<u64, String> {
    whole::<1, COUNT>(text).map(|count| count as u64)
}

pub(crate) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1".into()),
    }
}

pub(super) fn below_1(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to below 1".into()),
    }
}

pub(super) fn quantile(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("expected numbers above 0 and below 1".into()),
    }
}

pub(super) fn above_0(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if is_above_0(value) => Ok(value),
        _ => Err(format!("expected {ABOVE_0}")),
    }
}

/// What a configuration file can hold: TOML's integers are signed.
pub(super) fn signed(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| i64::try_from(*number).is_ok());
    number.ok_or_else(|| format!("expected a whole number from 0 to {}", i64::MAX))
}

/// What a parameter can be: beyond f32 a number that is finite here is not.
pub(super) fn single(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|value| (*value as f32).is_finite());
    number.ok_or_else(|| format!("expected a number from {:e} to {:e}", f32::MIN, f32::MAX))
}

/// What a gradient's norm can be held to: a smaller number is 0 as f32, and would leave nothing of the gradient.
pub(super) fn norm(text: &str) -> Result<f64, String> {
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
pub(super) fn one_of<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
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

    #[test]
    fn bytes_are_read_in_either_kind_of_unit_and_written_so_that_they_are_read_again() {
        let read = |text| Bytes::parse(text).map(|bytes| bytes.0);
        assert_eq!(read("2GiB"), Ok(2 << 30));
        assert_eq!(read("512 mib"), Ok(512 << 20));
        assert_eq!(read("1.5GB"), Ok(1_500_000_000));
        assert_eq!(read("1KB"), Ok(1000));
        assert_eq!(read("77b"), Ok(77));
        assert_eq!(read("1000000"), Ok(1_000_000));
        for refused in ["", "GiB", "0", "0.1", "-1", "inf", "1e9", "1.2.3", "9999999TiB", "nan", "2 apples"] {
            assert!(read(refused).unwrap_err().contains("2GiB"), "{refused}");
        }
        for count in [1, 1023, 1024, 3 << 20, (3 << 20) + 1, 5 << 30] {
            assert_eq!(Bytes::parse(&Bytes(count).to_string()), Ok(Bytes(count)));
        }
        assert_eq!(Bytes(512 << 20).to_string(), "512MiB");
    }
}
