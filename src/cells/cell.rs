//! The cells by name.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize, Serializer};

use super::activation::Activation;
use super::check::check;
use super::definition::{CellDefinition, define};
use super::functions::CellFunctions;
use super::gru::Gru;
use super::lstm::Lstm;
use super::rnn::Rnn;
use crate::error::Result;

/// The cell type. As JSON: `"lstm"`, `"gru"`, `{"rnn":"tanh"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Cell {
    /// Vanilla (Elman) RNN, h_t = f(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh).
    Rnn(Activation),
    /// Long short-term memory. Gate order i, f, g, o.
    Lstm,
    /// Gated recurrent unit. Gate order r, z, n; the reset gate is applied after the recurrent product.
    Gru,
    /// A cell that another crate defines: see [`custom`](Self::custom).
    #[serde(skip_deserializing)]
    Custom(CustomCell),
}

/// A cell that another crate defines, created by [`Cell::custom`]. Two are equal if the same type defines them.
/// Serializing it is an error: nothing could read it again.
#[derive(Clone, Copy, Debug)]
pub struct CustomCell(&'static dyn CellDefinition);

impl PartialEq for CustomCell {
    fn eq(&self, other: &Self) -> bool {
        self.0.identity() == other.0.identity()
    }
}

impl Eq for CustomCell {}

impl Hash for CustomCell {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.identity().hash(state);
    }
}

impl Serialize for CustomCell {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(format!(
            "a model's description names the cells rnn, lstm and gru, and the network's is {}, which another crate defines; \
             keep its weights as a state dict",
            self.0.name()
        )))
    }
}

impl Cell {
    /// The cell that `F` defines.
    ///
    /// Not supported: configuration and model files, and export to other formats, which refer to cells by name.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) names what is wrong with the definition: sums in a wrong order, a block of
    /// a weight that no sum or more than one reads, or a name that is taken. Errors of the WGSL are reported when an
    /// engine is created on a GPU.
    pub fn custom<F: CellFunctions<S, P>, const S: usize, const P: usize>(_: F) -> Result<Self> {
        let definition = define::<F, S, P>();
        check(definition)?;
        Ok(Cell::Custom(CustomCell(definition)))
    }

    /// The definition, which everything but other formats asks in place of the name.
    pub(crate) fn definition(self) -> &'static dyn CellDefinition {
        match self {
            Cell::Rnn(Activation::Tanh) => define::<Rnn<0>, 1, 0>(),
            Cell::Rnn(Activation::Relu) => define::<Rnn<1>, 1, 0>(),
            Cell::Rnn(Activation::Sigmoid) => define::<Rnn<2>, 1, 0>(),
            Cell::Rnn(Activation::Identity) => define::<Rnn<3>, 1, 0>(),
            Cell::Lstm => define::<Lstm, 4, 0>(),
            Cell::Gru => define::<Gru, 4, 0>(),
            Cell::Custom(CustomCell(definition)) => definition,
        }
    }

    /// The number of gates that read x_t: `weight_ih` has as many blocks of H rows.
    pub fn input_gates(self) -> usize {
        self.definition().input_gates()
    }

    /// The number of gates that read h_{t−1}: `weight_hh` has as many blocks of H rows.
    pub fn recurrent_gates(self) -> usize {
        self.definition().recurrent_gates()
    }

    /// Whether the cell has a cell state c besides h.
    pub fn has_cell_state(self) -> bool {
        self.definition().has_cell_state()
    }

    /// Whether the h of the cell may be projected: it must not read h_{t−1} of its own unit.
    pub(crate) fn can_be_projected(self) -> bool {
        self == Cell::Lstm
    }

    /// The name of the cell in lower case; PyTorch's for its cells.
    pub fn name(self) -> &'static str {
        self.definition().name()
    }
}
