//! Labels that are numbers, alone or within words, and pairs of years.

use std::borrow::Cow;

/// The digits before and after the decimal comma of a number.
pub(in crate::data) fn at_comma(label: &str) -> Option<(&str, &str)> {
    let label = label.trim();
    let (whole, fraction) = label.strip_prefix(['-', '+']).unwrap_or(label).split_once(',')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(whole) && digits(fraction)).then_some((whole, fraction))
}

/// A number with its decimal comma replaced by a point, if `comma` is set; other text unchanged.
pub(in crate::data) fn pointed(label: &str, comma: bool) -> Cow<'_, str> {
    if comma && at_comma(label).is_some() { label.trim().replace(',', ".").into() } else { label.trim().into() }
}

/// A finite number.
pub(in crate::data) fn float(label: &str) -> Option<f64> {
    label.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// An integer that sorts like the number.
pub(super) fn exact(number: f64) -> i128 {
    let bits = (number + 0.0).to_bits();
    let magnitude = i128::from(bits & !(1 << 63));
    if bits >> 63 == 1 { -magnitude } else { magnitude }
}

/// Digits with leading zeros, up to a width that may come from a file: the width of a format would panic beyond 65,535.
pub(in crate::data) fn zeros_before(digits: &str, width: usize) -> String {
    "0".repeat(width.saturating_sub(digits.len())) + digits
}

/// The number of decimals.
pub(in crate::data) fn decimals(label: &str) -> usize {
    label.split_once('.').map_or(0, |(_, digits)| digits.len())
}

/// A decimal number times 10^decimals; `None` also for one with leading zeros, which the next would not have.
pub(in crate::data) fn fixed_point(label: &str, decimals: usize) -> Option<i128> {
    let (sign, digits) = label.strip_prefix('-').map_or((1, label), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let long = whole.len() + decimals > 30;
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) || long || !plain(whole) || !plain(fraction) {
        return None;
    }
    Some(sign * times_power(whole, fraction, decimals)?)
}

/// The number of digits before and after a point, and the value times 10^decimals, or the excess digits.
fn times_power(whole: &str, fraction: &str, decimals: usize) -> Option<i128> {
    let digit = |number: i128, byte: u8| {
        let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    };
    let zeros = u32::try_from(decimals.saturating_sub(fraction.len())).ok()?;
    let number = whole.bytes().chain(fraction.bytes()).try_fold(0, digit)?;
    number.checked_mul(10_i128.checked_pow(zeros)?)
}

/// Like [`fixed_point`], as text.
pub(in crate::data) fn write_fixed(number: i128, decimals: usize) -> String {
    let digits = zeros_before(&number.unsigned_abs().to_string(), decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let (sign, point) = (if number < 0 { "-" } else { "" }, if decimals > 0 { "." } else { "" });
    format!("{sign}{whole}{point}{fraction}")
}

/// The first of two consecutive years: `2019/20`, `2019-2020`.
pub(in crate::data) fn season(label: &str) -> Option<i32> {
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

/// A number, and the text around it.
pub(in crate::data) struct NumberInWords<'a> {
    pub(in crate::data) before: &'a str,
    pub(in crate::data) digits: &'a str,
    pub(in crate::data) after: &'a str,
}

impl<'a> NumberInWords<'a> {
    /// The last number in a label with other text; not one after another number and a sign that may belong to the same
    /// number, as in `0,05`, `1 000` or `2.10.1`.
    pub(in crate::data) fn split(label: &'a str) -> Option<Self> {
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

    /// Times 10^decimals.
    pub(in crate::data) fn number(&self, decimals: usize) -> Option<i128> {
        let (whole, fraction) = self.digits.split_once('.').unwrap_or((self.digits, ""));
        (whole.len() + decimals <= 30).then(|| times_power(whole, fraction, decimals)).flatten()
    }
}

/// The number that a label is; `comma`: with a decimal comma.
pub(in crate::data) fn number(label: &str, comma: bool) -> Option<f64> {
    pointed(label, comma).parse().ok()
}
