//! A run: steps over numbered batches, validation in between, and the weights to keep.

use std::collections::VecDeque;
use std::ops::Range;

use serde::Serialize;
use wgpu::WasmNotSend;

use super::checkpoint::{self, Checkpoint, WriteSeek};
use super::evaluate::evaluate;
use super::metrics::Metrics;
use super::options::{KeepWeights, RunOptions};
use super::progress::{BestValidation, RunProgress, Snapshot};
use super::state::TrainerState;
use super::trainer::Trainer;
use crate::data::Batches;
use crate::engine::{Engine, FlatBlock, SkippedUpdates, StepReport};
use crate::error::{Error, Result};
use crate::gradient_norms::HiddenGradientNorms;

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StopReason {
    /// All steps are done.
    Finished,
    /// Early stopping: the validation loss no longer improved.
    NoImprovement,
    /// The observer requested it.
    Stopped,
}

/// The outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The last reported step.
    pub last: Metrics,
    /// The lowest validation loss. `None` without validation.
    pub best: Option<BestValidation>,
    /// Why the run ended.
    pub stop_reason: StopReason,
    /// The bytes that this rank sent to others in a step: the fewest of any, since some exchange more on request. Comparisons
    /// of the ranks, validations and checkpoints are not counted. `None` without other ranks, or steps.
    pub bytes_sent_per_step: Option<u64>,
}

/// The amount of data in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepCounts {
    /// The number of rows.
    pub sequences: u64,
    /// The number of time steps in all rows, without padding.
    pub time_steps: u64,
}

/// Receives every step of a run in order, some steps late, and controls the run. Moves between threads with the run, except
/// on the web, where nothing does.
///
/// Of several [ranks](Trainer::with_communicator) each has an observer, which receives the same. What any of them asks for
/// counts for all: norms, a stop, a checkpoint, which is written where [`checkpoint`](Self::checkpoint) returns a
/// destination, such as on one rank. Norms are then asked for one step ahead. An error of one observer ends the run of
/// all ranks.
pub trait Observer: WasmNotSend {
    /// Called for every reported step.
    ///
    /// # Errors
    /// Any: it ends the run, which returns it.
    fn step(&mut self, metrics: &Metrics, work: StepCounts) -> Result<()>;

    /// Whether to record the norms of ∂L/∂h_t for a step, counted from 1. This waits for each of its batches.
    fn wants_hidden_gradient_norms(&mut self, _step: u64) -> bool {
        false
    }

    /// Receives the requested norms of a step, after it is enqueued and before it is reported.
    ///
    /// # Errors
    /// Any: it ends the run, which returns it.
    fn hidden_gradient_norms(&mut self, _step: u64, _flow: &HiddenGradientNorms) -> Result<()> {
        Ok(())
    }

    /// Whether to end the run after a step, counted from 1, which may not be reported yet. A run that ends early has its
    /// checkpoint there, if one is wanted, and continues from it as if it had not ended.
    fn stop(&mut self, _step: u64) -> bool {
        false
    }

    /// Whether to write a checkpoint after `step` steps (0: before the first). This waits for all enqueued steps and
    /// does not change them.
    fn wants_checkpoint(&mut self, _step: u64) -> bool {
        false
    }

    /// Where to write the requested checkpoint after `step` steps, with a note of the caller; `None`: nowhere. Called
    /// after all its steps have been reported. Written in the format of [`Checkpoint::write_to`], but tensor by tensor
    /// from the engine, without a copy.
    ///
    /// # Errors
    /// Any: it ends the run, which returns it.
    fn checkpoint(&mut self, _step: u64) -> Result<Option<(&mut dyn WriteSeek, String)>> {
        Ok(None)
    }

    /// Called after the checkpoint was written to the destination from [`checkpoint`](Self::checkpoint). If `written`
    /// is an error, the partial data is unusable.
    ///
    /// # Errors
    /// Any: it ends the run, which returns it.
    fn checkpoint_written(&mut self, written: Result<()>) -> Result<()> {
        written
    }
}

