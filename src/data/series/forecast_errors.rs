//! The errors of forecasts.

use ndarray::{ArrayView3, Axis};
use serde::Serialize;

use crate::error::{Error, Result};

/// The errors of forecasts. A value that is missing counts in none of them, even where the input was filled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ForecastErrors {
    /// The root mean squared error √mean(e²), in the units of the data; NaN if nothing was compared.
    pub rmse: f64,
    /// The mean absolute error mean |e|, likewise.
    pub mae: f64,
    /// The symmetric mean absolute percentage error mean(200 |y − ŷ| / (|y| + |ŷ|)) in percent, from 0 to 200
    /// (Makridakis 1993; Makridakis, Spiliotis & Assimakopoulos 2020, eq. 1). Where both are 0 it is 0.
    pub smape: f64,
    /// The weighted absolute percentage error Σ |e| / Σ |y|, a share: the MAD/mean ratio of Kolassa & Schütz (2007).
    /// NaN if every true value is 0.
    pub wape: f64,
    /// The number of compared values.
    pub count: usize,
}

impl ForecastErrors {
    /// The errors of pairs of truth and forecast. A pair with a NaN, which is missing, is ignored.
    pub fn of(pairs: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let (mut squares, mut sum, mut percent, mut size, mut count) = (0.0, 0.0, 0.0, 0.0, 0usize);
        for (truth, forecast) in pairs {
            let error = (forecast - truth).abs();
            if error.is_nan() {
                continue;
            }
            squares += error * error;
            sum += error;
            percent += if error > 0.0 { 200.0 * (error / (truth.abs() + forecast.abs())) } else { 0.0 };
            size += truth.abs();
            count += 1;
        }
        let n = count as f64;
        let wape = ratio(sum, size).unwrap_or(f64::NAN);
        Self { rmse: f64::sqrt(squares / n), mae: sum / n, smape: percent / n, wape, count }
    }
}

/// The scale of a series for errors without units: those of naive forecasts one step ahead in its training part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NaiveScale {
    /// The mean absolute error of the seasonal naive forecast; NaN if no value has one a season before.
    pub seasonal_mae: f64,
    /// The root mean squared error of the last value, from the first value on that is not 0; NaN likewise.
    pub last_value_rmse: f64,
}

impl NaiveScale {
    /// The scale of the `training` values, in time order, with a season of `period` rows; 1 for none. NaN is missing.
    pub fn of(training: &[f64], period: usize) -> Self {
        let errors = |values: &[f64], period: usize| {
            ForecastErrors::of(values.iter().copied().zip(values.iter().skip(period.max(1)).copied()))
        };
        let begin = training.iter().position(|value| *value != 0.0 && !value.is_nan()).unwrap_or(training.len());
        Self { seasonal_mae: errors(training, period).mae, last_value_rmse: errors(&training[begin..], 1).rmse }
    }

    /// The mean absolute scaled error: the MAE in units of the seasonal naive forecast's in the training part (Hyndman
    /// & Koehler 2006; with a season Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., 5.8).
    /// NaN if that is 0.
    pub fn mase(&self, errors: &ForecastErrors) -> f64 {
        ratio(errors.mae, self.seasonal_mae).unwrap_or(f64::NAN)
    }

    /// The root mean squared scaled error: the RMSE in units of the last value's one step ahead in the training part,
    /// from the first value on that is not 0 (Makridakis, Spiliotis & Assimakopoulos 2022, M5). NaN if that is 0.
    pub fn rmsse(&self, errors: &ForecastErrors) -> f64 {
        ratio(errors.rmse, self.last_value_rmse).unwrap_or(f64::NAN)
    }
}

/// A value in units of `scale`; `None` if that is not above 0, or unknown.
pub(crate) fn ratio(value: f64, scale: f64) -> Option<f64> {
    (scale > 0.0).then(|| value / scale)
}

/// The errors of one target's forecasts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetErrors {
    /// Over all steps of the horizon.
    pub overall: ForecastErrors,
    /// At each step of the horizon.
    pub by_step: Vec<ForecastErrors>,
}

