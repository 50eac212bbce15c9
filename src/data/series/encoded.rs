//! A series as the inputs of a network.

use std::sync::Arc;

use ndarray::{Array2, ArrayViewMut1, ArrayViewMut2, Axis, s};

use super::calendar;
use super::calendar::CalendarRows;
use super::codec::in_units;
use crate::data::{Column, ColumnCodec, Frame, Scaling, Series, SeriesCodec, list_names};
use crate::error::{Error, Result};

/// The most rows beyond the last whose calendar is held in memory.
const MOST_AHEAD: usize = 1 << 24;

/// A series with what encodes it; [`SeriesCodec`] defines the order of its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedSeries {
    pub(super) codec: SeriesCodec,
    pub(super) series: Series,
    /// The features in scaled units, then their masks: \[rows, inputs\].
    features: Array2<f32>,
    /// The known columns and their masks, likewise, as far as all of them are known.
    known: Array2<f32>,
    /// The calendar of all rows with a label.
    calendar: CalendarRows,
    /// The static columns of each member: \[members, inputs\].
    statics: Array2<f32>,
}

/// The rows that a forecast of one member reads.
pub(super) struct Window<'a> {
    member: usize,
    /// The first predicted row.
    first: usize,
    /// The W values before it of each target of the member; NaN if missing.
    pub(super) shown: Vec<&'a [f64]>,
    /// How each is scaled, in the window and in its forecast.
    pub(super) scalings: Vec<Scaling>,
    /// The calendar of the rows after the last label.
    pub(super) ahead: Option<&'a CalendarRows>,
}

impl EncodedSeries {
    /// The series in the units of the data.
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// The codec that encoded it.
    pub fn codec(&self) -> &SeriesCodec {
        &self.codec
    }

