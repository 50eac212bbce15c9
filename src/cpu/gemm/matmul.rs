//! Products on one thread. Threads are used at a higher level, for blocks of rows and tiles.
//!
//! A tile of the result, some rows by two vectors, is summed in registers over the whole inner size. Each element is
//! one chain in the order of k, whichever tile contains it, so a row's product has the same bits however many rows are
//! computed with it. The right operand is packed ([`PackedB`]), so the innermost loop reads consecutive memory. This
//! determines the speed of the products of the time steps, which read the same weights over and over.

use std::array::from_fn;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::packed::{PackedB, VECTORS};
use super::tile::{Beta, MatrixMut, MatrixRef, Tile};
use crate::cpu::parallel::threads::RowWork;
use crate::real::Real;

/// to ← bias + a·b, or to ← to + a·b.
pub(crate) struct Product<'a, R> {
    to: MatrixMut<'a, R>,
    a: MatrixRef<'a, R>,
    b: &'a PackedB<R>,
    /// The panels of b to use. `to` has only their columns.
    panels: Range<usize>,
    beta: Beta,
}

impl<'a, R: Real> Product<'a, R> {
    /// to ← bias + a·b.
    pub(crate) fn assign(to: MatrixMut<'a, R>, a: MatrixRef<'a, R>, b: &'a PackedB<R>) -> Self {
        Self { to, a, b, panels: 0..b.count(), beta: Beta::Zero }
    }

    /// to ← to + a·b.
    pub(crate) fn add(to: MatrixMut<'a, R>, a: MatrixRef<'a, R>, b: &'a PackedB<R>) -> Self {
        Self { beta: Beta::One, ..Self::assign(to, a, b) }
    }

    #[inline]
    pub(crate) fn run(self) {
        Arch::new().dispatch(self);
    }

    pub(crate) fn multiplications(&self) -> usize {
        let (k, columns) = self.b.shape();
        self.a.count * k * columns
    }

    /// The columns of some panels.
    pub(crate) fn columns(&self, panels: Range<usize>) -> Range<usize> {
        self.b.first_column(panels.start)..self.b.first_column(panels.end)
    }

    pub(crate) fn panels(&self) -> usize {
        self.b.count()
    }

    /// The product with some panels only, into \[rows, columns\]; [`take`](Self::take) copies the result.
    pub(crate) fn of_panels<'s>(&'s self, panels: Range<usize>, to: &'s mut [R]) -> Product<'s, R> {
        let stride = self.columns(panels.clone()).len();
        if self.beta == Beta::One {
            to.fill(R::zero());
        }
        Product { to: MatrixMut { data: to, stride }, a: self.a, b: self.b, panels, beta: self.beta }
    }

    /// Copies the product with some panels from where it was computed.
    pub(crate) fn take(&mut self, panels: Range<usize>, from: &[R]) {
        let columns = self.columns(panels);
        for (row, from) in from.chunks_exact(columns.len()).enumerate() {
            let to = &mut self.to.data[row * self.to.stride..][columns.clone()];
            match self.beta {
                Beta::Zero => to.copy_from_slice(from),
                Beta::One => to.iter_mut().zip(from).for_each(|(to, from)| *to += *from),
            }
        }
    }
}

impl<R: Real> RowWork for Product<'_, R> {
    fn rows(&self) -> usize {
        self.a.count
    }

    fn split(self, rows: usize) -> (Self, Self) {
        let Self { to, a, b, panels, beta } = self;
        let (data, other_data) = to.data.split_at_mut(rows * to.stride);
        let other_a = MatrixRef { data: &a.data[rows * a.stride..], count: a.count - rows, ..a };
        let first =
            Self { to: MatrixMut { data, ..to }, a: MatrixRef { count: rows, ..a }, b, panels: panels.clone(), beta };
        (first, Self { to: MatrixMut { data: other_data, ..to }, a: other_a, b, panels, beta })
    }
}

impl<R: Real> WithSimd for Product<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { to, a, b, panels, beta } = self;
        let first = b.first_column(panels.start);
        for (columns, panel, bias) in b.iter(panels) {
            let start = match beta {
                Beta::Zero => start_at::<S, R>(bias),
                Beta::One => [R::zero().splat(simd); VECTORS],
            };
            let mut row = 0;
            while row < a.count {
                let data = &mut to.data[row * to.stride + columns.start - first..];
                let rows = tile_rows::<S>(a.count - row);
                let to = Tile { data, stride: to.stride, rows, columns: columns.len(), beta };
                let a = MatrixRef { data: &a.data[row * a.stride..], ..a };
                match rows {
                    8 => to.of_rows::<S, 8>(simd, start, a, panel),
                    4 => to.of_rows::<S, 4>(simd, start, a, panel),
                    2 => to.of_rows::<S, 2>(simd, start, a, panel),
                    _ => to.of_rows::<S, 1>(simd, start, a, panel),
                }
                row += rows;
            }
        }
    }
}

