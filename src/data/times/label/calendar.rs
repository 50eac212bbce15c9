//! Days, months and the units that labels name.

use jiff::SignedDuration;
use jiff::civil::Date;

/// The precision of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeUnit {
    /// A day, or a moment in it.
    Moment,
    Month,
    Quarter,
    Half,
    Year,
    Week,
    /// Without a day: hours, minutes and seconds, which may also be a duration.
    Clock,
}

pub(in crate::data) const SECOND: i128 = 1_000_000_000;
pub(in crate::data) const MINUTE: i128 = 60 * SECOND;
pub(in crate::data) const HOUR: i128 = 60 * MINUTE;
pub(in crate::data) const DAY: i128 = 24 * HOUR;

const EPOCH: Date = Date::constant(1970, 1, 1);

/// Nanoseconds from 1970 to the start of a day.
pub(in crate::data) fn nanoseconds(date: Date) -> i128 {
    date.duration_since(EPOCH).as_nanos()
}

/// The day of a moment, and the nanoseconds since its start; `None` after the year 9999.
pub(in crate::data) fn day_of(wall: i128) -> Option<(Date, i128)> {
    let days = i64::try_from(wall.div_euclid(DAY)).ok().filter(|days| days.abs() < 10_000_000)?;
    let date = EPOCH.checked_add(SignedDuration::from_hours(24 * days)).ok()?;
    Some((date, wall.rem_euclid(DAY)))
}

/// The first of a month, counted from the year 0.
pub(in crate::data) fn month(months: i64) -> Option<Date> {
    let year = i16::try_from(months.div_euclid(12)).ok()?;
    Date::new(year, i8::try_from(months.rem_euclid(12) + 1).ok()?, 1).ok()
}

pub(in crate::data) fn months(date: Date) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

pub(in crate::data) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(in crate::data) const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Which of `names` a word is, complete or by its first three letters, counted from 1.
pub(in crate::data) fn named(word: &str, names: &[&str]) -> Option<i8> {
    let is = |name: &&str| word.eq_ignore_ascii_case(name) || word.eq_ignore_ascii_case(&name[..3]);
    let found =
        names.iter().position(is).or_else(|| (names.len() == 12 && word.eq_ignore_ascii_case("sept")).then_some(8))?;
    i8::try_from(found + 1).ok()
}
