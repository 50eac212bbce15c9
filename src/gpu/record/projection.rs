//! The products with W_hr around the steps of a cell whose h is projected: a dispatch each, before and after every step.

use super::{Recording, dropout};
use crate::gpu::commands::builder::{Binding, Matrix, MatrixProduct, WeightGradient};
use crate::gpu::commands::uniforms::Step;
use crate::gpu::device::kernel::{dh_step, projected_backward_step};
use crate::model::Role;
use crate::model::plan::{Chunk, Cost, Storage};

/// After a forward step: h_t += m_t · W_hrᵀ, and with recurrent dropout h_t through its mask for the next step.
pub(crate) fn forward(rec: &mut Recording<'_, '_>, layer_direction: usize, chunk: &Chunk, step: Step) {
    let (rows, sizes) = (rec.rows(), rec.weights.sizes);
    let (t, index) = (step.t as usize, step.index_out as usize);
    let m = rec.builder.matrix(chunk.m[layer_direction], t * rows * sizes.h4, sizes.h4);
    let h = rec.builder.matrix(chunk.h[layer_direction], index * rows * sizes.state4, sizes.state4);
    let weight = rec.weights.parameter(Role::WeightHr { layer_direction });
    rec.builder.matmul(MatrixProduct {
        sides: (false, true),
        a: &m,
        b: &weight,
        bias: None,
        c: &h,
        m: rows,
        n4: sizes.state4,
        k: 4 * sizes.h4,
        accumulate: true,
    });
    if rec.drops_recurrent() {
        // The next step's t has the other parity.
        dropout::enter_step(rec, layer_direction, chunk, index, t + 1);
    }
}

/// A backward step: dh_t over dy_t, dm_t = dh_t · W_hr, then the cell. Beyond the chunk the first part alone, which leaves
/// the gradient of the entering state in the carry.
pub(crate) fn backward(rec: &mut Recording<'_, '_>, layer: usize, layer_direction: usize, chunk: &Chunk, step: Step) {
    let (plan, cell) = (&rec.builder.plan.step, rec.weights.model.recurrent.cell);
    let (rows, sizes) = (rec.rows(), rec.weights.sizes);
    let flags = rec.builder.span(chunk.flags);
    let weights = rec.weights.step_weights(layer_direction);
    let (z, dy) = (rec.builder.tensor(chunk.z[layer_direction]), rec.builder.tensor(chunk.y[layer]));
    let (carry_of_h, dropout_params) = (rec.carry_of_h(layer_direction), Binding::whole(&rec.weights.dropout_params));
    let mut bindings = vec![&flags];
    bindings.extend(weights.iter().map(|weights| &weights.binding));
    bindings.extend([&z, &dy, &carry_of_h, &dropout_params]);
    let product = plan.backward;
    let constants = rec.step_constants(&product);
    let cost = Cost::step_dh(product.grid, rows, &sizes);
    let storage = sizes.storage;
    rec.builder.dispatch(dh_step(cell, product.form).stored(storage), &constants, &bindings, &step, product.grid, cost);
    if step.epilogue == 0 {
        return;
    }
    let carry = rec.builder.tensor(rec.builder.plan.carries[layer_direction]);
    let whole = dh(rec, layer, layer_direction, chunk);
    let whole = Matrix { first: whole.first + step.t as usize * rows * sizes.y4, ..whole };
    rec.builder.matmul(MatrixProduct {
        sides: (false, false),
        a: &whole,
        b: &rec.weights.parameter(Role::WeightHr { layer_direction }),
        bias: None,
        c: &Matrix { binding: carry.clone(), first: 0, ld: sizes.h4, storage: Storage::Full },
        m: rows,
        n4: sizes.h4,
        k: 4 * sizes.state4,
        accumulate: false,
    });
    let c = chunk.c.get(layer_direction).map(|c| rec.builder.tensor(*c));
    let mut bindings = vec![&flags, &z];
    bindings.extend(&c);
    bindings.push(&carry);
    let cost = Cost::projected_cell(rows, &sizes, c.is_some());
    let shape = plan.projected_backward;
    let constants = rec.step_constants(&shape);
    let entry = projected_backward_step(cell, shape.form).stored(storage);
    rec.builder.dispatch(entry, &constants, &bindings, &step, shape.grid, cost);
}

/// dW_hr += dh_tᵀ · m_t over all steps of the chunk, if h is projected.
pub(crate) fn weight_gradient(rec: &mut Recording<'_, '_>, layer: usize, layer_direction: usize, chunk: &Chunk) {
    let Some(m) = chunk.m.get(layer_direction) else { return };
    let (sizes, k) = (rec.weights.sizes, chunk.steps.len() * rec.rows());
    let (dh, m) = (dh(rec, layer, layer_direction, chunk), rec.builder.matrix(*m, 0, sizes.h4));
    let gradient = rec.weights.gradient(Role::WeightHr { layer_direction });
    let product = WeightGradient { a: &dh, b: &m, c: &gradient, m: 4 * sizes.state4, n4: sizes.h4 };
    rec.builder.weight_gradients(k, &[product]);
}

/// The whole dh_t of every step, which the steps store in the direction's columns of y.
fn dh(rec: &Recording<'_, '_>, layer: usize, layer_direction: usize, chunk: &Chunk) -> Matrix {
    Matrix { first: rec.y_column(layer_direction), ..rec.y(layer, chunk) }
}
