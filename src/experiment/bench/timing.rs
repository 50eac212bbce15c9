//! Times a training step.

use std::time::Instant;

use super::machine::{cpu_seconds, load, reset_peak};
use super::statistics::median;
use super::workload::{Sizes, Workload};
use crate::experiment::config::CellName;
use crate::experiment::device::free_memory::most_resident;
use crate::experiment::device::network::Network;
use crate::experiment::device::open::OpenDevice;
use crate::experiment::memory::rows_at_once;
use crate::{Batch, EngineOptions, Optimizer, Profile, Result, TrainerOptions};

/// How a training step is timed.
#[derive(Clone, Copy, Debug)]
pub struct TimingOptions {
    /// Memory limit for training, in bytes; a larger batch is computed in micro-batches.
    pub memory: Option<u64>,
    /// The learning rate of plain gradient descent.
    pub learning_rate: f64,
    /// Number of untimed steps whose losses are reported.
    pub check_steps: usize,
    /// Warm-up steps.
    pub warmup: usize,
    /// Warm-up seconds.
    pub warmup_seconds: f64,
    /// Seconds to time, beyond `min_samples`.
    pub seconds: f64,
    /// Minimum number of samples.
    pub min_samples: usize,
    /// Maximum number of samples, unless `min_samples` is larger.
    pub max_samples: usize,
    /// Steps per sample, before a wait for the device.
    pub sync_every: usize,
    /// Whether additional steps are profiled.
    pub profile: bool,
}

/// A timed training step.
pub struct Timing {
    /// Rows on the device at once.
    pub rows: usize,
    /// Milliseconds per step of each sample, sorted.
    pub samples: Vec<f64>,
    /// CPU milliseconds of all threads per step.
    pub cpu_ms: f64,
    /// The losses of the first steps.
    pub losses: Vec<f64>,
    /// Seconds of these steps.
    pub check_seconds: f64,
    /// Steps before the timing began.
    pub warmup: usize,
    /// Billions of nominal operations per second.
    pub gflops: f64,
    /// Peak memory of the process in bytes.
    pub peak_bytes: u64,
    /// Bytes that the network holds on its device.
    pub device_bytes: u64,
    /// The load average after the timing; see [`load`].
    pub load_after: f64,
    /// The profile, if requested.
    pub profile: Option<StepProfile>,
}

impl Timing {
    /// Milliseconds per step.
    pub fn median(&self) -> f64 {
        median(&self.samples)
    }
}

/// The profile of a training step.
pub struct StepProfile {
    /// Number of profiled steps.
    pub steps: usize,
    /// Milliseconds that the host needs to submit a step.
    pub host_ms: f64,
    /// The time of all these steps, by kernel or phase.
    pub profile: Profile,
}

/// Times the training step of a network of this size on a device.
///
/// # Errors
/// If the sizes are too large or do not fit into the memory limit, and errors of the device.
pub async fn time_training(
    device: &OpenDevice,
    cell: CellName,
    sizes: Sizes,
    options: &TimingOptions,
) -> Result<Timing> {
    sizes.check()?;
    // The peak must not include earlier batches.
    reset_peak();
    let work = Workload::new(cell, sizes);
    let optimizer = Optimizer::sgd(options.learning_rate);
    let engine = EngineOptions { optimizer: Some(optimizer.kind), ..EngineOptions::default() };
    let planner = device.planner(&work.model, engine, false)?;
    let rows = match options.memory {
        Some(most) => rows_at_once(&planner, &work.batch, most)?,
        None => sizes.rows,
    };
    let micro_batch = (rows < sizes.rows).then_some(rows);
    let mut network =
        device.network(&work.model, optimizer, 0, TrainerOptions { micro_batch, ..TrainerOptions::default() })?;
    network.load_state_dict(&work.weights)?;
    let checking = Instant::now();
    let mut losses = Vec::new();
    for _ in 0..options.check_steps {
        network.step(&work.batch).await?;
        losses.extend(network.wait().await?);
    }
    let check_seconds = checking.elapsed().as_secs_f64();
    network.load_state_dict(&work.weights)?;
    let (warming, mut warmup) = (Instant::now(), 0);
    while warmup < options.warmup || warming.elapsed().as_secs_f64() < options.warmup_seconds {
        network.step(&work.batch).await?;
        network.wait().await?;
        warmup += 1;
    }
    let (samples, cpu_ms) = samples(&mut network, &work.batch, options).await?;
    let (peak_bytes, load_after, device_bytes) = (most_resident(), load(), network.bytes());
    let gflops = work.operations / median(&samples) / 1e6;
    let profile =
        if options.profile { Some(profile(&mut network, &work.batch, options.min_samples).await?) } else { None };
    Ok(Timing {
        rows,
        samples,
        cpu_ms,
        losses,
        check_seconds,
        warmup,
        gflops,
        peak_bytes,
        device_bytes,
        load_after,
        profile,
    })
}

/// Milliseconds per step of each sample, sorted, and the CPU milliseconds of all threads per step.
async fn samples(network: &mut Network, batch: &Batch, options: &TimingOptions) -> Result<(Vec<f64>, f64)> {
    let TimingOptions { seconds, min_samples, max_samples, sync_every, .. } = *options;
    let mut samples = Vec::new();
    let (timing, cpu) = (Instant::now(), cpu_seconds());
    while samples.len() < min_samples || (timing.elapsed().as_secs_f64() < seconds && samples.len() < max_samples) {
        let sample = Instant::now();
        for _ in 0..sync_every {
            network.step(batch).await?;
        }
        network.wait().await?;
        samples.push(sample.elapsed().as_secs_f64() * 1e3 / sync_every as f64);
    }
    let cpu_ms = (cpu_seconds() - cpu) * 1e3 / (samples.len() * sync_every) as f64;
    samples.sort_by(f64::total_cmp);
    Ok((samples, cpu_ms))
}

/// Runs additional steps: some to time submission on the host, and as many with a profile.
async fn profile(network: &mut Network, batch: &Batch, steps: usize) -> Result<StepProfile> {
    let mut host = Vec::new();
    for _ in 0..steps {
        let begun = Instant::now();
        network.step(batch).await?;
        host.push(begun.elapsed().as_secs_f64() * 1e3);
        network.wait().await?;
    }
    host.sort_by(f64::total_cmp);
    network.set_profile(true)?;
    for _ in 0..steps {
        network.step(batch).await?;
        network.wait().await?;
    }
    let profile = network.profile().await?;
    network.set_profile(false)?;
    Ok(StepProfile { steps, host_ms: median(&host), profile })
}
