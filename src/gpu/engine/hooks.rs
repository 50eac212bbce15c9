//! What a loss and an optimizer of the caller see: a range of predictions or of weights on the device.

use std::ops::Range;

use crate::gpu::commands::program::BufferOffset;
use crate::gpu::commands::recorder::Insertion;
use crate::gpu::device::Gpu;

/// A range of predictions, for a loss of your own on the GPU backend: see [`CustomLoss`](crate::CustomLoss).
///
/// The loss records a kernel that reads the logits, leaves ∂loss/∂a in their place, and writes the loss of each
/// prediction. The kernel, its targets and bind groups are the program's. Its commands become part of the step's
/// submission, between forward and backward: nothing is submitted or read back for it. Prediction i is p =
/// `p.start + i / rows.len()` of row `rows.start + i % rows.len()`.
///
/// [`dispatch`](Self::dispatch) is enough for one kernel, which [`Gpu::compute_pipeline`] compiles; otherwise use the
/// [`encoder`](Self::encoder). A kernel with one invocation per prediction begins with [`WGSL`](Self::WGSL) and runs over
/// [`groups`](Self::groups), since one dimension of a dispatch has at most 65,535 workgroups. Profiles do not time what is
/// recorded.
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
    /// The losses, f32 \[p, rows\], to be written. What is left at padding does not count.
    pub losses: wgpu::BufferBinding<'a>,
    pub(super) insertion: Insertion<'a>,
}

impl GpuPredictions<'_> {
    /// The beginning of a kernel with one invocation per prediction: the constant `GROUP`, for `@workgroup_size(GROUP)`, and
    /// `linear(id, groups)`, the index i of an invocation from the built-ins `global_invocation_id` and `num_workgroups`.
    /// There are more invocations than predictions: return where i is not below `arrayLength(&losses)`.
    pub const WGSL: &'static str = include_str!("../../../shaders/grid.wgsl");

    /// The number of predictions, with padding.
    pub fn count(&self) -> usize {
        self.p.len() * self.rows.len()
    }

    /// The workgroups of a kernel that begins with [`WGSL`](Self::WGSL), in as many dimensions as needed.
    pub fn groups(&self) -> [u32; 3] {
        self.gpu().limits().elements(self.count())
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
    /// [`wgpu::Queue::write_buffer`], the offset and the number of bytes are multiples of 4, and the buffer has the
    /// usage `COPY_DST`.
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

/// A range of weights, for an optimizer of your own on the GPU backend: see
/// [`CustomOptimizer`](crate::CustomOptimizer).
///
/// The optimizer records a kernel, which becomes part of the step's submission. A kernel that begins with
/// [`WGSL`](Self::WGSL) has all that it needs, and [`dispatch`](Self::dispatch) runs it:
///
/// ```
/// use bptt::{Cell, Gpu, GpuUpdate, Head, Loss, Model, Optimizer, Readout, Recurrent, Trainer};
///
/// fn trainer(gpu: &Gpu) -> bptt::Result<Trainer<bptt::gpu::GpuEngine>> {
///     let lion = gpu.compute_pipeline(&format!("{}{}", GpuUpdate::WGSL, "
///         @group(0) @binding(4) var<storage, read_write> momentum: array<vec4f>;
///         @compute @workgroup_size(GROUP)
///         fn lion(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
///             let i = linear(id, groups);
///             if is_skipped(i) { return; }
///             let g = gradient(i);
///             let direction = sign(0.9 * momentum[i] + 0.1 * g);
///             parameters[i] -= learning_rate() * (direction + weight_decay() * parameters[i]);
///             momentum[i] = 0.99 * momentum[i] + 0.01 * g;
///         }
///     "))?;
///     let model = Model::new(Recurrent::new(Cell::Gru, 2, 8), Head::new(1, Loss::SquaredError, Readout::Final));
///     let trainer = Trainer::new(gpu, &model, Optimizer::custom("lion", 1, 1e-3), 1)?;
///     trainer.custom_optimizer(move |mut update: GpuUpdate<'_>| update.dispatch(&lion, &[]))
/// }
/// ```
///
/// Rows of weights are rounded up to whole vec4; the numbers added are 0, have zero gradients and must stay 0.
#[derive(Debug)]
#[non_exhaustive]
pub struct GpuUpdate<'a> {
    /// vec4 of weights.
    pub count: usize,
    /// The settings of the step, a uniform: `args` in [`WGSL`](Self::WGSL).
    pub settings: wgpu::BufferBinding<'a>,
    /// The gradient sums, f32 \[4·count\].
    pub gradient_sums: wgpu::BufferBinding<'a>,
    /// The factor of the gradients, and whether the step is skipped: `status` in [`WGSL`](Self::WGSL).
    pub status: wgpu::BufferBinding<'a>,
    /// The weights, f32 \[4·count\], to be changed.
    pub parameters: wgpu::BufferBinding<'a>,
    /// The state values, f32 \[4·count\] each, to be changed.
    pub state: Vec<wgpu::BufferBinding<'a>>,
    pub(super) insertion: Insertion<'a>,
}

impl GpuUpdate<'_> {
    /// The beginning of a kernel: bindings 0 to 3 (settings, gradients, status, parameters) with functions on them.
    ///
    /// | | |
    /// |---|---|
    /// | `linear(id, groups)` | the vec4 of an invocation, from the built-ins `global_invocation_id` and `num_workgroups` |
    /// | `is_skipped(i)` | whether there is no vec4 i, or the step changes nothing; the invocation then returns |
    /// | `gradient(i)` | its gradient, a `vec4f`, divided and clipped |
    /// | `parameters[i]` | its weights |
    /// | `learning_rate()`, `weight_decay()` | η and λ of this step and parameter group |
    /// | `updates()` | the number of updates that were made, with this one |
    ///
    /// The state values are at `@binding(4)` and on, as `array<vec4f>`, and the entry point has
    /// `@workgroup_size(GROUP)`.
    pub const WGSL: &'static str = concat!(
        include_str!("../../../shaders/grid.wgsl"),
        include_str!("../../../shaders/status.wgsl"),
        include_str!("../../../shaders/update_inputs.wgsl")
    );

    /// Records a kernel that begins with [`WGSL`](Self::WGSL). It binds settings, gradients, status, parameters, the
    /// state values and then `others`, and uses each of them.
    pub fn dispatch(&mut self, pipeline: &wgpu::ComputePipeline, others: &[wgpu::BufferBinding<'_>]) {
        let own = [&self.settings, &self.gradient_sums, &self.status, &self.parameters];
        let buffers: Vec<_> = own.into_iter().chain(&self.state).chain(others).cloned().collect();
        let grid = self.gpu().limits().elements(self.count);
        self.insertion.dispatch(pipeline, &buffers, grid);
    }

    /// The encoder of the step's submission, for any other commands.
    pub fn encoder(&mut self) -> &mut wgpu::CommandEncoder {
        self.insertion.encoder()
    }

    /// Writes bytes for the commands that are recorded after this: see [`GpuPredictions::write`].
    pub fn write(&mut self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) {
        self.insertion.write(&BufferOffset { buffer: buffer.clone(), offset }, bytes);
    }

    /// The GPU, with its device and queue.
    pub fn gpu(&self) -> &Gpu {
        self.insertion.gpu()
    }
}
