//! What an engine answers with.

use ndarray::Array3;

use crate::batch::States;

/// What the head says of a sequence, and where the sequence ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits<R = f32> {
    /// The logits a of every prediction, \[P, B, O\]; 0 at padding.
    pub logits: Array3<R>,
    /// Each row's own final states, h_n and c_n.
    pub states: States<R>,
}

/// The loss of a batch, and where its sequence ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation<R = f32> {
    /// Σ w·loss from an [`Engine`](super::Engine); divided as in training from a [`Trainer`](crate::Trainer).
    pub loss: f64,
    /// Each row's own final states, h_n and c_n.
    pub states: States<R>,
}

/// What an update reports, some steps late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// The step, counted from 1.
    pub step: u64,
    /// The loss that the update saw, divided as the gradients are.
    pub loss: f64,
    /// The global norm of the gradient before clipping.
    pub norm: f64,
    /// Whether the update changed nothing, since one of the two is not finite: see
    /// [`EngineOptions::max_skipped_updates`](crate::EngineOptions::max_skipped_updates).
    pub skipped: bool,
}

/// The updates that were passed over: see [`EngineOptions::max_skipped_updates`](crate::EngineOptions::max_skipped_updates).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkippedUpdates {
    /// In a row, up to the last update.
    pub in_row: u32,
    /// In all, with those behind one that ended updating: a step's number less these is the number of updates made.
    pub in_all: u64,
}

impl SkippedUpdates {
    /// As it is where no bad step has ended updating.
    pub(crate) fn within(self, skips: u32) -> Self {
        Self { in_row: self.in_row.min(skips), ..self }
    }
}
