//! A run's checkpoints: when one is due, where it is written, and what a resumed run needs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::arithmetic::Arithmetic;
use super::digest::Digest;
use super::folder::{Folder, PART, PartialFile, in_file, io_error};
use super::names;
use super::names::CONFIG;
use super::own_file::check_own;
use crate::data::{InputLimit, open_input, read_input, read_settings};
use crate::train::{Checkpoint, SavedWeights};
use crate::{Error, Model, Result};

/// The folder of checkpoints in a run's folder.
pub(crate) const FOLDER: &str = "checkpoints";

/// The model's description in that folder, so that the weights can be used before the run has finished.
pub(crate) const DESCRIPTION: &str = "checkpoints/model.json";

/// Marks a finished run whose files are all written.
pub(crate) const FINISHED: &str = "checkpoints/finished";

/// Seconds between two checkpoints by default.
const EVERY: Duration = Duration::from_secs(60);

/// The share of time that checkpoints may take: large ones are written less often.
const SHARE: u32 = 20;

/// The positions of a run's files and its totals at a checkpoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Bytes of `metrics.jsonl`.
    pub metrics: u64,
    /// Bytes of `timings.jsonl`.
    pub timings: u64,
    /// Bytes of `flow.jsonl`, if it exists.
    #[serde(default)]
    pub flow: Option<u64>,
    /// Seconds of training.
    pub seconds: f64,
    /// Number of sequences read.
    pub sequences: u64,
    /// Number of time steps read.
    pub time_steps: u64,
}

/// The metadata of a checkpoint.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    /// The SHA-256 of the run's configuration.
    pub(crate) config: String,
    /// What the bits of its steps depend on; missing in older files.
    #[serde(default)]
    pub(crate) arithmetic: Option<Arithmetic>,
    /// The device in words, in older files.
    #[serde(default, skip_serializing)]
    pub(crate) program: Option<String>,
    pub(crate) position: Position,
}

/// Writes the checkpoints of a run.
pub struct Checkpoints<'a> {
    folder: &'a Folder,
    config: String,
    arithmetic: Arithmetic,
    /// Steps between two checkpoints; `None`: by time.
    every: Option<u64>,
    kept: usize,
    due: Instant,
    writing: Option<Writing>,
    /// Which existing files belong to the run.
    own: BTreeMap<PathBuf, bool>,
}

/// The checkpoint being written: its step and start time.
struct Writing {
    file: PartialFile,
    step: u64,
    began: Instant,
}

impl<'a> Checkpoints<'a> {
    /// For a run that has its configuration in its folder, on a device of this arithmetic, of a model by its
    /// description. The last `kept` remain.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be written to or its configuration cannot be read; [`Error::Data`] for a
    /// link or a folder in the place of one of these files, and for a configuration above 4 MiB.
    pub fn new(
        folder: &'a Folder,
        arithmetic: Arithmetic,
        model: &str,
        (every, kept): (Option<u64>, usize),
    ) -> Result<Self> {
        folder.make(FOLDER)?;
        folder.write(DESCRIPTION, model.as_bytes())?;
        let config = folder.path().join(CONFIG);
        let config = digest(&read_settings(&config)?);
        let (due, own) = (Instant::now() + EVERY, BTreeMap::new());
        Ok(Self { folder, config, arithmetic, every, kept, due, writing: None, own })
    }

    /// Whether a checkpoint is due after this step.
    pub fn is_due(&self, step: u64) -> bool {
        match self.every {
            Some(every) => step.is_multiple_of(every),
            None => Instant::now() >= self.due,
        }
    }

    /// Where the checkpoint after `step` steps goes, and its note.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be created; [`Error::Data`] for a link or a folder in its place;
    /// [`Error::Failed`] for a note that is no JSON.
    pub fn begin(&mut self, step: u64, position: Position) -> Result<(&mut PartialFile, String)> {
        let began = Instant::now();
        let arithmetic = Some(self.arithmetic.clone());
        let note = Note { config: self.config.clone(), arithmetic, program: None, position };
        let file = self.folder.begin(&file_path(step))?;
        Ok((&mut self.writing.insert(Writing { file, step, began }).file, note.text()?))
    }

    /// Whether it could be written.
    ///
    /// # Errors
    /// The error of `written`, with the file's path if it is one of writing; [`Error::Io`] where the file cannot be
    /// completed, or an older one removed.
    pub fn written(&mut self, written: Result<()>) -> Result<()> {
        let Some(Writing { file, step, began }) = self.writing.take() else { return written };
        file.end(written)?;
        self.own.insert(self.folder.path().join(FOLDER).join(file_name(step)), true);
        clear(self.folder.path(), &self.config, self.kept, &mut self.own)?;
        self.due = Instant::now() + EVERY.max(SHARE * began.elapsed());
        Ok(())
    }
}

/// The file of the checkpoint after `step` steps.
pub(crate) fn file_path(step: u64) -> String {
    format!("{FOLDER}/{}", file_name(step))
}

impl Note {
    pub(crate) fn text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::Failed(error.to_string()))
    }
}

