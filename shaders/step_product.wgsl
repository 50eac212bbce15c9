// The recurrent product and the loop over a dispatch's steps. A kernel's own file defines
//
//   units() and k4(), the vec4 of units and of k,
//   operand_at(row) and operand(at + k), where the product reads a row's vec4 of h_{t-1} or of dz_{t+1},
//   weights_at(result, unit, k), weights_step() and weights(at), W_hh for 4 units and 4 values of k,
//   step_row(row, unit, item, products…), which goes on from a row's products for one vec4 of units.
//
// There is a product for each of the RESULTS of a unit: forward for every block of W_hh, backward one, and none in a kernel
// without W_hh. The sum over k has PARTS parts of PART vec4, each one chain of fma; the parts are added in their order. So a
// result has the same bits however many threads share it. There are three forms:
//
// $whole{…}: a thread owns ROWS rows of one vec4 of units with all their results and parts. A workgroup has GROUP_X vec4 of
// units × GROUP_Y times ROWS rows. For software drivers, which read memory lane by lane.
//
// $split{…}: a workgroup owns ROWS rows of GROUP_X vec4 of units, and its threads share their results and parts, so that a
// thread has few loads that wait for each other. The parts meet in workgroup memory, and a thread for each row and vec4 of
// units goes on. If a workgroup owns all units of its rows, they may also pass h_t or dz_t to the next step there (STAGED).
// With $held_weights{…} a thread keeps its blocks of W_hh from step to step; with $read_weights{…} it reads them at each step.
//
// $tiled{…}: a workgroup multiplies 64 rows by 4 vec4 of units, slab by slab of k: step_tiled.wgsl. For many rows and units.
//
// The host expands these files. What is in braces is repeated after $each_sum{…} for every sum, $each_input{…} for every sum
// that reads x, $each_gate{…} for every block of W_hh, $each_parameter{…} for every parameter of the cell's own,
// $each_result{…} for every product, and $each_held{…} for those that one thread computes, with the index for the number sign;
// after $each_row{…} for ROWS rows, with the index for the question mark; after $each_weight{…} for the blocks of W_hh that a
// thread keeps, with the index for the exclamation mark. After $has_c{…}, $has_product{…}, $has_masks{…}, $has_parameters{…},
// $has_projection{…}, $no_projection{…}, $whole{…}, $split{…}, $tiled{…} and $untiled{…} it stands only in kernels of that kind. SUMS, GATES and
// PARAMETERS are counts, and FIRST is the first sum that reads h.

override PARTS: u32 = 1u;
override PART: u32 = 0xffffffffu; // or more than k4, if there is one part
$whole{override HELD_PARTS = PARTS;
}$split{const HELD_PARTS = 1u;
override STAGED: bool = false;
override SHARED_VEC4S: u32 = 1024u;

// [PARTS, RESULTS, ROWS, GROUP_X]: the parts of the products. With STAGED then [ROWS, k4]: the operand.
var<workgroup> shared_tile: array<vec4f, SHARED_VEC4S>;

fn staged_at(row: u32) -> u32 {
    return PARTS * RESULTS * ROWS * GROUP_X + row * k4();
}

var<private> group_first: u32; // the workgroup's first row

// Loads the operand of the first step's product.
fn stage(local: u32) {
    if step.product != 0u {
        for (var at = local; at < ROWS * k4(); at += GROUP_X * GROUP_Y * GROUP_Z) {
            let row = at / k4();
            let row_at = operand_at(min(group_first + row, step.batch - 1u));
            shared_tile[staged_at(0u) + at] = operand(row_at + at - row * k4());
        }
    }
}
}
$untiled{$has_product{fn product_operand_at(row: u32) -> u32 {
$split{    if STAGED {
        return staged_at(row - group_first);
    }
}    return operand_at(row);
}

fn product_operand(at: u32) -> vec4f {
$split{    if STAGED {
        return shared_tile[at];
    }
}    return operand(at);
}
}}
// Stores vec4 `k` of the operand of the next step's product.
fn store_operand(row: u32, k: u32, value: vec4f) {
$split{    if STAGED {
        shared_tile[staged_at(row - group_first) + k] = value;
    }
}}

