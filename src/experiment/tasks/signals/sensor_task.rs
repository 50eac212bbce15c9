//! Estimates columns of a table from other columns of the same time: a virtual sensor.

use std::io::Write;
use std::ops::Range;

use ndarray::Array2;
use serde_json::json;

use super::super::relation::Relation;
use super::super::series::series_data::{span, split, split_lines};
use super::super::task::{MeasureOptions, Order, Pending, Results, Task, Unit};
use super::super::{objective, relation};
use super::reading::{by_windows, carried, lanes, training_lanes};
use super::sensor_data::SensorData;
use crate::data::{
    Batches, Column, ForecastErrors, Frame, SensorCodec, SequentialBatches, Series, SeriesSplit, ShuffledBatches,
    Signal, SignalLanes, SignalWindows,
};
use crate::experiment::config::{ScaleName, SeriesConfig};
use crate::experiment::device::network::Network;
use crate::experiment::files::folder::unwritten;
use crate::experiment::measure::comparison::{BaselineName, ComparedMetric, Comparison};
use crate::experiment::measure::linear::LinearFit;
use crate::experiment::measure::loss;
use crate::experiment::measure::quantiles::mean;
use crate::experiment::measure::r_squared::r_squared;
use crate::experiment::model::codec::Codec;
use crate::experiment::model::model_file::ModelFile;
use crate::experiment::model::origin::Origin;
use crate::format::{grouped, short};
use crate::plot::{Baseline, Drawing, RowAxis, SignalChart, SignalLine, SignalTarget};
use crate::{Error, Head, Result};

const LINEAR: BaselineName = BaselineName { key: "linear", words: "the linear fit" };
const MEAN: BaselineName = BaselineName { key: "mean", words: "the mean of the training split" };

/// The rows that an example needs: one, whose target is its own.
const ROW: Frame = Frame { window: 1, horizon: 1 };

pub(crate) struct SensorTask {
    name: String,
    /// A description of the data.
    facts: Vec<String>,
    scale: ScaleName,
    codec: SensorCodec,
    /// The inputs, as its targets.
    inputs: Series,
    targets: Vec<Column>,
    signal: Signal,
    head: Head,
    split: SeriesSplit,
    /// What no network is needed for; `None` for a model that has none stored.
    linear: Option<LinearFit>,
    origin: Origin,
    relation: Option<String>,
}

impl SensorTask {
    /// Reads the file of `data` and fills in its defaults.
    pub(crate) fn load(data: &mut SeriesConfig, applies: bool, model: Option<&ModelFile>) -> Result<Self> {
        let codec = model.map(|model| &model.codec);
        let read = SensorData::read(data, codec)?;
        let of_training = Relation::new(model, &read.sha256, data.splitting(), applies);
        let split = split(&read.inputs, ROW, data, &of_training, &read.path)?;
        let (mut split, relation) = of_training.series(&read.inputs, ROW, split)?;
        // Unlike a forecast, the first row has what it is estimated from.
        if !split.train.is_empty() {
            split.train.start = 0;
        } else if !split.test.is_empty() && split.validation.is_empty() {
            split.test.start = 0;
        }
        let codec = match codec {
            Some(Codec::Sensor { sensor, .. }) => sensor.clone(),
            _ if split.train.is_empty() => {
                return Err(Error::Unsupported("--split leaves no training data".into()));
            }
            _ => {
                let frame = (read.window, read.carry_state);
                let kind = |name: &str| read.scale.of_column(read.targets.iter().any(|column| column.name == name));
                SensorCodec::fit(&read.inputs, &read.targets, split.train.end, frame, kind)
                    .map_err(|error| error.in_file(&read.path))?
            }
        };
        let signal = codec.encode(&read.inputs, &read.targets).map_err(|error| error.in_file(&read.path))?;
        let head = objective::of_sensor(codec.targets.len(), codec.carry_state, data, model)?;
        let of_model = model.and_then(|model| model.origin.as_ref()?.linear.clone());
        let of_model = of_model.filter(|fit| applies && fit.fits(codec.input_size(), codec.targets.len()));
        // Truncated BPTT has no window; a row's own inputs are what is left.
        let steps = if codec.carry_state { 1 } else { LinearFit::steps_of(codec.window, codec.input_size()) };
        let linear = of_model.or_else(|| LinearFit::fit(&signal, split.train.clone(), steps));
        let trains = !split.train.is_empty() && !applies;
        let trained = trains.then(|| relation::of_series(read.sha256.clone(), &data.splitting(), &read.inputs, &split));
        let mut facts = read.describe(&span(&read.inputs, &(0..read.inputs.len())));
        facts.extend(relation.clone());
        let origin = Origin { data: trained.into_iter().collect(), linear: linear.clone(), ..Origin::default() };
        let SensorData { name, inputs, targets, scale, .. } = read;
        Ok(Self { name, facts, scale, codec, inputs, targets, signal, head, split, linear, origin, relation })
    }

