//! The head: outputs, output function, loss and reduction.

use ndarray::{Array3, Axis};
use serde::{Deserialize, Serialize};

use super::likelihood::{LEAST_DISPERSION, LEAST_FREEDOM, LEAST_SCALE, Link, parameters};
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
    /// The negative log-likelihood of a normal distribution: ½ ln 2π + ln σ + ½ ((y − μ) / σ)². Each target has two
    /// outputs, in succession: μ = a₁ and σ = softplus(a₂) + 2⁻¹³. The least σ bounds the density where targets do not
    /// vary.
    Gaussian,
    /// The negative log-likelihood of Student's t distribution with location μ and scale σ, for targets with outliers:
    /// ln Γ(ν / 2) − ln Γ((ν + 1) / 2) + ½ ln πν + ln σ + ½ (ν + 1) ln(1 + ((y − μ) / σ)² / ν). Each target has three
    /// outputs, in succession: μ = a₁, σ = softplus(a₂) + 2⁻¹³ and ν = 2 + softplus(a₃). Above 2 degrees of freedom, the
    /// distribution has a mean and a variance.
    StudentT,
    /// The negative log-likelihood of a negative binomial distribution, for counts (DeepAR: Salinas et al. 2020):
    /// −ln [Γ(y + 1/α) / (Γ(y + 1) Γ(1/α))] + (y + 1/α) ln(1 + αμ) − y ln αμ. The variance is μ + αμ².
    ///
    /// A target has two numbers, in succession: the count y, whole and at least 0, and the unit u in which the network
    /// sees it, above 0: 1, or the mean count of its series. It has two outputs: μ = u·softplus(a₁) and
    /// α = (softplus(a₂) + 2⁻²⁰) / √u.
    NegativeBinomial,
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
    /// Applies the output function g to logits, in place: identity, sigmoid, softmax over the last axis, or what turns
    /// the outputs of a target into the parameters of its distribution: μ and σ, μ, σ and ν, or for a unit of 1 μ and α.
    pub fn output<R: Real>(&self, logits: &mut Array3<R>) {
        let one = R::from_f64(1.0);
        match self {
            Loss::SquaredError | Loss::AbsoluteError | Loss::Huber { .. } | Loss::Quantile { .. } => {}
            Loss::Gaussian | Loss::StudentT | Loss::NegativeBinomial => parameters(logits, self.links()),
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

    /// The outputs per target, in succession: one for each quantile, or for each parameter of a distribution; otherwise 1.
    pub fn outputs_per_target(&self) -> usize {
        self.quantiles().len().max(self.links().len()).max(1)
    }

    /// What the parameters of a target's distribution are of its logits; empty for a loss that is no likelihood.
    pub(crate) fn links(&self) -> &'static [Link] {
        const SCALE: Link = Link::Softplus { least: LEAST_SCALE };
        match self {
            Loss::Gaussian => &[Link::Identity, SCALE],
            Loss::StudentT => &[Link::Identity, SCALE, Link::Softplus { least: LEAST_FREEDOM }],
            Loss::NegativeBinomial => &[Link::Softplus { least: 0.0 }, Link::Softplus { least: LEAST_DISPERSION }],
            _ => &[],
        }
    }

    /// Whether it is the likelihood of a distribution.
    pub(crate) fn is_likelihood(&self) -> bool {
        !self.links().is_empty()
    }

    /// Whether a target is a count and its unit.
    pub(crate) fn takes_counts(&self) -> bool {
        matches!(self, Loss::NegativeBinomial)
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
    /// Σ w·loss / Σ w, where the loss of a prediction is the mean over its O outputs (over its targets for the likelihood
    /// of a distribution), or its cross-entropy. Without weights this is PyTorch's `mean`.
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

    /// The factor of each loss within the loss of a prediction, which has one for each output or each distribution.
    pub(crate) fn output_factor(&self) -> f64 {
        match self.reduction {
            Reduction::Mean if !self.loss.takes_classes() => {
                self.loss.links().len().max(1) as f64 / self.outputs as f64
            }
            _ => 1.0,
        }
    }

    /// The number of values in the targets of a prediction: O, or O / Q with Q outputs for each target
    /// ([`Loss::outputs_per_target`]), or twice as many if a target is a count and its unit.
    pub fn target_size(&self) -> usize {
        if self.loss.takes_counts() { 2 * self.targets() } else { self.targets() }
    }

    /// The number of targets of a prediction.
    pub(crate) fn targets(&self) -> usize {
        self.outputs / self.loss.outputs_per_target()
    }

    /// Checks the settings of the loss, and that the number of outputs fits it.
    ///
    /// # Errors
    /// [`Error::Value`] names the setting of the loss, or the number of outputs.
    pub fn validate(&self) -> Result<()> {
        self.loss.validate()?;
        let each = self.loss.outputs_per_target();
        if self.outputs.is_multiple_of(each) {
            return Ok(());
        }
        let of = if self.loss.is_likelihood() { "parameters of a distribution" } else { "quantiles" };
        Err(Error::value("outputs", format!("a multiple of the {each} {of}"), self.outputs))
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
