//! The description of a network: embedding, recurrent layers and head. Independent of any device.

use serde::{Deserialize, Serialize};

use super::head::Head;
use crate::cells::Cell;
use crate::error::{Error, Result};

/// The direction in which recurrent layers read a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Direction {
    /// From the first step to the last.
    #[default]
    Forward,
    /// From the last step of each row to its first, like ONNX's `reverse` and Keras's `go_backwards`. The output of
    /// step t is that of the steps from t to the end of the row, and stands at t; the final state is that after the
    /// first step.
    Reverse,
    /// Both, each with weights of its own. The output is that of the forward direction, then that of the reverse one.
    Both,
}

/// A stack of recurrent layers, like `torch.nn.RNN`, `LSTM` and `GRU`.
///
/// As JSON: see [`Model`]. All keys but `cell`, `input_size` and `hidden_size` may be left out; they are then as in
/// [`new`](Self::new).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Recurrent {
    /// The cell of every layer.
    pub cell: Cell,
    /// I, the number of input features per time step.
    pub input_size: usize,
    /// H, the number of hidden units per direction.
    pub hidden_size: usize,
    /// The size of h if it is projected, at least 1 and below H: h_t = W_hr m_t, where m_t are the H numbers that the
    /// cell computes (Sak, Senior & Beaufays 2014). W_hh, the next layer and the head read the projected h. For the
    /// LSTM, same as PyTorch's `proj_size`. `None`: h is m itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proj_size: Option<usize>,
    /// L, the number of stacked layers.
    #[serde(default = "one")]
    pub layers: usize,
    /// The direction of every layer.
    #[serde(default)]
    pub direction: Direction,
    /// Whether the cells have the biases b_ih and b_hh.
    #[serde(default = "yes")]
    pub bias: bool,
    /// Dropout rate between layers in training, from 0 to below 1. Each output h of each step and row is dropped
    /// independently or multiplied by 1 / (1 − dropout). Same as PyTorch's `dropout`.
    #[serde(default)]
    pub dropout: f64,
    /// Recurrent dropout rate in training, from 0 to below 1: drops units of h_{t−1} in the product W_hh h_{t−1}. A row
    /// drops the same units at all steps and multiplies the others by 1 / (1 − recurrent_dropout) (Gal & Ghahramani
    /// 2016). Neither the LSTM's c nor the GRU's z ∘ h_{t−1} is affected.
    #[serde(default)]
    pub recurrent_dropout: f64,
}

impl Recurrent {
    /// The maximum number of [`layers`](Self::layers). Each has its own buffers and commands.
    pub const LAYERS: usize = 64;

    /// One layer, one direction, with biases, without dropout.
    pub fn new(cell: Cell, input_size: usize, hidden_size: usize) -> Self {
        let (layers, direction, bias) = (1, Direction::Forward, true);
        let (dropout, recurrent_dropout) = (0.0, 0.0);
        Self { cell, input_size, hidden_size, proj_size: None, layers, direction, bias, dropout, recurrent_dropout }
    }

    /// Sets the size that h is projected to.
    pub fn proj_size(mut self, proj_size: impl Into<Option<usize>>) -> Self {
        self.proj_size = proj_size.into();
        self
    }

    /// Sets the number of stacked layers.
    pub fn layers(mut self, layers: usize) -> Self {
        self.layers = layers;
        self
    }

    /// Sets the direction of every layer.
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// Sets both directions, or the forward one alone.
    pub fn bidirectional(self, bidirectional: bool) -> Self {
        self.direction(if bidirectional { Direction::Both } else { Direction::Forward })
    }

    /// Sets whether the cells have biases.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Sets the dropout rate between layers.
    pub fn dropout(mut self, rate: f64) -> Self {
        self.dropout = rate;
        self
    }

    /// Sets the recurrent dropout rate.
    pub fn recurrent_dropout(mut self, rate: f64) -> Self {
        self.recurrent_dropout = rate;
        self
    }

    /// D, the number of directions.
    pub fn directions(&self) -> usize {
        1 + usize::from(self.direction == Direction::Both)
    }

    /// Whether (layer, direction) number `layer_direction` reads rows from their ends.
    pub(crate) fn is_reverse(&self, layer_direction: usize) -> bool {
        match self.direction {
            Direction::Forward => false,
            Direction::Reverse => true,
            Direction::Both => layer_direction % 2 == 1,
        }
    }

    /// Whether any direction reads rows from their ends, so that it can begin only when all of a row is there.
    pub(crate) fn has_reverse(&self) -> bool {
        self.direction != Direction::Forward
    }

    /// The suffix of the names of a (layer, direction): `l0`, `l0_reverse`.
    pub(crate) fn suffix(&self, layer_direction: usize) -> String {
        let reverse = if self.is_reverse(layer_direction) { "_reverse" } else { "" };
        format!("l{}{reverse}", layer_direction / self.directions())
    }

