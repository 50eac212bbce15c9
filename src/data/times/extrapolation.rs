//! Continues the labels of rows beyond the last.

use std::borrow::Cow;

use jiff::civil::{Date, Weekday};

use super::column::TimeColumn;
use super::label;
use super::label::Reading;
use super::label::calendar::{DAY, HOUR, MINUTE, MONTHS, SECOND, TimeUnit, day_of, month, months, named, nanoseconds};
use super::label::formatter::TimeFormatter;
use super::label::numbers::{NumberInWords, decimals, fixed_point, pointed, season, write_fixed, zeros_before};
use super::label::time::LabelPart;
use super::label::zone::{local_of, offset_at, split_zone};

/// Dates with a constant step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DateSteps {
    /// Months, from one first day, or same day, to the next.
    Months,
    /// Months, from one end to the next; `business`: the last weekday of each.
    MonthEnds { business: bool },
    /// Clock time, or numbers.
    Even,
}

/// The constant step between neighbours, if it is positive.
fn constant_step(numbers: &[i128]) -> Option<i128> {
    let step = match numbers {
        [first, second, ..] if second > first => second - first,
        _ => return None,
    };
    numbers.windows(2).all(|pair| pair[1] - pair[0] == step).then_some(step)
}

/// `count` more labels; otherwise the reason why there are none.
pub(crate) fn beyond(times: &TimeColumn, labels: &[String], count: usize) -> Result<Vec<String>, String> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if labels.len() < 2 {
        return Err("a single row has no step to the next".into());
    }
    match times.reading() {
        Reading::Numbers { comma, .. } => numbers(labels, comma, count),
        Reading::NumberInWords { decimals } => behind(times, labels, decimals, count),
        Reading::Seasons => seasons(times, labels, count),
        Reading::Dates { .. } => dates(times, labels, count),
    }
}

/// The message that steps differ, with the first two that do.
fn differ(what: &str, labels: &[String], keys: &[i128], words: impl Fn(i128) -> String) -> String {
    let of = |index: usize| keys.get(index + 1).zip(keys.get(index)).map_or(0, |(next, key)| next - key);
    let other = (1..keys.len().max(2) - 1).find(|index| of(*index) != of(0)).unwrap_or(0);
    let step = |index: usize| {
        let label = labels.get(index + 1).map(String::as_str).unwrap_or_default();
        format!("{} before {label:?}", words(of(index)))
    };
    format!("steps between {what} differ ({}, {})", step(0), step(other))
}

