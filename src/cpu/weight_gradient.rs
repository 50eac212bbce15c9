//! The gradients of all weights: one product each over K = span · rows, added span by span from the last to the first,
//! and within each block by block.
//!
//! The work is cut by tiles of the *result*, so every element is summed by one thread, in the order of the blocks.

use std::ops::Range;

use super::block::{Block, SPAN};
use super::clock;
use super::matmul::{add, view, view_mut};
use super::network::{Network, Span, hidden_span, input_spans};
use super::threads::Divide;
use super::{embedding, head, tokens};
use crate::model::{At, Layout, Role};
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

impl Tile {
    /// Operations of its products over so many rows, as if x were no tokens.
    pub(super) fn operations(&self, rows: usize) -> usize {
        match self.role {
            Role::WeightIh { .. } | Role::WeightHh { .. } | Role::HeadWeight => clock::product(rows, self.range.len()),
            Role::Embedding | Role::BiasIh { .. } | Role::BiasHh { .. } | Role::HeadBias => 0,
        }
    }
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

/// Adds to the gradients of one tile what all blocks have to say of the chunk that they hold, the last chunk first. With
/// `head` false there was no head in the pass.
pub(super) fn accumulate<R: Real>(network: &Network, blocks: &[Block<R>], with_head: bool, work: Tiles<'_, R>) {
    let gradients = work.gradients;
    let longest = blocks.iter().map(|block| block.held.len()).max().unwrap_or_default();
    for tile in work.tiles {
        for span in (0..longest.div_ceil(SPAN)).rev() {
            // A block whose rows have ended has fewer spans.
            for (block, rows) in blocks.iter().filter_map(|block| Some((block, block.spans().nth(span)?))) {
                add_span(network, block, with_head, tile, rows, gradients);
            }
        }
        for block in blocks.iter().filter(|block| block.is_first()) {
            add_whole(network, block, with_head, tile, gradients);
        }
    }
}

/// What a span adds: some rows of the chunk at hand.
fn add_span<R: Real>(
    network: &Network,
    block: &Block<R>,
    with_head: bool,
    tile: &Tile,
    rows: Range<usize>,
    gradients: &mut [R],
) {
    let (hidden, kept, width) = (network.hidden(), network.kept(), network.recurrent.output_size());
    let every = network.head.as_ref().filter(|head| with_head && head.at == At::Every);
    let tokens = || &block.tokens[block.held.start * block.mask.rows..][rows.clone()];
    match tile.role {
        Role::Embedding => {
            if let Some(head) = every.filter(|_| network.is_tied()) {
                product(
                    tile,
                    gradients,
                    &block.head.logits,
                    head.outputs,
                    rows.clone(),
                    head::features(head, block),
                    width,
                );
            }
            let (size, first) = (network.recurrent.input_size, tile.column as u32);
            let (ids, dx) = (first..first + tile.rows as u32, &block.d_input[rows.start * size..rows.end * size]);
            embedding::scatter(gradients, size, ids, tokens(), dx);
        }
        Role::WeightIh { stack } => {
            let (gates, inputs) = (&block.stacks[stack].gates, network.stacks[stack].input);
            match stack / network.recurrent.directions() {
                0 if block.one_hot => {
                    let gates = &gates[rows.start * kept..rows.end * kept];
                    tokens::scatter(gradients, inputs, gates, kept, tile.column, tokens());
                }
                0 => product(tile, gradients, gates, kept, rows, &block.x[block.input_part(network)], inputs),
                layer => product(tile, gradients, gates, kept, rows, &block.outputs[layer - 1], inputs),
            }
        }
        Role::WeightHh { stack } => {
            // The states that entered the steps: in the reverse direction they lie one slot later.
            let state = &block.stacks[stack];
            let entering = &state.h[network.stacks[stack].direction * block.mask.rows * hidden..];
            product(tile, gradients, &state.gates, kept, rows, entering, hidden);
        }
        Role::HeadWeight => {
            let Some(head) = every else { return };
            product(tile, gradients, &block.head.logits, head.outputs, rows, head::features(head, block), width);
        }
        Role::BiasIh { .. } | Role::BiasHh { .. } | Role::HeadBias => {}
    }
}

/// What the whole sequence adds once: sums over all steps, and a head with one prediction a row.
fn add_whole<R: Real>(network: &Network, block: &Block<R>, with_head: bool, tile: &Tile, gradients: &mut [R]) {
    let width = network.recurrent.output_size();
    match tile.role {
        Role::BiasIh { stack } | Role::BiasHh { stack } => {
            add_sum(gradients, &block.stacks[stack].bias_sum[tile.column..]);
        }
        Role::HeadBias if with_head => add_sum(gradients, &block.head.bias_sum[tile.column..]),
        Role::HeadWeight | Role::Embedding => {
            let single = network.head.as_ref().filter(|head| with_head && head.at != At::Every);
            let Some(head) = single.filter(|_| tile.role == Role::HeadWeight || network.is_tied()) else { return };
            let (rows, features) = (0..block.mask.rows, head::features(head, block));
            product(tile, gradients, &block.head.logits, head.outputs, rows, features, width);
        }
        Role::WeightIh { .. } | Role::WeightHh { .. } | Role::HeadBias => {}
    }
}

/// The tile += dzᵀ · x over some rows of both, dz of `stride` numbers a row and x of `columns`.
fn product<R: Real>(
    tile: &Tile,
    gradients: &mut [R],
    dz: &[R],
    stride: usize,
    rows: Range<usize>,
    x: &[R],
    columns: usize,
) {
    add(
        view_mut(gradients, tile.rows, columns, columns),
        view(&dz[rows.start * stride + tile.column..], rows.len(), tile.rows, stride).transpose(),
        view(&x[rows.start * columns..], rows.len(), columns, columns),
    );
}

fn add_sum<R: Real>(gradients: &mut [R], sums: &[R]) {
    gradients.iter_mut().zip(sums).for_each(|(gradient, sum)| *gradient += *sum);
}
