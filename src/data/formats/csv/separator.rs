//! Detects the separator of fields.

use std::path::Path;

use crate::data::times;
use crate::data::times::{Reading, RowGroups, TimeError};
use crate::data::values::decimal::DecimalMark;
use crate::data::values::number::is_missing;
use crate::error::{Error, Result};

/// Possible separators: a comma, a semicolon, a tab or a vertical bar.
pub const SEPARATORS: [char; 4] = {
    let [a, b, c, d] = NAMED;
    [a.0 as char, b.0 as char, c.0 as char, d.0 as char]
};

/// The character, its name, and its plural.
const NAMED: [(u8, &str, &str); 4] = [
    (b',', "comma", "commas"),
    (b';', "semicolon", "semicolons"),
    (b'\t', "tab", "tabs"),
    (b'|', "vertical bar", "vertical bars"),
];

/// Maximum number of records that are examined.
const SAMPLE: usize = 1000;

/// The separator, and why it was chosen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Separator {
    pub(super) byte: u8,
    /// `which 98 of 100 lines fit`.
    why: String,
    /// Whether a line below the first has the same number of fields.
    pub(super) fits: bool,
    /// Others that would fit too, for the note.
    rivals: Vec<u8>,
    /// The start of the first record: after a line that sets the separator.
    pub(super) start: usize,
}

impl Separator {
    /// Examines the first line and many lines after it. The separator is the one with which most lines have the number
    /// of fields of the first. Of two with as many, it is the one whose fields are numbers, dates or text without the
    /// other one. A first line `sep=;` sets it.
    ///
    /// # Errors
    /// [`Error::Data`] if two remain.
    pub(super) fn find(text: &str, path: &Path) -> Result<Self> {
        if let Some(told) = told(text) {
            return Ok(told);
        }
        let mut fits: Vec<Fit> = NAMED.iter().map(|(byte, ..)| Fit::of(text, *byte)).collect();
        // With a single field, there is no separator.
        let with = |byte: u8, rivals: Vec<u8>, why: String, fits| Ok(Self { byte, why, fits, rivals, start: 0 });
        if fits.iter().all(|fit| fit.fields < 2) {
            let split = fits.iter().filter(|fit| fit.split > 0).max_by_key(|fit| fit.split);
            let byte = split.map_or(b',', |fit| fit.byte);
            return with(
                byte,
                Vec::new(),
                format!("which the first line does not have: expected names separated by {}", plural(byte)),
                false,
            );
        }
        // A header may have another separator than the rows, whose decimal commas then give as many fields.
        let one: Vec<u8> = fits.iter().filter(|fit| fit.fields < 2 && fit.split > 0).map(|fit| fit.byte).collect();
        fits.retain(|fit| fit.fields >= 2);
        let most = fits.iter().map(Fit::share).fold(0.0, f64::max);
        fits.retain(|fit| fit.share() == most);
        let rivals: Vec<u8> = fits.iter().map(|fit| fit.byte).collect();
        let found = match fits.len() {
            1 => Some(0),
            count => {
                let plain: Vec<usize> = (0..count).filter(|index| fits[*index].is_plain(text, &rivals)).collect();
                let typed: Vec<f64> = fits.iter().map(|fit| fit.typed(text)).collect();
                let clear =
                    |index: &usize| (0..count).all(|other| other == *index || typed[other] * 2.0 < typed[*index]);
                let most = (0..count).max_by_key(|index| fits[*index].fields);
                match plain[..] {
                    [only] => Some(only),
                    // A header alone is little evidence, and nothing is read without rows.
                    _ if fits[0].all == 0 => most,
                    _ => (0..count).find(clear),
                }
            }
        };
        match found {
            Some(index) => {
                let Fit { byte, alike, all, fields, .. } = fits[index];
                let why = match all {
                    0 => "which the first line has".into(),
                    _ => format!("with which {alike} of {all} lines have {fields} fields, like the first"),
                };
                if let Some(other) = one.into_iter().find(|other| fits[index].first_holds(text, *other)) {
                    let message = format!(
                        "expected names and rows with one separator, got names with {} and {} in the first field of \
                         every row; set it with a line {} or {} above the header, and separate all lines by it",
                        plural(byte),
                        plural(other),
                        line_of(byte),
                        line_of(other)
                    );
                    return Err(Error::data(path, "", message));
                }
                with(byte, rivals.into_iter().filter(|rival| *rival != byte).collect(), why, alike > 0)
            }
            None => {
                let ways: Vec<String> =
                    fits.iter().map(|fit| format!("{} fields separated by {}", fit.fields, plural(fit.byte))).collect();
                let lines: Vec<String> = fits.iter().map(|fit| line_of(fit.byte)).collect();
                let message = format!(
                    "expected lines with one way to separate fields, got {} of {} lines that have {}; set it with a \
                     line {} above the header",
                    fits[0].alike,
                    fits[0].all,
                    ways.join(", and "),
                    lines.join(" or ")
                );
                Err(Error::data(path, "", message))
            }
        }
    }

