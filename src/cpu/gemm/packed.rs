//! The packed right operand of a product, as read by [`matmul`](crate::cpu::gemm::matmul): panels of two vectors'
//! columns, each with its rows in sequence.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use crate::allocate;
use crate::cpu::parallel::threads::Divide;
use crate::error::Result;
use crate::real::Real;

/// The name of the memory in errors.
const PACKED: &str = "the packed forms of the weights";

/// Vectors per row of a panel.
pub(crate) const VECTORS: usize = 2;

/// The maximum numbers per row of a panel with any instruction set: two vectors of 512 bits.
pub(crate) const WIDEST: usize = VECTORS * 16;

/// Numbers per row of a panel.
#[inline(always)]
pub(crate) const fn width_of<S: Simd, R: Real>() -> usize {
    VECTORS * size_of::<R::Vector<S>>() / size_of::<R>()
}

/// A packed matrix \[k, columns\], with the bias that products with it may start from. The last panel is padded with 0.
#[derive(Clone, Debug)]
pub(crate) struct PackedB<R> {
    data: Vec<R>,
    bias: Vec<R>,
    k: usize,
    columns: usize,
    width: usize,
}

impl<R: Real> PackedB<R> {
    /// A zero matrix.
    pub(crate) fn new(k: usize, columns: usize) -> Self {
        Self::of_width(k, columns, width::<R>())
    }

    /// A zero matrix, with a checked allocation.
    pub(crate) fn try_new(k: usize, columns: usize) -> Result<Self> {
        let width = width::<R>();
        let wide = columns.next_multiple_of(width);
        let (data, bias) = (allocate::zeros(k * wide, PACKED)?, allocate::zeros(wide, PACKED)?);
        Ok(Self { data, bias, k, columns, width })
    }

    /// The number of elements, including padding.
    pub(crate) fn numbers(k: usize, columns: usize) -> usize {
        (k + 1) * columns.next_multiple_of(width::<R>())
    }

    /// The number of elements for panels of a given width.
    pub(crate) fn of_width(k: usize, columns: usize, width: usize) -> Self {
        let wide = columns.next_multiple_of(width);
        Self { data: vec![R::zero(); k * wide], bias: vec![R::zero(); wide], k, columns, width }
    }

    /// k and columns.
    pub(crate) fn shape(&self) -> (usize, usize) {
        (self.k, self.columns)
    }

    /// The number of elements, including padding.
    pub(crate) fn len(&self) -> usize {
        self.data.len() + self.bias.len()
    }

    /// The number of panels.
    pub(crate) fn count(&self) -> usize {
        self.bias.len() / self.width
    }

    /// The first column of a panel; for the one past the last, the number of columns.
    pub(crate) fn first_column(&self, panel: usize) -> usize {
        self.columns.min(panel * self.width)
    }

    /// Some panels, each with its columns and its part of the bias.
    #[inline(always)]
    pub(crate) fn iter(&self, panels: Range<usize>) -> impl Iterator<Item = (Range<usize>, &[R], &[R])> {
        let (size, width) = (self.k * self.width, self.width);
        let parts = self.data[panels.start * size..panels.end * size].chunks_exact(size);
        let parts = parts.zip(self.bias[panels.start * width..panels.end * width].chunks_exact(width));
        panels
            .zip(parts)
            .map(|(index, (panel, bias))| (self.first_column(index)..self.first_column(index + 1), panel, bias))
    }

    /// Row `k` in pieces: the columns of each, their part of the bias, and the numbers.
    pub(crate) fn row(&self, k: usize) -> impl Iterator<Item = (Range<usize>, &[R], &[R])> {
        self.iter(0..self.count())
            .map(move |(columns, panel, bias)| (columns, bias, &panel[k * self.width..][..self.width]))
    }

    /// Sets the bias that products start from.
    pub(crate) fn set_bias(&mut self, bias: &[R]) {
        self.bias[..self.columns].copy_from_slice(&bias[..self.columns]);
    }

    /// All panels, for writing.
    pub(crate) fn all_mut(&mut self) -> PackedBMut<'_, R> {
        PackedBMut { data: &mut self.data, first: 0, k: self.k, columns: self.columns, width: self.width }
    }
}

/// Some panels, for writing by one or several threads.
pub(crate) struct PackedBMut<'a, R> {
    data: &'a mut [R],
    /// The index of the first panel.
    first: usize,
    k: usize,
    columns: usize,
    width: usize,
}

impl<R: Real> Divide for PackedBMut<'_, R> {
    fn parts(&self) -> usize {
        (self.data.len() / (self.k * self.width)).div_ceil(self.of_part())
    }

    fn divide(self, parts: usize) -> (Self, Self) {
        let panels = parts * self.of_part();
        let (data, others) = self.data.split_at_mut(panels * self.k * self.width);
        (Self { data, ..self }, Self { data: others, first: self.first + panels, ..self })
    }
}

impl<R: Real> PackedBMut<'_, R> {
    /// Panels per part of the parallel work: at least as many as are worth a thread.
    fn of_part(&self) -> usize {
        (0x4000 / (self.k * self.width)).max(1)
    }

    /// Each panel with its columns.
    fn iter(&mut self) -> impl Iterator<Item = (Range<usize>, &mut [R])> {
        let (first, columns, width) = (self.first, self.columns, self.width);
        let panels = self.data.chunks_exact_mut(self.k * width).enumerate();
        panels.map(move |(index, panel)| ((first + index) * width..columns.min((first + index + 1) * width), panel))
    }

    /// Sets the rows from `first` on.
    pub(crate) fn set_rows(&mut self, first: usize, rows: &[R]) {
        let (columns, width) = (self.columns, self.width);
        for (here, panel) in self.iter() {
            for (to, row) in panel.chunks_exact_mut(width).skip(first).zip(rows.chunks_exact(columns)) {
                to[..here.len()].copy_from_slice(&row[here.clone()]);
            }
        }
    }

    /// Sets the columns from `first` on, given as rows.
    pub(crate) fn set_columns(&mut self, first: usize, rows: &[R]) {
        /// Numbers of a row that are spread over as many rows of a panel before the next row's, so that both sides stay
        /// in the cache.
        const STRIP: usize = 16;
        let (k, width) = (self.k, self.width);
        let last = first + rows.len() / k;
        for (here, panel) in self.iter() {
            let columns = here.start.max(first)..here.end.min(last);
            for (at, strip) in panel.chunks_mut(STRIP * width).enumerate() {
                for column in columns.clone() {
                    let row = &rows[(column - first) * k..][..k][at * STRIP..];
                    for (to, value) in strip.chunks_exact_mut(width).zip(row) {
                        to[column - here.start] = *value;
                    }
                }
            }
        }
    }
}

/// The width of a panel on this machine.
fn width<R: Real>() -> usize {
    struct Width<R>(std::marker::PhantomData<R>);
    impl<R: Real> WithSimd for Width<R> {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            width_of::<S, R>()
        }
    }
    Arch::new().dispatch(Width::<R>(std::marker::PhantomData))
}
