//! The padding and resets of a block of rows.

/// Which steps of the rows are not padding.
#[derive(Debug, Default)]
pub(crate) struct StepMask {
    pub(crate) rows: usize,
    /// The longest row's length. Nothing in the block is computed beyond it.
    pub(crate) steps: usize,
    pub(crate) lengths: Vec<usize>,
    /// \[D, steps, rows\]: whether the state entering a step is kept. Empty: all are.
    pub(crate) keeps: Vec<bool>,
}

impl StepMask {
    /// Whether step `t` of `row` is not padding.
    #[inline(always)]
    pub(crate) fn active(&self, t: usize, row: usize) -> bool {
        t < self.lengths[row]
    }

    /// The rows whose state is reset on entering step `t` in the direction at `place` in each layer.
    pub(crate) fn starts(&self, place: usize, t: usize) -> impl Iterator<Item = usize> + '_ {
        let first = (place * self.steps + t) * self.rows;
        let keeps = if self.keeps.is_empty() { &[][..] } else { &self.keeps[first..][..self.rows] };
        keeps.iter().enumerate().filter(|(_, keeps)| !**keeps).map(|(row, _)| row)
    }
}
