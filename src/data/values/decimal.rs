//! Numbers as people write them: decimal marks and groups of thousands.

use std::borrow::Cow;
use std::fmt::{Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::data::input::encoding::quoted;

/// The decimal mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DecimalMark {
    /// `1.5`; a comma may separate thousands.
    #[serde(rename = ".")]
    Point,
    /// `1,5`; a point may separate thousands.
    #[serde(rename = ",")]
    Comma,
}

impl Display for DecimalMark {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Point => "decimal point",
            Self::Comma => "decimal comma",
        })
    }
}

/// Other separators of thousands: spaces, narrow spaces, apostrophes.
const BETWEEN: [char; 6] = [' ', '\u{a0}', '\u{202f}', '\u{2009}', '\'', '\u{2019}'];

/// Characters around a number that are not part of it, such as units.
const UNITS: [char; 9] = ['€', '$', '£', '¥', '₹', '%', '‰', '°', '₽'];

/// A number in Rust's notation.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) struct PlainNumber<'c> {
    pub(in crate::data) text: Cow<'c, str>,
    /// Whether its thousands were grouped.
    pub(in crate::data) grouped: bool,
}

impl PlainNumber<'_> {
    /// NaN if it is beyond f64.
    pub(in crate::data) fn value(&self) -> f64 {
        self.text.parse().unwrap_or(f64::NAN)
    }
}

impl DecimalMark {
    /// A number in Rust's notation, or `None`: groups of thousands need three digits each and the same separator.
    pub(in crate::data) fn plain(self, cell: &str) -> Option<PlainNumber<'_>> {
        let (mark, other) = match self {
            Self::Point => ('.', ','),
            Self::Comma => (',', '.'),
        };
        let number = |text: Cow<'_, str>| text.parse::<f64>().is_ok();
        let needs_no_change =
            |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | 'e' | 'E') || (c == '.' && mark == '.');
        if cell.chars().all(needs_no_change) {
            return number(cell.into()).then(|| PlainNumber { text: cell.into(), grouped: false });
        }
        let (sign, rest) = cell.strip_prefix(['-', '+']).map_or(("", cell), |rest| (&cell[..1], rest));
        let (body, exponent) = rest.find(['e', 'E']).map_or((rest, ""), |at| rest.split_at(at));
        let (whole, fraction) = body.split_once(mark).map_or((body, None), |(whole, fraction)| (whole, Some(fraction)));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(fraction.unwrap_or_default()) {
            return None;
        }
        let is_group = |(at, group): (usize, &str)| {
            let length = match at {
                0 => (1..=3).contains(&group.len()) && !group.starts_with('0'),
                _ => group.len() == 3,
            };
            length && digits(group)
        };
        let between = whole.chars().find(|c| !c.is_ascii_digit());
        let whole: Cow<'_, str> = match between {
            None => whole.into(),
            Some(c) if (c == other || BETWEEN.contains(&c)) && whole.split(c).enumerate().all(is_group) => {
                whole.split(c).collect::<String>().into()
            }
            Some(_) => return None,
        };
        let fraction = fraction.map(|fraction| format!(".{fraction}")).unwrap_or_default();
        let text: Cow<'_, str> = format!("{sign}{whole}{fraction}{exponent}").into();
        number(text.clone()).then_some(PlainNumber { text, grouped: between.is_some() })
    }

    /// The number in a cell, `None` if it is missing. Otherwise what was expected, and what came.
    #[cfg(feature = "csv")]
    pub(crate) fn number(self, cell: &str) -> Result<Option<f64>, (String, String)> {
        use super::number::{is_missing, number};
        if is_missing(cell) {
            return Ok(None);
        }
        match self.plain(cell).filter(|plain| plain.value().is_finite()) {
            Some(plain) => number(&plain.text).map(Some).map_err(|expected| (expected.into(), quoted(cell))),
            None => Err(self.refusal(cell)),
        }
    }

    /// The other mark.
    fn other(self) -> Self {
        match self {
            Self::Point => Self::Comma,
            Self::Comma => Self::Point,
        }
    }

    /// The value of the flag.
    fn flag(self) -> &'static str {
        match self {
            Self::Point => "--decimal .",
            Self::Comma => "--decimal ,",
        }
    }

    /// What was expected of a cell that is not a number, and what it is.
    pub(in crate::data) fn refusal(self, cell: &str) -> (String, String) {
        let got = quoted(cell);
        let bare = without_unit(cell);
        let is_number = |text: &str| self.plain(text).is_some() || self.other().plain(text).is_some();
        let finite = || "a finite number".to_owned();
        match self.other().plain(cell).filter(|_| self.plain(cell).is_none()) {
            Some(_) => {
                let (flag, other) = (self.other().flag(), self.other());
                (format!("a number with a {self}"), format!("{got}; {flag} reads numbers with a {other}"))
            }
            None if matches!(cell, "-" | "–" | "—") => {
                (finite(), format!("{got}, which may be 0 or missing: write 0, or leave the field empty"))
            }
            None if bare.len() < cell.len() && is_number(bare) => ("a number without a unit".into(), got),
            None => match negative(cell).filter(|negative| is_number(negative)) {
                Some(negative) => {
                    let got = format!("{got}: write {}", quoted(&negative));
                    ("a number with a hyphen as its minus".into(), got)
                }
                None => (finite(), got),
            },
        }
    }

    /// Why a label that is not a number may have been meant as one, and would be refused in a column of numbers.
    pub(in crate::data) fn meant(cell: &str) -> Option<(f64, (String, String))> {
        let value = |text: &str| [Self::Point, Self::Comma].iter().find_map(|mark| Some(mark.plain(text)?.value()));
        let value = value(without_unit(cell)).or_else(|| value(&negative(cell)?))?;
        Some((value, Self::Point.refusal(cell)))
    }
}

