//! The records of separated text: their separator, their names, and the line of each.

use std::collections::HashMap;
use std::path::Path;

use super::decimal_evidence::DecimalEvidence;
use super::first_line::{FirstLine, first_line, first_of_keys, header, shown};
use super::lines::{check_lines, end_of_rows, line_breaks};
use super::separator::{QuoteState, Separator};
use crate::data::DecimalMark;
use crate::data::input::encoding::utf8;
use crate::data::values::column_names::{list_names, shortened};
use crate::data::values::number::is_missing;
use crate::error::{Error, Result};

/// Maximum length of a list of fields in a message.
const SHOWN: usize = 40;

/// The records of a text, one after the other.
pub(in crate::data) struct Records<'a> {
    path: &'a Path,
    /// From the first record to the last one that is not empty.
    text: &'a [u8],
    separator: Separator,
    mark: DecimalMark,
    /// Whether the decimal mark was set or proved by a number; otherwise it is the default.
    known_mark: bool,
    names: Vec<String>,
    /// Whether the first line is a row.
    nameless: bool,
    /// Whether the fields below the header are 0 and 1, except for the first.
    keys: bool,
    csv: csv::Reader<&'a [u8]>,
    record: csv::StringRecord,
    /// The number of the record below the header, counted from 1.
    row: usize,
    /// The line where the record starts, counted from 1, and its first byte.
    line: usize,
    begin: usize,
    /// Notes on how the text was read.
    notes: Vec<String>,
}

impl<'a> Records<'a> {
    /// Reads the column names. If the first line is a row, they are `1`, `2` and so on.
    ///
    /// # Errors
    /// [`Error::Data`] if the text is empty or not UTF-8, two columns have one name, two separators fit it, or the
    /// first line could be a header or a row.
    pub(super) fn open(text: &'a [u8], path: &'a Path) -> Result<Self> {
        Self::new(text, path, false)
    }

    /// The same for a text whose columns are keys: numbers other than 0 and 1 are names.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub(in crate::data) fn open_keys(text: &'a [u8], path: &'a Path) -> Result<Self> {
        Self::new(text, path, true)
    }

    fn new(text: &'a [u8], path: &'a Path, keys: bool) -> Result<Self> {
        let text = utf8(text, path)?;
        check_lines(text, path)?;
        let separator = Separator::find(text, path)?;
        let mut notes: Vec<String> = separator.note().into_iter().collect();
        let end = separator.start + end_of_rows(&text[separator.start..], separator.byte);
        let line = 1 + line_breaks(&text.as_bytes()[..separator.start]);
        let empty = text[end..].split(['\r', '\n']).filter(|line| !line.is_empty()).count();
        if empty > 0 {
            let (last, byte) = (1 + line_breaks(&text.as_bytes()[..end]), char::from(separator.byte));
            notes.push(match empty {
                1 => format!("the last line has only {byte:?} and is ignored"),
                _ => format!("the last {empty} lines, from line {} on, have only {byte:?} and are ignored", last + 1),
            });
        }
        let text = &text.as_bytes()[separator.start..end];
        let mut records = Self {
            path,
            text,
            mark: DecimalMark::Point,
            known_mark: false,
            names: Vec::new(),
            nameless: false,
            keys,
            csv: reader(text, separator.byte),
            separator,
            record: csv::StringRecord::new(),
            row: 0,
            line,
            begin: 0,
            notes,
        };
        records.read()?;
        records.row = 0;
        records.name_columns()?;
        Ok(records)
    }

    fn name_columns(&mut self) -> Result<()> {
        let fields: Vec<&str> = self.record.iter().map(str::trim).collect();
        let first = if self.keys { first_of_keys(&fields) } else { first_line(&fields, self.below().as_deref()) };
        match first {
            FirstLine::Names => self.names = header(&self.record, self.path)?,
            FirstLine::Numbers => {
                self.names = header(&self.record, self.path)?;
                self.notes.push(format!(
                    "column names are numbers: the first line, {}, is read as the header",
                    shown(&fields)
                ));
            }
            FirstLine::Values => {
                self.notes.push(format!(
                    "no header: the first line, {}, is a row, and the columns are named 1 to {}",
                    shown(&fields),
                    fields.len()
                ));
                self.names = (1..=fields.len()).map(|number| number.to_string()).collect();
                self.nameless = true;
                self.restart();
            }
            FirstLine::Either => {
                let message = format!(
                    "expected a header, got {}, which may be names or values: add a header line above it",
                    shown(&fields)
                );
                return Err(Error::data(self.path, format!(", line {}", self.line), message));
            }
        }
        Ok(())
    }

    /// The first field of the record below the names.
    fn below(&self) -> Option<String> {
        let mut csv = reader(self.text, self.separator.byte);
        let mut record = csv::StringRecord::new();
        (0..2).all(|_| csv.read_record(&mut record).unwrap_or(false)).then(|| record[0].trim().to_owned())
    }

    /// Advice if the first line does not look like a header.
    pub(super) fn advice(&self) -> &'static str {
        let first = self.text.trim_ascii_start();
        if first.starts_with(b"#") || first.starts_with(b"\"#") {
            "; the header must be the first line: remove the lines above it"
        } else {
            ""
        }
    }
}

