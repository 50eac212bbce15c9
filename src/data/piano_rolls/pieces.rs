//! Pieces of music and the like: some of many keys are active at each step.

use std::ops::{Range, RangeInclusive};

use serde::{Deserialize, Serialize};

use crate::data::SeriesSplit;
use crate::error::{Error, Result};

/// The keys of the K columns. They are stored with the weights, which are useless without them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PianoKeys {
    /// Consecutive numbers, such as MIDI's pitches.
    Numbers(RangeInclusive<u32>),
    /// Any names.
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

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of all keys, in the order of the columns.
    pub fn names(&self) -> Vec<String> {
        match self {
            PianoKeys::Numbers(numbers) => numbers.clone().map(|number| number.to_string()).collect(),
            PianoKeys::Names(names) => names.clone(),
        }
    }
}

/// A piece: for each step the active keys, as columns below K, ascending.
pub type Piece = Vec<Vec<u32>>;

/// The description of the counted memory.
pub(in crate::data) const IN_MEMORY: &str = "in memory for its steps";

/// Pieces, each of at least two steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PianoRolls {
    keys: PianoKeys,
    pieces: Vec<Piece>,
    parts: Option<[Range<usize>; 3]>,
    /// Whether the pieces were cut from a single one.
    cut: bool,
    notes: Vec<String>,
}

impl PianoRolls {
    /// Pieces of `keys`. `parts`: the consecutive ranges for training, validation and test, if they are known. The
    /// order of a step's keys does not matter, nor do duplicates.
    ///
    /// # Errors
    /// [`Error::Value`] if there are no keys or pieces, if the ranges do not cover the pieces one after the other, and
    /// for a piece with fewer than two steps or a column that is not below K, by their numbers, counted from 1.
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

    /// The same, split into training, validation and test by shares that add up to 1: whole pieces in their order, or
    /// for a single piece its predicted frames, cut in time. Each cut becomes a piece that starts with the frame before
    /// its first predicted one.
    ///
    /// # Errors
    /// [`Error::Value`] if the shares do not add up to 1.
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

    /// The keys of the columns.
    pub fn keys(&self) -> &PianoKeys {
        &self.keys
    }

    /// All pieces.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Whether [`split`](Self::split) cut a single piece into the splits.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// The original position of a piece, by its number below the number of [`pieces`](Self::pieces): the number of its
    /// original piece and the first frame in it, both counted from 0.
    pub fn origin(&self, piece: usize) -> (usize, usize) {
        if self.cut { (0, self.pieces[..piece].iter().map(|before| before.len() - 1).sum()) } else { (piece, 0) }
    }

    #[cfg(feature = "csv")]
    pub(in crate::data) fn with_notes(self, notes: Vec<String>) -> Self {
        Self { notes, ..self }
    }

    /// Notes on how the file was read, one sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The pieces for training, validation and test, if they are split.
    pub fn parts(&self) -> Option<&[Range<usize>; 3]> {
        self.parts.as_ref()
    }
}

/// The name of a piece in errors: its number in its split, counted from 1.
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
        // Every frame except for the first is predicted exactly once.
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
