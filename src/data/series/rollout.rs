//! Multi-step forecasts that feed on their own predictions.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, Array3, ArrayViewMut2, Axis};

use super::calendar::CalendarRows;
use super::encoded::Window;
use crate::data::{EncodedSeries, Frame, Scaling};
use crate::error::{Error, Result};

/// A forecast in progress: it returns the next input of the network, takes its predictions, a horizon at a time, and
/// feeds them back as the past. Made by [`EncodedSeries::rollout`].
///
/// ```
/// use bptt::data::{Column, ColumnRoles, Frame, MissingPolicy, ScalingKind, Series, SeriesCodec, SeriesSplit, SeriesTable};
///
/// let values = (0..200).map(|row| (f64::from(row) * 0.3).sin()).collect();
/// let labels = (0..200).map(|row| row.to_string()).collect();
/// let columns = vec![Column { name: "v".into(), values }];
/// let table = SeriesTable { label_name: "t".into(), labels, columns, ..SeriesTable::default() };
/// let series = Series::new(table, &ColumnRoles::one("v"), MissingPolicy::Refuse)?;
/// let frame = Frame { window: 20, horizon: 4 };
/// let split = SeriesSplit::shares(series.len(), frame, [0.7, 0.15, 0.15])?;
/// let codec = SeriesCodec::fit(&series, frame, split.train.end, |_| ScalingKind::Standard)?;
/// let encoded = codec.encode(series)?;
/// let training = encoded.windows(split.train)?; // the examples that a network is trained on
///
/// let mut rollout = encoded.rollout(encoded.series().len(), 10)?;
/// while let Some(x) = rollout.next_input() {
///     let outputs = [x[[19, 0, 0]]; 4]; // what the network predicts of x, here the last value
///     rollout.push(&outputs)?;
/// }
/// let forecast = rollout.finish();
/// assert_eq!((forecast.labels[9].as_str(), forecast.values.shape()), ("209", &[10, 1][..]));
/// # Ok::<(), bptt::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rollout {
    encoded: Arc<EncodedSeries>,
    /// The first forecast row.
    first: usize,
    /// The number of requested rows.
    steps: usize,
    /// The first horizon starts this many rows before `first`.
    back: usize,
    /// The number of rows from `first` on with all known columns, and times if there is a calendar.
    known: usize,
    /// The calendar of the rows after the last label.
    ahead: Option<Arc<CalendarRows>>,
    /// Each target that is forecast from W + `back` rows before `first` on, in the units of the data: as it was read, then
    /// predictions.
    past: Vec<Vec<f64>>,
    /// The number of rows forecast so far.
    rows: usize,
    /// The series of a panel that are forecast.
    members: Vec<usize>,
}

/// A forecast of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The last row that was read: the one before the first forecast row, or an earlier one if the known columns end
    /// within a horizon.
    pub origin: usize,
    /// The labels of the rows.
    pub labels: Vec<String>,
    /// The targets in the units of the data: \[rows, Q\]; NaN for a series of a panel that does not reach up to the first
    /// row.
    pub values: Array2<f64>,
}

impl EncodedSeries {
    /// A forecast of `steps` rows from row `first` on, from the rows before it. If `first` is the number of rows, it
    /// starts after the last one. A series of a panel is forecast if it reaches up to `first`.
    ///
    /// # Errors
    /// [`Error::Value`] if there is no whole window before `first`, of any series of a panel, or no such row, or a known
    /// column ends before the last of the `steps`, or with a calendar the labels do not continue; [`Error::Unsupported`] if
    /// more than one horizon is requested and the future of a feature would be needed.
    pub fn rollout(self: &Arc<Self>, first: usize, steps: usize) -> Result<Rollout> {
        Rollout::new(self.clone(), first, steps)
    }
}

