//! Optimizer settings, after PyTorch's `torch.optim` (2.x). Each backend implements the arithmetic itself.
//!
//! Settings are f64. A backend that computes in f32 rounds them and treats subnormal values as 0. Settings that would
//! then mean something else are rejected: see [`OptimizerStep`].

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::real::Real;

/// The largest number of state values per weight. With parameters, gradients and the status of the step they are storage
/// buffers of one kernel, of which every device binds 8.
pub(crate) const MAX_STATE_BLOCKS: usize = 4;

/// An optimization algorithm with its coefficients.
///
/// With ε = 0, a quotient 0 / 0, as for a weight that never had a gradient, is 0. In PyTorch it is NaN.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum OptimizerKind {
    /// w ← w − η·b, b = μ·b + (1 − dampening)·g, or g + μ·b with Nesterov; b starts as the first g.
    Sgd {
        /// μ.
        momentum: f64,
        /// The fraction of the gradient that does not enter b.
        dampening: f64,
        /// Whether to use Nesterov momentum. Requires momentum above 0 and dampening 0.
        nesterov: bool,
    },
    /// w ← w − η·g / (√v + ε), v = α·v + (1 − α)·g². If centered, v minus the square of the running mean of g.
    RmsProp {
        /// α.
        alpha: f64,
        /// ε.
        eps: f64,
        /// Momentum applied to the scaled gradient.
        momentum: f64,
        /// Whether to subtract the squared running mean of g.
        centered: bool,
    },
    /// Kingma & Ba 2015. Weight decay is added to the gradient.
    Adam {
        /// β₁.
        beta1: f64,
        /// β₂.
        beta2: f64,
        /// ε.
        eps: f64,
    },
    /// Loshchilov & Hutter 2019. Adam with weight decay applied to the weight itself.
    AdamW {
        /// β₁.
        beta1: f64,
        /// β₂.
        beta2: f64,
        /// ε.
        eps: f64,
    },
    /// An optimizer of your own, which the engine is given as a [`CustomOptimizer`](crate::CustomOptimizer). It has
    /// settings of its own besides those of [`Optimizer`]. Not in configuration files.
    #[serde(skip)]
    Custom(CustomKind),
}

/// What identifies an optimizer of your own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CustomKind {
    /// Its name, which no optimizer of this crate [has](OptimizerKind::name). Checkpoints have it, and refuse another.
    pub name: &'static str,
    /// The number of state values per weight, at most 4.
    pub state_blocks: usize,
    /// Whether [`Optimizer::momentum`] was called, which has no meaning for it.
    has_momentum: bool,
}

/// The [names](OptimizerKind::name) of this crate's optimizers.
const NAMES: [&str; 9] = [
    "SGD",
    "SGD with momentum",
    "SGD with Nesterov momentum",
    "RMSprop",
    "centered RMSprop",
    "RMSprop with momentum",
    "centered RMSprop with momentum",
    "Adam",
    "AdamW",
];

