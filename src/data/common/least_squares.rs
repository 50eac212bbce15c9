//! Least squares by their normal equations.

use ndarray::{Array2, s};

/// The ridge, as a share of the mean of A's diagonal: far below what data can tell, and far above the rounding of the
/// products. So inputs that follow from others, such as the last value of a window that is seen from it, do no harm.
const RIDGE: f64 = 1e-9;

/// Solves the normal equations (A + ridge) X = B of least squares, A \[p, p\] and B \[p, K\], by a Cholesky decomposition:
/// X is in the place of B, and the factor in that of A. Where nothing varies X is 0.
pub(crate) fn solve_with_ridge(a: &mut Array2<f64>, b: &mut Array2<f64>) {
    let n = a.nrows();
    let ridge = RIDGE * a.diag().sum() / n as f64;
    if ridge.is_nan() || ridge <= 0.0 {
        // Nothing varies: the means are the forecast.
        b.fill(0.0);
        return;
    }
    a.diag_mut().mapv_inplace(|variance| variance + ridge);
    let dot = |a: &Array2<f64>, i: usize, j: usize| a.slice(s![i, ..j]).dot(&a.slice(s![j, ..j]));
    for i in 0..n {
        for j in 0..i {
            a[[i, j]] = (a[[i, j]] - dot(a, i, j)) / a[[j, j]];
        }
        let row = a.slice(s![i, ..i]);
        let left = a[[i, i]] - row.dot(&row);
        a[[i, i]] = left.max(ridge).sqrt();
    }
    // L Z = B, then Lᵀ X = Z.
    let minus = |b: &mut Array2<f64>, row: usize, factor: f64, other: usize| {
        let (mut to, from) = b.multi_slice_mut((s![row, ..], s![other, ..]));
        to.scaled_add(-factor, &from);
    };
    for i in 0..n {
        (0..i).for_each(|j| minus(b, i, a[[i, j]], j));
        b.row_mut(i).mapv_inplace(|value| value / a[[i, i]]);
    }
    for i in (0..n).rev() {
        (i + 1..n).for_each(|j| minus(b, i, a[[j, i]], j));
        b.row_mut(i).mapv_inplace(|value| value / a[[i, i]]);
    }
}
