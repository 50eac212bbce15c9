// out (+)= the sum of a batch of matrices, in the batch's order: the second half of a product that was cut along k.

struct Reduce {
    count: u32,   // vec4 to write
    parts: u32,
    stride: u32,  // vec4 from one part to the next
    n4: u32,      // vec4 a row of a part
    ldc: u32,     // vec4 a row of out
    c_first: u32,
}

@group(0) @binding(0) var<uniform> args: Reduce;
@group(0) @binding(1) var<storage, read> parts: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;

@compute @workgroup_size(GROUP)
fn reduce(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear(id, groups);
    if i >= args.count {
        return;
    }
    var sum = vec4f(0.0);
    for (var part = 0u; part < args.parts; part++) {
        sum += parts[part * args.stride + i];
    }
    out[args.c_first + i / args.n4 * args.ldc + i % args.n4] += sum;
}
