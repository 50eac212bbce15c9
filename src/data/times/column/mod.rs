//! Reads a column of labels as times, in the one way that fits all.

mod candidate;
mod date_candidates;
mod error;
mod notes;
mod number_candidates;
mod row_groups;
pub(in crate::data) mod time_column;

pub(in crate::data) use error::{TimeError, readings};
pub(in crate::data) use row_groups::RowGroups;
pub(in crate::data) use time_column::{TimeColumn, read};
