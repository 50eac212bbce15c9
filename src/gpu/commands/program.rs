//! What a pass is made of.

use std::sync::Arc;

use crate::gpu::device::kernel::Kernel;
use crate::model::plan::Cost;

/// One command. Buffers and bind groups are handles: a command is made once and recorded every step.
#[derive(Clone, Debug)]
pub(crate) enum GpuCommand {
    /// One kernel over a grid, its uniform at an offset.
    Dispatch { kernel: Arc<Kernel>, bindings: wgpu::BindGroup, offset: u32, grid: [u32; 3], cost: Cost },
    /// Bytes from one place to another.
    Copy { from: BufferOffset, to: BufferOffset, bytes: u64 },
    /// Zeros.
    Clear { to: BufferOffset, bytes: u64 },
}

/// A byte of a buffer.
#[derive(Clone, Debug)]
pub(crate) struct BufferOffset {
    pub(crate) buffer: wgpu::Buffer,
    pub(crate) offset: u64,
}

impl BufferOffset {
    /// The first byte.
    pub(crate) fn of(buffer: &wgpu::Buffer) -> Self {
        Self { buffer: buffer.clone(), offset: 0 }
    }
}
