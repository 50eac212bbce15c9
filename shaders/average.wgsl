// The exponential moving average of the parameters. A thread owns a vec4.

struct Average {
    count: u32, // vec4 parameters
}

@group(0) @binding(0) var<uniform> args: Average;
@group(0) @binding(1) var<storage, read> status: Status;
@group(0) @binding(2) var<storage, read_write> parameters: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> averaged: array<vec4f>;

// After an update.
@compute @workgroup_size(GROUP)
fn average(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear(id, groups);
    if i >= args.count || status.bad_in_row != 0u {
        return;
    }
    let w = parameters[i];
    let a = averaged[i];
    averaged[i] = select(a + status.average * (w - a), w, status.average == 1.0);
}

// Puts each in the place of the other.
@compute @workgroup_size(GROUP)
fn exchange(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear(id, groups);
    if i >= args.count {
        return;
    }
    let w = parameters[i];
    parameters[i] = averaged[i];
    averaged[i] = w;
}
