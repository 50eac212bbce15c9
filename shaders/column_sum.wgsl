// The sum over rows, a column a thread: a bias gradient. Rows are cut into parts, the workgroup's y, for `reduce`.

struct ColumnSum {
    rows: u32,       // of all parts
    part_rows: u32,  // of each but the last
    n4: u32,         // vec4 columns to sum
    ld: u32,         // vec4 a row
    column: u32,     // the first vec4 column
    out_stride: u32, // vec4 from one part's sums to the next's
    accumulate: u32, // 1: out is added to
    first4: u32,     // of these columns the sums stand at the begin of out,
    other: u32,      // and those from this one on,
    other_at: u32,   // from this vec4 of out on, too: a gate may have two biases
}

@group(0) @binding(0) var<uniform> args: ColumnSum;
@group(0) @binding(1) var<storage, read> values: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;

@compute @workgroup_size(16)
fn column_sum(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= args.n4 {
        return;
    }
    let first = id.y * args.part_rows;
    let end = min(first + args.part_rows, args.rows);
    var sum = vec4f(0.0);
    for (var row = first; row < end; row++) {
        sum += values[row * args.ld + args.column + id.x];
    }
    if id.x < args.first4 {
        store(id.y * args.out_stride + id.x, sum);
    }
    if id.x >= args.other {
        store(args.other_at + id.x - args.other, sum);
    }
}

fn store(at: u32, sum: vec4f) {
    out[at] = select(vec4f(0.0), out[at], args.accumulate != 0u) + sum;
}
