//! Batches of truncated BPTT.

use bptt::Batch;
use bptt::data::{Batches, Examples, ShuffledBatches};

/// Batches whose rows continue those of the batch before, within an epoch.
pub struct Continued<'a>(pub ShuffledBatches<&'a dyn Examples>);

impl Batches for Continued<'_> {
    fn per_epoch(&self) -> u64 {
        self.0.per_epoch()
    }

    fn batch(&self, number: u64) -> bptt::Result<Batch> {
        self.0.batch(number)
    }

    fn largest(&self) -> bptt::Result<Batch> {
        self.0.largest()
    }

    fn continues(&self, number: u64) -> bool {
        !number.is_multiple_of(self.per_epoch())
    }
}
