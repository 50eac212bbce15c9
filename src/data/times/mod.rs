//! A column of labels as times: numbers, or dates and times of day in the ways that people write them.

pub(super) mod column;
mod gaps;
pub(super) mod label;
mod onward;
#[cfg(test)]
mod tests;
mod until;

pub(in crate::data) use column::{RowGroups, Times, Trouble, read, readings};
pub use gaps::GapsInTime;
pub(super) use gaps::find as gaps_of;
pub use label::DateOrder;
pub(super) use label::Reading;
pub(super) use label::numbers::number;
pub(super) use onward::beyond;
pub(super) use until::{Until, rows as rows_until};
