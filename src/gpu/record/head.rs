//! The head: logits, loss with its gradient, and the backward pass.

use std::ops::Range;

use super::Recording;
use crate::gpu::commands::builder::{Matrix, MatrixProduct, WeightGradient};
use crate::gpu::commands::uniforms::{Copy, Mean};
use crate::gpu::device::kernel::{MEAN, SPREAD, ShaderEntry};
use crate::model::plan::{Cost, Predictions, Span, Storage, TensorId};
use crate::model::{Head, Readout, Role};

/// Adds some chunks to the features of a head over the mean of all steps.
pub(crate) fn features(rec: &mut Recording<'_, '_>, chunk_range: Range<usize>) {
    for run in &rec.builder.plan.predictions {
        if let Some(shares) = run.shares {
            over_steps(rec, MEAN, shares, run.features, chunk_range.clone());
        }
    }
}

/// The head's input for a range of predictions.
fn head_input(rec: &Recording<'_, '_>, head: &Head, run: &Predictions) -> Matrix {
    match head.readout {
        Readout::PerStep => {
            rec.layer_output(rec.weights.model.recurrent.layers - 1, &rec.builder.plan.chunks[run.chunk])
        }
        Readout::Final | Readout::MeanPool => rec.builder.matrix(run.features, 0, rec.weights.sizes.y4),
    }
}

/// The logits of some ranges of predictions.
pub(crate) fn logits(rec: &mut Recording<'_, '_>, head: &Head, runs: Range<usize>) {
    let sizes = rec.weights.sizes;
    for run in &rec.builder.plan.predictions[runs] {
        if head.readout == Readout::Final {
            final_states(rec, run.features);
        }
        let features = head_input(rec, head, run);
        let (weight, bias) = (rec.weights.parameter(Role::HeadWeight), rec.weights.parameter(Role::HeadBias));
        let logits = rec.builder.matrix(run.logits, 0, sizes.o4);
        rec.builder.matmul(MatrixProduct {
            sides: (false, true),
            a: &features,
            b: &weight,
            bias: Some(&bias.binding),
            c: &logits,
            m: run.rows,
            n4: sizes.o4,
            k: 4 * sizes.y4,
            accumulate: false,
        });
    }
}

/// Concatenates the final states of both directions, as the features of a head at the last step.
fn final_states(rec: &mut Recording<'_, '_>, features: TensorId) {
    let recurrent = &rec.weights.model.recurrent;
    for layer_direction in rec.of_layer(recurrent.layers - 1) {
        let direction = rec.direction(layer_direction);
        let chunk = rec.chunk(direction, rec.builder.plan.chunks.len() - 1);
        let (_, leaves) = Recording::border_indices(direction, chunk.steps.len());
        let uniform = state_columns(rec, layer_direction, leaves * rec.rows() * 4 * rec.weights.sizes.state4, false);
        let (flags, h) = (rec.builder.span(chunk.flags), rec.builder.tensor(chunk.h[layer_direction]));
        let features = rec.builder.tensor(features);
        rec.copy(&flags, (&h, rec.weights.sizes.storage), &features, uniform);
    }
}

/// `MEAN`: the features from the last layer's y in some chunks. `SPREAD`: the gradient of y from theirs.
fn over_steps(
    rec: &mut Recording<'_, '_>,
    entry: ShaderEntry,
    shares: Span,
    features: TensorId,
    chunk_range: Range<usize>,
) {
    let (rows, n4) = (rec.rows(), rec.weights.sizes.y4);
    let (shares, features) = (rec.builder.span(shares), rec.builder.tensor(features));
    for chunk in &rec.builder.plan.chunks[chunk_range] {
        let steps = chunk.steps.len();
        let accumulate = u32::from(chunk.steps.start > 0);
        let uniform = Mean { steps: steps as u32, rows: rows as u32, n4: n4 as u32, accumulate };
        let y = rec.builder.tensor(chunk.y[rec.weights.model.recurrent.layers - 1]);
        let (grid, cost) = (rec.builder.limits.elements(rows * n4), Cost::sums(steps * rows * n4, rows * n4));
        rec.builder.dispatch(entry, &[], &[&shares, &features, &y], &uniform, grid, cost);
    }
}

