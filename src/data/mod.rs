//! What networks learn from: series cut into windows, texts by characters, lines in classes, piano rolls, and synthetic tasks
//! whose answer is known.

mod accuracy;
mod calendar;
mod classes;
#[cfg(feature = "cli")]
mod csv_text;
mod encoded;
mod encoding;
mod histogram;
mod labelled;
mod labels;
mod lanes;
mod next_character;
mod order;
mod parts;
mod random_windows;
mod roll;
#[cfg(feature = "cli")]
mod roll_files;
mod rolls;
mod scaling;
mod series;
mod series_codec;
mod source;
mod split;
mod synthetic;
mod table;
mod text;
mod vocabulary;
mod windows;

pub use accuracy::{Accuracy, TargetAccuracy, accuracy};
pub use classes::Lines;
#[cfg(feature = "cli")]
pub use csv_text::{SUNSPOTS, columns};
pub use encoded::Encoded;
pub use histogram::Histogram;
pub use labelled::{Labelled, Labels, Steps};
pub use lanes::Lanes;
pub use order::{InOrder, Shuffled};
pub use parts::Parts;
pub use random_windows::RandomWindows;
pub use roll::{Forecast, Roll};
pub use rolls::{Keys, NextFrame, Piece, Rolls};
pub use scaling::{Scaling, ScalingKind};
pub use series::{Missing, Roles, Series};
pub use series_codec::{ColumnCodec, SeriesCodec};
pub use split::{Frame, Split};
pub use synthetic::{Adding, Copying, Synthetic};
pub use table::{Column, Table};
pub use text::Text;
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

    /// Whether the rows of this batch go on where those of the batch before it ended; otherwise they start from zero.
    fn continues(&self, _number: u64) -> bool {
        false
    }
}