    /// `commas`.
    pub(super) fn plural(&self) -> String {
        plural(self.byte)
    }

    /// The note for the data; none if only a comma fits.
    pub(super) fn note(&self) -> Option<String> {
        let rivals: Vec<String> = self.rivals.iter().map(|byte| plural(*byte)).collect();
        match (rivals.is_empty(), self.byte) {
            (true, b',') => None,
            (true, _) => Some(format!("fields separated by {}", self.plural())),
            _ => Some(format!(
                "fields separated by {}, not by {}, which fit as many lines",
                self.plural(),
                rivals.join(" or ")
            )),
        }
    }

    /// Why a line with another number of fields is refused.
    pub(super) fn reason(&self) -> String {
        let name = NAMED.iter().find(|(byte, ..)| *byte == self.byte).map(|(_, name, _)| (*name).to_owned());
        let name = name.unwrap_or_else(|| format!("{:?}", char::from(self.byte)));
        format!("the separator is the {name}, {}", self.why)
    }
}

fn plural(byte: u8) -> String {
    let known = NAMED.iter().find(|(of, ..)| *of == byte);
    known.map_or_else(|| format!("{:?}", char::from(byte)), |(.., plural)| (*plural).to_owned())
}

/// The line that sets a separator.
fn line_of(byte: u8) -> String {
    format!("sep={}", if byte == b'\t' { "(a tab)".into() } else { char::from(byte).to_string() })
}

/// The separator that a line `sep=;` sets, as Excel writes and reads it.
fn told(text: &str) -> Option<Separator> {
    let blank = text.len() - text.trim_start_matches(['\r', '\n']).len();
    let end = text[blank..].find(['\r', '\n']).map_or(text.len(), |end| blank + end);
    let line = text[blank..end].trim_matches('"');
    let byte = match line.as_bytes() {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() => {
            *byte
        }
        _ => return None,
    };
    Some(Separator { byte, why: format!("as the line {line:?} sets it"), fits: true, rivals: Vec::new(), start: end })
}

/// How a separator fits.
struct Fit {
    byte: u8,
    /// The number of fields of the first line.
    fields: usize,
    /// How many of the following lines have as many.
    alike: usize,
    /// How many have more than one.
    split: usize,
    all: usize,
}

impl Fit {
    fn of(text: &str, byte: u8) -> Self {
        let (mut fields, mut alike, mut split, mut all) = (0, 0, 0, 0);
        sample(text, byte, |record, cells| {
            if record == 0 {
                fields = cells.len();
                return;
            }
            all += 1;
            alike += usize::from(cells.len() == fields);
            split += usize::from(cells.len() > 1);
        });
        Self { byte, fields, alike, split, all }
    }

    /// The share of lines that fit.
    fn share(&self) -> f64 {
        if self.all == 0 { 1.0 } else { self.alike as f64 / self.all as f64 }
    }

    /// Whether no field of the rows contains a rival or a quotation mark, except for quoted fields and numbers. Without
    /// rows, the header decides.
    fn is_plain(&self, text: &str, rivals: &[u8]) -> bool {
        let mut plain = true;
        sample(text, self.byte, |record, cells| {
            let is_odd = |byte: &u8| *byte == b'"' || (rivals.contains(byte) && *byte != self.byte);
            let holds = |cell: &&str| !cell.starts_with('"') && cell.as_bytes().iter().any(is_odd);
            let counts = record > 0 || self.all == 0;
            plain &= !counts || !cells.iter().any(|cell| holds(cell) && !is_value(unquoted(cell)));
        });
        plain
    }

