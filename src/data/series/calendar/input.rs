//! Which calendar fields are inputs, and as what numbers.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::data::times::label::calendar::{HOUR, MINUTE};
use crate::error::{Error, Result};

/// A part of a date or a time of day that repeats. The names are those of `Series.dt` in pandas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalendarField {
    /// The minute of the hour.
    Minute,
    /// The hour of the day.
    Hour,
    /// The day of the week, from Monday on.
    Weekday,
    /// The day of the month.
    Day,
    /// The week of the year, by ISO 8601.
    Week,
    /// The month of the year.
    Month,
    /// The quarter of the year.
    Quarter,
    /// The day of the year.
    DayOfYear,
}

/// The numbers that stand for a calendar field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CalendarEncoding {
    /// Two inputs, sin(2π·p/n) and cos(2π·p/n), for position p, from 0 on, in a cycle of n. For days of a month, weeks
    /// and days of a year, n is that of the month or year at hand, so that its last day is next to the first of the
    /// following one.
    #[default]
    Sines,
    /// One input for each position: 1 for that of the row, and 0 for all others (one-hot).
    Classes,
}

/// A calendar field as inputs of a network. Its text is `hour`, `weekday:classes` and so on.
///
/// ```
/// use bptt::data::{CalendarEncoding, CalendarField, CalendarInput};
///
/// let input: CalendarInput = "weekday:classes".parse()?;
/// assert_eq!((input.field, input.encoding), (CalendarField::Weekday, CalendarEncoding::Classes));
/// assert_eq!((input.inputs(), input.to_string().as_str()), (7, "weekday:classes"));
/// # Ok::<(), bptt::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CalendarInput {
    /// What is read of a time.
    pub field: CalendarField,
    /// How it is encoded.
    pub encoding: CalendarEncoding,
}

impl CalendarField {
    /// All fields, from the shortest cycle on.
    pub const ALL: [Self; 8] =
        [Self::Minute, Self::Hour, Self::Weekday, Self::Day, Self::Week, Self::Month, Self::Quarter, Self::DayOfYear];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Weekday => "weekday",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::DayOfYear => "dayofyear",
        }
    }

    /// The most positions of a cycle, which is the number of classes.
    pub fn classes(self) -> usize {
        match self {
            Self::Minute => 60,
            Self::Hour => 24,
            Self::Weekday => 7,
            Self::Day => 31,
            Self::Week => 53,
            Self::Month => 12,
            Self::Quarter => 4,
            Self::DayOfYear => 366,
        }
    }

    /// The position of a time in its cycle, from 0 on, and the length of the cycle. `since`: nanoseconds since the start
    /// of the day.
    pub(super) fn position(self, date: Date, since: i128) -> [u16; 2] {
        let small = |number: i8| u16::try_from(number).unwrap_or_default();
        match self {
            Self::Minute => [u16::try_from(since / MINUTE % 60).unwrap_or_default(), 60],
            Self::Hour => [u16::try_from(since / HOUR % 24).unwrap_or_default(), 24],
            Self::Weekday => [small(date.weekday().to_monday_zero_offset()), 7],
            Self::Day => [small(date.day() - 1), small(date.days_in_month())],
            Self::Week => {
                let week = date.iso_week_date();
                [small(week.week() - 1), small(week.weeks_in_year())]
            }
            Self::Month => [small(date.month() - 1), 12],
            Self::Quarter => [small((date.month() - 1) / 3), 4],
            Self::DayOfYear => {
                [date.day_of_year() - 1, date.days_in_year()].map(|days| u16::try_from(days).unwrap_or_default())
            }
        }
    }
}

impl CalendarInput {
    /// The number of inputs.
    pub fn inputs(self) -> usize {
        match self.encoding {
            CalendarEncoding::Sines => 2,
            CalendarEncoding::Classes => self.field.classes(),
        }
    }

