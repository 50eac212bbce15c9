$tiled{// The recurrent product of many rows and units as a tiled matrix product, which reads W_hh once for 64 rows. A workgroup owns
// ROW_TILES · ROWS rows of GROUP_X vec4 of units with all their results. Its threads are GROUP_X vec4 of units × RESULTS ×
// (ROW_TILES · SHARES): a thread multiplies ROWS rows, which are ROW_TILES apart, by one result of one vec4 of units, in one of
// the SHARES parts of k that are summed at the same time.
//
// A turn of the loop takes SLAB vec4 of k of each of these parts. All threads load its operand and weights into workgroup memory,
// and then the next turn's into registers while they multiply. When the parts have ended, their sums meet in the same memory,
// and each thread adds those of its items, the rows and vec4 of units with which it goes on, in the order of the parts.
//
// After $each_slab_k{…}, what is in braces is repeated for the SLAB vec4 of k of a turn, with the index for the exclamation mark;
// after $each_operand_load{…}, $each_weights_load{…} and $each_item{…} for what a thread loads and owns, with the index for the
// question mark. W_hh is transposed for forward steps.

override SHARED_VEC4S: u32 = 1024u;
override THREADS = GROUP_X * GROUP_Y * GROUP_Z;

const TILE_ROWS = ROW_TILES * ROWS;
override ITEMS = TILE_ROWS * GROUP_X;
override WEIGHTS_LD = RESULTS * GROUP_X;

// [SHARES, TILE_ROWS, SLAB] of the operand, padded to OPERAND_LOADS · THREADS, and [SHARES, 4 · SLAB, RESULTS, GROUP_X] of W_hh.
// Then [SHARES, RESULTS, TILE_ROWS, GROUP_X]: the sums.
var<workgroup> shared_tile: array<vec4f, SHARED_VEC4S>;
override WEIGHTS_AT = OPERAND_LOADS * THREADS;

// What a thread loads for a turn.
struct Slab {
$each_operand_load{    x_?: vec4f,
}$each_weights_load{    w_?: Stored,
}}

// Where it loads that from at k = 0; the place in its part of a slab at 0, in vec4 of k; and that place in the turn's first part.
$each_operand_load{var<private> x_from_?: u32;
var<private> x_place_?: u32;
var<private> x_k_?: u32;
}$each_weights_load{var<private> w_from_?: u32;
var<private> w_place_?: u32;
var<private> w_k_?: u32;
}
// The current slab: the first vec4 of k of the turn's first part, and the slab's place in each part.
var<private> part_k: u32;
var<private> place: u32;

fn load() -> Slab {
    var slab: Slab;
    let first = part_k + place;
$each_operand_load{    slab.x_? = operand(x_from_? + min(first + x_k_?, k4() - 1u));
}$each_weights_load{    slab.w_? = w_hh[w_from_? + min(first + w_k_?, k4() - 1u) * weights_step()];
}    return slab;
}

// A value of the current slab, or 0 beyond its part or k.
fn within(value: vec4f, place_: u32, k: u32, part: u32) -> vec4f {
    return select(vec4f(0.0), value, place + place_ < part && part_k + place + k < k4());
}

fn run(group: vec3u, id: vec3u, local: u32) {
    begin(0u);
    let first_row = group.y * TILE_ROWS;
    let first_unit = group.x * GROUP_X;
    let share = id.z / ROW_TILES;
    let row_tile = id.z % ROW_TILES;
$each_item{    let item_? = min(local + ?u * THREADS, ITEMS - 1u);
    let row_? = first_row + item_? / GROUP_X;
    let unit_? = first_unit + item_? % GROUP_X;
    let owns_? = local + ?u * THREADS < ITEMS && row_? < step.batch && unit_? < units();
$has_masks{    if owns_? {
        draw_mask(?u, row_?, unit_?);
    }
}$each_result{    var product_?_# = vec4f(0.0);
}}    let part = min(PART, k4());
    let rounds = select(0u, (k4() + SHARES * part - 1u) / (SHARES * part), step.product != 0u);
    let turns = (part + SLAB - 1u) / SLAB;
$each_operand_load{    let x_to_? = local + ?u * THREADS;
    x_from_? = operand_at(min(first_row + x_to_? / SLAB % TILE_ROWS, step.batch - 1u));
    x_place_? = x_to_? % SLAB;
    x_k_? = x_to_? / (SLAB * TILE_ROWS) * part + x_place_?;
}$each_weights_load{    let w_to_? = local + ?u * THREADS;
    w_from_? = weights_at(w_to_? / GROUP_X % RESULTS, min(first_unit + w_to_? % GROUP_X, units() - 1u), 0u)
        + w_to_? / WEIGHTS_LD % 4u * weights_ld();
    w_place_? = w_to_? / (4u * WEIGHTS_LD) % SLAB;
    w_k_? = w_to_? / (4u * WEIGHTS_LD * SLAB) * part + w_place_?;
}    let x_at = (share * TILE_ROWS + row_tile) * SLAB;
    let w_at = WEIGHTS_AT + share * 4u * SLAB * WEIGHTS_LD + id.y * GROUP_X + id.x;
    let sum_at = ((share * RESULTS + id.y) * TILE_ROWS + row_tile) * GROUP_X + id.x;
    var next: Slab;
    if rounds > 0u {
        next = load();
    }
    for (var round = 0u; round < rounds; round++) {
$each_row{        var sum_? = vec4f(0.0);
}        for (var turn = 0u; turn < turns; turn++) {
            workgroupBarrier();
$each_operand_load{            shared_tile[x_to_?] = within(next.x_?, x_place_?, x_k_?, part);
}$each_weights_load{            shared_tile[WEIGHTS_AT + w_to_?] = within(loaded(next.w_?), w_place_?, w_k_?, part);
}            workgroupBarrier();
            let ends = turn + 1u == turns;
            part_k += select(0u, SHARES * part, ends);
            place = select(place + SLAB, 0u, ends);
            next = load();
$each_slab_k{            let w_! = mat4x4f(
                shared_tile[w_at + 4u * !u * WEIGHTS_LD],
                shared_tile[w_at + (4u * !u + 1u) * WEIGHTS_LD],
                shared_tile[w_at + (4u * !u + 2u) * WEIGHTS_LD],
                shared_tile[w_at + (4u * !u + 3u) * WEIGHTS_LD],
            );
$each_row{            let x_?_! = shared_tile[x_at + ?u * ROW_TILES * SLAB + !u];
}$each_row{            sum_? = chain(w_!, x_?_!, sum_?);
}}        }
        workgroupBarrier();
$each_row{        shared_tile[sum_at + ?u * ROW_TILES * GROUP_X] = sum_?;
}        workgroupBarrier();
        for (var at = 0u; at < SHARES * RESULTS * ITEMS; at += RESULTS * ITEMS) {
$each_item{$each_result{            product_?_# += shared_tile[at + #u * ITEMS + item_?];
}}        }
    }
$each_item{    if owns_? {
        step_row(row_?, unit_?, ?u$each_result{, product_?_#});
    }
}}
}
