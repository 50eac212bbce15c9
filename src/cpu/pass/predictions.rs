//! What a loss of the caller sees of a block: its predictions, one by one.

use std::slice::ChunksExactMut;

use crate::batch::Batch;
use crate::real::Real;

/// Consecutive predictions of a block of rows, for a loss of your own on the CPU backend: see
/// [`CustomLoss`](crate::CustomLoss). An iterator over those that are not padding, step by step and then by row.
#[derive(Debug)]
pub struct CpuPredictions<'a, R: Real = f32> {
    pub(super) logits: ChunksExactMut<'a, R>,
    pub(super) places: Places<'a>,
}

/// One prediction.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub struct CpuPrediction<'a, R: Real = f32> {
    /// The time step of a head at every step, otherwise 0.
    pub p: usize,
    /// The row in the batch.
    pub row: usize,
    /// The logits a, \[O\], to be overwritten by ∂loss/∂a.
    pub logits: &'a mut [R],
}

impl<'a, R: Real> Iterator for CpuPredictions<'a, R> {
    type Item = CpuPrediction<'a, R>;

    fn next(&mut self) -> Option<CpuPrediction<'a, R>> {
        loop {
            let logits = self.logits.next()?;
            if let Some((p, row)) = self.places.next()? {
                return Some(CpuPrediction { p, row, logits });
            }
        }
    }
}

/// p and row of a block's predictions, by step and then by row; `None` for padding. Without end.
#[derive(Clone, Debug)]
pub(super) struct Places<'a> {
    /// The index of the next prediction in the block.
    pub(super) index: usize,
    /// p and row of index 0.
    pub(super) first: (usize, usize),
    /// The lengths of the block's rows, and whether steps beyond them are padding.
    pub(super) lengths: &'a [usize],
    pub(super) padded: bool,
}

impl Iterator for Places<'_> {
    type Item = Option<(usize, usize)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (step, row) = (self.index / self.lengths.len(), self.index % self.lengths.len());
        self.index += 1;
        let p = self.first.0 + step;
        Some((!self.padded || p < self.lengths[row]).then_some((p, self.first.1 + row)))
    }
}

/// The loss of a pass.
#[derive(Clone, Copy)]
pub(crate) enum PassLoss<'a, S, R: Real> {
    /// The head's loss of a batch.
    Batch(&'a Batch<S>),
    /// A loss of the caller, and the index of the first row in the caller's batch.
    Custom(&'a (dyn Fn(CpuPredictions<'_, R>) -> f64 + Sync), usize),
}
