//! The time loops of a block over its current chunk, forward and backward through all layers and directions.

use std::ops::Range;

use super::block::{LayerState, RowBlock, history_indices};
use super::pass_weights::PassWeights;
use crate::cells::{BackwardRows, ForwardRows, StepRows};
use crate::cpu::gemm::matmul::Product;
use crate::cpu::gemm::tile::{MatrixMut, MatrixRef};
use crate::cpu::kernels::column_sum;
use crate::cpu::kernels::dropout;
use crate::cpu::kernels::embedding;
use crate::cpu::kernels::mask::StepMask;
use crate::cpu::kernels::projection;
use crate::cpu::kernels::tokens;
use crate::cpu::parallel::clock::{Phase, product};
use crate::real::Real;

/// From x and the entering states to the outputs and leaving states of all layers.
pub(crate) fn forward<R: Real>(weights: &PassWeights<'_, R>, block: &mut RowBlock<R>) {
    let model = weights.model;
    let directions = model.recurrent.directions();
    let width = model.recurrent.output_size();
    let (steps, held_rows, size) = (block.held.len(), block.held_rows(), model.state_size());
    let (input, held_tokens) = (block.input_part(model), block.held_part(1));
    if let Some(vectors) = &model.embedding {
        let vectors = &weights.parameters[vectors.clone()];
        let (size, first) = (model.recurrent.input_size, block.held.start);
        embedding::look_up(vectors, size, &block.mask, first, &block.tokens[held_tokens.clone()], &mut block.x);
    }
    for (index, layer_direction) in model.layer_directions.iter().enumerate() {
        let draw = block.draw_above(model, index / directions);
        block.enter(model, index);
        let (below, here) = block.outputs.split_at_mut(index / directions);
        let output = &mut here[0][..held_rows * width];
        let state = &mut block.layer_directions[index];
        let rows = block.mask.rows;
        let source = match below.last() {
            None if block.one_hot => LayerInput::Tokens(&block.tokens[held_tokens.clone()]),
            None => LayerInput::Numbers(&block.x[input.clone()]),
            Some(below) => LayerInput::Numbers(below),
        };
        // The steps read the projection while it is in the cache.
        let few = (TOGETHER / rows).max(1);
        for first in (0..steps).step_by(few) {
            let count = few.min(steps - first);
            let first = if layer_direction.direction == 0 { first } else { steps - first - count };
            let timer = weights.clock.begin();
            let operations = project(weights, index, state, source, first * rows..(first + count) * rows);
            weights.clock.end(timer, Phase::Projection, || operations);
            let timer = weights.clock.begin();
            for step in 0..count {
                let t = first + if layer_direction.direction == 0 { step } else { count - 1 - step };
                forward_step(weights, index, state, (&block.mask, block.held.start), t, output);
            }
            weights.clock.end(timer, Phase::Forward, || product(count * rows, layer_direction.step_weights()));
        }
        if let Some(draw) = draw {
            dropout::between(&draw, &block.mask, &block.held, index, output, layer_direction.place * size, size);
        }
        block.leave(model, index);
    }
}

