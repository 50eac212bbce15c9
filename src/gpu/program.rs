//! A pass as a list of commands, and its recording.

use std::sync::Arc;

use super::device::Gpu;
use super::kernel::Kernel;

/// One command. Buffers and bind groups are handles: a command is made once and recorded every step.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// One kernel over a grid, its uniform at an offset; `work` is the planned number of operations.
    Dispatch { kernel: Arc<Kernel>, bindings: wgpu::BindGroup, offset: u32, grid: [u32; 3], work: u64 },
    /// Bytes from one place to another.
    Copy { from: Place, to: Place, bytes: u64 },
    /// Zeros.
    Clear { to: Place, bytes: u64 },
}

/// A byte of a buffer.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) buffer: wgpu::Buffer,
    pub(super) offset: u64,
}

/// Records commands and submits them, as few submissions as planned work allows, without a wait between them.
pub(super) struct Recorder<'a> {
    gpu: &'a Gpu,
    encoder: wgpu::CommandEncoder,
    work: u64,
    /// Planned operations of a submission.
    pub(super) limit: u64,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(gpu: &'a Gpu) -> Self {
        let encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        Self { gpu, encoder, work: 0, limit: gpu.limits().submission() }
    }

    /// Records a list; consecutive dispatches share a compute pass.
    pub(super) fn record<'c>(&mut self, commands: impl IntoIterator<Item = &'c Command>) {
        let mut commands = commands.into_iter().peekable();
        while let Some(command) = commands.next() {
            match command {
                Command::Copy { from, to, bytes } => {
                    self.encoder.copy_buffer_to_buffer(&from.buffer, from.offset, &to.buffer, to.offset, Some(*bytes));
                }
                Command::Clear { to, bytes } => self.encoder.clear_buffer(&to.buffer, to.offset, Some(*bytes)),
                Command::Dispatch { .. } => {
                    let mut pass = self.encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                    let mut pipeline = None;
                    let mut next = Some(command);
                    while let Some(Command::Dispatch { kernel, bindings, offset, grid, work }) = next {
                        if pipeline.replace(Arc::as_ptr(kernel)) != Some(Arc::as_ptr(kernel)) {
                            pass.set_pipeline(&kernel.pipeline);
                        }
                        pass.set_bind_group(0, bindings, &[*offset]);
                        pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
                        self.work += work;
                        next = match self.work < self.limit {
                            true => commands.next_if(|command| matches!(command, Command::Dispatch { .. })),
                            false => None,
                        };
                    }
                    drop(pass);
                    if self.work >= self.limit {
                        self.submit();
                    }
                }
            }
        }
    }

    /// Submits what was recorded and goes on with an empty encoder.
    pub(super) fn submit(&mut self) -> wgpu::SubmissionIndex {
        let fresh = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.work = 0;
        self.gpu.submit(std::mem::replace(&mut self.encoder, fresh).finish())
    }
}