impl OptimizerKind {
    /// The name of the algorithm, without its coefficients: `SGD`, `SGD with momentum`, `SGD with Nesterov momentum`,
    /// `RMSprop`, `RMSprop with momentum`, `centered RMSprop`, `centered RMSprop with momentum`, `Adam`, `AdamW`, or that of
    /// an optimizer of your own. Two kinds of one name understand each other's state.
    pub fn name(&self) -> &'static str {
        match *self {
            OptimizerKind::Sgd { momentum: 0.0, .. } => "SGD",
            OptimizerKind::Sgd { nesterov: false, .. } => "SGD with momentum",
            OptimizerKind::Sgd { nesterov: true, .. } => "SGD with Nesterov momentum",
            OptimizerKind::RmsProp { momentum: 0.0, centered: false, .. } => "RMSprop",
            OptimizerKind::RmsProp { momentum: 0.0, centered: true, .. } => "centered RMSprop",
            OptimizerKind::RmsProp { centered: false, .. } => "RMSprop with momentum",
            OptimizerKind::RmsProp { centered: true, .. } => "centered RMSprop with momentum",
            OptimizerKind::Adam { .. } => "Adam",
            OptimizerKind::AdamW { .. } => "AdamW",
            OptimizerKind::Custom(CustomKind { name, .. }) => name,
        }
    }

    /// Fails if an optimizer of the caller has the name of one of this crate, more state values than are possible, or a
    /// setting that it does not know.
    pub(crate) fn check_custom(&self) -> Result<()> {
        let OptimizerKind::Custom(CustomKind { name, state_blocks, has_momentum }) = self else { return Ok(()) };
        if NAMES.contains(name) {
            return Err(Error::value(
                "the name of a custom optimizer",
                "one that no optimizer of this crate has",
                name,
            ));
        }
        if *state_blocks > MAX_STATE_BLOCKS {
            let setting = format!("state_blocks of the optimizer '{name}'");
            return Err(Error::value(setting, format!("at most {MAX_STATE_BLOCKS}"), state_blocks));
        }
        if *has_momentum {
            let reason = format!(
                "Optimizer::momentum does not reach the custom optimizer '{name}': make the momentum a setting of its own"
            );
            return Err(Error::Unsupported(reason));
        }
        Ok(())
    }

    /// The name of an optimizer of the caller.
    pub(crate) fn custom_name(&self) -> Option<&'static str> {
        match self {
            OptimizerKind::Custom(CustomKind { name, .. }) => Some(name),
            _ => None,
        }
    }

    /// The number of state values per weight.
    pub fn state_blocks(&self) -> usize {
        match *self {
            OptimizerKind::Sgd { momentum, .. } => usize::from(momentum != 0.0),
            OptimizerKind::RmsProp { momentum, centered, .. } => {
                1 + usize::from(centered) + usize::from(momentum != 0.0)
            }
            OptimizerKind::Adam { .. } | OptimizerKind::AdamW { .. } => 2,
            OptimizerKind::Custom(CustomKind { state_blocks, .. }) => state_blocks,
        }
    }
}

/// An optimizer: its kind, learning rate, weight decay and clipping.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Optimizer {
    /// The algorithm.
    #[serde(rename = "rule")]
    pub kind: OptimizerKind,
    /// The learning rate η.
    pub learning_rate: f64,
    /// The weight decay λ: λ·w is added to the gradient, except for AdamW, which subtracts η·λ·w from the weight.
    pub weight_decay: f64,
    /// The maximum global gradient norm. A larger gradient is scaled by `clip_norm / (norm + 1e-6)`.
    pub clip_norm: Option<f64>,
    /// The maximum magnitude of a gradient element, applied after `clip_norm`.
    pub clip_value: Option<f64>,
}

impl Optimizer {
    /// An optimizer with learning rate η, without weight decay and clipping.
    pub fn new(kind: OptimizerKind, learning_rate: f64) -> Self {
        Self { kind, learning_rate, weight_decay: 0.0, clip_norm: None, clip_value: None }
    }

    /// Plain stochastic gradient descent.
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

    /// An optimizer of your own, with a name and a number of state values per weight, at most 4: see
    /// [`CustomOptimizer`](crate::CustomOptimizer).
    pub fn custom(name: &'static str, state_blocks: usize, learning_rate: f64) -> Self {
        Self::new(OptimizerKind::Custom(CustomKind { name, state_blocks, has_momentum: false }), learning_rate)
    }

    /// Sets the learning rate η.
    pub fn learning_rate(mut self, learning_rate: f64) -> Self {
        self.learning_rate = learning_rate;
        self
    }

    /// Sets the weight decay λ.
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Sets the momentum: μ of SGD and RMSprop, β₁ of Adam and AdamW. An optimizer of your own has settings of its own, and
    /// [`validate`](Self::validate) refuses it with this one.
    pub fn momentum(mut self, momentum: f64) -> Self {
        match &mut self.kind {
            OptimizerKind::Sgd { momentum: own, .. } | OptimizerKind::RmsProp { momentum: own, .. } => *own = momentum,
            OptimizerKind::Adam { beta1, .. } | OptimizerKind::AdamW { beta1, .. } => *beta1 = momentum,
            OptimizerKind::Custom(own) => own.has_momentum = true,
        }
        self
    }

    /// Sets the maximum global gradient norm.
    pub fn clip_norm(mut self, norm: impl Into<Option<f64>>) -> Self {
        self.clip_norm = norm.into();
        self
    }

    /// Sets the maximum magnitude of a gradient element.
    pub fn clip_value(mut self, value: impl Into<Option<f64>>) -> Self {
        self.clip_value = value.into();
        self
    }

