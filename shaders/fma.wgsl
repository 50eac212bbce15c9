// The products of all kernels: chains of fma, whose order no compiler may change.

// sum + w · x, where the 4 columns of w belong to 4 values of k and their rows to 4 results.
fn chain(w: mat4x4f, x: vec4f, sum: vec4f) -> vec4f {
    return fma(w[3], x.wwww, fma(w[2], x.zzzz, fma(w[1], x.yyyy, fma(w[0], x.xxxx, sum))));
}
