//! The file of a model: the weights, and in the file's metadata everything needed to use them.

use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

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
use crate::model::description::{self, Description};
use crate::model::saved_model::described;
use crate::train::SavedWeights;
use crate::{
    Cell, Direction, Embedding, Error, Layout, Model, Readout, Result, SafetensorsFile, SavedModel, StateDict,
};

/// The name of the description in the file's metadata.
pub const KEY: &str = description::KEY;

/// A model with what was fitted to its data: a [`SavedModel`] that the program can use.
pub struct ModelFile {
    /// The form of the network.
    pub model: Model,
    /// What was fitted to the training data.
    pub codec: Codec,
    /// The weights by name.
    pub weights: StateDict,
    /// What it was trained on, if the file says so.
    pub origin: Option<Origin>,
    /// The path of the file.
    pub path: PathBuf,
    /// Which weights these are, if the run has not finished.
    pub note: Option<String>,
    description: Description,
}

/// What describes a model, as JSON, but for the step that the run has come to.
///
/// # Errors
/// [`Error::Unsupported`] for a model without a head, or with a cell that another crate defines; [`Error::Failed`] for
/// a description that no file can hold.
pub fn description(model: &Model, codec: &Codec, origin: &Origin) -> Result<String> {
    model.require_head()?;
    let mut description = Description::new(model.clone());
    description.data = Some(description::raw("data", codec)?);
    description.origin = Some(description::raw("origin", origin)?);
    let text = description.to_text()?;
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

/// The description of a model's file that is stored after `step`, with another codec if what was fitted depends on the
/// trained weights.
///
/// # Errors
/// [`Error::Unsupported`] for other text than that of [`description`]; [`Error::Failed`] for a codec that no file can
/// hold.
pub fn after_training(description: &str, step: u64, codec: Option<&Codec>) -> Result<String> {
    let mut it = Description::parse(description)?;
    it.step = Some(step);
    if let Some(codec) = codec {
        it.data = Some(description::raw("data", codec)?);
    }
    let text = it.to_text()?;
    check_length(in_header(text.as_bytes()))?;
    Ok(text)
}

impl<R> SavedModel<R> {
    /// What the data taught, such as a vocabulary, scalings or classes; `None` if the file has no such part.
    ///
    /// # Errors
    /// [`Error::Unsupported`] names the key that is wrong or unknown to this version, or says that the network has
    /// other inputs or outputs than the data.
    pub fn codec(&self) -> Result<Option<Codec>> {
        codec_in(&self.description)
    }

    /// Sets what the data taught. A file with it is all that the program needs to use the model on data of that kind.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the network has other inputs or outputs than the data.
    pub fn with_codec(mut self, codec: &Codec) -> Result<Self> {
        check_sizes(&self.description.model, codec)?;
        self.description.data = Some(description::raw("data", codec)?);
        Ok(self)
    }
}

fn codec_in(description: &Description) -> Result<Option<Codec>> {
    let codec = description.read("data", description.data.as_deref())?;
    codec.as_ref().map_or(Ok(()), |codec| check_sizes(&description.model, codec))?;
    Ok(codec)
}

/// Checks that a network has as many inputs and outputs as its data. Buffers for the data are as large as the network,
/// and nothing else limits that.
fn check_sizes(model: &Model, codec: &Codec) -> Result<()> {
    let wrong = |message: String| Error::Unsupported(format!("the model's description: {message}"));
    let targets = model.require_head().map_err(|error| wrong(error.to_string()))?.targets();
    let sizes = codec.sizes().map_err(|error| wrong(error.to_string()))?;
    match sizes.filter(|sizes| *sizes != [model.vocabulary(), targets]) {
        Some([inputs, outputs]) => Err(wrong(format!(
            "expected a network of {inputs} inputs and {outputs} outputs, as its data have, got one of {} and {targets}",
            model.vocabulary()
        ))),
        None => Ok(()),
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
    let directions = match recurrent.direction {
        Direction::Forward => "",
        Direction::Reverse => ", in reverse",
        Direction::Both => ", both directions",
    };
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
    let projected = recurrent.proj_size.map(|size| format!(" projected to {size}")).unwrap_or_default();
    let outputs = head.map(|head| format!(" → {}{mean}", head.outputs)).unwrap_or_default();
    let parameters = grouped(parameters(model));
    format!(
        "{cell}{activation} {inputs} → {hidden}{projected}{outputs}{layers}{directions}{dropout}, {parameters} parameters"
    )
}

/// A model file that was found.
pub struct Found {
    /// The path of the file.
    pub path: PathBuf,
    /// The checkpoint with the weights; `None`: they are in the file.
    weights: Option<Weights>,
    /// A note to print before use.
    pub note: Option<String>,
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

    /// The model, whether or not it has what the data taught.
    ///
    /// # Errors
    /// [`Error::Data`] if it is no model that this version can read, or its tensors are not those of the described
    /// model.
    pub fn saved_model(self) -> Result<SavedModel> {
        let Self { path, weights, .. } = self;
        match weights {
            None => {
                let (file, length) = open_input(&path)?;
                read_file(file, length, &path)
            }
            Some(Weights { description, weights }) => Description::parse(&description)
                .and_then(|description| SavedModel::from_parts(description, weights))
                .map_err(in_file(&path)),
        }
    }
}

/// The model in a file. What the data taught is checked before the weights are read.
fn read_file(file: impl Read, length: u64, path: &Path) -> Result<SavedModel> {
    let file = SafetensorsFile::open(file, length).map_err(|error| no_model(path, error))?;
    let description = described(&file).and_then(Description::parse).map_err(in_file(path))?;
    codec_in(&description).map_err(in_file(path))?;
    file.state_dict().and_then(|weights| SavedModel::from_parts(description, weights)).map_err(in_file(path))
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
        Some(Description::parse(file.note(KEY)?).ok().and_then(|it| it.step))
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
    let it = Description::parse(&description).map_err(in_file(&saved.path))?;
    let SavedWeights { weights, weights_step, step } = saved.weights(&it.model)?;
    let (of, after) = (grouped(weights_step), grouped(step));
    let which = if weights_step < step {
        format!(
            "the weights of the lowest validation loss so far, after step {of}, by the checkpoint after step {after}"
        )
    } else {
        format!("the weights of the checkpoint after step {after}")
    };
    // With the step that the run has reached, so that a later checkpoint is preferred to a file with these weights.
    let weights = Some(Weights { description: after_training(&description, step, None)?, weights });
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
                let model = read_file(&mut file, length, &path);
                check(file.digest().map_err(io_error(&path))?)?;
                Ok(Self { note: found.note, ..Self::of(model?, path)? })
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
            return Self::form(&description, &saved.path);
        }
        if !path.exists() {
            return Self::open_checked(run, sha256);
        }
        let (file, length) = open_input(&path)?;
        let mut file = Digested::new(file);
        let found = SafetensorsFile::open(&mut file, length).map_err(|error| no_model(&path, error))?;
        let text = described(&found).map_err(in_file(&path))?.to_owned();
        file.digest().map_err(io_error(&path))?.check(&path, "--init-from", sha256)?;
        Self::form(&text, &path)
    }

    /// Opens a file that was found, with its note.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub fn from_found(found: Found) -> Result<Self> {
        let (path, note) = (found.path.clone(), found.note.clone());
        Ok(Self { note, ..Self::of(found.saved_model()?, path)? })
    }

    /// A saved model, with what the data taught; `path` is for messages.
    fn of(saved: SavedModel, path: PathBuf) -> Result<Self> {
        let codec = saved.codec().and_then(|codec| {
            codec.ok_or_else(|| {
                let expected = "expected `data` in the model's description, what the data taught";
                Error::Unsupported(format!(
                    "{expected}; without it a model is for `SavedModel::load` and `bptt inspect`"
                ))
            })
        });
        let codec = codec.map_err(in_file(&path))?;
        let SavedModel { weights, description } = saved;
        let origin = description.read("origin", description.origin.as_deref()).map_err(in_file(&path))?;
        Ok(Self { model: description.model.clone(), codec, weights, origin, description, path, note: None })
    }

    /// From the description, without weights.
    fn form(text: &str, path: &Path) -> Result<Self> {
        let description = Description::parse(text).map_err(in_file(path))?;
        Self::of(SavedModel { weights: StateDict::default(), description }, path.into())
    }

    /// From the description in `file` and a checkpoint; `path` is for messages about the model.
    ///
    /// # Errors
    /// [`Error::Data`] for either file.
    pub(crate) fn of_checkpoint(description: &str, file: &Path, saved: &Saved, path: &Path) -> Result<Self> {
        let description = Description::parse(description).map_err(in_file(file))?;
        let SavedWeights { weights, .. } = saved.weights(&description.model)?;
        Self::of(SavedModel { weights, description }, path.into())
    }

    /// The description, as JSON.
    ///
    /// # Errors
    /// None for a description that was read.
    pub fn description(&self) -> Result<String> {
        self.description.to_text()
    }
}

/// A saved model in words, as names and texts.
///
/// # Errors
/// [`Error::Unsupported`] names a key of what the data taught that is wrong or unknown.
pub fn describe_saved(saved: &SavedModel) -> Result<Vec<(&'static str, String)>> {
    let head = saved.model().head.as_ref();
    let loss = head.and_then(|head| loss::describe(&head.loss));
    let at_steps = head.is_some_and(|head| head.readout == Readout::PerStep);
    let mut lines = vec![("model", describe(saved.model()))];
    lines.extend(saved.codec()?.map(|codec| match &codec {
        Codec::Sequences(_) if at_steps => ("data", format!("{} at every step", codec.describe())),
        _ => ("data", codec.describe()),
    }));
    lines.extend(loss.map(|loss| ("loss", loss)));
    Ok(lines)
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
