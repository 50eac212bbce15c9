//! A series from a file, with the roles of its columns.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::super::relation::Relation;
use super::columns::{ids, long_form, roles};
use super::view::View;
use crate::data::{
    CalendarInput, ColumnRoles, DateOrder, DecimalMark, Frame, LongForm, MissingPolicy, RelativeTo, SUNSPOTS, Series,
    SeriesCodec, SeriesSplit, SeriesTable, StaticCodec, StaticColumn, csv_columns, list_names, number_columns,
    read_input,
};
use crate::experiment::config::agree::{as_the_model, in_flag, shares, unsupported};
use crate::experiment::config::{BUNDLED, MissingName, ScaleName, ScaleOverName, SeriesConfig, limit};
use crate::experiment::files::digest::Digest;
use crate::experiment::model::codec::Codec;
use crate::format::{ahead, grouped};
use crate::{Error, Result};

/// How missing values are filled, in words.
const FILLED: &str = "filled with the previous value; filled values are not measured";

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
    /// Whether the series of a panel have one scaling.
    scale_over: ScaleOverName,
    /// Inputs from the times of the rows.
    calendar: Vec<CalendarInput>,
    /// What the targets of a window are seen from.
    relative: RelativeTo,
    /// The number of rows in a step.
    segment: usize,
    /// Whether each target is a series of its own.
    panel: bool,
    /// The columns of a file in long form.
    pub(super) long: Option<LongForm>,
    /// The static columns whose numbers are classes.
    classes: Vec<String>,
    /// Whether the series itself is an input.
    ids: bool,
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
        if data.carry_state == Some(true) {
            return Err(unsupported("--carry-state is for --now: a forecast reads windows"));
        }
        let csv = data.file.clone().unwrap_or_default();
        let bundled = csv == Path::new(BUNDLED);
        let path = if bundled { PathBuf::from("sunspots.csv") } else { csv };
        let text = if bundled { SUNSPOTS.as_bytes().to_vec() } else { read_input(&path, limit(data.input_limit))? };
        let mut digest = Digest::new();
        digest.update(&text);
        let sha256 = digest.check(&path, "series FILE", &mut data.sha256)?;
        Self::of_text(data, codec, (text, path, sha256))
    }

    /// Like [`read`](Self::read), from the text of a file, with its name for messages and its digest.
    ///
    /// # Errors
    /// As of [`read`](Self::read), but for the file and its digest.
    pub(crate) fn of_text(
        data: &mut SeriesConfig,
        codec: Option<&Codec>,
        (text, path, sha256): (Vec<u8>, PathBuf, String),
    ) -> Result<Self> {
        let bundled = data.file.as_deref() == Some(Path::new(BUNDLED));
        let model = match codec {
            Some(Codec::Series { scale, series, .. }) => Some((*scale, series)),
            _ => None,
        };
        let of_model = model.map(|(_, codec)| codec);
        let columns = csv_columns(&text, &path)?;
        let long = long_form(data, of_model, &columns, &path)?;
        let panel = as_the_model("panel", &mut data.panel, of_model.map(|codec| codec.panel), long.is_some())?;
        if long.is_some() && !panel {
            return Err(unsupported("--panel=false: the ids of --id are the series of a panel"));
        }
        let named = if long.is_none() {
            roles(data, of_model, &columns, &|| number_columns(&text, &path), &path)?
        } else {
            ColumnRoles::default()
        };
        let view = View::read(data, model, bundled, panel)?;
        let View { frame, scale, scale_over, calendar, relative, segment, classes, ids: is_input } = view;
        let of_missing = of_model.map(|codec| name_of(codec.missing));
        let missing = missing_as_the_model(&mut data.missing, of_missing)?;
        dates_as_the_model(&mut data.dates, of_model.and_then(|codec| codec.dates))?;
        let of_decimal = of_model.and_then(|codec| codec.decimal);
        let limit = limit(data.input_limit);
        let read = |mark| match &long {
            Some(form) => SeriesTable::long_csv_within(&text, &path, form, mark, data.dates, limit),
            None => SeriesTable::csv_within(&text, &path, &named.columns(), mark, limit),
        };
        let table = written_alike(data.decimal, of_decimal, |table: &SeriesTable| table.decimal, read)?;
        drop(text);
        let mut notes = table.notes.clone();
        let roles = if long.is_some() { ids(&table, of_model, &path, &mut notes)? } else { named };
        let table = SeriesTable { dates: data.dates.or(table.dates), ..table };
        let (series, gaps) = with_gaps(table, &roles, panel, !calendar.is_empty(), missing, model.is_some(), &path)?;
        let what = if of_model.is_some() { "the calendar of the model" } else { "--calendar" };
        series.check_calendar(&calendar).map_err(|error| in_flag(what, error).in_file(&path))?;
        notes.extend(of_model.into_iter().flat_map(|codec| unknown_classes(codec, &series)));
        Ok(Self {
            name: path.file_stem().map_or("series".into(), |stem| stem.to_string_lossy().into_owned()),
            file: if bundled { "bundled".into() } else { crate::format::path_text(&path) },
            path,
            series,
            frame,
            scale,
            scale_over,
            calendar,
            relative,
            segment,
            panel,
            long,
            classes,
            ids: is_input,
            gaps,
            notes,
            sha256,
        })
    }

    /// The rows of a target before `train_end`.
    fn rows_before(&self, target: usize, train_end: usize) -> usize {
        let rows = self.series.rows_of(target);
        train_end.min(rows.end).saturating_sub(rows.start)
    }

    /// Whether a target has no training window in the rows before `train_end`.
    pub(crate) fn is_short(&self, target: usize, train_end: usize) -> bool {
        self.rows_before(target, train_end) < self.frame.rows()
    }

    /// Leaves out the series of a panel that have no training window, or refuses them.
    ///
    /// # Errors
    /// [`Error::Value`] names the first of them, unless `data` want them left out; [`Error::Unsupported`] if none is
    /// left, or there is no panel.
    pub(super) fn leave_out_short(&mut self, data: &mut SeriesConfig, train_end: usize) -> Result<()> {
        let drops = data.drop_short == Some(true);
        if !self.panel {
            return if drops { Err(unsupported("series.drop-short is for the series of a --panel")) } else { Ok(()) };
        }
        let targets = self.series.targets().iter().map(|column| column.name.as_str()).enumerate();
        let short: Vec<(usize, &str)> = targets.filter(|(target, _)| self.is_short(*target, train_end)).collect();
        let Some((first, name)) = short.first() else { return Ok(()) };
        if !drops {
            let Frame { window, horizon } = self.frame;
            let what = format!("series {name:?}");
            let last = &self.series.labels()[train_end - 1];
            let expected = format!(
                "at least {} rows up to {last}, a window of {window} and a horizon of {horizon}",
                self.frame.rows()
            );
            let others =
                if short.len() > 1 { format!(", and {} more are short", short.len() - 1) } else { String::new() };
            let got = format!(
                "{}{others}; --set series.drop-short=true leaves them out",
                self.rows_before(*first, train_end)
            );
            return Err(Error::Value { what, expected, got }.in_file(&self.path));
        }
        let names = list_names(short.iter().map(|(_, name)| *name));
        let note =
            format!("left out, too short for a training window: {} series, {names}", grouped(short.len() as u64));
        let indices: Vec<usize> = short.iter().map(|(target, _)| *target).collect();
        self.series.remove_targets(&indices).map_err(|error| error.in_file(&self.path))?;
        let kept: HashSet<&str> = self.series.columns().map(|column| column.name.as_str()).collect();
        self.gaps.retain(|(name, _)| kept.contains(name.as_str()));
        if self.long.is_none() {
            data.target = Some(self.series.targets().iter().map(|column| column.name.clone()).collect());
        }
        self.notes.push(note);
        Ok(())
    }

    /// Fits a codec to the rows before `train_end`.
    ///
    /// # Errors
    /// Those of [`SeriesCodec::fit`].
    pub(super) fn fit(&self, train_end: usize) -> Result<SeriesCodec> {
        let others: HashSet<&str> =
            self.series.features().iter().chain(self.series.known()).map(|column| column.name.as_str()).collect();
        let kind = |name: &str| self.scale.of_column(!others.contains(name));
        let codec = SeriesCodec::fit(&self.series, self.frame, train_end, kind)?;
        let codec = match self.scale_over {
            ScaleOverName::All => codec.scale_together(&self.series, train_end, self.scale.into()),
            ScaleOverName::Series => codec,
        };
        let codec = codec.calendar(self.calendar.clone()).relative_to(self.relative).segment(self.segment);
        let codec = codec.with_members(&self.series, &self.classes, self.ids)?;
        Ok(SeriesCodec { long: self.long.clone(), ..codec })
    }

    /// Whether the file is in long form.
    pub(crate) fn is_long(&self) -> bool {
        self.long.is_some()
    }

    /// Notes on how the file was read, and on rows missing in time.
    pub fn remarks(&self) -> Vec<String> {
        let gaps = self.series.time_gaps();
        let gaps = gaps.map(|gaps| {
            format!(
                "{gaps}; windows cross these gaps as if no time had passed; add rows with the missing times and no \
                 values, and --missing, to keep the steps even"
            )
        });
        // Windows count rows, and not time.
        let uneven = self.series.uneven_steps().map(|steps| {
            format!("{steps}; windows count rows and not time: resample the rows to even steps if time matters")
        });
        self.notes.iter().chain(self.series.notes()).cloned().chain(gaps).chain(uneven).collect()
    }

    /// What tells the series of a panel apart for the network, in words; `None` if nothing does.
    fn members_line(&self) -> Option<String> {
        let statics = list_names(self.series.statics().iter().map(|column| column.name.as_str()));
        let statics = (!self.series.statics().is_empty()).then(|| format!("static {statics}"));
        let members = grouped(self.series.targets().len() as u64);
        let ids = self
            .ids
            .then(|| format!("a learned vector for each series ({members} inputs, all multiplied at each step)"));
        let parts: Vec<String> = statics.into_iter().chain(ids).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// The data in words, a line each.
    pub(crate) fn describe(&self, span: &str) -> Vec<String> {
        let Self { name, file, series, frame, .. } = self;
        let names = |columns: &[crate::data::Column]| list_names(columns.iter().map(|column| column.name.as_str()));
        let lone = series.columns().count() == 1 && self.long.is_none();
        let column = if lone { format!(", column {}", names(series.targets())) } else { String::new() };
        let rows = grouped(series.len() as u64);
        let rows = if self.long.is_some() { format!("{rows} times") } else { format!("{rows} rows") };
        let mut lines = vec![format!("{name} ({file}){column}, {} {span}, {rows}", series.label_name())];
        lines.extend(self.remarks());
        if !lone {
            let targets = match series.targets().len() {
                1 if self.panel => "one series".to_owned(),
                count if self.panel => format!("{} series under one network", grouped(count as u64)),
                1 => "target".to_owned(),
                _ => "targets".to_owned(),
            };
            let roles = [
                (targets.as_str(), series.targets()),
                ("features", series.features()),
                ("known in advance", series.known()),
            ];
            let roles = roles.iter().filter(|(_, columns)| !columns.is_empty());
            let roles: Vec<String> = roles.map(|(role, columns)| format!("{role} {}", names(columns))).collect();
            lines.push(roles.join("; "));
        }
        if !self.calendar.is_empty() {
            lines.push(format!("calendar: {}", CalendarInput::words(&self.calendar)));
        }
        lines.extend(self.members_line());
        let windows = [
            Some(format!("windows of {}", frame.window)),
            (self.segment > 1).then(|| format!("read in {} segments of {}", frame.window / self.segment, self.segment)),
            seen(self.relative).map(str::to_owned),
            Some(ahead(frame.horizon)),
        ];
        lines.push(windows.into_iter().flatten().collect::<Vec<_>>().join(", "));
        lines.extend(missing_line(&self.gaps, series.missing(), FILLED));
        lines
    }
}

