// Column sums over rows, for the gradients of biases: of 16 vec4 columns a workgroup, by 4 threads each. Rows are split into
// parts (workgroup y) for `reduce`.

struct ColumnSum {
    rows: u32,      // in all parts
    part_rows: u32, // in each part but the last
    n4: u32,        // vec4 columns to sum
    ld: u32,        // vec4 per row
    column: u32,    // the first vec4 column
    first: u32,     // where the sums of the first part begin in `out`, in vec4; those of the next begin n4 later
}

@group(0) @binding(0) var<uniform> args: ColumnSum;
@group(0) @binding(1) var<storage, read> values: array<Stored>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;

const COLUMNS = 16u;
const SHARES = 4u; // threads of a column

var<workgroup> shared_: array<vec4f, 64>;

@compute @workgroup_size(COLUMNS, SHARES)
fn column_sum(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) id: vec3u) {
    let column = group.x * COLUMNS + id.x;
    let begin = group.y * args.part_rows;
    let end = min(begin + args.part_rows, args.rows);
    let first = args.column + min(column, args.n4 - 1u);
    var sum = vec4f(0.0);
    // Four rows at a time, so that their loads are under way together.
    for (var row = begin + id.y; row < end; row += 4u * SHARES) {
        let rows = row + vec4u(0u, SHARES, 2u * SHARES, 3u * SHARES);
        let at = first + min(rows, vec4u(end - 1u)) * args.ld;
        let next = mat4x4f(loaded(values[at.x]), loaded(values[at.y]), loaded(values[at.z]), loaded(values[at.w]));
        let zero = vec4f(0.0);
        sum += next[0];
        sum += select(zero, next[1], rows.y < end);
        sum += select(zero, next[2], rows.z < end);
        sum += select(zero, next[3], rows.w < end);
    }
    shared_[id.y * COLUMNS + id.x] = sum;
    workgroupBarrier();
    if id.y == 0u && column < args.n4 {
        for (var share = 1u; share < SHARES; share++) {
            sum += shared_[share * COLUMNS + id.x];
        }
        out[args.first + group.y * args.n4 + column] = unscaled(sum);
    }
}
