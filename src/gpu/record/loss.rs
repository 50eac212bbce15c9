//! The loss of each prediction with its gradient, in one kernel.

use std::ops::Range;

use super::Recording;
use crate::gpu::commands::builder::Binding;
use crate::gpu::commands::program::GpuCommand;
use crate::gpu::commands::uniforms::{Loss, Sum};
use crate::gpu::device::kernel::{LOSS, SUM};
use crate::model::plan::Cost;
use crate::model::{self, Head};

/// The number of the kernel that clears padding after a loss of the caller.
const CUSTOM: f64 = 6.0;

/// The weighted loss of each prediction, and da in place of the logits. A loss of the caller is followed by the kernel that
/// clears padding.
pub(crate) fn loss_and_gradient(rec: &mut Recording<'_, '_>, head: &Head, runs: Range<usize>, custom_loss: bool) {
    for index in runs {
        let run = &rec.builder.plan.predictions[index];
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
        let (logits, losses) = (rec.builder.tensor(run.logits), rec.builder.tensor(run.losses));
        let grid = rec.builder.limits.predictions(run.rows, lanes);
        let constants = [("LOSS", if custom_loss { CUSTOM } else { rec.weights.loss_kind() })];
        let cost = Cost::each(run.rows * head.outputs, 8, 2);
        if custom_loss {
            rec.builder.push(GpuCommand::Custom { index, cost });
        }
        rec.builder.dispatch(LOSS, &constants, &[&targets, &weights, &logits, &losses], &uniform, grid, cost);
    }
}

/// Adds the losses of all predictions to the network's sum.
pub(crate) fn add_up(rec: &mut Recording<'_, '_>) {
    for run in &rec.builder.plan.predictions {
        let (losses, total) = (rec.builder.tensor(run.losses), Binding::whole(&rec.weights.loss));
        let uniform = Sum { count: run.rows as u32 };
        rec.builder.dispatch(SUM, &[], &[&losses, &total], &uniform, [1, 1, 1], Cost::each(run.rows, 1, 1));
    }
}
