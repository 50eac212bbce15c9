// The gradient of h_t from the layer above. flow_dy.wgsl stands in its place where the norms of dh_t are asked for.

@group(0) @binding(7) var<storage, read> dy: array<vec4f>; // [n, B, y4]

fn store_dh(row: u32, unit: u32, dh: vec4f) {}
