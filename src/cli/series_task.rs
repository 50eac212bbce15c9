//! The next values of a series, from a window of those before them.

use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bptt::data::{Batches, Encoded, Examples, Frame, InOrder, Series, SeriesCodec, Shuffled, Split, Windows, accuracy};
use bptt::ndarray::{Array3, Axis};
use bptt::{Error, Head, Result};
use serde_json::{Value, json};

use super::args::{DataArgs, Given, ScaleName};
use super::folder::unwritten;
use super::forecast::roll;
use super::model_file::{Codec, ModelFile};
use super::network::Network;
use super::objective;
use super::pictures::{self, Baseline, Drawing, Forecast, Rolled, RolledTarget, Rows};
use super::progress::grouped;
use super::quantiles::{Quantiles, coverage, mean, mean_pinball};
use super::series_data::{SeriesData, ahead};
use super::series_errors::{Errors, Forecaster, Part, Spread, Target, four};
use super::settings::{in_flag, shares};
use super::task::{Measure, Order, Results, Task};

/// How many rows a forecast of the picture goes on for at most, unless a horizon is longer.
const ROLLED: usize = 48;

const NETWORK: Forecaster = Forecaster { name: "network", prefix: "" };
const LAST_VALUE: Forecaster = Forecaster { name: "last value", prefix: "naive_" };
const SEASONAL: Forecaster = Forecaster { name: "seasonal naive", prefix: "seasonal_" };

pub(crate) struct SeriesTask {
    name: String,
    /// What the data are, in words.
    facts: Vec<String>,
    scale: ScaleName,
    /// The period of the seasonal naive forecast.
    season: Option<usize>,
    encoded: Arc<Encoded>,
    head: Head,
    split: Split,
    training: Option<Windows>,
    validation: Option<Windows>,
    /// Validation and test: all that is forecast in the end.
    after: Windows,
}

/// Forecasts of every window after training, \[N, K, Q\], in the data's units.
struct Forecasts {
    truth: Array3<f64>,
    /// By forecaster, the network first.
    all: Vec<(Forecaster, Array3<f64>)>,
    /// The network's by quantile; one where it tells no quantiles.
    quantiles: Vec<Array3<f64>>,
}

impl SeriesTask {
    /// Reads the file of `data`, and puts into them what they left open.
    pub(crate) fn load(given: &mut Given, model: Option<&ModelFile>) -> Result<Self> {
        let Given { data, model: asked, training: learning, .. } = given;
        let codec = model.map(|model| &model.codec);
        let read = SeriesData::read(data, codec)?;
        let split = split(&read.series, read.frame, data, &read.path)?;
        let facts = read.describe(&span(&read.series, &(0..read.series.len())));
        let SeriesData { name, path, series, frame, scale, .. } = read;
        let in_file = |error: Error| error.in_file(&path);
        let codec = match codec {
            Some(Codec::Series { series, .. }) => series.clone(),
            _ if split.train.is_empty() => {
                return Err(Error::Unsupported("--split (data.split) leaves nothing to train on".into()));
            }
            _ => SeriesCodec::fit(&series, frame, split.train.end, |_| scale.into()).map_err(in_file)?,
        };
        let head = objective::of_series(codec.outputs(), asked, learning, model)?;
        let rows = series.len();
        let encoded = codec.encode(series).map_err(in_file)?;
        let windows = |targets: Range<usize>| encoded.windows(targets).map_err(in_file);
        let part = |targets: &Range<usize>| match targets.is_empty() {
            true => Ok(None),
            false => windows(targets.clone()).map(Some),
        };
        let (training, validation) = (part(&split.train)?, part(&split.validation)?);
        let after = encoded.measured_windows(split.train.end..rows).map_err(in_file)?;
        if let Some(season) = data.season.filter(|_| !after.is_empty()) {
            after.naive(season).map_err(|error| in_flag("--season (data.season)", error))?;
        }
        Ok(Self { name, facts, scale, season: data.season, encoded, head, split, training, validation, after })
    }

