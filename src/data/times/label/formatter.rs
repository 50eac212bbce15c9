//! Formats further times in the notation of a column.

use std::fmt::Write;

use super::calendar::{DAY, HOUR, MINUTE, MONTHS, SECOND, TimeUnit, WEEKDAYS, day_of};
use super::numbers::zeros_before;
use super::time::{LabelPart, LabelTime, PADDED};
use super::zone::offset_like;

/// The form of the label with the most parts, extended by the other labels.
pub(in crate::data) struct TimeFormatter<'a> {
    unit: TimeUnit,
    parts: Vec<LabelPart<'a>>,
    /// That of the last label; later clock changes are unknown.
    offset: Option<&'a str>,
    /// Which numbers occurred with one digit, and which with a leading zero.
    narrow: [bool; 5],
    padded: [bool; 5],
    long_months: bool,
    long_weekdays: bool,
    /// Decimals of the seconds.
    places: usize,
}

/// The index of a part in `narrow`, and its digits.
fn digits(part: &LabelPart<'_>) -> Option<(usize, usize)> {
    match *part {
        LabelPart::Month(digits) => Some((0, digits)),
        LabelPart::Day(digits) => Some((1, digits)),
        LabelPart::Week(digits) => Some((2, digits)),
        LabelPart::Hour(digits) => Some((3, digits)),
        LabelPart::Hour12(digits) => Some((4, digits)),
        _ => None,
    }
}

impl<'a> TimeFormatter<'a> {
    pub(in crate::data) fn new(unit: TimeUnit) -> Self {
        Self {
            unit,
            parts: Vec::new(),
            offset: None,
            narrow: [false; 5],
            padded: [false; 5],
            long_months: false,
            long_weekdays: false,
            places: 0,
        }
    }

