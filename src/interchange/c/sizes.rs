//! What a header takes.

use super::Plan;
use super::rounding::WeightFormat;
use crate::format::grouped;
use crate::model::{Activation, Cell, Readout};

/// What a header takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CSizes {
    /// Bytes of weights, biases and scales, which are constants.
    pub weight_bytes: u64,
    /// Bytes of the struct of the state.
    pub state_bytes: u64,
    /// Multiplications with an addition in the products of a step, with its output.
    pub multiply_adds: u64,
    /// Calls of exp and tanh of a step by its cells.
    pub exponentials: u64,
}

impl Plan<'_> {
    /// The sizes.
    pub(super) fn sizes(&self) -> CSizes {
        let r = &self.model.recurrent;
        let biases: u64 = self.biases.iter().map(|bias| 4 * bias.values.len() as u64).sum();
        let weights: u64 = self.matrices.iter().map(|matrix| matrix.bytes(self.header.weights)).sum();
        let of_layer = r.state_size() + if r.cell.has_cell_state() { r.hidden_size } else { 0 };
        let of_mean = if self.readout() == Some(Readout::MeanPool) { r.state_size() + 1 } else { 0 };
        let multiplied = self.matrices.iter().filter(|matrix| self.is_multiplied(matrix));
        let products: u64 = multiplied.map(|matrix| (matrix.rows * matrix.columns) as u64).sum();
        let per_unit = match r.cell {
            Cell::Lstm => 5,
            Cell::Gru => 3,
            Cell::Rnn(Activation::Tanh | Activation::Sigmoid) => 1,
            Cell::Rnn(_) | Cell::Custom(_) => 0,
        };
        CSizes {
            weight_bytes: weights + biases,
            state_bytes: 4 * (r.layers * of_layer + of_mean) as u64,
            multiply_adds: products,
            exponentials: per_unit * (r.layers * r.hidden_size) as u64,
        }
    }
}

impl CSizes {
    /// As lines of a comment.
    pub(super) fn lines(&self, format: WeightFormat) -> Vec<String> {
        let Self { weight_bytes, state_bytes, multiply_adds, exponentials } = *self;
        let [weights, state, products, calls] = [weight_bytes, state_bytes, multiply_adds, exponentials].map(grouped);
        vec![
            format!("Weights: {weights} bytes ({}). State: {state} bytes.", format.name()),
            format!("A step: {products} multiply-adds and {calls} calls of exp and tanh."),
        ]
    }
}
