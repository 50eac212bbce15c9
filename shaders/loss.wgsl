// Loss and its gradient from logits. A group of `lanes` threads shares the outputs of a prediction, and a workgroup takes
// every so many predictions. The logits a are overwritten by da, weighted but not divided: the update divides by Σ w.
// Classes come from data.

struct Loss {
    predictions: u32,
    outputs: u32,   // O
    ld: u32,        // numbers per row of a; those beyond O stay 0
    lanes: u32,     // a power of two, at most GROUP
    factor: f32,    // the factor of each output's loss: 1/O for a mean over outputs
    delta: f32,     // of the Huber loss
    smoothing: f32, // label smoothing
    quantiles: u32, // Q, per target
}

// 0 squared error, 1 sigmoid + binary cross-entropy, 2 softmax + cross-entropy, 3 absolute error, 4 Huber, 5 quantile,
// 6 normal distribution, 7 Student's t, 8 negative binomial
override LOSS: u32 = 0u;

@group(0) @binding(0) var<uniform> args: Loss;
// Classes [P·B], or the bits of values: [P·B, O], or [P·B, O/Q] followed by the Q quantiles q and by 1 − q. For
// distributions [P·B, O/2] and [P·B, O/3], and [P·B, O/2] pairs of a count and its unit.
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;      // [P·B]
@group(0) @binding(3) var<storage, read_write> a: array<f32>;      // [P·B, ld]
// A sum of weighted losses for each workgroup of any dispatch. Those of all chunks and micro-batches are added to it, in
// their order.
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;
@group(0) @binding(5) var<storage, read> losses: array<f32>;       // [P·B], of the caller

var<workgroup> shared_: array<f32, GROUP>;

// Consecutive lanes reduce (sum or maximum) in a tree whose shape depends only on their number.
fn lanes_sum(local: u32, lanes: u32, value: f32) -> f32 {
    shared_[local] = value;
    for (var width = lanes / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if local % lanes < width {
            shared_[local] += shared_[local + width];
        }
    }
    workgroupBarrier();
    let sum = shared_[local / lanes * lanes];
    workgroupBarrier();
    return sum;
}

fn lanes_max(local: u32, value: f32) -> f32 {
    shared_[local] = value;
    for (var width = args.lanes / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if local % args.lanes < width {
            shared_[local] = max(shared_[local], shared_[local + width]);
        }
    }
    workgroupBarrier();
    let largest = shared_[local / args.lanes * args.lanes];
    workgroupBarrier();
    return largest;
}

// Adds up the losses of all threads of the workgroup.
fn add_to_sum(group: u32, local: u32, value: f32) {
    let sum = lanes_sum(local, GROUP, value);
    if local == 0u {
        sums[group] += sum;
    }
}

