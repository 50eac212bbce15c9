//! Columns of numbers, alone or within constant words, and of pairs of years.

use jiff::civil::Date;

use super::candidate::Candidate;
use super::row_groups::RowGroups;
use crate::data::times::label::numbers::{NumberInWords, at_comma, decimals, float, pointed, season};
use crate::data::times::label::{LabelReader, Reading, Texts};

/// The labels as numbers; `None` if there is no label.
pub(super) fn all<L: Texts + ?Sized>(labels: &L) -> Option<Candidate> {
    if labels.len() == 0 {
        return None;
    }
    let comma = have_commas(labels);
    let decimals = labels.iter().map(|label| decimals(&pointed(label, comma))).max().unwrap_or(0);
    let exact = LabelReader::new(Reading::Numbers { decimals: Some(decimals), comma });
    if exact.keys(labels).all(|key| key.is_some()) {
        return Some(Candidate::of(exact, labels.len()));
    }
    let reader = LabelReader::new(Reading::Numbers { decimals: None, comma });
    Some(Candidate::of(reader, reader.keys(labels).flatten().count()))
}

/// The labels as pairs of years, if all are.
pub(super) fn seasons<L: Texts + ?Sized>(labels: &L) -> Option<Candidate> {
    let fits = labels.len();
    let all = fits > 0 && labels.iter().all(|label| season(label).is_some());
    all.then(|| Candidate::of(LabelReader::new(Reading::Seasons), fits))
}

/// The labels, if all have the same text around their numbers.
pub(super) fn embedded<L: Texts + ?Sized>(labels: &L, groups: RowGroups<'_>) -> Option<Candidate> {
    let first = NumberInWords::split(labels.iter().next()?)?;
    let of_all = || labels.iter().map(NumberInWords::split);
    let decimals = of_all().try_fold(0, |most, behind| Some(decimals(behind?.digits).max(most)))?;
    let alike = |behind: &NumberInWords<'_>| behind.before == first.before && behind.after == first.after;
    let number = |behind: NumberInWords<'_>| behind.number(decimals).filter(|_| alike(&behind));
    if !of_all().all(|behind| behind.and_then(number).is_some()) {
        return None;
    }
    let reader = LabelReader::new(Reading::NumberInWords { decimals });
    // `t-3`, `t-2`, `t-1` count upwards; `Week-3`, `Week-2`, `Week-1` start with the newest.
    let letter = first.before.strip_suffix(['-', '−']).is_some_and(|word| {
        let mut letters = word.chars();
        word.eq_ignore_ascii_case("lag")
            || (letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none())
    });
    let back = LabelReader { back: true, ..reader };
    let now = -(10_i128.checked_pow(u32::try_from(decimals).ok()?)?);
    let counts_back = letter && labels.len() > 1 && {
        let lasts = groups.last_times(back.keys(labels).flatten());
        lasts.is_some_and(|lasts| lasts.iter().all(|last| (now..=0).contains(last)))
    };
    Some(Candidate::of(if counts_back { back } else { reader }, labels.len()))
}

/// Whether the numbers have decimal commas: some have one, and none a point. If each comma could separate thousands and
/// some labels have none, as in `999`, `1,000`, they are not decimal commas.
fn have_commas<L: Texts + ?Sized>(labels: &L) -> bool {
    let thousands =
        |(whole, fraction): (&str, &str)| fraction.len() == 3 && whole.len() <= 3 && !whole.starts_with('0');
    let mut found = labels.iter().filter_map(at_comma).peekable();
    found.peek().is_some()
        && !labels.iter().any(|label| label.contains('.') && float(label).is_some())
        && (!found.all(thousands) || labels.iter().all(|label| at_comma(label).is_some()))
}

/// Whether six-digit labels are days such as `310124`, day first or month first: as numbers they are not in time order.
pub(super) fn short_days<L: Texts + ?Sized>(labels: &L, numbers: LabelReader, groups: RowGroups<'_>) -> bool {
    let six = |label: &str| label.trim().len() == 6;
    if !labels.iter().all(six) || groups.ascends(numbers.keys(labels).flatten()) {
        return false;
    }
    let key = |label: &str, month_first: bool| {
        let number = |at: usize| label.trim().get(at..at + 2)?.parse::<i8>().ok();
        let (first, second) = (number(0)?, number(2)?);
        let (month, day) = if month_first { (first, second) } else { (second, first) };
        let year = 2000 + i16::from(number(4)?);
        Date::new(year, month, day).ok().map(|_| (i128::from(year) * 12 + i128::from(month)) * 31 + i128::from(day))
    };
    // A number would not have a leading zero.
    let zero = labels.iter().any(|label| label.trim().starts_with('0'));
    [false, true].into_iter().any(|month_first| {
        let keys = || labels.iter().map(|label| key(label, month_first));
        keys().all(|key| key.is_some()) && (zero || groups.ascends(keys().flatten()))
    })
}
