// A batch of products C_i (+)= op(A_i) · op(B_i) (+ bias), row major, where i is the workgroup's z. A product with a
// long k is split along k into such a batch, whose results `reduce` adds in order. Shared by matmul.wgsl and
// matmul_tiled.wgsl, which sum in the same order.
//
// With 4 rows of A as the columns of one matrix and B's 4 rows of k as the columns of another, a 4 × 4 block of C is a
// plain matrix product whose columns are rows of C. A transposed operand is transposed in registers. Leading dimensions
// and n are in vec4. Rows are padded to whole vec4 with zeros, so only the rows of C and the k of a transposed A can
// end within a block.
//
// The host writes the text for a tile: what stands after `$each_…` once for each block or load of a thread, with its
// number for # or ?, and the tile's sizes as constants.

struct Matmul {
    m: u32,          // rows of C
    n4: u32,         // vec4 per row of C
    k: u32,          // the inner size of each product
    k_last: u32,     // the same for the last product of the batch
    lda: u32,
    ldb: u32,
    ldc: u32,
    a_first: u32,    // the start of each matrix, in vec4
    b_first: u32,
    c_first: u32,
    a_stride: u32,   // vec4 between consecutive products of the batch
    b_stride: u32,
    c_stride: u32,
    bias: u32,       // 1: rows of C start from the bias
    accumulate: u32, // 1: add to C
}

override TRANSPOSE_A: bool = false; // A is stored [k, m] rather than [m, k]
override TRANSPOSE_B: bool = false; // B is stored [n, k] rather than [k, n]

@group(0) @binding(0) var<uniform> args: Matmul;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> c: array<vec4f>;

// sum + b · a, where the columns of a are rows of op(A).
fn products(b: mat4x4f, a: mat4x4f, sum: mat4x4f) -> mat4x4f {
    return mat4x4f(chain(b, a[0], sum[0]), chain(b, a[1], sum[1]), chain(b, a[2], sum[2]), chain(b, a[3], sum[3]));
}

// A block of 4 rows of C.
fn store(first: u32, row: u32, n4: u32, block: mat4x4f) {
    if n4 >= args.n4 {
        return;
    }
    store_row(first, row, n4, block[0]);
    store_row(first, row + 1u, n4, block[1]);
    store_row(first, row + 2u, n4, block[2]);
    store_row(first, row + 3u, n4, block[3]);
}

fn store_row(first: u32, row: u32, n4: u32, values: vec4f) {
    if row >= args.m {
        return;
    }
    let at = first + row * args.ldc + n4;
    if args.accumulate != 0u {
        c[at] += values;
    } else {
        c[at] = values;
    }
}

fn bias_block(n4: u32) -> mat4x4f {
    if args.bias == 0u {
        return mat4x4f();
    }
    let row = bias[min(n4, args.n4 - 1u)];
    return mat4x4f(row, row, row, row);
}
