//! A model as a file: the weights, and in the file's metadata all that is needed to use them.

use std::path::{Path, PathBuf};

use bptt::data::{Keys, SeriesCodec, Vocabulary};
use bptt::{
    Activation, At, Cell, Embedding, Error, Head, Layout, Loss, Model, Recurrent, Reduction, Result, StateDict,
};
use serde::{Deserialize, Serialize};

use super::args::{CellName, ScaleName, TaskName};
use super::digest::Digest;
use super::folder::io_error;
use super::kind::Kind;
use super::objective;
use super::progress::grouped;
use super::sequences_task::SequencesCodec;
use super::series_data::ahead;
use super::task::Task;

/// The version of the description. A file of another is refused.
const FORMAT: u32 = 1;

/// The name of the description in the file's metadata.
pub(crate) const KEY: &str = "bptt";

/// The name of the model in a run's folder.
pub(crate) const NAME: &str = "model.safetensors";

/// The name of the settings there.
pub(crate) const CONFIG: &str = "config.toml";

/// What was fitted to the training data and has to travel with the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Codec {
    Text { vocabulary: Vocabulary },
    Series { scale: ScaleName, series: SeriesCodec },
    Rolls { keys: Keys },
    Sequences(SequencesCodec),
    Classes { vocabulary: Vocabulary, classes: Vec<String> },
    Task { task: TaskName },
}

impl Codec {
    /// In words.
    fn describe(&self) -> String {
        match self {
            Self::Text { vocabulary } => format!("a text, a vocabulary of {}", vocabulary.len()),
            Self::Series { series, .. } => {
                let names = series.targets.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
                let others = series.features.len() + series.known.len();
                let others = if others > 0 { format!(" with {others} more columns") } else { String::new() };
                let window = series.frame.window;
                format!("a series, {names}{others}, {} from windows of {window}", ahead(series.frame.horizon))
            }
            Self::Rolls { keys } => format!("piano rolls, {} keys", keys.len()),
            Self::Sequences(codec) => codec.describe(),
            Self::Classes { vocabulary, classes } => {
                format!("lines of text, {} classes, a vocabulary of {}", classes.len(), vocabulary.len())
            }
            Self::Task { task } => format!("the synthetic task {task:?}").to_lowercase(),
        }
    }

    /// Whether a step of the data is one of some tokens, and not numbers.
    pub(crate) fn has_tokens(&self) -> bool {
        match self {
            Self::Text { .. } | Self::Classes { .. } | Self::Task { task: TaskName::Copy } => true,
            Self::Series { .. } | Self::Rolls { .. } | Self::Sequences(_) | Self::Task { task: TaskName::Adding } => {
                false
            }
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Text { .. } => Kind::Text,
            Self::Series { .. } => Kind::Series,
            Self::Rolls { .. } => Kind::Rolls,
            Self::Sequences(_) => Kind::Sequences,
            Self::Classes { .. } => Kind::Classes,
            Self::Task { .. } => Kind::Task,
        }
    }
}

/// A model with the description that its file holds.
pub(crate) struct ModelFile {
    pub(crate) model: Model,
    pub(crate) codec: Codec,
    pub(crate) weights: StateDict,
    /// Where it was found.
    pub(crate) path: PathBuf,
}

/// The description as JSON.
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
    at: At,
    reduction: Reduction,
    data: Codec,
}

/// The bytes of a model's file.
pub(crate) fn to_bytes(model: &Model, codec: &Codec, weights: &StateDict) -> Result<Vec<u8>> {
    let (recurrent, head) = (&model.recurrent, model.head.as_ref());
    let head = head.ok_or_else(|| Error::Unsupported("a model's file is of a model with a head".into()))?;
    let (cell, activation) = match recurrent.cell {
        Cell::Rnn(activation) => (CellName::Rnn, Some(activation)),
        Cell::Lstm => (CellName::Lstm, None),
        Cell::Gru => (CellName::Gru, None),
    };
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
        at: head.at,
        reduction: head.reduction,
        data: codec.clone(),
    };
    let text = serde_json::to_string(&description).map_err(|error| Error::Unsupported(error.to_string()))?;
    weights.to_safetensors(Some((KEY, &text)))
}

/// The number of a model's parameters.
pub(crate) fn parameters(model: &Model) -> u64 {
    Layout::new(model).len() as u64
}

