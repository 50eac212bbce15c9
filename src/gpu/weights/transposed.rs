//! Transposed copies of W_hh of every (layer, direction), as read by forward steps on a GPU. This crate's optimizers write
//! them with the parameters (`update.wgsl`); after any other change of those, `transpose.wgsl` makes them anew.

use std::ops::Range;

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
    /// One after the other, each aligned.
    copies: wgpu::Buffer,
    /// The bytes of a copy. All layers and directions have the same shape.
    bytes: u64,
    /// vec4 of the rows and of the columns of W_hh.
    shape: [usize; 2],
    /// The first vec4 of each W_hh in the parameters.
    begins: Vec<usize>,
    /// On the device: where each W_hh and its copy begin, in vec4.
    places: wgpu::Buffer,
    commands: Vec<GpuCommand>,
    uniforms: wgpu::Buffer,
}

/// The copies that an update writes.
pub(crate) struct UpdatedCopies<'w> {
    pub(crate) copies: &'w wgpu::Buffer,
    pub(crate) places: &'w wgpu::Buffer,
    /// Their (layer, direction)s.
    pub(crate) of: Range<usize>,
    pub(crate) shape: [usize; 2],
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
        let count = model.recurrent.num_layer_directions();
        let tensor = plan.get(Role::WeightHh { layer_direction: 0 });
        let (bytes, shape @ [rows4, columns4]) = (tensor.bytes().1, [tensor.rows() / 4, tensor.ld()]);
        let copy_bytes = storage.bytes(bytes / 4);
        let uniform = Transpose { rows4: rows4 as u32, columns4: columns4 as u32 };
        gpu.queue().write_buffer(&uniforms, 0, bytemuck::bytes_of(&uniform));
        let spec = |name: &str, bytes| TensorSpec { name: name.into(), bytes };
        let copies = allocate(gpu, &spec("transposed weight_hh", stride(copy_bytes) * count as u64))?;
        let places = allocate(gpu, &spec("places of weight_hh", places_bytes(count)))?;
        let (mut begins, mut commands) = (Vec::new(), Vec::new());
        for layer_direction in 0..count {
            let (offset, bytes) = plan.get(Role::WeightHh { layer_direction }).bytes();
            let from = Binding { buffer: parameters.clone(), offset, bytes };
            let to = stride(copy_bytes) * layer_direction as u64;
            let place = [(offset / 16) as u32, (to / storage.bytes(4)) as u32];
            let to = Binding { buffer: copies.clone(), offset: to, bytes: copy_bytes };
            gpu.queue().write_buffer(&places, 8 * layer_direction as u64, bytemuck::cast_slice(&place));
            let bindings = bind(gpu.device(), &kernel, &uniforms, &[from, to]);
            let grid = gpu.limits().rows_and_columns(columns4, rows4);
            let cost = Cost::each(16 * rows4 * columns4, 1, 2);
            commands.push(GpuCommand::Dispatch { kernel: kernel.clone(), bindings, offset: 0, grid, cost });
            begins.push((offset / 16) as usize);
        }
        Ok(Self { copies, bytes: copy_bytes, shape, begins, places, commands, uniforms })
    }

    /// The copy for a (layer, direction).
    pub(crate) fn weight(&self, layer_direction: usize) -> Binding {
        let offset = stride(self.bytes) * layer_direction as u64;
        Binding { buffer: self.copies.clone(), offset, bytes: self.bytes }
    }

    /// The copies of what lies within these vec4 of the parameters, which are whole tensors; `None` if there are none.
    pub(crate) fn within(&self, vec4s: &Range<usize>) -> Option<UpdatedCopies<'_>> {
        let before = |place: usize| self.begins.partition_point(|begin| *begin < place);
        let of = before(vec4s.start)..before(vec4s.end);
        let Self { copies, places, shape, .. } = self;
        (!of.is_empty()).then_some(UpdatedCopies { copies, places, of, shape: *shape })
    }

    /// The commands that make the copies, to be recorded before the next forward pass where parameters have changed
    /// without them.
    pub(crate) fn commands(&self) -> &[GpuCommand] {
        &self.commands
    }

    pub(crate) fn bytes(&self) -> u64 {
        [&self.copies, &self.places, &self.uniforms].into_iter().map(wgpu::Buffer::size).sum()
    }

    /// [`bytes`](Self::bytes) of the copies that a network would have.
    pub(crate) fn planned_bytes(model: &Model, plan: &ParameterPlan, storage: Storage) -> u64 {
        let count = model.recurrent.num_layer_directions();
        let (_, bytes) = plan.get(Role::WeightHh { layer_direction: 0 }).bytes();
        stride(storage.bytes(bytes / 4)) * count as u64 + places_bytes(count) + ALIGNMENT
    }
}

/// The bytes from one copy to the next.
fn stride(bytes: u64) -> u64 {
    bytes.next_multiple_of(ALIGNMENT)
}

fn places_bytes(count: usize) -> u64 {
    (8 * count as u64).next_multiple_of(16)
}
