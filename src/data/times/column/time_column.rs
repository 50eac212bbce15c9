//! Reads a column of labels as times in the one way that suits it.

use super::candidate::Candidate;
use super::date_candidates::{dates, differs, only};
use super::error::TimeError;
use super::number_candidates::{self as numbers, embedded};
use super::row_groups::RowGroups;
use crate::data::times::label::{DateOrder, LabelReader, Reading, Texts};

/// A parsed column.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) struct TimeColumn {
    pub(in crate::data) found: ColumnReading,
    /// One per label: later is higher.
    pub(in crate::data) keys: Vec<i128>,
}

/// How a column is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::data) struct ColumnReading {
    pub(in crate::data) reader: LabelReader,
    /// The evidence for the order of day and month, if it could be another.
    pub(in crate::data) order: Option<OrderReason>,
    /// The first label whose year has two digits.
    pub(in crate::data) short_year: Option<usize>,
    /// Whether all labels are also numbers.
    pub(super) numbers_too: bool,
}

/// Why a date order was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum OrderReason {
    Told,
    /// Another order cannot read all labels, for example this one.
    Only(usize),
    /// In another order the rows do not ascend.
    Ascends,
    /// In another order the rows sort the same.
    Alike,
}

/// Reads a column in the one way that fits it; if several fit and `told` does not decide, that is an error.
pub(in crate::data) fn read<L: Texts + ?Sized>(
    labels: &L,
    told: Option<DateOrder>,
    groups: RowGroups<'_>,
) -> Result<TimeColumn, TimeError> {
    let found = find(labels, told, groups)?;
    let keys = found.reader.keys(labels).collect::<Option<_>>().ok_or(TimeError::Unknown)?;
    Ok(TimeColumn { found, keys })
}

/// The way of [`read`], which fits all labels. Only a few numbers are kept, not one per label, since a file may have as
/// many labels as bytes; the labels are scanned again for each question.
pub(in crate::data) fn find<L: Texts + ?Sized>(
    labels: &L,
    told: Option<DateOrder>,
    groups: RowGroups<'_>,
) -> Result<ColumnReading, TimeError> {
    let Some(numbers) = numbers::all(labels) else { return Err(TimeError::Unknown) };
    let dates = match told {
        Some(told) => {
            let fits = dates(labels, Some(told));
            misfit(labels, told, fits.first(), groups).map_or(Ok(fits), Err)?
        }
        None => dates(labels, None),
    };
    let is_whole = |candidate: &Candidate| candidate.fits == labels.len();
    let numbers_too = is_whole(&numbers);
    let found = |candidate: &Candidate, order| {
        let dates = matches!(candidate.reader.reading, Reading::Dates { .. });
        let (reader, short_year) = (candidate.reader, candidate.short_year);
        let found = ColumnReading { reader, order, short_year, numbers_too: numbers_too && dates };
        is_whole(candidate).then_some(found).ok_or(TimeError::Unknown)
    };
    let ascends = |of: &Candidate| groups.ascends(of.reader.keys(labels).flatten());
    let whole: Vec<&Candidate> = dates.iter().filter(|candidate| is_whole(candidate)).collect();
    // Consecutive years in `2008/09` and `2009/10` are hardly a coincidence.
    if let Some(seasons) = numbers::seasons(labels).filter(|of| whole.is_empty() || ascends(of)) {
        return found(&seasons, None);
    }
    if let Some((chosen, makes_no_difference)) = choose(labels, &whole, groups)? {
        let reason = chosen.order().map(|_| match (told, whole.len()) {
            (Some(_), _) => OrderReason::Told,
            (None, _) if makes_no_difference => OrderReason::Alike,
            (None, 1) => OrderReason::Only(only(labels, &dates, chosen).unwrap_or(0)),
            (None, _) => OrderReason::Ascends,
        });
        return found(chosen, reason);
    }
    if numbers_too {
        if numbers::short_days(labels, numbers.reader, groups) {
            return Err(TimeError::SixDigits { row: 0 });
        }
        return found(&numbers, None);
    }
    // The candidate with the most labels; among equal ones, dates.
    let best = std::iter::once(&numbers).chain(dates.iter().rev()).max_by_key(|candidate| candidate.fits);
    if let Some(best) = best.filter(|best| best.fits > 0 && best.fits >= groups.fewest_times(labels.len())) {
        let first = |fits: bool| best.reader.keys(labels).position(|key| key.is_some() == fits).unwrap_or(0);
        let date = matches!(best.reader.reading, Reading::Dates { .. });
        // `Jan-1` among `Jan-10` and `Jan-31` is not a year, so the others are not either.
        if let Some(behind) = embedded(labels, groups).filter(|_| date && best.short_year.is_some()) {
            return found(&behind, None);
        }
        return Err(TimeError::Odd { row: first(false), like: first(true), date });
    }
    embedded(labels, groups).ok_or(TimeError::Unknown).and_then(|behind| found(&behind, None))
}

