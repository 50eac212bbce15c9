//! A column of labels as times: numbers, or dates and times of day in the ways that people write them.

mod form;
mod gaps;
mod label;
mod numbers;
mod onward;
#[cfg(test)]
mod tests;
mod texts;
mod until;
mod way;

pub use gaps::GapsInTime;
pub(super) use gaps::find as gaps_of;
pub use label::DateOrder;
use label::Unit;
use numbers::Behind;
pub(super) use onward::beyond;
pub(super) use texts::Texts;
pub(super) use until::{Until, rows as rows_until};
pub(super) use way::Way;

use std::cmp::Reverse;

use super::input::encoding::quoted;

/// As what the labels of a column are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// `decimals`: as decimal fractions of so many places, exactly; otherwise as floating point. `comma`: with a comma in
    /// place of the point.
    Numbers { decimals: Option<usize>, comma: bool },
    /// Of one kind, in one order of day and month; `zoned`: with an offset from UTC.
    Dates { unit: Unit, zoned: bool, order: DateOrder },
    /// Two years that follow each other, as in `2019/20`.
    Seasons,
    /// Numbers with the same words around them, as in `t10`.
    Behind { decimals: usize },
}

/// A column that was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Times {
    pub(super) found: Found,
    /// One for each label: later is higher.
    pub(super) keys: Vec<i128>,
}

/// How a column is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) way: Way,
    /// What the order of day and month was decided by, where it could be another.
    order: Option<Reason>,
    /// The first label whose year has two digits.
    short_year: Option<usize>,
    /// Whether all labels are numbers as well.
    numbers_too: bool,
}

/// Why a date was read in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Told,
    /// Not all labels could be read in another; this one could not.
    Only(usize),
    /// In another the rows do not ascend.
    Ascends,
    /// In another the order of the rows is the same.
    Alike,
}

/// Why a column could not be read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Trouble {
    /// This label does not fit, where others do as this one does.
    Odd { row: usize, like: usize, date: bool },
    /// This label cannot be read in the order that was told, where it can in this other.
    Told { row: usize, told: DateOrder, other: DateOrder },
    /// Days of six digits, as in `310124`, from this label on.
    SixDigits { row: usize },
    /// Orders of day and month that all stand.
    Ask { row: usize, orders: Vec<DateOrder> },
    /// None of the labels is a time, or few are.
    Unknown,
}

impl Trouble {
    /// The row, what was expected of its label, and what it is; `None` where no label is a time.
    pub(super) fn words<L: Texts + ?Sized>(
        &self,
        labels: &L,
        told: Option<DateOrder>,
    ) -> Option<(usize, String, String)> {
        let label = |row: usize| labels.text(row);
        let got = |row: usize| match label(row).trim() {
            "" => "an empty label".to_owned(),
            label => quoted(label),
        };
        Some(match self {
            Self::Odd { row, like, date } => {
                let what = if *date { "date" } else { "number" };
                let order = told.map(|order| format!(", read {}", order.words())).filter(|_| *date).unwrap_or_default();
                (*row, format!("a {what} like {}{order}", quoted(label(*like))), got(*row))
            }
            Self::Told { row, told, other } => {
                let expected = format!("a date that can be read {}, as --dates or the model tells", told.words());
                (*row, expected, format!("{}, which is {}", got(*row), readings(label(*row), &[*other])))
            }
            Self::SixDigits { row } => (*row, FOUR_DIGITS.into(), got(*row)),
            Self::Ask { row, orders } => {
                let names: Vec<&str> = orders.iter().map(|order| order.name()).collect();
                let expected = format!("--dates (data.dates) to tell how dates are written, {}", names.join(" or "));
                (*row, expected, format!("{}, which is {}", got(*row), readings(label(*row), orders)))
            }
            Self::Unknown => return None,
        })
    }
}

/// A way of reading, and how many labels it fits.
struct Candidate {
    way: Way,
    fits: usize,
    by_order: bool,
    short_year: Option<usize>,
}

impl Candidate {
    /// One that nothing else is known of.
    fn of(way: Way, fits: usize) -> Self {
        Self { way, fits, by_order: false, short_year: None }
    }

