//! Transposed copies of W_hh of every (layer, direction), as read by forward steps on a GPU: see `transpose.wgsl`.

use crate::error::Result;
use crate::gpu::commands::builder::{Binding, allocate, bind};
use crate::gpu::commands::program::GpuCommand;
use crate::gpu::commands::uniforms::Transpose;
use crate::gpu::device::Gpu;
use crate::gpu::device::kernel::TRANSPOSE;
use crate::model::plan::{ALIGNMENT, Cost, ParameterPlan, Storage, TensorSpec};
use crate::model::{Model, Role};

/// The copies, and the commands that create them from the parameters.
#[derive(Debug)]
pub(crate) struct TransposedWeights {
    weights: Vec<wgpu::Buffer>,
    commands: Vec<GpuCommand>,
    uniforms: wgpu::Buffer,
}

impl TransposedWeights {
    pub(crate) fn new(
        gpu: &Gpu,
        model: &Model,
        plan: &ParameterPlan,
        parameters: &wgpu::Buffer,
        storage: Storage,
    ) -> Result<Self> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniforms = gpu.buffer("transpose uniforms", ALIGNMENT, usage)?;
        let kernel = gpu.kernel(TRANSPOSE.stored(storage), &[]);
        let (mut weights, mut commands) = (Vec::new(), Vec::new());
        for layer_direction in 0..model.recurrent.num_layer_directions() {
            let tensor = plan.get(Role::WeightHh { layer_direction });
            let (offset, bytes) = tensor.bytes();
            // All layers and directions have the same shape.
            let (rows4, columns4) = (tensor.rows() / 4, tensor.ld());
            let uniform = Transpose { rows4: rows4 as u32, columns4: columns4 as u32 };
            gpu.queue().write_buffer(&uniforms, 0, bytemuck::bytes_of(&uniform));
            let name = format!("transposed weight_hh {layer_direction}");
            let weight = allocate(gpu, &TensorSpec { name, bytes: storage.bytes(bytes / 4) })?;
            let from = Binding { buffer: parameters.clone(), offset, bytes };
            let bindings = bind(gpu.device(), &kernel, &uniforms, &[from, Binding::whole(&weight)]);
            let grid = gpu.limits().rows_and_columns(columns4, rows4);
            let cost = Cost::each(16 * rows4 * columns4, 1, 2);
            commands.push(GpuCommand::Dispatch { kernel: kernel.clone(), bindings, offset: 0, grid, cost });
            weights.push(weight);
        }
        Ok(Self { weights, commands, uniforms })
    }

    /// The copy for a (layer, direction).
    pub(crate) fn weight(&self, layer_direction: usize) -> Binding {
        Binding::whole(&self.weights[layer_direction])
    }

    /// The commands that update the copies, to be recorded between a parameter change and the next forward pass.
    pub(crate) fn commands(&self) -> &[GpuCommand] {
        &self.commands
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.weights.iter().chain([&self.uniforms]).map(wgpu::Buffer::size).sum()
    }
}
