//! The settings of an experiment: the sections of a configuration file.
//!
//! All settings are optional. Unset ones are filled in from the data, the model, or a default.

pub mod agree;
mod backtest;
mod choices;
mod data;
pub mod merge;
mod parameterized;
mod ranges;
mod space;
mod sweep;
mod toml;
mod values;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use backtest::{BacktestConfig, RefitName};
pub use choices::*;
pub(crate) use data::limit;
pub use data::{
    AudioConfig, ClassesConfig, Data, DataKind, RollsConfig, SequencesConfig, SeriesConfig, TaskConfig, TextConfig,
};
pub use parameterized::{GroupConfig, LossConfig, ScheduleConfig};
pub use ranges::NumberRange;
pub use space::{Dimension, Space};
pub use sweep::{MethodName, MetricName, SweepConfig};
pub use values::*;

use crate::error::{Error, Result};
use crate::format::path_text;
use crate::train::KeepWeights;
use crate::{Activation, Direction, Precision, RecurrentInit, RecurrentKernel};

/// Stands for the bundled series in place of a path.
pub const BUNDLED: &str = "bundled:sunspots";

/// Every setting of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Sections", into = "Sections")]
pub struct Config {
    /// The data and how they are read; by default the bundled sunspot numbers.
    pub data: Option<Data>,
    /// Whether a trained model is only evaluated on the data.
    pub applies: bool,
    /// Device, threads and seed.
    pub run: RunConfig,
    /// The network.
    pub model: ModelConfig,
    /// The training.
    pub training: TrainingConfig,
    /// The folds of a backtest; only `bptt backtest` reads them.
    pub backtest: BacktestConfig,
    /// The trials of a sweep; only `bptt sweep` reads them.
    pub sweep: SweepConfig,
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
    audio: Option<AudioConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskConfig>,
    run: RunConfig,
    model: ModelConfig,
    training: TrainingConfig,
    #[serde(skip_serializing_if = "BacktestConfig::is_empty")]
    backtest: BacktestConfig,
    #[serde(skip_serializing_if = "SweepConfig::is_empty")]
    sweep: SweepConfig,
}

impl TryFrom<Sections> for Config {
    type Error = String;

    fn try_from(it: Sections) -> Result<Self, String> {
        let Sections { series, text, sequences, classes, rolls, audio, task, run, model, training, backtest, sweep } =
            it;
        let named = [
            series.map(Data::Series),
            text.map(Data::Text),
            sequences.map(Data::Sequences),
            classes.map(Data::Classes),
            rolls.map(Data::Rolls),
            audio.map(Data::Audio),
            task.map(Data::Task),
        ];
        let mut named: Vec<Data> = named.into_iter().flatten().collect();
        if named.len() > 1 {
            let sections: Vec<String> = named.iter().map(|data| format!("[{}]", data.kind().section())).collect();
            return Err(format!("expected the section of one kind of data, got {}", sections.join(" and ")));
        }
        Ok(Self { data: named.pop(), applies: false, run, model, training, backtest, sweep })
    }
}

impl From<Config> for Sections {
    fn from(Config { data, run, model, training, backtest, sweep, .. }: Config) -> Self {
        let mut it = Self { run, model, training, backtest, sweep, ..Self::default() };
        match data {
            Some(Data::Series(data)) => it.series = Some(data),
            Some(Data::Text(data)) => it.text = Some(data),
            Some(Data::Sequences(data)) => it.sequences = Some(data),
            Some(Data::Classes(data)) => it.classes = Some(data),
            Some(Data::Rolls(data)) => it.rolls = Some(data),
            Some(Data::Audio(data)) => it.audio = Some(data),
            Some(Data::Task(data)) => it.task = Some(data),
            None => {}
        }
        it
    }
}

/// The device, threads and seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RunConfig {
    /// The device: auto, gpu, cpu, or a GPU by its index, its line or a part of its name in `bptt devices` [default:
    /// auto]
    pub device: Option<String>,
    /// Number of CPU threads; they do not change the results [default: all cores]
    pub threads: Option<usize>,
    /// GPU kernel of the recurrent steps: one dispatch per sequence, one per step, or whichever is faster at these
    /// sizes; it does not change the results [default: auto]
    pub kernel: Option<RecurrentKernel>,
    /// How a GPU stores z, h and copies of W_hh: f32 or f16 [default: f32]
    pub precision: Option<Precision>,
    /// Whether to print the time of each kernel or phase at the end.
    pub profile: Option<bool>,
    /// Random seed of the initial weights, the order of the examples, dropout and synthetic data [default: 1]
    pub seed: Option<u64>,
}

