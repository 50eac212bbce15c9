//! How long predictions take.

use std::time::Duration;

use crate::format::grouped;

/// Times a factor of 2 is divided into this many buckets: each is at most 2.2 % wide.
const PER_OCTAVE: f64 = 32.0;

/// Buckets up to 2^64 ns.
const BUCKETS: usize = 64 * 32;

/// Counts of durations, in memory that does not grow with their number.
pub struct Latencies {
    counts: Vec<u64>,
    count: u64,
    longest: Duration,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, longest: Duration::ZERO }
    }
}

impl Latencies {
    /// Adds a duration.
    pub fn add(&mut self, duration: Duration) {
        let bucket = (duration.as_nanos().max(1) as f64).log2() * PER_OCTAVE;
        self.counts[(bucket as usize).min(BUCKETS - 1)] += 1;
        self.count += 1;
        self.longest = self.longest.max(duration);
    }

    /// The duration that a share of all are not beyond, up to 2.2 %.
    fn quantile(&self, share: f64) -> Duration {
        let wanted = ((share * self.count as f64).ceil() as u64).max(1);
        let mut passed = 0;
        let bucket = self.counts.iter().position(|count| {
            passed += count;
            passed >= wanted
        });
        let end = (bucket.unwrap_or_default() as f64 + 1.0) / PER_OCTAVE;
        Duration::from_nanos(end.exp2() as u64).min(self.longest)
    }

    /// In one line.
    pub fn line(&self) -> String {
        let [middle, late] = [0.5, 0.99].map(|share| short(self.quantile(share)));
        let count = grouped(self.count);
        let answers = if self.count == 1 { "answer" } else { "answers" };
        format!("median {middle}, 99 % within {late}, at most {} ({count} {answers})", short(self.longest))
    }
}

/// With three digits.
fn short(duration: Duration) -> String {
    let us = duration.as_secs_f64() * 1e6;
    let (number, unit) = if us < 1e3 {
        (us, "µs")
    } else if us < 1e6 {
        (us / 1e3, "ms")
    } else {
        (us / 1e6, "s")
    };
    let decimals = if number < 10.0 { 2 } else { usize::from(number < 100.0) };
    format!("{number:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_last_percent_are_told_within_a_bucket() {
        let mut latencies = Latencies::default();
        for us in 1..=1000 {
            latencies.add(Duration::from_micros(us));
        }
        let within = |share: f64, us: f64| {
            let got = latencies.quantile(share).as_secs_f64() * 1e6;
            assert!((1.0..1.0222).contains(&(got / us)), "{got} {us}");
        };
        within(0.5, 500.0);
        within(0.99, 990.0);
        assert!(latencies.line().ends_with(", at most 1.00 ms (1,000 answers)"), "{}", latencies.line());
        assert_eq!(
            [0.5, 12.34, 999.0, 12345.0, 2e6].map(|us| short(Duration::from_secs_f64(us * 1e-6))),
            ["0.50 µs", "12.3 µs", "999 µs", "12.3 ms", "2.00 s"]
        );
        latencies.add(Duration::MAX);
        latencies.add(Duration::ZERO);
    }
}
