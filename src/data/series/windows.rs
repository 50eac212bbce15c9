//! The sliding windows of a series.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, Array3, s};

use crate::allocate;
use crate::batch::{Batch, Sequence, Targets};
use crate::data::{EncodedSeries, Examples, Frame};
use crate::error::{Error, Result};

/// Windows over a series, with the K rows after each as targets: x is \[W, B, I\], the targets \[1, B, Q·K\], in the
/// order of [`SeriesCodec`](crate::data::SeriesCodec). Made by [`EncodedSeries::windows`] and
/// [`EncodedSeries::all_windows`].
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    encoded: Arc<EncodedSeries>,
    /// The first target row of each example.
    firsts: Vec<usize>,
    left_out: usize,
}

impl Windows {
    /// `firsts` are rows with a whole window before them and a whole horizon of targets from there on.
    pub(super) fn new(encoded: Arc<EncodedSeries>, firsts: Vec<usize>, left_out: usize) -> Self {
        Self { encoded, firsts, left_out }
    }

    /// The first target row of each example.
    pub fn first_rows(&self) -> &[usize] {
        &self.firsts
    }

    /// The number of examples left out because of missing targets.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The truth, in the units of the data: \[N, K, Q\]; NaN if missing.
    pub fn truth(&self) -> Array3<f64> {
        self.of_targets(|values, first, step| values[first + step])
    }

    /// The seasonal naive forecast (Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., 5.2) in
    /// the units of the data, \[N, K, Q\]: the value at the same position in the last known period, or in an earlier
    /// one if it is missing, and NaN if there is none. A period of 1 gives the last value.
    ///
    /// # Errors
    /// [`Error::Value`] for a period of 0, and for one longer than the rows before the first example.
    pub fn naive(&self, period: usize) -> Result<Array3<f64>> {
        let before = self.firsts.first().copied().unwrap_or(usize::MAX);
        if period == 0 || period > before {
            return Err(Error::value(
                "the period",
                format!("1 to {before}, the rows before the first forecast"),
                period,
            ));
        }
        Ok(self.of_targets(|values, first, step| {
            // As many periods back as are needed to get before `first`.
            let latest = first + step % period - period;
            let earlier = (0..=latest).rev().step_by(period);
            earlier.map(|row| values[row]).find(|value| !value.is_nan()).unwrap_or(f64::NAN)
        }))
    }

    /// Whether all targets of the example exist.
    fn is_complete(&self, example: usize) -> bool {
        let first = self.firsts[example];
        let rows = first..first + self.encoded.codec.frame.horizon;
        self.encoded.series.truths().iter().all(|column| column.values[rows.clone()].iter().all(|v| !v.is_nan()))
    }

    /// `of` the values of each target, the first target row, and the step from there: \[N, K, Q\].
    fn of_targets(&self, of: impl Fn(&[f64], usize, usize) -> f64) -> Array3<f64> {
        let targets = self.encoded.series.truths();
        let shape = (self.firsts.len(), self.encoded.codec.frame.horizon, targets.len());
        Array3::from_shape_fn(shape, |(example, step, target)| of(&targets[target].values, self.firsts[example], step))
    }
}

impl EncodedSeries {
    /// The training examples whose K target rows are all within `targets`, in time order. Those with a missing target
    /// are left out, even if the input was filled.
    ///
    /// # Errors
    /// [`Error::Value`] if `targets` is outside the series, starts before the first row with a whole window before it,
    /// or is not empty and has no example.
    pub fn windows(self: &Arc<Self>, targets: Range<usize>) -> Result<Windows> {
        let horizon = self.codec.frame.horizon;
        let mut complete = 0;
        let windows = self.select(&targets, |row, here| {
            complete = if here.iter().all(|there| *there) { complete + 1 } else { 0 };
            complete >= horizon && row + 1 >= targets.start + horizon
        })?;
        if windows.is_empty() && !targets.is_empty() {
            Err(self.none_in(&targets, format!("{horizon} rows in succession with all targets")))
        } else {
            Ok(windows)
        }
    }

    /// The evaluation examples whose K target rows are all within `targets`, in time order: those without any target
    /// are left out, and missing targets of the others are ignored.
    ///
    /// # Errors
    /// Those of [`windows`](Self::windows).
    pub fn measured_windows(self: &Arc<Self>, targets: Range<usize>) -> Result<Windows> {
        let horizon = self.codec.frame.horizon;
        let mut last = None;
        let windows = self.select(&targets, |row, here| {
            last = if here.contains(&true) { Some(row) } else { last };
            row + 1 >= targets.start + horizon && last.is_some_and(|last| last + horizon > row)
        })?;
        if windows.is_empty() && !targets.is_empty() {
            Err(self.none_in(&targets, format!("{horizon} rows with a target")))
        } else {
            Ok(windows)
        }
    }

