// One time step of the LSTM: i, f, o = σ(·), g = tanh(·); c_t = f ∘ c_{t-1} + i ∘ g; h_t = o ∘ tanh c_t (Hochreiter &
// Schmidhuber 1997 with the forget gate of Gers et al. 2000). z initially holds the input's contribution.

fn lstm_row(row: u32, unit: u32, product_i: vec4f, product_f: vec4f, product_g: vec4f, product_o: vec4f) {
    if row >= step.batch {
        return;
    }
    let flags_t = flags_at(now.t, row);
    var c_t = c[history_at(now.index_in, row, unit)];
    var h_t: vec4f;
    if (flags_t & ALIVE) != 0u {
        let keep = (flags_t & step.keep) != 0u;
        let zero = vec4f(0.0);
        let at = z_at(row, unit);
        let i = sigmoid(z[at] + select(zero, product_i, keep) + b_hh[unit]);
        let f = sigmoid(z[at + step.h4] + select(zero, product_f, keep) + b_hh[step.h4 + unit]);
        let g = tanh_(z[at + 2u * step.h4] + select(zero, product_g, keep) + b_hh[2u * step.h4 + unit]);
        let o = sigmoid(z[at + 3u * step.h4] + select(zero, product_o, keep) + b_hh[3u * step.h4 + unit]);
        c_t = f * select(zero, c_t, keep) + i * g;
        h_t = o * tanh_(c_t);
        z[at] = i;
        z[at + step.h4] = f;
        z[at + 2u * step.h4] = g;
        z[at + 3u * step.h4] = o;
    } else {
        h_t = h[history_at(now.index_in, row, unit)];
    }
    store_h(row, unit, h_t);
    c[history_at(now.index_out, row, unit)] = c_t;
}

fn lstm_forward_step(first: u32, unit: u32) {
    let low_rows = tile_rows(first);
    let high_rows = tile_rows(first + 4u);
    var low_i = mat4x4f();
    var low_f = mat4x4f();
    var low_g = mat4x4f();
    var low_o = mat4x4f();
    var high_i = mat4x4f();
    var high_f = mat4x4f();
    var high_g = mat4x4f();
    var high_o = mat4x4f();
    for (var k = 0u; k < step.h4; k++) {
        let low_h = h_tile(low_rows, k);
        var high_h = mat4x4f();
        if ROWS == 8u {
            high_h = h_tile(high_rows, k);
        }
        let w_i = w_tile(4u, 0u, unit, k);
        low_i += w_i * low_h;
        high_i += w_i * high_h;
        let w_f = w_tile(4u, 1u, unit, k);
        low_f += w_f * low_h;
        high_f += w_f * high_h;
        let w_g = w_tile(4u, 2u, unit, k);
        low_g += w_g * low_h;
        high_g += w_g * high_h;
        let w_o = w_tile(4u, 3u, unit, k);
        low_o += w_o * low_h;
        high_o += w_o * high_h;
    }
    lstm_row(first, unit, low_i[0], low_f[0], low_g[0], low_o[0]);
    if ROWS > 1u {
        lstm_row(first + 1u, unit, low_i[1], low_f[1], low_g[1], low_o[1]);
    }
    if ROWS > 2u {
        lstm_row(first + 2u, unit, low_i[2], low_f[2], low_g[2], low_o[2]);
        lstm_row(first + 3u, unit, low_i[3], low_f[3], low_g[3], low_o[3]);
    }
    if ROWS == 8u {
        lstm_row(first + 4u, unit, high_i[0], high_f[0], high_g[0], high_o[0]);
        lstm_row(first + 5u, unit, high_i[1], high_f[1], high_g[1], high_o[1]);
        lstm_row(first + 6u, unit, high_i[2], high_f[2], high_g[2], high_o[2]);
        lstm_row(first + 7u, unit, high_i[3], high_f[3], high_g[3], high_o[3]);
    }
}

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn lstm_forward(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
    draw_masks(id);
    load_h(id, group);
    for (var place = 0u; place < step.count; place++) {
        begin(place);
        if within(id) {
            lstm_forward_step(first_row(id), id.x);
        }
        end();
    }
}

// dc_t = dc + dh ∘ o ∘ (1 − tanh² c_t); di, df, dg, do through their gates, written over them; dc_{t-1} = dc_t ∘ f.
fn d_lstm_row(row: u32, unit: u32, product: vec4f) {
    if row >= step.batch {
        return;
    }
    let carry = row * step.h4 + unit;
    var dh = dh_of(row, unit, product);
    if now.epilogue {
        let at = z_at(row, unit);
        let flags_t = flags_at(now.t, row);
        var di = vec4f(0.0);
        var df = vec4f(0.0);
        var dg = vec4f(0.0);
        var d_o = vec4f(0.0);
        if (flags_t & ALIVE) != 0u {
            dh += dy_at(row, unit);
            store_dh(row, unit, dh);
            let keep = (flags_t & step.keep) != 0u;
            let i = z[at];
            let f = z[at + step.h4];
            let g = z[at + 2u * step.h4];
            let o = z[at + 3u * step.h4];
            let c_in = select(vec4f(0.0), c[history_at(now.index_in, row, unit)], keep);
            let tanh_c = tanh_(c[history_at(now.index_out, row, unit)]);
            let dc = carry_c[carry] + dh * o * d_tanh(tanh_c);
            di = dc * g * d_sigmoid(i);
            df = dc * c_in * d_sigmoid(f);
            dg = dc * i * d_tanh(g);
            d_o = dh * tanh_c * d_sigmoid(o);
            carry_c[carry] = select(vec4f(0.0), dc * f, keep);
            dh = vec4f(0.0);
        } else {
            store_dh(row, unit, vec4f(0.0));
        }
        z[at] = di;
        z[at + step.h4] = df;
        z[at + 2u * step.h4] = dg;
        z[at + 3u * step.h4] = d_o;
        store_shared(row, 4u, 0u, unit, di);
        store_shared(row, 4u, 1u, unit, df);
        store_shared(row, 4u, 2u, unit, dg);
        store_shared(row, 4u, 3u, unit, d_o);
    }
    carry_h[carry] = dh;
}

fn lstm_backward_step(first: u32, unit: u32) {
    let product = dh_tile(first, unit, 0u, 4u);
    d_lstm_row(first, unit, product.low[0]);
    if ROWS > 1u {
        d_lstm_row(first + 1u, unit, product.low[1]);
    }
    if ROWS > 2u {
        d_lstm_row(first + 2u, unit, product.low[2]);
        d_lstm_row(first + 3u, unit, product.low[3]);
    }
    if ROWS == 8u {
        d_lstm_row(first + 4u, unit, product.high[0]);
        d_lstm_row(first + 5u, unit, product.high[1]);
        d_lstm_row(first + 6u, unit, product.high[2]);
        d_lstm_row(first + 7u, unit, product.high[3]);
    }
}

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn lstm_backward(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
    draw_masks(id);
    load_dz(id, group, 0u, 4u);
    for (var place = 0u; place < step.count; place++) {
        begin(place);
        if within(id) {
            lstm_backward_step(first_row(id), id.x);
        }
        end();
    }
}
