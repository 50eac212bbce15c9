//! From the data's units to those that a network learns well in, and back.

use serde::{Deserialize, Serialize};

/// How a column is scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScalingKind {
    /// To mean 0 and standard deviation 1.
    #[default]
    Standard,
    /// To the range from 0 to 1.
    MinMax,
    /// As it is.
    None,
}

/// x ↦ (x − offset) / unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// What becomes 0: the mean or the least of the values that it was fitted to.
    pub offset: f64,
    /// What becomes 1 above that: their standard deviation (divided by n) or their range; 1 where all are the same.
    pub unit: f64,
}

impl Scaling {
    /// Fits to `values`, of which those that are NaN are missing and do not count.
    pub fn fit(kind: ScalingKind, values: &[f64]) -> Self {
        let present = || values.iter().copied().filter(|value| !value.is_nan());
        let (least, most) = present().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        let (offset, unit) = match kind {
            ScalingKind::None => (0.0, 1.0),
            // A deviation that is rounding alone would blow it up.
            _ if least == most => (least, 1.0),
            // Nothing to fit to.
            _ if least > most => (0.0, 1.0),
            ScalingKind::MinMax => (least, most - least),
            ScalingKind::Standard => {
                let n = present().count() as f64;
                let mean = present().sum::<f64>() / n;
                (mean, (present().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt())
            }
        };
        Self { offset, unit }
    }

    /// To the network's units.
    pub fn scale(&self, value: f64) -> f64 {
        (value - self.offset) / self.unit
    }

    /// Back to the data's units.
    pub fn unscale(&self, value: f64) -> f64 {
        value * self.unit + self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_reaches_its_range_and_comes_back_and_missing_values_do_not_count() {
        let values = [4.0, f64::NAN, 8.0, 6.0, f64::NAN, 2.0];
        let scaled = |kind| {
            let scaling = Scaling::fit(kind, &values);
            values.iter().filter(|value| !value.is_nan()).for_each(|value| {
                assert!((scaling.unscale(scaling.scale(*value)) - value).abs() < 1e-12, "{kind:?}");
            });
            values.map(|value| scaling.scale(value)).into_iter().filter(|value| !value.is_nan()).collect::<Vec<_>>()
        };
        assert_eq!(scaled(ScalingKind::None), [4.0, 8.0, 6.0, 2.0]);
        assert_eq!(scaled(ScalingKind::MinMax), [1.0 / 3.0, 1.0, 2.0 / 3.0, 0.0]);
        let standard = scaled(ScalingKind::Standard);
        assert!(standard.iter().sum::<f64>().abs() < 1e-12);
        assert!((standard.iter().map(|value| value * value).sum::<f64>() / 4.0 - 1.0).abs() < 1e-12);
    }

    /// The mean of ninety times 0.1 is not 0.1 in floating point.
    #[test]
    fn values_that_are_all_the_same_become_0_and_are_not_divided_by_0() {
        for kind in [ScalingKind::Standard, ScalingKind::MinMax] {
            let scaling = Scaling::fit(kind, &[0.1; 90]);
            assert_eq!((scaling.scale(0.1), scaling.scale(1.1)), (0.0, 1.0), "{kind:?}");
        }
    }
}
