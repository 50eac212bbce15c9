//! The metrics of a run as TensorBoard event files.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::folder::{Folder, Log, io_error};
use crate::Result;
use crate::interchange::tensorboard::{file_version, scalars, session_start};
use crate::train::Metrics;

/// The folder of event files in a run's folder.
const FOLDER: &str = "tensorboard";

/// Prefix and suffix of a file name, around the time in seconds.
const NAME: (&str, &str) = ("events.out.tfevents.", ".bptt");

/// An event file that grows step by step.
pub struct Tensorboard(Log);

impl Tensorboard {
    /// A file of a run that begins, or that goes on after a step: what an earlier file has of later ones is void then.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where it cannot be created; [`Error::Data`](crate::Error::Data) for a link or a
    /// folder in its place.
    pub fn new(folder: &Folder, after: Option<u64>) -> Result<Self> {
        let path = folder.path().join(FOLDER);
        folder.make(FOLDER)?;
        // Files are read in the order of their names, even if the clock was set back.
        let number = latest(&path)?.map_or(0, |latest| latest + 1).max(seconds() as u64);
        let (begins, ends) = NAME;
        let mut log = folder.log(&format!("{FOLDER}/{begins}{number:010}{ends}"))?;
        log.append(&file_version(seconds()))?;
        after.map_or(Ok(()), |step| log.append(&session_start(seconds(), step + 1)))?;
        Ok(Self(log))
    }

    /// Appends the metrics of a step.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where it cannot be written.
    pub fn append(&mut self, metrics: &Metrics) -> Result<()> {
        let Metrics { step, loss, val_loss, grad_norm, lr, .. } = *metrics;
        let mut values = vec![("loss", loss), ("grad_norm", grad_norm), ("lr", lr)];
        values.extend(val_loss.map(|loss| ("val_loss", loss)));
        self.0.append(&scalars(seconds(), step, &values))
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where it cannot be written.
    pub fn sync(&mut self) -> Result<()> {
        self.0.sync().map(|_| ())
    }
}

/// The number of the latest file.
fn latest(folder: &Path) -> Result<Option<u64>> {
    let number = |name: &str| name.strip_prefix(NAME.0)?.strip_suffix(NAME.1)?.parse().ok();
    let entries = fs::read_dir(folder).map_err(io_error(folder))?;
    Ok(entries.flatten().filter_map(|entry| number(&entry.file_name().to_string_lossy())).max())
}

/// Seconds since 1970 by the machine's clock; a label only.
fn seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