/// A model in words.
pub(crate) fn describe(model: &Model) -> String {
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
    let mean = if head.is_some_and(|head| head.at == At::Mean) { " from the mean of all steps" } else { "" };
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

/// The file that `run` names, itself or the one in a run's folder, and its bytes.
///
/// # Errors
/// [`Error::Data`] where a folder has none, [`Error::Io`] where it cannot be read.
pub(crate) fn read(run: &Path) -> Result<(PathBuf, Vec<u8>)> {
    let path = if run.is_dir() { run.join(NAME) } else { run.into() };
    if run.is_dir() && !path.exists() {
        let message = match run.join(CONFIG).exists() {
            true => format!(
                "this run has not finished: expected {NAME}, which is written at its end; `bptt train --resume` goes on with it"
            ),
            false => format!("expected the folder of a run, with {NAME}"),
        };
        return Err(Error::Data { path: run.into(), place: String::new(), message });
    }
    let bytes = std::fs::read(&path).map_err(io_error(&path))?;
    Ok((path, bytes))
}

/// The error in a file that `read` read: what should have been named, where it is no safetensors file.
pub(crate) fn no_model(path: &Path, error: &Error) -> Error {
    let reason = error.to_string();
    // What it is instead needs no second "not a safetensors file".
    let reason = reason.strip_prefix("not a safetensors file: ").unwrap_or(&reason);
    let message = format!("expected a run's folder or a safetensors file; {reason}");
    Error::Data { path: path.into(), place: String::new(), message }
}

impl ModelFile {
    /// Reads a run's folder, or a model's file alone.
    ///
    /// # Errors
    /// [`Error::Data`] where it is of another version, was not written by this program, or holds other tensors than those
    /// of the model that it describes.
    pub(crate) fn open(run: &Path) -> Result<Self> {
        Self::open_checked(run, &mut None)
    }

    /// The same, and puts the digest of the file into the settings.
    ///
    /// # Errors
    /// As of [`Self::open`], and where the settings have another digest.
    pub(crate) fn open_checked(run: &Path, sha256: &mut Option<String>) -> Result<Self> {
        let (path, bytes) = read(run)?;
        let mut digest = Digest::new();
        digest.update(&bytes);
        digest.check(&path, "--init-from", sha256)?;
        let refused = |message: String| Error::Data { path: path.clone(), place: String::new(), message };
        let note = StateDict::safetensors_note(&bytes, KEY).map_err(|error| no_model(&path, &error))?;
        let text = note.ok_or_else(|| {
            refused("expected a model of `bptt train`, got tensors without its description; see `bptt inspect`".into())
        })?;
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
        let cell = match it.cell {
            CellName::Rnn => Cell::Rnn(it.activation.unwrap_or_default()),
            CellName::Lstm => Cell::Lstm,
            CellName::Gru => Cell::Gru,
        };
        let recurrent = Recurrent::new(cell, it.input_size, it.hidden_size)
            .layers(it.layers)
            .bidirectional(it.bidirectional)
            .dropout(it.dropout)
            .recurrent_dropout(it.recurrent_dropout);
        let head = Head { outputs: it.outputs, loss: it.loss, at: it.at, reduction: it.reduction };
        let model = Model { embedding: it.embedding, ..Model::new(recurrent, head) };
        model.validate().map_err(|error| refused(format!("the model's description: {error}")))?;
        let weights = StateDict::from_safetensors(&bytes).map_err(|error| refused(error.to_string()))?;
        // Told with the file's name, and by every command, before anything else is.
        Layout::new(&model).to_block(&weights).map_err(|error| refused(error.to_string()))?;
        Ok(Self { model, codec: it.data, weights, path })
    }

    /// Refuses data of other columns, classes or characters than the model's.
    pub(crate) fn check_fits(&self, task: &dyn Task) -> Result<()> {
        let (inputs, head) = (self.model.vocabulary(), self.model.head.as_ref());
        let refused = |message| Error::Data { path: self.path.clone(), place: String::new(), message };
        match inputs == task.input_size() && head.map(objective::plain) == Some(objective::plain(&task.head())) {
            true => Ok(()),
            false => Err(refused(format!(
                "the model reads {inputs} numbers a step and tells {}; the data have {} and ask for {}",
                head.map_or(0, |head| head.outputs),
                task.input_size(),
                task.head().outputs
            ))),
        }
    }

    /// The model and what it knows of its data: names and texts.
    pub(crate) fn describe(&self) -> Vec<(&'static str, String)> {
        let loss = self.model.head.as_ref().and_then(|head| objective::describe(&head.loss));
        let mut lines = vec![("model", describe(&self.model)), ("data", self.codec.describe())];
        lines.extend(loss.map(|loss| ("loss", loss)));
        lines
    }
}
