//! The settings of an experiment: the sections of a configuration file.
//!
//! Each is optional: what is not set is filled in by the data, the model, or a default.

pub mod agree;
mod choices;
pub mod kind;
pub mod merge;
mod values;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use choices::*;
pub use values::*;

use crate::data::{DateOrder, DecimalMark, InputLimit};
use crate::error::{Error, Result};
use crate::format::path_text;
use crate::train::Keep;
use crate::{Activation, Readout, RecurrentInit, RecurrentKernel};

/// What stands for the bundled series in place of a path.
pub(crate) const BUNDLED: &str = "bundled:sunspots";

/// Every setting of a run: the sections of a configuration file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Device, threads and seed.
    pub run: RunConfig,
    /// The data and how they are read.
    pub data: DataConfig,
    /// The network.
    pub model: ModelConfig,
    /// How it is trained.
    pub training: TrainingConfig,
}

/// Where a command computes, and from what it draws.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RunConfig {
    /// Where it runs: auto, gpu, cpu, or a GPU by its index, its line or a part of its name in `bptt devices` [default: auto]
    pub device: Option<String>,
    /// Threads of the CPU path; they do not change the result [default: all cores]
    pub threads: Option<usize>,
    /// How a GPU takes the recurrent steps: a dispatch a sequence, a dispatch a step, or whichever its sizes are faster with;
    /// it does not change the result [default: auto]
    pub kernel: Option<RecurrentKernel>,
    /// From which initial weights, the order of examples and synthetic data are drawn [default: 1]
    pub seed: Option<u64>,
}

/// Which data, and how they are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DataConfig {
    /// A text, UTF-8: its characters are learned one after the other
    pub text: Option<PathBuf>,
    /// A series: text with commas, semicolons, tabs or bars between fields, whose first line names the columns and whose
    /// first column is the time
    pub csv: Option<PathBuf>,
    /// Sequences with a label each: .ts (UEA, UCR), .tsv (UCR), .csv in long form, .npy, .npz, idx (MNIST)
    pub sequences: Option<PathBuf>,
    /// A folder of text files, a class each: every line is a sequence of characters; to predict, a file of lines will do
    pub classes: Option<PathBuf>,
    /// Piano rolls, or other sets of active keys a step: .json, or .csv of 0 and 1; a single one is split in time
    pub rolls: Option<PathBuf>,
    /// A synthetic task
    pub task: Option<TaskName>,

    /// Shares of the data that train, validate and test [default: 0.7,0.15,0.15; text: 0.9,0.1,0;
    /// classes: 0.8,0.1,0.1]
    pub split: Option<Vec<f64>>,
    /// A file of the same kind that tests
    pub test_file: Option<PathBuf>,
    /// With --train-until or --test-file: the share that validates, of what follows or of what trains [default: 0.4; 0.2]
    pub validation: Option<f64>,
    /// Steps that the network sees: before what it forecasts [default: 22], or of a text at once [default: 64]
    pub window: Option<usize>,
    /// How numbers come to the network's units [default: standard; sequences: none]
    pub scale: Option<ScaleName>,
    /// What stands for missing values [default: error]
    pub missing: Option<MissingName>,
    /// Series and sequences in .csv: the mark before the decimals, a point or a comma [default: what the numbers show]
    pub decimal: Option<DecimalMark>,
    /// Series and sequences in .csv: what comes first in dates such as 5/3/2021 [default: what the rows show]
    pub dates: Option<DateOrder>,

    /// The most that may come of a file, as in 4GiB: of its bytes, of what is compressed in them, and of the numbers as they
    /// are held [default: 1GiB]
    pub input_limit: Option<Bytes>,

    /// Text: its bytes rather than its characters
    pub bytes: Option<bool>,
    /// Text: characters rarer than this are unknown ones [default: 1]
    pub min_count: Option<u64>,
    /// Text: read in lanes from beginning to end with the state carried on (truncated BPTT), not in random windows
    pub carry_state: Option<bool>,

    /// Series: the columns to forecast, between commas; a name that has a comma in quotes, as in '"a, b",c' [default: the
    /// second of two]
    pub target: Option<Names>,
    /// Series: columns that help, known up to the present; all: every other [default: none]
    pub features: Option<Names>,
    /// Series: columns whose future is known too
    pub known: Option<Names>,
    /// Series: rows that are forecast at once [default: 1]
    pub horizon: Option<usize>,
    /// Series: rows after which it repeats itself, for the seasonal naive forecast to compare with
    pub season: Option<usize>,
    /// Series: the last row that trains, by the first column [default for the sunspots: 1920]
    pub train_until: Option<String>,

    /// Sequences: the labels, where they are in a file of their own
    pub labels: Option<PathBuf>,
    /// Sequences: the labels of --test-file
    pub test_labels: Option<PathBuf>,
    /// Sequences: what labels that are numbers are [default: what the file says, or they look like; where that is in doubt it
    /// is asked about]
    pub labels_as: Option<LabelsAsName>,
    /// Sequences in idx: images by rows or by pixels [default: rows]
    pub read: Option<ReadName>,
    /// Sequences in .csv: the column that tells sequences apart [default: id]
    pub id: Option<String>,
    /// Sequences in .csv: the column that orders steps [default: time]
    pub time: Option<String>,
    /// Sequences in .csv: the column of labels [default: label]
    pub label: Option<String>,

    /// Rolls: the lowest and the highest key [default: those that occur]
    pub keys: Option<String>,

    /// Task: steps of the adding problem [default: 50], delay of the copying problem [default: 10]
    pub length: Option<usize>,

    /// What the split was drawn from, the run's seed at first: another seed later leaves the parts as they were.
    pub split_seed: Option<u64>,
    /// The digest of the data's files: a configuration that has it is for these data alone.
    pub sha256: Option<String>,
    /// Whether a trained model is only to be measured on them or to predict.
    #[serde(skip)]
    pub applies: bool,
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
    /// Characters and symbols: read each as a vector of so many numbers, which are trained [default: none, one unit each]
    pub embedding: Option<usize>,
    /// Text: the characters' vectors, of as many numbers as a layer puts out, are the head's weights too (Press & Wolf 2017)
    pub tied: Option<bool>,
    /// The share of a layer's outputs that are dropped on the way to the layer above, in training alone [default: 0]
    pub dropout: Option<f64>,
    /// The share of a layer's units that are dropped on the way to the next step, in training alone; the same ones at all
    /// steps of a sequence (Gal & Ghahramani 2016) [default: 0]
    pub recurrent_dropout: Option<f64>,
    /// What a prediction is made from: every step's output, the last, or the mean of all; sequences, series and the adding
    /// problem take last or mean, the others every [default: last; text, rolls, the copying problem: every]
    pub predict: Option<Readout>,
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
    /// Sequences, classes, rolls: groups of like length, so that little is padded; 1: any go together [default: 4]
    pub buckets: Option<usize>,
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
    pub keep: Option<Keep>,
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
    /// Series: the loss [default: squared, or that of --huber-delta or --quantiles]
    pub loss: Option<LossName>,
    /// Series: where Huber's loss turns from a square to a line, in units of the scaled target: with --scale standard in
    /// its standard deviations [default: 1]
    pub huber_delta: Option<f64>,
    /// Series: the quantiles that are forecast of each target, ascending; where a network's cross they are put in order
    /// [default: 0.1,0.5,0.9]
    pub quantiles: Option<Vec<f64>>,
    /// Classes, text: the share of each target that is spread over all classes; results are told without it [default: 0]
    pub label_smoothing: Option<f64>,
    /// Classes: the weight of each in the loss that is learned by: balanced, n / (k n_class), or CLASS=WEIGHT of some and 1
    /// of the others (a name that has a comma in quotes); results are told without it [default: every sequence alike]
    pub class_weights: Option<Names>,
    /// The largest norm of the gradient, beyond which it is scaled down; 0: none [default: 1]
    pub clip: Option<f64>,
    /// Weight decay [default: 0; adamw: 0.01]
    pub weight_decay: Option<f64>,
    /// Steps over which the rate rises from 0 in a straight line [default: 0]
    pub warmup: Option<u64>,
    /// How the rate falls after that [default: constant]
    pub schedule: Option<ScheduleName>,
    /// The schedule's steps [default: an epoch]
    pub decay_every: Option<u64>,
    /// The schedule's factor [default: 0.5]
    pub decay_factor: Option<f64>,
    /// The cosine's end, as a share of the rate [default: 0]
    pub decay_floor: Option<f64>,
    /// The plateau's validations without improvement [default: 5]
    pub decay_patience: Option<u64>,
}

