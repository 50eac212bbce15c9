//! Results of an engine's passes and updates.

use ndarray::Array3;
use serde::{Deserialize, Serialize};

use crate::batch::States;

/// The head's output for a sequence, and the final states.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Logits<R = f32> {
    /// The logits a of every prediction, \[P, B, O\]; 0 at padding.
    pub logits: Array3<R>,
    /// The final states h_n and c_n of each row.
    pub states: States<R>,
}

/// The sum of a batch's losses, and the final states.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LossSum<R = f32> {
    /// Σ w·loss. [`Head::divisor`](crate::Head::divisor) of Σ w makes it the loss that training minimises.
    pub loss_sum: f64,
    /// The final states h_n and c_n of each row.
    pub states: States<R>,
}

/// The report of one update, available some steps later.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct StepReport {
    /// The step number, from 1.
    pub step: u64,
    /// The loss of the update's batches, divided like the gradients.
    pub loss: f64,
    /// The global gradient norm before clipping.
    pub norm: f64,
    /// Whether the update changed nothing because the loss or the norm is not finite: see
    /// [`EngineOptions::max_skipped_updates`](crate::EngineOptions::max_skipped_updates).
    pub skipped: bool,
}

/// How many of the kernels on a device are compiled: see [`Inspection::compile`](crate::Inspection::compile).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compilation {
    /// The number of compiled kernels.
    pub compiled: usize,
    /// The number of kernels that the engines on the device need so far.
    pub kernels: usize,
}

impl Compilation {
    /// Whether all are compiled.
    pub fn is_complete(&self) -> bool {
        self.compiled >= self.kernels
    }
}

/// Counts of skipped updates: see [`EngineOptions::max_skipped_updates`](crate::EngineOptions::max_skipped_updates).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkippedUpdates {
    /// Skipped updates in a row, up to the last update.
    pub in_row: u32,
    /// Skipped updates in total, including those enqueued behind one that stopped updating. The step number minus this
    /// is the number of updates applied.
    pub in_all: u64,
    /// The loss scale at half precision, which follows skipped updates. Where `None` is given, it stays what it is.
    pub loss_scale: Option<LossScale>,
}

impl SkippedUpdates {
    /// Limits `in_row` to what is possible if no bad step has stopped updating.
    pub(crate) fn within(self, max_skipped_updates: u32) -> Self {
        Self { in_row: self.in_row.min(max_skipped_updates), ..self }
    }
}

/// The loss scale at [half precision](crate::Precision::F16): gradients of z are stored times a factor, so that small ones
/// are not lost. An update is skipped if gradients are not finite, as they are when one was beyond the range of halves, and
/// the factor is then halved; after 2,000 updates without one it is doubled. Sums of gradients do not contain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossScale {
    /// The factor is 2 to the power of this, from −24 to 24.
    pub exponent: i32,
    /// The updates with finite gradients since it last changed.
    pub good_updates: u32,
}
