//! What a network's outputs are as forecasts: one a target, its quantiles, or the parameters of its distribution.

use ndarray::{Array2, Array3, ArrayView3};

use super::quantiles::Quantiles;
use crate::data::{Conformal, Scaling, Windows};
use crate::{Distribution, Loss, Result};

/// The forecasts that the outputs of a network stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranges {
    loss: Loss,
    quantiles: Quantiles,
    conformal: Option<Conformal>,
}

/// The forecasts of windows, in the units of the data.
pub struct Decoded {
    /// By quantile, or a single one without quantiles: \[N, K, Q\] each.
    pub by_quantile: Vec<Array3<f64>>,
    /// The predicted distributions, \[N, K, Q\], if the network predicts them.
    pub distributions: Option<Array3<Option<Distribution>>>,
}

impl Ranges {
    /// Those of a network with this loss, quantiles of its distributions (`stored`, by default 0.1, 0.5, 0.9) and conformal
    /// shifts.
    pub fn new(loss: &Loss, stored: &[f64], conformal: Option<Conformal>) -> Self {
        let quantiles = Quantiles::of_series(loss, stored);
        let quantiles = match &conformal {
            Some(conformal) if quantiles.values().is_empty() => Quantiles::around_point(&conformal.levels),
            _ => quantiles,
        };
        Self { loss: loss.clone(), quantiles, conformal }
    }

    /// Those of a network with this loss and without shifts: `quantiles` that it predicts, or around the one value that it
    /// predicts.
    pub(crate) fn unshifted(loss: &Loss, quantiles: Quantiles) -> Self {
        Self { loss: loss.clone(), quantiles, conformal: None }
    }

    /// The quantiles of each target.
    pub fn quantiles(&self) -> &Quantiles {
        &self.quantiles
    }

    /// The conformal shifts; `None` if the quantiles are as the network predicts them.
    pub fn conformal(&self) -> Option<&Conformal> {
        self.conformal.as_ref()
    }

    /// The distribution that each target's outputs stand for, in the units of the data; `scalings` has one for each
    /// target. `None` if the network does not predict distributions.
    pub(crate) fn distributions(&self, outputs: &[f32], scalings: &[Scaling]) -> Option<Vec<Distribution>> {
        let of = |(outputs, scaling): (&[f32], &Scaling)| {
            let outputs: Vec<f64> = outputs.iter().map(|output| f64::from(*output)).collect();
            Some(scaling.unscale_distribution(self.loss.distribution(&outputs)?))
        };
        outputs.chunks(self.loss.outputs_per_target()).zip(scalings).map(of).collect()
    }

    /// Whether the quantiles are those of the predicted distributions as they are.
    pub(crate) fn are_of_distributions(&self) -> bool {
        self.loss.is_likelihood() && self.conformal.is_none()
    }

    /// A draw of each target from its predicted distribution, in the units of the data: its quantile of a number above 0
    /// and below 1 from `uniform`. Quantiles that the network predicts, or that are shifted, are joined: see
    /// [`Quantiles::value_at`]; there must be two of them.
    pub(crate) fn draw(&self, outputs: &[f32], scalings: &[Scaling], mut uniform: impl FnMut() -> f64) -> Vec<f64> {
        if let Some(distributions) = self.distributions(outputs, scalings).filter(|_| self.are_of_distributions()) {
            return distributions.iter().map(|of| of.quantile(uniform())).collect();
        }
        let by_quantile = self.by_quantile(outputs, scalings);
        let of = |target: usize| {
            let mut values: Vec<f64> = by_quantile.iter().map(|values| values[target]).collect();
            // A forecast may lie outside its conformal range.
            values.sort_by(f64::total_cmp);
            self.quantiles.value_at(&values, uniform())
        };
        (0..scalings.len()).map(of).collect()
    }

    /// Turns logits, \[P, B, O\], into outputs.
    pub fn of_logits(&self, logits: ArrayView3<'_, f32>) -> Array3<f32> {
        let mut outputs = logits.to_owned();
        self.loss.output(&mut outputs);
        outputs
    }

    /// The forecasts that outputs stand for, in the units of the data, by quantile; `scalings` has one for each target.
    pub fn by_quantile(&self, outputs: &[f32], scalings: &[Scaling]) -> Vec<Vec<f64>> {
        let unscale = |values: Vec<f32>| -> Vec<f64> {
            values.iter().zip(scalings).map(|(value, scaling)| scaling.unscale(f64::from(*value))).collect()
        };
        let mut by_quantile: Vec<Vec<f64>> = match self.distributions(outputs, scalings) {
            Some(distributions) => {
                let of = |quantile: &f64| distributions.iter().map(|of| of.quantile(*quantile)).collect();
                self.quantiles.values().iter().map(of).collect()
            }
            None => self.quantiles.split(outputs).into_iter().map(unscale).collect(),
        };
        if let Some(conformal) = &self.conformal {
            conformal.shift_outputs(&mut by_quantile, scalings);
        }
        by_quantile
    }

    /// The forecasts of `windows` from the network's predictions of their examples.
    ///
    /// # Errors
    /// If these are not the predictions of the windows.
    pub fn decode(&self, windows: &Windows, predictions: &[Array2<f32>]) -> Result<Decoded> {
        let mut decoded = if self.loss.is_likelihood() {
            let distributions = windows.decode_distributions(&self.loss, predictions)?;
            let of = |quantile: &f64| distributions.map(|of| of.map_or(f64::NAN, |of| of.quantile(*quantile)));
            let by_quantile = self.quantiles.values().iter().map(of).collect();
            Decoded { by_quantile, distributions: Some(distributions) }
        } else {
            let split = self.quantiles.split_all(predictions);
            let by_quantile = split.iter().map(|predictions| windows.decode(predictions)).collect::<Result<_>>()?;
            Decoded { by_quantile, distributions: None }
        };
        if let Some(conformal) = &self.conformal {
            conformal.shift(&mut decoded.by_quantile, windows);
        }
        Ok(decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_forecast_with_conformal_shifts_is_itself_between_two_quantiles() {
        let shifts = vec![vec![-1.0, -2.0], vec![0.0, 0.0], vec![3.0, 4.0]];
        let conformal = Conformal { levels: vec![0.1, 0.5, 0.9], examples: 9, shifts, point: Some(1) };
        let ranges = Ranges::new(&Loss::SquaredError, &[], Some(conformal));
        assert_eq!(ranges.quantiles().columns(), ["q0.1", "forecast", "q0.9"]);
        let scaling = Scaling { offset: 100.0, unit: 2.0 };
        let by_quantile = ranges.by_quantile(&[10.0, 20.0], &[scaling; 2]);
        assert_eq!(by_quantile, [[118.0, 136.0], [120.0, 140.0], [126.0, 148.0]]);
        // Those of two examples one after the other.
        assert_eq!(ranges.by_quantile(&[10.0, 20.0, 0.0, 0.0], &[scaling; 4])[2], [126.0, 148.0, 106.0, 108.0]);
    }

    #[test]
    fn predicted_quantiles_are_shifted_each_by_its_own() {
        let conformal =
            Conformal { levels: vec![0.1, 0.9], examples: 9, shifts: vec![vec![-1.0], vec![0.5]], point: None };
        let ranges = Ranges::new(&Loss::Quantile { quantiles: vec![0.1, 0.9] }, &[], Some(conformal));
        let scaling = Scaling { offset: 0.0, unit: 1.0 };
        assert_eq!(ranges.by_quantile(&[2.0, 2.0], &[scaling]), [[1.0], [2.5]]);
    }
}
