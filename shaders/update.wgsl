// w ← w − η dL/dw and its variants, after PyTorch's formulas. A thread owns a vec4 of parameters, or a block of W_hh where
// it has a transposed copy. The padding of rows to whole vec4 has zero gradients and stays zero with every optimizer.

override RULE: u32 = 0u; // 0 SGD, 1 RMSprop, 2 Adam and AdamW
override MOMENTUM: bool = false;
override NESTEROV: bool = false;
override CENTERED: bool = false;

@group(0) @binding(4) var<storage, read_write> state0: array<vec4f>; // SGD: b; RMSprop: v; Adam: m
@group(0) @binding(5) var<storage, read_write> state1: array<vec4f>; // RMSprop: b or the mean of g; Adam: v
@group(0) @binding(6) var<storage, read_write> state2: array<vec4f>; // centered RMSprop with momentum: b

// a / b, but 0 for 0 / 0: a parameter that never had a gradient, with ε = 0.
fn quotient(a: vec4f, b: vec4f) -> vec4f {
    return select(a / b, vec4f(0.0), a == vec4f(0.0));
}

// Updates vec4 i, and returns it.
fn updated(i: u32) -> vec4f {
    let rate = learning_rate();
    var g = gradient(i);
    var w = parameters[i] * args.shrink;
    g += weight_decay() * w;
    switch RULE {
        case 0u: {
            if MOMENTUM {
                let b = args.momentum * state0[i] + status.fresh * g;
                state0[i] = b;
                g = select(b, g + args.momentum * b, NESTEROV);
            }
            w -= rate * g;
        }
        case 1u: {
            let v = args.alpha * state0[i] + args.one_minus_alpha * g * g;
            state0[i] = v;
            var variance = v;
            if CENTERED {
                let mean = args.alpha * state1[i] + args.one_minus_alpha * g;
                state1[i] = mean;
                // Rounding can make it negative.
                variance = max(variance - mean * mean, vec4f(0.0));
            }
            var change = quotient(g, sqrt(variance) + args.eps);
            if MOMENTUM && CENTERED {
                change += args.momentum * state2[i];
                state2[i] = change;
            } else if MOMENTUM {
                change += args.momentum * state1[i];
                state1[i] = change;
            }
            w -= rate * change;
        }
        default: {
            let m = args.momentum * state0[i] + args.one_minus_momentum * g;
            let v = args.alpha * state1[i] + args.one_minus_alpha * g * g;
            state0[i] = m;
            state1[i] = v;
            w -= quotient(rate * m, sqrt(v) / status.root_bias2 + args.eps);
        }
    }
    parameters[i] = w;
    return w;
}

@compute @workgroup_size(GROUP)
fn update(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear(id, groups);
    if !is_skipped(i) {
        updated(i);
    }
}
