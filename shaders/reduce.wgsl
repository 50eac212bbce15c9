// out (+)= the sum of a batch of matrices, in order: the second half of a product that was split along k.

struct Reduce {
    rows: u32,
    n4: u32,     // vec4 columns to sum
    ld: u32,     // vec4 per row of a part
    column: u32, // the first vec4 column
    parts: u32,
    stride: u32, // vec4 between consecutive parts
    ldc: u32,    // vec4 per row of out
    c_first: u32,
}

@group(0) @binding(0) var<uniform> args: Reduce;
@group(0) @binding(1) var<storage, read> parts: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;

@compute @workgroup_size(SIDE, SIDE)
fn reduce(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    if id.x >= args.n4 {
        return;
    }
    for (var row = id.y; row < args.rows; row += groups.y * SIDE) {
        var sum = vec4f(0.0);
        for (var part = 0u; part < args.parts; part++) {
            sum += parts[part * args.stride + row * args.ld + args.column + id.x];
        }
        out[args.c_first + row * args.ldc + id.x] += sum;
    }
}
