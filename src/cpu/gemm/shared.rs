//! Work of one block shared by several threads, for batches of few rows or machines with many cores. Sharing changes no
//! bit of the result.

use std::ops::Range;

use super::matmul::Product;
use crate::cpu::parallel::threads::{Divide, RowWork, Threads};
use crate::real::Real;

/// The minimum multiplications worth another thread.
const MIN_PARALLEL_FLOPS: usize = 1 << 17;

/// The minimum units of a cell, counted over rows, worth another thread.
const MIN_PARALLEL_UNITS: usize = 1 << 10;

/// Rows of a product are shared in groups of this size if there are many.
const GROUP: usize = 8;

/// The threads that work on one block.
#[derive(Clone, Copy)]
pub(crate) struct SharedBlock<'a> {
    threads: &'a Threads,
    size: usize,
}

impl<'a> SharedBlock<'a> {
    /// For each of `blocks` blocks.
    pub(crate) fn new(threads: &'a Threads, blocks: usize) -> Self {
        Self { threads, size: threads.count().div_ceil(blocks.max(1)) }
    }

    /// Runs a product of many rows, split by rows.
    pub(crate) fn split_rows<R: Real>(self, product: Product<'_, R>) {
        let shares = self.shares(product.multiplications());
        self.each_share(product, GROUP, shares, |product| product.run());
    }

    /// Calls `f` on one step of a cell with `hidden` units, split by rows. If one thread computed all rows, the others
    /// would wait for it between two products that they share.
    pub(crate) fn split_step<W: RowWork>(self, step: W, hidden: usize, f: impl Fn(W) + Sync) {
        let shares = self.step_shares(step.rows() * hidden);
        self.each_share(step, 1, shares, f);
    }

    /// Calls `f` on shares of the rows, in whole groups.
    fn each_share<W: RowWork>(self, work: W, group: usize, shares: usize, f: impl Fn(W) + Sync) {
        let groups = work.rows().div_ceil(group);
        match shares.min(groups) {
            0 | 1 => f(work),
            shares => {
                let cuts = Cuts::new(groups, shares);
                self.threads.each(SplitRows { work, group, cuts }, |share| f(share.work));
            }
        }
    }

    /// Runs a product of few rows, split by columns. The threads compute them in `scratch`, which needs space for all.
    pub(crate) fn split_columns<R: Real>(self, mut product: Product<'_, R>, scratch: &mut [R]) {
        let panels = product.panels();
        let shares = self.shares(product.multiplications()).min(panels);
        if shares < 2 {
            return product.run();
        }
        let cuts = Cuts::new(panels, shares);
        let work = SplitColumns { product: &product, cuts: cuts.clone(), scratch: &mut *scratch };
        self.threads.each(work, |share| share.product.of_panels(share.cuts.all(), share.scratch).run());
        let mut rest = &*scratch;
        for panels in cuts.each() {
            let (made, others) = rest.split_at(product.columns(panels.clone()).len() * product.rows());
            product.take(panels, made);
            rest = others;
        }
    }

    /// The number of shares of a product with this many multiplications.
    pub(crate) fn shares(self, multiplications: usize) -> usize {
        self.size.min(multiplications / MIN_PARALLEL_FLOPS).max(1)
    }

    /// The number of shares of a cell's step over this many units of all rows.
    pub(crate) fn step_shares(self, units: usize) -> usize {
        self.size.min(units / MIN_PARALLEL_UNITS).max(1)
    }
}

/// A range cut into even shares, of which this value covers some.
#[derive(Clone)]
struct Cuts {
    len: usize,
    of: usize,
    shares: Range<usize>,
}

impl Cuts {
    fn new(len: usize, of: usize) -> Self {
        Self { len, of, shares: 0..of }
    }

    fn at(&self, share: usize) -> usize {
        self.len * share / self.of
    }

    /// The covered range.
    fn all(&self) -> Range<usize> {
        self.at(self.shares.start)..self.at(self.shares.end)
    }

    fn each(&self) -> impl Iterator<Item = Range<usize>> {
        self.shares.clone().map(|share| self.at(share)..self.at(share + 1))
    }

    /// Splits after `shares` shares.
    fn divide(self, shares: usize) -> (Self, Self) {
        let cut = self.shares.start + shares;
        (Self { shares: self.shares.start..cut, ..self }, Self { shares: cut..self.shares.end, ..self })
    }
}

