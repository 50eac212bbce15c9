//! Parses the date in a label.

use jiff::civil::{Date, ISOWeekDate, Weekday};

use super::calendar::{HOUR, MINUTE, MONTHS, SECOND, TimeUnit, WEEKDAYS, named, nanoseconds};
use super::date_order::DateOrder;
use super::time::{LabelPart, LabelTime, PADDED, width};

/// A day, or another period with a first day.
pub(super) struct LabelDate {
    pub(super) unit: TimeUnit,
    pub(super) date: Date,
    /// Where a time of day may follow without a separator.
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

/// Maximum number of runs of digits and letters in a date: one more than a weekday, a day, a month and a year.
const MAX_RUNS: usize = 5;

/// The runs of digits and letters, and the text before each; `None` if there are too many or something follows them.
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

/// The unit of a letter between a year and a number.
fn counted(word: &str) -> Option<TimeUnit> {
    match word.to_ascii_lowercase().as_str() {
        "q" | "qtr" | "quarter" => Some(TimeUnit::Quarter),
        "h" => Some(TimeUnit::Half),
        "m" => Some(TimeUnit::Month),
        "w" | "wk" | "week" | "kw" => Some(TimeUnit::Week),
        _ => None,
    }
}

/// The start of the `number`th such unit of a year.
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

/// Reads a date, or the first day of a month, a quarter, a half year or a week.
pub(super) fn day<'a>(text: &'a str, order: DateOrder, parts: &mut Vec<LabelPart<'a>>) -> Option<LabelDate> {
    let (runs, gaps, count) = runs(text)?;
    let (mut runs, mut gaps) = (&runs[..count], &gaps[..count]);
    let mut weekday = None;
    if let [Run::W(name), _, _, ..] = runs
        && let Some(number) = named(name, &WEEKDAYS)
        && matches!(gaps[1], " " | ", " | ". " | ",")
    {
        weekday = Some(number);
        parts.extend([LabelPart::WeekdayName(name), LabelPart::Text(gaps[1])]);
        (runs, gaps) = (&runs[1..], &gaps[1..]);
    }
    let date = DateText { runs, gaps, order }.read(parts)?;
    let is_other = |weekday| date.date.weekday().to_monday_one_offset() != weekday || date.unit != TimeUnit::Moment;
    if weekday.is_some_and(is_other) { None } else { Some(date) }
}

/// The form of a date, without its weekday.
struct DateText<'r, 'a> {
    runs: &'r [Run<'a>],
    /// The text before each run.
    gaps: &'r [&'a str],
    order: DateOrder,
}

/// Stands for a word of the label, as written.
const WORD: LabelPart<'static> = LabelPart::Text("");

fn is_small(digits: &str) -> bool {
    digits.len() <= 2
}

fn is_year(digits: &str) -> bool {
    matches!(digits.len(), 2 | 4)
}

fn number(digits: &str) -> Option<i8> {
    digits.parse().ok()
}

fn new_date(year: i16, month: i8, day: i8) -> Option<Date> {
    Date::new(year, month, day).ok()
}

impl LabelDate {
    /// A date whose year has four digits.
    fn new(unit: TimeUnit, date: Date) -> Self {
        Self { unit, date, time: 0, by_order: false, short_year: false }
    }

    /// A date whose year is written as `digits`.
    fn with_year(unit: TimeUnit, digits: &str, date: Date) -> Self {
        Self { short_year: digits.len() == 2, ..Self::new(unit, date) }
    }
}

