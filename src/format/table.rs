//! Cells of aligned tables.

use super::escape::one_line;

/// Maximum number of characters of a table cell; longer names are cut.
const CELL: usize = 60;

/// A table cell: a single line, cut if it is long. A column is as wide as its widest cell.
pub fn cell(text: &str) -> String {
    let mut shown = one_line(text);
    if let Some((end, _)) = shown.char_indices().nth(CELL) {
        let last = shown[..end].char_indices().next_back().map_or(0, |(at, _)| at);
        shown.truncate(last);
        shown.push('…');
    }
    shown
}

/// The width of the widest of some cells.
pub fn widest<T: AsRef<str>>(cells: impl Iterator<Item = T>) -> usize {
    cells.map(|cell| cell.as_ref().chars().count()).max().unwrap_or(0)
}

/// A left-aligned cell. A width from data must not be a format width: those end at 65,535.
pub fn left(cell: &str, width: usize) -> String {
    format!("{cell}{}", blank(cell, width))
}

/// A right-aligned cell.
pub fn right(cell: &str, width: usize) -> String {
    format!("{}{cell}", blank(cell, width))
}

fn blank(cell: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(cell.chars().count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_any_length_are_padded_and_cut() {
        let long = "x".repeat(70_000);
        assert_eq!(cell(&long), format!("{}…", "x".repeat(CELL - 1)));
        assert_eq!(cell(&"é".repeat(CELL)), "é".repeat(CELL));
        assert_eq!([left("né", 4), right("né", 4), left("né", 1)], ["né  ", "  né", "né"]);
        assert_eq!(right("", 70_000).len(), 70_000);
    }
}
