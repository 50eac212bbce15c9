//! The head: outputs, output function, loss and reduction.

use ndarray::{Array3, Axis};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::real::Real;

/// The loss with its output function. All losses are computed from the logits a in a numerically stable form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Loss {
    /// Identity and squared error, (a − y)².
    SquaredError,
    /// Identity and absolute error, |a − y|: the output tends to the median. The gradient at a = y is 0.
    AbsoluteError,
    /// Identity and Huber loss (1964), as in `torch.nn.HuberLoss`: (a − y)² / 2 up to a distance of `delta`, beyond it
    /// delta·(|a − y| − delta / 2). The magnitude of the gradient is at most `delta`.
    Huber {
        /// The distance at which the loss becomes linear, above 0, in target units.
        delta: f64,
    },
    /// Identity and quantile (pinball) loss (Koenker & Bassett 1978), for several quantiles of each target at once:
    /// q·(y − a) where a < y, (1 − q)·(a − y) where a > y. The O outputs are O / Q targets with Q quantiles each;
    /// output k·Q + i is quantile i of target k. The gradient at a = y is 1/2 − q, the middle of its subgradients. The
    /// quantiles of a target are not constrained to be in order.
    Quantile {
        /// The Q quantiles, ascending, each above 0 and below 1.
        quantiles: Vec<f64>,
    },
    /// Sigmoid and binary cross-entropy for each output. Targets are in \[0, 1\].
    BinaryCrossEntropy,
    /// Softmax over the outputs and cross-entropy. A target is a class.
    CrossEntropy,
    /// Softmax and cross-entropy with label smoothing (Szegedy et al. 2016): the target is 1 − `smoothing` for its
    /// class, plus `smoothing` spread evenly over all O classes. Same as PyTorch's `label_smoothing`. A prediction's
    /// weight multiplies its whole loss.
    SmoothedCrossEntropy {
        /// At least 0 and below 1.
        smoothing: f64,
    },
}

impl Loss {
    /// Applies the output function g to logits, in place: identity, sigmoid, or softmax over the last axis.
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

    /// Whether targets are classes rather than values.
    pub fn takes_classes(&self) -> bool {
        matches!(self, Loss::CrossEntropy | Loss::SmoothedCrossEntropy { .. })
    }

    /// The quantiles predicted for each target; empty for other losses, which have one target per output.
    pub(crate) fn quantiles(&self) -> &[f64] {
        match self {
            Loss::Quantile { quantiles } => quantiles,
            _ => &[],
        }
    }

    /// The label smoothing.
    pub(crate) fn smoothing(&self) -> f64 {
        match self {
            Loss::SmoothedCrossEntropy { smoothing } => *smoothing,
            _ => 0.0,
        }
    }

    fn validate(&self) -> Result<()> {
        match self {
            // f32, the type in which the GPU computes.
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

/// Which features the head reads, and so when it predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Readout {
    /// One prediction per time step, from the output at that step.
    #[serde(rename = "every")]
    PerStep,
    /// One prediction per row, from the last layer's final state in each direction.
    #[serde(rename = "last")]
    Final,
    /// One prediction per row, from the mean of the last layer's output over the row's steps. Padding is excluded.
    #[serde(rename = "mean")]
    MeanPool,
}

/// How the losses of all predictions are reduced to one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reduction {
    /// Σ w·loss / Σ w, where the loss of a prediction is the mean over its O outputs, or its cross-entropy. Without
    /// weights this is PyTorch's `mean`.
    #[default]
    Mean,
    /// Σ w·loss, also summed over the outputs: PyTorch's `sum`.
    Sum,
    /// Σ w·loss / Σ w, where the loss of a prediction is the sum over its O outputs. For independent binary outputs
    /// such as the keys of a piano roll (reported in this form by Boulanger-Lewandowski et al. 2012).
    SumOverOutputs,
}

/// A linear layer with a loss: a_t = W_hy h_t + b_y.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Head {
    /// O, the number of outputs per prediction.
    pub outputs: usize,
    /// The loss with its output function.
    pub loss: Loss,
    /// Which features the head reads.
    pub readout: Readout,
    /// The reduction of the losses.
    #[serde(default)]
    pub reduction: Reduction,
}

impl Head {
    /// A head with [`Reduction::Mean`].
    pub fn new(outputs: usize, loss: Loss, readout: Readout) -> Self {
        Self { outputs, loss, readout, reduction: Reduction::Mean }
    }

    /// Sets the reduction of the losses.
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// The factor of each output's loss within the loss of a prediction.
    pub(crate) fn output_factor(&self) -> f64 {
        match self.reduction {
            Reduction::Mean if !self.loss.takes_classes() => 1.0 / self.outputs as f64,
            _ => 1.0,
        }
    }

    /// The size of a target with values: O, or O / Q for Q quantiles.
    pub fn target_size(&self) -> usize {
        self.outputs / self.loss.quantiles().len().max(1)
    }

    /// Checks the settings of the loss, and that the number of outputs fits it.
    ///
    /// # Errors
    /// [`Error::Value`] names the setting of the loss, or the number of outputs.
    pub fn validate(&self) -> Result<()> {
        self.loss.validate()?;
        match self.loss.quantiles().len() {
            0 => Ok(()),
            quantiles if self.outputs.is_multiple_of(quantiles) => Ok(()),
            quantiles => Err(Error::value("outputs", format!("a multiple of the {quantiles} quantiles"), self.outputs)),
        }
    }

    /// The divisor of weighted sums of losses and gradients, where `weight` is the sum of the predictions' weights:
    /// `weight` for a mean, 1 for a sum.
    ///
    /// # Errors
    /// [`Error::Value`] if `weight` is 0 for a mean.
    pub fn divisor(&self, weight: f64) -> Result<f64> {
        match self.reduction {
            Reduction::Sum => Ok(1.0),
            _ if weight > 0.0 => Ok(weight),
            _ => Err(Error::value("the weights of the predictions", "a sum above 0", weight)),
        }
    }

    /// P, the number of predictions per row for `steps` time steps: T or 1.
    pub fn predictions(&self, steps: usize) -> usize {
        match self.readout {
            Readout::PerStep => steps,
            Readout::Final | Readout::MeanPool => 1,
        }
    }
}
