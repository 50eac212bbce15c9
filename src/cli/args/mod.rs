//! The settings of a run as flags, which are the keys of a configuration file too.
//!
//! Each is optional, so that flags can stand over a file, and defaults below both.

mod choices;
mod values;

use std::path::PathBuf;

use bptt::data::{DateOrder, DecimalMark};
use bptt::experiment::config::{
    BatchSize, Bytes, COUNT, CellName, Config, DataConfig, LAYERS, LabelsAsName, LossName, MissingName, ModelConfig,
    Names, OnNan, OptimizerName, ReadName, RunConfig, SIZE, ScaleName, ScheduleName, THREADS, TaskName, TrainingConfig,
};
use bptt::train::Keep;
use bptt::{Activation, Readout, RecurrentInit, RecurrentKernel};
use clap::Args;
use serde::{Deserialize, Serialize};

pub(crate) use choices::*;
pub(crate) use values::*;

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
    #[arg(long, value_parser = task(), value_name = "TASK", group = "source")]
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
    #[arg(long, value_parser = scale(), value_name = "SCALE")]
    pub(crate) scale: Option<ScaleName>,
    /// What stands for missing values [default: error]
    #[arg(long, value_parser = missing(), value_name = "MISSING")]
    pub(crate) missing: Option<MissingName>,
    /// Series and sequences in .csv: the mark before the decimals, a point or a comma [default: what the numbers show]
    #[arg(long, value_parser = decimal(), value_name = "MARK")]
    pub(crate) decimal: Option<DecimalMark>,
    /// Series and sequences in .csv: what comes first in dates such as 5/3/2021 [default: what the rows show]
    #[arg(long, value_parser = dates(), value_name = "ORDER")]
    pub(crate) dates: Option<DateOrder>,

    /// The most that may come of a file, as in 4GiB: of its bytes, of what is compressed in them, and of the numbers as they
    /// are held [default: 1GiB]
    #[arg(long, value_parser = Bytes::parse, value_name = "BYTES")]
    pub(crate) input_limit: Option<Bytes>,

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
    #[arg(long, value_parser = labels_as(), value_name = "LABELS-AS")]
    pub(crate) labels_as: Option<LabelsAsName>,
    /// Sequences in idx: images by rows or by pixels [default: rows]
    #[arg(long, value_parser = read(), value_name = "READ")]
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
    /// The digest of the data's files: a configuration that has it is for these data alone.
    #[arg(skip)]
    pub(crate) sha256: Option<String>,
    /// Whether a trained model is only to be measured on them or to predict.
    #[arg(skip)]
    #[serde(skip)]
    pub(crate) applies: bool,
}

/// The network.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// The recurrent cell [default: lstm]
    #[arg(long, value_parser = cell(), value_name = "CELL")]
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
    #[arg(long, value_parser = one_of::<Readout>(&["every", "last", "mean"]), value_name = "AT")]
    pub(crate) predict: Option<Readout>,
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
    #[arg(long, value_parser = on_nan(), value_name = "WHAT")]
    pub(crate) on_nan: Option<OnNan>,
    /// Write the steps' numbers for TensorBoard too, into the run's folder tensorboard
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub(crate) tensorboard: Option<bool>,
    /// The rule of the update; momentum and nesterov take a momentum of 0.9 [default: adam]
    #[arg(long, value_parser = optimizer(), value_name = "RULE")]
    pub(crate) optimizer: Option<OptimizerName>,
    /// The learning rate [default: 0.005; text, classes: 0.002; sequences, rolls: 0.001]
    #[arg(long, value_parser = at_least_0, value_name = "RATE", allow_negative_numbers = true)]
    pub(crate) lr: Option<f64>,
    /// Series: the loss [default: squared, or that of --huber-delta or --quantiles]
    #[arg(long, value_parser = loss(), value_name = "LOSS")]
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
    #[arg(long, value_parser = schedule(), value_name = "SCHEDULE")]
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

impl Given {
    /// The settings that the flags make.
    pub(crate) fn config(&self) -> Config {
        Config {
            run: self.run.config(),
            data: self.data.config(),
            model: self.model.config(),
            training: self.training.config(),
        }
    }
}

impl RunArgs {
    pub(crate) fn config(&self) -> RunConfig {
        let Self { device, threads, kernel, seed } = self.clone();
        RunConfig { device, threads, kernel, seed }
    }
}

impl DataArgs {
    pub(crate) fn config(&self) -> DataConfig {
        let Self {
            text,
            csv,
            sequences,
            classes,
            rolls,
            task,
            split,
            test_file,
            validation,
            window,
            scale,
            missing,
            decimal,
            dates,
            input_limit,
            bytes,
            min_count,
            carry_state,
            target,
            features,
            known,
            horizon,
            season,
            train_until,
            labels,
            test_labels,
            labels_as,
            read,
            id,
            time,
            label,
            keys,
            length,
            split_seed,
            sha256,
            applies,
        } = self.clone();
        DataConfig {
            text,
            csv,
            sequences,
            classes,
            rolls,
            task,
            split,
            test_file,
            validation,
            window,
            scale,
            missing,
            decimal,
            dates,
            input_limit,
            bytes,
            min_count,
            carry_state,
            target,
            features,
            known,
            horizon,
            season,
            train_until,
            labels,
            test_labels,
            labels_as,
            read,
            id,
            time,
            label,
            keys,
            length,
            split_seed,
            sha256,
            applies,
        }
    }
}

impl ModelArgs {
    pub(crate) fn config(&self) -> ModelConfig {
        let Self {
            cell,
            activation,
            hidden,
            layers,
            embedding,
            tied,
            dropout,
            recurrent_dropout,
            predict,
            bidirectional,
            init,
            forget_bias,
            init_from,
            init_sha256,
        } = self.clone();
        ModelConfig {
            cell,
            activation,
            hidden,
            layers,
            embedding,
            tied,
            dropout,
            recurrent_dropout,
            predict,
            bidirectional,
            init,
            forget_bias,
            init_from,
            init_sha256,
        }
    }
}

impl TrainingArgs {
    pub(crate) fn config(&self) -> TrainingConfig {
        let Self {
            batch,
            micro_batch,
            memory,
            recompute,
            accumulate,
            buckets,
            epochs,
            steps,
            val_every,
            flow_every,
            patience,
            keep,
            checkpoint_every,
            checkpoints,
            on_nan,
            tensorboard,
            optimizer,
            lr,
            loss,
            huber_delta,
            quantiles,
            label_smoothing,
            class_weights,
            clip,
            weight_decay,
            warmup,
            schedule,
            decay_every,
            decay_factor,
            decay_floor,
            decay_patience,
        } = self.clone();
        TrainingConfig {
            batch,
            micro_batch,
            memory,
            recompute,
            accumulate,
            buckets,
            epochs,
            steps,
            val_every,
            flow_every,
            patience,
            keep,
            checkpoint_every,
            checkpoints,
            on_nan,
            tensorboard,
            optimizer,
            lr,
            loss,
            huber_delta,
            quantiles,
            label_smoothing,
            class_weights,
            clip,
            weight_decay,
            warmup,
            schedule,
            decay_every,
            decay_factor,
            decay_floor,
            decay_patience,
        }
    }
}
