//! Reads a text from beginning to end, in parallel streams.

use std::ops::{Deref, Range};

use super::next_character::{NextCharacter, check};
use crate::batch::Batch;
use crate::data::{Batches, Text, Vocabulary};
use crate::error::{Error, Result};

/// Batches that continue where the previous ones ended, for truncated BPTT and for evaluation with carried state.
///
/// A split of a text is cut into B streams of similar length; batch n of an epoch has the n-th window of T characters
/// of each: tokens \[T, B\], with the next characters as classes. In an epoch every character of the split except for
/// the first is predicted exactly once. All batches have the same shape: where a stream has ended, and for unknown
/// characters, the weight is 0.
///
/// With a warm-up of W, each stream except for the first starts W characters earlier with weights of 0, so that its
/// predictions have context; all streams are as long as the first. The text and the vocabulary are references to them,
/// or `Arc`s.
pub struct ContiguousStreams<T, V> {
    text: T,
    vocabulary: V,
    part: Range<u64>,
    window: usize,
    rows: usize,
    warm_up: u64,
}

impl<T: Deref<Target = Text>, V: Deref<Target = Vocabulary>> ContiguousStreams<T, V> {
    /// `rows` streams (B) in windows of `window` characters (T; at most the length of a stream), each after a warm-up
    /// of `warm_up` characters (W).
    ///
    /// # Errors
    /// [`Error::Value`] for sizes of 0, a split that is not within the text or is too short for every stream to predict
    /// a character, and a vocabulary of bytes for a text of characters or the reverse.
    pub fn new(text: T, vocabulary: V, part: Range<u64>, window: usize, rows: usize, warm_up: usize) -> Result<Self> {
        check(&text, &vocabulary, &part, window, rows)?;
        let (length, warm_up) = (part.end - part.start, warm_up as u64);
        if length <= warm_up.saturating_add(rows as u64) {
            let what = format!("the part of {}", text.path().display());
            let expected = format!("more characters than {rows} streams and a warm-up of {warm_up}");
            return Err(Error::value(what, expected, length));
        }
        let mut streams = Self { text, vocabulary, part, window, rows, warm_up };
        streams.window = streams.longest().min(window as u64) as usize;
        Ok(streams)
    }

    /// The range of a stream: the characters before those that it predicts, including its warm-up.
    ///
    /// The first stream predicts its warm-up too. The rest is divided equally, and each stream reads W characters
    /// beyond its share, to the point where the next one ends its warm-up.
    fn stream(&self, stream: usize) -> Range<u64> {
        let shared = self.part.end - self.part.start - 1 - self.warm_up;
        let (share, longer) = (shared / self.rows as u64, shared % self.rows as u64);
        let begin = |stream: u64| self.part.start + stream * share + stream.min(longer);
        begin(stream as u64)..begin(stream as u64 + 1) + self.warm_up
    }

    /// The number of characters of the first stream: others have as many, or one less.
    fn longest(&self) -> u64 {
        let first = self.stream(0);
        first.end - first.start
    }
}