/// The input of a layer, for all steps of the chunk.
#[derive(Clone, Copy)]
enum LayerInput<'a, R> {
    Numbers(&'a [R]),
    /// One-hot tokens.
    Tokens(&'a [u32]),
}

/// Rows, over several steps, that are projected before being stepped through.
const TOGETHER: usize = 64;

/// z of some rows of the chunk without its recurrent part: x_t · W_ihᵀ and the biases. Returns the operations of the
/// product.
fn project<R: Real>(
    weights: &PassWeights<'_, R>,
    index: usize,
    state: &mut LayerState<R>,
    source: LayerInput<'_, R>,
    rows: Range<usize>,
) -> usize {
    let (layer_direction, kept) = (&weights.model.layer_directions[index], weights.model.kept());
    let (weight_ih, bias) = (weights.prepared.input(index), weights.prepared.bias(index));
    let gates = &mut state.gates[rows.start * kept..rows.end * kept];
    // The gates that the input does not affect.
    let (_, columns) = weight_ih.shape();
    gates.chunks_exact_mut(kept).for_each(|gates| gates[columns..].copy_from_slice(&bias[columns..]));
    match source {
        LayerInput::Tokens(tokens) => {
            tokens::gather(gates, kept, &tokens[rows], weight_ih);
            0
        }
        LayerInput::Numbers(x) => {
            let x = MatrixRef {
                data: &x[rows.start * layer_direction.input..],
                stride: layer_direction.input,
                count: rows.len(),
            };
            weights.shared.split_rows(Product::assign(MatrixMut { data: gates, stride: kept }, x, weight_ih));
            product(rows.len(), layer_direction.weight_ih.len())
        }
    }
}

/// Step `t` of the chunk that begins at step `at`.
fn forward_step<R: Real>(
    weights: &PassWeights<'_, R>,
    index: usize,
    state: &mut LayerState<R>,
    (mask, at): (&StepMask, usize),
    t: usize,
    output: &mut [R],
) {
    let (model, layer_direction) = (weights.model, &weights.model.layer_directions[index]);
    let (hidden, kept, cell_state, rows) = (model.hidden(), model.kept(), model.cell_state(), mask.rows);
    let size = model.state_size();
    let (h_before, h) = states_around(&mut state.h, rows * size, layer_direction.direction, t);
    let (c_before, c) = states_around(&mut state.c, rows * cell_state, layer_direction.direction, t);
    for row in mask.starts(layer_direction.place, at + t) {
        h_before[row * size..][..size].fill(R::zero());
        c_before[row * cell_state..][..cell_state].fill(R::zero());
    }
    let gates = &mut state.gates[t * rows * kept..][..rows * kept];
    // A cell whose sums read x alone has no product.
    if !layer_direction.weight_hh.is_empty() {
        let entering = if state.drops {
            let products = h_before.iter().zip(&state.factors).map(|(h, factor)| *h * *factor);
            state.masked.iter_mut().zip(products).for_each(|(to, product)| *to = product);
            &state.masked
        } else {
            &*h_before
        };
        let first = model.cell.first_recurrent() * hidden;
        let to = MatrixMut { data: &mut gates[first..], stride: kept };
        let product =
            Product::add(to, MatrixRef { data: entering, stride: size, count: rows }, weights.prepared.hidden(index));
        weights.shared.split_columns(product, &mut state.shares);
    }
    let width = rows * model.recurrent.output_size();
    let output = &mut output[t * width..][..width];
    let step = step_rows(weights, index, mask, at + t);
    if layer_direction.weight_hr.is_empty() {
        let rows = ForwardRows { step, kept: gates, h_before, c_before, h, c, output: Some(output) };
        weights.shared.split_step(rows, hidden, |rows| model.cell.rows().forward(rows));
        return;
    }
    let (m_before, m) = states_around(&mut state.m, rows * hidden, layer_direction.direction, t);
    let of_cell = ForwardRows { step, kept: gates, h_before: m_before, c_before, h: &mut *m, c, output: None };
    weights.shared.split_step(of_cell, hidden, |rows| model.cell.rows().forward(rows));
    let m = MatrixRef { data: m, stride: hidden, count: rows };
    let to = MatrixMut { data: &mut *h, stride: size };
    weights.shared.split_columns(Product::assign(to, m, weights.prepared.projection(index)), &mut state.shares);
    projection::forward(step, h_before, h, output);
}

/// Step `t` of the sequence as the cell sees it.
fn step_rows<'a, R: Real>(weights: &PassWeights<'a, R>, index: usize, mask: &'a StepMask, t: usize) -> StepRows<'a, R> {
    let (model, layer_direction) = (weights.model, &weights.model.layer_directions[index]);
    let parameters = &weights.parameters[layer_direction.parameters.clone()];
    let (hidden, column) = (model.hidden(), layer_direction.place * model.state_size());
    StepRows { lengths: &mask.lengths, t, hidden, column, parameters }
}

/// The states entering and leaving step `t`, each of `size` numbers.
fn states_around<R>(history: &mut [R], size: usize, direction: usize, t: usize) -> (&mut [R], &mut [R]) {
    let (early, late) = history[t * size..].split_at_mut(size);
    let late = &mut late[..size];
    if direction == 0 { (early, late) } else { (late, early) }
}

/// From `d_output`, if any, and the layers' dh and dc for the leaving states, to those of the entering ones. Leaves the
/// gates' gradients in place of the gates, and in the histories of h what entered each step's product. Computes dx if
/// requested or needed by the embedding.
pub(crate) fn backward<R: Real>(weights: &PassWeights<'_, R>, block: &mut RowBlock<R>, with_output: bool, input: bool) {
    let model = weights.model;
    let directions = model.recurrent.directions();
    let steps = block.held.len();
    let input_part = block.input_part(model);
    for layer in (0..model.recurrent.layers).rev() {
        // Only the top layer can lack a gradient from above.
        let above = with_output || layer + 1 < model.recurrent.layers;
        let draw = block.draw_above(model, layer);
        for index in layer * directions..(layer + 1) * directions {
            let layer_direction = &model.layer_directions[index];
            if let Some(draw) = draw {
                let numbers = block.held_rows() * model.recurrent.output_size();
                let (d_output, size) = (&mut block.d_output[..numbers], model.state_size());
                let column = layer_direction.place * size;
                dropout::between(&draw, &block.mask, &block.held, index, d_output, column, size);
            }
            if block.is_last() {
                block.layer_directions[index].bias_sum.fill(R::zero());
            }
            let timer = weights.clock.begin();
            for step in 0..steps {
                let t = if layer_direction.direction == 0 { steps - 1 - step } else { step };
                backward_step(weights, block, index, t, above);
            }
            weights.clock.end(timer, Phase::Backward, || product(block.held_rows(), layer_direction.step_weights()));
            let spans = block.spans();
            let to = match layer {
                0 if model.embedding.is_some() || (input && !block.one_hot) => &mut block.d_input[input_part.clone()],
                0 => continue,
                _ => &mut block.d_below[..],
            };
            let (kept, timer) = (model.kept(), weights.clock.begin());
            for span in spans {
                let gates = &block.layer_directions[index].gates[span.start * kept..];
                let dz = MatrixRef { data: gates, stride: kept, count: span.len() };
                let dx =
                    MatrixMut { data: &mut to[span.start * layer_direction.input..], stride: layer_direction.input };
                // The second direction adds to the first.
                let beta = if layer_direction.place == 0 { Product::assign } else { Product::add };
                weights.shared.split_rows(beta(dx, dz, weights.prepared.input_back(index)));
            }
            weights
                .clock
                .end(timer, Phase::InputGradient, || product(block.held_rows(), layer_direction.weight_ih.len()));
        }
        if layer > 0 {
            std::mem::swap(&mut block.d_output, &mut block.d_below);
        }
    }
}

/// Step `t` of the current chunk.
fn backward_step<R: Real>(weights: &PassWeights<'_, R>, block: &mut RowBlock<R>, index: usize, t: usize, above: bool) {
    let model = weights.model;
    let layer_direction = &model.layer_directions[index];
    let (mask, first, state) = (&block.mask, block.held.start, &mut block.layer_directions[index]);
    let (hidden, kept, cell_state, rows) = (model.hidden(), model.kept(), model.cell_state(), mask.rows);
    let (before, _) = history_indices(layer_direction.direction, t);
    let (size, width) = (model.state_size(), rows * model.recurrent.output_size());
    let gates = &mut state.gates[t * rows * kept..][..rows * kept];
    let dh = &mut state.dh[..rows * size];
    let dc = &mut state.dc[..rows * cell_state];
    let h_before = &mut state.h[before * rows * size..][..rows * size];
    let step = step_rows(weights, index, mask, first + t);
    let c_before = &state.c[before * rows * cell_state..][..rows * cell_state];
    let d_output = above.then(|| &block.d_output[t * width..][..width]);
    let square = block.squares.get_mut(index * mask.steps + first + t);
    // A projection takes what lies above the cell, and leaves dm_t. Without one, m is h.
    let (m_before, dm, d_output, square) = if layer_direction.weight_hr.is_empty() {
        (&*h_before, &mut *dh, d_output, square)
    } else {
        let (whole, dm) = (&mut state.projected_dh[t * rows * size..][..rows * size], &mut state.dm[..rows * hidden]);
        projection::backward(step, d_output, dh, whole, square);
        let whole = MatrixRef { data: whole, stride: size, count: rows };
        let to = MatrixMut { data: &mut *dm, stride: hidden };
        weights
            .shared
            .split_columns(Product::assign(to, whole, weights.prepared.projection_back(index)), &mut state.shares);
        (&state.m[before * rows * hidden..][..rows * hidden], dm, None, None)
    };
    let of_cell = BackwardRows { step, kept: gates, h_before: m_before, c_before, d_output, dh: dm, dc, square };
    if of_cell.square.is_some() {
        // The squares are added row after row.
        model.cell.rows().backward(of_cell);
    } else {
        weights.shared.split_step(of_cell, hidden, |rows| model.cell.rows().backward(rows));
    }
    column_sum::add(&mut state.bias_sum, gates);
    let dz = MatrixRef { data: &gates[model.cell.first_recurrent() * hidden..], stride: kept, count: rows };
    let weight_hh = weights.prepared.hidden_back(index);
    if layer_direction.weight_hh.is_empty() {
        // All of dh_{t−1} is what the cell has left.
    } else if state.drops {
        let product = Product::assign(MatrixMut { data: &mut state.masked, stride: size }, dz, weight_hh);
        weights.shared.split_columns(product, &mut state.shares);
        let products = state.masked.iter().zip(&state.factors).map(|(product, factor)| *product * *factor);
        dh.iter_mut().zip(products).for_each(|(dh, product)| *dh += product);
        // The cell has read h_{t−1} itself; dW_hh needs what entered the product.
        h_before.iter_mut().zip(&state.factors).for_each(|(h, factor)| *h *= *factor);
    } else {
        let product = Product::add(MatrixMut { data: dh, stride: size }, dz, weight_hh);
        weights.shared.split_columns(product, &mut state.shares);
    }
    for row in mask.starts(layer_direction.place, first + t) {
        dh[row * size..][..size].fill(R::zero());
        dc[row * cell_state..][..cell_state].fill(R::zero());
    }
}
