//! The optimizers' settings, to PyTorch's formulas (`torch.optim`, 2.x). The arithmetic itself is each path's own.
//!
//! Settings are f64. A path that computes in f32 rounds them, and what is below the normal numbers of its type counts as 0;
//! settings that would then mean something else are refused: see [`OptimizerStep`].

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::real::Real;

/// The rule that turns a gradient into a change of the weights.
///
/// With ε = 0 a quotient of 0 / 0, as of a weight that has had no gradient, is 0, where PyTorch's is not a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimizerKind {
    /// w ← w − η·b, b = μ·b + (1 − dampening)·g, or g + μ·b with Nesterov; b starts as the first g.
    Sgd {
        /// μ.
        momentum: f64,
        /// What of the gradient does not enter b.
        dampening: f64,
        /// Whether the step looks ahead along b. Needs momentum and no dampening.
        nesterov: bool,
    },
    /// w ← w − η·g / (√v + ε), v = α·v + (1 − α)·g²; centred: v less the square of the running mean of g.
    RmsProp {
        /// α.
        alpha: f64,
        /// ε.
        eps: f64,
        /// Momentum over the scaled gradient.
        momentum: f64,
        /// Whether the running mean of g is taken off.
        centered: bool,
    },
    /// Kingma & Ba 2015; weight decay enters the gradient.
    Adam {
        /// β₁.
        beta1: f64,
        /// β₂.
        beta2: f64,
        /// ε.
        eps: f64,
    },
    /// Loshchilov & Hutter 2019: Adam whose weight decay acts on the weight itself.
    AdamW {
        /// β₁.
        beta1: f64,
        /// β₂.
        beta2: f64,
        /// ε.
        eps: f64,
    },
}

impl OptimizerKind {
    /// How many numbers beside the weight the rule keeps for each weight.
    pub fn state_blocks(&self) -> usize {
        match *self {
            OptimizerKind::Sgd { momentum, .. } => usize::from(momentum != 0.0),
            OptimizerKind::RmsProp { momentum, centered, .. } => {
                1 + usize::from(centered) + usize::from(momentum != 0.0)
            }
            OptimizerKind::Adam { .. } | OptimizerKind::AdamW { .. } => 2,
        }
    }
}

/// A rule with its rate, weight decay and clipping.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// The rule.
    #[serde(rename = "rule")]
    pub kind: OptimizerKind,
    /// η.
    pub learning_rate: f64,
    /// λ: g + λ·w for every rule but AdamW, which takes η·λ·w off the weight.
    pub weight_decay: f64,
    /// The largest global norm of the gradient: beyond it all of it is scaled by `clip_norm / (norm + 1e-6)`.
    pub clip_norm: Option<f64>,
    /// The largest magnitude of a gradient's element, applied after `clip_norm`.
    pub clip_value: Option<f64>,
}

impl Optimizer {
    /// `kind` at the rate η, without weight decay and clipping.
    pub fn new(kind: OptimizerKind, learning_rate: f64) -> Self {
        Self { kind, learning_rate, weight_decay: 0.0, clip_norm: None, clip_value: None }
    }

    /// Plain gradient descent.
    pub fn sgd(learning_rate: f64) -> Self {
        Self::new(OptimizerKind::Sgd { momentum: 0.0, dampening: 0.0, nesterov: false }, learning_rate)
    }

    /// RMSprop with PyTorch's defaults: α 0.99, ε 1e-8.
    pub fn rmsprop(learning_rate: f64) -> Self {
        Self::new(OptimizerKind::RmsProp { alpha: 0.99, eps: 1e-8, momentum: 0.0, centered: false }, learning_rate)
    }

