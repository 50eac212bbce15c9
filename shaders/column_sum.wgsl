// Column sums over rows, one column per thread: bias gradients. Rows are split into parts (workgroup y) for `reduce`.

struct ColumnSum {
    rows: u32,       // in all parts
    part_rows: u32,  // in each part but the last
    n4: u32,         // vec4 columns to sum
    ld: u32,         // vec4 per row
    column: u32,     // the first vec4 column
    out_stride: u32, // vec4 between the sums of consecutive parts
    accumulate: u32, // 1: add to out
    first4: u32,     // sums of the first columns are stored at the start of out,
    other: u32,      // those from this column on
    other_at: u32,   // also at this vec4 of out: a gate may have two biases
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