/// `3 days`, in the largest unit without a remainder.
pub(super) fn span(nanoseconds: i128) -> String {
    let units = [(DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second")];
    match units.into_iter().find(|(unit, _)| nanoseconds % unit == 0) {
        Some((unit, name)) => counted(nanoseconds / unit, name),
        None => format!("{} seconds", nanoseconds as f64 / SECOND as f64),
    }
}

pub(super) fn counted(count: i128, name: &str) -> String {
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// Numbers without an exponent.
fn numbers(labels: &[String], comma: bool, count: usize) -> Result<Vec<String>, String> {
    let places = labels.iter().map(|label| decimals(&pointed(label, comma))).max().unwrap_or(0);
    // In units of the last decimal, so that nothing is rounded.
    let numbers: Option<Vec<i128>> = labels.iter().map(|label| fixed_point(&pointed(label, comma), places)).collect();
    let write =
        |number: i128| if comma { write_fixed(number, places).replace('.', ",") } else { write_fixed(number, places) };
    let numbers = numbers.ok_or("numbers with an exponent or leading zeros are not continued")?;
    let next = |step: i128| {
        let last = *numbers.last()?;
        (1..=count).map(|n| Some(write(last.checked_add(step.checked_mul(n as i128)?)?))).collect()
    };
    constant_step(&numbers).and_then(next).ok_or_else(|| differ("numbers", labels, &numbers, write))
}

fn behind(times: &TimeColumn, labels: &[String], places: usize, count: usize) -> Result<Vec<String>, String> {
    let (Some(first), Some(last)) = (
        labels.first().and_then(|label| NumberInWords::split(label)),
        labels.last().and_then(|label| NumberInWords::split(label)),
    ) else {
        return Err("they are not numbers".into());
    };
    let numbers = &times.keys[..labels.len().min(times.keys.len())];
    let words = |text: &str| {
        let mut words = text.split(|c: char| !c.is_alphabetic());
        words.any(|word| named(word, &MONTHS).is_some())
    };
    if words(last.before) || words(last.after) {
        return Err("days of a month without its year are not continued".into());
    }
    if numbers.iter().any(|number| *number < 0) {
        return Err("labels that count down are not continued beyond their end".into());
    }
    let Some(step) = constant_step(numbers) else {
        return Err(differ("numbers", labels, numbers, |step| write_fixed(step, places)));
    };
    // With leading zeros, the width is kept.
    let padded = |behind: NumberInWords<'_>| behind.digits.len() > 1 && behind.digits.starts_with('0');
    let padded = labels.iter().filter_map(|label| NumberInWords::split(label)).any(padded);
    let width = if padded { first.digits.len() } else { 0 };
    let end = numbers.last().copied().unwrap_or(0);
    let next = |n: usize| {
        let digits = zeros_before(&write_fixed(end + step * n as i128, places), width);
        format!("{}{digits}{}", last.before, last.after)
    };
    Ok((1..=count).map(next).collect())
}

/// The message that a following month does not have the day.
fn lacks_day(last: i128, step: i128, count: usize) -> Option<String> {
    let (date, _) = day_of(last)?;
    let next = |n: usize| month(months(date) + i64::try_from(step * n as i128).ok()?);
    // Beyond the last year, the day is not the reason.
    let mut nexts = (1..=count).map_while(next);
    let short = nexts.find(|next| next.days_in_month() < date.day())?;
    let name = MONTHS[usize::try_from(short.month() - 1).ok()?];
    Some(format!("{name} {} has no day {}", short.year(), date.day()))
}

fn seasons(times: &TimeColumn, labels: &[String], count: usize) -> Result<Vec<String>, String> {
    let Some(step) = constant_step(&times.keys) else {
        return Err(differ("years", labels, &times.keys, |step| counted(step, "year")));
    };
    let next = |n: usize| {
        let last = labels.last()?.trim();
        let sign = last.chars().nth(4)?;
        let year = i128::from(season(last)?) + step * n as i128;
        let end = last.len() - 4 - sign.len_utf8();
        let second = if end == 4 { format!("{:04}", year + 1) } else { format!("{:02}", (year + 1) % 100) };
        (year < 9999).then(|| format!("{year:04}{sign}{second}"))
    };
    (1..=count).map(next).collect::<Option<_>>().ok_or("years end with 9999".into())
}

/// The unit of dates and their counts in it.
pub(super) fn counts(unit: TimeUnit, walls: &[i128]) -> Option<(DateSteps, Cow<'_, [i128]>)> {
    let days = || walls.iter().filter_map(|wall| day_of(*wall));
    if days().count() < walls.len() {
        return None;
    }
    let in_months = || days().map(|(date, _)| i128::from(months(date))).collect();
    let last_weekday = |date: Date| {
        let mut last = date.last_of_month();
        while matches!(last.weekday(), Weekday::Saturday | Weekday::Sunday) {
            last = last.yesterday().unwrap_or(last);
        }
        last == date
    };
    let (first, time) = days().next()?;
    let same_time = days().all(|(_, of)| of == time);
    let apart = days().map(|(date, _)| months(date)).is_sorted_by(|a, b| a < b);
    Some(match unit {
        TimeUnit::Month | TimeUnit::Quarter | TimeUnit::Half | TimeUnit::Year => (DateSteps::Months, in_months()),
        TimeUnit::Moment if same_time && apart => {
            let all = |of: &dyn Fn(Date) -> bool| days().all(|(date, _)| of(date));
            let day = first.day();
            if all(&|date| date == date.last_of_month()) {
                (DateSteps::MonthEnds { business: false }, in_months())
            } else if all(&|date| date.day() == day) {
                (DateSteps::Months, in_months())
            } else if all(&last_weekday) {
                (DateSteps::MonthEnds { business: true }, in_months())
            } else {
                (DateSteps::Even, walls.into())
            }
        }
        _ => (DateSteps::Even, walls.into()),
    })
}

/// Whether rows are only on days from Monday to Friday and skip at least one weekend.
pub(super) fn on_weekdays(walls: &[i128]) -> bool {
    let weekend = |wall: &i128| {
        day_of(*wall).is_none_or(|(date, _)| matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday))
    };
    // Days since 1970, which started on a Thursday, counted in weeks.
    let week = |wall: i128| (wall.div_euclid(DAY) + 3).div_euclid(7);
    !walls.iter().any(weekend) && walls.windows(2).any(|pair| week(pair[1]) > week(pair[0]))
}

/// The labels by their local clocks.
pub(super) fn walls(times: &TimeColumn, labels: &[String]) -> Option<Vec<i128>> {
    let Reading::Dates { order, unit, .. } = times.reading() else { return None };
    let mut parts = Vec::new();
    let mut read = |label| label::read_of(label, order, unit != TimeUnit::Clock, &mut parts);
    labels.iter().map(|label| Some(read(label)?.wall)).collect()
}

/// The offset of a local time after the last label in its zone. Without a time zone database it is unknown.
fn offset_after(zone: &str, wall: i128, written: Option<String>) -> Result<i64, String> {
    offset_at(zone, wall, None).map_err(|error| format!("the next, {}, is {error}", written.unwrap_or_default()))
}

/// The times `step` months apart after a day and a time of day, on the same day of each month; a number of days would
/// vary.
fn in_months((date, time): (Date, i128), step: i128, count: usize) -> Option<Vec<i128>> {
    let at = |n: i128| {
        let first = month(months(date) + i64::try_from(n * step).ok()?)?;
        Some(nanoseconds(first.with().day(date.day()).build().ok()?) + time)
    };
    (1..=count as i128).map(at).collect()
}

/// The same at the ends of months, or on their last business days.
fn at_month_ends((date, time): (Date, i128), step: i128, count: usize, business: bool) -> Option<Vec<i128>> {
    let at = |n: i128| {
        let mut day = month(months(date) + i64::try_from(n * step).ok()?)?.last_of_month();
        while business && matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
            day = day.yesterday().ok()?;
        }
        Some(nanoseconds(day) + time)
    };
    (1..=count as i128).map(at).collect()
}

fn dates(times: &TimeColumn, labels: &[String], count: usize) -> Result<Vec<String>, String> {
    let Reading::Dates { unit, zoned, order } = times.reading() else { return Err("they are not dates".into()) };
    let mut form = TimeFormatter::new(unit);
    let (mut parts, mut walls, mut offset): (Vec<LabelPart<'_>>, _, _) = (Vec::new(), Vec::new(), 0);
    for label in labels {
        let time = label::read_of(label, order, unit != TimeUnit::Clock, &mut parts).ok_or("they are not dates")?;
        form.see(&parts);
        walls.push(time.wall);
        offset = i128::from(time.offset.unwrap_or(0)) * SECOND;
    }
    let zone = labels.last().and_then(|label| split_zone(label.trim()).1);
    let unwritten = || "the next cannot be written in their form".to_owned();
    let write = |walls: Option<Vec<i128>>| -> Result<Vec<String>, String> {
        let of_wall = |wall: i128| {
            let offset = zone.map(|zone| offset_after(zone, wall, form.write(wall, None))).transpose()?;
            form.write(wall, offset).ok_or_else(unwritten)
        };
        walls.ok_or_else(unwritten)?.into_iter().map(of_wall).collect()
    };
    let n = 1..=count as i128;
    let last = walls.last().copied().unwrap_or_default();
    if unit == TimeUnit::Clock {
        let step = constant_step(&walls).ok_or_else(|| differ("times", labels, &walls, span))?;
        let next: Vec<i128> = n.map(|n| last + n * step).collect();
        // Beyond 24 hours they would be durations.
        let ends = walls.iter().all(|wall| *wall < DAY) && next.iter().any(|wall| *wall >= DAY);
        return if ends { Err("the day ends, and they have no date".into()) } else { write(Some(next)) };
    }
    let Some((steps, counts)) = counts(unit, &walls) else { return Err("they are not dates".into()) };
    // `Jan-30`, `Jan-31`: one month of many years, or days of it.
    let month_of = |wall: &i128| day_of(*wall).map(|(date, _)| date.month());
    if unit == TimeUnit::Month
        && times.found.short_year == Some(0)
        && walls.iter().all(|wall| month_of(wall) == month_of(&last))
    {
        return Err(format!("it is not clear whether the number in {:?} is a year or a day", labels[0]));
    }
    let day_and_time = day_of(last);
    match (steps, constant_step(&counts)) {
        (DateSteps::Months, Some(step)) => lacks_day(last, step, count)
            .map_or(Ok(()), Err)
            .and_then(|()| write(day_and_time.and_then(|from| in_months(from, step, count)))),
        (DateSteps::MonthEnds { business }, Some(step)) => {
            write(day_and_time.and_then(|from| at_month_ends(from, step, count, business)))
        }
        (DateSteps::Even, _) => {
            let even = constant_step(&times.keys).map(|step| (times.keys.last().copied().unwrap_or(0) + offset, step));
            // At the same hour of each day, across clock changes.
            let even = even.or_else(|| constant_step(&walls).filter(|_| zoned).map(|step| (last, step)));
            // Hours of a zone whose clocks may change; days begin by its clocks.
            if let (Some(zone), Some((_, step))) = (zone, even.filter(|(_, step)| step % DAY != 0)) {
                let last = times.keys.last().copied().unwrap_or_default();
                let at = |n: i128| {
                    let (wall, offset) = local_of(zone, last + n * step).ok_or_else(unwritten)?;
                    let next = form.write(wall, Some(offset)).ok_or_else(unwritten)?;
                    match label::zone_error(&next, order) {
                        Some(error) => Err(format!("the next, {next}, is {error}")),
                        None => Ok(next),
                    }
                };
                return n.map(at).collect();
            }
            if let Some((from, step)) = even {
                return write(Some(n.map(|n| from + n * step).collect()));
            }
            let friday = |wall: i128| day_of(wall).is_some_and(|(date, _)| date.weekday() == Weekday::Friday);
            let next = |wall: i128| wall + if friday(wall) { 3 * DAY } else { DAY };
            if on_weekdays(&walls) && walls.windows(2).all(|pair| pair[1] == next(pair[0])) {
                let days = std::iter::successors(Some(last), |wall| Some(next(*wall)));
                return write(Some(days.skip(1).take(count).collect()));
            }
            Err(differ("dates", labels, &walls, span))
        }
        (_, None) => Err(differ("dates", labels, &counts, |step| counted(step, "month"))),
    }
}
