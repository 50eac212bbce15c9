//! The progress of a run.

use serde::{Deserialize, Serialize};

use super::metrics::Metrics;
use super::options::RunOptions;
use super::schedule::Decay;
use super::trainer::Trainer;
use crate::engine::{Engine, FlatBlock};
use crate::error::Result;
use crate::real::Real;

/// The lowest validation loss of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BestValidation {
    /// The step after which it was measured.
    pub step: u64,
    /// The epoch of that step.
    pub epoch: u64,
    /// The validation loss.
    pub val_loss: f64,
}

/// The progress of a run so far, besides the trainer's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunProgress<R> {
    /// The last reported step.
    pub(super) last: Option<Metrics>,
    /// The lowest validation loss, and its parameters if they are kept.
    pub(super) best: Option<BestValidation>,
    #[serde(skip)]
    pub(super) best_parameters: Option<Vec<R>>,
    /// Validations without improvement since the best.
    without_improvement: u64,
    /// Validations without improvement since the learning rate last dropped on a plateau.
    since_fall: u64,
    /// The number of drops so far.
    pub(super) plateaus: u32,
    /// The number of rollbacks so far, and the snapshot for the next one.
    #[serde(rename = "backs")]
    pub(super) rollbacks: u32,
    #[serde(skip)]
    pub(super) back: Option<Snapshot<R>>,
}

/// Parameters, optimizer state and average, with the number of updates that produced them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Snapshot<R> {
    pub(super) parameters: Vec<R>,
    pub(super) optimizer_state: Vec<Vec<R>>,
    pub(super) averaged: Option<Vec<R>>,
    pub(super) updates: u64,
}

impl<R> Default for RunProgress<R> {
    fn default() -> Self {
        let (last, best, best_parameters, back) = (None, None, None, None);
        let (without_improvement, since_fall, plateaus, rollbacks) = (0, 0, 0, 0);
        Self { last, best, best_parameters, without_improvement, since_fall, plateaus, rollbacks, back }
    }
}

impl<R> RunProgress<R> {
    /// Records a validation. Returns whether it is the best so far.
    pub(super) fn measured(&mut self, options: &RunOptions, now: BestValidation) -> bool {
        // NaN is no improvement, not even over nothing.
        if now.val_loss.is_finite() && self.best.is_none_or(|best| now.val_loss < best.val_loss) {
            self.best = Some(now);
            (self.without_improvement, self.since_fall) = (0, 0);
            return true;
        }
        self.without_improvement += 1;
        self.since_fall += 1;
        if let Decay::Plateau { patience, .. } = options.schedule.decay
            && patience == self.since_fall
        {
            self.plateaus += 1;
            self.since_fall = 0;
        }
        false
    }

    /// Whether early stopping applies.
    pub(super) fn is_over(&self, options: &RunOptions) -> bool {
        options.patience.is_some_and(|patience| self.without_improvement >= patience)
    }
}

impl<R: Real> Snapshot<R> {
    /// A snapshot of a trainer between two steps; reuses the memory of `before`.
    pub(super) async fn of<E: Engine<Real = R>>(trainer: &mut Trainer<E>, before: Option<Self>) -> Result<Self> {
        let (steps, averages) = (trainer.steps(), trainer.averages());
        let engine = trainer.engine();
        let updates = steps.saturating_sub(engine.skipped().await?.in_all);
        let Self { mut parameters, mut optimizer_state, mut averaged, .. } = before.unwrap_or_else(|| {
            let (parameters, optimizer_state) = (Vec::new(), vec![Vec::new(); engine.optimizer_blocks()]);
            Self { parameters, optimizer_state, averaged: averages.then(Vec::new), updates }
        });
        engine.read_block(FlatBlock::Parameters, &mut parameters).await?;
        for (index, numbers) in optimizer_state.iter_mut().enumerate() {
            engine.read_block(FlatBlock::OptimizerState(index), numbers).await?;
        }
        if let Some(numbers) = &mut averaged {
            engine.read_block(FlatBlock::AveragedParameters, numbers).await?;
        }
        Ok(Self { parameters, optimizer_state, averaged, updates })
    }
}
