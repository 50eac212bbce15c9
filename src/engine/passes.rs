//! The passes over validated input.

use super::options::StatefulRows;
use super::parameters::Parameters;
use super::results::{Logits, LossSum};
use crate::batch::{Batch, Output, Sequence, Validated};
use crate::error::Result;
use crate::real::Real;

/// The passes over validated input. The public methods validate and then call these.
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Passes: Parameters {
    /// [`Layers::forward`](super::Layers::forward).
    async fn forward_validated(&mut self, sequence: Validated<'_, Sequence<Self::Real>>) -> Result<Output<Self::Real>>;

    /// [`Training::accumulate`](super::Training::accumulate).
    async fn accumulate_validated<S: Real>(
        &mut self,
        batch: Validated<'_, Batch<S>>,
        carry: Option<StatefulRows>,
    ) -> Result<()>;

    /// [`Inference::logits`](super::Inference::logits).
    async fn logits_validated<S: Real>(&mut self, sequence: Validated<'_, Sequence<S>>) -> Result<Logits<Self::Real>>;

    /// [`Inference::evaluate`](super::Inference::evaluate).
    async fn evaluate_validated<S: Real>(&mut self, batch: Validated<'_, Batch<S>>) -> Result<LossSum<Self::Real>>;
}