/// The errors of each target, from `truth` and `forecast`, both \[N, K, Q\].
///
/// # Errors
/// [`Error::Shape`] if their shapes differ.
pub fn forecast_errors(truth: ArrayView3<'_, f64>, forecast: ArrayView3<'_, f64>) -> Result<Vec<TargetErrors>> {
    if truth.shape() != forecast.shape() {
        return Err(Error::shape("the forecast", truth.shape(), forecast.shape()));
    }
    let targets = truth.axis_iter(Axis(2)).zip(forecast.axis_iter(Axis(2)));
    let of_target = |(truth, forecast): (ndarray::ArrayView2<'_, f64>, ndarray::ArrayView2<'_, f64>)| {
        let steps = truth.columns().into_iter().zip(forecast.columns());
        TargetErrors {
            overall: ForecastErrors::of(truth.iter().copied().zip(forecast.iter().copied())),
            by_step: steps.map(|(a, b)| ForecastErrors::of(a.iter().copied().zip(b.iter().copied()))).collect(),
        }
    };
    Ok(targets.map(of_target).collect())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn errors_are_per_target_and_step_and_ignore_missing_values() {
        // [N, K, Q] = [2, 2, 2].
        let truth = array![[[0.0, 10.0], [0.0, 20.0]], [[0.0, f64::NAN], [0.0, 40.0]]];
        let forecast = array![[[3.0, 10.0], [1.0, 22.0]], [[-4.0, 7.0], [-1.0, 40.0]]];
        let of = forecast_errors(truth.view(), forecast.view()).unwrap();
        let [first, second] = [&of[0], &of[1]];
        assert_eq!((first.by_step[0].rmse, first.by_step[0].mae, first.by_step[0].count), (12.5f64.sqrt(), 3.5, 2));
        assert_eq!((first.by_step[1].rmse, first.by_step[1].mae), (1.0, 1.0));
        assert_eq!((first.overall.rmse, first.overall.mae, first.overall.count), (6.75f64.sqrt(), 2.25, 4));
        assert_eq!((second.by_step[0].rmse, second.by_step[0].mae, second.by_step[0].count), (0.0, 0.0, 1));
        assert_eq!((second.overall.mae, second.overall.count), (2.0 / 3.0, 3));
        let nothing = ForecastErrors::of([(f64::NAN, 1.0), (1.0, f64::NAN)]);
        assert!(nothing.rmse.is_nan() && nothing.smape.is_nan() && nothing.wape.is_nan() && nothing.count == 0);
        assert!(forecast_errors(truth.view(), forecast.slice(ndarray::s![..1, .., ..])).is_err());
    }

    #[test]
    fn percentage_errors_are_those_of_their_definitions() {
        // |e| = 10, 20, 0, 5; |y| + |ŷ| = 210, 180, 0, 5.
        let errors = ForecastErrors::of([(100.0, 110.0), (100.0, 80.0), (0.0, 0.0), (0.0, -5.0)]);
        let expected = (200.0 * 10.0 / 210.0 + 200.0 * 20.0 / 180.0 + 0.0 + 200.0) / 4.0;
        assert!((errors.smape - expected).abs() < 1e-12, "{errors:?}");
        assert_eq!(errors.wape, 35.0 / 200.0);
        assert!(ForecastErrors::of([(0.0, 1.0)]).wape.is_nan());
    }

    #[test]
    fn scaled_errors_are_1_for_a_naive_forecast_of_the_training_part() {
        // One step ahead |e| = 2, 1, 3, 2; the second season's differences are 1, 2, 1.
        let training = [1.0, 3.0, 2.0, 5.0, 3.0];
        let scale = NaiveScale::of(&training, 2);
        assert_eq!((scale.seasonal_mae, scale.last_value_rmse), (4.0 / 3.0, (18.0f64 / 4.0).sqrt()));
        let naive = |period: usize| ForecastErrors::of(training[period..].iter().copied().zip(training));
        assert_eq!((scale.mase(&naive(2)), scale.rmsse(&naive(1))), (1.0, 1.0));
        assert_eq!(NaiveScale::of(&training, 1).mase(&naive(1)), 1.0);
        // A forecast of 5 and 7 where 3 and 3 came: MAE 3, RMSE √10.
        let errors = ForecastErrors::of([(3.0, 5.0), (3.0, 7.0)]);
        assert_eq!(scale.mase(&errors), 3.0 / (4.0 / 3.0));
        assert!((scale.rmsse(&errors) - (10.0f64 / 4.5).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_scale_ignores_gaps_and_leading_zeros_and_may_be_unknown() {
        let n = f64::NAN;
        assert_eq!(NaiveScale::of(&[1.0, n, 4.0, 6.0, n, 7.0], 1).seasonal_mae, 2.0);
        assert_eq!(NaiveScale::of(&[0.0, n, 0.0, 0.0, 3.0, 7.0], 1).last_value_rmse, 4.0);
        let errors = ForecastErrors::of([(1.0, 2.0)]);
        for training in [&[2.0, 2.0, 2.0][..], &[2.0], &[]] {
            let scale = NaiveScale::of(training, 1);
            assert!(scale.mase(&errors).is_nan() && scale.rmsse(&errors).is_nan(), "{training:?}");
        }
    }
}
