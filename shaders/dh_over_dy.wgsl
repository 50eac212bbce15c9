// As dy.wgsl, and where dy_t was read stands dh_t, the whole gradient of h_t, for gradient_norms.wgsl: 0 at padding. What both
// directions write keeps a device from overlapping them, so this form is only for passes that are asked for it.

@group(0) @binding(7) var<storage, read_write> dy: array<vec4f>; // [n, B, y4]

fn store_dh(row: u32, unit: u32, dh: vec4f) {
    dy[dy_index(row, unit)] = dh;
}