    fn order(&self) -> Option<DateOrder> {
        match self.way.reading {
            Reading::Dates { order, .. } if self.by_order => Some(order),
            _ => None,
        }
    }
}

/// What is to become of the times of a column.
#[derive(Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// They ascend: where they do in one of the ways to read them alone, it is that one. Where fewer than half of the labels
    /// are times, none is taken to be.
    Ascend,
    /// They order the rows of sequences, each row's in `of`. One label that is a time says that all are to be.
    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "long form is read by the program alone"))]
    Order { of: &'a [u32] },
}

impl Purpose<'_> {
    /// The last time of each sequence, as far as they are seen.
    fn lasts(self) -> Vec<Option<i128>> {
        match self {
            Self::Ascend => vec![None],
            Self::Order { of } => vec![None; of.iter().max().map_or(0, |last| *last as usize + 1)],
        }
    }

    fn of(self, row: usize) -> usize {
        match self {
            Self::Ascend => 0,
            Self::Order { of } => of.get(row).map_or(0, |of| *of as usize),
        }
    }

    /// Whether the rows are in the order of time as they are.
    pub(super) fn ascends(self, keys: impl IntoIterator<Item = i128>) -> bool {
        self.ascend_to(keys).is_some()
    }

    /// The last time of each sequence, where the rows are in the order of time as they are.
    fn ascend_to(self, keys: impl IntoIterator<Item = i128>) -> Option<Vec<i128>> {
        let mut last = self.lasts();
        let ascend = keys.into_iter().enumerate().all(|(row, key)| {
            let before = last.get_mut(self.of(row)).and_then(|last| last.replace(key));
            before.is_none_or(|before| before < key)
        });
        ascend.then(|| last.into_iter().flatten().collect())
    }

    /// Whether rows come in the same order by `others` as by `keys`, where their order is all that is asked for.
    fn sorts_alike<L: Texts + ?Sized>(self, labels: &L, way: Way, others: &[Way]) -> bool {
        let Self::Order { .. } = self else { return false };
        if others.iter().all(|other| *other == way) {
            return true;
        }
        let keys: Vec<i128> = way.keys(labels).flatten().collect();
        let mut rows: Vec<usize> = (0..keys.len()).collect();
        rows.sort_by_key(|row| (self.of(*row), keys[*row]));
        drop(keys);
        // Rows of one time are in the order of the file.
        others.iter().all(|other| {
            let key = |row: usize| other.key(labels.text(row)).map(|key| (key, row));
            rows.windows(2).all(|pair| self.of(pair[0]) != self.of(pair[1]) || key(pair[0]) < key(pair[1]))
        })
    }
}

/// Reads a column in the one way that suits it; without `told`, several that all do are asked about.
pub(super) fn read<L: Texts + ?Sized>(
    labels: &L,
    told: Option<DateOrder>,
    purpose: Purpose<'_>,
) -> Result<Times, Trouble> {
    let found = find(labels, told, purpose)?;
    let keys = found.way.keys(labels).collect::<Option<_>>().ok_or(Trouble::Unknown)?;
    Ok(Times { found, keys })
}