    /// Checks the settings as [`validate`](Self::validate) does, and against the range of `R`.
    pub(crate) fn validate_in<R: Real>(&self) -> Result<()> {
        self.validate()?;
        let (least, most) = (R::min_positive_value().as_f64(), R::max_value().as_f64());
        let bits = 8 * size_of::<R>();
        for (name, clip) in [("clip_norm", self.clip_norm), ("clip_value", self.clip_value)] {
            if let Some(clip) = clip.filter(|clip| *clip < least) {
                return Err(Error::value(name, format!("at least {least:e}, the smallest normal f{bits}"), clip));
            }
        }
        let held = |name: &str, value: f64| {
            if value.abs() <= most {
                Ok(())
            } else {
                Err(Error::value(name, format!("at most {most:e}, the largest f{bits}"), value))
            }
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
            OptimizerKind::Custom(_) => {}
        }
        // Adam's first step has the largest rate of a run. AdamW multiplies weights by 1 − η·λ.
        let first = self.coefficients(1);
        held("learning_rate", first.rate)?;
        held("learning_rate times weight_decay", first.shrink)
    }

    /// Checks the settings as PyTorch does.
    ///
    /// # Errors
    /// [`Error::Value`] for a setting out of its range; [`Error::Unsupported`] for Nesterov's momentum without momentum
    /// or with dampening, and for the [`momentum`](Self::momentum) of an optimizer of your own.
    pub fn validate(&self) -> Result<()> {
        let at_least_0 = |name: &str, value: f64| {
            if value >= 0.0 && value.is_finite() {
                Ok(())
            } else {
                Err(Error::value(name, "a finite number of at least 0", value))
            }
        };
        let below_1 = |name: &str, value: f64| {
            if (0.0..1.0).contains(&value) {
                Ok(())
            } else {
                Err(Error::value(name, "a number from 0 to below 1", value))
            }
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
            OptimizerKind::Custom(_) => self.kind.check_custom(),
        }
    }

    /// The coefficients of update `t`, counted from 1.
    fn coefficients(&self, t: u64) -> Coefficients {
        let Optimizer { kind, learning_rate, weight_decay, .. } = *self;
        let plain =
            Coefficients { rate: learning_rate, root_bias2: 1.0, fresh: 1.0, shrink: 1.0, coupled_decay: weight_decay };
        match kind {
            OptimizerKind::Sgd { dampening, .. } if t > 1 => Coefficients { fresh: 1.0 - dampening, ..plain },
            OptimizerKind::Sgd { .. } | OptimizerKind::RmsProp { .. } | OptimizerKind::Custom(_) => plain,
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

/// One update: the optimizer with this step's learning rate, and the divisor of the gradient sums.
///
/// An engine rejects settings that its number type cannot represent: numbers beyond the largest finite one, a clipping
/// bound below the smallest normal one (1.2e-38 for f32), and a divisor that is below it or whose inverse is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct OptimizerStep {
    /// The optimizer, with this step's learning rate.
    pub optimizer: Optimizer,
    /// The step, counted from 1, used in reports. Adam's t and the like count only applied updates: the step minus the
    /// skipped updates, see [`EngineOptions::max_skipped_updates`](crate::EngineOptions::max_skipped_updates).
    pub step: u64,
    /// The divisor of the accumulated sums: Σ w for a mean, 1 for a sum.
    pub divisor: f64,
}

/// The coefficients of an update, including those that depend on the number of updates before it. Computed in f64 once
/// per step, for either backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Coefficients {
    /// η, for Adam η / (1 − β₁ᵗ).
    pub rate: f64,
    /// √(1 − β₂ᵗ) for Adam, otherwise 1.
    pub root_bias2: f64,
    /// The factor of g in SGD's b: 1 in the first update, then 1 − dampening. Otherwise 1.
    pub fresh: f64,
    /// AdamW: 1 − η·λ, the factor of the weight itself; otherwise 1.
    pub shrink: f64,
    /// λ where it enters the gradient, otherwise 0.
    pub coupled_decay: f64,
}

impl OptimizerStep {
    /// Step `step`, counted from 1, of an optimizer, with the divisor of the accumulated sums.
    pub fn new(optimizer: Optimizer, step: u64, divisor: f64) -> Self {
        Self { optimizer, step, divisor }
    }

    /// Sets the divisor of the accumulated sums.
    pub fn divisor(mut self, divisor: f64) -> Self {
        self.divisor = divisor;
        self
    }

