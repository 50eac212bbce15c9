//! The stream of an engine's writes and commands, and its division into submissions.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::builder::allocate;
use super::profiler::Profiler;
use super::program::{BufferOffset, GpuCommand};
use crate::error::{Error, Result};
use crate::gpu::device::Gpu;
use crate::model::plan::TensorSpec;
use crate::profile::Profile;

/// The maximum number of steps per submission, and the planned operations from which on a submission takes no further
/// step. A submission costs some tens of microseconds, which matters for short steps only.
const STEPS: usize = 4;
const SHORT: u64 = 250_000_000;

/// Bytes of writes within a submission, and of the largest one; larger writes go through the queue. The earlier steps
/// of a submission leave half of it to the last one.
pub(crate) const UPLOADS: usize = 512 << 10;
const UPLOAD: usize = UPLOADS / 4;

/// Records writes and commands and submits them in order, without waiting.
#[derive(Debug)]
pub(crate) struct Recorder {
    gpu: Gpu,
    /// The maximum number of planned operations per submission.
    pub(crate) limit: u64,
    /// The staging buffer for writes within a submission. Writes through the queue take effect before the whole next
    /// submission, and so before earlier commands in it that still read the old contents.
    uploads: Option<wgpu::Buffer>,
    open: Mutex<OpenSubmission>,
}

/// Recorded and not yet submitted.
#[derive(Debug, Default)]
struct OpenSubmission {
    /// Created with the first command.
    encoder: Option<wgpu::CommandEncoder>,
    work: u64,
    steps: usize,
    uploads: Vec<u8>,
    submission: Submission,
    profiler: Option<Profiler>,
}

/// The open submission, for commands that the caller records.
#[derive(Debug)]
pub(crate) struct Insertion<'r> {
    recorder: &'r Recorder,
    open: &'r mut OpenSubmission,
}

impl Insertion<'_> {
    pub(crate) fn gpu(&self) -> &Gpu {
        &self.recorder.gpu
    }

    pub(crate) fn encoder(&mut self) -> &mut wgpu::CommandEncoder {
        self.recorder.encoder(&mut self.open.encoder)
    }

    /// Dispatches a kernel with these buffers at the bindings 0, 1, 2 and so on of its group 0.
    pub(crate) fn dispatch(
        &mut self,
        pipeline: &wgpu::ComputePipeline,
        buffers: &[wgpu::BufferBinding<'_>],
        groups: [u32; 3],
    ) {
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(buffer.clone()),
            })
            .collect();
        let layout = &pipeline.get_bind_group_layout(0);
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout, entries: &entries };
        let bindings = self.gpu().device().create_bind_group(&descriptor);
        let mut pass = self.encoder().begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        pass.dispatch_workgroups(groups[0], groups[1], groups[2]);
    }

    /// Writes data for the following commands.
    pub(crate) fn write(&mut self, to: &BufferOffset, bytes: &[u8]) {
        self.recorder.write_in(self.open, to, bytes);
    }
}

/// A past or future submission.
#[derive(Clone, Debug, Default)]
pub(crate) struct Submission(Arc<OnceLock<Submitted>>);

#[derive(Clone, Debug)]
struct Submitted {
    index: wgpu::SubmissionIndex,
    /// Whether the device refused it: none of its commands ran.
    refused: bool,
}

impl Submission {
    /// The index of the submission, once made.
    pub(crate) fn index(&self) -> Option<wgpu::SubmissionIndex> {
        self.0.get().map(|submitted| submitted.index.clone())
    }

