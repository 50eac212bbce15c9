// Applies dropout masks to rows of vec4: the output of a layer, the h that enters the first product of a chunk, and in
// the backward pass the gradient of the former and the history of the latter.

struct Dropout {
    rows: u32,            // time steps × B
    width: u32,           // vec4 per row to process
    ld_from: u32,         // vec4 per row, and the first one
    from_first: u32,
    ld_to: u32,
    to_first: u32,
    bit: u32,             // rows without this flag become 0; 0: no such rows
    batch: u32,           // B
    state4: u32,          // vec4 per (layer, direction)
    layer_direction: u32, // the (layer, direction) of the first vec4; others follow
    t: u32,               // the first row's step in the sequence
    recurrent: u32,       // 1: recurrent masks, the same at every step
}

@group(0) @binding(0) var<uniform> args: Dropout;
@group(0) @binding(1) var<storage, read> flags: array<u32>;
@group(0) @binding(2) var<storage, read> src: array<Stored>;
@group(0) @binding(3) var<storage, read_write> dst: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> masked: array<Stored>;

fn stands(row: u32) -> bool {
    return args.bit == 0u || (flags[row] & args.bit) != 0u;
}

fn factors(row: u32, column: u32) -> vec4f {
    let group = column % args.state4;
    let layer_direction = args.layer_direction + column / args.state4;
    if args.recurrent != 0u {
        return select(vec4f(0.0), vec4f(params.recurrent_scale), recurrent(group, row % args.batch, layer_direction));
    }
    return between(group, args.t + row / args.batch, row % args.batch, layer_direction);
}

@compute @workgroup_size(SIDE, SIDE)
fn drop_to(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    if id.x >= args.width {
        return;
    }
    for (var row = id.y; row < args.rows; row += groups.y * SIDE) {
        var value = vec4f(0.0);
        if stands(row) {
            value = loaded(src[args.from_first + row * args.ld_from + id.x]) * factors(row, id.x);
        }
        dst[args.to_first + row * args.ld_to + id.x] = value;
    }
}

@compute @workgroup_size(SIDE, SIDE)
fn drop_in(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    if id.x >= args.width {
        return;
    }
    for (var row = id.y; row < args.rows; row += groups.y * SIDE) {
        let at = args.to_first + row * args.ld_to + id.x;
        masked[at] = stored(select(vec4f(0.0), loaded(masked[at]) * factors(row, id.x), stands(row)));
    }
}
