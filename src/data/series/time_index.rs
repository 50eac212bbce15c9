//! The labels of a series' rows: their order, and their continuation after the last.

use crate::data::times;
use crate::data::times::label;
use crate::data::times::{
    CivilTimes, DateOrder, Reading, RowGroups, RowsUntil, TimeColumn, TimeError, TimeGaps, UnevenSteps,
};
use crate::error::{Error, Result};

/// The labels, parsed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TimeIndex {
    /// `None` if they are not times; the order of the rows is then not checked.
    times: Option<TimeColumn>,
    /// Notes on ambiguous or unreadable labels, one sentence each.
    pub(super) notes: Vec<String>,
}

/// Parses the labels as times, which must ascend. `is_value`: whether the label column is also read as a value.
pub(super) fn read(
    labels: &[String],
    lines: &[usize],
    name: &str,
    told: Option<DateOrder>,
    is_value: bool,
) -> Result<TimeIndex> {
    let times = match times::read(labels, told, RowGroups::SERIES) {
        Ok(times) => times,
        Err(trouble) => {
            let Some((row, expected, got)) = trouble.words(labels, told) else {
                return Ok(TimeIndex { times: None, notes: vec![unchecked(labels, name)] });
            };
            let more = match trouble {
                TimeError::Odd { .. } => "; remove the row, or label it like the others",
                TimeError::Ask { .. } => ", and the rows ascend either way",
                _ => "",
            };
            return Err(Error::value(place(labels, lines, row, name), expected, got + more));
        }
    };
    let label = |row: usize| labels.get(row).map(String::as_str).unwrap_or_default();
    if let Some(row) = times.out_of_order() {
        let read = times.date_order().map(|order| format!(", read {}", order.words())).unwrap_or_default();
        let twice = times.keys[row] == times.keys[row - 1];
        let way = if is_value {
            "the first column gives the times, and it is read as a value too: put a column of times, \
             or a count, before it"
                .to_owned()
        } else if twice {
            "the same time twice: expected one row per time; join a date and a time column into one, \
             and write offsets from UTC where clocks go back"
                .to_owned()
        } else if times.descends() {
            "the newest rows come first: reverse their order".to_owned()
        } else {
            format!("sort the rows, one per {name}")
        };
        let got = format!("{:?} after {:?}{read}; {way}", label(row), label(row - 1));
        return Err(Error::value(place(labels, lines, row, name), "the first column in ascending order", got));
    }
    let notes = times.found.notes(labels, name);
    Ok(TimeIndex { times: Some(times), notes })
}

/// The note that the order of the rows is not checked.
fn unchecked(labels: &[String], name: &str) -> String {
    let such = labels.iter().find(|label| !label.is_empty()).map(String::as_str).unwrap_or_default();
    let zone = DateOrder::ALL.iter().find_map(|order| label::zone_error(such, *order));
    let why = zone.map(|zone| format!(", {zone}")).unwrap_or_default();
    format!("order of rows not checked: labels of column {name:?} are neither numbers nor dates, such as {such:?}{why}")
}

/// `row 7 (line 8, "2024-01-07"), column "load"`, for messages; `lines` are empty where there is no file.
pub(super) fn place(labels: &[String], lines: &[usize], row: usize, column: &str) -> String {
    let line = lines.get(row).map(|line| format!("line {line}, ")).unwrap_or_default();
    format!("row {} ({line}{:?}), column {column:?}", row + 1, labels[row])
}

impl TimeIndex {
    /// The order of day and month in dates, if it makes a difference.
    pub(super) fn dates(&self) -> Option<DateOrder> {
        self.times.as_ref().and_then(TimeColumn::date_order)
    }

    /// The labels as numbers, if they are.
    pub(super) fn positions(&self, labels: &[String]) -> Option<Vec<f64>> {
        match self.times.as_ref()?.reading() {
            Reading::Numbers { comma, .. } => labels.iter().map(|label| times::number(label, comma)).collect(),
            _ => None,
        }
    }

    /// See [`crate::data::Series::time_gaps`].
    pub(super) fn gaps(&self, labels: &[String]) -> Option<TimeGaps> {
        times::gaps_of(self.times.as_ref()?, labels)
    }

    /// See [`crate::data::Series::uneven_steps`].
    pub(super) fn uneven(&self, labels: &[String]) -> Option<UnevenSteps> {
        times::uneven(self.times.as_ref()?, labels)
    }

