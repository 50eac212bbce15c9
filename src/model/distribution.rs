//! The distributions that a head predicts.

use crate::Loss;
use crate::special::{HALF_LN_2PI, deviance, incomplete_beta, normal_quantile, stirling};

/// A distribution of a number, as a head with the loss [`Loss::Gaussian`], [`Loss::StudentT`] or
/// [`Loss::NegativeBinomial`] predicts it: see [`Loss::distribution`].
///
/// ```
/// use bptt::{Distribution, Loss};
///
/// let y = [1.5, 2.0]; // ŷ of a target: μ and σ
/// let distribution = Loss::Gaussian.distribution(&y).unwrap();
/// assert_eq!(distribution, Distribution::Normal { mean: 1.5, deviation: 2.0 });
/// assert!((distribution.quantile(0.975) - (1.5 + 1.96 * 2.0)).abs() < 1e-3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Distribution {
    /// The normal distribution.
    Normal {
        /// μ.
        mean: f64,
        /// σ, above 0.
        deviation: f64,
    },
    /// Student's t distribution, shifted and scaled.
    StudentT {
        /// μ.
        location: f64,
        /// σ, above 0. The standard deviation is σ √(ν / (ν − 2)).
        scale: f64,
        /// ν, above 0.
        freedom: f64,
    },
    /// The negative binomial distribution of counts.
    NegativeBinomial {
        /// μ, at least 0.
        mean: f64,
        /// α, above 0: the variance is μ + αμ².
        dispersion: f64,
    },
}

impl Loss {
    /// The distribution of a target with these outputs ŷ, after [`Loss::output`]; that of counts for a unit of 1. `None`
    /// for another loss, or another number of outputs.
    pub fn distribution(&self, outputs: &[f64]) -> Option<Distribution> {
        match (self, outputs) {
            (Loss::Gaussian, &[mean, deviation]) => Some(Distribution::Normal { mean, deviation }),
            (Loss::StudentT, &[location, scale, freedom]) => Some(Distribution::StudentT { location, scale, freedom }),
            (Loss::NegativeBinomial, &[mean, dispersion]) => Some(Distribution::NegativeBinomial { mean, dispersion }),
            _ => None,
        }
    }
}

/// The skewness of counts below which their quantiles are expanded instead of searched.
const LEAST_SKEWNESS: f64 = 1e-3;

impl Distribution {
    /// The quantile `q`, above 0 and below 1: the number that a draw does not exceed with probability `q`, and of counts
    /// the least such count. Student's t by Newton's method between bounds, accurate to 1e-12; counts by a search with the
    /// exact distribution, and where their skewness is below 0.001, so that they are thousands, by its Cornish–Fisher
    /// expansion, which is right within a millionth of the standard deviation. NaN if a parameter is.
    pub fn quantile(&self, q: f64) -> f64 {
        match *self {
            Self::Normal { mean, deviation } => mean + deviation * normal_quantile(q),
            Self::StudentT { location, scale, freedom } => {
                let t = t_of_tail(q.min(1.0 - q), freedom);
                location + scale * if q < 0.5 { -t } else { t }
            }
            Self::NegativeBinomial { mean, dispersion } => count_quantile(q, mean, dispersion),
        }
    }

    /// The mean; that of Student's t exists above one degree of freedom.
    pub fn mean(&self) -> f64 {
        match *self {
            Self::Normal { mean, .. } | Self::NegativeBinomial { mean, .. } => mean,
            Self::StudentT { location, .. } => location,
        }
    }

    /// −ln p(y), with the density of a number or the probability of a count: the loss, in the units of the distribution.
    pub fn negative_log_likelihood(&self, y: f64) -> f64 {
        match *self {
            Self::Normal { mean, deviation } => HALF_LN_2PI + deviation.ln() + 0.5 * ((y - mean) / deviation).powi(2),
            Self::StudentT { location, scale, freedom } => {
                let square = ((y - location) / scale).powi(2) / freedom;
                // By the duplication of Γ, as in the loss.
                let gammas = 2.0 * stirling(0.5 * freedom).0 - stirling(freedom).0;
                HALF_LN_2PI + scale.ln() + gammas + 0.5 * (freedom + 1.0) * square.ln_1p()
            }
            Self::NegativeBinomial { mean, dispersion } => {
                let r = 1.0 / dispersion;
                if y == 0.0 {
                    return r * (dispersion * mean).ln_1p();
                }
                let (both, of_y) = (
                    deviance(y + r, mean + r, y - mean, || ((y + r) / (mean + r)).ln()).0,
                    deviance(y, mean, y - mean, || (y / mean).ln()).0,
                );
                let corrections = stirling(y).0 + stirling(r).0 - stirling(y + r).0;
                of_y - both + corrections + HALF_LN_2PI + 0.5 * (y.ln() + (dispersion * y).ln_1p())
            }
        }
    }
}

