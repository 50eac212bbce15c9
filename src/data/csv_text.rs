//! Tables from comma-separated text.

use std::collections::HashMap;
use std::path::Path;

use super::encoding::{quoted, utf8};
use super::{Column, Table};
use crate::error::{Error, Result};

/// The bundled series: the yearly mean sunspot number, 1700–2008, columns `YEAR` and `SUNACTIVITY`.
pub const SUNSPOTS: &str = include_str!("../../data/sunspots.csv");

/// What can stand between fields. The first line tells: the one that occurs most, of equals the first here.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// As much of a field or of a list of names as a message shows.
const SHOWN: usize = 40;

/// The names in the first line of comma-separated text. `path` is what errors name.
///
/// # Errors
/// [`Error::Data`] where the text is empty or not UTF-8, or has two columns of one name.
pub fn columns(text: &[u8], path: &Path) -> Result<Vec<String>> {
    Ok(Reader::new(text, path)?.names)
}

/// The names of the columns, which the first record of a file holds.
///
/// # Errors
/// [`Error::Data`] where there are none, or two are alike: nobody could say which of them is meant.
pub(super) fn header(record: &csv::StringRecord, path: &Path) -> Result<Vec<String>> {
    let names: Vec<String> = record.iter().map(|name| name.trim().to_owned()).collect();
    if names.iter().all(String::is_empty) {
        return Err(Error::data(path, "", "expected a line of column names and rows below it, got an empty file"));
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

impl Table {
    /// Reads the columns `names`, in this order, of comma-separated text (RFC 4180) whose first line names the columns;
    /// the first column gives the labels, and may be asked for too. A semicolon or a tab may stand in place of the comma.
    /// An empty field and `nan` are missing values. `path` is what errors name.
    ///
    /// # Errors
    /// [`Error::Data`] names the row, counted from 1 below the names, the line and the column.
    pub fn from_csv(text: &[u8], path: &Path, names: &[&str]) -> Result<Self> {
        let mut reader = Reader::new(text, path)?;
        let indices: Vec<usize> = names.iter().map(|name| reader.index(name)).collect::<Result<_>>()?;
        let column = |name: &&str| Column { name: (*name).into(), values: Vec::new() };
        let mut table = Self {
            label_name: reader.names[0].clone(),
            labels: Vec::new(),
            columns: names.iter().map(column).collect(),
            lines: Vec::new(),
            notes: Vec::new(),
        };
        while reader.read()? {
            for (column, index) in table.columns.iter_mut().zip(&indices) {
                column.values.push(reader.number(*index)?);
            }
            table.labels.push(reader.record[0].trim().to_owned());
            table.lines.push(reader.line);
        }
        match table.labels.is_empty() {
            true => Err(refused(path, String::new(), "expected rows below the column names, got none".into())),
            false => Ok(table),
        }
    }
}

/// The records of a text, and where each stands.
struct Reader<'a> {
    path: &'a Path,
    /// Without a byte-order mark.
    text: &'a [u8],
    separator: u8,
    names: Vec<String>,
    csv: csv::Reader<&'a [u8]>,
    record: csv::StringRecord,
    /// The number of the record below the names, counted from 1.
    row: usize,
    /// The line that the record begins in, counted from 1, and its first byte.
    line: usize,
    begin: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8], path: &'a Path) -> Result<Self> {
        let text = utf8(text, path)?.as_bytes();
        let separator = separator(text);
        let csv = csv::ReaderBuilder::new().has_headers(false).delimiter(separator).from_reader(text);
        let record = csv::StringRecord::new();
        let mut reader = Self { path, text, separator, names: Vec::new(), csv, record, row: 0, line: 1, begin: 0 };
        reader.read()?;
        reader.row = 0;
        reader.names = header(&reader.record, path)?;
        Ok(reader)
    }

    /// The place of a column among the fields.
    fn index(&self, name: &str) -> Result<usize> {
        self.names.iter().position(|other| other == name).ok_or_else(|| {
            let message = format!("expected a column {name:?}, got the columns {}", listed(&self.names));
            refused(self.path, String::new(), message)
        })
    }

    /// Whether there is another record; it is then the current one.
    fn read(&mut self) -> Result<bool> {
        let start = self.csv.position().byte() as usize;
        // What is left of the line before, and lines with nothing on them, do not belong to a record.
        let begin = start + self.text[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.line += self.text[self.begin..begin].iter().filter(|byte| **byte == b'\n').count();
        self.begin = begin;
        self.row += 1;
        let read = self.csv.read_record(&mut self.record);
        let end = self.csv.position().byte() as usize;
        // Only the last record can be open; where it is, the count of its fields says nothing.
        if end >= self.text.len() && ends_in_quotes(&self.text[start.min(end)..], self.separator) {
            let message = "expected a closing quotation mark, got the end of the file".into();
            return Err(refused(self.path, self.place(), message));
        }
        read.map_err(|error| {
            let message = match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    format!("expected {expected_len} fields, got {len}")
                }
                _ => error.to_string(),
            };
            refused(self.path, self.place(), message)
        })
    }

    /// The number in a field of the current record; NaN where it is missing.
    fn number(&self, index: usize) -> Result<f64> {
        let field = self.record[index].trim();
        match field.parse::<f64>() {
            _ if field.is_empty() => Ok(f64::NAN),
            Ok(value) if value.is_nan() || (value as f32).is_finite() => Ok(value),
            _ => {
                let place = format!("{}, column {:?}", self.place(), self.names[index]);
                let message = format!("expected a finite number, got {:?}", shortened(field));
                Err(refused(self.path, place, message))
            }
        }
    }

    /// `, row 7 (line 8)`, of the current record.
    fn place(&self) -> String {
        match self.names.is_empty() {
            true => format!(", line {}", self.line),
            false => format!(", row {} (line {})", self.row, self.line),
        }
    }
}

