//! A series from a file, with the roles of its columns.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::super::relation::Relation;
use crate::data::{
    ColumnRoles, DateOrder, DecimalMark, Frame, MissingPolicy, SUNSPOTS, Series, SeriesCodec, SeriesSplit, SeriesTable,
    csv_columns, list_names, read_input,
};
use crate::experiment::config::agree::{as_the_model, in_flag, shares};
use crate::experiment::config::{BUNDLED, MissingName, ScaleName, SeriesConfig, limit};
use crate::experiment::files::digest::Digest;
use crate::experiment::model::codec::Codec;
use crate::format::{ahead, grouped};
use crate::{Error, Result};

/// A series before it is split and scaled.
pub struct SeriesData {
    /// The file name without its extension.
    pub name: String,
    /// The source, in words.
    pub(crate) file: String,
    /// The name in error messages.
    pub path: PathBuf,
    /// The series with its roles.
    pub series: Series,
    pub(crate) frame: Frame,
    pub(crate) scale: ScaleName,
    /// Columns with missing values and their number.
    pub(crate) gaps: Vec<(String, usize)>,
    /// Notes on how the file was read.
    notes: Vec<String>,
    /// The file's SHA-256.
    pub(crate) sha256: String,
}

impl SeriesData {
    /// Reads the file of `data`, and puts into them what they left open: columns, sizes, scale and the file's digest.
    /// With `codec` that is the model's, and anything else is refused.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::Data`] for what it holds, by line and column, and for
    /// another digest than the settings have; [`Error::Unsupported`] for settings that differ from the model's.
    pub fn read(data: &mut SeriesConfig, codec: Option<&Codec>) -> Result<Self> {
        let model = match codec {
            Some(Codec::Series { scale, series }) => Some((*scale, series)),
            _ => None,
        };
        let csv = data.file.clone().unwrap_or_default();
        let bundled = csv == Path::new(BUNDLED);
        let path = if bundled { PathBuf::from("sunspots.csv") } else { csv };
        let text = if bundled { SUNSPOTS.as_bytes().to_vec() } else { read_input(&path, limit(data.input_limit))? };
        let mut digest = Digest::new();
        digest.update(&text);
        let sha256 = digest.check(&path, "series FILE", &mut data.sha256)?;
        let of_model = model.map(|(_, codec)| codec);
        let roles = roles(data, of_model, &csv_columns(&text, &path)?, &path)?;
        let of_frame = |size: fn(&Frame) -> usize| of_model.map(|codec| size(&codec.frame));
        let frame = Frame {
            window: as_the_model("window", &mut data.window, of_frame(|frame| frame.window), 22)?,
            horizon: as_the_model("horizon", &mut data.horizon, of_frame(|frame| frame.horizon), 1)?,
        };
        let of_scale = model.map(|(scale, _)| scale);
        let scale = as_the_model("scale", &mut data.scale, of_scale, ScaleName::Standard)?;
        let of_missing = of_model.map(|codec| name_of(codec.missing));
        let missing = missing_as_the_model(&mut data.missing, of_missing)?;
        dates_as_the_model(&mut data.dates, of_model.and_then(|codec| codec.dates))?;
        let of_decimal = of_model.and_then(|codec| codec.decimal);
        let read = |mark| SeriesTable::csv_within(&text, &path, &roles.columns(), mark, limit(data.input_limit));
        let table = written_alike(data.decimal, of_decimal, |table: &SeriesTable| table.decimal, read)?;
        drop(text);
        let table = SeriesTable { dates: data.dates, ..table };
        let notes = table.notes.clone();
        let (series, gaps) = with_gaps(table, &roles, missing, model.is_some(), &path)?;
        Ok(Self {
            name: path.file_stem().map_or("series".into(), |stem| stem.to_string_lossy().into_owned()),
            file: if bundled { "bundled".into() } else { crate::format::path_text(&path) },
            path,
            series,
            frame,
            scale,
            gaps,
            notes,
            sha256,
        })
    }

