//! The loss of one prediction from its logits a, in a stable form, and da in place of the logits.

use ndarray::ArrayView1;
use pulp::{Arch, Simd, WithSimd};

use crate::real::Real;

/// Numbers at once: two AVX registers of f32.
const LANES: usize = 16;

/// Σ (a − y)²; da = 2(a − y). Both are multiplied by `factor`.
pub(crate) fn squared_error<R: Real, S: Real>(a: &mut [R], y: ArrayView1<'_, S>, factor: f64) -> f64 {
    let twice = R::from_f64(2.0 * factor);
    let mut sum = 0.0;
    for (a, y) in a.iter_mut().zip(y) {
        let error = *a - R::from_f64(y.as_f64());
        sum += error.as_f64() * error.as_f64();
        *a = twice * error;
    }
    factor * sum
}

/// Σ |a − y|; da = sign(a − y), 0 if equal. Both are multiplied by `factor`.
pub(crate) fn absolute_error<R: Real, S: Real>(a: &mut [R], y: ArrayView1<'_, S>, factor: f64) -> f64 {
    let mut sum = 0.0;
    for (a, y) in a.iter_mut().zip(y) {
        let error = distance(*a, *y);
        sum += error.abs();
        *a = R::from_f64(factor * by_side(error, -1.0, 0.0, 1.0));
    }
    factor * sum
}

/// With c = a − y clamped to ±`delta`: Σ c·(a − y − c / 2); da = c. Both are multiplied by `factor`.
pub(crate) fn huber<R: Real, S: Real>(a: &mut [R], y: ArrayView1<'_, S>, delta: f64, factor: f64) -> f64 {
    let mut sum = 0.0;
    for (a, y) in a.iter_mut().zip(y) {
        let error = distance(*a, *y);
        let near = error.clamp(-delta, delta);
        sum += near * (error - 0.5 * near);
        *a = R::from_f64(factor * near);
    }
    factor * sum
}

/// With s = 1 − q where a > y, −q where a < y and 1/2 − q if equal: Σ s·(a − y); da = s. Both are multiplied by
/// `factor`. The quantiles of one target are consecutive.
pub(crate) fn quantile<R: Real, S: Real>(a: &mut [R], y: ArrayView1<'_, S>, quantiles: &[f64], factor: f64) -> f64 {
    let mut sum = 0.0;
    for (a, y) in a.chunks_exact_mut(quantiles.len()).zip(y) {
        for (a, q) in a.iter_mut().zip(quantiles) {
            let error = distance(*a, *y);
            let slope = by_side(error, -q, 0.5 - q, 1.0 - q);
            sum += slope * error;
            *a = R::from_f64(factor * slope);
        }
    }
    factor * sum
}

/// a − y, rounded as the backend rounds.
fn distance<R: Real, S: Real>(a: R, y: S) -> f64 {
    (a - R::from_f64(y.as_f64())).as_f64()
}

/// Selects a value by the sign of `error`.
fn by_side(error: f64, below: f64, at: f64, above: f64) -> f64 {
    if error > 0.0 {
        above
    } else if error < 0.0 {
        below
    } else {
        at
    }
}

/// Σ max(a, 0) − a·y + ln(1 + e^−|a|); da = σ(a) − y. Both are multiplied by `factor`.
pub(crate) fn binary_cross_entropy<R: Real, S: Real>(a: &mut [R], y: ArrayView1<'_, S>, factor: f64) -> f64 {
    let scale = R::from_f64(factor);
    let mut sum = 0.0;
    for (a, y) in a.iter_mut().zip(y) {
        let (wide, y) = (a.as_f64(), y.as_f64());
        // f64::max would drop a NaN.
        let positive = if wide < 0.0 { 0.0 } else { wide };
        sum += positive - wide * y + (-wide.abs()).exp().ln_1p();
        *a = scale * (a.vector_sigmoid() - R::from_f64(y));
    }
    factor * sum
}

