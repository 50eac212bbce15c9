// Activations and their derivatives, for all cells. Derivatives are computed from the output.

// Some drivers return NaN for large arguments and WGSL leaves infinities undefined, so arguments are clamped where the
// result no longer changes in f32. `select` propagates NaN, which `clamp` need not.
fn sigmoid(z: vec4f) -> vec4f {
    return 1.0 / (1.0 + exp(-select(z, vec4f(-80.0), z < vec4f(-80.0))));
}

fn d_sigmoid(s: vec4f) -> vec4f {
    return s * (1.0 - s);
}

// Near 0, drivers compute tanh from a difference of exponentials, which loses most digits. Use the Taylor series there,
// accurate to 1e-8.
fn tanh_(z: vec4f) -> vec4f {
    let far = tanh(select(z, sign(z) * 15.0, abs(z) > vec4f(15.0)));
    let t = z * z;
    let near = z * (1.0 + t * (-1.0 / 3.0 + t * (2.0 / 15.0 + t * (-17.0 / 315.0 + t * (62.0 / 2835.0)))));
    return select(far, near, abs(z) < vec4f(0.25));
}

fn d_tanh(y: vec4f) -> vec4f {
    return 1.0 - y * y;
}
