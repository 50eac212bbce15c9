//! The records of separated text: what stands between fields, whether the first line names them, and where each stands.

use std::collections::HashMap;
use std::path::Path;

use super::decimal_evidence::DecimalEvidence;
use super::separator::{QuoteState, Separator, is_time, is_time_above, is_value};
use crate::data::DecimalMark;
use crate::data::input::encoding::{quoted, utf8};
use crate::data::values::column_names::{list_names, shortened};
use crate::data::values::number::{is_missing, number};
use crate::error::{Error, Result};

/// As much of a list of fields as a message shows.
const SHOWN: usize = 40;

/// The records of a text, one after the other.
pub(in crate::data) struct Records<'a> {
    path: &'a Path,
    /// From the first record to the last that holds something.
    text: &'a [u8],
    separator: Separator,
    mark: DecimalMark,
    /// Whether the mark was told or shown, and is not the usual one for want of either.
    known_mark: bool,
    names: Vec<String>,
    /// Whether the first line holds values.
    nameless: bool,
    /// Whether the fields below the names are 0 and 1, but for the first.
    keys: bool,
    csv: csv::Reader<&'a [u8]>,
    record: csv::StringRecord,
    /// The number of the record below the names, counted from 1.
    row: usize,
    /// The line that the record begins in, counted from 1, and its first byte.
    line: usize,
    begin: usize,
    /// How the text is read where it could be read otherwise.
    notes: Vec<String>,
}

impl<'a> Records<'a> {
    /// Reads the names of the columns. Where the first line holds values, these are `1`, `2` and so on.
    ///
    /// # Errors
    /// [`Error::Data`] where the text is empty or not UTF-8, where two columns have one name, where two separators fit
    /// it, and where the first line is as good as names as it is as values.
    pub(super) fn open(text: &'a [u8], path: &'a Path) -> Result<Self> {
        Self::new(text, path, false)
    }

