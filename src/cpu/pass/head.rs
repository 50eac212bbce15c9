//! The head of a block: logits, loss, da, and their gradient into the recurrent layers.

use std::ops::Range;

use ndarray::{ArrayView1, s};

use super::block::RowBlock;
use super::mapped_model::MappedModel;
use super::pass_weights::PassWeights;
use super::predictions::{CpuPredictions, PassLoss, Places};
use crate::batch::{Batch, Targets};
use crate::cpu::gemm::matmul::Product;
use crate::cpu::gemm::tile::{MatrixMut, MatrixRef};
use crate::cpu::kernels::{column_sum, likelihood, loss};
use crate::cpu::parallel::clock::product;
use crate::model::{Head, Loss, Readout};
use crate::real::Real;

/// The input of the head's products: the output of the current chunk, or the features of the one prediction per row.
pub(crate) fn features<'a, R: Real>(head: &Head, block: &'a RowBlock<R>) -> &'a [R] {
    match head.readout {
        Readout::PerStep => block.outputs.last().map_or(&[], Vec::as_slice),
        Readout::Final | Readout::MeanPool => &block.head.features,
    }
}

/// Processes a chunk in the forward pass. A head at every step computes its logits. A head with one prediction per row
/// collects its features, and computes the logits after the last chunk.
pub(crate) fn forward<R: Real>(weights: &PassWeights<'_, R>, block: &mut RowBlock<R>) {
    let model = weights.model;
    let Some(head) = &model.head else { return };
    match head.readout {
        Readout::PerStep => return block.spans().for_each(|span| logits(weights, head, block, span)),
        Readout::Final => {}
        Readout::MeanPool => average(model, block),
    }
    if block.is_last() {
        if head.readout == Readout::Final {
            gather_final(weights, block);
        }
        logits(weights, head, block, 0..block.mask.rows);
    }
}

/// a = features · W_hyᵀ + b_y, for some rows.
fn logits<R: Real>(weights: &PassWeights<'_, R>, head: &Head, block: &mut RowBlock<R>, rows: Range<usize>) {
    let model = weights.model;
    let Some((weight, _)) = weights.prepared.head() else { return };
    let width = model.recurrent.output_size();
    let mut logits = std::mem::take(&mut block.head.logits);
    let features = &features(head, block)[rows.start * width..];
    let to = &mut logits[rows.start * head.outputs..];
    let features = MatrixRef { data: features, stride: width, count: rows.len() };
    weights.shared.split_rows(Product::assign(MatrixMut { data: to, stride: head.outputs }, features, weight));
    block.head.logits = logits;
}

/// Concatenates the last layer's final states of both directions.
fn gather_final<R: Real>(weights: &PassWeights<'_, R>, block: &mut RowBlock<R>) {
    let model = weights.model;
    let (size, directions) = (model.state_size(), model.recurrent.directions());
    let mut features = std::mem::take(&mut block.head.features);
    for direction in 0..directions {
        let layer_direction = model.layer_directions.len() - directions + direction;
        let rows = features.chunks_exact_mut(directions * size);
        for (to, from) in rows.zip(block.final_h(model, layer_direction).chunks_exact(size)) {
            to[direction * size..][..size].copy_from_slice(from);
        }
    }
    block.head.features = features;
}

/// Adds a chunk to the mean of the last layer's output over each row's steps.
fn average<R: Real>(model: &MappedModel, block: &mut RowBlock<R>) {
    let Some(output) = block.outputs.last() else { return };
    let (rows, width) = (block.mask.rows, model.recurrent.output_size());
    let (held_rows, is_first, is_last) = (block.held.len() * rows, block.held.start == 0, block.is_last());
    let features = &mut block.head.features[..rows * width];
    if is_first {
        features.fill(R::zero());
    }
    // The output is 0 at padding.
    for step in output[..held_rows * width].chunks_exact(rows * width) {
        features.iter_mut().zip(step).for_each(|(sum, h)| *sum += *h);
    }
    if is_last {
        divide_by_length(features, width, &block.mask.lengths);
    }
}

/// Divides each row by its length.
fn divide_by_length<R: Real>(rows: &mut [R], width: usize, lengths: &[usize]) {
    for (row, length) in rows.chunks_exact_mut(width).zip(lengths) {
        let share = R::from_f64(1.0 / *length as f64);
        row.iter_mut().for_each(|value| *value *= share);
    }
}

/// Adds Σ w·loss of the current chunk, or of the one prediction per row, from the last span to the first like the
/// gradients. Writes da in place of the logits, 0 where the weight is 0.
pub(crate) fn loss<R: Real, S: Real>(head: &Head, block: &mut RowBlock<R>, loss: PassLoss<'_, S, R>) {
    match head.readout {
        Readout::PerStep => block.spans().rev().for_each(|span| loss_of(head, block, loss, span)),
        Readout::Final | Readout::MeanPool if block.is_last() => loss_of(head, block, loss, 0..block.mask.rows),
        Readout::Final | Readout::MeanPool => {}
    }
}

fn loss_of<R: Real, S: Real>(head: &Head, block: &mut RowBlock<R>, loss: PassLoss<'_, S, R>, span: Range<usize>) {
    block.head.loss += match loss {
        PassLoss::Batch(batch) => loss_of_batch(head, block, batch, span),
        PassLoss::Custom(loss, first_row) => loss_of_caller(head, block, loss, first_row, span),
    };
}