/// The way of [`read`], which fits all labels. No more is kept of a label than a few numbers of all, for there may be as
/// many as bytes of a file; they are gone through again for each question.
pub(super) fn find<L: Texts + ?Sized>(
    labels: &L,
    told: Option<DateOrder>,
    purpose: Purpose<'_>,
) -> Result<Found, Trouble> {
    let Some(numbers) = numbers::all(labels) else { return Err(Trouble::Unknown) };
    let dates = match told {
        Some(told) => {
            let fits = dates(labels, Some(told));
            misfit(labels, told, fits.first(), purpose).map_or(Ok(fits), Err)?
        }
        None => dates(labels, None),
    };
    let is_whole = |candidate: &Candidate| candidate.fits == labels.len();
    let numbers_too = is_whole(&numbers);
    let found = |candidate: &Candidate, order| {
        let dates = matches!(candidate.way.reading, Reading::Dates { .. });
        let (way, short_year) = (candidate.way, candidate.short_year);
        let found = Found { way, order, short_year, numbers_too: numbers_too && dates };
        is_whole(candidate).then_some(found).ok_or(Trouble::Unknown)
    };
    let ascends = |of: &Candidate| purpose.ascends(of.way.keys(labels).flatten());
    let whole: Vec<&Candidate> = dates.iter().filter(|candidate| is_whole(candidate)).collect();
    // Of `2008/09` and `2009/10` it is hardly chance that the years follow each other.
    if let Some(seasons) = numbers::seasons(labels).filter(|of| whole.is_empty() || ascends(of)) {
        return found(&seasons, None);
    }
    let ascending: Vec<&Candidate> = whole.iter().copied().filter(|of| ascends(of)).collect();
    let ask = |of: &[&Candidate]| {
        let orders = of.iter().filter_map(|candidate| candidate.order()).collect();
        Trouble::Ask { row: labels.iter().position(differs).unwrap_or(0), orders }
    };
    let mut makes_no_difference = false;
    let chosen = match (&whole[..], &ascending[..]) {
        (_, [one]) => Some(*one),
        ([], _) => None,
        ([first, second, ..], several) => {
            let several = if several.is_empty() { &whole } else { several };
            let others: Vec<Way> = several.iter().map(|of| of.way).collect();
            makes_no_difference = purpose.sorts_alike(labels, several[0].way, &others);
            match purpose {
                _ if makes_no_difference => Some(several[0]),
                // None is in order: the one that is for longest tells best what is wrong.
                Purpose::Ascend if ascending.is_empty() => {
                    let rows = |of: &Candidate| {
                        let mut last = None;
                        let in_order = |key: &i128| last.replace(*key).is_none_or(|before| before < *key);
                        of.way.keys(labels).flatten().take_while(in_order).count()
                    };
                    Some(if rows(second) > rows(first) { *second } else { *first })
                }
                _ => return Err(ask(several)),
            }
        }
        ([one], _) => Some(*one),
    };
    if let Some(chosen) = chosen {
        let reason = chosen.order().map(|_| match (told, whole.len()) {
            (Some(_), _) => Reason::Told,
            (None, _) if makes_no_difference => Reason::Alike,
            (None, 1) => Reason::Only(only(labels, &dates, chosen).unwrap_or(0)),
            (None, _) => Reason::Ascends,
        });
        return found(chosen, reason);
    }
    if numbers_too {
        if numbers::short_days(labels, numbers.way, purpose) {
            return Err(Trouble::SixDigits { row: 0 });
        }
        return found(&numbers, None);
    }
    // The most labels, of equals dates.
    let best = std::iter::once(&numbers).chain(dates.iter().rev()).max_by_key(|candidate| candidate.fits);
    let half = matches!(purpose, Purpose::Ascend).then_some(labels.len().div_ceil(2));
    if let Some(best) = best.filter(|best| best.fits > 0 && best.fits >= half.unwrap_or(1)) {
        let first = |fits: bool| best.way.keys(labels).position(|key| key.is_some() == fits).unwrap_or(0);
        let date = matches!(best.way.reading, Reading::Dates { .. });
        // `Jan-1` among `Jan-10` and `Jan-31` is no year, and then those are none.
        if let Some(behind) = Behind::all(labels, purpose).filter(|_| date && best.short_year.is_some()) {
            return found(&behind, None);
        }
        return Err(Trouble::Odd { row: first(false), like: first(true), date });
    }
    Behind::all(labels, purpose).ok_or(Trouble::Unknown).and_then(|behind| found(&behind, None))
}

