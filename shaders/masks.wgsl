// Dropout masks: the counters and the generator of src/dropout.rs.

struct DropoutParams {
    key_low: u32,
    key_high: u32,
    first_row: u32,           // the pass's first row among all rows of the step
    threshold: u32,           // between layers: a unit is dropped if its number is below
    scale: f32,               // the factor of the others; 0 and 1 without dropout
    recurrent_threshold: u32, // the same for recurrent dropout
    recurrent_scale: f32,
}

@group(0) @binding(11) var<storage, read> params: DropoutParams;

// The two products of a round: low and high halves, computed from 16-bit halves.
struct Products {
    low: vec2u,
    high: vec2u,
}

fn products(a: vec2u, b: vec2u) -> Products {
    let a_low = a & vec2u(0xffffu);
    let a_high = a >> vec2u(16u);
    let b_low = b & vec2u(0xffffu);
    let b_high = b >> vec2u(16u);
    let first = a_high * b_low + ((a_low * b_low) >> vec2u(16u));
    let second = a_low * b_high + (first & vec2u(0xffffu));
    return Products(a * b, a_high * b_high + (first >> vec2u(16u)) + (second >> vec2u(16u)));
}

// Philox-4x32-10.
fn philox(counter: vec4u, first_key: vec2u) -> vec4u {
    var c = counter;
    var key = first_key;
    for (var round = 0u; round < 10u; round++) {
        let p = products(c.xz, vec2u(0xd2511f53u, 0xcd9e8d57u));
        c = vec4u(p.high.y ^ c.y ^ key.x, p.low.y, p.high.x ^ c.w ^ key.y, p.low.x);
        key += vec2u(0x9e3779b9u, 0xbb67ae85u);
    }
    return c;
}

fn words(group: u32, t: u32, row: u32, stream: u32) -> vec4u {
    return philox(vec4u(group, t, params.first_row + row, stream), vec2u(params.key_low, params.key_high));
}

// The factors of 4 units of a (layer, direction) between layers, at step t of the sequence.
fn between(group: u32, t: u32, row: u32, layer_direction: u32) -> vec4f {
    return select(vec4f(params.scale), vec4f(0.0), words(group, t, row, 2u * layer_direction) < vec4u(params.threshold));
}

// Whether 4 units are kept by the recurrent mask, which is the same at every step.
fn recurrent(group: u32, row: u32, layer_direction: u32) -> vec4<bool> {
    return words(group, 0u, row, 2u * layer_direction + 1u) >= vec4u(params.recurrent_threshold);
}
