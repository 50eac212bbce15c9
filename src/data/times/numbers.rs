//! Labels that are numbers, alone or among the same words, and pairs of years.

use std::borrow::Cow;

use jiff::civil::Date;

use super::{Candidate, Purpose, Reading, Texts, Way};

/// The labels as numbers; `None` where there is no label.
pub(super) fn all<L: Texts + ?Sized>(labels: &L) -> Option<Candidate> {
    if labels.len() == 0 {
        return None;
    }
    let comma = have_commas(labels);
    let decimals = labels.iter().map(|label| decimals(&pointed(label, comma))).max().unwrap_or(0);
    let exact = Way::new(Reading::Numbers { decimals: Some(decimals), comma });
    if exact.keys(labels).all(|key| key.is_some()) {
        return Some(Candidate::of(exact, labels.len()));
    }
    let way = Way::new(Reading::Numbers { decimals: None, comma });
    Some(Candidate::of(way, way.keys(labels).flatten().count()))
}

/// The labels as pairs of years, where all are.
pub(super) fn seasons<L: Texts + ?Sized>(labels: &L) -> Option<Candidate> {
    let fits = labels.len();
    let all = fits > 0 && labels.iter().all(|label| season(label).is_some());
    all.then(|| Candidate::of(Way::new(Reading::Seasons), fits))
}

/// The digits before and behind the comma of a number that has one.
fn at_comma(label: &str) -> Option<(&str, &str)> {
    let label = label.trim();
    let (whole, fraction) = label.strip_prefix(['-', '+']).unwrap_or(label).split_once(',')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(whole) && digits(fraction)).then_some((whole, fraction))
}

/// Whether the numbers have decimal commas: some have one, and none a point. Where each comma could stand between thousands
/// and some labels have none, as in `999`, `1,000`, nothing tells.
fn have_commas<L: Texts + ?Sized>(labels: &L) -> bool {
    let thousands =
        |(whole, fraction): (&str, &str)| fraction.len() == 3 && whole.len() <= 3 && !whole.starts_with('0');
    let mut found = labels.iter().filter_map(at_comma).peekable();
    found.peek().is_some()
        && !labels.iter().any(|label| label.contains('.') && float(label).is_some())
        && (!found.all(thousands) || labels.iter().all(|label| at_comma(label).is_some()))
}

/// A number with a point in place of its comma, where `comma` says that numbers have commas; other text as it is.
pub(super) fn pointed(label: &str, comma: bool) -> Cow<'_, str> {
    match comma && at_comma(label).is_some() {
        true => label.trim().replace(',', ".").into(),
        false => label.trim().into(),
    }
}

/// Whether labels of six digits are days such as `310124`, written day first or month first: as numbers they are in no
/// order of time.
pub(super) fn short_days<L: Texts + ?Sized>(labels: &L, numbers: Way, purpose: Purpose<'_>) -> bool {
    let six = |label: &str| label.trim().len() == 6;
    if !labels.iter().all(six) || purpose.ascends(numbers.keys(labels).flatten()) {
        return false;
    }
    let key = |label: &str, month_first: bool| {
        let number = |at: usize| label.trim().get(at..at + 2)?.parse::<i8>().ok();
        let (first, second) = (number(0)?, number(2)?);
        let (month, day) = if month_first { (first, second) } else { (second, first) };
        let year = 2000 + i16::from(number(4)?);
        Date::new(year, month, day).ok().map(|_| (i128::from(year) * 12 + i128::from(month)) * 31 + i128::from(day))
    };
    // A number would not have a zero before it.
    let zero = labels.iter().any(|label| label.trim().starts_with('0'));
    [false, true].into_iter().any(|month_first| {
        let keys = || labels.iter().map(|label| key(label, month_first));
        keys().all(|key| key.is_some()) && (zero || purpose.ascends(keys().flatten()))
    })
}

