// Embedding lookup and its gradient. Token ids come from data.

struct Embedding {
    rows: u32, // T·B of the chunk; for the gradient, the vocabulary
    n4: u32,   // vec4 per vector
}

const ALIVE = 1u; // the flag of a step within its row's length

@group(0) @binding(0) var<uniform> args: Embedding;
@group(0) @binding(1) var<storage, read> flags: array<u32>;             // [n, B]
@group(0) @binding(2) var<storage, read> tokens: array<u32>;            // [n, B]
@group(0) @binding(3) var<storage, read> vectors: array<vec4f>;         // [V, n4]
@group(0) @binding(4) var<storage, read_write> x: array<vec4f>;         // [n, B, n4]
@group(0) @binding(5) var<storage, read> starts: array<u32>;            // where each token's rows begin in `order`
@group(0) @binding(6) var<storage, read> order: array<u32>;             // rows of the chunk, sorted by token
@group(0) @binding(7) var<storage, read> dx: array<vec4f>;              // [n, B, n4]
@group(0) @binding(8) var<storage, read_write> d_vectors: array<vec4f>; // [V, n4]

// x_t = the token's vector, 0 at padding.
@compute @workgroup_size(SIDE, SIDE)
fn embed(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let n = id.x;
    if n >= args.n4 {
        return;
    }
    for (var row = id.y; row < args.rows; row += groups.y * SIDE) {
        var vector = vec4f();
        if (flags[row] & ALIVE) != 0u {
            vector = vectors[tokens[row] * args.n4 + n];
        }
        x[row * args.n4 + n] = vector;
    }
}

// Adds to each vector's gradient the dx of all steps with this token, in row order.
@compute @workgroup_size(SIDE, SIDE)
fn embed_backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let n = id.x;
    if n >= args.n4 {
        return;
    }
    for (var token = id.y; token < args.rows; token += groups.y * SIDE) {
        var sum = vec4f();
        for (var p = starts[token]; p < starts[token + 1u]; p++) {
            sum += dx[order[p] * args.n4 + n];
        }
        d_vectors[token * args.n4 + n] += sum;
    }
}
