//! Metrics of a run.

use serde::{Deserialize, Deserializer, Serialize};

/// The metrics of one training step: a line of `metrics.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Metrics {
    /// The step, counted from 1.
    pub step: u64,
    /// The epoch of the step, counted from 1.
    pub epoch: u64,
    /// The batch's loss before the step. A non-finite value is null in a file and read back as NaN.
    #[serde(deserialize_with = "number_or_nan")]
    pub loss: f64,
    /// The loss over all validation examples after the step. `None` if not measured.
    pub val_loss: Option<f64>,
    /// The global norm of the gradient before clipping.
    #[serde(deserialize_with = "number_or_nan")]
    pub grad_norm: f64,
    /// The learning rate η.
    pub lr: f64,
    /// Whether the step was skipped because its loss or norm is not finite. Omitted in a file if false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
}

fn number_or_nan<'a, D: Deserializer<'a>>(number: D) -> Result<f64, D::Error> {
    Option::deserialize(number).map(|number| number.unwrap_or(f64::NAN))
}
