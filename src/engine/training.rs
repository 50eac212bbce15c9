//! The parts of a training step.

use std::sync::Arc;

use super::hooks::{CustomLoss, CustomOptimizer};
use super::layers::Layers;
use super::options::StatefulRows;
use super::passes::Objective;
use super::results::{SkippedUpdates, StepReport};
use crate::batch::{Batch, Sequence, States, Validated};
use crate::error::Result;
use crate::optim::OptimizerStep;
use crate::real::Real;

/// The parts of a training step: gradients of batches, updates and their reports, and the states that truncated BPTT
/// carries from batch to batch.
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Training: Layers {
    /// Runs forward, loss and backward over a batch, and adds Σ w·loss and its gradient to the sums. With `carry`, the
    /// rows start from the carried state unless the sequence has initial states, and store their final states there.
    /// [Enqueues](crate#waiting) only. The caller limits the steps [in flight](Self::in_flight) by calling
    /// [`report`](Self::report).
    ///
    /// # Errors
    /// Those of [`Batch::validate`]; with `carry` [`Error::Unsupported`](crate::Error::Unsupported) for a network with
    /// a reverse direction, and [`Error::Value`](crate::Error::Value) for rows beyond those that are carried or for
    /// another number of these; [`Error::Limit`](crate::Error::Limit),
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) or [`Error::NoMemory`](crate::Error::NoMemory) where there is
    /// no room for it; those of the device.
    async fn accumulate<S: Real>(&mut self, batch: &Batch<S>, carry: Option<StatefulRows>) -> Result<()> {
        let batch = Validated::batch::<Self::Real>(batch, self.model())?;
        self.accumulate_validated(Objective::Batch(batch), carry, None).await
    }

    /// Like [`accumulate`](Self::accumulate), with a loss of the caller in place of the head's: adds Σ loss and its
    /// gradient to the sums. [`OptimizerStep::divisor`] is then the caller's Σ w. [Enqueues](crate#waiting) only.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) for a model without a head; those of [`Sequence::validate`];
    /// otherwise those of [`accumulate`](Self::accumulate).
    async fn accumulate_with<S: Real>(
        &mut self,
        sequence: &Sequence<S>,
        loss: &dyn CustomLoss<Self>,
        carry: Option<StatefulRows>,
    ) -> Result<()> {
        let objective = Objective::custom(sequence, loss, self.model())?;
        self.accumulate_validated(objective, carry, None).await
    }

    /// Σ w·loss of the batches whose gradients are in the sums. [Waits](crate#waiting).
    async fn loss_sum(&mut self) -> Result<f64>;

    /// Replaces Σ w·loss of the batches whose gradients are in the sums, which the next update reports: for a sum over ranks.
    /// The GPU backend rounds it to f32.
    ///
    /// # Errors
    /// Those of the device.
    fn set_loss_sum(&mut self, loss_sum: f64) -> Result<()>;

    /// The carried states of all rows; `None` if there are none yet. [Waits](crate#waiting).
    ///
    /// # Errors
    /// Those of the device.
    async fn states(&mut self) -> Result<Option<States<Self::Real>>>;

    /// Replaces the carried states. `None`: the next batch starts from zero.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for states of other sizes than the model's; those of the device.
    fn set_states(&mut self, states: Option<&States<Self::Real>>) -> Result<()>;

    /// Divides the sums, clips and updates the parameters. The sums stay readable until the next
    /// [`accumulate`](Self::accumulate) or [`backward`](super::Layers::backward), which starts from zero. Changes
    /// nothing if the loss or the norm is not finite; more than
    /// [`EngineOptions::max_skipped_updates`](crate::EngineOptions::max_skipped_updates) such updates in a row stop
    /// updating. [Enqueues](crate#waiting) only, except that a GPU engine that may skip updates waits for the oldest of
    /// more than 63 unreported ones.
    ///
    /// # Errors
    /// Those of [`check_update`](Self::check_update); [`Error::NonFinite`](crate::Error::NonFinite) once a report has
    /// returned it.
    async fn update(&mut self, update: &OptimizerStep) -> Result<()>;

    /// Refuses what [`update`](Self::update) would refuse whatever the sums are, so that one can ask before
    /// [`accumulate`](Self::accumulate).
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) or [`Error::Unsupported`](crate::Error::Unsupported) for invalid settings
    /// or another kind of optimizer than the engine was created for, or a custom one that it has not been given, and
    /// while the parameters are [exchanged](super::Parameters::exchange_average) with their average.
    fn check_update(&self, update: &OptimizerStep) -> Result<()>;

    /// Gives the engine the optimizer that [`OptimizerKind::Custom`](crate::OptimizerKind::Custom) stands for. Updates
    /// need it.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) if the engine was created for another kind of optimizer.
    fn set_custom_optimizer(&mut self, optimizer: Arc<dyn CustomOptimizer<Self>>) -> Result<()>
    where
        Self: Sized;

    /// [Waits](crate#waiting) for the report of the oldest update not yet reported. `None` if all were reported.
    ///
    /// # Errors
    /// [`Error::NonFinite`](crate::Error::NonFinite) with the bad step that stopped updating; every later call returns
    /// it too. The updates behind that step have no report.
    async fn report(&mut self) -> Result<Option<StepReport>>;

    /// The skipped updates up to the last update. [Waits](crate#waiting) for it.
    ///
    /// # Errors
    /// Those of the device.
    async fn skipped(&mut self) -> Result<SkippedUpdates>;

    /// Whether updates are still possible, as far as has been reported.
    ///
    /// # Errors
    /// [`Error::NonFinite`](crate::Error::NonFinite) with the bad step that stopped updating, once reported.
    fn may_update(&self) -> Result<()>;

    /// Discards outstanding reports and continues as after `skipped` updates. Clears a bad step that stopped updating.
    /// `in_row` is limited to [`EngineOptions::max_skipped_updates`](crate::EngineOptions::max_skipped_updates).
    ///
    /// # Errors
    /// Those of the device.
    fn restart(&mut self, skipped: SkippedUpdates) -> Result<()>;

    /// The number of updates enqueued and not yet reported.
    fn unreported(&self) -> usize;

    /// The number of GPU submissions that contain them; a few short updates can share one.
    fn in_flight(&self) -> usize;
}
