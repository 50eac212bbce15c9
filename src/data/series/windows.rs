//! The sliding windows of a series.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, Array3, s};

use super::encoded::Window;
use crate::allocate;
use crate::batch::{Batch, Sequence, Targets};
use crate::data::{EncodedSeries, Examples, Frame, Scaling};
use crate::error::{Error, Result};
use crate::real::Real;

/// Windows over a series, with the K rows after each as targets: x is \[W / N, B, I\], the targets \[1, B, Q·K\], in
/// the order of [`SeriesCodec`](crate::data::SeriesCodec). In a panel, a window is an example of each of its members.
/// Made by [`EncodedSeries::windows`] and [`EncodedSeries::all_windows`].
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    pub(super) encoded: Arc<EncodedSeries>,
    /// The first target row of each window, ascending.
    pub(super) firsts: Vec<usize>,
    /// By window, then by member.
    pub(super) examples: Vec<Example>,
    left_out: usize,
    /// The weight of an example of each member; `None` if all examples weigh 1.
    weights: Option<Vec<f32>>,
    /// Whether a target is a count and its unit.
    pub(super) counts: bool,
}

/// A window of a member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Example {
    /// The index of its first target row.
    pub(super) window: usize,
    pub(super) member: usize,
}

impl Windows {
    /// The first target row of each window.
    pub fn first_rows(&self) -> &[usize] {
        &self.firsts
    }

    /// The members without an example.
    pub fn without_example(&self) -> Vec<usize> {
        let mut has_one = vec![false; self.encoded.codec.members()];
        self.examples.iter().for_each(|example| has_one[example.member] = true);
        (0..has_one.len()).filter(|member| !has_one[*member]).collect()
    }

    /// Weighs the examples so that all members with an example weigh alike, and all examples 1 on average.
    #[must_use]
    pub fn weigh_members_alike(mut self) -> Self {
        let mut counts = vec![0_usize; self.encoded.codec.members()];
        self.examples.iter().for_each(|example| counts[example.member] += 1);
        let members = counts.iter().filter(|count| **count > 0).count();
        let alike = self.examples.len() as f64 / members as f64;
        self.weights = Some(counts.iter().map(|count| (alike / (*count).max(1) as f64) as f32).collect());
        self
    }

    /// The weight of an example of a member.
    pub fn weight_of(&self, member: usize) -> f32 {
        self.weights.as_ref().map_or(1.0, |weights| weights[member])
    }

    /// The number of examples left out because of missing targets.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The truth, in the units of the data: \[N, K, Q\], N windows and all targets; NaN if missing, or if the example
    /// is left out.
    pub fn truth(&self) -> Array3<f64> {
        let mut truth = self.missing();
        for example in &self.examples {
            let first = self.firsts[example.window];
            for target in self.encoded.codec.targets_of(example.member) {
                let values = &self.encoded.series.truths()[target].values[first..];
                let mut to = truth.slice_mut(s![example.window, .., target]);
                to.iter_mut().zip(values).for_each(|(to, value)| *to = *value);
            }
        }
        truth
    }

    /// ŷ, \[1, Q·K\] per example as [`predict`](crate::train::predict) returns it, in the units of the data: \[N, K,
    /// Q\], N windows and all targets; NaN if the example is left out.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are more or fewer predictions than examples, or one has another shape.
    pub fn decode<R: Real>(&self, predictions: &[Array2<R>]) -> Result<Array3<f64>> {
        if predictions.len() != self.examples.len() {
            return Err(Error::shape("the predictions", &[self.examples.len()], &[predictions.len()]));
        }
        let mut decoded = self.missing();
        for (index, (example, prediction)) in self.examples.iter().zip(predictions).enumerate() {
            let outputs = self.encoded.codec.outputs();
            if prediction.shape() != [1, outputs] {
                let tensor = format!("the prediction of example {index}");
                return Err(Error::shape(tensor, &[1, outputs], prediction.shape()));
            }
            let targets = self.encoded.codec.targets_of(example.member);
            let Window { scalings, .. } = self.window(*example);
            let mut decoded = decoded.slice_mut(s![example.window, .., targets]);
            let scaled = prediction.iter().zip(scalings.iter().cycle());
            decoded.iter_mut().zip(scaled).for_each(|(to, (value, scaling))| *to = scaling.unscale(value.as_f64()));
        }
        Ok(decoded)
    }

