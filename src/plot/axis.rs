//! The span of an axis and its ticks.

use crate::format::{decimal, scientific};

pub(super) struct Axis {
    pub(super) from: f64,
    pub(super) until: f64,
    pub(super) ticks: Vec<Tick>,
}

pub(super) struct Tick {
    pub(super) value: f64,
    pub(super) text: String,
}

/// The least and the greatest finite value, apart from each other: by `around` on either side where there is one alone.
pub(super) fn extent(values: impl Iterator<Item = f64>, around: impl Fn(f64) -> f64) -> (f64, f64) {
    // Beyond this a difference need not be finite.
    let finite = values.filter(|value| value.abs() < 1e300);
    let (from, until) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    // Closer than this, rounding shows in the ticks.
    let least = 1e-9 * from.abs().max(until.abs());
    match from <= until {
        true if until - from > least => (from, until),
        true => (from - around(from).max(least), until + around(until).max(least)),
        false => (0.0, 1.0),
    }
}

/// 1, 2 or 5 times a power of ten, so that at most `count` steps fit in `span`.
pub(super) fn round_step(span: f64, count: usize) -> f64 {
    let least = span / count as f64;
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= least * 0.999).unwrap_or(least)
}

/// The next smaller one of the steps that [`round_step`] knows.
fn finer(step: f64) -> f64 {
    let power = 10f64.powf((step.log10() + 1e-9).floor());
    // 5 goes to 2, not to 2.5.
    if step / power > 3.0 { 2.0 * power } else { step / 2.0 }
}

/// Fewer ticks than this tell neither where an axis is nor how it goes on: one alone could be of any scale.
fn least(count: usize) -> usize {
    count.clamp(1, 3)
}

/// At most about `count` ticks at multiples of a round step, which where the axis counts is at least 1; at least three,
/// or two where `count` is.
pub(super) fn round_ticks(from: f64, until: f64, count: usize, counts: bool) -> Vec<Tick> {
    let smallest = if counts { 1.0 } else { 0.0 };
    let mut step = round_step(until - from, count).max(smallest);
    let inside = |step: f64| (until / step + 1e-9).floor() - (from / step - 1e-9).ceil() + 1.0;
    while inside(step) < least(count) as f64 && finer(step) >= smallest && finer(step).is_normal() {
        step = finer(step);
    }
    let magnitude = |value: f64| (value.log10() + 1e-9).floor() as i32;
    let (fine, coarse) = (magnitude(step), magnitude(from.abs().max(until.abs())));
    let digits = (coarse - fine).clamp(0, 3) as usize;
    // Powers of ten shorten what is far from 1, unless its differences are in digits far behind.
    let raised = (coarse >= 6 || fine <= -5) && coarse - fine <= 3;
    let text = |value: f64| match value {
        0.0 => "0".into(),
        _ if raised => scientific(value / 10f64.powi(coarse), digits, coarse),
        _ => decimal(value, (-fine).max(0) as usize),
    };
    let multiples = (from / step - 1e-9).ceil() as i64..=(until / step + 1e-9).floor() as i64;
    let tick = |n: i64| Tick { value: n as f64 * step, text: text(n as f64 * step) };
    multiples.map(tick).collect()
}

