// What the steps of all cells share: the bindings, the rows' flags, and the two recurrent products.
//
// A thread owns 4 batch rows × 4 hidden units and all their gates. Hidden sizes are rounded up to whole vec4, `h4`;
// the units beyond H have weights, biases and states of zero.

struct Step {
    t: u32,         // this step's index in the chunk
    from_t: u32,    // backward: the step whose dz flows into this one
    slot_in: u32,   // the history slot of the state that enters the step
    slot_out: u32,  // and of the one that leaves it
    batch: u32,     // B
    hidden: u32,    // H
    h4: u32,        // vec4 a row of h
    z4: u32,        // vec4 a row of z: what a step keeps of all gates
    y4: u32,        // vec4 a row of dy
    y_column: u32,  // the direction's first vec4 in it
    keep: u32,      // the flag of this direction: the entering state is kept
    product: u32,   // backward: 0 where no later step of the chunk flows into this one
    epilogue: u32,  // backward: 0 for the last product alone, which leaves the gradient of the entering state in carry
}

const ALIVE = 1u; // t lies below the row's length

override GROUP_X: u32 = 8u;
override GROUP_Y: u32 = 2u;

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> flags: array<u32>;               // [n, B]
@group(0) @binding(2) var<storage, read> w_hh: array<vec4f>;              // [G·4·h4, h4]
@group(0) @binding(3) var<storage, read> b_hh: array<vec4f>;              // [G·h4]
@group(0) @binding(4) var<storage, read_write> z: array<vec4f>;           // [n, B, z4]: gates forward, dz backward
@group(0) @binding(5) var<storage, read_write> h: array<vec4f>;           // [n + 1, B, h4]
@group(0) @binding(6) var<storage, read_write> c: array<vec4f>;           // [n + 1, B, h4]
@group(0) @binding(7) var<storage, read> dy: array<vec4f>;                // [n, B, y4]
@group(0) @binding(8) var<storage, read_write> carry_h: array<vec4f>;     // [B, h4]
@group(0) @binding(9) var<storage, read_write> carry_c: array<vec4f>;     // [B, h4]

fn flag(t: u32, row: u32, bit: u32) -> bool {
    return (flags[t * step.batch + row] & bit) != 0u;
}

// The last tile may reach beyond B: its surplus rows repeat the last one and are not stored.
fn tile_rows(first: u32) -> vec4u {
    return min(vec4u(first, first + 1u, first + 2u, first + 3u), vec4u(step.batch - 1u));
}

// Rows of h_{t-1} at one vec4 of k, as the columns of a matrix.
fn h_tile(rows: vec4u, k: u32) -> mat4x4f {
    let at = (step.slot_in * step.batch + rows) * step.h4 + k;
    return mat4x4f(h[at.x], h[at.y], h[at.z], h[at.w]);
}

// W_hhᵀ for the 4 units of `unit` in a gate, at one vec4 of k.
fn w_tile(gate: u32, unit: u32, k: u32) -> mat4x4f {
    let at = ((gate * step.h4 + unit) * 4u) * step.h4 + k;
    return transpose(mat4x4f(w_hh[at], w_hh[at + step.h4], w_hh[at + 2u * step.h4], w_hh[at + 3u * step.h4]));
}

// dz_{t+1} · W_hh for 4 rows × 4 units, summed over `gates` gates that begin at vec4 `column` of a row of z.
// A row whose state was reset on entering step t + 1 gets nothing.
fn dh_tile(rows: vec4u, unit: u32, column: u32, gates: u32) -> mat4x4f {
    var sum = mat4x4f();
    if step.product == 0u {
        return sum;
    }
    let at = (step.from_t * step.batch + rows) * step.z4 + column;
    for (var k = 0u; k < gates * step.h4; k++) {
        let dz = mat4x4f(z[at.x + k], z[at.y + k], z[at.z + k], z[at.w + k]);
        let w = 4u * k * step.h4 + unit;
        sum += mat4x4f(w_hh[w], w_hh[w + step.h4], w_hh[w + 2u * step.h4], w_hh[w + 3u * step.h4]) * dz;
    }
    for (var i = 0u; i < 4u; i++) {
        sum[i] = select(vec4f(0.0), sum[i], flag(step.from_t, rows[i], step.keep));
    }
    return sum;
}

fn z_at(row: u32, unit: u32) -> u32 {
    return (step.t * step.batch + row) * step.z4 + unit;
}

fn slot_at(slot: u32, row: u32, unit: u32) -> u32 {
    return (slot * step.batch + row) * step.h4 + unit;
}

// The gradient of h_t from the layer above; whatever stands at padding is not read.
fn dy_at(row: u32, unit: u32) -> vec4f {
    return dy[(step.t * step.batch + row) * step.y4 + step.y_column + unit];
}
