//! The last rows of a series, from which a forecast is made after each.

use std::collections::VecDeque;

use super::fields::{Fields, Line};
use super::items::{INPUT, Item};
use super::prediction::{Cell, Prediction, record};
use crate::data::{DecimalMark, MissingPolicy, SeriesCodec, list_names};
use crate::experiment::config::SeriesConfig;
use crate::experiment::config::agree::unsupported;
use crate::experiment::device::network::Network;
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
    rows: VecDeque<Vec<String>>,
    window: usize,
    keep: usize,
    missing: MissingPolicy,
    columns: Vec<String>,
}

impl Table {
    /// For a model of a series.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for one that reads what a line does not have.
    pub(super) fn new(model: &LoadedModel, codec: &SeriesCodec, stored: &[f64]) -> Result<Self> {
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
        if model.file.model.recurrent.has_reverse() {
            return Err(refused("the network also reads from the end of a window".into()));
        }
        let numbers = codec.targets.iter().chain(&codec.features).map(|column| column.name.clone());
        let names: Vec<String> = std::iter::once(codec.label_name.clone()).chain(numbers).collect();
        let window = codec.frame.window;
        Ok(Self {
            fields: Fields::new(names.clone(), codec.decimal.unwrap_or(DecimalMark::Point)),
            names,
            rows: VecDeque::new(),
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
        let line = std::str::from_utf8(line).map_err(|_| refused("expected UTF-8, got other bytes".into()))?;
        if line.trim().is_empty() {
            self.reset();
            return Ok(None);
        }
        let Line::Cells(cells, mark) = self.fields.read(line).map_err(refused)? else { return Ok(None) };
        let mut row = vec![cells[0].clone()];
        for (at, cell) in cells.iter().enumerate().skip(1) {
            let value = mark.number(cell);
            let value = value
                .map_err(|(expected, got)| refused(format!("{:?}: expected {expected}, got {got}", self.names[at])))?;
            // What is filled forward may have left the rows that are kept.
            let last = self.rows.back().filter(|_| self.missing == MissingPolicy::Forward).map(|row| row[at].clone());
            row.push(value.map_or_else(|| last.unwrap_or_default(), |value| value.to_string()));
        }
        self.rows.push_back(row);
        if self.rows.len() > self.keep {
            self.rows.pop_front();
        }
        if self.rows.len() < self.window {
            return Ok(None);
        }
        let mut text = record(self.names.iter().cloned())?;
        for row in &self.rows {
            text += &record(row.iter().cloned())?;
        }
        self.forecast(model, network, text.into_bytes())
            .await
            .map(|(cells, json)| Some(Prediction { item: number, cells, json: Some(json) }))
            .map_err(|error| {
                match error {
                    // Its place is one of the rows that are kept.
                    Error::Data { place, message, .. } => {
                        refused(format!("{message} (of the last {} rows{place})", self.rows.len()))
                    }
                    other => other,
                }
            })
    }

    async fn forecast(
        &self,
        model: &LoadedModel,
        network: &mut Network,
        text: Vec<u8>,
    ) -> Result<(Vec<Cell>, serde_json::Map<String, serde_json::Value>)> {
        let mut data = SeriesConfig { decimal: Some(DecimalMark::Point), ..SeriesConfig::default() };
        let read = SeriesData::of_text(&mut data, Some(&model.file.codec), (text, INPUT.into(), String::new()))?;
        let forecast = model.forecast_on(network, read.into(), None, (PathCount::Exactly(0), 1)).await?;
        let json = match forecast.to_json() {
            serde_json::Value::Object(map) => map,
            _ => serde_json::Map::new(),
        };
        let after = self.rows.back().map(|row| row[0].clone()).unwrap_or_default();
        let mut cells = vec![Cell::Text(after)];
        let number = |value: f64| if value.is_nan() { String::new() } else { value.to_string() };
        cells.extend(forecast.values().map(|value| Cell::Number(number(value))));
        Ok((cells, json))
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
