//! A way to read a column, and how many labels it fits.

use crate::data::times::label::{DateOrder, LabelReader, Reading};

/// A way of reading, and how many labels it fits.
pub(super) struct Candidate {
    pub(super) reader: LabelReader,
    pub(super) fits: usize,
    pub(super) by_order: bool,
    pub(super) short_year: Option<usize>,
}

impl Candidate {
    /// A candidate without further properties.
    pub(super) fn of(reader: LabelReader, fits: usize) -> Self {
        Self { reader, fits, by_order: false, short_year: None }
    }

    pub(super) fn order(&self) -> Option<DateOrder> {
        match self.reader.reading {
            Reading::Dates { order, .. } if self.by_order => Some(order),
            _ => None,
        }
    }
}
