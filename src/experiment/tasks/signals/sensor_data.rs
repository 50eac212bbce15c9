//! A table whose targets are estimated from other columns of the same row.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::series::series_data::{
    dates_as_the_model, missing_as_the_model, missing_line, name_of, with_gaps, written_alike,
};
use crate::data::{
    Column, ColumnRoles, SensorCodec, Series, SeriesTable, csv_columns, list_names, number_columns, read_input,
};
use crate::experiment::config::agree::{as_the_model, unsupported};
use crate::experiment::config::{BUNDLED, ScaleName, SeriesConfig, limit};
use crate::experiment::files::digest::Digest;
use crate::experiment::model::codec::Codec;
use crate::format::{grouped, path_text};
use crate::{Error, Result};

/// The settings of a series that hold for a sensor too; all others are those of forecasts.
const SETTINGS: [&str; 16] = [
    "file",
    "target",
    "now",
    "carry-state",
    "window",
    "train-until",
    "split",
    "validation",
    "scale",
    "missing",
    "decimal",
    "dates",
    "input-limit",
    "loss",
    "predict",
    "sha256",
];

/// The rows of a step of truncated BPTT, and those of a window.
const CARRIED: usize = 64;
const WINDOW: usize = 22;

pub(super) struct SensorData {
    pub(super) name: String,
    file: String,
    pub(super) path: PathBuf,
    /// The inputs, as its targets.
    pub(super) inputs: Series,
    /// A value for each row, NaN if it is missing; all of them where the file does not have the column.
    pub(super) targets: Vec<Column>,
    pub(super) scale: ScaleName,
    pub(super) window: usize,
    pub(super) carry_state: bool,
    /// Inputs with missing values and their number.
    gaps: Vec<(String, usize)>,
    /// Notes on how the file was read.
    notes: Vec<String>,
    pub(super) sha256: String,
}

impl SensorData {
    /// Reads the file of `data`, and puts into them what they left open. With `codec` that is the model's, and anything
    /// else is refused; only the model's inputs must be in the file.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::Data`] for what it holds, by line and column;
    /// [`Error::Unsupported`] for settings that have no meaning here or differ from the model's.
    pub(super) fn read(data: &mut SeriesConfig, codec: Option<&Codec>) -> Result<Self> {
        check_settings(data)?;
        let model = match codec {
            Some(Codec::Sensor { scale, sensor }) => Some((*scale, sensor)),
            Some(_) => return Err(unsupported("--now: the model forecasts: it reads the past of its targets")),
            None => None,
        };
        let path = data.file.clone().unwrap_or_default();
        if path == Path::new(BUNDLED) {
            return Err(unsupported("--now needs a file with other columns than the time and the target"));
        }
        let text = read_input(&path, limit(data.input_limit))?;
        let mut digest = Digest::new();
        digest.update(&text);
        let sha256 = digest.check(&path, "series FILE", &mut data.sha256)?;
        let sensor = model.map(|(_, sensor)| sensor);
        let columns = csv_columns(&text, &path)?;
        let [targets, now] = roles(data, sensor, &columns, &|| number_columns(&text, &path), &path)?;
        let carry_state =
            as_the_model("carry-state", &mut data.carry_state, sensor.map(|sensor| sensor.carry_state), false)?;
        let default = if carry_state { CARRIED } else { WINDOW };
        let window = as_the_model("window", &mut data.window, sensor.map(|sensor| sensor.window), default)?;
        let scale = as_the_model("scale", &mut data.scale, model.map(|(scale, _)| scale), ScaleName::Standard)?;
        let missing = missing_as_the_model(&mut data.missing, sensor.map(|sensor| name_of(sensor.missing)))?;
        dates_as_the_model(&mut data.dates, sensor.and_then(|sensor| sensor.dates))?;
        let here = targets.iter().filter(|name| model.is_none() || columns.contains(name));
        let names: Vec<&str> = now.iter().chain(here).map(String::as_str).collect();
        let read = |mark| SeriesTable::csv_within(&text, &path, &names, mark, limit(data.input_limit));
        let decimal = sensor.and_then(|sensor| sensor.decimal);
        let table = written_alike(data.decimal, decimal, |table: &SeriesTable| table.decimal, read)?;
        drop(text);
        let mut notes = table.notes.clone();
        let rows = table.labels.len();
        let values = |name: &String| {
            let known = table.columns.iter().find(|column| column.name == *name);
            known.map_or_else(|| vec![f64::NAN; rows], |column| column.values.clone())
        };
        let of_name = |name: &String| Column { name: name.clone(), values: values(name) };
        let targets: Vec<Column> = targets.iter().map(of_name).collect();
        let absent: Vec<&str> =
            targets.iter().map(|column| column.name.as_str()).filter(|name| !names.contains(name)).collect();
        if !absent.is_empty() {
            notes.push(format!("not in the file, and so not measured: {}", list_names(absent)));
        }
        let table = SeriesTable { dates: data.dates.or(table.dates), ..table };
        let roles = ColumnRoles { targets: now, ..ColumnRoles::default() };
        let (inputs, gaps) = with_gaps(table, &roles, false, false, missing, model.is_some(), &path)?;
        let name = path.file_stem().map_or("series".into(), |stem| stem.to_string_lossy().into_owned());
        let file = path_text(&path);
        Ok(Self { name, file, path, inputs, targets, scale, window, carry_state, gaps, notes, sha256 })
    }

