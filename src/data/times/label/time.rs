//! A parsed label: its time and its notation.

use super::calendar::{SECOND, TimeUnit};

/// A parsed label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::data) struct LabelTime {
    pub(in crate::data) unit: TimeUnit,
    /// Its start by its local clock, in nanoseconds since 1970, or since midnight without a date.
    pub(in crate::data) wall: i128,
    /// Its UTC offset, in seconds.
    pub(in crate::data) offset: Option<i64>,
    /// Whether another date order would read it differently.
    pub(in crate::data) by_order: bool,
    /// Whether its year has two digits.
    pub(in crate::data) short_year: bool,
}

impl LabelTime {
    /// In nanoseconds; in UTC if there is an offset.
    pub(super) fn instant(&self) -> i128 {
        self.wall - i128::from(self.offset.unwrap_or(0)) * SECOND
    }
}

/// A part of a label as written, with its digits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::data) enum LabelPart<'a> {
    Text(&'a str),
    Year(usize),
    Month(usize),
    MonthName(&'a str),
    Day(usize),
    DayOfYear,
    Quarter,
    Half,
    Week(usize),
    WeekdayNumber,
    WeekdayName(&'a str),
    Hour(usize),
    /// Of a 12-hour clock.
    Hour12(usize),
    /// The end of a day, written as hour 24.
    Hour24,
    Minute,
    Second,
    Fraction(usize),
    /// AM or PM.
    Meridiem(&'a str),
    Offset(&'a str),
}

/// The width of a number with a leading zero: the number alone does not show whether it would have one.
pub(super) const PADDED: usize = 0;

/// The digits of a number.
pub(super) fn width(digits: &str) -> usize {
    if digits.len() > 1 && digits.starts_with('0') { PADDED } else { digits.len() }
}
