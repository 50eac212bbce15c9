//! Settings with a choice of names, as written in a configuration file.

use serde::{Deserialize, Serialize};

use crate::data::{MissingPolicy, ScalingKind};
use crate::{Activation, Cell, Error, Result};

/// The cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellName {
    /// The simple RNN; its activation is a separate setting.
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
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a cell that another crate defines.
    pub fn of(cell: Cell) -> Result<(Self, Option<Activation>)> {
        match cell {
            Cell::Rnn(activation) => Ok((Self::Rnn, Some(activation))),
            Cell::Lstm => Ok((Self::Lstm, None)),
            Cell::Gru => Ok((Self::Gru, None)),
            Cell::Custom(_) => Err(Error::Unsupported(format!(
                "a configuration names the cells rnn, lstm and gru, and the network's is {}, which another crate defines",
                cell.name()
            ))),
        }
    }

    /// The cell of this name. A simple RNN gets this activation, by default tanh.
    pub fn with_activation(self, activation: Option<Activation>) -> Cell {
        match self {
            Self::Rnn => Cell::Rnn(activation.unwrap_or_default()),
            Self::Lstm => Cell::Lstm,
            Self::Gru => Cell::Gru,
        }
    }
}

/// The optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    /// Gradient descent.
    Sgd,
    /// Gradient descent with a momentum of 0.9.
    Momentum,
    /// Gradient descent with Nesterov's momentum of 0.9.
    Nesterov,
    /// RMSprop.
    Rmsprop,
    /// Adam.
    Adam,
    /// AdamW: Adam with decoupled weight decay.
    Adamw,
}

/// The synthetic task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskName {
    /// The adding problem: the sum of two marked numbers in a sequence of LENGTH
    Adding,
    /// The copying memory problem: repeat 10 symbols after a delay of LENGTH
    Copy,
}

/// What to do when the loss or the gradient norm is not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNan {
    /// End the run with the weights before that step.
    #[default]
    Stop,
    /// Skip the step; end the run after 10 in a row.
    Skip,
    /// Return to the weights of the last validation, at half the rate, and continue after the bad batch; at most 5
    /// times.
    Back,
}

/// Scaling of numbers, fitted to the training split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScaleName {
    /// Mean 0 and standard deviation 1
    Standard,
    /// From 0 to 1
    MinMax,
    /// Divided by the mean absolute value
    MeanAbsolute,
    /// Unchanged
    None,
}

impl ScaleName {
    /// The scaling of a column of a series: `MeanAbsolute` is of targets, and others, from which counts are not drawn, are
    /// as for `Standard`.
    pub(crate) fn of_column(self, is_target: bool) -> ScalingKind {
        if self == Self::MeanAbsolute && !is_target { ScalingKind::Standard } else { self.into() }
    }
}

impl From<ScaleName> for ScalingKind {
    fn from(name: ScaleName) -> Self {
        match name {
            ScaleName::Standard => Self::Standard,
            ScaleName::MinMax => Self::MinMax,
            ScaleName::MeanAbsolute => Self::MeanAbsolute,
            ScaleName::None => Self::None,
        }
    }
}

/// What is scaled by one scaling in a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScaleOverName {
    /// Each series by its own training rows
    Series,
    /// All series by the training rows of all
    All,
}

/// What has the same weight in the loss of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeighName {
    /// Each window, so that a series weighs by its length
    Windows,
    /// Each series, whatever its length
    Series,
}

/// How missing values are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissingName {
    /// Refuse the file and name the first one
    Error,
    /// Repeat the previous value
    Ffill,
    /// 0 after scaling, with one more input that marks them
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

/// How an image becomes a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadName {
    /// Each step is a row of pixels
    Rows,
    /// Each step is a pixel
    Pixels,
}

/// How labels are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelsAsName {
    /// As names of classes
    Classes,
    /// As numbers
    Values,
}
