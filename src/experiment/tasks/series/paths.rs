//! Sample paths of a forecast: each step is drawn from the predicted distribution and read as the past of the next one.

use std::io::Write;

use ndarray::{Array2, Array3, ArrayView3, Axis, s};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::rolled::{RolledForecast, read};
use crate::data::{EncodedSeries, Rollout, SeriesCodec};
use crate::experiment::config::agree::unsupported;
use crate::experiment::device::network::Network;
use crate::experiment::files::folder::unwritten;
use crate::experiment::measure::ranges::Ranges;
use crate::format::grouped;
use crate::{Error, Result, allocate};

/// The default number of paths.
pub const PATHS: usize = 1000;

/// The most rows of the paths that are drawn at once, unless one path of a panel has more.
const AT_ONCE: usize = 1024;

/// The most numbers of all paths: 1 GiB of them.
const MOST: usize = 1 << 27;

/// Draws of a whole forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct Paths {
    /// In the units of the data: \[N, rows, Q\]; NaN for a series of a panel that is not forecast.
    pub values: Array3<f64>,
    /// The seed that they were drawn from.
    pub seed: u64,
}

/// Why paths cannot be drawn from a network; `None` if they can.
pub(crate) fn obstacle(ranges: &Ranges, codec: &SeriesCodec) -> Option<String> {
    let quantiles = ranges.quantiles().values().len();
    if !ranges.are_of_distributions() && quantiles < 3 {
        let what = match quantiles {
            0 => "the network forecasts one value and no distribution".into(),
            _ => format!("{quantiles} quantiles do not say how far the values spread beyond them"),
        };
        return Some(format!(
            "{what}: train it with --loss gaussian, student-t or negative-binomial, or three --quantiles"
        ));
    }
    let horizon = codec.frame.horizon;
    (horizon > 1).then(|| {
        format!(
            "the {} rows of a horizon are forecast one by one, and not how they depend on each other: train it with \
             --horizon 1",
            grouped(horizon as u64)
        )
    })
}

/// The number of paths of a forecast of `rows` rows.
///
/// # Errors
/// [`Error::Unsupported`] for a given number of paths that cannot be drawn; [`Error::Value`] for one that is too small for
/// the quantiles.
pub(crate) fn count(given: Option<usize>, rows: usize, ranges: &Ranges, codec: &SeriesCodec) -> Result<usize> {
    let tail = ranges.quantiles().values().iter().fold(0.5, |tail: f64, q| tail.min(*q).min(1.0 - q));
    match (given, obstacle(ranges, codec)) {
        (Some(0), _) => Ok(0),
        (Some(_), Some(why)) => Err(unsupported(format!("--paths: {why}"))),
        (Some(given), None) if (given as f64) * tail < 1.0 - 1e-9 => {
            let least = grouped((1.0 / tail - 1e-9).ceil() as u64);
            Err(Error::Value {
                what: "--paths".into(),
                expected: format!("at least {least}, of which one is beyond the outermost quantile"),
                got: given.to_string(),
            })
        }
        (Some(given), None) => Ok(given),
        (None, None) if rows > codec.frame.horizon => Ok(PATHS.max((10.0 / tail).ceil() as usize)),
        (None, _) => Ok(0),
    }
}

/// Draws `count` paths of a forecast. Path n depends on the seed, on n and on the network alone.
///
/// # Errors
/// [`Error::Value`] for more numbers than memory is to hold, and for a path that leaves the numbers; those of
/// the device.
pub(crate) async fn draw(
    network: &mut Network,
    ranges: &Ranges,
    rollout: &Rollout,
    count: usize,
    seed: u64,
) -> Result<Paths> {
    let shape = (count, rollout.steps(), rollout.targets());
    let numbers = [count, shape.1, shape.2].iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    if numbers.is_none_or(|numbers| numbers > MOST) {
        return Err(Error::Value {
            what: "--paths".into(),
            expected: format!(
                "at most {} for {} rows of {} series",
                grouped((MOST / shape.1.saturating_mul(shape.2)) as u64),
                grouped(shape.1 as u64),
                grouped(shape.2 as u64)
            ),
            got: count.to_string(),
        });
    }
    let mut values = allocate::array(shape, "the paths")?;
    let at_once = (AT_ONCE / rollout.batch_rows()).max(1);
    for first in (0..count).step_by(at_once) {
        let mut paths: Vec<Path> = (first..count.min(first + at_once)).map(|n| Path::new(rollout, seed, n)).collect();
        while let Some(logits) = read(network, &paths.iter().map(|path| &path.rollout).collect::<Vec<_>>()).await? {
            advance(&mut paths, ranges, ranges.of_logits(logits.view()).view())?;
        }
        for (path, mut to) in paths.iter().zip(values.slice_mut(s![first.., .., ..]).outer_iter_mut()) {
            to.assign(&path.rollout.values());
        }
    }
    Ok(Paths { values, seed })
}

