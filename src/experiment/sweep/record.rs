//! What is known of the runs of a sweep: one small file for each rung that a run has come to the end of.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::data::{InputLimit, read_input};
use crate::experiment::files::folder::io_error;
use crate::experiment::files::new_file;
use crate::files::whole_file::WholeFile;
use crate::{Error, Result};

/// A piece of work: a run up to the end of a rung. All are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Work {
    pub(super) trial: usize,
    pub(super) seed: usize,
    pub(super) rung: u32,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The number of steps that are done.
    pub(super) step: u64,
    /// The validation loss of the weights that the run keeps.
    pub(super) val_loss: Option<f64>,
    /// Whether the run has ended: at its last step, or early since the validation loss no longer improved.
    pub(super) ended: bool,
    /// The measured numbers of the validation split and of the test split, once it has ended.
    #[serde(default)]
    pub(super) validation: Map<String, Value>,
    #[serde(default)]
    pub(super) test: Map<String, Value>,
    /// Why there are none.
    pub(super) failed: Option<String>,
}

impl Record {
    pub(super) fn failure(step: u64, reason: String) -> Self {
        let (validation, test) = Default::default();
        Self { step, val_loss: None, ended: true, validation, test, failed: Some(reason) }
    }
}

impl Work {
    /// The name of its files.
    pub(super) fn name(self) -> String {
        format!("trial-{:03}-seed-{}-rung-{}", self.trial, self.seed, self.rung)
    }

    fn of(name: &str) -> Option<Self> {
        let (trial, rest) = name.strip_prefix("trial-")?.split_once("-seed-")?;
        let (seed, rung) = rest.strip_suffix(ENDING)?.split_once("-rung-")?;
        Some(Self { trial: trial.parse().ok()?, seed: seed.parse().ok()?, rung: rung.parse().ok()? })
    }

    /// The folder of its run within that of the sweep.
    pub(super) fn folder(self) -> PathBuf {
        Path::new(&format!("trial-{:03}", self.trial)).join(format!("seed-{}", self.seed))
    }
}

const ENDING: &str = ".json";

/// The records in a folder. None changes once it is there.
pub(super) struct Records {
    folder: PathBuf,
    known: BTreeMap<Work, Record>,
}

impl Records {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, known: BTreeMap::new() }
    }

    /// Reads those that have come since.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Data`] for files that cannot be read.
    pub(super) fn refresh(&mut self) -> Result<()> {
        for entry in fs::read_dir(&self.folder).map_err(io_error(&self.folder))? {
            let entry = entry.map_err(io_error(&self.folder))?;
            let Some(work) = entry.file_name().to_str().and_then(Work::of) else { continue };
            if let Entry::Vacant(unknown) = self.known.entry(work) {
                unknown.insert(read(&entry.path())?);
            }
        }
        Ok(())
    }

    /// What became of a piece of work: a run that has ended stays where it is at all later rungs.
    pub(super) fn get(&self, work: Work) -> Option<&Record> {
        let before = (1..work.rung).rev().filter_map(|rung| self.known.get(&Work { rung, ..work }));
        self.known.get(&work).or_else(|| before.into_iter().find(|record| record.ended))
    }

    /// Keeps that a piece of work failed, unless another worker came to its end.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder is not writable; those of [`refresh`](Self::refresh).
    pub(super) fn put_failure(&mut self, work: Work, step: u64, reason: String) -> Result<()> {
        self.refresh()?;
        if self.get(work).is_none() {
            write_first(&self.folder.join(work.name() + ENDING), &to_json(&Record::failure(step, reason))?)?;
        }
        self.refresh()
    }

    /// Keeps what became of a piece of work.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder is not writable.
    pub(super) fn put(&mut self, work: Work, record: Record) -> Result<()> {
        write(&self.folder.join(work.name() + ENDING), &to_json(&record)?)?;
        self.known.insert(work, record);
        Ok(())
    }
}

/// Reads a file of JSON.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::Data`] where it is not what it should be.
pub(super) fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let bytes = read_input(path, InputLimit::default())?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Data {
        path: path.into(),
        place: String::new(),
        message: format!("expected a file that the sweep wrote: {error}"),
    })
}

pub(super) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::Failed(error.to_string()))?;
    Ok((text + "\n").into_bytes())
}

/// Writes a file as a whole, whichever other processes write it too: renaming is one step, on network file systems too.
///
/// # Errors
/// [`Error::Io`] where it cannot be written.
pub(super) fn write(path: &Path, contents: &[u8]) -> Result<()> {
    use std::io::Write;
    let mut file = WholeFile::create(path)?;
    let written = file.write_all(contents).map_err(io_error(path));
    file.finish(written, |temporary, path| fs::rename(temporary, path).map(|()| true))
}

/// Writes a file unless another process was first, which is `false`.
///
/// # Errors
/// [`Error::Io`] where it cannot be written.
pub(super) fn write_first(path: &Path, contents: &[u8]) -> Result<bool> {
    match new_file::write(path, contents) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => Ok(false),
        written => written.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_never_replaces_what_another_worker_found() {
        let folder = tempfile::tempdir().unwrap();
        let [mut own, mut other] = [(), ()].map(|()| Records::new(folder.path().into()));
        let work = |rung| Work { trial: 3, seed: 1, rung };
        let found = Record { val_loss: Some(0.5), failed: None, ..Record::failure(9, String::new()) };
        // Unknown here until it is about to be given up.
        other.put(work(1), found.clone()).unwrap();
        own.put_failure(work(1), 4, "given up".into()).unwrap();
        assert_eq!((own.get(work(1)), own.known.len()), (Some(&found), 1));
        // It had ended at an earlier rung.
        own.put_failure(work(2), 4, "given up".into()).unwrap();
        assert_eq!((own.get(work(2)), own.known.len()), (Some(&found), 1));
        let unknown = Work { trial: 4, ..work(1) };
        own.put_failure(unknown, 4, "given up".into()).unwrap();
        other.refresh().unwrap();
        assert_eq!(other.get(unknown), Some(&Record::failure(4, "given up".into())));
    }

    #[test]
    fn a_record_is_read_by_others_and_one_that_ended_counts_at_later_rungs() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = Records::new(folder.path().into());
        let record = |ended| Record { val_loss: Some(0.1 + 0.2), ended, ..Record::failure(7, "x".into()) };
        let work = |trial, rung| Work { trial, seed: 2, rung };
        records.put(work(1, 1), record(true)).unwrap();
        records.put(work(1234, 1), record(false)).unwrap();
        fs::write(folder.path().join(".bptt-1-0.part"), "half").unwrap();
        let mut others = Records::new(folder.path().into());
        others.refresh().unwrap();
        assert_eq!(others.known, records.known);
        assert_eq!(others.get(work(1, 3)), Some(&record(true)));
        assert_eq!(others.get(work(1234, 2)), None);
    }
}
