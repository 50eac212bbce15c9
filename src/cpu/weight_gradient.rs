//! The gradients of all weights: one product each over K = T · rows, added block by block.
//!
//! The work is cut by tiles of the *result*, so every element is summed by one thread, in the order of the blocks.

use std::ops::Range;

use super::block::Block;
use super::matmul::{add, view, view_mut};
use super::network::{Network, Span, hidden_span, input_spans};
use super::threads::Divide;
use super::{embedding, head, tokens};
use crate::model::{Layout, Role};
use crate::real::Real;

/// Rows of a weight in a tile.
const ROWS: usize = 64;

/// Some rows of one parameter: a contiguous range of the flat block.
#[derive(Clone, Debug)]
pub(super) struct Tile {
    role: Role,
    range: Range<usize>,
    /// The first of the gradients, among the kept numbers or the logits, that belong to these rows.
    column: usize,
    rows: usize,
}

/// Cuts all parameters into tiles, in the order of the flat block.
pub(super) fn tiles(network: &Network, layout: &Layout) -> Vec<Tile> {
    let (cell, hidden) = (network.recurrent.cell, network.hidden());
    let mut tiles = Vec::new();
    for tensor in layout.tensors() {
        let columns = tensor.len() / tensor.shape[0];
        // Each tile of an embedding goes through all tokens: there are to be few.
        let most = if tensor.role == Role::Embedding { ROWS.max(tensor.shape[0].div_ceil(ROWS)) } else { ROWS };
        let mut cut = |rows: Range<usize>, column: usize| {
            for first in rows.clone().step_by(most) {
                let count = most.min(rows.end - first);
                let start = tensor.offset + first * columns;
                let range = start..start + count * columns;
                tiles.push(Tile { role: tensor.role, range, column: column + first - rows.start, rows: count });
            }
        };
        let mut cut_gates = |span: Span| {
            let rows = span.weight * hidden..(span.weight + span.gates) * hidden;
            cut(rows, span.kept * hidden);
        };
        match tensor.role {
            Role::WeightIh { .. } | Role::BiasIh { .. } => input_spans(cell).iter().for_each(|span| cut_gates(*span)),
            Role::WeightHh { .. } | Role::BiasHh { .. } => cut_gates(hidden_span(cell)),
            Role::Embedding | Role::HeadWeight | Role::HeadBias => cut(0..tensor.shape[0], 0),
        }
    }
    tiles
}

/// Tiles, and the part of the flat block that they cover.
pub(super) struct Tiles<'a, R> {
    pub(super) tiles: &'a [Tile],
    pub(super) gradients: &'a mut [R],
}

impl<R: Real> Divide for Tiles<'_, R> {
    fn parts(&self) -> usize {
        self.tiles.len()
    }

    fn divide(self, parts: usize) -> (Self, Self) {
        let (tiles, other_tiles) = self.tiles.split_at(parts);
        let (gradients, others) = self.gradients.split_at_mut(other_tiles[0].range.start - tiles[0].range.start);
        (Self { tiles, gradients }, Self { tiles: other_tiles, gradients: others })
    }
}

/// Adds to the gradients of one tile what all blocks have to say. With `head` false there was no head in the pass.
pub(super) fn accumulate<R: Real>(network: &Network, blocks: &[Block<R>], with_head: bool, work: Tiles<'_, R>) {
    let gradients = work.gradients;
    for tile in work.tiles {
        for block in blocks {
            add_block(network, block, with_head, tile, gradients);
        }
    }
}

fn add_block<R: Real>(network: &Network, block: &Block<R>, with_head: bool, tile: &Tile, gradients: &mut [R]) {
    let (hidden, kept, rows) = (network.hidden(), network.kept(), block.mask.steps * block.mask.rows);
    let width = network.recurrent.output_size();
    let mut product = |dz: &[R], stride: usize, k: usize, x: &[R], columns: usize| {
        add(
            view_mut(gradients, tile.rows, columns, columns),
            view(&dz[tile.column..], k, tile.rows, stride).transpose(),
            view(x, k, columns, columns),
        );
    };
    match tile.role {
        Role::Embedding => {
            if let Some(head) = network.head.as_ref().filter(|_| with_head && network.is_tied()) {
                let (rows, features) = head::features(head, block);
                product(&block.head.logits, head.outputs, rows, features, width);
            }
            let (size, first) = (network.recurrent.input_size, tile.column as u32);
            let (ids, dx) = (first..first + tile.rows as u32, &block.d_output[..rows * size]);
            embedding::scatter(gradients, size, ids, &block.tokens, dx);
        }
        Role::WeightIh { stack } => {
            let (gates, inputs) = (&block.stacks[stack].gates, network.stacks[stack].input);
            match stack / network.recurrent.directions() {
                0 if block.one_hot => {
                    tokens::scatter(gradients, inputs, &gates[..rows * kept], kept, tile.column, &block.tokens);
                }
                0 => product(gates, kept, rows, &block.x, inputs),
                layer => product(gates, kept, rows, &block.outputs[layer - 1], inputs),
            }
        }
        Role::WeightHh { stack } => {
            // The states that entered the steps: in the reverse direction they lie one slot later.
            let state = &block.stacks[stack];
            let entering = &state.h[network.stacks[stack].direction * block.mask.rows * hidden..];
            product(&state.gates, kept, rows, entering, hidden);
        }
        Role::BiasIh { stack } | Role::BiasHh { stack } => {
            add_sum(gradients, &block.stacks[stack].bias_sum[tile.column..]);
        }
        Role::HeadWeight if with_head => {
            let Some(head) = &network.head else { return };
            let (rows, features) = head::features(head, block);
            product(&block.head.logits, head.outputs, rows, features, width);
        }
        Role::HeadBias if with_head => add_sum(gradients, &block.head.bias_sum[tile.column..]),
        Role::HeadWeight | Role::HeadBias => {}
    }
}

fn add_sum<R: Real>(gradients: &mut [R], sums: &[R]) {
    gradients.iter_mut().zip(sums).for_each(|(gradient, sum)| *gradient += *sum);
}
