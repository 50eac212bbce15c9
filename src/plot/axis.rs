//! Axes: their range, scale and ticks.

use super::drawing::{TEXT_SIZE, fitted};
use crate::format::{decimal, scientific};

/// The scale of an axis and its ticks.
#[derive(Default)]
pub(super) enum Scale {
    #[default]
    Linear,
    /// Linear, with ticks at whole numbers only.
    Whole,
    Logarithmic,
    /// The numbers of rows, shown as their labels.
    Rows(Vec<String>),
    /// Intervals of 1 from 0 on, each with a name. On a y axis the first is at the top.
    Names(Vec<String>),
    /// Linear, with this range and these ticks.
    Fixed([f64; 2], Vec<Tick>),
}

impl Scale {
    /// About `count` ticks in ascending order. Labels of rows are shortened to `width` pixels.
    pub(super) fn ticks(&self, from: f64, until: f64, count: usize, width: f64) -> Vec<Tick> {
        match self {
            Self::Linear => round_ticks(from, until, count, 0.0),
            Self::Whole => round_ticks(from, until, count, 1.0),
            Self::Logarithmic => logarithmic_ticks(from, until, count),
            Self::Rows(labels) => labelled_ticks(labels, from, until, count, width),
            Self::Names(names) => {
                let tick = |(index, name): (usize, &String)| Tick { value: index as f64 + 0.5, text: name.clone() };
                names.iter().enumerate().map(tick).collect()
            }
            Self::Fixed(_, ticks) => ticks.clone(),
        }
    }
}

/// An axis with its range.
pub(super) struct Axis {
    /// The values at its two ends; of a reversed axis the greater comes first. On a logarithmic axis the logarithms of
    /// the values.
    pub(super) ends: [f64; 2],
    pub(super) is_logarithmic: bool,
    pub(super) ticks: Vec<Tick>,
}

#[derive(Clone)]
pub(super) struct Tick {
    pub(super) value: f64,
    pub(super) text: String,
}

impl Axis {
    /// Where a value lies between the ends: 0 at the first, 1 at the second. Not finite where a logarithm would not be.
    pub(super) fn position(&self, value: f64) -> f64 {
        let value = if self.is_logarithmic { value.log10() } else { value };
        (value - self.ends[0]) / (self.ends[1] - self.ends[0])
    }
}

/// The least and the greatest finite value; a single value is widened by `margin` on both sides.
pub(super) fn extent(values: impl Iterator<Item = f64>, margin: impl Fn(f64) -> f64) -> (f64, f64) {
    // The difference of larger values may not be finite.
    let finite = values.filter(|value| value.abs() < 1e300);
    let (from, until) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    // Ticks that are closer show rounding errors.
    let least = 1e-9 * from.abs().max(until.abs());
    if from > until {
        (0.0, 1.0)
    } else if until - from > least {
        (from, until)
    } else {
        (from - margin(from).max(least), until + margin(until).max(least))
    }
}

/// The least of 1, 2 and 5 times the powers of ten of which at most `count` fit in `span`.
pub(super) fn round_step(span: f64, count: usize) -> f64 {
    let least = span / count as f64;
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= least * 0.999).unwrap_or(least)
}

/// The next smaller round step.
fn finer(step: f64) -> f64 {
    let power = 10f64.powf((step.log10() + 1e-9).floor());
    // 5 goes to 2, not to 2.5.
    if step / power > 3.0 { 2.0 * power } else { step / 2.0 }
}

/// The least number of ticks that show the scale of an axis with room for `count`.
fn least(count: usize) -> usize {
    count.clamp(1, 3)
}

