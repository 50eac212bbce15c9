//! One label as a time: where it lies, and the parts that it is written in.

use jiff::SignedDuration;
use jiff::civil::{Date, ISOWeekDate, Weekday};
use serde::{Deserialize, Serialize};

/// What comes first in a date of digits alone whose year comes last, as in `5/3/2021`, or has two digits, as in
/// `05.03.21`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateOrder {
    /// 5 March 2021.
    DayFirst,
    /// 3 May 2021.
    MonthFirst,
    /// Of years with two digits alone: 21 March 2005.
    YearFirst,
}

impl DateOrder {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::DayFirst, Self::MonthFirst, Self::YearFirst];

    /// As it is asked for.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DayFirst => "day-first",
            Self::MonthFirst => "month-first",
            Self::YearFirst => "year-first",
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::DayFirst => "day first",
            Self::MonthFirst => "month first",
            Self::YearFirst => "year first",
        }
    }
}

/// What a label is the time of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A day, or a moment of it.
    Moment,
    Month,
    Quarter,
    Half,
    Year,
    Week,
    /// Of no day: hours, minutes and seconds, which may also be a duration.
    Clock,
}

/// A label that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Time {
    pub(super) unit: Unit,
    /// Its beginning by its own clock, in nanoseconds since 1970, or since midnight where there is no day.
    pub(super) wall: i128,
    /// How far its clock is ahead of UTC, in seconds.
    pub(super) offset: Option<i64>,
    /// Whether it could be read in another order of day, month and year.
    pub(super) by_order: bool,
    /// Whether its year has two digits.
    pub(super) short_year: bool,
}

impl Time {
    /// In nanoseconds; by UTC where there is an offset.
    pub(super) fn instant(&self) -> i128 {
        self.wall - i128::from(self.offset.unwrap_or(0)) * SECOND
    }
}

/// A part of a label as it is written, with its digits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part<'a> {
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

pub(super) const SECOND: i128 = 1_000_000_000;
pub(super) const MINUTE: i128 = 60 * SECOND;
pub(super) const HOUR: i128 = 60 * MINUTE;
pub(super) const DAY: i128 = 24 * HOUR;

const EPOCH: Date = Date::constant(1970, 1, 1);

/// Nanoseconds from 1970 to the beginning of a day.
pub(super) fn nanoseconds(date: Date) -> i128 {
    date.duration_since(EPOCH).as_nanos()
}

/// The day of a moment, and the nanoseconds since it began; `None` beyond the year 9999.
pub(super) fn day_of(wall: i128) -> Option<(Date, i128)> {
    let days = i64::try_from(wall.div_euclid(DAY)).ok().filter(|days| days.abs() < 10_000_000)?;
    let date = EPOCH.checked_add(SignedDuration::from_hours(24 * days)).ok()?;
    Some((date, wall.rem_euclid(DAY)))
}

/// The first of a month, counted from the year 0.
pub(super) fn month(months: i64) -> Option<Date> {
    let year = i16::try_from(months.div_euclid(12)).ok()?;
    Date::new(year, i8::try_from(months.rem_euclid(12) + 1).ok()?, 1).ok()
}

pub(super) fn months(date: Date) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

pub(super) const MONTHS: [&str; 12] = [
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

pub(super) const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Which of `names` a word is, whole or by its first three letters, counted from 1.
pub(super) fn named(word: &str, names: &[&str]) -> Option<i8> {
    let is = |name: &&str| word.eq_ignore_ascii_case(name) || word.eq_ignore_ascii_case(&name[..3]);
    let found =
        names.iter().position(is).or_else(|| (names.len() == 12 && word.eq_ignore_ascii_case("sept")).then_some(8))?;
    i8::try_from(found + 1).ok()
}

/// Reads a label, and puts what it is written in into `parts`. A year alone is none: it is a number.
pub(super) fn read<'a>(label: &'a str, order: DateOrder, parts: &mut Vec<Part<'a>>) -> Option<Time> {
    read_of(label, order, true, parts)
}

