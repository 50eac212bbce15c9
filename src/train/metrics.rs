//! What a run reports about itself.

use serde::{Deserialize, Serialize};

/// One training step as it is recorded: a line of `metrics.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// The step, counted from 1.
    pub step: u64,
    /// The epoch that it belongs to, counted from 1.
    pub epoch: u64,
    /// The batch's loss before the step.
    pub loss: f64,
    /// The loss over all validation examples after the step; `None` where it was not measured.
    pub val_loss: Option<f64>,
    /// The global norm of the gradient before clipping.
    pub grad_norm: f64,
    /// η.
    pub lr: f64,
}
