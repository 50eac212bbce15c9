// The products of product.wgsl on a GPU: a workgroup owns BLOCK × BLOCK outputs and processes k slab by slab. It has the
// next slab's loads under way while it multiplies one from workgroup memory, where all threads share what was loaded.
//
// A slab of either operand consists of 4 × 4 blocks, whose 4 vec4 are loaded by one thread or by several. They lie as in
// memory, along k or across: to transpose a block costs nothing in registers. Of two slabs in workgroup memory, one is
// stored while others still read the other, so that one barrier a slab is enough.
//
// 8 × 8 threads own a square of outputs, and a thread's blocks are 8 blocks apart: neighbouring threads store
// neighbouring vec4.

const BLOCK4 = BLOCK / 4u;
const SLAB = 4u * SLAB4;
const SLAB_BLOCKS = BLOCK4 * SLAB4;
const PARTS = THREADS / SLAB_BLOCKS; // threads per block that is loaded
const SQUARE4 = 8u * BLOCKS;         // vec4 per side of the square of 64 threads
const PLACES = 4u * SLAB_BLOCKS + select(0u, 8u, SLABS == 1u);

var<workgroup> a_slabs: array<vec4f, PLACES * SLABS>;
var<workgroup> b_slabs: array<vec4f, PLACES * SLABS>;

// Where the first vec4 of the block at k4 and at vec4 `across` of the rows or columns lies in a slab; the others follow
// BLOCK4 apart. Eight neighbouring threads store to different banks, and read from different ones: those that store have
// SLAB4 values of k4, and each moves its vec4 on by their number. A long slab has room for that; in the short ones of a
// workgroup that is to stay within 16 KiB, they move within 8 places.
fn place(k4: u32, across: u32) -> u32 {
    let moved = k4 * (8u / SLAB4);
    return k4 * BLOCK + select(across ^ moved, across + moved, SLABS == 1u);
}

// Where vec4 `part` of a block is loaded from, in an operand with `rows` rows of op(A) or columns of op(B). Those beyond
// its end are the last one.
fn source(along: bool, first: u32, ld: u32, rows: u32, k: u32, block: vec2u, part: u32) -> u32 {
    if along {
        return first + min(4u * block.y + part, rows - 1u) * ld + min(block.x, (k + 3u) / 4u - 1u);
    }
    return first + min(4u * block.x + part, k - 1u) * ld + min(block.y, (rows + 3u) / 4u - 1u);
}

// Columns: 4 rows of op(A) at 4 values of k.
fn a_block(at: u32) -> mat4x4f {
    let block = mat4x4f(a_slabs[at], a_slabs[at + BLOCK4], a_slabs[at + 2u * BLOCK4], a_slabs[at + 3u * BLOCK4]);
    if TRANSPOSE_A {
        return transpose(block);
    }
    return block;
}

// Columns: 4 values of k at 4 columns of op(B).
fn b_block(at: u32) -> mat4x4f {
    let block = mat4x4f(b_slabs[at], b_slabs[at + BLOCK4], b_slabs[at + 2u * BLOCK4], b_slabs[at + 3u * BLOCK4]);
    if TRANSPOSE_B {
        return transpose(block);
    }
    return block;
}

@compute @workgroup_size(THREADS)
fn matmul_tiled(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
    // Each of a pair has a copy of the code, so that no load stands in a branch.
    if PAIR && group.z >= args.parts {
        compute(1u, vec3u(group.xy, group.z - args.parts), local);
    } else {
        compute(0u, group, local);
    }
}