/// `months`: whether `1990:01` is a month, and not a duration.
pub(super) fn read_of<'a>(label: &'a str, order: DateOrder, months: bool, parts: &mut Vec<Part<'a>>) -> Option<Time> {
    parts.clear();
    let label = label.trim();
    // Of all forms, none begins otherwise or is longer.
    if label.len() > 64 || !label.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let colon = |day: &Day| day.unit == Unit::Month && label.contains(':');
    if let Some(day) = day(label, order, parts).filter(|day| months || !colon(day)) {
        return Some(day.at());
    }
    parts.clear();
    let (rest, offset) = split_offset(label);
    let (before, clock_text) = split_clock(rest)?;
    let (unit, wall, by_order, short_year) = if before.is_empty() {
        (Unit::Clock, 0, false, false)
    } else {
        let date = before.trim_end_matches([' ', ',', '_', '-', ':']);
        let date =
            date.strip_suffix(['T', 't']).filter(|date| date.ends_with(|c: char| c.is_ascii_digit())).unwrap_or(date);
        let day = day(date, order, parts).filter(|day| day.unit == Unit::Moment && date.len() < before.len())?;
        parts.push(Part::Text(&before[date.len()..]));
        (Unit::Moment, nanoseconds(day.date), day.by_order, day.short_year)
    };
    let time = clock(clock_text, unit == Unit::Clock, parts)?;
    // A clock of no day has no place on earth.
    if offset.is_some() && unit == Unit::Clock {
        return None;
    }
    if let Some((text, _)) = offset {
        parts.push(Part::Offset(text));
    }
    Some(Time { unit, wall: wall + time, offset: offset.map(|(_, seconds)| seconds), by_order, short_year })
}

/// A day, or what else has a first one.
struct Day {
    unit: Unit,
    date: Date,
    /// Where it goes on into a time of day, without a sign between.
    time: i128,
    by_order: bool,
    short_year: bool,
}

impl Day {
    fn at(&self) -> Time {
        let Self { unit, date, time, by_order, short_year } = *self;
        Time { unit, wall: nanoseconds(date) + time, offset: None, by_order, short_year }
    }
}

