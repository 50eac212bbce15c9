// Adds the losses of a chunk's predictions to the step's loss. One workgroup, in a fixed order.

struct Sum {
    count: u32,
}

const WIDE = 256u;

@group(0) @binding(0) var<uniform> args: Sum;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read_write> total: array<f32>;

var<workgroup> shared_: array<f32, WIDE>;

@compute @workgroup_size(WIDE)
fn sum(@builtin(local_invocation_index) local: u32) {
    var part = 0.0;
    for (var i = local; i < args.count; i += WIDE) {
        part += values[i];
    }
    shared_[local] = part;
    for (var width = WIDE / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if local < width {
            shared_[local] += shared_[local + width];
        }
    }
    if local == 0u {
        total[0] += shared_[0];
    }
}
