// The LSTM, one time step: i, f, o = σ(·), g = tanh(·); c_t = f ∘ c_{t-1} + i ∘ g; h_t = o ∘ tanh c_t
// (Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000). z holds the input's part on entry.

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn lstm_forward(@builtin(global_invocation_id) id: vec3u) {
    let unit = id.x;
    let first = id.y * 4u;
    if unit >= step.h4 || first >= step.batch {
        return;
    }
    let rows = tile_rows(first);
    var product_i = mat4x4f();
    var product_f = mat4x4f();
    var product_g = mat4x4f();
    var product_o = mat4x4f();
    for (var k = 0u; k < step.h4; k++) {
        let h_k = h_tile(rows, k);
        product_i += w_tile(0u, unit, k) * h_k;
        product_f += w_tile(1u, unit, k) * h_k;
        product_g += w_tile(2u, unit, k) * h_k;
        product_o += w_tile(3u, unit, k) * h_k;
    }
    for (var n = 0u; n < 4u && first + n < step.batch; n++) {
        let row = first + n;
        var h_t = h[slot_at(step.slot_in, row, unit)];
        var c_t = c[slot_at(step.slot_in, row, unit)];
        if flag(step.t, row, ALIVE) {
            let keep = flag(step.t, row, step.keep);
            let at = z_at(row, unit);
            let i = sigmoid(z[at] + select(vec4f(0.0), product_i[n], keep) + b_hh[unit]);
            let f = sigmoid(z[at + step.h4] + select(vec4f(0.0), product_f[n], keep) + b_hh[step.h4 + unit]);
            let g = tanh_(z[at + 2u * step.h4] + select(vec4f(0.0), product_g[n], keep) + b_hh[2u * step.h4 + unit]);
            let o = sigmoid(z[at + 3u * step.h4] + select(vec4f(0.0), product_o[n], keep) + b_hh[3u * step.h4 + unit]);
            c_t = f * select(vec4f(0.0), c_t, keep) + i * g;
            h_t = o * tanh_(c_t);
            z[at] = i;
            z[at + step.h4] = f;
            z[at + 2u * step.h4] = g;
            z[at + 3u * step.h4] = o;
        }
        h[slot_at(step.slot_out, row, unit)] = h_t;
        c[slot_at(step.slot_out, row, unit)] = c_t;
    }
}

// dc_t = dc + dh ∘ o ∘ (1 − tanh² c_t); di, df, dg, do through their gates, written over them; dc_{t-1} = dc_t ∘ f.
@compute @workgroup_size(GROUP_X, GROUP_Y)
fn lstm_backward(@builtin(global_invocation_id) id: vec3u) {
    let unit = id.x;
    let first = id.y * 4u;
    if unit >= step.h4 || first >= step.batch {
        return;
    }
    let product = dh_tile(tile_rows(first), unit, 0u, 4u);
    for (var n = 0u; n < 4u && first + n < step.batch; n++) {
        let row = first + n;
        let carry = row * step.h4 + unit;
        var dh = carry_h[carry] + product[n];
        if step.epilogue != 0u {
            let at = z_at(row, unit);
            var di = vec4f(0.0);
            var df = vec4f(0.0);
            var dg = vec4f(0.0);
            var d_o = vec4f(0.0);
            if flag(step.t, row, ALIVE) {
                dh += dy_at(row, unit);
                let keep = flag(step.t, row, step.keep);
                let i = z[at];
                let f = z[at + step.h4];
                let g = z[at + 2u * step.h4];
                let o = z[at + 3u * step.h4];
                let c_in = select(vec4f(0.0), c[slot_at(step.slot_in, row, unit)], keep);
                let tanh_c = tanh_(c[slot_at(step.slot_out, row, unit)]);
                let dc = carry_c[carry] + dh * o * d_tanh(tanh_c);
                di = dc * g * d_sigmoid(i);
                df = dc * c_in * d_sigmoid(f);
                dg = dc * i * d_tanh(g);
                d_o = dh * tanh_c * d_sigmoid(o);
                carry_c[carry] = select(vec4f(0.0), dc * f, keep);
                dh = vec4f(0.0);
            }
            z[at] = di;
            z[at + step.h4] = df;
            z[at + 2u * step.h4] = dg;
            z[at + 3u * step.h4] = d_o;
        }
        carry_h[carry] = dh;
    }
}
