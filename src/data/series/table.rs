//! Columns of numbers with a label per row, from a file or a program.

use serde::{Deserialize, Serialize};

use crate::data::{DateOrder, DecimalMark, StaticColumn};

/// Rows in time order: a label each, and a number for each column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesTable {
    /// The name of the label column.
    pub label_name: String,
    /// The labels, by row.
    pub labels: Vec<String>,
    /// The columns, with one value per label.
    pub columns: Vec<Column>,
    /// The line of the file where each row starts, counted from 1, for messages; empty without a file.
    pub lines: Vec<usize>,
    /// Notes on how the file was read, one sentence each, to be shown with the data.
    pub notes: Vec<String>,
    /// The order of dates such as `5/3/2021`; `None`: detected from the labels, see
    /// [`Series::new`](crate::data::Series::new).
    pub dates: Option<DateOrder>,
    /// The decimal mark of the file, if it was set or proved by a number.
    pub decimal: Option<DecimalMark>,
    /// What is the same in all rows of a column, each with a value for every one of [`columns`](Self::columns).
    pub statics: Vec<StaticColumn>,
}

/// The columns of a table in long form: a row for each time of each series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongForm {
    /// The column of the series' names.
    pub id: String,
    /// The column of the times.
    pub time: String,
    /// The column of the values.
    pub target: String,
    /// The columns that are the same in all rows of a series.
    #[serde(default, rename = "static", skip_serializing_if = "Vec::is_empty")]
    pub statics: Vec<String>,
}

/// One column of numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// One number per row; NaN if missing.
    pub values: Vec<f64>,
}