/// The static columns in which a model does not know the class of some series, in words.
fn unknown_classes(codec: &SeriesCodec, series: &Series) -> Vec<String> {
    let of = |(known, column): (&StaticCodec, &StaticColumn)| {
        let unknown = known.unknown(column);
        let first = &column.texts[*unknown.first()?];
        let count = grouped(unknown.len() as u64);
        Some(format!(
            "static {}: {first:?} is unknown to the model, and so {count} series have none of its classes",
            column.name
        ))
    };
    codec.statics.iter().zip(series.statics()).filter_map(of).collect()
}

/// What is missing and how it is handled, in words, `filled` if it is; `None` if nothing is.
pub(in crate::experiment::tasks) fn missing_line(
    gaps: &[(String, usize)],
    missing: MissingPolicy,
    filled: &str,
) -> Option<String> {
    let gaps: Vec<String> = gaps.iter().map(|(name, count)| format!("{} of {name}", grouped(*count as u64))).collect();
    let what = match missing {
        MissingPolicy::Mask => "0, and a mask column that marks them",
        _ => filled,
    };
    (!gaps.is_empty()).then(|| format!("missing: {}; {what}", gaps.join(", ")))
}

/// What to do about targets that are not counts.
pub(in crate::experiment) const NO_COUNTS: &str =
    "--loss negative-binomial is for counts; gaussian, student-t and quantile are for other numbers";

