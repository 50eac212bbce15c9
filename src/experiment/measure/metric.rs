//! What forecasts are measured by, in tables and summaries.

use super::series_errors::dash;
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
