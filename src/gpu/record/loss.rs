//! The loss with its gradient, in one kernel.

use std::ops::Range;

use super::Recording;
use crate::gpu::commands::builder::Binding;
use crate::gpu::commands::program::GpuCommand;
use crate::gpu::commands::uniforms::Loss;
use crate::gpu::device::kernel::{CUSTOM_LOSS, LOSS};
use crate::model::plan::Cost;
use crate::model::{self, Head};

/// Adds the weighted losses to the sums of the network, and leaves da in place of the logits. A loss of the caller is
/// followed by a kernel that clears padding.
pub(crate) fn loss_and_gradient(rec: &mut Recording<'_, '_>, head: &Head, runs: Range<usize>) {
    let plan = rec.builder.plan;
    for index in runs {
        let run = &plan.predictions[index];
        let lanes = rec.builder.limits.loss_lanes(head.outputs);
        let uniform = Loss {
            predictions: run.rows as u32,
            outputs: head.outputs as u32,
            ld: 4 * rec.weights.sizes.o4 as u32,
            lanes: lanes as u32,
            factor: head.output_factor() as f32,
            delta: if let model::Loss::Huber { delta } = head.loss { delta as f32 } else { 0.0 },
            smoothing: head.loss.smoothing() as f32,
            quantiles: head.loss.quantiles().len() as u32,
        };
        let (targets, weights) = (rec.builder.span(run.targets), rec.builder.span(run.weights));
        let (logits, sums) = (rec.builder.tensor(run.logits), Binding::whole(&rec.weights.loss));
        let grid = rec.builder.limits.predictions(run.rows, lanes);
        let cost = Cost::each(run.rows * head.outputs, 8, 2);
        if let Some(losses) = plan.custom_losses {
            rec.builder.push(GpuCommand::Custom { index, cost });
            let losses = rec.builder.tensor(losses);
            rec.builder.dispatch(CUSTOM_LOSS, &[], &[&weights, &logits, &sums, &losses], &uniform, grid, cost);
        } else {
            let constants = [("LOSS", rec.weights.loss_kind())];
            rec.builder.dispatch(LOSS, &constants, &[&targets, &weights, &logits, &sums], &uniform, grid, cost);
        }
    }
}
