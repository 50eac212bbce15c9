//! Labels that are numbers, alone or among the same words, and pairs of years.

use super::{Candidate, Reading};

/// The labels as numbers; `None` where there is no label.
pub(super) fn all<S: AsRef<str>>(labels: &[S]) -> Option<Candidate> {
    if labels.is_empty() {
        return None;
    }
    let text = |label: &S| label.as_ref().trim().to_owned();
    let decimals = labels.iter().map(|label| decimals(label.as_ref().trim())).max().unwrap_or(0);
    let exact: Option<Vec<Option<i128>>> =
        labels.iter().map(|label| fixed_point(&text(label), decimals).map(Some)).collect();
    let candidate = |decimals, keys: Vec<Option<i128>>| Candidate {
        reading: Reading::Numbers { decimals },
        fits: keys.iter().flatten().count(),
        keys,
        by_order: false,
        short_year: None,
    };
    Some(match exact {
        Some(keys) => candidate(Some(decimals), keys),
        None => candidate(None, labels.iter().map(|label| float(label.as_ref()).map(key)).collect()),
    })
}

/// A finite number.
pub(super) fn float(label: &str) -> Option<f64> {
    label.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Of the same order as the numbers.
fn key(number: f64) -> i128 {
    let bits = (number + 0.0).to_bits();
    let magnitude = i128::from(bits & !(1 << 63));
    if bits >> 63 == 1 { -magnitude } else { magnitude }
}

/// Digits behind the point.
pub(super) fn decimals(label: &str) -> usize {
    label.split_once('.').map_or(0, |(_, digits)| digits.len())
}

/// A decimal number times 10^decimals; `None` also for one with leading zeros, which the next would not have.
pub(super) fn fixed_point(label: &str, decimals: usize) -> Option<i128> {
    let (sign, digits) = label.strip_prefix('-').map_or(("", label), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let long = whole.len() + decimals > 30;
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) || long || !plain(whole) || !plain(fraction) {
        return None;
    }
    format!("{sign}{whole}{fraction:0<decimals$}").parse().ok()
}

/// As [`fixed_point`] has it, as text.
pub(super) fn write_fixed(number: i128, decimals: usize) -> String {
    let digits = format!("{:0width$}", number.unsigned_abs(), width = decimals + 1);
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
    /// The last number of a label that has more than it.
    pub(super) fn split(label: &'a str) -> Option<Self> {
        let label = label.trim();
        let end = label.rfind(|c: char| c.is_ascii_digit())? + 1;
        let run = |end: usize| end - label[..end].bytes().rev().take_while(u8::is_ascii_digit).count();
        let mut begin = run(end);
        if label[..begin].ends_with('.') && run(begin - 1) < begin - 1 {
            begin = run(begin - 1);
        }
        let behind = Self { before: &label[..begin], digits: &label[begin..end], after: &label[end..] };
        (!behind.before.is_empty() || !behind.after.is_empty()).then_some(behind)
    }

    /// The labels where all have the same around their numbers.
    pub(super) fn all<S: AsRef<str>>(labels: &'a [S]) -> Option<Candidate> {
        let all: Vec<Self> = labels.iter().map(|label| Self::split(label.as_ref())).collect::<Option<_>>()?;
        let first = all.first()?;
        let decimals = all.iter().map(|behind| decimals(behind.digits)).max()?;
        let alike = |behind: &Self| behind.before == first.before && behind.after == first.after;
        let number = |behind: &Self| behind.number(decimals).filter(|_| alike(behind)).map(Some);
        let mut keys: Vec<Option<i128>> = all.iter().map(number).collect::<Option<_>>()?;
        // `t-3`, `t-2`, `t-1` count upwards.
        if first.before.ends_with(['-', '−']) && keys.len() > 1 && keys.is_sorted_by(|a, b| a > b) {
            keys.iter_mut().flatten().for_each(|key| *key = -*key);
        }
        let fits = keys.len();
        Some(Candidate { reading: Reading::Behind { decimals }, keys, fits, by_order: false, short_year: None })
    }

    fn number(&self, decimals: usize) -> Option<i128> {
        let (whole, fraction) = self.digits.split_once('.').unwrap_or((self.digits, ""));
        (whole.len() + decimals <= 30).then(|| format!("{whole}{fraction:0<decimals$}").parse().ok()).flatten()
    }
}
