//! Fingerprints of rows, sequences, pieces, lines and texts, and a compact form of their splits.

use super::super::files::digest::Digest;
use crate::Result;
use crate::data::Series;

/// Hexadecimal digits per fingerprint: enough that with as many training sequences as new ones, one model in a hundred
/// has a chance match.
const DIGITS: usize = 10;

/// Up to `count` evenly spaced places from 1 to `end`; the last is `end`.
pub(crate) fn places(end: u64, count: usize) -> Vec<u64> {
    let count = (count as u64).min(end);
    (1..=count).map(|number| (u128::from(end) * u128::from(number)).div_ceil(u128::from(count.max(1))) as u64).collect()
}

/// A sequence of numbers, for any order of its dimensions.
pub(crate) fn hash_of_sequence(input: &crate::data::SequenceInputs, sequence: usize) -> String {
    let of_dimension = |dimension| {
        let mut digest = Digest::new();
        input.values(&[sequence], dimension).for_each(|value| digest.update(&bits(value).to_le_bytes()));
        digest.text()
    };
    let mut dimensions: Vec<String> = (0..input.dimensions().unwrap_or_default()).map(of_dimension).collect();
    dimensions.sort_unstable();
    let mut digest = Digest::new();
    dimensions.iter().for_each(|dimension| digest.update(dimension.as_bytes()));
    short(digest)
}

/// A piece: the keys of each frame.
pub(crate) fn hash_of_piece(piece: &[Vec<u32>]) -> String {
    let mut digest = Digest::new();
    for frame in piece {
        let numbers = [frame.len() as u32].into_iter().chain(frame.iter().copied());
        numbers.for_each(|number| digest.update(&number.to_le_bytes()));
    }
    short(digest)
}

/// The digits of a hash that are compared; older files have more.
pub(crate) fn known(hash: &str) -> &str {
    hash.get(..DIGITS).unwrap_or(hash)
}

/// A line of text.
pub(crate) fn hash_of_line(line: &str) -> String {
    let mut digest = Digest::new();
    digest.update(line.as_bytes());
    short(digest)
}

/// A number's bits; all NaN are equal, and so are both zeros.
fn bits(value: f64) -> u64 {
    if value.is_nan() { u64::MAX } else { (value + 0.0).to_bits() }
}

/// A row: its label and the values of its targets.
pub(crate) fn hash_of_row(series: &Series, row: usize) -> String {
    let mut digest = Digest::new();
    digest.update(series.labels()[row].as_bytes());
    for column in series.truths() {
        digest.update(&bits(column.values[row]).to_le_bytes());
    }
    short(digest)
}

/// Digests of the first characters of a text, up to each of `places`, ascending.
pub(crate) fn beginnings(text: &crate::data::Text, places: &[u64]) -> Result<Vec<String>> {
    let mut digest = Digest::new();
    let mut begin = 0;
    let mut digests = Vec::with_capacity(places.len());
    let mut bytes = Vec::new();
    for end in places {
        text.for_each(begin..*end, |character| {
            bytes.extend((character as u32).to_le_bytes());
            if bytes.len() >= 1 << 16 {
                digest.update(&bytes);
                bytes.clear();
            }
        })?;
        digest.update(&bytes);
        bytes.clear();
        digests.push(short(digest.clone()));
        begin = *end;
    }
    Ok(digests)
}

fn short(digest: Digest) -> String {
    let mut text = digest.text();
    text.truncate(16);
    text
}

/// Two sequences per hexadecimal digit, the first in its lower half: the index of the split.
pub(crate) fn packed(parts: &[Vec<usize>; 3]) -> String {
    let count = parts.iter().flatten().max().map_or(0, |last| last + 1);
    let mut of = vec![0u32; count];
    (0u32..).zip(parts).for_each(|(part, sequences)| sequences.iter().for_each(|sequence| of[*sequence] = part));
    of.chunks(2).filter_map(|two| char::from_digit(two[0] + 4 * two.get(1).unwrap_or(&0), 16)).collect()
}

/// The splits of `count` sequences; `None` if the number differs.
pub(crate) fn unpacked(digits: &str, count: usize) -> Option<[Vec<usize>; 3]> {
    let mut parts = [const { Vec::new() }; 3];
    let digits: Vec<u32> = digits.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    if digits.len() != count.div_ceil(2) {
        return None;
    }
    for sequence in 0..count {
        let part = digits[sequence / 2] >> (2 * (sequence % 2)) & 3;
        parts.get_mut(part as usize)?.push(sequence);
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_survive_packing() {
        for parts in [[vec![0, 3, 4], vec![1], vec![2, 5]], [vec![0], vec![], vec![]], [vec![0, 1], vec![2], vec![]]] {
            let count = parts.iter().flatten().count();
            assert_eq!(unpacked(&packed(&parts), count), Some(parts));
        }
        assert_eq!(unpacked("00", 5), None);
        assert_eq!(unpacked("3", 1), None);
    }

    #[test]
    fn a_sequence_is_recognised_for_any_order_of_its_dimensions() {
        use crate::data::SequenceInputs;
        use ndarray::{Array2, array};
        let hash = |numbers: Array2<f64>| hash_of_sequence(&SequenceInputs::wide(vec![numbers]), 0);
        let known = hash(array![[1.0, 0.0], [2.0, f64::NAN]]);
        assert_eq!(hash(array![[0.0, 1.0], [f64::NAN, 2.0]]), known);
        // Of one value, however its bits are.
        assert_eq!(hash(array![[1.0, -0.0], [2.0, -f64::NAN]]), known);
        assert_eq!(hash_of_sequence(&SequenceInputs::dense(vec![array![[1.0, 0.0], [2.0, f32::NAN]]]), 0), known);
        for other in [array![[2.0, f64::NAN], [1.0, 0.0]], array![[1.0, 2.0], [0.0, f64::NAN]], array![[1.0], [2.0]]] {
            assert_ne!(hash(other), known);
        }
    }

    #[test]
    fn a_row_is_recognised_by_measured_values_and_not_by_filled_ones() {
        use crate::data::{Column, ColumnRoles, MissingPolicy, SeriesTable};
        let series = |first: f64| {
            let column = Column { name: "v".into(), values: vec![first, f64::NAN, 3.0] };
            let labels = (1..4).map(|row| row.to_string()).collect();
            let table = SeriesTable { label_name: "t".into(), labels, columns: vec![column], ..SeriesTable::default() };
            Series::new(table, &ColumnRoles::one("v"), MissingPolicy::Forward).unwrap()
        };
        let [one, other] = [1.0, 2.0].map(series);
        let alike: Vec<bool> = (0..3).map(|row| hash_of_row(&one, row) == hash_of_row(&other, row)).collect();
        assert_eq!(alike, [false, true, true]);
    }

    #[test]
    fn places_are_evenly_spaced_and_include_the_last() {
        assert_eq!(places(4, 64), [1, 2, 3, 4]);
        assert_eq!(places(10, 4), [3, 5, 8, 10]);
        assert_eq!(places(0, 4), [0; 0]);
        assert_eq!(places(u64::MAX, 2).last(), Some(&u64::MAX));
    }
}
