//! Kernel times on the device, from timestamps around compute passes.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Result};
use crate::gpu::device::Gpu;
use crate::gpu::device::kernel::Kernel;
use crate::gpu::device::signal::Signal;
use crate::model::plan::Cost;
use crate::profile::{Profile, ProfilePart};

/// Times the kernels being recorded, and keeps what was submitted since the last profile.
#[derive(Debug, Default)]
pub(crate) struct Profiler {
    /// Created with the first run of a submission, if the device supports timestamps.
    queries: Option<wgpu::QuerySet>,
    /// Runs of the submission being recorded.
    runs: Vec<KernelRun>,
    taken: PendingProfile,
}

/// Times known so far, and submissions whose timestamps are outstanding, oldest first.
#[derive(Debug, Default)]
pub(crate) struct PendingProfile {
    profile: Profile,
    pending: VecDeque<SubmittedRuns>,
}

/// The kernels of a submission, and the buffer for their timestamps.
#[derive(Debug)]
struct SubmittedRuns {
    runs: Vec<KernelRun>,
    times: Option<(wgpu::Buffer, wgpu::SubmissionIndex, Signal)>,
}

/// Consecutive dispatches of one kernel: a compute pass.
#[derive(Debug)]
struct KernelRun {
    kernel: Arc<Kernel>,
    calls: u64,
    cost: Cost,
}

/// Each run has a timestamp before and after it.
const MOST_RUNS: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

impl PendingProfile {
    /// Waits for all timestamps.
    pub(crate) async fn profile(self, gpu: &Gpu) -> Result<Profile> {
        let Self { mut profile, pending } = self;
        for SubmittedRuns { runs, times } in pending {
            let ticks = match times {
                Some((buffer, submission, mapped)) => {
                    gpu.wait(Some(submission), mapped).await?;
                    ticks(&buffer)?
                }
                None => Vec::new(),
            };
            add(&mut profile, runs, &ticks, gpu);
        }
        Ok(profile)
    }

    /// Adds a submission, and collects those whose timestamps have arrived, so that a long run keeps few of them.
    fn push(&mut self, submitted: SubmittedRuns, gpu: &Gpu) {
        self.pending.push_back(submitted);
        while let Some(SubmittedRuns { runs, times }) = self.pending.front_mut() {
            let mut context = Context::from_waker(Waker::noop());
            let ticks = match times {
                Some((buffer, _, mapped)) => match Pin::new(mapped).poll(&mut context) {
                    Poll::Ready(Ok(())) => ticks(buffer).unwrap_or_default(),
                    // Waiting for the submission reports the reason.
                    Poll::Ready(Err(_)) => Vec::new(),
                    Poll::Pending => break,
                },
                None => Vec::new(),
            };
            let runs = std::mem::take(runs);
            add(&mut self.profile, runs, &ticks, gpu);
            self.pending.pop_front();
        }
    }
}

/// The timestamps that arrived.
fn ticks(buffer: &wgpu::Buffer) -> Result<Vec<u64>> {
    let view = buffer.slice(..).get_mapped_range().map_err(|error| Error::Device(error.to_string()))?;
    Ok(bytemuck::pod_collect_to_vec(&view))
}

fn add(profile: &mut Profile, runs: Vec<KernelRun>, ticks: &[u64], gpu: &Gpu) {
    let seconds_a_tick = f64::from(gpu.queue().get_timestamp_period()) * 1e-9;
    for (index, KernelRun { kernel, calls, cost }) in runs.into_iter().enumerate() {
        let pair = ticks.get(2 * index..2 * index + 2);
        let seconds = pair.map(|pair| pair[1].saturating_sub(pair[0]) as f64 * seconds_a_tick);
        let (operations, bytes) = (cost.operations, cost.bytes);
        profile.add(ProfilePart { name: kernel.compiled.name.clone(), calls, seconds, operations, bytes });
    }
}

impl Profiler {
    /// Takes what was submitted.
    pub(crate) fn take(&mut self) -> PendingProfile {
        std::mem::take(&mut self.taken)
    }

    /// Begins a run of a kernel.
    pub(crate) fn begin(&mut self, gpu: &Gpu, kernel: &Arc<Kernel>) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        let device = gpu.device();
        let Self { queries, runs, .. } = self;
        if runs.is_empty() && device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            let count = 2 * MOST_RUNS as u32;
            let descriptor = wgpu::QuerySetDescriptor { label: Some("profile"), ty: wgpu::QueryType::Timestamp, count };
            *queries = Some(device.create_query_set(&descriptor));
        }
        let first = 2 * runs.len() as u32;
        runs.push(KernelRun { kernel: kernel.clone(), calls: 0, cost: Cost::default() });
        queries.as_ref().map(|query_set| wgpu::ComputePassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        })
    }

    /// Adds a dispatch to the run.
    pub(crate) fn count(&mut self, cost: Cost) {
        if let Some(run) = self.runs.last_mut() {
            run.calls += 1;
            run.cost += cost;
        }
    }

    /// Counts bytes copied to the device.
    pub(crate) fn upload(&mut self, bytes: u64) {
        self.taken.profile.uploaded += bytes;
    }

    /// Counts bytes copied to the host.
    pub(crate) fn download(&mut self, bytes: u64) {
        self.taken.profile.downloaded += bytes;
    }

    /// Whether there is no space for another run.
    pub(crate) fn is_full(&self) -> bool {
        self.runs.len() == MOST_RUNS
    }

    /// Submits what was recorded, and starts over.
    pub(crate) fn submit(&mut self, gpu: &Gpu, mut encoder: wgpu::CommandEncoder) -> wgpu::SubmissionIndex {
        let (queries, runs) = (self.queries.take(), std::mem::take(&mut self.runs));
        let buffer = |name, usage| {
            let size = 16 * runs.len() as u64;
            gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some(name),
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        let times = queries.map(|queries| {
            let resolved = buffer("timestamps", wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
            let read = buffer("timestamps read back", wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
            encoder.resolve_query_set(&queries, 0..2 * runs.len() as u32, &resolved, 0);
            encoder.copy_buffer_to_buffer(&resolved, 0, &read, 0, None);
            read
        });
        let submission = gpu.submit(encoder.finish());
        let times = times.map(|read| {
            let mapped = gpu.map(&read);
            (read, submission.clone(), mapped)
        });
        self.taken.push(SubmittedRuns { runs, times }, gpu);
        submission
    }
}
