// One time step of the GRU (Cho et al. 2014, with the reset gate applied after the recurrent product, as in cuDNN and
// PyTorch): r, z = σ(·); n = tanh(W_in x + b_in + r ∘ (W_hn h_{t-1} + b_hn)); h_t = (1 − z) ∘ n + z ∘ h_{t-1}.
//
// A row of z has four numbers per unit, in the order n, r, z, hn: initially the input's contribution to the first
// three, then n, r, z and hn = W_hn h + b_hn, and in the backward pass dn, dr, dz and dn ∘ r. So the gradients of the
// input product (the first three) and of the recurrent product (the last three) are contiguous. W_ih is stored in the
// order n, r, z, W_hh in PyTorch's r, z, n.

fn gru_row(row: u32, unit: u32, product_r: vec4f, product_z: vec4f, product_n: vec4f) {
    if row >= step.batch {
        return;
    }
    let flags_t = flags_at(now.t, row);
    var h_t = h[history_at(now.index_in, row, unit)];
    if (flags_t & ALIVE) != 0u {
        let keep = (flags_t & step.keep) != 0u;
        let zero = vec4f(0.0);
        let at = z_at(row, unit);
        let r = sigmoid(z[at + step.h4] + select(zero, product_r, keep) + b_hh[unit]);
        let u = sigmoid(z[at + 2u * step.h4] + select(zero, product_z, keep) + b_hh[step.h4 + unit]);
        let hn = select(zero, product_n, keep) + b_hh[2u * step.h4 + unit];
        let n = tanh_(z[at] + r * hn);
        h_t = (1.0 - u) * n + u * select(zero, h_t, keep);
        z[at] = n;
        z[at + step.h4] = r;
        z[at + 2u * step.h4] = u;
        z[at + 3u * step.h4] = hn;
    }
    store_h(row, unit, h_t);
}

fn gru_forward_step(first: u32, unit: u32) {
    let low_rows = tile_rows(first);
    let high_rows = tile_rows(first + 4u);
    var low_r = mat4x4f();
    var low_z = mat4x4f();
    var low_n = mat4x4f();
    var high_r = mat4x4f();
    var high_z = mat4x4f();
    var high_n = mat4x4f();
    for (var k = 0u; k < step.h4; k++) {
        let low_h = h_tile(low_rows, k);
        var high_h = mat4x4f();
        if ROWS == 8u {
            high_h = h_tile(high_rows, k);
        }
        let w_r = w_tile(3u, 0u, unit, k);
        low_r += w_r * low_h;
        high_r += w_r * high_h;
        let w_z = w_tile(3u, 1u, unit, k);
        low_z += w_z * low_h;
        high_z += w_z * high_h;
        let w_n = w_tile(3u, 2u, unit, k);
        low_n += w_n * low_h;
        high_n += w_n * high_h;
    }
    gru_row(first, unit, low_r[0], low_z[0], low_n[0]);
    if ROWS > 1u {
        gru_row(first + 1u, unit, low_r[1], low_z[1], low_n[1]);
    }
    if ROWS > 2u {
        gru_row(first + 2u, unit, low_r[2], low_z[2], low_n[2]);
        gru_row(first + 3u, unit, low_r[3], low_z[3], low_n[3]);
    }
    if ROWS == 8u {
        gru_row(first + 4u, unit, high_r[0], high_z[0], high_n[0]);
        gru_row(first + 5u, unit, high_r[1], high_z[1], high_n[1]);
        gru_row(first + 6u, unit, high_r[2], high_z[2], high_n[2]);
        gru_row(first + 7u, unit, high_r[3], high_z[3], high_n[3]);
    }
}

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn gru_forward(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
    draw_masks(id);
    load_h(id, group);
    for (var place = 0u; place < step.count; place++) {
        begin(place);
        if within(id) {
            gru_forward_step(first_row(id), id.x);
        }
        end();
    }
}

// dn = dh ∘ (1 − z) ∘ (1 − n²); dz = dh ∘ (h_{t-1} − n) ∘ z(1 − z); dr = dn ∘ hn ∘ r(1 − r); dh ∘ z bypasses the
// product.
fn d_gru_row(row: u32, unit: u32, product: vec4f) {
    if row >= step.batch {
        return;
    }
    var dh = dh_of(row, unit, product);
    if now.epilogue {
        let at = z_at(row, unit);
        let flags_t = flags_at(now.t, row);
        var dn = vec4f(0.0);
        var dr = vec4f(0.0);
        var du = vec4f(0.0);
        var dhn = vec4f(0.0);
        if (flags_t & ALIVE) != 0u {
            dh += dy_at(row, unit);
            store_dh(row, unit, dh);
            let keep = (flags_t & step.keep) != 0u;
            let n = z[at];
            let r = z[at + step.h4];
            let u = z[at + 2u * step.h4];
            let hn = z[at + 3u * step.h4];
            let h_in = select(vec4f(0.0), h[history_at(now.index_in, row, unit)], keep);
            dn = dh * (1.0 - u) * d_tanh(n);
            dr = dn * hn * d_sigmoid(r);
            du = dh * (h_in - n) * d_sigmoid(u);
            dhn = dn * r;
            dh = select(vec4f(0.0), dh * u, keep);
        } else {
            store_dh(row, unit, vec4f(0.0));
        }
        z[at] = dn;
        z[at + step.h4] = dr;
        z[at + 2u * step.h4] = du;
        z[at + 3u * step.h4] = dhn;
        store_shared(row, 3u, 0u, unit, dr);
        store_shared(row, 3u, 1u, unit, du);
        store_shared(row, 3u, 2u, unit, dhn);
    }
    carry_h[row * step.h4 + unit] = dh;
}

fn gru_backward_step(first: u32, unit: u32) {
    let product = dh_tile(first, unit, step.h4, 3u);
    d_gru_row(first, unit, product.low[0]);
    if ROWS > 1u {
        d_gru_row(first + 1u, unit, product.low[1]);
    }
    if ROWS > 2u {
        d_gru_row(first + 2u, unit, product.low[2]);
        d_gru_row(first + 3u, unit, product.low[3]);
    }
    if ROWS == 8u {
        d_gru_row(first + 4u, unit, product.high[0]);
        d_gru_row(first + 5u, unit, product.high[1]);
        d_gru_row(first + 6u, unit, product.high[2]);
        d_gru_row(first + 7u, unit, product.high[3]);
    }
}

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn gru_backward(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
    draw_masks(id);
    load_dz(id, group, step.h4, 3u);
    for (var place = 0u; place < step.count; place++) {
        begin(place);
        if within(id) {
            gru_backward_step(first_row(id), id.x);
        }
        end();
    }
}
