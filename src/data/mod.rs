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

mod accuracy;
mod arrays;
mod cells;
mod classes;
#[cfg(feature = "cli")]
mod csv_text;
#[cfg(test)]
mod damage;
#[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "the readers of rows of text come with the program"))]
mod decimal;
mod encoded;
mod encoding;
mod gzip;
mod histogram;
mod idx;
mod input;
mod labelled;
mod labels;
mod labels_as;
mod lanes;
mod listed;
#[cfg(feature = "cli")]
mod long;
mod missing;
mod names;
mod next_character;
mod npy;
#[cfg(feature = "cli")]
mod npz;
mod order;
mod parts;
mod random_windows;
mod read;
#[cfg(feature = "cli")]
mod records;
mod roll;
#[cfg(feature = "cli")]
mod roll_files;
mod rolls;
mod scaling;
#[cfg(feature = "cli")]
mod separator;
mod sequences;
mod series;
mod series_codec;
mod source;
mod split;
mod steps;
mod stratified;
mod synthetic;
mod table;
mod text;
mod times;
mod ts;
mod ucr;
mod vocabulary;
mod windows;
#[cfg(feature = "cli")]
mod zip;

pub use accuracy::{Accuracy, TargetAccuracy, accuracy};
pub use classes::Lines;
#[cfg(feature = "cli")]
pub use csv_text::{SUNSPOTS, columns};
pub use decimal::DecimalMark;
pub use encoded::Encoded;
pub use encoding::utf8;
pub use histogram::Histogram;
pub use idx::Image;
pub use input::{InputLimit, open_input, read_input, read_settings};
pub use labelled::{Labelled, Labels, Subset};
pub use labels_as::LabelsAs;
pub use lanes::Lanes;
pub use listed::listed;
#[cfg(feature = "cli")]
pub use long::LongColumns;
pub use missing::Missing;
pub use order::{InOrder, Shuffled};
pub use parts::Parts;
pub use random_windows::RandomWindows;
pub use read::ReadOptions;
pub use roll::{Forecast, Roll};
pub use rolls::{Keys, NextFrame, Piece, Rolls};
pub use scaling::{Scaling, ScalingKind};
#[cfg(feature = "cli")]
pub use separator::SEPARATORS;
pub use sequences::Sequences;
pub use series::{Roles, Series};
pub use series_codec::{ColumnCodec, SeriesCodec};
pub use split::{Frame, Split};
pub use steps::Steps;
pub use synthetic::{Adding, Copying, Synthetic};
pub use table::{Column, Table};
pub use text::Text;
pub use times::{DateOrder, GapsInTime};
pub use vocabulary::{Unit, Vocabulary};
pub use windows::Windows;

use crate::batch::Batch;
use crate::error::Result;

/// A finite, numbered set of examples, each a sequence of its own.
pub trait Examples {
    /// How many there are.
    fn len(&self) -> usize;

    /// The time steps of an example, by which rows of like length go together.
    fn steps(&self, example: usize) -> usize;

    /// The batch whose rows are the examples with these numbers, all below [`len`](Self::len), in this order. T is
    /// `steps`, at least those of the longest.
    ///
    /// # Errors
    /// Where the examples lie in a file that can no longer be read.
    fn batch(&self, examples: &[usize], steps: usize) -> Result<Batch>;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<E: Examples + ?Sized> Examples for &E {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn steps(&self, example: usize) -> usize {
        (**self).steps(example)
    }

    fn batch(&self, examples: &[usize], steps: usize) -> Result<Batch> {
        (**self).batch(examples, steps)
    }
}

/// Batches numbered from 0 through all epochs. The same number is the same batch, whenever and however often it is
/// asked for, so that a number is all there is to know of where a run stands.
pub trait Batches {
    /// How many make an epoch.
    fn per_epoch(&self) -> u64;

    /// The batch of a number.
    ///
    /// # Errors
    /// Where its examples lie in a file that can no longer be read.
    fn batch(&self, number: u64) -> Result<Batch>;

    /// A batch of at least the steps and rows of any of them, to plan memory by; it need not be one of them.
    ///
    /// # Errors
    /// As of [`batch`](Self::batch).
    fn largest(&self) -> Result<Batch>;

    /// Whether the rows of this batch go on where those of the batch before it ended; otherwise they start from zero.
    fn continues(&self, _number: u64) -> bool {
        false
    }
}
