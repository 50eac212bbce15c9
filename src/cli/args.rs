//! The settings of a run as flags, which are the keys of a configuration file too.
//!
//! Each is optional, so that flags can stand over a file, and defaults below both.

use std::fmt;
use std::path::PathBuf;

use bptt::data::{DateOrder, DecimalMark, Missing, ScalingKind};
use bptt::train::Keep;
use bptt::{Activation, At, RecurrentInit, RecurrentKernel};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most of a size: it is what a model's check has for each of its own.
pub(crate) const SIZE: usize = 1 << 24;
/// The most of what is only counted.
pub(crate) const COUNT: usize = 0xffff_ffff;
/// The most layers. Each has its own buffers and commands, and nothing learns through nearly as many.
pub(crate) const LAYERS: usize = 64;
/// The most threads: more than the cores of any one machine, fewer than any system starts.
pub(crate) const THREADS: usize = 1024;

/// What stands for the bundled series in place of a path.
pub(crate) const BUNDLED: &str = "bundled:sunspots";

/// What a distance or a weight is to be.
pub(crate) const ABOVE_0: &str = "a finite number above 0";

/// Whether f32, which the GPU computes in, has it as a finite number above 0.
pub(crate) fn is_above_0(value: f64) -> bool {
    value as f32 > 0.0 && (value as f32).is_finite()
}

/// The cell by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CellName {
    Rnn,
    Lstm,
    Gru,
}

impl CellName {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rnn => "rnn",
            Self::Lstm => "lstm",
            Self::Gru => "gru",
        }
    }
}

/// The optimizer by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OptimizerName {
    Sgd,
    Momentum,
    Nesterov,
    Rmsprop,
    Adam,
    Adamw,
}

/// The synthetic task by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TaskName {
    /// The adding problem: the sum of two marked numbers in a sequence of LENGTH
    Adding,
    /// The copying memory problem: repeat 10 symbols after a delay of LENGTH
    Copy,
}

/// What a series is learned by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LossName {
    /// The squared error: forecasts tend to the mean
    Squared,
    /// The absolute error: forecasts tend to the median, and outliers count for less
    Absolute,
    /// Huber's: squared up to --huber-delta, absolute beyond it
    Huber,
    /// The pinball loss of --quantiles: a range with the chance that it holds
    Quantile,
}

/// How the learning rate falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ScheduleName {
    /// It does not
    Constant,
    /// By --decay-factor after every --decay-every steps
    Step,
    /// By --decay-factor over every --decay-every steps, a little with each
    Exponential,
    /// Along half a cosine to --decay-floor of it at the end
    Cosine,
    /// By --decay-factor after --decay-patience validations without improvement
    Plateau,
}

/// What becomes of a run whose loss or gradient norm is not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnNan {
    /// It ends, with the weights before that step
    #[default]
    Stop,
    /// The step changes nothing, and it goes on; at 10 such steps in a row it ends
    Skip,
    /// It goes on from the weights of the last --val-every, at half the rate, with the batches behind the bad one; 5 times
    Back,
}

/// How numbers come to the network's units, by what the training part has of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ScaleName {
    /// Mean 0 and standard deviation 1
    Standard,
    /// From 0 to 1
    MinMax,
    /// As they are
    None,
}

impl From<ScaleName> for ScalingKind {
    fn from(name: ScaleName) -> Self {
        match name {
            ScaleName::Standard => Self::Standard,
            ScaleName::MinMax => Self::MinMax,
            ScaleName::None => Self::None,
        }
    }
}

/// What stands for missing values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MissingName {
    /// Nothing: the first is named, and the run does not begin
    Error,
    /// The value before them
    Ffill,
    /// 0 in the network's units, and a column more that tells where
    Mask,
}

impl From<MissingName> for Missing {
    fn from(name: MissingName) -> Self {
        match name {
            MissingName::Error => Self::Refuse,
            MissingName::Ffill => Self::Forward,
            MissingName::Mask => Self::Mask,
        }
    }
}

/// How an image is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ReadName {
    /// A row of pixels a step
    Rows,
    /// A pixel a step
    Pixels,
}

/// What labels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LabelsAsName {
    /// Each is the name of a class
    Classes,
    /// Each is a number
    Values,
}