/// Deletes the run's own checkpoints except for the latest `kept`. Other files with such names stay: those of other
/// runs, and unreadable ones. `known` returns what was found in a file before.
fn clear(run: &Path, config: &str, kept: usize, known: &mut BTreeMap<PathBuf, bool>) -> Result<()> {
    let is_own = |path: &Path| Saved::open(path.into()).is_ok_and(|(_, note)| note.config == config);
    let mut files = files(run)?;
    files.retain(|path| *known.entry(path.clone()).or_insert_with(|| is_own(path)));
    // A file that another process holds open is deleted next time.
    for path in files.iter().skip(kept).filter(|path| fs::remove_file(path).is_ok()) {
        known.remove(path);
    }
    Ok(())
}

/// To be called when a run has finished and everything of it is written: the last checkpoint stays.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be written to, its configuration cannot be read, or an older checkpoint cannot
/// be removed.
pub fn finish(folder: &Folder) -> Result<()> {
    // This must precede the mark of a finished run: an unreadable file is not a valid end.
    let config = digest(&read_settings(&folder.path().join(CONFIG))?);
    folder.write(FINISHED, b"")?;
    clear(folder.path(), &config, 1, &mut BTreeMap::new())
}

/// An unfinished run.
pub(crate) struct Unfinished {
    pub(crate) path: PathBuf,
    /// Its latest readable checkpoint, and the description of its model.
    pub(crate) saved: Option<(Saved, String)>,
}

/// A checkpoint file that was verified. Its contents are read when needed and not kept.
pub struct Saved {
    pub(crate) path: PathBuf,
    /// The number of steps.
    pub step: u64,
}

impl Saved {
    /// The file and its metadata.
    pub(crate) fn open(path: PathBuf) -> Result<(Self, Note)> {
        check_own(&path)?;
        let (file, length) = open_input(&path)?;
        let (step, note) = Checkpoint::<f32>::read_note(file, length).map_err(in_file(&path))?;
        let note = serde_json::from_str(&note).map_err(|error| {
            let message = format!("the run's note: {error}");
            Error::Data { path: path.clone(), place: String::new(), message }
        })?;
        Ok((Self { path, step }, note))
    }

    /// All of it.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::Data`] where it is not whole or is not of this version.
    pub fn read(&self) -> Result<Checkpoint> {
        let (file, length) = open_input(&self.path)?;
        Ok(Checkpoint::read_from(file, length).map_err(in_file(&self.path))?.0)
    }

    /// The weights that the run would have if it ended here.
    pub(crate) fn weights(&self, model: &Model) -> Result<SavedWeights> {
        let (file, length) = open_input(&self.path)?;
        Checkpoint::<f32>::read_weights(file, length, model).map_err(in_file(&self.path))
    }
}

/// The unfinished run in a folder; `None` if it has finished or there is no run.
///
/// # Errors
/// Those of reading the folder.
pub(crate) fn unfinished(run: &Path) -> Result<Option<Unfinished>> {
    let begun = run.join(FOLDER).is_dir() || !run.join(names::MODEL).exists();
    if !run.join(CONFIG).is_file() || run.join(FINISHED).exists() || !begun {
        return Ok(None);
    }
    // Missing or corrupted files are skipped: another process may be writing the run.
    let model = run.join(DESCRIPTION);
    let read = check_own(&model).and_then(|_| read_input(&model, InputLimit::default()));
    let description = read.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let saved = description.and_then(|description| {
        let mut files = files(run).ok()?.into_iter();
        files.find_map(|path| {
            let (saved, _) = Saved::open(path).ok()?;
            Some((saved, description.clone()))
        })
    });
    Ok(Some(Unfinished { path: run.into(), saved }))
}

/// The last checkpoint of a run.
pub fn latest(folder: &Folder) -> Option<PathBuf> {
    files(folder.path()).ok()?.into_iter().next()
}

/// The checkpoints of the run in `folder`, latest first.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let path = folder.join(FOLDER);
    let entries = match fs::read_dir(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io_error(&path))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_error(&path))?;
        let step = entry.file_name().to_str().and_then(step_of);
        files.extend(step.map(|step| (step, entry.path())));
    }
    files.sort_unstable_by(|a, b| b.cmp(a));
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// The name of a checkpoint file, with enough digits that names sort by step.
fn file_name(step: u64) -> String {
    format!("step-{step:012}.ckpt")
}

/// The step in a checkpoint's file name; `None` for any other name.
pub(crate) fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.strip_suffix(".ckpt")?.parse().ok()?;
    (file_name(step) == name).then_some(step)
}

/// Whether a path in a run's folder may be written before its configuration: see `Interrupted::begin_longer`.
pub fn is_beginning(path: &Path) -> bool {
    let Some(name) = path.to_str() else { return false };
    // Windows has another path separator.
    let name = name.replace(std::path::MAIN_SEPARATOR, "/");
    let whole = name.strip_suffix(PART);
    let files = [names::METRICS, names::TIMINGS, names::FLOW, FOLDER, DESCRIPTION];
    let name = whole.unwrap_or(&name);
    let checkpoint = name.strip_prefix("checkpoints/").and_then(step_of);
    checkpoint.is_some() || files.contains(&name) || (whole == Some(CONFIG))
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    let mut digest = Digest::new();
    digest.update(bytes);
    digest.text()
}