/// Σ loss of the caller, with 0 as the gradient at padding.
fn loss_of_caller<R: Real>(
    head: &Head,
    block: &mut RowBlock<R>,
    loss: &(dyn Fn(CpuPredictions<'_, R>) -> f64 + Sync),
    first_row: usize,
    span: Range<usize>,
) -> f64 {
    let padded = head.readout == Readout::PerStep;
    let first = (if padded { block.held.start } else { 0 }, first_row + block.first_row);
    let lengths = &block.mask.lengths;
    let logits = &mut block.head.logits[span.start * head.outputs..span.end * head.outputs];
    let places = Places { index: span.start, first, lengths, padded };
    for (logits, place) in logits.chunks_exact_mut(head.outputs).zip(places.clone()) {
        if place.is_none() {
            logits.fill(R::zero());
        }
    }
    loss(CpuPredictions { logits: logits.chunks_exact_mut(head.outputs), places })
}

/// Σ w·loss of the batch's targets.
fn loss_of_batch<R: Real, S: Real>(head: &Head, block: &mut RowBlock<R>, batch: &Batch<S>, span: Range<usize>) -> f64 {
    let (rows, outputs) = (block.mask.rows, head.outputs);
    let first = if head.readout == Readout::PerStep { block.held.start } else { 0 };
    let mut sum = 0.0;
    for (index, a) in span.clone().zip(block.head.logits[span.start * outputs..].chunks_exact_mut(outputs)) {
        let (p, row) = (first + index / rows, block.first_row + index % rows);
        let weight = batch.weight(p, row).as_f64();
        if weight == 0.0 {
            // Neither logit nor target is read: 0 · NaN would be NaN.
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
    sum
}

/// The loss of one prediction with values as targets.
fn values_loss<R: Real, S: Real>(of: &Loss, a: &mut [R], y: ArrayView1<'_, S>, factor: f64) -> f64 {
    match of {
        Loss::SquaredError => loss::squared_error(a, y, factor),
        Loss::AbsoluteError => loss::absolute_error(a, y, factor),
        Loss::Huber { delta } => loss::huber(a, y, *delta, factor),
        Loss::Quantile { quantiles } => loss::quantile(a, y, quantiles, factor),
        Loss::Gaussian => likelihood::gaussian(a, y, factor),
        Loss::StudentT => likelihood::student_t(a, y, factor),
        Loss::NegativeBinomial => likelihood::negative_binomial(a, y, factor),
        Loss::BinaryCrossEntropy => loss::binary_cross_entropy(a, y, factor),
        Loss::CrossEntropy | Loss::SmoothedCrossEntropy { .. } => unreachable!("a validated batch has classes for it"),
    }
}

/// From da: db_y, and the gradient of the current chunk's output or of the final states. Called from the last chunk to
/// the first.
pub(crate) fn backward<R: Real>(weights: &PassWeights<'_, R>, block: &mut RowBlock<R>) {
    let model = weights.model;
    let Some(head) = &model.head else { return };
    let rows = block.mask.rows;
    if block.is_last() {
        block.head.bias_sum.fill(R::zero());
        for state in &mut block.layer_directions {
            state.dh.fill(R::zero());
            state.dc.fill(R::zero());
        }
        if head.readout != Readout::PerStep {
            let mut d_features = std::mem::take(&mut block.head.d_features);
            features_backward(weights, head, block, 0..rows, &mut d_features);
            block.head.d_features = d_features;
        }
    }
    match head.readout {
        Readout::PerStep => {
            let mut d_output = std::mem::take(&mut block.d_output);
            block.spans().rev().for_each(|span| features_backward(weights, head, block, span, &mut d_output));
            block.d_output = d_output;
        }
        Readout::Final if block.is_last() => scatter_final(model, block),
        Readout::Final => {}
        Readout::MeanPool => {
            let width = model.recurrent.output_size();
            if block.is_last() {
                divide_by_length(&mut block.head.d_features[..rows * width], width, &block.mask.lengths);
            }
            // The same for every step; padding is not read.
            let d_features = &block.head.d_features[..rows * width];
            let steps = block.d_output.chunks_exact_mut(rows * width).take(block.held.len());
            steps.for_each(|step| step.copy_from_slice(d_features));
        }
    }
}

/// Adds da of some rows to db_y, and writes the gradient of the features of these rows.
fn features_backward<R: Real>(
    weights: &PassWeights<'_, R>,
    head: &Head,
    block: &mut RowBlock<R>,
    rows: Range<usize>,
    to: &mut [R],
) {
    let Some((_, weight)) = weights.prepared.head() else { return };
    let width = weights.model.recurrent.output_size();
    let da = &block.head.logits[rows.start * head.outputs..rows.end * head.outputs];
    column_sum::add(&mut block.head.bias_sum, da);
    let da = MatrixRef { data: da, stride: head.outputs, count: rows.len() };
    let to = MatrixMut { data: &mut to[rows.start * width..], stride: width };
    weights.shared.split_rows(Product::assign(to, da, weight));
}

/// Adds the gradient of the features to that of the last layer's final states.
fn scatter_final<R: Real>(model: &MappedModel, block: &mut RowBlock<R>) {
    let (size, width, rows) = (model.state_size(), model.recurrent.output_size(), block.mask.rows);
    let top = model.layer_directions.len() - model.recurrent.directions();
    for (direction, state) in block.layer_directions[top..].iter_mut().enumerate() {
        let rows = block.head.d_features[..rows * width].chunks_exact(width);
        for (to, from) in state.dh.chunks_exact_mut(size).zip(rows) {
            to.copy_from_slice(&from[direction * size..][..size]);
        }
    }
}

/// Operations of the head's product over a block, the same forward and backward.
pub(crate) fn operations<R: Real>(model: &MappedModel, block: &RowBlock<R>) -> usize {
    let every = model.head.as_ref().is_some_and(|head| head.readout == Readout::PerStep);
    let rows = if every {
        block.held_rows()
    } else if block.is_last() {
        block.mask.rows
    } else {
        0
    };
    model.head_weights.as_ref().map_or(0, |(weight, _)| product(rows, weight.len()))
}
