//! The next value of a series, from a window of those before it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bptt::data::{
    Accuracy, Encoded, Examples, Frame, Missing, Roles, SUNSPOTS, ScalingKind, Series, SeriesCodec, Split, Table,
    Windows, columns,
};
use bptt::train::predict;
use bptt::{At, Engine, Error, Head, Loss, Result, Trainer};
use serde_json::{Map, Value, json};

use super::pictures::{Baseline, Forecast};
use super::progress::grouped;
use super::settings::{BUNDLED, SeriesSettings};
use super::task::{Results, Task};

pub(crate) struct SeriesTask {
    file: String,
    name: String,
    encoded: Arc<Encoded>,
    split: Split,
    training: Windows,
    validation: Option<Windows>,
    /// Validation and test: all that is forecast in the end.
    after: Windows,
}

impl SeriesTask {
    /// Reads the file of `settings`, and puts into them what they left open: the column and the file's digest.
    pub(crate) fn load(settings: &mut SeriesSettings) -> Result<Self> {
        let bundled = settings.csv == BUNDLED;
        let path = if bundled { PathBuf::from("sunspots.csv") } else { PathBuf::from(&settings.csv) };
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
            Some(target) => target.clone(),
            None => the_only_column(&text, &path)?,
        };
        let table = Table::from_csv(&text, &path, &[&target])?;
        let in_file = |error| in_file(&path, error);
        let series = Series::new(table, &Roles::one(&target), Missing::Refuse).map_err(in_file)?;
        settings.target = Some(target);
        let frame = Frame { window: settings.window, horizon: 1 };
        let split = split(&series, settings, frame, &path)?;
        let codec = SeriesCodec::fit(&series, frame, split.train.end, |_| ScalingKind::Standard).map_err(in_file)?;
        let rows = series.len();
        let encoded = codec.encode(series).map_err(in_file)?;
        let windows = |targets: Range<usize>| encoded.windows(targets);
        let validation = Some(split.validation.clone()).filter(|targets| !targets.is_empty());
        Ok(Self {
            file: if bundled { "bundled".into() } else { settings.csv.clone() },
            name: path.file_stem().map_or("series".into(), |stem| stem.to_string_lossy().into_owned()),
            training: windows(split.train.clone())?,
            validation: validation.map(windows).transpose()?,
            after: windows(split.train.end..rows)?,
            encoded,
            split,
        })
    }

    fn series(&self) -> &Series {
        self.encoded.series()
    }

    fn unit(&self) -> &str {
        &self.series().targets()[0].name
    }

    fn values(&self) -> &[f64] {
        &self.series().targets()[0].values
    }

    /// `1921–1955`.
    fn span(&self, rows: &Range<usize>) -> String {
        match rows.is_empty() {
            true => "none".into(),
            false => format!("{}–{}", self.series().labels()[rows.start], self.series().labels()[rows.end - 1]),
        }
    }

    /// The root mean squared errors over rows after training: of `forecast`, which begins there, and of the last value.
    fn errors(&self, forecast: &[f64], rows: &Range<usize>) -> (f64, f64) {
        let (values, first) = (self.values(), self.split.train.end);
        let network = Accuracy::of(rows.clone().map(|row| (values[row], forecast[row - first])));
        (network.rmse, self.naive(rows))
    }

    fn naive(&self, rows: &Range<usize>) -> f64 {
        let values = self.values();
        Accuracy::of(rows.clone().map(|row| (values[row], values[row - 1]))).rmse
    }

    fn table(&self, forecast: &[f64]) -> String {
        let (series, values) = (self.series(), self.values());
        let mut csv = csv_line([series.label_name(), "truth", "forecast", "last_value"]);
        for (row, forecast) in (self.split.train.end..).zip(forecast) {
            let numbers = [values[row], *forecast, values[row - 1]].map(|value| value.to_string());
            csv.push_str(&csv_line([&series.labels()[row], &numbers[0], &numbers[1], &numbers[2]]));
        }
        csv
    }
}

