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

/// ln Γ(a + b) − ln Γ(a) − ln Γ(b) + a ln x + b ln y for x + y = 1, without the large terms, which cancel.
fn log_beta_kernel(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let n = a + b;
    // a − nx, and the opposite of b − ny.
    let d = a * y - b * x;
    let term = |k: f64, p: f64, d: f64| deviance(k, n * p, d, || (k / n).ln() - p.ln()).0;
    let corrections = stirling(n).0 - stirling(a).0 - stirling(b).0;
    corrections + 0.5 * (a.ln() + (b / n).ln()) - HALF_LN_2PI - term(a, x, d) - term(b, y, -d)
}

/// The most terms of the continued fraction of [`incomplete_beta`]; it needs about √max(a, b) of them.
const MOST_TERMS: usize = 20_000;

/// I_x(a, b), the regularised incomplete beta function, and 1 − I_x(a, b), for y = 1 − x: by the continued fraction of
/// DLMF 8.17.22, evaluated from its beginning (Lentz's method), on the side on which it converges fast. Both have a small
/// relative error, however small they are.
pub(crate) fn incomplete_beta(a: f64, b: f64, x: f64, y: f64) -> [f64; 2] {
    if x.is_nan() || y.is_nan() || a.is_nan() || b.is_nan() {
        return [f64::NAN; 2];
    }
    if x <= 0.0 || y <= 0.0 {
        return if x <= 0.0 { [0.0, 1.0] } else { [1.0, 0.0] };
    }
    if x * (b + 1.0) > (a + 1.0) * y {
        let [upper, lower] = incomplete_beta_fraction(b, a, y, x);
        return [lower, upper];
    }
    incomplete_beta_fraction(a, b, x, y)
}

