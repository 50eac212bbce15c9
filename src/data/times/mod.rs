//! Columns of labels as times: numbers, or dates and times of day in common notations.

mod civil;
pub(super) mod column;
mod extrapolation;
mod gaps;
pub(super) mod label;
#[cfg(test)]
mod tests;
mod until;

pub(in crate::data) use civil::CivilTimes;
pub(in crate::data) use column::{RowGroups, TimeColumn, TimeError, read, readings};
pub(super) use extrapolation::beyond;
pub use gaps::{TimeGaps, UnevenSteps};
pub(super) use gaps::{find as gaps_of, uneven};
pub use label::DateOrder;
pub(super) use label::Reading;
pub(super) use label::numbers::number;
pub(super) use until::{RowsUntil, rows as rows_until};
