//! One network over batches of many sizes.

use std::fmt;
use std::path::Path;

use bptt::format::grouped;
use bptt::plot;

use super::compare::{Direction, Earlier, Line, batch, beyond, number, spread};
use super::work::MOST;
use crate::cli::exit::Failure;
use crate::cli::new_file;
use crate::cli::terminal::printed::note;

/// Batches from one size on, each twice the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Doublings {
    from: usize,
    until: usize,
}

impl Doublings {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let refused = || format!("expected two batches from 1 to {MOST}, the smaller first, as in 16..8192");
        let (from, until) = text.split_once("..").ok_or_else(refused)?;
        let rows = |text: &str| text.parse::<usize>().ok().filter(|rows| (1..=MOST).contains(rows));
        match (rows(from), rows(until)) {
            (Some(from), Some(until)) if from <= until => Ok(Self { from, until }),
            _ => Err(refused()),
        }
    }

    fn batches(self) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(self.from), |rows| Some(2 * rows)).take_while(move |rows| *rows <= self.until)
    }
}

impl fmt::Display for Doublings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.until)
    }
}

/// Runs each batch, and tells and draws what they come to.
pub(crate) fn sweep(
    doublings: Doublings,
    svg: Option<&Path>,
    earlier: Option<&Earlier>,
    mut run: impl FnMut(usize) -> Result<Line, Failure>,
) -> Result<(), Failure> {
    let lines = doublings.batches().map(&mut run).collect::<Result<Vec<Line>, Failure>>()?;
    table(&lines).into_iter().for_each(note);
    if let (Some(path), Some(first)) = (svg, lines.first()) {
        let before = earlier.into_iter().flat_map(|earlier| earlier.of_network(first));
        new_file::write(path, picture(doublings, &lines, before).draw().file().as_bytes())?;
    }
    Ok(())
}

/// The batches and what each comes to, and where more rows were slower.
fn table<'l>(lines: &'l [Line]) -> Vec<String> {
    let mut told = vec![format!("{:>8}{:>10}{:>14}{:>13}", "batch", "at once", "ms a step", "sequences/s")];
    let count = |line: &Line, key: &str| grouped(number(line, key) as u64);
    told.extend(lines.iter().map(|line| {
        let (batch, rows, ms) = (count(line, "batch"), count(line, "micro_batch"), number(line, "ms_median"));
        format!("{batch:>8}{rows:>10}{ms:>14.3}{:>13.1}", number(line, "sequences_per_s"))
    }));
    // Beside the best of all smaller ones, so that a slow slope shows.
    let rate = |line: &Line| number(line, "sequences_per_s");
    let a_row = |line: &Line| spread([line]).map(|ms| ms / number(line, "batch"));
    let best = |lines: &'l [Line]| lines.iter().max_by(|a, b| rate(a).total_cmp(&rate(b)));
    let pairs = (1..lines.len()).filter_map(|index| best(&lines[..index]).map(|best| (best, &lines[index])));
    let falls = pairs.filter(|(best, line)| beyond(a_row(best), a_row(line)) == Some(Direction::Up));
    let mut falls: Vec<String> = falls
        .map(|(best, line)| {
            let [from, until] = [best, line].map(|line| count(line, "batch"));
            format!(
                "a batch of {until} comes to {:.1}% less than one of {from}",
                100.0 * (1.0 - rate(line) / rate(best))
            )
        })
        .collect();
    if falls.is_empty() {
        falls.push("no batch comes to less than a smaller one, beyond the spread".into());
    }
    told.extend(falls);
    told
}

fn picture<'l>(doublings: Doublings, lines: &'l [Line], before: impl Iterator<Item = &'l Line>) -> plot::Throughput {
    let text = |line: &Line, key: &str| line.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let rate = |line: &Line| {
        let rows = batch(line)? as usize;
        let [least, most] = spread([line]).map(|ms| rows as f64 * 1e3 / ms);
        Some(plot::Rate { rows, rate: rows as f64 * 1e3 / number(line, "ms_median"), spread: [most, least] })
    };
    let name = |line: &Line| match text(line, "device").as_str() {
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
    plot::Throughput {
        title: format!(
            "{} of {} units over {} steps: sequences a second",
            now.map(|line| text(line, "cell").to_uppercase()).unwrap_or_default(),
            number("hidden"),
            number("steps"),
        ),
        batches: doublings.batches().collect(),
        series,
    }
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

    #[test]
    fn a_rate_that_falls_beyond_the_spread_is_told() {
        let line = |batch: u64, ms: f64| {
            let text = format!(
                r#"{{"batch": {batch}, "micro_batch": {batch}, "ms_median": {ms}, "ms_min": {}, "ms_p90": {},
                    "sequences_per_s": {}}}"#,
                0.9 * ms,
                1.1 * ms,
                batch as f64 * 1e3 / ms
            );
            serde_json::from_str::<Line>(&text).unwrap()
        };
        let told = |ms: [f64; 3]| table(&[line(16, ms[0]), line(32, ms[1]), line(64, ms[2])]).pop().unwrap();
        assert_eq!(told([1.0, 1.5, 3.1]), "no batch comes to less than a smaller one, beyond the spread");
        assert_eq!(told([1.0, 1.5, 6.0]), "a batch of 64 comes to 50.0% less than one of 32");
        assert_eq!(told([1.0, 2.2, 5.0]), "a batch of 64 comes to 20.0% less than one of 16");
    }
}