/// P(T > t) of Student's t distribution, for t of at least 0.
fn t_tail(t: f64, freedom: f64) -> f64 {
    // The ratio of the squares may overflow, and the share of the smaller one is then 0.
    let (x, y) = (1.0 / (1.0 + t * t / freedom), 1.0 / (1.0 + freedom / (t * t)));
    0.5 * incomplete_beta(0.5 * freedom, 0.5, x, y)[0]
}

/// t of at least 0 with P(T > t) = `tail`, from 0 to ½.
fn t_of_tail(tail: f64, freedom: f64) -> f64 {
    if tail.is_nan() || freedom.is_nan() || tail >= 0.5 {
        return if tail >= 0.5 && !freedom.is_nan() { 0.0 } else { f64::NAN };
    }
    // The tails are heavier than those of the normal distribution, and with 2 degrees of freedom or more lighter than
    // with 2, whose quantile is elementary.
    let mut low = -normal_quantile(tail);
    let mut high = (1.0 - 2.0 * tail) / (2.0 * tail * (1.0 - tail)).sqrt();
    while freedom < 2.0 && high < f64::MAX.sqrt() && t_tail(high, freedom) > tail {
        (low, high) = (high, 2.0 * high);
    }
    // Newton's method for ln P(T > e^s) = ln tail, which is nearly linear far out, and halving where it would leave the
    // bounds.
    let mut t = low;
    for _ in 0..200 {
        let at = t_tail(t, freedom);
        if at > tail {
            low = t
        } else {
            high = t
        }
        let density = (-Distribution::StudentT { location: 0.0, scale: 1.0, freedom }.negative_log_likelihood(t)).exp();
        let next = t * ((at / tail).ln() * at / (density * t)).exp();
        let next = if next > low && next < high { next } else { 0.5 * (low + high) };
        if (next - t).abs() <= 1e-14 * t || high - low <= 1e-15 * high {
            return next;
        }
        t = next;
    }
    t
}