fn compute(which: u32, group: vec3u, local: u32) {
    let product = product_of(which, group.z);
    let k = product.k;
    let m4 = group.y * BLOCK4;
    let n4 = group.x * BLOCK4;
    if PAIR && (4u * m4 >= product.m || n4 >= product.n4) {
        return; // The grid is that of the larger product.
    }

    // The block that this thread loads or has a part in, as its k4 and its vec4 across: neighbouring threads load
    // neighbouring vec4.
    let block = local % SLAB_BLOCKS;
    let part = local / SLAB_BLOCKS;
    let along = vec2u(block % SLAB4, block / SLAB4);
    let across = vec2u(block / BLOCK4, block % BLOCK4);
    let a_from = select(along, across, TRANSPOSE_A);
    let b_from = select(across, along, TRANSPOSE_B);
    let a_to = place(a_from.x, a_from.y) + part * BLOCK4;
    let b_to = place(b_from.x, b_from.y) + part * BLOCK4;
    let a_step = select(SLAB4, SLAB * args.lda, TRANSPOSE_A);
    let b_step = select(SLAB * product.ldb, SLAB4, TRANSPOSE_B);
    $each_load{
    let a_k_# = 4u * a_from.x + select(0u, part + #u * PARTS, TRANSPOSE_A);
    let b_k_# = 4u * b_from.x + select(part + #u * PARTS, 0u, TRANSPOSE_B);
    var a_at_# = source(!TRANSPOSE_A, product.a_first, args.lda, product.m, k, vec2u(0u, m4) + a_from, part + #u * PARTS);
    var b_at_# = source(TRANSPOSE_B, product.b_first, product.ldb, 4u * product.n4, k, vec2u(0u, n4) + b_from, part + #u * PARTS);
    var a_# = a[a_at_#];
    var b_# = from_b(which, b_at_#);}

    // The first of the blocks that it computes.
    let row4 = SQUARE4 * (local / 128u) + local / 8u % 8u;
    let column4 = SQUARE4 * (local / 64u % 2u) + local % 8u;
    $each_column{
    let bias_# = bias_block(n4 + column4 + 8u * #u);}
    $each_row{$each_column{
    var c_?_# = bias_#;}}
    for (var begin = 0u; begin < k; begin += SLAB) {
        let slab = PLACES * (begin / SLAB % SLABS);
        $each_load{
        a_slabs[slab + a_to + #u * PARTS * BLOCK4] = loaded_a(a_#);
        b_slabs[slab + b_to + #u * PARTS * BLOCK4] = loaded_b(b_#);}
        let left = k - begin;
        if left < SLAB {
            // What lies beyond k counts as 0. That of A is enough if it lies along k, in rows that end with zeros.
            $each_load{
            if TRANSPOSE_A {
                if b_k_# >= left {
                    b_slabs[slab + b_to + #u * PARTS * BLOCK4] = vec4f();
                }
            } else if a_k_# >= left {
                a_slabs[slab + a_to + #u * PARTS * BLOCK4] = vec4f();
            }}
        }
        // The next slab. In place of what lies beyond k, a thread loads the same as before: numbers of the same row of op(A)
        // or column of op(B).
        let after = max(left, SLAB) - SLAB;
        $each_load{
        a_at_# += select(0u, a_step, a_k_# < after);
        b_at_# += select(0u, b_step, b_k_# < after);}
        if after > 0u {
            $each_load{
            a_# = a[a_at_#];
            b_# = from_b(which, b_at_#);}
        }
        workgroupBarrier();
        // Not a loop, behind which a compiler may move the loads: their numbers are used in the next turn only. The branch
        // and the barrier hold them here.
        $each_k4{{
            let a_block_at = slab + place(!u, row4);
            let b_block_at = slab + place(!u, column4);
            $each_column{
            let columns_# = b_block(b_block_at + 8u * #u);}
            $each_row{
            let rows_? = a_block(a_block_at + 8u * ?u);$each_column{
            c_?_# = products(columns_#, rows_?, c_?_#);}}
        }
        }
        if SLABS == 1u {
            workgroupBarrier();
        }
    }
    $each_row{$each_column{
    store(product, 4u * (m4 + row4 + 8u * ?u), n4 + column4 + 8u * #u, c_?_#);}}
}
