//! Token ids as input: what a one-hot x would pick from W_ih is gathered, and its gradient scattered.

use super::panels::Panels;
use crate::real::Real;

/// Adds to each row of `gates`, \[·, kept·H\], its token's row of W_ihᵀ.
pub(super) fn gather<R: Real>(gates: &mut [R], kept: usize, tokens: &[u32], weight_ih: &Panels<R>) {
    for (gates, token) in gates.chunks_exact_mut(kept).zip(tokens) {
        let row = weight_ih.row(*token as usize).flatten();
        gates.iter_mut().zip(row).for_each(|(to, from)| *to += *from);
    }
}

/// Adds to some rows of dW_ih, \[·, I\], the gates' gradients that belong to them: those from `column` on of each row of
/// `gates`, \[·, kept·H\], into the column of its token. At padding the gradients are 0.
pub(super) fn scatter<R: Real>(
    d_weight: &mut [R],
    inputs: usize,
    gates: &[R],
    kept: usize,
    column: usize,
    tokens: &[u32],
) {
    for (gates, token) in gates.chunks_exact(kept).zip(tokens) {
        let rows = d_weight.chunks_exact_mut(inputs).zip(&gates[column..]);
        rows.for_each(|(row, gradient)| row[*token as usize] += *gradient);
    }
}
