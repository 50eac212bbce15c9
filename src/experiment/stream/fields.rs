//! The fields of a line: separated text, or JSON, in the order of the columns that a model reads.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::data::{DecimalMark, SEPARATORS, list_names};

/// How lines are split, which the first of them shows.
#[derive(Clone, Debug, PartialEq)]
struct Layout {
    /// `None`: blanks.
    separator: Option<char>,
    /// The number of fields of a line.
    count: usize,
    /// The field of each column that is read.
    order: Vec<usize>,
}

/// Reads lines, whose columns are named by a first line or in the order of the model's.
pub(super) struct Fields {
    names: Vec<String>,
    decimal: DecimalMark,
    layout: Option<Layout>,
    /// A note that has not been taken.
    note: Option<String>,
}

/// A line.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    /// Names of columns.
    Names,
    /// A field for each column, and the mark of its numbers.
    Cells(Vec<String>, DecimalMark),
}

impl Fields {
    /// Of columns with these names, whose numbers have this mark outside JSON.
    pub(super) fn new(names: Vec<String>, decimal: DecimalMark) -> Self {
        Self { names, decimal, layout: None, note: None }
    }

    /// The columns in words: `2 fields: a, b`.
    pub(super) fn words(&self) -> String {
        let names = list_names(self.names.iter().map(String::as_str));
        let count = self.names.len();
        format!("{count} {}: {names}", if count == 1 { "field" } else { "fields" })
    }

    /// The names of the columns that are read.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// A note on how the first line was read, once.
    pub(super) fn note(&mut self) -> Option<String> {
        self.note.take()
    }

    /// The columns of a line, which is not blank. Otherwise what was expected and what came.
    pub(super) fn read(&mut self, line: &str) -> Result<Line, String> {
        let known = self.layout.is_some();
        // A field of separated text may begin like JSON.
        let mut json = Ok(());
        if line.trim_start().starts_with(['[', '{']) {
            match serde_json::from_str(line) {
                Ok(value) => return self.of_json(&value).map(|cells| Line::Cells(cells, DecimalMark::Point)),
                Err(error) => json = Err(format!("expected JSON: {error}")),
            }
        }
        let line = self.trimmed(line);
        if !known {
            if let Some(layout) = self.named(line)? {
                self.layout = Some(layout);
                return Ok(Line::Names);
            }
            json?;
        }
        let layout = match self.layout.take() {
            Some(layout) => layout,
            None => self.unnamed(line)?,
        };
        let layout = self.layout.insert(layout);
        let fields = split(line, layout.separator)?;
        if fields.len() != layout.count {
            let what = if known { "the lines before" } else { "the network" };
            return Err(format!("expected {} fields, as {what}, got {}", layout.count, fields.len()));
        }
        let cells = layout.order.iter().map(|field| fields[*field].trim().to_owned()).collect();
        Ok(Line::Cells(cells, self.decimal))
    }