fn without_unit(cell: &str) -> &str {
    cell.trim_matches(|c: char| UNITS.contains(&c) || c.is_whitespace())
}

/// A negative number with another minus sign or in brackets, in Rust's notation.
fn negative(cell: &str) -> Option<String> {
    let in_brackets = || cell.strip_prefix('(')?.strip_suffix(')');
    let number = cell.strip_prefix(['\u{2212}', '\u{2013}', '\u{ff0d}']).or_else(in_brackets)?;
    (!number.starts_with(['-', '+'])).then(|| format!("-{}", number.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_must_be_grouped_by_three() {
        use DecimalMark::{Comma, Point};
        let value = |mark: DecimalMark, cell: &str| mark.plain(cell).map(|number| number.value());
        for (cell, point, comma) in [
            ("1.234.567,89", None, Some(1_234_567.89)),
            ("1,234.56", Some(1234.56), None),
            ("1 234,5", None, Some(1234.5)),
            ("1'234.5", Some(1234.5), None),
            ("1\u{202f}234\u{202f}567", Some(1_234_567.0), Some(1_234_567.0)),
            ("-1.234", Some(-1.234), Some(-1234.0)),
            ("+1,5e-3", None, Some(0.0015)),
            (",5", None, Some(0.5)),
            ("5,", None, Some(5.0)),
            ("1.5E3", Some(1500.0), None),
            ("0,123", None, Some(0.123)),
            ("12,34,567", None, None),
            ("1.234,567.8", None, None),
            ("1 23", None, None),
            ("1 234'567", None, None),
            ("1234,567.8", None, None),
            ("31.03.2022", None, None),
            (",", None, None),
            ("-", None, None),
            ("", None, None),
            ("inf", None, None),
            ("1e", None, None),
            ("--1", None, None),
        ] {
            assert_eq!([value(Point, cell), value(Comma, cell)], [point, comma], "{cell:?}");
        }
    }

    #[test]
    fn text_that_is_not_a_number_is_refused_with_advice() {
        let refusal = |cell: &str| {
            let (expected, got) = DecimalMark::Comma.refusal(cell);
            format!("expected {expected}, got {got}")
        };
        assert!(refusal("2.5").ends_with("got \"2.5\"; --decimal . reads numbers with a decimal point"));
        assert!(refusal("-").contains("may be 0 or missing"));
        for cell in ["5 %", "€ 5", "5,30€"] {
            assert_eq!(refusal(cell), format!("expected a number without a unit, got {cell:?}"));
        }
        for (cell, write) in [("(5)", "-5"), ("\u{2212}5,5", "-5,5"), ("(1.200)", "-1.200")] {
            let expected = "expected a number with a hyphen as its minus";
            assert_eq!(refusal(cell), format!("{expected}, got {cell:?}: write {write:?}"));
        }
        assert_eq!(refusal("(x)"), "expected a finite number, got \"(x)\"");
        assert_eq!(refusal("x"), "expected a finite number, got \"x\"");
    }
}
