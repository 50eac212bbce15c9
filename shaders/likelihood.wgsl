// The negative log-likelihood of a target from the logits of its distribution, and the gradient of the logits. The
// formulas are those of src/cpu/kernels/likelihood.rs, with series for f32.

struct Likelihood {
    loss: f32,
    da: vec3f, // of a₁, a₂, a₃
}

const HALF_LN_2PI: f32 = 0.91893853;
const LEAST_SCALE: f32 = 1.0 / 8192.0;
const LEAST_FREEDOM: f32 = 2.0;
const LEAST_DISPERSION: f32 = 1.0 / 1048576.0;

// log(1 + e) for e from −1/9 to 1: twice the series of artanh at e / (2 + e), accurate to 2e-8. Computing 1 + e would
// round e away.
fn log_1p(e: f32) -> f32 {
    let s = e / (2.0 + e);
    let t = s * s;
    let series = 1.0 / 5.0 + t * (1.0 / 7.0 + t * (1.0 / 9.0 + t * (1.0 / 11.0 + t * (1.0 / 13.0))));
    return 2.0 * s * (1.0 + t * (1.0 / 3.0 + t * series));
}

// log(1 + e) for every e of at least 0.
fn log_1p_of_any(e: f32) -> f32 {
    return select(log_1p(min(e, 1.0)), log(1.0 + e), !(e <= 1.0));
}

// log(1 + e^a), and its slope σ(a).
fn softplus(a: f32) -> vec2f {
    let e = exp(-abs(a));
    return vec2f(select(0.0, a, !(a < 0.0)) + log_1p(e), select(e, 1.0, a >= 0.0) / (1.0 + e));
}

// S(x) − S(x + 1) of `stirling`, and the derivative.
fn stirling_step(x: f32) -> vec2f {
    let log = log_1p_of_any(1.0 / x);
    return vec2f((x + 0.5) * log - 1.0, log - (x + 0.5) / (x * (x + 1.0)));
}

// S(x) = log Γ(x) − [(x − ½) log x − x + ½ log 2π] for x > 0, and its derivative. From 4 on, the first terms left out of
// the series are 3e-9 and 7e-9; below, four steps come before it.
fn stirling(of_x: f32) -> vec2f {
    var x = of_x;
    var sum = vec2f();
    if x < 4.0 {
        sum = stirling_step(x) + stirling_step(x + 1.0) + stirling_step(x + 2.0) + stirling_step(x + 3.0);
        x += 4.0;
    }
    let i = 1.0 / x;
    let t = i * i;
    let value = i * (1.0 / 12.0 - t * (1.0 / 360.0 - t * (1.0 / 1260.0 - t * (1.0 / 1680.0))));
    let slope = -t * (1.0 / 12.0 - t * (1.0 / 120.0 - t * (1.0 / 252.0 - t * (1.0 / 240.0))));
    return sum + vec2f(value, slope);
}

// x log(x / m) + m − x and d / m − log(x / m), both at least 0, from d = x − m and log_ratio = log(x / m). Where x and m
// are within a factor of 2 they come from artanh v − v with v = d / (x + m), accurate to 1e-8, and keep their digits
// near 0.
fn deviance(x: f32, m: f32, d: f32, log_ratio: f32) -> vec2f {
    let v = d / (x + m);
    if abs(v) < 1.0 / 3.0 {
        let t = v * v;
        let series = 1.0 / 7.0 + t * (1.0 / 9.0 + t * (1.0 / 11.0 + t * (1.0 / 13.0 + t * (1.0 / 15.0))));
        let beyond = v * t * (1.0 / 3.0 + t * (1.0 / 5.0 + t * series));
        return vec2f(d * v + 2.0 * x * beyond, d * v / m - 2.0 * beyond);
    }
    return vec2f(x * log_ratio - d, d / m - log_ratio);
}

fn gaussian(y: f32, a: vec2f) -> Likelihood {
    let scale = softplus(a.y);
    let sigma = scale.x + LEAST_SCALE;
    let z = (a.x - y) / sigma;
    return Likelihood(HALF_LN_2PI + log(sigma) + 0.5 * z * z, vec3f(z / sigma, scale.y * (1.0 - z * z) / sigma, 0.0));
}

fn student_t(y: f32, a: vec3f) -> Likelihood {
    let scale = softplus(a.y);
    let sigma = scale.x + LEAST_SCALE;
    let freedom = softplus(a.z);
    let nu = freedom.x + LEAST_FREEDOM;
    let z = (a.x - y) / sigma;
    let square = z * z / nu;
    let share = square / (1.0 + square);
    let whole = stirling(nu);
    let half = stirling(0.5 * nu);
    let log_square = log_1p_of_any(square);
    let loss = HALF_LN_2PI + log(sigma) + 2.0 * half.x - whole.x + 0.5 * (nu + 1.0) * log_square;
    let d_sigma = (1.0 - (nu + 1.0) * share) / sigma;
    let d_nu = half.y - whole.y + 0.5 * (log_square - (1.0 + 1.0 / nu) * share);
    let d_location = (nu + 1.0) * z / (nu * (1.0 + square) * sigma);
    return Likelihood(loss, vec3f(d_location, scale.y * d_sigma, freedom.y * d_nu));
}

// `unit` is that of the count y.
fn negative_binomial(y: f32, unit: f32, a: vec2f) -> Likelihood {
    let root = sqrt(unit);
    let mean = softplus(a.x);
    let mu = unit * mean.x;
    let dispersion = softplus(a.y);
    let alpha = (dispersion.x + LEAST_DISPERSION) / root;
    let r = 1.0 / alpha;
    // σ(a) / softplus(a), and log(y / μ): μ itself underflows. The error of both is e^a / 2.
    let tiny = a.x < -20.0;
    let relative_slope = select(mean.y / mean.x, 1.0, tiny);
    let log_ratio = select(log(y / mu), log(y) - log(unit) - a.x, tiny);
    let error = y - mu;
    let both = deviance(y + r, mu + r, error, log((y + r) / (mu + r)));
    let of_r = stirling(r);
    let of_sum = stirling(y + r);
    var loss = r * log_1p_of_any(alpha * mu);
    if y > 0.0 {
        let corrections = stirling(y).x + of_r.x - of_sum.x;
        let roots = 0.5 * (log(y) + log_1p_of_any(alpha * y));
        loss = deviance(y, mu, error, log_ratio).x - both.x + corrections + HALF_LN_2PI + roots;
    }
    let d_alpha = 0.5 * y / (1.0 + alpha * y) - r * (r * both.y) - r * (r * of_r.y) + r * (r * of_sum.y);
    let d_mean = -error / (1.0 + alpha * mu) * relative_slope;
    return Likelihood(loss, vec3f(d_mean, dispersion.y * d_alpha / root, 0.0));
}