/// What separates the fields of the first line that is not empty.
fn separator(text: &[u8]) -> u8 {
    let mut counts = [0usize; SEPARATORS.len()];
    let mut place = Place::FieldStart;
    let blank = text.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    for byte in &text[blank..] {
        if place != Place::Quoted {
            if matches!(byte, b'\r' | b'\n') {
                break;
            }
            SEPARATORS.iter().zip(&mut counts).filter(|(of, _)| *of == byte).for_each(|(_, count)| *count += 1);
        }
        place = place.after(*byte, |byte| SEPARATORS.contains(&byte));
    }
    let most = counts.iter().max();
    SEPARATORS.into_iter().zip(&counts).find(|(_, count)| Some(*count) == most).map_or(b',', |(of, _)| of)
}

/// Whether a quotation mark that opened is still open at the end of `text`, which begins with a record.
fn ends_in_quotes(text: &[u8], separator: u8) -> bool {
    text.iter().fold(Place::FieldStart, |place, byte| place.after(*byte, |byte| byte == separator)) == Place::Quoted
}

/// Where a byte stands, as far as quotation marks go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    FieldStart,
    Field,
    Quoted,
    /// After a quotation mark within quotes: the closing one, unless a second follows.
    Closing,
}

impl Place {
    fn after(self, byte: u8, separates: impl Fn(u8) -> bool) -> Self {
        match (self, byte) {
            (Self::FieldStart | Self::Closing, b'"') => Self::Quoted,
            (Self::Quoted, b'"') => Self::Closing,
            (Self::Quoted, _) => Self::Quoted,
            (_, b'\r' | b'\n') => Self::FieldStart,
            (_, byte) if separates(byte) => Self::FieldStart,
            _ => Self::Field,
        }
    }
}