    fn series(&self) -> &Series {
        self.encoded.series()
    }

    fn frame(&self) -> Frame {
        self.encoded.codec().frame
    }

    /// Parts with rows, and the rows of each.
    fn parts(&self) -> impl Iterator<Item = (&'static str, &Range<usize>)> {
        let Split { train, validation, test } = &self.split;
        let parts = [("training", train), ("validation", validation), ("test", test)];
        parts.into_iter().filter(|(_, rows)| !rows.is_empty())
    }

    /// Those of the windows after training whose targets all lie in `rows`.
    fn within(&self, rows: &Range<usize>) -> Vec<usize> {
        let firsts = self.after.first_rows().iter().enumerate();
        let inside = |first: usize| rows.contains(&first) && first + self.frame().horizon <= rows.end;
        firsts.filter(|(_, first)| inside(**first)).map(|(example, _)| example).collect()
    }

    fn quantiles(&self) -> Quantiles {
        Quantiles::of(&self.head.loss)
    }

    /// What the network forecasts of every window, in the data's units by quantile: \[N, K, Q\] each.
    fn by_quantile(&self, network: &mut dyn Network, windows: &Windows, rows: usize) -> Result<Vec<Array3<f64>>> {
        let split = self.quantiles().split_all(&network.predict(windows, rows)?);
        split.iter().map(|predictions| self.encoded.codec().decode(predictions)).collect()
    }

    fn forecasts(&self, network: &mut dyn Network, rows: usize) -> Result<Forecasts> {
        let quantiles = self.by_quantile(network, &self.after, rows)?;
        let middle = quantiles[self.quantiles().middle()].clone();
        let mut all = vec![(NETWORK, middle), (LAST_VALUE, self.after.naive(1)?)];
        if let Some(season) = self.season {
            all.push((SEASONAL, self.after.naive(season)?));
        }
        Ok(Forecasts { truth: self.after.truth(), all, quantiles })
    }

    /// What the forecasts of each target are worth as quantiles, those of one value as any of them.
    fn spreads(&self, forecasts: &Forecasts, examples: &[usize]) -> Vec<Spread> {
        let quantiles = self.quantiles();
        if quantiles.values().is_empty() {
            return Vec::new();
        }
        let part = |array: &Array3<f64>| array.select(Axis(0), examples);
        let truth = part(&forecasts.truth);
        let network: Vec<Array3<f64>> = forecasts.quantiles.iter().map(part).collect();
        let others: Vec<Array3<f64>> = forecasts.all[1..].iter().map(|(_, forecast)| part(forecast)).collect();
        let of_target = |target: usize| {
            let of = |array: &'_ Array3<f64>| array.index_axis(Axis(2), target).to_owned();
            let truth = of(&truth);
            let loss = |forecast, quantile| mean_pinball(quantile, truth.view(), of(forecast).view());
            let of_network = quantiles.mean(|index, quantile| loss(&network[index], quantile));
            let others = others.iter().map(|other| quantiles.mean(|_, quantile| loss(other, quantile)));
            let coverage = match &network[..] {
                [low, .., high] => Some(coverage(truth.view(), of(low).view(), of(high).view())),
                _ => None,
            };
            Spread { pinball: std::iter::once(of_network).chain(others).collect(), coverage }
        };
        (0..self.series().targets().len()).map(of_target).collect()
    }

