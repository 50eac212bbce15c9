//! Numbers as people read them.

use super::super::progress::{grouped, short};

/// `value` with so many digits after the point. From five digits on there are commas between the thousands: years have
/// four.
pub(super) fn decimal(value: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", value.abs());
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let whole = match whole.parse() {
        Ok(count) if whole.len() > 4 => grouped(count),
        _ => whole.to_owned(),
    };
    let sign =
        if value < 0.0 && text.contains(|digit: char| digit.is_ascii_digit() && digit != '0') { "−" } else { "" };
    match fraction {
        Some(fraction) => format!("{sign}{whole}.{fraction}"),
        None => format!("{sign}{whole}"),
    }
}

/// `mantissa`×10ⁿ, with so many digits after its point.
pub(super) fn scientific(mantissa: f64, digits: usize, exponent: i32) -> String {
    let raised = |character| match character {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        // The others follow each other.
        digit => char::from_u32('⁰' as u32 + digit as u32 - '0' as u32).unwrap_or(digit),
    };
    let exponent: String = exponent.to_string().chars().map(raised).collect();
    format!("{}×10{exponent}", decimal(mantissa, digits))
}

/// Four digits that matter.
pub(super) fn rounded(value: f64) -> String {
    short(value).replace('-', "−")
}

/// `part` of `whole` in percent, with a digit after the point. Neither what is not nothing becomes 0, nor what is not
/// all 100.
pub(super) fn percent(part: u64, whole: u64) -> String {
    share(part as f64 / whole.max(1) as f64)
}

/// A share from 0 to 1 likewise; that of nothing, NaN, is a dash.
pub(crate) fn share(share: f64) -> String {
    let tenths = (1000.0 * share).round();
    match tenths {
        0.0 if share > 0.0 => "<0.1%".into(),
        1000.0 if share < 1.0 => ">99.9%".into(),
        0.0 | 1000.0 => format!("{:.0}%", tenths / 10.0),
        _ if share.is_nan() => "–".into(),
        _ => format!("{:.1}%", tenths / 10.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_have_no_commas_and_large_numbers_have() {
        assert_eq!([1921.0, 12345.0, -1234567.5, -0.001].map(|v| decimal(v, 0)), ["1921", "12,345", "−1,234,568", "0"]);
        assert_eq!([scientific(-2.5, 1, -12), scientific(4.0, 0, 30)], ["−2.5×10⁻¹²", "4×10³⁰"]);
    }

    #[test]
    fn a_share_is_0_or_100_percent_only_where_it_is() {
        let shares = [(0, 7), (1, 9999), (1, 3), (9998, 9999), (7, 7), (0, 0)].map(|(part, all)| percent(part, all));
        assert_eq!(shares, ["0%", "<0.1%", "33.3%", ">99.9%", "100%", "0%"]);
        assert_eq!(share(f64::NAN), "–");
    }
}
