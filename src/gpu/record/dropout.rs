//! Dropout masks in the forward and backward pass. The step kernels apply recurrent masks within a chunk themselves.

use super::{ALIVE, Recording, keep};
use crate::dropout::DropoutParams;
use crate::gpu::commands::builder::Binding;
use crate::gpu::commands::uniforms::{self, Dropout};
use crate::gpu::device::kernel::{DROP_IN, DROP_TO};
use crate::model::plan::{Chunk, Cost, Storage};

/// Masks the state that enters a chunk, for its first step's product.
pub(crate) fn enter(rec: &mut Recording<'_, '_>, layer_direction: usize, direction: usize, chunk: &Chunk) {
    let n = chunk.steps.len();
    let (enters, _) = Recording::border_indices(direction, n);
    let first = if direction == 0 { 0 } else { n - 1 };
    enter_step(rec, layer_direction, chunk, enters, first);
}

/// Masks the state at an index of the history, which enters step `t` of the chunk, for its product.
pub(crate) fn enter_step(rec: &mut Recording<'_, '_>, layer_direction: usize, chunk: &Chunk, index: usize, t: usize) {
    let state = rec.rows() * rec.weights.sizes.state4;
    let uniform = Dropout {
        rows: rec.rows() as u32,
        from_first: (index * state) as u32,
        to_first: (t % 2 * state) as u32,
        recurrent: 1,
        ..masks_of(rec, layer_direction)
    };
    let (h, h_masked) =
        (rec.builder.tensor(chunk.h[layer_direction]), rec.builder.tensor(rec.builder.plan.h_masked[layer_direction]));
    drop_to(rec, chunk, &h, &h_masked, uniform);
}

/// Masks the direction's half of y.
pub(crate) fn output(rec: &mut Recording<'_, '_>, layer_direction: usize, chunk: &Chunk) {
    let (directions, sizes) = (rec.weights.model.recurrent.directions(), rec.weights.sizes);
    let layer = layer_direction / directions;
    let (_, leaves) = Recording::history_indices(rec.direction(layer_direction), 0);
    let uniform = Dropout {
        rows: (chunk.steps.len() * rec.rows()) as u32,
        from_first: (leaves * rec.rows() * sizes.state4) as u32,
        ld_to: sizes.y4 as u32,
        to_first: rec.y_column(layer_direction) as u32,
        bit: ALIVE,
        t: chunk.steps.start as u32,
        ..masks_of(rec, layer_direction)
    };
    let (h, y) = (rec.builder.tensor(chunk.h[layer_direction]), rec.builder.tensor(chunk.y[layer]));
    drop_to(rec, chunk, &h, &y, uniform);
}

/// Masks the gradient of a layer's output, in its y, for all directions.
pub(crate) fn output_gradient(rec: &mut Recording<'_, '_>, layer: usize, chunk: &Chunk) {
    let sizes = rec.weights.sizes;
    let uniform = Dropout {
        rows: (chunk.steps.len() * rec.rows()) as u32,
        width: sizes.y4 as u32,
        ld_to: sizes.y4 as u32,
        bit: ALIVE,
        t: chunk.steps.start as u32,
        ..masks_of(rec, layer * rec.weights.model.recurrent.directions())
    };
    let y = rec.builder.tensor(chunk.y[layer]);
    drop_in(rec, chunk, (&y, Storage::Full), uniform);
}

/// Masks the history as it entered the products, for dW_hh; zero where a state was reset.
pub(crate) fn history(rec: &mut Recording<'_, '_>, layer_direction: usize, direction: usize, chunk: &Chunk) {
    let (enters, _) = Recording::history_indices(direction, 0);
    let uniform = Dropout {
        rows: (chunk.steps.len() * rec.rows()) as u32,
        to_first: (enters * rec.rows() * rec.weights.sizes.state4) as u32,
        bit: keep(direction),
        recurrent: 1,
        ..masks_of(rec, layer_direction)
    };
    let h = rec.builder.tensor(chunk.h[layer_direction]);
    drop_in(rec, chunk, (&h, rec.weights.sizes.storage), uniform);
}

/// The uniform for rows of one (layer, direction).
fn masks_of(rec: &Recording<'_, '_>, layer_direction: usize) -> Dropout {
    let state4 = rec.weights.sizes.state4 as u32;
    let (batch, layer_direction) = (rec.rows() as u32, layer_direction as u32);
    Dropout { width: state4, ld_from: state4, ld_to: state4, batch, state4, layer_direction, ..Dropout::default() }
}

fn drop_to(rec: &mut Recording<'_, '_>, chunk: &Chunk, from: &Binding, to: &Binding, uniform: Dropout) {
    let (flags, dropout_params) = (rec.builder.span(chunk.flags), Binding::whole(&rec.weights.dropout_params));
    let (rows, width) = (uniform.rows as usize, uniform.width as usize);
    let grid = rec.builder.limits.rows_and_columns(rows, width);
    let entry = DROP_TO.stored(rec.weights.sizes.storage);
    rec.builder.dispatch(entry, &[], &[&flags, from, to, &dropout_params], &uniform, grid, cost(rows, width));
}

fn drop_in(rec: &mut Recording<'_, '_>, chunk: &Chunk, (to, storage): (&Binding, Storage), uniform: Dropout) {
    let (flags, dropout_params) = (rec.builder.span(chunk.flags), Binding::whole(&rec.weights.dropout_params));
    let (rows, width) = (uniform.rows as usize, uniform.width as usize);
    let grid = rec.builder.limits.rows_and_columns(rows, width);
    rec.builder.dispatch(
        DROP_IN.stored(storage),
        &[],
        &[&flags, to, &dropout_params],
        &uniform,
        grid,
        cost(rows, width),
    );
}

/// Ten rounds of about thirty operations per vec4.
fn cost(rows: usize, width: usize) -> Cost {
    Cost::each(4 * rows * width, 75, 2)
}

/// The kernels' dropout parameters; `None` drops nothing.
pub(crate) fn uniform(params: Option<DropoutParams>) -> uniforms::DropoutParams {
    let Some(DropoutParams { key: [key_low, key_high], first_row, between, recurrent }) = params else {
        return uniforms::DropoutParams { scale: 1.0, recurrent_scale: 1.0, ..uniforms::DropoutParams::default() };
    };
    uniforms::DropoutParams {
        key_low,
        key_high,
        first_row,
        threshold: between.threshold,
        scale: between.scale as f32,
        recurrent_threshold: recurrent.threshold,
        recurrent_scale: recurrent.scale as f32,
    }
}
