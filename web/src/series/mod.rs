//! Room 5: a network forecasts a series, and is held against its last value.

mod numbers;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bptt::data::Batches;
use bptt::data::{
    ColumnRoles, EncodedSeries, Examples, Frame, MissingPolicy, RelativeTo, SUNSPOTS, ScalingKind, Series, SeriesCodec,
    SeriesSplit, SeriesTable, ShuffledBatches, Windows, csv_columns, forecast_errors, number_columns,
};
use bptt::experiment::Codec;
use bptt::experiment::config::ScaleName;
use bptt::experiment::measure::ranges::Ranges;
use bptt::ndarray::{Array2, Array3, ArrayView3};
use bptt::{
    Activation, Batch, Cell, Error, Head, Loss, Model, Optimizer, Readout, Recurrent, Result, SavedModel, Sequence,
    TrainerOptions,
};
use serde::Deserialize;

pub use self::numbers::{Columns, Errors, Future, Past, Scores, SeriesDescription, SeriesResults, SeriesStep, Test};
use super::device::Device;
use super::limits::{self, FILES, Progress};
use super::network::{Network, head, mean_loss};

/// The name of a reader's file in messages.
const FILE: &str = "the CSV file";

/// The most rows.
const ROWS: usize = 200_000;

/// The shares of training, validation and test.
const SHARES: [f64; 3] = [0.7, 0.15, 0.15];

/// B, examples that are predicted at once, and in a call.
const BATCH: usize = 32;
const AT_ONCE: usize = 256;
const A_CALL: usize = 512;

/// The largest norm of a gradient.
const CLIP: f64 = 1.0;

/// The most rows of a picture.
const SHOWN: usize = 1000;

/// A cell by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellName {
    /// With tanh.
    Rnn,
    /// Long short-term memory.
    Lstm,
    /// Gated recurrent unit.
    Gru,
}

impl From<CellName> for Cell {
    fn from(name: CellName) -> Self {
        match name {
            CellName::Rnn => Self::Rnn(Activation::Tanh),
            CellName::Lstm => Self::Lstm,
            CellName::Gru => Self::Gru,
        }
    }
}

/// The settings of the room.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesOptions {
    /// The column to forecast.
    pub target: String,
    /// The column of the times, which must be the first.
    #[serde(default)]
    pub time: Option<String>,
    /// W, the rows that the network reads.
    pub window: usize,
    /// K, the rows that it forecasts at once.
    pub horizon: usize,
    /// The cell.
    pub cell: CellName,
    /// H.
    pub hidden: usize,
    /// η of Adam.
    pub learning_rate: f64,
    /// What the weights and the order of the examples are drawn from.
    pub seed: u64,
    /// The quantiles, ascending; empty for a forecast of one value by squared error.
    #[serde(default)]
    pub quantiles: Vec<f64>,
}

/// A network that forecasts a series.
pub struct SeriesRoom {
    network: Network,
    encoded: Arc<EncodedSeries>,
    split: SeriesSplit,
    ranges: Ranges,
    /// `None` for a model from a file.
    training: Option<ShuffledBatches<Windows>>,
    /// The windows of the test and the predictions of the first of them, by the weights as they are.
    predicted: Option<(Windows, Vec<Array2<f32>>)>,
    codec: Codec,
    notes: Vec<String>,
}

/// Some of the windows.
struct Part<'a> {
    windows: &'a Windows,
    examples: Range<usize>,
}

impl Examples for Part<'_> {
    fn len(&self) -> usize {
        self.examples.len()
    }

    fn steps(&self, example: usize) -> usize {
        self.windows.steps(self.examples.start + example)
    }

    fn batch(&self, examples: &[usize], steps: usize) -> Result<Batch> {
        let examples: Vec<usize> = examples.iter().map(|example| self.examples.start + example).collect();
        self.windows.batch(&examples, steps)
    }
}

