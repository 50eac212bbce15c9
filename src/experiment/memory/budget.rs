//! How many bytes training may use, and the rows of a batch that fit.

use super::host::{batch_bytes, program};
use crate::experiment::config::agree::unsupported;
use crate::experiment::device::free_memory::{FreeMemory, most_resident, resident};
use crate::experiment::device::open::{NetworkPlanner, OpenDevice};
use crate::experiment::settings::Settings;
use crate::format::{bytes, path_text};
use crate::{Batch, Error, Result};

/// What is assumed where the system reports nothing.
const ASSUMED: u64 = 2 << 30;

/// Batches of more rows than these have a multiple of them, which blocks of rows and tiles of kernels are whole in.
pub(super) const EVEN: usize = 8;

/// One part in so many of a budget is left to what no plan holds.
const MARGIN: u64 = 16;

/// The most bytes that training may use.
#[derive(Clone, Debug)]
pub struct Budget {
    /// The number of bytes.
    pub bytes: u64,
    /// The number in words, and where it comes from.
    pub words: String,
}

impl Budget {
    /// The limit that was set, or else what the device has room for. wgpu does not report a GPU's memory; a device that
    /// shares the machine's memory may use half of what this program may still use there, as the CPU may.
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

    /// What is left beside so many bytes. What threads and products allocate for a moment is in no plan: on the CPU backend a
    /// [`MARGIN`]th is left for it.
    pub(super) fn left(&self, device: &OpenDevice, beside: u64) -> u64 {
        let margin = if device.is_cpu() { self.bytes / MARGIN } else { 0 };
        self.bytes.saturating_sub(margin + beside)
    }

    /// That not even one row fits, where the program uses so many bytes beside the network.
    pub(super) fn too_small(&self, error: Error, device: &OpenDevice, beside: u64) -> Error {
        match error {
            // No network is small enough then.
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

/// The least budget that leaves so many bytes beside others, in whole MiB so that it can be typed.
fn enough(needed: u64, device: &OpenDevice, beside: u64) -> String {
    let all = needed.saturating_add(beside);
    let all = if device.is_cpu() { all.saturating_add(all / (MARGIN - 1)) } else { all };
    // What the program itself uses differs by some pages from one time to the next.
    format!("{}MiB", all.saturating_add(1 << 20).div_ceil(1 << 20))
}

/// Refuses a budget below the size of the largest file, before it is read: on the CPU backend it is held as a whole.
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

/// Refuses a budget below what reading the data took.
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

/// The most rows at once of a batch that exists already, with which training stays within `limit` bytes.
///
/// # Errors
/// [`Error::Unsupported`] where not even one row fits.
pub fn rows_at_once(planner: &NetworkPlanner<'_>, batch: &Batch, limit: u64) -> Result<usize> {
    let device = planner.device;
    let budget = Budget::new(Some(limit), device);
    let (rows, bytes) = (batch.sequence.shape().1, batch_bytes(batch));
    // A whole batch goes as it is; of one that is computed in parts each part is there beside it.
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

/// The rows of each part where a batch is cut into as few as `most` rows at once allow: as alike as they can be, since each
/// size is planned for itself.
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
