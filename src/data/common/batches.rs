//! Examples and batches, the interface of every kind of data.

use crate::batch::Batch;
use crate::error::Result;

/// A finite, numbered set of examples, each a separate sequence. Shared between threads, so that a batch can be
/// prepared while another is in use.
pub trait Examples: Send + Sync {
    /// The number of examples.
    fn len(&self) -> usize;

    /// The number of time steps of an example, by which examples of similar length are grouped.
    fn steps(&self, example: usize) -> usize;

    /// The batch whose rows are the examples with these numbers, all below [`len`](Self::len), in this order. T is
    /// `steps`, at least the length of the longest.
    ///
    /// # Errors
    /// If the examples are in a file that can no longer be read.
    fn batch(&self, examples: &[usize], steps: usize) -> Result<Batch>;

    /// Whether there are no examples.
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

/// Batches numbered from 0 through all epochs. The same number is always the same batch, so the position of a run in
/// its data is a single number. Shared between threads, like [`Examples`].
pub trait Batches: Send + Sync {
    /// The number of batches per epoch.
    fn per_epoch(&self) -> u64;

    /// The batch with a number.
    ///
    /// # Errors
    /// If its examples are in a file that can no longer be read.
    fn batch(&self, number: u64) -> Result<Batch>;

    /// A batch with at least the steps and rows of any of them, for planning memory; it need not be one of them.
    ///
    /// # Errors
    /// Those of [`batch`](Self::batch).
    fn largest(&self) -> Result<Batch>;

    /// Whether the rows of this batch continue with the final states of the batch before; otherwise they start from
    /// zero.
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
