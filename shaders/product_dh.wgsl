// The backward product: dz_{t+1} · W_hh, the gradient of h_t that comes from step t + 1.

$has_product{fn k4() -> u32 {
    return GATES * step.h4;
}

// The part of dz_{t+1} that W_hh fed.
fn operand_at(row: u32) -> u32 {
    return (now.from_t * step.batch + row) * step.z4 + FIRST * step.h4;
}

fn operand(at: u32) -> vec4f {
    return loaded(z[at]);
}

fn weights_at(result: u32, unit: u32, k: u32) -> u32 {
    return 4u * k * weights_ld() + unit;
}

// vec4 per row of w_hh.
fn weights_ld() -> u32 {
    return step.state4;
}

fn weights_step() -> u32 {
    return 4u * weights_ld();
}

fn weights(at: u32) -> mat4x4f {
    return block_of(at, weights_ld());
}

// The gradient of h_t from step t + 1: its carry, and the product unless the state was reset on entering step t + 1.
fn dh_of(carried: vec4f, row: u32, item: u32, product: vec4f) -> vec4f {
    var dh = carried;
    if now.product && (flags_at(now.from_t, row) & step.keep) != 0u {
        if DROPOUT {
            dh += unscaled(product) * factors(item);
        } else {
            dh += unscaled(product);
        }
    }
    return dh;
}
}
