//! What networks learn from: series cut into windows, and synthetic tasks whose answer is known.

mod series;
mod synthetic;
#[cfg(feature = "cli")]
mod table;

pub use series::{Scaling, Series, Split, Windows};
pub use synthetic::{Adding, Copying, Synthetic};
#[cfg(feature = "cli")]
pub use table::{SUNSPOTS, columns};

use crate::batch::Batch;

/// A finite, numbered set of examples from which batches are made.
pub trait Examples {
    /// How many there are.
    fn len(&self) -> usize;

    /// The batch whose rows are the examples with these numbers, all below [`len`](Self::len), in this order.
    fn batch(&self, examples: &[usize]) -> Batch;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
