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

/// The default number of paths, unless the outermost quantile needs more.
pub const PATHS: usize = 1000;

/// The most rows of the paths that are drawn at once, unless one path of a panel has more.
const AT_ONCE: usize = 1024;

/// The most numbers of all paths: 1 GiB of them.
const MOST: usize = 1 << 27;

/// Draws of a whole forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct Paths {
    /// In the units of the data: \[N, rows, F\].
    pub values: Array3<f64>,
    /// The F targets that are forecast, by index.
    pub targets: Vec<usize>,
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

/// How many paths are drawn of a forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathCount {
    /// Beyond the horizon of a network of which they can be drawn, [`PATHS`], or ten beyond the outermost quantile if these
    /// are more; fewer where no more fit into memory, and none where too few do.
    #[default]
    Automatic,
    /// As many, also within the horizon.
    EveryRow,
    /// As many as this; none for 0.
    Exactly(usize),
}

/// How many paths are drawn, and why not more.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PathPlan {
    pub(crate) count: usize,
    /// The number that was wanted, if fewer fit into memory.
    pub(crate) wanted: Option<usize>,
    /// Why there are none.
    pub(crate) obstacle: Option<String>,
}

/// The number of paths of a forecast of `rows` rows of `targets` series or columns.
///
/// # Errors
/// [`Error::Unsupported`] for paths that were asked for and cannot be drawn; [`Error::Value`] for a given number that is too
/// small for the quantiles or too large for memory.
pub(crate) fn plan(
    given: PathCount,
    [rows, targets]: [usize; 2],
    ranges: &Ranges,
    codec: &SeriesCodec,
) -> Result<PathPlan> {
    let tail = ranges.quantiles().values().iter().fold(0.5, |tail: f64, q| tail.min(*q).min(1.0 - q));
    let least = (1.0 / tail - 1e-9).ceil() as usize;
    let most = MOST / rows.saturating_mul(targets).max(1);
    let of = || format!("{} rows of {} series", grouped(rows as u64), grouped(targets as u64));
    let refused =
        |expected: String, got: usize| Err(Error::Value { what: "--paths".into(), expected, got: got.to_string() });
    match (given, obstacle(ranges, codec)) {
        (PathCount::Exactly(0), _) => Ok(PathPlan::default()),
        (PathCount::Exactly(_) | PathCount::EveryRow, Some(why)) => Err(unsupported(format!("--paths: {why}"))),
        (PathCount::Exactly(given), None) if given < least => {
            refused(format!("at least {}, of which one is beyond the outermost quantile", grouped(least as u64)), given)
        }
        (PathCount::Exactly(given), None) if given > most => {
            refused(format!("at most {} for {}", grouped(most as u64), of()), given)
        }
        (PathCount::Exactly(count), None) => Ok(PathPlan { count, ..PathPlan::default() }),
        (PathCount::Automatic, obstacle) if obstacle.is_some() || rows <= codec.frame.horizon => {
            Ok(PathPlan { obstacle, ..PathPlan::default() })
        }
        (PathCount::Automatic | PathCount::EveryRow, _) => {
            let wanted = PATHS.max((10.0 / tail).ceil() as usize);
            let count = wanted.min(most);
            let wanted = (count < wanted).then_some(wanted);
            if count >= least {
                return Ok(PathPlan { count, wanted, obstacle: None });
            }
            let why = format!(
                "no more than {} of {} fit into memory, and the outermost quantile needs {}: forecast fewer rows or series",
                grouped(count as u64),
                of(),
                grouped(least as u64)
            );
            match given {
                PathCount::EveryRow => Err(unsupported(format!("--paths: {why}"))),
                _ => Ok(PathPlan { obstacle: Some(why), ..PathPlan::default() }),
            }
        }
    }
}

