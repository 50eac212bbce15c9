//! What a network is: cell, sizes, head. Nothing here knows a device.

use ndarray::{Array3, Axis};
use serde::{Deserialize, Serialize};

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
    pub fn stacks(&self) -> usize {
        self.layers * self.directions()
    }

    /// D·H, numbers a time step that the stack puts out.
    pub fn output_size(&self) -> usize {
        self.directions() * self.hidden_size
    }

    /// What layer `layer` reads a time step: I for the first, D·H above it.
    pub fn layer_input_size(&self, layer: usize) -> usize {
        if layer == 0 { self.input_size } else { self.output_size() }
    }
}

/// The loss, with the output function that belongs to it; each is computed from the logits a, stably.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Identity and (a − y)².
    SquaredError,
    /// Identity and |a − y|: the output tends to the median. The gradient where a = y is taken as 0.
    AbsoluteError,
    /// Identity and Huber's loss (1964), as `torch.nn.HuberLoss`: (a − y)² / 2 up to a distance of `delta`, beyond it
    /// delta·(|a − y| − delta / 2). The two meet with one slope, so that a gradient is never over `delta`.
    Huber {
        /// Where the square becomes a line, above 0, in the units of the targets.
        delta: f64,
    },
    /// Identity and the quantile loss, also called pinball loss (Koenker and Bassett 1978), for several quantiles of each
    /// target at once: q·(y − a) where a is below y, (1 − q)·(a − y) above it. The O outputs are O / Q targets of Q
    /// quantiles each, and those of one target stand together: output k·Q + i is quantile i of target k. The gradient
    /// where a = y is taken as 1/2 − q, the middle of its subgradients. Nothing keeps the quantiles of a target in order.
    Quantile {
        /// The Q quantiles, ascending, each above 0 and below 1.
        quantiles: Vec<f64>,
    },
    /// Sigmoid and binary cross-entropy, one for each output; targets in \[0, 1\].
    BinaryCrossEntropy,
    /// Softmax over the outputs and cross-entropy; a target is a class.
    CrossEntropy,
    /// Softmax and cross-entropy against a target of 1 − `smoothing` for its class, and `smoothing` spread over all O
    /// classes (Szegedy et al. 2016): PyTorch's `label_smoothing`. A prediction's weight multiplies all of its loss.
    SmoothedCrossEntropy {
        /// At least 0 and below 1.
        smoothing: f64,
    },
}

impl Loss {
    /// The output function g over logits, in place: identity, sigmoid, or softmax over the last axis.
    pub fn output<R: Real>(&self, logits: &mut Array3<R>) {
        let one = R::from_wide(1.0);
        match self {
            Loss::SquaredError | Loss::AbsoluteError | Loss::Huber { .. } | Loss::Quantile { .. } => {}
            Loss::BinaryCrossEntropy => logits.mapv_inplace(|a| one / (one + exp(-a))),
            Loss::CrossEntropy | Loss::SmoothedCrossEntropy { .. } => {
                for mut row in logits.lanes_mut(Axis(2)) {
                    let max =
                        row.iter().fold(R::from_wide(f64::NEG_INFINITY), |max, a| if *a > max { *a } else { max });
                    row.mapv_inplace(|a| exp(a - max));
                    let sum: R = row.iter().copied().sum();
                    row.mapv_inplace(|e| e / sum);
                }
            }
        }
    }

    /// Whether a target is a class rather than values.
    pub fn takes_classes(&self) -> bool {
        matches!(self, Loss::CrossEntropy | Loss::SmoothedCrossEntropy { .. })
    }

    /// The quantiles that each target is predicted by; none for the other losses, where an output has its own target.
    pub(crate) fn quantiles(&self) -> &[f64] {
        match self {
            Loss::Quantile { quantiles } => quantiles,
            _ => &[],
        }
    }

    /// How much of a class's target is spread over all classes.
    pub(crate) fn smoothing(&self) -> f64 {
        match self {
            Loss::SmoothedCrossEntropy { smoothing } => *smoothing,
            _ => 0.0,
        }
    }

    fn validate(&self) -> Result<()> {
        match self {
            // f32 is what the GPU computes in.
            Loss::Huber { delta } if !(*delta as f32 > 0.0 && (*delta as f32).is_finite()) => {
                Err(Error::value("delta", "a finite number above 0", delta))
            }
            Loss::Quantile { quantiles } if quantiles.is_empty() => Err(Error::value("quantiles", "at least 1", 0)),
            Loss::Quantile { quantiles } => {
                if let Some(i) = quantiles.iter().position(|q| !(*q > 0.0 && *q < 1.0)) {
                    let expected = "a number above 0 and below 1";
                    return Err(Error::value(format!("quantiles[{i}]"), expected, quantiles[i]));
                }
                match quantiles.windows(2).position(|pair| pair[0] >= pair[1]) {
                    Some(i) => {
                        let expected = format!("a number above quantiles[{i}] = {}", quantiles[i]);
                        Err(Error::value(format!("quantiles[{}]", i + 1), expected, quantiles[i + 1]))
                    }
                    None => Ok(()),
                }
            }
            Loss::SmoothedCrossEntropy { smoothing } if !(0.0..1.0).contains(smoothing) => {
                Err(Error::value("smoothing", "at least 0 and below 1", smoothing))
            }
            _ => Ok(()),
        }
    }
}

