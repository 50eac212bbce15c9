// Shared by the step kernels of all cells: the bindings, the rows' flags, and the two recurrent products. The host expands
// it as cell_step.wgsl says.
//
// A thread owns some batch rows × 4 hidden units with all their gates. Hidden sizes are padded to whole vec4, `h4`;
// units beyond H have zero weights, biases and states.
//
// A dispatch runs `count` steps. With count above 1, one workgroup must own all hidden units of its rows, so that a
// workgroup barrier separates the steps; rows are independent. With count 1 the units are spread over workgroups, and
// the next dispatch is the barrier.
//
// On a GPU, such a workgroup passes the product's operand, h_{t-1} or dz_{t+1}, from step to step through workgroup
// memory, which has two halves: a step reads one and writes the other.
//
// With a projection, the h that the cell computes is stored as m, and products with W_hr before and after it lead from m to h
// and from the gradient of h to that of m. Then count is 1, and nothing is in workgroup memory.

struct Step {
    t: u32,               // the first step's index in the chunk
    t_step: u32,          // the increment per step: 1, or −1 as u32
    count: u32,           // steps in this dispatch
    index_in: u32,        // the history index of the state entering the first step
    index_out: u32,       // the history index of the state leaving it
    batch: u32,           // B
    hidden: u32,          // H
    h4: u32,              // vec4 of hidden units
    state4: u32,          // vec4 per row of h: h4, or fewer if it is projected
    z4: u32,              // vec4 per row of z: what a step keeps
    y4: u32,              // vec4 per row of dy
    y_column: u32,        // the direction's first vec4 in a row
    keep: u32,            // the flag of this direction: the entering state is kept, not reset
    product: u32,         // backward: 0 if no later step of the chunk contributes to the first one
    epilogue: u32,        // backward: 0 if the last step is only the product, which leaves the entering state's gradient in
                          // carry
    layer_direction: u32, // the (layer, direction), for its masks
    parameter_first: u32, // the first vec4 of the cell's own parameters, in vectors forward and in w_hh backward
    parameter_ld: u32,    // vec4 from one of them to the next
}

const ALIVE = 1u; // t is within the row's length

override ROWS: u32 = 4u;             // batch rows per thread: 1, 2, 4 or 8
override DROPOUT: bool = false;      // recurrent dropout
override TRANSPOSED_W: bool = false; // forward: w_hh is W_hh transposed, by transpose.wgsl
override STAGED: bool = false;       // the product's operand is in workgroup memory
override SHARED_VEC4S: u32 = 1024u;  // the vec4 of workgroup memory, both halves
override GROUP_X: u32 = 8u;
override GROUP_Y: u32 = 2u;

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> flags: array<u32>;           // [n, B]
// [G·4·h4, state4], or [4·state4, G·h4]; backward followed by the biases and the cell's own parameters.
@group(0) @binding(2) var<storage, read> w_hh: array<vec4f>;
@group(0) @binding(3) var<storage, read> vectors: array<vec4f>;       // b_hh, [G·h4], and the cell's own parameters
@group(0) @binding(4) var<storage, read_write> z: array<vec4f>;       // [n, B, z4]: what is kept, and then its gradients
@group(0) @binding(5) var<storage, read_write> h: array<vec4f>;       // [n + 1, B, state4]
@group(0) @binding(6) var<storage, read_write> c: array<vec4f>;       // [n + 1, B, h4]
// [B, h4]: dh, or dm if h is projected; then [B, h4]: dc, if there is c. In step_dh [B, state4]: dh.
@group(0) @binding(8) var<storage, read_write> carry: array<vec4f>;
$has_projection{@group(0) @binding(9) var<storage, read_write> m: array<vec4f>;       // [n, B, h4]
}// [2, B, state4]: masked h_{t-1} at index t mod 2. With recurrent dropout only.
@group(0) @binding(10) var<storage, read_write> h_masked: array<vec4f>;

// The current step.
struct Now {
    t: u32,
    from_t: u32,    // backward: the step whose dz contributes to this one
    index_in: u32,
    index_out: u32,
    product: bool,
    epilogue: bool,
    shared_in: u32, // the half that the product reads
    shared_out: u32,
}

var<private> now: Now;

var<private> group_first: u32; // the workgroup's first row
var<workgroup> shared_tile: array<vec4f, SHARED_VEC4S>;

// With recurrent dropout: which of the thread's units are kept, 4 bits per row, at position row mod 8.
var<private> kept: u32;

fn draw_masks(id: vec3u) {
    if DROPOUT && within(id) {
        let first = first_row(id);
        for (var row = first; row < first + ROWS; row++) {
            let bits = select(vec4u(0u), vec4u(1u, 2u, 4u, 8u), recurrent(id.x, row, step.layer_direction));
            kept |= (bits.x | bits.y | bits.z | bits.w) << (4u * (row & 7u));
        }
    }
}

