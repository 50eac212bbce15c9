// Like dy.wgsl, but stores dh_t, the whole gradient of h_t, in place of dy_t for gradient_norms.wgsl: 0 at padding.
// Both directions write to it, which prevents the device from overlapping them, so only passes with gradient norms use
// this form, and a projected h, whose product with W_hr reads it.

@group(0) @binding(7) var<storage, read_write> dy: array<vec4f>; // [n, B, y4]

fn store_dh(row: u32, unit: u32, dh: vec4f) {
    dy[dy_index(row, unit)] = dh;
}