fn incomplete_beta_fraction(a: f64, b: f64, x: f64, y: f64) -> [f64; 2] {
    // Lentz's method, with 1 / D and C kept away from 0.
    let away = |value: f64| if value.abs() < f64::MIN_POSITIVE { f64::MIN_POSITIVE } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..MOST_TERMS {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut factor = 1.0;
        for coefficient in [even, odd] {
            d = 1.0 / away(1.0 + coefficient * d);
            c = away(1.0 + coefficient / c);
            factor = c * d;
            fraction *= factor;
        }
        if (factor - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    let lower = (log_beta_kernel(a, b, x, y).exp() / a * fraction).clamp(0.0, 1.0);
    [lower, 1.0 - lower]
}

/// z with Φ(z) = `q`, the quantile of the standard normal distribution: Wichura 1988, algorithm AS 241, accurate to 1e-16.
pub(crate) fn normal_quantile(q: f64) -> f64 {
    let ratio = |r: f64, of: [[f64; 8]; 2]| {
        let [top, bottom] = of.map(|of| of.iter().rev().fold(0.0, |sum, coefficient| sum * r + coefficient));
        top / bottom
    };
    let centred = q - 0.5;
    if centred.abs() <= 0.425 {
        return centred * ratio(0.180_625 - centred * centred, AS_241[0]);
    }
    let r = (-q.min(1.0 - q).ln()).sqrt();
    let z = if r <= 5.0 { ratio(r - 1.6, AS_241[1]) } else { ratio(r - 5.0, AS_241[2]) };
    z.copysign(centred)
}

/// The numerators and denominators of AS 241, by ascending powers: near the middle, and for two ranges of the tails.
const AS_241: [[[f64; 8]; 2]; 3] = [
    [
        [
            3.387_132_872_796_366_5,
            133.141_667_891_784_38,
            1_971.590_950_306_551_3,
            13_731.693_765_509_46,
            45_921.953_931_549_87,
            67_265.770_927_008_7,
            33_430.575_583_588_13,
            2_509.080_928_730_122_7,
        ],
        [
            1.0,
            42.313_330_701_600_91,
            687.187_007_492_057_9,
            5_394.196_021_424_751,
            21_213.794_301_586_597,
            39_307.895_800_092_71,
            28_729.085_735_721_943,
            5_226.495_278_852_854,
        ],
    ],
    [
        [
            1.423_437_110_749_683_5,
            4.630_337_846_156_546,
            5.769_497_221_460_691,
            3.647_848_324_763_204_5,
            1.270_458_252_452_368_4,
            0.241_780_725_177_450_6,
            0.022_723_844_989_269_184,
            7.745_450_142_783_414e-4,
        ],
        [
            1.0,
            2.053_191_626_637_759,
            1.676_384_830_183_803_8,
            0.689_767_334_985_1,
            0.148_103_976_427_480_08,
            0.015_198_666_563_616_457,
            5.475_938_084_995_345e-4,
            1.050_750_071_644_416_9e-9,
        ],
    ],
    [
        [
            6.657_904_643_501_103,
            5.463_784_911_164_114,
            1.784_826_539_917_291_3,
            0.296_560_571_828_504_87,
            0.026_532_189_526_576_124,
            0.001_242_660_947_388_078_4,
            2.711_555_568_743_487_6e-5,
            2.010_334_399_292_288e-7,
        ],
        [
            1.0,
            0.599_832_206_555_888,
            0.136_929_880_922_735_8,
            0.014_875_361_290_850_615,
            7.868_691_311_456_133e-4,
            1.846_318_317_510_054_8e-5,
            1.421_511_758_316_446e-7,
            2.044_263_103_389_939_8e-15,
        ],
    ],
];

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

    #[test]
    fn the_quantiles_of_the_normal_distribution_are_those_of_mpmath() {
        for (q, z) in [
            (0.5, 0.0),
            (0.9, 1.281_551_565_544_600_4),
            (0.025, -1.959_963_984_540_054_2),
            (0.08, -1.405_071_560_309_632_7),
            (1e-6, -4.753_424_308_822_899),
            (1e-15, -7.941_345_326_170_997),
            (1e-300, -37.047_096_299_361_2),
        ] {
            assert!((normal_quantile(q) - z).abs() <= 1e-14 * f64::abs(z), "{q}: {}", normal_quantile(q));
        }
        assert!(normal_quantile(f64::NAN).is_nan());
    }

    #[test]
    fn the_incomplete_beta_function_is_that_of_mpmath_on_both_sides_and_far_out() {
        for (a, b, x, lower) in INCOMPLETE_BETA {
            let [got, upper] = incomplete_beta(a, b, x, 1.0 - x);
            assert!((got - lower).abs() <= 2e-12 * lower, "{a} {b} {x}: {got} {lower}");
            assert!((upper - (1.0 - lower)).abs() <= 2e-12, "{a} {b} {x}: {upper}");
        }
        assert_eq!(
            (incomplete_beta(2.0, 3.0, 0.0, 1.0), incomplete_beta(2.0, 3.0, 1.0, 0.0)),
            ([0.0, 1.0], [1.0, 0.0])
        );
    }

    /// a, b, x and I_x(a, b) by mpmath's `betainc` with 50 digits.
    const INCOMPLETE_BETA: [(f64, f64, f64, f64); 11] = [
        (0.5, 0.5, 0.25, 0.3333333333333333),
        (2.0, 3.0, 0.7, 0.9163),
        (1.5, 0.5, 0.01, 0.00042569328657789254),
        (0.001, 2.0, 0.3, 0.9994959094063246),
        (200.0, 1.0, 0.99, 0.13397967485796172),
        (1000.0, 1500.0, 0.42, 0.9789918480886111),
        (100000.0, 200000.0, 0.33, 5.24278181847812e-05),
        (3.0, 1000000.0, 1e-05, 0.9972307404818526),
        (30.0, 0.5, 0.001, 1.0262784370021768e-91),
        (0.25, 4000.0, 0.0001, 0.8143254703456251),
        (1000000.0, 50.0, 0.99996, 0.9296255265939377),
    ];
}
