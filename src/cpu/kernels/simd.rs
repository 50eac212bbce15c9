//! Groups of hidden units as local arrays. With many slices the compiler cannot rule out aliasing and would keep the
//! gates' loops scalar; over local arrays it vectorises them.

use crate::real::Real;

/// Units per group: two AVX registers of f32.
pub(crate) const LANES: usize = 16;

/// The `N` numbers from index `at` on.
#[inline(always)]
pub(crate) fn load<R: Real, const N: usize>(from: &[R], at: usize) -> [R; N] {
    let mut lanes = [R::zero(); N];
    lanes.copy_from_slice(&from[at..at + N]);
    lanes
}

/// Writes numbers from index `at` on.
#[inline(always)]
pub(crate) fn store<R: Real, const N: usize>(to: &mut [R], at: usize, lanes: [R; N]) {
    to[at..at + N].copy_from_slice(&lanes);
}

/// Computes each lane from its index.
#[inline(always)]
pub(crate) fn each<R: Real, const N: usize>(f: impl Fn(usize) -> R) -> [R; N] {
    let mut lanes = [R::zero(); N];
    for (index, lane) in lanes.iter_mut().enumerate() {
        *lane = f(index);
    }
    lanes
}

/// σ of every lane.
#[inline(always)]
pub(crate) fn sigmoid<R: Real, const N: usize>(z: [R; N]) -> [R; N] {
    each(|k| z[k].vector_sigmoid())
}

/// tanh of every lane.
#[inline(always)]
pub(crate) fn tanh<R: Real, const N: usize>(z: [R; N]) -> [R; N] {
    each(|k| z[k].vector_tanh())
}
