//! Column sums of a matrix: bias gradients.

use pulp::{Arch, Simd, WithSimd};

use crate::real::Real;

/// Adds every row of `rows`, \[·, columns\], to `sum`, \[columns\], in order.
pub(crate) fn add<R: Real>(sum: &mut [R], rows: &[R]) {
    Arch::new().dispatch(ColumnSum { sum, rows });
}

struct ColumnSum<'a, R> {
    sum: &'a mut [R],
    rows: &'a [R],
}

impl<R: Real> WithSimd for ColumnSum<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for row in self.rows.chunks_exact(self.sum.len()) {
            self.sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += *value);
        }
    }
}
