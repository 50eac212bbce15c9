//! The rows that a column of times orders: one series, or many sequences.

use crate::data::times::label::{LabelReader, Texts};

/// Which rows a column of times orders.
#[derive(Clone, Copy)]
pub(in crate::data) struct RowGroups<'a> {
    /// The sequence of each row, ordered by the times: a single label that is a time means that all must be. `None`:
    /// all rows are one series, whose times ascend. If they do so in only one way of reading, it is that one; if fewer
    /// than half of the labels are times, the column has none.
    pub(in crate::data) sequence_of: Option<&'a [u32]>,
}

impl RowGroups<'static> {
    /// Rows of one series, whose times ascend.
    pub(in crate::data) const SERIES: Self = Self { sequence_of: None };
}

impl RowGroups<'_> {
    pub(super) fn is_series(self) -> bool {
        self.sequence_of.is_none()
    }

    /// The minimum number of times for a column of times.
    pub(super) fn fewest_times(self, labels: usize) -> usize {
        if self.is_series() { labels.div_ceil(2) } else { 1 }
    }

    /// The last time of each sequence, initially none.
    fn no_times(self) -> Vec<Option<i128>> {
        let sequences = self.sequence_of.map_or(1, |of| of.iter().max().map_or(0, |last| *last as usize + 1));
        vec![None; sequences]
    }

    fn sequence(self, row: usize) -> usize {
        self.sequence_of.and_then(|of| of.get(row)).map_or(0, |sequence| *sequence as usize)
    }

    /// Whether the rows are in time order.
    pub(in crate::data) fn ascends(self, keys: impl IntoIterator<Item = i128>) -> bool {
        self.last_times(keys).is_some()
    }

    /// The last time of each sequence, if the rows are in time order.
    pub(super) fn last_times(self, keys: impl IntoIterator<Item = i128>) -> Option<Vec<i128>> {
        let mut last = self.no_times();
        let ascend = keys.into_iter().enumerate().all(|(row, key)| {
            let before = last.get_mut(self.sequence(row)).and_then(|last| last.replace(key));
            before.is_none_or(|before| before < key)
        });
        ascend.then(|| last.into_iter().flatten().collect())
    }

    /// Whether `others` sorts the rows like `reader`, if only their order matters.
    pub(super) fn sorts_alike<L: Texts + ?Sized>(
        self,
        labels: &L,
        reader: LabelReader,
        others: &[LabelReader],
    ) -> bool {
        if self.is_series() {
            return false;
        }
        if others.iter().all(|other| *other == reader) {
            return true;
        }
        let keys: Vec<i128> = reader.keys(labels).flatten().collect();
        let mut rows: Vec<usize> = (0..keys.len()).collect();
        rows.sort_by_key(|row| (self.sequence(*row), keys[*row]));
        drop(keys);
        // Rows with equal times keep the order of the file.
        others.iter().all(|other| {
            let key = |row: usize| other.key(labels.text(row)).map(|key| (key, row));
            let same_sequence = |pair: &[usize]| self.sequence(pair[0]) == self.sequence(pair[1]);
            rows.windows(2).all(|pair| !same_sequence(pair) || key(pair[0]) < key(pair[1]))
        })
    }
}
