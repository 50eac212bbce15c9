// One time step of the vanilla RNN: h_t = f(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh). z initially holds the input's
// contribution.

fn rnn_row(row: u32, unit: u32, product: vec4f) {
    if row >= step.batch {
        return;
    }
    let flags_t = flags_at(now.t, row);
    var h_t: vec4f;
    if (flags_t & ALIVE) != 0u {
        let recurrent = select(vec4f(0.0), product, (flags_t & step.keep) != 0u);
        // sigmoid(0) is not 0, so units beyond H are set to 0.
        let real = 4u * unit + vec4u(0u, 1u, 2u, 3u) < vec4u(step.hidden);
        h_t = select(vec4f(0.0), activate(z[z_at(row, unit)] + recurrent + b_hh[unit]), real);
    } else {
        h_t = h[history_at(now.index_in, row, unit)];
    }
    store_h(row, unit, h_t);
}

fn rnn_forward_step(first: u32, unit: u32) {
    let low_rows = tile_rows(first);
    let high_rows = tile_rows(first + 4u);
    var low = mat4x4f();
    var high = mat4x4f();
    for (var k = 0u; k < step.h4; k++) {
        let w = w_tile(1u, 0u, unit, k);
        low += w * h_tile(low_rows, k);
        if ROWS == 8u {
            high += w * h_tile(high_rows, k);
        }
    }
    rnn_row(first, unit, low[0]);
    if ROWS > 1u {
        rnn_row(first + 1u, unit, low[1]);
    }
    if ROWS > 2u {
        rnn_row(first + 2u, unit, low[2]);
        rnn_row(first + 3u, unit, low[3]);
    }
    if ROWS == 8u {
        rnn_row(first + 4u, unit, high[0]);
        rnn_row(first + 5u, unit, high[1]);
        rnn_row(first + 6u, unit, high[2]);
        rnn_row(first + 7u, unit, high[3]);
    }
}

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn rnn_forward(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
    draw_masks(id);
    load_h(id, group);
    for (var place = 0u; place < step.count; place++) {
        begin(place);
        if within(id) {
            rnn_forward_step(first_row(id), id.x);
        }
        end();
    }
}

// dz_t = (dy_t + dz_{t+1} W_hh) ∘ f'(h_t), in place of z.
fn d_rnn_row(row: u32, unit: u32, product: vec4f) {
    if row >= step.batch {
        return;
    }
    var dh = dh_of(row, unit, product);
    if now.epilogue {
        var dz = vec4f(0.0);
        if (flags_at(now.t, row) & ALIVE) != 0u {
            dh += dy_at(row, unit);
            store_dh(row, unit, dh);
            dz = dh * d_activate(h[history_at(now.index_out, row, unit)]);
            dh = vec4f(0.0);
        } else {
            store_dh(row, unit, vec4f(0.0));
        }
        z[z_at(row, unit)] = dz;
        store_shared(row, 1u, 0u, unit, dz);
    }
    carry_h[row * step.h4 + unit] = dh;
}

fn rnn_backward_step(first: u32, unit: u32) {
    let product = dh_tile(first, unit, 0u, 1u);
    d_rnn_row(first, unit, product.low[0]);
    if ROWS > 1u {
        d_rnn_row(first + 1u, unit, product.low[1]);
    }
    if ROWS > 2u {
        d_rnn_row(first + 2u, unit, product.low[2]);
        d_rnn_row(first + 3u, unit, product.low[3]);
    }
    if ROWS == 8u {
        d_rnn_row(first + 4u, unit, product.high[0]);
        d_rnn_row(first + 5u, unit, product.high[1]);
        d_rnn_row(first + 6u, unit, product.high[2]);
        d_rnn_row(first + 7u, unit, product.high[3]);
    }
}

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn rnn_backward(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
    draw_masks(id);
    load_dz(id, group, 0u, 1u);
    for (var place = 0u; place < step.count; place++) {
        begin(place);
        if within(id) {
            rnn_backward_step(first_row(id), id.x);
        }
        end();
    }
}