/// The rows of the next tile if `left` remain: as many as fit into the registers.
#[inline(always)]
fn tile_rows<S: Simd>(left: usize) -> usize {
    let most = if S::REGISTER_COUNT < 32 { 4 } else { 8 };
    if left < most { 1 << left.ilog2() } else { most }
}

/// The vectors of one row of a panel.
#[inline(always)]
fn start_at<S: Simd, R: Real>(row: &[R]) -> [R::Vector<S>; VECTORS] {
    let vectors = R::vectors::<S>(row);
    from_fn(|column| vectors[column])
}

#[cfg(test)]
mod tests {
    use pulp::{Scalar, Simd};

    use super::{MatrixMut, MatrixRef, Product};
    use crate::cpu::gemm::packed::{PackedB, width_of};
    use crate::cpu::gemm::transposed::{PackScratch, Transposed, WithScratch};
    use crate::real::Real;

    const SIZES: [usize; 8] = [1, 3, 8, 17, 33, 64, 65, 130];

    fn number(index: usize) -> f64 {
        (index * 7919 % 1000) as f64 / 500.0 - 1.0
    }

    fn numbers<R: Real>(count: usize, first: usize) -> Vec<R> {
        (0..count).map(|index| R::from_f64(number(first + index))).collect()
    }

    /// Every size of rows, columns and k with two of others, in \[rows, columns, k\].
    fn shapes() -> impl Iterator<Item = [usize; 3]> {
        let shape = |index: usize, by: usize| SIZES[(index * by + index / SIZES.len()) % SIZES.len()];
        (0..3 * SIZES.len()).map(move |index| [shape(index, 1), shape(index, 3), shape(index, 5)])
    }

    /// The largest difference from `want(row, column)`, in parts of what k roundings of sums up to k + 1 may come to.
    fn worst<R: Real>(
        got: &[R],
        [rows, columns, k]: [usize; 3],
        stride: usize,
        want: impl Fn(usize, usize) -> f64,
    ) -> f64 {
        let bound = R::epsilon().as_f64() * ((k + 1) * (k + 1)) as f64;
        let pairs = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        pairs
            .map(|(row, column)| (got[row * stride + column].as_f64() - want(row, column)).abs() / bound)
            .fold(0.0, f64::max)
    }

    /// Runs a check in both types without vectors, and on every instruction set of the machine for which there are
    /// some.
    macro_rules! on_every_set {
        ($check:ident) => {
            $check::<f32, _>(Scalar);
            $check::<f64, _>(Scalar);
            #[cfg(target_arch = "x86_64")]
            {
                if let Some(simd) = pulp::x86::V3::try_new() {
                    $check::<f32, _>(simd);
                    $check::<f64, _>(simd);
                }
                if let Some(simd) = pulp::x86::V4::try_new() {
                    $check::<f32, _>(simd);
                    $check::<f64, _>(simd);
                }
            }
            #[cfg(target_arch = "aarch64")]
            if let Some(simd) = pulp::aarch64::Neon::try_new() {
                $check::<f32, _>(simd);
                $check::<f64, _>(simd);
            }
        };
    }

    fn products_are_right<R: Real, S: Simd>(simd: S) {
        let width = width_of::<S, R>();
        for [rows, columns, k] in shapes() {
            let (a, b) = (numbers::<R>(rows * (k + 2), 1), numbers::<R>(columns * k, 2));
            let dot = |row: usize, column: usize| {
                let of = |at: usize| a[row * (k + 2) + at].as_f64() * b[column * k + at].as_f64();
                (0..k).map(of).sum::<f64>()
            };
            let mut transposed = PackedB::of_width(k, columns, width);
            transposed.all_mut().set_columns(0, &b);
            // The same matrix, set by rows and in two parts.
            let split_rows: Vec<R> = (0..k * columns).map(|at| b[at % columns * k + at / columns]).collect();
            let mut plain = PackedB::of_width(k, columns, width);
            plain.all_mut().set_rows(0, &split_rows[..k / 2 * columns]);
            plain.all_mut().set_rows(k / 2, &split_rows[k / 2 * columns..]);
            let bias = numbers::<R>(columns, 4);
            plain.set_bias(&bias);
            let stride = columns + 3;
            let before = numbers::<R>(rows * stride, 3);
            let zeros = vec![R::zero(); columns];
            for (panels, bias) in [(&transposed, &zeros), (&plain, &bias)] {
                let a = MatrixRef { data: &a, stride: k + 2, count: rows };
                let run = |adds: bool| {
                    let mut to = before.clone();
                    let rows = MatrixMut { data: &mut to, stride };
                    let product = if adds { Product::add(rows, a, panels) } else { Product::assign(rows, a, panels) };
                    simd.vectorize(product);
                    to
                };
                let to = run(false);
                let want = |row: usize, column: usize| bias[column].as_f64() + dot(row, column);
                assert!(worst(&to, [rows, columns, k], stride, want) < 1.0, "assign {rows} × {columns}, k {k}");
                let to = run(true);
                let want = |row: usize, column: usize| before[row * stride + column].as_f64() + dot(row, column);
                assert!(worst(&to, [rows, columns, k], stride, want) < 1.0, "add {rows} × {columns}, k {k}");
                let outside = (0..to.len()).filter(|at| at % stride >= columns);
                outside.for_each(|at| assert_eq!(to[at], before[at], "{rows} × {columns} writes beyond its columns"));
            }
        }
    }

