// The products of product.wgsl on a GPU: a workgroup of 8 × 8 threads owns BLOCK × BLOCK outputs and processes k slab
// by slab. For each slab it loads both operands into workgroup memory, each thread one 4 × 4 block of either.
// Neighbouring threads read neighbouring addresses, and all threads share what is loaded.
//
// A thread's rows and its vec4 columns are 8 apart, and the strides are odd, so threads that run together mostly access
// different banks.

override BLOCK: u32 = 64u; // 64: 8 × 8 outputs per thread, 16 values of k per slab; 32: 4 × 4 and 32

override BLOCK4 = BLOCK / 4u;
override SLAB4 = 256u / BLOCK;  // vec4 of k
override A_STRIDE = BLOCK + 1u;
override B_STRIDE = BLOCK4 + 1u;

var<workgroup> a_slab: array<vec4f, 264>; // [SLAB4, A_STRIDE]: rows of op(A), 4 values of k each
var<workgroup> b_slab: array<vec4f, 288>; // [4·SLAB4, B_STRIDE]: rows of op(B), 4 columns each

// Loads the blocks from vec4 `begin` of k. An operand that is contiguous along k is divided among the threads along k.
fn bring(a_first: u32, b_first: u32, group: vec3u, local: u32, begin: u32, k: u32) {
    let along = vec2u(local % SLAB4, local / SLAB4);
    let across = vec2u(local / BLOCK4, local % BLOCK4);
    let of_a = select(along, across, TRANSPOSE_A); // its k4 and m4
    let of_b = select(across, along, TRANSPOSE_B); // its k4 and n4
    var a_tile = mat4x4f();
    if 4u * (begin + of_a.x) < k {
        a_tile = a_block(a_first, group.y * BLOCK4 + of_a.y, begin + of_a.x, k);
    }
    let a_at = of_a.x * A_STRIDE + 4u * of_a.y;
    a_slab[a_at] = a_tile[0];
    a_slab[a_at + 1u] = a_tile[1];
    a_slab[a_at + 2u] = a_tile[2];
    a_slab[a_at + 3u] = a_tile[3];
    var b_tile = mat4x4f();
    if 4u * (begin + of_b.x) < k {
        b_tile = b_block(b_first, group.x * BLOCK4 + of_b.y, begin + of_b.x, k);
    }
    let b_at = 4u * of_b.x * B_STRIDE + of_b.y;
    b_slab[b_at] = b_tile[0];
    b_slab[b_at + B_STRIDE] = b_tile[1];
    b_slab[b_at + 2u * B_STRIDE] = b_tile[2];
    b_slab[b_at + 3u * B_STRIDE] = b_tile[3];
}

fn a_columns(at: u32) -> mat4x4f {
    return mat4x4f(a_slab[at], a_slab[at + 8u], a_slab[at + 16u], a_slab[at + 24u]);
}

fn b_columns(at: u32) -> mat4x4f {
    return mat4x4f(b_slab[at], b_slab[at + B_STRIDE], b_slab[at + 2u * B_STRIDE], b_slab[at + 3u * B_STRIDE]);
}

@compute @workgroup_size(8, 8)
fn matmul_tiled(
    @builtin(local_invocation_id) id: vec3u,
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
) {
    let k = select(args.k, args.k_last, group.z + 1u == groups.z);
    let a_first = args.a_first + group.z * args.a_stride;
    let b_first = args.b_first + group.z * args.b_stride;
    let n4 = group.x * BLOCK4 + id.x;
    var c00 = bias_block(n4);
    var c10 = c00;
    var c01 = mat4x4f();
    if BLOCK == 64u {
        c01 = bias_block(n4 + 8u);
    }
    var c11 = c01;
    for (var begin = 0u; 4u * begin < k; begin += SLAB4) {
        bring(a_first, b_first, group, local, begin, k);
        workgroupBarrier();
        for (var k4 = 0u; k4 < SLAB4; k4++) {
            let a_at = k4 * A_STRIDE + id.y;
            let b_at = 4u * k4 * B_STRIDE + id.x;
            let a0 = a_columns(a_at);
            let b0 = b_columns(b_at);
            c00 = products(b0, a0, c00);
            if BLOCK == 64u {
                let b1 = b_columns(b_at + 8u);
                c01 = products(b1, a0, c01);
                let a1 = a_columns(a_at + 32u);
                c10 = products(b0, a1, c10);
                c11 = products(b1, a1, c11);
            }
        }
        workgroupBarrier();
    }
    let c_first = args.c_first + group.z * args.c_stride;
    let row = group.y * BLOCK + id.y;
    store(c_first, row, 8u, n4, c00);
    if BLOCK == 64u {
        store(c_first, row, 8u, n4 + 8u, c01);
        store(c_first, row + 32u, 8u, n4, c10);
        store(c_first, row + 32u, 8u, n4 + 8u, c11);
    }
}