/// Draws `count` paths of a forecast, by a [`plan`]. Path n depends on the seed, on n and on the network alone.
///
/// # Errors
/// [`Error::NoMemory`]; [`Error::Value`] for a path that leaves the numbers; those of the device.
pub(crate) async fn draw(
    network: &mut Network,
    ranges: &Ranges,
    rollout: &Rollout,
    count: usize,
    seed: u64,
) -> Result<Paths> {
    let targets: Vec<usize> = rollout.forecast_targets().collect();
    let shape = (count, rollout.steps(), targets.len());
    let mut values = allocate::array(shape, "the paths")?;
    let at_once = (AT_ONCE / rollout.batch_rows()).max(1);
    for first in (0..count).step_by(at_once) {
        let mut paths: Vec<Path> = (first..count.min(first + at_once)).map(|n| Path::new(rollout, seed, n)).collect();
        while let Some(logits) = read(network, &paths.iter().map(|path| &path.rollout).collect::<Vec<_>>()).await? {
            advance(&mut paths, ranges, ranges.of_logits(logits.view()).view())?;
        }
        for (path, mut to) in paths.iter().zip(values.slice_mut(s![first.., .., ..]).outer_iter_mut()) {
            to.assign(&path.rollout.forecast_values());
        }
    }
    Ok(Paths { values, targets, seed })
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
                what: format!("path {number}, row {}", rollout.rows() + 1),
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

    /// The quantile of the paths at each row: \[rows, F\], the least of their values that the share `quantile` of them does
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
            for (target, of_paths) in self.targets.iter().zip(of_paths.columns()) {
                forecast.values.slice_mut(s![rows.., *target]).assign(&of_paths.slice(s![rows..]));
            }
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
        let name = |target: usize| series.targets()[target].name.clone();
        let mut csv = csv::Writer::from_writer(out);
        let mut record = vec!["path".to_owned()];
        record.extend(long.map(|form| form.id.clone()));
        record.extend([series.label_name().to_owned(), "step".into()]);
        match long {
            Some(form) => record.push(form.target.clone()),
            None => record.extend(self.targets.iter().map(|target| name(*target))),
        }
        csv.write_record(&record).map_err(unwritten)?;
        for (path, values) in self.values.outer_iter().enumerate() {
            let width = if long.is_some() { 1 } else { self.targets.len().max(1) };
            for (targets, values) in self.targets.chunks(width).zip(values.axis_chunks_iter(Axis(1), width)) {
                for (label, (row, values)) in forecast.labels.iter().zip(values.rows().into_iter().enumerate()) {
                    record.clear();
                    record.push((path + 1).to_string());
                    record.extend(targets.first().filter(|_| long.is_some()).map(|target| name(*target)));
                    record.extend([label.clone(), (passed + row + 1).to_string()]);
                    record.extend(values.iter().map(f64::to_string));
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
        use PathCount::{Automatic, EveryRow, Exactly};
        let codec = encoded(ScalingKind::Standard, RelativeTo::None).codec().clone();
        let of = |given, rows, loss: &Loss, stored: &[f64], horizon| {
            let codec = SeriesCodec { frame: Frame { window: 7, horizon }, ..codec.clone() };
            let plan = plan(given, [rows, 1], &Ranges::new(loss, stored, None), &codec);
            plan.map(|plan| plan.count).map_err(|error| error.to_string())
        };
        let two = Loss::Quantile { quantiles: vec![0.1, 0.9] };
        for loss in [&Loss::Gaussian, &quantile_loss()] {
            assert_eq!((of(Automatic, 1, loss, &[], 1), of(Automatic, 2, loss, &[], 1)), (Ok(0), Ok(PATHS)));
            assert_eq!((of(Exactly(40), 1, loss, &[], 1), of(Exactly(0), 9, loss, &[], 1)), (Ok(40), Ok(0)));
            assert_eq!((of(Automatic, 9, loss, &[], 3), of(EveryRow, 1, loss, &[], 1)), (Ok(0), Ok(PATHS)));
            assert!(of(Exactly(5), 9, loss, &[], 3).unwrap_err().contains("--horizon 1"));
        }
        for loss in [&two, &Loss::SquaredError] {
            assert_eq!((of(Automatic, 9, loss, &[], 1), of(Exactly(0), 9, loss, &[], 1)), (Ok(0), Ok(0)));
            for given in [Exactly(5), EveryRow] {
                assert!(of(given, 9, loss, &[], 1).unwrap_err().contains("gaussian"), "{loss:?}");
            }
        }
        assert_eq!(of(Automatic, 9, &Loss::Gaussian, &[0.001, 0.5], 1), Ok(10_000));
        let error = of(Exactly(999), 9, &Loss::Gaussian, &[0.001, 0.5], 1).unwrap_err();
        assert_eq!(error, "--paths: expected at least 1,000, of which one is beyond the outermost quantile, got 999");
    }

    #[test]
    fn no_more_paths_are_drawn_by_default_than_fit_and_a_given_number_that_does_not_is_refused() {
        let codec = encoded(ScalingKind::Standard, RelativeTo::None).codec().clone();
        let of = |given, targets, stored: &[f64]| {
            plan(given, [10, targets], &Ranges::new(&Loss::Gaussian, stored, None), &codec)
        };
        let whole = PathPlan { count: PATHS, ..PathPlan::default() };
        assert_eq!(of(PathCount::Automatic, 13_421, &[]).unwrap(), whole);
        let fewer = PathPlan { count: 671, wanted: Some(PATHS), obstacle: None };
        for given in [PathCount::Automatic, PathCount::EveryRow] {
            assert_eq!(of(given, 20_000, &[]).unwrap(), fewer);
        }
        // One of a thousand is beyond the outermost quantile.
        let none = of(PathCount::Automatic, 20_000, &[0.001, 0.5]).unwrap();
        assert_eq!((none.count, none.wanted), (0, None));
        let why = none.obstacle.unwrap();
        let parts = ["no more than 671 of 10 rows of 20,000 series fit", "needs 1,000", "fewer rows or series"];
        parts.iter().for_each(|part| assert!(why.contains(part), "{part:?} is not in {why:?}"));
        assert!(of(PathCount::EveryRow, 20_000, &[0.001, 0.5]).unwrap_err().to_string().contains("needs 1,000"));
        assert_eq!(of(PathCount::Exactly(671), 20_000, &[]).unwrap().count, 671);
        let error = of(PathCount::Exactly(672), 20_000, &[]).unwrap_err().to_string();
        assert_eq!(error, "--paths: expected at most 671 for 10 rows of 20,000 series, got 672");
        assert!(of(PathCount::Automatic, usize::MAX, &[]).unwrap().obstacle.is_some());
    }

    #[test]
    fn paths_hold_the_series_of_a_panel_that_are_forecast_alone() {
        let value = |row: usize, end: usize| if row < end { (row as f64 * 0.3).sin() } else { f64::NAN };
        // Each series is at a level of its own.
        let column = |name: &str, end, level: f64| Column {
            name: name.into(),
            values: (0..40).map(|row| level + value(row, end)).collect(),
        };
        let columns = vec![
            column("ended", 30, 0.0),
            column("here", 40, 100.0),
            column("early", 35, 0.0),
            column("too", 40, -50.0),
        ];
        let labels = (0..40).map(|row| row.to_string()).collect();
        let table = SeriesTable { label_name: "t".into(), labels, columns, ..SeriesTable::default() };
        let targets = ["ended", "here", "early", "too"].map(str::to_owned).into();
        let roles = ColumnRoles { targets, ..ColumnRoles::default() };
        let series = Series::new(table, &roles, MissingPolicy::Mask).unwrap().into_panel();
        let codec = SeriesCodec::fit(&series, Frame { window: 7, horizon: 1 }, 30, |_| ScalingKind::Standard).unwrap();
        let encoded = codec.encode(series).unwrap();
        let rollout = encoded.rollout(40, 3).unwrap();
        let head = Head::new(2, Loss::Gaussian, Readout::Final);
        let model = Model::new(Recurrent::new(Cell::Lstm, rollout.row_shape()[1], 5), head);
        let mut network = Network::from(Trainer::new(&Cpu::new(), &model, Optimizer::sgd(0.0), 1).unwrap());
        let ranges = Ranges::new(&Loss::Gaussian, &[], None);
        let paths = block_on(draw(&mut network, &ranges, &rollout, 50, 1)).unwrap();
        assert_eq!((paths.values.dim(), &paths.targets[..]), ((50, 3, 2), &[1, 3][..]));
        let mut rolled = block_on(super::super::rolled::roll(&mut network, &ranges, vec![rollout])).unwrap().remove(0);
        let before = rolled.middle().values.clone();
        paths.widen(&mut rolled, 1);
        let (after, median) = (&rolled.middle().values, paths.quantile(0.5));
        assert_eq!(after.row(0).to_vec()[1], before.row(0).to_vec()[1]);
        assert_eq!([after[[2, 1]], after[[2, 3]]], [median[[2, 0]], median[[2, 1]]]);
        for (target, level) in [(1, 100.0), (3, -50.0)] {
            assert!(after.column(target).iter().all(|value| (value - level).abs() < 10.0), "{after}");
        }
        assert!(after.column(0).iter().chain(after.column(2)).all(|value| value.is_nan()));
    }

    #[test]
    fn the_quantile_of_paths_is_one_of_their_values() {
        let values = Array3::from_shape_fn((10, 1, 1), |(path, _, _)| ((path * 7) % 10) as f64);
        let of = |quantile| Paths { values: values.clone(), targets: vec![0], seed: 1 }.quantile(quantile)[[0, 0]];
        assert_eq!([of(0.1), of(0.11), of(0.5), of(0.9), of(0.95)], [0.0, 1.0, 4.0, 8.0, 9.0]);
    }
}
