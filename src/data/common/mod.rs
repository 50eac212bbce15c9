//! What every kind of data shares: batches, how examples become batches, splits, scaling.

pub(super) mod batches;
pub(super) mod batching;
pub(crate) mod least_squares;
pub(super) mod prefetched;
pub(super) mod scaling;
pub(super) mod split;

pub use batches::{Batches, Examples};
pub use batching::{SequentialBatches, ShuffledBatches};
pub use prefetched::PrefetchedBatches;
pub use scaling::{Scaling, ScalingKind};
pub use split::{Frame, SeriesSplit};
