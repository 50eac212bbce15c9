//! The negative log-likelihood of a target from the logits of its distribution, and its gradient in place of the logits.
//! `shaders/likelihood.wgsl` has the same formulas.

use ndarray::ArrayView1;

use crate::model::likelihood::{LEAST_DISPERSION, LEAST_FREEDOM, LEAST_SCALE};
use crate::real::Real;
use crate::special::{HALF_LN_2PI, deviance, sigmoid, softplus, stirling};

/// Σ −ln p(y) of normal distributions; see [`Loss::Gaussian`](crate::Loss::Gaussian). Loss and gradient are multiplied by
/// `factor`.
pub(crate) fn gaussian<R: Real, S: Real>(a: &mut [R], y: ArrayView1<'_, S>, factor: f64) -> f64 {
    per_target(a, y.iter(), factor, |[location, scale], y| {
        let sigma = softplus(scale) + LEAST_SCALE;
        let z = (location - y.as_f64()) / sigma;
        let loss = HALF_LN_2PI + sigma.ln() + 0.5 * z * z;
        (loss, [z / sigma, sigmoid(scale) * (1.0 - z * z) / sigma])
    })
}

/// The same of Student's t distributions; see [`Loss::StudentT`](crate::Loss::StudentT).
pub(crate) fn student_t<R: Real, S: Real>(a: &mut [R], y: ArrayView1<'_, S>, factor: f64) -> f64 {
    per_target(a, y.iter(), factor, |[location, scale, freedom], y| {
        let sigma = softplus(scale) + LEAST_SCALE;
        let nu = softplus(freedom) + LEAST_FREEDOM;
        let z = (location - y.as_f64()) / sigma;
        let square = z * z / nu;
        // ν z² / (ν + z²), over ν.
        let share = square / (1.0 + square);
        // By Γ(x) Γ(x + ½) = 2^(1 − 2x) √π Γ(2x), the Γ of the density are ½ ln(ν / 2π) and these.
        let ((whole, d_whole), (half, d_half)) = (stirling(nu), stirling(0.5 * nu));
        let log = square.ln_1p();
        let loss = HALF_LN_2PI + sigma.ln() + 2.0 * half - whole + 0.5 * (nu + 1.0) * log;
        let d_location = (nu + 1.0) * z / (nu * (1.0 + square) * sigma);
        let d_sigma = (1.0 - (nu + 1.0) * share) / sigma;
        let d_nu = d_half - d_whole + 0.5 * (log - (1.0 + 1.0 / nu) * share);
        (loss, [d_location, sigmoid(scale) * d_sigma, sigmoid(freedom) * d_nu])
    })
}

/// The same of negative binomial distributions of counts, each followed by its unit; see
/// [`Loss::NegativeBinomial`](crate::Loss::NegativeBinomial).
pub(crate) fn negative_binomial<R: Real, S: Real>(a: &mut [R], y: ArrayView1<'_, S>, factor: f64) -> f64 {
    let pairs = y.iter().step_by(2).zip(y.iter().skip(1).step_by(2));
    per_target(a, pairs, factor, |[mean, dispersion], (y, unit)| {
        let (y, unit, root) = (y.as_f64(), unit.as_f64(), unit.as_f64().sqrt());
        let mu = unit * softplus(mean);
        let alpha = (softplus(dispersion) + LEAST_DISPERSION) / root;
        let r = 1.0 / alpha;
        // σ(a) / softplus(a), and ln μ: μ itself underflows. The error of both is e^a / 2.
        let tiny = mean < -40.0;
        let relative_slope = if tiny { 1.0 } else { sigmoid(mean) / softplus(mean) };
        let log_mu = || if tiny { unit.ln() + mean } else { mu.ln() };
        // With S for ln Γ, the terms of first order in y − μ cancel, and so do the largest in r:
        // D(y, μ) − D(y + r, μ + r) + S(y) + S(r) − S(y + r) + ½ ln 2πy + ½ ln(1 + αy).
        let error = y - mu;
        let (both, of_log) = deviance(y + r, mu + r, error, || ((y + r) / (mu + r)).ln());
        let ((_, d_r), (_, d_sum)) = (stirling(r), stirling(y + r));
        let loss = if y > 0.0 {
            let (of_y, _) = deviance(y, mu, error, || y.ln() - log_mu());
            let corrections = stirling(y).0 + stirling(r).0 - stirling(y + r).0;
            of_y - both + corrections + HALF_LN_2PI + 0.5 * (y.ln() + (alpha * y).ln_1p())
        } else {
            r * (alpha * mu).ln_1p()
        };
        let d_alpha = 0.5 * y / (1.0 + alpha * y) - r * r * (of_log + d_r - d_sum);
        (loss, [-error / (1.0 + alpha * mu) * relative_slope, sigmoid(dispersion) * d_alpha / root])
    })
}

/// Adds up the losses of all targets, with the logits of each overwritten by their gradient.
fn per_target<const P: usize, R: Real, Y>(
    a: &mut [R],
    targets: impl Iterator<Item = Y>,
    factor: f64,
    of: impl Fn([f64; P], Y) -> (f64, [f64; P]),
) -> f64 {
    let mut sum = 0.0;
    for (a, y) in a.as_chunks_mut::<P>().0.iter_mut().zip(targets) {
        let (loss, da) = of(a.map(R::as_f64), y);
        sum += loss;
        *a = da.map(|da| R::from_f64(factor * da));
    }
    factor * sum
}