impl DataConfig {
    /// The most that may come of a file.
    pub(crate) fn limit(&self) -> InputLimit {
        self.input_limit.map_or(InputLimit::default(), |Bytes(most)| InputLimit(most))
    }
}

impl Config {
    /// For a trained model that is only measured or predicts.
    pub fn applied(mut self) -> Self {
        self.data.applies = true;
        self
    }

    /// The files and folders that are read, by their keys.
    pub(crate) fn files(&mut self) -> [(&'static str, &mut Option<PathBuf>); 9] {
        let data = &mut self.data;
        [
            ("text", &mut data.text),
            ("csv", &mut data.csv),
            ("sequences", &mut data.sequences),
            ("classes", &mut data.classes),
            ("rolls", &mut data.rolls),
            ("test-file", &mut data.test_file),
            ("labels", &mut data.labels),
            ("test-labels", &mut data.test_labels),
            ("init-from", &mut self.model.init_from),
        ]
    }
}

/// Refuses a configuration whose files are no longer where they were, by the flag that tells where they are now; `flags`
/// are those that stand over it.
///
/// # Errors
/// [`Error::Data`] names the file and its key.
pub fn check_files(path: &Path, given: &Config, flags: &Config) -> Result<()> {
    let (mut given, mut flags) = (given.clone(), flags.clone());
    for ((key, file), (_, told)) in given.files().into_iter().zip(flags.files()) {
        let file = file.take().filter(|file| told.is_none() && file.as_os_str() != BUNDLED);
        let Some(file) = file else { continue };
        if let Err(error) = file.metadata() {
            let message =
                format!("expected a file that is there, got {}: {error}; name it with --{key}", path_text(&file));
            return Err(Error::Data { path: path.into(), place: format!(", {key}"), message });
        }
    }
    Ok(())
}

impl Config {
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
