//! What settings have a choice of, by their names in a configuration file.

use serde::{Deserialize, Serialize};

use crate::data::{MissingPolicy, ScalingKind};
use crate::{Activation, Cell};

/// The cell by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellName {
    /// The simple RNN, whose activation is a setting of its own.
    Rnn,
    /// Long short-term memory.
    Lstm,
    /// The gated recurrent unit.
    Gru,
}

impl CellName {
    /// The name as it is written in a configuration file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rnn => "rnn",
            Self::Lstm => "lstm",
            Self::Gru => "gru",
        }
    }

    /// The name of a cell, and the activation of a simple RNN.
    pub fn of(cell: Cell) -> (Self, Option<Activation>) {
        match cell {
            Cell::Rnn(activation) => (Self::Rnn, Some(activation)),
            Cell::Lstm => (Self::Lstm, None),
            Cell::Gru => (Self::Gru, None),
        }
    }

    /// The cell of this name; a simple RNN with this activation, by default tanh.
    pub fn with_activation(self, activation: Option<Activation>) -> Cell {
        match self {
            Self::Rnn => Cell::Rnn(activation.unwrap_or_default()),
            Self::Lstm => Cell::Lstm,
            Self::Gru => Cell::Gru,
        }
    }
}

/// The optimizer by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    /// Gradient descent.
    Sgd,
    /// Gradient descent with a momentum of 0.9.
    Momentum,
    /// The same with Nesterov's momentum.
    Nesterov,
    /// RMSprop.
    Rmsprop,
    /// Adam.
    Adam,
    /// AdamW: Adam with decoupled weight decay.
    Adamw,
}

/// The synthetic task by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskName {
    /// The adding problem: the sum of two marked numbers in a sequence of LENGTH
    Adding,
    /// The copying memory problem: repeat 10 symbols after a delay of LENGTH
    Copy,
}

/// What becomes of a run whose loss or gradient norm is not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNan {
    /// It ends, with the weights before that step.
    #[default]
    Stop,
    /// The step changes nothing, and it goes on; at 10 such steps in a row it ends.
    Skip,
    /// It goes on from the weights of the last validation, at half the rate, with the batches behind the bad one; 5 times.
    Back,
}

/// How numbers come to the network's units, by what the training part has of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScaleName {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissingName {
    /// Nothing: the first is named, and the run does not begin
    Error,
    /// The value before them
    Ffill,
    /// 0 in the network's units, and a column more that tells where
    Mask,
}

impl From<MissingName> for MissingPolicy {
    fn from(name: MissingName) -> Self {
        match name {
            MissingName::Error => Self::Refuse,
            MissingName::Ffill => Self::Forward,
            MissingName::Mask => Self::Mask,
        }
    }
}

/// How an image is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadName {
    /// A row of pixels a step
    Rows,
    /// A pixel a step
    Pixels,
}

/// What labels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelsAsName {
    /// Each is the name of a class
    Classes,
    /// Each is a number
    Values,
}