/// A finite number.
pub(super) fn float(label: &str) -> Option<f64> {
    label.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Of the same order as the numbers.
pub(super) fn exact(number: f64) -> i128 {
    let bits = (number + 0.0).to_bits();
    let magnitude = i128::from(bits & !(1 << 63));
    if bits >> 63 == 1 { -magnitude } else { magnitude }
}

/// Digits with zeros before them, up to a width that may come from a file: a format's would panic beyond 65,535.
pub(super) fn zeros_before(digits: &str, width: usize) -> String {
    "0".repeat(width.saturating_sub(digits.len())) + digits
}

/// Digits behind the point.
pub(super) fn decimals(label: &str) -> usize {
    label.split_once('.').map_or(0, |(_, digits)| digits.len())
}

/// A decimal number times 10^decimals; `None` also for one with leading zeros, which the next would not have.
pub(super) fn fixed_point(label: &str, decimals: usize) -> Option<i128> {
    let (sign, digits) = label.strip_prefix('-').map_or((1, label), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let long = whole.len() + decimals > 30;
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) || long || !plain(whole) || !plain(fraction) {
        return None;
    }
    Some(sign * times_power(whole, fraction, decimals)?)
}

/// The number of digits before a point and behind it, times 10^decimals, or what more there are behind it.
fn times_power(whole: &str, fraction: &str, decimals: usize) -> Option<i128> {
    let digit = |number: i128, byte: u8| {
        let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    };
    let zeros = u32::try_from(decimals.saturating_sub(fraction.len())).ok()?;
    let number = whole.bytes().chain(fraction.bytes()).try_fold(0, digit)?;
    number.checked_mul(10_i128.checked_pow(zeros)?)
}

/// As [`fixed_point`] has it, as text.
pub(super) fn write_fixed(number: i128, decimals: usize) -> String {
    let digits = zeros_before(&number.unsigned_abs().to_string(), decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let (sign, point) = (if number < 0 { "-" } else { "" }, if decimals > 0 { "." } else { "" });
    format!("{sign}{whole}{point}{fraction}")
}

/// The first of two years that follow each other: `2019/20`, `2019-2020`.
pub(super) fn season(label: &str) -> Option<i32> {
    let (first, second) = label.trim().split_once(['/', '-', '–'])?;
    let year = |text: &str| -> Option<i32> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
    };
    let (start, end) = (year(first)?, year(second)?);
    let follows = match second.len() {
        4 => end == start + 1,
        2 => end == (start + 1) % 100,
        _ => false,
    };
    (first.len() == 4 && follows).then_some(start)
}

/// A number, and what stands around it.
pub(super) struct Behind<'a> {
    pub(super) before: &'a str,
    pub(super) digits: &'a str,
    pub(super) after: &'a str,
}

impl<'a> Behind<'a> {
    /// The last number of a label that has more than it; not what is behind another number and a sign that may be of one
    /// number with it, as in `0,05`, `1 000` or `2.10.1`.
    pub(super) fn split(label: &'a str) -> Option<Self> {
        let label = label.trim();
        let end = label.rfind(|c: char| c.is_ascii_digit())? + 1;
        let run = |end: usize| end - label[..end].bytes().rev().take_while(u8::is_ascii_digit).count();
        let mut begin = run(end);
        if label[..begin].ends_with('.') && run(begin - 1) < begin - 1 {
            begin = run(begin - 1);
        }
        let behind = Self { before: &label[..begin], digits: &label[begin..end], after: &label[end..] };
        let sign = |c: char| matches!(c, ',' | '.' | '\'' | '\u{2019}' | '_') || c.is_whitespace();
        if behind.before.strip_suffix(sign).is_some_and(|rest| rest.ends_with(|c: char| c.is_ascii_digit())) {
            return None;
        }
        (!behind.before.is_empty() || !behind.after.is_empty()).then_some(behind)
    }

    /// The labels where all have the same around their numbers.
    pub(super) fn all<L: Texts + ?Sized>(labels: &'a L, purpose: Purpose<'_>) -> Option<Candidate> {
        let first = Self::split(labels.iter().next()?)?;
        let of_all = || labels.iter().map(Self::split);
        let decimals = of_all().try_fold(0, |most, behind| Some(decimals(behind?.digits).max(most)))?;
        let alike = |behind: &Self| behind.before == first.before && behind.after == first.after;
        let number = |behind: Self| behind.number(decimals).filter(|_| alike(&behind));
        if !of_all().all(|behind| behind.and_then(number).is_some()) {
            return None;
        }
        let way = Way::new(Reading::Behind { decimals });
        // `t-3`, `t-2`, `t-1` count upwards; `Week-3`, `Week-2`, `Week-1` are the newest first.
        let letter = first.before.strip_suffix(['-', '−']).is_some_and(|word| {
            let mut letters = word.chars();
            word.eq_ignore_ascii_case("lag")
                || (letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none())
        });
        let back = Way { back: true, ..way };
        let now = -(10_i128.checked_pow(u32::try_from(decimals).ok()?)?);
        let counts_back = letter && labels.len() > 1 && {
            let lasts = purpose.ascend_to(back.keys(labels).flatten());
            lasts.is_some_and(|lasts| lasts.iter().all(|last| (now..=0).contains(last)))
        };
        Some(Candidate::of(if counts_back { back } else { way }, labels.len()))
    }

    /// Times 10^decimals.
    pub(super) fn number(&self, decimals: usize) -> Option<i128> {
        let (whole, fraction) = self.digits.split_once('.').unwrap_or((self.digits, ""));
        (whole.len() + decimals <= 30).then(|| times_power(whole, fraction, decimals)).flatten()
    }
}