/// Every setting of a run: the sections of a configuration file.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Given {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) training: TrainingArgs,
}

/// Where a command computes, and from what it draws.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[command(next_help_heading = "Run")]
pub(crate) struct RunArgs {
    /// Where it runs: auto, gpu, cpu, or a GPU by its index, its line or a part of its name in `bptt devices` [default: auto]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Threads of the CPU path; they do not change the result [default: all cores]
    #[arg(long, value_parser = whole::<1, THREADS>, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// How a GPU takes the recurrent steps: a dispatch a sequence, a dispatch a step, or whichever its sizes are faster with;
    /// it does not change the result [default: auto]
    #[arg(long, value_parser = kernel())]
    pub(crate) kernel: Option<RecurrentKernel>,
    /// From which initial weights, the order of examples and synthetic data are drawn [default: 1]
    #[arg(long, value_parser = signed, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

/// Which data, and how they are read.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataArgs {
    /// A text, UTF-8: its characters are learned one after the other
    #[arg(long, value_name = "FILE", group = "source")]
    pub(crate) text: Option<PathBuf>,
    /// A series: text with commas, semicolons, tabs or bars between fields, whose first line names the columns and whose
    /// first column is the time
    #[arg(long, value_name = "FILE", group = "source")]
    pub(crate) csv: Option<PathBuf>,
    /// Sequences with a label each: .ts (UEA, UCR), .tsv (UCR), .csv in long form, .npy, .npz, idx (MNIST)
    #[arg(long, value_name = "FILE", group = "source")]
    pub(crate) sequences: Option<PathBuf>,
    /// A folder of text files, a class each: every line is a sequence of characters; to predict, a file of lines will do
    #[arg(long, value_name = "FOLDER", group = "source")]
    pub(crate) classes: Option<PathBuf>,
    /// Piano rolls, or other sets of active keys a step: .json, or .csv of 0 and 1; a single one is split in time
    #[arg(long, value_name = "FILE", group = "source")]
    pub(crate) rolls: Option<PathBuf>,
    /// A synthetic task
    #[arg(long, value_enum, group = "source")]
    pub(crate) task: Option<TaskName>,

    /// Shares of the data that train, validate and test [default: 0.7,0.15,0.15; text: 0.9,0.1,0;
    /// classes: 0.8,0.1,0.1]
    #[arg(long, value_delimiter = ',', num_args = 1, value_name = "A,B,C")]
    pub(crate) split: Option<Vec<f64>>,
    /// A file of the same kind that tests
    #[arg(long, value_name = "FILE")]
    pub(crate) test_file: Option<PathBuf>,
    /// With --train-until or --test-file: the share that validates, of what follows or of what trains [default: 0.4; 0.2]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) validation: Option<f64>,
    /// Steps that the network sees: before what it forecasts [default: 22], or of a text at once [default: 64]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "T")]
    pub(crate) window: Option<usize>,
    /// How numbers come to the network's units [default: standard; sequences: none]
    #[arg(long, value_enum)]
    pub(crate) scale: Option<ScaleName>,
    /// What stands for missing values [default: error]
    #[arg(long, value_enum)]
    pub(crate) missing: Option<MissingName>,
    /// Series and sequences in .csv: the mark before the decimals, a point or a comma [default: what the numbers show]
    #[arg(long, value_parser = decimal(), value_name = "MARK")]
    pub(crate) decimal: Option<DecimalMark>,
    /// Series and sequences in .csv: what comes first in dates such as 5/3/2021 [default: what the rows show]
    #[arg(long, value_parser = one_of::<DateOrder>(&["day-first", "month-first", "year-first"]), value_name = "ORDER")]
    pub(crate) dates: Option<DateOrder>,

    /// Text: its bytes rather than its characters
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub(crate) bytes: Option<bool>,
    /// Text: characters rarer than this are unknown ones [default: 1]
    #[arg(long, value_parser = count, value_name = "N")]
    pub(crate) min_count: Option<u64>,
    /// Text: read in lanes from beginning to end with the state carried on (truncated BPTT), not in random windows
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub(crate) carry_state: Option<bool>,

