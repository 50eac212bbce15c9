//! Columns of numbers over one column of labels, from a file or a program.

use crate::data::{DateOrder, DecimalMark};

/// Rows in the order of time: a label each, and a number for each column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesTable {
    /// What the labels are: the first column's name.
    pub label_name: String,
    /// The first column's text, row by row.
    pub labels: Vec<String>,
    /// The columns, each with a value for each label.
    pub columns: Vec<Column>,
    /// The line of its file that each row begins in, counted from 1, for messages; empty where there is no file.
    pub lines: Vec<usize>,
    /// How the file was read where it could have been read differently, a sentence each: to show with the data.
    pub notes: Vec<String>,
    /// What comes first in dates such as `5/3/2021`; `None`: decided by the labels, see [`Series::new`](crate::data::Series::new).
    pub dates: Option<DateOrder>,
    /// The decimal mark of the file, if it was given or a number showed it.
    pub decimal: Option<DecimalMark>,
}

/// One column of numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// A number a row; NaN where it is missing.
    pub values: Vec<f64>,
}
