//! Columns of a table in long form that are the same in all rows of a series.

use std::path::Path;

use super::records::Records;
use crate::data::StaticColumn;
use crate::data::input::encoding::quoted;
use crate::data::input::file::MemoryUse;
use crate::data::values::number::is_missing;
use crate::error::{Error, Result};

/// A static column while the rows are read.
#[derive(Clone, Default)]
pub(super) struct StaticValues {
    /// By series; empty until a row has a value.
    texts: Vec<String>,
    numbers: Vec<f64>,
    /// By series: the row that has it and its line, for messages.
    positions: Vec<(usize, usize)>,
    /// Whether a text is no number.
    has_words: bool,
}

impl StaticValues {
    /// Takes the value of the current record in column `index`, for series `series` with the id `id`. Series come in the
    /// order of their numbers. A missing value is that of the other rows.
    ///
    /// # Errors
    /// [`Error::Data`] for a series with two values, by row and line of both; errors of memory.
    pub(super) fn take(
        &mut self,
        (series, id): (usize, &str),
        (records, path): (&Records<'_>, &Path),
        index: usize,
        memory: &mut MemoryUse<'_>,
    ) -> Result<()> {
        let position = records.position();
        if self.texts.len() <= series {
            memory.add(size_of::<String>() + size_of::<f64>() + size_of::<(usize, usize)>())?;
            self.texts.push(String::new());
            self.numbers.push(f64::NAN);
            self.positions.push(position);
        }
        let (text, known) = (records.field(index), &mut self.texts[series]);
        if is_missing(text) || text == known {
            return Ok(());
        }
        if !known.is_empty() {
            let (row, line) = self.positions[series];
            let name = quoted(&records.names()[index]);
            let message = format!(
                "expected one value of {name} for all rows of {}, got {}, and {} in row {row} (line {line})",
                quoted(id),
                quoted(text),
                quoted(known)
            );
            return Err(Error::data(path, records.place(), message));
        }
        memory.add(text.len())?;
        text.clone_into(known);
        self.positions[series] = position;
        match records.number(index) {
            Ok(number) => self.numbers[series] = number,
            Err(_) => self.has_words = true,
        }
        Ok(())
    }

    /// The column.
    pub(super) fn into_column(self, name: &str) -> StaticColumn {
        let numbers = (!self.has_words).then_some(self.numbers);
        StaticColumn { name: name.into(), texts: self.texts, numbers }
    }
}
