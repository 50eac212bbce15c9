//! The one stream of an engine's writes and commands, and what of it makes a submission.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::builder::allocate;
use super::profiler::Profiler;
use super::program::{BufferOffset, GpuCommand};
use crate::error::Result;
use crate::gpu::device::Gpu;
use crate::model::plan::TensorSpec;
use crate::profile::Profile;

/// The most steps of a submission, and the planned operations from which on it holds no further one: a submission takes
/// some tens of microseconds, which only a short step notices.
const STEPS: usize = 4;
const SHORT: u64 = 250_000_000;

/// Bytes of writes that a submission brings along, and of the largest one: a larger one goes by itself. The steps of a
/// submission leave half of them to the last one.
pub(crate) const UPLOADS: usize = 512 << 10;
const UPLOAD: usize = UPLOADS / 4;

/// Records writes and commands and submits them in their order, without a wait between them.
#[derive(Debug)]
pub(crate) struct Recorder {
    gpu: Gpu,
    /// Planned operations of a submission.
    pub(crate) limit: u64,
    /// From where a submission copies what is written within it. What the queue itself writes comes before the whole of
    /// the submission that follows, and so before commands that are still to read what was there.
    uploads: Option<wgpu::Buffer>,
    open: Mutex<OpenSubmission>,
}

/// What is recorded and not yet submitted.
#[derive(Debug, Default)]
struct OpenSubmission {
    /// From the first command on.
    encoder: Option<wgpu::CommandEncoder>,
    work: u64,
    steps: usize,
    uploads: Vec<u8>,
    submission: Submission,
    profiler: Option<Profiler>,
}

/// A submission, that was made or is to come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Submission(Arc<OnceLock<wgpu::SubmissionIndex>>);

impl Submission {
    /// Once it was made.
    pub(crate) fn index(&self) -> Option<wgpu::SubmissionIndex> {
        self.0.get().cloned()
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Recorder {
    /// One of commands alone: each write is a submission's end.
    pub(crate) fn new(gpu: &Gpu) -> Self {
        Self { gpu: gpu.clone(), limit: gpu.limits().submission(), uploads: None, open: Mutex::default() }
    }

    /// One whose submissions bring small writes along.
    pub(crate) fn with_uploads(gpu: &Gpu) -> Result<Self> {
        let uploads = allocate(gpu, &TensorSpec { name: "uploads".into(), bytes: UPLOADS as u64 })?;
        Ok(Self { uploads: Some(uploads), ..Self::new(gpu) })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.uploads.as_ref().map_or(0, wgpu::Buffer::size)
    }

    /// Begins a pass: one before it that is no short one goes on its way first, as where an update takes several.
    pub(crate) fn begin_pass(&self) {
        let mut open = self.lock();
        if open.work >= SHORT {
            self.flush(&mut open);
        }
    }

    /// Writes for the commands to come.
    pub(crate) fn write<T: bytemuck::NoUninit>(&self, to: &BufferOffset, values: &[T]) {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let mut open = self.lock();
        let uploads = self.uploads.as_ref().filter(|_| bytes.len() <= UPLOAD);
        if uploads.is_none() || open.uploads.len() + bytes.len() > UPLOADS {
            self.flush(&mut open);
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

    /// Records a list; consecutive dispatches share a compute pass, with a profiler those of one kernel.
    pub(crate) fn record<'c>(&self, commands: impl IntoIterator<Item = &'c GpuCommand>) {
        let mut lock = self.lock();
        let mut commands = commands.into_iter().peekable();
        while let Some(command) = commands.next() {
            let OpenSubmission { encoder, work, profiler, .. } = &mut *lock;
            let encoder = self.encoder(encoder);
            match command {
                GpuCommand::Copy { from, to, bytes } => {
                    encoder.copy_buffer_to_buffer(&from.buffer, from.offset, &to.buffer, to.offset, Some(*bytes));
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
                            pass.set_pipeline(&kernel.pipeline);
                        }
                        pass.set_bind_group(0, bindings, &[*offset]);
                        pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
                        *work += cost.operations;
                        if let Some(profiler) = profiler {
                            profiler.count(*cost);
                        }
                        next = match *work < self.limit {
                            true => commands.next_if(|command| match command {
                                GpuCommand::Dispatch { kernel, .. } => profiler.is_none() || Arc::ptr_eq(kernel, first),
                                _ => false,
                            }),
                            false => None,
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

    /// Ends a step, which is submitted now or, where it is short, with a few others. Tells its submission.
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

    /// Waits until a buffer that a submission copies into can be read.
    pub(crate) async fn arrival(&self, submission: &Submission, buffer: &wgpu::Buffer) -> Result<()> {
        if submission.index().is_none() {
            self.submit();
        }
        let mapped = self.gpu.map(buffer);
        self.gpu.wait(submission.index(), mapped).await
    }

    /// From now on kernels are timed, or are not.
    pub(crate) fn set_profile(&self, on: bool) {
        self.submit();
        self.lock().profiler = on.then(Profiler::default);
    }

    /// What the kernels took since the last call. Waits for them.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) where they were not timed.
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
        let index = match &mut open.profiler {
            Some(profiler) => profiler.submit(&self.gpu, encoder),
            None => self.gpu.submit(encoder.finish()),
        };
        (open.work, open.steps) = (0, 0);
        // No other call sets it.
        let _ = std::mem::take(&mut open.submission).0.set(index);
    }

    fn lock(&self) -> MutexGuard<'_, OpenSubmission> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
