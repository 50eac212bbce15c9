//! Training data as recorded in a model file.

use std::ops::Range;

use super::super::fingerprints::{beginnings, hash_of_row, known, packed, places};
use super::splitting::Splitting;
use crate::Result;
use crate::data::{Series, SeriesSplit};
use crate::experiment::model::origin::{Parts, TrainedOn};

/// Maximum number of recorded training rows of a series.
const ROWS: usize = 4096;

/// Maximum number of recorded beginnings of a training text.
const BEGINNINGS: usize = 64;

/// Maximum number of recorded training sequences and pieces.
const SEQUENCES: usize = 100_000;

/// The training rows of a series and its split.
pub(crate) fn of_series(sha256: String, data: &Splitting<'_>, series: &Series, split: &SeriesSplit) -> TrainedOn {
    let end = split.train.end;
    let samples = places(end as u64, ROWS)
        .into_iter()
        .map(|place| known(&hash_of_row(series, place as usize - 1)).to_owned())
        .collect();
    let ends = [end, split.validation.end, series.len()].map(|end| end as u64);
    as_split(sha256, data, Parts::InOrder { ends, samples })
}

/// The training characters of a text and its split.
///
/// # Errors
/// Those of reading the text.
pub(crate) fn of_text(
    sha256: String,
    data: &Splitting<'_>,
    text: &crate::data::Text,
    parts: &crate::data::TextSplit,
) -> Result<TrainedOn> {
    let samples = beginnings(text, &places(parts.train.end, BEGINNINGS))?;
    let ends = [parts.train.end, parts.validation.end, text.len()];
    Ok(as_split(sha256, data, Parts::InOrder { ends, samples }))
}

/// Training sequences and their split: `shares` are those of the first file, whatever the test file has.
pub(crate) fn of_sequences(
    sha256: String,
    data: &Splitting<'_>,
    shares: [f64; 3],
    parts: &[Vec<usize>; 3],
    hash: impl Fn(usize) -> String,
) -> TrainedOn {
    let places = places(parts[0].len() as u64, SEQUENCES).into_iter();
    let samples = places.map(|place| known(&hash(parts[0][place as usize - 1])).to_owned()).collect();
    let it = as_split(sha256, data, Parts::Drawn { parts: packed(parts), samples });
    TrainedOn { split: Some(shares.to_vec()), validation: None, ..it }
}

/// Pieces in file order; the frames of a single piece have no hash.
pub(crate) fn of_pieces(
    sha256: String,
    data: &Splitting<'_>,
    parts: &[Range<usize>; 3],
    hash: Option<impl Fn(usize) -> String>,
) -> TrainedOn {
    let ends = parts.each_ref().map(|part| part.end as u64);
    let samples = hash.map_or(Vec::new(), |hash| {
        let places = places(ends[0], SEQUENCES).into_iter();
        places.map(|place| known(&hash(place as usize - 1)).to_owned()).collect()
    });
    as_split(sha256, data, Parts::InOrder { ends, samples })
}

fn as_split(sha256: String, data: &Splitting<'_>, parts: Parts) -> TrainedOn {
    TrainedOn {
        sha256,
        split: data.shares.clone(),
        split_seed: data.seed.as_ref().and_then(|seed| **seed),
        train_until: data.train_until().cloned(),
        validation: data.validation(),
        test_until: data.test_until().cloned(),
        parts,
    }
}
