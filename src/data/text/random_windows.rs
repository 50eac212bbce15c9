//! Random windows of a text.

use std::ops::{Deref, Range};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::next_character::{NextCharacter, check};
use crate::batch::Batch;
use crate::data::{Batches, Text, Vocabulary};
use crate::error::{Error, Result};
use crate::model::uniform;

/// Batches of windows drawn uniformly from a split of a text: tokens \[T, B\], with the next characters as classes.
/// Unknown characters have weight 0 as targets. An epoch has as many steps as the split has targets, rounded up to
/// whole batches. The text and the vocabulary are references to them, or `Arc`s.
pub struct RandomWindows<T, V> {
    text: T,
    vocabulary: V,
    part: Range<u64>,
    window: usize,
    rows: usize,
    seed: u64,
}

impl<T: Deref<Target = Text>, V: Deref<Target = Vocabulary>> RandomWindows<T, V> {
    /// `rows` windows (B) of `window` characters (T) per batch.
    ///
    /// # Errors
    /// [`Error::Value`] for sizes of 0, a split that is not within the text or is shorter than a window and the next
    /// character, and a vocabulary of bytes for a text of characters or the reverse.
    pub fn new(text: T, vocabulary: V, part: Range<u64>, window: usize, rows: usize, seed: u64) -> Result<Self> {
        check(&text, &vocabulary, &part, window, rows)?;
        let length = part.end - part.start;
        if length <= window as u64 {
            let what = format!("the part of {}", text.path().display());
            let expected = format!("more characters than a window of {window}");
            return Err(Error::value(what, expected, length));
        }
        // No array can be larger.
        if window.checked_mul(rows).is_none_or(|tokens| tokens > isize::MAX as usize / size_of::<u32>()) {
            return Err(Error::value("batch", format!("fewer rows of {window} characters"), rows));
        }
        Ok(Self { text, vocabulary, part, window, rows, seed })
    }
}

impl<T, V> Batches for RandomWindows<T, V>
where
    T: Deref<Target = Text> + Send + Sync,
    V: Deref<Target = Vocabulary> + Send + Sync,
{
    fn per_epoch(&self) -> u64 {
        let targets = self.part.end - self.part.start - 1;
        targets.div_ceil((self.window as u64).saturating_mul(self.rows as u64))
    }

    fn batch(&self, number: u64) -> Result<Batch> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // Stream 0 draws the parameters.
        rng.set_stream(1 + number);
        let window = self.window as u64;
        let starts = (self.part.end - self.part.start - window) as f64;
        let mut batch = NextCharacter::new(&self.text, &self.vocabulary, self.window, self.rows)?;
        for row in 0..self.rows {
            let start = self.part.start + (uniform(&mut rng) * starts) as u64;
            batch.row(row, start..start + window, |_| true)?;
        }
        Ok(batch.batch())
    }

    fn largest(&self) -> Result<Batch> {
        // All have the same shape.
        self.batch(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::batch::{Input, Targets};
    use crate::data::TextUnit;

    fn text(text: &str, unit: TextUnit) -> Text {
        Text::from_bytes(text.into(), Path::new("a.txt"), unit).unwrap()
    }

    /// Characters that encode their position.
    fn places(count: u32) -> String {
        (0..count).filter_map(|place| char::from_u32(0x4E00 + place)).collect()
    }

    #[test]
    fn windows_cover_the_whole_split_and_nothing_else() {
        let text = text(&places(100), TextUnit::Characters);
        let vocabulary = Vocabulary::characters(&text.histogram(0..100).unwrap(), 1).unwrap();
        let windows = RandomWindows::new(&text, &vocabulary, 20..50, 7, 4, 3).unwrap();
        assert_eq!(windows.per_epoch(), 2);
        let mut starts = BTreeSet::new();
        for number in 0..200 {
            let batch = windows.batch(number).unwrap();
            let (Input::Tokens(tokens), Targets::Classes(classes)) = (&batch.sequence.input, &batch.targets) else {
                panic!()
            };
            assert_eq!((tokens.dim(), batch.total_weight()), ((7, 4), 28.0));
            for row in 0..4 {
                let start = tokens[[0, row]];
                starts.insert(start);
                assert_eq!(tokens.column(row).to_vec(), (start..start + 7).collect::<Vec<_>>());
                assert_eq!(classes.column(row).to_vec(), (start + 1..start + 8).collect::<Vec<_>>());
            }
            assert!(!windows.continues(number));
        }
        assert_eq!(starts, (20..43).collect());
    }

    #[test]
    fn a_batch_depends_only_on_the_seed_and_its_index() {
        let text = text(&places(500), TextUnit::Characters);
        let vocabulary = Vocabulary::characters(&text.histogram(0..500).unwrap(), 1).unwrap();
        let windows = |seed| RandomWindows::new(&text, &vocabulary, 0..500, 5, 3, seed).unwrap();
        let (one, two) = (windows(1), windows(1));
        one.batch(4).unwrap();
        assert_eq!(one.batch(9).unwrap(), two.batch(9).unwrap());
        assert_ne!(one.batch(9).unwrap(), one.batch(10).unwrap());
        assert_ne!(one.batch(9).unwrap(), windows(2).batch(9).unwrap());
    }

    #[test]
    fn unknown_characters_are_inputs_but_not_targets() {
        let text = text("abXabXabXa", TextUnit::Characters);
        let vocabulary = Vocabulary::characters(&"ab".chars().collect(), 1).unwrap();
        let batch = RandomWindows::new(&text, &vocabulary, 0..10, 9, 1, 0).unwrap().batch(0).unwrap();
        let Input::Tokens(tokens) = &batch.sequence.input else { panic!() };
        assert_eq!(tokens.column(0).to_vec(), [0, 1, 2, 0, 1, 2, 0, 1, 2]);
        assert_eq!(batch.weights.unwrap().column(0).to_vec(), [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn a_split_too_short_and_another_unit_are_refused() {
        let text = text("0123456789", TextUnit::Bytes);
        let (bytes, letters) = (Vocabulary::bytes(), Vocabulary::characters(&"ab".chars().collect(), 1).unwrap());
        let refusal = |vocabulary, part, window, rows| {
            RandomWindows::new(&text, vocabulary, part, window, rows, 0).err().map(|error| error.to_string())
        };
        assert_eq!(refusal(&bytes, 2..9, 6, 1), None);
        let short = refusal(&bytes, 2..9, 7, 1).unwrap();
        assert_eq!(short, "the part of a.txt: expected more characters than a window of 7, got 7");
        assert!(refusal(&bytes, 2..11, 3, 1).unwrap().contains("a range within 0..10, got 2..11"));
        assert!(refusal(&bytes, 2..9, 0, 1).unwrap().starts_with("window"));
        assert!(refusal(&bytes, 2..9, 3, 0).unwrap().starts_with("batch"));
        assert!(refusal(&bytes, 2..9, 3, usize::MAX).unwrap().starts_with("batch"));
        assert!(refusal(&letters, 2..9, 3, 1).unwrap().contains("expected one of Bytes, as the text, got Characters"));
    }
}
