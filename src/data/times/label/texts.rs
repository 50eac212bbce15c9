//! The labels of a column, however they are stored.

/// Labels, a row each.
pub(in crate::data) trait Texts {
    fn len(&self) -> usize;

    /// That of a row; empty for one that there is not.
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
