//! The settings of an experiment: the sections of a configuration file.
//!
//! Each is optional: what is not set is filled in by the data, the model, or a default.

pub mod agree;
mod choices;
mod data;
pub mod merge;
mod parameterized;
mod toml;
mod values;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use choices::*;
pub(crate) use data::limit;
pub use data::{ClassesConfig, Data, DataKind, RollsConfig, SequencesConfig, SeriesConfig, TaskConfig, TextConfig};
pub use parameterized::{LossConfig, ScheduleConfig};
pub use values::*;

use crate::error::{Error, Result};
use crate::format::path_text;
use crate::train::KeepWeights;
use crate::{Activation, RecurrentInit, RecurrentKernel};

/// What stands for the bundled series in place of a path.
pub const BUNDLED: &str = "bundled:sunspots";

/// Every setting of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Sections", into = "Sections")]
pub struct Config {
    /// The data and what is learned of them; by default the bundled sunspot numbers.
    pub data: Option<Data>,
    /// Whether a trained model is only measured on the data, or predicts.
    pub applies: bool,
    /// Device, threads and seed.
    pub run: RunConfig,
    /// The network.
    pub model: ModelConfig,
    /// How it is trained.
    pub training: TrainingConfig,
}

/// The sections of a configuration file.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Sections {
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<SeriesConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<TextConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequences: Option<SequencesConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<ClassesConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rolls: Option<RollsConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskConfig>,
    run: RunConfig,
    model: ModelConfig,
    training: TrainingConfig,
}

impl TryFrom<Sections> for Config {
    type Error = String;

    fn try_from(it: Sections) -> Result<Self, String> {
        let Sections { series, text, sequences, classes, rolls, task, run, model, training } = it;
        let named = [
            series.map(Data::Series),
            text.map(Data::Text),
            sequences.map(Data::Sequences),
            classes.map(Data::Classes),
            rolls.map(Data::Rolls),
            task.map(Data::Task),
        ];
        let mut named: Vec<Data> = named.into_iter().flatten().collect();
        if named.len() > 1 {
            let sections: Vec<String> = named.iter().map(|data| format!("[{}]", data.kind().section())).collect();
            return Err(format!("expected the section of one kind of data, got {}", sections.join(" and ")));
        }
        Ok(Self { data: named.pop(), applies: false, run, model, training })
    }
}

impl From<Config> for Sections {
    fn from(Config { data, run, model, training, .. }: Config) -> Self {
        let mut it = Self { run, model, training, ..Self::default() };
        match data {
            Some(Data::Series(data)) => it.series = Some(data),
            Some(Data::Text(data)) => it.text = Some(data),
            Some(Data::Sequences(data)) => it.sequences = Some(data),
            Some(Data::Classes(data)) => it.classes = Some(data),
            Some(Data::Rolls(data)) => it.rolls = Some(data),
            Some(Data::Task(data)) => it.task = Some(data),
            None => {}
        }
        it
    }
}

/// Where a command computes, and from what it draws.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RunConfig {
    /// Where it runs: auto, gpu, cpu, or a GPU by its index, its line or a part of its name in `bptt devices` [default: auto]
    pub device: Option<String>,
    /// Threads of the CPU backend; they do not change the result [default: all cores]
    pub threads: Option<usize>,
    /// How a GPU takes the recurrent steps: a dispatch a sequence, a dispatch a step, or whichever its sizes are faster with;
    /// it does not change the result [default: auto]
    pub kernel: Option<RecurrentKernel>,
    /// Whether the time of each kernel or phase is printed at the end.
    pub profile: Option<bool>,
    /// From which initial weights, the order of examples and synthetic data are drawn [default: 1]
    pub seed: Option<u64>,
}

/// The network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ModelConfig {
    /// The recurrent cell [default: lstm]
    pub cell: Option<CellName>,
    /// The vanilla RNN's activation [default: tanh]
    pub activation: Option<Activation>,
    /// Hidden units a layer and direction [default: 16; text, classes, rolls: 128; sequences, tasks: 64]
    pub hidden: Option<usize>,
    /// Layers above each other [default: 1]
    pub layers: Option<usize>,
    /// The share of a layer's outputs that are dropped on the way to the layer above, in training alone [default: 0]
    pub dropout: Option<f64>,
    /// The share of a layer's units that are dropped on the way to the next step, in training alone; the same ones at all
    /// steps of a sequence (Gal & Ghahramani 2016) [default: 0]
    pub recurrent_dropout: Option<f64>,
    /// Read each sequence from both ends
    pub bidirectional: Option<bool>,
    /// How the recurrent weights begin [default: uniform]
    pub init: Option<RecurrentInit>,
    /// The initial bias of the LSTM's forget gate [default: as the other biases]
    pub forget_bias: Option<f64>,
    /// Start from the weights of this run or model file, with its network and what it knows of its data
    pub init_from: Option<PathBuf>,
    /// The digest of that model file's bytes: a configuration that has it is for these weights alone.
    pub init_sha256: Option<String>,
}

