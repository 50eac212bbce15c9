// A copy of vec4 as they are stored by others: of W_hh and of states, as halves.

struct Narrow {
    count: u32, // vec4
    first: u32, // the first one in `to`
}

@group(0) @binding(0) var<uniform> args: Narrow;
@group(0) @binding(1) var<storage, read> values: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> to: array<Stored>;

@compute @workgroup_size(GROUP)
fn narrow(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear(id, groups);
    if i < args.count {
        to[args.first + i] = stored(values[i]);
    }
}
