//! Numbers as people read them.

use super::{grouped, short};

/// `value` with `digits` decimals. From five digits on, thousands are separated by commas: years have four.
pub(crate) fn decimal(value: f64, digits: usize) -> String {
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

/// `mantissa`×10ⁿ, with `digits` decimals.
pub(crate) fn scientific(mantissa: f64, digits: usize, exponent: i32) -> String {
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

/// Four significant digits.
pub(crate) fn rounded(value: f64) -> String {
    short(value).replace('-', "−")
}

/// `part` of `whole` in percent, with one decimal. Only 0 is printed as 0, and only all as 100.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    share(part as f64 / whole.max(1) as f64)
}

/// A share from 0 to 1, likewise; NaN is a dash.
pub fn share(share: f64) -> String {
    let tenths = (1000.0 * share).round();
    match tenths {
        0.0 if share > 0.0 => "<0.1%".into(),
        1000.0 if share < 1.0 => ">99.9%".into(),
        0.0 | 1000.0 => format!("{:.0}%", tenths / 10.0),
        _ if share.is_nan() => "–".into(),
        _ => format!("{:.1}%", tenths / 10.0),
    }
}

/// How much of a difference may be rounding, as a share of the level.
const ROUNDING: f64 = 4.0 * f64::EPSILON;

/// How the numbers of a column are printed so that their variation is visible, however large they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits {
    /// Decimals.
    places: usize,
    /// The power of ten, for numbers with many leading or trailing zeros.
    power: Option<i32>,
}

impl Digits {
    /// For `values`, which continue `before`: down to the first digit of the earlier steps, of which the median of the
    /// last 200 counts. The level does not: a series that moves by hundredths has hundredths, whatever its size. Values
    /// that are closer together than that get up to two digits more. Four significant digits without a step.
    pub fn of(before: &[f64], values: impl Iterator<Item = f64>) -> Self {
        let (mut least, mut greatest, mut level) = (f64::INFINITY, f64::NEG_INFINITY, 0.0_f64);
        for value in values.filter(|value| value.is_finite()) {
            (least, greatest, level) = (least.min(value), greatest.max(value), level.max(value.abs()));
        }
        let recent = &before[before.len().saturating_sub(200)..];
        let mut steps: Vec<f64> = recent.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
        // A difference of large numbers has the rounding of those.
        steps.retain(|step| *step > level * ROUNDING && step.is_finite());
        steps.sort_by(f64::total_cmp);
        // The position of the first digit: 0 for 1 to 9, 1 for 0.1 to 0.9.
        let first = |size: f64| -((size * (1.0 + 1e-6)).log10().floor() as i32);
        let lead = if level > 0.0 { first(level) } else { 0 };
        let step = steps.get(steps.len() / 2).map(|step| first(*step));
        let mut places = step.unwrap_or(lead + 3);
        if greatest > least {
            places = places.max(first(greatest - least).min(places + 2));
        }
        // The precision of f64.
        places = places.min(lead + 14);
        let power = (level > 0.0 && !(-15..=4).contains(&lead)).then_some(-lead);
        let places = if power.is_some() { places - lead } else { places };
        Self { places: usize::try_from(places).unwrap_or(0), power }
    }

    /// The value with the common number of digits.
    pub fn write(self, value: f64) -> String {
        let Self { places, power } = self;
        match power {
            Some(power) if value != 0.0 => format!("{:.places$}e{power}", value / 10_f64.powi(power)),
            Some(_) => "0".into(),
            None => format!("{value:.places$}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_have_commas_and_years_do_not() {
        assert_eq!([1921.0, 12345.0, -1234567.5, -0.001].map(|v| decimal(v, 0)), ["1921", "12,345", "−1,234,568", "0"]);
        assert_eq!([scientific(-2.5, 1, -12), scientific(4.0, 0, 30)], ["−2.5×10⁻¹²", "4×10³⁰"]);
    }

    #[test]
    fn only_exact_shares_print_as_0_or_100_percent() {
        let shares = [(0, 7), (1, 9999), (1, 3), (9998, 9999), (7, 7), (0, 0)].map(|(part, all)| percent(part, all));
        assert_eq!(shares, ["0%", "<0.1%", "33.3%", ">99.9%", "100%", "0%"]);
        assert_eq!(share(f64::NAN), "–");
    }

    #[test]
    fn digits_follow_the_variation_and_not_only_the_level() {
        let write = |before: &[f64], values: &[f64]| {
            let digits = Digits::of(before, values.iter().copied());
            values.iter().map(|value| digits.write(*value)).collect::<Vec<_>>()
        };
        // Hundredths at a level of a million, and whole numbers below steps of a thousand.
        assert_eq!(write(&[1e6, 1e6 + 0.01, 1e6 - 0.01], &[1e6 + 0.0172, 1e6 - 0.0449]), ["1000000.02", "999999.96"]);
        assert_eq!(write(&[5000.0, 6000.0, 4000.0], &[5123.456, 7000.1]), ["5123", "7000"]);
        assert_eq!(write(&[5.0, 1005.0, 5.0], &[5.25, 12.5]), ["5", "12"]);
        assert_eq!(write(&[100.0, 140.0, 90.0], &[101.26, 131.71]), ["101", "132"]);
        assert_eq!(write(&[371.1, 371.5], &[371.268, 371.9]), ["371.3", "371.9"]);
        assert_eq!(write(&[52_001.0, 53_000.0], &[52_345.6]), ["52346"]);
        assert_eq!(write(&[3.0e-9, 3.2e-9], &[3.14e-9, 3.05e-9]), ["3.14e-9", "3.05e-9"]);
        assert_eq!(write(&[1e20, 2e20], &[1.5e20, 0.0]), ["2e20", "0"]);
        // By the steps that were taken, however far apart forecasts are, and where they are all the same.
        assert_eq!(write(&[1.0852, 1.0853, 1.0851], &[1.0, 1.5]), ["1.0000", "1.5000"]);
        assert_eq!(write(&[1.0852, 1.0853, 1.0851], &[1.0852, 1.0852]), ["1.0852", "1.0852"]);
        // Forecasts closer together than the steps are told apart where that takes at most two digits.
        assert_eq!(write(&[1.0852, 1.0861, 1.0849], &[1.085_23, 1.086_08]), ["1.0852", "1.0861"]);
        assert_eq!(write(&[1.0, 1.5], &[1.2001, 1.2032]), ["1.200", "1.203"]);
        assert_eq!(write(&[1.0, 1.5], &[1.2, 1.200_000_001]), ["1.200", "1.200"]);
        // Rounding is no step.
        assert_eq!(write(&[0.3, 0.1 + 0.2, 0.3], &[0.3, 0.3]), ["0.3000", "0.3000"]);
        assert_eq!(write(&[5.0, 5.0], &[5.0, 5.0]), ["5.000", "5.000"]);
        assert_eq!(write(&[f64::NAN, 1.0], &[f64::NAN, 0.0]), ["NaN", "0.000"]);
        assert_eq!(write(&[], &[]), Vec::<String>::new());
    }
}
