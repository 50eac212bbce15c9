//! Notes on a column that could be read differently.

use std::cmp::Reverse;

use super::time_column::{ColumnReading, OrderReason};
use crate::data::times::label::calendar::TimeUnit;
use crate::data::times::label::numbers::NumberInWords;
use crate::data::times::label::{self, Reading, Texts, formatter};

impl ColumnReading {
    /// Notes on ambiguous labels, one sentence each.
    pub(in crate::data) fn notes<L: Texts + ?Sized>(&self, labels: &L, name: &str) -> Vec<String> {
        let mut notes = Vec::new();
        let label = |row: usize| labels.text(row);
        let in_words = |row: usize| {
            let Reading::Dates { order, .. } = self.reader.reading else { return String::new() };
            let time = label::read(label(row), order, &mut Vec::new());
            time.and_then(|time| formatter::words(&time)).unwrap_or_default()
        };
        if let (Some(reason), Some(order)) = (self.order, self.date_order()) {
            let why = match reason {
                OrderReason::Told => "as given".to_owned(),
                OrderReason::Only(row) => format!("the only way to read {:?} in row {}", label(row), row + 1),
                OrderReason::Ascends => "the only order in which the rows ascend".to_owned(),
                OrderReason::Alike => "and any other order would sort the rows the same".to_owned(),
            };
            notes.push(format!("dates of column {name:?} are read {}, {why}", order.words()));
        }
        if let Some(row) = self.short_year {
            let example = in_words(row);
            notes
                .push(format!("years of column {name:?} have two digits, 1969 to 2068: {:?} is {example}", label(row)));
        }
        match self.reader.reading {
            Reading::Dates { .. } if self.numbers_too => {
                notes.push(format!(
                    "column {name:?} is read as dates, not as numbers: {:?} is {}",
                    label(0),
                    in_words(0)
                ));
            }
            Reading::NumberInWords { .. } => {
                // After a hyphen it may count back.
                let hyphen = NumberInWords::split(label(0)).is_some_and(|behind| behind.before.ends_with(['-', '−']));
                // The first of equal ones.
                let keys = || self.reader.keys(labels).flatten().zip(0usize..);
                let first = keys().min_by_key(|(key, _)| *key).map_or(0, |(_, row)| row);
                let last = keys().max_by_key(|(key, row)| (*key, Reverse(*row))).map_or(0, |(_, row)| row);
                let span = format!(", from {:?} to {:?}", label(first), label(last));
                notes.push(format!(
                    "column {name:?} is read as numbers with the same words around them, as in {:?}{}",
                    label(0),
                    if hyphen { span.as_str() } else { "" }
                ));
            }
            Reading::Dates { unit: TimeUnit::Clock, .. } => {
                let year = |row: &usize| {
                    let (hours, minutes) = label(*row).trim().split_once(':').unwrap_or_default();
                    hours.len() == 4 && minutes.len() == 2
                };
                if let Some(row) = (0..labels.len()).find(year) {
                    notes.push(format!("column {name:?} is read as hours and minutes, as in {:?}", label(row)));
                }
            }
            _ => {}
        }
        notes
    }
}
