//! Products of row-major views, each on one thread: the threads are shared out above, by blocks of rows and tiles.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use crate::real::Real;

/// A row-major matrix within a slice; `stride` numbers lie between the beginnings of two rows.
#[inline]
pub(super) fn view<R: Real>(data: &[R], rows: usize, columns: usize, stride: usize) -> MatRef<'_, R> {
    let end = rows.saturating_sub(1) * stride + columns;
    MatRef::from_row_major_slice_with_stride(&data[..end], rows, columns, stride)
}

/// The mutable [`view`].
#[inline]
pub(super) fn view_mut<R: Real>(data: &mut [R], rows: usize, columns: usize, stride: usize) -> MatMut<'_, R> {
    let end = rows.saturating_sub(1) * stride + columns;
    // faer 0.24's from_row_major_slice_with_stride_mut swaps the two strides, and then writes outside of the slice.
    MatMut::from_column_major_slice_with_stride_mut(&mut data[..end], columns, rows, stride).transpose_mut()
}

/// to ← a·b.
#[inline]
pub(super) fn assign<R: Real>(to: MatMut<'_, R>, a: MatRef<'_, R>, b: MatRef<'_, R>) {
    matmul(to, Accum::Replace, a, b, R::one(), Par::Seq);
}

/// to ← to + a·b.
#[inline]
pub(super) fn add<R: Real>(to: MatMut<'_, R>, a: MatRef<'_, R>, b: MatRef<'_, R>) {
    matmul(to, Accum::Add, a, b, R::one(), Par::Seq);
}