    /// The split of a row; empty if it is in none.
    fn part_of(&self, row: usize) -> &'static str {
        self.split.parts().find(|(_, rows)| rows.contains(&row)).map_or("", |(name, _)| name)
    }

    /// The rows of a part that have all targets.
    fn known(&self, part: &Range<usize>) -> Vec<usize> {
        part.clone().filter(|row| self.signal.is_known(*row)).collect()
    }

    /// The windows of these rows.
    fn windows(&self, rows: Vec<usize>) -> Result<SignalWindows<&Signal>> {
        SignalWindows::new(&self.signal, rows, self.codec.window)
    }

    /// The network's estimates of consecutive rows in the units of the data, \[rows, O\]. `exact`: the state is carried on
    /// in one stream, as if the rows came one by one.
    async fn estimates(
        &self,
        network: &mut Network,
        part: Range<usize>,
        rows: usize,
        exact: bool,
    ) -> Result<Array2<f64>> {
        let outputs = self.targets.len();
        let scaled = if self.codec.carry_state {
            let lanes = lanes(&self.signal, part.clone(), self.codec.window, if exact { 1 } else { rows })?;
            carried(network, &lanes, part, outputs).await?
        } else {
            by_windows(network, &self.windows(part.collect())?, rows, outputs).await?
        };
        Ok(self.unscaled(&scaled.mapv(f64::from)))
    }

    /// Estimates in the units of the data.
    fn unscaled(&self, scaled: &Array2<f64>) -> Array2<f64> {
        let unscaled =
            |(row, output): (usize, usize)| self.codec.targets[output].scaling.unscale(scaled[[row, output]]);
        Array2::from_shape_fn(scaled.dim(), unscaled)
    }

    /// The estimates of the linear fit; NaN without one.
    fn linear(&self, part: Range<usize>) -> Array2<f64> {
        match &self.linear {
            Some(linear) => self.unscaled(&linear.predict(self.signal.x(), part)),
            None => Array2::from_elem((part.len(), self.targets.len()), f64::NAN),
        }
    }

    /// The mean of a target over the training rows; NaN if it is not known.
    fn mean(&self, output: usize) -> f64 {
        let mean = self.linear.as_ref().map_or(f64::NAN, |linear| linear.mean[output]);
        self.codec.targets[output].scaling.unscale(mean)
    }

    /// The results of the rows from `first` on, which are measured.
    fn put_results(&self, results: &mut Results, first: usize, network: &Array2<f64>, linear: &Array2<f64>) {
        let mut table = Vec::new();
        for (part, rows) in self.split.parts().filter(|(name, _)| *name != "training") {
            let mut targets = serde_json::Map::new();
            for (output, column) in self.targets.iter().enumerate() {
                let pairs = |estimate: &dyn Fn(usize) -> f64| -> Vec<(f64, f64)> {
                    let known = rows.clone().filter(|row| !column.values[*row].is_nan());
                    known.map(|row| (column.values[row], estimate(row))).collect()
                };
                let of_network = pairs(&|row| network[[row - first, output]]);
                if of_network.is_empty() {
                    continue;
                }
                let r_squared = r_squared(&of_network);
                let of_network = ForecastErrors::of(of_network);
                let [linear, mean] = [pairs(&|row| linear[[row - first, output]]), pairs(&|_| self.mean(output))]
                    .map(ForecastErrors::of);
                let what = if self.targets.len() == 1 { part.to_owned() } else { format!("{part}, {}", column.name) };
                results.key_figures.push((format!("RMSE, {what}"), short(of_network.rmse)));
                results.key_figures.push((format!("RMSE of the linear fit, {what}"), short(linear.rmse)));
                results.key_figures.push((format!("R², {what}"), short(r_squared)));
                for (baseline, other) in [(LINEAR, linear.rmse), (MEAN, mean.rmse)] {
                    let target = (self.targets.len() > 1).then(|| column.name.clone());
                    let beside = Comparison::new(part, ComparedMetric::Error("RMSE"), of_network.rmse, baseline, other);
                    results.comparisons.push(Comparison { target, ..beside });
                }
                table.push(
                    [what]
                        .into_iter()
                        .chain([of_network.rmse, linear.rmse, mean.rmse, of_network.mae, r_squared].map(short))
                        .collect(),
                );
                let value = json!({
                    "rows": of_network.count, "rmse": of_network.rmse, "mae": of_network.mae, "r_squared": r_squared,
                    "linear_rmse": linear.rmse, "linear_mae": linear.mae, "mean_rmse": mean.rmse, "mean_mae": mean.mae,
                });
                targets.insert(column.name.clone(), value);
            }
            if !targets.is_empty() {
                results.summary.insert(part.into(), json!({"targets": targets}));
            }
        }
        if table.is_empty() {
            results.lines.push("no measured row has a target: nothing is measured".into());
            return;
        }
        let read = match self.linear.as_ref().map_or(1, |linear| linear.steps) {
            1 => "the inputs of the row".to_owned(),
            steps => format!("the inputs of the row and the {} before it", grouped(steps as u64 - 1)),
        };
        let units = match &self.targets[..] {
            [target] => format!("in units of {}", target.name),
            _ => "in each target's own units".to_owned(),
        };
        let note = format!(
            "{units}; linear: least squares from {read}; mean: that of the training split; R²: the share of the variance \
             that is explained"
        );
        results.put_table(&format!("Errors {note}"), &["part", "RMSE", "linear", "mean", "MAE", "R²"], table);
        results.lines.push(note);
    }

    /// The last measured rows in a picture.
    fn picture(&self, first: usize, network: &Array2<f64>, linear: &Array2<f64>) -> Drawing {
        let positions = self.inputs.positions();
        let columns = |estimates: &Array2<f64>| -> Vec<Vec<f64>> {
            estimates.columns().into_iter().map(|column| column.to_vec()).collect()
        };
        let (network, linear) = (columns(network), columns(linear));
        let targets = self.targets.iter().zip(network.iter().zip(&linear)).map(|(column, (network, linear))| {
            let lines =
                [("truth", "ink", &column.values[first..]), ("linear", "thin", linear), ("network", "blue", network)];
            let lines = lines.map(|(name, class, values)| SignalLine { name, class, values });
            SignalTarget { name: &column.name, lines: lines.into() }
        });
        let rows =
            RowAxis { name: self.inputs.label_name(), positions: positions.as_deref(), labels: self.inputs.labels() };
        SignalChart {
            title: format!("{}: estimates of rows that were not trained on", self.name),
            description: "The network's line should be closer to the truth than the dashed one, which least squares give."
                .into(),
            rows,
            first,
            targets: targets.collect(),
        }
        .draw()
    }

    /// Writes a line for each row of `rows`: its label, its split, and for each target the truth and the `columns`, whose
    /// first row is that of `rows`.
    fn write(&self, rows: Range<usize>, columns: &[(&str, &Array2<f64>)], out: &mut (dyn Write + Send)) -> Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        let mut record = vec![self.inputs.label_name().to_owned(), "part".into()];
        for column in &self.targets {
            record.push(format!("{}_truth", column.name));
            record.extend(columns.iter().map(|(name, _)| format!("{}_{name}", column.name)));
        }
        csv.write_record(&record).map_err(unwritten)?;
        for row in rows.clone() {
            record.clear();
            record.extend([self.inputs.labels()[row].clone(), self.part_of(row).into()]);
            for (output, column) in self.targets.iter().enumerate() {
                let estimates = columns.iter().map(|(_, values)| values[[row - rows.start, output]]);
                let values = [column.values[row]].into_iter().chain(estimates);
                // A missing value is an empty field, as in the data.
                record.extend(values.map(|value| if value.is_nan() { String::new() } else { value.to_string() }));
            }
            csv.write_record(&record).map_err(unwritten)?;
        }
        csv.flush().map_err(unwritten)
    }

    /// Refuses lanes of which a step of truncated BPTT has no target to learn.
    fn check_lanes(&self, lanes: &SignalLanes<&Signal>) -> Result<()> {
        let Some(number) = (0..lanes.per_epoch()).find(|number| !lanes.counts(*number)) else { return Ok(()) };
        let (window, rows) = (grouped(self.codec.window as u64), lanes.rows());
        Err(Error::Value {
            what: format!("step {} of each epoch of truncated BPTT", number + 1),
            expected: format!("a row with its targets among the {window} of each of {rows} lanes"),
            got: "none: take a longer --window, or another --batch".into(),
        })
    }
}

