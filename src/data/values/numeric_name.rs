//! Numeric names: `1`, `1.0` and `+1` are equal, whichever file they are in.

use std::borrow::Cow;

/// The canonical form of a name: a number without redundant characters. `01` is not a number but a code, like a zip
/// code, and is unchanged; so is any other text.
pub(in crate::data) fn canonical(name: &str) -> Cow<'_, str> {
    if is_code(name) { Cow::Borrowed(name) } else { number(name) }
}

/// Like [`canonical`], without the leading zeros of a code: two names that are equal in this but not in the other are
/// one number written as two codes.
/// one number and two codes.
pub(in crate::data) fn value(name: &str) -> Cow<'_, str> {
    if !is_code(name) {
        return number(name);
    }
    let (sign, digits) = signed(name);
    let digits = digits.trim_start_matches('0');
    let whole = if digits.starts_with(|digit: char| digit.is_ascii_digit()) { "" } else { "0" };
    Cow::Owned(number(&format!("{sign}{whole}{digits}")).into_owned())
}

/// Whether there are leading zeros, which numbers do not have.
pub(in crate::data) fn is_code(name: &str) -> bool {
    let (_, digits) = signed(name);
    digits.strip_prefix('0').is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()))
        && digits.parse::<f64>().is_ok()
}

fn signed(name: &str) -> (&str, &str) {
    match name.strip_prefix(['-', '+']) {
        Some(digits) => (if name.starts_with('-') { "-" } else { "" }, digits),
        None => ("", name),
    }
}

fn number(name: &str) -> Cow<'_, str> {
    let (sign, digits) = signed(name);
    let begins = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let Some(value) = name.parse::<f64>().ok().filter(|value| begins && value.is_finite()) else {
        return Cow::Borrowed(name);
    };
    if digits.contains(['e', 'E']) {
        // Beyond this, f64 rounds whole numbers, and two could be equal.
        return if value.abs() < 9_007_199_254_740_992.0 {
            Cow::Owned((value + 0.0).to_string())
        } else {
            Cow::Borrowed(name)
        };
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, fraction) = (if whole.is_empty() { "0" } else { whole }, fraction.trim_end_matches('0'));
    let sign = if value == 0.0 { "" } else { sign };
    let point = if fraction.is_empty() { "" } else { "." };
    match format!("{sign}{whole}{point}{fraction}") {
        same if same == name => Cow::Borrowed(name),
        other => Cow::Owned(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_name_and_other_text_keeps_its_own() {
        for (written, name) in [
            ("1", "1"),
            ("1.0", "1"),
            ("+1", "1"),
            ("1.", "1"),
            ("1e0", "1"),
            ("2.0000000e+00", "2"),
            ("-1.50", "-1.5"),
            (".5", "0.5"),
            ("-0.0", "0"),
            ("0", "0"),
            ("0.10", "0.1"),
            ("100", "100"),
            ("9007199254740993", "9007199254740993"),
            ("9007199254740993.0", "9007199254740993"),
            ("01", "01"),
            ("007.0", "007.0"),
            ("1a", "1a"),
            ("", ""),
            ("inf", "inf"),
            ("NaN", "NaN"),
            ("+x", "+x"),
            ("1 2", "1 2"),
            ("läuft", "läuft"),
        ] {
            assert_eq!(canonical(written), name, "{written}");
        }
    }

    #[test]
    fn a_code_has_the_value_of_its_number() {
        for (code, number) in [("01", "1.0"), ("-007", "-7"), ("00", "0"), ("02134", "2134"), ("00.50", "0.5")] {
            assert!(is_code(code) && !is_code(number));
            assert_ne!(canonical(code), canonical(number), "{code}");
            assert_eq!(value(code), value(number), "{code}");
        }
        for other in ["0x1", "0", "0.5", "10", "00a", ""] {
            assert!(!is_code(other), "{other}");
            assert_eq!(value(other), canonical(other));
        }
    }
}
