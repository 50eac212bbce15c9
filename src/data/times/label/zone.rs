//! Time zones in brackets after a time, as RFC 9557 writes them: `2024-03-31T01:30+01:00[Europe/Berlin]`.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::calendar::{SECOND, day_of};

/// Why a local time in a zone is no instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum ZoneError<'a> {
    /// No time zone database has it.
    Unknown(&'a str),
    /// Clocks go forward past it, from one offset to another in seconds.
    Never(&'a str, [i64; 2]),
    /// Clocks go back before it ends, from one offset to another.
    Twice(&'a str, [i64; 2]),
    /// It has another offset in the zone than the written one.
    Other(&'a str, i64),
}

/// The text before a zone in brackets at the end of a label, and its name.
pub(in crate::data) fn split_zone(label: &str) -> (&str, Option<&str>) {
    let zone = label.strip_suffix(']').and_then(|text| text.split_once('['));
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte))
    };
    match zone {
        Some((before, name)) if is_name(name) => (before, Some(name)),
        _ => (label, None),
    }
}

fn datetime(wall: i128) -> Option<DateTime> {
    let (date, since) = day_of(wall)?;
    date.at(0, 0, 0, 0).checked_add(SignedDuration::from_nanos(i64::try_from(since).ok()?)).ok()
}

fn seconds(offset: Offset) -> i64 {
    offset.seconds().into()
}

/// The offset in seconds of a local time in the zone `name`, which may be written with it.
///
/// # Errors
/// See [`ZoneError`]. Without a time zone database, a written offset is taken as it is.
pub(in crate::data) fn offset_at(name: &str, wall: i128, written: Option<i64>) -> Result<i64, ZoneError<'_>> {
    let zone = TimeZone::get(name).ok().zip(datetime(wall));
    let Some((zone, local)) = zone else { return written.ok_or(ZoneError::Unknown(name)) };
    match (zone.to_ambiguous_timestamp(local).offset(), written) {
        (AmbiguousOffset::Gap { before, after }, _) => Err(ZoneError::Never(name, [before, after].map(seconds))),
        (AmbiguousOffset::Fold { before, after }, Some(written)) if [before, after].map(seconds).contains(&written) => {
            Ok(written)
        }
        (AmbiguousOffset::Fold { before, after }, _) => Err(ZoneError::Twice(name, [before, after].map(seconds))),
        (AmbiguousOffset::Unambiguous { offset }, Some(written)) if written != seconds(offset) => {
            Err(ZoneError::Other(name, seconds(offset)))
        }
        (AmbiguousOffset::Unambiguous { offset }, _) => Ok(seconds(offset)),
    }
}

/// The local time of an instant in a zone, and its offset in seconds; `None` without a database that has the zone.
pub(in crate::data) fn local_of(name: &str, instant: i128) -> Option<(i128, i64)> {
    let offset = seconds(TimeZone::get(name).ok()?.to_offset(Timestamp::from_nanosecond(instant).ok()?));
    Some((instant + i128::from(offset) * SECOND, offset))
}

/// An offset in the notation of `sample`, as in `+02:00`, `+0200` or ` +02`.
pub(super) fn offset_like(sample: &str, offset: i64) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes) = (offset.abs() / 3600, offset.abs() / 60 % 60);
    let digits = sample.trim_start_matches([' ', '+', '-', '−']);
    let space = &sample[..sample.len() - sample.trim_start().len()];
    match digits.bytes().filter(u8::is_ascii_digit).count() {
        // `Z` and the like.
        0 if offset == 0 => sample.to_owned(),
        1 | 2 if minutes == 0 => format!("{space}{sign}{hours:02}"),
        4 if !digits.contains(':') => format!("{space}{sign}{hours:02}{minutes:02}"),
        _ => format!("{space}{sign}{hours:02}:{minutes:02}"),
    }
}

impl fmt::Display for ZoneError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = |offset: &i64| offset_like("+00:00", *offset);
        match self {
            Self::Unknown(zone) => write!(
                f,
                "whose time zone {zone:?} no database of this machine has: write offsets from UTC before it, as in +01:00[{zone}]"
            ),
            Self::Never(zone, [before, after]) => write!(
                f,
                "a local time that never occurs in {zone}, where clocks go forward from {} to {}",
                written(before),
                written(after)
            ),
            Self::Twice(zone, [before, after]) => write!(
                f,
                "a local time that occurs twice in {zone}: write {0}[{zone}] for the first and {1}[{zone}] for the second",
                written(before),
                written(after)
            ),
            Self::Other(zone, offset) => {
                write!(f, "whose offset {zone} does not have at that time: it is {}", written(offset))
            }
        }
    }
}
