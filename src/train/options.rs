//! What a run is told beside its trainer and batches.

use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use crate::error::{Error, Result};

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunLength {
    /// So many epochs.
    Epochs(u64),
    /// So many steps; the last epoch may end early.
    Steps(u64),
}

/// Whose weights the trainer holds after the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeepWeights {
    /// The last step's.
    #[default]
    Last,
    /// Those of the lowest validation loss.
    Best,
}

/// What a run is told beside its trainer and batches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunOptions {
    /// How long.
    pub duration: RunLength,
    /// Batches a step, at least 1: their gradients are summed as if they were one. An epoch's last step may have fewer.
    pub accumulate: u64,
    /// The rate over the run, as a factor of the trainer's.
    pub schedule: Schedule,
    /// Steps between validations beside the one after the last step; `None`: an epoch.
    pub validate_every: Option<u64>,
    /// The run ends after so many validations in a row that were no better than the best before them; `None`: never.
    pub patience: Option<u64>,
    /// Whose weights remain.
    pub keep: KeepWeights,
    /// How often the run may go back, where a loss or a gradient norm that is not finite would end it; 0: it stops.
    ///
    /// It goes back to the weights and the optimizer's numbers that it had at the last multiple of
    /// [`validate_every`](Self::validate_every), or in the beginning, halves the rate for good, and goes on with the batches
    /// behind the bad one, from states of zero. Passing the bad batches over is what Chowdhery et al. 2022, PaLM, 5.1 do.
    pub max_rollbacks: u32,
}

impl Default for RunOptions {
    /// One epoch of single batches at a constant rate, and the last weights.
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
    /// Steps an epoch of `batches` batches.
    pub fn steps_per_epoch(&self, batches: u64) -> u64 {
        batches.div_ceil(self.accumulate.max(1))
    }

    /// The steps of the run, where an epoch has `batches` batches.
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