fn refused(path: &Path, place: String, message: String) -> Error {
    Error::Data { path: path.into(), place, message }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The names, as far as a message can hold them.
fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| shortened(name)).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;

    fn read(text: impl AsRef<[u8]>, names: &[&str]) -> Result<Table> {
        Table::from_csv(text.as_ref(), Path::new("a.csv"), names)
    }

    #[track_caller]
    fn refused(text: impl AsRef<[u8]>, message: &str) {
        assert_eq!(read(text, &["v"]).unwrap_err().to_string(), format!("a.csv{message}"));
    }

    #[test]
    fn the_bundled_series_has_every_year_from_1700_to_2008() {
        let table = read(SUNSPOTS, &["SUNACTIVITY"]).unwrap();
        assert_eq!(table.labels, (1700..=2008).map(|year| year.to_string()).collect::<Vec<_>>());
        let values = &table.columns[0].values;
        assert_eq!((table.label_name.as_str(), values[0], values[308]), ("YEAR", 5.0, 2.9));
    }

    #[test]
    fn columns_come_in_the_order_asked_for_and_what_is_not_asked_for_may_be_anything() {
        let table = read("t,a,word,b\n1,2,x,3\n2,,\"y\n\"\"z\"\"\",NaN\n", &["b", "t", "a"]).unwrap();
        assert_eq!((table.label_name.as_str(), table.labels), ("t", vec!["1".to_owned(), "2".to_owned()]));
        let columns: Vec<_> = table.columns.iter().map(|column| (column.name.as_str(), column.values[0])).collect();
        assert_eq!(columns, [("b", 3.0), ("t", 1.0), ("a", 2.0)]);
        assert!(table.columns[0].values[1].is_nan() && table.columns[2].values[1].is_nan());
    }

    #[test]
    fn the_first_line_tells_what_separates_the_fields() {
        for text in ["t;v\n1;2\n", "t\tv\n1\t2\n", "\u{feff}t,v\r\n1,2\r\n", "\n\nt, v \n 1 , 2", "\"t\";\"v\"\n1;2\n"]
        {
            let table = read(text, &["v"]).unwrap();
            assert_eq!((table.labels[0].as_str(), table.columns[0].values[0]), ("1", 2.0), "{text:?}");
        }
        let names = |text: &str| columns(text.as_bytes(), Path::new("a.csv")).unwrap();
        assert_eq!(names("t;\"°C, mean, of all\";v\n"), ["t", "°C, mean, of all", "v"]);
        assert_eq!(names("\"t;u;w\",v"), ["t;u;w", "v"]);
        assert_eq!(names("t\n"), ["t"]);
    }

    #[test]
    fn a_refused_number_is_named_by_row_line_and_column() {
        let place = ", row 2 (line 3), column \"v\": expected a finite number";
        refused("t,v\n1,2\n2,x\n", &format!("{place}, got \"x\""));
        refused("t,v\r\n1,2\r\n2,inf\r\n", &format!("{place}, got \"inf\""));
        refused("t,v\n1,2\n2,-1e39\n", &format!("{place}, got \"-1e39\""));
        refused("t,v,w\n\n1,2,\"a\nb\"\n\n2,x,\n", &format!("{}, got \"x\"", place.replace("line 3", "line 6")));
    }

    #[test]
    fn each_row_has_the_line_that_it_begins_in() {
        let table = read("\n\nt,v\r\n\r\n1,2\n\"a\nb\",3\n\n4,5", &["v"]).unwrap();
        assert_eq!(table.lines, [5, 6, 9]);
    }

    #[test]
    fn a_row_of_another_length_is_refused() {
        refused("t,v\n1,2\n2\n3,4\n", ", row 2 (line 3): expected 2 fields, got 1");
        refused("t,v\n1,2\n2,3,4\n", ", row 2 (line 3): expected 2 fields, got 3");
    }

    #[test]
    fn a_file_that_ends_in_the_middle_is_refused() {
        let open = "expected a closing quotation mark, got the end of the file";
        refused("t,v\n1,2\n2,\"3", &format!(", row 2 (line 3): {open}"));
        refused("t,v\n1,2\n\"2,3\n4,5\n6,7\n", &format!(", row 2 (line 3): {open}"));
        refused("t,\"v\n1,2\n", &format!(", line 1: {open}"));
        refused("t,v\n1,2\n2", ", row 2 (line 3): expected 2 fields, got 1");
        assert!(read("t,v\n1,\"2\"", &["v"]).is_ok());
        assert!(read("t,v,w\n1,2,a\"", &["v"]).is_ok());
    }

    #[test]
    fn another_encoding_is_refused_by_its_first_wrong_byte() {
        let place = ", line 3, byte offset 10: expected UTF-8 text";
        refused(
            b"t,v\n1,2\n2,\xE9\n",
            &format!("{place}, got the byte 0xE9; this looks like another encoding, such as Latin-1"),
        );
    }

    #[test]
    fn a_file_without_columns_or_rows_is_refused() {
        let empty = ": expected a line of column names and rows below it, got an empty file";
        for text in ["", "\n\n", " \n1,2\n", "\u{feff}", ",,\n1,2,3\n"] {
            refused(text, empty);
        }
        refused("t,v\n", ": expected rows below the column names, got none");
    }

    #[test]
    fn a_column_that_is_not_there_or_there_twice_is_refused() {
        refused("t,w\n1,2\n", ": expected a column \"v\", got the columns t, w");
        refused("t,v,w,v\n1,2,3,4\n", ": expected one column \"v\", got two, the fields 2 and 4");
        refused("t,w,v,w\n1,2,3,4\n", ": expected one column \"w\", got two, the fields 2 and 4");
        assert!(read("t,v,,\n1,2,,\n", &["v"]).is_ok());
    }

    #[test]
    fn a_line_of_ten_million_characters_is_read_or_refused_with_a_short_message() {
        let long = "x".repeat(10_000_000);
        let short = |text: String| {
            let message = read(&text, &["v"]).unwrap_err().to_string();
            assert!(message.chars().count() < 4000, "{} characters", message.chars().count());
            message
        };
        assert!(short(format!("t,v\n1,{long}\n")).contains("row 1 (line 2), column \"v\""));
        assert!(short(format!("t,{long}\n1,2\n")).contains("x…"));
        assert!(short(format!("t,v\n1,\"{long}")).contains("closing quotation mark"));
        assert!(short(format!("t,v\n1{}\n", ",2".repeat(5_000_000))).contains("expected 2 fields, got 5000001"));
        let names: String = (0..500_000).map(|name| format!(",{name}")).collect();
        assert!(short(format!("t{names}\n1\n")).contains("and 499961 more"));
        assert!(short(format!("{long},{long}\n1,2\n")).contains("got two, the fields 1 and 2"));
        assert_eq!(read(format!("t,v\n{long},2\n"), &["v"]).unwrap().labels[0].len(), long.len());
    }

    fn below(n: usize, rng: &mut ChaCha8Rng) -> usize {
        (rng.next_u64() % n as u64) as usize
    }

    fn word(rng: &mut ChaCha8Rng) -> String {
        let letters = ['a', 'Z', '7', ',', ';', '\t', '"', '\n', '\r', ' ', 'é', '…'];
        let letters: String = (0..below(6, rng)).map(|_| letters[below(letters.len(), rng)]).collect();
        // A name or a label is taken without the blanks around it.
        format!("w{letters}w")
    }

    fn table(rng: &mut ChaCha8Rng) -> Table {
        let rows = 1 + below(6, rng);
        let value = |rng: &mut ChaCha8Rng| match below(4, rng) {
            0 => f64::NAN,
            1 => f64::from(below(2000, rng) as i32 - 1000),
            _ => f64::from(f32::from_bits(rng.next_u32() & 0x7eff_ffff)) * if below(2, rng) == 0 { 1.0 } else { -1.0 },
        };
        let mut column =
            |index| Column { name: format!("{}{index}", word(rng)), values: (0..rows).map(|_| value(rng)).collect() };
        let columns = (0..4).map(&mut column).collect();
        Table { label_name: word(rng), labels: (0..rows).map(|_| word(rng)).collect(), columns, ..Table::default() }
    }

    /// As RFC 4180 has it, with any separator; fields that need no quotation marks have them at random.
    fn write(table: &Table, rng: &mut ChaCha8Rng) -> String {
        let separator = [",", ";", "\t"][below(3, rng)];
        let end = ["\n", "\r\n"][below(2, rng)];
        let field = |text: String, rng: &mut ChaCha8Rng| {
            let needs = text.contains([',', ';', '\t', '"', '\n', '\r']);
            if needs || below(4, rng) == 0 { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
        };
        let line = |first: &String, others: Vec<String>, rng: &mut ChaCha8Rng| {
            let fields = [vec![first.clone()], others].concat();
            fields.into_iter().map(|text| field(text, rng)).collect::<Vec<_>>().join(separator) + end
        };
        let number = |value: f64| if value.is_nan() { String::new() } else { value.to_string() };
        let mut text = line(&table.label_name, table.columns.iter().map(|column| column.name.clone()).collect(), rng);
        for (row, label) in table.labels.iter().enumerate() {
            text += &line(label, table.columns.iter().map(|column| number(column.values[row])).collect(), rng);
        }
        text
    }

    /// With infinity, which no file holds, in the place of what is missing, and without lines, so that tables can be
    /// compared.
    fn comparable(mut table: Table) -> Table {
        table.lines.clear();
        let values = table.columns.iter_mut().flat_map(|column| &mut column.values);
        values.filter(|value| value.is_nan()).for_each(|value| *value = f64::INFINITY);
        table
    }

    #[test]
    fn a_table_that_was_written_is_read_as_it_was() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..2000 {
            let table = table(&mut rng);
            let text = write(&table, &mut rng);
            let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
            let again = read(&text, &names).unwrap_or_else(|error| panic!("{error}: {text:?}"));
            assert_eq!(comparable(again), comparable(table), "{text:?}");
        }
    }

    #[test]
    fn damaged_text_is_read_or_refused_and_never_more() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let (mut readable, mut damaged) = (0, 0);
        for _ in 0..3000 {
            let table = table(&mut rng);
            let mut text = write(&table, &mut rng).into_bytes();
            match below(3, &mut rng) {
                0 => text.truncate(below(text.len(), &mut rng)),
                1 => (0..=below(3, &mut rng)).for_each(|_| {
                    let at = below(text.len(), &mut rng);
                    text[at] = if below(2, &mut rng) == 0 {
                        b"\",;\t\n\r\0"[below(7, &mut rng)]
                    } else {
                        rng.next_u32() as u8
                    };
                }),
                _ => text = (0..below(80, &mut rng)).map(|_| rng.next_u32() as u8).collect(),
            }
            let names = columns(&text, Path::new("a.csv")).unwrap_or_default();
            let names: Vec<&str> = names.iter().map(String::as_str).chain(["v"]).collect();
            for first in 0..names.len() {
                match read(&text, &names[first..first + 1]) {
                    Ok(table) => {
                        assert!(table.columns.iter().all(|column| column.values.len() == table.labels.len()));
                        readable += 1;
                    }
                    Err(error) => {
                        assert!(matches!(error, Error::Data { .. }));
                        damaged += 1;
                    }
                }
            }
        }
        assert!(readable > 1000 && damaged > 1000, "{readable} read, {damaged} refused");
    }
}