    /// Whether the first field of every row contains another separator, and so is not a time or a number.
    fn first_holds(&self, text: &str, other: u8) -> bool {
        let mut holds = self.all > 0;
        sample(text, self.byte, |record, cells| {
            let first = cells.first().copied().unwrap_or_default();
            let within = !first.starts_with('"') && first.as_bytes().contains(&other) && !is_value(first.trim());
            holds &= record == 0 || within;
        });
        holds
    }

    /// The share of fields that are values.
    fn typed(&self, text: &str) -> f64 {
        let (mut typed, mut all) = (0.0, 0.0);
        sample(text, self.byte, |record, cells| {
            if record > 0 {
                all += cells.len() as f64;
                typed += cells.iter().filter(|cell| is_value(unquoted(cell))).count() as f64;
            }
        });
        typed / f64::max(all, 1.0)
    }
}

fn unquoted(cell: &str) -> &str {
    cell.trim().trim_matches('"').trim()
}

/// Whether a field is a number, a date, a time of day or missing: a value rather than a name.
pub(super) fn is_value(cell: &str) -> bool {
    let number = || [DecimalMark::Point, DecimalMark::Comma].iter().any(|mark| mark.plain(cell).is_some());
    is_missing(cell) || number() || is_time(cell)
}

/// Whether a field is or looks like a date or a time of day in any order of day and month: it starts with a digit and
/// has only digits and separators of dates.
pub(super) fn is_time(cell: &str) -> bool {
    let digits = cell.bytes().filter(u8::is_ascii_digit).count();
    // No time is shorter, and names rarely get past this.
    if digits == 0 {
        return false;
    }
    let looks = || {
        let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'/' | b'.' | b':' | b'+' | b' ');
        digits >= 3 && cell.starts_with(|c: char| c.is_ascii_digit()) && cell.bytes().all(plain)
    };
    match times::read(&[cell][..], None, RowGroups::SERIES) {
        Ok(times) => matches!(times.reading(), Reading::Dates { .. } | Reading::Seasons),
        Err(TimeError::Ask { .. }) => true,
        Err(_) => looks(),
    }
}

/// Whether a field is a time, alone or together with the next row, such as `t1` above `t2`.
pub(super) fn is_time_above(cell: &str, below: &str) -> bool {
    let read = times::read(&[cell, below][..], None, RowGroups::SERIES);
    is_time(cell) || matches!(read, Ok(times) if matches!(times.reading(), Reading::NumberInWords { .. }))
}

/// Passes on the number and the raw fields of each of the first records.
fn sample<'t>(text: &'t str, separator: u8, mut take: impl FnMut(usize, &[&'t str])) {
    let (mut fields, mut place, mut start, mut record) = (Vec::new(), QuoteState::FieldStart, 0, 0);
    for (at, byte) in text.bytes().enumerate() {
        if place != QuoteState::Quoted {
            let ends = matches!(byte, b'\r' | b'\n');
            if byte == separator || (ends && (!fields.is_empty() || start < at)) {
                fields.push(&text[start..at]);
            }
            if byte == separator || ends {
                start = at + 1;
            }
            if ends && !fields.is_empty() {
                take(record, &fields);
                fields.clear();
                record += 1;
                if record > SAMPLE {
                    return;
                }
            }
        }
        place = place.after(byte, separator);
    }
    if start < text.len() || !fields.is_empty() {
        fields.push(&text[start..]);
        take(record, &fields);
    }
}

/// The state of a byte with regard to quotation marks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum QuoteState {
    FieldStart,
    Field,
    Quoted,
    /// After a quotation mark inside quotes: the closing one, unless another follows.
    Closing,
}

impl QuoteState {
    pub(super) fn after(self, byte: u8, separator: u8) -> Self {
        match (self, byte) {
            (Self::FieldStart | Self::Closing, b'"') => Self::Quoted,
            (Self::Quoted, b'"') => Self::Closing,
            (Self::Quoted, _) => Self::Quoted,
            (_, b'\r' | b'\n') => Self::FieldStart,
            (_, byte) if byte == separator => Self::FieldStart,
            _ => Self::Field,
        }
    }
}
