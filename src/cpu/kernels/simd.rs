//! Runs of hidden units as local arrays. Between a dozen slices the compiler cannot rule out overlap, and would leave
//! the gates' loops scalar; over local arrays it makes vector code of them.

use crate::real::Real;

/// Units at a time: two AVX registers of f32.
pub(crate) const LANES: usize = 16;

/// The `N` numbers from `at` on.
#[inline(always)]
pub(crate) fn load<R: Real, const N: usize>(from: &[R], at: usize) -> [R; N] {
    let mut lanes = [R::zero(); N];
    lanes.copy_from_slice(&from[at..at + N]);
    lanes
}

/// Writes the numbers from `at` on.
#[inline(always)]
pub(crate) fn store<R: Real, const N: usize>(to: &mut [R], at: usize, lanes: [R; N]) {
    to[at..at + N].copy_from_slice(&lanes);
}

/// A lane for each index.
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
