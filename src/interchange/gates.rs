//! The order of a cell's gates in other formats, for both directions of conversion.

use crate::error::{Error, Result};
use crate::model::{Cell, Recurrent};

/// A format with its own gate order.
#[derive(Clone, Copy, Debug)]
pub(super) enum GateOrder {
    Keras,
    Onnx,
}

impl GateOrder {
    /// For each gate of this format, its index in PyTorch's order: LSTM i, f, g, o; GRU r, z, n.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a cell that the format does not have.
    fn gates(self, cell: Cell) -> Result<&'static [usize]> {
        Ok(match (self, cell) {
            (_, Cell::Rnn(_)) => &[0],
            // i, f, c, o: c is PyTorch's g.
            (Self::Keras, Cell::Lstm) => &[0, 1, 2, 3],
            // i, o, f, c.
            (Self::Onnx, Cell::Lstm) => &[0, 3, 1, 2],
            // z, r, h: h is PyTorch's n. In all three formats, z is the weight of the old state.
            (_, Cell::Gru) => &[1, 0, 2],
            (_, Cell::Custom(_)) => return Err(self.lacks(cell)),
        })
    }

    /// The error for a cell that the format does not have.
    pub(super) fn lacks(self, cell: Cell) -> Error {
        let format = self.name();
        Error::Unsupported(format!("{format} has the cells RNN, LSTM and GRU, and the network's is {}", cell.name()))
    }

    /// Refuses a projected h, which no layer of either format has.
    pub(super) fn check_projection(self, recurrent: &Recurrent) -> Result<()> {
        match recurrent.proj_size {
            Some(size) => Err(Error::Unsupported(format!(
                "the LSTM of {} has no weight that projects h, and the network's projects it to {size} (proj_size); \
                 PyTorch's LSTM has one",
                self.name()
            ))),
            None => Ok(()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Keras => "Keras",
            Self::Onnx => "ONNX",
        }
    }

    /// Reorders the rows of \[G·H, …\] from PyTorch's gate order into this one.
    pub(super) fn apply(self, cell: Cell, rows: &[f32]) -> Result<impl Iterator<Item = f32>> {
        let gate = rows.len() / cell.input_gates();
        Ok(self.gates(cell)?.iter().flat_map(move |place| &rows[place * gate..][..gate]).copied())
    }

    /// Reorders the rows of \[G·H, …\] from this gate order into PyTorch's.
    pub(super) fn undo(self, cell: Cell, rows: &[f32]) -> Result<Vec<f32>> {
        let gate = rows.len() / cell.input_gates();
        let mut ordered = vec![0.0; rows.len()];
        for (place, from) in self.gates(cell)?.iter().zip(rows.chunks_exact(gate)) {
            ordered[place * gate..][..gate].copy_from_slice(from);
        }
        Ok(ordered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Activation;

    #[test]
    fn each_gate_goes_to_its_place_in_the_format() {
        // Two rows a gate: i, f, g, o and r, z, n.
        let lstm = [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5];
        let gru = [1.0, 1.5, 2.0, 2.5, 3.0, 3.5];
        assert_eq!(GateOrder::Keras.apply(Cell::Lstm, &lstm).unwrap().collect::<Vec<_>>(), lstm);
        assert_eq!(
            GateOrder::Onnx.apply(Cell::Lstm, &lstm).unwrap().collect::<Vec<_>>(),
            [1.0, 1.5, 4.0, 4.5, 2.0, 2.5, 3.0, 3.5]
        );
        for order in [GateOrder::Keras, GateOrder::Onnx] {
            assert_eq!(order.apply(Cell::Gru, &gru).unwrap().collect::<Vec<_>>(), [2.0, 2.5, 1.0, 1.5, 3.0, 3.5]);
            assert_eq!(order.apply(Cell::Rnn(Activation::Tanh), &gru).unwrap().collect::<Vec<_>>(), gru);
        }
    }

    #[test]
    fn converting_there_and_back_is_the_identity() {
        for order in [GateOrder::Keras, GateOrder::Onnx] {
            for cell in [Cell::Lstm, Cell::Gru, Cell::Rnn(Activation::Relu)] {
                let rows: Vec<f32> = (0..cell.input_gates() * 6).map(|i| i as f32).collect();
                let ordered: Vec<f32> = order.apply(cell, &rows).unwrap().collect();
                assert_eq!(order.undo(cell, &ordered).unwrap(), rows);
            }
        }
    }
}
