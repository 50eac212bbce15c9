// Token input: the product with one-hot rows, without the product. Token ids come from data.

struct Tokens {
    rows: u32, // T·B of the chunk; for the gradient, the vocabulary
    n4: u32,   // vec4 over all gates
    ldz: u32,  // vec4 per row of z
    ldw: u32,  // numbers per row of W_ih
}

override TRANSPOSED_W: bool = false; // w_ih is W_ih transposed, in which the numbers of a token are adjacent

@group(0) @binding(0) var<uniform> args: Tokens;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;      // [n, B]
@group(0) @binding(2) var<storage, read> w_ih: array<vec4f>;      // [4·n4, ldw], or [ldw, 4·n4]
@group(0) @binding(3) var<storage, read> b_ih: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> z: array<Stored>;  // [n, B, ldz]
@group(0) @binding(5) var<storage, read> starts: array<u32>;      // where each token's rows begin in `order`
@group(0) @binding(6) var<storage, read> order: array<u32>;       // rows of the chunk, sorted by token
@group(0) @binding(7) var<storage, read> dz: array<Stored>;       // [n, B, ldz]
@group(0) @binding(8) var<storage, read_write> dw_ih: array<f32>; // [4·n4, ldw]

// z_t = the token's column of W_ih + b_ih.
@compute @workgroup_size(SIDE, SIDE)
fn gather(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let n = id.x;
    if n >= args.n4 {
        return;
    }
    for (var row = id.y; row < args.rows; row += groups.y * SIDE) {
        z[row * args.ldz + n] = stored(column(tokens[row], n) + b_ih[n]);
    }
}

// 4 rows of a token's column.
fn column(token: u32, n: u32) -> vec4f {
    if TRANSPOSED_W {
        return w_ih[token * args.n4 + n];
    }
    let at = 4u * n * (args.ldw / 4u) + token / 4u;
    let in_vec4 = token % 4u;
    return vec4f(
        w_ih[at][in_vec4],
        w_ih[at + args.ldw / 4u][in_vec4],
        w_ih[at + args.ldw / 2u][in_vec4],
        w_ih[at + 3u * (args.ldw / 4u)][in_vec4],
    );
}

// Adds to each column of dW_ih the dz of all steps with this token, in row order.
@compute @workgroup_size(SIDE, SIDE)
fn scatter(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let n = id.x;
    if n >= args.n4 {
        return;
    }
    for (var token = id.y; token < args.rows; token += groups.y * SIDE) {
        var sum = vec4f(0.0);
        for (var p = starts[token]; p < starts[token + 1u]; p++) {
            sum += loaded(dz[order[p] * args.ldz + n]);
        }
        sum = unscaled(sum);
        for (var j = 0u; j < 4u; j++) {
            dw_ih[(4u * n + j) * args.ldw + token] += sum[j];
        }
    }
}