    #[test]
    fn products_of_every_size_equal_a_plain_sum_and_write_nothing_else() {
        on_every_set!(products_are_right);
    }

    fn transposed_products_are_right<R: Real, S: Simd>(simd: S) {
        let mut scratch = PackScratch::new(130, 600);
        for [rows, columns, k] in shapes().chain([[24, 600, 40], [16, 48, 700]]) {
            let (a, b) = (numbers::<R>(k * (rows + 2), 1), numbers::<R>(k * (columns + 1), 2));
            let mut to = numbers::<R>(rows * columns, 3);
            let before = to.clone();
            let (a, b) = (
                MatrixRef { data: &a, stride: rows + 2, count: k },
                MatrixRef { data: &b, stride: columns + 1, count: k },
            );
            simd.vectorize(WithScratch(Transposed { to: &mut to, columns, a, b }, &mut scratch));
            let want = |row: usize, column: usize| {
                let of = |k: usize| a.data[k * a.stride + row].as_f64() * b.data[k * b.stride + column].as_f64();
                before[row * columns + column].as_f64() + (0..k).map(of).sum::<f64>()
            };
            assert!(worst(&to, [rows, columns, k], columns, want) < 1.0, "{rows} × {columns}, k {k}");
        }
    }

    #[test]
    fn products_with_a_transposed_left_side_equal_a_plain_sum() {
        on_every_set!(transposed_products_are_right);
    }

    /// Both products of a shape, as bits.
    fn bits<R: Real, S: Simd>(simd: S, [rows, columns, k]: [usize; 3]) -> Vec<u64> {
        let (a, b) = (numbers::<R>(rows * k, 1), numbers::<R>(k * columns, 2));
        let mut panels = PackedB::of_width(k, columns, width_of::<S, R>());
        panels.all_mut().set_rows(0, &b);
        let mut to = numbers::<R>(rows * columns, 3);
        let a = MatrixRef { data: &a, stride: k, count: rows };
        simd.vectorize(Product::add(MatrixMut { data: &mut to, stride: columns }, a, &panels));
        let mut transposed = vec![R::zero(); k * columns];
        let c = MatrixRef { data: &to, stride: columns, count: rows };
        let product = Transposed { to: &mut transposed, columns, a, b: c };
        simd.vectorize(WithScratch(product, &mut PackScratch::new(k, columns)));
        to.iter().chain(&transposed).map(|value| value.as_f64().to_bits()).collect()
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn avx2_and_avx512_give_the_same_bits_and_plain_code_different_ones() {
        let (Some(narrow), Some(wide)) = (pulp::x86::V3::try_new(), pulp::x86::V4::try_new()) else { return };
        let mut same = true;
        for shape in shapes() {
            assert_eq!(bits::<f32, _>(narrow, shape), bits::<f32, _>(wide, shape), "{shape:?}");
            assert_eq!(bits::<f64, _>(narrow, shape), bits::<f64, _>(wide, shape), "{shape:?}");
            same &= bits::<f32, _>(narrow, shape) == bits::<f32, _>(Scalar, shape);
        }
        assert!(!same);
    }

    #[test]
    fn a_row_has_the_same_bits_for_any_number_of_rows() {
        let (k, columns) = (65, 70);
        let (a, b) = (numbers::<f32>(15 * k, 1), numbers::<f32>(columns * k, 2));
        let mut panels = PackedB::new(k, columns);
        panels.all_mut().set_columns(0, &b);
        let product = |first: usize, count: usize| {
            let mut to = vec![0.0; count * columns];
            let a = MatrixRef { data: &a[first * k..], stride: k, count };
            Product::assign(MatrixMut { data: &mut to, stride: columns }, a, &panels).run();
            to
        };
        let together = product(0, 15);
        for (first, count) in [(0, 1), (3, 2), (5, 4), (6, 9)] {
            assert_eq!(product(first, count), together[first * columns..][..count * columns]);
        }
    }
}
