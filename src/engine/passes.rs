//! The passes over input that is known to fit.

use super::options::StatefulRows;
use super::parameters::Parameters;
use super::results::{Evaluation, Logits};
use crate::batch::{Batch, Checked, Output, Sequence};
use crate::error::Result;

/// The passes over input that was found to fit the model: what the public calls do once they have checked theirs.
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Passes: Parameters {
    /// [`Layers::forward`](super::Layers::forward).
    async fn forward_checked(&mut self, sequence: Checked<'_, Sequence<Self::Real>>) -> Result<Output<Self::Real>>;

    /// [`Training::accumulate`](super::Training::accumulate).
    async fn accumulate_checked(&mut self, batch: Checked<'_, Batch>, carry: Option<StatefulRows>) -> Result<()>;

    /// [`Inference::logits`](super::Inference::logits).
    async fn logits_checked(&mut self, sequence: Checked<'_, Sequence>) -> Result<Logits<Self::Real>>;

    /// [`Inference::evaluate`](super::Inference::evaluate).
    async fn evaluate_checked(&mut self, batch: Checked<'_, Batch>) -> Result<Evaluation<Self::Real>>;
}
