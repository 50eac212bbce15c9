//! The parts of a training step.

use super::layers::Layers;
use super::options::StatefulRows;
use super::results::{SkippedUpdates, StepReport};
use crate::batch::{Batch, States, Validated};
use crate::error::Result;
use crate::optim::OptimizerStep;

/// The parts of a training step: gradients of batches, updates and their reports, and the states that truncated BPTT carries
/// from batch to batch.
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Training: Layers {
    /// Forward, loss and backward of a batch: adds Σ w·loss and its gradient to the sums. With `carry` the rows
    /// continue from the carried state, unless the sequence brings its own, and leave theirs there.
    /// Enqueues. Who calls it bounds the steps [in flight](Self::in_flight), by [`report`](Self::report).
    async fn accumulate(&mut self, batch: &Batch, carry: Option<StatefulRows>) -> Result<()> {
        let batch = Validated::batch(batch, self.model())?;
        self.accumulate_validated(batch, carry).await
    }

    /// The carried states of all rows; `None` before any were carried or set.
    async fn states(&mut self) -> Result<Option<States<Self::Real>>>;

    /// Replaces the carried states; `None`: the next batch starts from zero.
    fn set_states(&mut self, states: Option<&States<Self::Real>>) -> Result<()>;

    /// Divides the sums, clips and updates the parameters. The sums stay readable until the next
    /// [`accumulate`](Self::accumulate) or [`backward`](super::Layers::backward), which starts them anew. Where the
    /// loss or the norm is not finite it changes nothing, and after more than
    /// [`EngineOptions::max_skipped_updates`](crate::EngineOptions::max_skipped_updates) such updates in a row no later
    /// one does. Enqueues.
    ///
    /// # Errors
    /// Those of other settings than can be taken, or of another rule than the engine was made for;
    /// [`Error::NonFinite`](crate::Error::NonFinite) once a report said that updating has ended.
    async fn update(&mut self, update: &OptimizerStep) -> Result<()>;

    /// The report of the oldest update that was not yet reported, waiting for it; `None` when all were.
    ///
    /// # Errors
    /// [`Error::NonFinite`](crate::Error::NonFinite) names the bad step that ended updating, and goes on to do so:
    /// those behind it have no report.
    async fn report(&mut self) -> Result<Option<StepReport>>;

    /// How many updates were passed over up to the last one. Waits for it.
    async fn skipped(&mut self) -> Result<SkippedUpdates>;

    /// Whether updates still do anything, as far as was reported.
    ///
    /// # Errors
    /// [`Error::NonFinite`](crate::Error::NonFinite) names the bad step that ended them, once its report was given.
    fn may_update(&self) -> Result<()>;

    /// Lets go of the reports not yet given, and goes on as after so many updates that were passed over. A bad step that
    /// ended updating is forgotten: in a row there were then as many as
    /// [`EngineOptions::max_skipped_updates`](crate::EngineOptions::max_skipped_updates) at the most.
    fn restart(&mut self, skipped: SkippedUpdates) -> Result<()>;

    /// How many updates were enqueued and not yet reported.
    fn unreported(&self) -> usize;

    /// How many submissions these are in: on a GPU a few short updates share one.
    fn in_flight(&self) -> usize;
}
