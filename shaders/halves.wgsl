$halves{fn of_halves(stored: vec2u) -> vec4f {
    return vec4f(unpack2x16float(stored.x), unpack2x16float(stored.y));
}

// What is beyond the range of halves becomes infinite, and what is no number stays none, by their bits: what a packing function
// makes of them is not defined.
fn to_halves(value: vec4f) -> vec2u {
    let most = vec4f(65504.0);
    let held = clamp(value, -most, most);
    let packed = vec2u(pack2x16float(held.xy), pack2x16float(held.zw));
    let bits = bitcast<vec4u>(value);
    let magnitude = bits & vec4u(0x7fffffffu);
    let beyond = magnitude > vec4u(0x477fe000u); // 65504
    if !any(beyond) {
        return packed;
    }
    let sign = (bits >> vec4u(16u)) & vec4u(0x8000u);
    let instead = sign | select(vec4u(0x7c00u), vec4u(0x7e00u), magnitude > vec4u(0x7f800000u));
    let halves = select(vec4u(packed.x & 0xffffu, packed.x >> 16u, packed.y & 0xffffu, packed.y >> 16u), instead, beyond);
    return vec2u(halves.x | (halves.y << 16u), halves.z | (halves.w << 16u));
}
}
