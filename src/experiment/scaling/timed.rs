//! Times the training steps that a plan goes by.

use std::time::{Duration, Instant};

use super::model::StepTime;
use crate::experiment::bench::statistics::median;
use crate::experiment::device::open::OpenDevice;
use crate::experiment::settings::Settings;
use crate::experiment::setup::new_network;
use crate::experiment::tasks::task::{Order, Task};
use crate::{Error, Model, Result};

/// How many steps of a size are timed, and until when there may be more than the fewest.
const STEPS: std::ops::Range<usize> = 3..30;
const UNTIL: Duration = Duration::from_secs(1);

/// Steps that were timed on a device.
#[derive(Clone, Copy, Debug)]
pub struct TimedStep {
    /// Rows of the whole batch.
    pub rows: usize,
    /// Median seconds of its step.
    pub whole: f64,
    /// Those of a step of one row.
    pub one: f64,
    /// How many batches a step has, by `training.accumulate`. The times are for all of them.
    pub batches: u64,
}

impl TimedStep {
    /// The time of a step.
    pub fn time(&self) -> StepTime {
        StepTime::from_two(self.whole, self.rows, self.one)
    }
}

/// Times steps of the largest batch of these settings, and of one row, with random weights. A network is made for each, and
/// dropped.
///
/// # Errors
/// If the device has not enough memory, and those of the data and the steps.
pub async fn time_step(device: &OpenDevice, settings: &Settings, model: &Model, task: &dyn Task) -> Result<TimedStep> {
    let (rows, whole) = seconds(device, settings, model, task, settings.batch).await?;
    let one = if rows > 1 { seconds(device, settings, model, task, 1).await?.1 } else { whole };
    let batches = settings.run.accumulate.max(1);
    Ok(TimedStep { rows, whole: whole * batches as f64, one: one * batches as f64, batches })
}

/// The rows of the largest batch of at most `rows`, and the seconds of its step.
async fn seconds(
    device: &OpenDevice,
    settings: &Settings,
    model: &Model,
    task: &dyn Task,
    rows: usize,
) -> Result<(usize, f64)> {
    let batches = task.training(Order { rows, buckets: settings.buckets, seed: settings.seed })?;
    let batches = batches.ok_or_else(|| Error::Unsupported("the split leaves no training data".into()))?;
    let batch = batches.largest()?;
    let mut network = new_network(device, settings, model, task, None)?;
    // Makes buffers and kernels.
    network.step(&batch).await?;
    network.wait().await?;
    let (mut samples, begin) = (Vec::new(), Instant::now());
    while samples.len() < STEPS.start || samples.len() < STEPS.end && begin.elapsed() < UNTIL {
        let sample = Instant::now();
        network.step(&batch).await?;
        network.wait().await?;
        samples.push(sample.elapsed().as_secs_f64());
    }
    samples.sort_by(f64::total_cmp);
    Ok((batch.sequence.shape().1, median(&samples)))
}
