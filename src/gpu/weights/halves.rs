//! Copies of W_hh of every (layer, direction) in halves, as the recurrent steps read it at half precision.

use crate::error::Result;
use crate::gpu::commands::builder::{Binding, allocate, bind};
use crate::gpu::commands::program::{BufferOffset, GpuCommand};
use crate::gpu::commands::uniforms::Narrow;
use crate::gpu::device::Gpu;
use crate::gpu::device::kernel::NARROW;
use crate::model::plan::{ALIGNMENT, Cost, ParameterPlan, Storage, TensorSpec};
use crate::model::{Model, Role};

/// The copies, each with the cell's own parameters behind it, which are not in halves; and the commands that create them
/// from the parameters.
#[derive(Debug)]
pub(crate) struct HalfWeights {
    weights: Vec<wgpu::Buffer>,
    commands: Vec<GpuCommand>,
    uniforms: wgpu::Buffer,
}

/// The bytes of W_hh in halves, and of one of the cell's own parameters.
fn sizes(model: &Model, plan: &ParameterPlan, layer_direction: usize) -> (u64, u64) {
    let (_, full) = plan.get(Role::WeightHh { layer_direction }).bytes();
    let own = model.recurrent.cell.definition().parameters().first();
    let own = own.map_or(0, |_| plan.get(Role::CellParameter { layer_direction, index: 0 }).bytes().1);
    (Storage::Halves.bytes(full / 4), own)
}

impl HalfWeights {
    pub(crate) fn new(gpu: &Gpu, model: &Model, plan: &ParameterPlan, parameters: &wgpu::Buffer) -> Result<Self> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniforms = gpu.buffer("half weights uniforms", ALIGNMENT, usage)?;
        let kernel = gpu.kernel(NARROW.stored(Storage::Halves), &[]);
        let count = model.recurrent.cell.definition().parameters().len();
        // All layers and directions have the same shape.
        let vec4s = plan.get(Role::WeightHh { layer_direction: 0 }).bytes().1 as usize / 16;
        gpu.queue().write_buffer(&uniforms, 0, bytemuck::bytes_of(&Narrow { count: vec4s as u32, first: 0 }));
        let (mut weights, mut commands) = (Vec::new(), Vec::new());
        for layer_direction in 0..model.recurrent.num_layer_directions() {
            let (offset, bytes) = plan.get(Role::WeightHh { layer_direction }).bytes();
            let (halves, own) = sizes(model, plan, layer_direction);
            let name = format!("halves of weight_hh {layer_direction}");
            let weight = allocate(gpu, &TensorSpec { name, bytes: halves + count as u64 * own })?;
            let from = Binding { buffer: parameters.clone(), offset, bytes };
            let bindings = bind(gpu.device(), &kernel, &uniforms, &[from, Binding::whole(&weight)]);
            let (grid, cost) = (gpu.limits().elements(vec4s), Cost::each(4 * vec4s, 1, 2));
            commands.push(GpuCommand::Dispatch { kernel: kernel.clone(), bindings, offset: 0, grid, cost });
            commands.extend((0..count).map(|index| {
                let (offset, bytes) = plan.get(Role::CellParameter { layer_direction, index }).bytes();
                let to = BufferOffset { buffer: weight.clone(), offset: halves + index as u64 * own };
                GpuCommand::Copy { from: BufferOffset { buffer: parameters.clone(), offset }, to, bytes }
            }));
            weights.push(weight);
        }
        Ok(Self { weights, commands, uniforms })
    }

    /// The copy for a (layer, direction).
    pub(crate) fn weight(&self, layer_direction: usize) -> Binding {
        Binding::whole(&self.weights[layer_direction])
    }

    /// The first vec4 of the cell's own parameters behind a copy, and vec4 from one of them to the next.
    pub(crate) fn own_parameters(model: &Model, plan: &ParameterPlan, layer_direction: usize) -> (u32, u32) {
        let (halves, own) = sizes(model, plan, layer_direction);
        ((halves / 16) as u32, (own / 16) as u32)
    }

    /// The commands that update the copies, to be recorded between a parameter change and the next pass.
    pub(crate) fn commands(&self) -> &[GpuCommand] {
        &self.commands
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.weights.iter().chain([&self.uniforms]).map(wgpu::Buffer::size).sum()
    }

    /// The bytes that [`new`](Self::new) allocates.
    pub(crate) fn planned_bytes(model: &Model, plan: &ParameterPlan) -> u64 {
        let count = model.recurrent.cell.definition().parameters().len() as u64;
        let of = |layer_direction| {
            let (halves, own) = sizes(model, plan, layer_direction);
            halves + count * own
        };
        (0..model.recurrent.num_layer_directions()).map(of).sum::<u64>() + ALIGNMENT
    }
}
