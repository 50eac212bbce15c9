//! Numbers with units of a network and of time.

/// Units of a bandwidth, with their bytes a second. Upper and lower case count: b is no byte.
const BANDWIDTHS: [(&str, f64); 15] = [
    ("bit", 0.125),
    ("kbit", 125.0),
    ("Mbit", 125e3),
    ("Gbit", 125e6),
    ("Tbit", 125e9),
    ("kbps", 125.0),
    ("Mbps", 125e3),
    ("Gbps", 125e6),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("B", 1.0),
];

/// Units of a time, with their seconds.
const TIMES: [(&str, f64); 7] =
    [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0)];

/// A finite number of at least 0, and what follows it.
fn number(text: &str) -> Option<(f64, &str)> {
    // An exponent's letter is none of the units'.
    let is_number = |(at, letter): &(usize, char)| {
        letter.is_ascii_digit() || *letter == '.' || matches!(letter, 'e' | 'E') && *at > 0 || {
            matches!(letter, '-' | '+') && text[..*at].ends_with(['e', 'E'])
        }
    };
    let end = text.char_indices().find(|found| !is_number(found)).map_or(text.len(), |(at, _)| at);
    let (digits, unit) = text.split_at(end);
    digits.parse::<f64>().ok().filter(|value| value.is_finite()).map(|value| (value, unit.trim_start()))
}

fn with_unit(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (value, unit) = number(text)?;
    units.iter().find(|(name, _)| *name == unit).map(|(_, size)| value * size).filter(|value| value.is_finite())
}

/// Bytes a second, above 0.
pub(crate) fn bandwidth(text: &str) -> Result<f64, String> {
    let per_second = text.strip_suffix("/s").unwrap_or(text);
    let value = with_unit(per_second, &BANDWIDTHS).filter(|value| *value > 0.0);
    value.ok_or_else(|| "expected a number above 0 with a unit a second, such as 10Gbit, 100Mbit or 1.2GB".into())
}

/// Seconds, at least 0. Without a unit they are seconds.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let plain = number(text).filter(|(_, unit)| unit.is_empty()).map(|(value, _)| value);
    let value = plain.or_else(|| with_unit(text, &TIMES));
    value.ok_or_else(|| "expected a number of at least 0 with a unit, such as 50us, 12ms or 1.5s".into())
}

/// The same, above 0.
pub(crate) fn duration(text: &str) -> Result<f64, String> {
    let value = seconds(text).ok().filter(|value| *value > 0.0);
    value.ok_or_else(|| "expected a number above 0 with a unit, such as 50us, 12ms or 1.5s".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bandwidth_has_bits_or_bytes_a_second() {
        for (text, bytes) in [
            ("1Gbit", 125e6),
            ("10 Gbit/s", 1.25e9),
            ("100Mbps", 12.5e6),
            ("1.5GB", 1.5e9),
            ("2MiB/s", 2_097_152.0),
            ("1e3kB", 1e6),
        ] {
            assert_eq!(bandwidth(text), Ok(bytes), "{text}");
        }
        for text in ["", "10", "0Gbit", "10Gb", "-1Gbit", "infGbit", "1e999GB", "Gbit", "10Gbit/m", "1.2.3GB", "NaNMB"]
        {
            assert!(bandwidth(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_has_a_unit_or_is_in_seconds() {
        for (text, value) in [("50us", 50e-6), ("50µs", 50e-6), ("12 ms", 12e-3), ("0.5", 0.5), ("2s", 2.0), ("0", 0.0)]
        {
            assert!(seconds(text).is_ok_and(|got| (got - value).abs() < 1e-15), "{text}: {:?}", seconds(text));
        }
        for text in ["", "ms", "-1s", "1h", "inf", "1e999s", "5 m s", "e3s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert!(duration("0ms").is_err() && duration("1ns").is_ok());
    }
}
