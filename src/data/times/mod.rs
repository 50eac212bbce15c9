//! A column of labels as times: numbers, or dates and times of day in the ways that people write them.

mod form;
mod gaps;
mod label;
mod numbers;
mod onward;
#[cfg(test)]
mod tests;
mod until;

pub use gaps::GapsInTime;
pub(super) use gaps::find as gaps_of;
pub use label::DateOrder;
use label::{Time, Unit};
use numbers::{Behind, season};
pub(super) use onward::beyond;
pub(super) use until::{Until, rows as rows_until};

use super::encoding::quoted;

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
    pub(super) reading: Reading,
    /// One for each label: later is higher.
    pub(super) keys: Vec<i128>,
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
    pub(super) fn words<S: AsRef<str>>(
        &self,
        labels: &[S],
        told: Option<DateOrder>,
    ) -> Option<(usize, String, String)> {
        let label = |row: usize| labels.get(row).map(AsRef::as_ref).unwrap_or_default();
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

/// A way of reading, and what it makes of each label.
struct Candidate {
    reading: Reading,
    keys: Vec<Option<i128>>,
    fits: usize,
    by_order: bool,
    short_year: Option<usize>,
}

impl Candidate {
    /// The keys of all, where it fits all.
    fn whole(&self) -> Option<Vec<i128>> {
        self.keys.iter().copied().collect()
    }

    fn order(&self) -> Option<DateOrder> {
        match self.reading {
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
    Order { of: &'a [usize] },
}

impl Purpose<'_> {
    /// Whether the rows are in the order of time as they are.
    fn ascends(self, keys: &[i128]) -> bool {
        match self {
            Self::Ascend => keys.is_sorted_by(|a, b| a < b),
            Self::Order { of } => {
                let mut last = vec![None; of.iter().max().map_or(0, |last| last + 1)];
                of.iter().zip(keys).all(|(of, key)| last[*of].replace(*key).is_none_or(|before| before < *key))
            }
        }
    }

    /// The last time of each sequence.
    fn lasts(self, keys: &[i128]) -> impl Iterator<Item = i128> {
        let mut last = std::collections::BTreeMap::new();
        for (row, key) in keys.iter().enumerate() {
            let of = match self {
                Self::Ascend => 0,
                Self::Order { of } => of.get(row).copied().unwrap_or(0),
            };
            last.insert(of, *key);
        }
        last.into_values()
    }

    /// The rows in the order of time, where that is all that is asked for.
    fn sorted(self, keys: &[i128]) -> Option<Vec<usize>> {
        let Self::Order { of } = self else { return None };
        let mut rows: Vec<usize> = (0..keys.len()).collect();
        rows.sort_by_key(|row| (of[*row], keys[*row]));
        Some(rows)
    }
}

/// Reads a column in the one way that suits it; without `told`, several that all do are asked about.
pub(super) fn read<S: AsRef<str>>(
    labels: &[S],
    told: Option<DateOrder>,
    purpose: Purpose<'_>,
) -> Result<Times, Trouble> {
    let Some(numbers) = numbers::all(labels) else { return Err(Trouble::Unknown) };
    let dates = match told {
        Some(told) => {
            let fits = dates(labels, Some(told));
            misfit(labels, told, fits.first(), purpose).map_or(Ok(fits), Err)?
        }
        None => dates(labels, None),
    };
    let numbers_too = numbers.fits == labels.len();
    let times = |candidate: &Candidate, order| {
        let keys = candidate.whole()?;
        let dates = matches!(candidate.reading, Reading::Dates { .. });
        let (reading, short_year) = (candidate.reading, candidate.short_year);
        Some(Times { reading, keys, order, short_year, numbers_too: numbers_too && dates })
    };
    let whole: Vec<&Candidate> = dates.iter().filter(|candidate| candidate.fits == labels.len()).collect();
    // Of `2008/09` and `2009/10` it is hardly chance that the years follow each other.
    let seasons = seasons(labels);
    if let Some(seasons) =
        seasons.filter(|of| whole.is_empty() || of.whole().is_some_and(|keys| purpose.ascends(&keys)))
    {
        return times(&seasons, None).ok_or(Trouble::Unknown);
    }
    let in_order = |candidate: &&Candidate| candidate.whole().is_some_and(|keys| purpose.ascends(&keys));
    let ascending: Vec<&Candidate> = whole.iter().copied().filter(in_order).collect();
    let ask = |of: &[&Candidate]| {
        let orders = of.iter().filter_map(|candidate| candidate.order()).collect();
        Trouble::Ask { row: labels.iter().position(|label| differs(label.as_ref())).unwrap_or(0), orders }
    };
    let mut makes_no_difference = false;
    let chosen = match (&whole[..], &ascending[..]) {
        (_, [one]) => Some(*one),
        ([], _) => None,
        ([first, second, ..], several) => {
            let several = if several.is_empty() { &whole } else { several };
            let sorted = |of: &&Candidate| of.whole().and_then(|keys| purpose.sorted(&keys));
            makes_no_difference = sorted(first).is_some() && several.iter().all(|of| sorted(of) == sorted(&several[0]));
            match purpose {
                _ if makes_no_difference => Some(several[0]),
                // None is in order: the one that is for longest tells best what is wrong.
                Purpose::Ascend if ascending.is_empty() => {
                    let rows = |of: &&Candidate| {
                        of.whole().map_or(0, |keys| keys.windows(2).take_while(|pair| pair[0] < pair[1]).count())
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
        return times(chosen, reason).ok_or(Trouble::Unknown);
    }
    if numbers_too {
        if numbers.whole().is_some_and(|keys| numbers::short_days(labels, &keys, purpose)) {
            return Err(Trouble::SixDigits { row: 0 });
        }
        return times(&numbers, None).ok_or(Trouble::Unknown);
    }
    // The most labels, of equals dates.
    let best = std::iter::once(&numbers).chain(dates.iter().rev()).max_by_key(|candidate| candidate.fits);
    let half = matches!(purpose, Purpose::Ascend).then_some(labels.len().div_ceil(2));
    if let Some(best) = best.filter(|best| best.fits > 0 && best.fits >= half.unwrap_or(1)) {
        let first = |fits: bool| best.keys.iter().position(|key| key.is_some() == fits).unwrap_or(0);
        let date = matches!(best.reading, Reading::Dates { .. });
        // `Jan-1` among `Jan-10` and `Jan-31` is no year, and then those are none.
        if let Some(behind) = Behind::all(labels, purpose).filter(|_| date && best.short_year.is_some()) {
            return times(&behind, None).ok_or(Trouble::Unknown);
        }
        return Err(Trouble::Odd { row: first(false), like: first(true), date });
    }
    Behind::all(labels, purpose).and_then(|behind| times(&behind, None)).ok_or(Trouble::Unknown)
}

/// That more labels are dates in another order than in the one that was told, whose candidate `found` is.
fn misfit<S: AsRef<str>>(
    labels: &[S],
    told: DateOrder,
    found: Option<&Candidate>,
    purpose: Purpose<'_>,
) -> Option<Trouble> {
    let fits = found.map_or(0, |of| of.fits);
    let enough = if matches!(purpose, Purpose::Ascend) { labels.len().div_ceil(2) } else { 1 };
    let better = |other: &Candidate| {
        let order = other.order().filter(|order| *order != told)?;
        (other.fits > fits && other.fits >= enough).then_some(())?;
        let read = |of: &Candidate, row: usize| of.keys.get(row).is_some_and(Option::is_some);
        let row = (0..labels.len()).find(|row| read(other, *row) && !found.is_some_and(|found| read(found, *row)))?;
        Some(Trouble::Told { row, told, other: order })
    };
    dates(labels, None).iter().find_map(better)
}

/// Every way to read the labels as dates that they tell apart: by the kind that most are of.
fn dates<S: AsRef<str>>(labels: &[S], told: Option<DateOrder>) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for order in DateOrder::ALL.into_iter().filter(|order| told.is_none_or(|told| told == *order)) {
        let mut parts = Vec::new();
        let mut all = |months| -> Vec<Option<Time>> {
            labels.iter().map(|label| label::read_of(label.as_ref(), order, months, &mut parts)).collect()
        };
        let mut times = all(true);
        // `1990:13` is no month, and then `1990:12` is none.
        if times.iter().flatten().any(|time| time.unit == Unit::Clock) {
            times = all(false);
        }
        let mut kinds: Vec<((Unit, bool), usize)> = Vec::new();
        for time in times.iter().flatten() {
            let kind = (time.unit, time.offset.is_some());
            match kinds.iter_mut().find(|(other, _)| *other == kind) {
                Some((_, count)) => *count += 1,
                None => kinds.push((kind, 1)),
            }
        }
        // Of equals the first.
        let Some(&((unit, zoned), fits)) = kinds.iter().rev().max_by_key(|(_, count)| *count) else { continue };
        let fitting = |time: &Option<Time>| time.filter(|time| (time.unit, time.offset.is_some()) == (unit, zoned));
        let by_order = times.iter().filter_map(fitting).any(|time| time.by_order);
        let short_year = times.iter().position(|time| fitting(time).is_some_and(|time| time.short_year));
        let all_read = times.iter().all(Option::is_some);
        let keys = times.iter().map(|time| fitting(time).map(|time| time.instant())).collect();
        // Where nothing goes by the order, all orders are the same.
        if candidates.is_empty() || by_order {
            candidates.push(Candidate {
                reading: Reading::Dates { unit, zoned, order },
                keys,
                fits,
                by_order,
                short_year,
            });
        }
        if all_read && !by_order {
            break;
        }
    }
    candidates
}

fn seasons<S: AsRef<str>>(labels: &[S]) -> Option<Candidate> {
    let keys: Option<Vec<i128>> = labels.iter().map(|label| season(label.as_ref()).map(i128::from)).collect();
    let keys: Vec<Option<i128>> = keys?.into_iter().map(Some).collect();
    let fits = keys.len();
    (fits > 0).then_some(Candidate { reading: Reading::Seasons, keys, fits, by_order: false, short_year: None })
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
fn only<S: AsRef<str>>(labels: &[S], dates: &[Candidate], chosen: &Candidate) -> Option<usize> {
    let others: Vec<&Candidate> = dates.iter().filter(|other| !std::ptr::eq(*other, chosen)).collect();
    let missing = |row: usize| others.iter().all(|other| other.keys.get(row).is_some_and(Option::is_none));
    match others.is_empty() {
        // No label at all could be read in them.
        true => (!labels.is_empty()).then_some(0),
        false => (0..labels.len()).find(|row| missing(*row)).or_else(|| {
            let any = |row: &usize| others.iter().any(|other| other.keys.get(*row).is_some_and(Option::is_none));
            (0..labels.len()).find(any)
        }),
    }
}

impl Times {
    /// The order of day and month, where it says anything.
    pub(super) fn date_order(&self) -> Option<DateOrder> {
        match (self.reading, self.order) {
            (Reading::Dates { order, .. }, Some(_)) => Some(order),
            _ => None,
        }
    }

    /// The same, but for an order that makes no difference: it tells nothing of other labels.
    #[cfg(feature = "cli")]
    pub(super) fn decisive_order(&self) -> Option<DateOrder> {
        self.date_order().filter(|_| self.order != Some(Reason::Alike))
    }

    /// The first row with a key.
    fn row_of(&self, key: Option<&i128>) -> usize {
        self.keys.iter().position(|of| Some(of) == key).unwrap_or(0)
    }

    /// Whether rows are the other way round, the newest first.
    pub(super) fn descends(&self) -> bool {
        self.keys.len() > 1 && self.keys.is_sorted_by(|a, b| a > b)
    }

    /// The first row whose time is not above the one before.
    pub(super) fn out_of_order(&self) -> Option<usize> {
        self.keys.windows(2).position(|pair| pair[1] <= pair[0]).map(|row| row + 1)
    }

    /// How labels were read that could be read otherwise, a sentence each.
    pub(super) fn notes<S: AsRef<str>>(&self, labels: &[S], name: &str) -> Vec<String> {
        let mut notes = Vec::new();
        let label = |row: usize| labels.get(row).map(AsRef::as_ref).unwrap_or_default();
        let in_words = |row: usize| {
            let Reading::Dates { order, .. } = self.reading else { return String::new() };
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
        match self.reading {
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
                let (first, last) = (self.row_of(self.keys.iter().min()), self.row_of(self.keys.iter().max()));
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