    /// Adam with PyTorch's defaults: β 0.9 and 0.999, ε 1e-8.
    pub fn adam(learning_rate: f64) -> Self {
        Self::new(OptimizerKind::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 }, learning_rate)
    }

    /// AdamW with PyTorch's defaults: Adam's, and weight decay 0.01.
    pub fn adamw(learning_rate: f64) -> Self {
        let rule = OptimizerKind::AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
        Self { weight_decay: 0.01, ..Self::new(rule, learning_rate) }
    }

    /// With clipping of the global norm.
    pub fn clip_norm(mut self, norm: f64) -> Self {
        self.clip_norm = Some(norm);
        self
    }

    /// Refuses what PyTorch refuses, and beside it what an engine that computes in `R` refuses for its type.
    pub(crate) fn validate_in<R: Real>(&self) -> Result<()> {
        self.validate()?;
        let (least, most) = (R::min_positive_value().as_f64(), R::max_value().as_f64());
        let bits = 8 * size_of::<R>();
        for (name, clip) in [("clip_norm", self.clip_norm), ("clip_value", self.clip_value)] {
            if let Some(clip) = clip.filter(|clip| *clip < least) {
                return Err(Error::value(name, format!("at least {least:e}, the least that f{bits} holds"), clip));
            }
        }
        let held = |name: &str, value: f64| match value.abs() <= most {
            true => Ok(()),
            false => Err(Error::value(name, format!("at most {most:e}, the most that f{bits} holds"), value)),
        };
        held("weight_decay", self.weight_decay)?;
        match self.kind {
            OptimizerKind::Sgd { momentum, dampening, .. } => {
                held("momentum", momentum)?;
                held("dampening", dampening)?;
            }
            OptimizerKind::RmsProp { alpha, eps, momentum, .. } => {
                held("alpha", alpha)?;
                held("eps", eps)?;
                held("momentum", momentum)?;
            }
            OptimizerKind::Adam { eps, .. } | OptimizerKind::AdamW { eps, .. } => held("eps", eps)?,
        }
        // The largest rate of a run is that of Adam's first step; AdamW multiplies weights by 1 − η·λ.
        let first = self.coefficients(1);
        held("learning_rate", first.rate)?;
        held("learning_rate times weight_decay", first.shrink)
    }

    /// Refuses what PyTorch refuses.
    pub fn validate(&self) -> Result<()> {
        let at_least_0 = |name: &str, value: f64| match value >= 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(Error::value(name, "a finite number of at least 0", value)),
        };
        let below_1 = |name: &str, value: f64| match (0.0..1.0).contains(&value) {
            true => Ok(()),
            false => Err(Error::value(name, "a number from 0 to below 1", value)),
        };
        at_least_0("learning_rate", self.learning_rate)?;
        at_least_0("weight_decay", self.weight_decay)?;
        for (name, clip) in [("clip_norm", self.clip_norm), ("clip_value", self.clip_value)] {
            if let Some(clip) = clip.filter(|clip| clip.is_nan() || *clip <= 0.0) {
                return Err(Error::value(name, "a number above 0", clip));
            }
        }
        match self.kind {
            OptimizerKind::Sgd { momentum, dampening, nesterov } => {
                at_least_0("momentum", momentum)?;
                if !dampening.is_finite() {
                    return Err(Error::value("dampening", "a finite number", dampening));
                }
                if nesterov && (momentum == 0.0 || dampening != 0.0) {
                    return Err(Error::Unsupported(
                        "Nesterov's momentum needs momentum above 0 and dampening 0".into(),
                    ));
                }
                Ok(())
            }
            OptimizerKind::RmsProp { alpha, eps, momentum, .. } => {
                at_least_0("alpha", alpha)?;
                at_least_0("eps", eps)?;
                at_least_0("momentum", momentum)
            }
            OptimizerKind::Adam { beta1, beta2, eps } | OptimizerKind::AdamW { beta1, beta2, eps } => {
                below_1("beta1", beta1)?;
                below_1("beta2", beta2)?;
                at_least_0("eps", eps)
            }
        }
    }

    /// What the rule amounts to at its update `t`, counted from 1.
    fn coefficients(&self, t: u64) -> Coefficients {
        let Optimizer { kind, learning_rate, weight_decay, .. } = *self;
        let plain =
            Coefficients { rate: learning_rate, root_bias2: 1.0, fresh: 1.0, shrink: 1.0, coupled_decay: weight_decay };
        match kind {
            OptimizerKind::Sgd { dampening, .. } if t > 1 => Coefficients { fresh: 1.0 - dampening, ..plain },
            OptimizerKind::Sgd { .. } | OptimizerKind::RmsProp { .. } => plain,
            OptimizerKind::Adam { beta1, beta2, .. } | OptimizerKind::AdamW { beta1, beta2, .. } => {
                let t = t as f64;
                let adam = Coefficients {
                    rate: learning_rate / (1.0 - beta1.powf(t)),
                    root_bias2: (1.0 - beta2.powf(t)).sqrt(),
                    ..plain
                };
                match kind {
                    OptimizerKind::AdamW { .. } => {
                        Coefficients { shrink: 1.0 - learning_rate * weight_decay, coupled_decay: 0.0, ..adam }
                    }
                    _ => adam,
                }
            }
        }
    }
}