impl<'a> DateText<'_, 'a> {
    fn read(&self, parts: &mut Vec<LabelPart<'a>>) -> Option<LabelDate> {
        let word = self.runs.iter().find_map(|run| match run {
            Run::W(word) => Some(word),
            Run::D(_) => None,
        });
        match (self.runs, word) {
            ([Run::D(digits)], _) => self.digits(digits, parts),
            (_, None) => self.numbers(parts),
            (_, Some(word)) if named(word, &MONTHS).is_some() => self.with_month_name(parts),
            (_, Some(_)) => self.with_unit(parts),
        }
    }

    /// Whether a sign between numbers precedes the run at `index`.
    fn has_sign(&self, index: usize) -> bool {
        matches!(self.gaps[index], "-" | "/" | "." | " " | ". ")
    }

    /// Whether the same sign precedes the runs at `index` and after it.
    fn has_signs(&self, index: usize) -> bool {
        self.has_sign(index) && self.gaps[index] == self.gaps[index + 1]
    }

    /// Whether the text between the runs is only what separates words and numbers.
    fn is_loose(&self) -> bool {
        let is_loose = |gap: &&str| {
            matches!(*gap, "" | "-" | "/" | " " | "." | ", " | ". " | "," | "_" | " '" | "'" | " - " | " / ")
        };
        self.gaps[1..].iter().all(is_loose)
    }

    /// Adds the runs as parts, with the text between them.
    fn write(&self, parts: &mut Vec<LabelPart<'a>>, of: &[LabelPart<'a>]) {
        for (index, part) in of.iter().enumerate() {
            let part = match self.runs.get(index) {
                Some(Run::W(word)) if *part == WORD => LabelPart::Text(word),
                _ => *part,
            };
            parts.extend((index > 0 && !self.gaps[index].is_empty()).then(|| LabelPart::Text(self.gaps[index])));
            parts.push(part);
        }
    }

    /// Only numbers: `2021-03-05`, `5.3.2021`, `2021-064`, `3/2021`.
    fn numbers(&self, parts: &mut Vec<LabelPart<'a>>) -> Option<LabelDate> {
        use LabelPart::{Day, DayOfYear, Month, Year};
        use Run::D;
        Some(match *self.runs {
            [D(y), D(m), D(d)] if y.len() == 4 && is_small(m) && is_small(d) && self.has_signs(1) => {
                self.write(parts, &[Year(4), Month(width(m)), Day(width(d))]);
                LabelDate::new(TimeUnit::Moment, new_date(year(y)?, number(m)?, number(d)?)?)
            }
            [D(a), D(b), D(c)] if is_small(a) && is_small(b) && is_year(c) && self.has_signs(1) => {
                let (d, m, y) = match self.order {
                    DateOrder::YearFirst if c.len() == 4 => return None,
                    DateOrder::DayFirst => (a, b, c),
                    DateOrder::MonthFirst => (b, a, c),
                    DateOrder::YearFirst => (c, b, a),
                };
                let (month, day, year_part) = (Month(width(m)), Day(width(d)), Year(y.len()));
                match self.order {
                    DateOrder::DayFirst => self.write(parts, &[day, month, year_part]),
                    DateOrder::MonthFirst => self.write(parts, &[month, day, year_part]),
                    DateOrder::YearFirst => self.write(parts, &[year_part, month, day]),
                }
                let date = new_date(year(y)?, number(m)?, number(d)?)?;
                LabelDate { by_order: true, ..LabelDate::with_year(TimeUnit::Moment, y, date) }
            }
            [D(y), D(n)] if y.len() == 4 && n.len() == 3 && self.gaps[1] == "-" => {
                self.write(parts, &[Year(4), DayOfYear]);
                let day: i16 = n.parse().ok()?;
                let first = new_date(year(y)?, 1, 1)?;
                LabelDate::new(TimeUnit::Moment, first.with().day_of_year(day).build().ok()?)
            }
            // With a point and one digit it is a number.
            [D(y), D(m)]
                if y.len() == 4 && is_small(m) && self.has_sign(1) && (self.gaps[1] != "." || m.len() == 2) =>
            {
                self.write(parts, &[Year(4), Month(width(m))]);
                let date = new_date(year(y)?, number(m)?, 1)?;
                LabelDate::new(TimeUnit::Month, plausible(self.gaps[1] != ".", date)?)
            }
            [D(y), D(m)] if y.len() == 4 && m.len() == 2 && self.gaps[1] == ":" && ("1000".."3000").contains(&y) => {
                self.write(parts, &[Year(4), Month(PADDED)]);
                LabelDate::new(TimeUnit::Month, new_date(year(y)?, number(m)?, 1)?)
            }
            [D(m), D(y)] if is_small(m) && y.len() == 4 && self.has_sign(1) => {
                self.write(parts, &[Month(width(m)), Year(4)]);
                let date = new_date(year(y)?, number(m)?, 1)?;
                LabelDate::new(TimeUnit::Month, plausible(self.gaps[1] != ".", date)?)
            }
            _ => return None,
        })
    }

    /// With the name of a month: `5 March 2021`, `Mar-05`, `2021 March`.
    fn with_month_name(&self, parts: &mut Vec<LabelPart<'a>>) -> Option<LabelDate> {
        use LabelPart::{Day, MonthName, Year};
        use Run::{D, W};
        if !self.is_loose() {
            return None;
        }
        Some(match *self.runs {
            [D(d), W(m), D(y)] if is_small(d) && is_year(y) => {
                self.write(parts, &[Day(width(d)), MonthName(m), Year(y.len())]);
                LabelDate::with_year(TimeUnit::Moment, y, new_date(year(y)?, named(m, &MONTHS)?, number(d)?)?)
            }
            [W(m), D(d), D(y)] if is_small(d) && is_year(y) && !self.gaps[2].is_empty() => {
                self.write(parts, &[MonthName(m), Day(width(d)), Year(y.len())]);
                LabelDate::with_year(TimeUnit::Moment, y, new_date(year(y)?, named(m, &MONTHS)?, number(d)?)?)
            }
            [D(y), W(m), D(d)] if y.len() == 4 && is_small(d) => {
                self.write(parts, &[Year(4), MonthName(m), Day(width(d))]);
                LabelDate::new(TimeUnit::Moment, new_date(year(y)?, named(m, &MONTHS)?, number(d)?)?)
            }
            [W(m), D(y)] if is_year(y) => {
                self.write(parts, &[MonthName(m), Year(y.len())]);
                LabelDate::with_year(TimeUnit::Month, y, new_date(year(y)?, named(m, &MONTHS)?, 1)?)
            }
            [D(y), W(m)] if y.len() == 4 => {
                self.write(parts, &[Year(4), MonthName(m)]);
                LabelDate::new(TimeUnit::Month, new_date(year(y)?, named(m, &MONTHS)?, 1)?)
            }
            _ => return None,
        })
    }

    /// With a letter or a word for a part of the year: `2021Q1`, `2021-W09-5`, `1H 2021`.
    fn with_unit(&self, parts: &mut Vec<LabelPart<'a>>) -> Option<LabelDate> {
        use LabelPart::{Week, WeekdayNumber, Year};
        use Run::{D, W};
        if !self.is_loose() {
            return None;
        }
        let unit_with = |word: &str, y: &str| counted(word).filter(|unit| y.len() == 4 || *unit == TimeUnit::Quarter);
        Some(match *self.runs {
            [D(y), W(w), D(n), D(d)] if y.len() == 4 && counted(w) == Some(TimeUnit::Week) && d.len() == 1 => {
                self.write(parts, &[Year(4), WORD, Week(width(n)), WeekdayNumber]);
                let weekday = Weekday::from_monday_one_offset(number(d)?).ok()?;
                LabelDate::new(TimeUnit::Moment, ISOWeekDate::new(year(y)?, number(n)?, weekday).ok()?.date())
            }
            [D(y), W(u), D(n)] if is_year(y) && is_small(n) => {
                let unit = unit_with(u, y)?;
                self.write(parts, &[Year(y.len()), WORD, part_of(unit, n)]);
                LabelDate::with_year(unit, y, of_year(unit, year(y)?, n)?)
            }
            [W(u), D(n), D(y)] if is_year(y) && is_small(n) && !self.gaps[2].is_empty() => {
                let unit = unit_with(u, y)?;
                self.write(parts, &[WORD, part_of(unit, n), Year(y.len())]);
                LabelDate::with_year(unit, y, of_year(unit, year(y)?, n)?)
            }
            [D(n), W(u), D(y)] if n.len() == 1 && is_year(y) => {
                let unit = counted(u).filter(|unit| matches!(unit, TimeUnit::Quarter | TimeUnit::Half))?;
                self.write(parts, &[part_of(unit, n), WORD, Year(y.len())]);
                LabelDate::with_year(unit, y, of_year(unit, year(y)?, n)?)
            }
            _ => return None,
        })
    }

    /// Only digits: `05032021`, `20210305`, `202103`, `20210305T1430` without its letter.
    fn digits(&self, digits: &'a str, parts: &mut Vec<LabelPart<'a>>) -> Option<LabelDate> {
        use LabelPart::{Day, Hour, Minute, Month, Second, Year};
        // No plausible year starts with the digits of a day and a month, so the two ways to read eight digits exclude
        // each other.
        if digits.len() == 8 && !is_iso(digits) {
            let (first, second) = (Day(PADDED), Month(PADDED));
            let (month, day) = match self.order {
                DateOrder::DayFirst => (&digits[2..4], &digits[..2]),
                DateOrder::MonthFirst => (&digits[..2], &digits[2..4]),
                DateOrder::YearFirst => return None,
            };
            let date = plausible(false, new_date(year(&digits[4..])?, number(month)?, number(day)?)?)?;
            parts.extend(if self.order == DateOrder::DayFirst { [first, second] } else { [second, first] });
            parts.push(Year(4));
            return Some(LabelDate { by_order: true, ..LabelDate::new(TimeUnit::Moment, date) });
        }
        if !matches!(digits.len(), 6 | 8 | 10 | 12 | 14) {
            return None;
        }
        let number = |at: usize| digits.get(at..at + 2).and_then(number);
        let date = plausible(false, new_date(year(&digits[..4])?, number(4)?, number(6).unwrap_or(1))?)?;
        let all = [Year(4), Month(PADDED), Day(PADDED), Hour(PADDED), Minute, Second];
        parts.extend(&all[..digits.len() / 2 - 1]);
        let time = [(8, HOUR, 24), (10, MINUTE, 60), (12, SECOND, 60)];
        let time = time.iter().filter(|(at, ..)| *at < digits.len()).map(|(at, unit, end)| {
            number(*at).map(i128::from).filter(|number| number < end).map(|number| number * unit)
        });
        let unit = if digits.len() == 6 { TimeUnit::Month } else { TimeUnit::Moment };
        Some(LabelDate { time: time.sum::<Option<i128>>()?, ..LabelDate::new(unit, date) })
    }
}

/// Whether eight digits are a year, a month and a day.
fn is_iso(digits: &str) -> bool {
    let number = |at: usize| digits.get(at..at + 2).and_then(|digits| digits.parse().ok());
    let date = || Date::new(year(digits.get(..4)?)?, number(4)?, number(6)?).ok();
    date().and_then(|date| plausible(false, date)).is_some()
}

/// If it could also be a number, it is a date only for plausible years.
fn plausible(certain: bool, date: Date) -> Option<Date> {
    (certain || (1700..2300).contains(&date.year())).then_some(date)
}
