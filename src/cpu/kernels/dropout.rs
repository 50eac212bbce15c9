//! The masks of a block: over what a layer hands on, and over what of h enters the recurrent product.

use std::ops::Range;

use super::mask::StepMask;
use crate::dropout::{DropRate, DropoutParams, MaskKind};
use crate::real::Real;

/// Multiplies the columns of a (layer, direction), \[held, rows, D·H\] from `column` on, by the masks between layers: its
/// output forward, the gradient of that backward. Padding stays as it is.
pub(crate) fn between<R: Real>(
    draw: &DropoutParams,
    mask: &StepMask,
    held: &Range<usize>,
    layer_direction: usize,
    values: &mut [R],
    column: usize,
    hidden: usize,
) {
    let width = values.len() / (held.len() * mask.rows);
    for (index, values) in values.chunks_exact_mut(width).enumerate() {
        let (t, row) = (held.start + index / mask.rows, index % mask.rows);
        if mask.active(t, row) {
            let values = &mut values[column..column + hidden];
            multiply(values, draw.between, |group| draw.words(MaskKind::Between, layer_direction, t, row, group));
        }
    }
}

/// The mask of each row's h_{t−1}, \[rows, H\], as factors.
pub(crate) fn recurrent<R: Real>(draw: &DropoutParams, layer_direction: usize, factors: &mut [R], hidden: usize) {
    factors.fill(R::one());
    for (row, factors) in factors.chunks_exact_mut(hidden).enumerate() {
        multiply(factors, draw.recurrent, |group| draw.words(MaskKind::Recurrent, layer_direction, 0, row, group));
    }
}

/// A dropped unit is multiplied by 0 rather than set to it, so that NaN stays NaN.
fn multiply<R: Real>(units: &mut [R], rate: DropRate, words: impl Fn(usize) -> [u32; 4]) {
    let scale = R::from_f64(rate.scale);
    for (group, units) in units.chunks_mut(4).enumerate() {
        for (unit, word) in units.iter_mut().zip(words(group)) {
            *unit *= if word < rate.threshold { R::zero() } else { scale };
        }
    }
}