/// That more labels are dates in another order than in the one that was told, whose candidate `found` is.
fn misfit<L: Texts + ?Sized>(
    labels: &L,
    told: DateOrder,
    found: Option<&Candidate>,
    purpose: Purpose<'_>,
) -> Option<Trouble> {
    let fits = found.map_or(0, |of| of.fits);
    let enough = if matches!(purpose, Purpose::Ascend) { labels.len().div_ceil(2) } else { 1 };
    let better = |other: &Candidate| {
        let order = other.order().filter(|order| *order != told)?;
        (other.fits > fits && other.fits >= enough).then_some(())?;
        let read = |way: Way, label| way.key(label).is_some();
        let misfits = |label| read(other.way, label) && !found.is_some_and(|found| read(found.way, label));
        let row = labels.iter().position(misfits)?;
        Some(Trouble::Told { row, told, other: order })
    };
    dates(labels, None).iter().find_map(better)
}

/// What is known of labels of one kind.
struct Kind {
    unit: Unit,
    zoned: bool,
    count: usize,
    by_order: bool,
    short_year: Option<usize>,
}

/// The kinds of the labels that are dates, in the order in which they come first.
fn kinds<L: Texts + ?Sized>(labels: &L, order: DateOrder, months: bool) -> Vec<Kind> {
    let (mut kinds, mut parts) = (Vec::<Kind>::new(), Vec::new());
    for (row, label) in labels.iter().enumerate() {
        let Some(time) = label::read_of(label, order, months, &mut parts) else { continue };
        let (unit, zoned) = (time.unit, time.offset.is_some());
        let short_year = time.short_year.then_some(row);
        match kinds.iter_mut().find(|kind| (kind.unit, kind.zoned) == (unit, zoned)) {
            Some(kind) => {
                kind.count += 1;
                kind.by_order |= time.by_order;
                kind.short_year = kind.short_year.or(short_year);
            }
            None => kinds.push(Kind { unit, zoned, count: 1, by_order: time.by_order, short_year }),
        }
    }
    kinds
}

/// Every way to read the labels as dates that they tell apart: by the kind that most are of.
fn dates<L: Texts + ?Sized>(labels: &L, told: Option<DateOrder>) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for order in DateOrder::ALL.into_iter().filter(|order| told.is_none_or(|told| told == *order)) {
        let mut months = true;
        let mut kinds = self::kinds(labels, order, months);
        // `1990:13` is no month, and then `1990:12` is none.
        if kinds.iter().any(|kind| kind.unit == Unit::Clock) {
            months = false;
            kinds = self::kinds(labels, order, months);
        }
        let all_read = kinds.iter().map(|kind| kind.count).sum::<usize>() == labels.len();
        // Of equals the first.
        let Some(kind) = kinds.iter().rev().max_by_key(|kind| kind.count) else { continue };
        let Kind { unit, zoned, count: fits, by_order, short_year } = *kind;
        // Where nothing goes by the order, all orders are the same.
        if candidates.is_empty() || by_order {
            let way = Way { months, ..Way::new(Reading::Dates { unit, zoned, order }) };
            candidates.push(Candidate { way, fits, by_order, short_year });
        }
        if all_read && !by_order {
            break;
        }
    }
    candidates
}

/// Whether two orders make another date of a label.
fn differs(label: &str) -> bool {
    let mut parts = Vec::new();
    let mut read = |order| label::read(label, order, &mut parts).map(|time| time.wall);
    let mut walls: Vec<i128> = DateOrder::ALL.into_iter().filter_map(&mut read).collect();
    walls.dedup();
    walls.len() > 1
}

/// The first label that no other order can read.
fn only<L: Texts + ?Sized>(labels: &L, dates: &[Candidate], chosen: &Candidate) -> Option<usize> {
    let others: Vec<&Candidate> = dates.iter().filter(|other| !std::ptr::eq(*other, chosen)).collect();
    let missing = |other: &&Candidate, label| other.way.key(label).is_none();
    match others.is_empty() {
        // No label at all could be read in them.
        true => (labels.len() > 0).then_some(0),
        false => labels
            .iter()
            .position(|label| others.iter().all(|other| missing(other, label)))
            .or_else(|| labels.iter().position(|label| others.iter().any(|other| missing(other, label)))),
    }
}

impl Times {
    pub(super) fn reading(&self) -> Reading {
        self.found.way.reading
    }

    /// The order of day and month, where it says anything.
    pub(super) fn date_order(&self) -> Option<DateOrder> {
        self.found.date_order()
    }

