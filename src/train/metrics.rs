//! What a run reports about itself.

use serde::{Deserialize, Deserializer, Serialize};

/// One training step as it is recorded: a line of `metrics.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// The step, counted from 1.
    pub step: u64,
    /// The epoch that it belongs to, counted from 1.
    pub epoch: u64,
    /// The batch's loss before the step. What is not finite stands as null in a file, and comes back as NaN.
    #[serde(deserialize_with = "number_or_nan")]
    pub loss: f64,
    /// The loss over all validation examples after the step; `None` where it was not measured.
    pub val_loss: Option<f64>,
    /// The global norm of the gradient before clipping.
    #[serde(deserialize_with = "number_or_nan")]
    pub grad_norm: f64,
    /// η.
    pub lr: f64,
    /// Whether the step changed nothing, since its loss or its norm is not finite. Left out of a file where it did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
}

fn number_or_nan<'a, D: Deserializer<'a>>(number: D) -> Result<f64, D::Error> {
    Option::deserialize(number).map(|number| number.unwrap_or(f64::NAN))
}
