// The first part of a backward step whose h is projected: the whole dh_t, stored over dy_t, where the product with W_hr reads
// it. 0 at padding, whose gradient stays in the carry. A thread owns some batch rows × one vec4 of h.

fn dh_row(row: u32, unit: u32, product: vec4f) {
    if row >= step.batch {
        return;
    }
    let carry_at = row * step.state4 + unit;
    var dh = dh_of(carry[carry_at], row, product);
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

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn step_dh(@builtin(global_invocation_id) id: vec3u) {
    let first = first_row(id);
    if id.x >= step.state4 || first >= step.batch {
        return;
    }
    draw_masks(id);
    begin(0u);
    let product = dh_tile(first, id.x);
    dh_row(first, id.x, product.low[0]);
    if ROWS > 1u {
        dh_row(first + 1u, id.x, product.low[1]);
    }
    if ROWS > 2u {
        dh_row(first + 2u, id.x, product.low[2]);
        dh_row(first + 3u, id.x, product.low[3]);
    }
    if ROWS == 8u {
        dh_row(first + 4u, id.x, product.high[0]);
        dh_row(first + 5u, id.x, product.high[1]);
        dh_row(first + 6u, id.x, product.high[2]);
        dh_row(first + 7u, id.x, product.high[3]);
    }
}
