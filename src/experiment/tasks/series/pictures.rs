//! The pictures of a series' forecasts.

use ndarray::{Array3, Axis};

use super::rolled::roll;
use super::series_task::SeriesTask;
use crate::data::Frame;
use crate::experiment::device::network::Network;
use crate::experiment::measure::ranges::Ranges;
use crate::format::grouped;
use crate::plot::{Drawing, ForecastChart, RolloutChart, RolloutTarget, RowAxis};
use crate::{Result, plot};

/// Maximum number of rows of a rollout in the picture, unless a horizon is longer.
const ROLLED: usize = 48;

impl SeriesTask {
    /// The x axis of the pictures.
    fn rows<'a>(&'a self, positions: Option<&'a [f64]>) -> RowAxis<'a> {
        RowAxis { name: self.series().label_name(), positions, labels: self.series().labels() }
    }

    /// The forecasts of all windows after training as columns, by target; NaN for windows that were left out.
    fn columns(&self, forecast: &Array3<f64>) -> Vec<Vec<f64>> {
        let (horizon, targets) = (self.frame().horizon, self.series().targets().len());
        let start = self.split.train.end;
        let end = self.after.first_rows().last().map_or(start, |last| last + 1);
        let mut columns = vec![vec![f64::NAN; (end - start) * horizon]; targets];
        for (example, first) in self.after.first_rows().iter().enumerate() {
            for ((step, target), value) in forecast.index_axis(Axis(0), example).indexed_iter() {
                columns[target][(first - start) * horizon + step] = *value;
            }
        }
        columns
    }

    pub(super) fn picture(&self, quantiles: &[Array3<f64>], title: String, period: usize) -> Drawing {
        let columns: Vec<Vec<Vec<f64>>> = quantiles.iter().map(|forecast| self.columns(forecast)).collect();
        let middle = self.quantiles().middle();
        let positions = self.series().positions();
        let targets = self.series().truths().iter().enumerate().map(|(target, column)| plot::ForecastTarget {
            name: &column.name,
            truth: &column.values,
            forecast: &columns[middle][target],
            range: match &columns[..] {
                [low, .., high] => Some([&low[target], &high[target]]),
                _ => None,
            },
        });
        ForecastChart {
            title,
            rows: self.rows(positions.as_deref()),
            first: self.split.train.end,
            horizon: self.frame().horizon,
            period,
            range: self.quantiles().interval(),
            targets: targets.collect(),
            parts: self
                .split
                .parts()
                .filter(|(name, _)| *name != "training")
                .map(|(name, rows)| (name, rows.start))
                .collect(),
        }
        .draw()
    }

    /// Forecasts from three rows of the last split, as far as `ROLLED` and the known columns allow; `None` if that is
    /// one row.
    pub(super) async fn rolled(&self, network: &mut Network, ranges: &Ranges) -> Result<Option<Drawing>> {
        let Frame { window, horizon } = self.frame();
        let part = if self.split.test.is_empty() { &self.split.validation } else { &self.split.test };
        let own = self.series().features().is_empty();
        let horizons = if own { window.min(ROLLED).div_ceil(horizon).min(part.len() / horizon) } else { 1 };
        let steps = horizons * horizon;
        if steps < 2 {
            return Ok(None);
        }
        // Near the end, so that each is visible.
        let from = part.start.max(part.end.saturating_sub(4 * steps));
        let last = part.end - steps;
        let mut firsts = vec![from, (from + last) / 2, last];
        firsts.dedup();
        let rolls = firsts.iter().map(|first| self.encoded.rollout(*first, steps)).collect::<Result<_>>()?;
        let forecasts = roll(network, ranges, rolls).await?;
        let positions = self.series().positions();
        let targets = self.series().truths().iter().enumerate().map(|(target, column)| RolloutTarget {
            name: &column.name,
            truth: &column.values,
            forecasts: firsts.iter().zip(&forecasts).map(|(first, rolled)| rolled.picture(*first, target)).collect(),
        });
        let title = format!("{}: forecasts of {} rows from each dot on", self.name, grouped(steps as u64));
        let rows = self.rows(positions.as_deref());
        let range = ranges.quantiles().interval();
        Ok(Some(RolloutChart { title, rows, horizon, range, widened: false, targets: targets.collect() }.draw()))
    }
}
