//! A run's checkpoints: when one is due, where it lies, and how a run is gone on with.

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

/// The folder of a run's checkpoints within its own.
pub(crate) const FOLDER: &str = "checkpoints";

/// What describes the model there, so that its weights can be used before the run is over.
pub(crate) const DESCRIPTION: &str = "checkpoints/model.json";

/// What stands there once the run is over and all its files are written.
pub(crate) const FINISHED: &str = "checkpoints/finished";

/// Between two checkpoints, where nothing else is set.
const EVERY: Duration = Duration::from_secs(60);

/// The share of the time that they may take: a large one comes less often.
const SHARE: u32 = 20;

/// Where a run's files stood, and what it had done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Bytes of `metrics.jsonl`.
    pub metrics: u64,
    /// Bytes of `timings.jsonl`.
    pub timings: u64,
    /// Bytes of `flow.jsonl`, where there is one.
    #[serde(default)]
    pub flow: Option<u64>,
    /// Seconds of training.
    pub seconds: f64,
    /// Sequences read.
    pub sequences: u64,
    /// Time steps read.
    pub time_steps: u64,
}

/// What a checkpoint's file says of the run.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    /// The digest of its configuration.
    pub(crate) config: String,
    /// What the bits of its steps depended on; files of before do not say so.
    #[serde(default)]
    pub(crate) arithmetic: Option<Arithmetic>,
    /// What computed, in words, as files of before have it.
    #[serde(default, skip_serializing)]
    pub(crate) program: Option<String>,
    pub(crate) position: Position,
}

/// Stores the checkpoints of a run.
pub struct Checkpoints<'a> {
    folder: &'a Folder,
    config: String,
    arithmetic: Arithmetic,
    /// Steps between two; `None`: by the clock.
    every: Option<u64>,
    kept: usize,
    due: Instant,
    writing: Option<Writing>,
    /// Which of the files there are the run's own.
    own: BTreeMap<PathBuf, bool>,
}

/// A checkpoint that is being written, of which step, and since when.
struct Writing {
    file: PartialFile,
    step: u64,
    began: Instant,
}

impl<'a> Checkpoints<'a> {
    /// For a run that has its configuration in its folder, on a device of this arithmetic, of a model by its description. The
    /// last `kept` remain.
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

/// The file of the checkpoint after so many steps.
pub(crate) fn file_path(step: u64) -> String {
    format!("{FOLDER}/{}", file_name(step))
}

impl Note {
    pub(crate) fn text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::Failed(error.to_string()))
    }
}

/// Takes away all of a run's own checkpoints but the latest `kept`. What else has such a name stays: what another run
/// wrote, and what cannot be read. `known` tells what was found of a file before.
fn clear(run: &Path, config: &str, kept: usize, known: &mut BTreeMap<PathBuf, bool>) -> Result<()> {
    let is_own = |path: &Path| Saved::open(path.into()).is_ok_and(|(_, note)| note.config == config);
    let mut files = files(run)?;
    files.retain(|path| *known.entry(path.clone()).or_insert_with(|| is_own(path)));
    // One that somebody holds open goes the next time: it is no reason to end a run.
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
    // Before the run is said to be over: what cannot be read then is no end.
    let config = digest(&read_settings(&folder.path().join(CONFIG))?);
    folder.write(FINISHED, b"")?;
    clear(folder.path(), &config, 1, &mut BTreeMap::new())
}

/// A run that is not over.
pub(crate) struct Unfinished {
    pub(crate) path: PathBuf,
    /// Its latest checkpoint that can be read, and the description of its model.
    pub(crate) saved: Option<(Saved, String)>,
}

/// A checkpoint's file that was found to be whole. What is in it is read when it is needed, and held no longer.
pub struct Saved {
    pub(crate) path: PathBuf,
    /// The steps behind it.
    pub step: u64,
}

impl Saved {
    /// The file, with what it says of the run.
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

    /// The weights that the run would end with if it ended there.
    pub(crate) fn weights(&self, model: &Model) -> Result<SavedWeights> {
        let (file, length) = open_input(&self.path)?;
        Checkpoint::<f32>::read_weights(file, length, model).map_err(in_file(&self.path))
    }
}

/// The run in a folder, where it is not over; `None` for one that is, and for what is no run.
///
/// # Errors
/// Those of reading the folder.
pub(crate) fn unfinished(run: &Path) -> Result<Option<Unfinished>> {
    let begun = run.join(FOLDER).is_dir() || !run.join(names::MODEL).exists();
    if !run.join(CONFIG).is_file() || run.join(FINISHED).exists() || !begun {
        return Ok(None);
    }
    // What is missing or damaged is passed over: somebody else may be at the run.
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

/// The checkpoints of the run in `folder`, the latest first.
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

/// The name of a checkpoint's file, with digits enough that names are in the order of steps.
fn file_name(step: u64) -> String {
    format!("step-{step:012}.ckpt")
}

/// The step of a checkpoint by its file's name; `None` for every other name.
pub(crate) fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.strip_suffix(".ckpt")?.parse().ok()?;
    (file_name(step) == name).then_some(step)
}

/// Whether a path within a run's folder is one that the run writes, or may write, before its configuration: see
/// `Interrupted::begin_longer`.
pub fn is_beginning(path: &Path) -> bool {
    let Some(name) = path.to_str() else { return false };
    // On Windows a path has another separator.
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