    fn is_refused(&self) -> bool {
        self.0.get().is_some_and(|submitted| submitted.refused)
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Recorder {
    /// A recorder for commands only: each write ends a submission.
    pub(crate) fn new(gpu: &Gpu) -> Self {
        Self { gpu: gpu.clone(), limit: gpu.limits().submission(), uploads: None, open: Mutex::default() }
    }

    /// A recorder with small writes within submissions.
    pub(crate) fn with_uploads(gpu: &Gpu) -> Result<Self> {
        let uploads = allocate(gpu, &TensorSpec { name: "uploads".into(), bytes: UPLOADS as u64 })?;
        Ok(Self { uploads: Some(uploads), ..Self::new(gpu) })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.uploads.as_ref().map_or(0, wgpu::Buffer::size)
    }

    /// Begins a pass. Submits a previous pass that is not short, for example before an update that takes several
    /// passes.
    pub(crate) fn begin_pass(&self) {
        let mut open = self.lock();
        if open.work >= SHORT {
            self.flush(&mut open);
        }
    }

    /// Writes data for the following commands.
    pub(crate) fn write<T: bytemuck::NoUninit>(&self, to: &BufferOffset, values: &[T]) {
        self.write_in(&mut self.lock(), to, bytemuck::cast_slice(values));
    }

    fn write_in(&self, open: &mut OpenSubmission, to: &BufferOffset, bytes: &[u8]) {
        if let Some(profiler) = &mut open.profiler {
            profiler.upload(bytes.len() as u64);
        }
        // Only bytes of the caller's own may be none of wgpu's: the queue refuses them alone, an encoder with all that
        // it has.
        let aligned = (bytes.len() as u64 | to.offset).is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT);
        let uploads = self.uploads.as_ref().filter(|_| aligned && bytes.len() <= UPLOAD);
        if uploads.is_none() || open.uploads.len() + bytes.len() > UPLOADS {
            self.flush(open);
        }
        match uploads {
            Some(uploads) => {
                let at = open.uploads.len() as u64;
                open.uploads.extend_from_slice(bytes);
                let bytes = Some(bytes.len() as u64);
                self.encoder(&mut open.encoder).copy_buffer_to_buffer(uploads, at, &to.buffer, to.offset, bytes);
            }
            None => self.gpu.queue().write_buffer(&to.buffer, to.offset, bytes),
        }
    }

    /// Records a list. Consecutive dispatches share a compute pass; when profiling, only those of one kernel do.
    pub(crate) fn record<'c>(&self, commands: impl IntoIterator<Item = &'c GpuCommand>) {
        self.record_with(commands, |_, _| {});
    }

    /// Records a list in which `custom` records the commands of [`GpuCommand::Custom`].
    pub(crate) fn record_with<'c>(
        &self,
        commands: impl IntoIterator<Item = &'c GpuCommand>,
        custom: impl Fn(usize, Insertion<'_>),
    ) {
        let mut lock = self.lock();
        let mut commands = commands.into_iter().peekable();
        while let Some(command) = commands.next() {
            let OpenSubmission { encoder, work, profiler, .. } = &mut *lock;
            let encoder = self.encoder(encoder);
            match command {
                GpuCommand::Copy { from, to, bytes } => {
                    encoder.copy_buffer_to_buffer(&from.buffer, from.offset, &to.buffer, to.offset, Some(*bytes));
                    let is_read = to.buffer.usage().contains(wgpu::BufferUsages::MAP_READ);
                    if let Some(profiler) = profiler.as_mut().filter(|_| is_read) {
                        profiler.download(*bytes);
                    }
                }
                GpuCommand::Custom { index, cost } => {
                    *work += cost.operations;
                    custom(*index, Insertion { recorder: self, open: &mut lock });
                }
                GpuCommand::Clear { to, bytes } => encoder.clear_buffer(&to.buffer, to.offset, Some(*bytes)),
                GpuCommand::Dispatch { kernel: first, .. } => {
                    let timestamp_writes = profiler.as_mut().and_then(|profiler| profiler.begin(&self.gpu, first));
                    let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
                    let mut pass = encoder.begin_compute_pass(&descriptor);
                    let mut pipeline = None;
                    let mut next = Some(command);
                    while let Some(GpuCommand::Dispatch { kernel, bindings, offset, grid, cost }) = next {
                        if pipeline.replace(Arc::as_ptr(kernel)) != Some(Arc::as_ptr(kernel)) {
                            pass.set_pipeline(kernel.pipeline(self.gpu.device()));
                        }
                        pass.set_bind_group(0, bindings, &[*offset]);
                        pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
                        *work += cost.operations;
                        if let Some(profiler) = profiler {
                            profiler.count(*cost);
                        }
                        next = if *work < self.limit {
                            commands.next_if(|command| match command {
                                GpuCommand::Dispatch { kernel, .. } => profiler.is_none() || Arc::ptr_eq(kernel, first),
                                _ => false,
                            })
                        } else {
                            None
                        };
                    }
                    drop(pass);
                    if *work >= self.limit || profiler.as_ref().is_some_and(Profiler::is_full) {
                        self.flush(&mut lock);
                    }
                }
            }
        }
    }

