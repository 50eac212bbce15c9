//! File formats. Each reads into one kind of data; the kinds of data do not depend on them.

#[cfg(feature = "npz")]
mod archive;
mod arrays;
#[cfg(feature = "csv")]
mod csv;
mod idx;
mod npy;
#[cfg(feature = "npz")]
mod npz;
mod piano_roll_json;
mod read;
mod ts;
mod ucr;
mod wav;

#[cfg(feature = "csv")]
pub use csv::{LongColumns, SEPARATORS, SUNSPOTS, csv_columns, number_columns};
pub use idx::ImageLayout;
pub use read::ReadOptions;
pub use wav::{Audio, Clipping, WavFormat, WavReader, WavSpec, WavWriter};
