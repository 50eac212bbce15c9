// Loss and its gradient from logits. A group of `lanes` threads shares the outputs of a prediction. The logits a are
// overwritten by da, weighted but not divided: the update divides by Σ w. Classes come from data.

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
// 6 the caller's, whose kernel has left da and the losses: only padding is cleared
override LOSS: u32 = 0u;

@group(0) @binding(0) var<uniform> args: Loss;
// Classes [P·B], or the bits of values: [P·B, O], or [P·B, O/Q] followed by the Q quantiles q and by 1 − q.
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;      // [P·B]
@group(0) @binding(3) var<storage, read_write> a: array<f32>;      // [P·B, ld]
@group(0) @binding(4) var<storage, read_write> losses: array<f32>; // [P·B], weighted

var<workgroup> shared_: array<f32, GROUP>;

// The lanes of a prediction reduce (sum or maximum) in a tree whose shape depends only on `lanes`.
fn lanes_sum(local: u32, value: f32) -> f32 {
    shared_[local] = value;
    for (var width = args.lanes / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if local % args.lanes < width {
            shared_[local] += shared_[local + width];
        }
    }
    workgroupBarrier();
    let sum = shared_[local / args.lanes * args.lanes];
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

// log(1 + e) for e from 0 to 1: twice the series of artanh at e / (2 + e), accurate to 2e-8. Computing 1 + e would
// round e away.
fn log_1p(e: f32) -> f32 {
    let s = e / (2.0 + e);
    let t = s * s;
    let series = 1.0 / 5.0 + t * (1.0 / 7.0 + t * (1.0 / 9.0 + t * (1.0 / 11.0 + t * (1.0 / 13.0))));
    return 2.0 * s * (1.0 + t * (1.0 / 3.0 + t * series));
}

@compute @workgroup_size(GROUP)
fn loss(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let prediction = (group.y * groups.x + group.x) * (GROUP / args.lanes) + local / args.lanes;
    // Barriers follow, so a surplus thread repeats the last prediction and stores nothing.
    let own = prediction < args.predictions;
    let p = min(prediction, args.predictions - 1u);
    let lane = local % args.lanes;
    let weight = weights[p];
    let row = p * args.ld;
    if LOSS == 6u {
        for (var o = lane; o < args.ld; o += args.lanes) {
            if own && (weight == 0.0 || o >= args.outputs) {
                a[row + o] = 0.0;
            }
        }
        if own && lane == 0u && weight == 0.0 {
            losses[p] = 0.0;
        }
        return;
    }
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
        let total = lanes_sum(local, part);
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
                a[row + o] = select(0.0, weight * da, weight > 0.0);
            }
        }
        // The targets of a prediction sum to 1. The logarithm is added last: next to a large logit it would be rounded
        // away.
        sum = lanes_sum(local, sum) + log(total);
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
                let first = args.predictions * (args.outputs / args.quantiles);
                let q = bitcast<f32>(targets[first + o % args.quantiles]);
                // 1 − q above the target, −q below it, and the midpoint at it. 1 − q comes from the host: for q near 1
                // the difference would lose digits.
                let rest = bitcast<f32>(targets[first + args.quantiles + o % args.quantiles]);
                da = select(select(0.5 - q, -q, error < 0.0), rest, error > 0.0);
                sum += da * error;
            } else {
                // max(a, 0) − a·y + log(1 + e^−|a|), and σ(a) from the same exponential.
                let e = exp(-abs(logit));
                sum += logit * (select(0.0, 1.0, logit >= 0.0) - target_) + log_1p(e);
                da = select(e, 1.0, logit >= 0.0) / (1.0 + e) - target_;
            }
            if own {
                a[row + o] = select(0.0, weight * args.factor * da, weight > 0.0);
            }
        }
        sum = lanes_sum(local, sum);
    }
    if own && lane == 0u {
        losses[p] = select(0.0, weight * args.factor * sum, weight > 0.0);
    }
}