    /// Notes on how the file was read, and on rows missing in time.
    pub fn remarks(&self) -> Vec<String> {
        let gaps = self.series.time_gaps();
        let gaps = gaps.map(|gaps| format!("{gaps}; windows cross these gaps as if no time had passed"));
        self.notes.iter().chain(self.series.notes()).cloned().chain(gaps).collect()
    }

    /// The data in words, a line each.
    pub(crate) fn describe(&self, span: &str) -> Vec<String> {
        let Self { name, file, series, frame, .. } = self;
        let names = |columns: &[crate::data::Column]| list_names(columns.iter().map(|column| column.name.as_str()));
        let lone = series.columns().count() == 1;
        let column = if lone { format!(", column {}", names(series.targets())) } else { String::new() };
        let rows = grouped(series.len() as u64);
        let mut lines = vec![format!("{name} ({file}){column}, {} {span}, {rows} rows", series.label_name())];
        lines.extend(self.remarks());
        if !lone {
            let targets = if series.targets().len() == 1 { "target" } else { "targets" };
            let roles =
                [(targets, series.targets()), ("features", series.features()), ("known in advance", series.known())];
            let roles = roles.iter().filter(|(_, columns)| !columns.is_empty());
            let roles: Vec<String> = roles.map(|(role, columns)| format!("{role} {}", names(columns))).collect();
            lines.push(roles.join("; "));
        }
        let ahead = ahead(frame.horizon);
        lines.push(format!("windows of {}, {ahead}", frame.window));
        if !self.gaps.is_empty() {
            let gaps: Vec<String> =
                self.gaps.iter().map(|(name, count)| format!("{} of {name}", grouped(*count as u64))).collect();
            let what = match series.missing() {
                MissingPolicy::Mask => "0, and a mask column that marks them",
                _ => "filled with the previous value; filled values are not measured",
            };
            lines.push(format!("missing: {}; {what}", gaps.join(", ")));
        }
        lines
    }
}

/// The policy for missing values. A model trained without any can read filled ones.
///
/// # Errors
/// If the model has other inputs.
pub(crate) fn missing_as_the_model(
    given: &mut Option<MissingName>,
    of_model: Option<MissingName>,
) -> Result<MissingName> {
    let fills = *given == Some(MissingName::Ffill);
    let of_model = of_model.filter(|of_model| !(fills && *of_model == MissingName::Error));
    as_the_model("missing", given, of_model, MissingName::Error)
}

/// The order of dates.
///
/// # Errors
/// If the model's dates have another order.
pub(crate) fn dates_as_the_model(given: &mut Option<DateOrder>, of_model: Option<DateOrder>) -> Result<()> {
    // Year-first dates need no order.
    if of_model.is_some() {
        as_the_model("dates", given, of_model, DateOrder::DayFirst)?;
    }
    Ok(())
}

/// Reads a file with the given decimal mark, or the detected one, or that of the model's own file.
pub(crate) fn written_alike<T>(
    given: Option<DecimalMark>,
    known: Option<DecimalMark>,
    shown: impl Fn(&T) -> Option<DecimalMark>,
    read: impl Fn(Option<DecimalMark>) -> Result<T>,
) -> Result<T> {
    let Some(known) = known.filter(|_| given.is_none()) else { return read(given) };
    match read(None) {
        Ok(file) if shown(&file).is_some() => Ok(file),
        // The model answers what would be ambiguous, and what the file leaves open.
        _ => read(Some(known)),
    }
}

fn name_of(missing: MissingPolicy) -> MissingName {
    match missing {
        MissingPolicy::Refuse => MissingName::Error,
        MissingPolicy::Forward => MissingName::Ffill,
        MissingPolicy::Mask => MissingName::Mask,
    }
}

