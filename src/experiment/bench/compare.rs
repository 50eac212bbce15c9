//! Compares a measurement with earlier ones.

use std::path::Path;

use serde_json::{Map, Value};

use super::statistics::median;
use super::workload::WorkloadSize;
use crate::data::{read_settings, utf8};
use crate::{Error, Result};

/// A measurement: one line of `bptt bench`.
pub type Measurement = Map<String, Value>;

/// The measurements in a file.
pub struct EarlierMeasurements(Vec<Measurement>);

impl EarlierMeasurements {
    /// Reads the lines of a file that start with a brace.
    ///
    /// # Errors
    /// If the file cannot be read, or such a line is not valid JSON.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_settings(path)?;
        let text = utf8(&text, path)?;
        let lines = text.lines().enumerate().filter(|(_, line)| line.starts_with('{'));
        let parsed = lines.map(|(index, line)| {
            serde_json::from_str(line).map_err(|error| {
                let message = format!("expected a line of `bptt bench`, which is JSON: {error}");
                Error::Data { path: path.into(), place: format!(", line {}", index + 1), message }
            })
        });
        parsed.collect::<Result<_>>().map(Self)
    }

    /// The lines of the same network, on any device and for any batch.
    pub fn of_network<'e>(&'e self, line: &'e Measurement) -> impl Iterator<Item = &'e Measurement> {
        self.0.iter().filter(|other| network(other) == network(line) && other.contains_key("ms_median"))
    }

    /// Describes the difference from earlier measurements of the same workload on the same device and threads; `None`
    /// if there are none.
    pub fn compare(&self, line: &Measurement) -> Option<String> {
        let key = |line: &Measurement| ["device", "threads", "sync_every", "kernel"].map(|key| line.get(key).cloned());
        let same: Vec<&Measurement> =
            self.of_network(line).filter(|other| key(other) == key(line) && batch(other) == batch(line)).collect();
        let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
        let rows = batch(line).unwrap_or_default();
        let name = format!("{} {}, a batch of {rows}, on {}", text("cell"), text("size"), text("device"));
        if same.is_empty() {
            return None;
        }
        let mut medians: Vec<f64> = same.iter().map(|other| number(other, "ms_median")).collect();
        medians.sort_by(f64::total_cmp);
        let before = median(&medians);
        let now = number(line, "ms_median");
        let spread = spread(same.iter().copied());
        let verdict = match beyond(spread, self::spread([line])) {
            Some(Direction::Up) => "slower",
            Some(Direction::Down) => "faster",
            None => "within the spread of both",
        };
        let [least, most] = spread.map(|ms| format!("{ms:.3}"));
        let times = now / before;
        Some(format!("{name}: {now:.3} ms, before {before:.3} ({least}–{most}), {times:.2} times: {verdict}"))
    }
}

/// The verdict on a measurement compared with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
}

/// The spread of a measurement: from its minimum to its 90th percentile.
pub(crate) fn spread<'l>(lines: impl IntoIterator<Item = &'l Measurement>) -> [f64; 2] {
    lines.into_iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[least, most], line| {
        [least.min(number(line, "ms_min")), most.max(number(line, "ms_p90"))]
    })
}

/// Compares two spreads. Overlapping ones are equal.
pub(crate) fn beyond(before: [f64; 2], after: [f64; 2]) -> Option<Direction> {
    match (after[0] > before[1], after[1] < before[0]) {
        (true, _) => Some(Direction::Up),
        (_, true) => Some(Direction::Down),
        _ => None,
    }
}

/// A number of a measurement; NaN if it is missing.
pub fn number(line: &Measurement, key: &str) -> f64 {
    line.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// B of a measurement: its own, or that of its named size.
pub(crate) fn batch(line: &Measurement) -> Option<u64> {
    size_of(line, "batch", 0)
}

/// What makes two networks equal: the cell, T, I, H, O, and whether the input is tokens.
fn network(line: &Measurement) -> (Option<&str>, Option<bool>, [Option<u64>; 4]) {
    let keys =
        [("steps", 1), ("input", 2), ("hidden", 3), ("outputs", 4)].map(|(key, place)| size_of(line, key, place));
    (line.get("cell").and_then(Value::as_str), size(line).map(|size| size.sizes().tokens), keys)
}

fn size_of(line: &Measurement, key: &str, place: usize) -> Option<u64> {
    let of_size = || {
        let sizes = size(line)?.sizes();
        Some([sizes.rows, sizes.steps, sizes.inputs, sizes.hidden, sizes.outputs][place] as u64)
    };
    line.get(key).and_then(Value::as_u64).or_else(of_size)
}

fn size(line: &Measurement) -> Option<WorkloadSize> {
    line.get("size").and_then(Value::as_str).and_then(WorkloadSize::by_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Measurement {
        serde_json::from_str(text).unwrap()
    }

    fn earlier(texts: &[&str]) -> EarlierMeasurements {
        EarlierMeasurements(texts.iter().map(|text| line(text)).collect())
    }

    const OLD: &str = r#"{"cell": "lstm", "size": "S", "device": "cpu", "threads": 4, "sync_every": 1,
        "ms_median": 2.0, "ms_min": 1.8, "ms_p90": 2.4}"#;

    #[test]
    fn a_difference_counts_only_beyond_the_spread_of_both() {
        let now = |least: f64, median: f64, most: f64| {
            let mut now = line(OLD);
            for (key, ms) in [("ms_median", median), ("ms_min", least), ("ms_p90", most)] {
                now.insert(key.into(), ms.into());
            }
            // What an older line leaves to the size.
            now.insert("batch".into(), 16.into());
            now.insert("hidden".into(), 64.into());
            earlier(&[OLD]).compare(&now).unwrap()
        };
        assert!(now(2.5, 3.0, 3.5).ends_with("3.000 ms, before 2.000 (1.800–2.400), 1.50 times: slower"));
        assert!(now(1.0, 1.2, 1.7).ends_with("faster"));
        assert!(now(2.3, 3.0, 3.5).ends_with("within the spread of both"));
    }

    #[test]
    fn only_equal_work_on_the_same_device_is_compared() {
        for (key, value) in [
            ("cell", Value::from("gru")),
            ("size", "M".into()),
            ("device", "llvmpipe".into()),
            ("threads", 1.into()),
            ("sync_every", 2.into()),
            ("batch", 32.into()),
            ("hidden", 65.into()),
        ] {
            let mut now = line(OLD);
            now.insert(key.into(), value);
            assert_eq!(earlier(&[OLD]).compare(&now), None, "{key}");
        }
    }
}