    /// How the targets of each window are scaled: by window, then by target.
    pub fn scalings(&self) -> Vec<Vec<Scaling>> {
        let members = self.encoded.codec.members();
        let of = |first: usize| (0..members).flat_map(move |member| self.encoded.window(member, first).scalings);
        self.firsts.iter().map(|first| of(*first).collect()).collect()
    }

    /// The series that they are cut from.
    pub fn encoded(&self) -> &EncodedSeries {
        &self.encoded
    }

    pub(super) fn window(&self, example: Example) -> Window<'_> {
        self.encoded.window(example.member, self.firsts[example.window])
    }

    /// Whether all targets of the example exist.
    fn is_complete(&self, Example { window, member }: Example) -> bool {
        let first = self.firsts[window];
        let rows = first..first + self.encoded.codec.frame.horizon;
        let columns = &self.encoded.series.truths()[self.encoded.codec.targets_of(member)];
        columns.iter().all(|column| column.values[rows.clone()].iter().all(|v| !v.is_nan()))
    }

    /// \[N, K, Q\].
    fn shape(&self) -> (usize, usize, usize) {
        let codec = &self.encoded.codec;
        (self.firsts.len(), codec.frame.horizon, codec.targets.len())
    }

    /// NaN for every window and target: \[N, K, Q\].
    pub(super) fn missing(&self) -> Array3<f64> {
        Array3::from_elem(self.shape(), f64::NAN)
    }
}

impl EncodedSeries {
    /// The training examples whose K target rows are all within `targets`, in time order. Those with a missing target
    /// are left out, even if the input was filled.
    /// Those of a member of a panel are within its rows.
    ///
    /// # Errors
    /// [`Error::Value`] if `targets` is outside the series, starts before the first row with a whole window before it,
    /// or is not empty and has no example.
    pub fn windows(self: &Arc<Self>, targets: Range<usize>) -> Result<Windows> {
        let horizon = self.codec.frame.horizon;
        let mut complete = vec![0; self.codec.members()];
        let windows = self.select(&targets, |_, member, here| {
            let complete = &mut complete[member];
            *complete = if here.iter().all(|there| *there) { *complete + 1 } else { 0 };
            *complete >= horizon
        })?;
        self.not_none(&targets, windows, format!("{horizon} rows in succession with all targets"))
    }

    /// The evaluation examples whose K target rows are all within `targets`, in time order: those without any target
    /// are left out, and missing targets of the others are ignored.
    ///
    /// # Errors
    /// Those of [`windows`](Self::windows).
    pub fn measured_windows(self: &Arc<Self>, targets: Range<usize>) -> Result<Windows> {
        let horizon = self.codec.frame.horizon;
        let mut last = vec![None; self.codec.members()];
        let windows = self.select(&targets, |row, member, here| {
            let last = &mut last[member];
            *last = if here.contains(&true) { Some(row) } else { *last };
            last.is_some_and(|last| last + horizon > row)
        })?;
        self.not_none(&targets, windows, format!("{horizon} rows with a target"))
    }

