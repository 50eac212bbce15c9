//! The gradients of all weights: one product each over K = span · rows, added span by span from the last to the first,
//! and within each block by block.
//!
//! The work is split by tiles of the *result*, so every element is summed by one thread, in block order.

use std::ops::Range;

use super::block::RowBlock;
use super::buffer_sizes::SPAN;
use super::head;
use super::mapped_model::MappedModel;
use crate::cells::SumSpan;
use crate::cpu::gemm::tile::MatrixRef;
use crate::cpu::gemm::transposed::{PackScratch, Transposed};
use crate::cpu::kernels::embedding;
use crate::cpu::kernels::tokens;
use crate::cpu::parallel::clock;
use crate::cpu::parallel::threads::Divide;
use crate::model::{Head, Layout, Readout, Role};
use crate::real::Real;

/// The maximum rows of a weight per tile. The right operand is packed once for all of them; packed themselves, they take
/// half of a core's own cache of 1 MiB in f32.
const ROWS: usize = 512;

/// The minimum number of tiles per thread. Each packs its whole right operand, so larger tiles are better.
const TILES: usize = 3;

/// Some rows of a parameter: a contiguous range of the flat block.
#[derive(Clone, Debug)]
pub(crate) struct WeightTile {
    role: Role,
    range: Range<usize>,
    /// The first column of these rows' gradients among the kept numbers or the logits.
    column: usize,
    rows: usize,
}

impl WeightTile {
    /// Operations of its products over `rows` rows, as if x were dense.
    pub(crate) fn operations(&self, rows: usize) -> usize {
        match self.role {
            Role::WeightIh { .. } | Role::WeightHh { .. } | Role::WeightHr { .. } | Role::HeadWeight => {
                clock::product(rows, self.range.len())
            }
            Role::Embedding
            | Role::BiasIh { .. }
            | Role::BiasHh { .. }
            | Role::CellParameter { .. }
            | Role::HeadBias => 0,
        }
    }
}

/// Splits all parameters into tiles for `threads` threads, in the order of the flat block. The split changes no bit:
/// every element is summed in the same order.
pub(crate) fn tiles(model: &MappedModel, layout: &Layout, threads: usize) -> Vec<WeightTile> {
    let (cell, hidden) = (model.cell, model.hidden());
    let mut tiles = Vec::new();
    let share = layout.len().div_ceil(TILES * threads);
    for tensor in layout.tensors() {
        let columns = tensor.len() / tensor.shape[0];
        let even = tensor.shape[0].div_ceil(tensor.len().div_ceil(share)).next_multiple_of(16);
        // Each tile of an embedding scans all tokens, so there should be few.
        let most = if tensor.role == Role::Embedding { even } else { even.min(ROWS) };
        let mut cut = |rows: Range<usize>, column: usize| {
            for first in rows.clone().step_by(most) {
                let count = most.min(rows.end - first);
                let start = tensor.offset + first * columns;
                let range = start..start + count * columns;
                tiles.push(WeightTile { role: tensor.role, range, column: column + first - rows.start, rows: count });
            }
        };
        let mut cut_span = |span: SumSpan| {
            let rows = span.block * hidden..(span.block + span.count) * hidden;
            cut(rows, span.sum * hidden);
        };
        match tensor.role {
            Role::WeightIh { .. } | Role::BiasIh { .. } => cell.input_spans().for_each(cut_span),
            Role::WeightHh { .. } | Role::BiasHh { .. } => cut_span(cell.recurrent_span()),
            Role::CellParameter { index, .. } => cut(0..hidden, (cell.sums().len() + index) * hidden),
            Role::Embedding | Role::WeightHr { .. } | Role::HeadWeight | Role::HeadBias => cut(0..tensor.shape[0], 0),
        }
    }
    tiles
}

/// Tiles of tensors whose gradients are complete together.
#[derive(Clone, Debug)]
pub(crate) struct TileGroup {
    pub(crate) tiles: Range<usize>,
    /// The part of the flat block that they cover.
    pub(crate) numbers: Range<usize>,
}