    /// Series: the columns to forecast, between commas; a name that has a comma in quotes, as in '"a, b",c' [default: the
    /// second of two]
    #[arg(long, value_parser = names, value_name = "COLUMNS")]
    pub(crate) target: Option<Names>,
    /// Series: columns that help, known up to the present; all: every other [default: none]
    #[arg(long, value_parser = names, value_name = "COLUMNS")]
    pub(crate) features: Option<Names>,
    /// Series: columns whose future is known too
    #[arg(long, value_parser = names, value_name = "COLUMNS")]
    pub(crate) known: Option<Names>,
    /// Series: rows that are forecast at once [default: 1]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "K")]
    pub(crate) horizon: Option<usize>,
    /// Series: rows after which it repeats itself, for the seasonal naive forecast to compare with
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "ROWS")]
    pub(crate) season: Option<usize>,
    /// Series: the last row that trains, by the first column [default for the sunspots: 1920]
    #[arg(long, value_name = "LABEL")]
    pub(crate) train_until: Option<String>,

    /// Sequences: the labels, where they are in a file of their own
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Sequences: the labels of --test-file
    #[arg(long, value_name = "FILE")]
    pub(crate) test_labels: Option<PathBuf>,
    /// Sequences: what labels that are numbers are [default: what the file says, or they look like; where that is in doubt it
    /// is asked about]
    #[arg(long, value_enum)]
    pub(crate) labels_as: Option<LabelsAsName>,
    /// Sequences in idx: images by rows or by pixels [default: rows]
    #[arg(long, value_enum)]
    pub(crate) read: Option<ReadName>,
    /// Sequences in .csv: the column that tells sequences apart [default: id]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) id: Option<String>,
    /// Sequences in .csv: the column that orders steps [default: time]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) time: Option<String>,
    /// Sequences in .csv: the column of labels [default: label]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,

    /// Rolls: the lowest and the highest key [default: those that occur]
    #[arg(long, value_name = "LOW-HIGH")]
    pub(crate) keys: Option<String>,

    /// Task: steps of the adding problem [default: 50], delay of the copying problem [default: 10]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "T")]
    pub(crate) length: Option<usize>,

    /// What the split was drawn from, the run's seed at first: another seed later leaves the parts as they were.
    #[arg(skip)]
    pub(crate) split_seed: Option<u64>,
    /// The digest of the data's bytes: a configuration that has it is for these data alone.
    #[arg(skip)]
    pub(crate) sha256: Option<String>,
    /// Whether a trained model is only to be measured on them or to predict.
    #[arg(skip)]
    #[serde(skip)]
    pub(crate) applies: bool,
}

