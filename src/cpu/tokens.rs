//! Token ids as input: what a one-hot x would pick from W_ih is gathered, and its gradient scattered.

use super::network::Span;
use crate::real::Real;

/// Adds to each row of `gates`, \[·, kept·H\], its token's row of W_ihᵀ, \[I, G·H\].
pub(super) fn gather<R: Real>(
    gates: &mut [R],
    kept: usize,
    tokens: &[u32],
    transposed: &[R],
    spans: &[Span],
    hidden: usize,
) {
    let weight_rows = spans.iter().map(|span| span.gates * hidden).sum::<usize>();
    for (gates, token) in gates.chunks_exact_mut(kept).zip(tokens) {
        let column = &transposed[*token as usize * weight_rows..][..weight_rows];
        for span in spans {
            let to = &mut gates[span.kept * hidden..][..span.gates * hidden];
            to.iter_mut().zip(&column[span.weight * hidden..]).for_each(|(to, from)| *to += *from);
        }
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
