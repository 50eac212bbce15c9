//! Forecasts beyond the horizon, each step from the previous ones.

use ndarray::{Array3, ArrayView3, Axis};

use crate::data::{Forecast, Rollout};
use crate::experiment::device::network::Network;
use crate::experiment::measure::quantiles::Quantiles;
use crate::experiment::measure::ranges::Ranges;
use crate::plot::RolledOut;
use crate::{Error, Result, Sequence, allocate};

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

/// Maximum number of rows that the network reads at once, and of the numbers in them, unless one row has more: a panel has
/// a row for each series.
const ROWS: usize = 1024;
const NUMBERS: usize = 1 << 24;

/// Forecasts as far as the rollouts go, each horizon from the previous ones. All rollouts have the same number of rows.
///
/// # Errors
/// Those of the device and of [`Rollout::push`], and [`Error::NoMemory`].
pub async fn roll(network: &mut Network, ranges: &Ranges, rollouts: Vec<Rollout>) -> Result<Vec<RolledForecast>> {
    let mut rolling = Rolling::new(ranges, rollouts);
    while let Some(logits) = read(network, &rolling.fed_back()).await? {
        rolling.push(logits.view())?;
    }
    Ok(rolling.finish())
}

/// Reads the next windows of rollouts, side by side and each from a zero state. Returns the logits, \[1, rows, O\]; `None`
/// once all rows are forecast.
///
/// # Errors
/// Those of the device, and [`Error::NoMemory`].
pub(super) async fn read(network: &mut Network, rollouts: &[&Rollout]) -> Result<Option<Array3<f32>>> {
    let Some(first) = rollouts.first().filter(|rollout| !rollout.is_complete()) else { return Ok(None) };
    let [steps, inputs] = first.row_shape();
    let at_once = (NUMBERS / (steps * inputs).max(1)).clamp(1, ROWS);
    let rows: usize = rollouts.iter().map(|rollout| rollout.batch_rows()).sum();
    let mut logits = allocate::array((1, rows, network.model().require_head()?.outputs), "the forecasts")?;
    let mut places = rollouts.iter().flat_map(|rollout| (0..rollout.batch_rows()).map(move |row| (rollout, row)));
    for mut to in logits.axis_chunks_iter_mut(Axis(1), at_once) {
        let mut x = allocate::array((steps, to.len_of(Axis(1)), inputs), "the windows of forecasts")?;
        for (x, (rollout, row)) in x.axis_iter_mut(Axis(1)).zip(&mut places) {
            rollout.write_row(row, x);
        }
        to.assign(&network.logits(&Sequence::dense(x)).await?);
    }
    Ok(Some(logits))
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

    /// The rollouts whose forecasts are the past of the next ones.
    fn fed_back(&self) -> Vec<&Rollout> {
        let middle = self.ranges.quantiles().middle();
        self.rollouts.iter().map(|rollouts| &rollouts[middle]).collect()
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
    }
}
