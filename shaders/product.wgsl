// Products C (+)= op(A) · op(B) (+ bias), row major, in parts along k, one for each of the workgroup's z, whose results
// `reduce` adds in order. A pair of products has the same k, and A in the same buffer: those of the parts beyond `parts`
// are of the second one. Shared by matmul.wgsl and matmul_tiled.wgsl, which sum in the same order.
//
// With 4 rows of A as the columns of one matrix and B's 4 rows of k as the columns of another, a 4 × 4 block of C is a
// plain matrix product whose columns are rows of C. A transposed operand is transposed in registers. Leading dimensions
// and n are in vec4. Rows are padded to whole vec4 with zeros, so only the rows of C and the k of a transposed A can
// end within a block.
//
// The host writes the text for a tile: what stands after `$each_…` once for each block or load of a thread, with its
// number for # or ?, and the tile's sizes as constants.

struct Matmul {
    // Of the first product, and of the second if there is one.
    m: vec2u,        // rows of C
    n4: vec2u,       // vec4 per row of C
    ldb: vec2u,
    ldc: vec2u,
    a_first: vec2u,  // the start of each matrix, in vec4
    b_first: vec2u,
    c_first: vec2u,
    b_stride: vec2u, // vec4 between consecutive parts
    c_stride: vec2u,
    // Of both.
    lda: u32,
    a_stride: u32,
    k: u32,          // the inner size of each part
    k_last: u32,     // the same for the last part
    parts: u32,      // of each product
    bias: u32,       // 1: rows of C start from the bias
    accumulate: u32, // 1: add to C
}

// How A, B and C are stored; B of a pair's second product, and a bias, as B. See stored.wgsl.
alias StoredA = $full_a{vec4f}$halves_a{vec2u};
alias StoredB = $full_b{vec4f}$halves_b{vec2u};
alias StoredC = $full_c{vec4f}$halves_c{vec2u};

override PAIR: bool = false;
override TRANSPOSE_A: bool = false; // A is stored [k, m] rather than [m, k]
override TRANSPOSE_B: bool = false; // B is stored [n, k] rather than [k, n]

@group(0) @binding(0) var<uniform> args: Matmul;
@group(0) @binding(1) var<storage, read> a: array<StoredA>;
@group(0) @binding(2) var<storage, read> b: array<StoredB>;
@group(0) @binding(3) var<storage, read> other: array<StoredB>; // the bias, or B of the second product
@group(0) @binding(4) var<storage, read_write> c: array<StoredC>;
$scaled{@group(0) @binding(12) var<uniform> loss_scale: LossScale;
}
fn loaded_a(stored: StoredA) -> vec4f {
    return $full_a{stored}$halves_a{of_halves(stored)};
}

fn loaded_b(stored: StoredB) -> vec4f {
    return $full_b{stored}$halves_b{of_halves(stored)};
}

fn loaded_c(stored: StoredC) -> vec4f {
    return $full_c{stored}$halves_c{of_halves(stored)};
}

fn stored_c(value: vec4f) -> StoredC {
    return $full_c{value}$halves_c{to_halves(value)};
}

// What a workgroup computes: a part of a product.
struct Product {
    m: u32,
    n4: u32,
    ldb: u32,
    ldc: u32,
    a_first: u32,
    b_first: u32,
    c_first: u32,
    k: u32,
}

// Product 0 or 1 of a pair, in a part.
fn product_of(which: u32, part: u32) -> Product {
    return Product(
        args.m[which],
        args.n4[which],
        args.ldb[which],
        args.ldc[which],
        args.a_first[which] + part * args.a_stride,
        args.b_first[which] + part * args.b_stride[which],
        args.c_first[which] + part * args.c_stride[which],
        select(args.k, args.k_last, part + 1u == args.parts),
    );
}

fn from_b(which: u32, at: u32) -> StoredB {
    if which == 1u {
        return other[at];
    }
    return b[at];
}

// sum + b · a, where the columns of a are rows of op(A).
fn products(b: mat4x4f, a: mat4x4f, sum: mat4x4f) -> mat4x4f {
    return mat4x4f(chain(b, a[0], sum[0]), chain(b, a[1], sum[1]), chain(b, a[2], sum[2]), chain(b, a[3], sum[3]));
}

// A block of 4 rows of C.
fn store(product: Product, row: u32, n4: u32, block: mat4x4f) {
    if n4 >= product.n4 {
        return;
    }
    store_row(product, row, n4, block[0]);
    store_row(product, row + 1u, n4, block[1]);
    store_row(product, row + 2u, n4, block[2]);
    store_row(product, row + 3u, n4, block[3]);
}

fn store_row(product: Product, row: u32, n4: u32, values: vec4f) {
    if row >= product.m {
        return;
    }
    let at = product.c_first + row * product.ldc + n4;
    var sum = values$scaled{ * loss_scale.inverse};
    if args.accumulate != 0u {
        sum += loaded_c(c[at]);
    }
    c[at] = stored_c(sum);
}

fn bias_block(n4: u32) -> mat4x4f {
    if args.bias == 0u {
        return mat4x4f();
    }
    let row = loaded_b(other[min(n4, args.n4[0] - 1u)]);
    return mat4x4f(row, row, row, row);
}
