// A backward step of any cell, around the cell's own function `cell_backward`.

fn units() -> u32 {
    return step.h4;
}

$has_parameters{// A parameter of the cell's own. Behind a copy of W_hh in halves it is not in halves.
fn own_parameter(index: u32, unit: u32) -> vec4f {
    let at = parameter_at(index, unit);
$full{    return w_hh[at];
}$halves{    return bitcast<vec4f>(vec4u(w_hh[2u * at], w_hh[2u * at + 1u]));
}}

}fn step_row(row: u32, unit: u32, item: u32$each_result{, product: vec4f}) {
    let carry_at = row * step.h4 + unit;
    var dh = carry[carry_at];
$has_product{    dh = dh_of(dh, row, item, product);
}    if now.epilogue {
        let zero = vec4f(0.0);
        let at = z_at(row, unit);
        let flags_t = flags_at(now.t, row);
        var d = BackwardOutput();
        if (flags_t & ALIVE) != 0u {
$no_projection{            dh += dy_at(row, unit);
            store_dh(row, unit, dh);
}            let keep = (flags_t & step.keep) != 0u;
            var kept: array<vec4f, SUMS>;
$each_sum{            kept[#] = loaded(z[at + #u * step.h4]);
}$has_parameters{            var parameters: array<vec4f, PARAMETERS>;
}$each_parameter{            parameters[#] = own_parameter(#u, unit);
}            d = cell_backward(BackwardInput(
                kept,
                select(zero, entering_h(row, unit), keep),
$has_c{                select(zero, c[c_at(now.index_in, row, unit)], keep),
}$has_parameters{                parameters,
}                dh,
$has_c{                carry[step.batch * step.h4 + carry_at],
}            ));
            let real = real_units(unit);
$each_sum{            d.sums[#] = select(zero, d.sums[#], real);
}$each_parameter{            d.parameters[#] = select(zero, d.parameters[#], real);
}$has_c{            carry[step.batch * step.h4 + carry_at] = select(zero, d.dc, real & vec4(keep));
}            dh = select(zero, d.dh, real & vec4(keep));
        }$no_projection{ else {
            store_dh(row, unit, zero);
        }}
        var dz: array<Stored, SUMS>;
$each_sum{        dz[#] = stored(scaled(d.sums[#]));
        z[at + #u * step.h4] = dz[#];
}$each_parameter{        z[at + (SUMS + #u) * step.h4] = stored(scaled(d.parameters[#]));
}$has_product{$each_gate{        store_operand(row, #u * step.h4 + unit, loaded(dz[FIRST + #u]));
}}    }
    carry[carry_at] = dh;
}

@compute @workgroup_size(GROUP_X, GROUP_Y, GROUP_Z)
fn step_backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) id: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    run(group, id, local);
}
