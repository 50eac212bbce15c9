//! One label as a time: when it is, and the parts that it is written in.

use super::calendar::{SECOND, TimeUnit};

/// A label that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::data) struct LabelTime {
    pub(in crate::data) unit: TimeUnit,
    /// Its beginning by its own clock, in nanoseconds since 1970, or since midnight where there is no day.
    pub(in crate::data) wall: i128,
    /// How far its clock is ahead of UTC, in seconds.
    pub(in crate::data) offset: Option<i64>,
    /// Whether it could be read in another order of day, month and year.
    pub(in crate::data) by_order: bool,
    /// Whether its year has two digits.
    pub(in crate::data) short_year: bool,
}

impl LabelTime {
    /// In nanoseconds; by UTC where there is an offset.
    pub(super) fn instant(&self) -> i128 {
        self.wall - i128::from(self.offset.unwrap_or(0)) * SECOND
    }
}

/// A part of a label as it is written, with its digits.
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
    /// Of a clock with twelve.
    Hour12(usize),
    /// The end of a day, as the hour 24.
    Hour24,
    Minute,
    Second,
    Fraction(usize),
    /// AM or PM.
    Meridiem(&'a str),
    Offset(&'a str),
}

/// The width of a number with a zero before it: the number alone does not show whether it would have one.
pub(super) const PADDED: usize = 0;

/// The digits of a number.
pub(super) fn width(digits: &str) -> usize {
    if digits.len() > 1 && digits.starts_with('0') { PADDED } else { digits.len() }
}
