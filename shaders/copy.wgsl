// Copies columns between matrices, writing zeros at padding: rows whose flag is not set, and columns beyond `columns`.
// Used to join directions, to apply lengths, and to convert between the caller's layout and the padded one.

struct Copy {
    rows: u32,
    width: u32,   // columns to write
    columns: u32, // columns to read; the rest become 0
    ld_from: u32, // numbers per row, and the first one
    from_first: u32,
    ld_to: u32,
    to_first: u32,
    masked: u32,  // 1: rows whose flag `bit` is not set become 0
    bit: u32,
}

@group(0) @binding(0) var<uniform> args: Copy;
@group(0) @binding(1) var<storage, read> flags: array<u32>;
@group(0) @binding(2) var<storage, read> src: array<$full{f32}$halves{u32}>;
@group(0) @binding(3) var<storage, read_write> dst: array<f32>;

fn number(at: u32) -> f32 {
$full{    return src[at];
}$halves{    return unpack2x16float(src[at / 2u])[at % 2u];
}}

@compute @workgroup_size(SIDE, SIDE)
fn copy(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    if id.x >= args.width {
        return;
    }
    for (var row = id.y; row < args.rows; row += groups.y * SIDE) {
        var value = 0.0;
        if id.x < args.columns && (args.masked == 0u || (flags[row] & args.bit) != 0u) {
            value = number(args.from_first + row * args.ld_from + id.x);
        }
        dst[args.to_first + row * args.ld_to + id.x] = value;
    }
}

// Clears rows whose flag is not set: the history at resets, before dW_hh reads it.
@compute @workgroup_size(SIDE, SIDE)
fn mask(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    if id.x >= args.width {
        return;
    }
    for (var row = id.y; row < args.rows; row += groups.y * SIDE) {
        if (flags[row] & args.bit) == 0u {
            dst[args.to_first + row * args.ld_to + id.x] = 0.0;
        }
    }
}
