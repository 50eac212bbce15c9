//! Statistics of measurements.

use serde_json::{Value, json};

/// The median of sorted numbers, at least one.
pub fn median(sorted: &[f64]) -> f64 {
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// A number rounded to `digits` decimals, as JSON.
pub fn round(value: f64, digits: i32) -> Value {
    let power = 10f64.powi(digits);
    json!((value * power).round() / power)
}