    /// L·D, the number of (layer, direction) pairs: the first axis of h_0 and h_n.
    pub fn num_layer_directions(&self) -> usize {
        self.layers.saturating_mul(self.directions())
    }

    /// S, the size of h per direction: H, or [`proj_size`](Self::proj_size) if h is projected. c always has H numbers.
    pub fn state_size(&self) -> usize {
        self.proj_size.unwrap_or(self.hidden_size)
    }

    /// D·S, the number of output features per time step.
    pub fn output_size(&self) -> usize {
        self.state_size().saturating_mul(self.directions())
    }

    /// The number of input features of layer `layer`: I for the first, D·S for the others.
    pub fn layer_input_size(&self, layer: usize) -> usize {
        if layer == 0 { self.input_size } else { self.output_size() }
    }
}

/// What a description without `layers` has.
fn one() -> usize {
    1
}

/// What a description without `bias` has.
fn yes() -> bool {
    true
}

/// How the GPU backend dispatches the recurrent steps. The results are the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RecurrentKernel {
    /// Chosen from sizes and device: a whole chunk per dispatch if W_hh is small and h is not projected.
    #[default]
    Auto,
    /// One dispatch per time step.
    Step,
    /// One dispatch per chunk: each workgroup computes all steps of its rows. H is at most
    /// [`SEQUENCE_UNITS`](Self::SEQUENCE_UNITS). Not for a projected h, whose product is a dispatch of its own at every
    /// step.
    Sequence,
}

impl RecurrentKernel {
    /// The maximum H for [`Sequence`](Self::Sequence): a workgroup has 256 threads with 4 hidden units each.
    pub const SEQUENCE_UNITS: usize = 1024;

    /// Checks that a workgroup can hold the hidden units, and that h is not projected.
    pub(crate) fn check(self, recurrent: &Recurrent) -> Result<()> {
        match (self, recurrent) {
            (Self::Sequence, Recurrent { proj_size: Some(_), .. }) => {
                let reason = "the kernel sequence does not project h (proj_size); use step or auto";
                Err(Error::Unsupported(reason.into()))
            }
            (Self::Sequence, Recurrent { hidden_size, .. }) if *hidden_size > Self::SEQUENCE_UNITS => {
                Err(Error::Unsupported(format!(
                    "the kernel sequence holds at most {} hidden units in a workgroup, and the network has {hidden_size}; \
                     use step or auto",
                    Self::SEQUENCE_UNITS
                )))
            }
            _ => Ok(()),
        }
    }

    /// The choice that is left to the plan of a network: none if h is projected.
    pub(crate) fn for_network(self, recurrent: &Recurrent) -> Self {
        if self == Self::Auto && recurrent.proj_size.is_some() { Self::Step } else { self }
    }
}

/// The number type in which the GPU backend stores what its recurrent steps read most: the histories of z and h, and copies
/// of W_hh. Everything is computed in f32 either way, and weights, c, sums, norms and updates are stored in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits: relative errors of 2⁻¹¹, or 2⁻¹⁰ where a driver truncates, numbers up to 65,504. Gradients of z are stored
    /// times a [loss scale](crate::LossScale) that the engine adapts. For the GPU backend only.
    F16,
}

/// A trainable embedding of token ids as input of the first layer, like `torch.nn.Embedding`. The vectors have I
/// elements.
///
/// Embeddings are optional: without one, tokens act as one-hot vectors, which select columns of W_ih.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Embedding {
    /// V, the vocabulary size. Token ids are below it.
    pub vocabulary: usize,
    /// Whether the embedding vectors are also the rows of W_hy (Press & Wolf 2017; Inan et al. 2017). The gradient is
    /// then the sum over both uses. Requires O = V and I = D·S.
    #[serde(default)]
    pub tied: bool,
}

impl Embedding {
    /// An embedding of `vocabulary` ids.
    pub fn new(vocabulary: usize) -> Self {
        Self { vocabulary, tied: false }
    }

    /// An embedding tied to the head's weight.
    pub fn tied(vocabulary: usize) -> Self {
        Self { vocabulary, tied: true }
    }
}