/// Σ y·(ln Σ e^a − a) with y = (1 − smoothing)·one-hot(class) + smoothing / O; da = softmax(a) − y. Both are multiplied
/// by `factor`.
pub(crate) fn cross_entropy<R: Real>(a: &mut [R], class: usize, smoothing: f64, factor: f64) -> f64 {
    let max = largest(a);
    let below = |a: &R| max.as_f64() - a.as_f64();
    let spread = smoothing / a.len() as f64;
    // Without smoothing, the other classes' logits need not be summed; there may be many.
    let of_all = if spread > 0.0 { spread * a.iter().map(below).sum::<f64>() } else { 0.0 };
    let of_class = (1.0 - smoothing) * below(&a[class]);
    let sum = Arch::new().dispatch(Exponentials { a: &mut *a, max });
    let over_sum = R::from_f64(factor) / sum;
    let share = R::from_f64(factor * spread);
    a.iter_mut().for_each(|e| *e = *e * over_sum - share);
    a[class] -= R::from_f64(factor * (1.0 - smoothing));
    factor * (sum.as_f64().ln() + of_class + of_all)
}

/// The largest number, ignoring NaN.
fn largest<R: Real>(a: &[R]) -> R {
    let larger = |max: R, a: R| if a > max { a } else { max };
    let (runs, rest) = a.as_chunks::<LANES>();
    let mut lanes = [R::neg_infinity(); LANES];
    for run in runs {
        lanes.iter_mut().zip(run).for_each(|(max, a)| *max = larger(*max, *a));
    }
    lanes.into_iter().chain(rest.iter().copied()).fold(R::neg_infinity(), larger)
}

/// a ← e^(a − max), and their sum, in one running sum per lane.
struct Exponentials<'a, R> {
    a: &'a mut [R],
    max: R,
}

impl<R: Real> WithSimd for Exponentials<'_, R> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> R {
        let (runs, rest) = self.a.as_chunks_mut::<LANES>();
        let mut sums = [R::zero(); LANES];
        for run in runs {
            run.iter_mut().for_each(|a| *a = (*a - self.max).vector_exp());
            sums.iter_mut().zip(&*run).for_each(|(sum, e)| *sum += *e);
        }
        rest.iter_mut().for_each(|a| *a = (*a - self.max).vector_exp());
        sums.into_iter().chain(rest.iter().copied()).sum()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn at_the_target_the_gradient_is_pytorchs_subgradient() {
        let (mut absolute, mut near, mut quantiles) = ([0.5], [0.5], [0.5, 0.5]);
        assert_eq!(absolute_error(&mut absolute, array![0.5].view(), 3.0), 0.0);
        assert_eq!(huber(&mut near, array![0.5].view(), 2.0, 3.0), 0.0);
        // Half of q − 1 and half of q, as torch.maximum(q·e, (q − 1)·e) shares a tie, with the sign of a − y.
        assert_eq!(quantile(&mut quantiles, array![0.5].view(), &[0.125, 0.5], 2.0), 0.0);
        assert_eq!((absolute, near, quantiles), ([0.0], [0.0], [0.75, 0.0]));
    }

    #[test]
    fn hubers_loss_is_continuous_in_value_and_slope_at_delta() {
        for (distance, loss, slope) in [(-2.0, 2.0, -2.0), (2.0, 2.0, 2.0), (-5.0, 8.0, -2.0), (1.0, 0.5, 1.0)] {
            let mut a = [1.0 + distance];
            assert_eq!(huber(&mut a, array![1.0].view(), 2.0, 1.0), loss);
            assert_eq!(a, [slope]);
        }
    }

    #[test]
    fn a_nan_logit_gives_a_nan_loss() {
        let y = array![0.0];
        assert!(absolute_error(&mut [f64::NAN], y.view(), 1.0).is_nan());
        assert!(huber(&mut [f64::NAN], y.view(), 1.0, 1.0).is_nan());
        assert!(quantile(&mut [f64::NAN], y.view(), &[0.5], 1.0).is_nan());
        assert!(cross_entropy(&mut [f64::NAN, 0.0], 1, 0.25, 1.0).is_nan());
    }

    #[test]
    fn a_smoothed_cross_entropy_of_enormous_logits_is_finite() {
        let mut a = [1e4, -1e4];
        assert_eq!(cross_entropy(&mut a, 1, 0.5, 1.0), 1.5e4);
        assert_eq!(a, [0.75, -0.75]);
    }
}
