//! The fields of a line of JSON, and numbers in them.

use serde_json::{Value, json};

/// The fields of a line of JSON. Their order is that of the programs that this is compared with, whence a list.
pub(crate) type Fields = Vec<(&'static str, Value)>;

/// Of sorted numbers, of which there is at least one.
pub(crate) fn median(sorted: &[f64]) -> f64 {
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

pub(crate) fn round(value: f64, digits: i32) -> Value {
    let power = 10f64.powi(digits);
    json!((value * power).round() / power)
}
