//! The loss of one prediction from its logits a, in a stable form, and da over them.

use ndarray::ArrayView1;

use crate::real::Real;

/// Σ (a − y)²; da = 2(a − y), both times `factor`.
pub(super) fn squared_error<R: Real>(a: &mut [R], y: ArrayView1<'_, f32>, factor: f64) -> f64 {
    let twice = R::from_wide(2.0 * factor);
    let mut sum = 0.0;
    for (a, y) in a.iter_mut().zip(y) {
        let error = *a - R::from_wide(f64::from(*y));
        sum += error.to_wide() * error.to_wide();
        *a = twice * error;
    }
    factor * sum
}

/// Σ max(a, 0) − a·y + ln(1 + e^−|a|); da = σ(a) − y, both times `factor`.
pub(super) fn binary_cross_entropy<R: Real>(a: &mut [R], y: ArrayView1<'_, f32>, factor: f64) -> f64 {
    let scale = R::from_wide(factor);
    let mut sum = 0.0;
    for (a, y) in a.iter_mut().zip(y) {
        let (wide, y) = (a.to_wide(), f64::from(*y));
        // f64::max would drop a NaN.
        let positive = if wide < 0.0 { 0.0 } else { wide };
        sum += positive - wide * y + (-wide.abs()).exp().ln_1p();
        *a = scale * (a.vector_sigmoid() - R::from_wide(y));
    }
    factor * sum
}

/// ln Σ e^a − a_class; da = softmax(a) − one-hot(class), both times `factor`.
pub(super) fn cross_entropy<R: Real>(a: &mut [R], class: usize, factor: f64) -> f64 {
    let max = a.iter().fold(R::neg_infinity(), |max, a| if *a > max { *a } else { max });
    let of_class = a[class].to_wide();
    let sum = exponentials(a, max);
    let scale = R::from_wide(factor);
    let over_sum = scale / sum;
    a.iter_mut().for_each(|e| *e *= over_sum);
    a[class] -= scale;
    factor * (max.to_wide() + sum.to_wide().ln() - of_class)
}

/// a ← e^(a − max), and their sum.
fn exponentials<R: Real>(a: &mut [R], max: R) -> R {
    pulp::Arch::new().dispatch(|| a.iter_mut().for_each(|a| *a = (*a - max).vector_exp()));
    a.iter().copied().sum()
}