    fn errors(&self, forecasts: &Forecasts) -> Result<Errors> {
        let labels = self.series().labels();
        let part = |name, rows: Range<usize>, examples: Vec<usize>| {
            let truth = forecasts.truth.select(Axis(0), &examples);
            let of = |(_, forecast): &(Forecaster, Array3<f64>)| {
                accuracy(truth.view(), forecast.select(Axis(0), &examples).view())
            };
            let accuracies = forecasts.all.iter().map(of).collect::<Result<_>>()?;
            let ends = [rows.start, rows.end - 1].map(|row| labels[row].clone());
            let spreads = self.spreads(forecasts, &examples);
            Ok::<_, Error>(Part { name, ends, count: examples.len(), accuracies, spreads })
        };
        let (validation, test) = (&self.split.validation, &self.split.test);
        let mut parts = Vec::new();
        for (name, rows) in self.parts().skip_while(|(name, _)| *name == "training") {
            parts.push(part(name, rows.clone(), self.within(rows))?);
        }
        if parts.len() == 2 {
            let both = self.within(validation).into_iter().chain(self.within(test)).collect();
            parts.push(part("both", validation.start..test.end, both)?);
        }
        let codec = self.encoded.codec();
        let target = |column: &bptt::data::ColumnCodec| Target { name: column.name.clone(), unit: column.scaling.unit };
        Ok(Errors {
            targets: codec.targets.iter().map(target).collect(),
            horizon: codec.frame.horizon,
            forecasters: forecasts.all.iter().map(|(forecaster, _)| *forecaster).collect(),
            quantiles: self.quantiles(),
            parts,
            standard: self.scale == ScaleName::Standard,
        })
    }

    /// The rows as a picture has them.
    fn rows<'a>(&'a self, positions: Option<&'a [f64]>) -> Rows<'a> {
        Rows { name: self.series().label_name(), positions, labels: self.series().labels() }
    }

    /// Forecasts of all windows after training as columns, by target, with nothing where one was left out.
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

    fn picture(&self, quantiles: &[Array3<f64>], title: String) -> Drawing {
        let columns: Vec<Vec<Vec<f64>>> = quantiles.iter().map(|forecast| self.columns(forecast)).collect();
        let middle = self.quantiles().middle();
        let positions = self.series().positions();
        let targets = self.series().truths().iter().enumerate().map(|(target, column)| pictures::Target {
            name: &column.name,
            truth: &column.values,
            forecast: &columns[middle][target],
            range: match &columns[..] {
                [low, .., high] => Some([&low[target], &high[target]]),
                _ => None,
            },
        });
        Forecast {
            title,
            rows: self.rows(positions.as_deref()),
            first: self.split.train.end,
            horizon: self.frame().horizon,
            range: self.quantiles().interval(),
            targets: targets.collect(),
            parts: self
                .parts()
                .filter(|(name, _)| *name != "training")
                .map(|(name, rows)| (name, rows.start))
                .collect(),
        }
        .draw()
    }

    /// Forecasts from three rows of the last part on, each as far as `ROLLED` and what is known of the future allow; `None`
    /// where one row is as far as they go.
    fn rolled(&self, network: &mut dyn Network) -> Result<Option<Drawing>> {
        let Frame { window, horizon } = self.frame();
        let part = if self.split.test.is_empty() { &self.split.validation } else { &self.split.test };
        let own = self.series().features().is_empty() && !network.model().recurrent.bidirectional;
        let horizons = if own { window.min(ROLLED).div_ceil(horizon).min(part.len() / horizon) } else { 1 };
        let steps = horizons * horizon;
        if steps < 2 {
            return Ok(None);
        }
        // Near the end, so that each can be seen.
        let from = part.start.max(part.end.saturating_sub(4 * steps));
        let last = part.end - steps;
        let mut firsts = vec![from, (from + last) / 2, last];
        firsts.dedup();
        let rolls = firsts.iter().map(|first| self.encoded.roll(*first, steps)).collect::<Result<_>>()?;
        let forecasts = roll(network, rolls)?;
        let positions = self.series().positions();
        let targets = self.series().truths().iter().enumerate().map(|(target, column)| RolledTarget {
            name: &column.name,
            truth: &column.values,
            forecasts: firsts.iter().zip(&forecasts).map(|(first, rolled)| rolled.picture(*first, target)).collect(),
        });
        let title = format!("{}: forecasts of {} rows from each dot on", self.name, grouped(steps as u64));
        let rows = self.rows(positions.as_deref());
        let range = self.quantiles().interval();
        Ok(Some(Rolled { title, rows, horizon, range, targets: targets.collect() }.draw()))
    }

