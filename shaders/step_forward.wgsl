// A forward step of any cell, around the cell's own function `cell_forward`.

override TRANSPOSED_W: bool = false; // w_hh is W_hh transposed, by transpose.wgsl

fn units() -> u32 {
    return step.h4;
}

$has_product{fn k4() -> u32 {
    return step.state4;
}

fn operand_at(row: u32) -> u32 {
    if DROPOUT {
        return ((now.t & 1u) * step.batch + row) * step.state4;
    }
    return h_at(now.index_in, row, 0u);
}

fn operand(at: u32) -> vec4f {
    if DROPOUT {
        return h_masked[at];
    }
    return loaded(h[at]);
}

fn weights_at(gate: u32, unit: u32, k: u32) -> u32 {
    if TRANSPOSED_W {
        return 4u * k * weights_ld() + gate * step.h4 + unit;
    }
    return 4u * (gate * step.h4 + unit) * weights_ld() + k;
}

// vec4 per row of w_hh.
fn weights_ld() -> u32 {
    return select(step.state4, GATES * step.h4, TRANSPOSED_W);
}

fn weights_step() -> u32 {
    return select(1u, 4u * weights_ld(), TRANSPOSED_W);
}

fn weights(at: u32) -> mat4x4f {
    let ld = weights_ld();
    let rows = block_of(at, ld);
    if TRANSPOSED_W {
        return rows;
    }
    return transpose(rows);
}
}
fn store_h(row: u32, unit: u32, item: u32, h_t: vec4f) {
$no_projection{    let stored_h = stored(h_t);
    h[h_at(now.index_out, row, unit)] = stored_h;
$has_product{    if DROPOUT {
        let masked = loaded(stored_h) * factors(item);
        h_masked[((~now.t & 1u) * step.batch + row) * step.h4 + unit] = masked;
        store_operand(row, unit, masked);
    } else {
        store_operand(row, unit, loaded(stored_h));
    }
}}$has_projection{    // The product with W_hr adds m_t, 0 at padding, to what is here: 0, or at padding the state that passes through.
    m[(now.t * step.batch + row) * step.h4 + unit] = h_t;
    if unit < step.state4 {
        let alive = (flags_at(now.t, row) & ALIVE) != 0u;
        h[h_at(now.index_out, row, unit)] = select(h[h_at(now.index_in, row, unit)], Stored(), alive);
    }
}}

fn step_row(row: u32, unit: u32, item: u32$each_result{, product_#: vec4f}) {
    let zero = vec4f(0.0);
    let flags_t = flags_at(now.t, row);
    var h_t = entering_h(row, unit);
$has_c{    var c_t = c[c_at(now.index_in, row, unit)];
}    if (flags_t & ALIVE) != 0u {
        let keep = (flags_t & step.keep) != 0u;
        let at = z_at(row, unit);
        var sums: array<vec4f, SUMS>;
$each_input{        sums[#] = loaded(z[at + #u * step.h4]);
}$each_gate{        sums[FIRST + #u] += select(zero, product_#, keep);
        sums[FIRST + #u] += vectors[#u * step.h4 + unit];
}$has_parameters{        var parameters: array<vec4f, PARAMETERS>;
}$each_parameter{        parameters[#] = vectors[parameter_at(#u, unit)];
}        let left = cell_forward(ForwardInput(
            sums,
            select(zero, h_t, keep),
$has_c{            select(zero, c_t, keep),
}$has_parameters{            parameters,
}        ));
$each_sum{        z[at + #u * step.h4] = stored(left.kept[#]);
}        let real = real_units(unit);
        h_t = select(zero, left.h, real);
$has_c{        c_t = select(zero, left.c, real);
}    }
    store_h(row, unit, item, h_t);
$has_c{    c[c_at(now.index_out, row, unit)] = c_t;
}}

@compute @workgroup_size(GROUP_X, GROUP_Y, GROUP_Z)
fn step_forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) id: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    run(group, id, local);
}
