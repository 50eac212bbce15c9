//! Naive forecasts of windows.

use ndarray::{Array3, s};

use crate::data::Windows;
use crate::data::series::naive::{KnownRows, SeasonalNaive};
use crate::error::{Error, Result};

impl Windows {
    /// The seasonal naive forecast (Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., 5.2) in
    /// the units of the data, \[N, K, Q\]: the value at the same position in the last known period, or in an earlier
    /// one if it is missing; where there is none, because the series is younger, the last value, and NaN if nothing is
    /// known. A period of 1 gives the last value. NaN if the example is left out.
    ///
    /// # Errors
    /// [`Error::Value`] for a period of 0, and for one longer than the rows before the first example.
    pub fn naive(&self, period: usize) -> Result<Array3<f64>> {
        let before = self.firsts.first().copied().unwrap_or(usize::MAX);
        if period == 0 || period > before {
            return Err(Error::value(
                "the period",
                format!("1 to {before}, the rows before the first forecast"),
                period,
            ));
        }
        let columns = self.encoded.series.truths();
        Ok(self.forecasts(|target| {
            let of = |period| SeasonalNaive::new(&columns[target].values, period);
            let (season, last) = (of(period), of(1));
            move |first, step| match season.forecast(first, step) {
                value if value.is_nan() => last.forecast(first, step),
                value => value,
            }
        }))
    }

    /// The targets with an example that has no value a period before, so that the [naive forecast](Self::naive) is the
    /// last value.
    pub fn without_season(&self, period: usize) -> Vec<usize> {
        let columns = self.encoded.series.truths();
        let forecasts = self.forecasts(|target| {
            let season = SeasonalNaive::new(&columns[target].values, period);
            move |first, step| season.forecast(first, step)
        });
        // A left-out example has no truth.
        let mut younger = vec![false; columns.len()];
        for (((_, _, target), value), truth) in forecasts.indexed_iter().zip(&self.truth()) {
            younger[target] |= value.is_nan() && !truth.is_nan();
        }
        (0..younger.len()).filter(|target| younger[*target]).collect()
    }

    /// The drift forecast (the same, 5.2) in the units of the data, \[N, K, Q\]: the line through the first and the last
    /// value before the forecast, as it goes on, or the last value if it is the only one; NaN if there is none, and if
    /// the example is left out.
    pub fn drift(&self) -> Array3<f64> {
        let columns = self.encoded.series.truths();
        self.forecasts(|target| {
            let known = KnownRows::new(&columns[target].values);
            move |first, step| match known.drift(first, step) {
                value if value.is_nan() => known.before(first).map_or(value, |(_, last)| last),
                value => value,
            }
        })
    }

    /// The forecasts of every example from the values before it, \[N, K, Q\]: for each target, of its first row and the
    /// step from there. NaN if the example is left out.
    pub(crate) fn forecasts<F: Fn(usize, usize) -> f64>(&self, of_target: impl Fn(usize) -> F) -> Array3<f64> {
        let mut forecasts = self.missing();
        let mut by_member = self.examples.clone();
        by_member.sort_by_key(|example| example.member);
        for examples in by_member.chunk_by(|a, b| a.member == b.member) {
            for target in self.encoded.codec.targets_of(examples[0].member) {
                let forecast = of_target(target);
                for example in examples {
                    let to = forecasts.slice_mut(s![example.window, .., target]);
                    let first = self.firsts[example.window];
                    to.into_iter().enumerate().for_each(|(step, to)| *to = forecast(first, step));
                }
            }
        }
        forecasts
    }
}