/// Shares of the rows.
struct SplitRows<W> {
    work: W,
    group: usize,
    /// In groups of rows.
    cuts: Cuts,
}

impl<W: RowWork> Divide for SplitRows<W> {
    fn parts(&self) -> usize {
        self.cuts.shares.len()
    }

    fn divide(self, parts: usize) -> (Self, Self) {
        let (cuts, others) = self.cuts.divide(parts);
        let (work, rest) = self.work.split(self.group * cuts.all().len());
        (Self { work, cuts, ..self }, Self { work: rest, cuts: others, ..self })
    }
}

/// Shares of a product's columns.
struct SplitColumns<'a, 'p, R> {
    product: &'a Product<'p, R>,
    /// In panels.
    cuts: Cuts,
    /// \[rows, columns\] for each share, in sequence.
    scratch: &'a mut [R],
}

impl<R: Real> Divide for SplitColumns<'_, '_, R> {
    fn parts(&self) -> usize {
        self.cuts.shares.len()
    }

    fn divide(self, parts: usize) -> (Self, Self) {
        let (cuts, others) = self.cuts.divide(parts);
        let (scratch, other_room) =
            self.scratch.split_at_mut(self.product.columns(cuts.all()).len() * self.product.rows());
        (Self { scratch, cuts, ..self }, Self { product: self.product, cuts: others, scratch: other_room })
    }
}

#[cfg(test)]
mod tests {
    use super::SharedBlock;
    use crate::cpu::gemm::matmul::Product;
    use crate::cpu::gemm::packed::PackedB;
    use crate::cpu::gemm::tile::{MatrixMut, MatrixRef};
    use crate::cpu::parallel::threads::{RowWork, Threads};

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|at| (at * 7919 % 1000 + seed) as f32 / 500.0 - 1.0).collect()
    }

    #[test]
    fn a_shared_product_gives_the_same_bits_and_writes_nothing_else() {
        let threads = Threads::new(3).unwrap();
        for [rows, k, columns] in [[1, 600, 900], [3, 400, 330], [17, 300, 70], [23, 200, 90]] {
            let (a, before) = (numbers(rows * k, 1), numbers(rows * (columns + 3), 2));
            let mut b = PackedB::new(k, columns);
            b.all_mut().set_rows(0, &numbers(k * columns, 3));
            b.set_bias(&numbers(columns, 4));
            for adds in [false, true] {
                let run = |how: &dyn Fn(Product<'_, f32>)| {
                    let mut to = before.clone();
                    let a = MatrixRef { data: &a, stride: k, count: rows };
                    let rows = MatrixMut { data: &mut to, stride: columns + 3 };
                    how(if adds { Product::add(rows, a, &b) } else { Product::assign(rows, a, &b) });
                    to.into_iter().map(f32::to_bits).collect::<Vec<_>>()
                };
                let shared = SharedBlock::new(&threads, 1);
                assert!(shared.shares(rows * k * columns) > 1, "{rows} × {k} × {columns} is not shared");
                let alone = run(&|product| product.run());
                let shape = format!("{rows} × {columns}, k {k}");
                assert_eq!(run(&|product| shared.split_rows(product)), alone, "by rows: {shape}");
                let split_columns =
                    |product: Product<'_, f32>| shared.split_columns(product, &mut vec![7.0; rows * columns]);
                assert_eq!(run(&split_columns), alone, "by columns: {shape}");
            }
        }
    }

    /// Rows that are told how many there are in their share.
    struct Rows<'a>(&'a mut [usize]);

    impl RowWork for Rows<'_> {
        fn rows(&self) -> usize {
            self.0.len()
        }

        fn split(self, rows: usize) -> (Self, Self) {
            let (rows, others) = self.0.split_at_mut(rows);
            (Self(rows), Self(others))
        }
    }

    #[test]
    fn the_rows_of_a_step_are_split_where_each_share_has_units_enough() {
        let threads = Threads::new(3).unwrap();
        // For each row, the number of rows in its share.
        let shares = |rows: usize, hidden: usize| {
            let mut rows = vec![0; rows];
            let shared = SharedBlock::new(&threads, 1);
            shared.split_step(Rows(&mut rows), hidden, |share| share.0.fill(share.0.len()));
            rows
        };
        assert_eq!(shares(1, 5000), [1]);
        assert_eq!(shares(4, 511), [4; 4]);
        assert_eq!(shares(4, 512), [2; 4]);
        assert_eq!(shares(4, 1024), [1, 1, 2, 2]);
    }
}
