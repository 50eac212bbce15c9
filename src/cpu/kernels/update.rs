//! The optimizers, to PyTorch's formulas.

use std::ops::Range;

use super::norm::{CHUNK, chunks};
use crate::allocate;
use crate::cpu::parallel::threads::Divide;
use crate::error::Result;
use crate::optim::{Coefficients, MAX_STATE_BLOCKS, OptimizerKind, OptimizerStep, rounded};
use crate::real::Real;

/// The optimizer state: one flat block per value. Unused blocks are empty.
#[derive(Debug)]
pub(crate) struct OptimizerState<R>(pub(crate) [Vec<R>; MAX_STATE_BLOCKS]);

impl<R: Real> OptimizerState<R> {
    /// Zero state for `len` weights.
    pub(crate) fn new(rule: Option<OptimizerKind>, len: usize) -> Result<Self> {
        let count = rule.map_or(0, |rule| rule.state_blocks());
        let block =
            |block| allocate::zeros(if block < count { len } else { 0 }, "what the optimizer keeps of each weight");
        Ok(Self([block(0)?, block(1)?, block(2)?, block(3)?]))
    }

    /// That of some of the weights.
    pub(crate) fn range(&mut self, weights: &Range<usize>) -> [&mut [R]; MAX_STATE_BLOCKS] {
        self.0.each_mut().map(|block| block.get_mut(weights.clone()).unwrap_or_default())
    }
}

/// Some of the weights, with their gradients and optimizer state.
pub(crate) struct UpdatePart<'a, R> {
    pub(crate) parameters: &'a mut [R],
    pub(crate) gradients: &'a [R],
    pub(crate) optimizer_state: [&'a mut [R]; MAX_STATE_BLOCKS],
}

impl<R: Real> Divide for UpdatePart<'_, R> {
    fn parts(&self) -> usize {
        chunks(self.parameters.len())
    }

    fn divide(self, parts: usize) -> (Self, Self) {
        let at = parts * CHUNK;
        let (parameters, other_parameters) = self.parameters.split_at_mut(at);
        let (gradients, other_gradients) = self.gradients.split_at(at);
        let mut optimizer_state = self.optimizer_state;
        let mut other_optimizer_state: [&mut [R]; MAX_STATE_BLOCKS] = Default::default();
        for (block, other) in optimizer_state.iter_mut().zip(&mut other_optimizer_state) {
            let at = at.min(block.len());
            (*block, *other) = std::mem::take(block).split_at_mut(at);
        }
        let other =
            Self { parameters: other_parameters, gradients: other_gradients, optimizer_state: other_optimizer_state };
        (Self { parameters, gradients, optimizer_state }, other)
    }
}

/// Some of the weights, for an optimizer of your own on the CPU backend: see
/// [`CustomOptimizer`](crate::CustomOptimizer).
#[derive(Debug)]
#[non_exhaustive]
pub struct CpuUpdate<'a, R: Real = f32> {
    /// The weights, to be changed.
    pub parameters: &'a mut [R],
    /// Their gradient sums. [`scale`](Self::scale) divides and clips them.
    pub gradient_sums: &'a [R],
    /// Their state values, to be changed; those beyond the optimizer's number are empty.
    pub state: [&'a mut [R]; MAX_STATE_BLOCKS],
    /// Divides and clips a gradient sum.
    pub scale: GradientScale<R>,
    /// η of this step, times the factor of the parameter group.
    pub learning_rate: R,
    /// λ, of the parameter group if it has its own.
    pub weight_decay: R,
    /// The number of updates that were made, with this one: the t of a bias correction.
    pub updates: u64,
}

/// The scaling of the gradient sums before the update: division by Σ w, and clipping by norm and by value.
#[derive(Clone, Copy, Debug)]
pub struct GradientScale<R> {
    factor: R,
    limit: R,
    decay: R,
}

impl<R: Real> GradientScale<R> {
    /// Combines division, clipping by norm, and then by value.
    pub(crate) fn new(update: &OptimizerStep, coefficients: &Coefficients, norm: f64) -> Self {
        let clip = update.optimizer.clip_norm.map_or(1.0, |clip| (clip / (norm + 1e-6)).min(1.0));
        Self {
            factor: R::from_f64(clip / update.divisor),
            limit: R::from_f64(update.optimizer.clip_value.unwrap_or(f64::INFINITY)),
            decay: rounded(coefficients.coupled_decay),
        }
    }

    /// The gradient of a weight from its sum. Without weight decay.
    #[inline(always)]
    pub fn gradient(self, sum: R) -> R {
        let g = sum * self.factor;
        let g = if g > self.limit { self.limit } else { g };
        if g < -self.limit { -self.limit } else { g }
    }

    #[inline(always)]
    fn apply(self, sum: R, weight: R) -> R {
        self.gradient(sum) + self.decay * weight
    }
}

