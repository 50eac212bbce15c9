//! Inputs that follow from the times of the rows: the hour, the weekday and so on.

mod input;
mod rows;
#[cfg(test)]
mod tests;

pub use input::{CalendarEncoding, CalendarField, CalendarInput};
pub(super) use rows::{CalendarRows, width};
