//! Embedding lookup and gradient.

use std::ops::Range;

use super::mask::StepMask;
use crate::real::Real;

/// x, \[held, rows, I\], from `vectors`, \[V, I\], and the tokens from step `first` on; 0 at padding.
pub(crate) fn look_up<R: Real>(vectors: &[R], size: usize, mask: &StepMask, first: usize, tokens: &[u32], x: &mut [R]) {
    for (index, (x, token)) in x.chunks_exact_mut(size).zip(tokens).enumerate() {
        if mask.active(first + index / mask.rows, index % mask.rows) {
            x.copy_from_slice(&vectors[*token as usize * size..][..size])
        } else {
            x.fill(R::zero())
        }
    }
}

/// Adds dx, \[·, I\], to the gradients of the vectors of `ids`, in row order. dx is 0 at padding.
pub(crate) fn scatter<R: Real>(d_vectors: &mut [R], size: usize, ids: Range<u32>, tokens: &[u32], dx: &[R]) {
    for (dx, token) in dx.chunks_exact(size).zip(tokens).filter(|(_, token)| ids.contains(token)) {
        let vector = &mut d_vectors[(token - ids.start) as usize * size..][..size];
        vector.iter_mut().zip(dx).for_each(|(sum, dx)| *sum += *dx);
    }
}
