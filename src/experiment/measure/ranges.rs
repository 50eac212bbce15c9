//! What a network's outputs are as forecasts: one a target, or its quantiles.

use ndarray::Array2;

use super::quantiles::Quantiles;
use crate::Loss;
use crate::data::Conformal;

/// The forecasts that the outputs of a network stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranges {
    quantiles: Quantiles,
    conformal: Option<Conformal>,
}

impl From<Quantiles> for Ranges {
    /// Those that the network predicts.
    fn from(quantiles: Quantiles) -> Self {
        Self { quantiles, conformal: None }
    }
}

impl Ranges {
    /// Those of a network with this loss and these conformal shifts.
    pub(crate) fn new(loss: &Loss, conformal: Option<Conformal>) -> Self {
        let quantiles = Quantiles::of(loss);
        let quantiles = match &conformal {
            Some(conformal) if quantiles.values().is_empty() => Quantiles::around_point(&conformal.levels),
            _ => quantiles,
        };
        Self { quantiles, conformal }
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
    pub(crate) fn split(&self, outputs: &[f32]) -> Vec<Vec<f32>> {
        let mut split = self.quantiles.split(outputs);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_forecast_with_conformal_shifts_is_itself_between_two_quantiles() {
        let shifts = vec![vec![-1.0, -2.0], vec![0.0, 0.0], vec![3.0, 4.0]];
        let conformal = Conformal { levels: vec![0.1, 0.5, 0.9], examples: 9, shifts };
        let ranges = Ranges::new(&Loss::SquaredError, Some(conformal));
        assert_eq!(ranges.quantiles().columns(), ["q0.1", "forecast", "q0.9"]);
        assert_eq!(ranges.split(&[10.0, 20.0]), [[9.0, 18.0], [10.0, 20.0], [13.0, 24.0]]);
        // Those of two examples one after the other.
        assert_eq!(ranges.split(&[10.0, 20.0, 0.0, 0.0])[2], [13.0, 24.0, 3.0, 4.0]);
    }

    #[test]
    fn predicted_quantiles_are_shifted_each_by_its_own() {
        let conformal = Conformal { levels: vec![0.1, 0.9], examples: 9, shifts: vec![vec![-1.0], vec![0.5]] };
        let ranges = Ranges::new(&Loss::Quantile { quantiles: vec![0.1, 0.9] }, Some(conformal));
        let predictions = [Array2::from_elem((1, 2), 2.0)];
        assert_eq!(
            ranges.split_all(&predictions),
            [[Array2::from_elem((1, 1), 1.0)], [Array2::from_elem((1, 1), 2.5)]]
        );
    }
}
