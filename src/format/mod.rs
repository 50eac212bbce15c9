//! Text shared by messages, tables, pictures and reports: numbers, sizes, paths, and escaped names from data.

mod decimals;
mod escape;
mod numbers;
mod path;
mod table;

pub use decimals::{Digits, share};
pub(crate) use decimals::{decimal, percent, rounded, scientific};
pub use escape::{indented, is_hidden, one_line, visible};
pub use numbers::{ahead, bytes, grouped, short};
pub use path::{path_json, path_text, shell_quoted};
pub use table::{cell, left, right, widest};
