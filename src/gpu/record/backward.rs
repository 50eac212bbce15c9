//! The backward pass over time: chunks in reverse order, and within each the layers from top to bottom (with a
//! reverse direction layer by layer, each over all chunks). One dispatch per step or chunk computes dz; the weight
//! gradients of a layer are then one product each over all steps of a chunk. That sum over T·B is the chain rule's sum
//! over time; `+=` adds chunks and micro-batches.

use std::ops::Range;

use super::{Recording, dropout, embedding, keep, projection};
use crate::gpu::commands::builder::{Binding, MatrixProduct, WeightGradient};
use crate::gpu::commands::uniforms::{Copy, GradientNorms, Step, Tokens};
use crate::gpu::device::kernel::{GRADIENT_NORMS, MASK, SCATTER, backward_step};
use crate::model::Role;
use crate::model::plan::{Chunk, Cost, StateKind};

/// All layers over a sequence of chunks: from dy in the last layer's y and the carries to every gradient sum, dx, and
/// the gradient of the entering states in the carries, finally dh_0.
pub(crate) fn backward(rec: &mut Recording<'_, '_>, chunk_range: Range<usize>, resets: bool) {
    let recurrent = &rec.weights.model.recurrent;
    for layer in (0..recurrent.layers).rev() {
        for chunk_index in chunk_range.clone().rev() {
            backward_chunks(rec, layer, chunk_index);
        }
        for chunk in &rec.builder.plan.chunks[chunk_range.clone()] {
            for layer_direction in rec.of_layer(layer) {
                let direction = rec.direction(layer_direction);
                match (rec.drops_recurrent(), resets) {
                    (true, _) => dropout::history(rec, layer_direction, direction, chunk),
                    (false, true) => mask_history(rec, layer_direction, direction, chunk),
                    (false, false) => {}
                }
                weight_gradients(rec, layer, layer_direction, direction, chunk);
                gradient_norms(rec, layer, layer_direction, chunk);
            }
            input_gradient(rec, layer, chunk);
        }
    }
    embedding::scatter_gradients(rec, chunk_range);
}

/// The chunks at index `chunk_index` in every direction's forward order, backward in time. The directions alternate.
fn backward_chunks(rec: &mut Recording<'_, '_>, layer: usize, chunk_index: usize) {
    let steps = |layer_direction| rec.chunk(rec.direction(layer_direction), chunk_index).steps.len();
    let longest = rec.of_layer(layer).map(steps).max().unwrap_or(0);
    // One more step than there are: the last product gives the gradient of the entering state.
    let most = rec.builder.plan.step.count;
    for s in (0..=longest).step_by(most) {
        for layer_direction in rec.of_layer(layer) {
            let direction = rec.direction(layer_direction);
            let chunk = rec.chunk(direction, chunk_index);
            let n = chunk.steps.len();
            if s > n {
                continue;
            }
            let count = most.min(n + 1 - s);
            // Step n is beyond the chunk: it has no states, and only the step before it contributes.
            let at = |s: usize| if direction == 0 { (n as u32).wrapping_sub(1 + s as u32) } else { s as u32 };
            let (index_in, index_out) = Recording::history_indices(direction, 0);
            let step = Step {
                t: at(s),
                t_step: if direction == 0 { u32::MAX } else { 1 },
                index_in: at(s).wrapping_add(index_in as u32),
                index_out: at(s).wrapping_add(index_out as u32),
                product: u32::from(s > 0),
                epilogue: u32::from(s + count <= n),
                ..rec.step(layer_direction, 0, count)
            };
            backward_steps(rec, layer, layer_direction, chunk, step);
        }
    }
}

