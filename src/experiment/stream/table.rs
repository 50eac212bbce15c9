//! The last rows of a series, from which a forecast is made after each.

use std::collections::VecDeque;
use std::ops::Range;

use serde_json::{Map, Value};

use super::fields::{Fields, Line};
use super::items::{INPUT, Item};
use super::prediction::{Cell, Prediction, record};
use crate::data::{DecimalMark, MissingPolicy, SeriesCodec, list_names};
use crate::experiment::config::SeriesConfig;
use crate::experiment::config::agree::unsupported;
use crate::experiment::device::network::Network;
use crate::experiment::forecast::SeriesForecast;
use crate::experiment::loaded_model::LoadedModel;
use crate::experiment::measure::ranges::Ranges;
use crate::experiment::tasks::series::paths::PathCount;
use crate::experiment::tasks::series::series_data::SeriesData;
use crate::{Error, Result};

/// Rows that are kept at least, by which the steps of time are known.
const LEAST: usize = 30;

/// The rows of a series as they come.
pub(super) struct Table {
    fields: Fields,
    /// The first columns' name, and those of the numbers.
    names: Vec<String>,
    /// The last rows, at least a window of them, and older ones that have a target's only value.
    rows: VecDeque<Row>,
    targets: Range<usize>,
    window: usize,
    keep: usize,
    missing: MissingPolicy,
    columns: Vec<String>,
}

/// A row, with a decimal point in its numbers.
struct Row {
    /// The number of its line.
    line: u64,
    cells: Vec<String>,
}

impl Table {
    /// For a model of a series.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for one that reads what a line does not have.
    pub(super) fn new(
        model: &LoadedModel,
        (codec, stored): (&SeriesCodec, &[f64]),
        decimal: Option<DecimalMark>,
    ) -> Result<Self> {
        let refused = |what: String| unsupported(format!("{what}: `bptt forecast` forecasts from a file"));
        if codec.long.is_some() {
            return Err(refused(
                "a line of a table in long form (--id) has one series, and the network reads all".into(),
            ));
        }
        if !codec.known.is_empty() {
            let names = list_names(codec.known.iter().map(|column| column.name.as_str()));
            let what = format!("the network reads columns of the rows that it forecasts (--known {names})");
            return Err(refused(format!("{what}, and lines of a stream have only those of now")));
        }
        let numbers = codec.targets.iter().chain(&codec.features).map(|column| column.name.clone());
        let names: Vec<String> = std::iter::once(codec.label_name.clone()).chain(numbers).collect();
        let window = codec.frame.window;
        Ok(Self {
            fields: Fields::new(names.clone(), decimal.or(codec.decimal).unwrap_or(DecimalMark::Point)),
            names,
            rows: VecDeque::new(),
            targets: 1..1 + codec.targets.len(),
            window,
            keep: window.max(LEAST) + 2,
            missing: codec.missing,
            columns: columns(
                codec,
                &Ranges::new(&model.file.model.require_head()?.loss, stored, codec.conformal.clone()),
            ),
        })
    }