    /// The examples whose last row is in `takes`, ascending, with the targets that exist.
    fn select(
        self: &Arc<Self>,
        targets: &Range<usize>,
        mut takes: impl FnMut(usize, &[bool]) -> bool,
    ) -> Result<Windows> {
        let Frame { window, horizon } = self.codec.frame;
        let rows = self.series.len();
        if targets.start < window || targets.end > rows || targets.start > targets.end {
            let expected = format!("rows from {window} to {rows}");
            return Err(Error::value("the targets of the windows", expected, format!("{targets:?}")));
        }
        let mut here = Vec::new();
        let mut firsts = Vec::new();
        for row in targets.clone() {
            here.clear();
            here.extend(self.series.truths().iter().map(|column| !column.values[row].is_nan()));
            if takes(row, &here) {
                firsts.push(row + 1 - horizon);
            }
        }
        let left_out = (targets.len() + 1).saturating_sub(horizon) - firsts.len();
        Ok(Windows::new(self.clone(), firsts, left_out))
    }

    fn none_in(&self, targets: &Range<usize>, expected: String) -> Error {
        let labels = self.series.labels();
        let what = format!("the rows from {:?} to {:?}", labels[targets.start], labels[targets.end - 1]);
        Error::value(what, expected, format!("none in {} rows", targets.len()))
    }

    /// Every example whose K target rows are in the series, in time order, for prediction and evaluation: those with a
    /// missing target are included with weight 0.
    ///
    /// # Errors
    /// [`Error::Value`] if the series is too short for one.
    pub fn all_windows(self: &Arc<Self>) -> Result<Windows> {
        let Frame { window, horizon } = self.codec.frame;
        let rows = self.series.len();
        if rows < self.codec.frame.rows() {
            let expected = format!("at least a window of {window} and a horizon of {horizon}");
            return Err(Error::value("the series", expected, format!("{rows} rows")));
        }
        Ok(Windows::new(self.clone(), (window..=rows - horizon).collect(), 0))
    }
}

impl Examples for Windows {
    fn len(&self) -> usize {
        self.firsts.len()
    }

    fn steps(&self, _: usize) -> usize {
        self.encoded.codec.frame.window
    }