/// About `count` ticks at multiples of a round step of at least `smallest`, and no fewer than three (or `count`) where
/// the step allows.
fn round_ticks(from: f64, until: f64, count: usize, smallest: f64) -> Vec<Tick> {
    let mut step = round_step(until - from, count).max(smallest);
    let inside = |step: f64| (until / step + 1e-9).floor() - (from / step - 1e-9).ceil() + 1.0;
    while inside(step) < least(count) as f64 && finer(step) >= smallest && finer(step).is_normal() {
        step = finer(step);
    }
    let magnitude = |value: f64| (value.log10() + 1e-9).floor() as i32;
    let (fine, coarse) = (magnitude(step), magnitude(from.abs().max(until.abs())));
    let digits = (coarse - fine).clamp(0, 3) as usize;
    // Numbers far from 1 are shorter with a power of ten, unless the ticks differ in a late digit.
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

/// About `count` ticks at 1, 2 and 5 times the powers of ten, or at powers only where those would be too many. Where
/// they would be too few, those of a linear axis. `from` and `until` are logarithms.
fn logarithmic_ticks(from: f64, until: f64, count: usize) -> Vec<Tick> {
    if until - from < 0.5 {
        return round_ticks(10f64.powf(from), 10f64.powf(until), count, 0.0);
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
        return round_ticks(10f64.powf(from), 10f64.powf(until), count, 0.0);
    };
    // All in one notation, the one that the value farthest from 1 needs.
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

/// About `count` ticks with labels at round row numbers, or at both ends where there are none between. Labels are
/// shortened to `width` pixels.
fn labelled_ticks(labels: &[String], from: f64, until: f64, count: usize, width: f64) -> Vec<Tick> {
    let step = round_step(until - from, count).max(1.0);
    let tick = |row: f64| Some(Tick { value: row.floor(), text: fitted(labels.get(row as usize)?, width, TEXT_SIZE) });
    let rows = (from / step).ceil() as usize..=(until / step).floor() as usize;
    let ticks: Vec<Tick> = rows.filter_map(|n| tick(n as f64 * step)).collect();
    if ticks.len() > 1 { ticks } else { [from.ceil(), until.floor()].into_iter().filter_map(tick).collect() }
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
        assert_eq!(texts(round_ticks(1921.0, 2008.0, 9, 1.0)), years);
        assert_eq!(texts(round_ticks(-0.3, 0.31, 6, 0.0)), ["−0.2", "0", "0.2"]);
        assert_eq!(texts(round_ticks(0.0, 2.0, 9, 1.0)), ["0", "1", "2"]);
        assert_eq!(texts(round_ticks(0.0, 30_000.0, 4, 0.0)), ["0", "10,000", "20,000", "30,000"]);
        assert_eq!(texts(logarithmic_ticks(-1.5, 0.1, 6)), ["0.05", "0.1", "0.2", "0.5", "1"]);
        assert_eq!(texts(logarithmic_ticks(-0.02, 0.1, 6)), ["1.0", "1.1", "1.2"]);
        assert_eq!(texts(logarithmic_ticks(-12.5, 6.0, 6)), ["10⁻¹²", "10⁻⁸", "10⁻⁴", "1", "10⁴"]);
    }

    #[test]
    fn every_span_has_two_or_three_ticks_and_few_more_than_there_is_room_for() {
        assert_eq!(texts(logarithmic_ticks(0.11, 0.64, 6)), ["2", "3", "4"]);
        assert_eq!(texts(round_ticks(2.1, 3.9, 2, 0.0)), ["2.5", "3.0", "3.5"]);
        let spans = (1..400).map(|n| 0.013 * f64::from(n));
        for (span, from) in spans.flat_map(|span| [-7.77, -1.02, -0.31, 0.05, 3.3].map(|from| (span, from))) {
            for count in [2, 4, 6, 9] {
                let (linear, until) = (round_ticks(from, from + span, count, 0.0), from + span);
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
    fn numbers_far_from_1_have_a_power_of_ten() {
        assert_eq!(texts(round_ticks(0.0, 4e7, 4, 0.0)), ["0", "1×10⁷", "2×10⁷", "3×10⁷", "4×10⁷"]);
        assert_eq!(texts(round_ticks(0.0, 2.1e-5, 4, 0.0)), ["0", "1×10⁻⁵", "2×10⁻⁵"]);
        assert_eq!(texts(round_ticks(1_000_001.0, 1_000_004.0, 2, 0.0)), ["1,000,002", "1,000,004"]);
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