/// Digits, or letters.
#[derive(Clone, Copy)]
enum Item<'a> {
    D(&'a str),
    W(&'a str),
}

/// The most runs of digits and letters that a date has: one more than a weekday, a day, a month and a year.
const ITEMS: usize = 5;

/// The runs of digits and letters, and what is before each; `None` where they are too many or something follows them.
fn items(text: &str) -> Option<([Item<'_>; ITEMS], [&str; ITEMS], usize)> {
    let (mut items, mut gaps, mut count, mut at) = ([Item::D(""); ITEMS], [""; ITEMS], 0, 0);
    while at < text.len() {
        let run = |of: fn(char) -> bool, from: usize| {
            text[from..].find(|c: char| !of(c)).map_or(text.len(), |length| from + length)
        };
        let begin = run(|c| !c.is_ascii_digit() && !c.is_alphabetic(), at);
        if begin == text.len() || count == ITEMS {
            return None;
        }
        let digits = text[begin..].starts_with(|c: char| c.is_ascii_digit());
        let end = if digits { run(|c| c.is_ascii_digit(), begin) } else { run(char::is_alphabetic, begin) };
        items[count] = if digits { Item::D(&text[begin..end]) } else { Item::W(&text[begin..end]) };
        gaps[count] = &text[at..begin];
        (count, at) = (count + 1, end);
    }
    Some((items, gaps, count))
}

/// The width of a number with a zero before it: the number alone does not tell whether it would have one.
pub(super) const PADDED: usize = 0;

/// The digits of a number.
fn width(digits: &str) -> usize {
    if digits.len() > 1 && digits.starts_with('0') { PADDED } else { digits.len() }
}

/// A year of four digits, or of two, from 1969 to 2068.
fn year(digits: &str) -> Option<i16> {
    let year: i16 = digits.parse().ok()?;
    match digits.len() {
        4 => Some(year),
        2 if year < 69 => Some(2000 + year),
        2 => Some(1900 + year),
        _ => None,
    }
}

/// What a letter between a year and a number says that the number counts.
fn counted(word: &str) -> Option<Unit> {
    match word.to_ascii_lowercase().as_str() {
        "q" | "qtr" | "quarter" => Some(Unit::Quarter),
        "h" => Some(Unit::Half),
        "m" => Some(Unit::Month),
        "w" | "wk" | "week" | "kw" => Some(Unit::Week),
        _ => None,
    }
}

/// The beginning of the `number`th such of a year.
fn of_year(unit: Unit, year: i16, number: &str) -> Option<Date> {
    let number: i8 = number.parse().ok()?;
    match unit {
        Unit::Quarter if (1..=4).contains(&number) => Date::new(year, 3 * number - 2, 1).ok(),
        Unit::Half if (1..=2).contains(&number) => Date::new(year, 6 * number - 5, 1).ok(),
        Unit::Month => Date::new(year, number, 1).ok(),
        Unit::Week => Some(ISOWeekDate::new(year, number, Weekday::Monday).ok()?.date()),
        _ => None,
    }
}

/// How the number is written.
fn part_of(unit: Unit, number: &str) -> Part<'static> {
    match unit {
        Unit::Quarter => Part::Quarter,
        Unit::Half => Part::Half,
        Unit::Week => Part::Week(width(number)),
        _ => Part::Month(width(number)),
    }
}

fn day<'a>(text: &'a str, order: DateOrder, parts: &mut Vec<Part<'a>>) -> Option<Day> {
    use Item::{D, W};
    let (items, gaps, count) = items(text)?;
    let (mut items, mut gaps) = (&items[..count], &gaps[..count]);
    let mut weekday = None;
    if let [W(name), _, _, ..] = items
        && let Some(number) = named(name, &WEEKDAYS)
        && matches!(gaps[1], " " | ", " | ". " | ",")
    {
        weekday = Some(number);
        parts.extend([Part::WeekdayName(name), Part::Text(gaps[1])]);
        (items, gaps) = (&items[1..], &gaps[1..]);
    }
    // Between digits there is a sign, and the same twice.
    let sign = |index: usize| matches!(gaps[index], "-" | "/" | "." | " " | ". ");
    let signs = |index: usize| sign(index) && gaps[index] == gaps[index + 1];
    let loose = |index: usize| {
        matches!(gaps[index], "" | "-" | "/" | " " | "." | ", " | ". " | "," | "_" | " '" | "'" | " - " | " / ")
    };
    let all_loose = (1..items.len()).all(loose);
    let small = |digits: &str| digits.len() <= 2;
    let is_year = |digits: &str| digits.len() == 4 || digits.len() == 2;
    let new = |year: i16, month: i8, day: i8| Date::new(year, month, day).ok();
    let whole = |unit, date| Day { unit, date, time: 0, by_order: false, short_year: false };
    let with_year = |unit, digits: &str, date| Day { short_year: digits.len() == 2, ..whole(unit, date) };
    let number = |digits: &str| digits.parse::<i8>().ok();
    let mut write = |of: &[Part<'a>]| {
        for (index, part) in of.iter().enumerate() {
            let letter = match items.get(index) {
                Some(W(word)) if *part == Part::Text("") => Part::Text(word),
                _ => *part,
            };
            parts.extend((index > 0 && !gaps[index].is_empty()).then(|| Part::Text(gaps[index])));
            parts.push(letter);
        }
    };
    const LETTER: Part<'static> = Part::Text("");
    let read = match *items {
        [D(y), D(m), D(d)] if y.len() == 4 && small(m) && small(d) && signs(1) => {
            write(&[Part::Year(4), Part::Month(width(m)), Part::Day(width(d))]);
            whole(Unit::Moment, new(year(y)?, number(m)?, number(d)?)?)
        }
        [D(a), D(b), D(c)] if small(a) && small(b) && is_year(c) && signs(1) => {
            let (d, m, y) = match order {
                _ if order == DateOrder::YearFirst && c.len() == 4 => return None,
                DateOrder::DayFirst => (a, b, c),
                DateOrder::MonthFirst => (b, a, c),
                DateOrder::YearFirst => (c, b, a),
            };
            let (month, day, year_part) = (Part::Month(width(m)), Part::Day(width(d)), Part::Year(y.len()));
            match order {
                DateOrder::DayFirst => write(&[day, month, year_part]),
                DateOrder::MonthFirst => write(&[month, day, year_part]),
                DateOrder::YearFirst => write(&[year_part, month, day]),
            }
            Day { by_order: true, ..with_year(Unit::Moment, y, new(year(y)?, number(m)?, number(d)?)?) }
        }
        [D(d), W(m), D(y)] if small(d) && is_year(y) && all_loose && named(m, &MONTHS).is_some() => {
            write(&[Part::Day(width(d)), Part::MonthName(m), Part::Year(y.len())]);
            with_year(Unit::Moment, y, new(year(y)?, named(m, &MONTHS)?, number(d)?)?)
        }
        [W(m), D(d), D(y)]
            if small(d) && is_year(y) && all_loose && !gaps[2].is_empty() && named(m, &MONTHS).is_some() =>
        {
            write(&[Part::MonthName(m), Part::Day(width(d)), Part::Year(y.len())]);
            with_year(Unit::Moment, y, new(year(y)?, named(m, &MONTHS)?, number(d)?)?)
        }
        [D(y), W(m), D(d)] if y.len() == 4 && small(d) && all_loose && named(m, &MONTHS).is_some() => {
            write(&[Part::Year(4), Part::MonthName(m), Part::Day(width(d))]);
            whole(Unit::Moment, new(year(y)?, named(m, &MONTHS)?, number(d)?)?)
        }
        [W(m), D(y)] if is_year(y) && all_loose && named(m, &MONTHS).is_some() => {
            write(&[Part::MonthName(m), Part::Year(y.len())]);
            with_year(Unit::Month, y, new(year(y)?, named(m, &MONTHS)?, 1)?)
        }
        [D(y), W(m)] if y.len() == 4 && all_loose && named(m, &MONTHS).is_some() => {
            write(&[Part::Year(4), Part::MonthName(m)]);
            whole(Unit::Month, new(year(y)?, named(m, &MONTHS)?, 1)?)
        }
        [D(y), W(w), D(n), D(d)] if y.len() == 4 && all_loose && counted(w) == Some(Unit::Week) && d.len() == 1 => {
            write(&[Part::Year(4), LETTER, Part::Week(width(n)), Part::WeekdayNumber]);
            let weekday = Weekday::from_monday_one_offset(number(d)?).ok()?;
            whole(Unit::Moment, ISOWeekDate::new(year(y)?, number(n)?, weekday).ok()?.date())
        }
        [D(y), W(u), D(n)] if is_year(y) && small(n) && all_loose => {
            let unit = counted(u).filter(|unit| y.len() == 4 || *unit == Unit::Quarter)?;
            write(&[Part::Year(y.len()), LETTER, part_of(unit, n)]);
            with_year(unit, y, of_year(unit, year(y)?, n)?)
        }
        [W(u), D(n), D(y)] if is_year(y) && small(n) && all_loose && !gaps[2].is_empty() => {
            let unit = counted(u).filter(|unit| y.len() == 4 || *unit == Unit::Quarter)?;
            write(&[LETTER, part_of(unit, n), Part::Year(y.len())]);
            with_year(unit, y, of_year(unit, year(y)?, n)?)
        }
        [D(n), W(u), D(y)] if n.len() == 1 && is_year(y) && all_loose => {
            let unit = counted(u).filter(|unit| matches!(unit, Unit::Quarter | Unit::Half))?;
            write(&[part_of(unit, n), LETTER, Part::Year(y.len())]);
            with_year(unit, y, of_year(unit, year(y)?, n)?)
        }
        [D(y), D(n)] if y.len() == 4 && n.len() == 3 && gaps[1] == "-" => {
            write(&[Part::Year(4), Part::DayOfYear]);
            let day: i16 = n.parse().ok()?;
            let first = new(year(y)?, 1, 1)?;
            whole(Unit::Moment, first.with().day_of_year(day).build().ok()?)
        }
        // With a point and one digit it is a number.
        [D(y), D(m)] if y.len() == 4 && small(m) && sign(1) && (gaps[1] != "." || m.len() == 2) => {
            write(&[Part::Year(4), Part::Month(width(m))]);
            whole(Unit::Month, plausible(gaps[1] != ".", new(year(y)?, number(m)?, 1)?)?)
        }
        [D(y), D(m)] if y.len() == 4 && m.len() == 2 && gaps[1] == ":" && ("1000".."3000").contains(&y) => {
            write(&[Part::Year(4), Part::Month(PADDED)]);
            whole(Unit::Month, new(year(y)?, number(m)?, 1)?)
        }
        [D(m), D(y)] if small(m) && y.len() == 4 && sign(1) => {
            write(&[Part::Month(width(m)), Part::Year(4)]);
            whole(Unit::Month, plausible(gaps[1] != ".", new(year(y)?, number(m)?, 1)?)?)
        }
        // No year of data has the digits of a day and a month before it: the two ways to read eight digits exclude each
        // other.
        [D(digits)] if digits.len() == 8 && !is_iso(digits) => {
            let (first, second) = (Part::Day(PADDED), Part::Month(PADDED));
            let (month, day) = match order {
                DateOrder::DayFirst => (&digits[2..4], &digits[..2]),
                DateOrder::MonthFirst => (&digits[..2], &digits[2..4]),
                DateOrder::YearFirst => return None,
            };
            let date = plausible(false, new(year(&digits[4..])?, number(month)?, number(day)?)?)?;
            parts.extend(if order == DateOrder::DayFirst { [first, second] } else { [second, first] });
            parts.push(Part::Year(4));
            Day { by_order: true, ..whole(Unit::Moment, date) }
        }
        [D(digits)] if matches!(digits.len(), 6 | 8 | 10 | 12 | 14) => {
            let number = |at: usize| digits.get(at..at + 2).and_then(number);
            let date = new(year(&digits[..4])?, number(4)?, number(6).unwrap_or(1))?;
            let date = plausible(false, date)?;
            let all =
                [Part::Year(4), Part::Month(PADDED), Part::Day(PADDED), Part::Hour(PADDED), Part::Minute, Part::Second];
            parts.extend(&all[..digits.len() / 2 - 1]);
            let time = [(8, HOUR, 24), (10, MINUTE, 60), (12, SECOND, 60)];
            let time = time.iter().filter(|(at, ..)| *at < digits.len()).map(|(at, unit, end)| {
                number(*at).map(i128::from).filter(|number| number < end).map(|number| number * unit)
            });
            let unit = if digits.len() == 6 { Unit::Month } else { Unit::Moment };
            Day { time: time.sum::<Option<i128>>()?, ..whole(unit, date) }
        }
        _ => return None,
    };
    match weekday {
        Some(weekday) if read.date.weekday().to_monday_one_offset() != weekday || read.unit != Unit::Moment => None,
        _ => Some(read),
    }
}