/// The yearly sunspot numbers, as CSV.
pub fn sunspots() -> &'static str {
    SUNSPOTS
}

/// What a file holds.
///
/// # Errors
/// [`Error::Data`] names the line and the column of what cannot be read.
pub fn columns(csv: &[u8]) -> Result<Columns> {
    limits::file(FILE, csv.len(), FILES.table)?;
    let path = Path::new(FILE);
    let columns = csv_columns(csv, path)?;
    let numeric = number_columns(csv, path)?;
    if numeric.is_empty() {
        return Err(Error::Unsupported(format!(
            "{FILE} has one column: expected times or labels in the first column, and numbers in others"
        )));
    }
    // Labels alone: numbers are read of the column that is chosen.
    let rows = read(csv, &[])?.labels.len();
    let time = columns.first().cloned();
    Ok(Columns { columns, time, numeric, rows })
}

impl SeriesRoom {
    /// A network for a column of a file.
    ///
    /// # Errors
    /// [`Error::Data`] names the line and the column of what cannot be read; [`Error::Value`] for sizes out of range and a
    /// series that is too short; those of the device.
    pub fn new(device: &Device, csv: &[u8], options: &SeriesOptions) -> Result<Self> {
        let SeriesOptions { target, time, cell, hidden, learning_rate, seed, quantiles, .. } = options;
        let frame = Frame {
            window: limits::within("window", options.window, 1..=1024)?,
            horizon: limits::within("horizon", options.horizon, 1..=256)?,
        };
        let hidden = limits::within("hidden", *hidden, 1..=512)?;
        let optimizer = Optimizer::adam(limits::learning_rate(*learning_rate)?).clip_norm(CLIP);
        let loss = match quantiles[..] {
            [] => Loss::SquaredError,
            _ => Loss::Quantile { quantiles: quantiles.clone() },
        };
        limits::file(FILE, csv.len(), FILES.table)?;
        if let Some(time) = time {
            check_time(csv, time)?;
        }
        let table = read(csv, &[target]).map_err(|error| labels_first(csv, error))?;
        let mut notes = table.notes.clone();
        let missing = table.columns.iter().flat_map(|column| &column.values).filter(|value| value.is_nan()).count();
        let policy = if missing > 0 { MissingPolicy::Forward } else { MissingPolicy::Refuse };
        if missing > 0 {
            notes.push(format!(
                "{missing} missing value{}: filled with the value before; filled values are not measured",
                if missing == 1 { "" } else { "s" }
            ));
        }
        let series = in_file(Series::new(table, &ColumnRoles::one(target.as_str()), policy))?;
        notes.extend(series.notes().iter().cloned());
        let split = in_file(SeriesSplit::shares(series.len(), frame, SHARES))?;
        // As the program sees a series, which has compared both on several: docs/accuracy.md.
        let relative = if csv == SUNSPOTS.as_bytes() { RelativeTo::Standard } else { RelativeTo::Mean };
        let codec = in_file(SeriesCodec::fit(&series, frame, split.train.end, |_| ScalingKind::Standard))?;
        let codec = codec.relative_to(relative);
        let outputs = codec.outputs() * loss.outputs_per_target();
        let model = Model::new(
            Recurrent::new((*cell).into(), codec.input_size(), hidden),
            Head::new(outputs, loss.clone(), Readout::Final),
        );
        let network = Network::new(device, &model, optimizer, *seed, TrainerOptions::default())?;
        let encoded = in_file(codec.encode(series))?;
        let windows = in_file(encoded.windows(split.train.clone()))?;
        let training = Some(ShuffledBatches::new(windows, BATCH, 1, *seed)?);
        let ranges = Ranges::new(&loss, &[], None);
        let codec = Codec::Series { scale: ScaleName::Standard, series: codec, quantiles: Vec::new() };
        Ok(Self { network, encoded, split, ranges, training, predicted: None, codec, notes })
    }