/// Reading, record by record.
impl<'a> Records<'a> {
    /// Back to the first record.
    fn restart(&mut self) {
        self.line -= line_breaks(&self.text[..self.begin]);
        self.begin = 0;
        self.row = 0;
        self.csv = reader(self.text, self.separator.byte);
    }

    /// Back to the first record below the header, which is the next one to be read.
    pub(super) fn rewind(&mut self) -> Result<()> {
        self.restart();
        if !self.nameless {
            self.read()?;
            self.row = 0;
        }
        Ok(())
    }

    /// Another reader of the same records.
    pub(super) fn again(&self) -> Result<Self> {
        let mut again = Self {
            separator: self.separator.clone(),
            names: self.names.clone(),
            csv: reader(self.text, self.separator.byte),
            record: csv::StringRecord::new(),
            notes: Vec::new(),
            ..*self
        };
        again.rewind()?;
        Ok(again)
    }

    /// The column names; empty for an unnamed column.
    pub(in crate::data) fn names(&self) -> &[String] {
        &self.names
    }

    /// The unnamed columns after the first: they cannot be requested.
    pub(super) fn unnamed(&self) -> Vec<usize> {
        (1..self.names.len()).filter(|index| self.names[*index].is_empty()).collect()
    }

    /// The field indices of columns.
    pub(super) fn indices(&self, names: &[&str]) -> Result<Vec<usize>> {
        // The first of each name; only unnamed columns can repeat.
        let all: HashMap<&str, usize> =
            self.names.iter().enumerate().rev().map(|(index, name)| (name.as_str(), index)).collect();
        let index = |name: &&str| {
            all.get(name).copied().ok_or_else(|| {
                let message = format!("expected a column {name:?}, got the columns {}{}", self.listed(), self.advice());
                Error::data(self.path, "", message)
            })
        };
        names.iter().map(index).collect()
    }

    /// The names, shortened for a message.
    pub(super) fn listed(&self) -> String {
        let shown = list_names(self.names.iter().map(String::as_str).filter(|name| !name.is_empty()));
        let nameless = if self.nameless { ", since the first line has values and no names" } else { "" };
        format!("{shown}{nameless}")
    }

