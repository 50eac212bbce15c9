// The products of product.wgsl on a software driver. It reads memory lane by lane, so a load costs as much as hundreds
// of multiplications: a thread owns 16 × 16 outputs as 4 × 4 blocks, in registers only.

override GROUP_X: u32 = 4u;
override GROUP_Y: u32 = 4u;

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn matmul(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let n4 = 4u * id.x;
    let m4 = 4u * id.y;
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
    var c02 = bias_block(n4 + 2u);
    var c03 = bias_block(n4 + 3u);
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
        c00 = products(b0, a0, c00);
        c01 = products(b1, a0, c01);
        let a1 = a_block(a_first, m4 + 1u, k4, k);
        c10 = products(b0, a1, c10);
        c11 = products(b1, a1, c11);
        let b2 = b_block(b_first, n4 + 2u, k4, k);
        let b3 = b_block(b_first, n4 + 3u, k4, k);
        c02 = products(b2, a0, c02);
        c03 = products(b3, a0, c03);
        c12 = products(b2, a1, c12);
        c13 = products(b3, a1, c13);
        let a2 = a_block(a_first, m4 + 2u, k4, k);
        c20 = products(b0, a2, c20);
        c21 = products(b1, a2, c21);
        c22 = products(b2, a2, c22);
        c23 = products(b3, a2, c23);
        let a3 = a_block(a_first, m4 + 3u, k4, k);
        c30 = products(b0, a3, c30);
        c31 = products(b1, a3, c31);
        c32 = products(b2, a3, c32);
        c33 = products(b3, a3, c33);
    }
    store(c_first, 4u * m4, 1u, n4, c00);
    store(c_first, 4u * m4, 1u, n4 + 1u, c01);
    store(c_first, 4u * m4, 1u, n4 + 2u, c02);
    store(c_first, 4u * m4, 1u, n4 + 3u, c03);
    store(c_first, 4u * (m4 + 1u), 1u, n4, c10);
    store(c_first, 4u * (m4 + 1u), 1u, n4 + 1u, c11);
    store(c_first, 4u * (m4 + 1u), 1u, n4 + 2u, c12);
    store(c_first, 4u * (m4 + 1u), 1u, n4 + 3u, c13);
    store(c_first, 4u * (m4 + 2u), 1u, n4, c20);
    store(c_first, 4u * (m4 + 2u), 1u, n4 + 1u, c21);
    store(c_first, 4u * (m4 + 2u), 1u, n4 + 2u, c22);
    store(c_first, 4u * (m4 + 2u), 1u, n4 + 3u, c23);
    store(c_first, 4u * (m4 + 3u), 1u, n4, c30);
    store(c_first, 4u * (m4 + 3u), 1u, n4 + 1u, c31);
    store(c_first, 4u * (m4 + 3u), 1u, n4 + 2u, c32);
    store(c_first, 4u * (m4 + 3u), 1u, n4 + 3u, c33);
}