/// Copies B rows of a direction's states to its columns of the features, or back.
fn state_columns(rec: &Recording<'_, '_>, layer_direction: usize, first: usize, back: bool) -> Copy {
    let (narrow, wide) = (4 * rec.weights.sizes.state4, 4 * rec.weights.sizes.y4);
    let column = 4 * rec.y_column(layer_direction) as u32;
    let (ld_from, ld_to) = if back { (wide, narrow) } else { (narrow, wide) };
    let (from_first, to_first) = if back { (column, first as u32) } else { (first as u32, column) };
    Copy {
        rows: rec.rows() as u32,
        width: narrow as u32,
        columns: narrow as u32,
        ld_from: ld_from as u32,
        from_first,
        ld_to: ld_to as u32,
        to_first,
        masked: 0,
        bit: 0,
    }
}

/// Clears the carries.
pub(crate) fn clear_carries(rec: &mut Recording<'_, '_>) {
    let plan = rec.builder.plan;
    plan.carries.iter().chain(&plan.projected_carries).for_each(|carry| rec.clear(*carry));
}

/// dy of some chunks, in the last layer's y, for a head with one prediction per row. Zero for one at the last step,
/// whose gradient is in the carries.
pub(crate) fn output_gradient(rec: &mut Recording<'_, '_>, head: &Head, chunk_range: Range<usize>) {
    let last = rec.weights.model.recurrent.layers - 1;
    if head.readout == Readout::Final {
        rec.builder.plan.chunks[chunk_range.clone()].iter().for_each(|chunk| rec.clear(chunk.y[last]));
    }
    for run in &rec.builder.plan.predictions {
        if let Some(shares) = run.shares {
            over_steps(rec, SPREAD, shares, run.features, chunk_range.clone());
        }
    }
}

/// dW_hy, db_y and the gradient of the features of some ranges of predictions: in the last layer's y for a head at
/// every step, in the carries for one at the last step.
pub(crate) fn backward(rec: &mut Recording<'_, '_>, head: &Head, runs: Range<usize>) {
    let sizes = rec.weights.sizes;
    let recurrent = &rec.weights.model.recurrent;
    for run in &rec.builder.plan.predictions[runs] {
        let da = rec.builder.matrix(run.logits, 0, sizes.o4);
        let (features, d_features) = (head_input(rec, head, run), rec.builder.matrix(run.features, 0, sizes.y4));
        let weight = rec.weights.parameter(Role::HeadWeight);
        let (dw, db) = (rec.weights.gradient(Role::HeadWeight), rec.weights.gradient(Role::HeadBias));
        let product = WeightGradient { a: &da, b: &features, c: &dw, m: 4 * sizes.o4, n4: sizes.y4 };
        rec.builder.weight_gradients(run.rows, &[product]);
        rec.builder.column_sums(&da, run.rows, &[(0, &db)]);
        rec.builder.reduce(&rec.weights.gradients);
        rec.builder.matmul(MatrixProduct {
            sides: (false, false),
            a: &da,
            b: &weight,
            bias: None,
            c: &d_features,
            m: run.rows,
            n4: sizes.y4,
            k: 4 * sizes.o4,
            accumulate: false,
        });
        if head.readout == Readout::Final {
            for layer_direction in rec.of_layer(recurrent.layers - 1) {
                let uniform = state_columns(rec, layer_direction, 0, true);
                let flags = rec.builder.span(rec.builder.plan.chunks[0].flags);
                let carry = rec.carry_of_h(layer_direction);
                rec.copy(&flags, (&d_features.binding, Storage::Full), &carry, uniform);
            }
        }
    }
}
