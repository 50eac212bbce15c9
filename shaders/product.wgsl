// A batch of products C_i (+)= op(A_i) · op(B_i) (+ bias), row major, i the workgroup's z. A product with a long k is
// cut into such a batch along k, whose results `reduce` adds in their order. What the two families of tiles share,
// matmul.wgsl and matmul_tiled.wgsl: their sums have one order.
//
// With 4 rows of A as the columns of one matrix and B's 4 rows of k as the columns of another, a 4 × 4 block of C is a plain
// matrix product whose columns are rows of C, and a side that is stored the other way round is transposed in registers.
// Leading dimensions and n count vec4; rows are padded to whole vec4 with zeros, so that only the rows of C and a transposed
// A's k can end within a block.

struct Matmul {
    m: u32,          // rows of C
    n4: u32,         // vec4 a row of C
    k: u32,          // the inner size of each product
    k_last: u32,     // and of the batch's last one
    lda: u32,
    ldb: u32,
    ldc: u32,
    a_first: u32,    // where each matrix begins, in vec4
    b_first: u32,
    c_first: u32,
    a_stride: u32,   // from one product of the batch to the next, in vec4
    b_stride: u32,
    c_stride: u32,
    bias: u32,       // 1: rows of C start from the bias
    accumulate: u32, // 1: C is added to
}

override TRANSPOSE_A: bool = false; // A is stored [k, m] rather than [m, k]
override TRANSPOSE_B: bool = false; // B is stored [n, k] rather than [k, n]

@group(0) @binding(0) var<uniform> args: Matmul;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> c: array<vec4f>;

// Columns: 4 rows of op(A) from row 4·m4, at the 4 values of k from 4·k4.
fn a_block(first: u32, m4: u32, k4: u32, k: u32) -> mat4x4f {
    if TRANSPOSE_A {
        let rows = min(4u * k4 + vec4u(0u, 1u, 2u, 3u), vec4u(k - 1u));
        let at = first + rows * args.lda + min(m4, (args.m + 3u) / 4u - 1u);
        return transpose(mat4x4f(a[at.x], a[at.y], a[at.z], a[at.w]));
    }
    let rows = min(4u * m4 + vec4u(0u, 1u, 2u, 3u), vec4u(args.m - 1u));
    let at = first + rows * args.lda + k4;
    return mat4x4f(a[at.x], a[at.y], a[at.z], a[at.w]);
}

// Columns: 4 rows of op(B) from row 4·k4 of k, at the 4 columns from 4·n4. Beyond k they are 0: there A repeats its last.
fn b_block(first: u32, n4: u32, k4: u32, k: u32) -> mat4x4f {
    let n = min(n4, args.n4 - 1u);
    if TRANSPOSE_B {
        let at = first + 4u * n * args.ldb + k4;
        return transpose(mat4x4f(b[at], b[at + args.ldb], b[at + 2u * args.ldb], b[at + 3u * args.ldb]));
    }
    let rows = 4u * k4 + vec4u(0u, 1u, 2u, 3u);
    let at = first + min(rows, vec4u(k - 1u)) * args.ldb + n;
    let zero = vec4f(0.0);
    return mat4x4f(
        b[at.x], select(zero, b[at.y], rows.y < k), select(zero, b[at.z], rows.z < k), select(zero, b[at.w], rows.w < k)
    );
}

// A block whose 4 rows of C lie `apart`.
fn store(first: u32, row: u32, apart: u32, n4: u32, block: mat4x4f) {
    if n4 >= args.n4 {
        return;
    }
    store_row(first, row, n4, block[0]);
    store_row(first, row + apart, n4, block[1]);
    store_row(first, row + 2u * apart, n4, block[2]);
    store_row(first, row + 3u * apart, n4, block[3]);
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
