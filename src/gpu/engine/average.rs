//! The moving average of the parameters on the device.

use crate::error::Result;
use crate::gpu::commands::builder::{Binding, bind};
use crate::gpu::commands::program::GpuCommand;
use crate::gpu::commands::uniforms::Average as Uniform;
use crate::gpu::device::Gpu;
use crate::gpu::device::kernel::{AVERAGE, EXCHANGE, ShaderEntry};
use crate::gpu::weights::DeviceWeights;
use crate::model::plan::{ALIGNMENT, Cost};

/// The commands of the average.
#[derive(Debug)]
pub(crate) struct WeightAverage {
    /// The decay.
    pub(crate) decay: f64,
    /// What follows an update.
    pub(crate) update: GpuCommand,
    /// Puts the parameters and their average in each other's place.
    pub(crate) exchange: GpuCommand,
}

/// The bytes that they need beside the block of the average.
pub(crate) const UNIFORM_BYTES: u64 = ALIGNMENT;

impl WeightAverage {
    /// The commands for `averaged`, a block like that of the parameters. `status` is that of the update.
    pub(crate) fn new(
        gpu: &Gpu,
        weights: &DeviceWeights,
        averaged: &wgpu::Buffer,
        status: &wgpu::Buffer,
        decay: f64,
    ) -> Result<Self> {
        let count = weights.plan.len / 4;
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniforms = gpu.buffer("average uniforms", UNIFORM_BYTES, usage)?;
        gpu.queue().write_buffer(&uniforms, 0, bytemuck::bytes_of(&Uniform { count: count as u32 }));
        let dispatch = |entry: ShaderEntry, bindings: &[Binding], cost| {
            let kernel = gpu.kernel(entry, &[]);
            let bindings = bind(gpu.device(), &kernel, &uniforms, bindings);
            GpuCommand::Dispatch { kernel, bindings, offset: 0, grid: gpu.limits().elements(count), cost }
        };
        let [status, parameters, averaged] = [status, &weights.parameters, averaged].map(Binding::whole);
        let exchange = dispatch(EXCHANGE, &[parameters.clone(), averaged.clone()], Cost::each(4 * count, 0, 4));
        let update = dispatch(AVERAGE, &[status, parameters, averaged], Cost::each(4 * count, 3, 3));
        Ok(Self { decay, update, exchange })
    }
}