fn backward_steps(rec: &mut Recording<'_, '_>, layer: usize, layer_direction: usize, chunk: &Chunk, mut step: Step) {
    if rec.weights.model.recurrent.proj_size.is_some() {
        return projection::backward(rec, layer, layer_direction, chunk, step);
    }
    let flags = rec.builder.span(chunk.flags);
    let weights = rec.weights.step_weights(layer_direction);
    if let Some(weights) = &weights {
        (step.parameter_first, step.parameter_ld) = (weights.first, weights.ld);
    }
    let (z, h, dy) = (
        rec.builder.tensor(chunk.z[layer_direction]),
        rec.builder.tensor(chunk.h[layer_direction]),
        rec.builder.tensor(chunk.y[layer]),
    );
    let c = chunk.c.get(layer_direction).map(|c| rec.builder.tensor(*c));
    let carry = rec.builder.tensor(rec.builder.plan.carries[layer_direction]);
    let dropout_params = Binding::whole(&rec.weights.dropout_params);
    let mut bindings = vec![&flags];
    bindings.extend(weights.iter().map(|weights| &weights.binding));
    bindings.extend([&z, &h]);
    bindings.extend(&c);
    bindings.extend([&dy, &carry]);
    bindings.extend([&dropout_params].into_iter().filter(|_| rec.weights.sizes.recurrent4 > 0));
    let shape = rec.builder.plan.step.backward;
    let constants = rec.step_constants(&shape);
    let cost = Cost::backward_steps(shape.grid, rec.rows(), &rec.weights.sizes, c.is_some()).times(step.count as usize);
    let entry = backward_step(rec.weights.model.recurrent.cell, rec.gradient_norms.is_some(), shape.form)
        .stored(rec.weights.sizes.storage);
    rec.builder.dispatch(entry, &constants, &bindings, &step, shape.grid, cost);
}

/// Clears the history where a state was reset, so that dW_hh uses the state that actually entered.
fn mask_history(rec: &mut Recording<'_, '_>, layer_direction: usize, direction: usize, chunk: &Chunk) {
    // In words: of cleared halves all bits are 0 too.
    let width = rec.state_bytes(StateKind::H) as usize / (4 * rec.rows());
    let rows = chunk.steps.len() * rec.rows();
    let (enters, _) = Recording::history_indices(direction, 0);
    let uniform = Copy {
        rows: rows as u32,
        width: width as u32,
        ld_to: width as u32,
        to_first: (enters * rec.rows() * width) as u32,
        bit: keep(direction),
        ..Copy::default()
    };
    let bindings = [&rec.builder.span(chunk.flags), &rec.builder.tensor(chunk.h[layer_direction])];
    let grid = rec.builder.limits.rows_and_columns(rows, width);
    rec.builder.dispatch(MASK, &[], &bindings, &uniform, grid, Cost::each(rows * width, 1, 1));
}