/// Applies one step of the optimizer. One of the caller is `custom`, which is given the number of updates too.
pub(crate) fn apply<R: Real>(
    rule: OptimizerKind,
    coefficients: &Coefficients,
    scale: GradientScale<R>,
    weights: UpdatePart<'_, R>,
    (custom, updates): (impl Fn(CpuUpdate<'_, R>), u64),
) {
    let real = rounded::<R>;
    let [rate, root_bias2, fresh, shrink] =
        [coefficients.rate, coefficients.root_bias2, coefficients.fresh, coefficients.shrink].map(real);
    match rule {
        OptimizerKind::Sgd { momentum, nesterov, .. } => {
            if momentum == 0.0 {
                plain_sgd(weights, scale, rate)
            } else {
                sgd(weights, scale, rate, real(momentum), fresh, nesterov)
            }
        }
        OptimizerKind::RmsProp { alpha, eps, momentum, centered } => {
            let kept = (momentum != 0.0, centered);
            rmsprop(weights, scale, rate, [alpha, 1.0 - alpha, eps, momentum].map(real), kept);
        }
        OptimizerKind::Adam { beta1, beta2, eps } | OptimizerKind::AdamW { beta1, beta2, eps } => {
            let betas = [beta1, 1.0 - beta1, beta2, 1.0 - beta2].map(real);
            adam(weights, scale, rate, betas, [root_bias2, real(eps), shrink]);
        }
        OptimizerKind::Custom(_) => {
            let UpdatePart { parameters, gradients, optimizer_state: state } = weights;
            let (learning_rate, weight_decay) = (rate, scale.decay);
            let gradient_sums = gradients;
            custom(CpuUpdate { parameters, gradient_sums, state, scale, learning_rate, weight_decay, updates });
        }
    }
}

fn plain_sgd<R: Real>(weights: UpdatePart<'_, R>, scale: GradientScale<R>, rate: R) {
    for (w, g) in weights.parameters.iter_mut().zip(weights.gradients) {
        *w -= rate * scale.apply(*g, *w);
    }
}

fn sgd<R: Real>(weights: UpdatePart<'_, R>, scale: GradientScale<R>, rate: R, momentum: R, fresh: R, nesterov: bool) {
    let UpdatePart { parameters, gradients, optimizer_state: [buffer, ..] } = weights;
    for ((w, g), b) in parameters.iter_mut().zip(gradients).zip(buffer) {
        let g = scale.apply(*g, *w);
        *b = momentum * *b + fresh * g;
        *w -= rate * if nesterov { g + momentum * *b } else { *b };
    }
}

/// a / b, but 0 for 0 / 0: a weight that never had a gradient, with ε = 0.
#[inline(always)]
fn quotient<R: Real>(a: R, b: R) -> R {
    if a == R::zero() { R::zero() } else { a / b }
}

fn rmsprop<R: Real>(
    weights: UpdatePart<'_, R>,
    scale: GradientScale<R>,
    rate: R,
    settings: [R; 4],
    kept: (bool, bool),
) {
    let [alpha, rest, eps, momentum] = settings;
    let (has_momentum, centered) = kept;
    let UpdatePart { parameters, gradients, optimizer_state: [square, second, third, _] } = weights;
    // The blocks in use are in the order square, mean, buffer.
    let (mean, buffer) = if centered { (second, third) } else { (third, second) };
    for (index, (w, g)) in parameters.iter_mut().zip(gradients).enumerate() {
        let g = scale.apply(*g, *w);
        let v = alpha * square[index] + rest * g * g;
        square[index] = v;
        let variance = if centered {
            let m = alpha * mean[index] + rest * g;
            mean[index] = m;
            // Rounding can make it negative.
            (v - m * m).max(R::zero())
        } else {
            v
        };
        let scaled = quotient(g, variance.sqrt() + eps);
        if has_momentum {
            let b = momentum * buffer[index] + scaled;
            buffer[index] = b;
            *w -= rate * b;
        } else {
            *w -= rate * scaled;
        }
    }
}

fn adam<R: Real>(weights: UpdatePart<'_, R>, scale: GradientScale<R>, rate: R, betas: [R; 4], settings: [R; 3]) {
    let [beta1, rest1, beta2, rest2] = betas;
    let [root_bias2, eps, shrink] = settings;
    let UpdatePart { parameters, gradients, optimizer_state: [mean, square, ..] } = weights;
    let moments = mean.iter_mut().zip(square.iter_mut());
    for ((w, g), (m, v)) in parameters.iter_mut().zip(gradients).zip(moments) {
        let g = scale.apply(*g, *w);
        *m = beta1 * *m + rest1 * g;
        *v = beta2 * *v + rest2 * g * g;
        *w = shrink * *w - quotient(rate * *m, v.sqrt() / root_bias2 + eps);
    }
}
