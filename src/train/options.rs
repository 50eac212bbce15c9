//! Options of a trainer, and of a run.

use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use crate::engine::EngineOptions;
use crate::error::{Error, Result};
use crate::model::Initialisation;

/// Options of a [`Trainer`](crate::Trainer).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrainerOptions {
    /// The initialisation of the parameters.
    pub initialisation: Initialisation,
    /// The maximum number of rows per pass. Larger batches are split into micro-batches, with the same result, in
    /// training, evaluation and prediction. `None`: no limit.
    pub micro_batch: Option<usize>,
    /// Truncated BPTT: each batch starts from the final states of the one before, whether or not there was an update in
    /// between.
    pub carry_state: bool,
    /// The maximum number of submissions in flight, at least 1. On a GPU, a few short steps can share a submission.
    /// Small values report earlier; large values keep the device busy.
    pub in_flight: usize,
    /// Options of the engine: chunk, memory budget, input gradient and more.
    pub engine: EngineOptions,
}

impl Default for TrainerOptions {
    fn default() -> Self {
        Self {
            initialisation: Initialisation::default(),
            micro_batch: None,
            carry_state: false,
            in_flight: 3,
            engine: EngineOptions::default(),
        }
    }
}

impl TrainerOptions {
    /// Sets the initialisation of the parameters.
    pub fn initialisation(mut self, initialisation: Initialisation) -> Self {
        self.initialisation = initialisation;
        self
    }

    /// Sets the maximum number of rows per pass: [`micro_batch`](Self#structfield.micro_batch).
    pub fn micro_batch(mut self, micro_batch: impl Into<Option<usize>>) -> Self {
        self.micro_batch = micro_batch.into();
        self
    }

    /// Sets whether each batch starts from the final states of the one before.
    pub fn carry_state(mut self, carry_state: bool) -> Self {
        self.carry_state = carry_state;
        self
    }

    /// Sets the maximum number of submissions in flight, at least 1.
    pub fn in_flight(mut self, in_flight: usize) -> Self {
        self.in_flight = in_flight;
        self
    }

    /// Sets the options of the engine. The trainer sets their [`optimizer`](EngineOptions::optimizer).
    pub fn engine(mut self, engine: EngineOptions) -> Self {
        self.engine = engine;
        self
    }
}

/// The length of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunLength {
    /// A number of epochs.
    Epochs(u64),
    /// A number of steps. The last epoch may be incomplete.
    Steps(u64),
}

/// Which weights the trainer holds after a run: with [`EngineOptions::ema_decay`](crate::EngineOptions::ema_decay),
/// which averages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum KeepWeights {
    /// The weights after the last step.
    #[default]
    Last,
    /// The weights with the lowest validation loss.
    Best,
}

/// Options of a run, besides those of its trainer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RunOptions {
    /// The length of the run.
    pub duration: RunLength,
    /// Batches per step, at least 1. Their gradients are accumulated as if they were one batch. An epoch's last step
    /// may have fewer.
    pub accumulate: u64,
    /// The learning-rate schedule: a factor of the trainer's rate.
    pub schedule: Schedule,
    /// Steps between validations, in addition to the one after the last step. `None`: one epoch.
    pub validate_every: Option<u64>,
    /// Early stopping: ends the run after this many validations in a row without improvement. `None`: never.
    pub patience: Option<u64>,
    /// Which weights to keep.
    pub keep: KeepWeights,
    /// How often the run may roll back instead of ending with an error when a loss or gradient norm is not finite. 0:
    /// never.
    ///
    /// A rollback restores the weights and optimizer state from the last multiple of
    /// [`validate_every`](Self::validate_every) (or the beginning), halves the learning rate for the rest of the run,
    /// and continues with the batches after the bad one, from zero states. Skipping the bad batches follows Chowdhery
    /// et al. 2022 (PaLM), section 5.1.
    pub max_rollbacks: u32,
}

impl Default for RunOptions {
    /// One epoch of single batches at a constant rate, keeping the last weights.
    fn default() -> Self {
        Self {
            duration: RunLength::Epochs(1),
            accumulate: 1,
            schedule: Schedule::default(),
            validate_every: None,
            patience: None,
            keep: KeepWeights::Last,
            max_rollbacks: 0,
        }
    }
}

impl RunOptions {
    /// Options of a run of this length, otherwise as by default.
    pub fn new(duration: RunLength) -> Self {
        Self { duration, ..Self::default() }
    }

    /// Sets the length of the run.
    pub fn duration(mut self, duration: RunLength) -> Self {
        self.duration = duration;
        self
    }

    /// Sets the batches per step, at least 1.
    pub fn accumulate(mut self, accumulate: u64) -> Self {
        self.accumulate = accumulate;
        self
    }

    /// Sets the learning-rate schedule.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Sets the steps between validations: [`validate_every`](Self#structfield.validate_every).
    pub fn validate_every(mut self, validate_every: impl Into<Option<u64>>) -> Self {
        self.validate_every = validate_every.into();
        self
    }

    /// Sets after how many validations without improvement the run ends.
    pub fn patience(mut self, patience: impl Into<Option<u64>>) -> Self {
        self.patience = patience.into();
        self
    }

    /// Sets which weights to keep.
    pub fn keep(mut self, keep: KeepWeights) -> Self {
        self.keep = keep;
        self
    }

    /// Sets how often the run may roll back: [`max_rollbacks`](Self#structfield.max_rollbacks).
    pub fn max_rollbacks(mut self, max_rollbacks: u32) -> Self {
        self.max_rollbacks = max_rollbacks;
        self
    }

    /// Steps per epoch of `batches` batches.
    pub fn steps_per_epoch(&self, batches: u64) -> u64 {
        batches.div_ceil(self.accumulate.max(1))
    }

    /// The total number of steps, for epochs of `batches` batches.
    pub fn steps(&self, batches: u64) -> u64 {
        match self.duration {
            RunLength::Epochs(epochs) => epochs.saturating_mul(self.steps_per_epoch(batches)),
            RunLength::Steps(steps) => steps,
        }
    }

    pub(super) fn validate(&self, batches: u64) -> Result<()> {
        let counts = [
            ("the batches of an epoch", batches),
            ("accumulate", self.accumulate),
            ("the steps of the run", self.steps(batches)),
            ("validate_every", self.validate_every.unwrap_or(1)),
            ("patience", self.patience.unwrap_or(1)),
        ];
        match counts.iter().find(|(_, count)| *count == 0) {
            Some((name, _)) => Err(Error::value(*name, "at least 1", 0)),
            None => self.schedule.validate(),
        }
    }
}