    /// The same of a text whose columns are keys: numbers other than 0 and 1 are names.
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
                1 => format!("the last line holds nothing but {byte:?} and is no row"),
                _ => format!(
                    "the last {empty} lines, from line {} on, hold nothing but {byte:?} and are no rows",
                    last + 1
                ),
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
        let first = match self.keys {
            true => first_of_keys(&fields),
            false => first_line(&fields, self.below().as_deref()),
        };
        match first {
            FirstLine::Names => self.names = header(&self.record, self.path)?,
            FirstLine::Numbers => {
                self.names = header(&self.record, self.path)?;
                self.notes
                    .push(format!("columns named by numbers: the first line, {}, is taken as names", shown(&fields)));
            }
            FirstLine::Values => {
                self.notes.push(format!(
                    "no names: the first line, {}, is a row, and the columns are named 1 to {}",
                    shown(&fields),
                    fields.len()
                ));
                self.names = (1..=fields.len()).map(|number| number.to_string()).collect();
                self.nameless = true;
                self.restart();
            }
            FirstLine::Either => {
                let message = format!(
                    "expected a line of names, got {}, which may be names or values: put a line of names above it",
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

    /// What to do where the first line looks like none of names.
    pub(super) fn advice(&self) -> &'static str {
        let first = self.text.trim_ascii_start();
        match first.starts_with(b"#") || first.starts_with(b"\"#") {
            true => "; the names are expected in the first line: take the lines above them away",
            false => "",
        }
    }

    /// Back to the first record.
    fn restart(&mut self) {
        self.line -= line_breaks(&self.text[..self.begin]);
        self.begin = 0;
        self.row = 0;
        self.csv = reader(self.text, self.separator.byte);
    }

    /// Back to the first record below the names, which is then the next to be read.
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

    /// What the columns are called; one without a name is the empty text.
    pub(in crate::data) fn names(&self) -> &[String] {
        &self.names
    }

    /// The columns behind the first that have no name: nothing can ask for them.
    pub(super) fn unnamed(&self) -> Vec<usize> {
        (1..self.names.len()).filter(|index| self.names[*index].is_empty()).collect()
    }

    /// The places of columns among the fields.
    pub(super) fn indices(&self, names: &[&str]) -> Result<Vec<usize>> {
        // The first of each name: those without one may be several.
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

    /// The names, as far as a message can hold them.
    pub(super) fn listed(&self) -> String {
        let shown = list_names(self.names.iter().map(String::as_str).filter(|name| !name.is_empty()));
        let nameless = if self.nameless { ", for the first line holds values and no names" } else { "" };
        format!("{shown}{nameless}")
    }

    /// Decides by all their numbers, or by `told`, how those of `columns` are read, and looks for what will not be read.
    ///
    /// # Errors
    /// [`Error::Data`] where that is not beyond doubt.
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
                // It is refused once it is read.
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

    /// Whether there is another record; it is then the current one.
    pub(in crate::data) fn read(&mut self) -> Result<bool> {
        let start = self.csv.position().byte() as usize;
        let begin = begin_of_record(self.text, start);
        self.line += line_breaks(&self.text[self.begin..begin]);
        self.begin = begin;
        self.row += 1;
        let read = self.csv.read_record(&mut self.record);
        let end = self.csv.position().byte() as usize;
        // Only the last record can be open; where it is, the count of its fields says nothing.
        if end >= self.text.len() && ends_in_quotes(&self.text[start.min(end)..], self.separator.byte) {
            let message = "expected a closing quotation mark, got the end of the file";
            return Err(Error::data(self.path, self.place(), message));
        }
        read.map_err(|error| {
            let message = match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    let comma = match (len > expected_len && self.separator.byte == b',', self.separator.fits) {
                        _ if self.keys => "",
                        (true, true) => "; a number with a decimal comma stands in quotation marks",
                        (true, false) if *expected_len > 1 => "; a field that has a comma stands in quotation marks",
                        _ => "",
                    };
                    let title = match self.row <= 1 && *expected_len == 1 && self.advice().is_empty() {
                        true => "; lines above the names are to be taken away",
                        false => self.advice(),
                    };
                    let fields = if *expected_len == 1 { "1 field".into() } else { format!("{expected_len} fields") };
                    format!("expected {fields}, got {len}; {}{comma}{title}", self.separator.reason())
                }
                _ => error.to_string(),
            };
            Error::data(self.path, self.place(), message)
        })
    }

    /// A field of the current record without the blanks around it.
    pub(in crate::data) fn field(&self, index: usize) -> &str {
        self.record[index].trim()
    }

    /// The number in a field of the current record; NaN where it is missing.
    ///
    /// # Errors
    /// [`Error::Data`] names row, line and column.
    pub(super) fn number(&self, index: usize) -> Result<f64> {
        let field = self.field(index);
        if is_missing(field) {
            return Ok(f64::NAN);
        }
        let refused = |message: String| {
            let place = format!("{}, column {:?}", self.place(), shortened(&self.names[index]));
            Error::data(self.path, place, message)
        };
        let plain = self.mark.plain(field).filter(|plain| plain.value().is_finite());
        // Where the first row has a word, the names may stand in it.
        let title = match self.row == 1 && !self.nameless && !field.contains(|c: char| c.is_ascii_digit()) {
            true => "; where the names stand in this line, take the lines above them away",
            false => "",
        };
        let plain = plain.ok_or_else(|| {
            let (expected, got) = self.mark.refusal(field);
            refused(format!("expected {expected}, got {got}{title}"))
        })?;
        number(&plain.text).map_err(|expected| refused(format!("expected {expected}, got {}", quoted(field))))
    }

    /// How numbers are read.
    pub(super) fn mark(&self) -> DecimalMark {
        self.mark
    }

    /// How numbers are read, where that was told or one of them showed it: other files are written alike.
    pub(super) fn known_mark(&self) -> Option<DecimalMark> {
        self.known_mark.then_some(self.mark)
    }

    /// The number of the current record, counted from 1 below the names, and the line that it begins in.
    pub(in crate::data) fn position(&self) -> (usize, usize) {
        (self.row, self.line)
    }

    /// `, row 7 (line 8)`, of the current record.
    pub(in crate::data) fn place(&self) -> String {
        match self.names.is_empty() {
            true => format!(", line {}", self.line),
            false => format!(", row {} (line {})", self.row, self.line),
        }
    }

    /// How the text was read where it could be read otherwise.
    pub(in crate::data) fn into_notes(self) -> Vec<String> {
        self.notes
    }
}

fn reader(text: &[u8], separator: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().has_headers(false).delimiter(separator).from_reader(text)
}

/// What is left of the line before, and lines with nothing on them, do not belong to a record.
fn begin_of_record(text: &[u8], start: usize) -> usize {
    start + text[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

/// The ends of lines, of any system: `\r\n`, `\n` and `\r`.
fn line_breaks(text: &[u8]) -> usize {
    let ends = |(at, byte): (usize, &u8)| *byte == b'\n' || (*byte == b'\r' && text.get(at + 1) != Some(&b'\n'));
    text.iter().enumerate().filter(|line| ends(*line)).count()
}

/// The end of the last line that holds something beside separators and blanks.
fn end_of_rows(text: &str, separator: u8) -> usize {
    let holds = |byte: &u8| *byte != separator && !matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    match text.as_bytes().iter().rposition(holds) {
        Some(last) => last + text.as_bytes()[last..].iter().take_while(|byte| !matches!(byte, b'\r' | b'\n')).count(),
        None => text.len(),
    }
}

/// Whether a quotation mark that opened is still open at the end of `text`, which begins with a record.
fn ends_in_quotes(text: &[u8], separator: u8) -> bool {
    text.iter().fold(QuoteState::FieldStart, |place, byte| place.after(*byte, separator)) == QuoteState::Quoted
}

/// The most bytes of a column's name, which goes into titles, messages, tables and files, a copy each.
const NAME: usize = 1 << 20;

/// The names of the columns, which the first record of a file holds.
///
/// # Errors
/// [`Error::Data`] where there are none, one is no name but a text of megabytes, or two are alike: nobody could say which of
/// them is meant.
pub(super) fn header(record: &csv::StringRecord, path: &Path) -> Result<Vec<String>> {
    let names: Vec<String> = record.iter().map(|name| name.trim().to_owned()).collect();
    if names.iter().all(String::is_empty) {
        return Err(Error::data(path, "", "expected a line of column names and rows below it, got an empty file"));
    }
    if let Some((name, field)) = names.iter().zip(1..).find(|(name, _)| name.len() > NAME) {
        let message =
            format!("expected names of columns of at most {NAME} bytes, got one of {}, field {field}", name.len());
        return Err(Error::data(path, "", message));
    }
    let mut seen = HashMap::new();
    // Fields without a name, as behind a last comma, are not alike: they are no columns that anything could ask for.
    for (name, field) in names.iter().zip(1..).filter(|(name, _)| !name.is_empty()) {
        if let Some(first) = seen.insert(name, field) {
            let message = format!("expected one column {}, got two, the fields {first} and {field}", quoted(name));
            return Err(Error::data(path, "", message));
        }
    }
    Ok(names)
}

/// What the first line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstLine {
    Names,
    /// Names that are numbers or dates, such as years.
    Numbers,
    /// A row.
    Values,
    Either,
}

/// Names are words. Where all fields behind the first are values, the first line is a row, unless they could be names too:
/// whole numbers or times behind a word or behind nothing, such as years over the columns of a table. `below`: the first
/// field of the line below, which tells of `t0` that it is a time.
fn first_line(fields: &[&str], below: Option<&str>) -> FirstLine {
    let [first, rest @ ..] = fields else { return FirstLine::Names };
    let rest: Vec<&str> = rest.iter().copied().filter(|field| !field.is_empty()).collect();
    let whole = |field: &str| field.parse::<u64>().ok();
    let values = rest.iter().all(|field| is_value(field));
    if !values || !rest.iter().chain([first]).any(|field| !is_missing(field) && is_value(field)) || rest.is_empty() {
        return FirstLine::Names;
    }
    if rest.iter().all(|field| is_missing(field)) && !is_value(first) {
        return FirstLine::Names;
    }
    let mut seen = rest.clone();
    seen.sort_unstable();
    seen.dedup();
    let names = seen.len() == rest.len() && rest.iter().all(|field| whole(field).is_some() || is_time(field));
    match first.is_empty() || !(is_value(first) || below.is_some_and(|below| is_time_above(first, below))) {
        true if names || first.is_empty() => FirstLine::Numbers,
        true => FirstLine::Values,
        false => {
            let numbers: Option<Vec<u64>> = [first].into_iter().chain(&rest).map(|field| whole(field)).collect();
            let ascend = |numbers: Vec<u64>| numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1));
            let times = fields.iter().all(|field| whole(field).is_none() && is_time(field));
            match numbers.map_or(times, ascend) {
                true => FirstLine::Either,
                false => FirstLine::Values,
            }
        }
    }
}