/// How the network learns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Sequences a batch; auto: as many as fit into --memory, or else into what the device has room for [default: 32]
    pub batch: Option<BatchSize>,
    /// The most sequences on the device at once; a larger batch is done in parts, with the same result [default: all, or as
    /// many as fit into --memory]
    pub micro_batch: Option<usize>,
    /// The most memory that training takes, as in 2GiB, 512MiB or 1.5GB; see bptt plan [default: no bound]
    pub memory: Option<Bytes>,
    /// Keep only the states between chunks of time, and go forward through each again before going backward: long sequences
    /// take little memory, for one more forward pass; in one direction only
    pub recompute: Option<bool>,
    /// Batches a step, whose gradients are summed [default: 1]
    pub accumulate: Option<u64>,
    /// Each training example so many times [default: 50; text: 10; classes: 15; sequences: 100]
    pub epochs: Option<u64>,
    /// So many steps [default for tasks: 2000]
    pub steps: Option<u64>,
    /// Steps between validations [default: an epoch; text: 250 at most; tasks: 100]
    pub val_every: Option<u64>,
    /// Write the norms of ∂L/∂h_t for every t, layer and direction of each Nth step, and draw them [default: never]
    pub flow_every: Option<u64>,
    /// Stop early, after so many validations in a row that were no better than the best [default: never]
    pub patience: Option<u64>,
    /// Whose weights are stored: the last step's, or those of the lowest validation loss [default: last; with
    /// --patience: best]
    pub keep: Option<KeepWeights>,
    /// Steps between checkpoints, from which --resume goes on [default: by the clock, about one a minute]
    pub checkpoint_every: Option<u64>,
    /// Checkpoints that are kept, the last ones [default: 2]
    pub checkpoints: Option<usize>,
    /// What becomes of it where the loss or the gradient norm is not finite [default: stop]
    pub on_nan: Option<OnNan>,
    /// Write the steps' numbers for TensorBoard too, into the run's folder tensorboard
    pub tensorboard: Option<bool>,
    /// The rule of the update; momentum and nesterov take a momentum of 0.9 [default: adam]
    pub optimizer: Option<OptimizerName>,
    /// The learning rate [default: 0.005; text, classes: 0.002; sequences, rolls: 0.001]
    pub lr: Option<f64>,
    /// The largest norm of the gradient, beyond which it is scaled down; 0: none [default: 1]
    pub clip: Option<f64>,
    /// Weight decay [default: 0; adamw: 0.01]
    pub weight_decay: Option<f64>,
    /// Steps over which the rate rises from 0 in a straight line [default: 0]
    pub warmup: Option<u64>,
    /// How the rate falls after that [default: constant]
    pub schedule: Option<ScheduleConfig>,
}

impl Config {
    /// For a trained model that is only measured or predicts.
    pub fn applied(self) -> Self {
        Self { applies: true, ..self }
    }

    /// The files and folders that are read, by their keys.
    pub(crate) fn files(&mut self) -> Vec<(&'static str, &mut Option<PathBuf>)> {
        let mut files = self.data.as_mut().map(Data::files).unwrap_or_default();
        files.push(("init-from", &mut self.model.init_from));
        files
    }

    /// The sections with the keys that are set, as JSON.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a path that is not UTF-8.
    pub fn to_map(&self) -> Result<Map<String, Value>> {
        let json = serde_json::to_value(self).map_err(|error| Error::Unsupported(error.to_string()))?;
        let Value::Object(mut sections) = json else { return Ok(Map::new()) };
        for section in sections.values_mut().filter_map(Value::as_object_mut) {
            section.retain(|_, value| !value.is_null());
        }
        Ok(sections)
    }
}

/// Refuses a configuration whose files are no longer where they were, by the flag that tells where they are now; `flags`
/// are those that stand over it.
///
/// # Errors
/// [`Error::Data`] names the file and its key.
pub fn check_files(path: &Path, given: &Config, flags: &Config) -> Result<()> {
    let (mut given, mut flags) = (given.clone(), flags.clone());
    let kind = given.data.as_ref().map_or("", |data| data.kind().section());
    for (key, file) in given.files() {
        let is_set = flags.files().into_iter().any(|(of, file)| of == key && file.is_some());
        let file = file.take().filter(|file| !is_set && file.as_os_str() != BUNDLED);
        let Some(file) = file else { continue };
        if let Err(error) = file.metadata() {
            let name = if key == "file" { format!("`{kind} FILE`") } else { format!("--{key}") };
            let message =
                format!("expected a file that is there, got {}: {error}; name it with {name}", path_text(&file));
            return Err(Error::Data { path: path.into(), place: format!(", {key}"), message });
        }
    }
    Ok(())
}