    pub(super) fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(super) fn fields_mut(&mut self) -> &mut Fields {
        &mut self.fields
    }

    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// The names of the columns of a prediction.
    pub(super) fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }

    /// Whether a line ends the series.
    pub(super) fn is_end(&self, line: &[u8]) -> bool {
        std::str::from_utf8(line).is_ok_and(|line| self.fields.is_blank(line))
    }

    /// Forgets all rows.
    pub(super) fn reset(&mut self) {
        self.rows.clear();
    }

    /// The forecast after a line; `None` for one with names, and before a whole window.
    ///
    /// # Errors
    /// [`Error::Data`] for what the line has; those of the device.
    pub(super) async fn read(
        &mut self,
        (model, network): (&LoadedModel, &mut Network),
        (line, number): (&[u8], u64),
    ) -> Result<Option<Prediction>> {
        let refused = |message| Item::Line.refused(number, message);
        let text = std::str::from_utf8(line).map_err(|_| refused("expected UTF-8, got other bytes".into()))?;
        let Line::Cells(cells, mark) = self.fields.read(text).map_err(refused)? else { return Ok(None) };
        let cells = self.numbers(cells, mark).map_err(refused)?;
        self.push(Row { line: number, cells });
        let is_known = |target: usize| self.rows.iter().any(|row| !row.cells[target].is_empty());
        // A label is read as soon as there is another before it.
        if self.rows.len() < self.window && (self.rows.len() < 2 || !self.targets.clone().all(is_known)) {
            return Ok(None);
        }
        let series = self.series(model).map_err(|error| self.in_its_line(error))?;
        if self.rows.len() < self.window {
            return Ok(None);
        }
        let forecast = model.forecast_on(network, series.into(), None, (PathCount::Exactly(0), 1)).await;
        let forecast = forecast.map_err(|error| self.in_its_line(error))?;
        Ok(Some(self.prediction(&forecast, number)))
    }

    /// The fields of a row with a decimal point; missing values are filled forward if they were in training.
    fn numbers(&self, cells: Vec<String>, mark: DecimalMark) -> Result<Vec<String>, String> {
        let mut row = cells;
        for (at, cell) in row.iter_mut().enumerate().skip(1) {
            let refused = |expected: &str, got: &str| format!("{:?}: expected {expected}, got {got}", self.names[at]);
            let value = mark.number(cell).map_err(|(expected, got)| refused(&expected, &got))?;
            *cell = match (value, self.missing, self.rows.back()) {
                (Some(value), ..) => value.to_string(),
                (None, MissingPolicy::Refuse, _) => return Err(refused("a finite number", "a missing value")),
                // The value before may have left the rows that are kept.
                (None, MissingPolicy::Forward, Some(before)) => before.cells[at].clone(),
                (None, ..) => String::new(),
            };
        }
        Ok(row)
    }

    /// Adds a row, and forgets the oldest that is not needed any more.
    fn push(&mut self, row: Row) {
        self.rows.push_back(row);
        let passed = self.rows.len().saturating_sub(self.keep);
        let has = |row: &Row, target: usize| !row.cells[target].is_empty();
        let is_needed = |row: usize| {
            let others = |target| self.rows.iter().enumerate().all(|(other, of)| other == row || !has(of, target));
            self.targets.clone().any(|target| has(&self.rows[row], target) && others(target))
        };
        if let Some(oldest) = (0..passed).find(|row| !is_needed(*row)) {
            self.rows.remove(oldest);
        }
    }

    /// The kept rows as a file of these columns is read.
    fn series(&self, model: &LoadedModel) -> Result<SeriesData> {
        let mut text = record(self.names.iter().cloned())?;
        for row in &self.rows {
            text += &record(row.cells.iter().cloned())?;
        }
        let mut data = SeriesConfig { decimal: Some(DecimalMark::Point), ..SeriesConfig::default() };
        SeriesData::of_text(&mut data, Some(&model.file.codec), (text.into_bytes(), INPUT.into(), String::new()))
    }

    /// An error of a kept row, by the number of its line.
    fn in_its_line(&self, error: Error) -> Error {
        let Error::Data { place, message, .. } = error else { return error };
        // `, row 3 (line 4), column "a"`
        let rest = place.strip_prefix(", row ").and_then(|place| place.split_once(" (line "));
        let row = rest.and_then(|(row, _)| self.rows.get(row.parse::<usize>().ok()?.checked_sub(1)?));
        let column = rest.and_then(|(_, rest)| rest.split_once("), ")).map_or("", |(_, column)| column);
        let column = if column.is_empty() { String::new() } else { format!("{column}: ") };
        match (row, self.rows.back()) {
            (Some(row), _) => Item::Line.refused(row.line, format!("{column}{message}")),
            (None, last) => {
                let line = last.map_or(0, |row| row.line);
                Item::Line.refused(line, format!("{message} (in the last {} rows{place})", self.rows.len()))
            }
        }
    }

    /// A forecast in the columns of the stream.
    fn prediction(&self, forecast: &SeriesForecast, item: u64) -> Prediction {
        let json = match forecast.to_json() {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        let after = self.rows.back().map(|row| row.cells[0].clone()).unwrap_or_default();
        let number = |value: f64| if value.is_nan() { String::new() } else { value.to_string() };
        let mut cells = vec![Cell::Text(after)];
        cells.extend(forecast.values().map(|value| Cell::Number(number(value))));
        Prediction { item, cells, json: Some(json) }
    }
}

/// The columns of a forecast: steps, targets, and their quantiles.
fn columns(codec: &SeriesCodec, ranges: &Ranges) -> Vec<String> {
    let mut names = vec!["after".to_owned()];
    for step in 1..=codec.frame.horizon {
        let ahead = if codec.frame.horizon == 1 { String::new() } else { format!("+{step}") };
        for target in &codec.targets {
            names.extend(ranges.quantiles().columns().into_iter().map(|of| format!("{}_{of}{ahead}", target.name)));
        }
    }
    names
}