impl Rollout {
    pub(super) fn new(encoded: Arc<EncodedSeries>, first: usize, steps: usize) -> Result<Self> {
        let Frame { window, horizon } = encoded.codec.frame;
        let (series, rows) = (&encoded.series, encoded.series.len());
        if steps == 0 {
            return Err(Error::value("the steps of the forecast", "at least 1", 0));
        }
        if rows < window {
            let expected = format!("at least {window} rows, a whole window");
            return Err(Error::value("the series", expected, format!("{rows} rows")));
        }
        if !(window..=rows).contains(&first) {
            return Err(Error::value("the first row of the forecast", format!("{window} to {rows}"), first));
        }
        if steps > horizon && !series.features().is_empty() {
            let names: Vec<String> = series.features().iter().map(|column| format!("{:?}", column.name)).collect();
            let names = names.join(", ");
            return Err(Error::Unsupported(format!(
                "a forecast of {steps} steps with a horizon of {horizon} needs the future of the features {names}: \
                 forecast at most {horizon} steps, or make them targets or known columns"
            )));
        }
        let shortest = series.known().iter().min_by_key(|column| column.values.len());
        let known = shortest.map_or(usize::MAX, |column| column.values.len().saturating_sub(first));
        if let Some(column) = shortest.filter(|_| known < steps) {
            let expected = format!("values for {steps} rows from the first of the forecast on");
            return Err(Error::value(
                format!("known column {:?}", column.name),
                expected,
                format!("values for {known}"),
            ));
        }
        let (times, ahead) = encoded.calendar_reach(first, steps, known)?;
        let known = known.min(times);
        // The network always reads a whole horizon of known values: if they end earlier, the horizon starts earlier.
        let back = horizon.saturating_sub(known);
        if first < window + back {
            let expected = format!(
                "at least {} rows before the forecast, a window of {window} and {back} more: the known columns and times \
                 end {known} rows after it begins, and so does the horizon of {horizon}",
                window + back
            );
            return Err(Error::value("the series", expected, format!("{first} rows")));
        }
        let shown = |member: &usize| {
            let rows = series.rows_of(encoded.codec.targets_of(*member).start);
            rows.start + window + back <= first && first <= rows.end
        };
        let members: Vec<usize> = (0..encoded.codec.members()).filter(shown).collect();
        if members.is_empty() {
            let expected = format!("one with values in all {} rows before the forecast", window + back);
            return Err(Error::value("the series of the panel", expected, "none"));
        }
        let read = |target: usize| series.targets()[target].values[first - window - back..first].to_vec();
        let past = members.iter().flat_map(|member| encoded.codec.targets_of(*member)).map(read).collect();
        Ok(Self { encoded, first, steps, back, known, ahead: ahead.map(Arc::new), past, rows: 0, members })
    }

    /// The number of rows of a batch that it takes: one for each forecast series of a panel, and otherwise 1.
    pub fn batch_rows(&self) -> usize {
        self.members.len()
    }

    /// Whether all rows are forecast.
    pub(crate) fn is_complete(&self) -> bool {
        self.rows >= self.steps
    }

    /// x of the next horizon, \[W / N, 1, I\], or for a panel \[W / N, B, I\] with a row for each
    /// series; `None` once all rows are forecast.
    pub fn next_input(&self) -> Option<Array3<f32>> {
        if self.is_complete() {
            return None;
        }
        let [steps, inputs] = self.row_shape();
        let mut x = Array3::zeros((steps, self.batch_rows(), inputs));
        x.axis_iter_mut(Axis(1)).enumerate().for_each(|(row, x)| self.write_row(row, x));
        Some(x)
    }

    /// The steps and inputs of a row, \[W / N, I\].
    pub(crate) fn row_shape(&self) -> [usize; 2] {
        [self.encoded.codec.steps(), self.encoded.codec.input_size()]
    }

    /// Writes a row of the [next input](Self::next_input) alone, \[W / N, I\]: that of a large panel is large.
    pub(crate) fn write_row(&self, row: usize, x: ArrayViewMut2<'_, f32>) {
        self.encoded.write_inputs(&self.window(row), x);
    }

