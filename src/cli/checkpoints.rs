//! A run's checkpoints: when one is due, where it lies, and how a run is gone on with.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bptt::data::{InputLimit, open_input, read_input, read_settings, utf8};
use bptt::train::{Checkpoint, SavedWeights};
use bptt::{Error, Model, Result};
use serde::{Deserialize, Serialize};

use super::args::{Given, ScheduleName, TrainArgs};
use super::arithmetic::{self, Arithmetic};
use super::digest::Digest;
use super::folder::{Folder, PART, Part, check_own, in_file, io_error};
use super::model_file::{self, CONFIG, ModelFile};
use super::{Failure, config_file, flow_log, history, progress};
use bptt::format::grouped;
use bptt::format::{path_text, shell_quoted};

/// The folder of a run's checkpoints within its own.
const FOLDER: &str = "checkpoints";

/// What describes the model there, so that its weights can be used before the run is over.
const MODEL: &str = "checkpoints/model.json";

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
    /// What the bits of its steps depended on; files of before do not say so.
    #[serde(default)]
    arithmetic: Option<Arithmetic>,
    /// What computed, in words, as files of before have it.
    #[serde(default, skip_serializing)]
    program: Option<String>,
    position: Position,
}

/// Stores the checkpoints of a run.
pub(crate) struct Checkpoints<'a> {
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
    file: Part,
    step: u64,
    began: Instant,
}

impl<'a> Checkpoints<'a> {
    /// For a run that has its configuration in its folder, on a device of this arithmetic, of a model by its description. The
    /// last `kept` remain.
    pub(crate) fn new(
        folder: &'a Folder,
        arithmetic: Arithmetic,
        model: &str,
        (every, kept): (Option<u64>, usize),
    ) -> Result<Self> {
        folder.make(FOLDER)?;
        folder.write(MODEL, model.as_bytes())?;
        let config = folder.path().join(CONFIG);
        let config = digest(&read_settings(&config)?);
        let (due, own) = (Instant::now() + EVERY, BTreeMap::new());
        Ok(Self { folder, config, arithmetic, every, kept, due, writing: None, own })
    }

    pub(crate) fn is_due(&self, step: u64) -> bool {
        match self.every {
            Some(every) => step.is_multiple_of(every),
            None => Instant::now() >= self.due,
        }
    }

    /// Where the checkpoint after `step` steps goes, and its note.
    pub(crate) fn begin(&mut self, step: u64, position: Position) -> Result<(&mut Part, String)> {
        let began = Instant::now();
        let arithmetic = Some(self.arithmetic.clone());
        let note = Note { config: self.config.clone(), arithmetic, program: None, position };
        let file = self.folder.begin(&name(step))?;
        Ok((&mut self.writing.insert(Writing { file, step, began }).file, note.text()?))
    }

    /// Whether it could be written.
    pub(crate) fn written(&mut self, written: Result<()>) -> Result<()> {
        let Some(Writing { file, step, began }) = self.writing.take() else { return written };
        file.end(written)?;
        self.own.insert(self.folder.path().join(FOLDER).join(file_name(step)), true);
        clear(self.folder.path(), &self.config, self.kept, &mut self.own)?;
        self.due = Instant::now() + EVERY.max(SHARE * began.elapsed());
        Ok(())
    }
}

/// The file of the checkpoint after so many steps.
fn name(step: u64) -> String {
    format!("{FOLDER}/{}", file_name(step))
}

