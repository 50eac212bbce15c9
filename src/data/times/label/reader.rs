//! How labels are read: as numbers, dates, seasons or numbers among words.

use super::calendar::TimeUnit;
use super::date_order::DateOrder;
use super::numbers::{NumberInWords, exact, fixed_point, float, pointed, season};
use super::parse::read_of;
use super::texts::Texts;
use super::time::LabelPart;

/// The type of the labels of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum Reading {
    /// `decimals`: as exact decimal fractions with this many decimals; otherwise as floating point. `comma`: with a
    /// decimal comma.
    Numbers { decimals: Option<usize>, comma: bool },
    /// Dates of one kind, in one order of day and month; `zoned`: with UTC offsets.
    Dates { unit: TimeUnit, zoned: bool, order: DateOrder },
    /// Two consecutive years, as in `2019/20`.
    Seasons,
    /// Numbers within constant words, as in `t10`.
    NumberInWords { decimals: usize },
}

/// A way to read labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::data) struct LabelReader {
    pub(in crate::data) reading: Reading,
    /// Whether `1990:01` is a month.
    pub(in crate::data) months: bool,
    /// Whether numbers after words count back.
    pub(in crate::data) back: bool,
}

impl LabelReader {
    pub(in crate::data) fn new(reading: Reading) -> Self {
        Self { reading, months: true, back: false }
    }

    /// The time of a label: later is higher. `None` if it does not have this type.
    pub(in crate::data) fn key(self, label: &str) -> Option<i128> {
        self.key_by(label, &mut Vec::new())
    }

    /// The same, reusing a buffer for parts.
    fn key_by<'a>(self, label: &'a str, parts: &mut Vec<LabelPart<'a>>) -> Option<i128> {
        match self.reading {
            Reading::Numbers { decimals: Some(decimals), comma } => fixed_point(&pointed(label, comma), decimals),
            Reading::Numbers { decimals: None, comma } => float(&pointed(label, comma)).map(exact),
            Reading::Dates { unit, zoned, order } => {
                let time = read_of(label, order, self.months, parts)?;
                ((time.unit, time.offset.is_some()) == (unit, zoned)).then(|| time.instant())
            }
            Reading::Seasons => season(label).map(i128::from),
            Reading::NumberInWords { decimals } => {
                let number = NumberInWords::split(label)?.number(decimals)?;
                Some(if self.back { -number } else { number })
            }
        }
    }

    /// The times of all labels.
    pub(in crate::data) fn keys<L: Texts + ?Sized>(self, labels: &L) -> impl Iterator<Item = Option<i128>> {
        let mut parts = Vec::new();
        labels.iter().map(move |label| self.key_by(label, &mut parts))
    }
}
