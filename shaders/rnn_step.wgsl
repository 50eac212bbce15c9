// The vanilla RNN, one time step: h_t = f(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh). z holds the input's part on entry.

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn rnn_forward(@builtin(global_invocation_id) id: vec3u) {
    let unit = id.x;
    let first = id.y * 4u;
    if unit >= step.h4 || first >= step.batch {
        return;
    }
    let rows = tile_rows(first);
    var product = mat4x4f();
    for (var k = 0u; k < step.h4; k++) {
        product += w_tile(0u, unit, k) * h_tile(rows, k);
    }
    let bias = b_hh[unit];
    // sigmoid(0) is not 0: the units beyond H are held at 0 by hand.
    let real = 4u * unit + vec4u(0u, 1u, 2u, 3u) < vec4u(step.hidden);
    for (var i = 0u; i < 4u && first + i < step.batch; i++) {
        let row = first + i;
        var h_t = h[slot_at(step.slot_in, row, unit)];
        if flag(step.t, row, ALIVE) {
            let recurrent = select(vec4f(0.0), product[i], flag(step.t, row, step.keep));
            h_t = select(vec4f(0.0), activate(z[z_at(row, unit)] + recurrent + bias), real);
        }
        h[slot_at(step.slot_out, row, unit)] = h_t;
    }
}

// dz_t = (dy_t + dz_{t+1} W_hh) ∘ f'(h_t), written over z.
@compute @workgroup_size(GROUP_X, GROUP_Y)
fn rnn_backward(@builtin(global_invocation_id) id: vec3u) {
    let unit = id.x;
    let first = id.y * 4u;
    if unit >= step.h4 || first >= step.batch {
        return;
    }
    let product = dh_tile(tile_rows(first), unit, 0u, 1u);
    for (var i = 0u; i < 4u && first + i < step.batch; i++) {
        let row = first + i;
        let at = row * step.h4 + unit;
        var dh = carry_h[at] + product[i];
        if step.epilogue != 0u {
            var dz = vec4f(0.0);
            if flag(step.t, row, ALIVE) {
                dz = (dh + dy_at(row, unit)) * d_activate(h[slot_at(step.slot_out, row, unit)]);
                dh = vec4f(0.0);
            }
            z[z_at(row, unit)] = dz;
        }
        carry_h[at] = dh;
    }
}
