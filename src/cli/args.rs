//! The flags of `bptt train`. Each is optional, so that a configuration file can stand below it.

use std::path::PathBuf;

use bptt::train::Keep;
use bptt::{Activation, RecurrentInit};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OptimizerName {
    Sgd,
    Momentum,
    Nesterov,
    Rmsprop,
    Adam,
    Adamw,
}

/// The synthetic task by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TaskName {
    /// The adding problem: the sum of two marked numbers in a sequence of LENGTH
    Adding,
    /// The copying memory problem: repeat 10 symbols after a delay of LENGTH
    Copy,
}

#[derive(Args)]
pub(crate) struct TrainArgs {
    /// Repeat the run of this config.toml; other flags change it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where it runs: auto, gpu, cpu, an index of `bptt devices`, or a part of a GPU's name [default: auto]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Threads of the CPU path; they do not change the result [default: all cores]
    #[arg(long, value_parser = at_least_1, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Where initial weights, order of examples and synthetic data are drawn from [default: 1]
    #[arg(long, value_parser = seed(), value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The run's folder, which must not exist [default: runs/NAME-N, counting up]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Print nothing but a summary, as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// A series: comma-separated text whose first line names the columns and whose first column is the time
    #[arg(long, value_name = "FILE", conflicts_with = "task", help_heading = "Data")]
    pub(crate) csv: Option<PathBuf>,
    /// The column to forecast [default: the second of two]
    #[arg(long, value_name = "COLUMN", conflicts_with = "task", help_heading = "Data")]
    pub(crate) target: Option<String>,
    /// Values that the network sees before the one that it forecasts [default: 22]
    #[arg(long, value_parser = at_least_1, value_name = "N", conflicts_with = "task", help_heading = "Data")]
    pub(crate) window: Option<usize>,
    /// The last training target, by the first column [default for the sunspots: 1920]
    #[arg(long, value_name = "LABEL", conflicts_with_all = ["task", "split"], help_heading = "Data")]
    pub(crate) train_until: Option<String>,
    /// With --train-until: the share of what follows that validates; the rest tests [default: 0.4]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    #[arg(conflicts_with_all = ["task", "split"], help_heading = "Data")]
    pub(crate) validation: Option<f64>,
    /// Shares of the targets that train, validate and test [default for --csv: 0.7,0.15,0.15]
    #[arg(long, value_delimiter = ',', num_args = 1, value_name = "A,B,C", conflicts_with = "task")]
    #[arg(help_heading = "Data")]
    pub(crate) split: Option<Vec<f64>>,
    /// A synthetic task in place of a series
    #[arg(long, value_enum, help_heading = "Data")]
    pub(crate) task: Option<TaskName>,
    /// The task's length: steps of the adding problem [default: 50], delay of the copying problem [default: 10]
    #[arg(long, value_parser = at_least_1, value_name = "T", conflicts_with_all = ["csv", "target", "window"])]
    #[arg(help_heading = "Data")]
    pub(crate) length: Option<usize>,

    /// The recurrent cell [default: lstm]
    #[arg(long, value_enum, help_heading = "Model")]
    pub(crate) cell: Option<CellName>,
    /// The vanilla RNN's activation [default: tanh]
    #[arg(long, value_parser = one_of::<Activation>(&["tanh", "relu", "sigmoid", "identity"]), help_heading = "Model")]
    pub(crate) activation: Option<Activation>,
    /// Hidden units a layer and direction [default: 16; tasks: 64]
    #[arg(long, value_parser = at_least_1, value_name = "H", help_heading = "Model")]
    pub(crate) hidden: Option<usize>,
    /// Layers above each other [default: 1]
    #[arg(long, value_parser = at_least_1, value_name = "L", help_heading = "Model")]
    pub(crate) layers: Option<usize>,
    /// Read each sequence from both ends
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    #[arg(help_heading = "Model")]
    pub(crate) bidirectional: Option<bool>,
    /// How the recurrent weights begin [default: uniform]
    #[arg(long, value_parser = one_of::<RecurrentInit>(&["uniform", "orthogonal", "identity"]), help_heading = "Model")]
    pub(crate) init: Option<RecurrentInit>,
    /// The initial bias of the LSTM's forget gate [default: as the other biases]
    #[arg(long, value_name = "BIAS", allow_negative_numbers = true, help_heading = "Model")]
    pub(crate) forget_bias: Option<f64>,

    /// Sequences a step [default: 32]
    #[arg(long, value_parser = at_least_1, value_name = "B", help_heading = "Training")]
    pub(crate) batch: Option<usize>,
    /// The most sequences on the device at once; a larger batch is done in parts, with the same result
    #[arg(long, value_parser = at_least_1, value_name = "ROWS", help_heading = "Training")]
    pub(crate) micro_batch: Option<usize>,
    /// Each training example so many times [default: 50]
    #[arg(long, value_parser = count, value_name = "N", conflicts_with = "steps", help_heading = "Training")]
    pub(crate) epochs: Option<u64>,
    /// So many steps [default for tasks: 2000]
    #[arg(long, value_parser = count, value_name = "N", help_heading = "Training")]
    pub(crate) steps: Option<u64>,
    /// Steps between validations [default: an epoch; tasks: 100]
    #[arg(long, value_parser = count, value_name = "N", help_heading = "Training")]
    pub(crate) validate_every: Option<u64>,
    /// Whose weights are stored: the last step's, or those of the lowest validation loss [default: last]
    #[arg(long, value_parser = one_of::<Keep>(&["last", "best"]), help_heading = "Training")]
    pub(crate) keep: Option<Keep>,
    /// The rule of the update; momentum and nesterov take a momentum of 0.9 [default: adam]
    #[arg(long, value_enum, value_name = "RULE", help_heading = "Training")]
    pub(crate) optimizer: Option<OptimizerName>,
    /// The learning rate [default: 0.005]
    #[arg(long, value_parser = at_least_0, value_name = "RATE", allow_negative_numbers = true, help_heading = "Training")]
    pub(crate) lr: Option<f64>,
    /// The largest norm of the gradient, beyond which it is scaled down; 0: none [default: 1]
    #[arg(long, value_parser = at_least_0, value_name = "NORM", allow_negative_numbers = true, help_heading = "Training")]
    pub(crate) clip: Option<f64>,
    /// Weight decay [default: 0; adamw: 0.01]
    #[arg(long, value_parser = at_least_0, value_name = "DECAY", allow_negative_numbers = true, help_heading = "Training")]
    pub(crate) weight_decay: Option<f64>,
}

/// A size: 0 is refused where the flag is read.
pub(crate) fn at_least_1(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size @ 1..=0xffff_ffff) => Ok(size),
        _ => Err("expected a whole number from 1 to 4294967295".into()),
    }
}

fn count(text: &str) -> Result<u64, String> {
    at_least_1(text).map(|count| count as u64)
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1".into()),
    }
}

/// A seed that a configuration file can hold: TOML's integers are signed.
pub(crate) fn seed() -> impl TypedValueParser<Value = u64> {
    clap::value_parser!(u64).range(0..=i64::MAX as u64)
}

pub(crate) fn at_least_0(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value >= 0.0 && value.is_finite() => Ok(value),
        _ => Err("expected a finite number of at least 0".into()),
    }
}

/// One of the names that `T` has in a configuration file.
fn one_of<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| serde_json::from_value(serde_json::Value::String(name)))
}