impl Given {
    /// For a trained model that is only measured or predicts.
    pub(crate) fn applied(mut self) -> Self {
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

/// The network.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// The recurrent cell [default: lstm]
    #[arg(long, value_enum)]
    pub(crate) cell: Option<CellName>,
    /// The vanilla RNN's activation [default: tanh]
    #[arg(long, value_parser = one_of::<Activation>(&["tanh", "relu", "sigmoid", "identity"]), value_name = "F")]
    pub(crate) activation: Option<Activation>,
    /// Hidden units a layer and direction [default: 16; text, classes, rolls: 128; sequences, tasks: 64]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "H")]
    pub(crate) hidden: Option<usize>,
    /// Layers above each other [default: 1]
    #[arg(long, value_parser = whole::<1, LAYERS>, value_name = "L")]
    pub(crate) layers: Option<usize>,
    /// Characters and symbols: read each as a vector of so many numbers, which are trained [default: none, one unit each]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "N")]
    pub(crate) embedding: Option<usize>,
    /// Text: the characters' vectors, of as many numbers as a layer puts out, are the head's weights too (Press & Wolf 2017)
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub(crate) tied: Option<bool>,
    /// The share of a layer's outputs that are dropped on the way to the layer above, in training alone [default: 0]
    #[arg(long, value_parser = below_1, value_name = "RATE", allow_negative_numbers = true)]
    pub(crate) dropout: Option<f64>,
    /// The share of a layer's units that are dropped on the way to the next step, in training alone; the same ones at all
    /// steps of a sequence (Gal & Ghahramani 2016) [default: 0]
    #[arg(long, value_parser = below_1, value_name = "RATE", allow_negative_numbers = true)]
    pub(crate) recurrent_dropout: Option<f64>,
    /// What a prediction is made from: every step's output, the last, or the mean of all; sequences, series and the adding
    /// problem take last or mean, the others every [default: last; text, rolls, the copying problem: every]
    #[arg(long, value_parser = one_of::<At>(&["every", "last", "mean"]), value_name = "AT")]
    pub(crate) predict: Option<At>,
    /// Read each sequence from both ends
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub(crate) bidirectional: Option<bool>,
    /// How the recurrent weights begin [default: uniform]
    #[arg(long, value_parser = one_of::<RecurrentInit>(&["uniform", "orthogonal", "identity"]), value_name = "INIT")]
    pub(crate) init: Option<RecurrentInit>,
    /// The initial bias of the LSTM's forget gate [default: as the other biases]
    #[arg(long, value_parser = single, value_name = "BIAS", allow_negative_numbers = true)]
    pub(crate) forget_bias: Option<f64>,
    /// Start from the weights of this run or model file, with its network and what it knows of its data
    #[arg(long, value_name = "RUN")]
    pub(crate) init_from: Option<PathBuf>,
    /// The digest of that model file's bytes: a configuration that has it is for these weights alone.
    #[arg(skip)]
    pub(crate) init_sha256: Option<String>,
}

/// How the network learns.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainingArgs {
    /// Sequences a batch; auto: as many as fit into --memory, or else into what the device has room for [default: 32]
    #[arg(long, value_parser = batch, value_name = "B|auto")]
    pub(crate) batch: Option<BatchSize>,
    /// The most sequences on the device at once; a larger batch is done in parts, with the same result [default: all, or as
    /// many as fit into --memory]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "ROWS")]
    pub(crate) micro_batch: Option<usize>,
    /// The most memory that training takes, as in 2GiB, 512MiB or 1.5GB; see bptt plan [default: no bound]
    #[arg(long, value_parser = Bytes::parse, value_name = "BYTES")]
    pub(crate) memory: Option<Bytes>,
    /// Keep only the states between chunks of time, and go forward through each again before going backward: long sequences
    /// take little memory, for one more forward pass; in one direction only
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub(crate) recompute: Option<bool>,
    /// Batches a step, whose gradients are summed [default: 1]
    #[arg(long, value_parser = count, value_name = "N")]
    pub(crate) accumulate: Option<u64>,
    /// Sequences, classes, rolls: groups of like length, so that little is padded; 1: any go together [default: 4]
    #[arg(long, value_parser = whole::<1, SIZE>, value_name = "N")]
    pub(crate) buckets: Option<usize>,
    /// Each training example so many times [default: 50; text: 10; classes: 15; sequences: 100]
    #[arg(long, value_parser = count, value_name = "N", conflicts_with = "steps")]
    pub(crate) epochs: Option<u64>,
    /// So many steps [default for tasks: 2000]
    #[arg(long, value_parser = count, value_name = "N")]
    pub(crate) steps: Option<u64>,
    /// Steps between validations [default: an epoch; text: 250 at most; tasks: 100]
    #[arg(long, value_parser = count, value_name = "N")]
    pub(crate) val_every: Option<u64>,
    /// Write the norms of ∂L/∂h_t for every t, layer and direction of each Nth step, and draw them [default: never]
    #[arg(long, value_parser = count, value_name = "N")]
    pub(crate) flow_every: Option<u64>,
    /// Stop early, after so many validations in a row that were no better than the best [default: never]
    #[arg(long, value_parser = count, value_name = "N")]
    pub(crate) patience: Option<u64>,
    /// Whose weights are stored: the last step's, or those of the lowest validation loss [default: last; with
    /// --patience: best]
    #[arg(long, value_parser = one_of::<Keep>(&["last", "best"]))]
    pub(crate) keep: Option<Keep>,
    /// Steps between checkpoints, from which --resume goes on [default: by the clock, about one a minute]
    #[arg(long, value_parser = count, value_name = "N")]
    pub(crate) checkpoint_every: Option<u64>,
    /// Checkpoints that are kept, the last ones [default: 2]
    #[arg(long, value_parser = whole::<1, COUNT>, value_name = "N")]
    pub(crate) checkpoints: Option<usize>,
    /// What becomes of it where the loss or the gradient norm is not finite [default: stop]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) on_nan: Option<OnNan>,
    /// Write the steps' numbers for TensorBoard too, into the run's folder tensorboard
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub(crate) tensorboard: Option<bool>,
    /// The rule of the update; momentum and nesterov take a momentum of 0.9 [default: adam]
    #[arg(long, value_enum, value_name = "RULE")]
    pub(crate) optimizer: Option<OptimizerName>,
    /// The learning rate [default: 0.005; text, classes: 0.002; sequences, rolls: 0.001]
    #[arg(long, value_parser = at_least_0, value_name = "RATE", allow_negative_numbers = true)]
    pub(crate) lr: Option<f64>,
    /// Series: the loss [default: squared, or that of --huber-delta or --quantiles]
    #[arg(long, value_enum)]
    pub(crate) loss: Option<LossName>,
    /// Series: where Huber's loss turns from a square to a line, in units of the scaled target: with --scale standard in
    /// its standard deviations [default: 1]
    #[arg(long, value_parser = above_0, value_name = "DELTA", allow_negative_numbers = true)]
    pub(crate) huber_delta: Option<f64>,
    /// Series: the quantiles that are forecast of each target, ascending; where a network's cross they are put in order
    /// [default: 0.1,0.5,0.9]
    #[arg(long, value_parser = quantile, value_delimiter = ',', num_args = 1, value_name = "Q,Q")]
    #[arg(allow_negative_numbers = true)]
    pub(crate) quantiles: Option<Vec<f64>>,
    /// Classes, text: the share of each target that is spread over all classes; results are told without it [default: 0]
    #[arg(long, value_parser = below_1, value_name = "SHARE", allow_negative_numbers = true)]
    pub(crate) label_smoothing: Option<f64>,
    /// Classes: the weight of each in the loss that is learned by: balanced, n / (k n_class), or CLASS=WEIGHT of some and 1
    /// of the others (a name that has a comma in quotes); results are told without it [default: every sequence alike]
    #[arg(long, value_parser = names, value_name = "WEIGHTS")]
    pub(crate) class_weights: Option<Names>,
    /// The largest norm of the gradient, beyond which it is scaled down; 0: none [default: 1]
    #[arg(long, value_parser = norm, value_name = "NORM", allow_negative_numbers = true)]
    pub(crate) clip: Option<f64>,
    /// Weight decay [default: 0; adamw: 0.01]
    #[arg(long, value_parser = at_least_0, value_name = "DECAY", allow_negative_numbers = true)]
    pub(crate) weight_decay: Option<f64>,
    /// Steps over which the rate rises from 0 in a straight line [default: 0]
    #[arg(long, value_parser = signed, value_name = "N")]
    pub(crate) warmup: Option<u64>,
    /// How the rate falls after that [default: constant]
    #[arg(long, value_enum)]
    pub(crate) schedule: Option<ScheduleName>,
    /// The schedule's steps [default: an epoch]
    #[arg(long, value_parser = count, value_name = "N")]
    pub(crate) decay_every: Option<u64>,
    /// The schedule's factor [default: 0.5]
    #[arg(long, value_parser = share, value_name = "FACTOR")]
    pub(crate) decay_factor: Option<f64>,
    /// The cosine's end, as a share of the rate [default: 0]
    #[arg(long, value_parser = share, value_name = "SHARE")]
    pub(crate) decay_floor: Option<f64>,
    /// The plateau's validations without improvement [default: 5]
    #[arg(long, value_parser = count, value_name = "N")]
    pub(crate) decay_patience: Option<u64>,
}