/// The same of columns of keys, which are 0 or 1 in every row.
fn first_of_keys(fields: &[&str]) -> FirstLine {
    match fields {
        [] => FirstLine::Names,
        ["0", "1"] => FirstLine::Either,
        _ if fields.iter().all(|field| matches!(*field, "0" | "1")) => FirstLine::Values,
        _ => FirstLine::Names,
    }
}

/// `"1" "2" "3"`, of the first fields.
fn shown(fields: &[&str]) -> String {
    let some: Vec<String> = fields.iter().take(4).map(|field| quoted(field)).collect();
    let more = if fields.len() > some.len() { " …" } else { "" };
    format!("{}{more}", some.join(" "))
}

/// The most bytes of a line: room for a name or a number of some hundred thousand columns.
const LINE: usize = 1 << 24;

/// Refuses a line that no row has. Its fields would be looked at in several ways, each of which takes as much again.
fn check_lines(text: &str, path: &Path) -> Result<()> {
    if text.len() <= LINE {
        return Ok(());
    }
    let mut begin = 0;
    for line in text.split(['\r', '\n']) {
        if line.len() > LINE {
            let place = format!(", line {}", 1 + line_breaks(&text.as_bytes()[..begin]));
            let message = format!("expected lines of at most {LINE} bytes, got one of {}", line.len());
            return Err(Error::data(path, place, message));
        }
        begin += line.len() + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_beyond_all_columns_is_refused_before_it_is_taken_apart() {
        let refusal = |text: String| check_lines(&text, Path::new("a.csv")).err().map(|error| error.to_string());
        let long = "7".repeat(LINE + 1);
        let expected = "a.csv, line 3: expected lines of at most 16777216 bytes, got one of 16777217";
        assert_eq!(refusal(format!("t,v\r\n1,2\r\n{long}\n")).as_deref(), Some(expected));
        assert_eq!(refusal(format!("{}\n{}", &long[1..], &long[1..])), None);
        assert!(Records::open(long.as_bytes(), Path::new("a.csv")).is_err());
    }

    #[test]
    fn a_name_of_megabytes_is_refused() {
        let names = |length: usize| {
            let text = format!("t,{}\n1,2\n", "x".repeat(length));
            let records = Records::open(text.as_bytes(), Path::new("a.csv"));
            records.map(|records| records.names()[1].len()).map_err(|error| error.to_string())
        };
        assert_eq!(names(NAME), Ok(NAME));
        let expected = "a.csv: expected names of columns of at most 1048576 bytes, got one of 1048577, field 2";
        assert_eq!(names(NAME + 1), Err(expected.into()));
    }

    #[test]
    fn a_first_line_of_values_is_a_row_and_one_that_may_be_either_is_asked_about() {
        for (line, expected) in [
            ("t,v", FirstLine::Names),
            ("t", FirstLine::Names),
            ("5", FirstLine::Names),
            ("year,1st quarter", FirstLine::Names),
            ("t,v,,", FirstLine::Names),
            ("t,NA", FirstLine::Names),
            ("Q1,Q2", FirstLine::Names),
            ("May,June", FirstLine::Names),
            ("country,1990,1991", FirstLine::Numbers),
            (",0,1,2", FirstLine::Numbers),
            ("shop,2020-01-01,2020-02-01", FirstLine::Numbers),
            ("2020-01-01,5.5", FirstLine::Values),
            ("2020-01-01,", FirstLine::Names),
            ("2020-01-01,NA", FirstLine::Values),
            ("3 Jan 2020,17", FirstLine::Values),
            ("12:30,17,18", FirstLine::Values),
            ("Monday,5.5,3", FirstLine::Values),
            ("a,3,3", FirstLine::Values),
            ("1990,20", FirstLine::Values),
            ("0.5,1.5", FirstLine::Values),
            ("Jan 2020,17", FirstLine::Values),
            ("Q1 2000,17", FirstLine::Values),
            ("Mon 01.01.2024,17", FirstLine::Values),
            ("13/1/2021,17", FirstLine::Values),
            ("t0,17", FirstLine::Numbers),
            ("t0,17.5", FirstLine::Values),
            ("a,0.125,3", FirstLine::Values),
            ("Jan 2020,Feb 2020,Mar 2020", FirstLine::Either),
            ("0,1", FirstLine::Either),
            ("1990,1991,1992", FirstLine::Either),
        ] {
            assert_eq!(first_line(&line.split(',').collect::<Vec<_>>(), None), expected, "{line}");
        }
        assert_eq!(first_line(&["t0", "17"], Some("t1")), FirstLine::Values);
        assert_eq!(first_line(&["shop", "1990"], Some("a1")), FirstLine::Numbers);
    }
}