// The factors of a row's units in the recurrent product.
fn factors(row: u32) -> vec4f {
    let bits = vec4u(kept >> (4u * (row & 7u))) & vec4u(1u, 2u, 4u, 8u);
    return select(vec4f(0.0), vec4f(params.recurrent_scale), bits != vec4u(0u));
}

// Moves to the step at index `place` of the dispatch.
fn begin(place: u32) {
    let passed = place * step.t_step;
    now.t = step.t + passed;
    now.from_t = now.t - step.t_step;
    now.index_in = step.index_in + passed;
    now.index_out = step.index_out + passed;
    now.product = place > 0u || step.product != 0u;
    now.epilogue = place + 1u < step.count || step.epilogue != 0u;
    now.shared_in = (place & 1u) * (SHARED_VEC4S / 2u);
    now.shared_out = SHARED_VEC4S / 2u - now.shared_in;
}

// Separates one step of a dispatch from the next.
fn end() {
    if STAGED {
        workgroupBarrier();
    } else {
        storageBarrier();
    }
}

// The index of a parameter of the cell's own.
fn parameter_at(index: u32, unit: u32) -> u32 {
    return step.parameter_first + index * step.parameter_ld + unit;
}

// The index in a half of workgroup memory of a row's vec4 `unit` in one of `gates` gates.
fn shared_at(row: u32, gates: u32, gate: u32, unit: u32) -> u32 {
    return ((row - group_first) * gates + gate) * step.h4 + unit;
}

// Stores an operand of the next step's product.
fn store_shared(row: u32, gates: u32, gate: u32, unit: u32, value: vec4f) {
    if STAGED {
        shared_tile[now.shared_out + shared_at(row, gates, gate, unit)] = value;
    }
}

// Loads the operand of the first forward step's product, h, each thread its own rows and units.
fn load_h(id: vec3u, group: vec3u) {
    if STAGED {
        group_first = group.y * GROUP_Y * ROWS;
        if within(id) {
            for (var row = first_row(id); row < first_row(id) + ROWS; row++) {
                let source = min(row, step.batch - 1u);
                let at = shared_at(row, 1u, 0u, id.x);
                if DROPOUT {
                    shared_tile[at] = h_masked[((step.t & 1u) * step.batch + source) * step.h4 + id.x];
                } else {
                    shared_tile[at] = h[h_at(step.index_in, source, id.x)];
                }
            }
        }
        workgroupBarrier();
    }
}

// Loads the operand of the first backward step's product, the gates of dz, if there is one.
fn load_dz(id: vec3u, group: vec3u) {
    if STAGED {
        group_first = group.y * GROUP_Y * ROWS;
        if within(id) && step.product != 0u {
            for (var row = first_row(id); row < first_row(id) + ROWS; row++) {
                let row_at = (step.t - step.t_step) * step.batch + min(row, step.batch - 1u);
                let first = row_at * step.z4 + FIRST * step.h4 + id.x;
                for (var gate = 0u; gate < GATES; gate++) {
                    shared_tile[shared_at(row, GATES, gate, id.x)] = z[first + gate * step.h4];
                }
            }
        }
        workgroupBarrier();
    }
}

fn flags_at(t: u32, row: u32) -> u32 {
    return flags[t * step.batch + row];
}

// Whether this thread is within the batch and the hidden units.
fn within(id: vec3u) -> bool {
    return id.x < step.h4 && first_row(id) < step.batch;
}

fn first_row(id: vec3u) -> u32 {
    return id.y * ROWS;
}

// The indices of 4 rows for the products, in the batch or in workgroup memory. The last tile may exceed B: surplus rows
// repeat the last one and are not stored, as are those of a tile of fewer than 4 rows.
fn tile_rows(first: u32) -> vec4u {
    let rows = vec4u(first, first + 1u, first + 2u, first + 3u);
    if STAGED {
        return min(rows - group_first, vec4u(GROUP_Y * ROWS - 1u));
    }
    return min(rows, vec4u(step.batch - 1u));
}

// Rows of h_{t-1}, as the product reads it, at one vec4 of k, as the columns of a matrix.
fn h_tile(rows: vec4u, k: u32) -> mat4x4f {
    if STAGED {
        let at = now.shared_in + rows * step.h4 + k;
        return mat4x4f(shared_tile[at.x], shared_tile[at.y], shared_tile[at.z], shared_tile[at.w]);
    }
    if DROPOUT {
        let at = ((now.t & 1u) * step.batch + rows) * step.state4 + k;
        return mat4x4f(h_masked[at.x], h_masked[at.y], h_masked[at.z], h_masked[at.w]);
    }
    let at = (now.index_in * step.batch + rows) * step.state4 + k;
    return mat4x4f(h[at.x], h[at.y], h[at.z], h[at.w]);
}