    /// A line without the blanks around it; a tab that separates fields, or may do so, is none.
    fn trimmed<'l>(&self, line: &'l str) -> &'l str {
        match &self.layout {
            Some(layout) if layout.separator != Some('\t') => line.trim(),
            _ => line.trim_matches([' ', '\r']),
        }
    }

    /// Whether a line has nothing, not even separators.
    pub(super) fn is_blank(&self, line: &str) -> bool {
        match self.layout {
            Some(_) => self.trimmed(line).is_empty(),
            None => line.trim().is_empty(),
        }
    }

    /// How the lines are split, by a first line with the names.
    fn named(&mut self, line: &str) -> Result<Option<Layout>, String> {
        // Numbers are names only where names are no numbers.
        let is_number = |field: &Cow<'_, str>| matches!(self.decimal.number(field.trim()), Ok(Some(_)));
        for separator in separators() {
            let Ok(fields) = split(line, separator) else { continue };
            let place = |name: &String| fields.iter().position(|field| field.trim() == name);
            let Some(order) = self.names.iter().map(place).collect::<Option<Vec<usize>>>() else { continue };
            if fields.iter().all(is_number) {
                let note = "note: the names of the columns are numbers, and so the first line is read as values";
                self.note = Some(note.into());
                continue;
            }
            let count = |name: &&String| fields.iter().filter(|field| field.trim() == name.as_str()).count();
            if let Some(name) = self.names.iter().find(|name| count(name) > 1) {
                return Err(format!("expected one column {name:?}, got two"));
            }
            let others = fields.iter().enumerate().filter(|(field, _)| !order.contains(field));
            let unread: Vec<&str> = others.map(|(_, name)| name.trim()).filter(|name| !name.is_empty()).collect();
            self.note = (!unread.is_empty())
                .then(|| format!("note: columns that the network does not read: {}", list_names(unread.into_iter())));
            return Ok(Some(Layout { separator, count: fields.len(), order }));
        }
        Ok(None)
    }

    /// How the lines are split, by a first line with values.
    fn unnamed(&self, line: &str) -> Result<Layout, String> {
        let count = self.names.len();
        // A comma in a number is none between numbers.
        let may_separate = |separator: &Option<char>| {
            *separator != Some(',') || self.decimal == DecimalMark::Point || line.contains('"')
        };
        let counts = separators().filter(may_separate).map(|separator| Ok((separator, split(line, separator)?.len())));
        let counts: Vec<(Option<char>, usize)> = counts.collect::<Result<_, String>>()?;
        match counts.iter().find(|(_, fields)| *fields == count) {
            Some((separator, _)) => Ok(Layout { separator: *separator, count, order: (0..count).collect() }),
            None => Err(format!(
                "expected {}; or a first line that names the columns; or JSON; got {}",
                self.words(),
                counts.iter().map(|(_, fields)| fields).max().unwrap_or(&0)
            )),
        }
    }

    /// Of an array in the order of the columns, or of an object by their names.
    fn of_json(&self, value: &Value) -> Result<Vec<String>, String> {
        match value {
            Value::Array(values) if values.len() == self.names.len() => {
                self.names.iter().zip(values).map(|(name, value)| cell(name, value)).collect()
            }
            Value::Object(map) => {
                self.names.iter().map(|name| cell(name, map.get(name).ok_or_else(|| self.absent(name, map))?)).collect()
            }
            Value::Array(values) => Err(format!("expected {}, got an array of {}", self.words(), values.len())),
            _ => Err("expected an array or an object".into()),
        }
    }

    fn absent(&self, name: &str, map: &Map<String, Value>) -> String {
        let names = list_names(map.keys().map(String::as_str));
        format!("expected {name:?}, got an object with {names}; null is a missing value")
    }
}

/// What may separate fields, in the order in which it is tried; `None`: blanks.
fn separators() -> impl Iterator<Item = Option<char>> {
    SEPARATORS.into_iter().map(Some).chain([None])
}

/// A value of a column as a field.
fn cell(name: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("{name:?}: expected a number, got {other}")),
    }
}

