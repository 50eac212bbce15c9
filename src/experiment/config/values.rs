//! Value types of settings: bounded sizes, names, bytes.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Model, Recurrent};

/// The largest size, as in the model's own check.
pub const SIZE: usize = Model::SIZE;
/// The largest count.
pub const COUNT: usize = 0xffff_ffff;
/// The largest number of layers, as in the model's own check.
pub const LAYERS: usize = Recurrent::LAYERS;
/// The largest number of threads: more than any machine has cores, fewer than any system refuses.
pub const THREADS: usize = 1024;
/// The largest number of rows of a forecast: each is a step of the network on its own outputs, which become meaningless
/// much earlier.
pub const FORECAST_ROWS: usize = 100_000;
/// The largest number of sample paths.
pub const SAMPLE_PATHS: usize = 10_000_000;

/// What a positive number is expected to be.
pub const ABOVE_0: &str = "a finite number above 0";

/// Whether it is finite and above 0 in f32, the type of the GPU.
pub fn is_above_0(value: f64) -> bool {
    value as f32 > 0.0 && (value as f32).is_finite()
}

/// Names separated by commas. As a named type, clap takes the flag as one value, which `names` of the command line
/// splits.
pub type Names = Vec<String>;

/// The batch size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BatchSize {
    /// A number of sequences.
    Rows(usize),
    /// The largest batch that fits into memory.
    Fitting(Auto),
}

/// Marks a value that is to be determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    /// The word `auto`.
    Auto,
}

impl BatchSize {
    /// The number, if set.
    pub fn rows(self) -> Option<usize> {
        match self {
            Self::Rows(rows) => Some(rows),
            Self::Fitting(_) => None,
        }
    }
}

/// The units of bytes, longest first, since some end in others.
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

/// Bytes, written as text or as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Reads a number with or without a unit: `2GiB`, `1.5GB`, `1000000`.
    ///
    /// # Errors
    /// What was expected, for other text, for less than a byte, and for more than a signed integer of 64 bits holds.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_lowercase();
        let (number, unit) = match UNITS.iter().find_map(|(name, unit)| Some((lower.strip_suffix(name)?, *unit))) {
            Some((number, unit)) => (number.trim_end(), unit),
            None => (lower.as_str(), 1),
        };
        let refused = || "expected bytes, as in 2GiB, 512MiB, 1.5GB or 1000000".to_owned();
        // Only digits, so that neither an exponent nor `inf` is accepted.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_sizes_are_read_in_both_unit_systems_and_written_readably() {
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
