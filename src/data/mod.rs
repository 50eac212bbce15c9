//! What networks learn from: series cut into windows, texts by characters, lines in classes, piano rolls, labelled
//! sequences, and synthetic tasks whose answer is known.
//!
//! Labelled sequences come from these files, see [`Labelled::read`]; each may be compressed by gzip.
//!
//! | | |
//! |---|---|
//! | `.ts` | UEA and UCR archives, sktime, aeon |
//! | `.tsv`, `.txt` | UCR archive: a series a line, its label first |
//! | idx | MNIST: bytes, images as rows or as pixels |
//! | `.npy`, `.npz` | NumPy arrays |
//! | `.csv` | long form: a row for each step of each sequence |

mod common;
#[cfg(test)]
mod corruption;
mod formats;
mod input;
mod piano_rolls;
mod sequences;
pub(super) mod series;
mod synthetic;
mod text;
mod times;
pub(super) mod values;

pub use common::{Batches, Examples, Frame, InOrder, Scaling, ScalingKind, Shuffled, Split};
pub use formats::{Image, ReadOptions};
#[cfg(feature = "cli")]
pub use formats::{LongColumns, SEPARATORS, SUNSPOTS, columns};
pub use input::{InputLimit, open_input, read_input, read_settings, utf8};
pub use piano_rolls::{Keys, NextFrame, Piece, Rolls};
pub use sequences::{Labelled, Labels, LabelsAs, Sequences, Steps, Subset};
pub use series::{
    Accuracy, Column, ColumnCodec, Encoded, Forecast, Roles, Roll, Series, SeriesCodec, Table, TargetAccuracy, Windows,
    accuracy,
};
pub use synthetic::{Adding, Copying, Synthetic};
pub use text::{Histogram, Lanes, Lines, Parts, RandomWindows, Text, Unit, Vocabulary};
pub use times::{DateOrder, GapsInTime};
pub use values::{DecimalMark, Missing, listed};
