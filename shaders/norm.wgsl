// The global norm of the divided gradient. Each workgroup sums some of the squares; then one workgroup adds their
// sums and those of the loss, checks loss and norm, and computes the factor of the update. Squares leave the range of
// f32 long before the numbers do, so the numbers are first divided by a power of two near the largest one, as in Blue
// (1978), "A portable Fortran program to find the Euclidean norm of a vector". This changes no digit.

const WIDE = 256u;
const RANGE = 4096u; // vec4 per workgroup

@group(0) @binding(0) var<uniform> args: Update;
@group(0) @binding(1) var<storage, read> gradients: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> partials: array<vec2f>; // power of two, sum of squares over it
@group(0) @binding(3) var<storage, read> loss_sums: array<vec4f>; // WIDE of them
@group(0) @binding(4) var<storage, read_write> status: Status;
// (rate, root_bias2, fresh, average) for each possible number of skipped steps beyond args.known: the optimizer counts applied
// updates, and the host does not know the outcome of the last ones yet.
@group(0) @binding(5) var<storage, read> choices: array<vec4f>;

$scaled{@group(0) @binding(12) var<storage, read_write> loss_scale: LossScale;

const GROWS_AFTER = 2000u;           // updates with finite gradients
const MOST = 16777216.0;             // 2^24
const LEAST = 5.960464477539063e-8;  // 2^−24

// Halves the scale after gradients that were not finite, which may have left the range of halves, and doubles it after many
// that were.
fn adapt_loss_scale(is_finite: bool) {
    loss_scale.good = select(0u, loss_scale.good + 1u, is_finite);
    var by = 1.0;
    if !is_finite && loss_scale.factor > LEAST {
        by = 0.5;
    } else if loss_scale.good == GROWS_AFTER {
        loss_scale.good = 0u;
        by = select(1.0, 2.0, loss_scale.factor < MOST);
    }
    loss_scale.factor *= by;
    loss_scale.inverse = 1.0 / loss_scale.factor;
}
}
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
    let sum = shared_[0];
    workgroupBarrier();
    return sum;
}

fn workgroup_max(local: u32, value: f32) -> f32 {
    shared_[local] = value;
    for (var width = WIDE / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if local < width {
            shared_[local] = max(shared_[local], shared_[local + width]);
        }
    }
    workgroupBarrier();
    let largest = shared_[0];
    workgroupBarrier();
    return largest;
}

// The power of two below a magnitude, from its exponent bits. Limited to 2^−100 to 2^100, so that it has an inverse.
fn power_below(magnitude: f32) -> f32 {
    return bitcast<f32>(clamp(bitcast<u32>(magnitude) & 0x7f800000u, 27u << 23u, 227u << 23u));
}

fn inverse(power: f32) -> f32 {
    return bitcast<f32>((254u << 23u) - bitcast<u32>(power));
}

@compute @workgroup_size(WIDE)
fn norm_partial(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let first = group.x * RANGE;
    let end = min(first + RANGE, args.count);
    var largest = vec4f(0.0);
    for (var i = first + local; i < end; i += WIDE) {
        largest = max(largest, abs(gradients[i]));
    }
    let power = power_below(workgroup_max(local, max(max(largest.x, largest.y), max(largest.z, largest.w))));
    let over = inverse(power);
    var sum = 0.0;
    for (var i = first + local; i < end; i += WIDE) {
        let g = gradients[i] * over;
        sum += dot(g, g);
    }
    sum = workgroup_sum(local, sum);
    if local == 0u {
        partials[args.first_partial + group.x] = vec2f(power, sum);
    }
}

// Tests the bits, since a compiler may assume that floats are finite.
fn finite(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
}

@compute @workgroup_size(WIDE)
fn norm(@builtin(local_invocation_index) local: u32) {
    var largest = 0.0;
    for (var i = local; i < args.partials; i += WIDE) {
        largest = max(largest, partials[i].x);
    }
    let power = workgroup_max(local, largest);
    let over = inverse(power);
    var sum = 0.0;
    for (var i = local; i < args.partials; i += WIDE) {
        let factor = partials[i].x * over;
        sum += factor * factor * partials[i].y;
    }
    sum = workgroup_sum(local, sum);
    // The host adds in this order too: `loss_sum` in src/gpu/weights/mod.rs.
    let losses = loss_sums[local];
    let loss_sum = workgroup_sum(local, (losses.x + losses.y) + (losses.z + losses.w));
    if local != 0u {
        return;
    }
    let norm = sqrt(sum) * args.inverse_divisor * power;
    let loss = loss_sum * args.inverse_divisor;
    status.loss = loss;
    status.norm = norm;
    var scale = args.inverse_divisor;
    if args.clip_norm > 0.0 {
        scale *= min(1.0, args.clip_norm / (norm + 1e-6));
    }
    status.scale = scale;
    if status.bad_in_row > args.max_skipped_updates {
        status.skipped += 1u;
        return;
    }
$scaled{    adapt_loss_scale(finite(loss) && finite(norm));
}    if finite(loss) && finite(norm) {
        status.bad_in_row = 0u;
        let choice = choices[min(status.skipped - args.known, args.choices - 1u)];
        status.rate = choice.x;
        status.root_bias2 = choice.y;
        status.fresh = choice.z;
        status.average = choice.w;
    } else {
        status.bad_in_row += 1u;
        status.skipped += 1u;
        status.bad_step = args.step;
        status.bad_norm = u32(finite(loss));
    }
}