/// A path in progress.
struct Path {
    rollout: Rollout,
    random: ChaCha8Rng,
    /// From 1.
    number: usize,
}

impl Path {
    fn new(rollout: &Rollout, seed: u64, index: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // One stream for each path, whichever others are drawn with it.
        random.set_stream(index as u64);
        Self { rollout: rollout.clone(), random, number: index + 1 }
    }
}

/// Draws a row of each path from the outputs for its window.
fn advance(paths: &mut [Path], ranges: &Ranges, predicted: ArrayView3<'_, f32>) -> Result<()> {
    let mut rows = predicted.index_axis_move(Axis(0), 0).into_outer_iter();
    for Path { rollout, random, number } in paths {
        let row: Vec<f32> = rows.by_ref().take(rollout.batch_rows()).flat_map(|row| row.to_vec()).collect();
        let drawn = ranges.draw(&row, &rollout.scalings(), || uniform(random));
        if let Some(value) = drawn.iter().find(|value| !value.is_finite()) {
            return Err(Error::Value {
                what: format!("path {number}, row {}", rollout.values().nrows() + 1),
                expected: "a finite number; forecast fewer rows, or without paths (--paths 0)".into(),
                got: value.to_string(),
            });
        }
        rollout.push_values(&drawn)?;
    }
    Ok(())
}