/// A network: recurrent layers, optionally with an embedding before and a head behind them. Without a head, the
/// recurrent layers run alone: see [`Layers::forward`](crate::Layers::forward) and
/// [`Layers::backward`](crate::Layers::backward).
///
/// As JSON, and in any other format of serde, a model has the form that `docs/networks.md` describes:
///
/// ```
/// # use bptt::{Cell, Head, Loss, Model, Readout, Recurrent};
/// let text = r#"{
///     "recurrent": {"cell": "lstm", "input_size": 3, "hidden_size": 16, "layers": 2},
///     "head": {"outputs": 5, "loss": "cross-entropy", "readout": "last"}
/// }"#;
/// let model: Model = serde_json::from_str(text).unwrap();
/// let recurrent = Recurrent::new(Cell::Lstm, 3, 16).layers(2);
/// assert_eq!(model, Model::new(recurrent, Head::new(5, Loss::CrossEntropy, Readout::Final)));
/// ```
///
/// A key or a name that this version does not know is an error, and so is a cell of another crate ([`Cell::custom`]).
/// Sizes are not checked before [`validate`](Self::validate). With the weights, a [`SavedModel`](crate::SavedModel)
/// stores it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Model {
    /// The embedding of token ids, if any.
    #[serde(default)]
    pub embedding: Option<Embedding>,
    /// The recurrent layers.
    pub recurrent: Recurrent,
    /// The head, if any.
    #[serde(default)]
    pub head: Option<Head>,
}

impl Model {
    /// The maximum of every size: input features, hidden units, vocabulary and outputs.
    pub const SIZE: usize = 1 << 24;

    /// Recurrent layers with a head.
    pub fn new(recurrent: Recurrent, head: Head) -> Self {
        Self { embedding: None, recurrent, head: Some(head) }
    }

    /// Recurrent layers without a head.
    pub fn headless(recurrent: Recurrent) -> Self {
        Self { embedding: None, recurrent, head: None }
    }

    /// Sets the embedding.
    pub fn embedding(mut self, embedding: impl Into<Option<Embedding>>) -> Self {
        self.embedding = embedding.into();
        self
    }

    /// The number of valid token ids: V of the embedding, or I.
    pub fn vocabulary(&self) -> usize {
        self.embedding.as_ref().map_or(self.recurrent.input_size, |embedding| embedding.vocabulary)
    }

    /// Whether the embedding is tied to W_hy.
    pub(crate) fn is_tied(&self) -> bool {
        self.embedding.as_ref().is_some_and(|embedding| embedding.tied)
    }

    /// Checks the model. Rejects sizes of zero or above [`SIZE`](Self::SIZE), a projection to H numbers or more, or of
    /// another cell than the LSTM, more than [`Recurrent::LAYERS`] layers, more than 2^30 parameters, dropout rates out
    /// of range, dropout between layers if there is only one (it would do nothing), recurrent dropout in a cell without
    /// W_hh, a head that [`Head::validate`] rejects, and a tied embedding whose sizes do not match the head.
    ///
    /// # Errors
    /// [`Error::Value`] names the size, the rate or the count; [`Error::Unsupported`] for a projection of another cell,
    /// dropout of one layer, and recurrent dropout without W_hh.
    pub fn validate(&self) -> Result<()> {
        let r = &self.recurrent;
        let mut sizes = vec![("input_size", r.input_size), ("hidden_size", r.hidden_size)];
        sizes.extend(self.embedding.as_ref().map(|embedding| ("vocabulary", embedding.vocabulary)));
        sizes.extend(self.head.as_ref().map(|head| ("outputs", head.outputs)));
        if let Some((name, size)) = sizes.iter().find(|(_, size)| !(1..=Self::SIZE).contains(size)) {
            return Err(Error::value(*name, format!("1 to {}", Self::SIZE), size));
        }
        if let Some(size) = r.proj_size {
            if !r.cell.can_be_projected() {
                return Err(Error::Unsupported(format!(
                    "proj_size projects the h of the LSTM only, as in PyTorch: the cell {} may read h of every hidden \
                     unit, and a projected h has fewer numbers",
                    r.cell.name()
                )));
            }
            if !(1..r.hidden_size).contains(&size) {
                let expected = format!("at least 1 and below hidden_size, which is {}", r.hidden_size);
                return Err(Error::value("proj_size", expected, size));
            }
        }
        if !(1..=Recurrent::LAYERS).contains(&r.layers) {
            return Err(Error::value("layers", format!("1 to {}", Recurrent::LAYERS), r.layers));
        }
        for (name, rate) in [("dropout", r.dropout), ("recurrent_dropout", r.recurrent_dropout)] {
            if !(0.0..1.0).contains(&rate) {
                return Err(Error::value(name, "a number from 0 to below 1", rate));
            }
        }
        if r.dropout > 0.0 && r.layers == 1 {
            let reason = "dropout acts between layers, but there is only one; use more layers or recurrent_dropout";
            return Err(Error::Unsupported(reason.into()));
        }
        if r.recurrent_dropout > 0.0 && r.cell.recurrent_gates() == 0 {
            let reason = "recurrent dropout acts on h in the product with W_hh, which the cell";
            return Err(Error::Unsupported(format!("{reason} {} does not have; use dropout", r.cell.name())));
        }
        self.head.as_ref().map_or(Ok(()), Head::validate)?;
        if self.is_tied() {
            let (outputs, read) = (self.require_head()?.outputs, r.output_size());
            if r.input_size != read {
                let expected = format!("{read} numbers a token, as many as the head reads: tied vectors are its rows");
                return Err(Error::value("input_size", expected, r.input_size));
            }
            if outputs != self.vocabulary() {
                let expected = format!("as many as there are tied vectors, {}", self.vocabulary());
                return Err(Error::value("outputs", expected, outputs));
            }
        }
        // In floating point, which does not overflow.
        let (h, s, wide) = (r.hidden_size as f64, r.state_size() as f64, r.output_size() as f64);
        let (input_gates, recurrent_gates) = (r.cell.input_gates() as f64, r.cell.recurrent_gates() as f64);
        let own = r.cell.definition().parameters().len() as f64;
        let own = own + if r.proj_size.is_some() { s } else { 0.0 };
        let layer =
            |input: f64| r.directions() as f64 * h * (input_gates * (input + 1.0) + recurrent_gates * (s + 1.0) + own);
        let head = self.head.as_ref().map_or(0.0, |head| head.outputs as f64 * (wide + 1.0));
        let vectors =
            self.embedding.as_ref().map_or(0.0, |embedding| embedding.vocabulary as f64 * r.input_size as f64);
        let parameters = layer(r.input_size as f64) + (r.layers - 1) as f64 * layer(wide) + head + vectors;
        if parameters > (1u64 << 30) as f64 {
            Err(Error::value("the model", "at most 2^30 parameters", format!("{parameters:.0}")))
        } else {
            Ok(())
        }
    }

