//! The commands of a pass.

use std::sync::Arc;

use crate::gpu::device::kernel::Kernel;
use crate::model::plan::Cost;

/// A command. Buffers and bind groups are handles: a command is created once and recorded at every step.
#[derive(Clone, Debug)]
pub(crate) enum GpuCommand {
    /// One kernel over a grid, with its uniform at an offset.
    Dispatch { kernel: Arc<Kernel>, bindings: wgpu::BindGroup, offset: u32, grid: [u32; 3], cost: Cost },
    /// Copies bytes between buffers.
    Copy { from: BufferOffset, to: BufferOffset, bytes: u64 },
    /// Commands that the caller records: those of his loss of the range of predictions with this index.
    Custom { index: usize, cost: Cost },
    /// Fills with zeros.
    Clear { to: BufferOffset, bytes: u64 },
}

/// A position in a buffer.
#[derive(Clone, Debug)]
pub(crate) struct BufferOffset {
    pub(crate) buffer: wgpu::Buffer,
    pub(crate) offset: u64,
}

impl BufferOffset {
    /// The beginning of a buffer.
    pub(crate) fn of(buffer: &wgpu::Buffer) -> Self {
        Self { buffer: buffer.clone(), offset: 0 }
    }
}
