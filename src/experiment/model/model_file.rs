//! The file of a model: the weights, and in the file's metadata everything needed to use them.

use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::config::CellName;
use super::super::files::checkpoints;
use super::super::files::checkpoints::Saved;
use super::super::files::digest::{Digest, Digested};
use super::super::files::folder::{in_file, io_error};
use super::super::files::names::{CONFIG, MODEL};
use super::super::measure::loss;
use super::codec::Codec;
use super::origin::Origin;
use crate::data::open_input;
use crate::format::{grouped, path_text};
use crate::train::SavedWeights;
use crate::{
    Activation, Cell, Embedding, Error, Head, Layout, Loss, Model, Readout, Recurrent, Reduction, Result,
    SafetensorsFile, StateDict,
};

/// The version of the description. Other versions are refused.
const FORMAT: u32 = 1;

/// The name of the description in the file's metadata.
pub const KEY: &str = "bptt";

/// A model with the description in its file.
pub struct ModelFile {
    /// The form of the network.
    pub model: Model,
    /// What was fitted to the training data.
    pub codec: Codec,
    /// The weights by name.
    pub weights: StateDict,
    /// What it was trained on; `None` for older files.
    pub origin: Option<Origin>,
    /// The description as it is in the file.
    pub description: String,
    /// The path of the file.
    pub path: PathBuf,
    /// Which weights these are, if the run has not finished.
    pub note: Option<String>,
}

/// The description, for JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    format: u32,
    cell: CellName,
    activation: Option<Activation>,
    #[serde(default)]
    embedding: Option<Embedding>,
    input_size: usize,
    hidden_size: usize,
    layers: usize,
    bidirectional: bool,
    #[serde(default)]
    dropout: f64,
    #[serde(default)]
    recurrent_dropout: f64,
    outputs: usize,
    loss: Loss,
    at: Readout,
    reduction: Reduction,
    data: Codec,
    /// What the model was trained on.
    #[serde(default)]
    origin: Option<Origin>,
    /// The step that the run had reached. The weights may be from an earlier one, with the lowest validation loss.
    #[serde(default)]
    step: Option<u64>,
}

/// What describes a model, as JSON, but for the step that the run has come to.
///
/// # Errors
/// [`Error::Unsupported`] for a model without a head, or with a cell that another crate defines.
pub fn description(model: &Model, codec: &Codec, origin: &Origin) -> Result<String> {
    let (recurrent, head) = (&model.recurrent, model.head.as_ref());
    let head = head.ok_or_else(|| Error::Unsupported("a model file needs a model with a head".into()))?;
    let (cell, activation) = CellName::of(recurrent.cell)?;
    let description = Description {
        format: FORMAT,
        cell,
        activation,
        embedding: model.embedding.clone(),
        input_size: recurrent.input_size,
        hidden_size: recurrent.hidden_size,
        layers: recurrent.layers,
        bidirectional: recurrent.bidirectional,
        dropout: recurrent.dropout,
        recurrent_dropout: recurrent.recurrent_dropout,
        outputs: head.outputs,
        loss: head.loss.clone(),
        at: head.readout,
        reduction: head.reduction,
        data: codec.clone(),
        origin: Some(origin.clone()),
        step: None,
    };
    let text = serde_json::to_string(&description).map_err(|error| Error::Failed(error.to_string()))?;
    check_length(in_header(text.as_bytes()))?;
    Ok(text)
}

/// The largest description: the format's limit of a header, minus what the names of tensors need.
const MOST: u64 = 99_000_000;

/// The size of a description in the header of a file, where quotation marks are escaped.
fn in_header(text: &[u8]) -> u64 {
    text.iter().map(|byte| if matches!(byte, b'"' | b'\\') { 2 } else { 1 }).sum()
}

/// Refuses, before training, a description that could not be written at the end.
fn check_length(bytes: u64) -> Result<()> {
    if bytes > MOST {
        Err(Error::Failed(format!(
            "the description of the model takes {bytes} bytes, and a model file holds at most {MOST}: read fewer columns, \
             or use shorter names"
        )))
    } else {
        Ok(())
    }
}

