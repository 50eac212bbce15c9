//! The dropout masks of a block: of a layer's output, and of h in the recurrent product.

use std::ops::Range;

use super::mask::StepMask;
use crate::dropout::{DropRate, DropoutParams, MaskKind};
use crate::real::Real;

/// Multiplies the columns of a (layer, direction), from `column` on in \[held, rows, D·S\], by the masks between
/// layers: its output forward, its gradient backward. Padding is unchanged.
pub(crate) fn between<R: Real>(
    draw: &DropoutParams,
    mask: &StepMask,
    held: &Range<usize>,
    layer_direction: usize,
    values: &mut [R],
    column: usize,
    size: usize,
) {
    let width = values.len() / (held.len() * mask.rows);
    for (index, values) in values.chunks_exact_mut(width).enumerate() {
        let (t, row) = (held.start + index / mask.rows, index % mask.rows);
        if mask.active(t, row) {
            let values = &mut values[column..column + size];
            multiply(values, draw.between, |group| draw.words(MaskKind::Between, layer_direction, t, row, group));
        }
    }
}

/// The recurrent mask of each row, \[rows, S\], as factors.
pub(crate) fn recurrent<R: Real>(draw: &DropoutParams, layer_direction: usize, factors: &mut [R], size: usize) {
    factors.fill(R::one());
    for (row, factors) in factors.chunks_exact_mut(size).enumerate() {
        multiply(factors, draw.recurrent, |group| draw.words(MaskKind::Recurrent, layer_direction, 0, row, group));
    }
}

/// Multiplies dropped units by 0 rather than setting them, so that NaN is propagated.
fn multiply<R: Real>(units: &mut [R], rate: DropRate, words: impl Fn(usize) -> [u32; 4]) {
    let scale = R::from_f64(rate.scale);
    for (group, units) in units.chunks_mut(4).enumerate() {
        for (unit, word) in units.iter_mut().zip(words(group)) {
            *unit *= if word < rate.threshold { R::zero() } else { scale };
        }
    }
}
