//! The unrolled forward pass: chunk by chunk through all layers (with a reverse direction layer by layer over all
//! chunks, the reverse direction from the last one), with one dispatch per step or, if W_hh is small, per chunk.

use std::ops::Range;

use super::{ALIVE, Recording, dropout, embedding, projection};
use crate::gpu::commands::builder::{Binding, MatrixProduct};
use crate::gpu::commands::uniforms::{Copy, Step, Tokens, Transpose};
use crate::gpu::device::kernel::{GATHER, TRANSPOSE, flag, forward_step};
use crate::model::Role;
use crate::model::plan::{Chunk, Cost, StateKind};

/// All layers over a sequence of chunks: from x and the initial states to the final states, and to the y of every layer
/// below the last whose output differs from its history.
pub(crate) fn forward(rec: &mut Recording<'_, '_>, chunk_range: Range<usize>) {
    embedding::look_up(rec, chunk_range.clone());
    for layer in 0..rec.weights.model.recurrent.layers {
        for chunk_index in chunk_range.clone() {
            forward_chunks(rec, layer, chunk_index);
        }
        if layer + 1 < rec.weights.model.recurrent.layers && !rec.outputs_history(layer) {
            outputs(rec, layer, chunk_range.clone());
        }
    }
}

/// W_ih of the first layer with a token's column as a row, if the plan has room for it.
pub(crate) fn transpose_token_weights(rec: &mut Recording<'_, '_>) {
    let copies = &rec.builder.plan.token_weights;
    for (layer_direction, copy) in rec.of_layer(0).zip(copies) {
        let weight = rec.weights.parameter(Role::WeightIh { layer_direction });
        let (rows4, columns4) = (rec.weights.sizes.input4, weight.ld);
        let uniform = Transpose { rows4: rows4 as u32, columns4: columns4 as u32 };
        let (grid, cost) =
            (rec.builder.limits.rows_and_columns(columns4, rows4), Cost::each(16 * rows4 * columns4, 1, 2));
        let copy = rec.builder.tensor(*copy);
        rec.builder.dispatch(TRANSPOSE, &[], &[&weight.binding, &copy], &uniform, grid, cost);
    }
}

/// The y of a layer.
pub(crate) fn outputs(rec: &mut Recording<'_, '_>, layer: usize, chunk_range: Range<usize>) {
    for chunk in &rec.builder.plan.chunks[chunk_range] {
        for layer_direction in rec.of_layer(layer) {
            output(rec, layer, layer_direction, chunk);
        }
    }
}

/// Saves the states that left the previous chunk as those entering this one, if the rest is recomputed.
pub(crate) fn keep(rec: &mut Recording<'_, '_>, chunk_index: usize) {
    let chunk = rec.chunk(0, chunk_index);
    if chunk_index > 0 && chunk.border.is_some() {
        let before = rec.chunk(0, chunk_index - 1);
        let recurrent = &rec.weights.model.recurrent;
        for kind in StateKind::of(recurrent) {
            for layer_direction in 0..recurrent.num_layer_directions() {
                let of = (*kind, layer_direction);
                let from = rec.history_position(before, of, before.steps.len());
                rec.builder.copy(from, rec.border_position(chunk, of), rec.state_bytes(*kind));
            }
        }
    }
}

/// The chunks at index `chunk_index` in every direction's order. The directions alternate, so that a device may overlap them.
fn forward_chunks(rec: &mut Recording<'_, '_>, layer: usize, chunk_index: usize) {
    let mut longest = 0;
    for layer_direction in rec.of_layer(layer) {
        let direction = rec.direction(layer_direction);
        let chunk = rec.chunk(direction, chunk_index);
        longest = longest.max(chunk.steps.len());
        project(rec, layer, layer_direction, chunk);
        if chunk.border.is_some() {
            enter(rec, layer_direction, chunk);
        } else if chunk_index > 0 {
            enter_from_previous(rec, layer_direction, direction, chunk_index);
        }
        if rec.drops_recurrent() {
            dropout::enter(rec, layer_direction, direction, chunk);
        }
    }
    let most = rec.builder.plan.step.count;
    for s in (0..longest).step_by(most) {
        for layer_direction in rec.of_layer(layer) {
            let direction = rec.direction(layer_direction);
            let chunk = rec.chunk(direction, chunk_index);
            let n = chunk.steps.len();
            if s < n {
                let t = if direction == 0 { s } else { n - 1 - s };
                let step = rec.step(layer_direction, t, most.min(n - s));
                forward_steps(rec, layer_direction, chunk, step);
            }
        }
    }
}

/// z = x · W_ihᵀ + b_ih for all steps of the chunk at once; for a token, its column of W_ih.
fn project(rec: &mut Recording<'_, '_>, layer: usize, layer_direction: usize, chunk: &Chunk) {
    let rows = chunk.steps.len() * rec.rows();
    let weight = rec.weights.parameter(Role::WeightIh { layer_direction });
    let bias = rec.weights.parameter(Role::BiasIh { layer_direction });
    let z = rec.builder.matrix(chunk.z[layer_direction], 0, rec.weights.sizes.z4);
    let n4 = rec.weights.sizes.input4;
    match (rec.input(layer, chunk), chunk.tokens) {
        (Some(x), _) => rec.builder.matmul(MatrixProduct {
            sides: (false, true),
            a: &x,
            b: &weight,
            bias: Some(&bias.binding),
            c: &z,
            m: rows,
            n4,
            k: 4 * weight.ld,
            accumulate: false,
        }),
        (None, Some([tokens, ..])) => {
            let copy = rec.builder.plan.token_weights.get(layer_direction).map(|copy| rec.builder.tensor(*copy));
            let constants = [("TRANSPOSED_W", flag(copy.is_some()))];
            let uniform = Tokens { rows: rows as u32, n4: n4 as u32, ldz: z.ld as u32, ldw: 4 * weight.ld as u32 };
            let weight = copy.unwrap_or(weight.binding);
            let bindings = [&rec.builder.span(tokens), &weight, &bias.binding, &z.binding];
            let grid = rec.builder.limits.rows_and_columns(rows, n4);
            rec.builder.dispatch(
                GATHER.stored(z.storage),
                &constants,
                &bindings,
                &uniform,
                grid,
                Cost::each(4 * rows * n4, 1, 2),
            );
        }
        (None, None) => unreachable!("a chunk has x or tokens"),
    }
}

