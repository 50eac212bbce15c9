// A batch of products C_i (+)= op(A_i) · op(B_i) (+ bias), row major, i the workgroup's z. A product with a long k is
// cut into such a batch along k, whose results `reduce` adds in their order.
//
// A thread owns 8 × 8 outputs as 2 × 2 blocks of 4 × 4, or 16 × 16 as 4 × 4 blocks: a software driver reads memory lane
// by lane, so that there a load costs as much as hundreds of multiplications. A block's columns are rows of C; so with A's
// rows as the columns of one matrix and B's rows of k as the columns of another, each block is a plain matrix product, and
// a side that is stored the other way round is transposed in registers. Leading dimensions and n count vec4; rows are padded to whole
// vec4 with zeros, so that only the rows of C and a transposed A's k can end within a block.

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
override WIDE: bool = false;        // 16 × 16 outputs a thread rather than 8 × 8
override GROUP_X: u32 = 8u;
override GROUP_Y: u32 = 8u;

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

fn store(first: u32, m4: u32, n4: u32, block: mat4x4f) {
    if n4 >= args.n4 {
        return;
    }
    store_row(first, 4u * m4, n4, block[0]);
    store_row(first, 4u * m4 + 1u, n4, block[1]);
    store_row(first, 4u * m4 + 2u, n4, block[2]);
    store_row(first, 4u * m4 + 3u, n4, block[3]);
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

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn matmul(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let blocks = select(2u, 4u, WIDE);
    let n4 = blocks * id.x;
    let m4 = blocks * id.y;
    if n4 >= args.n4 || 4u * m4 >= args.m {
        return;
    }
    let k = select(args.k, args.k_last, id.z + 1u == groups.z);
    let a_first = args.a_first + id.z * args.a_stride;
    let b_first = args.b_first + id.z * args.b_stride;
    let c_first = args.c_first + id.z * args.c_stride;
    var c00 = bias_block(n4);
    var c01 = bias_block(n4 + 1u);
    var c10 = c00;
    var c11 = c01;
    var c02 = mat4x4f();
    var c03 = mat4x4f();
    if WIDE {
        c02 = bias_block(n4 + 2u);
        c03 = bias_block(n4 + 3u);
    }
    var c12 = c02;
    var c13 = c03;
    var c20 = c00;
    var c21 = c01;
    var c22 = c02;
    var c23 = c03;
    var c30 = c00;
    var c31 = c01;
    var c32 = c02;
    var c33 = c03;
    for (var k4 = 0u; 4u * k4 < k; k4++) {
        let b0 = b_block(b_first, n4, k4, k);
        let b1 = b_block(b_first, n4 + 1u, k4, k);
        let a0 = a_block(a_first, m4, k4, k);
        c00 += b0 * a0;
        c01 += b1 * a0;
        let a1 = a_block(a_first, m4 + 1u, k4, k);
        c10 += b0 * a1;
        c11 += b1 * a1;
        if WIDE {
            let b2 = b_block(b_first, n4 + 2u, k4, k);
            let b3 = b_block(b_first, n4 + 3u, k4, k);
            c02 += b2 * a0;
            c03 += b3 * a0;
            c12 += b2 * a1;
            c13 += b3 * a1;
            let a2 = a_block(a_first, m4 + 2u, k4, k);
            c20 += b0 * a2;
            c21 += b1 * a2;
            c22 += b2 * a2;
            c23 += b3 * a2;
            let a3 = a_block(a_first, m4 + 3u, k4, k);
            c30 += b0 * a3;
            c31 += b1 * a3;
            c32 += b2 * a3;
            c33 += b3 * a3;
        }
    }
    store(c_first, m4, n4, c00);
    store(c_first, m4, n4 + 1u, c01);
    store(c_first, m4 + 1u, n4, c10);
    store(c_first, m4 + 1u, n4 + 1u, c11);
    if WIDE {
        store(c_first, m4, n4 + 2u, c02);
        store(c_first, m4, n4 + 3u, c03);
        store(c_first, m4 + 1u, n4 + 2u, c12);
        store(c_first, m4 + 1u, n4 + 3u, c13);
        store(c_first, m4 + 2u, n4, c20);
        store(c_first, m4 + 2u, n4 + 1u, c21);
        store(c_first, m4 + 2u, n4 + 2u, c22);
        store(c_first, m4 + 2u, n4 + 3u, c23);
        store(c_first, m4 + 3u, n4, c30);
        store(c_first, m4 + 3u, n4 + 1u, c31);
        store(c_first, m4 + 3u, n4 + 2u, c32);
        store(c_first, m4 + 3u, n4 + 3u, c33);
    }
}