    /// Writes a line a forecast: the row that it is of, its part, how many steps ahead, and `columns`, \[N, K, Q\], of each
    /// target.
    fn write(&self, windows: &Windows, columns: &[(&str, &Array3<f64>)], out: &mut dyn Write) -> Result<()> {
        let (series, frame) = (self.series(), self.frame());
        let mut csv = csv::Writer::from_writer(out);
        let mut record = vec![series.label_name().to_owned(), "part".into(), "step".into()];
        for target in series.targets() {
            record.extend(columns.iter().map(|(name, _)| format!("{}_{name}", target.name)));
        }
        csv.write_record(&record).map_err(unwritten)?;
        for (example, first) in windows.first_rows().iter().enumerate() {
            for step in 0..frame.horizon {
                record.clear();
                let row = first + step;
                let part = self.parts().find(|(_, rows)| rows.contains(&row)).map_or("", |(part, _)| part);
                record.extend([series.labels()[row].clone(), part.into(), (step + 1).to_string()]);
                for target in 0..series.targets().len() {
                    let values = columns.iter().map(|(_, values)| values[[example, step, target]]);
                    // A missing value is an empty field, as in the data.
                    record.extend(values.map(|value| if value.is_nan() { String::new() } else { value.to_string() }));
                }
                csv.write_record(&record).map_err(unwritten)?;
            }
        }
        csv.flush().map_err(unwritten)
    }

    /// What the last line says of who else forecasts.
    fn notes(&self) -> String {
        let season =
            self.season.map(|season| format!("; seasonal naive: the value {} rows before", grouped(season as u64)));
        format!("last value: the naive forecast that nothing changes{}", season.unwrap_or_default())
    }
}

