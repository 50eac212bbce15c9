//! What a loss of the caller sees of a pass: a range of predictions on the device.

use std::ops::Range;

use super::GpuEngine;
use crate::engine::Hooks;
use crate::engine::passes::Objective;
use crate::gpu::commands::program::{BufferOffset, GpuCommand};
use crate::gpu::commands::recorder::Insertion;
use crate::gpu::device::Gpu;
use crate::gpu::pass::Pass;
use crate::real::Real;

/// A range of predictions, for a loss of your own on the GPU backend: see [`CustomLoss`](crate::CustomLoss).
///
/// The loss records a kernel that reads the logits, leaves ∂loss/∂a in their place, and writes the loss of each prediction.
/// The kernel, its targets and bind groups are the program's. Its commands become part of the step's submission, between
/// forward and backward: nothing is submitted or read back for it. Prediction i is p = `p.start + i / rows.len()` of row
/// `rows.start + i % rows.len()`.
///
/// [`dispatch`](Self::dispatch) is enough for one kernel, which [`Gpu::compute_pipeline`] compiles; otherwise use the
/// [`encoder`](Self::encoder). Profiles do not time what is recorded.
#[derive(Debug)]
#[non_exhaustive]
pub struct GpuPredictions<'a> {
    /// The time steps of a head at every step, otherwise 0..1.
    pub p: Range<usize>,
    /// The rows in the batch. A micro-batch has some of them.
    pub rows: Range<usize>,
    /// O.
    pub outputs: usize,
    /// Numbers from one prediction's logits to the next: O rounded up to a multiple of 4. Those beyond O are 0, and are
    /// set to 0 again after the loss.
    pub stride: usize,
    /// The logits a, f32 \[p, rows, stride\], to be overwritten by ∂loss/∂a. What is left at padding is replaced by 0.
    pub logits: wgpu::BufferBinding<'a>,
    /// The losses, f32 \[p, rows\], to be written. What is left at padding is replaced by 0.
    pub losses: wgpu::BufferBinding<'a>,
    insertion: Insertion<'a>,
}

impl GpuPredictions<'_> {
    /// The number of predictions, with padding.
    pub fn count(&self) -> usize {
        self.p.len() * self.rows.len()
    }

    /// Records a kernel over `groups` workgroups, with `buffers` bound to `@group(0)` at `@binding(0)`, 1, 2 and so on.
    pub fn dispatch(
        &mut self,
        pipeline: &wgpu::ComputePipeline,
        buffers: &[wgpu::BufferBinding<'_>],
        groups: [u32; 3],
    ) {
        self.insertion.dispatch(pipeline, buffers, groups);
    }

    /// The encoder of the step's submission, for any other commands.
    pub fn encoder(&mut self) -> &mut wgpu::CommandEncoder {
        self.insertion.encoder()
    }

    /// Writes bytes, for example targets, for the commands that are recorded after this. As for
    /// [`wgpu::Queue::write_buffer`], the offset and the number of bytes are multiples of 4, and the buffer has the usage
    /// `COPY_DST`.
    ///
    /// [`wgpu::Queue::write_buffer`] itself writes before all that has not been submitted: as a few short steps share a
    /// submission, it can overtake a step that still reads the old numbers.
    pub fn write(&mut self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) {
        self.insertion.write(&BufferOffset { buffer: buffer.clone(), offset }, bytes);
    }

    /// The GPU, with its device and queue.
    pub fn gpu(&self) -> &Gpu {
        self.insertion.gpu()
    }
}

impl Hooks for GpuEngine {
    type Predictions<'a> = GpuPredictions<'a>;
    type Losses = ();
}

impl GpuEngine {
    /// Records the commands of a pass over `objective`.
    pub(super) fn record_objective<'c, S: Real>(
        &self,
        objective: &Objective<'_, S, Self>,
        commands: impl IntoIterator<Item = &'c GpuCommand>,
    ) {
        match objective {
            Objective::Batch(_) => self.recorder.record(commands),
            Objective::Custom { loss, first_row, .. } => self.recorder.record_with(commands, |index, insertion| {
                loss.loss(self.predictions(self.pass(), index, *first_row, insertion));
            }),
        }
    }

    /// The range of predictions with this index in a pass.
    fn predictions<'a>(
        &self,
        pass: &'a Pass,
        index: usize,
        first_row: usize,
        insertion: Insertion<'a>,
    ) -> GpuPredictions<'a> {
        let (run, rows) = (&pass.plan.predictions[index], pass.plan.rows);
        let bytes = |numbers: usize| wgpu::BufferSize::new(4 * numbers as u64);
        let binding = |tensor: usize, numbers| wgpu::BufferBinding {
            buffer: &pass.buffers[tensor],
            offset: 0,
            size: bytes(numbers),
        };
        let stride = 4 * self.weights.sizes.o4;
        GpuPredictions {
            p: run.first..run.first + run.rows / rows,
            rows: first_row..first_row + rows,
            outputs: self.weights.model.head.as_ref().map_or(0, |head| head.outputs),
            stride,
            logits: binding(run.logits.0, run.rows * stride),
            losses: binding(run.losses.0, run.rows),
            insertion,
        }
    }
}
