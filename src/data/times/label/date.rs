//! The date within a label.

use jiff::civil::{Date, ISOWeekDate, Weekday};

use super::calendar::{HOUR, MINUTE, MONTHS, SECOND, TimeUnit, WEEKDAYS, named, nanoseconds};
use super::date_order::DateOrder;
use super::time::{LabelPart, LabelTime, PADDED, width};

/// A day, or what else has a first one.
pub(super) struct LabelDate {
    pub(super) unit: TimeUnit,
    pub(super) date: Date,
    /// Where it goes on into a time of day, without a sign between.
    time: i128,
    pub(super) by_order: bool,
    pub(super) short_year: bool,
}

impl LabelDate {
    pub(super) fn at(&self) -> LabelTime {
        let Self { unit, date, time, by_order, short_year } = *self;
        LabelTime { unit, wall: nanoseconds(date) + time, offset: None, by_order, short_year }
    }
}

/// Digits, or letters.
#[derive(Clone, Copy)]
enum Run<'a> {
    D(&'a str),
    W(&'a str),
}

/// The most runs of digits and letters that a date has: one more than a weekday, a day, a month and a year.
const MAX_RUNS: usize = 5;

/// The runs of digits and letters, and what is before each; `None` where they are too many or something follows them.
fn runs(text: &str) -> Option<([Run<'_>; MAX_RUNS], [&str; MAX_RUNS], usize)> {
    let (mut runs, mut gaps, mut count, mut at) = ([Run::D(""); MAX_RUNS], [""; MAX_RUNS], 0, 0);
    while at < text.len() {
        let run = |of: fn(char) -> bool, from: usize| {
            text[from..].find(|c: char| !of(c)).map_or(text.len(), |length| from + length)
        };
        let begin = run(|c| !c.is_ascii_digit() && !c.is_alphabetic(), at);
        if begin == text.len() || count == MAX_RUNS {
            return None;
        }
        let digits = text[begin..].starts_with(|c: char| c.is_ascii_digit());
        let end = if digits { run(|c| c.is_ascii_digit(), begin) } else { run(char::is_alphabetic, begin) };
        runs[count] = if digits { Run::D(&text[begin..end]) } else { Run::W(&text[begin..end]) };
        gaps[count] = &text[at..begin];
        (count, at) = (count + 1, end);
    }
    Some((runs, gaps, count))
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
fn counted(word: &str) -> Option<TimeUnit> {
    match word.to_ascii_lowercase().as_str() {
        "q" | "qtr" | "quarter" => Some(TimeUnit::Quarter),
        "h" => Some(TimeUnit::Half),
        "m" => Some(TimeUnit::Month),
        "w" | "wk" | "week" | "kw" => Some(TimeUnit::Week),
        _ => None,
    }
}

/// The beginning of the `number`th such of a year.
fn of_year(unit: TimeUnit, year: i16, number: &str) -> Option<Date> {
    let number: i8 = number.parse().ok()?;
    match unit {
        TimeUnit::Quarter if (1..=4).contains(&number) => Date::new(year, 3 * number - 2, 1).ok(),
        TimeUnit::Half if (1..=2).contains(&number) => Date::new(year, 6 * number - 5, 1).ok(),
        TimeUnit::Month => Date::new(year, number, 1).ok(),
        TimeUnit::Week => Some(ISOWeekDate::new(year, number, Weekday::Monday).ok()?.date()),
        _ => None,
    }
}

/// How the number is written.
fn part_of(unit: TimeUnit, number: &str) -> LabelPart<'static> {
    match unit {
        TimeUnit::Quarter => LabelPart::Quarter,
        TimeUnit::Half => LabelPart::Half,
        TimeUnit::Week => LabelPart::Week(width(number)),
        _ => LabelPart::Month(width(number)),
    }
}

pub(super) fn day<'a>(text: &'a str, order: DateOrder, parts: &mut Vec<LabelPart<'a>>) -> Option<LabelDate> {
    use Run::{D, W};
    let (runs, gaps, count) = runs(text)?;
    let (mut runs, mut gaps) = (&runs[..count], &gaps[..count]);
    let mut weekday = None;
    if let [W(name), _, _, ..] = runs
        && let Some(number) = named(name, &WEEKDAYS)
        && matches!(gaps[1], " " | ", " | ". " | ",")
    {
        weekday = Some(number);
        parts.extend([LabelPart::WeekdayName(name), LabelPart::Text(gaps[1])]);
        (runs, gaps) = (&runs[1..], &gaps[1..]);
    }
    // Between digits there is a sign, and the same twice.
    let sign = |index: usize| matches!(gaps[index], "-" | "/" | "." | " " | ". ");
    let signs = |index: usize| sign(index) && gaps[index] == gaps[index + 1];
    let loose = |index: usize| {
        matches!(gaps[index], "" | "-" | "/" | " " | "." | ", " | ". " | "," | "_" | " '" | "'" | " - " | " / ")
    };
    let all_loose = (1..runs.len()).all(loose);
    let small = |digits: &str| digits.len() <= 2;
    let is_year = |digits: &str| digits.len() == 4 || digits.len() == 2;
    let new = |year: i16, month: i8, day: i8| Date::new(year, month, day).ok();
    let whole = |unit, date| LabelDate { unit, date, time: 0, by_order: false, short_year: false };
    let with_year = |unit, digits: &str, date| LabelDate { short_year: digits.len() == 2, ..whole(unit, date) };
    let number = |digits: &str| digits.parse::<i8>().ok();
    let mut write = |of: &[LabelPart<'a>]| {
        for (index, part) in of.iter().enumerate() {
            let letter = match runs.get(index) {
                Some(W(word)) if *part == LabelPart::Text("") => LabelPart::Text(word),
                _ => *part,
            };
            parts.extend((index > 0 && !gaps[index].is_empty()).then(|| LabelPart::Text(gaps[index])));
            parts.push(letter);
        }
    };
    const LETTER: LabelPart<'static> = LabelPart::Text("");
    let read = match *runs {
        [D(y), D(m), D(d)] if y.len() == 4 && small(m) && small(d) && signs(1) => {
            write(&[LabelPart::Year(4), LabelPart::Month(width(m)), LabelPart::LabelDate(width(d))]);
            whole(TimeUnit::Moment, new(year(y)?, number(m)?, number(d)?)?)
        }
        [D(a), D(b), D(c)] if small(a) && small(b) && is_year(c) && signs(1) => {
            let (d, m, y) = match order {
                _ if order == DateOrder::YearFirst && c.len() == 4 => return None,
                DateOrder::DayFirst => (a, b, c),
                DateOrder::MonthFirst => (b, a, c),
                DateOrder::YearFirst => (c, b, a),
            };
            let (month, day, year_part) =
                (LabelPart::Month(width(m)), LabelPart::LabelDate(width(d)), LabelPart::Year(y.len()));
            match order {
                DateOrder::DayFirst => write(&[day, month, year_part]),
                DateOrder::MonthFirst => write(&[month, day, year_part]),
                DateOrder::YearFirst => write(&[year_part, month, day]),
            }
            LabelDate { by_order: true, ..with_year(TimeUnit::Moment, y, new(year(y)?, number(m)?, number(d)?)?) }
        }
        [D(d), W(m), D(y)] if small(d) && is_year(y) && all_loose && named(m, &MONTHS).is_some() => {
            write(&[LabelPart::LabelDate(width(d)), LabelPart::MonthName(m), LabelPart::Year(y.len())]);
            with_year(TimeUnit::Moment, y, new(year(y)?, named(m, &MONTHS)?, number(d)?)?)
        }
        [W(m), D(d), D(y)]
            if small(d) && is_year(y) && all_loose && !gaps[2].is_empty() && named(m, &MONTHS).is_some() =>
        {
            write(&[LabelPart::MonthName(m), LabelPart::LabelDate(width(d)), LabelPart::Year(y.len())]);
            with_year(TimeUnit::Moment, y, new(year(y)?, named(m, &MONTHS)?, number(d)?)?)
        }
        [D(y), W(m), D(d)] if y.len() == 4 && small(d) && all_loose && named(m, &MONTHS).is_some() => {
            write(&[LabelPart::Year(4), LabelPart::MonthName(m), LabelPart::LabelDate(width(d))]);
            whole(TimeUnit::Moment, new(year(y)?, named(m, &MONTHS)?, number(d)?)?)
        }
        [W(m), D(y)] if is_year(y) && all_loose && named(m, &MONTHS).is_some() => {
            write(&[LabelPart::MonthName(m), LabelPart::Year(y.len())]);
            with_year(TimeUnit::Month, y, new(year(y)?, named(m, &MONTHS)?, 1)?)
        }
        [D(y), W(m)] if y.len() == 4 && all_loose && named(m, &MONTHS).is_some() => {
            write(&[LabelPart::Year(4), LabelPart::MonthName(m)]);
            whole(TimeUnit::Month, new(year(y)?, named(m, &MONTHS)?, 1)?)
        }
        [D(y), W(w), D(n), D(d)] if y.len() == 4 && all_loose && counted(w) == Some(TimeUnit::Week) && d.len() == 1 => {
            write(&[LabelPart::Year(4), LETTER, LabelPart::Week(width(n)), LabelPart::WeekdayNumber]);
            let weekday = Weekday::from_monday_one_offset(number(d)?).ok()?;
            whole(TimeUnit::Moment, ISOWeekDate::new(year(y)?, number(n)?, weekday).ok()?.date())
        }
        [D(y), W(u), D(n)] if is_year(y) && small(n) && all_loose => {
            let unit = counted(u).filter(|unit| y.len() == 4 || *unit == TimeUnit::Quarter)?;
            write(&[LabelPart::Year(y.len()), LETTER, part_of(unit, n)]);
            with_year(unit, y, of_year(unit, year(y)?, n)?)
        }
        [W(u), D(n), D(y)] if is_year(y) && small(n) && all_loose && !gaps[2].is_empty() => {
            let unit = counted(u).filter(|unit| y.len() == 4 || *unit == TimeUnit::Quarter)?;
            write(&[LETTER, part_of(unit, n), LabelPart::Year(y.len())]);
            with_year(unit, y, of_year(unit, year(y)?, n)?)
        }
        [D(n), W(u), D(y)] if n.len() == 1 && is_year(y) && all_loose => {
            let unit = counted(u).filter(|unit| matches!(unit, TimeUnit::Quarter | TimeUnit::Half))?;
            write(&[part_of(unit, n), LETTER, LabelPart::Year(y.len())]);
            with_year(unit, y, of_year(unit, year(y)?, n)?)
        }
        [D(y), D(n)] if y.len() == 4 && n.len() == 3 && gaps[1] == "-" => {
            write(&[LabelPart::Year(4), LabelPart::DayOfYear]);
            let day: i16 = n.parse().ok()?;
            let first = new(year(y)?, 1, 1)?;
            whole(TimeUnit::Moment, first.with().day_of_year(day).build().ok()?)
        }
        // With a point and one digit it is a number.
        [D(y), D(m)] if y.len() == 4 && small(m) && sign(1) && (gaps[1] != "." || m.len() == 2) => {
            write(&[LabelPart::Year(4), LabelPart::Month(width(m))]);
            whole(TimeUnit::Month, plausible(gaps[1] != ".", new(year(y)?, number(m)?, 1)?)?)
        }
        [D(y), D(m)] if y.len() == 4 && m.len() == 2 && gaps[1] == ":" && ("1000".."3000").contains(&y) => {
            write(&[LabelPart::Year(4), LabelPart::Month(PADDED)]);
            whole(TimeUnit::Month, new(year(y)?, number(m)?, 1)?)
        }
        [D(m), D(y)] if small(m) && y.len() == 4 && sign(1) => {
            write(&[LabelPart::Month(width(m)), LabelPart::Year(4)]);
            whole(TimeUnit::Month, plausible(gaps[1] != ".", new(year(y)?, number(m)?, 1)?)?)
        }
        // No year of data has the digits of a day and a month before it: the two ways to read eight digits exclude each
        // other.
        [D(digits)] if digits.len() == 8 && !is_iso(digits) => {
            let (first, second) = (LabelPart::LabelDate(PADDED), LabelPart::Month(PADDED));
            let (month, day) = match order {
                DateOrder::DayFirst => (&digits[2..4], &digits[..2]),
                DateOrder::MonthFirst => (&digits[..2], &digits[2..4]),
                DateOrder::YearFirst => return None,
            };
            let date = plausible(false, new(year(&digits[4..])?, number(month)?, number(day)?)?)?;
            parts.extend(if order == DateOrder::DayFirst { [first, second] } else { [second, first] });
            parts.push(LabelPart::Year(4));
            LabelDate { by_order: true, ..whole(TimeUnit::Moment, date) }
        }
        [D(digits)] if matches!(digits.len(), 6 | 8 | 10 | 12 | 14) => {
            let number = |at: usize| digits.get(at..at + 2).and_then(number);
            let date = new(year(&digits[..4])?, number(4)?, number(6).unwrap_or(1))?;
            let date = plausible(false, date)?;
            let all = [
                LabelPart::Year(4),
                LabelPart::Month(PADDED),
                LabelPart::LabelDate(PADDED),
                LabelPart::Hour(PADDED),
                LabelPart::Minute,
                LabelPart::Second,
            ];
            parts.extend(&all[..digits.len() / 2 - 1]);
            let time = [(8, HOUR, 24), (10, MINUTE, 60), (12, SECOND, 60)];
            let time = time.iter().filter(|(at, ..)| *at < digits.len()).map(|(at, unit, end)| {
                number(*at).map(i128::from).filter(|number| number < end).map(|number| number * unit)
            });
            let unit = if digits.len() == 6 { TimeUnit::Month } else { TimeUnit::Moment };
            LabelDate { time: time.sum::<Option<i128>>()?, ..whole(unit, date) }
        }
        _ => return None,
    };
    match weekday {
        Some(weekday) if read.date.weekday().to_monday_one_offset() != weekday || read.unit != TimeUnit::Moment => None,
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
