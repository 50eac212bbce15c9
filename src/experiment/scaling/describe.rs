//! What more ranks bring, in words and as JSON.

use serde_json::{Value, json};

use super::model::{Link, MOST_RANKS, Scaling, SharedStep, StepTime};
use super::timed::TimedStep;
use crate::experiment::ranks::StepBytes;
use crate::format::{grouped, right, share, short};

/// What the times are without.
const ASSUMPTIONS: [&str; 6] = [
    "a step computes, then exchanges; all ranks have devices of one kind, as fast as this",
    "its time is a fixed part, and one in proportion to the rows of the rank with most",
    "each rank has a link of its own, to which all others are equally near",
    "a sum is N − 1 messages, and ⌈log₂ N⌉ more (from 512 KiB on N − 1), one after another",
    "sums are taken in the order of ranks; those of --rank-sums any-order are the MPI library's",
    "adding up, copies between GPU and host, validations and checkpoints take no time",
];

/// A duration with four digits.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 0.999_95e-3 => format!("{} µs", short(seconds * 1e6)),
        seconds if seconds < 0.999_95 => format!("{} ms", short(seconds * 1e3)),
        seconds => format!("{} s", short(seconds)),
    }
}

impl Link {
    /// `1 Gbit/s and 50 µs a message`.
    pub fn describe(self) -> String {
        let bits = self.bandwidth * 8.0;
        let units = [("Tbit", 1e12), ("Gbit", 1e9), ("Mbit", 1e6), ("kbit", 1e3)];
        let (unit, size) = units.into_iter().find(|(_, size)| bits >= *size).unwrap_or(("bit", 1.0));
        let latency = duration(self.latency);
        let (latency, seconds) = latency.split_once(' ').unwrap_or((&latency, "s"));
        format!("{} {unit}/s and {} {seconds} a message", trimmed(&short(bits / size)), trimmed(latency))
    }
}

/// A number without zeros behind its point.
fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

impl TimedStep {
    /// What was timed, in words.
    pub fn describe(&self) -> String {
        let of = if self.batches > 1 { format!("{} batches of ", self.batches) } else { String::new() };
        let (whole, one) = (duration(self.whole), duration(self.one));
        format!("timed here: {whole} for {of}{}, {one} for {of}one row", rows(self.rows))
    }

    fn json(&self) -> Value {
        json!({"rows": self.rows, "seconds": self.whole, "seconds_of_one_row": self.one})
    }
}

fn rows(count: usize) -> String {
    if count == 1 { "1 row".into() } else { format!("{} rows", grouped(count as u64)) }
}

impl Scaling {
    /// The numbers of ranks in a table: the powers of two, and `ranks`.
    fn listed(ranks: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..).map(|power| 1 << power).take_while(|size| *size <= MOST_RANKS).collect();
        all.push(ranks);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What `ranks` ranks exchange in a step, in words.
    pub fn describe_exchange(&self, ranks: usize) -> Vec<String> {
        let StepBytes { most, all } = self.bytes(ranks);
        let (most, all, sums) = (grouped(most), grouped(all), grouped(self.sums.len() as u64));
        let mut lines =
            vec![format!("{most} bytes a step from each rank at most, {all} from all of them; {sums} sums")];
        let idle = ranks.saturating_sub(self.batch);
        if idle > 0 {
            let (have, idle) = (if idle == 1 { "rank has" } else { "ranks have" }, grouped(idle as u64));
            lines.push(format!("{idle} {have} no row of a batch of {}", grouped(self.batch as u64)));
        }
        lines
    }

    /// The step on `ranks` ranks, in words.
    pub fn describe_step(&self, ranks: usize) -> Vec<String> {
        let StepTime { whole, fixed } = self.step;
        let step = self.strong(ranks);
        let (compute, exchange) = (duration(step.compute), duration(step.exchange));
        let shrinks = match fixed {
            0.0 => "taken to shrink with the rows of a rank".to_owned(),
            fixed => format!("of which {} do not shrink with the rows of a rank", duration(fixed)),
        };
        vec![
            format!("on one rank: {}, {shrinks}", duration(whole)),
            format!(
                "on {} {}: {}, {compute} for {} and {exchange} to exchange; {} times as fast",
                grouped(ranks as u64),
                if ranks == 1 { "rank" } else { "ranks" },
                duration(step.seconds()),
                rows(step.rows),
                short(step.speed_up)
            ),
        ]
    }

