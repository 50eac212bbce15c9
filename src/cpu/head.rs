//! The head of a block: logits, loss and da, and their way back into the stack.

use ndarray::{ArrayView1, s};

use super::block::Block;
use super::matmul::{add, assign, view, view_mut};
use super::unroll::Weights;
use super::{column_sum, loss};
use crate::batch::{Batch, Targets};
use crate::model::{At, Head, Loss};
use crate::real::Real;

/// The rows of the head's products in a block, and what they read.
pub(super) fn features<'a, R: Real>(head: &Head, block: &'a Block<R>) -> (usize, &'a [R]) {
    match head.at {
        At::Every => (block.mask.steps * block.mask.rows, block.outputs.last().map_or(&[], Vec::as_slice)),
        At::Last => (block.mask.rows, &block.head.features),
    }
}

/// a = features · W_hyᵀ + b_y.
pub(super) fn logits<R: Real>(weights: &Weights<'_, R>, block: &mut Block<R>) {
    let network = weights.network;
    let (Some(head), Some((weight, bias))) = (&network.head, &network.head_weights) else { return };
    let width = network.recurrent.output_size();
    if head.at == At::Last {
        gather_final(weights, block);
    }
    let mut logits = std::mem::take(&mut block.head.logits);
    let (rows, features) = features(head, block);
    let bias = &weights.parameters[bias.clone()];
    logits[..rows * head.outputs].chunks_exact_mut(head.outputs).for_each(|logits| logits.copy_from_slice(bias));
    add(
        view_mut(&mut logits, rows, head.outputs, head.outputs),
        view(features, rows, width, width),
        view(&weights.parameters[weight.clone()], head.outputs, width, width).transpose(),
    );
    block.head.logits = logits;
}

/// The last layer's final states, both directions side by side.
fn gather_final<R: Real>(weights: &Weights<'_, R>, block: &mut Block<R>) {
    let network = weights.network;
    let (hidden, directions) = (network.hidden(), network.recurrent.directions());
    let mut features = std::mem::take(&mut block.head.features);
    for direction in 0..directions {
        let stack = network.stacks.len() - directions + direction;
        let rows = features.chunks_exact_mut(directions * hidden);
        for (to, from) in rows.zip(block.final_h(network, stack).chunks_exact(hidden)) {
            to[direction * hidden..][..hidden].copy_from_slice(from);
        }
    }
    block.head.features = features;
}

/// Σ w·loss of the block, and da over the logits: 0 where the weight is.
pub(super) fn loss<R: Real>(head: &Head, block: &mut Block<R>, batch: &Batch) {
    let (rows, outputs) = (block.mask.rows, head.outputs);
    let mut sum = 0.0;
    for (index, a) in block.head.logits.chunks_exact_mut(outputs).enumerate() {
        let (p, row) = (index / rows, block.first_row + index % rows);
        if p >= head.predictions(block.mask.steps) {
            break;
        }
        let weight = f64::from(batch.weight(p, row));
        if weight == 0.0 {
            // Neither the logit nor the target is read: 0 · NaN would be NaN.
            a.fill(R::zero());
            continue;
        }
        let factor = weight * head.output_factor();
        sum += match &batch.targets {
            Targets::Values(y) => values_loss(&head.loss, a, y.slice(s![p, row, ..]), factor),
            Targets::Classes(classes) => {
                loss::cross_entropy(a, classes[[p, row]] as usize, head.loss.smoothing(), factor)
            }
        };
    }
    block.head.loss = sum;
}

/// The loss of one prediction whose targets are values.
fn values_loss<R: Real>(of: &Loss, a: &mut [R], y: ArrayView1<'_, f32>, factor: f64) -> f64 {
    match of {
        Loss::SquaredError => loss::squared_error(a, y, factor),
        Loss::AbsoluteError => loss::absolute_error(a, y, factor),
        Loss::Huber { delta } => loss::huber(a, y, *delta, factor),
        Loss::Quantile { quantiles } => loss::quantile(a, y, quantiles, factor),
        Loss::BinaryCrossEntropy => loss::binary_cross_entropy(a, y, factor),
        Loss::CrossEntropy | Loss::SmoothedCrossEntropy { .. } => unreachable!("a validated batch has classes for it"),
    }
}

/// From da: db_y, and the gradient of the output or of the final states.
pub(super) fn backward<R: Real>(weights: &Weights<'_, R>, block: &mut Block<R>) {
    let network = weights.network;
    let (Some(head), Some((weight, _))) = (&network.head, &network.head_weights) else { return };
    let (hidden, directions) = (network.hidden(), network.recurrent.directions());
    let width = directions * hidden;
    let (rows, _) = features(head, block);
    let da = &block.head.logits[..rows * head.outputs];
    block.head.bias_sum.fill(R::zero());
    column_sum::add(&mut block.head.bias_sum, da);
    assign(
        view_mut(&mut block.d_output, rows, width, width),
        view(da, rows, head.outputs, head.outputs),
        view(&weights.parameters[weight.clone()], head.outputs, width, width),
    );
    for state in &mut block.stacks {
        state.dh.fill(R::zero());
        state.dc.fill(R::zero());
    }
    if head.at == At::Last {
        let top = network.stacks.len() - directions;
        for (direction, state) in block.stacks[top..].iter_mut().enumerate() {
            for (to, from) in state.dh.chunks_exact_mut(hidden).zip(block.d_output[..rows * width].chunks_exact(width))
            {
                to.copy_from_slice(&from[direction * hidden..][..hidden]);
            }
        }
    }
}
