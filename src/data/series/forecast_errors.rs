//! The errors of forecasts.

use ndarray::{ArrayView3, Axis};
use serde::Serialize;

use crate::error::{Error, Result};

/// The errors of forecasts, in the units of the data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ForecastErrors {
    /// The root mean squared error; NaN if nothing was compared.
    pub rmse: f64,
    /// The mean absolute error; NaN if nothing was compared.
    pub mae: f64,
    /// The number of compared values.
    pub count: usize,
}

impl ForecastErrors {
    /// The errors of pairs of truth and forecast. A pair with a NaN, which is missing, is ignored.
    pub fn of(pairs: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let errors = pairs.into_iter().map(|(truth, forecast)| forecast - truth).filter(|error| !error.is_nan());
        let (squares, sum, count) =
            errors.fold((0.0, 0.0, 0), |(squares, sum, count), e| (squares + e * e, sum + e.abs(), count + 1));
        Self { rmse: f64::sqrt(squares / count as f64), mae: sum / count as f64, count }
    }
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
        assert_eq!(of[0].by_step[0], ForecastErrors { rmse: 12.5f64.sqrt(), mae: 3.5, count: 2 });
        assert_eq!(of[0].by_step[1], ForecastErrors { rmse: 1.0, mae: 1.0, count: 2 });
        assert_eq!(of[0].overall, ForecastErrors { rmse: 6.75f64.sqrt(), mae: 2.25, count: 4 });
        assert_eq!(of[1].by_step[0], ForecastErrors { rmse: 0.0, mae: 0.0, count: 1 });
        assert_eq!(of[1].overall, ForecastErrors { rmse: (4.0f64 / 3.0).sqrt(), mae: 2.0 / 3.0, count: 3 });
        assert!(ForecastErrors::of([]).rmse.is_nan());
        assert!(forecast_errors(truth.view(), forecast.slice(ndarray::s![..1, .., ..])).is_err());
    }
}