    /// A network from a model file, to forecast a file with the columns that it was trained on.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model that is none of a series; those of [`SavedModel::read_from`], of the file and of
    /// the device.
    pub fn from_model(device: &Device, model: &[u8], csv: &[u8]) -> Result<Self> {
        limits::file("the model", model.len(), FILES.model)?;
        limits::file(FILE, csv.len(), FILES.table)?;
        let saved = SavedModel::read_from(model, model.len() as u64)?;
        let Some(codec @ Codec::Series { series: trained, quantiles, .. }) = &saved.codec()? else {
            let reason =
                "this model is not one of a series: take a model.safetensors of `bptt train series`, or of this page";
            return Err(Error::Unsupported(reason.into()));
        };
        if trained.panel || trained.long.is_some() {
            let reason = "this model is of a panel of series, which this page does not show: `bptt forecast` does";
            return Err(Error::Unsupported(reason.into()));
        }
        let loss = &head(saved.model())?.loss;
        let roles = trained.roles();
        let table = SeriesTable { dates: trained.dates, ..read(csv, &roles.columns())? };
        let mut notes = table.notes.clone();
        let series = in_file(Series::with_future_times(table, &roles, trained.missing))?;
        notes.extend(series.notes().iter().cloned());
        let targets = series.targets().len();
        if targets > 1 {
            notes.push(format!("the model forecasts {targets} columns; the first of them is shown"));
        }
        if *loss == Loss::NegativeBinomial {
            in_file(series.check_counts())?;
        }
        let split = in_file(SeriesSplit::shares(series.len(), trained.frame, SHARES))?;
        notes.push(format!(
            "the test is of the last {} rows, whether or not the model was trained on some of them",
            split.test.len()
        ));
        let ranges = Ranges::new(loss, quantiles, trained.conformal.clone());
        let encoded = in_file(trained.encode(series))?;
        let network = Network::from_saved(device, &saved)?;
        Ok(Self { network, encoded, split, ranges, training: None, predicted: None, codec: codec.clone(), notes })
    }

    /// The series and the network.
    pub fn describe(&self) -> SeriesDescription {
        let (series, Frame { window, horizon }) = (self.encoded.series(), self.encoded.codec().frame);
        SeriesDescription {
            target: series.targets().first().map(|column| column.name.clone()).unwrap_or_default(),
            rows: series.len(),
            training: self.training.as_ref().map_or(0, |_| self.split.train.len()),
            validation: self.split.validation.len(),
            test: self.split.test.len(),
            window,
            horizon,
            parameters: self.network.parameters(),
            notes: self.notes.clone(),
        }
    }

    fn training(training: Option<&ShuffledBatches<Windows>>) -> Result<&ShuffledBatches<Windows>> {
        training.ok_or_else(|| Error::Unsupported("a model from a file is not trained further here".into()))
    }

