//! The network reads: step by step, by windows, or sequences as a whole.

use std::collections::VecDeque;

use ndarray::{Array2, Array3, Axis};

use super::items::Item;
use super::outputs::Outputs;
use super::prediction::{Cell, Prediction};
use super::source::Inputs;
use crate::experiment::device::network::Network;
use crate::experiment::device::session::NetworkSession;
use crate::{Error, Loss, Result, Sequence};

/// Maximum number of lines of a sequence that is read as a whole.
const LONGEST: usize = 1 << 20;

/// How the network reads.
pub(super) enum Reader<'n> {
    /// Step by step, with the states carried on.
    Steps(NetworkSession<'n>),
    /// The last rows of a window, from a state of zero.
    Windows {
        /// The network.
        network: &'n mut Network,
        /// W.
        window: usize,
        /// The rows so far, at most W.
        rows: VecDeque<Vec<f32>>,
    },
    /// Sequences as a whole.
    Whole {
        /// The network.
        network: &'n mut Network,
        /// The steps so far, and the lines that they are of.
        steps: Steps,
    },
}

/// The steps of a sequence, and the numbers of their lines.
#[derive(Default)]
pub(super) struct Steps {
    lines: Vec<u64>,
    numbers: Vec<Vec<f32>>,
    tokens: Vec<u32>,
}

impl Steps {
    fn push(&mut self, inputs: Inputs, line: u64) {
        match inputs {
            Inputs::Numbers(numbers) => self.numbers.push(numbers),
            Inputs::Tokens(tokens) => self.tokens.extend(tokens),
        }
        self.lines.push(line);
    }

    fn sequence(&self) -> Result<Sequence> {
        if self.numbers.is_empty() { tokens(self.tokens.clone()) } else { dense(self.numbers.iter()) }
    }
}

/// A sequence of steps, \[T, 1, I\].
fn dense<'r>(rows: impl ExactSizeIterator<Item = &'r Vec<f32>> + Clone) -> Result<Sequence> {
    let (steps, inputs) = (rows.len(), rows.clone().next().map_or(0, Vec::len));
    let x = Array3::from_shape_vec((steps, 1, inputs), rows.flatten().copied().collect());
    x.map(Sequence::dense).map_err(|error| Error::Failed(error.to_string()))
}

/// A sequence of tokens, \[T, 1\].
fn tokens(tokens: Vec<u32>) -> Result<Sequence> {
    let ids = Array2::from_shape_vec((tokens.len(), 1), tokens);
    ids.map(Sequence::tokens).map_err(|error| Error::Failed(error.to_string()))
}

/// How logits become predictions.
pub(super) struct Predicting {
    pub(super) outputs: Outputs,
    pub(super) loss: Loss,
}

impl Predicting {
    /// The last predictions of logits, \[P, 1, O\]: one for each of the lines, from the first on.
    fn predictions(&self, mut logits: Array3<f32>, lines: &[u64]) -> Result<Vec<Prediction>> {
        self.loss.output(&mut logits);
        if let Some(number) = logits.iter().find(|number| !number.is_finite()) {
            return Err(Error::Failed(format!("the network's output is not finite: {number}")));
        }
        let rows = logits.index_axis_move(Axis(1), 0);
        // A single prediction is that of the last line.
        let lines = &lines[lines.len().saturating_sub(rows.nrows())..];
        let first = rows.nrows() - lines.len();
        let each = lines.iter().zip(rows.outer_iter().skip(first));
        each.map(|(item, row)| Ok(Prediction { item: *item, cells: self.outputs.cells(row)?, json: None })).collect()
    }

    /// That of a sequence without steps.
    pub(super) fn empty(&self, item: u64) -> Prediction {
        Prediction { item, cells: vec![Cell::Number(String::new()); self.outputs.columns().len()], json: None }
    }
}

impl Reader<'_> {
    /// Reads the inputs of an item, and returns the prediction that follows.
    ///
    /// # Errors
    /// [`Error::Data`] for a sequence that is read as a whole and too long; those of the device.
    pub(super) async fn read(&mut self, inputs: Inputs, item: u64, as_a: &Predicting) -> Result<Vec<Prediction>> {
        match self {
            Self::Steps(session) => {
                let sequence = match inputs {
                    Inputs::Numbers(numbers) => dense([numbers].iter())?,
                    Inputs::Tokens(ids) => tokens(ids)?,
                };
                let logits = session.step(&sequence).await?.to_owned();
                as_a.predictions(logits, &[item])
            }
            Self::Windows { network, window, rows } => {
                if let Inputs::Numbers(numbers) = inputs {
                    rows.push_back(numbers);
                }
                if rows.len() > *window {
                    rows.pop_front();
                }
                as_a.predictions(network.logits(&dense(rows.iter())?).await?, &[item])
            }
            Self::Whole { steps, .. } => {
                if steps.lines.len() == LONGEST {
                    let message = format!(
                        "expected a sequence of at most {LONGEST} lines, since the network reads all of it before it \
                         predicts, got a longer one"
                    );
                    return Err(Item::Line.refused(item, message));
                }
                steps.push(inputs, item);
                Ok(Vec::new())
            }
        }
    }

    /// Ends a sequence: the next begins from zero. Returns the predictions of one that is read as a whole.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) async fn end(&mut self, as_a: &Predicting) -> Result<Vec<Prediction>> {
        match self {
            Self::Steps(session) => session.reset(),
            Self::Windows { rows, .. } => rows.clear(),
            Self::Whole { network, steps } => {
                let steps = std::mem::take(steps);
                if !steps.lines.is_empty() {
                    return as_a.predictions(network.logits(&steps.sequence()?).await?, &steps.lines);
                }
            }
        }
        Ok(Vec::new())
    }
}
