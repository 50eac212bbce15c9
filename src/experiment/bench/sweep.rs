//! One network at several batch sizes.

use std::fmt;

use super::compare::{Direction, EarlierMeasurements, Measurement, batch, beyond, number, spread};
use super::workload::MOST;
use crate::plot;

/// Batch sizes, each twice the previous one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doublings {
    from: usize,
    until: usize,
}

impl Doublings {
    /// Parses a range such as `16..8192`.
    ///
    /// # Errors
    /// What was expected, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = || format!("expected two batches from 1 to {MOST}, the smaller first, as in 16..8192");
        let (from, until) = text.split_once("..").ok_or_else(refused)?;
        let rows = |text: &str| text.parse::<usize>().ok().filter(|rows| (1..=MOST).contains(rows));
        match (rows(from), rows(until)) {
            (Some(from), Some(until)) if from <= until => Ok(Self { from, until }),
            _ => Err(refused()),
        }
    }

    /// The batches, ascending.
    pub fn batches(self) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(self.from), |rows| Some(2 * rows)).take_while(move |rows| *rows <= self.until)
    }
}

impl fmt::Display for Doublings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.until)
    }
}

/// Batch sizes with a lower throughput than a smaller one, beyond the spread of both. Each is returned with the fastest
/// smaller batch, so that a slow decline shows too.
pub fn falls(measurements: &[Measurement]) -> Vec<(&Measurement, &Measurement)> {
    let per_row = |of: &Measurement| spread([of]).map(|ms| ms / number(of, "batch"));
    let best = |of: &'_ [Measurement]| (0..of.len()).max_by(|a, b| rate(&of[*a]).total_cmp(&rate(&of[*b])));
    let pairs = (1..measurements.len())
        .filter_map(|index| best(&measurements[..index]).map(|best| (&measurements[best], &measurements[index])));
    pairs.filter(|(best, of)| beyond(per_row(best), per_row(of)) == Some(Direction::Up)).collect()
}

/// Sequences per second of a measurement.
pub fn rate(of: &Measurement) -> f64 {
    number(of, "sequences_per_s")
}

/// The picture of a sweep, with earlier measurements of the same network.
pub fn picture(doublings: Doublings, lines: &[Measurement], earlier: Option<&EarlierMeasurements>) -> plot::Drawing {
    let before = lines.first().into_iter().flat_map(|first| earlier.into_iter().flat_map(|of| of.of_network(first)));
    let text =
        |line: &Measurement, key: &str| line.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let rate = |line: &Measurement| {
        let rows = batch(line)? as usize;
        let [least, most] = spread([line]).map(|ms| rows as f64 * 1e3 / ms);
        Some(plot::Rate { rows, rate: rows as f64 * 1e3 / number(line, "ms_median"), spread: [most, least] })
    };
    let name = |line: &Measurement| match text(line, "device").as_str() {
        "cpu" => match number(line, "threads") {
            1.0 => "cpu, 1 thread".to_owned(),
            threads => format!("cpu, {threads} threads"),
        },
        device => device.to_owned(),
    };
    let now = lines.first();
    let first = now.map(name).unwrap_or_default();
    let mut series = vec![plot::Rates { name: first.clone(), rates: lines.iter().filter_map(rate).collect() }];
    for line in before.filter(|line| batch(line).is_some_and(|rows| doublings.batches().any(|of| of as u64 == rows))) {
        let name = match name(line) {
            name if name == first => format!("{name}, before"),
            name => name,
        };
        match series.iter_mut().find(|series| series.name == name) {
            Some(series) => series.rates.extend(rate(line)),
            None => series.push(plot::Rates { name, rates: rate(line).into_iter().collect() }),
        }
    }
    series.iter_mut().for_each(|series| series.rates.sort_by_key(|rate| rate.rows));
    let number = |key| now.map_or(0, |line| number(line, key) as u64);
    let title = format!(
        "{} of {} units over {} steps: sequences per second",
        now.map(|line| text(line, "cell").to_uppercase()).unwrap_or_default(),
        number("hidden"),
        number("steps"),
    );
    plot::throughput(&title, &doublings.batches().collect::<Vec<_>>(), &series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_doubles_up_to_its_end() {
        let of = |text| Doublings::parse(text).map(|doublings| doublings.batches().collect::<Vec<_>>());
        assert_eq!(of("16..128"), Ok(vec![16, 32, 64, 128]));
        assert_eq!(of("3..13"), Ok(vec![3, 6, 12]));
        assert_eq!(of("8..8"), Ok(vec![8]));
        for text in ["8", "16..8", "0..8", "8..", "a..b", "1..99999999"] {
            assert!(of(text).is_err_and(|error| error.contains("16..8192")), "{text}");
        }
    }
}
