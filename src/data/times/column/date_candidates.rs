//! Columns of dates.

use super::candidate::Candidate;
use crate::data::times::label::calendar::TimeUnit;
use crate::data::times::label::{self, DateOrder, LabelReader, Reading, Texts};

/// Properties of labels of one kind.
struct DateKind {
    unit: TimeUnit,
    zoned: bool,
    count: usize,
    by_order: bool,
    short_year: Option<usize>,
}

/// The kinds of the labels that are dates, in the order of their first label.
fn date_kinds<L: Texts + ?Sized>(labels: &L, order: DateOrder, months: bool) -> Vec<DateKind> {
    let (mut date_kinds, mut parts) = (Vec::<DateKind>::new(), Vec::new());
    for (row, label) in labels.iter().enumerate() {
        let Some(time) = label::read_of(label, order, months, &mut parts) else { continue };
        let (unit, zoned) = (time.unit, time.offset.is_some());
        let short_year = time.short_year.then_some(row);
        match date_kinds.iter_mut().find(|kind| (kind.unit, kind.zoned) == (unit, zoned)) {
            Some(kind) => {
                kind.count += 1;
                kind.by_order |= time.by_order;
                kind.short_year = kind.short_year.or(short_year);
            }
            None => date_kinds.push(DateKind { unit, zoned, count: 1, by_order: time.by_order, short_year }),
        }
    }
    date_kinds
}

/// Every distinct way to read the labels as dates, for the most common kind.
pub(super) fn dates<L: Texts + ?Sized>(labels: &L, told: Option<DateOrder>) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for order in DateOrder::ALL.into_iter().filter(|order| told.is_none_or(|told| told == *order)) {
        let mut months = true;
        let mut date_kinds = self::date_kinds(labels, order, months);
        // `1990:13` is not a month, so `1990:12` is not one either.
        if date_kinds.iter().any(|kind| kind.unit == TimeUnit::Clock) {
            months = false;
            date_kinds = self::date_kinds(labels, order, months);
        }
        let all_read = date_kinds.iter().map(|kind| kind.count).sum::<usize>() == labels.len();
        // The first of equal ones.
        let Some(kind) = date_kinds.iter().rev().max_by_key(|kind| kind.count) else { continue };
        let DateKind { unit, zoned, count: fits, by_order, short_year } = *kind;
        // If no label depends on the order, all orders are the same.
        if candidates.is_empty() || by_order {
            let reader = LabelReader { months, ..LabelReader::new(Reading::Dates { unit, zoned, order }) };
            candidates.push(Candidate { reader, fits, by_order, short_year });
        }
        if all_read && !by_order {
            break;
        }
    }
    candidates
}

/// Whether two orders give a label different dates.
pub(super) fn differs(label: &str) -> bool {
    let mut parts = Vec::new();
    let mut read = |order| label::read(label, order, &mut parts).map(|time| time.wall);
    let mut walls: Vec<i128> = DateOrder::ALL.into_iter().filter_map(&mut read).collect();
    walls.dedup();
    walls.len() > 1
}

/// The first label that no other order can read.
pub(super) fn only<L: Texts + ?Sized>(labels: &L, dates: &[Candidate], chosen: &Candidate) -> Option<usize> {
    let others: Vec<&Candidate> = dates.iter().filter(|other| !std::ptr::eq(*other, chosen)).collect();
    let missing = |other: &&Candidate, label| other.reader.key(label).is_none();
    if others.is_empty() {
        // No label could be read.
        return (labels.len() > 0).then_some(0);
    }
    let in_all = labels.iter().position(|label| others.iter().all(|other| missing(other, label)));
    in_all.or_else(|| labels.iter().position(|label| others.iter().any(|other| missing(other, label))))
}
