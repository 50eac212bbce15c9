//! Tables from separated text.

use std::collections::HashSet;
use std::path::Path;

use super::records::Records;
use super::separator::is_time;
use crate::allocate;
use crate::data::input::encoding::quoted;
use crate::data::input::file::MemoryUse;
use crate::data::values::number::is_missing;
use crate::data::{Column, DecimalMark, InputLimit, SeriesTable};
use crate::error::{Error, Result};

/// The bundled series: the yearly mean sunspot number, 1700–2008, columns `YEAR` and `SUNACTIVITY`.
pub const SUNSPOTS: &str = include_str!("../../../../data/sunspots.csv");

/// The names in the header of separated text, or `1`, `2` and so on if the first line is a row. `path` is for error
/// messages.
///
/// # Errors
/// [`Error::Data`] if the text is empty or not UTF-8, has two columns with one name, or is ambiguous.
pub fn csv_columns(text: &[u8], path: &Path) -> Result<Vec<String>> {
    Ok(Records::open(text, path)?.names().to_vec())
}

/// The most rows that [`number_columns`] looks at.
const LOOKED_AT: usize = 1000;

/// The columns after the first that have numbers in at least half of their values, by the first 1,000 rows: what can be
/// forecast. All names if no column has.
///
/// # Errors
/// Those of [`csv_columns`].
pub fn number_columns(text: &[u8], path: &Path) -> Result<Vec<String>> {
    let mut records = Records::open(text, path)?;
    let names: Vec<String> = records.names().to_vec();
    let mut counts = vec![[0usize; 2]; names.len()];
    for _ in 0..LOOKED_AT {
        // What is wrong with a row is told where it is read.
        if !records.read().unwrap_or(false) {
            break;
        }
        for (index, [numbers, values]) in counts.iter_mut().enumerate() {
            let cell = records.field(index);
            let is_number = [DecimalMark::Point, DecimalMark::Comma].iter().any(|mark| mark.plain(cell).is_some());
            *values += usize::from(!is_missing(cell));
            *numbers += usize::from(!is_missing(cell) && is_number);
        }
    }
    let named = || names.iter().zip(&counts).skip(1).filter(|(name, _)| !name.is_empty());
    let of_numbers = named().filter(|(_, [numbers, values])| *values > 0 && 2 * numbers >= *values);
    let found: Vec<String> = of_numbers.map(|(name, _)| name.clone()).collect();
    Ok(if found.is_empty() { named().map(|(name, _)| name.clone()).collect() } else { found })
}

impl SeriesTable {
    /// Reads the columns `names`, in this order, of comma-separated text (RFC 4180) with a header. The first column
    /// contains the labels, and can be requested too. The separator may also be a semicolon, a tab or a vertical bar:
    /// it is detected, or set by a first line `sep=;`. An empty field, `?`, and NaN, NA, N/A, null and the like are
    /// missing values. Numbers have the decimal mark `decimal`; by default it is detected. `path` is for error
    /// messages; [`notes`](Self::notes) list what could have been read differently.
    ///
    /// # Errors
    /// [`Error::Data`] names the row, counted from 1 below the header, the line and the column. Ambiguous text is
    /// refused, and so is a table that needs more memory than [`InputLimit::default`].
    pub fn from_csv(text: &[u8], path: &Path, names: &[&str], decimal: Option<DecimalMark>) -> Result<Self> {
        Self::csv_within(text, path, names, decimal, InputLimit::default())
    }

    /// Like [`from_csv`](Self::from_csv), with a memory limit.
    pub(crate) fn csv_within(
        text: &[u8],
        path: &Path,
        names: &[&str],
        decimal: Option<DecimalMark>,
        limit: InputLimit,
    ) -> Result<Self> {
        let mut records = Records::open(text, path)?;
        let indices = records.indices(names)?;
        records.decide(&indices, decimal)?;
        let column = |name: &&str| Column { name: (*name).into(), values: Vec::new() };
        let mut table = Self {
            label_name: records.names()[0].clone(),
            columns: names.iter().map(column).collect(),
            ..Self::default()
        };
        // An unnamed first column is an index, as pandas writes it: times may be in another column.
        let counter = records.names()[0].is_empty();
        let used: HashSet<&usize> = indices.iter().collect();
        let is_unused = |index: &usize| *index > 0 && !used.contains(index) && !records.names()[*index].is_empty();
        let mut times: Vec<usize> = (0..records.names().len()).filter(|_| counter).filter(is_unused).collect();
        let mut memory = MemoryUse::new(limit, path, "in memory for its rows");
        // The memory of a row: its label, as text and as a time, its line and its numbers.
        let of_row = size_of::<String>() + size_of::<i128>() + size_of::<usize>() + indices.len() * size_of::<f64>();
        while records.read()? {
            let left = || text.iter().filter(|byte| **byte == b'\n').count().saturating_sub(table.labels.len() + 1);
            memory.add_row(of_row + records.field(0).len(), left)?;
            times.retain(|index| is_time(records.field(*index)));
            for (column, index) in table.columns.iter_mut().zip(&indices) {
                allocate::push(&mut column.values, records.number(*index)?, "the numbers of a table")?;
            }
            allocate::push(&mut table.labels, records.field(0).to_owned(), "the labels of a table")?;
            allocate::push(&mut table.lines, records.position().1, "the lines of a table")?;
        }
        if counter {
            let what = "the first column has no name and is read as the time";
            let time = times
                .first()
                .map(|index| format!("; put {} first to check its order", quoted(&records.names()[*index])));
            table.notes.push(format!("{what}{}", time.unwrap_or_default()));
        }
        table.decimal = records.known_mark();
        table.notes.extend(records.into_notes());
        if table.labels.is_empty() {
            Err(Error::data(path, "", "expected rows below the column names, got none"))
        } else {
            Ok(table)
        }
    }
}

#[cfg(test)]
mod tests;