impl<T, V> Batches for ContiguousStreams<T, V>
where
    T: Deref<Target = Text> + Send + Sync,
    V: Deref<Target = Vocabulary> + Send + Sync,
{
    fn per_epoch(&self) -> u64 {
        self.longest().div_ceil(self.window as u64)
    }

    fn batch(&self, number: u64) -> Result<Batch> {
        let offset = number % self.per_epoch() * self.window as u64;
        let mut batch = NextCharacter::new(&self.text, &self.vocabulary, self.window, self.rows)?;
        for row in 0..self.rows {
            let stream = self.stream(row);
            let begin = stream.end.min(stream.start + offset);
            let end = stream.end.min(begin + self.window as u64);
            let warm_up = if row == 0 { 0 } else { self.warm_up };
            batch.row(row, begin..end, |told| told > stream.start + warm_up)?;
        }
        Ok(batch.batch())
    }

    fn largest(&self) -> Result<Batch> {
        // All have the same shape.
        self.batch(0)
    }

    fn continues(&self, number: u64) -> bool {
        !number.is_multiple_of(self.per_epoch())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::batch::{Input, Targets};
    use crate::data::TextUnit;
    use crate::model::uniform;

    /// A text whose characters encode their positions, and a vocabulary in which the id of each is its position.
    fn places(count: u32) -> (Text, Vocabulary) {
        let characters: String = (0..count).filter_map(|place| char::from_u32(0x4E00 + place)).collect();
        let vocabulary = Vocabulary::characters(&characters.chars().collect(), 1).unwrap();
        (Text::from_bytes(characters.into(), Path::new("a.txt"), TextUnit::Characters).unwrap(), vocabulary)
    }

    #[test]
    fn every_character_but_the_first_is_predicted_once_after_the_warm_up() {
        let (text, vocabulary) = places(3000);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut below = |n: usize| (uniform(&mut rng) * n as f64) as usize;
        for _ in 0..400 {
            let (rows, warm_up, window) = (1 + below(9), below(2) * below(40), 1 + below(30));
            let start = below(1000);
            let most = [3, 300, 300][below(3)];
            let length = 1 + rows + warm_up + below(most);
            let part = start as u64..(start + length) as u64;
            let streams = ContiguousStreams::new(&text, &vocabulary, part, window, rows, warm_up).unwrap();
            // By position: how often it was predicted. By row: the last position, and how many were read.
            let mut told = vec![0; 3000];
            let mut before = vec![(None, 0); rows];
            let epoch = 2 * streams.per_epoch();
            for number in epoch..epoch + streams.per_epoch() {
                assert_eq!(streams.continues(number), number != epoch);
                let batch = streams.batch(number).unwrap();
                let (Input::Tokens(tokens), Targets::Classes(classes)) = (&batch.sequence.input, &batch.targets) else {
                    panic!()
                };
                let longest = (length - 1 - warm_up).div_ceil(rows) + warm_up;
                let steps = window.min(longest);
                assert_eq!((tokens.dim(), batch.sequence.lengths.is_none()), ((steps, rows), true));
                for (row, (last, read)) in before.iter_mut().enumerate() {
                    for t in (0..steps).filter(|t| classes[[*t, row]] > 0) {
                        let (token, class) = (tokens[[t, row]], classes[[t, row]]);
                        assert_eq!(class, token + 1);
                        assert!(last.is_none_or(|last| token == last + 1));
                        (*last, *read) = (Some(token), *read + 1);
                        if batch.weight(t, row) > 0.0 {
                            told[class as usize] += 1;
                            assert!(*read > warm_up || row == 0);
                        }
                    }
                    let ended = (0..steps).filter(|t| classes[[*t, row]] == 0);
                    assert!(ended.into_iter().all(|t| batch.weight(t, row) == 0.0));
                }
            }
            let expected = |place| u32::from((start + 1..start + length).contains(&place));
            assert_eq!(told, (0..3000).map(expected).collect::<Vec<_>>(), "{rows} {warm_up} {window} {length}");
            let read = before.iter().map(|(_, read)| *read);
            assert!(read.clone().max().unwrap() - read.min().unwrap() <= 1);
        }
    }

    #[test]
    fn a_warm_up_longer_than_a_window_gives_the_other_streams_no_weight() {
        let (text, vocabulary) = places(100);
        let streams = ContiguousStreams::new(&text, &vocabulary, 0..100, 5, 3, 6).unwrap();
        let weights = streams.batch(0).unwrap().weights.unwrap();
        assert_eq!(weights.sum_axis(ndarray::Axis(0)).to_vec(), [5.0, 0.0, 0.0]);
    }

    #[test]
    fn a_window_longer_than_a_stream_covers_the_stream() {
        let (text, vocabulary) = places(100);
        let streams = ContiguousStreams::new(&text, &vocabulary, 0..100, usize::MAX, 3, 6).unwrap();
        assert_eq!((streams.per_epoch(), streams.batch(0).unwrap().sequence.shape()), (1, (37, 3)));
    }

    #[test]
    fn a_split_too_short_for_its_streams_is_refused() {
        let (text, vocabulary) = places(100);
        let refusal = |part, rows, warm_up| {
            ContiguousStreams::new(&text, &vocabulary, part, 5, rows, warm_up).err().map(|error| error.to_string())
        };
        assert_eq!(refusal(0..20, 9, 10), None);
        let expected = "the part of a.txt: expected more characters than 10 streams and a warm-up of 10, got 20";
        assert_eq!(refusal(0..20, 10, 10).unwrap(), expected);
        assert!(refusal(0..20, 1, usize::MAX).is_some());
        assert!(refusal(90..101, 1, 0).unwrap().contains("a range within 0..100"));
    }
}