/// Ignores everything: for unattended runs.
impl Observer for () {
    fn step(&mut self, _: &Metrics, _: StepCounts) -> Result<()> {
        Ok(())
    }
}

/// Trains on `train`, measures on `validation`, and notifies `observer`. With
/// [`EngineOptions::ema_decay`](crate::EngineOptions::ema_decay), the average of the parameters is what is measured, decides
/// about early stopping, and is kept: it replaces the parameters at the end, and begins anew with the best ones if these are
/// kept. The same batches on the same device give the same bits. [Waits](crate#waiting) for reports and validations; batches
/// are prepared on the thread that polls the future. Every one of several [ranks](Trainer::with_communicator) runs with the
/// same batches and options, and has the same outcome.
///
/// # Errors
/// [`Error::NonFinite`] if a loss or gradient norm is not finite and no rollback is left; otherwise the errors of
/// [`Trainer::step`], of the batches and of the observer. After an error the trainer holds the best weights so far if
/// these are kept, otherwise the last good ones: after [`Error::NonFinite`] their average, if there is one, and after
/// another error the parameters themselves, so that training can go on. [`Error::Unsupported`], with nothing changed, for
/// a trainer whose parameters are exchanged with their average.
pub async fn run<E: Engine>(
    trainer: &mut Trainer<E>,
    train: &dyn Batches,
    validation: Option<&dyn Batches>,
    options: &RunOptions,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    trainer.check_in_place(NEED)?;
    let progress = RunProgress::default();
    run_from(trainer, progress, train, validation, options, observer).await
}

/// Continues a run from a checkpoint. With the same trainer, batches and options on the same device, it ends with the
/// same bits as an uninterrupted run. For a finished run, it only restores weights and outcome.
/// [Waits](crate#waiting) as [`run`] does.
///
/// # Errors
/// The errors of [`run`]; also if the checkpoint does not fit the trainer, or has no completed step although the run is
/// over.
pub async fn resume<E: Engine>(
    trainer: &mut Trainer<E>,
    checkpoint: Checkpoint<E::Real>,
    train: &dyn Batches,
    validation: Option<&dyn Batches>,
    options: &RunOptions,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    trainer.check_in_place(NEED)?;
    let Checkpoint { trainer: state, progress } = checkpoint;
    let TrainerState { step, parameters, optimizer, optimizer_state, averaged, carried, skipped } = state;
    trainer.check_optimizer(optimizer.as_deref())?;
    trainer.restore_from((step, skipped), (parameters, averaged), optimizer_state, carried.as_ref())?;
    drop(carried);
    run_from(trainer, progress, train, validation, options, observer).await
}

/// Why a run is refused while the average is in the parameters' place.
const NEED: &str = "a run trains the parameters";

async fn run_from<E: Engine>(
    trainer: &mut Trainer<E>,
    progress: RunProgress<E::Real>,
    train: &dyn Batches,
    validation: Option<&dyn Batches>,
    options: &RunOptions,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let outcome = run_alone(trainer, progress, train, validation, options, observer).await;
    trainer.ended(outcome)
}

