//! `bptt bench --sweep`: one network at several batch sizes.

use bptt::experiment::bench::compare::{Measurement, number};
use bptt::experiment::bench::sweep::{falls, rate};
use bptt::format::grouped;

/// The table of batch sizes, with a note where the throughput falls.
pub(crate) fn table(measurements: &[Measurement]) -> Vec<String> {
    let mut lines = vec![format!("{:>8}{:>10}{:>14}{:>13}", "batch", "at once", "ms/step", "sequences/s")];
    let count = |of: &Measurement, key: &str| grouped(number(of, key) as u64);
    lines.extend(measurements.iter().map(|of| {
        let (batch, rows, ms) = (count(of, "batch"), count(of, "micro_batch"), number(of, "ms_median"));
        format!("{batch:>8}{rows:>10}{ms:>14.3}{:>13.1}", rate(of))
    }));
    let falls = falls(measurements);
    if falls.is_empty() {
        lines.push("no batch has a lower throughput than a smaller one, beyond the spread".into());
    }
    lines.extend(falls.into_iter().map(|(best, of)| {
        let [from, until] = [best, of].map(|of| count(of, "batch"));
        let less = 100.0 * (1.0 - rate(of) / rate(best));
        format!("batch {until} has {less:.1}% less throughput than batch {from}")
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throughput_drop_beyond_the_spread_is_reported() {
        let line = |batch: u64, ms: f64| {
            let text = format!(
                r#"{{"batch": {batch}, "micro_batch": {batch}, "ms_median": {ms}, "ms_min": {}, "ms_p90": {},
                    "sequences_per_s": {}}}"#,
                0.9 * ms,
                1.1 * ms,
                batch as f64 * 1e3 / ms
            );
            serde_json::from_str::<Measurement>(&text).unwrap()
        };
        let told = |ms: [f64; 3]| table(&[line(16, ms[0]), line(32, ms[1]), line(64, ms[2])]).pop().unwrap();
        assert_eq!(told([1.0, 1.5, 3.1]), "no batch has a lower throughput than a smaller one, beyond the spread");
        assert_eq!(told([1.0, 1.5, 6.0]), "batch 64 has 50.0% less throughput than batch 32");
        assert_eq!(told([1.0, 2.2, 5.0]), "batch 64 has 20.0% less throughput than batch 16");
    }
}
