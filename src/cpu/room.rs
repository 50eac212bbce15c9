//! The numbers in each buffer of a block: what a block makes room for, and what a plan tells before it does.

use super::block::SPAN;
use super::network::Network;
use crate::backend::EngineOptions;
use crate::memory::{Memory, MemoryPart};
use crate::model::At;
use crate::real::Real;

/// What a pass needs room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Of the longest row.
    pub(super) steps: usize,
    pub(super) rows: usize,
    /// The steps that are held at once.
    pub(super) chunk: usize,
    /// Whether x is given.
    pub(super) dense: bool,
    /// Whether a backward pass follows.
    pub(super) backward: bool,
    /// Whether it ends in dx.
    pub(super) dx: bool,
}

/// Numbers by buffer; those of a [`StackState`](super::block::StackState) are of one of them, and those of `output` of one
/// layer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Room {
    pub(super) gates: usize,
    pub(super) h: usize,
    pub(super) c: usize,
    pub(super) border_h: usize,
    pub(super) border_c: usize,
    pub(super) dh: usize,
    pub(super) dc: usize,
    pub(super) bias_sum: usize,
    pub(super) masked: usize,
    pub(super) shares: usize,
    pub(super) output: usize,
    pub(super) x: usize,
    pub(super) tokens: usize,
    pub(super) d_output: usize,
    pub(super) d_below: usize,
    pub(super) d_input: usize,
    pub(super) features: usize,
    pub(super) d_features: usize,
    pub(super) logits: usize,
    pub(super) head_bias_sum: usize,
}

impl Room {
    pub(super) fn new(network: &Network, wanted: Wanted) -> Self {
        let Wanted { steps, rows, chunk, dense, backward, dx } = wanted;
        let held = chunk.min(steps) * rows;
        let borders = (steps.div_ceil(chunk) + 1) * rows;
        let (hidden, cell_state, width) = (network.hidden(), network.cell_state(), network.recurrent.output_size());
        let (input, embedding) = (network.recurrent.input_size, network.embedding.is_some());
        let back = |numbers: usize| if backward { numbers } else { 0 };
        let head = network.head.as_ref();
        let single = head.map_or(0, |head| if head.at == At::Every { 0 } else { rows * width });
        Self {
            gates: held * network.kept(),
            h: (held + rows) * hidden,
            c: (held + rows) * cell_state,
            border_h: borders * hidden,
            border_c: borders * cell_state,
            dh: back(rows * hidden),
            dc: back(rows * cell_state),
            bias_sum: back(network.kept()),
            masked: rows * network.masked(),
            shares: rows * network.recurrent.cell.gates() * hidden,
            output: held * width,
            x: match (dense, embedding) {
                (true, _) => steps * rows * input,
                (false, true) => held * input,
                (false, false) => 0,
            },
            tokens: if dense { 0 } else { steps * rows },
            d_output: back(held * width),
            d_below: if network.recurrent.layers > 1 { back(held * width) } else { 0 },
            d_input: match (dense && dx, embedding) {
                (true, _) => back(steps * rows * input),
                (false, true) => back(held * input),
                (false, false) => 0,
            },
            features: single,
            d_features: back(single),
            logits: head.map_or(0, |head| if head.at == At::Every { held } else { rows } * head.outputs),
            head_bias_sum: head.map_or(0, |head| back(head.outputs)),
        }
    }

    pub(super) fn memory<R: Real>(&self, network: &Network) -> Memory {
        let mut memory = Memory::default();
        let (stacks, layers) = (network.stacks.len(), network.recurrent.layers);
        let numbers = [
            (MemoryPart::Input, self.x),
            (MemoryPart::Gates, stacks * self.gates),
            (MemoryPart::States, stacks * (self.h + self.c + self.border_h + self.border_c)),
            (MemoryPart::Outputs, layers * self.output + self.d_output + self.d_below + self.d_input),
            (MemoryPart::Head, self.features + self.d_features + self.logits + self.head_bias_sum),
            (MemoryPart::Workspace, stacks * (self.dh + self.dc + self.bias_sum + 2 * self.masked + self.shares)),
        ];
        numbers.iter().for_each(|(part, numbers)| memory.add(*part, (numbers * size_of::<R>()) as u64));
        memory.add(MemoryPart::Input, (self.tokens * size_of::<u32>()) as u64);
        memory
    }
}

/// The steps of a chunk of a training pass: all, unless it is to keep no more than the states between chunks. These are
/// as long as asked for or else as takes the least memory, in whole spans, so that no sum depends on it.
pub(super) fn chunk(network: &Network, options: &EngineOptions, steps: usize) -> usize {
    if !options.recompute {
        return steps;
    }
    let chunk = options.chunk.unwrap_or_else(|| {
        let room = |steps, chunk| {
            let wanted = Wanted { steps, rows: 1, chunk, dense: false, backward: true, dx: false };
            let room = Room::new(network, wanted).memory::<f32>(network);
            room.total() - room.of(MemoryPart::Input)
        };
        // A step more in a chunk costs its buffers, a chunk more its border: the sum is least where they are alike.
        let (step, border) = (room(2, 2) - room(1, 1), room(2, 1) - room(1, 1));
        (steps as f64 * border as f64 / step as f64).sqrt() as usize
    });
    chunk.clamp(1, steps).next_multiple_of(SPAN)
}