    /// The window of a member before row `first`.
    pub(super) fn window(&self, member: usize, first: usize) -> Window<'_> {
        let rows = first - self.codec.frame.window..first;
        self.window_of(member, first, |target| &self.series.targets()[target].values[rows.clone()])
    }

    /// The same with these W values of each target.
    pub(super) fn window_of<'a>(&self, member: usize, first: usize, shown: impl Fn(usize) -> &'a [f64]) -> Window<'a> {
        let targets = self.codec.targets_of(member);
        let shown: Vec<&[f64]> = targets.clone().map(shown).collect();
        let columns = self.codec.targets[targets].iter().zip(&shown);
        let scalings = columns.map(|(column, shown)| self.codec.relative.scaling(column.scaling, shown)).collect();
        Window { member, first, shown, scalings, ahead: None }
    }

    /// Writes x, \[W / N, I\], of a window.
    pub(super) fn write_inputs(&self, window: &Window<'_>, mut x: ArrayViewMut2<'_, f32>) {
        let Frame { window: rows, horizon } = self.codec.frame;
        let calendar = self.codec.row_size() - calendar::width(&self.codec.calendar);
        let past = calendar - self.known.ncols();
        let mut row = 0;
        for step in x.rows_mut() {
            let (mut step, mut of_member) = step.split_at(Axis(0), self.codec.segment * self.codec.row_size());
            if self.codec.member_size() > 0 {
                let fixed = self.codec.static_size();
                of_member.slice_mut(s![..fixed]).assign(&self.statics.row(window.member));
                if self.codec.ids {
                    of_member.slice_mut(s![fixed..]).fill(0.0);
                    of_member[fixed + window.member] = 1.0;
                }
            }
            for mut inputs in step.exact_chunks_mut(self.codec.row_size()) {
                self.write_past(window, row, inputs.slice_mut(s![..past]));
                if self.known.ncols() > 0 {
                    inputs.slice_mut(s![past..calendar]).assign(&self.known.row(window.first + horizon - rows + row));
                }
                self.write_calendar(window, window.first + horizon - rows + row, inputs.slice_mut(s![calendar..]));
                row += 1;
            }
        }
    }

    /// Writes the calendar of a row.
    fn write_calendar(&self, window: &Window<'_>, row: usize, inputs: ArrayViewMut1<'_, f32>) {
        match (window.ahead, row.checked_sub(self.calendar.len())) {
            (Some(ahead), Some(row)) => ahead.write(row, inputs),
            _ => self.calendar.write(row, inputs),
        }
    }

    /// The number of rows from `first` on whose calendar is known, for a forecast of `steps` rows by whole horizons, and
    /// that of the rows after the last label. `known` limits the rows that are read.
    ///
    /// # Errors
    /// [`Error::Value`] if the calendar of the `steps` is unknown.
    pub(super) fn calendar_reach(
        &self,
        first: usize,
        steps: usize,
        known: usize,
    ) -> Result<(usize, Option<CalendarRows>)> {
        let (calendar, horizon) = (&self.codec.calendar, self.codec.frame.horizon);
        let labelled = self.calendar.len().saturating_sub(first);
        let rows = steps.div_ceil(horizon).saturating_mul(horizon).min(known);
        if calendar.is_empty() || rows <= labelled {
            return Ok((usize::MAX, None));
        }
        if rows > MOST_AHEAD {
            let what = "the steps of the forecast";
            return Err(Error::value(what, format!("at most {MOST_AHEAD} with a calendar"), steps));
        }
        let ahead = self
            .series
            .times_ahead(rows - labelled)
            .and_then(|(times, label)| CalendarRows::new(calendar, &times, &label).map_err(|error| error.to_string()));
        match ahead {
            Ok(ahead) => Ok((usize::MAX, Some(ahead))),
            Err(_) if labelled >= steps => Ok((labelled, None)),
            Err(why) => {
                let got = format!(
                    "times for {labelled}: {why}; add rows with the times to come and no values, or train without a calendar"
                );
                let expected = format!("times for {steps} rows from the first of the forecast on");
                Err(Error::value("the calendar", expected, got))
            }
        }
    }

    /// Refuses a calendar of which an input is the same in all rows before `train_end`, from which nothing can be
    /// learned.
    ///
    /// # Errors
    /// [`Error::Value`] names the first.
    pub fn check_calendar(&self, train_end: usize) -> Result<()> {
        self.calendar.check_varies(&self.codec.calendar, train_end)
    }

    /// Writes the targets, the features and their masks of a row of a window.
    fn write_past(&self, window: &Window<'_>, row: usize, mut inputs: ArrayViewMut1<'_, f32>) {
        let (targets, features) = (window.shown.len(), self.codec.features.len());
        let mut mask = targets + features;
        for (target, (shown, scaling)) in window.shown.iter().zip(&window.scalings).enumerate() {
            let value = shown[row];
            inputs[target] = in_units(*scaling, value);
            // All targets of a member or none: the codec of a panel gives them a mask alike.
            if self.codec.targets[target].masked {
                inputs[mask] = f32::from(u8::from(!value.is_nan()));
                mask += 1;
            }
        }
        if features > 0 {
            let of = self.features.row(window.first - self.codec.frame.window + row);
            inputs.slice_mut(s![targets..targets + features]).assign(&of.slice(s![..features]));
            inputs.slice_mut(s![mask..]).assign(&of.slice(s![features..]));
        }
    }

    /// Target values of a forecast from row `first` on with the scaling of the window: \[K·Q\].
    fn targets<'a>(&'a self, member: usize, window: &'a Window<'_>) -> impl Iterator<Item = (f64, Scaling)> + use<'a> {
        let rows = window.first..window.first + self.codec.frame.horizon;
        let columns = &self.series.targets()[self.codec.targets_of(member)];
        rows.flat_map(move |row| {
            let values = columns.iter().map(move |column| column.values[row]);
            values.zip(window.scalings.iter().copied())
        })
    }

    /// The same in the units of a window.
    pub(super) fn scale_targets<'a>(
        &'a self,
        member: usize,
        window: &'a Window<'_>,
    ) -> impl Iterator<Item = f32> + use<'a> {
        self.targets(member, window).map(|(value, scaling)| in_units(scaling, value))
    }

    /// The same as counts, each with its unit; 0 if it is missing.
    pub(super) fn counts<'a>(
        &'a self,
        member: usize,
        window: &'a Window<'_>,
    ) -> impl Iterator<Item = [f32; 2]> + use<'a> {
        let count = |value: f64| if value.is_nan() { 0.0 } else { value as f32 };
        self.targets(member, window).map(move |(value, scaling)| [count(value), scaling.unit as f32])
    }
}

