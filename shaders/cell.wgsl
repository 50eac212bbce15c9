// What a cell's own file defines: `cell_forward` from a unit's sums and states to what it keeps and its new states, and
// `cell_backward` from what it kept to the gradients of the sums. Both see 4 units of a row at once and know neither k nor t.

struct ForwardInput {
    sums: array<vec4f, SUMS>,
    h: vec4f, // h_{t-1}: 0 after a reset
$has_c{    c: vec4f, // c_{t-1}, likewise
}$has_parameters{    parameters: array<vec4f, PARAMETERS>,
}}

struct ForwardOutput {
    kept: array<vec4f, SUMS>, // what the backward step needs, in place of the sums
    h: vec4f,
$has_c{    c: vec4f,
}}

struct BackwardInput {
    kept: array<vec4f, SUMS>,
    h: vec4f, // h_{t-1}
$has_c{    c: vec4f, // c_{t-1}
}$has_parameters{    parameters: array<vec4f, PARAMETERS>,
}    dh: vec4f, // of h_t
$has_c{    dc: vec4f, // of c_t
}}

struct BackwardOutput {
    sums: array<vec4f, SUMS>,
    dh: vec4f, // of h_{t-1}, without what passes through W_hh
$has_c{    dc: vec4f, // of c_{t-1}
}$has_parameters{    parameters: array<vec4f, PARAMETERS>, // this step's part
}}
