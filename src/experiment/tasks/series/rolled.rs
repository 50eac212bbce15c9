//! Forecasts beyond the horizon, each step from the previous ones.

use ndarray::{ArrayView3, Axis, concatenate};

use crate::data::{Forecast, Rollout};
use crate::experiment::device::network::Network;
use crate::experiment::measure::quantiles::Quantiles;
use crate::experiment::measure::ranges::Ranges;
use crate::plot::RolledOut;
use crate::{Error, Result, Sequence};

/// A forecast that feeds on itself.
pub struct RolledForecast {
    /// The quantiles of each target.
    pub quantiles: Quantiles,
    /// By quantile; one without quantiles.
    pub forecasts: Vec<Forecast>,
}

impl RolledForecast {
    /// The rollout that is fed back.
    pub fn middle(&self) -> &Forecast {
        &self.forecasts[self.quantiles.middle()]
    }

    /// The forecast of a target from row `first` on, for a picture.
    pub fn picture(&self, first: usize, target: usize) -> RolledOut {
        let values = |forecast: &Forecast| forecast.values.column(target).to_vec();
        let range = match &self.forecasts[..] {
            [low, .., high] => Some([values(low), values(high)]),
            _ => None,
        };
        RolledOut { first, values: values(self.middle()), range }
    }
}

/// Forecasts several horizons, each from the previous ones. All rollouts have the same number of rows.
///
/// # Errors
/// Those of [`Network::session`], of the device and of [`Rollout::push`].
pub async fn roll(network: &mut Network, ranges: &Ranges, rollouts: Vec<Rollout>) -> Result<Vec<RolledForecast>> {
    let mut rolling = Rolling::new(ranges, rollouts);
    let mut session = network.session(rolling.batch_rows())?;
    while let Some(windows) = rolling.next_input()? {
        // Every horizon reads its window from a zero state.
        session.reset();
        rolling.push(session.step(&windows).await?)?;
    }
    Ok(rolling.finish())
}

/// Forecasts one horizon; the network may be bidirectional.
///
/// # Errors
/// Those of the device and of [`Rollout::push`].
pub async fn roll_once(network: &mut Network, ranges: &Ranges, rollouts: Vec<Rollout>) -> Result<Vec<RolledForecast>> {
    let mut rolling = Rolling::new(ranges, rollouts);
    if let Some(windows) = rolling.next_input()? {
        rolling.push(network.logits(&windows).await?.view())?;
    }
    Ok(rolling.finish())
}

/// Forecasts in progress.
struct Rolling<'a> {
    ranges: &'a Ranges,
    /// A rollout for each quantile of each forecast. The middle one is fed back.
    rollouts: Vec<Vec<Rollout>>,
}

impl<'a> Rolling<'a> {
    fn new(ranges: &'a Ranges, rollouts: Vec<Rollout>) -> Self {
        let rollouts = rollouts.into_iter().map(|rollout| vec![rollout; ranges.quantiles().forecasts()]).collect();
        Self { ranges, rollouts }
    }

    /// The number of rows that the network reads at once.
    fn batch_rows(&self) -> usize {
        self.rollouts.iter().flat_map(|rollouts| rollouts.first()).map(Rollout::batch_rows).sum()
    }

    /// The windows that the network reads next; `None` once all rows are forecast.
    fn next_input(&self) -> Result<Option<Sequence>> {
        let middle = self.ranges.quantiles().middle();
        let inputs: Vec<_> = self.rollouts.iter().filter_map(|rollouts| rollouts[middle].next_input()).collect();
        if inputs.is_empty() {
            return Ok(None);
        }
        let views: Vec<_> = inputs.iter().map(|input| input.view()).collect();
        let x = concatenate(Axis(1), &views).map_err(|error| Error::Unsupported(error.to_string()))?;
        Ok(Some(Sequence::dense(x)))
    }

    /// Takes the network's logits.
    fn push(&mut self, logits: ArrayView3<'_, f32>) -> Result<()> {
        let (outputs, middle) = (self.ranges.of_logits(logits), self.ranges.quantiles().middle());
        if let Some(((_, _, index), output)) = outputs.indexed_iter().find(|(_, output)| !output.is_finite()) {
            let (expected, got) = ("a finite number".into(), output.to_string());
            return Err(Error::Value { what: format!("output {index} of the network"), expected, got });
        }
        let mut rows = outputs.index_axis(Axis(0), 0).into_outer_iter();
        for rollouts in &mut self.rollouts {
            let of_forecast = rows.by_ref().take(rollouts[0].batch_rows());
            let outputs: Vec<f32> = of_forecast.flat_map(|row| row.to_vec()).collect();
            // All quantiles are of the window that the network read.
            let by_quantile = self.ranges.by_quantile(&outputs, &rollouts[middle].scalings());
            for (rollout, values) in rollouts.iter_mut().zip(by_quantile) {
                rollout.push_values(&values)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Vec<RolledForecast> {
        let Self { ranges, rollouts } = self;
        let finish = |rollouts: Vec<Rollout>| RolledForecast {
            quantiles: ranges.quantiles().clone(),
            forecasts: rollouts.into_iter().map(Rollout::finish).collect(),
        };
        rollouts.into_iter().map(finish).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Column, ColumnRoles, Frame, MissingPolicy, ScalingKind, Series, SeriesCodec, SeriesTable};
    use crate::{Cell, Cpu, Head, Loss, Model, Optimizer, Readout, Recurrent, Trainer, block_on};

    #[test]
    fn several_horizons_are_those_of_a_pass_over_each_window() {
        let values = (0..40).map(|row| (f64::from(row) * 0.3).sin()).collect();
        let labels = (0..40).map(|row| row.to_string()).collect();
        let columns = vec![Column { name: "v".into(), values }];
        let table = SeriesTable { label_name: "t".into(), labels, columns, ..SeriesTable::default() };
        let series = Series::new(table, &ColumnRoles::one("v"), MissingPolicy::Refuse).unwrap();
        let codec = SeriesCodec::fit(&series, Frame { window: 7, horizon: 2 }, 40, |_| ScalingKind::Standard).unwrap();
        let encoded = codec.encode(series).unwrap();
        let rollouts = |steps| [20, 31, 40].map(|first| encoded.rollout(first, steps).unwrap()).to_vec();
        let head = Head::new(2, Loss::SquaredError, Readout::Final);
        let model = Model::new(Recurrent::new(Cell::Lstm, 1, 5), head);
        let mut trainer = Trainer::new(&Cpu::new(), &model, Optimizer::sgd(0.0), 1).unwrap();
        let mut want = rollouts(9);
        for rollout in &mut want {
            while let Some(x) = rollout.next_input() {
                let outputs = block_on(trainer.logits(&Sequence::dense(x))).unwrap().logits;
                rollout.push(&outputs.into_raw_vec_and_offset().0).unwrap();
            }
        }
        let want: Vec<Forecast> = want.into_iter().map(Rollout::finish).collect();
        let mut network = Network::from(trainer);
        let ranges = Ranges::new(&Loss::SquaredError, &[], None);
        let forecasts = block_on(roll(&mut network, &ranges, rollouts(9))).unwrap();
        assert_eq!(forecasts.iter().map(RolledForecast::middle).collect::<Vec<_>>(), want.iter().collect::<Vec<_>>());
        let [once, several] = [
            block_on(roll_once(&mut network, &ranges, rollouts(2))),
            block_on(roll(&mut network, &ranges, rollouts(2))),
        ];
        let [once, several] = [once, several].map(|forecasts| forecasts.unwrap().remove(1).forecasts);
        assert_eq!(once, several);
    }
}
