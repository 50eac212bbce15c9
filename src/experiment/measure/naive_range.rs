//! Forecasts without a network as ranges, from their past errors.

use ndarray::{Array2, Array3, ArrayView1, Axis};

use super::quantiles::Quantiles;
use crate::data::Scaling;

/// A forecast of row `first` + `step` of a column from its values before row `first`.
pub(crate) type ColumnForecast<'a> = Box<dyn Fn(usize, usize) -> f64 + 'a>;

/// A way to forecast columns, from the values that are known of each.
pub(crate) type NaiveForecast<'f> = &'f dyn for<'a> Fn(&'a [f64]) -> ColumnForecast<'a>;

/// The errors of a forecast within `values`, `step` + 1 rows ahead, ascending. Missing values are left out.
fn differences(values: &[f64], step: usize, forecast: &ColumnForecast<'_>) -> Vec<f64> {
    let of = |row: usize| values[row] - forecast(row - step, step);
    let mut differences: Vec<f64> = (step..values.len()).map(of).filter(|value| !value.is_nan()).collect();
    differences.sort_by(f64::total_cmp);
    differences
}

/// The root mean squared error of a forecast in the rows `known` of each target: \[K, targets\]; NaN without any.
pub(crate) fn root_mean_squares(horizon: usize, known: &[&[f64]], forecast: NaiveForecast<'_>) -> Array2<f64> {
    let mut roots = Array2::zeros((horizon, known.len()));
    for (values, mut of_target) in known.iter().zip(roots.columns_mut()) {
        let forecast = forecast(values);
        for (step, root) in of_target.iter_mut().enumerate() {
            let errors = differences(values, step, &forecast);
            *root = (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt();
        }
    }
    roots
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

/// By how much a forecast is shifted: by step, then by forecast of the quantiles, of which the point forecast is not shifted.
type Shifts = Vec<Vec<f64>>;

/// The quantiles of errors as [`quantile`]; `None` if there are too few of any step.
fn shifts(errors: impl Iterator<Item = Vec<f64>>, quantiles: &Quantiles) -> Option<Shifts> {
    let of_step = |errors: Vec<f64>| {
        let mut shifts = vec![0.0; quantiles.values().len()];
        quantiles.named().try_for_each(|(index, of)| quantile(&errors, of).map(|shift| shifts[index] = shift))?;
        Some(shifts)
    };
    errors.map(of_step).collect()
}

/// The forecasts `values`, \[N, K, Q\], at each quantile: shifted by the quantiles of the errors that the first of `forecasts`
/// with enough of them made in the rows `known` of a target. NaN for a target where each made too few; `None` if that
/// is so of all.
pub(crate) fn ranges(
    values: &Array3<f64>,
    known: &[&[f64]],
    forecasts: &[NaiveForecast<'_>],
    quantiles: &Quantiles,
) -> Option<Vec<Array3<f64>>> {
    let mut ranges = vec![values.clone(); quantiles.values().len()];
    let (mut any, horizon) = (false, values.dim().1);
    for (target, values) in known.iter().enumerate() {
        let of = |forecast: &NaiveForecast<'_>| {
            let forecast = forecast(values);
            shifts((0..horizon).map(|step| differences(values, step, &forecast)), quantiles)
        };
        let shifts = forecasts.iter().find_map(of);
        any |= shifts.is_some();
        for (index, range) in ranges.iter_mut().enumerate() {
            for (step, mut of_step) in range.index_axis_mut(Axis(2), target).columns_mut().into_iter().enumerate() {
                of_step += shifts.as_ref().map_or(f64::NAN, |shifts| shifts[step][index]);
            }
        }
    }
    any.then_some(ranges)
}

/// The forecasts `values` of regressions, likewise: shifted by the quantiles of their `residuals`, \[n, K\] for each
/// target or for all, in the units of each window, `scalings` by window and target.
pub(crate) fn regression_ranges(
    values: &Array3<f64>,
    scalings: &[Vec<Scaling>],
    residuals: &[Array2<f64>],
    quantiles: &Quantiles,
) -> Option<Vec<Array3<f64>>> {
    let mut ranges = vec![values.clone(); quantiles.values().len()];
    let ascending = |column: ArrayView1<'_, f64>| {
        let mut errors: Vec<f64> = column.iter().copied().filter(|error| !error.is_nan()).collect();
        errors.sort_by(f64::total_cmp);
        errors
    };
    let of = |residuals: &Array2<f64>| shifts(residuals.columns().into_iter().map(ascending), quantiles);
    let shifts: Vec<Option<Shifts>> = residuals.iter().map(of).collect();
    for (index, range) in ranges.iter_mut().enumerate() {
        for ((window, step, target), value) in range.indexed_iter_mut() {
            let of_target = shifts.get(target).or(shifts.first()).and_then(Option::as_ref);
            let shift = of_target.map_or(f64::NAN, |shifts| shifts[step][index]);
            *value += shift * scalings[window][target].unit;
        }
    }
    shifts.iter().any(Option::is_some).then_some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Loss;
    use crate::data::series::naive::SeasonalNaive;

    fn differences(values: &[f64], step: usize, period: usize) -> Vec<f64> {
        super::differences(values, step, &seasonal(period)(values))
    }

    fn seasonal(period: usize) -> impl for<'a> Fn(&'a [f64]) -> ColumnForecast<'a> {
        move |values| {
            let naive = SeasonalNaive::new(values, period);
            Box::new(move |first, step| naive.forecast(first, step))
        }
    }

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
        let (last, season) = (seasonal(1), seasonal(300));
        let ranges = ranges(&naive, &[&values], &[&last], &quantiles).unwrap();
        let width = |step: usize| ranges[2][[0, step, 0]] - ranges[0][[0, step, 0]];
        assert!(ranges[0][[0, 0, 0]] < 100.0 && ranges[2][[0, 0, 0]] > 100.0);
        assert!(width(2) > 1.2 * width(0) && width(0) > 1.0, "{} {}", width(0), width(2));
        assert!(super::ranges(&naive, &[&values[..5]], &[&last], &quantiles).is_none());
        // Around a point forecast, that one stays.
        let around = super::ranges(&naive, &[&values], &[&last], &Quantiles::around_point(&[0.1, 0.9])).unwrap();
        assert!([&around[0], &around[2]] == [&ranges[0], &ranges[2]] && around[1] == naive);
        // A season with too few errors has those of the last value, and a target with too few of either no range.
        let both = ndarray::concatenate![ndarray::Axis(2), naive, naive];
        let known: [&[f64]; 2] = [&values[..305], &values[..5]];
        let of_both = super::ranges(&both, &known, &[&season, &last], &quantiles).unwrap();
        let of_last = super::ranges(&naive, &known[..1], &[&last], &quantiles).unwrap();
        for (both, last) in of_both.iter().zip(&of_last) {
            assert_eq!(both.index_axis(ndarray::Axis(2), 0), last.index_axis(ndarray::Axis(2), 0));
            assert!(both.index_axis(ndarray::Axis(2), 1).iter().all(|value| value.is_nan()));
        }
    }

    #[test]
    fn a_regression_is_shifted_by_its_errors_in_the_units_of_each_window() {
        let quantiles = Quantiles::of(&Loss::Quantile { quantiles: vec![0.1, 0.9] });
        let values = Array3::from_elem((2, 1, 2), 5.0);
        let scaling = |unit| Scaling { offset: 9.0, unit };
        let scalings = [vec![scaling(1.0), scaling(10.0)], vec![scaling(2.0), scaling(20.0)]];
        // From −10 to 10, of which the quantiles 0.1 and 0.9 are −8 and 8.
        let errors = |scale: f64| Array2::from_shape_fn((21, 1), |(n, _)| scale * (n as f64 - 10.0));
        let of = |residuals: &[Array2<f64>]| {
            let ranges = regression_ranges(&values, &scalings, residuals, &quantiles).unwrap();
            ranges.iter().map(|range| range.iter().map(|value| value - 5.0).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        // One regression for both targets, and one for each.
        assert_eq!(of(&[errors(1.0)]), [[-8.0, -80.0, -16.0, -160.0], [8.0, 80.0, 16.0, 160.0]]);
        assert_eq!(of(&[errors(1.0), errors(2.0)]), [[-8.0, -160.0, -16.0, -320.0], [8.0, 160.0, 16.0, 320.0]]);
        assert_eq!(regression_ranges(&values, &scalings, &[Array2::zeros((3, 1))], &quantiles), None);
    }
}