/// Whether eight digits are a year, a month and a day.
fn is_iso(digits: &str) -> bool {
    let number = |at: usize| digits.get(at..at + 2).and_then(|digits| digits.parse().ok());
    let date = || Date::new(year(digits.get(..4)?)?, number(4)?, number(6)?).ok();
    date().and_then(|date| plausible(false, date)).is_some()
}

/// What could be a number too is a date of the years that data are of.
fn plausible(certain: bool, date: Date) -> Option<Date> {
    (certain || (1700..2300).contains(&date.year())).then_some(date)
}

/// What stands before an offset from UTC behind a time of day, the offset as it is written, and in seconds.
fn split_offset(label: &str) -> (&str, Option<(&str, i64)>) {
    let digit_before = |text: &str| text.trim_end().ends_with(|c: char| c.is_ascii_digit());
    for name in ["Z", "z", "UTC", "GMT"] {
        if let Some(rest) = label.strip_suffix(name).filter(|rest| digit_before(rest)) {
            let rest = rest.trim_end();
            return (rest, Some((&label[rest.len()..], 0)));
        }
    }
    let none = (label, None);
    // A sign before a colon is of a date.
    let Some(at) = label.rfind(['+', '-', '−']).filter(|at| label[..*at].contains(':') || has_hour(&label[..*at]))
    else {
        return none;
    };
    let (rest, text) = (label[..at].trim_end(), &label[at..]);
    let sign = if text.starts_with('+') { 1 } else { -1 };
    let digits = text.trim_start_matches(['+', '-', '−']);
    let (hours, minutes) = match (digits.split_once(':'), digits.len()) {
        (Some(pair), _) => pair,
        (None, 4) if digits.is_char_boundary(2) => digits.split_at(2),
        (None, 1 | 2) => (digits, "00"),
        _ => return none,
    };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i64>().ok()).flatten();
    match (number(hours), number(minutes)) {
        (Some(hours), Some(minutes)) if hours <= 18 && minutes < 60 && digit_before(rest) => {
            (rest, Some((&label[rest.len()..], sign * (hours * 3600 + minutes * 60))))
        }
        _ => none,
    }
}

