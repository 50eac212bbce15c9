//! Kernels on slices: losses, norms and updates. [`PackedWeight`] is a matrix product for benchmarks.

pub(crate) mod average;
pub(crate) mod column_sum;
pub(crate) mod dropout;
pub(crate) mod embedding;
pub(crate) mod likelihood;
pub(crate) mod loss;
pub(crate) mod mask;
pub(crate) mod norm;
pub(crate) mod projection;
pub(crate) mod step;
pub(crate) mod tokens;
pub(crate) mod update;

use crate::cpu::gemm::matmul::Product;
use crate::cpu::gemm::packed::PackedB;
use crate::cpu::gemm::tile::{MatrixMut, MatrixRef};
use crate::real::Real;

/// A weight B \[n, k\], packed once for all products with it.
#[derive(Debug)]
pub struct PackedWeight<R>(PackedB<R>);

impl<R: Real> PackedWeight<R> {
    /// Packs B, given as `n` consecutive rows.
    ///
    /// # Panics
    /// If B is shorter than n·k.
    pub fn new(b: &[R], [n, k]: [usize; 2]) -> Self {
        let mut panels = PackedB::new(k, n);
        panels.all_mut().set_columns(0, &b[..n * k]);
        Self(panels)
    }

    /// C \[rows, n\] = A · Bᵀ on one thread, with A \[rows, k\].
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn product(&self, a: &[R], rows: usize, c: &mut [R]) {
        let (k, n) = self.0.shape();
        let a = MatrixRef { data: a, stride: k, count: rows };
        Product::assign(MatrixMut { data: c, stride: n }, a, &self.0).run();
    }
}
