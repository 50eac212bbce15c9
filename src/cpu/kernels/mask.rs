//! Which steps of a block of rows are no padding, and where their sequences start anew.

/// Which steps of the rows count.
#[derive(Debug, Default)]
pub(crate) struct StepMask {
    pub(crate) rows: usize,
    /// The longest row's length: nothing of the block is computed beyond it.
    pub(crate) steps: usize,
    pub(crate) lengths: Vec<usize>,
    /// \[D, steps, rows\]; empty: all kept.
    pub(crate) keeps: Vec<bool>,
}

impl StepMask {
    /// Whether step `t` of `row` is no padding.
    #[inline(always)]
    pub(crate) fn active(&self, t: usize, row: usize) -> bool {
        t < self.lengths[row]
    }

    /// The rows whose state must not enter step `t`: those where a sequence starts anew.
    pub(crate) fn starts(&self, direction: usize, t: usize) -> impl Iterator<Item = usize> + '_ {
        let first = (direction * self.steps + t) * self.rows;
        let keeps = if self.keeps.is_empty() { &[][..] } else { &self.keeps[first..][..self.rows] };
        keeps.iter().enumerate().filter(|(_, keeps)| !**keeps).map(|(row, _)| row)
    }
}
