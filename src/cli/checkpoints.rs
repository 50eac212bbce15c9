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
use super::provenance::VERSION;
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
    /// What computes, in words, driver and all.
    program: String,
    position: Position,
}

/// Stores the checkpoints of a run.
pub(crate) struct Checkpoints<'a> {
    folder: &'a Folder,
    config: String,
    program: String,
    /// Steps between two; `None`: by the clock.
    every: Option<u64>,
    kept: usize,
    due: Instant,
}

impl<'a> Checkpoints<'a> {
    /// For a run that has its configuration in its folder, on a device in words. The last `kept` remain.
    pub(crate) fn new(folder: &'a Folder, device: &str, (every, kept): (Option<u64>, usize)) -> Result<Self> {
        folder.make(FOLDER)?;
        let config = folder.path().join(CONFIG);
        let config = digest(&fs::read(&config).map_err(io_error(&config))?);
        Ok(Self { folder, config, program: program(device), every, kept, due: Instant::now() + EVERY })
    }

    pub(crate) fn is_due(&self, step: u64) -> bool {
        match self.every {
            Some(every) => step.is_multiple_of(every),
            None => Instant::now() >= self.due,
        }
    }

    pub(crate) fn save(&mut self, checkpoint: &Checkpoint, position: Position) -> Result<()> {
        let began = Instant::now();
        let note = Note { config: self.config.clone(), program: self.program.clone(), position };
        let note = serde_json::to_string(&note).map_err(|error| Error::Unsupported(error.to_string()))?;
        // Digits enough that names are in the order of steps.
        let name = format!("{FOLDER}/step-{:012}.ckpt", checkpoint.step());
        self.folder.write(&name, &checkpoint.to_bytes(&note)?)?;
        // One that somebody holds open goes the next time: it is no reason to end a run.
        files(self.folder.path())?.into_iter().skip(self.kept).for_each(|path| drop(fs::remove_file(path)));
        self.due = Instant::now() + EVERY.max(SHARE * began.elapsed());
        Ok(())
    }
}

/// To be told when a run is over and everything of it is written.
pub(crate) fn finish(folder: &Folder) -> Result<()> {
    folder.write(FINISHED, b"")
}

/// The last checkpoint of a run.
pub(crate) fn latest(folder: &Folder) -> Option<PathBuf> {
    files(folder.path()).ok()?.into_iter().next()
}

/// The checkpoints of the run in `folder`, the latest first.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let path = folder.join(FOLDER);
    let entries = match fs::read_dir(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io_error(&path))?,
    };
    let files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    let mut files = files.map_err(io_error(&path))?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "ckpt"));
    files.sort_unstable_by(|a, b| b.cmp(a));
    Ok(files)
}

/// Where a run that is not over goes on.
pub(crate) struct Interrupted {
    pub(crate) given: Given,
    /// `None`: it had not come to its first.
    pub(crate) saved: Option<(Checkpoint, Position)>,
    /// What computed its last steps, in words.
    program: Option<String>,
    /// Why later checkpoints cannot be used.
    passed_over: Vec<String>,
}

impl Interrupted {
    /// The run in a folder; `None` where it is over. A device, threads and places of the same data may be told anew.
    ///
    /// # Errors
    /// Where `args` have other settings; where there is no run, another process is at it, its configuration was changed, or
    /// none of its checkpoints can be read, of which the latest one's reason is told.
    pub(crate) fn open(path: &Path, args: &TrainArgs) -> Result<Option<(Folder, Self)>, Failure> {
        let config = path.join(CONFIG);
        if !config.is_file() {
            let got = if path.is_file() { ", got a file" } else { "" };
            let message = format!("expected the folder of a run, with {CONFIG}{got}");
            return Err(Error::Data { path: path.into(), place: String::new(), message }.into());
        }
        let folder = Folder::open(path)?;
        if path.join(FINISHED).exists() {
            return Ok(None);
        }
        folder.clear_parts(&["", FOLDER])?;
        let given = elsewhere(config_file::read(&config)?, &args.given).map_err(Failure::usage)?;
        config_file::check_files(&config, &given, &args.given)?;
        let of_config = digest(&fs::read(&config).map_err(io_error(&config))?);
        let mut passed_over = Vec::new();
        for file in files(path)? {
            match read(&file) {
                Ok((_, note)) if note.config != of_config => {
                    let message = "expected the configuration that the run began with, got a changed one; `bptt train \
                                   --config` begins another run with it";
                    return Err(Error::Data { path: config, place: String::new(), message: message.into() }.into());
                }
                Ok((checkpoint, Note { position, program, .. })) => {
                    let (saved, program) = (Some((checkpoint, position)), Some(program));
                    let told = passed_over.iter().map(|(_, error): &(_, Error)| error.to_string()).collect();
                    // They would count among those that are kept.
                    passed_over.iter().for_each(|(path, _)| drop(fs::remove_file(path)));
                    return Ok(Some((folder, Self { given, saved, program, passed_over: told })));
                }
                Err(error) => passed_over.push((file, error)),
            }
        }
        match passed_over.into_iter().next() {
            Some((_, error)) => Err(error.into()),
            None => Ok(Some((folder, Self { given, saved: None, program: None, passed_over: Vec::new() }))),
        }
    }

    /// What there is to say before the first step, on a device in words.
    pub(crate) fn describe(&self, device: &str) -> Vec<String> {
        let mut lines = vec![match &self.saved {
            Some((checkpoint, _)) => format!("goes on after step {}", grouped(checkpoint.step())),
            None => "begins anew: it had not come to its first step".into(),
        }];
        lines.extend(self.passed_over.iter().map(|reason| format!("not from {reason}")));
        let now = program(device);
        if let Some(program) = self.program.as_ref().filter(|program| **program != now) {
            lines.push(format!("before by {program}: from here on the last bits may come out otherwise"));
        }
        lines
    }
}

/// What computes, in words: on another the same steps may have other bits.
fn program(device: &str) -> String {
    format!("bptt {VERSION}, {device}")
}

/// A run's settings, with another device, or other places of the same data, that flags name.
fn elsewhere(mut given: Given, flags: &Given) -> Result<Given> {
    fn lay<T>(to: &mut Option<T>, from: Option<T>) {
        if from.is_some() {
            *to = from;
        }
    }
    let mut rest = flags.clone();
    lay(&mut given.run.device, rest.run.device.take());
    lay(&mut given.run.threads, rest.run.threads.take());
    // What the run does not have stays a flag too many.
    let pairs = given.files().into_iter().zip(rest.files());
    pairs.filter(|((_, to), _)| to.is_some()).for_each(|((_, to), (_, from))| lay(to, from.take()));
    match rest == Given::default() {
        true => Ok(given),
        false => Err(Error::Unsupported(
            "--resume goes on with the run's own settings: expected no other flag with it but --device, --threads, the new \
             place of a file that the run has, and --json"
                .into(),
        )),
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