    /// The number of labels up to and including `until`; see [`crate::data::Series::rows_until`].
    pub(super) fn rows_until(&self, labels: &[String], name: &str, until: &str) -> Result<usize> {
        let refused =
            |expected: String, got: String| Error::value("the last label of the training split", expected, got);
        let (Some(first), Some(last)) = (labels.first(), labels.last()) else { return Ok(0) };
        if until.trim().is_empty() {
            return Err(refused(format!("a label from {first:?} to {last:?}"), "none".into()));
        }
        // A label is its own row, whatever it could mean as a time.
        let mut equal = labels.iter().enumerate().filter(|(_, label)| label.trim() == until.trim());
        match (equal.next(), equal.next()) {
            (Some((row, _)), None) => return Ok(row + 1),
            (Some((row, _)), Some((other, _))) => {
                let got = format!("{until:?}, which rows {} and {} have", row + 1, other + 1);
                return Err(refused("the label of one row".into(), got));
            }
            (None, _) => {}
        }
        let Some(times) = &self.times else {
            let expected = format!("one of the labels of column {name:?}, such as {last:?}");
            return Err(refused(expected, format!("{until:?}")));
        };
        match times::rows_until(times, &labels[..labels.len().min(times.keys.len())], until) {
            RowsUntil::Rows(rows) => Ok(rows),
            RowsUntil::Outside => Err(refused(format!("a label from {first:?} to {last:?}"), format!("{until:?}"))),
            RowsUntil::Other(what) => Err(refused(format!("{what}, as all of column {name:?}"), format!("{until:?}"))),
            RowsUntil::Ask(orders) => {
                let got = format!("{until:?}, which is {}", times::readings(until, &orders));
                Err(refused("a date that can be read in one way, such as 2021-03-05".into(), got))
            }
        }
    }

    /// The labels of the `count` rows that follow the first `before`: existing ones, then their continuation if they
    /// are numbers or dates in equal steps, and otherwise `+n`, with n counted from the last of the first `before`.
    pub(super) fn following(&self, labels: &[String], before: usize, count: usize) -> Vec<String> {
        let given = &labels[before.min(labels.len())..];
        let missing = count.saturating_sub(given.len());
        let beyond = self.beyond(labels, missing);
        let beyond = beyond.unwrap_or_else(|_| (count - missing + 1..=count).map(|step| format!("+{step}")).collect());
        given.iter().take(count).cloned().chain(beyond).collect()
    }

    /// Why the rows after the last are numbered; `None` if their labels are known.
    pub(super) fn numbering_reason(&self, labels: &[String], before: usize, count: usize) -> Option<String> {
        let given = labels.len().saturating_sub(before);
        self.beyond(labels, count.saturating_sub(given)).err()
    }

    /// The local times of `labels`.
    ///
    /// # Errors
    /// [`Error::Value`] if they are not dates.
    pub(super) fn civil(&self, labels: &[String], name: &str) -> Result<CivilTimes> {
        let times = self.times.as_ref().ok_or("neither numbers nor dates");
        times.and_then(|times| CivilTimes::read(times, labels)).map_err(|what| {
            let such = labels.first().map(String::as_str).unwrap_or_default();
            let got = format!(
                "labels that are {what}, such as {such:?}; write them as dates, such as 2024-01-31 or 2024-01-31 13:00, or \
                 leave out the calendar"
            );
            Error::value("the calendar", format!("dates in column {name:?}"), got)
        })
    }

    /// The local times of the `count` rows after the last label, and the label of the first.
    ///
    /// # Errors
    /// Why the labels do not continue, in words.
    pub(super) fn civil_beyond(
        &self,
        labels: &[String],
        name: &str,
        count: usize,
    ) -> Result<(CivilTimes, String), String> {
        let next = self.beyond(labels, count)?;
        let times = self.civil(&next, name).map_err(|error| error.to_string())?;
        Ok((times, next.into_iter().next().unwrap_or_default()))
    }

    fn beyond(&self, labels: &[String], count: usize) -> Result<Vec<String>, String> {
        match &self.times {
            _ if count == 0 => Ok(Vec::new()),
            Some(times) => times::beyond(times, labels, count),
            None => Err("labels are neither numbers nor dates".into()),
        }
    }
}

#[cfg(test)]
mod tests;
