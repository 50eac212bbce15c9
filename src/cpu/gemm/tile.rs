//! A tile of a product: some rows by the two vectors of a panel, summed in registers over the whole inner size. Each
//! element is one chain in the order of k.

use std::array::from_fn;

use pulp::Simd;

use super::packed::{self, VECTORS};
use crate::real::Real;

/// The factor β of the previous result in C ← A·B + β·C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beta {
    /// Overwrite the result.
    Zero,
    /// Add to the result.
    One,
}

/// A row-major matrix within a slice, with `stride` numbers from one row to the next.
#[derive(Clone, Copy)]
pub(crate) struct MatrixRef<'a, R> {
    pub(crate) data: &'a [R],
    pub(crate) stride: usize,
    pub(crate) count: usize,
}

/// A mutable row-major matrix with as many rows as the product.
pub(crate) struct MatrixMut<'a, R> {
    pub(crate) data: &'a mut [R],
    pub(crate) stride: usize,
}

/// Rows per tile of a transposed product.
pub(crate) const TALL: usize = 8;
/// The destination of a tile.
pub(crate) struct Tile<'a, R> {
    pub(crate) data: &'a mut [R],
    pub(crate) stride: usize,
    /// Fewer rows than are summed at the lower edge.
    pub(crate) rows: usize,
    /// Fewer columns at the right edge.
    pub(crate) columns: usize,
    pub(crate) beta: Beta,
}

impl<R: Real> Tile<'_, R> {
    /// Computes `M` rows of a times a panel of b.
    #[inline(always)]
    pub(crate) fn of_rows<S: Simd, const M: usize>(
        mut self,
        simd: S,
        start: [R::Vector<S>; VECTORS],
        a: MatrixRef<'_, R>,
        panel: &[R],
    ) {
        let panel = panel_rows::<S, R>(panel);
        let rows: [&[R]; M] = from_fn(|row| &a.data[row * a.stride..][..panel.len()]);
        self.store(simd, sums(simd, start, |k| from_fn::<_, M, _>(|row| rows[row][k]), panel));
    }

    /// Computes a tile of a's columns times a panel of b.
    #[inline(always)]
    pub(crate) fn of_columns<S: Simd>(mut self, simd: S, a: &[[R; TALL]], panel: &[R]) {
        let zero = [R::zero().splat(simd); VECTORS];
        let panel = panel_rows::<S, R>(panel);
        let a = &a[..panel.len()];
        if S::REGISTER_COUNT >= 32 {
            return self.store(simd, sums(simd, zero, |k| a[k], panel));
        }
        const HALF: usize = TALL / 2;
        let rows = self.rows;
        self.rows = rows.min(HALF);
        self.store(simd, sums(simd, zero, |k| from_fn::<_, HALF, _>(|row| a[k][row]), panel));
        if rows > HALF {
            let data = &mut self.data[HALF * self.stride..];
            let mut low = Tile { data, rows: rows - HALF, ..self };
            low.store(simd, sums(simd, zero, |k| from_fn::<_, HALF, _>(|row| a[k][HALF + row]), panel));
        }
    }

    #[inline(always)]
    fn store<S: Simd, const M: usize>(&mut self, simd: S, sums: [[R::Vector<S>; VECTORS]; M]) {
        let width = packed::width_of::<S, R>();
        for (row, sums) in sums.iter().enumerate().take(self.rows) {
            let to = &mut self.data[row * self.stride..][..self.columns];
            if to.len() == width {
                put(simd, to, sums, self.beta);
            } else {
                let mut whole = [R::zero(); packed::WIDEST];
                whole[..to.len()].copy_from_slice(to);
                put(simd, &mut whole[..width], sums, self.beta);
                to.copy_from_slice(&whole[..to.len()]);
            }
        }
    }
}

/// The rows of a panel of b, in vectors.
#[inline(always)]
fn panel_rows<S: Simd, R: Real>(panel: &[R]) -> &[[R::Vector<S>; VECTORS]] {
    R::vectors::<S>(panel).as_chunks().0
}

/// `start` + Σ over k of a column of a and a row of b.
#[inline(always)]
fn sums<S: Simd, R: Real, const M: usize>(
    simd: S,
    start: [R::Vector<S>; VECTORS],
    a: impl Fn(usize) -> [R; M],
    b: &[[R::Vector<S>; VECTORS]],
) -> [[R::Vector<S>; VECTORS]; M] {
    let mut sums = [start; M];
    // By index: with an iterator over one of both, the compiler keeps the other's bounds checks.
    for k in 0..b.len() {
        let (a, b) = (a(k), &b[k]);
        for row in 0..M {
            let a = a[row].splat(simd);
            for column in 0..VECTORS {
                sums[row][column] = R::multiply_add(simd, a, b[column], sums[row][column]);
            }
        }
    }
    sums
}

#[inline(always)]
fn put<S: Simd, R: Real>(simd: S, to: &mut [R], sums: &[R::Vector<S>; VECTORS], beta: Beta) {
    for (to, sum) in R::vectors_mut::<S>(to).iter_mut().zip(sums) {
        *to = match beta {
            Beta::Zero => *sum,
            Beta::One => R::vector_add(simd, *to, *sum),
        };
    }
}
