//! What networks learn from: series cut into windows, texts by characters, lines in classes, piano rolls, and synthetic tasks
//! whose answer is known.

mod classes;
mod encoding;
mod histogram;
mod labelled;
mod lanes;
mod next_character;
mod order;
mod parts;
mod random_windows;
#[cfg(feature = "cli")]
mod roll_files;
mod rolls;
mod series;
mod source;
mod synthetic;
#[cfg(feature = "cli")]
mod table;
mod text;
mod vocabulary;

pub use classes::Lines;
pub use histogram::Histogram;
pub use labelled::{Labelled, Labels, Steps};
pub use lanes::Lanes;
pub use order::{InOrder, Shuffled};
pub use parts::Parts;
pub use random_windows::RandomWindows;
pub use rolls::{Keys, NextFrame, Piece, Rolls};
pub use series::{Scaling, Series, Split, Windows};
pub use synthetic::{Adding, Copying, Synthetic};
#[cfg(feature = "cli")]
pub use table::{SUNSPOTS, columns};
pub use text::Text;
pub use vocabulary::{Unit, Vocabulary};

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
