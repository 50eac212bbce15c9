// The products of product.wgsl on a software driver. It reads memory lane by lane, so a load costs as much as hundreds
// of multiplications: a thread owns 16 × 16 outputs as 4 × 4 blocks, in registers only.

// Columns: 4 rows of op(A) from row 4·m4, at 4 values of k from 4·k4.
fn a_block(product: Product, m4: u32, k4: u32) -> mat4x4f {
    if TRANSPOSE_A {
        let rows = min(4u * k4 + vec4u(0u, 1u, 2u, 3u), vec4u(product.k - 1u));
        let at = product.a_first + rows * args.lda + min(m4, (product.m + 3u) / 4u - 1u);
        return transpose(mat4x4f(loaded_a(a[at.x]), loaded_a(a[at.y]), loaded_a(a[at.z]), loaded_a(a[at.w])));
    }
    let rows = min(4u * m4 + vec4u(0u, 1u, 2u, 3u), vec4u(product.m - 1u));
    let at = product.a_first + rows * args.lda + k4;
    return mat4x4f(loaded_a(a[at.x]), loaded_a(a[at.y]), loaded_a(a[at.z]), loaded_a(a[at.w]));
}

// Columns: 4 rows of op(B) from row 4·k4 of k, at 4 columns from 4·n4. They are 0 beyond k, where A repeats its last
// value.
fn b_block(which: u32, product: Product, n4: u32, k4: u32) -> mat4x4f {
    let n = min(n4, product.n4 - 1u);
    let ld = product.ldb;
    if TRANSPOSE_B {
        let at = product.b_first + 4u * n * ld + k4;
        return transpose(mat4x4f(
            loaded_b(from_b(which, at)),
            loaded_b(from_b(which, at + ld)),
            loaded_b(from_b(which, at + 2u * ld)),
            loaded_b(from_b(which, at + 3u * ld)),
        ));
    }
    let rows = 4u * k4 + vec4u(0u, 1u, 2u, 3u);
    let at = product.b_first + min(rows, vec4u(product.k - 1u)) * ld + n;
    let zero = vec4f(0.0);
    return mat4x4f(
        loaded_b(from_b(which, at.x)),
        select(zero, loaded_b(from_b(which, at.y)), rows.y < product.k),
        select(zero, loaded_b(from_b(which, at.z)), rows.z < product.k),
        select(zero, loaded_b(from_b(which, at.w)), rows.w < product.k),
    );
}

@compute @workgroup_size(GROUP, GROUP)
fn matmul(@builtin(global_invocation_id) id: vec3u) {
    let which = select(0u, 1u, PAIR && id.z >= args.parts);
    let product = product_of(which, id.z - which * args.parts);
    let n4 = BLOCKS * id.x;
    let m4 = BLOCKS * id.y;
    if n4 >= product.n4 || 4u * m4 >= product.m {
        return;
    }
    $each_column{
    let bias_# = bias_block(n4 + #u);}
    $each_row{$each_column{
    var c_?_# = bias_#;}}
    for (var k4 = 0u; 4u * k4 < product.k; k4++) {
        $each_column{
        let columns_# = b_block(which, product, n4 + #u, k4);}
        $each_row{
        let rows_? = a_block(product, m4 + ?u, k4);$each_column{
        c_?_# = products(columns_#, rows_?, c_?_#);}}
    }
    $each_row{$each_column{
    store(product, 4u * (m4 + ?u), n4 + #u, c_?_#);}}
}
