//! The global norm of the gradient.

use crate::cpu::parallel::clock::{Clock, Phase};
use crate::cpu::parallel::threads::{Divide, Threads};
use crate::real::Real;

/// Numbers per part of the norm and of the update.
pub(crate) const CHUNK: usize = 4096;

/// Gradients, and the sum of squares of each chunk.
struct Squares<'a, R> {
    gradients: &'a [R],
    sums: &'a mut [f64],
}

impl<R: Real> Divide for Squares<'_, R> {
    fn parts(&self) -> usize {
        self.sums.len()
    }

    fn divide(self, parts: usize) -> (Self, Self) {
        let (gradients, other_gradients) = self.gradients.split_at(parts * CHUNK);
        let (sums, other_sums) = self.sums.split_at_mut(parts);
        (Self { gradients, sums }, Self { gradients: other_gradients, sums: other_sums })
    }
}

/// The chunks of so many numbers.
pub(crate) fn chunks(numbers: usize) -> usize {
    numbers.div_ceil(CHUNK)
}

/// The Euclidean norm of some ranges of the gradients together. `sums` is scratch with one number per chunk of each
/// range.
pub(crate) fn norm<'a, R: Real>(
    threads: &Threads,
    clock: &Clock,
    ranges: impl Iterator<Item = &'a [R]> + Clone,
    sums: &mut [f64],
) -> f64 {
    let mut rest = &mut *sums;
    for gradients in ranges.clone() {
        let (sums, others) = rest.split_at_mut(chunks(gradients.len()));
        rest = others;
        threads.each(Squares { gradients, sums }, |part| {
            let timer = clock.begin();
            part.sums[0] = sum_of_squares(part.gradients);
            clock.end(timer, Phase::Norm, || 2 * part.gradients.len());
        });
    }
    let sum = sums.iter().sum::<f64>();
    if sum.is_infinite() || sum < f64::MIN_POSITIVE { scaled_norm(ranges.flatten()) } else { sum.sqrt() }
}

/// The norm from squares of the numbers divided by the largest one, for when the plain squares overflow or underflow
/// f64: for f64 numbers, or zeros.
fn scaled_norm<'a, R: Real>(values: impl Iterator<Item = &'a R> + Clone) -> f64 {
    let largest = values.clone().fold(0.0, |largest: f64, value| largest.max(value.as_f64().abs()));
    if largest == 0.0 || largest.is_infinite() {
        return largest;
    }
    largest * values.map(|value| (value.as_f64() / largest).powi(2)).sum::<f64>().sqrt()
}

/// In f64, in which no square of an f32 overflows, and in eight running sums, so that they vectorise.
fn sum_of_squares<R: Real>(values: &[R]) -> f64 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        sums.iter_mut().zip(eight).for_each(|(sum, value)| *sum += value.as_f64() * value.as_f64());
    }
    let rest: f64 = rest.iter().map(|value| value.as_f64() * value.as_f64()).sum();
    sums.iter().sum::<f64>() + rest
}
