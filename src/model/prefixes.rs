//! Name prefixes of PyTorch modules.

/// The name prefixes of a state dict: the attributes under which a PyTorch module keeps its recurrent layers, its
/// linear layer and its embedding, each including the dot.
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
    /// The prefix of the recurrent layers' `weight_ih_l0` etc.: `lstm.`, `encoder.rnn.`, or empty.
    pub recurrent: String,
    /// The prefix of the head's `weight` and `bias`: `fc.`. Unused without a head.
    pub head: String,
    /// The prefix of the embedding's `weight`: `embedding.`. Unused without an embedding.
    pub embedding: String,
}

impl StateDictPrefixes {
    /// Prefixes of the recurrent layers and the head. The embedding's is `embedding.`.
    pub fn new(recurrent: impl Into<String>, head: impl Into<String>) -> Self {
        Self { recurrent: recurrent.into(), head: head.into(), embedding: "embedding.".into() }
    }

    /// Sets the prefix of the embedding.
    pub fn embedding(mut self, embedding: impl Into<String>) -> Self {
        self.embedding = embedding.into();
        self
    }

    /// No prefix for the recurrent layers, as in the state dict of `torch.nn.LSTM` itself.
    pub fn recurrent_alone() -> Self {
        Self::new("", "head.")
    }
}

impl Default for StateDictPrefixes {
    /// This crate's names: `embedding.`, `rnn.` and `head.`, whichever of them a model has.
    fn default() -> Self {
        Self::new("rnn.", "head.")
    }
}
