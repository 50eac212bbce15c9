//! Token input without an embedding: gathers columns of W_ih, and scatters their gradients.

use crate::cpu::gemm::packed::PackedB;
use crate::real::Real;

/// Sets each row of `gates`, \[·, kept·H\], to the bias plus its token's row of W_ihᵀ, over that row's length.
pub(crate) fn gather<R: Real>(gates: &mut [R], kept: usize, tokens: &[u32], weight_ih: &PackedB<R>) {
    for (gates, token) in gates.chunks_exact_mut(kept).zip(tokens) {
        for (columns, bias, row) in weight_ih.row(*token as usize) {
            let pairs = bias.iter().zip(row);
            gates[columns].iter_mut().zip(pairs).for_each(|(to, (bias, weight))| *to = *bias + *weight);
        }
    }
}

/// Rows of dW_ih that process all tokens before the next ones: few enough to stay in the cache.
const TOGETHER: usize = 16;

/// Adds the gates' gradients to rows of dW_ih, \[·, I\], in the column of each token: those from `column` on in each
/// row of `gates`, \[·, kept·H\]. The gradients are 0 at padding.
pub(crate) fn scatter<R: Real>(
    d_weight: &mut [R],
    inputs: usize,
    gates: &[R],
    kept: usize,
    column: usize,
    tokens: &[u32],
) {
    for (columns, rows) in (column..).step_by(TOGETHER).zip(d_weight.chunks_mut(TOGETHER * inputs)) {
        for (gates, token) in gates.chunks_exact(kept).zip(tokens) {
            let rows = rows.chunks_exact_mut(inputs).zip(&gates[columns..]);
            rows.for_each(|(row, gradient)| row[*token as usize] += *gradient);
        }
    }
}
