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
pub(crate) struct Decoded {
    /// By quantile, or a single one without quantiles: \[N, K, Q\] each.
    pub(crate) by_quantile: Vec<Array3<f64>>,
    /// The predicted distributions, \[N, K, Q\], if the network predicts them.
    pub(crate) distributions: Option<Array3<Option<Distribution>>>,
}

impl Ranges {
    /// Those of a network with this loss, quantiles of its distributions (`stored`, by default 0.1, 0.5, 0.9) and conformal
    /// shifts.
    pub(crate) fn new(loss: &Loss, stored: &[f64], conformal: Option<Conformal>) -> Self {
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

    /// The outputs of one or more examples by quantile, each like those of a network with one value per target, in
    /// ascending order of the quantiles.
    fn split(&self, outputs: &[f32]) -> Vec<Vec<f32>> {
        let mut split = match self.scaled_distributions(outputs) {
            Some(distributions) => {
                let of = |level: &f64| distributions.iter().map(|of| of.quantile(*level) as f32).collect();
                self.quantiles.values().iter().map(of).collect()
            }
            None => self.quantiles.split(outputs),
        };
        if let Some(conformal) = &self.conformal {
            conformal.shift(&mut split);
        }
        split
    }

    /// The same for many predictions, \[1, O\] each.
    pub(crate) fn split_all(&self, predictions: &[Array2<f32>]) -> Vec<Vec<Array2<f32>>> {
        let mut split = vec![Vec::with_capacity(predictions.len()); self.quantiles.forecasts()];
        for prediction in predictions {
            let outputs: Vec<f32> = prediction.iter().copied().collect();
            for (all, of_quantile) in split.iter_mut().zip(self.split(&outputs)) {
                all.push(Array2::from_shape_fn((1, of_quantile.len()), |(_, output)| of_quantile[output]));
            }
        }
        split
    }
}

impl Ranges {
    /// Whether the quantiles are those of the predicted distributions as they are.
    fn are_of_distributions(&self) -> bool {
        self.loss.is_likelihood() && self.conformal.is_none()
    }

    /// The distribution that each target's outputs stand for, in the units of its window; those of counts for a unit of 1.
    /// `None` if the network does not predict distributions.
    fn scaled_distributions(&self, outputs: &[f32]) -> Option<Vec<Distribution>> {
        let of = |outputs: &[f32]| {
            let outputs: Vec<f64> = outputs.iter().map(|output| f64::from(*output)).collect();
            self.loss.distribution(&outputs)
        };
        outputs.chunks(self.loss.outputs_per_target()).map(of).collect()
    }

    /// The same in the units of the data; `scalings` has one for each target.
    pub(crate) fn distributions(&self, outputs: &[f32], scalings: &[Scaling]) -> Option<Vec<Distribution>> {
        let scaled = self.scaled_distributions(outputs)?.into_iter().zip(scalings);
        Some(scaled.map(|(of, scaling)| scaling.unscale_distribution(of)).collect())
    }

    /// Turns logits, \[P, B, O\], into outputs.
    pub(crate) fn of_logits(&self, logits: ArrayView3<'_, f32>) -> Array3<f32> {
        let mut outputs = logits.to_owned();
        self.loss.output(&mut outputs);
        outputs
    }

    /// The forecasts that outputs stand for, in the units of the data, by quantile; `scalings` has one for each target.
    pub(crate) fn by_quantile(&self, outputs: &[f32], scalings: &[Scaling]) -> Vec<Vec<f64>> {
        if let Some(distributions) = self.distributions(outputs, scalings).filter(|_| self.are_of_distributions()) {
            let of = |level: &f64| distributions.iter().map(|of| of.quantile(*level)).collect();
            return self.quantiles.values().iter().map(of).collect();
        }
        let unscale = |values: Vec<f32>| -> Vec<f64> {
            values.iter().zip(scalings).map(|(value, scaling)| scaling.unscale(f64::from(*value))).collect()
        };
        self.split(outputs).into_iter().map(unscale).collect()
    }

    /// The forecasts of `windows` from the network's predictions of their examples.
    ///
    /// # Errors
    /// If these are not the predictions of the windows.
    pub(crate) fn decode(&self, windows: &Windows, predictions: &[Array2<f32>]) -> Result<Decoded> {
        let of_all = self.loss.is_likelihood().then(|| windows.decode_distributions(&self.loss, predictions));
        let distributions = of_all.transpose()?;
        let by_quantile = match &distributions {
            Some(distributions) if self.are_of_distributions() => {
                let of = |level: &f64| distributions.map(|of| of.map_or(f64::NAN, |of| of.quantile(*level)));
                self.quantiles.values().iter().map(of).collect()
            }
            _ => {
                let split = self.split_all(predictions);
                split.iter().map(|predictions| windows.decode(predictions)).collect::<Result<_>>()?
            }
        };
        Ok(Decoded { by_quantile, distributions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_forecast_with_conformal_shifts_is_itself_between_two_quantiles() {
        let shifts = vec![vec![-1.0, -2.0], vec![0.0, 0.0], vec![3.0, 4.0]];
        let conformal = Conformal { levels: vec![0.1, 0.5, 0.9], examples: 9, shifts };
        let ranges = Ranges::new(&Loss::SquaredError, &[], Some(conformal));
        assert_eq!(ranges.quantiles().columns(), ["q0.1", "forecast", "q0.9"]);
        assert_eq!(ranges.split(&[10.0, 20.0]), [[9.0, 18.0], [10.0, 20.0], [13.0, 24.0]]);
        // Those of two examples one after the other.
        assert_eq!(ranges.split(&[10.0, 20.0, 0.0, 0.0])[2], [13.0, 24.0, 3.0, 4.0]);
    }

    #[test]
    fn predicted_quantiles_are_shifted_each_by_its_own() {
        let conformal = Conformal { levels: vec![0.1, 0.9], examples: 9, shifts: vec![vec![-1.0], vec![0.5]] };
        let ranges = Ranges::new(&Loss::Quantile { quantiles: vec![0.1, 0.9] }, &[], Some(conformal));
        let predictions = [Array2::from_elem((1, 2), 2.0)];
        assert_eq!(
            ranges.split_all(&predictions),
            [[Array2::from_elem((1, 1), 1.0)], [Array2::from_elem((1, 1), 2.5)]]
        );
    }
}
