//! Parses a single label as a time.

use super::calendar::{TimeUnit, nanoseconds};
use super::clock::{clock, split_clock, split_offset};
use super::date::{LabelDate, day};
use super::date_order::DateOrder;
use super::time::{LabelPart, LabelTime};
use super::zone::{ZoneError, offset_at, split_zone};

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
    parse(label, order, months, parts)?.ok()
}

/// Why the zone in brackets of a label does not determine its time; `None` if it does, or the label has none.
pub(in crate::data) fn zone_error(label: &str, order: DateOrder) -> Option<ZoneError<'_>> {
    parse(label, order, true, &mut Vec::new())?.err()
}

/// `None` if the label is no time; an error if it is one in a zone that does not determine it.
fn parse<'a>(
    label: &'a str,
    order: DateOrder,
    months: bool,
    parts: &mut Vec<LabelPart<'a>>,
) -> Option<Result<LabelTime, ZoneError<'a>>> {
    parts.clear();
    let label = label.trim();
    // No form starts differently or is longer.
    if label.len() > 96 || !label.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let colon = |day: &LabelDate| day.unit == TimeUnit::Month && label.contains(':');
    if let Some(day) = day(label, order, parts).filter(|day| months || !colon(day)) {
        return Some(Ok(day.at()));
    }
    parts.clear();
    let (timed, zone) = split_zone(label);
    let (rest, offset) = split_offset(timed);
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
    if (offset.is_some() || zone.is_some()) && unit == TimeUnit::Clock {
        return None;
    }
    if let Some((text, _)) = offset {
        parts.push(LabelPart::Offset(text));
    }
    let (wall, mut offset) = (wall + time, offset.map(|(_, seconds)| seconds));
    if let Some(zone) = zone {
        parts.push(LabelPart::Text(&label[timed.len()..]));
        match offset_at(zone, wall, offset) {
            Ok(of_zone) => offset = Some(of_zone),
            Err(error) => return Some(Err(error)),
        }
    }
    Some(Ok(LabelTime { unit, wall, offset, by_order, short_year }))
}
