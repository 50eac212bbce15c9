//! Numbers and sizes as people read them.

/// Four significant digits; a dash if there is no value.
pub fn short(value: f64) -> String {
    match value.abs() {
        size if size.is_nan() => "–".into(),
        0.0 => "0".into(),
        size if !(1e-4..1e5).contains(&size) => format!("{value:.2e}"),
        size => format!("{value:.*}", (3 - size.log10().floor() as i32).clamp(0, 6) as usize),
    }
}

/// 12,345.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}
/// Bytes in the largest binary unit with a whole number or at least 10.
pub fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let exponent = (count.max(1).ilog2() / 10) as usize;
    let value = count as f64 / (1u64 << (10 * exponent)) as f64;
    if value.fract() == 0.0 || value >= 100.0 {
        format!("{value:.0} {}", units[exponent])
    } else {
        format!("{value:.1} {}", units[exponent])
    }
}

/// `24 steps ahead`.
pub fn ahead(horizon: usize) -> String {
    match horizon {
        1 => "one step ahead".into(),
        _ => format!("{} steps ahead", grouped(horizon as u64)),
    }
}
