//! The next value of a series, from a window of those before it.

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bptt::data::Examples as _;
use bptt::data::{Batches, InOrder, SUNSPOTS, Scaling, ScalingKind, Series, Shuffled, Split, Windows, columns};
use bptt::train::rmse;
use bptt::{At, Error, Head, Loss, Result};
use serde_json::{Value, json};

use super::args::DataArgs;
use super::model_file::Codec;
use super::network::Network;
use super::pictures::{Baseline, Forecast, Rows, Target};
use super::progress::grouped;
use super::settings::{BUNDLED, unsupported};
use super::task::{Order, Results, Task};

pub(crate) struct SeriesTask {
    file: String,
    name: String,
    series: Series,
    split: Split,
    scaling: Scaling,
    window: usize,
    training: Windows,
    validation: Option<Windows>,
    /// Validation and test: all that is forecast in the end.
    after: Windows,
}

impl SeriesTask {
    /// Reads the file of `settings`, and puts into them what they left open: the column and the file's digest.
    pub(crate) fn load(settings: &mut DataArgs, _: Option<&Codec>) -> Result<Self> {
        let csv = settings.csv.clone().unwrap_or_default();
        let bundled = csv == Path::new(BUNDLED);
        let path = if bundled { PathBuf::from("sunspots.csv") } else { csv.clone() };
        let window = *settings.window.get_or_insert(22);
        let text = match bundled {
            true => SUNSPOTS.as_bytes().to_vec(),
            false => std::fs::read(&path).map_err(|source| Error::Io { path: path.clone(), source })?,
        };
        let digest: String = hmac_sha256::Hash::hash(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        if let Some(expected) = settings.sha256.replace(digest.clone()).filter(|expected| *expected != digest) {
            let message = format!("expected the file of this run, SHA-256 {expected}, got one of {digest}");
            return Err(Error::Data { path, place: String::new(), message });
        }
        let target = match &settings.target {
            Some(target) => target[0].clone(),
            None => the_only_column(&text, &path)?,
        };
        let series = Series::from_csv(&text, &path, &target)?;
        settings.target = Some(vec![target]);
        let in_file = |error| in_file(&path, error);
        let split = split(&series, settings, window, &path)?;
        let training = &series.values[..split.train.end];
        if training.iter().all(|value| *value == training[0]) {
            let (expected, got) = ("values that differ".into(), format!("{} of {}", training.len(), training[0]));
            return Err(in_file(Error::Value { what: "the training part of the series".into(), expected, got }));
        }
        let scaling = Scaling::fit(ScalingKind::Standard, training);
        let scaled: std::sync::Arc<[f32]> = series.values.iter().map(|value| scaling.scale(*value) as f32).collect();
        let windows = |targets: Range<usize>| Windows::new(scaled.clone(), window, targets);
        let validation = Some(split.validation.clone()).filter(|targets| !targets.is_empty());
        Ok(Self {
            file: if bundled { "bundled".into() } else { csv.display().to_string() },
            name: path.file_stem().map_or("series".into(), |stem| stem.to_string_lossy().into_owned()),
            training: windows(split.train.clone())?,
            validation: validation.map(windows).transpose()?,
            after: windows(split.train.end..series.len())?,
            window,
            series,
            split,
            scaling,
        })
    }

    /// `1921–1955`.
    fn span(&self, rows: &Range<usize>) -> String {
        match rows.is_empty() {
            true => "none".into(),
            false => format!("{}–{}", self.series.labels[rows.start], self.series.labels[rows.end - 1]),
        }
    }

    /// The root mean squared errors over rows after training: of `forecast`, which begins there, and of the last value.
    fn errors(&self, forecast: &[f64], rows: &Range<usize>) -> (f64, f64) {
        let (values, first) = (&self.series.values, self.split.train.end);
        let network = rmse(rows.clone().map(|row| (forecast[row - first], values[row])));
        (network, self.naive(rows))
    }

    fn naive(&self, rows: &Range<usize>) -> f64 {
        rmse(rows.clone().map(|row| (self.series.values[row - 1], self.series.values[row])))
    }

    fn table(&self, forecast: &[f64]) -> String {
        let values = &self.series.values;
        let mut csv = csv_line([&self.series.label_name, "truth", "forecast", "last_value"]);
        for (row, forecast) in (self.split.train.end..).zip(forecast) {
            let numbers = [values[row], *forecast, values[row - 1]].map(|value| value.to_string());
            csv.push_str(&csv_line([&self.series.labels[row], &numbers[0], &numbers[1], &numbers[2]]));
        }
        csv
    }
}

impl Task for SeriesTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn describe(&self) -> Vec<String> {
        let (series, split) = (&self.series, &self.split);
        let all = 0..series.len();
        let count = |rows: &Range<usize>| grouped(rows.len() as u64);
        let parts = [("training", &split.train), ("validation", &split.validation), ("test", &split.test)];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(_, rows)| !rows.is_empty())
            .map(|(part, rows)| format!("{part} {} ({})", self.span(rows), count(rows)))
            .collect();
        let (name, column, file) = (&self.name, &series.name, &self.file);
        let mut lines = vec![
            format!(
                "{name} ({file}), column {column}, {} {}, {} rows",
                series.label_name,
                self.span(&all),
                count(&all)
            ),
            format!("windows of {}, one step ahead", self.window),
        ];
        // Years go on one line, dates with their hours do not.
        match parts.iter().map(|part| part.chars().count()).sum::<usize>() > 90 {
            true => lines.extend(parts),
            false => lines.push(parts.join(", ")),
        }
        lines
    }

    fn input_size(&self) -> usize {
        1
    }

    fn head(&self) -> Head {
        Head::new(1, Loss::SquaredError, At::Last)
    }

    fn codec(&self) -> Codec {
        Codec::Task { task: super::args::TaskName::Adding }
    }

    fn training(&self, order: Order) -> Result<Option<Box<dyn Batches + '_>>> {
        Ok(Some(Box::new(Shuffled::new(&self.training, order.rows, 1, order.seed)?)))
    }

    fn validation(&self, rows: usize) -> Result<Option<Box<dyn Batches + '_>>> {
        Ok(match &self.validation {
            Some(windows) => Some(Box::new(InOrder::new(windows, rows)?)),
            None => None,
        })
    }

    fn baseline(&self) -> Option<Baseline> {
        let rmse = self.naive(&self.split.validation) / self.scaling.unit;
        Some(Baseline { name: "last value, validation".into(), loss: rmse * rmse })
    }

    fn predictions(&self, _: &mut dyn Network, _: usize, _: &mut dyn Write) -> Result<()> {
        Ok(())
    }

    fn results(&self, network: &mut dyn Network, rows: usize, _: u64) -> Result<Results> {
        let mut results = Results::default();
        if self.after.is_empty() {
            results.lines.push("every row was trained on: nothing is left to test".into());
            return Ok(results);
        }
        let predictions = network.predict(&self.after, rows)?;
        let forecast: Vec<f64> =
            predictions.iter().flatten().map(|value| self.scaling.unscale(f64::from(*value))).collect();
        let (validation, test) = (&self.split.validation, &self.split.test);
        let both = self.split.train.end..self.series.len();
        let mut parts = vec![("validation", "validation", validation), ("test", "test", test)];
        if !validation.is_empty() && !test.is_empty() {
            parts.push(("both", "after_training", &both));
        }
        parts.retain(|(_, _, rows)| !rows.is_empty());
        let width = parts.iter().map(|(_, _, rows)| self.span(rows).chars().count()).max().unwrap_or_default();
        let unit = &self.series.name;
        results.lines.push(format!("{:<12}{:width$}  {:>10}  {:>10}", "RMSE", "", "network", "last value"));
        for (name, key, rows) in &parts {
            let (network, naive) = self.errors(&forecast, rows);
            let span = self.span(rows);
            results.lines.push(format!("{name:<12}{span:width$}  {:>10}  {:>10}", four(network), four(naive)));
            let ends = [rows.start, rows.end - 1].map(|row| self.series.labels[row].clone());
            let value = json!({"from": ends[0], "until": ends[1], "rmse": network, "naive_rmse": naive});
            results.summary.insert((*key).into(), value);
        }
        results.lines.push(format!("in units of {unit}; last value: the naive forecast that nothing changes"));
        let (network, naive) = self.errors(&forecast, if test.is_empty() { validation } else { test });
        let part = if test.is_empty() { "validation" } else { "test" };
        let (network, naive) = (four(network), four(naive));
        let title = format!("{unit}, one step ahead: {part} RMSE {network}, last value {naive}");
        let positions = self.series.positions();
        let picture = Forecast {
            title,
            rows: Rows { name: &self.series.label_name, positions: positions.as_deref(), labels: &self.series.labels },
            first: both.start,
            horizon: 1,
            targets: vec![Target { name: unit, truth: &self.series.values, forecast: &forecast }],
            parts: parts.iter().filter(|part| part.0 != "both").map(|(name, _, rows)| (*name, rows.start)).collect(),
        };
        results.figures.push(("forecast.svg", picture.draw()));
        results.files.push(("forecast.csv", self.table(&forecast)));
        results.summary.insert("unit".into(), Value::String(unit.clone()));
        Ok(results)
    }
}