/// The series with its missing values handled, and their number by column. `trained`: for an existing model.
fn with_gaps(
    table: SeriesTable,
    roles: &ColumnRoles,
    missing: MissingName,
    trained: bool,
    path: &Path,
) -> Result<(Series, Vec<(String, usize)>)> {
    let masked = Series::new(table, roles, MissingPolicy::Mask).map_err(|error| error.in_file(path))?;
    let count = |values: &[f64]| values.iter().filter(|value| value.is_nan()).count();
    let gaps = masked.columns().map(|column| (column.name.clone(), count(&column.values)));
    let gaps = gaps.filter(|(_, count)| *count > 0).collect();
    // What a mask would allow is a gap without one.
    let mut advice = match missing {
        MissingName::Mask => return Ok((masked, gaps)),
        MissingName::Ffill => Vec::new(),
        MissingName::Error => vec!["--missing ffill repeats the previous value"],
    };
    // A mask is an additional input, which a trained model does not have.
    if !trained {
        advice.push("--missing mask marks them for the network");
    }
    let series = masked.with_missing(missing.into());
    Ok((series.map_err(|error| with_advice(error.in_file(path), &advice))?, gaps))
}

/// The roles of the columns, from the flags, the model, or if there is no choice.
fn roles(data: &mut SeriesConfig, model: Option<&SeriesCodec>, columns: &[String], path: &Path) -> Result<ColumnRoles> {
    for names in [&mut data.target, &mut data.features, &mut data.known].into_iter().flatten() {
        names.iter_mut().for_each(|name| *name = name.trim().to_owned());
    }
    let of_model = model.map(SeriesCodec::roles);
    let of_role = |names: fn(&ColumnRoles) -> &Vec<String>| of_model.as_ref().map(|roles| names(roles).clone());
    // An unnamed column, as after a trailing separator, is ignored.
    let named = || columns.iter().filter(|name| !name.is_empty());
    let others = || columns.iter().skip(1).filter(|name| !name.is_empty());
    if data.target.is_none() && model.is_none() {
        let target: Vec<String> = others().cloned().collect();
        if target.len() != 1 {
            let names: Vec<&str> = named().map(String::as_str).collect();
            let message = if target.is_empty() {
                format!(
                    "expected a column of times followed by columns of numbers, got only {}; fields are separated by a \
                     comma, a semicolon, a tab or a vertical bar{}",
                    list_names(names.iter().copied()),
                    // A comment, or a title.
                    if names.first().is_some_and(|name| name.starts_with('#')) {
                        "; the header must be the first line: remove the lines above it"
                    } else {
                        ""
                    }
                )
            } else {
                format!("expected --target COLUMN, one or more of {}", list_names(names))
            };
            return Err(Error::Data { path: path.into(), place: String::new(), message });
        }
        data.target = Some(target);
    }
    if data.target.as_ref().is_some_and(Vec::is_empty) {
        let expected = "at least one column".into();
        return Err(Error::Value { what: "--target".into(), expected, got: "none".into() });
    }
    let targets = as_the_model("target", &mut data.target, of_role(|roles| &roles.targets), Vec::new())?;
    let known = as_the_model("known", &mut data.known, of_role(|roles| &roles.known), Vec::new())?;
    if data.features.as_deref() == Some(&["all".to_owned()]) {
        let taken: HashSet<&String> = targets.iter().chain(&known).collect();
        let others = others().filter(|name| !taken.contains(name));
        data.features = Some(others.cloned().collect());
    }
    let of_features = of_role(|roles| &roles.features);
    let features = as_the_model("features", &mut data.features, of_features, Vec::new())?;
    Ok(ColumnRoles { targets, features, known })
}

fn with_advice(error: Error, advice: &[&str]) -> Error {
    let advice = if advice.is_empty() { String::new() } else { format!("; {}", advice.join(", ")) };
    match error {
        Error::Data { path, place, message } => Error::Data { path, place, message: format!("{message}{advice}") },
        other => other,
    }
}

/// The splits of a series, from the settings or by default.
pub(super) fn split(
    series: &Series,
    frame: Frame,
    data: &mut SeriesConfig,
    of_training: &Relation<'_>,
    path: &Path,
) -> Result<SeriesSplit> {
    let split = match &data.train_until {
        Some(until) => {
            let flag = "--train-until";
            let rows = series.rows_until(until).map_err(|error| in_flag(flag, error))?;
            SeriesSplit::at(series.len(), frame, rows, data.validation.unwrap_or_default())
        }
        None => {
            let default = of_training.default_shares([0.7, 0.15, 0.15]);
            SeriesSplit::shares(series.len(), frame, shares(&mut data.split, default)?)
        }
    };
    split.map_err(|error| error.in_file(path))
}
