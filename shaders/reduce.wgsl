// Adds sums over parts to gradients: the second half of products and column sums that are split. A dispatch takes up to 4
// blocks of consecutive vec4, each with its own parts, which are added in their order.

struct Reduce {
    begin: vec4u,  // the first vec4 of each block among those of the dispatch; where there is no block, `count`
    scratch: vec4u,  // where its first part begins in `parts`
    stride: vec4u, // vec4 between consecutive parts
    parts: vec4u,  // their number
    to: vec4u,     // where its sum is added in `out`
    count: u32,    // vec4 of all blocks
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
    let begun = select(vec4u(0u), vec4u(1u), vec4u(i) >= args.begin);
    let block = begun.y + begun.z + begun.w;
    let place = i - args.begin[block];
    var at = args.scratch[block] + place;
    var sum = vec4f(0.0);
    for (var part = 0u; part < args.parts[block]; part++) {
        sum += parts[at];
        at += args.stride[block];
    }
    out[args.to[block] + place] += sum;
}