/// dW_hh += dzᵀ · h_{t−1}, dW_ih += dzᵀ · x, db += Σ dz, over all steps of the chunk.
fn weight_gradients(
    rec: &mut Recording<'_, '_>,
    layer: usize,
    layer_direction: usize,
    direction: usize,
    chunk: &Chunk,
) {
    let sizes = rec.weights.sizes;
    let k = chunk.steps.len() * rec.rows();
    let n4 = sizes.input4;
    let dz_input = rec.dz(layer_direction, chunk, 0);
    let dz_recurrent = rec.dz(layer_direction, chunk, sizes.recurrent_column);
    let (enters, _) = Recording::history_indices(direction, 0);
    let h = rec.builder.matrix(chunk.h[layer_direction], enters * rec.rows() * sizes.state4, sizes.state4);
    let dw_ih = rec.weights.gradient(Role::WeightIh { layer_direction });
    let dw_hh = (sizes.recurrent4 > 0).then(|| rec.weights.gradient(Role::WeightHh { layer_direction }));
    let x = rec.input(layer, chunk);
    let mut products = Vec::new();
    products.extend(dw_hh.as_ref().map(|c| WeightGradient {
        a: &dz_recurrent,
        b: &h,
        c,
        m: 4 * sizes.recurrent4,
        n4: sizes.state4,
    }));
    products.extend(x.as_ref().map(|x| WeightGradient { a: &dz_input, b: x, c: &dw_ih, m: 4 * n4, n4: x.ld }));
    rec.builder.weight_gradients(k, &products);
    projection::weight_gradient(rec, layer, layer_direction, chunk);
    match (&x, chunk.tokens) {
        (Some(_), _) => {}
        (None, Some([_, starts, order])) => {
            let tokens = rec.weights.model.recurrent.input_size;
            let uniform = Tokens { rows: tokens as u32, n4: n4 as u32, ldz: sizes.z4 as u32, ldw: 4 * dw_ih.ld as u32 };
            let bindings = [&rec.builder.span(starts), &rec.builder.span(order), &dz_input.binding, &dw_ih.binding];
            let grid = rec.builder.limits.rows_and_columns(tokens, n4);
            rec.builder.dispatch(
                SCATTER.stored(dz_input.storage),
                &[],
                &bindings,
                &uniform,
                grid,
                Cost::sums(k * n4, tokens * n4),
            );
        }
        (None, None) => unreachable!("a chunk has x or tokens"),
    }
    let gradient = |role| rec.weights.gradient(role);
    let mut vectors = Vec::new();
    if rec.weights.model.recurrent.bias {
        vectors.push((0, gradient(Role::BiasIh { layer_direction })));
        if sizes.recurrent4 > 0 {
            vectors.push((sizes.recurrent_column, gradient(Role::BiasHh { layer_direction })));
        }
    }
    // The steps' parts of the gradients of the cell's own parameters lie behind the gradients of the sums.
    let own = rec.weights.model.recurrent.cell.definition().parameters().len();
    let sums = sizes.recurrent_column + sizes.recurrent4;
    vectors.extend(
        (0..own).map(|index| (sums + index * sizes.h4, gradient(Role::CellParameter { layer_direction, index }))),
    );
    if !vectors.is_empty() {
        let vectors: Vec<_> = vectors.iter().map(|(column, vector)| (*column, vector)).collect();
        rec.builder.column_sums(&dz_input, k, &vectors);
    }
    rec.builder.reduce(&rec.weights.gradients);
}

/// The norms of dh_t, which the steps have stored in place of dy, if requested.
fn gradient_norms(rec: &mut Recording<'_, '_>, layer: usize, layer_direction: usize, chunk: &Chunk) {
    let Some(norms) = &rec.gradient_norms else { return };
    let (sizes, rows) = (rec.weights.sizes, rec.rows());
    let count = rows * sizes.state4;
    let parts = rec.builder.plan.gradient_norm_parts();
    let uniform = GradientNorms {
        count: count as u32,
        state4: sizes.state4 as u32,
        y4: sizes.y4 as u32,
        y_column: rec.y_column(layer_direction) as u32,
        first: ((layer_direction * rec.builder.plan.steps + chunk.steps.start) * parts) as u32,
    };
    let bindings = [&rec.builder.tensor(chunk.y[layer]), norms];
    let grid = [chunk.steps.len() as u32, parts as u32, 1];
    rec.builder.dispatch(
        GRADIENT_NORMS,
        &[],
        &bindings,
        &uniform,
        grid,
        Cost::each(4 * chunk.steps.len() * count, 4, 1),
    );
}

/// dy of the layer below, through the masks between them, or dx: Σ over directions of dz · W_ih.
fn input_gradient(rec: &mut Recording<'_, '_>, layer: usize, chunk: &Chunk) {
    let target = match layer {
        0 => chunk.dx.map(|dx| rec.builder.matrix(dx, 0, rec.weights.sizes.x4)),
        _ => Some(rec.y(layer - 1, chunk)),
    };
    let Some(target) = target else { return };
    let directions = rec.of_layer(layer);
    for layer_direction in directions.clone() {
        let dz = rec.dz(layer_direction, chunk, 0);
        let weight = rec.weights.parameter(Role::WeightIh { layer_direction });
        rec.builder.matmul(MatrixProduct {
            sides: (false, false),
            a: &dz,
            b: &weight,
            bias: None,
            c: &target,
            m: chunk.steps.len() * rec.rows(),
            n4: target.ld,
            k: 4 * rec.weights.sizes.input4,
            accumulate: layer_direction > directions.start,
        });
    }
    if layer > 0 && rec.drops_above(layer - 1) {
        dropout::output_gradient(rec, layer - 1, chunk);
    }
}
