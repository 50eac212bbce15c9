//! The sizes of a block's buffers, both for their allocation and for the plan.

use super::mapped_model::MappedModel;
use crate::memory::{Memory, MemoryPart};
use crate::model::Readout;
use crate::real::Real;

/// Steps per product in the head and the weight gradients, whose spans are added from the last to the first. Constant,
/// so that no sum depends on how many steps a pass holds at once.
pub(crate) const SPAN: usize = 64;

/// The shape of a block in a pass, which determines its buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockShape {
    /// The steps of the longest row.
    pub(crate) steps: usize,
    pub(crate) rows: usize,
    /// Steps held at once.
    pub(crate) chunk: usize,
    /// Whether x is given.
    pub(crate) dense: bool,
    /// Whether a backward pass follows.
    pub(crate) backward: bool,
    /// Whether it computes dx.
    pub(crate) dx: bool,
    /// Whether states are reset within the sequence.
    pub(crate) resets: bool,
}

/// Elements by buffer; for one [`LayerState`](crate::cpu::pass::block::LayerState), and for one layer's `output`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BufferSizes {
    pub(crate) gates: usize,
    pub(crate) h: usize,
    pub(crate) c: usize,
    pub(crate) m: usize,
    pub(crate) projected_dh: usize,
    pub(crate) border_h: usize,
    pub(crate) border_c: usize,
    pub(crate) dh: usize,
    pub(crate) dc: usize,
    pub(crate) dm: usize,
    pub(crate) bias_sum: usize,
    pub(crate) masked: usize,
    pub(crate) shares: usize,
    pub(crate) output: usize,
    pub(crate) x: usize,
    pub(crate) tokens: usize,
    /// The lengths of the rows.
    pub(crate) lengths: usize,
    /// Keep flags of steps, per direction.
    pub(crate) keeps: usize,
    pub(crate) d_output: usize,
    pub(crate) d_below: usize,
    pub(crate) d_input: usize,
    pub(crate) features: usize,
    pub(crate) d_features: usize,
    pub(crate) logits: usize,
    pub(crate) head_bias_sum: usize,
}

impl BufferSizes {
    pub(crate) fn new(model: &MappedModel, shape: BlockShape) -> Self {
        let BlockShape { steps, rows, chunk, dense, backward, dx, resets } = shape;
        let held = chunk.min(steps) * rows;
        let borders = (steps.div_ceil(chunk) + 1) * rows;
        let (hidden, cell_state, width) = (model.hidden(), model.cell_state(), model.recurrent.output_size());
        let (size, projected) = (model.state_size(), model.projected());
        let (input, embedding) = (model.recurrent.input_size, model.embedding.is_some());
        let back = |numbers: usize| if backward { numbers } else { 0 };
        let head = model.head.as_ref();
        let single = head.map_or(0, |head| if head.readout == Readout::PerStep { 0 } else { rows * width });
        Self {
            gates: held * model.kept(),
            h: (held + rows) * size,
            c: (held + rows) * cell_state,
            m: (held + rows) * projected,
            projected_dh: if projected > 0 { back(held * size) } else { 0 },
            border_h: borders * size,
            border_c: borders * cell_state,
            dh: back(rows * size),
            dc: back(rows * cell_state),
            dm: back(rows * projected),
            bias_sum: back(model.kept()),
            masked: rows * model.masked(),
            shares: rows * model.cell.recurrent_gates() * hidden,
            output: held * width,
            x: match (dense, embedding) {
                (true, _) => steps * rows * input,
                (false, true) => held * input,
                (false, false) => 0,
            },
            tokens: if dense { 0 } else { steps * rows },
            lengths: rows,
            keeps: if resets { model.recurrent.directions() * steps * rows } else { 0 },
            d_output: back(held * width),
            d_below: if model.recurrent.layers > 1 { back(held * width) } else { 0 },
            d_input: match (dense && dx, embedding) {
                (true, _) => back(steps * rows * input),
                (false, true) => back(held * input),
                (false, false) => 0,
            },
            features: single,
            d_features: back(single),
            logits: head.map_or(0, |head| if head.readout == Readout::PerStep { held } else { rows } * head.outputs),
            head_bias_sum: head.map_or(0, |head| back(head.outputs)),
        }
    }

    pub(crate) fn memory<R: Real>(&self, model: &MappedModel) -> Memory {
        let mut memory = Memory::default();
        let (layer_directions, layers) = (model.layer_directions.len(), model.recurrent.layers);
        let numbers = [
            (MemoryPart::Input, self.x),
            (MemoryPart::Gates, layer_directions * self.gates),
            (MemoryPart::States, layer_directions * (self.h + self.c + self.m + self.border_h + self.border_c)),
            (
                MemoryPart::Outputs,
                layers * self.output
                    + layer_directions * self.projected_dh
                    + self.d_output
                    + self.d_below
                    + self.d_input,
            ),
            (MemoryPart::Head, self.features + self.d_features + self.logits + self.head_bias_sum),
            (
                MemoryPart::Workspace,
                layer_directions * (self.dh + self.dc + self.dm + self.bias_sum + 2 * self.masked + self.shares),
            ),
        ];
        numbers.iter().for_each(|(part, numbers)| memory.add(*part, (numbers * size_of::<R>()) as u64));
        let flags = self.lengths * size_of::<usize>() + self.keeps;
        memory.add(MemoryPart::Input, (self.tokens * size_of::<u32>() + flags) as u64);
        memory
    }
}
