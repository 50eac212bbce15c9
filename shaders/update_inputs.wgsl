// What every optimizer reads: those of this crate, and those of a caller, whose state values are at the bindings from 4 on.

@group(0) @binding(0) var<uniform> args: Update;
@group(0) @binding(1) var<storage, read> gradients: array<vec4f>; // sums
@group(0) @binding(2) var<storage, read> status: Status;
@group(0) @binding(3) var<storage, read_write> parameters: array<vec4f>;

// Whether vec4 i lies beyond the parameters, or this step changes nothing because its loss or gradient norm is not finite.
fn is_skipped(i: u32) -> bool {
    return i >= args.count || status.bad_in_row != 0u;
}

// The gradient of vec4 i: divided, and clipped by norm and by value. Without weight decay.
fn gradient(i: u32) -> vec4f {
    var g = gradients[i] * status.scale;
    if args.clip_value > 0.0 {
        g = clamp(g, vec4f(-args.clip_value), vec4f(args.clip_value));
    }
    return g;
}

// η of this step, times the factor of the parameter group.
fn learning_rate() -> f32 {
    return status.rate * args.rate_factor;
}

// λ, of the parameter group if it has its own. AdamW's is not in here.
fn weight_decay() -> f32 {
    return args.decay;
}

// The number of updates that were made, with this one: the t of a bias correction.
fn updates() -> u32 {
    return args.updates - (status.skipped - args.known);
}
