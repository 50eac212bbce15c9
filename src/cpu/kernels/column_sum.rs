//! Column sums of a matrix: bias gradients.

use crate::real::Real;

/// Adds every row of `rows`, \[·, columns\], to `sum`, \[columns\], in order.
#[inline(always)]
pub(crate) fn add<R: Real>(sum: &mut [R], rows: &[R]) {
    for row in rows.chunks_exact(sum.len()) {
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += *value);
    }
}
