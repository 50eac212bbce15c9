//! What a network is: what it reads, its recurrent layers, its head. Nothing here knows a device.

use serde::{Deserialize, Serialize};

use super::head::Head;
use crate::error::{Error, Result};
use crate::real::Real;

/// The activation f of the vanilla RNN, h_t = f(z_t).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// tanh(z), derivative 1 − h².
    #[default]
    Tanh,
    /// max(z, 0), derivative \[h > 0\].
    Relu,
    /// 1 / (1 + e^−z), derivative h(1 − h).
    Sigmoid,
    /// z, derivative 1.
    Identity,
}

impl Activation {
    /// f′(z) from h = f(z), which for all four says enough.
    #[inline(always)]
    pub fn derivative<R: Real>(self, h: R) -> R {
        match self {
            Activation::Tanh => R::one() - h * h,
            Activation::Relu => {
                if h > R::zero() {
                    R::one()
                } else {
                    R::zero()
                }
            }
            Activation::Sigmoid => h * (R::one() - h),
            Activation::Identity => R::one(),
        }
    }
}

/// The recurrent cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// Elman's network, h_t = f(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh).
    Rnn(Activation),
    /// Long short-term memory, gates in the order i, f, g, o.
    Lstm,
    /// Gated recurrent unit, gates in the order r, z, n, the reset applied after the recurrent product.
    Gru,
}

impl Cell {
    /// G, the gates of a hidden unit: rows of weight_hh are G·H.
    pub fn gates(self) -> usize {
        match self {
            Cell::Rnn(_) => 1,
            Cell::Gru => 3,
            Cell::Lstm => 4,
        }
    }

    /// Whether the cell has a state c beside h.
    pub fn has_cell_state(self) -> bool {
        self == Cell::Lstm
    }

    /// PyTorch's name of the cell in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Cell::Rnn(_) => "rnn",
            Cell::Lstm => "lstm",
            Cell::Gru => "gru",
        }
    }
}

/// A stack of recurrent layers, as `torch.nn.RNN`, `LSTM` and `GRU` have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrent {
    /// The cell of every layer.
    pub cell: Cell,
    /// I, numbers a time step.
    pub input_size: usize,
    /// H, hidden units a direction.
    pub hidden_size: usize,
    /// L, layers above each other.
    pub layers: usize,
    /// Whether each layer also reads the sequence from its end.
    pub bidirectional: bool,
    /// Whether the cells have b_ih and b_hh.
    pub bias: bool,
    /// In training, the share of a layer's outputs that do not reach the layer above, from 0 to below 1: each h of each
    /// step and row is dropped or multiplied by 1 / (1 − dropout), on its own. PyTorch's `dropout`.
    pub dropout: f64,
    /// In training, the share of the units of h_{t−1} that do not enter the product W_hh h_{t−1}, from 0 to below 1: a row
    /// drops the same ones at all steps, and multiplies the others by 1 / (1 − recurrent_dropout) there (Gal & Ghahramani
    /// 2016). Neither the LSTM's c nor the GRU's z ∘ h_{t−1} is touched.
    pub recurrent_dropout: f64,
}

impl Recurrent {
    /// The most [`layers`](Self::layers). Each has its own buffers and commands, and nothing learns through nearly as many.
    pub const LAYERS: usize = 64;

    /// One layer, one direction, with bias, without dropout.
    pub fn new(cell: Cell, input_size: usize, hidden_size: usize) -> Self {
        let (layers, bidirectional, bias) = (1, false, true);
        Self { cell, input_size, hidden_size, layers, bidirectional, bias, dropout: 0.0, recurrent_dropout: 0.0 }
    }

    /// With `layers` layers.
    pub fn layers(mut self, layers: usize) -> Self {
        self.layers = layers;
        self
    }

    /// With one or two directions.
    pub fn bidirectional(mut self, bidirectional: bool) -> Self {
        self.bidirectional = bidirectional;
        self
    }

    /// With or without bias.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// With dropout between the layers.
    pub fn dropout(mut self, rate: f64) -> Self {
        self.dropout = rate;
        self
    }

    /// With recurrent dropout.
    pub fn recurrent_dropout(mut self, rate: f64) -> Self {
        self.recurrent_dropout = rate;
        self
    }

    /// D, the number of directions.
    pub fn directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }

    /// L·D, the number of (layer, direction) pairs: the first axis of h_0 and h_n.
    pub fn num_layer_directions(&self) -> usize {
        self.layers.saturating_mul(self.directions())
    }

    /// D·H, numbers a time step that the stack puts out.
    pub fn output_size(&self) -> usize {
        self.hidden_size.saturating_mul(self.directions())
    }

    /// What layer `layer` reads a time step: I for the first, D·H above it.
    pub fn layer_input_size(&self, layer: usize) -> usize {
        if layer == 0 { self.input_size } else { self.output_size() }
    }
}

/// How the GPU path dispatches the recurrent steps. The results are the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecurrentKernel {
    /// By sizes and device: a whole chunk where W_hh is small.
    #[default]
    Auto,
    /// A dispatch a time step.
    Step,
    /// A dispatch a chunk: a workgroup takes its rows through all its steps. H is at most
    /// [`SEQUENCE_UNITS`](Self::SEQUENCE_UNITS).
    Sequence,
}

impl RecurrentKernel {
    /// The most hidden units of [`Sequence`](Self::Sequence): a workgroup of 256 threads holds them, 4 a thread.
    pub const SEQUENCE_UNITS: usize = 1024;

