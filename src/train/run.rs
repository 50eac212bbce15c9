//! A run: epochs over shuffled examples, validation between them, and the weights that are kept.

use std::collections::VecDeque;

use ndarray::{Array3, Axis, concatenate};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use super::metrics::Metrics;
use super::trainer::Trainer;
use crate::backend::{Engine, Report};
use crate::data::Examples;
use crate::error::{Error, Result};
use crate::model::{StateDict, uniform};

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duration {
    /// Each example so many times.
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
    /// B: examples a step. The last batch of an epoch may be smaller.
    pub batch: usize,
    /// How long.
    pub duration: Duration,
    /// From which the order of the examples is drawn, anew for each epoch.
    pub seed: u64,
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
    /// How many steps the run takes over `examples` examples.
    pub fn steps(&self, examples: usize) -> u64 {
        match self.duration {
            Duration::Epochs(epochs) => epochs * self.steps_per_epoch(examples),
            Duration::Steps(steps) => steps,
        }
    }

    /// How many steps an epoch over `examples` examples takes.
    pub fn steps_per_epoch(&self, examples: usize) -> u64 {
        examples.div_ceil(self.batch.max(1)) as u64
    }

    fn validate(&self, examples: usize) -> Result<()> {
        let counts = [
            ("batch", self.batch as u64),
            ("the training examples", examples as u64),
            ("the steps of the run", self.steps(examples)),
            ("validate_every", self.validate_every.unwrap_or(1)),
        ];
        match counts.iter().find(|(_, count)| *count == 0) {
            Some((name, _)) => Err(Error::value(*name, "at least 1", 0)),
            None => Ok(()),
        }
    }
}

/// Trains on `train`, measures on `validation`, and tells `observer`. The same seed on the same device gives the same
/// bits.
///
/// # Errors
/// [`Error::NonFinite`] stops the run; the trainer then holds the last good weights. Otherwise what
/// [`Trainer::step`] and the observer return.
pub async fn run<E: Engine>(
    trainer: &mut Trainer<E>,
    train: &dyn Examples,
    validation: Option<&dyn Examples>,
    options: &RunOptions,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    options.validate(train.len())?;
    let (steps, per_epoch) = (options.steps(train.len()), options.steps_per_epoch(train.len()));
    let validate_every = options.validate_every.unwrap_or(per_epoch);
    let rows = trainer.micro_batch().unwrap_or(options.batch).min(options.batch);
    let mut order = Order::new(train.len(), options.seed);
    let mut pending = Pending { steps: VecDeque::new(), last: None };
    let mut best: Option<(Best, Option<StateDict>)> = None;
    for step in 1..=steps {
        let position = (step - 1) % per_epoch;
        if position == 0 {
            order.shuffle();
        }
        let first = position as usize * options.batch;
        let batch = train.batch(&order.indices[first..train.len().min(first + options.batch)]);
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
            Some(examples) => Some(evaluate(trainer, examples, rows).await?),
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

/// The loss over all `examples`, `rows` at a time, reduced as in training.
pub async fn evaluate<E: Engine>(trainer: &mut Trainer<E>, examples: &dyn Examples, rows: usize) -> Result<f64> {
    let (mut sum, mut weight) = (0.0, 0.0);
    for rows in chunks(examples.len(), rows) {
        let batch = examples.batch(&rows);
        sum += trainer.engine().evaluate(&batch).await?.loss;
        weight += batch.total_weight();
    }
    Ok(sum / trainer.engine().model().need_head()?.divisor(weight)?)
}

/// ŷ for all `examples`, `rows` at a time: \[P, n, O\].
pub async fn predict<E: Engine>(
    trainer: &mut Trainer<E>,
    examples: &dyn Examples,
    rows: usize,
) -> Result<Array3<E::Real>> {
    let mut parts = Vec::new();
    for rows in chunks(examples.len(), rows) {
        parts.push(trainer.predict(&examples.batch(&rows).sequence).await?.y);
    }
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    concatenate(Axis(1), &views).map_err(|_| Error::value("the examples to predict", "at least 1", 0))
}

fn chunks(count: usize, rows: usize) -> impl Iterator<Item = Vec<usize>> {
    let rows = rows.max(1);
    (0..count).step_by(rows).map(move |first| (first..count.min(first + rows)).collect())
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

/// The order of the examples, drawn anew for each epoch.
struct Order {
    indices: Vec<usize>,
    rng: ChaCha8Rng,
}

impl Order {
    fn new(examples: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Stream 0 draws the parameters.
        rng.set_stream(1);
        Self { indices: (0..examples).collect(), rng }
    }

    /// Fisher and Yates.
    fn shuffle(&mut self) {
        for last in (1..self.indices.len()).rev() {
            let other = (uniform(&mut self.rng) * (last + 1) as f64) as usize;
            self.indices.swap(last, other);
        }
    }
}