fn split(series: &Series, settings: &DataArgs, window: usize, path: &Path) -> Result<Split> {
    let split = match (&settings.train_until, &settings.split) {
        (Some(until), _) => {
            let rows = series.rows_until(until).map_err(|error| in_flag("--train-until", "data.train_until", error))?;
            Split::at(series.len(), window, rows, settings.validation.unwrap_or_default())
        }
        (None, shares) => {
            let shares: [f64; 3] = shares
                .as_deref()
                .unwrap_or(&[0.7, 0.15, 0.15])
                .try_into()
                .map_err(|_| unsupported("--split: expected three shares"))?;
            Split::check_shares(shares).map_err(|error| in_flag("--split", "data.split", error))?;
            Split::shares(series.len(), window, shares)
        }
    };
    split.map_err(|error| in_file(path, error))
}

/// The second of two columns; with more of them the target has to be named.
fn the_only_column(text: &[u8], path: &Path) -> Result<String> {
    let mut names = columns(text, path)?;
    if names.len() == 2 {
        return Ok(names.remove(1));
    }
    let message = format!("expected --target COLUMN, one of {}", names.join(", "));
    Err(Error::Data { path: path.into(), place: String::new(), message })
}

fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Value { what, expected, got } => Error::Data {
            path: path.into(),
            place: format!(", {what}"),
            message: format!("expected {expected}, got {got}"),
        },
        other => other,
    }
}

fn in_flag(flag: &str, key: &str, error: Error) -> Error {
    match error {
        Error::Value { expected, got, .. } => Error::Value { what: format!("{flag} ({key})"), expected, got },
        other => other,
    }
}

fn csv_line(fields: [&str; 4]) -> String {
    let quoted = fields.map(|field| match field.contains([',', '"', '\n']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    });
    quoted.join(",") + "\n"
}

/// Four digits that matter, or as many as stand before the point.
fn four(value: f64) -> String {
    let before = if value > 0.0 { value.log10().floor() as i32 } else { 0 };
    format!("{value:.*}", (3 - before).clamp(0, 8) as usize)
}
