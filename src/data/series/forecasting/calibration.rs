//! Conformal ranges of windows.

use ndarray::Array3;

use crate::data::{Conformal, Examples, Windows};
use crate::error::Result;

impl Conformal {
    /// Fits to the errors of `forecasts`, \[N, K, Q\] for each quantile of `levels`, of windows with their truth, in the
    /// units of each window. In a panel the errors of all members are taken together. The forecast with the index `point`
    /// is not shifted.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) if an output has fewer errors than [`least_examples`](Self::least_examples).
    pub fn fit(levels: &[f64], point: Option<usize>, forecasts: &[Array3<f64>], windows: &Windows) -> Result<Self> {
        let (truth, scalings) = (windows.truth(), windows.scalings());
        let codec = windows.encoded().codec();
        let of_quantile = |forecasts: &Array3<f64>| {
            let mut errors = vec![Vec::new(); codec.outputs()];
            for (((window, step, target), truth), forecast) in truth.indexed_iter().zip(forecasts) {
                let error = (truth - forecast) / scalings[window][target].unit;
                if !error.is_nan() {
                    errors[codec.output(step, target)].push(error);
                }
            }
            errors
        };
        Self::of_errors(levels, point, windows.len(), forecasts.iter().map(of_quantile))
    }

    /// Shifts the forecasts of windows, \[N, K, Q\] by quantile in the units of the data, and sorts quantiles that cross
    /// then.
    pub fn shift(&self, by_quantile: &mut [Array3<f64>], windows: &Windows) {
        let codec = windows.encoded().codec();
        let shape = by_quantile.first().map_or((0, 0, 0), Array3::dim);
        let mut values = vec![0.0; by_quantile.len()];
        for (window, scalings) in windows.scalings().iter().enumerate() {
            for (step, target) in ndarray::indices((shape.1, shape.2)) {
                let at = [window, step, target];
                values.iter_mut().zip(&*by_quantile).for_each(|(value, of)| *value = of[at]);
                self.shift_one(&mut values, codec.output(step, target), scalings[target].unit);
                by_quantile.iter_mut().zip(&values).for_each(|(of, value)| of[at] = *value);
            }
        }
    }
}
