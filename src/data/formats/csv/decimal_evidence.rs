//! Detects the decimal mark of a file from its numbers.

use std::fmt::{Display, Formatter};
use std::path::Path;

use crate::data::DecimalMark;
use crate::data::input::encoding::quoted;
use crate::error::{Error, Result};

/// A cell and its line.
#[derive(Clone, Debug)]
struct CellExample {
    cell: String,
    line: usize,
}

impl Display for CellExample {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (line {})", quoted(&self.cell), self.line)
    }
}

/// Evidence for the decimal mark: the first number of each kind.
#[derive(Default)]
pub(super) struct DecimalEvidence {
    /// Numbers that can only have a decimal point.
    point: Option<CellExample>,
    /// Numbers that can only have a decimal comma.
    comma: Option<CellExample>,
    /// Ambiguous numbers whose only mark is a point: `1.234`.
    either_point: Option<CellExample>,
    /// Ambiguous numbers whose only mark is a comma: `1,234`.
    either_comma: Option<CellExample>,
    /// Numbers with grouped thousands, with a decimal point, and with a decimal comma.
    groups: [Option<CellExample>; 2],
}

impl DecimalEvidence {
    /// Adds a cell that is not missing.
    pub(super) fn take(&mut self, cell: &str, line: usize) {
        if cell.bytes().all(|byte| byte.is_ascii_digit()) {
            return;
        }
        let example = |of: &mut Option<CellExample>| {
            of.get_or_insert_with(|| CellExample { cell: cell.into(), line });
        };
        let [point, comma] = [DecimalMark::Point, DecimalMark::Comma].map(|mark| mark.plain(cell));
        for (number, groups) in [&point, &comma].into_iter().zip(&mut self.groups) {
            if number.as_ref().is_some_and(|number| number.grouped) {
                example(groups);
            }
        }
        match (point, comma) {
            (Some(_), None) => example(&mut self.point),
            (None, Some(_)) => example(&mut self.comma),
            (Some(point), Some(comma)) if point.value() != comma.value() => {
                example(if point.grouped { &mut self.either_comma } else { &mut self.either_point });
            }
            _ => {}
        }
    }

    /// The mark, with a note on it. `told` decides if it is given; otherwise the numbers, if they are unambiguous.
    ///
    /// # Errors
    /// [`Error::Data`] if both marks occur, or if every number with a mark is ambiguous.
    pub(super) fn decide(
        &self,
        told: Option<DecimalMark>,
        separator: u8,
        path: &Path,
    ) -> Result<(DecimalMark, Option<String>)> {
        let either = self.either_comma.as_ref().or(self.either_point.as_ref().filter(|_| separator != b','));
        let mark = match (told, &self.point, &self.comma, either) {
            (Some(mark), ..) => mark,
            (None, Some(point), Some(comma), _) => {
                let message = format!(
                    "expected numbers with one decimal mark, got {point} and {comma}; --decimal . or --decimal , refuses \
                     those of the other one by their place"
                );
                return Err(Error::data(path, "", message));
            }
            (None, Some(_), None, _) => DecimalMark::Point,
            (None, None, Some(_), _) => DecimalMark::Comma,
            (None, None, None, Some(either)) => {
                let value = |mark: DecimalMark| mark.plain(&either.cell).map_or(f64::NAN, |number| number.value());
                let message = format!(
                    "expected numbers that show their decimal mark, got {either}: {} with --decimal . and {} with \
                     --decimal ,",
                    value(DecimalMark::Point),
                    value(DecimalMark::Comma)
                );
                return Err(Error::data(path, "", message));
            }
            (None, None, None, None) => DecimalMark::Point,
        };
        Ok((mark, self.note(mark, separator)))
    }

    /// Whether a number proved the mark.
    pub(super) fn shows(&self) -> bool {
        self.point.is_some() || self.comma.is_some()
    }

