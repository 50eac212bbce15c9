//! A run: epochs over shuffled examples, validation between them, and the weights that are kept.

use std::collections::VecDeque;

use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};

use super::metrics::Metrics;
use super::trainer::Trainer;
use crate::backend::{Engine, Report};
use crate::data::{Batches, Examples, InOrder};
use crate::error::{Error, Result};
use crate::model::{Reduction, StateDict};

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duration {
    /// So many epochs.
    Epochs(u64),
    /// So many steps; the last epoch may end early.
    Steps(u64),
}

/// Whose weights the trainer holds after the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// The last step's.
    #[default]
    Last,
    /// Those of the lowest validation loss.
    Best,
}

/// What a run is told beside its trainer and examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// How long.
    pub duration: Duration,
    /// Steps between validations beside the one after the last step; `None`: an epoch.
    pub validate_every: Option<u64>,
    /// Whose weights remain.
    pub keep: Keep,
}

/// The lowest validation loss of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Best {
    /// The step after which it was measured.
    pub step: u64,
    /// The epoch of that step.
    pub epoch: u64,
    /// The loss.
    pub val_loss: f64,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The last step as it was reported.
    pub last: Metrics,
    /// The lowest validation loss; `None` without validation.
    pub best: Option<Best>,
}

/// Who is told of every step, in order, some steps late.
pub trait Observer {
    /// A step was reported. An error ends the run.
    fn step(&mut self, metrics: &Metrics) -> Result<()>;
}

/// Forgets everything: for runs that nobody watches.
impl Observer for () {
    fn step(&mut self, _: &Metrics) -> Result<()> {
        Ok(())
    }
}

impl RunOptions {
    /// How many steps the run takes where an epoch takes `per_epoch`.
    pub fn steps(&self, per_epoch: u64) -> u64 {
        match self.duration {
            Duration::Epochs(epochs) => epochs.saturating_mul(per_epoch),
            Duration::Steps(steps) => steps,
        }
    }

    fn validate(&self, per_epoch: u64) -> Result<()> {
        let counts = [
            ("the batches of an epoch", per_epoch),
            ("the steps of the run", self.steps(per_epoch)),
            ("validate_every", self.validate_every.unwrap_or(1)),
        ];
        match counts.iter().find(|(_, count)| *count == 0) {
            Some((name, _)) => Err(Error::value(*name, "at least 1", 0)),
            None => Ok(()),
        }
    }
}

/// Trains on `train`, measures on `validation`, and tells `observer`. The same batches on the same device give the same
/// bits.
///
/// # Errors
/// [`Error::NonFinite`] stops the run; the trainer then holds the last good weights. Otherwise what
/// [`Trainer::step`], the batches and the observer return.
pub async fn run<E: Engine>(
    trainer: &mut Trainer<E>,
    train: &dyn Batches,
    validation: Option<&dyn Batches>,
    options: &RunOptions,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    options.validate(train.per_epoch())?;
    let (steps, per_epoch) = (options.steps(train.per_epoch()), train.per_epoch());
    let validate_every = options.validate_every.unwrap_or(per_epoch);
    let mut pending = Pending { steps: VecDeque::new(), last: None };
    let mut best: Option<(Best, Option<StateDict>)> = None;
    for step in 1..=steps {
        let batch = train.batch(step - 1)?;
        let epoch = (step - 1) / per_epoch + 1;
        let lr = trainer.optimizer().learning_rate;
        pending.steps.push_back(Metrics { step, epoch, loss: f64::NAN, val_loss: None, grad_norm: f64::NAN, lr });
        if let Some(report) = trainer.step(&batch).await? {
            pending.told(report, None, observer)?;
        }
        let measured = validation.filter(|_| step.is_multiple_of(validate_every) || step == steps);
        if measured.is_none() && step < steps {
            continue;
        }
        // One by one, so that an error does not swallow the good steps before it.
        while trainer.engine().unreported() > 1 {
            if let Some(report) = trainer.engine().report().await? {
                pending.told(report, None, observer)?;
            }
        }
        let report = trainer.engine().report().await?;
        let val_loss = match measured {
            Some(batches) => Some(evaluate(trainer, batches).await?),
            None => None,
        };
        if let Some(report) = report {
            pending.told(report, val_loss, observer)?;
        }
        if let Some(val_loss) = val_loss.filter(|loss| best.as_ref().is_none_or(|(best, _)| *loss < best.val_loss)) {
            let weights = match options.keep {
                Keep::Best => Some(trainer.state_dict().await?),
                Keep::Last => None,
            };
            best = Some((Best { step, epoch, val_loss }, weights));
        }
    }
    if let Some((_, Some(weights))) = &best {
        trainer.load_state_dict(weights)?;
    }
    match pending.last {
        Some(last) => Ok(Outcome { last, best: best.map(|(best, _)| best) }),
        None => Err(Error::Unsupported("the run ended without a report of its last step".into())),
    }
}

/// The loss over an epoch of batches, reduced as in training.
pub async fn evaluate<E: Engine>(trainer: &mut Trainer<E>, batches: &dyn Batches) -> Result<f64> {
    let (mut sum, mut weight) = (0.0, 0.0);
    for number in 0..batches.per_epoch() {
        let batch = batches.batch(number)?;
        sum += trainer.engine().evaluate(&batch).await?;
        weight += batch.total_weight();
    }
    match trainer.engine().model().need_head()?.reduction {
        Reduction::Sum => Ok(sum),
        Reduction::Mean if weight > 0.0 => Ok(sum / weight),
        Reduction::Mean => Err(Error::value("the weights of the examples", "a sum above 0", weight)),
    }
}

/// ŷ for all `examples`, `rows` at a time, in their order: \[P, O\] each.
pub async fn predict<E: Engine>(
    trainer: &mut Trainer<E>,
    examples: &dyn Examples,
    rows: usize,
) -> Result<Vec<Array2<E::Real>>> {
    let batches = InOrder::new(examples, rows)?;
    let mut predictions = vec![Array2::default((0, 0)); examples.len()];
    for number in 0..batches.per_epoch() {
        let batch = batches.batch(number)?;
        let outputs = trainer.predict(&batch.sequence).await?;
        for (row, example) in batches.examples(number).iter().enumerate() {
            let steps = outputs.shape()[0].min(batch.sequence.length(row));
            predictions[*example] = outputs.slice(s![..steps, row, ..]).to_owned();
        }
    }
    Ok(predictions)
}

/// The steps that were enqueued and not yet reported.
struct Pending {
    steps: VecDeque<Metrics>,
    last: Option<Metrics>,
}

impl Pending {
    fn told(&mut self, report: Report, val_loss: Option<f64>, observer: &mut dyn Observer) -> Result<()> {
        if let Some(step) = self.steps.pop_front() {
            let metrics = Metrics { loss: report.loss, grad_norm: report.norm, val_loss, ..step };
            self.last = Some(metrics);
            observer.step(&metrics)?;
        }
        Ok(())
    }
}