/// Among the ways in which all labels are dates, the one in which their rows ascend; and whether others give the same
/// order. `None` if there are none.
fn choose<'c, L: Texts + ?Sized>(
    labels: &L,
    whole: &[&'c Candidate],
    groups: RowGroups<'_>,
) -> Result<Option<(&'c Candidate, bool)>, TimeError> {
    let ascends = |of: &&Candidate| groups.ascends(of.reader.keys(labels).flatten());
    let ascending: Vec<&Candidate> = whole.iter().copied().filter(ascends).collect();
    let (first, second) = match (whole, &ascending[..]) {
        (_, [one]) | ([one], _) => return Ok(Some((*one, false))),
        ([], _) => return Ok(None),
        ([first, second, ..], _) => (*first, *second),
    };
    let several = if ascending.is_empty() { whole } else { &ascending };
    let others: Vec<LabelReader> = several.iter().map(|of| of.reader).collect();
    if groups.sorts_alike(labels, several[0].reader, &others) {
        return Ok(Some((several[0], true)));
    }
    if groups.is_series() && ascending.is_empty() {
        // None ascends: the one that ascends longest explains best what is wrong.
        let rows = |of: &Candidate| {
            let mut last = None;
            let in_order = |key: &i128| last.replace(*key).is_none_or(|before| before < *key);
            of.reader.keys(labels).flatten().take_while(in_order).count()
        };
        return Ok(Some((if rows(second) > rows(first) { second } else { first }, false)));
    }
    let orders = several.iter().filter_map(|candidate| candidate.order()).collect();
    Err(TimeError::Ask { row: labels.iter().position(differs).unwrap_or(0), orders })
}

/// The error that more labels are dates in another order than in the given one, whose candidate is `found`.
fn misfit<L: Texts + ?Sized>(
    labels: &L,
    told: DateOrder,
    found: Option<&Candidate>,
    groups: RowGroups<'_>,
) -> Option<TimeError> {
    let fits = found.map_or(0, |of| of.fits);
    let enough = groups.fewest_times(labels.len());
    let better = |other: &Candidate| {
        let order = other.order().filter(|order| *order != told)?;
        (other.fits > fits && other.fits >= enough).then_some(())?;
        let read = |reader: LabelReader, label| reader.key(label).is_some();
        let misfits = |label| read(other.reader, label) && !found.is_some_and(|found| read(found.reader, label));
        let row = labels.iter().position(misfits)?;
        Some(TimeError::Told { row, told, other: order })
    };
    dates(labels, None).iter().find_map(better)
}

impl TimeColumn {
    pub(in crate::data) fn reading(&self) -> Reading {
        self.found.reader.reading
    }

    /// The order of day and month, if it makes a difference.
    pub(in crate::data) fn date_order(&self) -> Option<DateOrder> {
        self.found.date_order()
    }

    /// Whether the rows are reversed, newest first.
    pub(in crate::data) fn descends(&self) -> bool {
        self.keys.len() > 1 && self.keys.is_sorted_by(|a, b| a > b)
    }

    /// The first row whose time is not later than the previous one.
    pub(in crate::data) fn out_of_order(&self) -> Option<usize> {
        self.keys.windows(2).position(|pair| pair[1] <= pair[0]).map(|row| row + 1)
    }
}

impl ColumnReading {
    /// The order of day and month, if it makes a difference.
    pub(in crate::data) fn date_order(&self) -> Option<DateOrder> {
        match (self.reader.reading, self.order) {
            (Reading::Dates { order, .. }, Some(_)) => Some(order),
            _ => None,
        }
    }
}
