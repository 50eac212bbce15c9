//! Inference on a network with a head.

use super::hooks::CustomLoss;
use super::passes::Objective;
use super::results::{Logits, LossSum};
use super::streaming::Streaming;
use crate::batch::{Batch, Sequence, Validated};
use crate::error::Result;
use crate::real::Real;

/// Logits and loss of a network with a head, without gradients.
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Inference: Streaming {
    /// The head's logits for every prediction, and the final states. Starts from the sequence's initial states, or from
    /// zero. A long sequence can be processed in pieces, down to single steps, by passing the final states of each
    /// piece ([`States::to_f32`](crate::States::to_f32)) to the next; a [`Session`](crate::Session) keeps them on the
    /// device instead. Changes neither the gradient sums nor the carried
    /// state. Processes all rows at once; [`Trainer::logits`](crate::Trainer::logits) splits them into micro-batches.
    /// [Waits](crate#waiting) for the logits.
    ///
    /// # Errors
    /// Those of [`Sequence::validate`]; [`Error::Unsupported`](crate::Error::Unsupported) for a model without a head;
    /// [`Error::Limit`](crate::Error::Limit), [`Error::OutOfMemory`](crate::Error::OutOfMemory) or
    /// [`Error::NoMemory`](crate::Error::NoMemory) where there is no room for it; those of the device.
    async fn logits<S: Real>(&mut self, sequence: &Sequence<S>) -> Result<Logits<Self::Real>> {
        let sequence = Validated::sequence(sequence, self.model())?;
        self.logits_validated(sequence).await
    }

    /// Σ w·loss of a batch, and the final states. Same conditions as [`logits`](Self::logits).
    /// [Waits](crate#waiting) for the loss.
    ///
    /// # Errors
    /// Those of [`Batch::validate`]; [`Error::Limit`](crate::Error::Limit),
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) or [`Error::NoMemory`](crate::Error::NoMemory) where there is
    /// no room for it; those of the device.
    async fn evaluate<S: Real>(&mut self, batch: &Batch<S>) -> Result<LossSum<Self::Real>> {
        let batch = Validated::batch::<Self::Real>(batch, self.model())?;
        self.evaluate_validated(Objective::Batch(batch)).await
    }

    /// Σ loss of a loss of the caller, and the final states. Like [`evaluate`](Self::evaluate); the gradient that the
    /// loss leaves is not used.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) for a model without a head; those of [`Sequence::validate`];
    /// otherwise those of [`evaluate`](Self::evaluate).
    async fn evaluate_with<S: Real>(
        &mut self,
        sequence: &Sequence<S>,
        loss: &dyn CustomLoss<Self>,
    ) -> Result<LossSum<Self::Real>> {
        let objective = Objective::custom(sequence, loss, self.model())?;
        self.evaluate_validated(objective).await
    }
}
