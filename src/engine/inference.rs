//! What a network with a head answers.

use super::passes::Passes;
use super::results::{Evaluation, Logits};
use crate::batch::{Batch, Sequence, Validated};
use crate::error::Result;

/// The logits and the loss of a network with a head, without any gradient.
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Inference: Passes {
    /// The head's logits for every prediction, and the final states. Starts from the sequence's own initial states or
    /// from zero: a long sequence can be taken in pieces, down to one step at a time, by handing the final states of a
    /// piece ([`States::to_f32`](crate::States::to_f32)) to the next. Touches neither the gradient sums nor the carried
    /// state. Takes all rows at once; a [`Trainer`](crate::Trainer) takes them in its micro-batches.
    async fn logits(&mut self, sequence: &Sequence<f32>) -> Result<Logits<Self::Real>> {
        let sequence = Validated::sequence(sequence, self.model())?;
        self.logits_validated(sequence).await
    }

    /// Σ w·loss of a batch, and the final states, under the same conditions as [`logits`](Self::logits).
    async fn evaluate(&mut self, batch: &Batch) -> Result<Evaluation<Self::Real>> {
        let batch = Validated::batch(batch, self.model())?;
        self.evaluate_validated(batch).await
    }
}