    fn batch(&self, examples: &[usize], _: usize) -> Result<Batch> {
        let (codec, past) = (&self.encoded.codec, &self.encoded.past);
        let Frame { window, horizon } = codec.frame;
        let targets = codec.targets.len();
        let mut x = allocate::array((window, examples.len(), codec.input_size()), "x of a batch")?;
        let mut y = allocate::array((1, examples.len(), codec.outputs()), "the targets of a batch")?;
        for (b, example) in examples.iter().enumerate() {
            let first = self.firsts[*example];
            self.encoded.write_inputs(past.slice(s![first - window..first, ..]), first, x.slice_mut(s![.., b, ..]));
            let rows = past.slice(s![first..first + horizon, ..targets]);
            y.slice_mut(s![0, b, ..]).iter_mut().zip(rows).for_each(|(y, value)| *y = *value);
        }
        let batch = Batch::new(Sequence::dense(x), Targets::Values(y));
        let weight = |example: usize| if self.is_complete(example) { 1.0 } else { 0.0 };
        if examples.iter().all(|example| self.is_complete(*example)) {
            Ok(batch)
        } else {
            Ok(batch.weights(Array2::from_shape_fn((1, examples.len()), |(_, b)| weight(examples[b]))))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;
    use crate::batch::Input;
    use crate::data::{Column, ColumnRoles, MissingPolicy, ScalingKind, Series, SeriesCodec, SeriesSplit, SeriesTable};

    /// Columns whose values encode their row and column: 1000·column + row. Targets `gaps` are missing.
    fn rows(rows: usize, frame: Frame, [targets, features, known]: [usize; 3], gaps: &[usize]) -> Arc<EncodedSeries> {
        let mut columns: Vec<Column> = (0..targets + features + known)
            .map(|column| Column {
                name: format!("c{column}"),
                values: (0..rows).map(|row| (1000 * column + row) as f64).collect(),
            })
            .collect();
        gaps.iter().for_each(|row| columns[0].values[*row] = f64::NAN);
        let names = |range: Range<usize>| range.map(|column| format!("c{column}")).collect();
        let roles = ColumnRoles {
            targets: names(0..targets),
            features: names(targets..targets + features),
            known: names(targets + features..columns.len()),
        };
        let labels = (0..rows).map(|row| row.to_string()).collect();
        let table = SeriesTable { label_name: "row".into(), labels, columns, ..SeriesTable::default() };
        let series = Series::new(table, &roles, MissingPolicy::Mask).unwrap();
        let codec = SeriesCodec::fit(&series, frame, rows, |_| ScalingKind::None).unwrap();
        codec.encode(series).unwrap()
    }

    fn arrays(windows: &Windows, examples: &[usize]) -> (Array3<f32>, Array3<f32>) {
        let batch = windows.batch(examples, windows.steps(0)).unwrap();
        let (Input::Dense(x), Targets::Values(y)) = (batch.sequence.input, batch.targets) else { panic!() };
        (x, y)
    }

    #[test]
    fn an_example_reads_the_rows_before_its_targets_and_their_known_columns() {
        let frame = Frame { window: 3, horizon: 2 };
        let windows = rows(20, frame, [2, 1, 1], &[]).windows(5..9).unwrap();
        assert_eq!(windows.first_rows(), [5, 6, 7]);
        let (x, y) = arrays(&windows, &[2, 0]);
        assert_eq!((x.shape(), y.shape()), (&[3, 2, 4][..], &[1, 2, 4][..]));
        for (b, first) in [(0, 7.0), (1, 5.0)] {
            for t in 0..3 {
                let row = first - 3.0 + t as f32;
                assert_eq!(x.slice(s![t, b, ..]).to_vec(), [row, 1000.0 + row, 2000.0 + row, 3000.0 + row + 2.0]);
            }
            assert_eq!(y.slice(s![0, b, ..]).to_vec(), [first, 1000.0 + first, first + 1.0, 1001.0 + first]);
        }
    }

    #[test]
    fn an_example_with_a_missing_target_is_left_out() {
        let windows = rows(20, Frame { window: 3, horizon: 2 }, [1, 0, 0], &[4, 10, 11]).windows(5..15).unwrap();
        assert_eq!((windows.first_rows(), windows.left_out()), (&[5, 6, 7, 8, 12, 13][..], 3));
        let encoded = rows(8, Frame { window: 3, horizon: 2 }, [1, 0, 0], &[4, 6]);
        let error = encoded.windows(3..8).unwrap_err().to_string();
        let expected = "expected 2 rows in succession with all targets, got none in 5 rows";
        assert_eq!(error, format!("the rows from \"3\" to \"7\": {expected}"));
        assert!(encoded.windows(8..8).unwrap().is_empty());
        for outside in [2..8, 3..9, Range { start: 5, end: 4 }] {
            assert!(encoded.windows(outside).is_err());
        }
    }

    #[test]
    fn a_filled_value_is_an_input_but_never_a_target() {
        let columns = vec![
            Column { name: "v".into(), values: [0.0, 1.0, 2.0, f64::NAN, 4.0, 5.0, 6.0, f64::NAN, f64::NAN].to_vec() },
            Column { name: "w".into(), values: (0..9).map(f64::from).collect() },
        ];
        let labels = (0..9).map(|row| row.to_string()).collect();
        let roles = |names: &[&str]| ColumnRoles {
            targets: names.iter().map(|name| (*name).into()).collect(),
            ..ColumnRoles::default()
        };
        let table = SeriesTable { label_name: "row".into(), labels, columns, ..SeriesTable::default() };
        let encoded = |names: &[&str]| {
            let series = Series::new(table.clone(), &roles(names), MissingPolicy::Forward).unwrap();
            let frame = Frame { window: 2, horizon: 2 };
            SeriesCodec::fit(&series, frame, 9, |_| ScalingKind::None).unwrap().encode(series).unwrap()
        };
        let alone = encoded(&["v"]);
        // Nothing is learned of rows 3, 7 and 8, and what is read of them is the row before.
        let training = alone.windows(2..9).unwrap();
        assert_eq!((training.first_rows(), training.left_out()), (&[4, 5][..], 4));
        assert_eq!(arrays(&training, &[0]).0.into_raw_vec_and_offset().0, [2.0, 2.0]);
        // Where one of two steps is there, it alone is measured.
        let measured = alone.measured_windows(2..9).unwrap();
        assert_eq!((measured.first_rows(), measured.left_out()), (&[2, 3, 4, 5, 6][..], 1));
        let truth = measured.truth();
        assert!(truth[[0, 1, 0]].is_nan() && truth[[1, 0, 0]].is_nan() && truth[[1, 1, 0]] == 4.0);
        assert_eq!(measured.naive(1).unwrap().slice(s![.., 0, 0]).to_vec(), [1.0, 2.0, 2.0, 4.0, 5.0]);
        // The season before rows 5 and 6 has row 3: what was measured a season earlier stands for it.
        assert_eq!(measured.naive(2).unwrap().slice(s![3, .., 0]).to_vec(), [1.0, 4.0]);
        let weights = alone.all_windows().unwrap().batch(&[0, 1, 2, 3, 4, 5], 2).unwrap().weights.unwrap();
        assert_eq!(weights.into_raw_vec_and_offset().0, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        // One of two targets is as good as one of two steps.
        let both = encoded(&["v", "w"]);
        assert_eq!(both.measured_windows(2..9).unwrap().left_out(), 0);
        assert_eq!(both.windows(2..9).unwrap().first_rows(), [4, 5]);
        assert!(alone.windows(6..9).is_err() && alone.measured_windows(7..9).is_err());
        assert!(alone.measured_windows(8..9).is_err() && alone.measured_windows(9..9).unwrap().is_empty());
    }

    #[test]
    fn prediction_covers_all_examples_with_weight_0_for_missing_targets() {
        let windows = rows(9, Frame { window: 3, horizon: 2 }, [1, 0, 0], &[4, 7]).all_windows().unwrap();
        assert_eq!(windows.first_rows(), [3, 4, 5, 6, 7]);
        let weights = |examples: &[usize]| windows.batch(examples, 3).unwrap().weights;
        assert_eq!(weights(&[0, 2, 4]).unwrap().into_raw_vec_and_offset().0, [0.0, 1.0, 0.0]);
        assert_eq!(weights(&[2]), None);
        assert!(windows.truth()[[0, 1, 0]].is_nan());
        let short = rows(4, Frame { window: 3, horizon: 2 }, [1, 0, 0], &[]).all_windows().unwrap_err().to_string();
        assert_eq!(short, "the series: expected at least a window of 3 and a horizon of 2, got 4 rows");
    }

    #[test]
    fn no_example_reads_a_row_of_a_later_split() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut below = |n: usize| (rng.next_u64() % n as u64) as usize;
        let (mut splits, mut examples) = (0, 0);
        while splits < 300 {
            let count = 30 + below(60);
            let horizon = 1 + below(6);
            let frame = Frame { window: horizon + below(8), horizon };
            let roles = [1 + below(3), below(3), below(3)];
            let Ok(split) = SeriesSplit::at(count, frame, 1 + below(count), below(11) as f64 / 10.0) else { continue };
            splits += 1;
            let parts = [split.train.clone(), split.validation.clone(), split.test.clone()];
            assert!(parts[0].start == frame.window && parts[2].end == count);
            assert!(parts[0].end == parts[1].start && parts[1].end == parts[2].start);
            let encoded = rows(count, frame, roles, &[]);
            let past = roles[0] + roles[1];
            for part in parts {
                let windows = encoded.windows(part.clone()).unwrap();
                assert_eq!(windows.len(), (part.len() + 1).saturating_sub(horizon));
                for example in 0..windows.len() {
                    let first = windows.first_rows()[example];
                    let (x, y) = arrays(&windows, &[example]);
                    let row = |value: f32| value as usize % 1000;
                    assert!(y.iter().all(|y| part.contains(&row(*y)) && (first..first + horizon).contains(&row(*y))));
                    for ((t, _, input), value) in x.indexed_iter() {
                        // The known columns are those of the rows that are predicted, all others lie before.
                        let ahead = if input < past { 0 } else { horizon };
                        assert_eq!((row(*value), *value as usize / 1000), (first - frame.window + t + ahead, input));
                        assert!(row(*value) < part.end);
                    }
                    examples += 1;
                }
            }
        }
        assert!(examples > 3000, "{examples}");
    }

    #[test]
    fn the_naive_forecast_is_the_last_value_or_that_of_the_last_period() {
        let windows = rows(20, Frame { window: 4, horizon: 3 }, [1, 0, 0], &[9]).windows(10..20).unwrap();
        let of = |period| windows.naive(period).unwrap().slice(s![0, .., 0]).to_vec();
        assert_eq!(windows.truth().slice(s![0, .., 0]).to_vec(), [10.0, 11.0, 12.0]);
        // Row 9 is missing.
        assert_eq!(of(1), [8.0, 8.0, 8.0]);
        assert_eq!(of(2), [8.0, 7.0, 8.0]);
        assert_eq!(of(4), [6.0, 7.0, 8.0]);
        assert_eq!(of(10), [0.0, 1.0, 2.0]);
        assert!(windows.naive(0).is_err());
        let error = windows.naive(11).unwrap_err().to_string();
        assert_eq!(error, "the period: expected 1 to 10, the rows before the first forecast, got 11");
    }
}
