//! Token ids as input: what a one-hot x would pick from W_ih is gathered, and its gradient scattered.

use crate::cpu::gemm::packed::PackedB;
use crate::real::Real;

/// Sets each row of `gates`, \[·, kept·H\], to the bias and its token's row of W_ihᵀ, as far as that goes.
pub(crate) fn gather<R: Real>(gates: &mut [R], kept: usize, tokens: &[u32], weight_ih: &PackedB<R>) {
    for (gates, token) in gates.chunks_exact_mut(kept).zip(tokens) {
        for (columns, bias, row) in weight_ih.row(*token as usize) {
            let pairs = bias.iter().zip(row);
            gates[columns].iter_mut().zip(pairs).for_each(|(to, (bias, weight))| *to = *bias + *weight);
        }
    }
}

/// Rows of dW_ih that see all tokens before the next ones: few enough to stay in the cache.
const TOGETHER: usize = 16;

/// Adds to some rows of dW_ih, \[·, I\], the gates' gradients that belong to them: those from `column` on of each row of
/// `gates`, \[·, kept·H\], into the column of its token. At padding the gradients are 0.
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