/// How the steps of training are shown: no settings of the run, which is the same however it is watched.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct ShowArgs {
    /// Steps between two lines on standard error that tell how far training is [default: by the clock, one in 10 seconds, and
    /// some of the validations; on a terminal a bar in their place]
    #[arg(long, value_parser = count, value_name = "N", conflicts_with = "quiet")]
    pub(crate) log_every: Option<u64>,
    /// Print nothing but errors, and with --json its one line
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Args)]
pub(crate) struct TrainArgs {
    /// Settings from a file, as `bptt init` writes it and every run keeps one; flags change them
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Go on with this run where it was cut off, to the end that it would have had; with it go --device, --threads and the
    /// new place of a file that it reads, and no other setting. With --epochs or --steps, the length of all: a new, longer
    /// run in a folder of its own that begins with the end of this one, which is over
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "dump_config"])]
    pub(crate) resume: Option<PathBuf>,
    /// Print all settings as a configuration file, and do nothing
    #[arg(long)]
    pub(crate) dump_config: bool,
    /// The run's folder, which must not exist [default: runs/NAME-N, counting up]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Print nothing but a summary, as one line of JSON, on standard output
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    /// Tell in the end which kernels or phases the time went to, on standard error
    #[arg(long)]
    pub(crate) profile: bool,
    #[command(flatten)]
    pub(crate) given: Given,
}

