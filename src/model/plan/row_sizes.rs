//! The sizes of rows on the device.

use super::{MAX_ITERATIONS, vec4s};
use crate::error::{Error, Result};
use crate::model::{Model, Readout};

/// Row sizes in vec4.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vec4Sizes {
    /// I.
    pub(crate) x4: usize,
    /// H.
    pub(crate) h4: usize,
    /// What a step keeps.
    pub(crate) z4: usize,
    /// The sums that read x, the first of z.
    pub(crate) input4: usize,
    /// The sums that read h, and the first of their columns.
    pub(crate) recurrent4: usize,
    pub(crate) recurrent_column: usize,
    /// D·H.
    pub(crate) y4: usize,
    /// O.
    pub(crate) o4: usize,
    /// O, not padded.
    pub(crate) outputs: usize,
    /// Elements per target: 1 for a class.
    pub(crate) target: usize,
    /// Elements for the quantiles in the host inputs, q and 1 − q each; 0 for other losses.
    pub(super) quantiles: usize,
    /// Whether the head reads the mean over all steps.
    pub(super) mean: bool,
}

impl Vec4Sizes {
    pub(crate) fn new(model: &Model) -> Self {
        let r = &model.recurrent;
        let h4 = vec4s(r.hidden_size);
        let cell = r.cell.definition();
        let outputs = model.head.as_ref().map_or(0, |head| head.outputs);
        Self {
            // A tied embedding is stored as the head reads it.
            x4: if model.is_tied() { r.directions() * h4 } else { vec4s(r.input_size) },
            h4,
            z4: cell.kept() * h4,
            input4: cell.input_gates() * h4,
            recurrent4: cell.recurrent_gates() * h4,
            recurrent_column: cell.first_recurrent() * h4,
            y4: r.directions() * h4,
            o4: vec4s(outputs),
            outputs,
            target: model
                .head
                .as_ref()
                .map_or(0, |head| if head.loss.takes_classes() { 1 } else { head.target_size() }),
            quantiles: model.head.as_ref().map_or(0, |head| 2 * head.loss.quantiles().len()),
            mean: model.head.as_ref().is_some_and(|head| head.readout == Readout::MeanPool),
        }
    }

    /// Fails for sizes that exceed the loop limit of an invocation.
    pub(super) fn check_loops(&self) -> Result<()> {
        let hidden = self.input4.max(self.recurrent4).max(self.y4);
        let loops = [("input_size", self.x4), ("hidden_size", hidden), ("outputs", self.o4)];
        match loops.into_iter().find(|(_, vec4s)| *vec4s > MAX_ITERATIONS) {
            Some((name, vec4s)) => {
                let expected = format!("at most {} numbers in a product on the GPU", 4 * MAX_ITERATIONS);
                Err(Error::value(name, expected, 4 * vec4s))
            }
            None => Ok(()),
        }
    }
}