impl Task for SeriesTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn describe(&self) -> Vec<String> {
        let count = |rows: &Range<usize>| grouped(rows.len() as u64);
        let parts: Vec<String> = self
            .parts()
            .map(|(part, rows)| format!("{part} {} ({})", span(self.series(), rows), count(rows)))
            .collect();
        let mut lines = self.facts.clone();
        // Years go on one line, dates with their hours do not.
        match parts.iter().map(|part| part.chars().count()).sum::<usize>() > 90 {
            true => lines.extend(parts),
            false => lines.push(parts.join(", ")),
        }
        let left_out = |windows: &Windows| windows.left_out() as u64;
        let (training, after) = (self.training.as_ref().map_or(0, left_out), left_out(&self.after));
        if training + after > 0 {
            let (training, after) = (grouped(training), grouped(after));
            lines.push(format!(
                "left out: {training} windows of training with a missing target, {after} after it without a target"
            ));
        }
        lines
    }

    fn input_size(&self) -> usize {
        self.encoded.codec().input_size()
    }

    fn head(&self) -> Head {
        self.head.clone()
    }

    fn codec(&self) -> Codec {
        Codec::Series { scale: self.scale, series: self.encoded.codec().clone() }
    }

    fn training(&self, order: Order) -> Result<Option<Box<dyn Batches + '_>>> {
        Ok(match &self.training {
            Some(windows) => Some(Box::new(Shuffled::new(windows, order.rows, order.buckets, order.seed)?)),
            None => None,
        })
    }

    fn validation(&self, rows: usize) -> Result<Option<Box<dyn Batches + '_>>> {
        Ok(match &self.validation {
            Some(windows) => Some(Box::new(InOrder::new(windows, rows)?)),
            None => None,
        })
    }

    fn baseline(&self) -> Option<Baseline> {
        let windows = self.validation.as_ref()?;
        let (truth, naive) = (windows.truth(), windows.naive(1).ok()?);
        let units = self.encoded.codec().targets.iter().map(|column| column.scaling.unit).cycle();
        let errors = truth.iter().zip(&naive).zip(units).map(|((truth, naive), unit)| (truth - naive) / unit);
        let losses = errors.filter(|error| !error.is_nan()).map(|error| objective::of_error(&self.head.loss, error));
        let loss = mean(losses);
        Some(Baseline { name: "last value, validation".into(), loss })
    }

    fn results(&self, network: &mut dyn Network, Measure { rows, .. }: Measure) -> Result<Results> {
        let mut results = Results::default();
        if self.after.is_empty() {
            results.lines.push("every row was trained on: nothing is left to test".into());
            return Ok(results);
        }
        let forecasts = self.forecasts(network, rows)?;
        let errors = self.errors(&forecasts)?;
        results.lines = errors.lines(&self.notes());
        results.summary = errors.summary();
        if !errors.quantiles.values().is_empty() {
            results.summary.insert("quantiles".into(), json!(errors.quantiles.values()));
        }
        results.key_figures = errors.key_figures();
        results.tables = errors.tables();
        let names: Vec<&str> = errors.targets.iter().map(|target| target.name.as_str()).collect();
        let title = match (&names[..], errors.main()) {
            ([unit], Some(part)) => {
                results.summary.insert("unit".into(), Value::String((*unit).into()));
                let rmse = |forecaster: usize| four(part.accuracies[forecaster][0].overall.rmse);
                let (network, naive) = (rmse(0), rmse(1));
                format!("{unit}, {}: {} RMSE {network}, last value {naive}", ahead(errors.horizon), part.name)
            }
            _ => format!("{}: {} targets, {}", self.name, names.len(), ahead(errors.horizon)),
        };
        results.figures.push(("forecast.svg", self.picture(&forecasts.quantiles, title)));
        results.figures.extend(self.rolled(network)?.map(|drawing| ("rolled.svg", drawing)));
        let names = self.quantiles().columns();
        let others = ["last_value", "seasonal_naive"].into_iter().zip(forecasts.all[1..].iter().map(|(_, of)| of));
        let columns: Vec<(&str, &Array3<f64>)> = std::iter::once(("truth", &forecasts.truth))
            .chain(names.iter().map(String::as_str).zip(&forecasts.quantiles))
            .chain(others)
            .collect();
        let mut csv = Vec::new();
        self.write(&self.after, &columns, &mut csv)?;
        results.files.push(("forecast.csv", String::from_utf8_lossy(&csv).into_owned()));
        Ok(results)
    }

    fn predictions(&self, network: &mut dyn Network, rows: usize, out: &mut dyn Write) -> Result<()> {
        let windows = self.encoded.all_windows()?;
        let (names, forecasts) = (self.quantiles().columns(), self.by_quantile(network, &windows, rows)?);
        let truth = windows.truth();
        let columns: Vec<(&str, &Array3<f64>)> =
            std::iter::once(("truth", &truth)).chain(names.iter().map(String::as_str).zip(&forecasts)).collect();
        self.write(&windows, &columns, out)
    }
}

/// `1921–1955`.
fn span(series: &Series, rows: &Range<usize>) -> String {
    format!("{}–{}", series.labels()[rows.start], series.labels()[rows.end - 1])
}

fn split(series: &Series, frame: Frame, data: &mut DataArgs, path: &Path) -> Result<Split> {
    let split = match &data.train_until {
        Some(until) => {
            let flag = "--train-until (data.train-until)";
            let rows = series.rows_until(until).map_err(|error| in_flag(flag, error))?;
            Split::at(series.len(), frame, rows, data.validation.unwrap_or_default())
        }
        None => Split::shares(series.len(), frame, shares(&mut data.split, [0.7, 0.15, 0.15])?),
    };
    split.map_err(|error| error.in_file(path))
}