impl Note {
    fn text(&self) -> Result<String> {
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

/// To be told when a run is over and everything of it is written: of its checkpoints the last one stays.
pub(crate) fn finish(folder: &Folder) -> Result<()> {
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
pub(crate) struct Saved {
    pub(crate) path: PathBuf,
    /// The steps behind it.
    pub(crate) step: u64,
}

impl Saved {
    /// The file, with what it says of the run.
    fn open(path: PathBuf) -> Result<(Self, Note)> {
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
    pub(crate) fn read(&self) -> Result<Checkpoint> {
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
    let begun = run.join(FOLDER).is_dir() || !run.join(model_file::NAME).exists();
    if !run.join(CONFIG).is_file() || run.join(FINISHED).exists() || !begun {
        return Ok(None);
    }
    // What is missing or damaged is passed over: somebody else may be at the run.
    let model = run.join(MODEL);
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
fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.strip_suffix(".ckpt")?.parse().ok()?;
    (file_name(step) == name).then_some(step)
}

/// Whether a path within a run's folder is one that the run writes, or may write, before its configuration: see
/// [`Interrupted::begin_longer`].
pub(crate) fn is_beginning(path: &Path) -> bool {
    let Some(name) = path.to_str() else { return false };
    // On Windows a path has another separator.
    let name = name.replace(std::path::MAIN_SEPARATOR, "/");
    let whole = name.strip_suffix(PART);
    let files = [history::METRICS, progress::TIMINGS, flow_log::NAME, FOLDER, MODEL];
    let name = whole.unwrap_or(&name);
    let checkpoint = name.strip_prefix("checkpoints/").and_then(step_of);
    checkpoint.is_some() || files.contains(&name) || (whole == Some(CONFIG))
}

/// Where a run goes on.
pub(crate) struct Interrupted {
    /// Its own folder; `None` for a run that begins with the end of another.
    pub(crate) folder: Option<Folder>,
    /// That other.
    extends: Option<Extended>,
    pub(crate) given: Given,
    /// `None`: it had not come to its first.
    pub(crate) saved: Option<(Saved, Position)>,
    /// What the bits of its last steps depended on.
    before: Before,
    /// Why later checkpoints cannot be used.
    passed_over: Vec<String>,
}

/// What is known of the device that took a run's steps so far.
enum Before {
    /// There are none.
    None,
    /// By a checkpoint of before, at most in words.
    Unknown(Option<String>),
    Known(Arithmetic),
}

impl From<Note> for Before {
    fn from(note: Note) -> Self {
        note.arithmetic.map_or(Self::Unknown(note.program), Self::Known)
    }
}

/// A run that is over, with whose end a longer one begins.
struct Extended {
    path: PathBuf,
    /// Its length.
    epochs: Option<u64>,
    steps: Option<u64>,
}

impl Interrupted {
    /// The run in a folder; `None` where it is over and no other length is told. A device, threads and places of the same
    /// data may be told anew.
    ///
    /// # Errors
    /// Where `args` have other settings; where there is no run, another process is at it, its configuration was changed, or
    /// none of its checkpoints can be read, of which the latest one's reason is told.
    pub(crate) fn open(path: &Path, args: &TrainArgs) -> Result<Option<Self>, Failure> {
        let config = path.join(CONFIG);
        if !config.is_file() {
            let got = if path.is_file() { ", got a file" } else { "" };
            let message = format!("expected the folder of a run, with {CONFIG}{got}");
            return Err(Error::Data { path: path.into(), place: String::new(), message }.into());
        }
        let refused =
            |message: String| Failure::usage(Error::Unsupported(format!("--resume {}: {message}", path_text(path))));
        let training = &args.given.training;
        let longer = training.epochs.is_some() || training.steps.is_some();
        match (path.join(FINISHED).exists(), longer) {
            (true, true) => return Self::extend(path, args).map(Some),
            (true, false) if args.out.is_some() => {
                return Err(refused(
                    "the run is over; --out is the folder of a longer one, whose length --epochs or --steps tells"
                        .into(),
                ));
            }
            (true, false) => {
                elsewhere(config_file::read(&config)?, &args.given).map_err(Failure::usage)?;
                return Ok(None);
            }
            (false, true) => {
                return Err(refused(
                    "--epochs and --steps extend a run that is over, and this one is not: without them it goes on to its \
                     own end first"
                        .into(),
                ));
            }
            (false, false) if args.out.is_some() => {
                return Err(refused(
                    "--out is the folder of the new run that --epochs or --steps extend a finished one to; this one goes \
                     on in its own"
                        .into(),
                ));
            }
            (false, false) => {}
        }
        let folder = Folder::open(path)?;
        folder.clear_parts(FOLDER, |name| step_of(name).is_some())?;
        let given = elsewhere(config_file::read(&config)?, &args.given).map_err(Failure::usage)?;
        check_needed(&config, &given, &args.given, !files(path)?.is_empty())?;
        let of_config = digest(&read_settings(&config)?);
        let (mut passed_over, mut changed) = (Vec::new(), false);
        for file in files(path)? {
            match Saved::open(file.clone()) {
                Ok((_, note)) if note.config != of_config => {
                    let message = "expected a checkpoint of the run's configuration, got one of another".into();
                    passed_over.push(Error::Data { path: file, place: String::new(), message });
                    changed = true;
                }
                Ok((saved, note)) => {
                    let (saved, before) = (Some((saved, note.position.clone())), note.into());
                    let passed_over = passed_over.iter().map(Error::to_string).collect();
                    let (folder, extends) = (Some(folder), None);
                    return Ok(Some(Self { folder, extends, given, saved, before, passed_over }));
                }
                Err(error) => passed_over.push(error),
            }
        }
        if changed {
            let message = "expected the configuration that the run began with, got a changed one; `bptt train --config` \
                           begins another run with it";
            return Err(Error::Data { path: config, place: String::new(), message: message.into() }.into());
        }
        match passed_over.into_iter().next() {
            Some(error) => Err(error.into()),
            None => Ok(Some(Self {
                folder: Some(folder),
                extends: None,
                given,
                saved: None,
                before: Before::None,
                passed_over: Vec::new(),
            })),
        }
    }

    /// A longer run that begins with the end of the one in `path`, of which nothing is changed.
    fn extend(path: &Path, args: &TrainArgs) -> Result<Self, Failure> {
        let config = path.join(CONFIG);
        let mut flags = args.given.clone();
        let (epochs, steps) = (flags.training.epochs.take(), flags.training.steps.take());
        let mut given = elsewhere(config_file::read(&config)?, &flags).map_err(Failure::usage)?;
        check_needed(&config, &given, &flags, true)?;
        let before = (given.training.epochs, given.training.steps);
        (given.training.epochs, given.training.steps) = (epochs, steps);
        let extends = Some(Extended { path: path.into(), epochs: before.0, steps: before.1 });
        let files = files(path)?;
        if files.is_empty() {
            let message = "expected the checkpoint of the run's end, which its longer run begins with".into();
            return Err(Error::Data { path: path.join(FOLDER), place: String::new(), message }.into());
        }
        let of_config = digest(&read_settings(&config)?);
        // The end is the run's own last checkpoint alone: with one before that the longer run would be another.
        let mut files = files.into_iter().map(Saved::open);
        let end = files.find(|end| end.as_ref().map_or(true, |(_, note)| note.config == of_config)).transpose()?;
        let Some((saved, note)) = end else {
            let message = "expected the configuration that the run had, got a changed one".into();
            return Err(Error::Data { path: config, place: String::new(), message }.into());
        };
        let (saved, before) = (Some((saved, note.position.clone())), note.into());
        Ok(Self { folder: None, extends, given, saved, before, passed_over: Vec::new() })
    }

    /// The model as its description and the checkpoint have it, for a run whose first weights' file, `path`, is no longer
    /// there: the checkpoint goes before these. `None` without a checkpoint.
    ///
    /// # Errors
    /// Where the description is not there or cannot be read.
    pub(crate) fn model(&self, path: &Path) -> Result<Option<ModelFile>> {
        let folder =
            self.folder.as_ref().map(Folder::path).or(self.extends.as_ref().map(|before| before.path.as_path()));
        let (Some(folder), Some((saved, _))) = (folder, &self.saved) else { return Ok(None) };
        let file = folder.join(MODEL);
        check_own(&file)?;
        let description = read_input(&file, InputLimit::default())?;
        let description = utf8(&description, &file)?.to_owned();
        let model = ModelFile::of_checkpoint(description, saved, path);
        let refused = |message| Error::Data { path: file.clone(), place: String::new(), message };
        model.map(Some).map_err(refused)
    }

    /// Refuses a longer run that is none. An epoch has `per_epoch` steps, and the run `steps`.
    ///
    /// # Errors
    /// As an error in what was asked for.
    pub(crate) fn check_length(&self, per_epoch: u64, steps: u64) -> Result<(), Failure> {
        let (Some(before), Some((saved, _))) = (&self.extends, &self.saved) else { return Ok(()) };
        let (path, done) = (shell_quoted(&before.path), saved.step);
        let config = shell_quoted(&before.path.join(CONFIG));
        let length = before.steps.or(before.epochs.map(|epochs| epochs.saturating_mul(per_epoch))).unwrap_or(done);
        let message = if done < length {
            format!(
                "--resume {path}: the run ended early, before its {} steps, since the validation loss no longer improved, \
                 and so would a longer one: `bptt train --config {config}` with another --patience begins anew",
                grouped(length)
            )
        } else if steps <= done {
            let had = match before.epochs {
                Some(epochs) => format!("the {} epochs ({} steps)", grouped(epochs), grouped(done)),
                None => format!("the {} steps", grouped(done)),
            };
            let flag = match self.given.training.epochs {
                Some(epochs) => format!("--epochs {epochs}"),
                None => format!("--steps {steps}"),
            };
            format!("{flag}: expected more than {had} that {path} has: it is the length of all, not of what is added")
        } else {
            return Ok(());
        };
        Err(Failure::usage(Error::Unsupported(message)))
    }

    /// Begins the folder of a longer run with the lines that the run before wrote and, as the first checkpoint, with its
    /// end, so that what may stop the longer run later leaves it something to go on from. Its configuration will be
    /// `config`, and `model` describes the model.
    ///
    /// # Errors
    /// Where the lines are not as they were at the run's end.
    pub(crate) fn begin_longer(&self, folder: &Folder, config: &str, model: &str) -> Result<()> {
        let (Some(before), Some((saved, position))) = (&self.extends, &self.saved) else { return Ok(()) };
        let logs = [
            (history::METRICS, Some(position.metrics)),
            (progress::TIMINGS, Some(position.timings)),
            (flow_log::NAME, position.flow),
        ];
        for (name, bytes) in logs {
            let Some(bytes) = bytes else { continue };
            folder.copy(name, &before.path.join(name), bytes)?;
        }
        folder.make(FOLDER)?;
        folder.write(MODEL, model.as_bytes())?;
        let (arithmetic, program) = match &self.before {
            Before::Known(arithmetic) => (Some(arithmetic.clone()), None),
            Before::Unknown(program) => (None, program.clone()),
            Before::None => (None, None),
        };
        let note = Note { config: digest(config.as_bytes()), arithmetic, program, position: position.clone() };
        let mut file = folder.begin(&self::name(saved.step))?;
        let written = saved.read().and_then(|checkpoint| checkpoint.write_to(&mut file, &note.text()?));
        file.end(written)
    }

    /// What the configuration of a longer run begins with: where the run began, and what repeats it.
    pub(crate) fn beginning(&self) -> Option<String> {
        let before = self.extends.as_ref()?;
        let path = before.path.canonicalize().unwrap_or_else(|_| before.path.clone());
        let step = self.saved.as_ref().map_or(0, |(saved, _)| saved.step);
        let length = match (self.given.training.epochs, self.given.training.steps) {
            (Some(epochs), _) => format!("--epochs {epochs}"),
            (None, steps) => format!("--steps {}", steps.unwrap_or_default()),
        };
        // A comment has one line, whatever the path has.
        let (words, command) = (path_text(&path), format!("{REPEATED}{} {length}", shell_quoted(&path)));
        Some(format!("# It began with the end of {words}, after step {step}; this repeats it:\n# {command}\n"))
    }

    /// What a schedule that depends on the length of the run makes of a longer one.
    fn describe_schedule(&self) -> Option<String> {
        let cosine = self.given.training.schedule == Some(ScheduleName::Cosine);
        let words = "the cosine is that of the whole length from here on, not the one that the run before fell along: a run \
                     of this length from the start would come out otherwise";
        (self.extends.is_some() && cosine).then(|| words.into())
    }

    /// What there is to say before the first step, on a device of this arithmetic.
    pub(crate) fn describe(&self, now: &Arithmetic) -> Vec<String> {
        let mut lines = vec![match (&self.saved, &self.extends) {
            (Some((saved, _)), Some(before)) => format!(
                "begins with the end of {}, after step {}: weights, optimizer and all",
                path_text(&before.path),
                grouped(saved.step)
            ),
            (Some((saved, _)), None) => format!("goes on after step {}", grouped(saved.step)),
            (None, _) => "begins anew: it had not come to its first step".into(),
        }];
        lines.extend(self.describe_schedule());
        lines.extend(self.passed_over.iter().map(|reason| format!("not from {reason}")));
        lines.extend(match &self.before {
            Before::None => None,
            Before::Unknown(program) => Some(arithmetic::unknown(program.as_deref())),
            Before::Known(before) => before.differs(now),
        });
        lines
    }
}

/// What a longer run is begun with.
const REPEATED: &str = "bptt train --resume ";

/// The command that repeats a run, by the text of its configuration: that of a longer run says how it began, and goes on
/// saying so when the run is gone on with.
pub(crate) fn repeated_by(config: &str) -> Option<&str> {
    let mut comments = config.lines().map_while(|line| line.strip_prefix("# "));
    comments.find(|comment| comment.starts_with(REPEATED))
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
             place of a file that the run has, --json, and for a longer run after one that is over --epochs or --steps"
                .into(),
        )),
    }
}

/// Refuses a run whose files are no longer where they were, but for the one of its first weights where there is a
/// checkpoint.
fn check_needed(config: &Path, given: &Given, flags: &Given, saved: bool) -> Result<()> {
    let mut given = given.clone();
    given.model.init_from = given.model.init_from.filter(|_| !saved);
    config_file::check_files(config, &given, flags)
}

fn digest(bytes: &[u8]) -> String {
    let mut digest = Digest::new();
    digest.update(bytes);
    digest.text()
}