    /// The examples whose last row is in `takes`, ascending, by member and the targets that exist.
    fn select(
        self: &Arc<Self>,
        targets: &Range<usize>,
        mut takes: impl FnMut(usize, usize, &[bool]) -> bool,
    ) -> Result<Windows> {
        let Frame { window, horizon } = self.codec.frame;
        let (rows, members) = (self.series.len(), self.codec.members());
        if targets.start < window || targets.end > rows || targets.start > targets.end {
            let expected = format!("rows from {window} to {rows}");
            return Err(Error::value("the targets of the windows", expected, format!("{targets:?}")));
        }
        let mut here = Vec::new();
        let (mut firsts, mut examples, mut candidates) = (Vec::new(), Vec::new(), 0);
        for row in targets.clone() {
            here.clear();
            here.extend(self.series.truths().iter().map(|column| !column.values[row].is_nan()));
            let first = (row + 1).checked_sub(horizon).filter(|first| *first >= targets.start);
            let before = examples.len();
            for member in 0..members {
                let taken = takes(row, member, &here[self.codec.targets_of(member)]);
                if first.is_some_and(|first| self.shows(member, first)) {
                    candidates += 1;
                    examples.extend(taken.then_some(Example { window: firsts.len(), member }));
                }
            }
            if examples.len() > before {
                firsts.extend(first);
            }
        }
        let left_out = candidates - examples.len();
        Ok(Windows { encoded: self.clone(), firsts, examples, left_out, weights: None, counts: false })
    }

    /// Whether a member has a whole window before row `first`, and a row from there on.
    fn shows(&self, member: usize, first: usize) -> bool {
        let rows = self.series.rows_of(self.codec.targets_of(member).start);
        rows.start + self.codec.frame.window <= first && first < rows.end
    }

    /// Refuses `windows` within `targets` that are none.
    fn not_none(&self, targets: &Range<usize>, windows: Windows, expected: String) -> Result<Windows> {
        if targets.is_empty() || !windows.is_empty() {
            return Ok(windows);
        }
        let labels = self.series.labels();
        let what = format!("the rows from {:?} to {:?}", labels[targets.start], labels[targets.end - 1]);
        Err(Error::value(what, expected, format!("none in {} rows", targets.len())))
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
        let firsts: Vec<usize> = (window..=rows - horizon).collect();
        let mut examples = Vec::new();
        for (window, first) in firsts.iter().enumerate() {
            let members = (0..self.codec.members()).filter(|member| self.shows(*member, *first));
            examples.extend(members.map(|member| Example { window, member }));
        }
        Ok(Windows { encoded: self.clone(), firsts, examples, left_out: 0, weights: None, counts: false })
    }
}

impl Examples for Windows {
    fn len(&self) -> usize {
        self.examples.len()
    }

    fn steps(&self, _: usize) -> usize {
        self.encoded.codec.steps()
    }

    fn batch(&self, examples: &[usize], _: usize) -> Result<Batch> {
        let codec = &self.encoded.codec;
        let mut x = allocate::array((codec.steps(), examples.len(), codec.input_size()), "x of a batch")?;
        let size = if self.counts { 2 * codec.outputs() } else { codec.outputs() };
        let mut y = allocate::array((1, examples.len(), size), "the targets of a batch")?;
        for (b, example) in examples.iter().enumerate() {
            let example = self.examples[*example];
            let window = self.window(example);
            self.encoded.write_inputs(&window, x.slice_mut(s![.., b, ..]));
            let (mut y, member) = (y.slice_mut(s![0, b, ..]), example.member);
            if self.counts {
                let counts = self.encoded.counts(member, &window).flatten();
                y.iter_mut().zip(counts).for_each(|(y, value)| *y = value);
            } else {
                let scaled = self.encoded.scale_targets(member, &window);
                y.iter_mut().zip(scaled).for_each(|(y, value)| *y = value);
            }
        }
        let batch = Batch::new(Sequence::dense(x), Targets::Values(y));
        let weight = |example: &usize| {
            let example = self.examples[*example];
            if self.is_complete(example) { self.weight_of(example.member) } else { 0.0 }
        };
        let weights: Vec<f32> = examples.iter().map(weight).collect();
        if weights.iter().all(|weight| *weight == 1.0) {
            Ok(batch)
        } else {
            Ok(batch.weights(Array2::from_shape_fn((1, examples.len()), |(_, b)| weights[b])))
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
        assert_eq!((windows.without_season(4), windows.without_season(11)), (vec![], vec![0]));
        assert!(windows.naive(0).is_err());
        let error = windows.naive(11).unwrap_err().to_string();
        assert_eq!(error, "the period: expected 1 to 10, the rows before the first forecast, got 11");
    }
}
