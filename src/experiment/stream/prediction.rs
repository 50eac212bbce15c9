//! Predictions as lines.

use std::fmt::Write;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::files::folder::unwritten;
use crate::{Error, Result};

/// A field of a prediction.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    /// A text.
    Text(String),
    /// A character or a byte of a text.
    Character(String),
    /// A number in digits; empty if there is none.
    Number(String),
}

impl Cell {
    /// A token of a text; a byte that is no text by itself is `\x` with its two digits.
    pub(super) fn character(token: &[u8]) -> Self {
        match std::str::from_utf8(token) {
            Ok(text) => Self::Character(text.into()),
            Err(_) => Self::Character(token.escape_ascii().to_string()),
        }
    }

    /// As a field of separated text: a line has one line end.
    fn field(&self) -> String {
        match self {
            Self::Text(text) | Self::Number(text) => text.clone(),
            Self::Character(text) => text.chars().fold(String::new(), |mut shown, character| {
                if character.is_control() || character == '\\' {
                    shown.extend(character.escape_default());
                } else {
                    shown.push(character);
                }
                shown
            }),
        }
    }

    fn json(&self) -> String {
        match self {
            Self::Text(text) | Self::Character(text) => Value::from(text.as_str()).to_string(),
            Self::Number(digits) if digits.is_empty() => "null".into(),
            Self::Number(digits) => digits.clone(),
        }
    }
}

/// What a network predicts after a line or a character.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The number of the line or character, counted from 1.
    pub(super) item: u64,
    pub(super) cells: Vec<Cell>,
    /// What its line of JSON has instead of the cells.
    pub(super) json: Option<Map<String, Value>>,
}

impl Prediction {
    /// As a line of comma-separated text, with its end.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn to_csv(&self) -> Result<String> {
        record(std::iter::once(self.item.to_string()).chain(self.cells.iter().map(Cell::field)))
    }

    /// As a line of JSON without its end, an object with these columns.
    pub fn to_json(&self, columns: &[String]) -> String {
        let mut line = format!("{{{}:{}", Value::from(columns[0].as_str()), self.item);
        // Digits stay as they are.
        match &self.json {
            Some(json) => json.iter().for_each(|(name, value)| put(&mut line, name, &value.to_string())),
            None => {
                columns[1..].iter().zip(&self.cells).for_each(|(name, cell)| put(&mut line, name, &cell.json()));
            }
        }
        line + "}"
    }
}

fn put(line: &mut String, name: &str, value: &str) {
    debug_assert!(serde_json::from_str::<&RawValue>(value).is_ok(), "{value}");
    let _ = write!(line, ",{}:{value}", Value::from(name));
}

/// A line of comma-separated text.
///
/// # Errors
/// If memory runs out.
pub(super) fn record(fields: impl Iterator<Item = String>) -> Result<String> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(fields.collect::<Vec<_>>()).map_err(unwritten)?;
    let bytes = csv.into_inner().map_err(|error| Error::Failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| Error::Failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_is_one_line_in_either_form() {
        let cells = vec![Cell::character(b"\n"), Cell::Text("a, \"b\"".into()), Cell::Number("0.50".into())];
        let prediction = Prediction { item: 7, cells, json: None };
        assert_eq!(prediction.to_csv().unwrap(), "7,\\n,\"a, \"\"b\"\"\",0.50\n");
        let columns = ["line", "next", "class", "p"].map(str::to_owned);
        assert_eq!(prediction.to_json(&columns), r#"{"line":7,"next":"\n","class":"a, \"b\"","p":0.50}"#);
        assert_eq!(Cell::character(b"\xE2").field(), r"\\xe2");
        assert_eq!(Cell::Number(String::new()).json(), "null");
    }
}