impl Task for SensorTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn describe(&self) -> Vec<String> {
        let mut lines = self.facts.clone();
        lines.extend(split_lines(&self.inputs, &self.split));
        lines
    }

    fn input_size(&self) -> usize {
        self.codec.input_size()
    }

    fn head(&self) -> Head {
        self.head.clone()
    }

    fn codec(&self) -> Codec {
        Codec::Sensor { scale: self.scale, sensor: self.codec.clone() }
    }

    fn training(&self, order: Order) -> Result<Option<Box<dyn Batches + '_>>> {
        let (part, window) = (&self.split.train, self.codec.window);
        let known = self.known(part);
        if known.is_empty() {
            return Ok(None);
        }
        if !self.codec.carry_state {
            let windows = self.windows(known)?;
            return Ok(Some(Box::new(ShuffledBatches::new(windows, order.rows, order.buckets, order.seed)?)));
        }
        let lanes = training_lanes(&self.signal, part.clone(), window, order.rows)?;
        if known.len() < part.len() {
            self.check_lanes(&lanes)?;
        }
        Ok(Some(Box::new(lanes)))
    }

    fn validation(&self, rows: usize) -> Result<Option<Box<dyn Batches + '_>>> {
        let (part, window) = (&self.split.validation, self.codec.window);
        let known = self.known(part);
        Ok(if known.is_empty() {
            None
        } else if self.codec.carry_state {
            Some(Box::new(training_lanes(&self.signal, part.clone(), window, rows)?))
        } else {
            Some(Box::new(SequentialBatches::new(self.windows(known)?, rows)?))
        })
    }

    fn carries_state(&self) -> bool {
        self.codec.carry_state
    }

    fn forward_only(&self) -> Option<&'static str> {
        self.codec.carry_state.then_some("--carry-state reads the rows from the first to the last")
    }

    fn unit(&self) -> Unit {
        if self.codec.carry_state { Unit::Rows } else { Unit::Sequences }
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn relation(&self) -> Option<&str> {
        self.relation.as_deref()
    }

    fn baseline(&self) -> Option<Baseline> {
        let (part, linear) = (&self.split.validation, self.linear.as_ref()?);
        let estimates = linear.predict(self.signal.x(), part.clone());
        let errors = estimates.indexed_iter().filter(|((row, _), _)| self.signal.is_known(part.start + row));
        let errors =
            errors.map(|((row, output), estimate)| f64::from(self.signal.y()[[part.start + row, output]]) - estimate);
        let loss = mean(errors.map(|error| loss::of_error(&self.head.loss, error)));
        (!loss.is_nan()).then(|| Baseline { name: "linear fit, validation".into(), loss })
    }

    fn results_bytes(&self) -> u64 {
        // The estimates of the network in f32 and f64 and those of the fit, and all of them as text.
        let rows = self.inputs.len() - self.split.train.end;
        (rows * (64 + self.targets.len() * (4 + 8 * 4 + 3 * 24))) as u64
    }

    fn results<'a>(
        &'a self,
        network: &'a mut Network,
        MeasureOptions { rows, .. }: MeasureOptions,
    ) -> Pending<'a, Results> {
        Box::pin(async move {
            let mut results = Results::default();
            let measured = self.split.parts().find(|(name, _)| *name != "training").map(|(_, part)| part.start);
            let Some(first) = measured else {
                results.lines.push("every row was used in training: nothing is left to test".into());
                return Ok(results);
            };
            let part = first..self.inputs.len();
            let estimates = self.estimates(network, part.clone(), rows, false).await?;
            let linear = self.linear(part.clone());
            self.put_results(&mut results, first, &estimates, &linear);
            results.figures.push(("estimates.svg", self.picture(first, &estimates, &linear)));
            let columns = [("estimate", &estimates), ("linear", &linear)];
            results.put_file("estimates.csv", |out| self.write(part, &columns, out));
            Ok(results)
        })
    }

    fn predictions<'a>(
        &'a self,
        network: &'a mut Network,
        rows: usize,
        out: &'a mut (dyn Write + Send),
    ) -> Pending<'a, ()> {
        Box::pin(async move {
            let all = 0..self.inputs.len();
            let estimates = self.estimates(network, all.clone(), rows, true).await?;
            self.write(all, &[("estimate", &estimates)], out)
        })
    }
}