/// Whether there is a `T` between digits, as ISO 8601 puts it before an hour.
fn has_hour(text: &str) -> bool {
    text.as_bytes().windows(3).any(|w| w[0].is_ascii_digit() && w[1] == b'T' && w[2].is_ascii_digit())
}

/// What stands before a time of day, with what is between them, and the time.
fn split_clock(text: &str) -> Option<(&str, &str)> {
    let digits_before = |end: usize| end - text[..end].bytes().rev().take_while(u8::is_ascii_digit).count();
    if let Some(colon) = text.find(':') {
        let begin = digits_before(colon);
        return match colon - begin {
            1 | 2 => Some(text.split_at(begin)),
            // `05/Mar/2021:10:30:00`, as web servers write it.
            4 if begin > 0 => Some(text.split_at(colon + 1)),
            3.. if begin == 0 => Some(("", text)),
            _ => None,
        };
    }
    if let Some((rest, _)) = split_meridiem(text) {
        let begin = digits_before(rest.trim_end().len());
        return (begin < rest.trim_end().len()).then(|| text.split_at(begin));
    }
    let begin = digits_before(text.len());
    let day_before = text[..begin].ends_with('T') || (text[..begin].ends_with(' ') && text.contains(['-', '/']));
    (day_before && matches!(text.len() - begin, 2 | 4 | 6)).then(|| text.split_at(begin))
}

