//! Parses the time of day in a label.

use super::calendar::{HOUR, MINUTE, SECOND};
use super::time::{LabelPart, width};

/// The text before a UTC offset at the end of a time of day, the offset as written, and in seconds.
pub(super) fn split_offset(label: &str) -> (&str, Option<(&str, i64)>) {
    let digit_before = |text: &str| text.trim_end().ends_with(|c: char| c.is_ascii_digit());
    for name in ["Z", "z", "UTC", "GMT"] {
        if let Some(rest) = label.strip_suffix(name).filter(|rest| digit_before(rest)) {
            let rest = rest.trim_end();
            return (rest, Some((&label[rest.len()..], 0)));
        }
    }
    let none = (label, None);
    // A sign before a colon belongs to a date.
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

/// The text before a time of day, what separates them, and the time.
pub(super) fn split_clock(text: &str) -> Option<(&str, &str)> {
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

/// The text before AM or PM, and whether it is PM.
fn split_meridiem(text: &str) -> Option<(&str, bool)> {
    let ends = |name: &str| {
        let at = text.len().checked_sub(name.len())?;
        (text.is_char_boundary(at) && text[at..].eq_ignore_ascii_case(name)).then(|| &text[..at])
    };
    let digit = |rest: &&str| rest.trim_end().ends_with(|c: char| c.is_ascii_digit());
    let of = |names: [&str; 2], pm| names.into_iter().find_map(ends).filter(digit).map(|rest| (rest, pm));
    of(["am", "a.m."], false).or_else(|| of(["pm", "p.m."], true))
}

/// A time of day in nanoseconds; `long`: more than a day is allowed.
pub(super) fn clock<'a>(text: &'a str, long: bool, parts: &mut Vec<LabelPart<'a>>) -> Option<i128> {
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
        let (field, after) =
            if colons { rest.split_once(':').unwrap_or((rest, "")) } else { rest.split_at(rest.len().min(2)) };
        *fields.get_mut(count)? = field;
        (count, rest) = (count + 1, after);
    }
    // Nothing follows a colon at the end.
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
            parts.push(LabelPart::Hour12(width(fields[0])));
            Some(hour).filter(|hour| (1..=12).contains(hour))? % 12 + if pm { 12 } else { 0 }
        }
        None if hour == 24 && rest == 0 && !long => {
            parts.push(LabelPart::Hour24);
            hour
        }
        None => {
            parts.push(LabelPart::Hour(width(fields[0])));
            Some(hour).filter(|hour| long || *hour < 24)?
        }
    };
    let mut sign = |part| {
        parts.extend(colons.then_some(LabelPart::Text(":")));
        parts.push(part);
    };
    if count > 1 {
        sign(LabelPart::Minute);
    }
    if count > 2 {
        sign(LabelPart::Second);
    }
    let mut time = hour * HOUR + rest;
    if let Some(fraction) = fraction {
        // Only of seconds.
        let places = u32::try_from(fraction.len()).ok().filter(|places| count == 3 && (1..=9).contains(places))?;
        time += number(fraction, 9)? * SECOND / 10_i128.pow(places);
        let at = digits.len();
        parts.extend([LabelPart::Text(&text[at..at + 1]), LabelPart::Fraction(fraction.len())]);
    }
    if let Some((text, _)) = meridiem {
        parts.push(LabelPart::Meridiem(text));
    }
    Some(time)
}
