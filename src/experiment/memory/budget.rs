//! The memory budget of training, and the rows of a batch that fit.

use super::host::{batch_bytes, program};
use crate::experiment::config::agree::unsupported;
use crate::experiment::device::free_memory::{FreeMemory, most_resident, resident};
use crate::experiment::device::open::{NetworkPlanner, OpenDevice};
use crate::experiment::settings::Settings;
use crate::format::{bytes, path_text};
use crate::{Batch, Error, Result};

/// The budget if the system reports nothing.
const ASSUMED: u64 = 2 << 30;

/// Larger batches have a multiple of this number of rows, which fills blocks and tiles.
pub(super) const EVEN: usize = 8;

/// The divisor of the share of a budget that is left for unplanned memory.
const MARGIN: u64 = 16;

/// The memory budget of training.
#[derive(Clone, Debug)]
pub struct Budget {
    /// The number of bytes.
    pub bytes: u64,
    /// The number in words, with its source.
    pub words: String,
}

impl Budget {
    /// The configured limit, or what the device has. wgpu does not report a GPU's memory. A device that shares the
    /// machine's memory may use half of what is free, as the CPU may.
    pub(super) fn new(limit: Option<u64>, device: &OpenDevice) -> Self {
        if let Some(limit) = limit {
            return Self { bytes: limit, words: format!("{} (--memory)", bytes(limit)) };
        }
        let assumed = |why: &str| Self {
            bytes: ASSUMED,
            words: format!("{}, assumed, since {why}: set it with --memory", bytes(ASSUMED)),
        };
        if !device.shares_memory() {
            return assumed("the driver does not report the GPU's memory");
        }
        match FreeMemory::now() {
            Some(free) => Self { bytes: free.bytes / 2, words: format!("half of {}", free.words()) },
            None => assumed("the system does not report its free memory"),
        }
    }

    /// What is left beside `beside` bytes. Short-lived allocations of threads and products are not planned: on the CPU
    /// backend a [`MARGIN`]th is left for them.
    pub(super) fn left(&self, device: &OpenDevice, beside: u64) -> u64 {
        let margin = if device.is_cpu() { self.bytes / MARGIN } else { 0 };
        self.bytes.saturating_sub(margin + beside)
    }

    /// The error that not even one row fits, if the program uses `beside` bytes besides the network.
    pub(super) fn too_small(&self, error: Error, device: &OpenDevice, beside: u64) -> Error {
        match error {
            // No network is small enough.
            Error::Limit { .. } if beside >= self.bytes => unsupported(format!(
                "the program itself with its data, a batch and copies of the weights takes {}, and there is {}: allow more, or \
                 take fewer hidden units or a smaller --batch",
                bytes(beside),
                self.words
            )),
            Error::Limit { bytes: needed, .. } => unsupported(format!(
                "training one sequence at a time takes {} beside the {} of the program and its batch, and there is {}: \
                 --memory {} is enough, or take fewer hidden units, a shorter window, or --recompute",
                bytes(needed),
                bytes(beside),
                self.words,
                enough(needed, device, beside)
            )),
            other => other,
        }
    }
}

/// The smallest budget that leaves enough bytes, in whole MiB so that it can be typed.
fn enough(needed: u64, device: &OpenDevice, beside: u64) -> String {
    let all = needed.saturating_add(beside);
    let all = if device.is_cpu() { all.saturating_add(all / (MARGIN - 1)) } else { all };
    // The program's own memory varies by some pages.
    format!("{}MiB", all.saturating_add(1 << 20).div_ceil(1 << 20))
}

/// Refuses a budget smaller than the largest file, before it is read: on the CPU backend it is held in memory.
///
/// # Errors
/// [`Error::Unsupported`] names the file.
pub fn check_files(settings: &mut Settings) -> Result<()> {
    let Some(limit) = settings.memory.filter(|_| settings.device.eq_ignore_ascii_case("cpu")) else { return Ok(()) };
    match settings.largest_file() {
        Some((path, length)) if length.saturating_add(resident()) > limit => Err(unsupported(format!(
            "to read {} takes the {} that it has and {} of the program itself, and there is {} (--memory): allow \
                 more, or take less data",
            path_text(&path),
            bytes(length),
            bytes(resident()),
            bytes(limit)
        ))),
        _ => Ok(()),
    }
}

/// Refuses a budget smaller than the memory used for reading the data.
pub(super) fn check_program(settings: &Settings, device: &OpenDevice) -> Result<()> {
    match (settings.memory, most_resident().saturating_sub(device.driver_bytes)) {
        (Some(limit), most) if most > limit => Err(unsupported(format!(
            "the program itself with its data takes {} before it trains, and there is {} (--memory): allow more, or take \
             less data",
            bytes(most),
            bytes(limit)
        ))),
        _ => Ok(()),
    }
}

/// The maximum number of rows at once of an existing batch, within `limit` bytes.
///
/// # Errors
/// [`Error::Unsupported`] if not even one row fits.
pub fn rows_at_once(planner: &NetworkPlanner<'_>, batch: &Batch, limit: u64) -> Result<usize> {
    let device = planner.device;
    let budget = Budget::new(Some(limit), device);
    let (rows, bytes) = (batch.sequence.shape().1, batch_bytes(batch));
    // A whole batch is used directly; each micro-batch is a copy beside it.
    let shared = device.shares_memory();
    let (beside, row_bytes) = if shared { (program(device), bytes.div_ceil(rows as u64)) } else { (0, 0) };
    let (left, batch_shape) = (budget.left(device, beside), batch.sequence.batch_shape());
    let fits = planner.plan(batch_shape).is_ok_and(|planned| planned.total() <= left);
    if fits {
        return Ok(rows);
    }
    let found = planner.largest_rows(batch_shape, left, rows, row_bytes);
    found.map(|most| evenly(rows, most)).map_err(|error| budget.too_small(error, device, beside))
}

/// The rows of each micro-batch if a batch is cut into as few as `most` rows at once allow. They are as equal as
/// possible, since each size has its own plan.
pub(super) fn evenly(batch: usize, most: usize) -> usize {
    batch.div_ceil(batch.div_ceil(most)).next_multiple_of(EVEN).min(most)
}

#[cfg(test)]
mod tests {
    use super::evenly;

    #[test]
    fn a_batch_is_cut_into_the_fewest_equal_micro_batches_that_fit() {
        assert_eq!(evenly(4096, 2370), 2048);
        assert_eq!(evenly(100, 40), 40);
        assert_eq!(evenly(100, 60), 56);
        assert_eq!(evenly(10, 3), 3);
        assert_eq!(evenly(64, 64), 64);
    }
}