    /// Compiles one more kernel.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn prepare(&mut self) -> Result<Progress> {
        match &self.training {
            Some(training) => self.network.compile(&training.batch(0)?, false).await,
            None => Ok(Progress { done: 0, total: 0 }),
        }
    }

    /// Takes steps.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a loss beyond all numbers; those of the device.
    pub async fn step(&mut self, steps: usize) -> Result<SeriesStep> {
        let steps = limits::within("steps", steps, 1..=10_000)?;
        let training = Self::training(self.training.as_ref())?;
        self.predicted = None;
        let reports = self.network.train(training, steps).await?;
        let step = self.network.steps();
        Ok(SeriesStep { step, epoch: step as f64 / training.per_epoch() as f64, loss: mean_loss(&reports) })
    }

    /// Sets η of later steps.
    ///
    /// # Errors
    /// [`Error::Value`] for a rate that is negative or not finite.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<()> {
        self.network.set_learning_rate(limits::learning_rate(rate)?)
    }

    /// Predicts some more windows of the test: a call is short, so that a worker can read messages in between.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a test without rows; those of the device.
    pub async fn predict(&mut self) -> Result<Progress> {
        let (test, mut predictions) = match self.predicted.take() {
            Some(predicted) => predicted,
            None => (self.test_windows()?, Vec::new()),
        };
        let (done, total) = (predictions.len(), test.len());
        let part = Part { windows: &test, examples: done..total.min(done + A_CALL) };
        predictions.extend(self.network.predict(&part, AT_ONCE).await?);
        let progress = Progress { done: predictions.len(), total };
        self.predicted = Some((test, predictions));
        Ok(progress)
    }

    fn test_windows(&self) -> Result<Windows> {
        let test = in_file(self.encoded.measured_windows(self.split.test.clone()))?;
        if test.is_empty() {
            let reason = "the test has no row: take a longer series, or a shorter window or horizon";
            return Err(Error::Unsupported(reason.into()));
        }
        Ok(test)
    }

    /// The scores of the test, its rows, and `rows` rows after the last one; predicts what [`predict`](Self::predict) has
    /// left.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows or too many, and those of [`EncodedSeries::rollout`]; those of
    /// [`predict`](Self::predict).
    pub async fn results(&mut self, rows: usize) -> Result<SeriesResults> {
        let rows = limits::within("rows", rows, 1..=SHOWN)?;
        let (test, predictions) = loop {
            match self.predicted.take() {
                Some((test, predictions)) if predictions.len() == test.len() => break (test, predictions),
                unfinished => self.predicted = unfinished,
            }
            self.predict().await?;
        };
        let by_quantile = self.ranges.decode(&test, &predictions)?.by_quantile;
        let scores = self.scores(&test, &by_quantile)?;
        let test = self.test_rows(&test, &by_quantile);
        let future = self.future(rows).await?;
        let series = self.encoded.series();
        let first = series.len() - series.len().min(SHOWN);
        let values = series.truths()[0].values[first..series.len()].to_vec();
        let past = Past { first, labels: series.labels()[first..].to_vec(), values };
        Ok(SeriesResults { scores, past, future, test })
    }

    fn scores(&self, test: &Windows, by_quantile: &[Array3<f64>]) -> Result<Scores> {
        let truth = test.truth();
        let errors = |forecast: ArrayView3<'_, f64>| -> Result<Errors> {
            let by_target = forecast_errors(truth.view(), forecast)?;
            let first = by_target.first().ok_or_else(|| Error::Failed("no target".into()))?;
            Ok(Errors { rmse: first.overall.rmse, mae: first.overall.mae })
        };
        let network = errors(by_quantile[self.ranges.quantiles().middle()].view())?;
        let naive = errors(test.naive(1)?.view())?;
        let coverage = match by_quantile {
            [low, .., high] => {
                let within = truth.indexed_iter().filter(|((_, _, target), truth)| *target == 0 && !truth.is_nan());
                let within: Vec<bool> =
                    within.map(|(place, truth)| low[place] <= *truth && *truth <= high[place]).collect();
                Some(within.iter().filter(|within| **within).count() as f64 / within.len() as f64)
            }
            _ => None,
        };
        Ok(Scores { network, naive, beats: network.rmse < naive.rmse, coverage })
    }

    fn test_rows(&self, test: &Windows, by_quantile: &[Array3<f64>]) -> Test {
        let truth = test.truth();
        let firsts = test.first_rows();
        let (last, horizon) = (firsts.len() - 1, self.encoded.codec().frame.horizon);
        // One step ahead; of the last window also the rest of its horizon.
        let places = (0..=last).map(|window| (window, 0)).chain((1..horizon).map(|step| (last, step)));
        let places: Vec<(usize, usize)> = places.collect();
        let places = &places[places.len() - places.len().min(SHOWN)..];
        let at = |values: &Array3<f64>| places.iter().map(|(window, step)| values[[*window, *step, 0]]).collect();
        let [low, high] = match by_quantile {
            [low, .., high] => [at(low), at(high)],
            _ => [Vec::new(), Vec::new()],
        };
        Test {
            rows: places.iter().map(|(window, step)| firsts[*window] + step).collect(),
            truth: at(&truth),
            median: at(&by_quantile[self.ranges.quantiles().middle()]),
            low,
            high,
        }
    }

    /// As `bptt forecast` rolls: all quantiles are of the window that the network reads, and the middle one is fed back.
    async fn future(&mut self, rows: usize) -> Result<Future> {
        let series = self.encoded.series();
        let last = series.truths()[0].values[..series.len()].iter().rfind(|value| !value.is_nan());
        let naive = vec![last.copied().unwrap_or(f64::NAN); rows];
        let rollout = in_file(self.encoded.rollout(series.len(), rows))?;
        let mut rollouts = vec![rollout; self.ranges.quantiles().forecasts()];
        let middle = self.ranges.quantiles().middle();
        while let Some(x) = rollouts[middle].next_input() {
            let logits = self.network.logits(&Sequence::dense(x)).await?;
            let outputs: Vec<f32> = self.ranges.of_logits(logits.view()).into_iter().collect();
            let by_quantile = self.ranges.by_quantile(&outputs, &rollouts[middle].scalings());
            for (rollout, values) in rollouts.iter_mut().zip(by_quantile) {
                rollout.push_values(&values)?;
            }
        }
        let forecasts: Vec<_> = rollouts.into_iter().map(bptt::data::Rollout::finish).collect();
        let column = |forecast: &bptt::data::Forecast| forecast.values.column(0).to_vec();
        let [low, high] = match &forecasts[..] {
            [low, .., high] => [column(low), column(high)],
            _ => [Vec::new(), Vec::new()],
        };
        Ok(Future { labels: forecasts[middle].labels.clone(), median: column(&forecasts[middle]), low, high, naive })
    }

    /// A model file that `bptt forecast` and [`from_model`](Self::from_model) take.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn model_file(&mut self) -> Result<Vec<u8>> {
        let (saved, mut bytes) = (self.network.saved_model().await?.with_codec(&self.codec)?, Vec::new());
        saved.write_to(&mut bytes)?;
        Ok(bytes)
    }
}