    /// In words: `hour, weekday as sines; month as classes`.
    #[cfg(feature = "experiment")]
    pub(crate) fn words(inputs: &[Self]) -> String {
        let of = |encoding, words: &str| {
            let names: Vec<&str> =
                inputs.iter().filter(|input| input.encoding == encoding).map(|input| input.field.name()).collect();
            (!names.is_empty()).then(|| format!("{} as {words}", names.join(", ")))
        };
        let parts = [of(CalendarEncoding::Sines, "sines"), of(CalendarEncoding::Classes, "classes")];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for CalendarInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field.name())?;
        if self.encoding == CalendarEncoding::Classes { f.write_str(":classes") } else { Ok(()) }
    }
}

impl FromStr for CalendarInput {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, encoding) = match text.trim().split_once(':') {
            None => (text.trim(), CalendarEncoding::Sines),
            Some((name, "sines")) => (name, CalendarEncoding::Sines),
            Some((name, "classes")) => (name, CalendarEncoding::Classes),
            Some((_, other)) => {
                return Err(Error::value(format!("calendar {text:?}"), "sines or classes after the colon", other));
            }
        };
        match CalendarField::ALL.into_iter().find(|field| field.name() == name) {
            Some(field) => Ok(Self { field, encoding }),
            None => {
                let names = CalendarField::ALL.map(CalendarField::name);
                Err(Error::value("a calendar field", format!("one of {}", names.join(", ")), format!("{name:?}")))
            }
        }
    }
}

impl TryFrom<String> for CalendarInput {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<CalendarInput> for String {
    fn from(input: CalendarInput) -> Self {
        input.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_as_it_is_written() {
        for field in CalendarField::ALL {
            for encoding in [CalendarEncoding::Sines, CalendarEncoding::Classes] {
                let input = CalendarInput { field, encoding };
                assert_eq!(input.to_string().parse::<CalendarInput>().unwrap(), input);
                let json = serde_json::to_string(&input).unwrap();
                assert_eq!(serde_json::from_str::<CalendarInput>(&json).unwrap(), input);
            }
        }
        assert_eq!("hour:sines".parse::<CalendarInput>().unwrap().to_string(), "hour");
        let error = |text: &str| text.parse::<CalendarInput>().unwrap_err().to_string();
        assert!(error("yearday").contains("one of minute, hour, weekday, day, week, month, quarter, dayofyear"));
        assert!(error("hour:onehot").contains("sines or classes after the colon, got onehot"));
    }

    #[test]
    fn positions_are_those_of_the_month_and_year_at_hand() {
        let at = |field: CalendarField, year, month, day| field.position(Date::constant(year, month, day), 0);
        assert_eq!(at(CalendarField::Day, 2024, 2, 29), [28, 29]);
        assert_eq!(at(CalendarField::Day, 2023, 1, 31), [30, 31]);
        assert_eq!(at(CalendarField::DayOfYear, 2024, 12, 31), [365, 366]);
        assert_eq!(at(CalendarField::DayOfYear, 2023, 12, 31), [364, 365]);
        // A Friday of the last week of 2020, which has 53; and a Monday of week 1 of 2025, in 2024.
        assert_eq!(at(CalendarField::Week, 2021, 1, 1), [52, 53]);
        assert_eq!(at(CalendarField::Week, 2024, 12, 30), [0, 52]);
        assert_eq!(at(CalendarField::Weekday, 2024, 12, 30), [0, 7]);
        assert_eq!(at(CalendarField::Weekday, 2024, 12, 29), [6, 7]);
        assert_eq!(at(CalendarField::Month, 2024, 12, 29), [11, 12]);
        assert_eq!([3, 4, 12].map(|month| at(CalendarField::Quarter, 2024, month, 1)[0]), [0, 1, 3]);
        let late = 23 * HOUR + 59 * MINUTE + 59 * 1_000_000_000;
        let day = Date::constant(2024, 1, 1);
        assert_eq!(CalendarField::Hour.position(day, late), [23, 24]);
        assert_eq!(CalendarField::Minute.position(day, late), [59, 60]);
        // No position is beyond its cycle, nor a cycle beyond the classes.
        let mut date = Date::constant(1999, 1, 1);
        for _ in 0..10_000 {
            for field in CalendarField::ALL {
                let [position, cycle] = field.position(date, late).map(usize::from);
                assert!(position < cycle && cycle <= field.classes(), "{field:?} {date}");
            }
            date = date.tomorrow().unwrap();
        }
    }
}
