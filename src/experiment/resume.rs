//! Resumes an interrupted run, or extends a finished one.

use std::path::{Path, PathBuf};

use super::config::{Config, Data, ScheduleConfig};
use super::files::arithmetic::Arithmetic;
use super::files::checkpoints::{
    DESCRIPTION, FINISHED, FOLDER, Note, Position, Saved, digest, file_path, files, step_of,
};
use super::files::folder::Folder;
use super::files::names::CONFIG;
use super::files::own_file::check_own;
use super::files::{arithmetic, names};
use super::model::model_file::ModelFile;
use crate::data::{InputLimit, read_input, read_settings, utf8};
use crate::format::{grouped, path_text, shell_quoted};
use crate::{Error, Result};

/// The flags of `--resume`.
pub struct ResumeRequest<'a> {
    /// The settings that flags change.
    pub flags: &'a Config,
    /// Whether a new folder is named.
    pub elsewhere: bool,
    /// Parses a configuration file.
    pub read_config: fn(&Path) -> Result<Config>,
    /// Whether the run is rank 0's, which has opened its folder: it is then only read.
    pub follows: bool,
    /// Whether a run that has finished is opened too. It has no steps left, and is measured again.
    pub measures_again: bool,
}

impl<'a> ResumeRequest<'a> {
    /// For a run that is a part of more work in a folder of its own.
    pub(crate) fn of_part(flags: &'a Config, read_config: fn(&Path) -> Result<Config>) -> Self {
        Self { flags, elsewhere: false, read_config, follows: false, measures_again: false }
    }
}

/// A run that can be resumed.
pub struct ResumableRun {
    /// Its folder; `None` for the extension of another run, and for a rank that follows.
    pub folder: Option<Folder>,
    /// The path of the folder, or of the run to extend.
    path: PathBuf,
    /// The run to extend.
    extends: Option<Extended>,
    /// The settings of the run.
    pub given: Config,
    /// The latest checkpoint; `None`: the run had not reached its first.
    pub saved: Option<(Saved, Position)>,
    /// What the bits of its earlier steps depend on.
    before: Before,
    /// Why later checkpoints cannot be used.
    passed_over: Vec<String>,
}

/// The recorded device of the earlier steps.
enum Before {
    /// There are no earlier steps.
    None,
    /// An older checkpoint has at most a description.
    Unknown(Option<String>),
    Known(Arithmetic),
}

impl From<Note> for Before {
    fn from(note: Note) -> Self {
        note.arithmetic.map_or(Self::Unknown(note.program), Self::Known)
    }
}

/// A finished run to extend.
struct Extended {
    path: PathBuf,
    /// Its length in steps.
    epochs: Option<u64>,
    steps: Option<u64>,
}

