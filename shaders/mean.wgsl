// The mean of the last layer's output over each row's steps, and its gradient.

struct Mean {
    steps: u32,      // n, in the chunk
    rows: u32,       // B
    n4: u32,         // vec4 per row
    accumulate: u32, // 1: add to the features of the previous chunks
}

@group(0) @binding(0) var<uniform> args: Mean;
@group(0) @binding(1) var<storage, read> shares: array<f32>;           // [B], 1 / length
@group(0) @binding(2) var<storage, read_write> features: array<vec4f>; // [B, n4], backward their gradient
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;        // [n, B, n4], backward its gradient

@compute @workgroup_size(GROUP)
fn mean(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear(id, groups);
    let count = args.rows * args.n4;
    if i >= count {
        return;
    }
    // y is 0 at padding.
    var sum = vec4f();
    for (var t = 0u; t < args.steps; t++) {
        sum += y[t * count + i];
    }
    sum *= shares[i / args.n4];
    if args.accumulate != 0u {
        sum += features[i];
    }
    features[i] = sum;
}

// Also written at padding, where nothing reads it.
@compute @workgroup_size(GROUP)
fn spread(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear(id, groups);
    let count = args.rows * args.n4;
    if i >= count {
        return;
    }
    let dy = shares[i / args.n4] * features[i];
    for (var t = 0u; t < args.steps; t++) {
        y[t * count + i] = dy;
    }
}
