//! The labels of a column, in any storage.

/// One label per row.
pub(in crate::data) trait Texts {
    fn len(&self) -> usize;

    /// The label of a row; empty if there is no such row.
    fn text(&self, row: usize) -> &str;

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|row| self.text(row))
    }
}

impl<S: AsRef<str>> Texts for [S] {
    fn len(&self) -> usize {
        self.len()
    }

    fn text(&self, row: usize) -> &str {
        self.get(row).map(AsRef::as_ref).unwrap_or_default()
    }
}
