//! A pass as a list of commands, and its recording.

use std::sync::Arc;

use super::device::Gpu;
use super::kernel::Kernel;
use super::profiler::{Begun, Profiler, Runs};
use crate::model::plan::Cost;

/// One command. Buffers and bind groups are handles: a command is made once and recorded every step.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// One kernel over a grid, its uniform at an offset.
    Dispatch { kernel: Arc<Kernel>, bindings: wgpu::BindGroup, offset: u32, grid: [u32; 3], cost: Cost },
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
    /// Where there is a profiler.
    runs: Option<Runs<'a>>,
}

/// What a recorder left to be gone on with: recorded, and not yet submitted.
#[derive(Debug)]
pub(super) struct Open {
    encoder: wgpu::CommandEncoder,
    work: u64,
    begun: Begun,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(gpu: &'a Gpu) -> Self {
        Self::onward(gpu, None, None)
    }

    /// One that goes on with what another left. Where there is a profiler, its kernels are timed.
    pub(super) fn onward(gpu: &'a Gpu, profiler: Option<&'a Profiler>, open: Option<Open>) -> Self {
        let encoder = || gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let Open { encoder, work, begun } =
            open.unwrap_or_else(|| Open { encoder: encoder(), work: 0, begun: Begun::default() });
        let runs = profiler.map(|profiler| Runs::new(gpu, profiler, begun));
        Self { gpu, encoder, work, limit: gpu.limits().submission(), runs }
    }

    /// Leaves what was recorded to a recorder to come.
    pub(super) fn leave(self) -> Open {
        Open { encoder: self.encoder, work: self.work, begun: self.runs.map(Runs::leave).unwrap_or_default() }
    }

    /// Records a list; consecutive dispatches share a compute pass, with a profiler those of one kernel.
    pub(super) fn record<'c>(&mut self, commands: impl IntoIterator<Item = &'c Command>) {
        let mut commands = commands.into_iter().peekable();
        while let Some(command) = commands.next() {
            match command {
                Command::Copy { from, to, bytes } => {
                    self.encoder.copy_buffer_to_buffer(&from.buffer, from.offset, &to.buffer, to.offset, Some(*bytes));
                }
                Command::Clear { to, bytes } => self.encoder.clear_buffer(&to.buffer, to.offset, Some(*bytes)),
                Command::Dispatch { kernel: first, .. } => {
                    let timestamp_writes = self.runs.as_mut().and_then(|runs| runs.begin(first));
                    let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
                    let mut pass = self.encoder.begin_compute_pass(&descriptor);
                    let mut pipeline = None;
                    let mut next = Some(command);
                    while let Some(Command::Dispatch { kernel, bindings, offset, grid, cost }) = next {
                        if pipeline.replace(Arc::as_ptr(kernel)) != Some(Arc::as_ptr(kernel)) {
                            pass.set_pipeline(&kernel.pipeline);
                        }
                        pass.set_bind_group(0, bindings, &[*offset]);
                        pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
                        self.work += cost.operations;
                        if let Some(runs) = &mut self.runs {
                            runs.count(*cost);
                        }
                        next = match self.work < self.limit {
                            true => commands.next_if(|command| match command {
                                Command::Dispatch { kernel, .. } => self.runs.is_none() || Arc::ptr_eq(kernel, first),
                                _ => false,
                            }),
                            false => None,
                        };
                    }
                    drop(pass);
                    if self.work >= self.limit || self.runs.as_ref().is_some_and(Runs::is_full) {
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
        let encoder = std::mem::replace(&mut self.encoder, fresh);
        match &mut self.runs {
            Some(runs) => runs.submit(encoder),
            None => self.gpu.submit(encoder.finish()),
        }
    }
}
