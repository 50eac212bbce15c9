//! The numbers in each buffer of a block: what a block makes room for, and what a plan tells before it does.

use super::block::SPAN;
use super::network::Network;
use super::norm::CHUNK;
use super::{matmul, prepared, weight_gradient};
use crate::backend::EngineOptions;
use crate::memory::{Extent, Memory, MemoryPart};
use crate::model::{At, Layout};
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
    /// Whether states are reset within the sequence.
    pub(super) resets: bool,
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
    /// Lengths of rows.
    pub(super) lengths: usize,
    /// Flags of steps, in each direction.
    pub(super) keeps: usize,
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
        let Wanted { steps, rows, chunk, dense, backward, dx, resets } = wanted;
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
            lengths: rows,
            keeps: if resets { network.recurrent.directions() * steps * rows } else { 0 },
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
        let flags = self.lengths * size_of::<usize>() + self.keeps;
        memory.add(MemoryPart::Input, (self.tokens * size_of::<u32>() + flags) as u64);
        memory
    }
}

/// What a network takes whatever the batch.
pub(super) fn fixed<R: Real>(network: &Network, layout: &Layout, options: &EngineOptions, threads: usize) -> Memory {
    let (rows, columns) = weight_gradient::room_for(&weight_gradient::tiles(network, layout, threads));
    let numbers = [
        (MemoryPart::Weights, layout.len() + prepared::numbers::<R>(network)),
        (MemoryPart::Gradients, layout.len()),
        (MemoryPart::Optimizer, options.rule.map_or(0, |rule| rule.slots()) * layout.len()),
        (MemoryPart::Workspace, threads * matmul::Room::<R>::numbers(rows, columns)),
    ];
    let mut memory = Memory::default();
    numbers.iter().for_each(|(part, numbers)| memory.add(*part, (numbers * size_of::<R>()) as u64));
    memory.add(MemoryPart::Optimizer, (squares(layout) * size_of::<f64>()) as u64);
    memory
}

/// The sums of which the norm of the gradient is made.
pub(super) fn squares(layout: &Layout) -> usize {
    layout.len().div_ceil(CHUNK)
}

/// What a training pass over a batch takes, in which no row is shorter than T; with `flow` also the norms of dh_t.
pub(super) fn of_batch<R: Real>(network: &Network, options: &EngineOptions, flow: bool, extent: Extent) -> Memory {
    let Extent { steps, rows, tokens, resets, .. } = extent;
    let (chunk, most, dx) = (chunk(network, options, steps), network.block_rows(rows), options.input_gradient);
    let block = |rows| {
        let wanted = Wanted { steps, rows, chunk, dense: !tokens, backward: true, dx, resets };
        Room::new(network, wanted).memory::<R>(network)
    };
    // All blocks but the last are alike.
    let (whole, left) = (rows / most, rows % most);
    let mut planned = block(most).times(whole as u64);
    if left > 0 {
        planned += block(left);
    }
    if flow {
        let squares = network.blocks(rows) * network.stacks.len() * steps * size_of::<f64>();
        planned.add(MemoryPart::Workspace, squares as u64);
    }
    planned
}

/// The states of so many rows that are carried from batch to batch.
pub(super) fn carried<R: Real>(network: &Network, rows: usize) -> Memory {
    let numbers = network.stacks.len() * rows * (network.hidden() + network.cell_state());
    let mut memory = Memory::default();
    memory.add(MemoryPart::Carried, (numbers * size_of::<R>()) as u64);
    memory
}

/// The steps of a chunk of a training pass: all, unless it is to keep no more than the states between chunks. These are
/// as long as asked for or else as takes the least memory, in whole spans, so that no sum depends on it.
pub(super) fn chunk(network: &Network, options: &EngineOptions, steps: usize) -> usize {
    if !options.recompute {
        return steps;
    }
    let chunk = options.chunk.unwrap_or_else(|| {
        let room = |steps, chunk| {
            let wanted = Wanted { steps, rows: 1, chunk, dense: false, backward: true, dx: false, resets: false };
            let room = Room::new(network, wanted).memory::<f32>(network);
            room.total() - room.of(MemoryPart::Input)
        };
        // A step more in a chunk costs its buffers, a chunk more its border: the sum is least where they are alike.
        let (step, border) = (room(2, 2) - room(1, 1), room(2, 1) - room(1, 1));
        (steps as f64 * border as f64 / step as f64).sqrt() as usize
    });
    chunk.clamp(1, steps).next_multiple_of(SPAN)
}
