// The global norm of the divided gradient: each workgroup sums a range of squares, then one adds their sums, checks loss
// and norm, and sets the factor of the update.

const WIDE = 256u;
const RANGE = 4096u; // vec4 a workgroup sums

@group(0) @binding(0) var<uniform> args: Update;
@group(0) @binding(1) var<storage, read> gradients: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;
@group(0) @binding(3) var<storage, read> total_loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> status: Status;

var<workgroup> shared_: array<f32, WIDE>;

fn workgroup_sum(local: u32, value: f32) -> f32 {
    shared_[local] = value;
    for (var width = WIDE / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if local < width {
            shared_[local] += shared_[local + width];
        }
    }
    workgroupBarrier();
    return shared_[0];
}

@compute @workgroup_size(WIDE)
fn norm_partial(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let first = group.x * RANGE;
    let end = min(first + RANGE, args.count);
    var sum = 0.0;
    for (var i = first + local; i < end; i += WIDE) {
        let g = gradients[i] * args.inverse_divisor;
        sum += dot(g, g);
    }
    sum = workgroup_sum(local, sum);
    if local == 0u {
        partials[group.x] = sum;
    }
}

// By its bits: a compiler may take for granted that no float is infinite or NaN.
fn finite(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
}

@compute @workgroup_size(WIDE)
fn norm(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var i = local; i < args.partials; i += WIDE) {
        sum += partials[i];
    }
    sum = workgroup_sum(local, sum);
    if local != 0u {
        return;
    }
    let norm = sqrt(sum);
    let loss = total_loss[0] * args.inverse_divisor;
    status.loss = loss;
    status.norm = norm;
    var scale = args.inverse_divisor;
    if args.clip_norm > 0.0 {
        scale *= min(1.0, args.clip_norm / (norm + 1e-6));
    }
    status.scale = scale;
    if status.bad_in_row > args.skips {
        return;
    }
    if finite(loss) && finite(sum) {
        status.bad_in_row = 0u;
    } else {
        status.bad_in_row += 1u;
        status.bad_step = args.step;
        status.bad_norm = u32(finite(loss));
    }
}
