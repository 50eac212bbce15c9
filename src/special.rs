//! Special functions in f64: the terms of log-likelihoods, without the large numbers that cancel in them.

/// ln(1 + e^a).
pub(crate) fn softplus(a: f64) -> f64 {
    // f64::max would drop a NaN.
    let positive = if a < 0.0 { 0.0 } else { a };
    positive + (-a.abs()).exp().ln_1p()
}

/// σ(a), the slope of [`softplus`].
pub(crate) fn sigmoid(a: f64) -> f64 {
    1.0 / (1.0 + (-a).exp())
}

/// ½ ln 2π.
pub(crate) const HALF_LN_2PI: f64 = 0.918_938_533_204_672_8;

/// The coefficients of x^−1, x^−3, … in Stirling's series: B₂ₖ / (2k (2k − 1)).
const STIRLING: [f64; 8] = [
    1.0 / 12.0,
    -1.0 / 360.0,
    1.0 / 1260.0,
    -1.0 / 1680.0,
    1.0 / 1188.0,
    -691.0 / 360_360.0,
    1.0 / 156.0,
    -3617.0 / 122_400.0,
];

/// S(x) = ln Γ(x) − [(x − ½) ln x − x + ½ ln 2π] for x > 0, the error of Stirling's formula, and its derivative.
///
/// Likelihoods are written with S, which is small, instead of ln Γ, whose large values cancel in them (Loader 2000, *Fast
/// and Accurate Computation of Binomial Probabilities*). It is absolutely accurate to 1e-15.
pub(crate) fn stirling(x: f64) -> (f64, f64) {
    let (mut x, mut error, mut slope) = (x, 0.0, 0.0);
    while x < 10.0 {
        // S(x) − S(x + 1), from Γ(x + 1) = x Γ(x).
        let step = (1.0 / x).ln_1p();
        error += (x + 0.5) * step - 1.0;
        slope += step - (x + 0.5) / (x * (x + 1.0));
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let (mut series, mut derivative) = (0.0, 0.0);
    for (k, coefficient) in STIRLING.iter().enumerate().rev() {
        series = series * square + coefficient;
        derivative = derivative * square - (2 * k + 1) as f64 * coefficient;
    }
    (error + series / x, slope + derivative * square)
}

/// x ln(x / m) + m − x and d / m − ln(x / m), both at least 0, from d = x − m. Near x = m both are of second order in d,
/// without loss of digits (Loader 2000). `log_ratio` is ln(x / m), asked for if they are far from each other.
pub(crate) fn deviance(x: f64, m: f64, d: f64, log_ratio: impl Fn() -> f64) -> (f64, f64) {
    let v = d / (x + m);
    if v.abs() < 1.0 / 3.0 {
        // artanh v − v, where ln(x / m) = 2 artanh v.
        let (square, mut power, mut beyond, mut odd) = (v * v, v * v * v, 0.0, 3.0);
        while beyond + power / odd != beyond {
            beyond += power / odd;
            power *= square;
            odd += 2.0;
        }
        (d * v + 2.0 * x * beyond, d * v / m - 2.0 * beyond)
    } else {
        let log = log_ratio();
        // x may be 0, and its logarithm infinite.
        (if x > 0.0 { x * log - d } else { m }, d / m - log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softplus_and_its_slope_are_right_at_every_magnitude() {
        for (a, value) in [(-1e4, 0.0), (-40.0, 4.248_354_255_291_589e-18), (0.0, std::f64::consts::LN_2), (1e4, 1e4)] {
            assert!((softplus(a) - value).abs() <= 1e-15 * value, "{a}: {}", softplus(a));
        }
        for a in [-20.0, -1.0, 0.0, 0.5, 30.0] {
            let slope = (softplus(a + 1e-4) - softplus(a - 1e-4)) / 2e-4;
            assert!((sigmoid(a) - slope).abs() < 1e-8, "{a}: {slope}");
        }
        assert!(softplus(f64::NAN).is_nan());
    }

    #[test]
    fn the_error_of_stirlings_formula_and_its_slope_are_those_of_the_gamma_function() {
        // ln Γ(n) of whole numbers, and Γ(½) = √π, Γ(1/1000), from their definitions and from mpmath.
        let log_gamma = |x: f64| (x - 0.5) * x.ln() - x + HALF_LN_2PI + stirling(x).0;
        let mut factorial = 0.0;
        for n in 1..60 {
            assert!((log_gamma(f64::from(n)) - factorial).abs() < 2e-14 * (1.0 + factorial), "ln {n}!");
            factorial += f64::from(n).ln();
        }
        assert!((log_gamma(0.5) - 0.5 * std::f64::consts::PI.ln()).abs() < 1e-14);
        assert!((log_gamma(1e-3) - 6.907_178_885_383_853).abs() < 1e-13, "{}", log_gamma(1e-3));
        for x in [1e-3, 0.3, 1.0, 2.5, 9.99, 10.0, 123.0, 1e6] {
            let h = 1e-5 * x;
            let slope = (stirling(x + h).0 - stirling(x - h).0) / (2.0 * h);
            // Rounding of S over the width of the difference, and its third derivative.
            assert!((stirling(x).1 - slope).abs() < 1e-9 * slope.abs() + 1e-15 / h, "{x}: {} {slope}", stirling(x).1);
        }
    }

    #[test]
    fn the_deviance_keeps_its_digits_near_its_zero_and_agrees_with_its_formula_beyond() {
        // By series: d² / 2m − d³ / 6m² + d⁴ / 12m³, and d² / 2m² − d³ / 3m³ + d⁴ / 4m⁴.
        let (m, d) = (1e6, 0.25);
        let (of_x, of_log) = deviance(m + d, m, d, || f64::NAN);
        let v: f64 = d / m;
        assert!((of_x / (m * v * v * (0.5 - v / 6.0)) - 1.0).abs() < 1e-12);
        assert!((of_log / (v * v * (0.5 - v / 3.0)) - 1.0).abs() < 1e-12);
        for (x, m) in [(3.0f64, 2.0f64), (2.1, 1.0), (1.9, 1.0), (1.0, 5.0), (1e-5, 40.0)] {
            let log = (x / m).ln();
            let (of_x, of_log) = deviance(x, m, x - m, || log);
            let within = |got: f64, want: f64| (got - want).abs() < 1e-14 * (1.0 + want);
            assert!(within(of_x, x * log + m - x) && within(of_log, (x - m) / m - log), "{x} {m}");
        }
        assert_eq!(deviance(0.0, 3.0, -3.0, || f64::NEG_INFINITY).0, 3.0);
    }
}