/// Reads columns of a file.
fn read(csv: &[u8], names: &[&str]) -> Result<SeriesTable> {
    let table = SeriesTable::from_csv(csv, Path::new(FILE), names, None)?;
    check_rows(table.labels.len())?;
    Ok(table)
}

/// An error of a column that is not one of numbers, with a hint where the first column would be.
fn labels_first(csv: &[u8], error: Error) -> Error {
    let first = csv_columns(csv, Path::new(FILE)).ok().and_then(|columns| columns.into_iter().next());
    match first {
        Some(first) if matches!(error, Error::Data { .. }) && read(csv, &[&first]).is_ok() => {
            Error::Unsupported(format!("{error}; labels or times must be in the first column, which is {first:?} here"))
        }
        _ => error,
    }
}

/// An error of what a file holds, with its name.
fn in_file<T>(result: Result<T>) -> Result<T> {
    result.map_err(|error| match error {
        error @ Error::Value { .. } => Error::Unsupported(format!("{FILE}: {error}")),
        other => other,
    })
}

fn check_rows(rows: usize) -> Result<()> {
    if rows <= ROWS {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "{FILE} has {rows} rows, and this page takes at most {ROWS}: take fewer, or the program bptt"
    )))
}

/// The times are in the first column.
fn check_time(csv: &[u8], time: &str) -> Result<()> {
    let columns = csv_columns(csv, Path::new(FILE))?;
    match columns.first() {
        Some(first) if first == time => Ok(()),
        first => Err(Error::Unsupported(format!(
            "the times are read from the first column, {:?}: move the column {time:?} to the front",
            first.map_or("", String::as_str)
        ))),
    }
}