    /// Adds the parts of the next label.
    pub(in crate::data) fn see(&mut self, parts: &[LabelPart<'a>]) {
        for part in parts {
            match *part {
                // The short and long names of May are equal.
                LabelPart::MonthName(name) => self.long_months |= name.len() > 3 && !name.eq_ignore_ascii_case("sept"),
                LabelPart::WeekdayName(name) => self.long_weekdays |= name.len() > 3,
                LabelPart::Fraction(places) => self.places = self.places.max(places),
                LabelPart::Offset(text) => self.offset = Some(text),
                _ => {}
            }
            if let Some((index, digits)) = digits(part) {
                self.narrow[index] |= digits == 1;
                self.padded[index] |= digits == PADDED;
            }
        }
        if parts.len() >= self.parts.len() {
            self.parts = parts.to_vec();
        }
    }

    /// Whether a one-digit number has no leading zero. Days and months use the same notation.
    fn is_narrow(&self, index: usize) -> bool {
        match index {
            _ if self.narrow[index] || self.padded[index] => self.narrow[index],
            0 | 1 => self.narrow[1 - index],
            // The usual notation of 12-hour clocks.
            4 => true,
            _ => false,
        }
    }

    /// A local time, with its offset in seconds, or that of the last label. `None` if the form cannot express it.
    pub(in crate::data) fn write(&self, wall: i128, offset: Option<i64>) -> Option<String> {
        let ends = self.parts.contains(&LabelPart::Hour24) && wall.rem_euclid(DAY) == 0;
        let (date, mut time) = day_of(if ends { wall - DAY } else { wall })?;
        if ends {
            time = DAY;
        }
        let (mut year, week) = (i32::from(date.year()), date.iso_week_date());
        if self.unit == TimeUnit::Week || self.parts.contains(&LabelPart::WeekdayNumber) {
            year = i32::from(week.year());
        }
        // Without a day, hours continue.
        if self.unit == TimeUnit::Clock {
            time = wall;
        }
        if !(0..=9999).contains(&year) || time < 0 {
            return None;
        }
        let hour = time / HOUR;
        let mut text = String::new();
        for part in &self.parts {
            let number = |number: i128| match digits(part) {
                Some((index, _)) if self.is_narrow(index) => number.to_string(),
                _ => format!("{number:02}"),
            };
            let (month, weekday) = (date.month(), date.weekday());
            let written = match *part {
                LabelPart::Text(text) => text.to_owned(),
                LabelPart::Year(2) => format!("{:02}", year % 100),
                LabelPart::Year(_) => format!("{year:04}"),
                LabelPart::Month(_) => number(month.into()),
                LabelPart::MonthName(sample) => {
                    written_like(sample, MONTHS[usize::try_from(month - 1).ok()?], self.long_months)
                }
                LabelPart::Day(_) => number(date.day().into()),
                LabelPart::DayOfYear => format!("{:03}", date.day_of_year()),
                LabelPart::Quarter => ((month - 1) / 3 + 1).to_string(),
                LabelPart::Half => ((month - 1) / 6 + 1).to_string(),
                LabelPart::Week(_) => number(week.week().into()),
                LabelPart::WeekdayNumber => weekday.to_monday_one_offset().to_string(),
                LabelPart::WeekdayName(sample) => {
                    let index = usize::try_from(weekday.to_monday_zero_offset()).ok()?;
                    written_like(sample, WEEKDAYS[index], self.long_weekdays)
                }
                LabelPart::Hour(_) | LabelPart::Hour24 => number(hour),
                LabelPart::Hour12(_) => number((hour + 11) % 12 + 1),
                LabelPart::Minute => format!("{:02}", time / MINUTE % 60),
                LabelPart::Second => format!("{:02}", time / SECOND % 60),
                LabelPart::Fraction(_) => {
                    let power = 10_i128.pow(u32::try_from(9 - self.places.min(9)).ok()?);
                    let fraction = time % SECOND;
                    // Finer than the notation.
                    if fraction % power != 0 {
                        return None;
                    }
                    zeros_before(&(fraction / power).to_string(), self.places)
                }
                LabelPart::Meridiem(sample) => meridiem_like(sample, hour),
                LabelPart::Offset(text) => {
                    let last = self.offset.unwrap_or(text);
                    offset.map_or_else(|| last.to_owned(), |offset| offset_like(last, offset))
                }
            };
            text.write_str(&written).ok()?;
        }
        Some(text)
    }
}

/// A name in the case of the sample: complete if `long`, otherwise its first three letters.
fn written_like(sample: &str, name: &str, long: bool) -> String {
    let name = if long { name } else { &name[..3] };
    if sample.chars().all(char::is_uppercase) {
        name.to_uppercase()
    } else if sample.starts_with(char::is_uppercase) {
        name.to_owned()
    } else {
        name.to_lowercase()
    }
}

/// AM or PM for the hour, in the case of the sample.
fn meridiem_like(sample: &str, hour: i128) -> String {
    let half = if hour % 24 < 12 { 'a' } else { 'p' };
    let swapped = |c: char| match c {
        'a' | 'p' => half,
        'A' | 'P' => half.to_ascii_uppercase(),
        c => c,
    };
    sample.chars().map(swapped).collect()
}

/// A moment in words, for messages: `5 March 2021`, `March 2021`.
pub(in crate::data) fn words(time: &LabelTime) -> Option<String> {
    let (date, since) = day_of(time.wall)?;
    let month = MONTHS[usize::try_from(date.month() - 1).ok()?];
    let year = date.year();
    Some(match time.unit {
        TimeUnit::Month => format!("{month} {year}"),
        TimeUnit::Quarter => format!("quarter {} of {year}", (date.month() - 1) / 3 + 1),
        TimeUnit::Year => year.to_string(),
        _ if since == 0 => format!("{} {month} {year}", date.day()),
        _ => format!("{} {month} {year}, {:02}:{:02}", date.day(), since / HOUR, since / MINUTE % 60),
    })
}