// h_{t-1} as the cell of a unit reads it. A cell whose h is projected does not read it.
fn entering_h(row: u32, unit: u32) -> vec4f {
$no_projection{    return h[h_at(now.index_in, row, unit)];
}$has_projection{    return vec4f(0.0);
}}

fn store_h(row: u32, unit: u32, h_t: vec4f) {
$no_projection{    h[h_at(now.index_out, row, unit)] = h_t;
$has_w_hh{    if DROPOUT {
        let masked = h_t * factors(row);
        h_masked[((~now.t & 1u) * step.batch + row) * step.h4 + unit] = masked;
        store_shared(row, 1u, 0u, unit, masked);
    } else {
        store_shared(row, 1u, 0u, unit, h_t);
    }
}}$has_projection{    // The product with W_hr adds m_t, 0 at padding, to what is here: 0, or at padding the state that passes through.
    m[(now.t * step.batch + row) * step.h4 + unit] = h_t;
    if unit < step.state4 {
        let alive = (flags_at(now.t, row) & ALIVE) != 0u;
        h[h_at(now.index_out, row, unit)] = select(h[h_at(now.index_in, row, unit)], vec4f(0.0), alive);
    }
}}

// W_hhᵀ for the 4 units of `unit` in one of `gates` gates, at one vec4 of k.
fn w_tile(gates: u32, gate: u32, unit: u32, k: u32) -> mat4x4f {
    if TRANSPOSED_W {
        let row = gates * step.h4;
        let at = 4u * k * row + gate * step.h4 + unit;
        return mat4x4f(w_hh[at], w_hh[at + row], w_hh[at + 2u * row], w_hh[at + 3u * row]);
    }
    let ld = step.state4;
    let at = ((gate * step.h4 + unit) * 4u) * ld + k;
    return transpose(mat4x4f(w_hh[at], w_hh[at + ld], w_hh[at + 2u * ld], w_hh[at + 3u * ld]));
}

// The part of rows of dz_{t+1} that W_hh fed, at one vec4 of k.
fn dz_tile(rows: vec4u, k: u32) -> mat4x4f {
    if STAGED {
        let at = now.shared_in + rows * (GATES * step.h4) + k;
        return mat4x4f(shared_tile[at.x], shared_tile[at.y], shared_tile[at.z], shared_tile[at.w]);
    }
    let at = (now.from_t * step.batch + rows) * step.z4 + FIRST * step.h4 + k;
    return mat4x4f(z[at.x], z[at.y], z[at.z], z[at.w]);
}

// dz_{t+1} · W_hh for a thread's rows and vec4 of h; 0 in a cell without W_hh.
struct DhTile {
    low: mat4x4f,
    high: mat4x4f,
}

fn dh_tile(first: u32, unit: u32) -> DhTile {
    var low = mat4x4f();
    var high = mat4x4f();
$has_w_hh{    if !now.product {
        return DhTile(low, high);
    }
    let low_rows = tile_rows(first);
    let high_rows = tile_rows(first + 4u);
    let ld = step.state4;
    for (var k = 0u; k < GATES * step.h4; k++) {
        let at = 4u * k * ld + unit;
        let w = mat4x4f(w_hh[at], w_hh[at + ld], w_hh[at + 2u * ld], w_hh[at + 3u * ld]);
        low += w * dz_tile(low_rows, k);
        if ROWS == 8u {
            high += w * dz_tile(high_rows, k);
        }
    }
}    return DhTile(low, high);
}

// The gradient of h_t from step t + 1: its carry, and the product unless the state was reset on entering step t + 1.
fn dh_of(carried: vec4f, row: u32, product: vec4f) -> vec4f {
    var dh = carried;
$has_w_hh{    if now.product && (flags_at(now.from_t, row) & step.keep) != 0u {
        if DROPOUT {
            dh += product * factors(row);
        } else {
            dh += product;
        }
    }
}    return dh;
}

// Which of the 4 units of `unit` are below H. The others stay 0, whatever a cell computes from sums of 0.
fn real_units(unit: u32) -> vec4<bool> {
    return 4u * unit + vec4u(0u, 1u, 2u, 3u) < vec4u(step.hidden);
}

fn z_at(row: u32, unit: u32) -> u32 {
    return (now.t * step.batch + row) * step.z4 + unit;
}

fn h_at(index: u32, row: u32, unit: u32) -> u32 {
    return (index * step.batch + row) * step.state4 + unit;
}

fn c_at(index: u32, row: u32, unit: u32) -> u32 {
    return (index * step.batch + row) * step.h4 + unit;
}

// The gradient of h_t from the layer above. Padding is not read.
fn dy_at(row: u32, unit: u32) -> vec4f {
    return dy[dy_index(row, unit)];
}

fn dy_index(row: u32, unit: u32) -> u32 {
    return (now.t * step.batch + row) * step.y4 + step.y_column + unit;
}