/// What stands before AM or PM, and whether it is PM.
fn split_meridiem(text: &str) -> Option<(&str, bool)> {
    let ends = |name: &str| {
        let at = text.len().checked_sub(name.len())?;
        (text.is_char_boundary(at) && text[at..].eq_ignore_ascii_case(name)).then(|| &text[..at])
    };
    let digit = |rest: &&str| rest.trim_end().ends_with(|c: char| c.is_ascii_digit());
    let of = |names: [&str; 2], pm| names.into_iter().find_map(ends).filter(digit).map(|rest| (rest, pm));
    of(["am", "a.m."], false).or_else(|| of(["pm", "p.m."], true))
}

/// A time of day in nanoseconds; `long`: also more than a day.
fn clock<'a>(text: &'a str, long: bool, parts: &mut Vec<Part<'a>>) -> Option<i128> {
    let (digits, meridiem) = match split_meridiem(text) {
        Some((rest, pm)) => (rest.trim_end(), Some((&text[rest.trim_end().len()..], pm))),
        None => (text, None),
    };
    let (digits, fraction) = match digits.split_once(['.', ',']) {
        Some((digits, fraction)) => (digits, Some(fraction)),
        None => (digits, None),
    };
    let colons = digits.contains(':');
    let mut fields = [""; 3];
    let mut count = 0;
    let mut rest = digits;
    while !rest.is_empty() {
        let (field, after) = match colons {
            true => rest.split_once(':').unwrap_or((rest, "")),
            false => rest.split_at(rest.len().min(2)),
        };
        *fields.get_mut(count)? = field;
        (count, rest) = (count + 1, after);
    }
    // A colon at the end has nothing behind it.
    if count == 0 || digits.ends_with(':') || (colons && count < 2) {
        return None;
    }
    let number = |field: &str, most: usize| {
        let plain = !field.is_empty() && field.len() <= most && field.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| field.parse::<i128>().ok()).flatten()
    };
    let sixty = |field: &str| if field.len() == 2 { number(field, 2).filter(|number| *number < 60) } else { None };
    let hour = number(fields[0], if long { 6 } else { 2 })?;
    let minute = if count > 1 { sixty(fields[1])? } else { 0 };
    let second = if count > 2 { sixty(fields[2])? } else { 0 };
    let rest = minute * MINUTE + second * SECOND;
    let hour = match meridiem {
        Some((_, pm)) => {
            parts.push(Part::Hour12(width(fields[0])));
            Some(hour).filter(|hour| (1..=12).contains(hour))? % 12 + if pm { 12 } else { 0 }
        }
        None if hour == 24 && rest == 0 && !long => {
            parts.push(Part::Hour24);
            hour
        }
        None => {
            parts.push(Part::Hour(width(fields[0])));
            Some(hour).filter(|hour| long || *hour < 24)?
        }
    };
    let mut sign = |part| {
        parts.extend(colons.then_some(Part::Text(":")));
        parts.push(part);
    };
    if count > 1 {
        sign(Part::Minute);
    }
    if count > 2 {
        sign(Part::Second);
    }
    let mut time = hour * HOUR + rest;
    if let Some(fraction) = fraction {
        // Of seconds alone.
        let places = u32::try_from(fraction.len()).ok().filter(|places| count == 3 && (1..=9).contains(places))?;
        time += number(fraction, 9)? * SECOND / 10_i128.pow(places);
        let at = digits.len();
        parts.extend([Part::Text(&text[at..at + 1]), Part::Fraction(fraction.len())]);
    }
    if let Some((text, _)) = meridiem {
        parts.push(Part::Meridiem(text));
    }
    Some(time)
}
