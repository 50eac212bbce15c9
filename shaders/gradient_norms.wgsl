// The norm of dh_t at every step of a chunk, in parts: one workgroup per range of a step's rows and units. Squares of
// vanished gradients underflow f32, so a part consists of the largest magnitude and the sum of squares relative to it,
// as in Blue (1978), "A portable Fortran program to find the Euclidean norm of a vector".

struct GradientNorms {
    count: u32,    // vec4 per step: B·state4
    state4: u32,   // vec4 per row
    y4: u32,       // vec4 per row of dh
    y_column: u32, // the direction's first vec4 in a row
    first: u32,    // the index of the first step's first part
}

const WIDE = 256u;
const RANGE = 4096u;          // vec4 per workgroup
const LEAST = 1.17549435e-38; // the smallest normal f32

@group(0) @binding(0) var<uniform> args: GradientNorms;
@group(0) @binding(1) var<storage, read> dh: array<vec4f>;          // [n, B, y4]
@group(0) @binding(2) var<storage, read_write> parts: array<vec2f>; // [L·D, T, parts]: magnitude, sum

var<workgroup> shared_: array<f32, WIDE>;

fn dh_at(t: u32, i: u32) -> vec4f {
    let row = t * (args.count / args.state4) + i / args.state4;
    return dh[row * args.y4 + args.y_column + i % args.state4];
}

@compute @workgroup_size(WIDE)
fn gradient_norms(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let first = group.y * RANGE + local;
    let end = min((group.y + 1u) * RANGE, args.count);
    var most = vec4f(0.0);
    for (var i = first; i < end; i += WIDE) {
        most = max(most, abs(dh_at(group.x, i)));
    }
    shared_[local] = max(max(most.x, most.y), max(most.z, most.w));
    for (var width = WIDE / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if local < width {
            shared_[local] = max(shared_[local], shared_[local + width]);
        }
    }
    workgroupBarrier();
    let scale = select(1.0, shared_[0], shared_[0] >= LEAST);
    workgroupBarrier();
    var sum = 0.0;
    for (var i = first; i < end; i += WIDE) {
        let scaled = dh_at(group.x, i) / scale;
        sum += dot(scaled, scaled);
    }
    shared_[local] = sum;
    for (var width = WIDE / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if local < width {
            shared_[local] += shared_[local + width];
        }
    }
    if local == 0u {
        parts[args.first + group.x * groups.y + group.y] = vec2f(scale, shared_[0]);
    }
}