    /// Checks the settings, and that the kind of optimizer is the one that the engine was created for.
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
        let kind = |kind: OptimizerKind| (kind.name(), kind.state_blocks());
        if made_for.map(kind) == Some(kind(self.optimizer.kind)) {
            return Ok(());
        }
        let words = |kind: OptimizerKind| format!("{} with {} state values", kind.name(), kind.state_blocks());
        let made_for = made_for.map_or_else(|| "none".into(), words);
        Err(Error::Unsupported(format!(
            "the engine was created for another optimizer: EngineOptions::optimizer was {made_for}, and this update's is {}",
            words(self.optimizer.kind)
        )))
    }

    /// The coefficients if `skipped` updates up to this step were skipped.
    pub(crate) fn coefficients(&self, skipped: u64) -> Coefficients {
        self.optimizer.coefficients(self.updates(skipped))
    }

    /// The weight of the parameters in their moving average after this update, likewise. As with PyTorch's `AveragedModel`
    /// with `get_ema_multi_avg_fn(decay)`, the average begins as a copy of the parameters after the first update.
    pub(crate) fn average_weight(&self, decay: f64, skipped: u64) -> f64 {
        if self.updates(skipped) == 1 { 1.0 } else { 1.0 - decay }
    }

    /// The number of updates made up to this one.
    pub(crate) fn updates(&self, skipped: u64) -> u64 {
        self.step.saturating_sub(skipped).max(1)
    }
}

/// A setting in the type `R`: rounded, and 0 if subnormal, since not every device supports subnormal numbers.
pub(crate) fn rounded<R: Real>(value: f64) -> R {
    if value.abs() < R::min_positive_value().as_f64() { R::zero() } else { R::from_f64(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_builder_sets_the_setting_of_its_name() {
        let sgd = Optimizer::sgd(0.1).learning_rate(0.2).weight_decay(0.3).momentum(0.9).clip_norm(2.0).clip_value(0.5);
        let kind = OptimizerKind::Sgd { momentum: 0.9, dampening: 0.0, nesterov: false };
        let all =
            Optimizer { kind, learning_rate: 0.2, weight_decay: 0.3, clip_norm: Some(2.0), clip_value: Some(0.5) };
        assert_eq!(sgd, all);
        assert_eq!(sgd.clip_norm(None).clip_value(None), Optimizer { clip_norm: None, clip_value: None, ..all });
        let OptimizerKind::RmsProp { momentum, .. } = Optimizer::rmsprop(0.1).momentum(0.5).kind else { panic!() };
        assert_eq!(momentum, 0.5);
        let OptimizerKind::Adam { beta1, .. } = Optimizer::adam(0.1).momentum(0.5).kind else { panic!() };
        assert_eq!(beta1, 0.5);
    }

    #[test]
    fn every_optimizer_of_this_crate_has_a_name_of_its_own_that_a_custom_one_is_refused() {
        let mut kinds = Vec::new();
        for momentum in [0.0, 0.9] {
            let sgd = |nesterov| OptimizerKind::Sgd { momentum, dampening: 0.0, nesterov };
            kinds.extend([false, true].map(sgd).into_iter().take(if momentum == 0.0 { 1 } else { 2 }));
        }
        for momentum in [0.0, 0.9] {
            let rmsprop = |centered| OptimizerKind::RmsProp { alpha: 0.99, eps: 1e-8, momentum, centered };
            kinds.extend([false, true].map(rmsprop));
        }
        kinds.extend([Optimizer::adam(0.1).kind, Optimizer::adamw(0.1).kind]);
        let names: Vec<&str> = kinds.iter().map(OptimizerKind::name).collect();
        assert_eq!(names, NAMES);
        for name in names {
            let refused = Optimizer::custom(name, 1, 0.1).validate().unwrap_err().to_string();
            assert!(refused.contains(&format!("got {name}")), "{refused}");
        }
        Optimizer::custom("adam with warm restarts", 2, 0.1).validate().unwrap();
    }

    #[test]
    fn only_settings_below_the_smallest_normal_number_become_0() {
        for tiny in [1e-46, 1e-40, -1e-40, f64::from(f32::MIN_POSITIVE) / 2.0] {
            assert_eq!((rounded::<f32>(tiny), rounded::<f64>(tiny)), (0.0, tiny), "{tiny:e}");
        }
        for held in [f64::from(f32::MIN_POSITIVE), -2e-38, 0.1, f64::from(f32::MAX)] {
            assert_eq!((rounded::<f32>(held), rounded::<f64>(held)), (held as f32, held), "{held:e}");
        }
    }
}
