//! A single label: parsing it as a time, and formatting others like it.

pub(in crate::data) mod calendar;
mod clock;
mod date;
mod date_order;
pub(super) mod formatter;
pub(super) mod numbers;
mod parse;
mod reader;
#[cfg(test)]
mod tests;
mod texts;
pub(super) mod time;
pub(in crate::data) mod zone;

pub use date_order::DateOrder;
pub(in crate::data) use parse::{read, read_of, zone_error};
pub(in crate::data) use reader::{LabelReader, Reading};
pub(in crate::data) use texts::Texts;
