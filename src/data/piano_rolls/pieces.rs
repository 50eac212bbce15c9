//! Pieces of music and the like: at each step some of many keys are active.

use std::ops::{Range, RangeInclusive};

use serde::{Deserialize, Serialize};

use crate::data::SeriesSplit;
use crate::error::{Error, Result};

/// What the K columns of a frame stand for. It travels with the weights, which mean nothing without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PianoKeys {
    /// Consecutive numbers, such as MIDI's pitches.
    Numbers(RangeInclusive<u32>),
    /// Anything, by name.
    Names(Vec<String>),
}

impl PianoKeys {
    /// K.
    pub fn len(&self) -> usize {
        match self {
            PianoKeys::Numbers(numbers) if numbers.is_empty() => 0,
            PianoKeys::Numbers(numbers) => (numbers.end() - numbers.start()) as usize + 1,
            PianoKeys::Names(names) => names.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of all, in the order of the columns.
    pub fn names(&self) -> Vec<String> {
        match self {
            PianoKeys::Numbers(numbers) => numbers.clone().map(|number| number.to_string()).collect(),
            PianoKeys::Names(names) => names.clone(),
        }
    }
}

/// A piece: for each step the active keys, as columns below K, ascending.
pub type Piece = Vec<Vec<u32>>;

/// What comes to more than a limit of memory.
pub(in crate::data) const IN_MEMORY: &str = "in memory for its steps";

/// Pieces, each of at least two steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PianoRolls {
    keys: PianoKeys,
    pieces: Vec<Piece>,
    parts: Option<[Range<usize>; 3]>,
    /// Whether the pieces are those that one was cut into.
    cut: bool,
    notes: Vec<String>,
}

impl PianoRolls {
    /// Pieces of `keys`; `parts`: which are for training, validation and test, one after the other, if that is settled.
    /// The order of a step's keys does not matter, nor whether one is named twice.
    ///
    /// # Errors
    /// [`Error::Value`] where there are no keys or pieces, where the parts are not these pieces one after the other, and
    /// for a piece of fewer than two steps or a column that is not below K, by their numbers, counted from 1.
    pub fn new(keys: PianoKeys, mut pieces: Vec<Piece>, parts: Option<[Range<usize>; 3]>) -> Result<Self> {
        for (name, count) in [("keys", keys.len()), ("pieces", pieces.len())] {
            if count == 0 {
                return Err(Error::value(name, "at least 1", 0));
            }
        }
        if let Some([train, validation, test]) = &parts {
            let borders =
                [0, train.start, train.end, validation.start, validation.end, test.start, test.end, pieces.len()];
            if !borders.is_sorted() || borders.chunks(2).any(|pair| pair[0] != pair[1]) {
                let expected = format!("three ranges that follow each other from 0 to {}", pieces.len());
                return Err(Error::value("the parts of the pieces", expected, format!("{parts:?}")));
            }
        }
        for (number, piece) in pieces.iter_mut().enumerate() {
            if piece.len() < 2 {
                let expected = "at least 2 steps, one to read and one to predict";
                return Err(Error::value(name(parts.as_ref(), number), expected, piece.len()));
            }
            for (step, active) in piece.iter_mut().enumerate() {
                if let Some(column) = active.iter().find(|column| **column as usize >= keys.len()) {
                    let what = format!("{}, step {}", name(parts.as_ref(), number), step + 1);
                    return Err(Error::value(what, format!("columns below {}", keys.len()), column));
                }
                active.sort_unstable();
                active.dedup();
            }
        }
        Ok(Self { keys, pieces, parts, cut: false, notes: Vec::new() })
    }

    /// The same with parts for training, validation and test by shares of all, which add up to 1: whole pieces in their
    /// order, or where there is a single one the frames of it that are told, cut in time. What was cut off is a piece of
    /// its own, which begins with the frame before the first that it tells.
    ///
    /// # Errors
    /// [`Error::Value`] where the shares do not add up to 1.
    pub fn split(mut self, shares: [f64; 3]) -> Result<Self> {
        SeriesSplit::check_shares(shares)?;
        let parts = |count: usize| {
            let end = |share: f64| ((share * count as f64).round() as usize).min(count);
            let (train, validation) = (end(shares[0]), end(shares[0] + shares[1]));
            [0..train, train..validation, validation..count]
        };
        self.parts = Some(match &self.pieces[..] {
            [piece] => {
                let told = parts(piece.len() - 1);
                let mut pieces = Vec::new();
                let parts = told.map(|told| {
                    let first = pieces.len();
                    if !told.is_empty() {
                        pieces.push(piece[told.start..=told.end].to_vec());
                    }
                    first..pieces.len()
                });
                (self.pieces, self.cut) = (pieces, true);
                parts
            }
            pieces => parts(pieces.len()),
        });
        Ok(self)
    }

    /// What the columns stand for.
    pub fn keys(&self) -> &PianoKeys {
        &self.keys
    }

