//! Forecasts beyond the horizon, each step on the ones before.

use ndarray::{Axis, concatenate};

use crate::data::{Forecast, Rollout};
use crate::experiment::device::network::Network;
use crate::experiment::measure::quantiles::Quantiles;
use crate::plot::Onward;
use crate::{Error, Loss, Result, Sequence};

/// A forecast that goes on from itself.
pub struct RolledForecast {
    /// The quantiles of each target.
    pub quantiles: Quantiles,
    /// By quantile; one where the network tells no quantiles.
    pub forecasts: Vec<Forecast>,
}

impl RolledForecast {
    /// The one that it goes on from.
    pub fn middle(&self) -> &Forecast {
        &self.forecasts[self.quantiles.middle()]
    }

    /// What a picture has of a target, from row `first` on.
    pub fn picture(&self, first: usize, target: usize) -> Onward {
        let values = |forecast: &Forecast| forecast.values.column(target).to_vec();
        let range = match &self.forecasts[..] {
            [low, .., high] => Some([values(low), values(high)]),
            _ => None,
        };
        Onward { first, values: values(self.middle()), range }
    }
}

/// Lets the network forecast until every roll is whole; they go on for the same number of rows. Of several quantiles it
/// reads the middle one in the place of the data.
pub async fn roll(network: &mut Network, rolls: Vec<Rollout>) -> Result<Vec<RolledForecast>> {
    let loss = network.model().head.as_ref().map_or(Loss::SquaredError, |head| head.loss.clone());
    let quantiles = Quantiles::of(&loss);
    let middle = quantiles.middle();
    // What is told of each quantile is kept by a roll of its own.
    let mut rolls: Vec<Vec<Rollout>> = rolls.into_iter().map(|roll| vec![roll; quantiles.count()]).collect();
    loop {
        let inputs: Vec<_> = rolls.iter().filter_map(|rolls| rolls[middle].next_input()).collect();
        if inputs.is_empty() {
            let finish = |rolls: Vec<Rollout>| RolledForecast {
                quantiles: quantiles.clone(),
                forecasts: rolls.into_iter().map(Rollout::finish).collect(),
            };
            return Ok(rolls.into_iter().map(finish).collect());
        }
        let views: Vec<_> = inputs.iter().map(|input| input.view()).collect();
        let x = concatenate(Axis(1), &views).map_err(|error| Error::Unsupported(error.to_string()))?;
        // The outputs of every loss of a series are its logits.
        let (logits, _) = network.logits(&Sequence::dense(x)).await?;
        for (rolls, outputs) in rolls.iter_mut().zip(logits.index_axis(Axis(0), 0).outer_iter()) {
            for (roll, outputs) in rolls.iter_mut().zip(quantiles.split(&outputs.to_vec())) {
                roll.push(&outputs)?;
            }
        }
    }
}