    fn note(&self, mark: DecimalMark, separator: u8) -> Option<String> {
        let is = |CellExample { cell, .. }: &CellExample| {
            mark.plain(cell).map(|number| format!("{} is {}", quoted(cell), number.value())).unwrap_or_default()
        };
        let decimals = match mark {
            DecimalMark::Comma => self.comma.as_ref().or(self.either_comma.as_ref()),
            // Elsewhere thousands are not written like this.
            DecimalMark::Point if separator != b',' && self.point.is_none() => self.either_point.as_ref(),
            DecimalMark::Point => None,
        };
        let groups = match mark {
            DecimalMark::Point => &self.groups[0],
            DecimalMark::Comma => &self.groups[1],
        };
        let groups = groups.as_ref().map(|example| format!("thousands in groups: {}", is(example)));
        // A number with both marks is evidence for the decimals too.
        let alike = |a: &CellExample, b: &Option<CellExample>| b.as_ref().is_some_and(|b| a.cell == b.cell);
        let decimals = decimals.map(|example| {
            if alike(example, &self.groups[1]) && groups.is_some() {
                format!("numbers have a {mark}")
            } else {
                format!("numbers have a {mark}: {}", is(example))
            }
        });
        match (decimals, groups) {
            (Some(decimals), Some(groups)) => Some(format!("{decimals}; {groups}")),
            (decimals, groups) => decimals.or(groups),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(separator: u8, cells: &[&str]) -> Result<(DecimalMark, String), String> {
        let mut evidence = DecimalEvidence::default();
        cells.iter().zip(2..).for_each(|(cell, line)| evidence.take(cell, line));
        let decided = evidence.decide(None, separator, Path::new("a.csv"));
        decided.map(|(mark, note)| (mark, note.unwrap_or_default())).map_err(|error| error.to_string())
    }

    #[test]
    fn a_clear_decimal_mark_is_used_and_a_comma_is_reported() {
        use DecimalMark::{Comma, Point};
        let comma = |note: &str| Ok((Comma, format!("numbers have a decimal comma{note}")));
        assert_eq!(decide(b';', &["1", "20,00", "3"]), comma(": \"20,00\" is 20"));
        assert_eq!(
            decide(b',', &["1.234", "20,5"]),
            comma(": \"20,5\" is 20.5; thousands in groups: \"1.234\" is 1234")
        );
        assert_eq!(decide(b';', &["1.234,5"]), comma("; thousands in groups: \"1.234,5\" is 1234.5"));
        assert_eq!(decide(b';', &["1.5", "1.234"]), Ok((Point, String::new())));
        assert_eq!(decide(b',', &["1.234", "17"]), Ok((Point, String::new())));
        assert_eq!(decide(b',', &["1,234", "2.5"]), Ok((Point, "thousands in groups: \"1,234\" is 1234".into())));
        assert_eq!(decide(b';', &["1", "x", "-5", "1e5"]), Ok((Point, String::new())));
    }

    #[test]
    fn an_ambiguous_decimal_mark_is_an_error_that_names_the_flag() {
        let asked = "a.csv: expected numbers that show their decimal mark, got";
        let ways = |point: &str, comma: &str| format!("{point} with --decimal . and {comma} with --decimal ,");
        assert_eq!(
            decide(b';', &["7", "1.234"]),
            Err(format!("{asked} \"1.234\" (line 3): {}", ways("1.234", "1234")))
        );
        for separator in [b'\t', b'|'] {
            assert_eq!(
                decide(separator, &["7", "1.234"]),
                Err(format!("{asked} \"1.234\" (line 3): {}", ways("1.234", "1234")))
            );
        }
        assert_eq!(decide(b',', &["1,234"]), Err(format!("{asked} \"1,234\" (line 2): {}", ways("1234", "1.234"))));
        let both = decide(b';', &["1.5", "2,5"]).unwrap_err();
        assert!(
            both.starts_with(
                "a.csv: expected numbers with one decimal mark, got \"1.5\" (line 2) and \"2,5\" (line 3)"
            )
        );
    }
}