/// One update: the optimizer as it stands at this step, and what divides the gradient sums.
///
/// An engine refuses what the type that it computes in cannot hold: a number beyond its largest one, a clip below its least
/// normal one (1.2e-38 for f32), and a divisor that is, or whose inverse is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerStep {
    /// The optimizer, its rate already that of this step.
    pub optimizer: Optimizer,
    /// The step, counted from 1, by which it is reported. The updates that an optimizer counts, as Adam's t, are the step
    /// less those passed over: see [`EngineOptions::max_skipped_updates`](crate::EngineOptions::max_skipped_updates).
    pub step: u64,
    /// What the accumulated sums are divided by: Σ w, or 1 for a sum.
    pub divisor: f64,
}

/// An [`OptimizerStep`] as plain numbers, those that depend on how many there were among them, computed in f64 once a
/// step and handed to either path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Coefficients {
    /// η, for Adam η / (1 − β₁ᵗ).
    pub rate: f64,
    /// √(1 − β₂ᵗ) for Adam, otherwise 1.
    pub root_bias2: f64,
    /// What of g enters SGD's b: all of it at first, then 1 − dampening. Otherwise 1.
    pub fresh: f64,
    /// AdamW: 1 − η·λ, the factor of the weight itself; otherwise 1.
    pub shrink: f64,
    /// λ where it enters the gradient, otherwise 0.
    pub coupled_decay: f64,
}

impl OptimizerStep {
    /// Refuses settings out of range, and a rule other than the one that an engine was made for.
    pub(crate) fn validate<R: Real>(&self, made_for: Option<OptimizerKind>) -> Result<()> {
        self.optimizer.validate_in::<R>()?;
        if self.step == 0 {
            return Err(Error::value("update.step", "at least 1", 0));
        }
        if !(self.divisor > 0.0 && self.divisor.is_finite()) {
            return Err(Error::value("update.divisor", "a finite number above 0", self.divisor));
        }
        let least = R::min_positive_value().as_f64();
        if !(least..=1.0 / least).contains(&self.divisor) {
            let expected =
                format!("a number from {least:e} to {:e}, which f{} divides by", 1.0 / least, 8 * size_of::<R>());
            return Err(Error::value("update.divisor", expected, self.divisor));
        }
        let kind = |rule: OptimizerKind| match rule {
            OptimizerKind::Sgd { momentum, nesterov, .. } => (0, momentum != 0.0, nesterov),
            OptimizerKind::RmsProp { momentum, centered, .. } => (1, momentum != 0.0, centered),
            OptimizerKind::Adam { .. } => (2, false, false),
            OptimizerKind::AdamW { .. } => (3, false, false),
        };
        match made_for.map(kind) == Some(kind(self.optimizer.kind)) {
            true => Ok(()),
            false => {
                let reason =
                    "the update's rule is not the one of EngineOptions::optimizer, whose numbers the engine keeps";
                Err(Error::Unsupported(reason.into()))
            }
        }
    }

    /// The coefficients where so many steps up to this one were passed over.
    pub(crate) fn coefficients(&self, skipped: u64) -> Coefficients {
        self.optimizer.coefficients(self.step.saturating_sub(skipped).max(1))
    }
}

/// A setting as `R` takes it: rounded, and 0 where it is below the normal numbers, which not every device holds.
pub(crate) fn rounded<R: Real>(value: f64) -> R {
    if value.abs() < R::min_positive_value().as_f64() { R::zero() } else { R::from_f64(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_below_the_normal_numbers_of_a_type_is_0_in_it_and_no_other_is() {
        for tiny in [1e-46, 1e-40, -1e-40, f64::from(f32::MIN_POSITIVE) / 2.0] {
            assert_eq!((rounded::<f32>(tiny), rounded::<f64>(tiny)), (0.0, tiny), "{tiny:e}");
        }
        for held in [f64::from(f32::MIN_POSITIVE), -2e-38, 0.1, f64::from(f32::MAX)] {
            assert_eq!((rounded::<f32>(held), rounded::<f64>(held)), (held as f32, held), "{held:e}");
        }
    }
}