    /// All pieces.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Whether the parts are those that [`split`](Self::split) cut a single piece into.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Where a piece, by its number below the number of [`pieces`](Self::pieces), begins as it was given: its number there,
    /// and the frame of that, both counted from 0.
    pub fn origin(&self, piece: usize) -> (usize, usize) {
        if self.cut { (0, self.pieces[..piece].iter().map(|before| before.len() - 1).sum()) } else { (piece, 0) }
    }

    #[cfg(feature = "csv")]
    pub(in crate::data) fn with_notes(self, notes: Vec<String>) -> Self {
        Self { notes, ..self }
    }

    /// How the file was read where it could have been read differently, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Which pieces are for training, validation and test, where that is settled.
    pub fn parts(&self) -> Option<&[Range<usize>; 3]> {
        self.parts.as_ref()
    }
}

/// A piece as errors name it: by its number, counted from 1, in its part.
pub(in crate::data) fn name(parts: Option<&[Range<usize>; 3]>, number: usize) -> String {
    let parts = ["train", "valid", "test"].into_iter().zip(parts.into_iter().flatten());
    match parts.into_iter().find(|(_, pieces)| pieces.contains(&number)) {
        Some((part, pieces)) => format!("{part}, piece {}", number - pieces.start + 1),
        None => format!("piece {}", number + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inconsistent_pieces_are_refused_by_split_piece_and_step() {
        let refusal = |keys, pieces, parts| PianoRolls::new(keys, pieces, parts).unwrap_err().to_string();
        let (keys, piece) = (PianoKeys::Numbers(5..=6), vec![vec![0], vec![1]]);
        let short = refusal(keys.clone(), vec![piece.clone(), vec![vec![0]]], Some([0..1, 1..2, 2..2]));
        assert_eq!(short, "valid, piece 1: expected at least 2 steps, one to read and one to predict, got 1");
        let beyond = refusal(keys.clone(), vec![piece.clone(), vec![vec![], vec![2]]], None);
        assert_eq!(beyond, "piece 2, step 2: expected columns below 2, got 2");
        assert!(refusal(keys.clone(), vec![piece.clone()], Some([0..1, 1..2, 2..2])).starts_with("the parts"));
        assert!(refusal(keys.clone(), vec![piece.clone()], Some([0..0, 0..0, 0..0])).starts_with("the parts"));
        assert!(refusal(keys, Vec::new(), None).starts_with("pieces"));
        assert!(refusal(PianoKeys::Names(Vec::new()), vec![piece], None).starts_with("keys"));
    }

    #[test]
    fn pieces_are_split_whole_and_a_single_piece_in_time() {
        let rolls = |pieces| PianoRolls::new(PianoKeys::Numbers(0..=99), pieces, None).unwrap();
        let piece: Piece = (0..21).map(|frame| vec![frame]).collect();
        let several = rolls(vec![piece.clone(); 10]).split([0.7, 0.2, 0.1]).unwrap();
        assert_eq!((several.parts(), several.is_cut()), (Some(&[0..7, 7..9, 9..10]), false));
        assert_eq!((several.pieces().len(), several.origin(7)), (10, (7, 0)));
        let one = rolls(vec![piece.clone()]).split([0.7, 0.15, 0.15]).unwrap();
        assert_eq!((one.parts(), one.is_cut()), (Some(&[0..1, 1..2, 2..3]), true));
        assert_eq!([0, 1, 2].map(|part| one.origin(part)), [(0, 0), (0, 14), (0, 17)]);
        // Every frame but the first is told, and once.
        let told: Vec<&Vec<u32>> = one.pieces().iter().flat_map(|piece| &piece[1..]).collect();
        assert_eq!(told, piece[1..].iter().collect::<Vec<_>>());
        let whole = rolls(vec![piece.clone()]).split([0.0, 0.0, 1.0]).unwrap();
        assert_eq!((whole.parts(), whole.pieces()), (Some(&[0..0, 0..0, 0..1]), &[piece][..]));
        let short = rolls(vec![vec![vec![1], vec![2]]]).split([0.7, 0.15, 0.15]).unwrap();
        assert_eq!(short.parts(), Some(&[0..1, 1..1, 1..1]));
        assert!(rolls(vec![vec![vec![1], vec![2]]]).split([0.7, 0.2, 0.2]).is_err());
    }

    #[test]
    fn keys_survive_json() {
        for keys in [PianoKeys::Numbers(21..=108), PianoKeys::Names(vec!["a".into(), "b".into()])] {
            assert_eq!(serde_json::from_str::<PianoKeys>(&serde_json::to_string(&keys).unwrap()).unwrap(), keys);
        }
        assert_eq!(PianoKeys::Numbers(0..=u32::MAX).len(), 1 << 32);
        assert_eq!(PianoKeys::Numbers(21..=23).names(), ["21", "22", "23"]);
    }
}