/// The saved states of a (layer, direction) enter the chunk.
fn enter(rec: &mut Recording<'_, '_>, layer_direction: usize, chunk: &Chunk) {
    for kind in StateKind::of(&rec.weights.model.recurrent) {
        let of = (*kind, layer_direction);
        let (from, to) = (rec.border_position(chunk, of), rec.history_position(chunk, of, 0));
        rec.builder.copy(from, to, rec.state_bytes(*kind));
    }
}

/// The state that left the previous chunk, in the direction's order, enters this one.
fn enter_from_previous(rec: &mut Recording<'_, '_>, layer_direction: usize, direction: usize, chunk_index: usize) {
    let (before, chunk) = (rec.chunk(direction, chunk_index - 1), rec.chunk(direction, chunk_index));
    let (_, leaves) = Recording::border_indices(direction, before.steps.len());
    let (enters, _) = Recording::border_indices(direction, chunk.steps.len());
    for kind in StateKind::of(&rec.weights.model.recurrent) {
        let of = (*kind, layer_direction);
        let (from, to) = (rec.history_position(before, of, leaves), rec.history_position(chunk, of, enters));
        rec.builder.copy(from, to, rec.state_bytes(*kind));
    }
}

fn forward_steps(rec: &mut Recording<'_, '_>, layer_direction: usize, chunk: &Chunk, mut step: Step) {
    let has_w_hh = rec.weights.sizes.recurrent4 > 0;
    let weight = has_w_hh.then(|| rec.weights.forward_weights(layer_direction));
    let vectors = rec.weights.step_vectors(layer_direction);
    if let Some(vectors) = &vectors {
        (step.parameter_first, step.parameter_ld) = (vectors.first, vectors.ld);
    }
    let (flags, z, h) = (
        rec.builder.span(chunk.flags),
        rec.builder.tensor(chunk.z[layer_direction]),
        rec.builder.tensor(chunk.h[layer_direction]),
    );
    let c = chunk.c.get(layer_direction).map(|c| rec.builder.tensor(*c));
    let m = chunk.m.get(layer_direction).map(|m| rec.builder.tensor(*m));
    // A binding is required even without recurrent dropout; the carry belongs to this layer and is unused until
    // backward.
    let h_masked = rec
        .builder
        .tensor(*rec.builder.plan.h_masked.get(layer_direction).unwrap_or(&rec.builder.plan.carries[layer_direction]));
    let dropout_params = Binding::whole(&rec.weights.dropout_params);
    let mut bindings = vec![&flags];
    bindings.extend(&weight);
    bindings.extend(vectors.iter().map(|vectors| &vectors.binding));
    bindings.extend([&z, &h]);
    bindings.extend(&c);
    bindings.extend(&m);
    bindings.extend([&h_masked].into_iter().filter(|_| has_w_hh));
    // The kernel of a projected h does not mask it.
    bindings.extend([&dropout_params].into_iter().filter(|_| has_w_hh && m.is_none()));
    let shape = rec.builder.plan.step.forward;
    let mut constants = rec.step_constants(&shape);
    constants.push(("TRANSPOSED_W", flag(rec.weights.packed.is_some())));
    let cost = Cost::forward_steps(shape.grid, rec.rows(), &rec.weights.sizes, c.is_some()).times(step.count as usize);
    let entry =
        forward_step(rec.weights.model.recurrent.cell, m.is_some(), shape.form).stored(rec.weights.sizes.storage);
    rec.builder.dispatch(entry, &constants, &bindings, &step, shape.grid, cost);
    if m.is_some() {
        projection::forward(rec, layer_direction, chunk, step);
    }
}

/// The direction's half of y: the states after each step, 0 at padding; masked if a layer follows.
fn output(rec: &mut Recording<'_, '_>, layer: usize, layer_direction: usize, chunk: &Chunk) {
    if rec.drops_above(layer) {
        return dropout::output(rec, layer_direction, chunk);
    }
    let (_, leaves) = Recording::history_indices(rec.direction(layer_direction), 0);
    let width = 4 * rec.weights.sizes.state4;
    let rows = chunk.steps.len() * rec.rows();
    let uniform = Copy {
        rows: rows as u32,
        width: width as u32,
        columns: width as u32,
        ld_from: width as u32,
        from_first: (leaves * rec.rows() * width) as u32,
        ld_to: 4 * rec.weights.sizes.y4 as u32,
        to_first: 4 * rec.y_column(layer_direction) as u32,
        masked: 1,
        bit: ALIVE,
    };
    let h = rec.builder.tensor(chunk.h[layer_direction]);
    let (flags, y) = (rec.builder.span(chunk.flags), rec.builder.tensor(chunk.y[layer]));
    rec.copy(&flags, (&h, rec.weights.sizes.storage), &y, uniform);
}