    /// Where more ranks stop paying, in words.
    pub fn describe_limits(&self) -> Vec<String> {
        let (fastest, efficient) = self.where_ranks_stop_paying();
        let first = if fastest.ranks == 1 {
            "more ranks are no faster for this batch".to_owned()
        } else {
            let most = if fastest.ranks == MOST_RANKS { ", the most that are planned" } else { "" };
            let ranks = grouped(fastest.ranks as u64);
            format!("fastest on {ranks} ranks{most}: {} times as fast as one", short(fastest.speed_up))
        };
        let second = match efficient.ranks {
            1 => "from 2 ranks on the efficiency is below 50 %".to_owned(),
            ranks => format!("{} ranks are the most with an efficiency of at least 50 %", grouped(ranks as u64)),
        };
        vec![first, second]
    }

    /// What the times assume.
    pub fn assumptions(&self) -> &'static [&'static str] {
        &ASSUMPTIONS
    }

    /// Strong and weak scaling as lines of a table, with its head.
    pub fn table(&self, ranks: usize) -> Vec<String> {
        let columns = |ranks: &str, strong: [&str; 4], weak: [&str; 3]| {
            let strong: String = strong.iter().zip([6, 11, 10, 12]).map(|(cell, width)| right(cell, width)).collect();
            let weak: String = weak.iter().zip([12, 11, 12]).map(|(cell, width)| right(cell, width)).collect();
            format!("{}{strong}{weak}", right(ranks, 5))
        };
        let head = format!("{}{}", right("the same batch", 44), right("the same rows a rank", 35));
        let names = columns("ranks", ["rows", "time", "speed-up", "efficiency"], ["batch", "time", "efficiency"]);
        let line = |ranks: usize| {
            let (strong, weak) = (self.strong(ranks), self.weak(ranks));
            columns(
                &grouped(ranks as u64),
                [
                    &grouped(strong.rows as u64),
                    &duration(strong.seconds()),
                    &format!("{:.2}", strong.speed_up),
                    &share(strong.efficiency()),
                ],
                [&grouped(weak.batch as u64), &duration(weak.seconds()), &share(weak.efficiency())],
            )
        };
        [head, names].into_iter().chain(Self::listed(ranks).into_iter().map(line)).collect()
    }

    /// The plan for `ranks` ranks as JSON; `timed`: the steps that were timed for it.
    pub fn json(&self, ranks: usize, timed: Option<&TimedStep>) -> Value {
        let StepBytes { most, all } = self.bytes(ranks);
        let of = |step: SharedStep| {
            json!({
                "ranks": step.ranks,
                "batch": step.batch,
                "rows": step.rows,
                "seconds": step.seconds(),
                "compute_seconds": step.compute,
                "exchange_seconds": step.exchange,
                "speed_up": step.speed_up,
                "efficiency": step.efficiency(),
            })
        };
        let (fastest, efficient) = self.where_ranks_stop_paying();
        let listed = Self::listed(ranks);
        json!({
            "ranks": ranks,
            "bandwidth_bytes_per_second": self.link.bandwidth,
            "latency_seconds": self.link.latency,
            "bytes_sent_per_step": {"most": most, "all": all},
            "sums": self.sums.iter().map(|(count, bytes)| json!({"count": count, "bytes_each": bytes})).collect::<Vec<_>>(),
            "step_seconds": self.step.whole,
            "fixed_seconds": self.step.fixed,
            "timed": timed.map(TimedStep::json),
            "planned": of(self.strong(ranks)),
            "strong": listed.iter().map(|ranks| of(self.strong(*ranks))).collect::<Vec<_>>(),
            "weak": listed.iter().map(|ranks| of(self.weak(*ranks))).collect::<Vec<_>>(),
            "fastest": of(fastest),
            "half_efficient": of(efficient),
            "assumptions": ASSUMPTIONS,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_described_in_its_units() {
        assert_eq!(Link::GIGABIT_ETHERNET.describe(), "1 Gbit/s and 50 µs a message");
        assert_eq!(Link { bandwidth: 12.5e6, latency: 0.0015 }.describe(), "100 Mbit/s and 1.5 ms a message");
        assert_eq!(Link { bandwidth: 0.5, latency: 0.0 }.describe(), "4 bit/s and 0 µs a message");
    }

    #[test]
    fn the_table_has_the_powers_of_two_and_the_number_asked_about() {
        assert_eq!(Scaling::listed(1), [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]);
        assert_eq!(Scaling::listed(6)[..5], [1, 2, 4, 6, 8]);
    }
}
