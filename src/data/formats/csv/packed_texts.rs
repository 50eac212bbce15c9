//! Packed storage for the times of a long-form file.

use crate::allocate;
use crate::data::times::label::Texts;
use crate::error::Result;

/// Concatenated labels, each with four bytes of overhead.
#[derive(Default)]
pub(super) struct PackedTexts {
    all: String,
    /// The end of each, modulo 2³².
    ends: Vec<u32>,
    /// The rows from which on the ends have wrapped once more.
    turns: Vec<usize>,
}

impl PackedTexts {
    /// # Errors
    /// [`Error::NoMemory`](crate::Error::NoMemory).
    pub(super) fn push(&mut self, text: &str) -> Result<()> {
        let before = self.all.len() as u64 >> 32;
        allocate::text(&mut self.all, text, "the labels of rows")?;
        let turns = (self.all.len() as u64 >> 32) - before;
        self.turns.extend((0..turns).map(|_| self.ends.len()));
        allocate::push(&mut self.ends, self.all.len() as u32, "the labels of rows")
    }

    fn end(&self, row: usize) -> usize {
        let turns = self.turns.partition_point(|from| *from <= row) as u64;
        // There are none where memory ends at 2³² bytes.
        ((turns << 32) + u64::from(self.ends[row])) as usize
    }
}

impl Texts for PackedTexts {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn text(&self, row: usize) -> &str {
        if row >= self.ends.len() {
            return "";
        }
        let begin = row.checked_sub(1).map_or(0, |before| self.end(before));
        self.all.get(begin..self.end(row)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_found_again() {
        let texts: Vec<String> = (0..500).map(|n: usize| "aä".repeat(n * n % 7)).collect();
        let mut packed = PackedTexts::default();
        texts.iter().for_each(|text| packed.push(text).unwrap());
        assert_eq!(packed.iter().collect::<Vec<_>>(), texts);
        assert_eq!((packed.text(500), texts[..].text(500)), ("", ""));
        // As if the first two had come to 2³² bytes each.
        let beyond = PackedTexts { all: String::new(), ends: vec![0, 0, 7], turns: vec![0, 1] };
        assert_eq!([0, 1, 2].map(|row| beyond.end(row)), [1 << 32, 2 << 32, (2 << 32) + 7]);
    }
}