fn exp<R: Real>(value: R) -> R {
    R::from_wide(value.to_wide().exp())
}

/// How the GPU path dispatches the recurrent steps. The results are the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RecurrentKernel {
    /// By sizes and device: a whole chunk where W_hh is small.
    #[default]
    Auto,
    /// A dispatch a time step.
    Step,
    /// A dispatch a chunk: a workgroup takes its rows through all its steps. H is at most 1024.
    Sequence,
}

/// At which steps the head predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum At {
    /// A prediction from the output at every time step.
    Every,
    /// One prediction a row, from the last layer's final state of each direction.
    Last,
    /// One prediction a row, from the mean of the last layer's output over the row's own steps, padding left out.
    Mean,
}

/// How the losses of all predictions become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduction {
    /// Σ w·loss / Σ w, where the loss of a prediction is the mean over its O outputs, or its one cross-entropy. Without
    /// weights this is PyTorch's `mean`.
    #[default]
    Mean,
    /// Σ w·loss, summed over the outputs too: PyTorch's `sum`.
    Sum,
    /// Σ w·loss / Σ w, where the loss of a prediction is the sum over its O outputs: for outputs that are questions of
    /// their own, as the keys of a piano roll (Boulanger-Lewandowski et al. 2012 report it so).
    SumOverOutputs,
}

/// A linear layer over the stack's output, with its loss: a_t = W_hy h_t + b_y.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// O, numbers a prediction.
    pub outputs: usize,
    /// Output function and loss.
    pub loss: Loss,
    /// Every step, the last, or the mean over all.
    pub at: At,
    /// Mean or sum.
    pub reduction: Reduction,
}

impl Head {
    /// A head with the reduction `Mean`.
    pub fn new(outputs: usize, loss: Loss, at: At) -> Self {
        Self { outputs, loss, at, reduction: Reduction::Mean }
    }

    /// The factor of each output's loss within a prediction's.
    pub(crate) fn output_factor(&self) -> f64 {
        match self.reduction {
            Reduction::Mean if !self.loss.takes_classes() => 1.0 / self.outputs as f64,
            _ => 1.0,
        }
    }

    /// Numbers a target, where it has values: O, or O / Q for Q quantiles.
    pub fn target_size(&self) -> usize {
        self.outputs / self.loss.quantiles().len().max(1)
    }

    /// Refuses settings of the loss that have no meaning, and outputs that do not suit it.
    pub fn validate(&self) -> Result<()> {
        self.loss.validate()?;
        match self.loss.quantiles().len() {
            0 => Ok(()),
            quantiles if self.outputs.is_multiple_of(quantiles) => Ok(()),
            quantiles => Err(Error::value("outputs", format!("a multiple of the {quantiles} quantiles"), self.outputs)),
        }
    }

    /// What weighted sums of losses and gradients are divided by where the predictions' weights add up to `weight`: that
    /// Σ w for a mean, 1 for a sum.
    ///
    /// # Errors
    /// [`Error::Value`] where the weights of a mean add up to 0.
    pub fn divisor(&self, weight: f64) -> Result<f64> {
        match self.reduction {
            Reduction::Sum => Ok(1.0),
            _ if weight > 0.0 => Ok(weight),
            _ => Err(Error::value("the weights of the predictions", "a sum above 0", weight)),
        }
    }

    /// The axis P of predictions for a batch of `steps` time steps: T or 1.
    pub fn predictions(&self, steps: usize) -> usize {
        match self.at {
            At::Every => steps,
            At::Last | At::Mean => 1,
        }
    }
}

/// A stack of recurrent layers, and a head where there is one. Without a head the stack serves as a backend: see
/// [`Engine::forward`](crate::Engine::forward) and [`Engine::backward`](crate::Engine::backward).
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The layers.
    pub recurrent: Recurrent,
    /// The head.
    pub head: Option<Head>,
}

impl Model {
    /// A stack with a head.
    pub fn new(recurrent: Recurrent, head: Head) -> Self {
        Self { recurrent, head: Some(head) }
    }

    /// A stack without a head.
    pub fn headless(recurrent: Recurrent) -> Self {
        Self { recurrent, head: None }
    }

    /// Refuses sizes of zero, rates out of range, dropout between the layers of a stack that has one (it would do nothing),
    /// and a head that [`Head::validate`] refuses.
    pub fn validate(&self) -> Result<()> {
        let r = &self.recurrent;
        let mut sizes = vec![("input_size", r.input_size), ("hidden_size", r.hidden_size), ("layers", r.layers)];
        sizes.extend(self.head.as_ref().map(|head| ("outputs", head.outputs)));
        if let Some((name, size)) = sizes.iter().find(|(_, size)| *size == 0 || *size > 1 << 24) {
            return Err(Error::value(*name, "1 to 16777216", size));
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
        // Counted in floating point, which does not overflow.
        let (h, wide) = (r.hidden_size as f64, r.output_size() as f64);
        let layer = |input: f64| r.directions() as f64 * r.cell.gates() as f64 * h * (input + h + 2.0);
        let head = self.head.as_ref().map_or(0.0, |head| head.outputs as f64 * (wide + 1.0));
        let parameters = layer(r.input_size as f64) + (r.layers - 1) as f64 * layer(wide) + head;
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
