//! Scaling between the data's units and those of the network.

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
    /// To a mean magnitude of 1, with 0 unchanged.
    MeanAbsolute,
    /// Unchanged.
    None,
}

/// How much of a spread may be rounding: this many times the rounding error of a number of that size.
const ROUNDING: f64 = 4.0;

/// x ↦ (x − offset) / unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// The value that becomes 0: the mean or the minimum of the fitted values, or 0.
    pub offset: f64,
    /// The distance that becomes 1: the standard deviation (divided by n), the range or the mean magnitude of the fitted
    /// values. If they are constant up to rounding, it is 1, or their magnitude if that is larger; of the mean magnitude
    /// itself it is 1 if that is 0.
    pub unit: f64,
}

impl Scaling {
    /// Fits to `values`. NaN is missing and ignored.
    pub fn fit(kind: ScalingKind, values: &[f64]) -> Self {
        Self::fit_rounded(kind, values, f64::EPSILON)
    }

    /// Like [`fit`](Self::fit), for values that were stored with this precision: the distance from 1 to the next
    /// number, which is [`f32::EPSILON`] for values from an f32 file.
    pub fn fit_rounded(kind: ScalingKind, values: &[f64], precision: f64) -> Self {
        let Some((least, most)) = range(values).filter(|_| kind != ScalingKind::None) else {
            return Self { offset: 0.0, unit: 1.0 };
        };
        if kind == ScalingKind::MeanAbsolute {
            return Self { offset: 0.0, unit: mean_magnitude(values) };
        }
        // Dividing by a deviation that is only rounding would blow up any other value.
        if is_rounding(least, most, precision) {
            let size = least.abs().max(most.abs());
            return Self { offset: least, unit: size.max(1.0) };
        }
        let range = (most - least).min(f64::MAX);
        match kind {
            ScalingKind::MinMax => Self { offset: least, unit: range },
            _ => {
                let present = || values.iter().copied().filter(|value| !value.is_nan());
                let n = present().count() as f64;
                let rough: f64 = match present().sum::<f64>() {
                    sum if sum.is_finite() => sum / n,
                    _ => present().map(|value| value / n).sum(),
                };
                // The rounding error of the sum of large values.
                let mean = rough + present().map(|value| value - rough).sum::<f64>() / n;
                let mean = if mean.is_finite() { mean } else { rough };
                let variance = |unit: f64| present().map(|value| ((value - mean) / unit).powi(2)).sum::<f64>() / n;
                // The squares of the smallest and largest numbers overflow or underflow f64.
                let of = |unit: f64| Some(variance(unit)).filter(|of| of.is_normal()).map(|of| unit * of.sqrt());
                Self { offset: mean, unit: of(1.0).or_else(|| of(range)).unwrap_or(range) }
            }
        }
    }

    /// To scaled units.
    pub fn scale(&self, value: f64) -> f64 {
        (value - self.offset) / self.unit
    }

    /// Back to the units of the data.
    pub fn unscale(&self, value: f64) -> f64 {
        value * self.unit + self.offset
    }
}

/// The mean magnitude of the values that are not NaN; 1 if it is 0.
fn mean_magnitude(values: &[f64]) -> f64 {
    let present = || values.iter().filter(|value| !value.is_nan()).map(|value| value.abs());
    let n = present().count() as f64;
    match present().sum::<f64>() {
        0.0 => 1.0,
        sum if sum.is_finite() => (sum / n).max(f64::MIN_POSITIVE),
        _ => present().map(|value| value / n).sum(),
    }
}

/// The minimum and the maximum of the values that are not NaN.
fn range(values: &[f64]) -> Option<(f64, f64)> {
    let present = values.iter().filter(|value| !value.is_nan());
    let (least, most) = present.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    (least <= most).then_some((least, most))
}

fn is_rounding(least: f64, most: f64, precision: f64) -> bool {
    most - least <= ROUNDING * precision * least.abs().max(most.abs())
}

