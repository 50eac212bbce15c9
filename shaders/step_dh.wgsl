// The first part of a backward step whose h is projected: the whole dh_t, stored over dy_t, where the product with W_hr reads
// it. 0 at padding, whose gradient stays in the carry. Its units are the vec4 of h.

fn units() -> u32 {
    return step.state4;
}

fn step_row(row: u32, unit: u32, item: u32, product: vec4f) {
    let carry_at = row * step.state4 + unit;
    var dh = dh_of(carry[carry_at], row, item, product);
    if now.epilogue {
        let zero = vec4f(0.0);
        if (flags_at(now.t, row) & ALIVE) != 0u {
            store_dh(row, unit, dh + dy_at(row, unit));
            dh = zero;
        } else {
            store_dh(row, unit, zero);
        }
    }
    carry[carry_at] = dh;
}

@compute @workgroup_size(GROUP_X, GROUP_Y, GROUP_Z)
fn step_dh(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) id: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    run(group, id, local);
}
