//! The head of a block: logits, loss and da, and their way back into the stack.

use ndarray::{ArrayView1, s};

use super::block::Block;
use super::matmul::{add, assign, view, view_mut};
use super::network::Network;
use super::unroll::Weights;
use super::{column_sum, loss};
use crate::batch::{Batch, Targets};
use crate::model::{At, Head, Loss};
use crate::real::Real;

/// The rows of the head's products in a block, and what they read.
pub(super) fn features<'a, R: Real>(head: &Head, block: &'a Block<R>) -> (usize, &'a [R]) {
    match head.at {
        At::Every => (block.mask.steps * block.mask.rows, block.outputs.last().map_or(&[], Vec::as_slice)),
        At::Last | At::Mean => (block.mask.rows, &block.head.features),
    }
}

/// a = features · W_hyᵀ + b_y.
pub(super) fn logits<R: Real>(weights: &Weights<'_, R>, block: &mut Block<R>) {
    let network = weights.network;
    let (Some(head), Some((weight, bias))) = (&network.head, &network.head_weights) else { return };
    let width = network.recurrent.output_size();
    match head.at {
        At::Every => {}
        At::Last => gather_final(weights, block),
        At::Mean => average(network, block),
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

/// The mean of the last layer's output over each row's own steps.
fn average<R: Real>(network: &Network, block: &mut Block<R>) {
    let Some(output) = block.outputs.last() else { return };
    let (rows, width) = (block.mask.rows, network.recurrent.output_size());
    let features = &mut block.head.features[..rows * width];
    features.fill(R::zero());
    // At padding the output is 0.
    for step in output[..block.mask.steps * rows * width].chunks_exact(rows * width) {
        features.iter_mut().zip(step).for_each(|(sum, h)| *sum += *h);
    }
    share(features, width, &block.mask.lengths);
}

/// Divides each row by its length.
fn share<R: Real>(rows: &mut [R], width: usize, lengths: &[usize]) {
    for (row, length) in rows.chunks_exact_mut(width).zip(lengths) {
        let share = R::from_wide(1.0 / *length as f64);
        row.iter_mut().for_each(|value| *value *= share);
    }
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
    match head.at {
        At::Every => {}
        At::Last => {
            let top = network.stacks.len() - directions;
            for (direction, state) in block.stacks[top..].iter_mut().enumerate() {
                let rows = block.d_output[..rows * width].chunks_exact(width);
                for (to, from) in state.dh.chunks_exact_mut(hidden).zip(rows) {
                    to.copy_from_slice(&from[direction * hidden..][..hidden]);
                }
            }
        }
        At::Mean => {
            // The same for every step; what then lies at padding is not read.
            share(&mut block.d_output[..rows * width], width, &block.mask.lengths);
            (1..block.mask.steps).for_each(|t| block.d_output.copy_within(..rows * width, t * rows * width));
        }
    }
}
