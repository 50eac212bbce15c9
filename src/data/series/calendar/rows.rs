//! The calendar of rows as inputs.

use std::f64::consts::TAU;

use ndarray::ArrayViewMut1;

use super::input::{CalendarEncoding, CalendarField, CalendarInput};
use crate::allocate;
use crate::data::times::CivilTimes;
use crate::data::times::label::calendar::{TimeUnit, day_of};
use crate::error::{Error, Result};

/// The number of inputs of a calendar.
pub(in crate::data::series) fn width(inputs: &[CalendarInput]) -> usize {
    inputs.iter().map(|input| input.inputs()).sum()
}

/// The calendar of rows, in the order of its inputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::data::series) struct CalendarRows {
    columns: Vec<CalendarColumn>,
}

/// A field of all rows.
#[derive(Clone, Debug, PartialEq)]
enum CalendarColumn {
    /// Sine and cosine.
    Sines(Vec<[f32; 2]>),
    /// The class, of how many.
    Classes(Vec<u16>, usize),
}

impl CalendarRows {
    /// The calendar of rows at `times`, the first of which is labelled `example`.
    ///
    /// # Errors
    /// [`Error::Value`] if the times do not determine a field: the hour of a date without a time of day, the weekday of
    /// a month; [`Error::NoMemory`] without memory.
    pub(in crate::data::series) fn new(inputs: &[CalendarInput], times: &CivilTimes, example: &str) -> Result<Self> {
        Self::check(inputs, times, example)?;
        let mut columns = Vec::new();
        for input in inputs {
            let positions = times.walls.iter().map(|wall| match day_of(*wall) {
                Some((date, since)) => input.field.position(date, since),
                None => [0, 1],
            });
            columns.push(match input.encoding {
                CalendarEncoding::Sines => CalendarColumn::Sines(collected(positions.map(sines))?),
                CalendarEncoding::Classes => {
                    CalendarColumn::Classes(collected(positions.map(|[class, _]| class))?, input.field.classes())
                }
            });
        }
        Ok(Self { columns })
    }

    /// Refuses fields that times do not determine.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub(in crate::data::series) fn check(inputs: &[CalendarInput], times: &CivilTimes, example: &str) -> Result<()> {
        inputs.iter().try_for_each(|input| check(input.field, times, example))
    }

    /// Refuses a field that is the same in the first `rows` rows, from which nothing can be learned.
    ///
    /// # Errors
    /// [`Error::Value`] names the first.
    pub(in crate::data::series) fn check_varies(&self, inputs: &[CalendarInput], rows: usize) -> Result<()> {
        let constant = |column: &CalendarColumn| match column {
            CalendarColumn::Sines(all) => all.iter().take(rows).all(|sines| *sines == all[0]),
            CalendarColumn::Classes(all, _) => all.iter().take(rows).all(|class| *class == all[0]),
        };
        let Some((_, input)) = self.columns.iter().zip(inputs).find(|(column, _)| constant(column)) else {
            return Ok(());
        };
        let name = input.field.name();
        let got = format!("the same {name} in all {rows} of them; leave out {name}");
        Err(Error::value("the calendar", format!("a {name} that differs between training rows"), got))
    }

    /// Writes the inputs of a row.
    pub(in crate::data::series) fn write(&self, row: usize, mut to: ArrayViewMut1<'_, f32>) {
        let mut at = 0;
        for column in &self.columns {
            match column {
                CalendarColumn::Sines(all) => {
                    [to[at], to[at + 1]] = all[row];
                    at += 2;
                }
                CalendarColumn::Classes(all, classes) => {
                    let class = usize::from(all[row]);
                    (0..*classes).for_each(|index| to[at + index] = if index == class { 1.0 } else { 0.0 });
                    at += classes;
                }
            }
        }
    }

    /// The number of rows.
    pub(in crate::data::series) fn len(&self) -> usize {
        match self.columns.first() {
            Some(CalendarColumn::Sines(all)) => all.len(),
            Some(CalendarColumn::Classes(all, _)) => all.len(),
            None => 0,
        }
    }
}

/// Sine and cosine of a position in its cycle.
fn sines([position, cycle]: [u16; 2]) -> [f32; 2] {
    let (sine, cosine) = (TAU * f64::from(position) / f64::from(cycle)).sin_cos();
    [sine as f32, cosine as f32]
}

fn collected<T>(items: impl Iterator<Item = T>) -> Result<Vec<T>> {
    allocate::collect(items, "the calendar of rows")
}

/// Refuses a field that labels like these do not determine.
fn check(field: CalendarField, times: &CivilTimes, example: &str) -> Result<()> {
    use CalendarField::{Hour, Minute, Month, Quarter, Week};
    let determined = match times.unit {
        TimeUnit::Moment => !matches!(field, Minute | Hour) || times.has_clock,
        TimeUnit::Month => matches!(field, Month | Quarter),
        TimeUnit::Quarter => field == Quarter,
        TimeUnit::Week => field == Week,
        TimeUnit::Half | TimeUnit::Year | TimeUnit::Clock => false,
    };
    if determined {
        return Ok(());
    }
    let name = field.name();
    let (expected, what) = match times.unit {
        TimeUnit::Moment => ("times of day", "dates without a time"),
        TimeUnit::Month => ("dates with a day", "months"),
        TimeUnit::Week => ("dates", "weeks"),
        TimeUnit::Quarter => ("dates", "quarters"),
        TimeUnit::Half => ("dates", "half years"),
        TimeUnit::Year | TimeUnit::Clock => ("dates", "times without a date"),
    };
    let why = if times.unit == TimeUnit::Moment { ": the column would be constant" } else { "" };
    let got = format!("{what} such as {example:?}{why}; leave out {name}");
    Err(Error::value("the calendar", format!("{expected} for the {name}"), got))
}