    /// Ends a step and returns its submission. Short steps are submitted together with a few others.
    pub(crate) fn end_step(&self) -> Submission {
        let mut open = self.lock();
        open.steps += 1;
        let submission = open.submission.clone();
        if open.steps == STEPS || open.work >= SHORT || open.uploads.len() > UPLOADS / 2 {
            self.flush(&mut open);
        }
        submission
    }

    /// Submits what is recorded.
    pub(crate) fn submit(&self) -> Submission {
        let mut open = self.lock();
        let submission = open.submission.clone();
        self.flush(&mut open);
        submission
    }

    /// Waits until a buffer written by a submission can be read.
    ///
    /// # Errors
    /// [`Error::Device`] if the device refused the submission, and so did not write the buffer; the other errors of the
    /// device. In a browser, and of a device that another program opened, a refusal is not known.
    async fn arrival(&self, submission: &Submission, buffer: &wgpu::Buffer) -> Result<()> {
        if submission.index().is_none() {
            self.submit();
        }
        if submission.is_refused() {
            self.gpu.check()?;
            let reason = "the submission of this step was refused, so its commands did not run: see the error before";
            return Err(Error::Device(reason.into()));
        }
        let mapped = self.gpu.map(buffer);
        self.gpu.wait(submission.index(), mapped).await
    }

    /// Waits for a submission and passes the first `bytes` that it has written to a buffer to `take`.
    ///
    /// # Errors
    /// Those of [`arrival`](Self::arrival).
    pub(crate) async fn read<T>(
        &self,
        submission: &Submission,
        buffer: &wgpu::Buffer,
        bytes: u64,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        self.arrival(submission, buffer).await?;
        let view = buffer.slice(..bytes).get_mapped_range().map_err(|error| Error::Device(error.to_string()))?;
        let taken = take(&view);
        drop(view);
        buffer.unmap();
        Ok(taken)
    }

    /// Sets whether kernels are timed from now on.
    pub(crate) fn set_profile(&self, on: bool) {
        self.submit();
        self.lock().profiler = on.then(Profiler::default);
    }

    /// The kernel times since the last call. Waits for them.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) if profiling is off.
    pub(crate) async fn profile(&self) -> Result<Profile> {
        self.submit();
        let Some(taken) = self.lock().profiler.as_mut().map(Profiler::take) else { return Err(Profile::none()) };
        taken.profile(&self.gpu).await
    }

    fn encoder<'o>(&self, encoder: &'o mut Option<wgpu::CommandEncoder>) -> &'o mut wgpu::CommandEncoder {
        let descriptor = wgpu::CommandEncoderDescriptor::default();
        encoder.get_or_insert_with(|| self.gpu.device().create_command_encoder(&descriptor))
    }

    fn flush(&self, open: &mut OpenSubmission) {
        let Some(encoder) = open.encoder.take() else { return };
        if let Some(uploads) = self.uploads.as_ref().filter(|_| !open.uploads.is_empty()) {
            self.gpu.queue().write_buffer(uploads, 0, &open.uploads);
            open.uploads.clear();
        }
        let before = self.gpu.errors();
        let index = match &mut open.profiler {
            Some(profiler) => profiler.submit(&self.gpu, encoder),
            None => self.gpu.submit(encoder.finish()),
        };
        (open.work, open.steps) = (0, 0);
        // No other call sets it.
        let refused = self.gpu.errors() > before;
        let _ = std::mem::take(&mut open.submission).0.set(Submitted { index, refused });
    }

    fn lock(&self) -> MutexGuard<'_, OpenSubmission> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