/// A number above 0 and below 1, of 53 bits.
fn uniform(random: &mut ChaCha8Rng) -> f64 {
    ((random.next_u64() >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
}

impl Paths {
    /// The number of paths.
    pub fn count(&self) -> usize {
        self.values.dim().0
    }

    /// The quantile of the paths at each row: \[rows, Q\], the least of their values that the share `quantile` of them does
    /// not exceed (Hyndman & Fan 1996, definition 1), so that counts stay counts.
    pub fn quantile(&self, quantile: f64) -> Array2<f64> {
        let count = self.count();
        let place = ((quantile * count as f64 - 1e-9).ceil() as usize).clamp(1, count.max(1)) - 1;
        self.values.map_axis(Axis(0), |values| {
            let mut values = values.to_vec();
            if values.is_empty() {
                return f64::NAN;
            }
            *values.select_nth_unstable_by(place, f64::total_cmp).1
        })
    }

    /// Puts the quantiles of the paths in place of those of a forecast beyond the first `horizon` rows, which assume that
    /// the forecasts before them were exact.
    pub(crate) fn widen(&self, rolled: &mut RolledForecast, horizon: usize) {
        for (forecast, quantile) in rolled.forecasts.iter_mut().zip(rolled.quantiles.values()) {
            let of_paths = self.quantile(*quantile);
            let rows = horizon.min(of_paths.nrows());
            forecast.values.slice_mut(s![rows.., ..]).assign(&of_paths.slice(s![rows.., ..]));
        }
    }

    /// Writes the paths as comma-separated text: the number of the path, the row and its step from the last known row,
    /// and the targets; in long form if the data are, with a line for each series.
    ///
    /// # Errors
    /// Those of writing.
    pub(crate) fn write(&self, encoded: &EncodedSeries, rolled: &RolledForecast, out: &mut dyn Write) -> Result<()> {
        let series = encoded.series();
        let long = encoded.codec().long.as_ref();
        let forecast = rolled.middle();
        let passed = series.len() - 1 - forecast.origin;
        let all: Vec<usize> = (0..series.targets().len()).collect();
        let is_forecast = |target: &usize| forecast.values.column(*target).iter().any(|value| !value.is_nan());
        let targets: Vec<usize> = all.into_iter().filter(is_forecast).collect();
        let name = |target: usize| series.targets()[target].name.clone();
        let mut csv = csv::Writer::from_writer(out);
        let mut record = vec!["path".to_owned()];
        record.extend(long.map(|form| form.id.clone()));
        record.extend([series.label_name().to_owned(), "step".into()]);
        match long {
            Some(form) => record.push(form.target.clone()),
            None => record.extend(targets.iter().map(|target| name(*target))),
        }
        csv.write_record(&record).map_err(unwritten)?;
        for (path, values) in self.values.outer_iter().enumerate() {
            for targets in targets.chunks(if long.is_some() { 1 } else { targets.len().max(1) }) {
                for (row, label) in forecast.labels.iter().enumerate() {
                    record.clear();
                    record.push((path + 1).to_string());
                    record.extend(targets.first().filter(|_| long.is_some()).map(|target| name(*target)));
                    record.extend([label.clone(), (passed + row + 1).to_string()]);
                    record.extend(targets.iter().map(|target| values[[row, *target]].to_string()));
                    csv.write_record(&record).map_err(unwritten)?;
                }
            }
        }
        csv.flush().map_err(unwritten)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::{Column, ColumnRoles, Frame, MissingPolicy, RelativeTo, ScalingKind, Series, SeriesTable};
    use crate::{Cell, Cpu, Head, Loss, Model, Optimizer, Readout, Recurrent, Trainer, block_on};

    /// A wave of 40 rows, with a column that is known for 20 more.
    fn encoded(kind: ScalingKind, relative: RelativeTo) -> Arc<EncodedSeries> {
        let value = |row: usize| (10.0 * (row as f64 * 0.3).sin()).round() + 12.0;
        let values = (0..60).map(|row| if row < 40 { value(row) } else { f64::NAN }).collect();
        let known = Column { name: "k".into(), values: (0..60).map(|row| f64::from(row % 7)).collect() };
        let labels = (0..60).map(|row| row.to_string()).collect();
        let columns = vec![Column { name: "v".into(), values }, known];
        let table = SeriesTable { label_name: "t".into(), labels, columns, ..SeriesTable::default() };
        let roles = ColumnRoles { known: vec!["k".into()], ..ColumnRoles::one("v") };
        let series = Series::new(table, &roles, MissingPolicy::Refuse).unwrap();
        let frame = Frame { window: 7, horizon: 1 };
        SeriesCodec::fit(&series, frame, 40, |_| kind).unwrap().relative_to(relative).encode(series).unwrap()
    }

    fn network(loss: &Loss) -> Network {
        let head = Head::new(loss.outputs_per_target(), loss.clone(), Readout::Final);
        let model = Model::new(Recurrent::new(Cell::Lstm, 2, 5), head);
        Network::from(Trainer::new(&Cpu::new(), &model, Optimizer::sgd(0.0), 1).unwrap())
    }

    fn paths(loss: &Loss, encoded: &Arc<EncodedSeries>, [rows, count]: [usize; 2], seed: u64) -> Paths {
        let ranges = Ranges::new(loss, &[], None);
        let rollout = encoded.rollout(40, rows).unwrap();
        block_on(draw(&mut network(loss), &ranges, &rollout, count, seed)).unwrap()
    }

    fn quantile_loss() -> Loss {
        Loss::Quantile { quantiles: vec![0.1, 0.5, 0.9] }
    }

    #[test]
    fn the_draws_of_one_step_have_the_quantiles_of_the_head_in_the_units_of_the_window() {
        for (loss, relative) in [
            (Loss::Gaussian, RelativeTo::Last),
            (Loss::StudentT, RelativeTo::Standard),
            (Loss::NegativeBinomial, RelativeTo::None),
            (quantile_loss(), RelativeTo::Mean),
        ] {
            let kind = if loss == Loss::NegativeBinomial { ScalingKind::MeanAbsolute } else { ScalingKind::Standard };
            let encoded = encoded(kind, relative);
            let (ranges, rollout) = (Ranges::new(&loss, &[], None), encoded.rollout(40, 1).unwrap());
            let logits =
                block_on(network(&loss).logits(&crate::Sequence::dense(rollout.next_input().unwrap()))).unwrap();
            let of_head =
                ranges.by_quantile(&ranges.of_logits(logits.view()).into_raw_vec_and_offset().0, &rollout.scalings());
            let drawn = paths(&loss, &encoded, [1, 20_000], 3);
            let width = of_head[2][0] - of_head[0][0];
            for (quantile, of_head) in ranges.quantiles().values().iter().zip(&of_head) {
                // Counts are whole: one of several that are nearly as far.
                let within = if loss == Loss::NegativeBinomial { 1.0 } else { 0.03 * width };
                let got = drawn.quantile(*quantile)[[0, 0]];
                assert!((got - of_head[0]).abs() <= within, "{loss:?} {quantile}: {got} {of_head:?}");
            }
            if let Some(distributions) =
                ranges.distributions(&ranges.of_logits(logits.view()).into_raw_vec_and_offset().0, &rollout.scalings())
            {
                let mean = drawn.values.mean().unwrap();
                assert!((mean - distributions[0].mean()).abs() < 0.03 * width, "{loss:?}: {mean} {distributions:?}");
            }
        }
    }

    #[test]
    fn a_path_is_the_same_whichever_others_are_drawn_and_another_for_another_seed() {
        let encoded = encoded(ScalingKind::Standard, RelativeTo::None);
        let many = paths(&Loss::Gaussian, &encoded, [4, AT_ONCE + 3], 7);
        assert_eq!(many, paths(&Loss::Gaussian, &encoded, [4, AT_ONCE + 3], 7));
        let few = paths(&Loss::Gaussian, &encoded, [4, 5], 7);
        for (one, other) in many.values.iter().zip(&few.values) {
            // The sums of a batch of another size may be in another order.
            assert!((one - other).abs() < 1e-4, "{one} {other}");
        }
        assert!(paths(&Loss::Gaussian, &encoded, [4, 5], 8).values != few.values);
        let (last, first) = (many.values.index_axis(Axis(0), AT_ONCE + 2), many.values.index_axis(Axis(0), 0));
        assert!(last.iter().all(|value| value.is_finite()) && last != first);
        // A longer path begins with the shorter one.
        let long = paths(&Loss::Gaussian, &encoded, [9, 5], 7);
        assert_eq!(long.values.slice(s![.., ..4, ..]), few.values);
    }

    #[test]
    fn paths_need_a_distribution_and_a_horizon_of_one_row_and_enough_of_them() {
        let codec = encoded(ScalingKind::Standard, RelativeTo::None).codec().clone();
        let of = |given, rows, loss: &Loss, stored: &[f64], horizon| {
            let codec = SeriesCodec { frame: Frame { window: 7, horizon }, ..codec.clone() };
            count(given, rows, &Ranges::new(loss, stored, None), &codec).map_err(|error| error.to_string())
        };
        let two = Loss::Quantile { quantiles: vec![0.1, 0.9] };
        for loss in [&Loss::Gaussian, &quantile_loss()] {
            assert_eq!((of(None, 1, loss, &[], 1), of(None, 2, loss, &[], 1)), (Ok(0), Ok(PATHS)));
            assert_eq!((of(Some(40), 1, loss, &[], 1), of(Some(0), 9, loss, &[], 1)), (Ok(40), Ok(0)));
            assert_eq!(of(None, 9, loss, &[], 3), Ok(0));
            assert!(of(Some(5), 9, loss, &[], 3).unwrap_err().contains("--horizon 1"));
        }
        for loss in [&two, &Loss::SquaredError] {
            assert_eq!((of(None, 9, loss, &[], 1), of(Some(0), 9, loss, &[], 1)), (Ok(0), Ok(0)));
            assert!(of(Some(5), 9, loss, &[], 1).unwrap_err().contains("gaussian"), "{loss:?}");
        }
        assert_eq!(of(None, 9, &Loss::Gaussian, &[0.001, 0.5], 1), Ok(10_000));
        let error = of(Some(999), 9, &Loss::Gaussian, &[0.001, 0.5], 1).unwrap_err();
        assert_eq!(error, "--paths: expected at least 1,000, of which one is beyond the outermost quantile, got 999");
    }

    #[test]
    fn the_quantile_of_paths_is_one_of_their_values() {
        let values = Array3::from_shape_fn((10, 1, 1), |(path, _, _)| ((path * 7) % 10) as f64);
        let of = |quantile| Paths { values: values.clone(), seed: 1 }.quantile(quantile)[[0, 0]];
        assert_eq!([of(0.1), of(0.11), of(0.5), of(0.9), of(0.95)], [0.0, 1.0, 4.0, 8.0, 9.0]);
    }
}