/// A run whose error the other ranks, if there are any, do not know of yet.
async fn run_alone<E: Engine>(
    trainer: &mut Trainer<E>,
    mut progress: RunProgress<E::Real>,
    train: &dyn Batches,
    validation: Option<&dyn Batches>,
    options: &RunOptions,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    options.validate(train.per_epoch())?;
    trainer.restart_count();
    let rate = trainer.optimizer().learning_rate;
    let ended = loop {
        let mut pending = PendingSteps::default();
        let ended = steps(trainer, train, validation, options, observer, &mut progress, &mut pending).await;
        trainer.set_learning_rate(rate)?;
        let back = progress.back.as_ref().filter(|_| progress.rollbacks < options.max_rollbacks);
        let (Err(Error::NonFinite { step, .. }), Some(Snapshot { parameters, optimizer_state, averaged, updates })) =
            (&ended, back)
        else {
            break ended;
        };
        // The optimizer continues from the updates in these numbers.
        let skipped = SkippedUpdates { in_all: step.saturating_sub(*updates), ..SkippedUpdates::default() };
        let blocks = (parameters, averaged.as_ref());
        trainer.restore_from((*step, skipped), blocks, optimizer_state.iter().collect(), None)?;
        progress.rollbacks += 1;
        // The steps enqueued behind the bad one changed nothing and are repeated.
        let report = StepReport { step: *step, loss: f64::NAN, norm: f64::NAN, skipped: true };
        progress.last = pending.report(report, None, observer)?;
    };
    // After an error too: a later failure does not affect the best weights.
    if let Some(weights) = &progress.best_parameters {
        trainer.engine().set_parameters(weights)?;
        trainer.restart_average()?;
    } else if trainer.averages() && matches!(ended, Ok(_) | Err(Error::NonFinite { .. })) {
        trainer.engine().copy_block(FlatBlock::AveragedParameters, FlatBlock::Parameters)?;
    }
    let (stop_reason, bytes_sent_per_step) = (ended?, trainer.bytes_of_steps());
    match progress.last {
        Some(last) => Ok(Outcome { last, best: progress.best, stop_reason, bytes_sent_per_step }),
        None => Err(Error::Unsupported("the run ended without a report of its last step".into())),
    }
}

/// Runs the remaining steps.
async fn steps<E: Engine>(
    trainer: &mut Trainer<E>,
    train: &dyn Batches,
    validation: Option<&dyn Batches>,
    options: &RunOptions,
    observer: &mut dyn Observer,
    progress: &mut RunProgress<E::Real>,
    pending: &mut PendingSteps,
) -> Result<StopReason> {
    let (steps, per_epoch) = (options.steps(train.per_epoch()), options.steps_per_epoch(train.per_epoch()));
    let validate_every = options.validate_every.unwrap_or(per_epoch);
    let rate = trainer.optimizer().learning_rate;
    let first = progress.last.map_or(1, |last| last.step + 1);
    if first == 1 && options.max_rollbacks > 0 {
        progress.back = Some(Snapshot::of(trainer, None).await?);
    }
    let mut asked = RankRequests::before(trainer, observer, first)?;
    if asked.checkpoint {
        save(trainer, progress, observer).await?;
    }
    for step in first..=steps {
        if progress.is_over(options) {
            return Ok(StopReason::NoImprovement);
        }
        let epoch = (step - 1) / per_epoch + 1;
        let halved = 0.5f64.powi(progress.rollbacks.try_into().unwrap_or(i32::MAX));
        let lr = rate * options.schedule.factor(step, steps, progress.plateaus) * halved;
        trainer.set_learning_rate(lr)?;
        trainer.check_step()?;
        let wants_hidden_gradient_norms =
            asked.hidden_gradient_norms.unwrap_or_else(|| observer.wants_hidden_gradient_norms(step));
        // With rollback, the steps behind a bad one are repeated, so the norms are read only after good reports.
        while let Some(report) = if wants_hidden_gradient_norms { trainer.report().await? } else { None } {
            progress.last = pending.report(report, None, observer)?;
        }
        trainer.set_hidden_gradient_norms(wants_hidden_gradient_norms);
        let work = accumulate(trainer, train, batches(step, options.accumulate, train.per_epoch())).await?;
        if wants_hidden_gradient_norms {
            trainer.set_hidden_gradient_norms(false);
            observer.hidden_gradient_norms(step, &trainer.hidden_gradient_norms()?)?;
        }
        let metrics = Metrics { step, epoch, loss: f64::NAN, val_loss: None, grad_norm: f64::NAN, lr, skipped: false };
        pending.0.push_back((metrics, work));
        if let Some(report) = trainer.update().await? {
            progress.last = pending.report(report, None, observer)?;
        }
        asked = RankRequests::after(trainer, observer, step, steps)?;
        // A requested end does not add a validation that the run would not have had here.
        let measured = validation.filter(|_| step.is_multiple_of(validate_every) || step == steps);
        let back = options.max_rollbacks > 0 && step.is_multiple_of(validate_every);
        if measured.is_none() && !asked.checkpoint && !back && !asked.stop && step < steps {
            continue;
        }
        report_all_but_last(trainer, progress, pending, observer).await?;
        let report = trainer.report().await?;
        let val_loss = match measured {
            Some(batches) => Some(validation_loss(trainer, batches).await?),
            None => None,
        };
        if let Some(report) = report {
            progress.last = pending.report(report, val_loss, observer)?;
        }
        if let Some(val_loss) = val_loss
            && progress.measured(options, BestValidation { step, epoch, val_loss })
            && options.keep == KeepWeights::Best
        {
            keep_best(trainer, progress).await?;
        }
        if back {
            progress.back = Some(Snapshot::of(trainer, progress.back.take()).await?);
        }
        if asked.checkpoint {
            save(trainer, progress, observer).await?;
        }
        if asked.stop && step < steps {
            return Ok(StopReason::Stopped);
        }
    }
    Ok(StopReason::Finished)
}