impl ResumableRun {
    /// The run in a folder; `None` if it has finished, and neither is a new length set nor is it measured again. The device, threads and locations of
    /// the same data may be changed.
    ///
    /// # Errors
    /// If `args` have other settings; if there is no run, another process writes it, its configuration was changed, or
    /// none of its checkpoints can be read, with the reason for the latest one.
    pub fn open(path: &Path, asked: &ResumeRequest<'_>) -> Result<Option<Self>> {
        let config = path.join(CONFIG);
        if !config.is_file() {
            let got = if path.is_file() { ", got a file" } else { "" };
            let message = format!("expected the folder of a run, with {CONFIG}{got}");
            return Err(Error::Data { path: path.into(), place: String::new(), message });
        }
        let training = &asked.flags.training;
        let longer = training.epochs.is_some() || training.steps.is_some();
        let refused = match (path.join(FINISHED).exists(), longer) {
            (true, true) => return Self::extend(path, asked).map(Some),
            (true, false) if asked.elsewhere => Some(
                "the run has finished; --out is the folder of a longer run: set its length with --epochs or --steps",
            ),
            (true, false) if asked.measures_again => None,
            (true, false) => {
                elsewhere((asked.read_config)(&config)?, asked.flags)?;
                return Ok(None);
            }
            (false, true) => Some(
                "--epochs and --steps extend a finished run, and this one is not: without them it resumes and runs to its \
                 own end first",
            ),
            (false, false) if asked.elsewhere => Some(
                "--out is the folder of the new run that --epochs or --steps extend a finished one to; this one resumes \
                 in its own",
            ),
            (false, false) => None,
        };
        if let Some(message) = refused {
            return Err(Error::Unsupported(format!("--resume {}: {message}", path_text(path))));
        }
        let folder = if asked.follows { None } else { Some(Folder::open(path)?) };
        folder.iter().try_for_each(|folder| folder.clear_parts(FOLDER, |name| step_of(name).is_some()))?;
        let given = elsewhere((asked.read_config)(&config)?, asked.flags)?;
        check_needed(&config, &given, asked.flags, !files(path)?.is_empty())?;
        let of_config = digest(&read_settings(&config)?);
        let (mut passed_over, mut changed) = (Vec::new(), false);
        for file in files(path)? {
            match Saved::open(file.clone()) {
                Ok((_, note)) if note.config != of_config => {
                    let message =
                        "expected a checkpoint of the run's configuration, got one of another configuration".into();
                    passed_over.push(Error::Data { path: file, place: String::new(), message });
                    changed = true;
                }
                Ok((saved, note)) => {
                    let (saved, before) = (Some((saved, note.position.clone())), note.into());
                    let passed_over = passed_over.iter().map(Error::to_string).collect();
                    return Ok(Some(Self {
                        folder,
                        path: path.into(),
                        extends: None,
                        given,
                        saved,
                        before,
                        passed_over,
                    }));
                }
                Err(error) => passed_over.push(error),
            }
        }
        if changed {
            let message = "expected the configuration that the run began with, got a changed one; `bptt train --config` \
                           begins another run with it";
            return Err(Error::Data { path: config, place: String::new(), message: message.into() });
        }
        match passed_over.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(Some(Self {
                folder,
                path: path.into(),
                extends: None,
                given,
                saved: None,
                before: Before::None,
                passed_over: Vec::new(),
            })),
        }
    }

    /// The extension of the run in `path`, which is not changed.
    fn extend(path: &Path, asked: &ResumeRequest<'_>) -> Result<Self> {
        let config = path.join(CONFIG);
        let mut flags = asked.flags.clone();
        let (epochs, steps) = (flags.training.epochs.take(), flags.training.steps.take());
        let mut given = elsewhere((asked.read_config)(&config)?, &flags)?;
        check_needed(&config, &given, &flags, true)?;
        let before = (given.training.epochs, given.training.steps);
        (given.training.epochs, given.training.steps) = (epochs, steps);
        let extends = Some(Extended { path: path.into(), epochs: before.0, steps: before.1 });
        let files = files(path)?;
        if files.is_empty() {
            let message = "expected the final checkpoint of the run, from which the longer run starts".into();
            return Err(Error::Data { path: path.join(FOLDER), place: String::new(), message });
        }
        let of_config = digest(&read_settings(&config)?);
        // Only the run's final checkpoint counts: an earlier one would give another run.
        let mut files = files.into_iter().map(Saved::open);
        let end = files.find(|end| end.as_ref().map_or(true, |(_, note)| note.config == of_config)).transpose()?;
        let Some((saved, note)) = end else {
            let message = "expected the run's configuration, got a changed one".into();
            return Err(Error::Data { path: config, place: String::new(), message });
        };
        let (saved, before) = (Some((saved, note.position.clone())), note.into());
        Ok(Self { folder: None, path: path.into(), extends, given, saved, before, passed_over: Vec::new() })
    }

    /// The model from its description and the checkpoint, for a run whose initial weights, `path`, no longer exist: the
    /// checkpoint replaces them. `None` without a checkpoint.
    ///
    /// # Errors
    /// If the description does not exist or cannot be read.
    pub fn model(&self, path: &Path) -> Result<Option<ModelFile>> {
        let Some((saved, _)) = &self.saved else { return Ok(None) };
        let file = self.path.join(DESCRIPTION);
        check_own(&file)?;
        let description = read_input(&file, InputLimit::default())?;
        let description = utf8(&description, &file)?;
        ModelFile::of_checkpoint(description, &file, saved, path).map(Some)
    }

    /// Refuses an extension that is not longer. An epoch has `per_epoch` steps, and the run `steps`.
    ///
    /// # Errors
    /// As a usage error.
    pub fn check_length(&self, per_epoch: u64, steps: u64) -> Result<()> {
        let (Some(before), Some((saved, _))) = (&self.extends, &self.saved) else { return Ok(()) };
        let (path, done) = (shell_quoted(&before.path), saved.step);
        let config = shell_quoted(&before.path.join(CONFIG));
        let length = before.steps.or(before.epochs.map(|epochs| epochs.saturating_mul(per_epoch))).unwrap_or(done);
        let message = if done < length {
            format!(
                "--resume {path}: the run stopped early, before its {} steps, since the validation loss no longer improved, \
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
            format!("{flag}: expected more than {had} of {path}: it sets the total length, not the added one")
        } else {
            return Ok(());
        };
        Err(Error::Unsupported(message))
    }

    /// Starts the folder of an extension with the logs of the earlier run and, as the first checkpoint, its end, so
    /// that the extension can itself be resumed. Its configuration will be `config`; `model` describes the model.
    ///
    /// # Errors
    /// If the logs have changed since the run's end.
    pub fn begin_longer(&self, folder: &Folder, config: &str, model: &str) -> Result<()> {
        let (Some(before), Some((saved, position))) = (&self.extends, &self.saved) else { return Ok(()) };
        let logs = [
            (names::METRICS, Some(position.metrics)),
            (names::TIMINGS, Some(position.timings)),
            (names::FLOW, position.flow),
        ];
        for (name, bytes) in logs {
            let Some(bytes) = bytes else { continue };
            folder.copy(name, &before.path.join(name), bytes)?;
        }
        folder.make(FOLDER)?;
        folder.write(DESCRIPTION, model.as_bytes())?;
        let (arithmetic, program) = match &self.before {
            Before::Known(arithmetic) => (Some(arithmetic.clone()), None),
            Before::Unknown(program) => (None, program.clone()),
            Before::None => (None, None),
        };
        let note = Note { config: digest(config.as_bytes()), arithmetic, program, position: position.clone() };
        let mut file = folder.begin(&file_path(saved.step))?;
        let written = saved.read().and_then(|checkpoint| checkpoint.write_to(&mut file, &note.text()?));
        file.end(written)
    }

    /// The head of an extension's configuration: where it started, and the command that repeats it.
    pub fn beginning(&self) -> Option<String> {
        let before = self.extends.as_ref()?;
        let path = before.path.canonicalize().unwrap_or_else(|_| before.path.clone());
        let step = self.saved.as_ref().map_or(0, |(saved, _)| saved.step);
        let length = match (self.given.training.epochs, self.given.training.steps) {
            (Some(epochs), _) => format!("--epochs {epochs}"),
            (None, steps) => format!("--steps {}", steps.unwrap_or_default()),
        };
        // A comment is one line, whatever the path contains.
        let (words, command) = (path_text(&path), format!("{REPEATED}{} {length}", shell_quoted(&path)));
        Some(format!("# It extends {words} from step {step}; this repeats it:\n# {command}\n"))
    }

    /// A warning about schedules that depend on the length of the run.
    fn describe_schedule(&self) -> Option<String> {
        let cosine = matches!(self.given.training.schedule, Some(ScheduleConfig::Cosine { .. }));
        let words = "from here on the cosine schedule is that of the whole length, not that of the earlier run: a run of this \
                     length from the start would give different results";
        (self.extends.is_some() && cosine).then(|| words.into())
    }

    /// Notes before the first step, on a device with this arithmetic.
    pub fn describe(&self, now: &Arithmetic) -> Vec<String> {
        let mut lines = vec![match (&self.saved, &self.extends) {
            (Some((saved, _)), Some(before)) => format!(
                "extends {} from step {}, with its weights and optimizer state",
                path_text(&before.path),
                grouped(saved.step)
            ),
            (Some((saved, _)), None) => format!("resumes after step {}", grouped(saved.step)),
            (None, _) => "starts from the beginning: it has no checkpoint".into(),
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

/// The start of the command that extends a run.
const REPEATED: &str = "bptt train --resume ";

/// The command that repeats a run, from the text of its configuration: for an extension it is recorded at the start,
/// and kept when the run is resumed.
pub fn repeated_by(config: &str) -> Option<&str> {
    let mut comments = config.lines().map_while(|line| line.strip_prefix("# "));
    comments.find(|comment| comment.starts_with(REPEATED))
}

/// A run's settings, with the device and the locations of the same data that flags set.
pub(crate) fn elsewhere(mut given: Config, flags: &Config) -> Result<Config> {
    fn lay<T>(to: &mut Option<T>, from: Option<T>) {
        if from.is_some() {
            *to = from;
        }
    }
    let mut rest = flags.clone();
    lay(&mut given.run.device, rest.run.device.take());
    lay(&mut given.run.threads, rest.run.threads.take());
    // A setting that the run does not have is refused like any other flag.
    if given.data.as_ref().map(Data::kind) == rest.data.as_ref().map(Data::kind) || rest.data.is_none() {
        for (key, from) in rest.files() {
            let to = given.files().into_iter().find(|(of, to)| *of == key && to.is_some());
            to.into_iter().for_each(|(_, to)| lay(to, from.take()));
        }
        rest.data = rest.data.filter(|data| *data != Data::of(data.kind()));
    }
    if rest == Config::default() {
        Ok(given)
    } else {
        Err(Error::Unsupported(
            "--resume keeps the run's own settings: expected no other flag with it but --device, --threads, the new \
             place of a file that the run has, --json, and for a longer run after one that is over --epochs or --steps"
                .into(),
        ))
    }
}

/// Refuses a run whose files have moved, except for its initial weights if there is a checkpoint.
fn check_needed(config: &Path, given: &Config, flags: &Config, saved: bool) -> Result<()> {
    let mut given = given.clone();
    given.model.init_from = given.model.init_from.filter(|_| !saved);
    super::config::check_files(config, &given, flags)
}
