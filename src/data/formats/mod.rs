//! File formats, each read into the kind of data that it holds. The kinds of data do not know them.

mod arrays;
#[cfg(feature = "cli")]
mod csv;
mod idx;
mod npy;
#[cfg(feature = "cli")]
mod npz;
mod piano_roll_json;
mod read;
mod ts;
mod ucr;
#[cfg(feature = "cli")]
mod zip;

#[cfg(feature = "cli")]
pub use csv::{LongColumns, SEPARATORS, SUNSPOTS, csv_columns};
pub use idx::ImageLayout;
pub use read::ReadOptions;