/// At 1, 2 and 5 times the powers of ten, or at powers alone where that would be many, and where it would be too few as if
/// the axis were linear. `from` and `until` are logarithms.
pub(super) fn logarithmic_ticks(from: f64, until: f64, count: usize) -> Vec<Tick> {
    // Within half a power they are better told as if the axis were linear.
    if until - from < 0.5 {
        return round_ticks(10f64.powf(from), 10f64.powf(until), count, false);
    }
    let inside = |(factor, power): &(f64, i32)| {
        let place = factor.log10() + f64::from(*power);
        (from - 1e-9..=until + 1e-9).contains(&place) && (factor * 10f64.powi(*power)).is_normal()
    };
    let values = |factors: &'static [f64], every: i32| -> Vec<(f64, i32)> {
        let powers = (from.floor() as i32..=until.ceil() as i32).filter(|power| power % every == 0);
        powers.flat_map(|power| factors.iter().map(move |factor| (*factor, power))).filter(inside).collect()
    };
    let (powers, all): (&[f64], &[f64]) = (&[1.0], &[1.0, 2.0, 5.0]);
    let every = ((until - from) / count as f64).ceil().max(1.0) as i32;
    let candidates = if 3.0 * (until - from) > 1.5 * count as f64 {
        vec![values(powers, every), values(powers, 1), values(all, 1)]
    } else {
        vec![values(all, 1)]
    };
    let Some(values) = candidates.into_iter().find(|values| values.len() >= least(count)) else {
        return round_ticks(10f64.powf(from), 10f64.powf(until), count, false);
    };
    // All in the notation that the farthest from 1 needs.
    let plain = if values.iter().all(|(_, power)| (-4..=5).contains(power)) { -4..=5 } else { 0..=1 };
    let tick = |(factor, power): (f64, i32)| {
        let value = factor * 10f64.powi(power);
        let text = match power {
            _ if plain.contains(&power) => decimal(value, power.min(0).unsigned_abs() as usize),
            _ if factor == 1.0 => scientific(1.0, 0, power).replace("1×", ""),
            _ => scientific(factor, 0, power),
        };
        Tick { value, text }
    };
    values.into_iter().map(tick).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ticks: Vec<Tick>) -> Vec<String> {
        ticks.into_iter().map(|tick| tick.text).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let years = ["1930", "1940", "1950", "1960", "1970", "1980", "1990", "2000"];
        assert_eq!(texts(round_ticks(1921.0, 2008.0, 9, true)), years);
        assert_eq!(texts(round_ticks(-0.3, 0.31, 6, false)), ["−0.2", "0", "0.2"]);
        assert_eq!(texts(round_ticks(0.0, 2.0, 9, true)), ["0", "1", "2"]);
        assert_eq!(texts(round_ticks(0.0, 30_000.0, 4, false)), ["0", "10,000", "20,000", "30,000"]);
        assert_eq!(texts(logarithmic_ticks(-1.5, 0.1, 6)), ["0.05", "0.1", "0.2", "0.5", "1"]);
        assert_eq!(texts(logarithmic_ticks(-0.02, 0.1, 6)), ["1.0", "1.1", "1.2"]);
        assert_eq!(texts(logarithmic_ticks(-12.5, 6.0, 6)), ["10⁻¹²", "10⁻⁸", "10⁻⁴", "1", "10⁴"]);
    }

    #[test]
    fn every_span_has_two_or_three_ticks_and_few_more_than_there_is_room_for() {
        assert_eq!(texts(logarithmic_ticks(0.11, 0.64, 6)), ["2", "3", "4"]);
        assert_eq!(texts(round_ticks(2.1, 3.9, 2, false)), ["2.5", "3.0", "3.5"]);
        let spans = (1..400).map(|n| 0.013 * f64::from(n));
        for (span, from) in spans.flat_map(|span| [-7.77, -1.02, -0.31, 0.05, 3.3].map(|from| (span, from))) {
            for count in [2, 4, 6, 9] {
                let (linear, until) = (round_ticks(from, from + span, count, false), from + span);
                for ticks in [linear, logarithmic_ticks(from, until, count)] {
                    let n = ticks.len();
                    assert!(
                        (count.min(3)..=2 * count + 2).contains(&n),
                        "{from} to {until}, {count}: {:?}",
                        texts(ticks)
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_far_from_1_is_told_with_a_power_of_ten() {
        assert_eq!(texts(round_ticks(0.0, 4e7, 4, false)), ["0", "1×10⁷", "2×10⁷", "3×10⁷", "4×10⁷"]);
        assert_eq!(texts(round_ticks(0.0, 2.1e-5, 4, false)), ["0", "1×10⁻⁵", "2×10⁻⁵"]);
        assert_eq!(texts(round_ticks(1_000_001.0, 1_000_004.0, 2, false)), ["1,000,002", "1,000,004"]);
    }

    #[test]
    fn an_axis_has_a_span_whatever_the_values() {
        let around = |values: &[f64]| extent(values.iter().copied(), |_| 0.5);
        assert_eq!(around(&[]), (0.0, 1.0));
        assert_eq!(around(&[f64::NAN, f64::INFINITY]), (0.0, 1.0));
        assert_eq!(around(&[2.0]), (1.5, 2.5));
        let (from, until) = around(&[1e17, 1e17, f64::MAX]);
        assert!(from < 1e17 && 1e17 < until && until.is_finite());
    }
}