/// The fields of a line; without a separator those between blanks. Otherwise what was expected.
fn split(line: &str, separator: Option<char>) -> Result<Vec<Cow<'_, str>>, String> {
    let plain: Vec<&str> = match separator {
        Some(separator) => line.split(separator).collect(),
        None => line.split_whitespace().collect(),
    };
    // Within a field, a quote is a character like others.
    let is_quoted = plain.iter().any(|field| field.trim_start().starts_with('"'));
    if is_quoted && line.matches('"').count() % 2 == 1 {
        return Err("expected a quote at the end of a quoted field, got none".into());
    }
    let Some(separator) = separator.filter(|_| is_quoted) else {
        return Ok(plain.into_iter().map(Cow::Borrowed).collect());
    };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator as u8).has_headers(false).from_reader(line.as_bytes());
    let record = reader.records().next().and_then(Result::ok).unwrap_or_default();
    Ok(record.iter().map(|field| Cow::Owned(field.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(names: &[&str], decimal: DecimalMark) -> Fields {
        Fields::new(names.iter().map(|name| (*name).to_owned()).collect(), decimal)
    }

    fn cells(fields: &mut Fields, line: &str) -> Vec<String> {
        match fields.read(line).unwrap() {
            Line::Cells(cells, _) => cells,
            Line::Names => panic!("{line:?} was read as names"),
        }
    }

    #[test]
    fn columns_are_in_the_order_of_the_model_however_a_line_is_written() {
        for line in ["1.5,2", "1.5;2", "1.5\t2", " 1.5   2 ", "[1.5, 2]", r#"{"b": 2, "c": 7, "a": 1.5}"#, "\"1.5\",2"]
        {
            assert_eq!(cells(&mut fields(&["a", "b"], DecimalMark::Point), line), ["1.5", "2"], "{line:?}");
        }
        let mut named = fields(&["a", "b"], DecimalMark::Point);
        assert_eq!(named.read("time; b ;a").unwrap(), Line::Names);
        assert_eq!(cells(&mut named, "8:00;2;1.5"), ["1.5", "2"]);
        assert_eq!(named.note().unwrap(), "note: columns that the network does not read: time");
        assert_eq!(named.note(), None);
        // JSON has its own mark, and names in every line.
        assert_eq!(named.read("[3, null]").unwrap(), Line::Cells(vec!["3".into(), String::new()], DecimalMark::Point));
    }

    #[test]
    fn a_comma_is_no_separator_of_numbers_that_have_a_decimal_comma() {
        assert_eq!(cells(&mut fields(&["a"], DecimalMark::Comma), "1,5"), ["1,5"]);
        assert_eq!(cells(&mut fields(&["a", "b"], DecimalMark::Comma), "1,5 2,5"), ["1,5", "2,5"]);
        let refused = fields(&["a", "b"], DecimalMark::Comma).read("1,5").unwrap_err();
        assert!(refused.ends_with("; got 1"), "{refused}");
        // Quotes tell the commas apart.
        assert_eq!(cells(&mut fields(&["a", "b"], DecimalMark::Comma), "\"1,5\",\"2,5\""), ["1,5", "2,5"]);
        assert_eq!(cells(&mut fields(&["a", "b"], DecimalMark::Point), "1,5"), ["1", "5"]);
    }

    #[test]
    fn tabs_that_separate_are_no_blanks_around_a_line() {
        let mut tabs = fields(&["a", "b"], DecimalMark::Point);
        assert!(tabs.is_blank("\t"));
        assert_eq!(cells(&mut tabs, "1\t2"), ["1", "2"]);
        assert!(!tabs.is_blank("\t\r") && tabs.is_blank(" \r"));
        assert_eq!(cells(&mut tabs, "\t\r"), ["", ""]);
        assert_eq!(cells(&mut tabs, "\t2"), ["", "2"]);
        // Nor are they in the first line, of values or of names.
        assert_eq!(cells(&mut fields(&["a", "b"], DecimalMark::Point), "\t2\r"), ["", "2"]);
        assert_eq!(cells(&mut fields(&["a", "b"], DecimalMark::Point), "\t1 2\t"), ["1", "2"]);
        let mut named = fields(&["a", "b"], DecimalMark::Point);
        assert_eq!(named.read("\tb\ta\t").unwrap(), Line::Names);
        assert_eq!(cells(&mut named, "0\t2\t1\t"), ["1", "2"]);
    }

    #[test]
    fn a_bracket_or_a_quote_in_separated_text_is_a_character() {
        let mut named = fields(&["[mV]", "b"], DecimalMark::Point);
        assert_eq!(named.read("[mV],note,b").unwrap(), Line::Names);
        assert_eq!(cells(&mut named, "1,5\" pipe,2"), ["1", "2"]);
        assert_eq!(cells(&mut named, "1,\"5\"\" pipe, long\",2"), ["1", "2"]);
        let mut labelled = fields(&["time", "b"], DecimalMark::Point);
        assert_eq!(labelled.read("time,b").unwrap(), Line::Names);
        assert_eq!(cells(&mut labelled, "[12:00:01],5"), ["[12:00:01]", "5"]);
    }

    #[test]
    fn numbers_are_names_only_beside_words() {
        let mut numbered = fields(&["1", "2"], DecimalMark::Point);
        assert_eq!(cells(&mut numbered, "2,1"), ["2", "1"]);
        let note = "note: the names of the columns are numbers, and so the first line is read as values";
        assert_eq!(numbered.note().unwrap(), note);
        let mut named = fields(&["1", "2"], DecimalMark::Point);
        assert_eq!(named.read("time,2,1").unwrap(), Line::Names);
        assert_eq!(cells(&mut named, "8:00,4,3"), ["3", "4"]);
    }

    #[test]
    fn a_line_that_does_not_fit_is_refused_with_what_was_expected() {
        let refused = |lines: &[&str]| {
            let mut fields = fields(&["a", "b"], DecimalMark::Point);
            lines.iter().map(|line| fields.read(line)).find_map(Result::err).unwrap()
        };
        assert_eq!(
            refused(&["1,2,3"]),
            "expected 2 fields: a, b; or a first line that names the columns; or JSON; got 3"
        );
        assert_eq!(refused(&["1,2", "3"]), "expected 2 fields, as the lines before, got 1");
        assert_eq!(refused(&["[1]"]), "expected 2 fields: a, b, got an array of 1");
        assert_eq!(
            refused(&[r#"{"a": 1, "c": 2}"#]),
            "expected \"b\", got an object with a, c; null is a missing value"
        );
        assert_eq!(refused(&["[1, [2]]"]), "\"b\": expected a number, got [2]");
        assert!(refused(&["[1"]).starts_with("expected JSON: EOF"));
        assert_eq!(refused(&["1,\"2"]), "expected a quote at the end of a quoted field, got none");
        assert_eq!(refused(&["a,b,a"]), "expected one column \"a\", got two");
    }
}
