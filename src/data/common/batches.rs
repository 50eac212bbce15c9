//! Examples and batches, as every kind of data gives them.

use crate::batch::Batch;
use crate::error::Result;

/// A finite, numbered set of examples, each a sequence of its own. Shared between threads, so that a batch can be
/// prepared while another is in use.
pub trait Examples: Send + Sync {
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
/// asked for, so that a number is all there is to know of where a run stands. Shared between threads, as [`Examples`]
/// are.
pub trait Batches: Send + Sync {
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
    /// Those of [`batch`](Self::batch).
    fn largest(&self) -> Result<Batch>;

    /// Whether the rows of this batch go on where those of the batch before it ended; otherwise they start from zero.
    fn continues(&self, _number: u64) -> bool {
        false
    }
}

impl<B: Batches + ?Sized> Batches for Box<B> {
    fn per_epoch(&self) -> u64 {
        (**self).per_epoch()
    }

    fn batch(&self, number: u64) -> Result<Batch> {
        (**self).batch(number)
    }

    fn largest(&self) -> Result<Batch> {
        (**self).largest()
    }

    fn continues(&self, number: u64) -> bool {
        (**self).continues(number)
    }
}