/// The least count k with P(Y ≤ k) ≥ `q`.
fn count_quantile(q: f64, mean: f64, dispersion: f64) -> f64 {
    if mean.is_nan() || dispersion.is_nan() || q.is_nan() {
        return f64::NAN;
    }
    if mean <= 0.0 {
        return 0.0;
    }
    let (r, inflated) = (1.0 / dispersion, 1.0 + dispersion * mean);
    // P(Y = 0) = (1 + αμ)^−r, also where r is so small that the incomplete beta function of it has no digits.
    if q <= (-r * inflated.ln()).exp() {
        return 0.0;
    }
    let (deviation, z) = ((mean * inflated).sqrt(), normal_quantile(q));
    let skewness = (1.0 + 2.0 * dispersion * mean) / deviation;
    let excess = 6.0 * dispersion + 1.0 / (mean * inflated);
    let expanded = z + skewness * (z * z - 1.0) / 6.0 + excess * (z.powi(3) - 3.0 * z) / 24.0
        - skewness * skewness * (2.0 * z.powi(3) - 5.0 * z) / 36.0;
    // The quantile of the continuous distribution with these moments is half a count above that of the counts.
    let guess = (mean + deviation * expanded - 0.5).ceil().max(0.0);
    if skewness < LEAST_SKEWNESS {
        return guess;
    }
    let guess = if guess.is_finite() { guess } else { mean.ceil() };
    // P(Y ≤ k) = I_p(r, k + 1), with the share p = 1 / (1 + αμ) of failures.
    let reaches = |k: f64| {
        let [lower, upper] = incomplete_beta(r, k + 1.0, 1.0 / inflated, dispersion * mean / inflated);
        if q < 0.5 { lower >= q } else { upper <= 1.0 - q }
    };
    // From the guess outwards in steps that double, then by halving between `below`, which does not reach it, and `k`.
    let (mut below, mut k, mut step) = (-1.0, guess, 1.0);
    if reaches(guess) {
        while k - step >= 0.0 {
            if !reaches(k - step) {
                below = k - step;
                break;
            }
            k -= step;
            step *= 2.0;
        }
    } else {
        below = guess;
        k = guess + step;
        while !reaches(k) && k < f64::MAX / 4.0 {
            below = k;
            step *= 2.0;
            k += step;
        }
    }
    while k - below > 1.0 {
        let middle = ((k + below) / 2.0).floor();
        if middle <= below || middle >= k {
            break;
        }
        if reaches(middle) { k = middle } else { below = middle }
    }
    k
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVELS: [f64; 9] = [1e-6, 0.01, 0.1, 0.25, 0.5, 0.7, 0.9, 0.999, 1.0 - 1e-6];

    #[test]
    fn the_quantiles_of_students_t_are_those_of_mpmath() {
        // By halving with mpmath's incomplete beta function at 30 digits.
        for (q, freedom, t) in [
            (0.9, 2.0, 1.885_618_083_164_127),
            (0.975, 3.5, 2.940_088_637_982_728_8),
            (0.001, 4.0, -7.173_182_219_782_308),
            (0.6, 2.1, 0.286_954_495_767_207_6),
            (0.99, 30.0, 2.457_261_542_400_591),
            (1e-6, 2.5, -220.173_429_178_236_85),
            (0.025, 1000.0, -1.962_339_080_826_408_5),
            (0.25, 1.0, -1.0),
            (0.9, 1e5, 1.281_560_031_449_361),
            (0.5, 7.0, 0.0),
        ] {
            let got = Distribution::StudentT { location: 0.0, scale: 1.0, freedom }.quantile(q);
            assert!((got - t).abs() <= 1e-12 * f64::abs(t), "{q} {freedom}: {got} {t}");
            let shifted = Distribution::StudentT { location: 5.0, scale: 3.0, freedom }.quantile(q);
            assert!((shifted - (5.0 + 3.0 * t)).abs() <= 1e-11 * (5.0 + 3.0 * f64::abs(t)), "{q} {freedom}: {shifted}");
        }
    }

    #[test]
    fn the_quantile_of_counts_is_the_first_whose_sum_of_probabilities_reaches_it() {
        // By sums of the probabilities with mpmath at 40 digits.
        for (q, mean, dispersion, count) in [
            (0.5, 3.0, 0.5, 2.0),
            (0.9, 3.0, 0.5, 7.0),
            (0.1, 3.0, 0.5, 0.0),
            (0.99, 0.02, 2.0, 1.0),
            (0.999, 0.02, 2.0, 1.0),
            (0.5, 250.0, 0.001, 250.0),
            (0.9, 250.0, 3.0, 727.0),
            (0.001, 5000.0, 0.01, 3582.0),
            (0.75, 12345.0, 1e-05, 12424.0),
            (0.9, 1.0, 1e-06, 2.0),
        ] {
            let got = Distribution::NegativeBinomial { mean, dispersion }.quantile(q);
            assert_eq!(got, count, "{q} {mean} {dispersion}");
        }
        for mean in [0.3, 7.0, 60.0] {
            let of = Distribution::NegativeBinomial { mean, dispersion: 0.4 };
            let mut sum = 0.0;
            let mut levels = LEVELS.iter().peekable();
            for count in 0..100_000 {
                sum += (-of.negative_log_likelihood(f64::from(count))).exp();
                while let Some(q) = levels.next_if(|q| **q <= sum - 1e-12) {
                    assert_eq!(of.quantile(*q), f64::from(count), "{q} of mean {mean}");
                }
                if levels.peek().is_none() {
                    break;
                }
            }
            assert!(levels.peek().is_none(), "{mean}: the probabilities add up to {sum}");
        }
    }

    #[test]
    fn quantiles_ascend_and_are_finite_for_every_parameter_that_a_head_can_predict() {
        let sizes = [1.2e-4, 1.0, 1e4, 1e30];
        let ascends = |of: Distribution| {
            let quantiles = LEVELS.map(|q| of.quantile(q));
            assert!(quantiles.is_sorted() && quantiles.iter().all(|value| value.is_finite()), "{of:?}: {quantiles:?}");
        };
        for scale in sizes {
            ascends(Distribution::Normal { mean: -1.0, deviation: scale });
            for freedom in [2.0, 2.000_001, 5.0, 1e3, 1e8, 1e30] {
                ascends(Distribution::StudentT { location: 0.0, scale, freedom });
            }
            for mean in [0.0, 1e-40, 1e-3, 0.7, 30.0, 1e5, 1e9, 1e20] {
                ascends(Distribution::NegativeBinomial { mean, dispersion: scale });
            }
        }
        for mean in [0.7, 30.0, 1e5, 1e9] {
            ascends(Distribution::NegativeBinomial { mean, dispersion: 1e-6 });
        }
        for of in [
            Distribution::Normal { mean: f64::NAN, deviation: 1.0 },
            Distribution::StudentT { location: 0.0, scale: 1.0, freedom: f64::NAN },
            Distribution::NegativeBinomial { mean: f64::NAN, dispersion: 1.0 },
        ] {
            assert!(of.quantile(0.9).is_nan(), "{of:?}");
        }
    }

    #[test]
    fn many_counts_are_expanded_where_the_search_begins_to_be_slow() {
        // Both sides of the skewness at which one replaces the other.
        for dispersion in [1e-9, 3e-7] {
            let of = |mean: f64| Distribution::NegativeBinomial { mean, dispersion };
            for q in [0.001, 0.1, 0.5, 0.9, 0.999] {
                let steps: Vec<f64> = (0..60).map(|n| of(9e5 + 5e3 * f64::from(n)).quantile(q)).collect();
                for pair in steps.windows(2) {
                    assert!((pair[1] - pair[0] - 5e3).abs() < 15.0 + 2.0, "{dispersion} {q}: {pair:?}");
                }
            }
        }
    }
}
