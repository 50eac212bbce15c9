//! The sizes of rows on the device.

use super::{Storage, vec4s};
use crate::error::{Error, Result};
use crate::model::{Model, Precision, Readout, Recurrent};

/// The states that a (layer, direction) carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateKind {
    H,
    C,
}

impl StateKind {
    /// Those of a network's cell.
    pub(crate) fn of(recurrent: &Recurrent) -> &'static [Self] {
        if recurrent.cell.has_cell_state() { &[Self::H, Self::C] } else { &[Self::H] }
    }
}

/// Row sizes in vec4.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vec4Sizes {
    /// I.
    pub(crate) x4: usize,
    /// H.
    pub(crate) h4: usize,
    /// S.
    pub(crate) state4: usize,
    /// What a step keeps.
    pub(crate) z4: usize,
    /// The sums that read x, the first of z.
    pub(crate) input4: usize,
    /// The sums that read h, and the first of their columns.
    pub(crate) recurrent4: usize,
    pub(crate) recurrent_column: usize,
    /// D·S.
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
    /// How z, h and the copies of W_hh are stored.
    pub(crate) storage: Storage,
}

impl Vec4Sizes {
    pub(crate) fn new(model: &Model, precision: Precision) -> Self {
        let r = &model.recurrent;
        let (h4, state4) = (vec4s(r.hidden_size), vec4s(r.state_size()));
        let cell = r.cell.definition();
        let outputs = model.head.as_ref().map_or(0, |head| head.outputs);
        Self {
            // A tied embedding is stored as the head reads it.
            x4: if model.is_tied() { r.directions() * state4 } else { vec4s(r.input_size) },
            h4,
            state4,
            z4: cell.kept() * h4,
            input4: cell.input_gates() * h4,
            recurrent4: cell.recurrent_gates() * h4,
            recurrent_column: cell.first_recurrent() * h4,
            y4: r.directions() * state4,
            o4: vec4s(outputs),
            outputs,
            target: model
                .head
                .as_ref()
                .map_or(0, |head| if head.loss.takes_classes() { 1 } else { head.target_size() }),
            quantiles: model.head.as_ref().map_or(0, |head| 2 * head.loss.quantiles().len()),
            mean: model.head.as_ref().is_some_and(|head| head.readout == Readout::MeanPool),
            storage: Storage::of(precision),
        }
    }

    /// vec4 per row of a state.
    pub(crate) fn of_state(&self, kind: StateKind) -> usize {
        match kind {
            StateKind::H => self.state4,
            StateKind::C => self.h4,
        }
    }

    /// How a state is stored.
    pub(crate) fn storage_of(&self, kind: StateKind) -> Storage {
        match kind {
            StateKind::H => self.storage,
            StateKind::C => Storage::Full,
        }
    }

    /// The bytes of a state of one (layer, direction).
    pub(crate) fn state_bytes(&self, kind: StateKind, rows: usize) -> u64 {
        self.storage_of(kind).bytes(4 * rows as u64 * self.of_state(kind) as u64)
    }

    /// The first byte of a state among the carried ones of `rows` rows: h of every (layer, direction), then c.
    pub(crate) fn carried_offset(
        &self,
        recurrent: &Recurrent,
        kind: StateKind,
        layer_direction: usize,
        rows: usize,
    ) -> u64 {
        let before = match kind {
            StateKind::H => 0,
            StateKind::C => recurrent.num_layer_directions() as u64 * self.state_bytes(StateKind::H, rows),
        };
        before + layer_direction as u64 * self.state_bytes(kind, rows)
    }

    /// Fails for sizes that exceed the loop limit of an invocation.
    pub(super) fn check_loops(&self, max_turns: usize) -> Result<()> {
        let hidden = self.input4.max(self.recurrent4).max(self.y4);
        let loops = [("input_size", self.x4), ("hidden_size", hidden), ("outputs", self.o4)];
        match loops.into_iter().find(|(_, vec4s)| *vec4s > max_turns) {
            Some((name, vec4s)) => {
                let expected = format!("at most {} numbers in a product on the GPU", 4 * max_turns);
                Err(Error::value(name, expected, 4 * vec4s))
            }
            None => Ok(()),
        }
    }
}