/// The network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ModelConfig {
    /// The recurrent cell [default: lstm]
    pub cell: Option<CellName>,
    /// Activation of the rnn cell [default: tanh]
    pub activation: Option<Activation>,
    /// Number of hidden units per layer and direction [default: 16; audio: 32; text, classes, rolls: 128; sequences,
    /// tasks: 64]
    pub hidden: Option<usize>,
    /// Number of values that h of the lstm cell is projected to, below the number of hidden units (Sak, Senior &
    /// Beaufays 2014); PyTorch's proj_size [default: none]
    pub proj_size: Option<usize>,
    /// Number of stacked layers [default: 1]
    pub layers: Option<usize>,
    /// Dropout rate between layers [default: 0]
    pub dropout: Option<f64>,
    /// Dropout rate between time steps; the same units are dropped at all steps of a sequence (Gal & Ghahramani 2016)
    /// [default: 0]
    pub recurrent_dropout: Option<f64>,
    /// The direction in which to read each sequence [default: forward]
    pub direction: Option<Direction>,
    /// Whether to read each sequence in both directions: `direction = "both"` by another name
    pub bidirectional: Option<bool>,
    /// Initialization of the recurrent weights [default: uniform]
    pub init: Option<RecurrentInit>,
    /// Initial forget gate bias of the lstm cell [default: like the other biases]
    pub forget_bias: Option<f64>,
    /// Start from the weights, network, vocabulary and scalings of this run or model file
    pub init_from: Option<PathBuf>,
    /// The SHA-256 of that model file. A configuration with a digest is for these weights only.
    pub init_sha256: Option<String>,
}

/// The training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Sequences per batch; auto: the largest batch that fits into --memory or the device's memory [default: 32]
    pub batch: Option<BatchSize>,
    /// Maximum number of sequences on the device at once; a larger batch is computed in micro-batches, with the same
    /// result [default: all, or as many as fit into --memory]
    pub micro_batch: Option<usize>,
    /// Memory limit for training, as in 2GiB, 512MiB or 1.5GB; see bptt plan [default: none]
    pub memory: Option<Bytes>,
    /// Recompute activations to save memory: keep only the states between chunks of time, and repeat the forward pass
    /// of each chunk before its backward pass; for networks that read forward only
    pub recompute: Option<bool>,
    /// Number of batches per optimizer step, whose gradients are summed [default: 1]
    pub accumulate: Option<u64>,
    /// Number of epochs [default: 50; text: 10; classes: 15; sequences: 100]
    pub epochs: Option<u64>,
    /// Number of optimizer steps [default for tasks: 2000]
    pub steps: Option<u64>,
    /// Steps between validations [default: an epoch; text: at most 250; tasks: 100]
    pub val_every: Option<u64>,
    /// Steps between records of ‖∂L/∂h_t‖ for every t, layer and direction [default: never]
    pub flow_every: Option<u64>,
    /// Validations without improvement before stopping [default: never]
    pub patience: Option<u64>,
    /// Weights to store: those of the last step, or of the lowest validation loss [default: last; with --patience:
    /// best]
    pub keep: Option<KeepWeights>,
    /// Steps between checkpoints, from which --resume continues [default: about a minute]
    pub checkpoint_every: Option<u64>,
    /// Number of checkpoints kept [default: 2]
    pub checkpoints: Option<usize>,
    /// What to do when the loss or the gradient norm is not finite [default: stop]
    pub on_nan: Option<OnNan>,
    /// Whether to write event files for TensorBoard into the run's folder
    pub tensorboard: Option<bool>,
    /// The optimizer; momentum and nesterov use a momentum of 0.9 [default: adam]
    pub optimizer: Option<OptimizerName>,
    /// The learning rate [default: 0.005; text, classes: 0.002; sequences, rolls: 0.001]
    pub lr: Option<f64>,
    /// Maximum gradient norm; 0: none [default: 1]
    pub clip: Option<f64>,
    /// Weight decay [default: 0; adamw: 0.01]
    pub weight_decay: Option<f64>,
    /// Tensors with a learning rate or weight decay of their own, and frozen ones, by patterns of their names; of
    /// several that match a tensor the first decides [default: none]
    pub groups: Option<Vec<GroupConfig>>,
    /// Decay of a moving average of the weights, which is then validated and stored in their place [default: none]
    pub ema_decay: Option<f64>,
    /// Steps of linear warmup [default: 0]
    pub warmup: Option<u64>,
    /// Learning-rate schedule after the warmup [default: constant]
    pub schedule: Option<ScheduleConfig>,
}

impl Config {
    /// Settings for a trained model that is only evaluated.
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

/// Refuses a configuration whose files have moved, naming the flag that sets the new location. `flags` are those that
/// override it.
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
            let name = match key {
                "file" | "wet" if kind == DataKind::Audio.section() => "`audio DRY WET`".to_owned(),
                "file" => format!("`{kind} FILE`"),
                _ => format!("--{key}"),
            };
            let message = format!("expected an existing file, got {}: {error}; name it with {name}", path_text(&file));
            return Err(Error::Data { path: path.into(), place: format!(", {key}"), message });
        }
    }
    Ok(())
}
