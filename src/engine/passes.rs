//! The passes over validated input.

use std::ops::Range;

use super::hooks::{CustomLoss, Hooks};
use super::options::StatefulRows;
use super::parameters::Parameters;
use super::results::{Logits, LossSum};
use crate::batch::{Batch, Output, Sequence, Validated};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::real::Real;

/// Sequences with the loss that a pass computes of them.
#[allow(missing_debug_implementations, reason = "not public by name")]
pub enum Objective<'a, S: Real, E: Hooks + ?Sized> {
    /// The head's loss of a batch.
    Batch(Validated<'a, Batch<S>>),
    /// A loss of the caller. It counts rows from the first one of a batch of which this may be a part.
    Custom {
        /// The sequences.
        sequence: Validated<'a, Sequence<S>>,
        /// The loss.
        loss: &'a dyn CustomLoss<E>,
        /// The index of the first row in the caller's batch.
        first_row: usize,
    },
}

impl<'a, S: Real, E: Hooks + ?Sized> Objective<'a, S, E> {
    /// A loss of the caller over whole sequences.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model without a head; those of [`Sequence::validate`].
    pub(crate) fn custom(sequence: &'a Sequence<S>, loss: &'a dyn CustomLoss<E>, model: &Model) -> Result<Self> {
        model.require_head()?.validate()?;
        Ok(Self::Custom { sequence: Validated::sequence(sequence, model)?, loss, first_row: 0 })
    }

    /// The sequences.
    pub(crate) fn sequence(&self) -> &Sequence<S> {
        match self {
            Self::Batch(batch) => &batch.sequence,
            Self::Custom { sequence, .. } => sequence,
        }
    }

    /// A nonempty range of the rows. All of them are not copied.
    pub(crate) fn rows(&self, range: Range<usize>) -> Objective<'_, S, E> {
        match self {
            Self::Batch(batch) => Objective::Batch(batch.rows(range)),
            Self::Custom { sequence, loss, first_row } => {
                Objective::Custom { first_row: first_row + range.start, sequence: sequence.rows(range), loss: *loss }
            }
        }
    }
}

/// The Σ w that belongs to a loss of the caller.
pub(crate) fn check_weight(weight: f64) -> Result<f64> {
    if weight >= 0.0 && weight.is_finite() {
        Ok(weight)
    } else {
        Err(Error::value("weight", "a finite number of at least 0", weight))
    }
}

/// Receives gradient sums once nothing is added to them any more: those of some consecutive tensors, with their range in the
/// flat block.
pub(crate) type CompletedSums<'a, R> = dyn FnMut(Range<usize>, &[R]) + Send + 'a;

/// The passes over validated input. The public methods validate and then call these.
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Passes: Parameters + Hooks {
    /// [`Layers::forward`](super::Layers::forward).
    async fn forward_validated(&mut self, sequence: Validated<'_, Sequence<Self::Real>>) -> Result<Output<Self::Real>>;

    /// [`Training::accumulate`](super::Training::accumulate). An engine that has its sums at hand gives them to `completed` in
    /// the order of [`Layout::backward_order`](crate::Layout::backward_order), each while it computes those that follow.
    async fn accumulate_validated<S: Real>(
        &mut self,
        objective: Objective<'_, S, Self>,
        carry: Option<StatefulRows>,
        completed: Option<&mut CompletedSums<'_, Self::Real>>,
    ) -> Result<()>;

    /// [`Inference::logits`](super::Inference::logits).
    async fn logits_validated<S: Real>(&mut self, sequence: Validated<'_, Sequence<S>>) -> Result<Logits<Self::Real>>;

    /// [`Inference::evaluate`](super::Inference::evaluate).
    async fn evaluate_validated<S: Real>(&mut self, objective: Objective<'_, S, Self>) -> Result<LossSum<Self::Real>>;
}
