//! Naive forecasts as ranges, from their past errors.

use ndarray::Array3;

use super::quantiles::Quantiles;

/// The errors of the (seasonal) naive forecast within `values`, `step` + 1 rows ahead, ascending. Missing values are
/// left out.
fn differences(values: &[f64], step: usize, period: usize) -> Vec<f64> {
    let of = |row: usize| {
        let latest = (row + step % period).checked_sub(step + period)?;
        // Like `Windows::naive`, using only what was known before the first forecast row.
        let earlier = (0..=latest).rev().step_by(period).map(|row| values[row]).find(|value| !value.is_nan());
        Some(values[row] - earlier?)
    };
    let mut differences: Vec<f64> = (step..values.len()).filter_map(of).filter(|value| !value.is_nan()).collect();
    differences.sort_by(f64::total_cmp);
    differences
}

/// The quantile of ascending numbers, linear between two of them (Hyndman and Fan 1996, definition 7); `None` if there
/// are too few: fewer than one number beyond it.
fn quantile(sorted: &[f64], quantile: f64) -> Option<f64> {
    let count = sorted.len() as f64;
    if (count + 1.0) * quantile.min(1.0 - quantile) < 1.0 - 1e-9 {
        return None;
    }
    let place = quantile * (count - 1.0);
    let (below, above) = (*sorted.get(place.floor() as usize)?, *sorted.get(place.ceil() as usize)?);
    Some(below + place.fract() * (above - below))
}

/// The `naive` forecasts of a period, \[N, K, Q\], at each quantile: shifted by the quantiles of their errors in the
/// rows `known` of each target. `None` if there are too few errors at any step.
pub(crate) fn ranges(
    naive: &Array3<f64>,
    known: &[&[f64]],
    period: usize,
    quantiles: &Quantiles,
) -> Option<Vec<Array3<f64>>> {
    let mut ranges = vec![naive.clone(); quantiles.values().len()];
    let (_, horizon, targets) = naive.dim();
    for step in 0..horizon {
        for (target, values) in known.iter().enumerate().take(targets) {
            let differences = differences(values, step, period);
            for (range, of) in ranges.iter_mut().zip(quantiles.values()) {
                let shift = quantile(&differences, *of)?;
                range.slice_mut(ndarray::s![.., step, target]).mapv_inplace(|value| value + shift);
            }
        }
    }
    Some(ranges)
}

#[cfg(test)]
mod tests {
    use crate::Loss;
    use ndarray::Array3;

    use super::*;

    #[test]
    fn differences_use_only_values_known_that_many_steps_before() {
        let squares: Vec<f64> = (0..7).map(|row| f64::from(row * row)).collect();
        assert_eq!(differences(&squares, 0, 1), [1.0, 3.0, 5.0, 7.0, 9.0, 11.0]);
        assert_eq!(differences(&squares, 1, 1), [4.0, 8.0, 12.0, 16.0, 20.0]);
        // The season before: three rows back, or six where that is not known yet.
        assert_eq!(differences(&squares, 0, 3), [9.0, 15.0, 21.0, 27.0]);
        assert_eq!(differences(&squares, 3, 3), [36.0]);
        let gaps = [1.0, f64::NAN, 4.0, f64::NAN];
        assert_eq!(differences(&gaps, 0, 1), [3.0]);
        // Where the season before is missing it is the one before that.
        assert_eq!(differences(&[1.0, 50.0, f64::NAN, 60.0, 4.0], 0, 2), [3.0, 10.0]);
        assert!(differences(&[], 0, 1).is_empty() && differences(&[1.0], 5, 2).is_empty());
    }

    #[test]
    fn a_quantile_needs_enough_values_on_both_sides() {
        let numbers: Vec<f64> = (0..=10).map(f64::from).collect();
        let of = |q: f64| quantile(&numbers, q);
        assert_eq!([of(0.1), of(0.25), of(0.5), of(0.9)], [Some(1.0), Some(2.5), Some(5.0), Some(9.0)]);
        assert_eq!((of(0.01), quantile(&numbers[..8], 0.1), quantile(&[], 0.5)), (None, None, None));
        assert!(quantile(&numbers[..9], 0.9).is_some() && quantile(&[3.0], 0.5) == Some(3.0));
    }

    #[test]
    fn a_naive_range_surrounds_the_forecast_and_widens_with_the_steps() {
        // A random walk (Knuth's linear congruential generator).
        let (mut state, mut value) = (1u64, 0.0);
        let mut step = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            value += (state >> 40) as f64 / 8_388_608.0 - 1.0;
            value
        };
        let values: Vec<f64> = (0..400).map(&mut step).collect();
        let naive = Array3::from_elem((1, 3, 1), 100.0);
        let quantiles = Quantiles::of(&Loss::Quantile { quantiles: vec![0.1, 0.5, 0.9] });
        let ranges = ranges(&naive, &[&values], 1, &quantiles).unwrap();
        let width = |step: usize| ranges[2][[0, step, 0]] - ranges[0][[0, step, 0]];
        assert!(ranges[0][[0, 0, 0]] < 100.0 && ranges[2][[0, 0, 0]] > 100.0);
        assert!(width(2) > 1.2 * width(0) && width(0) > 1.0, "{} {}", width(0), width(2));
        assert!(super::ranges(&naive, &[&values[..5]], 1, &quantiles).is_none());
    }
}
