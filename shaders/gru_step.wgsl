// The GRU, one time step (Cho et al. 2014, the reset applied after the recurrent product, as cuDNN and PyTorch do):
// r, z = σ(·); n = tanh(W_in x + b_in + r ∘ (W_hn h_{t-1} + b_hn)); h_t = (1 − z) ∘ n + z ∘ h_{t-1}.
//
// A row of z holds four numbers a unit, in the order n, r, z, hn: the input's part of the first three on entry; then
// n, r, z and hn = W_hn h + b_hn; backward dn, dr, dz and dn ∘ r. So the gradient of the input's product is the first
// three and that of the recurrent product the last three, both without a gap. W_ih is kept in the order n, r, z for it,
// W_hh in PyTorch's r, z, n.

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn gru_forward(@builtin(global_invocation_id) id: vec3u) {
    let unit = id.x;
    let first = id.y * 4u;
    if unit >= step.h4 || first >= step.batch {
        return;
    }
    let rows = tile_rows(first);
    var product_r = mat4x4f();
    var product_z = mat4x4f();
    var product_n = mat4x4f();
    for (var k = 0u; k < step.h4; k++) {
        let h_k = h_tile(rows, k);
        product_r += w_tile(0u, unit, k) * h_k;
        product_z += w_tile(1u, unit, k) * h_k;
        product_n += w_tile(2u, unit, k) * h_k;
    }
    for (var i = 0u; i < 4u && first + i < step.batch; i++) {
        let row = first + i;
        var h_t = h[slot_at(step.slot_in, row, unit)];
        if flag(step.t, row, ALIVE) {
            let keep = flag(step.t, row, step.keep);
            let at = z_at(row, unit);
            let r = sigmoid(z[at + step.h4] + select(vec4f(0.0), product_r[i], keep) + b_hh[unit]);
            let u = sigmoid(z[at + 2u * step.h4] + select(vec4f(0.0), product_z[i], keep) + b_hh[step.h4 + unit]);
            let hn = select(vec4f(0.0), product_n[i], keep) + b_hh[2u * step.h4 + unit];
            let n = tanh_(z[at] + r * hn);
            h_t = (1.0 - u) * n + u * select(vec4f(0.0), h_t, keep);
            z[at] = n;
            z[at + step.h4] = r;
            z[at + 2u * step.h4] = u;
            z[at + 3u * step.h4] = hn;
        }
        h[slot_at(step.slot_out, row, unit)] = h_t;
    }
}

// dn = dh ∘ (1 − z) ∘ (1 − n²); dz = dh ∘ (h_{t-1} − n) ∘ z(1 − z); dr = dn ∘ hn ∘ r(1 − r); dh ∘ z goes on directly.
@compute @workgroup_size(GROUP_X, GROUP_Y)
fn gru_backward(@builtin(global_invocation_id) id: vec3u) {
    let unit = id.x;
    let first = id.y * 4u;
    if unit >= step.h4 || first >= step.batch {
        return;
    }
    let product = dh_tile(tile_rows(first), unit, step.h4, 3u);
    for (var i = 0u; i < 4u && first + i < step.batch; i++) {
        let row = first + i;
        let carry = row * step.h4 + unit;
        var dh = carry_h[carry] + product[i];
        if step.epilogue != 0u {
            let at = z_at(row, unit);
            var dn = vec4f(0.0);
            var dr = vec4f(0.0);
            var du = vec4f(0.0);
            var dhn = vec4f(0.0);
            if flag(step.t, row, ALIVE) {
                dh += dy_at(row, unit);
                let keep = flag(step.t, row, step.keep);
                let n = z[at];
                let r = z[at + step.h4];
                let u = z[at + 2u * step.h4];
                let hn = z[at + 3u * step.h4];
                let h_in = select(vec4f(0.0), h[slot_at(step.slot_in, row, unit)], keep);
                dn = dh * (1.0 - u) * d_tanh(n);
                dr = dn * hn * d_sigmoid(r);
                du = dh * (h_in - n) * d_sigmoid(u);
                dhn = dn * r;
                dh = select(vec4f(0.0), dh * u, keep);
            }
            z[at] = dn;
            z[at + step.h4] = dr;
            z[at + 2u * step.h4] = du;
            z[at + 3u * step.h4] = dhn;
        }
        carry_h[carry] = dh;
    }
}
