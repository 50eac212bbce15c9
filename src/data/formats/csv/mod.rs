//! Separated text: detects its separator, splits it into records, and reads the contents.

mod decimal_evidence;
mod first_line;
mod lines;
mod long_form;
mod long_series;
mod packed_texts;
mod piano_rolls;
mod records;
mod separator;
mod static_values;
mod table;

pub use long_form::LongColumns;
pub use separator::SEPARATORS;
pub use table::{SUNSPOTS, csv_columns, number_columns};
