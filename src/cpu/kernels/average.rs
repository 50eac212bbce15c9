//! The moving average of the parameters.

use super::norm::{CHUNK, chunks};
use crate::cpu::parallel::clock::{Clock, Phase};
use crate::cpu::parallel::threads::{Divide, Threads};
use crate::real::Real;

/// Some of the averages, and their parameters.
struct AveragePart<'a, R> {
    averaged: &'a mut [R],
    parameters: &'a [R],
}

impl<R: Real> Divide for AveragePart<'_, R> {
    fn parts(&self) -> usize {
        chunks(self.averaged.len())
    }

    fn divide(self, parts: usize) -> (Self, Self) {
        let (averaged, other_averaged) = self.averaged.split_at_mut(parts * CHUNK);
        let (parameters, other_parameters) = self.parameters.split_at(parts * CHUNK);
        (Self { averaged, parameters }, Self { averaged: other_averaged, parameters: other_parameters })
    }
}

/// Moves every average by `weight` of the way to its parameter: by 1 onto it.
pub(crate) fn average<R: Real>(threads: &Threads, clock: &Clock, averaged: &mut [R], parameters: &[R], weight: R) {
    threads.each(AveragePart { averaged, parameters }, |part| {
        let timer = clock.begin();
        if weight == R::one() {
            part.averaged.copy_from_slice(part.parameters);
        } else {
            let pairs = part.averaged.iter_mut().zip(part.parameters);
            pairs.for_each(|(a, w)| *a += weight * (*w - *a));
        }
        clock.end(timer, Phase::Update, || 3 * part.parameters.len());
    });
}
