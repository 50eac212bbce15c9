//! e^z, σ(z) and tanh(z) in f32, without branches and calls, so that loops over them vectorise.
//!
//! Range reduction after Cody & Waite (*Software Manual for the Elementary Functions*, 1980): z = k·ln 2 + r with
//! |r| ≤ ½·ln 2 and ln 2 split in two, so that k·ln 2 is exact; then a minimax polynomial in r. The polynomial
//! approximates e^r − 1 rather than e^r, because tanh needs its relative accuracy near 0. NaN is propagated.

/// e^r − 1 = r + r²·q(r) to 1.8e-8 relative for |r| ≤ ½·ln 2; fitted by Lawson's reweighted least squares, rounded to
/// f32.
const Q: [f32; 5] = [0.499_999_97, 0.166_665_42, 0.041_667_204, 0.008_366_647, 0.001_388_249_7];

/// ln 2 = HIGH + LOW; HIGH is 355/512, so k·HIGH is exact for every k that occurs.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// 1.5·2²³: adding it rounds to an integer, which then occupies the lowest bits.
const ROUND: f32 = 12_582_912.0;

/// Returns (2^k, p) with e^z = 2^k · (1 + p). |z| must be at most 87, or z NaN.
#[inline(always)]
fn reduce(z: f32) -> (f32, f32) {
    let shifted = z * std::f32::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (z - k * LN_2_HIGH) - k * LN_2_LOW;
    let q = Q[0] + r * (Q[1] + r * (Q[2] + r * (Q[3] + r * Q[4])));
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    (power, r + r * r * q)
}

/// e^z, clamped to the normal range: e^±87.
#[inline(always)]
pub(crate) fn exp(z: f32) -> f32 {
    let (power, p) = reduce(z.clamp(-87.0, 87.0));
    power + power * p
}

/// σ(z) = 1 / (1 + e^−z).
#[inline(always)]
pub(crate) fn sigmoid(z: f32) -> f32 {
    1.0 / (1.0 + exp(-z))
}

/// tanh(z) = −e / (e + 2) with e = e^(−2|z|) − 1, with the sign of z.
#[inline(always)]
pub(crate) fn tanh(z: f32) -> f32 {
    // From 10 on, the quotient is 1 in f32.
    let magnitude = z.abs();
    let (power, p) = reduce(-2.0 * if magnitude > 10.0 { 10.0 } else { magnitude });
    let e = power * p + (power - 1.0);
    (-e / (e + 2.0)).copysign(z)
}

#[cfg(test)]
mod tests {
    /// The largest relative error of `f` against `exact` over a sweep of |z| ≤ `limit`, dense near 0.
    fn worst(limit: f64, f: fn(f32) -> f32, exact: fn(f64) -> f64) -> f64 {
        let error = |z: f32| {
            let want = exact(f64::from(z));
            (f64::from(f(z)) - want).abs() / want.abs().max(f64::from(f32::MIN_POSITIVE))
        };
        let linear = (-400_000..=400_000).map(|k| (limit * f64::from(k) / 400_000.0) as f32);
        let fine = (0..100_000).map(|k| (10f64.powf(-30.0 + 30.0 * f64::from(k) / 100_000.0)) as f32);
        linear.chain(fine.clone()).chain(fine.map(|z| -z)).map(error).fold(0.0, f64::max)
    }

    #[test]
    fn vector_forms_are_accurate_to_2e_7() {
        let exp = worst(86.9, super::exp, f64::exp);
        let sigmoid = worst(86.9, super::sigmoid, |z| 1.0 / (1.0 + (-z).exp()));
        let tanh = worst(20.0, super::tanh, f64::tanh);
        println!("relative errors: exp {exp:e}, sigmoid {sigmoid:e}, tanh {tanh:e}");
        assert!(exp < 2e-7 && sigmoid < 2e-7 && tanh < 2e-7, "exp {exp:e}, sigmoid {sigmoid:e}, tanh {tanh:e}");
    }

    #[test]
    fn nan_stays_nan_and_infinities_saturate() {
        for f in [super::exp, super::sigmoid, super::tanh] {
            assert!(f(f32::NAN).is_nan());
        }
        assert_eq!(super::tanh(f32::INFINITY), 1.0);
        assert_eq!(super::tanh(f32::NEG_INFINITY), -1.0);
        assert_eq!(super::sigmoid(f32::INFINITY), 1.0);
        assert!(super::sigmoid(f32::NEG_INFINITY) < 1e-37);
        assert_eq!(super::tanh(-0.0).to_bits(), (-0.0f32).to_bits());
    }
}