/// The validation loss: of the average of the parameters, if there is one.
async fn validation_loss<E: Engine>(trainer: &mut Trainer<E>, batches: &dyn Batches) -> Result<f64> {
    // Ranks that have drifted apart are found here at the latest.
    trainer.compare_ranks().await?;
    if trainer.averages() {
        let mut averaged = trainer.averaged()?;
        evaluate(&mut *averaged, batches).await
    } else {
        evaluate(trainer, batches).await
    }
}

/// Reports all steps but the last one by one, so that an error does not lose the good steps before it.
async fn report_all_but_last<E: Engine>(
    trainer: &mut Trainer<E>,
    progress: &mut RunProgress<E::Real>,
    pending: &mut PendingSteps,
    observer: &mut dyn Observer,
) -> Result<()> {
    while trainer.engine().unreported() > 1 {
        if let Some(report) = trainer.report().await? {
            progress.last = pending.report(report, None, observer)?;
        }
    }
    Ok(())
}

/// Accumulates the gradients of some batches and returns the amount of data.
async fn accumulate<E: Engine>(
    trainer: &mut Trainer<E>,
    train: &dyn Batches,
    numbers: Range<u64>,
) -> Result<StepCounts> {
    trainer.begin_count();
    let mut work = StepCounts::default();
    for number in numbers.clone() {
        if !train.continues(number) {
            trainer.reset_state()?;
        }
        let batch = train.batch(number)?;
        work.sequences += batch.sequence.shape().1 as u64;
        work.time_steps += batch.sequence.time_steps();
        if number + 1 == numbers.end {
            trainer.accumulate_last(&batch).await?;
        } else {
            trainer.accumulate(&batch).await?;
        }
    }
    Ok(work)
}

/// Keeps the parameters as those of the lowest validation loss.
async fn keep_best<E: Engine>(trainer: &mut Trainer<E>, progress: &mut RunProgress<E::Real>) -> Result<()> {
    // Reuses the memory of the previous ones.
    let mut parameters = progress.best_parameters.take().unwrap_or_default();
    let block = trainer.kept_block();
    trainer.engine().read_block(block, &mut parameters).await?;
    progress.best_parameters = Some(parameters);
    Ok(())
}

/// Writes a checkpoint if the observer requests one.
async fn save<E: Engine>(
    trainer: &mut Trainer<E>,
    progress: &RunProgress<E::Real>,
    observer: &mut dyn Observer,
) -> Result<()> {
    let to = observer.checkpoint(trainer.steps())?;
    // Other ranks may write one, which has the states of all rows.
    if to.is_none() && trainer.communicator().is_none() {
        return Ok(());
    }
    let carried = trainer.states().await;
    let Some((to, note)) = to else { return carried.map(|_| ()) };
    let written = match carried {
        Ok(carried) => checkpoint::write(trainer, progress, carried.as_ref(), to, &note).await,
        Err(error) => Err(error),
    };
    observer.checkpoint_written(written)
}

/// The batch numbers of a step, counted from 1. No step contains batches of two epochs.
fn batches(step: u64, accumulate: u64, per_epoch: u64) -> Range<u64> {
    let steps = per_epoch.div_ceil(accumulate);
    let (epoch, position) = ((step - 1) / steps, (step - 1) % steps);
    let first = position * accumulate;
    epoch * per_epoch + first..epoch * per_epoch + per_epoch.min(first + accumulate)
}