    /// Decides the decimal mark of `columns` from `told` or all their numbers, and notes what will not be read.
    ///
    /// # Errors
    /// [`Error::Data`] if it is ambiguous.
    pub(super) fn decide(&mut self, columns: &[usize], told: Option<DecimalMark>) -> Result<()> {
        let unnamed = self.unnamed();
        let (mut evidence, mut unread) = (DecimalEvidence::default(), vec![false; unnamed.len()]);
        let mut csv = reader(self.text, self.separator.byte);
        let (mut record, mut line, mut begin) = (csv::StringRecord::new(), self.line, self.begin);
        let mut first = !self.nameless;
        line -= line_breaks(&self.text[..begin]);
        begin = 0;
        loop {
            let next = begin_of_record(self.text, csv.position().byte() as usize);
            line += line_breaks(&self.text[begin..next]);
            begin = next;
            match csv.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                // It is refused when it is read.
                Err(_) => continue,
            }
            if std::mem::take(&mut first) {
                continue;
            }
            for column in columns {
                if let Some(cell) = record.get(*column).map(str::trim).filter(|cell| !is_missing(cell)) {
                    evidence.take(cell, line);
                }
            }
            for (column, unread) in unnamed.iter().zip(&mut unread) {
                *unread |= record.get(*column).is_some_and(|cell| !cell.trim().is_empty());
            }
        }
        let (mark, note) = evidence.decide(told, self.separator.byte, self.path)?;
        self.mark = mark;
        self.known_mark = told.is_some() || evidence.shows();
        self.notes.extend(note);
        let unread = unnamed.iter().zip(unread).filter(|(_, unread)| *unread).map(|(column, _)| column + 1);
        let unread: Vec<String> = unread.take(SHOWN).map(|field| field.to_string()).collect();
        match &unread[..] {
            [] => {}
            [field] => self.notes.push(format!("field {field} has values and no name, and is not read")),
            fields => {
                self.notes.push(format!("fields {} have values and no names, and are not read", fields.join(", ")))
            }
        }
        Ok(())
    }

    /// Advances to the next record; `false` after the last one.
    pub(in crate::data) fn read(&mut self) -> Result<bool> {
        let start = self.csv.position().byte() as usize;
        let begin = begin_of_record(self.text, start);
        self.line += line_breaks(&self.text[self.begin..begin]);
        self.begin = begin;
        self.row += 1;
        let read = self.csv.read_record(&mut self.record);
        let end = self.csv.position().byte() as usize;
        // Only the last record can have an open quotation mark; its number of fields means nothing then.
        if end >= self.text.len() && ends_in_quotes(&self.text[start.min(end)..], self.separator.byte) {
            let message = "expected a closing quotation mark, got the end of the file";
            return Err(Error::data(self.path, self.place(), message));
        }
        read.map_err(|error| {
            let message = match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    let comma = match (len > expected_len && self.separator.byte == b',', self.separator.fits) {
                        _ if self.keys => "",
                        (true, true) => "; quote numbers with a decimal comma",
                        (true, false) if *expected_len > 1 => "; quote fields that contain a comma",
                        _ => "",
                    };
                    let title = if self.row <= 1 && *expected_len == 1 && self.advice().is_empty() {
                        "; remove any lines above the header"
                    } else {
                        self.advice()
                    };
                    let fields = if *expected_len == 1 { "1 field".into() } else { format!("{expected_len} fields") };
                    format!("expected {fields}, got {len}; {}{comma}{title}", self.separator.reason())
                }
                _ => error.to_string(),
            };
            Error::data(self.path, self.place(), message)
        })
    }

    /// A field of the current record, trimmed.
    pub(in crate::data) fn field(&self, index: usize) -> &str {
        self.record[index].trim()
    }

    /// The number in a field of the current record; NaN if missing.
    ///
    /// # Errors
    /// [`Error::Data`] names row, line and column.
    pub(super) fn number(&self, index: usize) -> Result<f64> {
        let field = self.field(index);
        let number = self.mark.number(field).map_err(|(expected, got)| {
            // If the first row has a word, it may be the header.
            let title = if self.row == 1 && !self.nameless && !field.contains(|c: char| c.is_ascii_digit()) {
                "; if this line is the header, remove the lines above it"
            } else {
                ""
            };
            let place = format!("{}, column {:?}", self.place(), shortened(&self.names[index]));
            Error::data(self.path, place, format!("expected {expected}, got {got}{title}"))
        })?;
        Ok(number.unwrap_or(f64::NAN))
    }

    /// How numbers are read.
    pub(super) fn mark(&self) -> DecimalMark {
        self.mark
    }

    /// The decimal mark, if it was set or proved by a number; other files use it too.
    pub(super) fn known_mark(&self) -> Option<DecimalMark> {
        self.known_mark.then_some(self.mark)
    }

    /// The number of the current record, counted from 1 below the header, and its line.
    pub(in crate::data) fn position(&self) -> (usize, usize) {
        (self.row, self.line)
    }

    /// `, row 7 (line 8)`, of the current record.
    pub(in crate::data) fn place(&self) -> String {
        if self.names.is_empty() {
            format!(", line {}", self.line)
        } else {
            format!(", row {} (line {})", self.row, self.line)
        }
    }

    /// Notes on how the text was read.
    pub(in crate::data) fn into_notes(self) -> Vec<String> {
        self.notes
    }
}

fn reader(text: &[u8], separator: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().has_headers(false).delimiter(separator).from_reader(text)
}

/// The rest of the previous line and empty lines do not belong to a record.
fn begin_of_record(text: &[u8], start: usize) -> usize {
    start + text[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

/// Whether a quotation mark is still open at the end of `text`, which starts with a record.
fn ends_in_quotes(text: &[u8], separator: u8) -> bool {
    text.iter().fold(QuoteState::FieldStart, |place, byte| place.after(*byte, separator)) == QuoteState::Quoted
}