@compute @workgroup_size(GROUP)
fn loss(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let at_once = GROUP / args.lanes;
    let lane = local % args.lanes;
    // The lanes of a prediction each keep their part of its loss to the end.
    var sum_of_losses = 0.0;
    for (var first = group.x * at_once; first < args.predictions; first += groups.x * at_once) {
        let prediction = first + local / args.lanes;
        // There are barriers, so a surplus thread repeats the last prediction and stores nothing.
        let own = prediction < args.predictions;
        let p = min(prediction, args.predictions - 1u);
        let factor = weights[p] * args.factor;
        let counts = own && weights[p] > 0.0;
        let row = p * args.ld;
        var sum = 0.0;
        if LOSS == 2u {
            var largest = -3.4028234e38;
            for (var o = lane; o < args.outputs; o += args.lanes) {
                largest = max(largest, a[row + o]);
            }
            largest = lanes_max(local, largest);
            var part = 0.0;
            for (var o = lane; o < args.outputs; o += args.lanes) {
                part += exp(a[row + o] - largest);
            }
            let total = lanes_sum(local, args.lanes, part);
            let class_ = targets[p];
            let spread = args.smoothing / f32(args.outputs);
            for (var o = lane; o < args.outputs; o += args.lanes) {
                let logit = a[row + o];
                let y = spread + select(0.0, 1.0 - args.smoothing, o == class_);
                if y > 0.0 {
                    sum += y * (largest - logit);
                }
                if own {
                    let da = exp(logit - largest) / total - y;
                    a[row + o] = select(0.0, weights[p] * da, counts);
                }
            }
            // The targets of a prediction sum to 1. The logarithm is added last: next to a large logit it would be rounded
            // away.
            sum += select(0.0, log(total), lane == 0u);
        } else if LOSS >= 6u {
            // The logits of a target are in succession, and a lane takes all of them.
            let each = select(2u, 3u, LOSS == 7u);
            let targets_of_each = args.outputs / each;
            for (var k = lane; k < targets_of_each; k += args.lanes) {
                let at = row + k * each;
                let target_ = p * targets_of_each + k;
                var likelihood: Likelihood;
                if LOSS == 6u {
                    likelihood = gaussian(bitcast<f32>(targets[target_]), vec2f(a[at], a[at + 1u]));
                } else if LOSS == 7u {
                    likelihood = student_t(bitcast<f32>(targets[target_]), vec3f(a[at], a[at + 1u], a[at + 2u]));
                } else {
                    let count = bitcast<f32>(targets[2u * target_]);
                    let unit = bitcast<f32>(targets[2u * target_ + 1u]);
                    likelihood = negative_binomial(count, unit, vec2f(a[at], a[at + 1u]));
                }
                sum += likelihood.loss;
                if own {
                    for (var i = 0u; i < each; i++) {
                        a[at + i] = select(0.0, factor * likelihood.da[i], counts);
                    }
                }
            }
        } else {
            for (var o = lane; o < args.outputs; o += args.lanes) {
                let logit = a[row + o];
                var at = p * args.outputs + o;
                if LOSS == 5u {
                    at /= args.quantiles; // O is a multiple of Q
                }
                let target_ = bitcast<f32>(targets[at]);
                let error = logit - target_;
                var da = 0.0;
                if LOSS == 0u {
                    sum += error * error;
                    da = 2.0 * error;
                } else if LOSS == 3u {
                    sum += abs(error);
                    da = sign(error);
                } else if LOSS == 4u {
                    // Within ±δ; unlike `clamp`, `select` keeps what is not a number.
                    da = select(error, select(-args.delta, args.delta, error > 0.0), abs(error) > args.delta);
                    sum += da * (error - 0.5 * da);
                } else if LOSS == 5u {
                    let levels = args.predictions * (args.outputs / args.quantiles);
                    let q = bitcast<f32>(targets[levels + o % args.quantiles]);
                    // 1 − q above the target, −q below it, and the midpoint at it. 1 − q comes from the host: for q near 1
                    // the difference would lose digits.
                    let rest = bitcast<f32>(targets[levels + args.quantiles + o % args.quantiles]);
                    da = select(select(0.5 - q, -q, error < 0.0), rest, error > 0.0);
                    sum += da * error;
                } else {
                    // max(a, 0) − a·y + log(1 + e^−|a|), and σ(a) from the same exponential.
                    let e = exp(-abs(logit));
                    sum += logit * (select(0.0, 1.0, logit >= 0.0) - target_) + log_1p(e);
                    da = select(e, 1.0, logit >= 0.0) / (1.0 + e) - target_;
                }
                if own {
                    a[row + o] = select(0.0, factor * da, counts);
                }
            }
        }
        sum_of_losses += select(0.0, factor * sum, counts);
    }
    add_to_sum(group.x, local, sum_of_losses);
}

// After the kernel of the caller, which has left da and the losses: clears padding, and adds up the other losses.
@compute @workgroup_size(GROUP)
fn custom_loss(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let lane = local % args.lanes;
    var sum_of_losses = 0.0;
    let step = groups.x * (GROUP / args.lanes);
    for (var p = (group.x * GROUP + local) / args.lanes; p < args.predictions; p += step) {
        let counts = weights[p] != 0.0;
        for (var o = lane; o < args.ld; o += args.lanes) {
            if !counts || o >= args.outputs {
                a[p * args.ld + o] = 0.0;
            }
        }
        if counts && lane == 0u {
            sum_of_losses += losses[p];
        }
    }
    add_to_sum(group.x, local, sum_of_losses);
}
