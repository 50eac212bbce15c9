// The gradient of h_t from the layer above. With gradient norms, dh_over_dy.wgsl replaces this file.

@group(0) @binding(7) var<storage, read> dy: array<vec4f>; // [n, B, y4]

fn store_dh(row: u32, unit: u32, dh: vec4f) {}
