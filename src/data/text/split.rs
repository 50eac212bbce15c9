//! Splits a text for training, validation and test.

use std::ops::Range;

use crate::data::SeriesSplit;
use crate::error::{Error, Result};

/// Consecutive ranges of a text, in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextSplit {
    /// The training split.
    pub train: Range<u64>,
    /// The validation split, for early stopping and model selection; may be empty.
    pub validation: Range<u64>,
    /// The test split, for the final measurement; may be empty.
    pub test: Range<u64>,
}

impl TextSplit {
    /// Shares of all `characters` for training, validation and test, which add up to 1. A split with a share above 0
    /// needs at least a window of `window` characters and the next one.
    ///
    /// # Errors
    /// [`Error::Value`] if they do not add up to 1, or if a split is shorter.
    pub fn shares(characters: u64, window: usize, shares: [f64; 3]) -> Result<Self> {
        SeriesSplit::check_shares(shares)?;
        let end = |part: usize| {
            // The last split ends with the text, however the other shares are rounded.
            if shares[part + 1..].iter().all(|share| *share == 0.0) {
                characters
            } else {
                (shares[..=part].iter().sum::<f64>() * characters as f64).round() as u64
            }
        };
        let (train, validation) = (end(0), end(1));
        let parts = Self { train: 0..train, validation: train..validation, test: validation..characters };
        let named = [("training", &parts.train), ("validation", &parts.validation), ("test", &parts.test)];
        let least = (window as u64).saturating_add(1);
        for ((name, part), share) in named.into_iter().zip(shares) {
            let length = part.end - part.start;
            if share > 0.0 && length < least {
                let expected = format!("at least {least} characters, a window of {window} and the one after it");
                let got = format!("{length}, a share of {share} of {characters}");
                return Err(Error::value(format!("the {name} split of the text"), expected, got));
            }
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_fractions_cover_a_text_without_gaps() {
        let parts = |shares| TextSplit::shares(1000, 9, shares).unwrap();
        assert_eq!(parts([0.9, 0.1, 0.0]), TextSplit { train: 0..900, validation: 900..1000, test: 1000..1000 });
        assert_eq!(parts([0.5, 0.25, 0.25]), TextSplit { train: 0..500, validation: 500..750, test: 750..1000 });
        assert_eq!(parts([0.0, 0.0, 1.0]), TextSplit { train: 0..0, validation: 0..0, test: 0..1000 });
        let rounded = TextSplit::shares(10_000_000, 9, [0.333_333_3, 0.666_666_6, 0.0]).unwrap();
        assert_eq!((rounded.validation.end, rounded.test), (10_000_000, 10_000_000..10_000_000));
    }

    #[test]
    fn a_split_shorter_than_a_window_and_its_target_is_named() {
        let refusal =
            |characters, window, shares| TextSplit::shares(characters, window, shares).unwrap_err().to_string();
        let expected = "the validation split of the text: expected at least 11 characters, a window of 10 and the one \
                        after it, got 10, a share of 0.1 of 100";
        assert_eq!(refusal(100, 10, [0.9, 0.1, 0.0]), expected);
        assert!(TextSplit::shares(100, 9, [0.9, 0.1, 0.0]).is_ok());
        assert!(refusal(10, 10, [1.0, 0.0, 0.0]).starts_with("the training split"));
        assert!(refusal(100, usize::MAX, [1.0, 0.0, 0.0]).starts_with("the training split"));
        assert!(refusal(100, 1, [0.5, 0.4, 0.2]).starts_with("the split"));
        assert!(refusal(100, 1, [f64::NAN, 0.5, 0.5]).starts_with("the split"));
    }
}
