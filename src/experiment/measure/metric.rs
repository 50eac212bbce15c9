//! What forecasts are measured by, in tables and summaries.

use crate::format::share;

/// A metric of forecasts, computed from `S`.
pub(crate) struct Metric<S> {
    /// In tables.
    pub(crate) name: &'static str,
    /// In the summary.
    pub(crate) key: &'static str,
    pub(crate) of: fn(&S) -> f64,
    /// Its value in tables: four digits, or a percentage.
    pub(crate) text: fn(f64) -> String,
    /// Whether it is in the units of the data, so that there is no mean over several targets.
    pub(crate) has_unit: bool,
    pub(crate) needs: Needs,
}

/// What a forecast has to have for a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// One value.
    Point,
    /// Quantiles.
    Quantiles,
    /// At least two quantiles.
    Interval,
}

impl<S> Metric<S> {
    /// A metric of values, without units, that is written with four digits.
    pub(crate) const fn new(name: &'static str, key: &'static str, of: fn(&S) -> f64) -> Self {
        Self { name, key, of, text: dash, has_unit: false, needs: Needs::Point }
    }

    /// The same in the units of the data.
    pub(crate) const fn with_unit(self) -> Self {
        Self { has_unit: true, ..self }
    }

    /// The same of quantiles.
    pub(crate) const fn needs(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }

    /// The same as a percentage of a share.
    pub(crate) const fn share(self) -> Self {
        Self { text: share, ..self }
    }

    /// The same as a percentage of a number of percent.
    pub(crate) const fn percent(self) -> Self {
        Self { text: |percent| share(percent / 100.0), ..self }
    }
}

/// Four significant digits, or a dash if there is no value.
pub(crate) fn dash(value: f64) -> String {
    if value.is_nan() { "–".into() } else { four(value) }
}

/// Four significant digits, or all digits before the point.
pub(crate) fn four(value: f64) -> String {
    let before = if value > 0.0 { value.log10().floor() as i32 } else { 0 };
    match before {
        -4..=15 => format!("{value:.*}", (3 - before).max(0) as usize),
        _ => format!("{value:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_significant_digits_are_shown_at_any_size() {
        let sizes = [0.0, 3.2e-9, 0.000_123_4, 0.5, 15.25, 16_372.6, 1.5e20].map(four);
        assert_eq!(sizes, ["0.000", "3.200e-9", "0.0001234", "0.5000", "15.25", "16373", "1.500e20"]);
    }
}
