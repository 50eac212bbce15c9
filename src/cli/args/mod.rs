//! The settings of a run as flags, which are the keys of a configuration file too.
//!
//! Each is optional, so that flags can stand over a file, and defaults below both.

mod choices;
mod data;
mod values;

use std::path::PathBuf;

use bptt::experiment::config::{
    BatchSize, Bytes, COUNT, CellName, Config, LAYERS, ModelConfig, OnNan, OptimizerName, RunConfig, SIZE,
    ScheduleName, THREADS, TrainingConfig,
};
use bptt::train::KeepWeights;
use bptt::{Activation, RecurrentInit, RecurrentKernel};
use clap::{Args, Command};

pub(crate) use choices::*;
pub(crate) use data::{DataCommand, ReadArgs};
pub(crate) use values::*;

/// The sections of a configuration file.
pub(crate) const SECTIONS: [&str; 9] =
    ["series", "text", "sequences", "classes", "rolls", "task", "run", "model", "training"];

/// The flags that are the keys of a section.
pub(crate) fn section(name: &str) -> Option<Command> {
    let command = Command::new("bptt").no_binary_name(true);
    Some(match name {
        "series" => data::SeriesArgs::augment_args(command),
        "text" => data::TextArgs::augment_args(command),
        "sequences" => data::SequencesArgs::augment_args(command),
        "classes" => data::ClassesArgs::augment_args(command),
        "rolls" => data::RollsArgs::augment_args(command),
        "task" => data::TaskArgs::augment_args(command),
        "run" => RunArgs::augment_args(command),
        "model" => ModelArgs::augment_args(command),
        "training" => TrainingArgs::augment_args(command),
        _ => return None,
    })
}

/// Where a command computes, and from what it draws.
#[derive(Args, Clone, Debug, Default, PartialEq)]
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

/// The network.
#[derive(Args, Clone, Debug, Default, PartialEq)]
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
    /// The share of a layer's outputs that are dropped on the way to the layer above, in training alone [default: 0]
    #[arg(long, value_parser = below_1, value_name = "RATE", allow_negative_numbers = true)]
    pub(crate) dropout: Option<f64>,
    /// The share of a layer's units that are dropped on the way to the next step, in training alone; the same ones at all
    /// steps of a sequence (Gal & Ghahramani 2016) [default: 0]
    #[arg(long, value_parser = below_1, value_name = "RATE", allow_negative_numbers = true)]
    pub(crate) recurrent_dropout: Option<f64>,
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
}

/// How the network learns.
#[derive(Args, Clone, Debug, Default, PartialEq)]
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
    #[arg(long, value_parser = one_of::<KeepWeights>(&["last", "best"]))]
    pub(crate) keep: Option<KeepWeights>,
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

/// What is set of a run beside its data.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SettingsArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) training: TrainingArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

impl SettingsArgs {
    /// The settings that the flags make, with those of the data.
    pub(crate) fn config(&self, data: Option<&DataCommand>) -> Config {
        Config {
            data: data.map(DataCommand::config),
            applies: false,
            run: self.run.config(),
            model: self.model.config(),
            training: self.training.config(),
        }
    }
}

#[derive(Args)]
pub(crate) struct TrainArgs {
    #[command(subcommand)]
    pub(crate) data: Option<DataCommand>,
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
    pub(crate) settings: SettingsArgs,
}

impl RunArgs {
    pub(crate) fn config(&self) -> RunConfig {
        let Self { device, threads, kernel, seed } = self.clone();
        RunConfig { device, threads, kernel, seed }
    }
}

impl ModelArgs {
    pub(crate) fn config(&self) -> ModelConfig {
        let Self {
            cell,
            activation,
            hidden,
            layers,
            dropout,
            recurrent_dropout,
            bidirectional,
            init,
            forget_bias,
            init_from,
        } = self.clone();
        ModelConfig {
            cell,
            activation,
            hidden,
            layers,
            dropout,
            recurrent_dropout,
            bidirectional,
            init,
            forget_bias,
            init_from,
            init_sha256: None,
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
