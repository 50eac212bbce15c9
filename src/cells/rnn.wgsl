// The vanilla RNN: h_t = f(z_t). Keeps h_t, from which f' follows.

override ACTIVATION: u32 = 0u; // f: 0 tanh, 1 relu, 2 sigmoid, 3 identity

fn activate(z: vec4f) -> vec4f {
    switch ACTIVATION {
        case 0u: { return tanh_(z); }
        case 1u: { return select(z, vec4f(0.0), z <= vec4f(0.0)); }
        case 2u: { return sigmoid(z); }
        default: { return z; }
    }
}

fn d_activate(h: vec4f) -> vec4f {
    switch ACTIVATION {
        case 0u: { return d_tanh(h); }
        case 1u: { return select(vec4f(0.0), vec4f(1.0), h > vec4f(0.0)); }
        case 2u: { return d_sigmoid(h); }
        default: { return vec4f(1.0); }
    }
}

fn cell_forward(unit: ForwardInput) -> ForwardOutput {
    let h = activate(unit.sums[0]);
    return ForwardOutput(array(h), h);
}

fn cell_backward(unit: BackwardInput) -> BackwardOutput {
    return BackwardOutput(array(unit.dh * d_activate(unit.kept[0])), vec4f(0.0));
}
