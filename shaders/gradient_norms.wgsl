// The norm of dh_t at every step of a chunk, in parts: a workgroup takes a range of a step's rows and units. The square of
// what has vanished is below all that an f32 holds, so a part is its greatest magnitude and the sum of the squares over
// that, as in Blue (1978), "A portable Fortran program to find the Euclidean norm of a vector".

struct GradientNorms {
    count: u32,    // vec4 of a step: B·h4
    h4: u32,       // vec4 a row
    y4: u32,       // vec4 a row of what dh_t lies in
    y_column: u32, // the direction's first vec4 in it
    first: u32,    // the place of the first step's first part
}

const WIDE = 256u;
const RANGE = 4096u;            // vec4 a workgroup takes
const LEAST = 1.17549435e-38;   // the smallest f32 that is not subnormal

@group(0) @binding(0) var<uniform> args: GradientNorms;
@group(0) @binding(1) var<storage, read> dh: array<vec4f>;          // [n, B, y4]
@group(0) @binding(2) var<storage, read_write> parts: array<vec2f>; // [L·D, T, parts]: magnitude, sum

var<workgroup> shared_: array<f32, WIDE>;

fn dh_at(t: u32, i: u32) -> vec4f {
    let row = t * (args.count / args.h4) + i / args.h4;
    return dh[row * args.y4 + args.y_column + i % args.h4];
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