/// The size of a description, most of which was fitted to the data.
pub fn description_bytes(codec: &Codec) -> u64 {
    /// The number of bytes written, and how many of them need escaping.
    struct Counted(u64);
    impl Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += in_header(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counted = Counted(0);
    // A serialisation error is reported when the file is written.
    let _ = serde_json::to_writer(&mut counted, codec);
    counted.0
}

/// The description of a model's file that is stored after `step`.
///
/// # Errors
/// [`Error::Failed`] for other text than that of [`description`].
pub fn with_step(description: &str, step: u64) -> Result<String> {
    let unreadable = |error: serde_json::Error| Error::Failed(format!("the model's description: {error}"));
    let mut it: Description = serde_json::from_str(description).map_err(unreadable)?;
    it.step = Some(step);
    serde_json::to_string(&it).map_err(unreadable)
}

impl Description {
    /// The described network, within the limits of any network, with as many inputs and outputs as its data have.
    ///
    /// # Errors
    /// [`Error::Unsupported`] names what is wrong.
    fn model(&self) -> Result<Model> {
        let cell = self.cell.with_activation(self.activation);
        let recurrent = Recurrent::new(cell, self.input_size, self.hidden_size)
            .layers(self.layers)
            .bidirectional(self.bidirectional)
            .dropout(self.dropout)
            .recurrent_dropout(self.recurrent_dropout);
        let head = Head { outputs: self.outputs, loss: self.loss.clone(), readout: self.at, reduction: self.reduction };
        let targets = head.target_size();
        let model = Model { embedding: self.embedding.clone(), ..Model::new(recurrent, head) };
        let wrong = |message: String| Error::Unsupported(format!("the model's description: {message}"));
        model.validate().map_err(|error| wrong(error.to_string()))?;
        // Buffers for the data are as large as the network, and nothing else limits that.
        let sizes = self.data.sizes().map_err(|error| wrong(error.to_string()))?;
        match sizes.filter(|sizes| *sizes != [model.vocabulary(), targets]) {
            Some([inputs, outputs]) => Err(wrong(format!(
                "expected a network of {inputs} inputs and {outputs} outputs, as its data have, got one of {} and {targets}",
                model.vocabulary()
            ))),
            None => Ok(model),
        }
    }
}

/// The number of a model's parameters.
pub fn parameters(model: &Model) -> u64 {
    Layout::new(model).len() as u64
}

/// Describes a model in one line.
pub fn describe(model: &Model) -> String {
    let recurrent = &model.recurrent;
    let activation = match recurrent.cell {
        Cell::Rnn(activation) => format!(" ({activation:?})").to_lowercase(),
        _ => String::new(),
    };
    let layers = if recurrent.layers > 1 { format!(", {} layers", recurrent.layers) } else { String::new() };
    let directions = if recurrent.bidirectional { ", both directions" } else { "" };
    let rates = [("dropout", recurrent.dropout), ("recurrent dropout", recurrent.recurrent_dropout)];
    let rates = rates.iter().filter(|(_, rate)| *rate > 0.0).map(|(name, rate)| format!(", {name} {rate}"));
    let dropout: String = rates.collect();
    let head = model.head.as_ref();
    let mean =
        if head.is_some_and(|head| head.readout == Readout::MeanPool) { " from the mean of all steps" } else { "" };
    let (cell, hidden) = (recurrent.cell.name(), recurrent.hidden_size);
    let inputs = match &model.embedding {
        None => recurrent.input_size.to_string(),
        Some(Embedding { vocabulary, tied }) => {
            let tied = if *tied { ", tied" } else { "" };
            format!("{vocabulary} (vectors of {}{tied})", recurrent.input_size)
        }
    };
    let outputs = head.map(|head| format!(" → {}{mean}", head.outputs)).unwrap_or_default();
    let parameters = grouped(parameters(model));
    format!("{cell}{activation} {inputs} → {hidden}{outputs}{layers}{directions}{dropout}, {parameters} parameters")
}

/// A model file that was found.
pub struct Found {
    /// The path of the file.
    pub path: PathBuf,
    /// The checkpoint with the weights; `None`: they are in the file.
    weights: Option<Weights>,
    /// A note to print before use.
    note: Option<String>,
}

/// The file that would be made from a checkpoint.
struct Weights {
    description: String,
    weights: StateDict,
}

impl Found {
    /// The bytes of the model's file, and how many these are.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::Data`] where it is no regular file by now.
    pub fn open(&self) -> Result<(Box<dyn Read>, u64)> {
        match &self.weights {
            None => open_input(&self.path).map(|(file, length)| (Box::new(file) as Box<dyn Read>, length)),
            Some(Weights { description, weights }) => {
                let bytes = weights.to_safetensors(Some((KEY, description)))?;
                let length = bytes.len() as u64;
                Ok((Box::new(Cursor::new(bytes)), length))
            }
        }
    }
}

/// The file that `run` names: itself, or the one in a run's folder. For an unfinished run it is made from the latest
/// checkpoint, if that is later.
///
/// # Errors
/// [`Error::Data`] if a folder has neither, [`Error::Io`] if it cannot be read.
pub fn read(run: &Path) -> Result<Found> {
    let path = if run.is_dir() { run.join(MODEL) } else { run.into() };
    let (is_there, saved) = (path.exists(), checkpoints::unfinished(run)?);
    let of_file = |path: PathBuf| Found { path, weights: None, note: None };
    let Some(unfinished) = saved else {
        if run.is_dir() && !is_there {
            let message = if run.join(CONFIG).exists() {
                format!("expected {MODEL}, which a finished run has")
            } else {
                format!("expected the folder of a run, with {MODEL}")
            };
            return Err(Error::Data { path: run.into(), place: String::new(), message });
        }
        return Ok(of_file(path));
    };
    let found = is_there.then(|| of_file(path));
    let stored = found.as_ref().and_then(|found| {
        let (file, length) = open_input(&found.path).ok()?;
        let file = SafetensorsFile::open(file, length).ok()?;
        Some(serde_json::from_str::<Description>(file.note(KEY)?).ok().and_then(|it| it.step))
    });
    let run = path_text(run);
    let (found, which) = match (found, unfinished.saved) {
        (Some(_), Some(saved)) if stored.flatten().is_some_and(|step| step < saved.0.step) => of_checkpoint(saved)?,
        (None, Some(saved)) => of_checkpoint(saved)?,
        (Some(found), _) => {
            let of = stored.flatten().map_or(String::new(), |step| format!(" after step {}", grouped(step)));
            (found, format!("the stored weights{of}"))
        }
        (None, None) => {
            let message = format!(
                "this run has not finished, and it has no checkpoint that can be read: expected {MODEL}, which is written \
                 at its end; `bptt train --resume` resumes it"
            );
            return Err(Error::Data { path: unfinished.path, place: String::new(), message });
        }
    };
    Ok(Found { note: Some(format!("note: {run}: {which}; the run is not finished")), ..found })
}

/// The model file that a run would have if it had ended at its checkpoint, and a description of its weights.
fn of_checkpoint((saved, description): (Saved, String)) -> Result<(Found, String)> {
    let it: Description = serde_json::from_str(&description).map_err(|error| {
        let message = error.to_string();
        Error::Data { path: saved.path.clone(), place: String::new(), message }
    })?;
    let SavedWeights { weights, weights_step, step } = saved.weights(&it.model().map_err(in_file(&saved.path))?)?;
    let (of, after) = (grouped(weights_step), grouped(step));
    let which = if weights_step < step {
        format!(
            "the weights of the lowest validation loss so far, after step {of}, by the checkpoint after step {after}"
        )
    } else {
        format!("the weights of the checkpoint after step {after}")
    };
    // With the step that the run has reached, so that a later checkpoint is preferred to a file with these weights.
    let weights = Some(Weights { description: with_step(&description, step)?, weights });
    Ok((Found { path: saved.path, weights, note: None }, which))
}

/// The error for a file that is not a safetensors file: names what was expected.
pub fn no_model(path: &Path, error: Error) -> Error {
    if let Error::Io { source, .. } = error {
        return io_error(path)(source);
    }
    let reason = error.to_string();
    // The reason replaces the prefix "not a safetensors file".
    let reason = reason.strip_prefix("not a safetensors file: ").unwrap_or(&reason);
    let message = format!("expected a run's folder or a safetensors file; {reason}");
    Error::Data { path: path.into(), place: String::new(), message }
}

impl ModelFile {
    /// Reads a run's folder, or a model's file alone.
    ///
    /// # Errors
    /// [`Error::Data`] if it is of another version, was not written by this program, or has other tensors than the
    /// described model.
    pub fn open(run: &Path) -> Result<Self> {
        Self::open_checked(run, &mut None)
    }

    /// Like [`Self::open`], and stores the file's digest in the settings.
    ///
    /// # Errors
    /// See [`Self::open`]; also if the settings have another digest.
    pub(crate) fn open_checked(run: &Path, sha256: &mut Option<String>) -> Result<Self> {
        let found = read(run)?;
        let path = found.path.clone();
        let mut check = |digest: Digest| digest.check(&path, "--init-from", sha256);
        match &found.weights {
            // What the file would contain.
            Some(Weights { description, weights }) => {
                let mut digest = Digest::new();
                weights.write_safetensors(&mut digest, Some((KEY, description)))?;
                check(digest)?;
                Self::from_found(found)
            }
            None => {
                let (file, length) = open_input(&path)?;
                let mut file = Digested::new(file);
                let model = Self::from_file(&mut file, length, &path);
                check(file.digest().map_err(io_error(&path))?)?;
                Ok(Self { note: found.note, ..model? })
            }
        }
    }

    /// The same without weights, for a plan. Nothing of them is kept, but the file's digest is computed all the same.
    ///
    /// # Errors
    /// See [`Self::open_checked`], without errors in the tensors alone.
    pub(crate) fn open_form(run: &Path, sha256: &mut Option<String>) -> Result<Self> {
        let path = if run.is_dir() { run.join(MODEL) } else { run.into() };
        // A checkpoint has the description of the model file, except for the step.
        if let Some((saved, description)) = checkpoints::unfinished(run)?.and_then(|unfinished| unfinished.saved) {
            return Self::form(description, &saved.path);
        }
        if !path.exists() {
            return Self::open_checked(run, sha256);
        }
        let (file, length) = open_input(&path)?;
        let mut file = Digested::new(file);
        let text =
            Self::text(&SafetensorsFile::open(&mut file, length).map_err(|error| no_model(&path, error))?, &path)?;
        file.digest().map_err(io_error(&path))?.check(&path, "--init-from", sha256)?;
        Self::form(text, &path)
    }

    /// Opens a file that was found, with its note.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub fn from_found(Found { path, weights, note }: Found) -> Result<Self> {
        let model = match weights {
            None => {
                let (file, length) = open_input(&path)?;
                Self::from_file(file, length, &path)
            }
            Some(Weights { description, weights }) => Self::described(description, &path, || Ok(weights)),
        }?;
        Ok(Self { note, ..model })
    }

    fn from_file(file: impl Read, length: u64, path: &Path) -> Result<Self> {
        let file = SafetensorsFile::open(file, length).map_err(|error| no_model(path, error))?;
        Self::described(Self::text(&file, path)?, path, || file.state_dict())
    }

    /// The description in a file.
    fn text<R: Read>(file: &SafetensorsFile<R>, path: &Path) -> Result<String> {
        let text = file.note(KEY).map(str::to_owned);
        text.ok_or_else(|| Error::Data {
            path: path.into(),
            place: String::new(),
            message: "expected a model of `bptt train`, got tensors without its description; see `bptt inspect`".into(),
        })
    }

    /// Checks the description before the weights are read.
    fn described(text: String, path: &Path, weights: impl FnOnce() -> Result<StateDict>) -> Result<Self> {
        let form = Self::form(text, path)?;
        let weights = weights().map_err(in_file(path))?;
        // All commands report this with the file's name, before anything else.
        let message =
            |error: Error| Error::Data { path: path.into(), place: String::new(), message: error.to_string() };
        Layout::new(&form.model).check(&weights).map_err(message)?;
        Ok(Self { weights, ..form })
    }

    /// From the description, without weights.
    fn form(text: String, path: &Path) -> Result<Self> {
        let refused = |message: String| Error::Data { path: path.into(), place: String::new(), message };
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let unreadable = |error: serde_json::Error| refused(format!("the model's description: {error}"));
        let Version { format } = serde_json::from_str(&text).map_err(unreadable)?;
        if format != FORMAT {
            let expected = format!("expected a model of format {FORMAT}, got format {format}");
            return Err(refused(format!("{expected}: it was written by another version of bptt")));
        }
        let it: Description = serde_json::from_str(&text).map_err(unreadable)?;
        let model = it.model().map_err(|error| refused(error.to_string()))?;
        let weights = StateDict::default();
        Ok(Self { model, codec: it.data, weights, origin: it.origin, description: text, path: path.into(), note: None })
    }

    /// From the description and a checkpoint; `path` is for messages.
    ///
    /// # Errors
    /// The reason, in words.
    pub(crate) fn of_checkpoint(description: String, saved: &Saved, path: &Path) -> Result<Self, String> {
        let it: Description = serde_json::from_str(&description).map_err(|error| error.to_string())?;
        let model = it.model().map_err(|error| error.to_string())?;
        let SavedWeights { weights, .. } = saved.weights(&model).map_err(|error| error.to_string())?;
        Ok(Self { model, codec: it.data, weights, origin: it.origin, description, path: path.into(), note: None })
    }

    /// The model and its description, as names and texts.
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        let loss = self.model.head.as_ref().and_then(|head| loss::describe(&head.loss));
        let mut lines = vec![("model", describe(&self.model)), ("data", self.codec.describe())];
        lines.extend(loss.map(|loss| ("loss", loss)));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_too_large_for_a_file_is_refused_before_training() {
        assert_eq!(in_header(br#"{"a\\b":1}"#), 14);
        assert!(check_length(MOST).is_ok());
        let refusal = check_length(MOST + 1).unwrap_err().to_string();
        assert!(
            refusal.contains("takes 99000001 bytes, and a model file holds at most 99000000: read fewer"),
            "{refusal}"
        );
    }
}