/// Whether f64 values are constant up to rounding; NaN is ignored.
pub(in crate::data) fn is_constant(values: &[f64]) -> bool {
    range(values).is_none_or(|(least, most)| is_rounding(least, most, f64::EPSILON))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_scaling_reaches_its_range_is_invertible_and_ignores_missing_values() {
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

    #[test]
    fn the_mean_magnitude_becomes_1_and_0_stays_0_for_every_size_and_for_constants() {
        let fit = |values: &[f64]| Scaling::fit(ScalingKind::MeanAbsolute, values);
        for (values, unit) in [
            (&[2.0, f64::NAN, -4.0, 0.0][..], 2.0),
            (&[7.0, 7.0], 7.0),
            (&[0.0, 0.0], 1.0),
            (&[f64::NAN], 1.0),
            (&[1.5e308, 1.5e308], 1.5e308),
        ] {
            assert_eq!(fit(values), Scaling { offset: 0.0, unit }, "{values:?}");
        }
        assert!(fit(&[0.0, 0.0, 1e-323]).unit > 0.0);
    }

    /// The mean of ninety times 0.1 is not 0.1 in floating point.
    #[test]
    fn equal_values_become_0_without_a_division_by_0() {
        for kind in [ScalingKind::Standard, ScalingKind::MinMax] {
            let scaling = Scaling::fit(kind, &[0.1; 90]);
            assert_eq!((scaling.scale(0.1), scaling.scale(1.1)), (0.0, 1.0), "{kind:?}");
        }
    }

    #[test]
    fn a_spread_from_rounding_counts_as_zero() {
        let single = |value: f32| f64::from(value);
        let third = 1.0 / 3.0;
        for (values, precision) in [
            (vec![0.1 + 0.2, 0.3, 0.3], f64::EPSILON),
            (vec![-0.7, -(0.1 * 7.0), f64::NAN], f64::EPSILON),
            (vec![1e15, 1e15 + 0.25, 1e15 - 0.25], f64::EPSILON),
            (vec![third + third + third, 3.0 * third, 0.9 + 0.1], f64::EPSILON),
            (vec![single(0.1 + 0.2), single(0.3), single(0.300_000_07)], f32::EPSILON.into()),
            (vec![1e8, 1e8 + 8.0], f32::EPSILON.into()),
            (vec![-1e30, single(-1.000_000_1e30)], f32::EPSILON.into()),
        ] {
            for kind in [ScalingKind::Standard, ScalingKind::MinMax] {
                let scaling = Scaling::fit_rounded(kind, &values, precision);
                let size = values[0].abs().max(1.0);
                for value in values.iter().filter(|value| !value.is_nan()) {
                    assert!(scaling.scale(*value).abs() < 1e-6, "{kind:?} {values:?}: {}", scaling.scale(*value));
                }
                // What is another value later is no more than that.
                let later = scaling.scale(values[0] + size);
                assert!((0.5..2.0).contains(&later), "{kind:?} {values:?}: {later}");
            }
        }
        assert!(is_constant(&[0.1 + 0.2, 0.3]) && is_constant(&[f64::NAN]) && !is_constant(&[1e8, 1e8 + 1e-6]));
    }

    #[test]
    fn new_values_of_a_constant_column_are_scaled_by_the_constant() {
        for kind in [ScalingKind::Standard, ScalingKind::MinMax] {
            for (values, unit) in [([500.0; 3], 500.0), ([-500.0, -500.0 - 1e-13, -500.0], 500.0), ([0.0; 3], 1.0)] {
                let scaling = Scaling::fit(kind, &values);
                assert!((scaling.unit - unit).abs() < 1e-9, "{kind:?} {values:?}: {scaling:?}");
            }
        }
    }

    #[test]
    fn a_small_spread_around_a_large_value_is_kept() {
        for (offset, step) in [(1e8, 1.0), (-1e8, 1e-3), (1e12, 0.5), (1e-8, 1e-20), (1e15, 4.0)] {
            let values: Vec<f64> = (0..1001).map(|n| offset + step * f64::from(n % 5)).collect();
            let scaling = Scaling::fit(ScalingKind::Standard, &values);
            let scaled: Vec<f64> = values.iter().map(|value| scaling.scale(*value)).collect();
            let n = scaled.len() as f64;
            let (mean, square) = (scaled.iter().sum::<f64>() / n, scaled.iter().map(|v| v * v).sum::<f64>() / n);
            assert!(mean.abs() < 1e-2 && (square - 1.0).abs() < 1e-4, "{offset} {step}: {mean} {square}");
            let scaling = Scaling::fit(ScalingKind::MinMax, &values);
            assert_eq!((scaling.scale(values[0]), scaling.scale(values[4])), (0.0, 1.0));
        }
    }

    #[test]
    fn the_smallest_and_largest_numbers_can_be_scaled() {
        for size in [1e-155, 1e-158, 1e-161, 1e-200, 1e-300, 1e200, 1.5e308] {
            for kind in [ScalingKind::Standard, ScalingKind::MinMax] {
                let scaling = Scaling::fit(kind, &[0.0, size, 0.0, size]);
                let [low, high] = [0.0, size].map(|value| scaling.scale(value));
                let range = if kind == ScalingKind::MinMax { 1.0 } else { 2.0 };
                assert!((high - low - range).abs() < 1e-9, "{kind:?} {size}: {low} {high}");
            }
        }
    }
}