/// What windows are seen from, in words; `None` if nothing in them.
fn seen(relative: RelativeTo) -> Option<&'static str> {
    match relative {
        RelativeTo::None => None,
        RelativeTo::Last => Some("relative to their last value"),
        RelativeTo::Mean => Some("relative to their mean"),
        RelativeTo::Standard => Some("relative to their mean and deviation"),
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

pub(in crate::experiment::tasks) fn name_of(missing: MissingPolicy) -> MissingName {
    match missing {
        MissingPolicy::Refuse => MissingName::Error,
        MissingPolicy::Forward => MissingName::Ffill,
        MissingPolicy::Mask => MissingName::Mask,
    }
}

/// The series with its missing values handled, and their number by column. `future_times`: rows after the last target are
/// the future. `trained`: for an existing model.
pub(in crate::experiment::tasks) fn with_gaps(
    table: SeriesTable,
    roles: &ColumnRoles,
    panel: bool,
    future_times: bool,
    missing: MissingName,
    trained: bool,
    path: &Path,
) -> Result<(Series, Vec<(String, usize)>)> {
    let read = if future_times { Series::with_future_times } else { Series::new };
    let masked = read(table, roles, MissingPolicy::Mask).map_err(|error| error.in_file(path))?;
    let masked = if panel { masked.into_panel() } else { masked };
    let gaps = masked.gaps().into_iter().filter(|(_, count)| *count > 0);
    let gaps = gaps.map(|(column, count)| (column.name.clone(), count)).collect();
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

pub(in crate::experiment) fn with_advice(error: Error, advice: &[&str]) -> Error {
    let advice = if advice.is_empty() { String::new() } else { format!("; {}", advice.join(", ")) };
    match error {
        Error::Data { path, place, message } => Error::Data { path, place, message: format!("{message}{advice}") },
        other => other,
    }
}

/// As in `1921–1955`.
pub(in crate::experiment::tasks) fn span(series: &Series, rows: &Range<usize>) -> String {
    format!("{}–{}", series.labels()[rows.start], series.labels()[rows.end - 1])
}

/// The parts of a split in words: on one line, as years fit, or on a line each, as dates with hours do.
pub(in crate::experiment::tasks) fn split_lines(series: &Series, split: &SeriesSplit) -> Vec<String> {
    let words =
        |(part, rows): (&str, &Range<usize>)| format!("{part} {} ({})", span(series, rows), grouped(rows.len() as u64));
    let parts: Vec<String> = split.parts().map(words).collect();
    if parts.iter().map(|part| part.chars().count()).sum::<usize>() > 90 { parts } else { vec![parts.join(", ")] }
}

/// The splits of a series, from the settings or by default.
pub(in crate::experiment::tasks) fn split(
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
            let end = test_end(series, data.test_until.as_deref(), rows, until)?;
            SeriesSplit::at(end, frame, rows, data.validation.unwrap_or_default())
        }
        None => {
            let default = of_training.default_shares([0.7, 0.15, 0.15]);
            SeriesSplit::shares(series.len(), frame, shares(&mut data.split, default)?)
        }
    };
    split.map_err(|error| error.in_file(path))
}

/// The number of rows up to the last one of the test part.
fn test_end(series: &Series, until: Option<&str>, train_end: usize, train_until: &str) -> Result<usize> {
    let Some(until) = until else { return Ok(series.len()) };
    let end = series.rows_until(until).map_err(|error| in_flag("--test-until", error))?;
    if end < train_end {
        return Err(unsupported(format!("--test-until {until}: expected a row after --train-until {train_until}")));
    }
    Ok(end)
}
