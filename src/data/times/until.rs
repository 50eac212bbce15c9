//! The rows up to and including a time: a year includes all of its months, a day all of its hours.

use super::column::TimeColumn;
use super::extrapolation::walls;
use super::label::calendar::{DAY, HOUR, MINUTE, SECOND, TimeUnit, day_of, month, months, nanoseconds};
use super::label::numbers::{NumberInWords, float, pointed, season};
use super::label::time::LabelPart;
use super::label::{self, DateOrder, Reading};

/// The rows up to and including a time, or why there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RowsUntil {
    Rows(usize),
    /// It is not such a time.
    Other(&'static str),
    /// It starts after the last row, or ends before the first.
    Outside,
    /// Possible date orders that give different rows.
    Ask(Vec<DateOrder>),
}

/// A period: its first nanosecond, and the first after it.
struct Period {
    begin: i128,
    end: i128,
    unit: TimeUnit,
    offset: Option<i64>,
}

impl Period {
    /// `colon`: whether `1990:01` is a month.
    fn read(text: &str, order: DateOrder, colon: bool) -> Option<Self> {
        let mut parts = Vec::new();
        let text = text.trim();
        if text.len() == 4
            && let Ok(year) = text.parse::<i64>()
        {
            let first = |year: i64| month(12 * year).map(nanoseconds);
            let (begin, end) = (first(year)?, first(year + 1)?);
            return Some(Self { begin, end, unit: TimeUnit::Year, offset: None });
        }
        let time = label::read_of(text, order, colon, &mut parts)?;
        let length = |part: &LabelPart<'_>| {
            Some(match *part {
                LabelPart::Fraction(places) => SECOND / 10_i128.pow(u32::try_from(places).ok()?),
                LabelPart::Second => SECOND,
                LabelPart::Minute => MINUTE,
                LabelPart::Hour(_) | LabelPart::Hour12(_) | LabelPart::Hour24 => HOUR,
                LabelPart::Day(_) | LabelPart::DayOfYear | LabelPart::WeekdayNumber => DAY,
                LabelPart::Week(_) => 7 * DAY,
                _ => return None,
            })
        };
        let (date, _) = day_of(time.wall)?;
        let after = |count: i64| month(months(date) + count).map(nanoseconds);
        let end = match time.unit {
            TimeUnit::Month => after(1)?,
            TimeUnit::Quarter => after(3)?,
            TimeUnit::Half => after(6)?,
            TimeUnit::Year => after(12)?,
            TimeUnit::Moment | TimeUnit::Week | TimeUnit::Clock => time.wall + parts.iter().filter_map(length).min()?,
        };
        Some(Self { begin: time.wall, end, unit: time.unit, offset: time.offset })
    }
}

/// The rows that start by the end of `until`.
pub(crate) fn rows(times: &TimeColumn, labels: &[String], until: &str) -> RowsUntil {
    let of = |keys: &[i128], begin: i128, end: i128| match (keys.first(), keys.last()) {
        (Some(first), Some(last)) if *first < end && begin <= *last => {
            RowsUntil::Rows(keys.iter().rposition(|key| *key < end).map_or(0, |row| row + 1))
        }
        _ => RowsUntil::Outside,
    };
    match times.reading() {
        Reading::Numbers { comma, .. } => {
            let Some(until) = float(&pointed(until, comma)) else { return RowsUntil::Other("a number") };
            let numbers: Vec<f64> = labels.iter().filter_map(|label| float(&pointed(label, comma))).collect();
            if numbers.first().is_some_and(|first| *first <= until) && numbers.last().is_some_and(|last| until <= *last)
            {
                RowsUntil::Rows(numbers.partition_point(|number| *number <= until))
            } else {
                RowsUntil::Outside
            }
        }
        Reading::NumberInWords { decimals } => {
            let digits = NumberInWords::split(until).map_or(until.trim(), |behind| behind.digits);
            let Some(number) = float(digits) else { return RowsUntil::Other("a number") };
            let sign = if times.keys.iter().any(|key| *key < 0) { -1.0 } else { 1.0 };
            let key = sign * number * 10_f64.powi(i32::try_from(decimals).unwrap_or(0));
            // Between two rows it matches neither; the product may be rounded.
            let [begin, last] = [(key - 1e-6).ceil(), (key + 1e-6).floor()].map(|key| key as i128);
            of(&times.keys, begin, last.saturating_add(1))
        }
        Reading::Seasons => {
            let year = season(until).or_else(|| until.trim().parse().ok()).map(i128::from);
            year.map_or(RowsUntil::Other("a year or a pair of years"), |year| of(&times.keys, year, year + 1))
        }
        Reading::Dates { unit, zoned, order } => {
            let orders: Vec<DateOrder> = match times.date_order() {
                Some(_) => vec![order],
                None => DateOrder::ALL.to_vec(),
            };
            let clocks = |period: &Period| (period.unit == TimeUnit::Clock) == (unit == TimeUnit::Clock);
            let mut found: Vec<(DateOrder, RowsUntil)> = Vec::new();
            for order in orders {
                let Some(period) = Period::read(until, order, unit != TimeUnit::Clock).filter(clocks) else { continue };
                let rows = match period.offset {
                    Some(_) if !zoned => return RowsUntil::Other("a time without an offset from UTC"),
                    Some(offset) => {
                        let offset = i128::from(offset) * SECOND;
                        of(&times.keys, period.begin - offset, period.end - offset)
                    }
                    // By the local clocks of the labels.
                    None => of(&walls(times, labels).unwrap_or_default(), period.begin, period.end),
                };
                if !found.iter().any(|(_, other)| *other == rows) {
                    found.push((order, rows));
                }
            }
            // A reading within the data is preferred to one outside.
            if found.len() > 1 {
                found.retain(|(_, rows)| *rows != RowsUntil::Outside);
            }
            match (found.len(), found.first()) {
                (_, None) if unit == TimeUnit::Clock => RowsUntil::Other("a time of day"),
                (_, None) => RowsUntil::Other("a date"),
                (1, Some((_, rows))) => rows.clone(),
                _ => RowsUntil::Ask(found.iter().map(|(order, _)| *order).collect()),
            }
        }
    }
}