    /// Refuses what a workgroup cannot hold.
    pub(crate) fn check(self, hidden_size: usize) -> Result<()> {
        match self == Self::Sequence && hidden_size > Self::SEQUENCE_UNITS {
            true => Err(Error::Unsupported(format!(
                "the kernel sequence holds at most {} hidden units in a workgroup, and the network has {hidden_size}: \
                 step and auto take any number",
                Self::SEQUENCE_UNITS
            ))),
            false => Ok(()),
        }
    }
}

/// A trainable vector for each token id, which the first layer reads: `torch.nn.Embedding`. The vectors have I numbers.
///
/// Tokens need none: without an embedding they stand for one-hot vectors, of which W_ih takes its columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedding {
    /// V: token ids are below it.
    pub vocabulary: usize,
    /// Whether the vectors are the rows of W_hy too (Press & Wolf 2017; Inan et al. 2017): the gradient is the sum of both
    /// uses. O is then V, and I is D·H.
    pub tied: bool,
}

impl Embedding {
    /// Vectors of their own for `vocabulary` ids.
    pub fn new(vocabulary: usize) -> Self {
        Self { vocabulary, tied: false }
    }

    /// Vectors that the head shares.
    pub fn tied(vocabulary: usize) -> Self {
        Self { vocabulary, tied: true }
    }
}

/// A stack of recurrent layers, with an embedding before and a head behind it where there are any. Without a head the stack
/// serves as a backend: see [`Layers::forward`](crate::Layers::forward) and [`Layers::backward`](crate::Layers::backward).
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What tokens stand for.
    pub embedding: Option<Embedding>,
    /// The layers.
    pub recurrent: Recurrent,
    /// The head.
    pub head: Option<Head>,
}

impl Model {
    /// The most of a size: of what a step reads, hidden units, tokens, outputs.
    pub const SIZE: usize = 1 << 24;

    /// A stack with a head.
    pub fn new(recurrent: Recurrent, head: Head) -> Self {
        Self { embedding: None, recurrent, head: Some(head) }
    }

    /// A stack without a head.
    pub fn headless(recurrent: Recurrent) -> Self {
        Self { embedding: None, recurrent, head: None }
    }

    /// With an embedding.
    pub fn embedding(mut self, embedding: Embedding) -> Self {
        self.embedding = Some(embedding);
        self
    }

    /// Token ids are below it: V of the embedding, or I.
    pub fn vocabulary(&self) -> usize {
        self.embedding.as_ref().map_or(self.recurrent.input_size, |embedding| embedding.vocabulary)
    }

    /// Whether the embedding's vectors are W_hy.
    pub(crate) fn is_tied(&self) -> bool {
        self.embedding.as_ref().is_some_and(|embedding| embedding.tied)
    }

    /// Refuses sizes of zero or beyond [`SIZE`](Self::SIZE), more than [`Recurrent::LAYERS`], 2^30 parameters, rates out of
    /// range, dropout between the layers of a stack that has one (it would do nothing), a head that [`Head::validate`]
    /// refuses, and tied vectors that do not fit the head.
    pub fn validate(&self) -> Result<()> {
        let r = &self.recurrent;
        let mut sizes = vec![("input_size", r.input_size), ("hidden_size", r.hidden_size)];
        sizes.extend(self.embedding.as_ref().map(|embedding| ("vocabulary", embedding.vocabulary)));
        sizes.extend(self.head.as_ref().map(|head| ("outputs", head.outputs)));
        if let Some((name, size)) = sizes.iter().find(|(_, size)| !(1..=Self::SIZE).contains(size)) {
            return Err(Error::value(*name, format!("1 to {}", Self::SIZE), size));
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
            let reason = "dropout acts between layers, and there is one: take more layers, or recurrent_dropout";
            return Err(Error::Unsupported(reason.into()));
        }
        self.head.as_ref().map_or(Ok(()), Head::validate)?;
        if self.is_tied() {
            let (outputs, read) = (self.need_head()?.outputs, r.output_size());
            if r.input_size != read {
                let expected = format!("{read} numbers a token, as many as the head reads: tied vectors are its rows");
                return Err(Error::value("input_size", expected, r.input_size));
            }
            if outputs != self.vocabulary() {
                let expected = format!("as many as there are tied vectors, {}", self.vocabulary());
                return Err(Error::value("outputs", expected, outputs));
            }
        }
        // Counted in floating point, which does not overflow.
        let (h, wide) = (r.hidden_size as f64, r.output_size() as f64);
        let layer = |input: f64| r.directions() as f64 * r.cell.gates() as f64 * h * (input + h + 2.0);
        let head = self.head.as_ref().map_or(0.0, |head| head.outputs as f64 * (wide + 1.0));
        let vectors =
            self.embedding.as_ref().map_or(0.0, |embedding| embedding.vocabulary as f64 * r.input_size as f64);
        let parameters = layer(r.input_size as f64) + (r.layers - 1) as f64 * layer(wide) + head + vectors;
        match parameters > (1u64 << 30) as f64 {
            true => Err(Error::value("the model", "at most 2^30 parameters", format!("{parameters:.0}"))),
            false => Ok(()),
        }
    }

    /// The head, or an error that says that this call needs one.
    pub(crate) fn need_head(&self) -> Result<&Head> {
        self.head.as_ref().ok_or_else(|| {
            Error::Unsupported("this call needs a head; the model has none (use forward and backward)".into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Loss, Readout};

    #[test]
    fn tied_vectors_that_do_not_fit_the_head_are_refused() {
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
    fn a_stack_beyond_the_bound_of_the_flag_is_refused_before_anything_is_made_of_it() {
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
    fn a_rate_out_of_range_and_dropout_between_the_layers_of_one_are_refused() {
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