    /// The window that the next horizon of a row of the batch is forecast from.
    fn window(&self, row: usize) -> Window<'_> {
        let (member, past) = (self.members[row], &self.past[self.past_of(row)]);
        let of_member = self.encoded.codec.targets_of(member).start;
        let (begin, first) = (self.back + self.rows - self.overlap(), self.first + self.rows - self.overlap());
        let rows = begin..begin + self.encoded.codec.frame.window;
        let mut window = self.encoded.window_of(member, first, |target| &past[target - of_member][rows.clone()]);
        window.ahead = self.ahead.as_deref();
        window
    }

    /// Takes ŷ of the last input: for each row Q·K outputs in the order of
    /// [`SeriesCodec`](crate::data::SeriesCodec).
    ///
    /// # Errors
    /// [`Error::Shape`] where there are more or fewer; [`Error::Value`] where one is not finite, or where nothing was
    /// left to forecast.
    pub fn push(&mut self, outputs: &[f32]) -> Result<()> {
        self.check(outputs.len())?;
        if let Some(index) = outputs.iter().position(|output| !output.is_finite()) {
            return Err(Error::value(format!("output {index} of the network"), "a finite number", outputs[index]));
        }
        let scaled = outputs.iter().zip(self.scalings());
        let values: Vec<f64> = scaled.map(|(value, scaling)| scaling.unscale(f64::from(*value))).collect();
        self.push_values(&values)
    }

    /// The same as [`push`](Self::push) with the forecasts in the units of the data.
    ///
    /// # Errors
    /// Those of [`push`](Self::push).
    pub fn push_values(&mut self, values: &[f64]) -> Result<()> {
        self.check(values.len())?;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::value(format!("forecast {index}"), "a finite number", values[index]));
        }
        // Existing values, from the data or an earlier horizon, are kept.
        let (overlap, of_member) = (self.overlap(), self.encoded.codec.outputs());
        for (row, values) in values.chunks(of_member).enumerate() {
            let targets = self.past_of(row);
            for values in values.chunks(targets.len()).skip(overlap) {
                self.past[targets.clone()].iter_mut().zip(values).for_each(|(past, value)| past.push(*value));
            }
        }
        self.rows += self.encoded.codec.frame.horizon - overlap;
        Ok(())
    }

    /// How each output for the last input is scaled, in the order of [`push`](Self::push): as the window that the network
    /// read.
    pub fn scalings(&self) -> Vec<Scaling> {
        let outputs = self.encoded.codec.outputs();
        let of = |row: usize| self.window(row).scalings.into_iter().cycle().take(outputs).collect::<Vec<_>>();
        (0..self.batch_rows()).flat_map(of).collect()
    }

    /// Where the targets of a row of the batch are in `past`.
    fn past_of(&self, row: usize) -> Range<usize> {
        let width = self.encoded.codec.targets_of(self.members[row]).len();
        row * width..(row + 1) * width
    }

    /// Refuses another number of outputs, or any after the last row.
    fn check(&self, outputs: usize) -> Result<()> {
        let all = self.encoded.codec.outputs() * self.batch_rows();
        if self.rows >= self.steps {
            let expected = format!("no more than the {} requested rows", self.steps);
            return Err(Error::value("the forecast", expected, format!("outputs after {} rows", self.rows)));
        }
        if outputs != all {
            return Err(Error::shape("the network's outputs", &[all], &[outputs]));
        }
        Ok(())
    }

    /// The forecast: all requested rows, or fewer if it was not finished.
    pub fn finish(self) -> Forecast {
        let values = self.values();
        let labels = self.encoded.series.labels_from(self.first, values.nrows());
        Forecast { origin: self.first - self.back - 1, labels, values }
    }

    /// The forecast so far, of the requested rows, in the units of the data: \[rows, Q\], as in [`Forecast`].
    pub fn values(&self) -> Array2<f64> {
        let forecast = self.forecast_values();
        let mut values = Array2::from_elem((forecast.nrows(), self.targets()), f64::NAN);
        for (target, forecast) in self.forecast_targets().zip(forecast.columns()) {
            values.column_mut(target).assign(&forecast);
        }
        values
    }

    /// The same of the targets that are forecast alone: \[rows, F\].
    pub(crate) fn forecast_values(&self) -> Array2<f64> {
        let begin = self.encoded.codec.frame.window + self.back;
        let rows = self.rows.min(self.steps);
        Array2::from_shape_fn((rows, self.past.len()), |(row, target)| self.past[target][begin + row])
    }

    /// The targets that are forecast, by index: all of one series, and of a panel those that reach up to the first row.
    pub(crate) fn forecast_targets(&self) -> impl Iterator<Item = usize> + '_ {
        self.members.iter().flat_map(|member| self.encoded.codec.targets_of(*member))
    }

    /// The number of rows that are forecast so far.
    #[cfg(feature = "experiment")]
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The number of requested rows.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Q, the number of targets, with those of a panel that are not forecast.
    pub fn targets(&self) -> usize {
        self.encoded.series.targets().len()
    }

    /// How many rows of the next horizon are already known, because the known columns end.
    fn overlap(&self) -> usize {
        (self.rows + self.encoded.codec.frame.horizon).saturating_sub(self.known)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::s;

    use super::*;
    use crate::data::{Column, ColumnRoles, MissingPolicy, ScalingKind, Series, SeriesCodec, SeriesTable};

    /// `v` counts rows from 0; `f` and `k` count from 100 and 200; `k` continues for `future` rows.
    fn encoded(frame: Frame, roles: &ColumnRoles, future: usize) -> Result<Arc<EncodedSeries>> {
        let rows = 10;
        let column = |name: &str, from: f64, count: usize| Column {
            name: name.into(),
            values: (0..rows + future).map(|row| if row < count { from + row as f64 } else { f64::NAN }).collect(),
        };
        let columns = vec![column("v", 0.0, rows), column("f", 100.0, rows), column("k", 200.0, rows + future)];
        let label = |row: usize| match 17 + row {
            day @ ..30 => format!("2024-02-{day:02}"),
            day => format!("2024-03-{:02}", day - 29),
        };
        let labels = (0..rows + future).map(label).collect();
        let series = Series::new(
            SeriesTable { label_name: "day".into(), labels, columns, ..SeriesTable::default() },
            roles,
            MissingPolicy::Refuse,
        )?;
        let codec = SeriesCodec::fit(&series, frame, rows, |name| match name {
            "v" => ScalingKind::MinMax,
            _ => ScalingKind::None,
        })?;
        codec.encode(series)
    }

    fn roles(features: &[&str], known: &[&str]) -> ColumnRoles {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ColumnRoles { targets: vec!["v".into()], features: owned(features), known: owned(known) }
    }

    /// Predicts that the count continues from the last value that it reads.
    fn count_on(x: &Array3<f32>, horizon: usize) -> Vec<f32> {
        let last = x[[x.shape()[0] - 1, 0, 0]];
        (1..=horizon).map(|step| last + step as f32 / 9.0).collect()
    }

    #[test]
    fn a_rollout_feeds_on_its_own_predictions() {
        for horizon in [1, 3, 5] {
            let frame = Frame { window: 4, horizon };
            let mut rollout = encoded(frame, &roles(&[], &[]), 0).unwrap().rollout(10, 7).unwrap();
            while let Some(x) = rollout.next_input() {
                let first = 10 + rollout.rows;
                let read: Vec<f32> = (first - 4..first).map(|row| row as f32 / 9.0).collect();
                assert!(x.iter().zip(&read).all(|(x, row)| (x - row).abs() < 1e-5), "{x} {read:?}");
                rollout.push(&count_on(&x, horizon)).unwrap();
            }
            assert!(rollout.clone().push(&vec![0.0; horizon]).is_err());
            let forecast = rollout.finish();
            assert_eq!(forecast.values.shape(), [7, 1]);
            assert!(forecast.values.iter().zip(10..).all(|(value, row)| (value - f64::from(row)).abs() < 1e-4));
            assert_eq!((forecast.labels[0].as_str(), forecast.labels[3].as_str()), ("2024-02-27", "2024-03-01"));
        }
    }

    #[test]
    fn a_rollout_from_inside_the_series_reads_no_later_rows() {
        let encoded = encoded(Frame { window: 4, horizon: 2 }, &roles(&[], &["k"]), 0).unwrap();
        let mut rollout = encoded.rollout(5, 4).unwrap();
        let x = rollout.next_input().unwrap();
        assert_eq!(x.slice(s![.., 0, 1]).to_vec(), [203.0, 204.0, 205.0, 206.0]);
        rollout.push(&[0.5, 0.25]).unwrap();
        let x = rollout.next_input().unwrap();
        assert_eq!(x.slice(s![.., 0, 0]).to_vec(), [3.0 / 9.0, 4.0 / 9.0, 0.5, 0.25]);
        rollout.push(&[0.0, 1.0]).unwrap();
        let forecast = rollout.finish();
        assert_eq!(forecast.labels, ["2024-02-22", "2024-02-23", "2024-02-24", "2024-02-25"]);
        assert_eq!(forecast.values.column(0).to_vec(), [4.5, 2.25, 0.0, 9.0]);
        let error = encoded.rollout(3, 1).unwrap_err().to_string();
        assert_eq!(error, "the first row of the forecast: expected 4 to 10, got 3");
        assert!(encoded.rollout(11, 1).is_err() && encoded.rollout(8, 3).is_err());
    }

    #[test]
    fn known_columns_are_read_at_the_end_of_the_horizon() {
        let frame = Frame { window: 4, horizon: 3 };
        let mut rollout = encoded(frame, &roles(&[], &["k"]), 3).unwrap().rollout(10, 2).unwrap();
        let x = rollout.next_input().unwrap();
        assert_eq!(x.slice(s![.., 0, 1]).to_vec(), [209.0, 210.0, 211.0, 212.0]);
        rollout.push(&count_on(&x, 3)).unwrap();
        assert!(rollout.next_input().is_none());
        assert_eq!(rollout.finish().labels, ["2024-02-27", "2024-02-28"]);
    }

    #[test]
    fn a_rollout_reaches_as_far_as_the_known_columns_for_any_horizon() {
        for (horizon, future) in [(1, 5), (3, 4), (3, 5), (3, 7), (4, 20), (5, 5), (5, 4), (5, 1)] {
            let frame = Frame { window: 5, horizon };
            let mut rollout = encoded(frame, &roles(&[], &["k"]), future).unwrap().rollout(10, future).unwrap();
            while let Some(x) = rollout.next_input() {
                // The window ends before the horizon does, by all that is known of it.
                let last = (x[[4, 0, 0]] * 9.0).round();
                assert_eq!(x[[4, 0, 1]], 200.0 + last + horizon as f32, "horizon {horizon}, {future} known: {x}");
                assert!(x[[4, 0, 1]] <= 209.0 + future as f32);
                rollout.push(&count_on(&x, horizon)).unwrap();
            }
            let forecast = rollout.finish();
            let values: Vec<f64> = forecast.values.iter().map(|value| value.round()).collect();
            assert_eq!(values, (10..10 + future).map(|row| row as f64).collect::<Vec<_>>());
            assert_eq!(forecast.origin, if future < horizon { 9 - (horizon - future) } else { 9 });
        }
        let short = encoded(Frame { window: 9, horizon: 3 }, &roles(&[], &["k"]), 1).unwrap();
        let error = short.rollout(10, 1).unwrap_err().to_string();
        assert!(error.starts_with("the series: expected at least 11 rows before the forecast"), "{error}");
    }

    #[test]
    fn a_rollout_beyond_the_known_columns_is_refused() {
        let frame = Frame { window: 4, horizon: 3 };
        let error =
            |roles: &ColumnRoles, steps| encoded(frame, roles, 5).unwrap().rollout(10, steps).unwrap_err().to_string();
        let known = roles(&[], &["k"]);
        let expected = "expected values for 6 rows from the first of the forecast on, got values for 5";
        assert_eq!(error(&known, 6), format!("known column \"k\": {expected}"));
        assert_eq!(error(&known, 0), "the steps of the forecast: expected at least 1, got 0");
        let features = error(&roles(&["f"], &["k"]), 4);
        assert!(
            features.starts_with("a forecast of 4 steps with a horizon of 3 needs the future of the features \"f\"")
        );
        assert!(encoded(frame, &roles(&["f"], &["k"]), 5).unwrap().rollout(10, 3).is_ok());
        let long = encoded(Frame { window: 11, horizon: 1 }, &roles(&[], &[]), 0).unwrap();
        assert_eq!(
            long.rollout(10, 1).unwrap_err().to_string(),
            "the series: expected at least 11 rows, a whole window, got 10 rows"
        );
        assert!(error(&known, usize::MAX).starts_with("known column"));
    }

    #[test]
    fn outputs_that_are_not_forecasts_are_refused() {
        let mut rollout =
            encoded(Frame { window: 4, horizon: 3 }, &roles(&[], &[]), 0).unwrap().rollout(10, 4).unwrap();
        assert!(rollout.push(&[0.0; 2]).is_err());
        let error = rollout.push(&[0.0, f32::NAN, 0.0]).unwrap_err().to_string();
        assert_eq!(error, "output 1 of the network: expected a finite number, got NaN");
        assert!(rollout.next_input().is_some() && rollout.finish().labels.is_empty());
    }

    #[test]
    fn a_fed_back_prediction_is_not_masked_as_missing() {
        let columns = vec![Column { name: "v".into(), values: vec![0.0, f64::NAN, 2.0, f64::NAN] }];
        let labels = (0..4).map(|row| row.to_string()).collect();
        let table = SeriesTable { label_name: "t".into(), labels, columns, ..SeriesTable::default() };
        let series = Series::new(table, &ColumnRoles::one("v"), MissingPolicy::Mask).unwrap();
        let frame = Frame { window: 3, horizon: 1 };
        let encoded = SeriesCodec::fit(&series, frame, 4, |_| ScalingKind::None).unwrap().encode(series).unwrap();
        let mut rollout = encoded.rollout(4, 2).unwrap();
        let read = |rollout: &Rollout| rollout.next_input().unwrap().into_raw_vec_and_offset().0;
        assert_eq!(read(&rollout), [0.0, 0.0, 2.0, 1.0, 0.0, 0.0]);
        rollout.push(&[7.0]).unwrap();
        assert_eq!(read(&rollout), [2.0, 1.0, 0.0, 0.0, 7.0, 1.0]);
    }
}
