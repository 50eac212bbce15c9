//! What a network predicts: outputs, output function, loss, and how the losses become one number.

use ndarray::{Array3, Axis};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::real::Real;

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
        let one = R::from_f64(1.0);
        match self {
            Loss::SquaredError | Loss::AbsoluteError | Loss::Huber { .. } | Loss::Quantile { .. } => {}
            Loss::BinaryCrossEntropy => logits.mapv_inplace(|a| one / (one + exp(-a))),
            Loss::CrossEntropy | Loss::SmoothedCrossEntropy { .. } => {
                for mut row in logits.lanes_mut(Axis(2)) {
                    let max = row.iter().fold(R::from_f64(f64::NEG_INFINITY), |max, a| if *a > max { *a } else { max });
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
    R::from_f64(value.as_f64().exp())
}

/// What the head reads: at which steps it predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Readout {
    /// A prediction from the output at every time step.
    #[serde(rename = "every")]
    PerStep,
    /// One prediction a row, from the last layer's final state of each direction.
    #[serde(rename = "last")]
    Final,
    /// One prediction a row, from the mean of the last layer's output over the row's own steps, padding left out.
    #[serde(rename = "mean")]
    MeanPool,
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
    pub readout: Readout,
    /// Mean or sum.
    pub reduction: Reduction,
}

impl Head {
    /// A head with the reduction `Mean`.
    pub fn new(outputs: usize, loss: Loss, readout: Readout) -> Self {
        Self { outputs, loss, readout, reduction: Reduction::Mean }
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
        match self.readout {
            Readout::PerStep => steps,
            Readout::Final | Readout::MeanPool => 1,
        }
    }
}