/// The groups of [`tiles`], in the order of [`Layout::backward_order`].
pub(crate) fn groups(tiles: &[WeightTile], layout: &Layout, directions: usize) -> Vec<TileGroup> {
    let before = |number: usize| tiles.partition_point(|tile| tile.range.start < number);
    let group = |tensors: Range<usize>| {
        let [first, last] = [tensors.start, tensors.end - 1].map(|tensor| layout.tensors()[tensor].range());
        TileGroup { tiles: before(first.start)..before(last.end), numbers: first.start..last.end }
    };
    layout.backward_order(directions).into_iter().map(group).collect()
}

/// The maximum rows and columns of a tile's products, for scratch.
pub(crate) fn scratch_shape(tiles: &[WeightTile]) -> (usize, usize) {
    let rows = tiles.iter().map(|tile| tile.rows).max().unwrap_or_default().min(ROWS);
    let columns = tiles.iter().map(|tile| tile.range.len() / tile.rows).max().unwrap_or_default();
    (rows, columns)
}

/// Tiles, and the part of the flat block that they cover.
pub(crate) struct WeightTiles<'a, R> {
    pub(crate) tiles: &'a [WeightTile],
    pub(crate) gradients: &'a mut [R],
}

impl<R: Real> Divide for WeightTiles<'_, R> {
    fn parts(&self) -> usize {
        self.tiles.len()
    }

    fn divide(self, parts: usize) -> (Self, Self) {
        let (tiles, other_tiles) = self.tiles.split_at(parts);
        let (gradients, others) = self.gradients.split_at_mut(other_tiles[0].range.start - tiles[0].range.start);
        (Self { tiles, gradients }, Self { tiles: other_tiles, gradients: others })
    }
}

/// Adds the gradients of some tiles over the current chunk of all blocks, last span first. `with_head` is false in a
/// pass without a head.
pub(crate) fn accumulate<R: Real>(
    model: &MappedModel,
    blocks: &[RowBlock<R>],
    with_head: bool,
    work: WeightTiles<'_, R>,
    scratch: &mut PackScratch<R>,
) {
    let mut rest = work.gradients;
    for tile in work.tiles {
        let gradients = rest.split_off_mut(..tile.range.len()).unwrap_or_default();
        match tile.role {
            Role::BiasIh { .. } | Role::BiasHh { .. } | Role::CellParameter { .. } | Role::HeadBias => {
                let whole = blocks.iter().filter(|block| block.is_first());
                whole.for_each(|block| add_bias(block, with_head, tile, gradients));
            }
            _ => add_products(model, blocks, with_head, TileSum { tile, gradients, scratch }),
        }
    }
}

/// A tile with its gradients and scratch.
struct TileSum<'a, R> {
    tile: &'a WeightTile,
    gradients: &'a mut [R],
    scratch: &'a mut PackScratch<R>,
}

impl<R: Real> TileSum<'_, R> {
    /// The tile += dzᵀ · x.
    fn add(&mut self, dz: MatrixRef<'_, R>, x: MatrixRef<'_, R>) {
        let columns = x.stride;
        for (first, to) in (0..).step_by(ROWS).zip(self.gradients.chunks_mut(ROWS * columns)) {
            let a = MatrixRef { data: &dz.data[self.tile.column + first..], ..dz };
            Transposed { to, columns, a, b: x }.add(self.scratch);
        }
    }
}

fn add_products<R: Real>(model: &MappedModel, blocks: &[RowBlock<R>], with_head: bool, mut sum: TileSum<'_, R>) {
    let longest = blocks.iter().map(|block| block.held.len()).max().unwrap_or_default();
    for span in (0..longest.div_ceil(SPAN)).rev() {
        // A block whose rows have ended has fewer spans.
        for (block, rows) in blocks.iter().filter_map(|block| Some((block, block.spans().nth(span)?))) {
            add_span(model, block, with_head, rows, &mut sum);
        }
    }
    let single = model.head.as_ref().filter(|head| with_head && head.readout != Readout::PerStep);
    let has_head = sum.tile.role == Role::HeadWeight || (sum.tile.role == Role::Embedding && model.is_tied());
    if let Some(head) = single.filter(|_| has_head) {
        for block in blocks.iter().filter(|block| block.is_first()) {
            add_head(model, head, block, 0..block.mask.rows, &mut sum);
        }
    }
}