    /// The number of rows without a value of a target.
    fn unknown_rows(&self) -> usize {
        (0..self.inputs.len()).filter(|row| self.targets.iter().any(|column| column.values[*row].is_nan())).count()
    }

    /// The data in words, a line each.
    pub(super) fn describe(&self, span: &str) -> Vec<String> {
        let Self { name, file, inputs, window, .. } = self;
        let names = |columns: &[Column]| list_names(columns.iter().map(|column| column.name.as_str()));
        let rows = grouped(inputs.len() as u64);
        let mut lines = vec![format!("{name} ({file}), {} {span}, {rows} rows", inputs.label_name())];
        lines.extend(self.notes.iter().chain(inputs.notes()).cloned());
        let gaps = inputs.time_gaps();
        lines.extend(gaps.map(|gaps| format!("{gaps}; the network crosses these gaps as if no time had passed")));
        let what = if self.targets.len() == 1 { "target" } else { "targets" };
        lines.push(format!("{what} {}; from {} of the same row", names(&self.targets), names(inputs.targets())));
        lines.push(if self.carry_state {
            format!(
                "from end to end with the state carried on (truncated BPTT), {} rows a step",
                grouped(*window as u64)
            )
        } else {
            format!("each row from a window of {window}, of which it is the last")
        });
        lines.extend(missing_line(&self.gaps, inputs.missing(), "filled with the previous value"));
        let unknown = self.unknown_rows();
        if unknown > 0 && unknown < inputs.len() {
            let unknown = grouped(unknown as u64);
            lines.push(format!("rows without a {what}: {unknown}; neither learned from nor measured"));
        }
        lines
    }
}

/// Refuses settings of forecasts.
fn check_settings(data: &SeriesConfig) -> Result<()> {
    let settings = serde_json::to_value(data).map_err(|error| Error::Unsupported(error.to_string()))?;
    let set = settings.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    // One that is switched off is what a sensor does.
    let of_forecasts =
        |(key, value): &(&String, &Value)| !SETTINGS.contains(&key.as_str()) && **value != Value::Bool(false);
    match set.into_iter().find(of_forecasts) {
        Some((key, _)) => Err(unsupported(format!(
            "--{key} (series.{key}) has no meaning with --now: each row is estimated from its own time, and nothing is \
             forecast"
        ))),
        None => Ok(()),
    }
}

/// The names of the targets and of the inputs, from the flags, the model, or if there is no choice.
fn roles(
    data: &mut SeriesConfig,
    model: Option<&SensorCodec>,
    columns: &[String],
    numbers: &dyn Fn() -> Result<Vec<String>>,
    path: &Path,
) -> Result<[Vec<String>; 2]> {
    for names in [&mut data.target, &mut data.now].into_iter().flatten() {
        names.iter_mut().for_each(|name| *name = name.trim().to_owned());
    }
    let of_model = |columns: fn(&SensorCodec) -> &Vec<crate::data::ColumnCodec>| {
        model.map(|model| columns(model).iter().map(|column| column.name.clone()).collect::<Vec<_>>())
    };
    // The first has the times; one without a name, as after a trailing separator, is ignored.
    let others = || columns.iter().skip(1).filter(|name| !name.is_empty());
    let takes_all = data.now.as_deref() == Some(&["all".to_owned()]);
    let not_in = |names: &[String]| others().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>();
    if data.target.is_none() && model.is_none() {
        let rest = not_in(data.now.as_deref().filter(|_| !takes_all).unwrap_or_default());
        let [target] = &rest[..] else {
            let numbers = numbers()?;
            let of_numbers: Vec<&String> = rest.iter().filter(|name| numbers.contains(name)).collect();
            let names = if of_numbers.is_empty() { rest.iter().collect() } else { of_numbers };
            let names = list_names(names.into_iter().map(String::as_str));
            let message = format!("expected --target COLUMN beside --now, one or more of {names}");
            return Err(Error::Data { path: path.into(), place: String::new(), message });
        };
        data.target = Some(vec![target.clone()]);
    }
    let targets = as_the_model("target", &mut data.target, of_model(|model| &model.targets), Vec::new())?;
    if takes_all {
        data.now = Some(not_in(&targets));
    }
    let now = as_the_model("now", &mut data.now, of_model(|model| &model.now), Vec::new())?;
    for (flag, names) in [("--target", &targets), ("--now", &now)] {
        if names.is_empty() {
            return Err(Error::Value { what: flag.into(), expected: "at least one column".into(), got: "none".into() });
        }
    }
    match targets.iter().find(|name| now.contains(name)) {
        Some(both) => Err(unsupported(format!(
            "--now {both}: it is a target too, and a row's target is not read to estimate it; a forecast (without --now) \
             reads the targets of the rows before"
        ))),
        None => Ok([targets, now]),
    }
}