impl Task for SeriesTask {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn describe(&self) -> Vec<String> {
        let (series, split) = (self.series(), &self.split);
        let all = 0..series.len();
        let count = |rows: &Range<usize>| grouped(rows.len() as u64);
        let parts = [("training", &split.train), ("validation", &split.validation), ("test", &split.test)];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(_, rows)| !rows.is_empty())
            .map(|(part, rows)| format!("{part} {} ({})", self.span(rows), count(rows)))
            .collect();
        let (name, column, file) = (&self.name, self.unit(), &self.file);
        let mut lines = vec![
            format!(
                "{name} ({file}), column {column}, {} {}, {} rows",
                series.label_name(),
                self.span(&all),
                count(&all)
            ),
            format!("windows of {}, one step ahead", self.encoded.codec().frame.window),
        ];
        // Years go on one line, dates with their hours do not.
        match parts.iter().map(|part| part.chars().count()).sum::<usize>() > 90 {
            true => lines.extend(parts),
            false => lines.push(parts.join(", ")),
        }
        lines
    }

    fn input_size(&self) -> usize {
        self.encoded.codec().input_size()
    }

    fn head(&self) -> Head {
        Head::new(self.encoded.codec().outputs(), Loss::SquaredError, At::Last)
    }

    fn training(&self) -> &dyn Examples {
        &self.training
    }

    fn validation(&self) -> Option<&dyn Examples> {
        self.validation.as_ref().map(|windows| windows as &dyn Examples)
    }

    fn baseline(&self) -> Option<Baseline> {
        let rmse = self.naive(&self.split.validation) / self.encoded.codec().targets[0].scaling.unit;
        Some(Baseline { name: "last value, validation".into(), loss: rmse * rmse })
    }

    async fn results<E: Engine>(&self, trainer: &mut Trainer<E>, rows: usize) -> Result<Results> {
        let mut results = Results { lines: Vec::new(), summary: Map::new(), files: Vec::new() };
        if self.after.is_empty() {
            results.lines.push("every row was trained on: nothing is left to test".into());
            return Ok(results);
        }
        let predictions = predict(trainer, &self.after, rows).await?;
        let forecast = self.encoded.codec().decode(&predictions)?.into_raw_vec_and_offset().0;
        let (validation, test) = (&self.split.validation, &self.split.test);
        let series = self.series();
        let both = self.split.train.end..series.len();
        let mut parts = vec![("validation", "validation", validation), ("test", "test", test)];
        if !validation.is_empty() && !test.is_empty() {
            parts.push(("both", "after_training", &both));
        }
        parts.retain(|(_, _, rows)| !rows.is_empty());
        let width = parts.iter().map(|(_, _, rows)| self.span(rows).chars().count()).max().unwrap_or_default();
        let unit = self.unit();
        results.lines.push(format!("{:<12}{:width$}  {:>10}  {:>10}", "RMSE", "", "network", "last value"));
        for (name, key, rows) in &parts {
            let (network, naive) = self.errors(&forecast, rows);
            let span = self.span(rows);
            results.lines.push(format!("{name:<12}{span:width$}  {:>10}  {:>10}", four(network), four(naive)));
            let ends = [rows.start, rows.end - 1].map(|row| series.labels()[row].clone());
            let value = json!({"from": ends[0], "until": ends[1], "rmse": network, "naive_rmse": naive});
            results.summary.insert((*key).into(), value);
        }
        results.lines.push(format!("in units of {unit}; last value: the naive forecast that nothing changes"));
        let (network, naive) = self.errors(&forecast, if test.is_empty() { validation } else { test });
        let part = if test.is_empty() { "validation" } else { "test" };
        let (network, naive) = (four(network), four(naive));
        let title = format!("{unit}, one step ahead: {part} RMSE {network}, last value {naive}");
        let picture = Forecast {
            title,
            name: unit,
            label_name: series.label_name(),
            positions: series.positions(),
            labels: series.labels(),
            truth: self.values(),
            first: both.start,
            forecast: &forecast,
            parts: parts.iter().filter(|part| part.0 != "both").map(|(name, _, rows)| (*name, rows.start)).collect(),
        };
        results.files.push(("forecast.svg", picture.svg()));
        results.files.push(("forecast.csv", self.table(&forecast)));
        results.summary.insert("unit".into(), Value::String(unit.into()));
        Ok(results)
    }
}

fn split(series: &Series, settings: &SeriesSettings, frame: Frame, path: &Path) -> Result<Split> {
    let split = match (&settings.train_until, settings.split) {
        (Some(until), _) => {
            let rows = series.rows_until(until).map_err(|error| in_flag("--train-until", "data.train_until", error))?;
            Split::at(series.len(), frame, rows, settings.validation.unwrap_or_default())
        }
        (None, shares) => {
            let shares = shares.unwrap_or([0.7, 0.15, 0.15]);
            Split::check_shares(shares).map_err(|error| in_flag("--split", "data.split", error))?;
            Split::shares(series.len(), frame, shares)
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
