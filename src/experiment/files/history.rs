//! The steps of a run, read from its log when needed and never kept in memory.

use std::cell::RefCell;
use std::path::Path;

use super::folder::{Folder, Log, each_line, json_line};
use super::names::METRICS;
use crate::data::open_input;
use crate::plot::Steps;
use crate::train::Metrics;
use crate::{Error, Result};

/// `metrics.jsonl` and its totals.
pub struct History {
    log: RefCell<Log>,
    known: Known,
}

/// The totals of a run's steps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Known {
    /// The number of steps.
    pub steps: u64,
    /// The number of skipped steps.
    pub skipped: u64,
    /// The number of validations.
    pub validations: u64,
    /// The last validation loss.
    pub val_loss: Option<f64>,
    /// The last step that was not skipped.
    pub last: Option<Metrics>,
}

impl Known {
    fn add(&mut self, metrics: &Metrics) {
        self.steps += 1;
        self.skipped += u64::from(metrics.skipped);
        self.validations += u64::from(metrics.val_loss.is_some());
        self.val_loss = metrics.val_loss.or(self.val_loss);
        if !metrics.skipped {
            self.last = Some(*metrics);
        }
    }
}

impl History {
    /// Of a run that begins, or that goes on behind so many bytes of its log.
    ///
    /// # Errors
    /// [`Error::Io`] where the log cannot be written or read; [`Error::Data`] where it is shorter than `bytes`, for a
    /// line that has no metrics, and for a link or a folder in its place.
    pub fn new(folder: &Folder, bytes: Option<u64>) -> Result<Self> {
        let mut known = Known::default();
        let log = match bytes {
            None => folder.log(METRICS)?,
            Some(bytes) => folder.log_from(METRICS, bytes, |line| read(line).map(|metrics| known.add(&metrics)))?,
        };
        Ok(Self { log: RefCell::new(log), known })
    }

    /// The totals of all steps so far.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Appends the metrics of a step.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn append(&mut self, metrics: &Metrics) -> Result<()> {
        self.known.add(metrics);
        self.log.get_mut().append(&json_line(metrics)?)
    }

    /// Waits until everything is on the disk; returns how many bytes these are.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn sync(&mut self) -> Result<u64> {
        self.log.get_mut().sync()
    }
}

impl Steps for History {
    fn count(&self) -> u64 {
        self.known.steps - self.known.skipped
    }

    fn validations(&self) -> u64 {
        self.known.validations
    }

    fn each(&self, take: &mut dyn FnMut(&Metrics)) -> Result<()> {
        let mut log = self.log.try_borrow_mut().map_err(|error| Error::Failed(error.to_string()))?;
        log.lines(|line| {
            let metrics = read(line)?;
            // Skipped steps are left out.
            if !metrics.skipped {
                take(&metrics);
            }
            Ok(())
        })
    }
}

/// Passes on the metrics in the log of a run that no process writes.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::Data`] for a line that has no metrics.
pub(crate) fn each_metrics(path: &Path, mut take: impl FnMut(&Metrics)) -> Result<()> {
    let (file, bytes) = open_input(path)?;
    each_line(path, &file, bytes, |line| read(line).map(|metrics| take(&metrics)))
}

fn read(line: &[u8]) -> Result<Metrics, String> {
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(step: u64) -> Metrics {
        let val_loss = step.is_multiple_of(100).then_some(1.0 / step as f64);
        let skipped = step.is_multiple_of(1000);
        let loss = if skipped { f64::NAN } else { 0.1 * step as f64 };
        Metrics { step, epoch: 1, loss, val_loss, grad_norm: 1.0, lr: 0.1, skipped }
    }

    /// What is read back, as texts: a loss that is none equals itself there.
    fn steps(history: &History) -> Vec<String> {
        let mut steps = Vec::new();
        history.each(&mut |metrics| steps.push(format!("{metrics:?}"))).unwrap();
        steps
    }

    #[test]
    fn a_long_history_stays_on_disk_and_survives_a_resume() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::create(Some(&folder.path().join("run")), "run", |_| false).unwrap();
        let mut history = History::new(&folder, None).unwrap();
        let size = size_of_val(&history);
        let expected: Vec<String> =
            (1..=100_000).filter(|step| step % 1000 > 0).map(|step| format!("{:?}", metrics(step))).collect();
        (1..=60_000).for_each(|step| history.append(&metrics(step)).unwrap());
        assert!(steps(&history) == expected[..60_000 - 60], "what is not yet on the disk is read too");
        let bytes = history.sync().unwrap();
        (60_001..=60_100).for_each(|step| history.append(&metrics(step)).unwrap());
        history.sync().unwrap();
        let mut history = History::new(&folder, Some(bytes)).unwrap();
        (60_001..=100_000).for_each(|step| history.append(&metrics(step)).unwrap());
        assert!(steps(&history) == expected);
        let known = Known {
            steps: 100_000,
            skipped: 100,
            validations: 1000,
            val_loss: Some(1e-5),
            last: Some(metrics(99_999)),
        };
        assert_eq!((*history.known(), history.count()), (known, 99_900));
        // Nothing in it grows but the log's buffer, which has its size.
        assert_eq!((size_of_val(&history), history.log.borrow().buffered()), (size, 8 << 10));
    }
}
