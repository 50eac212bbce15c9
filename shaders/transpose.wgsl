// A transposed copy of W_hh for forward steps on a GPU, and of W_ih for tokens: neighbouring threads own neighbouring units,
// whose weights for one k, or one token, are then adjacent. A thread transposes a 4 × 4 block.

struct Transpose {
    rows4: u32,    // rows in vec4, G·h4
    columns4: u32, // columns in vec4, h4
}

@group(0) @binding(0) var<uniform> args: Transpose;
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> transposed: array<Stored>;

@compute @workgroup_size(SIDE, SIDE)
fn transpose_weights(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    if id.x >= args.rows4 {
        return;
    }
    for (var column = id.y; column < args.columns4; column += groups.y * SIDE) {
        let first = 4u * id.x * args.columns4 + column;
        let rows = mat4x4f(
            weights[first],
            weights[first + args.columns4],
            weights[first + 2u * args.columns4],
            weights[first + 3u * args.columns4],
        );
        store_transposed(rows, 4u * column * args.rows4 + id.x, args.rows4);
    }
}
