//! A run's checkpoints: when one is due, where it lies, and how a run is gone on with.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bptt::train::Checkpoint;
use bptt::{Error, Result};
use serde::{Deserialize, Serialize};

use super::args::{Given, TrainArgs};
use super::digest::Digest;
use super::folder::{Folder, io_error};
use super::model_file::CONFIG;
use super::progress::grouped;
use super::{Failure, config_file};

/// The folder of a run's checkpoints within its own.
const FOLDER: &str = "checkpoints";

/// What stands there once the run is over and all its files are written.
const FINISHED: &str = "checkpoints/finished";

/// Between two checkpoints, where nothing else is told.
const EVERY: Duration = Duration::from_secs(60);

/// The share of the time that they may take: a large one comes less often.
const SHARE: u32 = 20;

/// Where a run's files stood, and what it had done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    /// Bytes of `metrics.jsonl`.
    pub(crate) metrics: u64,
    /// Bytes of `timings.jsonl`.
    pub(crate) timings: u64,
    /// Bytes of `flow.jsonl`, where there is one.
    #[serde(default)]
    pub(crate) flow: Option<u64>,
    pub(crate) seconds: f64,
    pub(crate) sequences: u64,
    pub(crate) time_steps: u64,
}

/// What a checkpoint's file says of the run.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    /// The digest of its configuration.
    config: String,
    /// The device in words, driver and all.
    device: String,
    position: Position,
}

/// Stores the checkpoints of a run.
pub(crate) struct Checkpoints<'a> {
    folder: &'a Folder,
    config: String,
    device: String,
    /// Steps between two; `None`: by the clock.
    every: Option<u64>,
    kept: usize,
    due: Instant,
}

impl<'a> Checkpoints<'a> {
    /// For a run that has its configuration in its folder, on a device in words. The last `kept` remain.
    pub(crate) fn new(folder: &'a Folder, device: String, (every, kept): (Option<u64>, usize)) -> Result<Self> {
        let (path, config) = (folder.path().join(FOLDER), folder.path().join(CONFIG));
        fs::create_dir_all(&path).map_err(io_error(&path))?;
        let config = digest(&fs::read(&config).map_err(io_error(&config))?);
        Ok(Self { folder, config, device, every, kept, due: Instant::now() + EVERY })
    }

    pub(crate) fn is_due(&self, step: u64) -> bool {
        match self.every {
            Some(every) => step.is_multiple_of(every),
            None => Instant::now() >= self.due,
        }
    }

    pub(crate) fn save(&mut self, checkpoint: &Checkpoint, position: Position) -> Result<()> {
        let began = Instant::now();
        let note = Note { config: self.config.clone(), device: self.device.clone(), position };
        let note = serde_json::to_string(&note).map_err(|error| Error::Unsupported(error.to_string()))?;
        // Digits enough that names are in the order of steps.
        let name = format!("{FOLDER}/step-{:012}.ckpt", checkpoint.step());
        self.folder.write(&name, &checkpoint.to_bytes(&note)?)?;
        for path in files(self.folder.path())?.into_iter().skip(self.kept) {
            fs::remove_file(&path).map_err(io_error(&path))?;
        }
        self.due = Instant::now() + EVERY.max(SHARE * began.elapsed());
        Ok(())
    }
}

/// To be told when a run is over and everything of it is written.
pub(crate) fn finish(folder: &Folder) -> Result<()> {
    folder.write(FINISHED, b"")
}

/// The checkpoints of the run in `folder`, the latest first.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let path = folder.join(FOLDER);
    let entries = fs::read_dir(&path).map_err(io_error(&path))?;
    let mut files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    if let Ok(files) = &mut files {
        files.retain(|file| file.extension().is_some_and(|extension| extension == "ckpt"));
        files.sort_unstable_by(|a, b| b.cmp(a));
    }
    files.map_err(io_error(&path))
}

/// Where a run that is not over goes on.
pub(crate) struct Interrupted {
    pub(crate) given: Given,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) position: Position,
    device: String,
    /// Why later checkpoints cannot be used.
    passed_over: Vec<String>,
}

impl Interrupted {
    /// The run in a folder; `None` where it is over.
    ///
    /// # Errors
    /// Where `args` have other settings; where there is no run, another process is at it, its configuration was changed, or
    /// none of its checkpoints can be read, of which the latest one's reason is told.
    pub(crate) fn open(path: &Path, args: &TrainArgs) -> Result<Option<(Folder, Self)>, Failure> {
        if args.given != Given::default() {
            let reason = "--resume goes on with the run's own settings: expected no other flag with it but --json";
            return Err(Failure::usage(Error::Unsupported(reason.into())));
        }
        let config = path.join(CONFIG);
        if !config.is_file() || !path.join(FOLDER).is_dir() {
            let expected = format!("expected the folder of a run, with {CONFIG} and {FOLDER}");
            return Err(Failure::usage(Error::Unsupported(format!("--resume {}: {expected}", path.display()))));
        }
        if path.join(FINISHED).exists() {
            return Ok(None);
        }
        let folder = Folder::open(path)?;
        let mut passed_over = Vec::new();
        for file in files(path)? {
            let (checkpoint, note) = match read(&file) {
                Ok(read) => read,
                Err(error) => {
                    passed_over.push(error);
                    continue;
                }
            };
            if digest(&fs::read(&config).map_err(io_error(&config))?) != note.config {
                let message =
                    "expected the configuration that the run began with, got a changed one; `bptt train --config` \
                               begins another run with it"
                        .into();
                return Err(Error::Data { path: config, place: String::new(), message }.into());
            }
            let (Note { position, device, .. }, given) = (note, config_file::read(&config)?);
            let passed_over = passed_over.iter().map(Error::to_string).collect();
            return Ok(Some((folder, Self { given, checkpoint, position, device, passed_over })));
        }
        let none = || Error::Unsupported(format!("{}: there is no checkpoint", path.join(FOLDER).display()));
        Err(passed_over.into_iter().next().unwrap_or_else(none).into())
    }

    /// What there is to say before the first step, on a device in words.
    pub(crate) fn describe(&self, device: &str) -> Vec<String> {
        let mut lines = vec![format!("goes on after step {}", grouped(self.checkpoint.step()))];
        lines.extend(self.passed_over.iter().map(|reason| format!("not from {reason}")));
        if self.device != device {
            lines.push(format!("began on {}: on this device the last bits may come out otherwise", self.device));
        }
        lines
    }
}

fn read(path: &Path) -> Result<(Checkpoint, Note)> {
    let bytes = fs::read(path).map_err(io_error(path))?;
    let refused = |message: String| Error::Data { path: path.into(), place: String::new(), message };
    let (checkpoint, note) = Checkpoint::from_bytes(&bytes).map_err(|error| refused(error.to_string()))?;
    let note = serde_json::from_str(&note).map_err(|error| refused(format!("the run's note: {error}")))?;
    Ok((checkpoint, note))
}

fn digest(bytes: &[u8]) -> String {
    let mut digest = Digest::new();
    digest.update(bytes);
    digest.text()
}