    /// The head, or an error if the model has none.
    pub(crate) fn require_head(&self) -> Result<&Head> {
        self.head.as_ref().ok_or_else(|| {
            Error::Unsupported("this call needs a head, which the model lacks; use forward and backward instead".into())
        })
    }

    /// The shape of the outputs for `steps` × `rows`: \[P, B, O\], or without a head \[T, B, D·S\].
    pub(crate) fn output_shape(&self, steps: usize, rows: usize) -> (usize, usize, usize) {
        match &self.head {
            Some(head) => (head.predictions(steps), rows, head.outputs),
            None => (steps, rows, self.recurrent.output_size()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Loss, Readout};

    #[test]
    fn tied_embeddings_that_do_not_match_the_head_are_refused() {
        let model = |input, outputs| {
            let recurrent = Recurrent::new(Cell::Lstm, input, 3).bidirectional(true);
            Model::new(recurrent, Head::new(outputs, Loss::CrossEntropy, Readout::PerStep))
                .embedding(Embedding::tied(7))
        };
        model(6, 7).validate().unwrap();
        let refused = |model: Model| model.validate().unwrap_err().to_string();
        let expected =
            "input_size: expected 6 numbers a token, as many as the head reads: tied vectors are its rows, got 3";
        assert_eq!(refused(model(3, 7)), expected);
        assert_eq!(refused(model(6, 5)), "outputs: expected as many as there are tied vectors, 7, got 5");
        assert!(refused(Model { head: None, ..model(6, 7) }).contains("needs a head"));
        let none = Model::headless(Recurrent::new(Cell::Lstm, 6, 3)).embedding(Embedding::new(0));
        assert_eq!(refused(none), "vocabulary: expected 1 to 16777216, got 0");
    }

    #[test]
    fn too_many_layers_are_refused_before_any_allocation() {
        let refused = |layers| {
            let recurrent = Recurrent::new(Cell::Lstm, 1, 1).layers(layers);
            Model::headless(recurrent).validate().map_err(|error| error.to_string())
        };
        refused(Recurrent::LAYERS).unwrap();
        for layers in [0, 65, 1 << 24, usize::MAX] {
            assert_eq!(refused(layers).unwrap_err(), format!("layers: expected 1 to 64, got {layers}"));
        }
    }

    #[test]
    fn dropout_rates_out_of_range_and_dropout_with_one_layer_are_refused() {
        let two = Recurrent::new(Cell::Gru, 1, 1).layers(2);
        let refused = |recurrent| Model::headless(recurrent).validate().unwrap_err().to_string();
        for rate in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
            let expected = format!("expected a number from 0 to below 1, got {rate}");
            assert_eq!(refused(two.clone().dropout(rate)), format!("dropout: {expected}"));
            assert_eq!(refused(two.clone().recurrent_dropout(rate)), format!("recurrent_dropout: {expected}"));
        }
        let one = two.clone().layers(1);
        assert!(refused(one.clone().dropout(0.5)).contains("between layers"));
        for accepted in [two.dropout(0.5).recurrent_dropout(0.999), one.recurrent_dropout(0.5)] {
            Model::headless(accepted).validate().unwrap();
        }
    }
}
