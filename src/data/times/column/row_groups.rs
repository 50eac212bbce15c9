//! The rows that a column of times orders: one series, or those of many sequences.

use crate::data::times::label::{LabelReader, Texts};

/// Which rows a column of times orders.
#[derive(Clone, Copy)]
pub(in crate::data) struct RowGroups<'a> {
    /// The sequence of each row, ordered by the times: one label that is a time says that all are to be. `None`: all rows
    /// are one series, whose times ascend. Where they do in one of the ways to read them alone, it is that one; where fewer
    /// than half of the labels are times, none is taken to be.
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

    /// How many labels have to be times for the column to be one.
    pub(super) fn fewest_times(self, labels: usize) -> usize {
        if self.is_series() { labels.div_ceil(2) } else { 1 }
    }

    /// The last time of each sequence, before any is seen.
    fn no_times(self) -> Vec<Option<i128>> {
        let sequences = self.sequence_of.map_or(1, |of| of.iter().max().map_or(0, |last| *last as usize + 1));
        vec![None; sequences]
    }

    fn sequence(self, row: usize) -> usize {
        self.sequence_of.and_then(|of| of.get(row)).map_or(0, |sequence| *sequence as usize)
    }

    /// Whether the rows are in the order of time as they are.
    pub(in crate::data) fn ascends(self, keys: impl IntoIterator<Item = i128>) -> bool {
        self.last_times(keys).is_some()
    }

    /// The last time of each sequence, where the rows are in the order of time as they are.
    pub(super) fn last_times(self, keys: impl IntoIterator<Item = i128>) -> Option<Vec<i128>> {
        let mut last = self.no_times();
        let ascend = keys.into_iter().enumerate().all(|(row, key)| {
            let before = last.get_mut(self.sequence(row)).and_then(|last| last.replace(key));
            before.is_none_or(|before| before < key)
        });
        ascend.then(|| last.into_iter().flatten().collect())
    }

    /// Whether rows come in the same order by `others` as by `reader`, where their order is all that is asked for.
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
        // Rows of one time are in the order of the file.
        others.iter().all(|other| {
            let key = |row: usize| other.key(labels.text(row)).map(|key| (key, row));
            let same_sequence = |pair: &[usize]| self.sequence(pair[0]) == self.sequence(pair[1]);
            rows.windows(2).all(|pair| !same_sequence(pair) || key(pair[0]) < key(pair[1]))
        })
    }
}
