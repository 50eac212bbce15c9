//! Separated text: what separates its fields, its records, and what is read from them.

mod decimal_evidence;
mod first_line;
mod lines;
mod long_form;
mod packed_texts;
mod piano_rolls;
mod records;
mod separator;
mod table;

pub use long_form::LongColumns;
pub use separator::SEPARATORS;
pub use table::{SUNSPOTS, csv_columns};