    /// Whether rows are the other way round, the newest first.
    pub(super) fn descends(&self) -> bool {
        self.keys.len() > 1 && self.keys.is_sorted_by(|a, b| a > b)
    }

    /// The first row whose time is not above the one before.
    pub(super) fn out_of_order(&self) -> Option<usize> {
        self.keys.windows(2).position(|pair| pair[1] <= pair[0]).map(|row| row + 1)
    }
}

impl Found {
    /// The order of day and month, where it says anything.
    pub(super) fn date_order(&self) -> Option<DateOrder> {
        match (self.way.reading, self.order) {
            (Reading::Dates { order, .. }, Some(_)) => Some(order),
            _ => None,
        }
    }

    /// The same, but for an order that makes no difference: it tells nothing of other labels.
    #[cfg(feature = "cli")]
    pub(super) fn decisive_order(&self) -> Option<DateOrder> {
        self.date_order().filter(|_| self.order != Some(Reason::Alike))
    }

    /// How labels were read that could be read otherwise, a sentence each.
    pub(super) fn notes<L: Texts + ?Sized>(&self, labels: &L, name: &str) -> Vec<String> {
        let mut notes = Vec::new();
        let label = |row: usize| labels.text(row);
        let in_words = |row: usize| {
            let Reading::Dates { order, .. } = self.way.reading else { return String::new() };
            let time = label::read(label(row), order, &mut Vec::new());
            time.and_then(|time| form::words(&time)).unwrap_or_default()
        };
        if let (Some(reason), Some(order)) = (self.order, self.date_order()) {
            let why = match reason {
                Reason::Told => "as told".to_owned(),
                Reason::Only(row) => format!("which {:?} in row {} can only be", label(row), row + 1),
                Reason::Ascends => "the only way in which the rows ascend".to_owned(),
                Reason::Alike => "and in any other order they would come in the same".to_owned(),
            };
            notes.push(format!("dates of column {name:?} are read {}, {why}", order.words()));
        }
        if let Some(row) = self.short_year {
            let example = in_words(row);
            notes
                .push(format!("years of column {name:?} have two digits, 1969 to 2068: {:?} is {example}", label(row)));
        }
        match self.way.reading {
            Reading::Dates { .. } if self.numbers_too => {
                notes.push(format!(
                    "column {name:?} is read as dates, not as numbers: {:?} is {}",
                    label(0),
                    in_words(0)
                ));
            }
            Reading::Behind { .. } => {
                // Behind a hyphen it may count back.
                let hyphen = Behind::split(label(0)).is_some_and(|behind| behind.before.ends_with(['-', '−']));
                // Of equals the first.
                let keys = || self.way.keys(labels).flatten().zip(0usize..);
                let first = keys().min_by_key(|(key, _)| *key).map_or(0, |(_, row)| row);
                let last = keys().max_by_key(|(key, row)| (*key, Reverse(*row))).map_or(0, |(_, row)| row);
                let span = format!(", from {:?} to {:?}", label(first), label(last));
                notes.push(format!(
                    "column {name:?} is read as numbers with the same words around them, as in {:?}{}",
                    label(0),
                    if hyphen { span.as_str() } else { "" }
                ));
            }
            Reading::Dates { unit: Unit::Clock, .. } => {
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

/// The number that a label is, `comma`: with a comma in place of the point.
pub(super) fn number(label: &str, comma: bool) -> Option<f64> {
    numbers::pointed(label, comma).parse().ok()
}

/// What is expected of days such as `310124`.
const FOUR_DIGITS: &str =
    "dates with a year of four digits, such as 2024-01-31, since those of six digits are in no order as numbers";

/// `5 March 2021 day first, 3 May 2021 month first`.
pub(super) fn readings(label: &str, orders: &[DateOrder]) -> String {
    let reading = |order: &DateOrder| {
        let time = label::read(label, *order, &mut Vec::new())?;
        Some(format!("{} {}", form::words(&time)?, order.words()))
    };
    orders.iter().filter_map(reading).collect::<Vec<_>>().join(", ")
}
