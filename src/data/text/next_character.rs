//! Rows of text in which each character predicts the next.

use std::ops::Range;

use ndarray::Array2;

use crate::allocate;
use crate::batch::{Batch, Sequence, Targets};
use crate::data::{Text, Vocabulary};
use crate::error::{Error, Result};

const TARGETS: &str = "the targets of a batch";

/// A batch under construction: tokens, the classes after them and their weights, \[T, B\] each; 0 by default.
pub(super) struct NextCharacter<'a> {
    text: &'a Text,
    vocabulary: &'a Vocabulary,
    tokens: Array2<u32>,
    classes: Array2<u32>,
    weights: Array2<f32>,
}

impl<'a> NextCharacter<'a> {
    pub(super) fn new(text: &'a Text, vocabulary: &'a Vocabulary, steps: usize, rows: usize) -> Result<Self> {
        let shape = (steps, rows);
        let tokens = allocate::array(shape, "the tokens of a batch")?;
        let (classes, weights) = (allocate::array(shape, TARGETS)?, allocate::array(shape, TARGETS)?);
        Ok(Self { text, vocabulary, tokens, classes, weights })
    }

    /// Writes a row from its first step: each step reads one of `characters`, at most T, and predicts the next.
    /// Characters at positions for which `counts` is false, and unknown ones, have weight 0.
    pub(super) fn row(&mut self, row: usize, characters: Range<u64>, counts: impl Fn(u64) -> bool) -> Result<()> {
        if characters.is_empty() {
            return Ok(());
        }
        let (mut t, steps) = (0, self.tokens.nrows());
        self.text.for_each(characters.start..characters.end + 1, |character| {
            let id = self.vocabulary.id(character);
            if t > 0 {
                self.classes[[t - 1, row]] = id;
                let known = Some(id) != self.vocabulary.unknown();
                self.weights[[t - 1, row]] = f32::from(known && counts(characters.start + t as u64));
            }
            if t < steps {
                self.tokens[[t, row]] = id;
            }
            t += 1;
        })
    }

    pub(super) fn batch(self) -> Batch {
        Batch::new(Sequence::tokens(self.tokens), Targets::Classes(self.classes)).weights(self.weights)
    }
}

/// Refuses sizes of 0, a split that is not within the text, and a vocabulary of another unit.
pub(super) fn check(text: &Text, vocabulary: &Vocabulary, part: &Range<u64>, window: usize, rows: usize) -> Result<()> {
    if let Some((name, _)) = [("window", window), ("batch", rows)].iter().find(|(_, size)| *size == 0) {
        return Err(Error::value(*name, "at least 1", 0));
    }
    if part.start > part.end || part.end > text.len() {
        let what = format!("the part of {}", text.path().display());
        return Err(Error::value(what, format!("a range within 0..{}", text.len()), format!("{part:?}")));
    }
    if vocabulary.unit() != text.unit() {
        let (vocabulary, text) = (vocabulary.unit(), text.unit());
        return Err(Error::value("the vocabulary", format!("one of {text:?}, as the text"), format!("{vocabulary:?}")));
    }
    Ok(())
}