/// Adds a span: some rows of the current chunk.
fn add_span<R: Real>(
    model: &MappedModel,
    block: &RowBlock<R>,
    with_head: bool,
    rows: Range<usize>,
    sum: &mut TileSum<'_, R>,
) {
    let (size, kept) = (model.state_size(), model.kept());
    let every = model.head.as_ref().filter(|head| with_head && head.readout == Readout::PerStep);
    let tokens = || &block.tokens[block.held.start * block.mask.rows..][rows.clone()];
    match sum.tile.role {
        Role::Embedding => {
            if let Some(head) = every.filter(|_| model.is_tied()) {
                add_head(model, head, block, rows.clone(), sum);
            }
            let (size, first) = (model.recurrent.input_size, sum.tile.column as u32);
            let ids = first..first + sum.tile.rows as u32;
            embedding::scatter(sum.gradients, size, ids, tokens(), part(&block.d_input, size, rows).data);
        }
        Role::WeightIh { layer_direction } => {
            let (dz, inputs) = (
                part(&block.layer_directions[layer_direction].gates, kept, rows.clone()),
                model.layer_directions[layer_direction].input,
            );
            let x = match layer_direction / model.recurrent.directions() {
                0 if block.one_hot => {
                    return tokens::scatter(sum.gradients, inputs, dz.data, kept, sum.tile.column, tokens());
                }
                0 => &block.x[block.input_part(model)],
                layer => &block.outputs[layer - 1],
            };
            sum.add(dz, part(x, inputs, rows));
        }
        Role::WeightHh { layer_direction } => {
            // The states that entered the steps; in the reverse direction one index later.
            let state = &block.layer_directions[layer_direction];
            let entering = &state.h[model.layer_directions[layer_direction].direction * block.mask.rows * size..];
            sum.add(part(&state.gates, kept, rows.clone()), part(entering, size, rows));
        }
        Role::WeightHr { layer_direction } => {
            // What the cell computed in the steps; in the reverse direction one index earlier.
            let (state, hidden) = (&block.layer_directions[layer_direction], model.hidden());
            let first = 1 - model.layer_directions[layer_direction].direction;
            let leaving = &state.m[first * block.mask.rows * hidden..];
            sum.add(part(&state.projected_dh, size, rows.clone()), part(leaving, hidden, rows));
        }
        Role::HeadWeight => {
            if let Some(head) = every {
                add_head(model, head, block, rows, sum);
            }
        }
        Role::BiasIh { .. } | Role::BiasHh { .. } | Role::CellParameter { .. } | Role::HeadBias => {}
    }
}

/// Adds some rows of predictions to the gradient of W_hy.
fn add_head<R: Real>(
    model: &MappedModel,
    head: &Head,
    block: &RowBlock<R>,
    rows: Range<usize>,
    sum: &mut TileSum<'_, R>,
) {
    let features = part(head::features(head, block), model.recurrent.output_size(), rows.clone());
    sum.add(part(&block.head.logits, head.outputs, rows), features);
}

/// Some rows of `size` numbers each.
fn part<R>(data: &[R], size: usize, rows: Range<usize>) -> MatrixRef<'_, R> {
    MatrixRef { data: &data[rows.start * size..rows.end * size], stride: size, count: rows.len() }
}

/// Adds the bias gradients, summed over steps during the backward pass.
fn add_bias<R: Real>(block: &RowBlock<R>, with_head: bool, tile: &WeightTile, gradients: &mut [R]) {
    let sums = match tile.role {
        Role::BiasIh { layer_direction }
        | Role::BiasHh { layer_direction }
        | Role::CellParameter { layer_direction, .. } => &block.layer_directions[layer_direction].bias_sum,
        _ if with_head => &block.head.bias_sum,
        _ => return,
    };
    gradients.iter_mut().zip(&sums[tile.column..]).for_each(|(gradient, sum)| *gradient += *sum);
}