impl SeriesCodec {
    /// Encodes `series`.
    ///
    /// # Errors
    /// [`Error::Value`] if it has other columns, or labels that do not determine the calendar, is a panel and the codec of
    /// none or the other way round, a missing value in a column without a mask, or a scaled value beyond f32.
    pub fn encode(&self, series: Series) -> Result<Arc<EncodedSeries>> {
        self.validate()?;
        let pairs =
            [(series.targets(), &self.targets), (series.features(), &self.features), (series.known(), &self.known)];
        for (columns, codecs) in pairs {
            if !columns.iter().map(|column| &column.name).eq(codecs.iter().map(|codec| &codec.name)) {
                let expected = list_names(self.roles().columns());
                let got = list_names(series.columns().map(|column| column.name.as_str()));
                return Err(Error::value("the columns of the series", expected, got));
            }
        }
        if series.is_panel() != self.panel {
            let words = |panel| if panel { "a panel: each target by itself" } else { "all targets together" };
            return Err(Error::value("the series", words(self.panel), words(series.is_panel())));
        }
        for (target, (column, codec)) in series.targets().iter().zip(&self.targets).enumerate() {
            series.rows_of(target).try_for_each(|row| scaled(&series, column, codec, row).map(drop))?;
            self.check_relative(column, codec)?;
        }
        let features = scaled_columns(&series, series.features(), &self.features, series.len())?;
        let known_rows = series.known().iter().map(|column| column.values.len()).min().unwrap_or_default();
        let known = scaled_columns(&series, series.known(), &self.known, known_rows)?;
        let calendar = match &self.calendar[..] {
            [] => CalendarRows::default(),
            inputs => CalendarRows::new(inputs, &series.times()?, &series.labels()[0])?,
        };
        let statics = self.encode_statics(&series)?;
        Ok(Arc::new(EncodedSeries { codec: self.clone(), series, features, known, calendar, statics }))
    }

    /// The static columns of each member: \[members, inputs\].
    fn encode_statics(&self, series: &Series) -> Result<Array2<f32>> {
        let names = |names: Vec<&str>| list_names(names);
        let (expected, got): (Vec<&str>, Vec<&str>) = (
            self.statics.iter().map(|codec| &codec.name[..]).collect(),
            series.statics().iter().map(|column| &column.name[..]).collect(),
        );
        if expected != got {
            return Err(Error::value("the static columns of the series", names(expected), names(got)));
        }
        let mut statics = Array2::zeros((self.members(), self.static_size()));
        for (member, mut row) in statics.rows_mut().into_iter().enumerate() {
            let mut place = 0;
            for (codec, column) in self.statics.iter().zip(series.statics()) {
                codec.write(column, member, row.slice_mut(s![place..place + codec.width()]))?;
                place += codec.width();
            }
        }
        Ok(statics)
    }

    /// Refuses a target whose values are too far apart for a window's own scaling.
    fn check_relative(&self, column: &Column, codec: &ColumnCodec) -> Result<()> {
        if self.relative.is_none() {
            return Ok(());
        }
        let present = column.values.iter().filter(|value| !value.is_nan());
        let (least, most) = present.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        let unit = self.relative.least_unit(codec.scaling);
        if least <= most && !(((most - least) / unit) as f32).is_finite() {
            let expected = format!("numbers within f32 of each other in units of {unit}");
            return Err(Error::value(format!("column {:?}", column.name), expected, format!("{least} to {most}")));
        }
        Ok(())
    }
}

/// Values, then masks: \[rows, inputs\].
pub(super) fn scaled_columns(
    series: &Series,
    columns: &[Column],
    codecs: &[ColumnCodec],
    rows: usize,
) -> Result<Array2<f32>> {
    let masks = codecs.iter().filter(|codec| codec.masked).count();
    let mut inputs = Array2::zeros((rows, columns.len() + masks));
    let mut mask = columns.len();
    for (index, (column, codec)) in columns.iter().zip(codecs).enumerate() {
        for row in 0..rows {
            inputs[[row, index]] = scaled(series, column, codec, row)?;
        }
        if codec.masked {
            let present = column.values[..rows].iter().map(|value| f32::from(u8::from(!value.is_nan())));
            inputs.slice_mut(s![.., mask]).iter_mut().zip(present).for_each(|(input, present)| *input = present);
            mask += 1;
        }
    }
    Ok(inputs)
}

/// A value in the units of its column, which must exist if the column has no mask.
fn scaled(series: &Series, column: &Column, codec: &ColumnCodec, row: usize) -> Result<f32> {
    codec.input(column.values[row]).map_err(|(expected, got)| Error::value(series.place(row, column), expected, got))
}

#[cfg(test)]
impl EncodedSeries {
    /// The targets, the features and their masks of all rows, in units of the columns: \[rows, inputs\].
    pub(super) fn past(&self) -> Array2<f32> {
        let codec = SeriesCodec { relative: crate::data::RelativeTo::None, ..self.codec.clone() };
        let rows = self.series.len();
        let encoded =
            Self { codec: SeriesCodec { frame: Frame { window: rows, ..codec.frame }, ..codec }, ..self.clone() };
        let window = encoded.window(0, rows);
        let known = self.known.ncols() + calendar::width(&self.codec.calendar);
        let mut past = Array2::zeros((rows, encoded.codec.row_size() - known));
        past.rows_mut().into_iter().enumerate().for_each(|(row, inputs)| encoded.write_past(&window, row, inputs));
        past
    }

    /// The known columns and their masks.
    pub(super) fn known(&self) -> &Array2<f32> {
        &self.known
    }
}
