//! Parses a single label as a time.

use super::calendar::{TimeUnit, nanoseconds};
use super::clock::{clock, split_clock, split_offset};
use super::date::{LabelDate, day};
use super::date_order::DateOrder;
use super::time::{LabelPart, LabelTime};

/// Parses a label, and stores its notation in `parts`. A year alone is not a time but a number.
pub(in crate::data) fn read<'a>(label: &'a str, order: DateOrder, parts: &mut Vec<LabelPart<'a>>) -> Option<LabelTime> {
    read_of(label, order, true, parts)
}

/// `months`: whether `1990:01` is a month, and not a duration.
pub(in crate::data) fn read_of<'a>(
    label: &'a str,
    order: DateOrder,
    months: bool,
    parts: &mut Vec<LabelPart<'a>>,
) -> Option<LabelTime> {
    parts.clear();
    let label = label.trim();
    // No form starts differently or is longer.
    if label.len() > 64 || !label.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let colon = |day: &LabelDate| day.unit == TimeUnit::Month && label.contains(':');
    if let Some(day) = day(label, order, parts).filter(|day| months || !colon(day)) {
        return Some(day.at());
    }
    parts.clear();
    let (rest, offset) = split_offset(label);
    let (before, clock_text) = split_clock(rest)?;
    let (unit, wall, by_order, short_year) = if before.is_empty() {
        (TimeUnit::Clock, 0, false, false)
    } else {
        let date = before.trim_end_matches([' ', ',', '_', '-', ':']);
        let date =
            date.strip_suffix(['T', 't']).filter(|date| date.ends_with(|c: char| c.is_ascii_digit())).unwrap_or(date);
        let day = day(date, order, parts).filter(|day| day.unit == TimeUnit::Moment && date.len() < before.len())?;
        parts.push(LabelPart::Text(&before[date.len()..]));
        (TimeUnit::Moment, nanoseconds(day.date), day.by_order, day.short_year)
    };
    let time = clock(clock_text, unit == TimeUnit::Clock, parts)?;
    // A time of day without a date has no time zone.
    if offset.is_some() && unit == TimeUnit::Clock {
        return None;
    }
    if let Some((text, _)) = offset {
        parts.push(LabelPart::Offset(text));
    }
    Some(LabelTime { unit, wall: wall + time, offset: offset.map(|(_, seconds)| seconds), by_order, short_year })
}
