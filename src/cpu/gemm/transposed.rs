//! Products with a transposed left operand: weight gradients.

use pulp::{Arch, Simd, WithSimd};

use super::packed;
use super::tile::{Beta, MatrixRef, TALL, Tile};
use crate::real::Real;

/// to ← to + aᵀ·b. Both operands store the numbers of one k consecutively.
pub(crate) struct Transposed<'a, R> {
    /// \[rows, columns\].
    pub(crate) to: &'a mut [R],
    pub(crate) columns: usize,
    /// Its rows, like those of b, run along the inner size.
    pub(crate) a: MatrixRef<'a, R>,
    pub(crate) b: MatrixRef<'a, R>,
}

/// The part of the inner size that is packed at a time.
const DEPTH: usize = 256;
/// The part of b's columns: with this and some rows of a, a core's own cache is full.
const WIDE: usize = 256;

/// Scratch for the packed parts of both operands.
#[derive(Debug)]
pub(crate) struct PackScratch<R> {
    /// Tiles of \[DEPTH\] columns.
    a: Vec<[R; TALL]>,
    /// Panels of \[DEPTH\] rows.
    b: Vec<R>,
}

impl<R: Real> PackScratch<R> {
    /// Scratch for products of at most this many rows and columns.
    pub(crate) fn new(rows: usize, columns: usize) -> Self {
        let [tiles, numbers] = Self::sizes(rows, columns);
        Self { a: vec![[R::zero(); TALL]; tiles], b: vec![R::zero(); numbers] }
    }

    /// The number of elements it takes.
    pub(crate) fn numbers(rows: usize, columns: usize) -> usize {
        let [tiles, numbers] = Self::sizes(rows, columns);
        tiles * TALL + numbers
    }

    fn sizes(rows: usize, columns: usize) -> [usize; 2] {
        [rows.div_ceil(TALL) * DEPTH, columns.min(WIDE).next_multiple_of(packed::WIDEST) * DEPTH]
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        self.a.len() * TALL + self.b.len()
    }
}

impl<R: Real> Transposed<'_, R> {
    #[inline]
    pub(crate) fn add(self, scratch: &mut PackScratch<R>) {
        Arch::new().dispatch(WithScratch(self, scratch));
    }
}

pub(super) struct WithScratch<'a, 'r, R>(pub(super) Transposed<'a, R>, pub(super) &'r mut PackScratch<R>);

impl<R: Real> WithSimd for WithScratch<'_, '_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(Transposed { to, columns, a, b }, scratch) = self;
        let width = packed::width_of::<S, R>();
        let rows = to.len() / columns;
        for first in (0..a.count).step_by(DEPTH) {
            let depth = DEPTH.min(a.count - first);
            for k in 0..depth {
                let (whole, left) = a.data[(first + k) * a.stride..][..rows].as_chunks();
                scratch.a.iter_mut().skip(k).step_by(DEPTH).zip(whole).for_each(|(to, tile)| *to = *tile);
                if !left.is_empty() {
                    scratch.a[whole.len() * DEPTH + k][..left.len()].copy_from_slice(left);
                }
            }
            for left in (0..columns).step_by(WIDE) {
                let wide = WIDE.min(columns - left);
                for k in 0..depth {
                    let row = &b.data[(first + k) * b.stride + left..][..wide];
                    pack_row::<S, R>(row, scratch.b.chunks_exact_mut(width).skip(k).step_by(DEPTH));
                }
                // A tile of a stays in the first cache, and the result is visited along its rows.
                for (a, row) in scratch.a.chunks_exact(DEPTH).zip((0..rows).step_by(TALL)) {
                    for (panel, column) in scratch.b.chunks(DEPTH * width).zip((0..wide).step_by(width)) {
                        let data = &mut to[row * columns + left + column..];
                        let (rows, columns_here) = (TALL.min(rows - row), width.min(wide - column));
                        let to = Tile { data, stride: columns, rows, columns: columns_here, beta: Beta::One };
                        to.of_columns(simd, &a[..depth], &panel[..depth * width]);
                    }
                }
            }
        }
    }
}

/// Spreads a row over panels, whose rows are `to`.
#[inline(always)]
fn pack_row<'a, S: Simd, R: Real>(row: &[R], to: impl Iterator<Item = &'a mut [R]>) {
    let width = packed::width_of::<S, R>();
    for (to, from) in to.zip(row.chunks(width)) {
        if from.len() == width {
            let vectors = R::vectors_mut::<S>(to).iter_mut().zip(R::vectors::<S>(from));
            vectors.for_each(|(to, from)| *to = *from);
        } else {
            to[..from.len()].copy_from_slice(from);
        }
    }
}