/// Names between commas. Under a name of its own clap takes the flag as one value, which [`names`] takes apart.
pub(crate) type Names = Vec<String>;

/// Names between commas, of which one in quotes may have commas: `"a, b",c`. A quote within is doubled.
pub(crate) fn names(text: &str) -> Result<Names, String> {
    let (mut all, mut name) = (Vec::new(), String::new());
    let (mut quoted, mut was_quoted) = (false, false);
    let mut letters = text.chars().peekable();
    loop {
        match letters.next() {
            None if quoted => return Err("expected a closing quote".into()),
            Some('"') if quoted && letters.peek() == Some(&'"') => name.extend(letters.next()),
            Some('"') if quoted => quoted = false,
            Some('"') if name.is_empty() && !was_quoted => (quoted, was_quoted) = (true, true),
            letter if letter.is_none() || letter == Some(',') && !quoted => {
                if name.is_empty() && !was_quoted {
                    return Err("expected a name before and after each comma, got none".into());
                }
                all.push(std::mem::take(&mut name));
                was_quoted = false;
                if letter.is_none() {
                    return Ok(all);
                }
            }
            letter => name.extend(letter),
        }
    }
}

/// How many sequences a batch has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum BatchSize {
    Rows(usize),
    Fitting(Auto),
}

/// The word for what is to be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Auto {
    Auto,
}

impl BatchSize {
    /// The number, where it is told.
    pub(crate) fn rows(self) -> Option<usize> {
        match self {
            Self::Rows(rows) => Some(rows),
            Self::Fitting(_) => None,
        }
    }
}

fn batch(text: &str) -> Result<BatchSize, String> {
    match text {
        "auto" => Ok(BatchSize::Fitting(Auto::Auto)),
        _ => match whole::<1, SIZE>(text) {
            Ok(rows) => Ok(BatchSize::Rows(rows)),
            Err(expected) => Err(format!("{expected}, or auto")),
        },
    }
}

/// The units of bytes, the longer names first, since they end in the shorter ones.
const UNITS: [(&str, u64); 9] = [
    ("tib", 1 << 40),
    ("gib", 1 << 30),
    ("mib", 1 << 20),
    ("kib", 1 << 10),
    ("tb", 1_000_000_000_000),
    ("gb", 1_000_000_000),
    ("mb", 1_000_000),
    ("kb", 1_000),
    ("b", 1),
];

/// Bytes as a flag has them, and a configuration file as text or as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

impl Bytes {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_lowercase();
        let (number, unit) = match UNITS.iter().find_map(|(name, unit)| Some((lower.strip_suffix(name)?, *unit))) {
            Some((number, unit)) => (number.trim_end(), unit),
            None => (lower.as_str(), 1),
        };
        let refused = || "expected bytes, as in 2GiB, 512MiB, 1.5GB or 1000000".to_owned();
        // Digits alone, so that neither an exponent nor a name of infinity passes.
        let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let count = number.parse::<f64>().ok().filter(|_| plain).map(|number| (number * unit as f64).floor());
        // TOML's integers are signed.
        match count.filter(|count| (1.0..i64::MAX as f64).contains(count)) {
            Some(count) => Ok(Self(count as u64)),
            None => Err(refused()),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match names.iter().find(|(_, unit)| self.0.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Count(u64),
            Text(String),
        }
        let text = match Given::deserialize(deserializer)? {
            Given::Count(count) => count.to_string(),
            Given::Text(text) => text,
        };
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A whole number within bounds; another is refused where the flag is read.
pub(crate) fn whole<const LEAST: usize, const MOST: usize>(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (LEAST..=MOST).contains(&number) => Ok(number),
        _ => Err(format!("expected a whole number from {LEAST} to {MOST}")),
    }
}

fn count(text: &str) -> Result<u64, String> {
    whole::<1, COUNT>(text).map(|count| count as u64)
}

pub(crate) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1".into()),
    }
}