/// What observers ask for: with several ranks what any of them asks for.
#[derive(Clone, Copy)]
struct RankRequests {
    stop: bool,
    checkpoint: bool,
    /// For the next step. `None`: it is asked when it begins, as it is without other ranks.
    hidden_gradient_norms: Option<bool>,
}

impl RankRequests {
    /// Before the step `first` of this run or of its continuation.
    fn before<E: Engine>(trainer: &Trainer<E>, observer: &mut dyn Observer, first: u64) -> Result<Self> {
        let checkpoint = first == 1 && observer.wants_checkpoint(0);
        Self::of_ranks(trainer, observer, [false, checkpoint], Some(first))
    }

    /// After `step` of `steps`, whose last exchange it is.
    fn after<E: Engine>(trainer: &mut Trainer<E>, observer: &mut dyn Observer, step: u64, steps: u64) -> Result<Self> {
        let asked = [observer.stop(step), observer.wants_checkpoint(step)];
        let asked = Self::of_ranks(trainer, observer, asked, (step < steps).then_some(step + 1));
        trainer.end_count();
        asked
    }

    fn of_ranks<E: Engine>(
        trainer: &Trainer<E>,
        observer: &mut dyn Observer,
        [stop, checkpoint]: [bool; 2],
        next: Option<u64>,
    ) -> Result<Self> {
        if trainer.communicator().is_none() {
            return Ok(Self { stop, checkpoint, hidden_gradient_norms: None });
        }
        let norms = next.is_some_and(|next| observer.wants_hidden_gradient_norms(next));
        let [stop, checkpoint, norms] = trainer.any_rank_asks([stop, checkpoint, norms])?;
        Ok(Self { stop, checkpoint, hidden_gradient_norms: Some(norms) })
    }
}

/// Steps enqueued and not yet reported.
#[derive(Default)]
struct PendingSteps(VecDeque<(Metrics, StepCounts)>);

impl PendingSteps {
    /// Reports the oldest step to the observer and returns its metrics.
    fn report(
        &mut self,
        report: StepReport,
        val_loss: Option<f64>,
        observer: &mut dyn Observer,
    ) -> Result<Option<Metrics>> {
        let Some((step, work)) = self.0.pop_front() else { return Ok(None) };
        let StepReport { loss, norm, skipped, .. } = report;
        let metrics = Metrics { loss, grad_norm: norm, val_loss, skipped, ..step };
        observer.step(&metrics, work)?;
        Ok(Some(metrics))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Decay;
    use crate::train::Schedule;

    #[test]
    fn the_batches_of_an_epoch_are_distributed_over_its_steps() {
        let all: Vec<_> = (1..=6).map(|step| batches(step, 2, 5)).collect();
        assert_eq!(all, [0..2, 2..4, 4..5, 5..7, 7..9, 9..10]);
        assert_eq!(batches(3, 7, 5), 10..15);
    }

    #[test]
    fn patience_counts_from_the_best_validation_and_a_plateau_from_the_last_reduction() {
        let decay = Decay::Plateau { patience: 2, factor: 0.5 };
        let schedule = Schedule { warmup: 0, decay };
        let options = RunOptions { schedule, patience: Some(4), ..RunOptions::default() };
        let mut progress = RunProgress::<f32>::default();
        let mut report = |val_loss| {
            let best = progress.measured(&options, BestValidation { step: 1, epoch: 1, val_loss });
            (best, progress.plateaus, progress.is_over(&options))
        };
        assert_eq!(report(f64::NAN), (false, 0, false));
        assert_eq!(report(2.0), (true, 0, false));
        assert_eq!(report(2.0), (false, 0, false));
        assert_eq!(report(3.0), (false, 1, false));
        assert_eq!(report(1.0), (true, 1, false));
        assert_eq!(
            [1.0; 4].map(&mut report),
            [(false, 1, false), (false, 2, false), (false, 2, false), (false, 3, true)]
        );
    }
}