$untiled{fn run(group: vec3u, id: vec3u, local: u32) {
$whole{    let unit = group.x * GROUP_X + id.x;
    let first = (group.y * GROUP_Y + id.y) * ROWS;
    let within = unit < units() && first < step.batch;
    let result = 0u;
    let first_part = 0u;
$has_masks{    if within {
$each_row{        draw_mask(?u, first + ?u, unit);
}    }
}}$split{    let unit = min(group.x * GROUP_X + id.x, units() - 1u);
    let first = group.y * ROWS;
    group_first = first;
    // The row and the units with which the thread goes on from the products.
    let own_row = first + local / GROUP_X;
    let own_unit = group.x * GROUP_X + local % GROUP_X;
    let within = local < ROWS * GROUP_X && own_row < step.batch && own_unit < units();
    let result = id.y;
    let first_part = id.z;
$has_masks{    if within {
        draw_mask(0u, own_row, own_unit);
    }
}$held_weights{    let held_count = min(PART, k4() - first_part * PART);
$each_weight{    var held_! = mat4x4f();
    if !u < held_count {
        held_! = weights(weights_at(result, unit, first_part * PART + !u));
    }
}}    begin(0u);
    if STAGED {
        stage(local);
        workgroupBarrier();
    }
}    for (var place = 0u; place < step.count; place++) {
        begin(place);
$has_product{$each_row{$each_held{        var total_?_# = vec4f(0.0);
}}$whole{        let computes = within && now.product;
}$split{        let computes = now.product;
}        if computes {
            for (var part = first_part; part < first_part + HELD_PARTS; part++) {
                let first_k = part * PART;
                let count = min(PART, k4() - first_k);
$read_weights{$each_held{                var w_at_# = weights_at(result + #u, unit, first_k);
}}$each_row{                var x_at_? = product_operand_at(min(first + ?u, step.batch - 1u)) + first_k;
$each_held{                var sum_?_# = vec4f(0.0);
}}$read_weights{$split{                // The loads of the next turn are under way while this one multiplies; the last turn repeats its own.
                var w_0 = weights(w_at_0);
$each_row{                var x_? = product_operand(x_at_?);
}}                for (var k = 0u; k < count; k++) {
$whole{$each_row{                    let x_? = product_operand(x_at_?);
                    x_at_?++;
}$each_held{                    let w_# = weights(w_at_#);
                    w_at_# += weights_step();
}}$split{                    let more = select(0u, 1u, k + 1u < count);
                    w_at_0 += more * weights_step();
                    let next_w = weights(w_at_0);
$each_row{                    x_at_? += more;
                    let next_x_? = product_operand(x_at_?);
}}$each_row{$each_held{                    sum_?_# = chain(w_#, x_?, sum_?_#);
}}$split{                    w_0 = next_w;
$each_row{                    x_? = next_x_?;
}}                }
}$held_weights{$each_weight{                { // Beyond the part the weights are 0.
                    let k = min(!u, count - 1u);
$each_row{                    sum_?_0 = chain(held_!, product_operand(x_at_? + k), sum_?_0);
}                }
}}$each_row{$each_held{                total_?_# += sum_?_#;
}}            }
        }
$split{        let to = (id.z * RESULTS + id.y) * ROWS * GROUP_X + id.x;
$each_row{        shared_tile[to + ?u * GROUP_X] = total_?_0;
}        workgroupBarrier();
}}        if within {
$split{$each_result{            var product_# = shared_tile[#u * ROWS * GROUP_X + local];
            for (var part = 1u; part < PARTS; part++) {
                product_# += shared_tile[(part * RESULTS + #u) * ROWS * GROUP_X + local];
            }
}            step_row(own_row, own_unit, 0u$each_result{, product_#});
}$whole{$each_row{            if first + ?u < step.batch {
                step_row(first + ?u, unit, ?u$each_result{, total_?_#});
            }
}}        }
        // What a step stores, the next one reads.
$split{        workgroupBarrier();
}        storageBarrier();
    }
}}
