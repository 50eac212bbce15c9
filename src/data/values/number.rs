//! Parses the numbers of one dimension of a sequence.

use std::path::Path;

use crate::data::MissingPolicy;
use crate::data::input::encoding::quoted;
use crate::error::{Error, Result};

/// The position of numbers, and how missing ones are handled.
pub(in crate::data) struct CellReader<'a> {
    pub(in crate::data) path: &'a Path,
    /// Counted from 1.
    pub(in crate::data) line: usize,
    /// Counted from 1.
    pub(in crate::data) dimension: usize,
    pub(in crate::data) missing: MissingPolicy,
}

impl CellReader<'_> {
    /// The numbers of `cells`, one per step.
    pub(in crate::data) fn read<'t>(&self, cells: impl Iterator<Item = &'t str>) -> Result<Vec<f64>> {
        let mut numbers: Vec<f64> = Vec::new();
        for cell in cells.map(str::trim) {
            let refuse = |expected: &str| {
                let place = format!(", line {}, dimension {}, step {}", self.line, self.dimension, numbers.len() + 1);
                Err(Error::data(self.path, place, format!("expected {expected}, got {}", quoted(cell))))
            };
            let number = match number(cell) {
                Err(_) if is_missing(cell) => self.missing.stand_in(numbers.last().copied()),
                number => number,
            };
            match number {
                Ok(number) => numbers.push(number),
                Err(expected) => return refuse(expected),
            }
        }
        Ok(numbers)
    }
}

/// Words for a missing number, in any case of letters: those of pandas, and those written by archives of sequences, SAS
/// and statistical offices. A hyphen is not one, since it may also mean zero.
const MISSING: [&str; 16] = [
    "", "?", ".", "nan", "-nan", "na", "n/a", "<na>", "null", "none", "#n/a", "#na", "#n/a n/a", "-1.#ind", "1.#ind",
    "1.#qnan",
];

/// Whether a cell, trimmed, is a missing number.
pub(in crate::data) fn is_missing(cell: &str) -> bool {
    cell.len() <= 8 && MISSING.iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// A finite number; otherwise what was expected.
pub(in crate::data) fn number(cell: &str) -> Result<f64, &'static str> {
    let number = cell.parse().ok().filter(|number: &f64| number.is_finite()).ok_or("a finite number")?;
    let digits = cell.strip_prefix(['-', '+']).unwrap_or(cell);
    // With all of its digits, or with enough to identify it followed by zeros, as programs write it.
    let exact =
        || [format!("{:.0}", number.abs()), number.abs().to_string()].contains(&digits.trim_start_matches('0').into());
    let is_long = digits.len() > 15 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_long && number != 0.0 && !exact() { Err(INEXACT) } else { Ok(number) }
}

/// The error for a whole number whose last digits would be lost silently.
const INEXACT: &str =
    "a whole number that f64 holds, as it holds all up to 2^53 = 9007199254740992 (with an exponent it may be rounded)";

/// Whether f64 holds a whole number exactly.
pub(in crate::data) fn is_exact(whole: i128) -> bool {
    (whole as f64) as i128 == whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_numbers_are_refused_or_filled() {
        let read = |text: &str, missing| {
            let cells = CellReader { path: Path::new("a"), line: 3, dimension: 2, missing };
            cells.read(text.split(',')).map_err(|error| error.to_string())
        };
        assert_eq!(read(" 1,-2.5e1 ", MissingPolicy::Refuse), Ok(vec![1.0, -25.0]));
        assert_eq!(read("1,?,NaN,4", MissingPolicy::Forward), Ok(vec![1.0, 1.0, 1.0, 4.0]));
        let masked = read("?,1,nan", MissingPolicy::Mask).unwrap();
        assert_eq!(masked.iter().map(|number| number.is_nan()).collect::<Vec<_>>(), [true, false, true]);
        let place = "a, line 3, dimension 2, step";
        assert_eq!(
            read("1,?,3", MissingPolicy::Refuse),
            Err(format!("{place} 2: expected a finite number, got \"?\""))
        );
        assert_eq!(
            read("?,1", MissingPolicy::Forward),
            Err(format!("{place} 1: expected a first number to fill forward from, got \"?\""))
        );
        for word in ["", "NA", "n/a", "null", "None", "#N/A", "-nan", "<NA>"] {
            assert_eq!(read(&format!("1,{word},3"), MissingPolicy::Forward), Ok(vec![1.0, 1.0, 3.0]), "{word:?}");
        }
        for cell in ["inf", "-Infinity", "1e309", "x", "-", "1 2", "0x1"] {
            for missing in [MissingPolicy::Refuse, MissingPolicy::Forward, MissingPolicy::Mask] {
                let error = read(&format!("1,{cell}"), missing).unwrap_err();
                assert_eq!(error, format!("{place} 2: expected a finite number, got {cell:?}"));
            }
        }
    }

    #[test]
    fn integers_with_trailing_zeros_are_read_as_programs_write_them() {
        for exact in [f64::from(f32::MAX), -1.2345678901234567e25, 1e23, 7.0e22 / 3.0] {
            let written = exact.to_string();
            assert_ne!(written, format!("{exact:.0}"), "all digits are another case");
            assert_eq!(number(&written), Ok(exact));
            let other = written.replacen(['1', '2'], "3", 1).replace("00", "01");
            assert_eq!(number(&other), Err(INEXACT), "{other}");
        }
    }

    #[test]
    fn integers_are_read_exactly_or_refused() {
        let largest = format!("{:.0}", f32::MAX);
        for exact in
            ["9007199254740992", "-9007199254740992", "9007199254740994", "0000000000000000000001", "1e300", &largest]
        {
            assert_eq!(number(exact), Ok(exact.parse().unwrap()), "{exact}");
        }
        for lost in ["9007199254740993", "+9007199254740993", "-1700000000000000001", &"9".repeat(40)] {
            assert_eq!(number(lost), Err(INEXACT), "{lost}");
        }
        // Who writes a fraction or an exponent means a size.
        assert_eq!(number("9007199254740993.0"), Ok(9_007_199_254_740_992.0));
        assert_eq!(number("9.007199254740993e15"), Ok(9_007_199_254_740_992.0));
    }
}
