// The products of product.wgsl on a software driver. It reads memory lane by lane, so a load costs as much as hundreds
// of multiplications: a thread owns 16 × 16 outputs as 4 × 4 blocks, in registers only.

// Columns: 4 rows of op(A) from row 4·m4, at 4 values of k from 4·k4.
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

// Columns: 4 rows of op(B) from row 4·k4 of k, at 4 columns from 4·n4. They are 0 beyond k, where A repeats its last
// value.
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

@compute @workgroup_size(GROUP, GROUP)
fn matmul(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let n4 = BLOCKS * id.x;
    let m4 = BLOCKS * id.y;
    if n4 >= args.n4 || 4u * m4 >= args.m {
        return;
    }
    let k = select(args.k, args.k_last, id.z + 1u == groups.z);
    let a_first = args.a_first + id.z * args.a_stride;
    let b_first = args.b_first + id.z * args.b_stride;
    let c_first = args.c_first + id.z * args.c_stride;
    $each_column{
    let bias_# = bias_block(n4 + #u);}
    $each_row{$each_column{
    var c_?_# = bias_#;}}
    for (var k4 = 0u; 4u * k4 < k; k4++) {
        $each_column{
        let columns_# = b_block(b_first, n4 + #u, k4, k);}
        $each_row{
        let rows_? = a_block(a_first, m4 + ?u, k4, k);$each_column{
        c_?_# = products(columns_#, rows_?, c_?_#);}}
    }
    $each_row{$each_column{
    store(c_first, 4u * (m4 + ?u), n4 + #u, c_?_#);}}
}