fn below_1(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to below 1".into()),
    }
}

fn quantile(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("expected numbers above 0 and below 1".into()),
    }
}

fn above_0(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if is_above_0(value) => Ok(value),
        _ => Err(format!("expected {ABOVE_0}")),
    }
}

/// What a configuration file can hold: TOML's integers are signed.
fn signed(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| i64::try_from(*number).is_ok());
    number.ok_or_else(|| format!("expected a whole number from 0 to {}", i64::MAX))
}

/// What a parameter can be: beyond f32 a number that is finite here is not.
fn single(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|value| (*value as f32).is_finite());
    number.ok_or_else(|| format!("expected a number from {:e} to {:e}", f32::MIN, f32::MAX))
}

/// What a gradient's norm can be held to: a smaller number is 0 as f32, and would leave nothing of the gradient.
fn norm(text: &str) -> Result<f64, String> {
    let (least, most) = (f32::MIN_POSITIVE, f32::MAX);
    let bounds = f64::from(least)..=f64::from(most);
    let number = text.parse::<f64>().ok().filter(|value| *value == 0.0 || bounds.contains(value));
    number.ok_or_else(|| format!("expected 0, or a number from {least:e} to {most:e}"))
}

pub(crate) fn at_least_0(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value >= 0.0 && value.is_finite() => Ok(value),
        _ => Err("expected a finite number of at least 0".into()),
    }
}

/// The recurrent kernels by their names.
pub(crate) fn kernel() -> impl TypedValueParser<Value = RecurrentKernel> {
    one_of(&["auto", "sequence", "step"])
}

/// The marks before decimals.
pub(crate) fn decimal() -> impl TypedValueParser<Value = DecimalMark> {
    one_of(&[".", ","])
}

/// One of the names that `T` has in a configuration file.
fn one_of<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| serde_json::from_value(serde_json::Value::String(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_has_a_comma_stands_in_quotes() {
        let read = |text| names(text).map(|names| names.join("|"));
        assert_eq!(read("a"), Ok("a".into()));
        assert_eq!(read("a,b c"), Ok("a|b c".into()));
        assert_eq!(read(r#""a, b",c"#), Ok("a, b|c".into()));
        assert_eq!(read(r#"c,"5"" pipe, new","""#), Ok("c|5\" pipe, new|".into()));
        assert_eq!(read(r#""Smith, J"=2,b=1"#), Ok("Smith, J=2|b=1".into()));
        assert_eq!(read(r#"5" pipe,b"#), Ok("5\" pipe|b".into()));
        for text in ["", ",", "a,", ",a", "a,,b", r#""a"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_are_read_in_either_kind_of_unit_and_written_so_that_they_are_read_again() {
        let read = |text| Bytes::parse(text).map(|bytes| bytes.0);
        assert_eq!(read("2GiB"), Ok(2 << 30));
        assert_eq!(read("512 mib"), Ok(512 << 20));
        assert_eq!(read("1.5GB"), Ok(1_500_000_000));
        assert_eq!(read("1KB"), Ok(1000));
        assert_eq!(read("77b"), Ok(77));
        assert_eq!(read("1000000"), Ok(1_000_000));
        for refused in ["", "GiB", "0", "0.1", "-1", "inf", "1e9", "1.2.3", "9999999TiB", "nan", "2 apples"] {
            assert!(read(refused).unwrap_err().contains("2GiB"), "{refused}");
        }
        for count in [1, 1023, 1024, 3 << 20, (3 << 20) + 1, 5 << 30] {
            assert_eq!(Bytes::parse(&Bytes(count).to_string()), Ok(Bytes(count)));
        }
        assert_eq!(Bytes(512 << 20).to_string(), "512MiB");
    }
}
