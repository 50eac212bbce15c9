//! What a module of PyTorch calls its parts.

use super::config::Model;

/// What stands before a tensor's own name in a state dict: the attributes under which a PyTorch module keeps its recurrent
/// layers, its linear layer and its embedding, each with its dot.
///
/// ```
/// # use bptt::{Cell, Head, Loss, Model, StateDictPrefixes, Readout, Recurrent, StateDict};
/// # let model = Model::new(Recurrent::new(Cell::Lstm, 2, 3), Head::new(1, Loss::SquaredError, Readout::Final));
/// # let block = vec![0.0_f32; bptt::Layout::new(&model).len()];
/// # let from_pytorch = bptt::Layout::with_names(&model, &StateDictPrefixes::new("lstm.", "fc.")).to_state_dict(&block);
/// // self.lstm = nn.LSTM(...); self.fc = nn.Linear(...)
/// let weights = StateDictPrefixes::new("lstm.", "fc.").read(&model, &from_pytorch)?;
/// assert!(weights.get("rnn.weight_ih_l0").is_some());
/// # Ok::<(), bptt::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDictPrefixes {
    /// Before the stack's `weight_ih_l0` and so on: `lstm.`, `encoder.rnn.`, or nothing.
    pub recurrent: String,
    /// Before the head's `weight` and `bias`: `fc.`. A model without a head does not use it.
    pub head: String,
    /// Before the embedding's `weight`: `embedding.`. A model without one does not use it.
    pub embedding: String,
}

impl StateDictPrefixes {
    /// Those of the stack and the head, and `embedding.`.
    pub fn new(recurrent: impl Into<String>, head: impl Into<String>) -> Self {
        Self { recurrent: recurrent.into(), head: head.into(), embedding: "embedding.".into() }
    }

    /// With another name of the embedding.
    pub fn embedding(mut self, embedding: impl Into<String>) -> Self {
        self.embedding = embedding.into();
        self
    }

    /// This crate's own: `embedding.`, `rnn.` and `head.`; for a stack alone nothing, as in the state dict of
    /// `torch.nn.LSTM` itself.
    pub fn of(model: &Model) -> Self {
        let alone = model.head.is_none() && model.embedding.is_none();
        Self::new(if alone { "" } else { "rnn." }, "head.")
    }
}
