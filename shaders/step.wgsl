// Shared by the step kernels of all cells: the bindings, the rows' flags and masks, and where everything lies. The host
// expands the step kernels as step_product.wgsl says.
//
// Hidden sizes are padded to whole vec4, `h4`; units beyond H have zero weights, biases and states.
//
// A dispatch runs `count` steps. With count above 1, one workgroup must own all hidden units of its rows, so that a
// workgroup barrier separates the steps; rows are independent. With count 1 the units are spread over workgroups, and
// the next dispatch is the barrier.
//
// With a projection, the h that the cell computes is stored as m, and products with W_hr before and after it lead from m to h
// and from the gradient of h to that of m. Then count is 1.

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
    product: u32,         // 0 if the first step has no product: backward, where no later step of the chunk contributes to it
    epilogue: u32,        // backward: 0 if the last step is only the product, which leaves the entering state's gradient in
                          // carry
    layer_direction: u32, // the (layer, direction), for its masks
    parameter_first: u32, // the first vec4 of the cell's own parameters, in vectors forward and in w_hh backward
    parameter_ld: u32,    // vec4 from one of them to the next
}

const ALIVE = 1u; // t is within the row's length

override DROPOUT: bool = false;      // recurrent dropout
override GROUP_X: u32 = 8u;          // threads of a workgroup, as step_product.wgsl says
override GROUP_Y: u32 = 1u;
override GROUP_Z: u32 = 1u;

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> flags: array<u32>;           // [n, B]
// [G·4·h4, state4], or [4·state4, G·h4]; backward followed by the biases, unless they are halves, and the cell's own parameters.
@group(0) @binding(2) var<storage, read> w_hh: array<Stored>;
@group(0) @binding(3) var<storage, read> vectors: array<vec4f>;       // b_hh, [G·h4], and the cell's own parameters
@group(0) @binding(4) var<storage, read_write> z: array<Stored>;       // [n, B, z4]: what is kept, and then its gradients
@group(0) @binding(5) var<storage, read_write> h: array<Stored>;       // [n + 1, B, state4]
@group(0) @binding(6) var<storage, read_write> c: array<vec4f>;       // [n + 1, B, h4]
// [B, h4]: dh, or dm if h is projected; then [B, h4]: dc, if there is c. In step_dh [B, state4]: dh.
@group(0) @binding(8) var<storage, read_write> carry: array<vec4f>;
$has_projection{@group(0) @binding(9) var<storage, read_write> m: array<vec4f>;       // [n, B, h4]
}// [2, B, state4]: masked h_{t-1} at index t mod 2. With recurrent dropout only.
@group(0) @binding(10) var<storage, read_write> h_masked: array<vec4f>;

$has_product{// The 4 rows of W_hh from `at` on, which are `ld` apart.
fn block_of(at: u32, ld: u32) -> mat4x4f {
    return mat4x4f(loaded(w_hh[at]), loaded(w_hh[at + ld]), loaded(w_hh[at + 2u * ld]), loaded(w_hh[at + 3u * ld]));
}

}// The current step.
struct Now {
    t: u32,
    from_t: u32,    // backward: the step whose dz contributes to this one
    index_in: u32,
    index_out: u32,
    product: bool,
    epilogue: bool,
}

var<private> now: Now;

// Moves to the step at index `place` of the dispatch.
fn begin(place: u32) {
    let passed = place * step.t_step;
    now.t = step.t + passed;
    now.from_t = now.t - step.t_step;
    now.index_in = step.index_in + passed;
    now.index_out = step.index_out + passed;
    now.product = place > 0u || step.product != 0u;
    now.epilogue = place + 1u < step.count || step.epilogue != 0u;
}

// With recurrent dropout: which units are kept of the rows that a thread computes, 4 bits for each.
var<private> kept: u32;

fn draw_mask(item: u32, row: u32, unit: u32) {
    if DROPOUT {
        let bits = select(vec4u(0u), vec4u(1u, 2u, 4u, 8u), recurrent(unit, row, step.layer_direction));
        kept |= (bits.x | bits.y | bits.z | bits.w) << (4u * item);
    }
}

// The factors of the units of a thread's row at `item` in the recurrent product.
fn factors(item: u32) -> vec4f {
    let bits = vec4u(kept >> (4u * item)) & vec4u(1u, 2u, 4u, 8u);
    return select(vec4f(0.0), vec4f(params.recurrent_scale), bits != vec4u(0u));
}

// The index of a parameter of the cell's own.
fn parameter_at(index: u32, unit: u32) -> u32 {
    return step.parameter_first + index * step.parameter_ld + unit;
}

fn flags_at(t: u32, row: u32) -> u32 {
    return flags[t * step.batch + row];
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

// h_{t-1} as the cell of a unit reads it. A cell whose h is projected does not read it.
fn entering_h(row: u32, unit: u32) -> vec4f {
$no_projection{    return loaded(h[h_at(now.index_in, row, unit)]);
}$has_projection{    return vec4f(0.0);
}}

// The gradient of h_t from the layer above. Padding is not read.
fn dy_at(row: u32, unit: u32) -> vec4f {
    return dy[dy_index(row, unit)];
}

fn dy_index(row: u32, unit: u32) -> u32 {
    return (now.t * step.batch + row) * step.y4 + step.y_column + unit;
}
