// One time step of any cell, around the two functions of the cell's own file: `cell_forward` from a unit's sums and
// states to what it keeps and its new states, and `cell_backward` from what it kept to the gradients of the sums. Both see
// 4 units of a row at once and know neither k nor t.
//
// The host expands this file and step.wgsl for a cell: $each_sum{…}, $each_input{…}, $each_gate{…} and
// $each_parameter{…} repeat what is in braces for every sum, every sum that reads x, every block of W_hh and every
// parameter of the cell's own, with the index for the number sign; $has_c{…}, $has_w_hh{…} and $has_parameters{…} stand
// only in cells that have it, $has_projection{…} and $no_projection{…} in steps whose h is projected or not. SUMS and PARAMETERS are the counts, and FIRST is the first sum that reads h.

struct ForwardInput {
    sums: array<vec4f, SUMS>,
    h: vec4f, // h_{t-1}: 0 after a reset
$has_c{    c: vec4f, // c_{t-1}, likewise
}$has_parameters{    parameters: array<vec4f, PARAMETERS>,
}}

struct ForwardOutput {
    kept: array<vec4f, SUMS>, // what the backward step needs, in place of the sums
    h: vec4f,
$has_c{    c: vec4f,
}}

struct BackwardInput {
    kept: array<vec4f, SUMS>,
    h: vec4f, // h_{t-1}
$has_c{    c: vec4f, // c_{t-1}
}$has_parameters{    parameters: array<vec4f, PARAMETERS>,
}    dh: vec4f, // of h_t
$has_c{    dc: vec4f, // of c_t
}}

struct BackwardOutput {
    sums: array<vec4f, SUMS>,
    dh: vec4f, // of h_{t-1}, without what passes through W_hh
$has_c{    dc: vec4f, // of c_{t-1}
}$has_parameters{    parameters: array<vec4f, PARAMETERS>, // this step's part
}}

fn forward_row(row: u32, unit: u32$each_gate{, product_#: vec4f}) {
    if row >= step.batch {
        return;
    }
    let zero = vec4f(0.0);
    let flags_t = flags_at(now.t, row);
    var h_t = entering_h(row, unit);
$has_c{    var c_t = c[c_at(now.index_in, row, unit)];
}    if (flags_t & ALIVE) != 0u {
        let keep = (flags_t & step.keep) != 0u;
        let at = z_at(row, unit);
        var sums: array<vec4f, SUMS>;
$each_input{        sums[#] = z[at + #u * step.h4];
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
$each_sum{        z[at + #u * step.h4] = left.kept[#];
}        let real = real_units(unit);
        h_t = select(zero, left.h, real);
$has_c{        c_t = select(zero, left.c, real);
}    }
    store_h(row, unit, h_t);
$has_c{    c[c_at(now.index_out, row, unit)] = c_t;
}}

fn forward_rows(first: u32, unit: u32) {
$each_gate{    var low_# = mat4x4f();
    var high_# = mat4x4f();
}$has_w_hh{    let low_rows = tile_rows(first);
    let high_rows = tile_rows(first + 4u);
    for (var k = 0u; k < step.state4; k++) {
        let low_h = h_tile(low_rows, k);
        var high_h = mat4x4f();
        if ROWS == 8u {
            high_h = h_tile(high_rows, k);
        }
$each_gate{        let w_# = w_tile(GATES, #u, unit, k);
        low_# += w_# * low_h;
        high_# += w_# * high_h;
}    }
}    forward_row(first, unit$each_gate{, low_#[0]});
    if ROWS > 1u {
        forward_row(first + 1u, unit$each_gate{, low_#[1]});
    }
    if ROWS > 2u {
        forward_row(first + 2u, unit$each_gate{, low_#[2]});
        forward_row(first + 3u, unit$each_gate{, low_#[3]});
    }
    if ROWS == 8u {
        forward_row(first + 4u, unit$each_gate{, high_#[0]});
        forward_row(first + 5u, unit$each_gate{, high_#[1]});
        forward_row(first + 6u, unit$each_gate{, high_#[2]});
        forward_row(first + 7u, unit$each_gate{, high_#[3]});
    }
}

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn step_forward(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
$has_w_hh{$no_projection{    draw_masks(id);
}    load_h(id, group);
}    for (var place = 0u; place < step.count; place++) {
        begin(place);
        if within(id) {
            forward_rows(first_row(id), id.x);
        }
        end();
    }
}

fn backward_row(row: u32, unit: u32, product: vec4f) {
    if row >= step.batch {
        return;
    }
    let carry_at = row * step.h4 + unit;
$no_projection{    var dh = dh_of(carry[carry_at], row, product);
}$has_projection{    var dh = carry[carry_at];
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
$each_sum{            kept[#] = z[at + #u * step.h4];
}$has_parameters{            var parameters: array<vec4f, PARAMETERS>;
}$each_parameter{            parameters[#] = w_hh[parameter_at(#u, unit)];
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
$each_sum{        z[at + #u * step.h4] = d.sums[#];
}$each_parameter{        z[at + (SUMS + #u) * step.h4] = d.parameters[#];
}$each_gate{        store_shared(row, GATES, #u, unit, d.sums[FIRST + #u]);
}    }
    carry[carry_at] = dh;
}

fn backward_rows(first: u32, unit: u32) {
$no_projection{    let product = dh_tile(first, unit);
}$has_projection{    let product = DhTile();
}    backward_row(first, unit, product.low[0]);
    if ROWS > 1u {
        backward_row(first + 1u, unit, product.low[1]);
    }
    if ROWS > 2u {
        backward_row(first + 2u, unit, product.low[2]);
        backward_row(first + 3u, unit, product.low[3]);
    }
    if ROWS == 8u {
        backward_row(first + 4u, unit, product.high[0]);
        backward_row(first + 5u, unit, product.high[1]);
        backward_row(first + 6u, unit, product.high[2]);
        backward_row(first + 7u, unit, product.high[3]);
    }
}

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn step_backward(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
$has_w_hh{$no_projection{    draw_masks(id);
    load_dz(id, group);
}}    for (var place = 0u; place < step.count; place++) {
        begin(place);
        if within(id) {
            backward_rows(first_row(id), id.x);
        }
        end();
    }
}
