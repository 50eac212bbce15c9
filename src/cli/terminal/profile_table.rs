//! The profile as a table.

use bptt::{Profile, ProfilePart};

/// A kernel or a phase of a step.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) calls: f64,
    pub(crate) ms: Option<f64>,
    pub(crate) share: Option<f64>,
    pub(crate) gflops: Option<f64>,
    pub(crate) gb_s: Option<f64>,
}

/// The milliseconds of all entries; `None` if the device has no timestamps.
pub(crate) fn whole(profile: &Profile) -> Option<f64> {
    profile.parts.iter().map(|part| part.seconds.map(|seconds| seconds * 1e3)).sum()
}

/// The time of each entry per step, longest first.
pub(crate) fn rows(profile: &Profile, steps: f64) -> Vec<Row> {
    let all = whole(profile).filter(|all| *all > 0.0);
    let row = |part: &ProfilePart| {
        let a_second = |count: u64| {
            part.seconds.filter(|seconds| count > 0 && *seconds > 0.0).map(|seconds| count as f64 / seconds / 1e9)
        };
        Row {
            name: part.name.clone(),
            calls: part.calls as f64 / steps,
            ms: part.seconds.map(|seconds| seconds * 1e3 / steps),
            share: part.seconds.zip(all).map(|(seconds, all)| seconds * 1e3 / all),
            gflops: a_second(part.operations),
            gb_s: a_second(part.bytes),
        }
    };
    let mut rows: Vec<Row> = profile.parts.iter().map(row).collect();
    rows.sort_by(|a, b| b.ms.unwrap_or(0.0).total_cmp(&a.ms.unwrap_or(0.0)));
    rows
}

/// One line per entry.
pub(crate) fn table(rows: &[Row], is_cpu: bool) -> Vec<String> {
    let of = |value: Option<f64>, digits: usize| value.map_or("–".into(), |value| format!("{value:.digits$}"));
    let line = |name: &str, calls: &str, rest: [String; 4]| {
        let [ms, share, gflops, gb_s] = rest;
        format!("{name:<18}{calls:>9}{ms:>12}{share:>8}{gflops:>10}{gb_s:>9}")
    };
    let head = ["ms", "share", "GFLOP/s", "GB/s"].map(str::to_owned);
    let mut lines = vec![line(if is_cpu { "phase" } else { "kernel" }, "calls", head)];
    lines.extend(rows.iter().map(|row| {
        let share = row.share.map_or("–".into(), |share| format!("{:.1}%", 100.0 * share));
        let calls = format!("{:.0}", row.calls);
        line(&row.name, &calls, [of(row.ms, 4), share, of(row.gflops, 1), of(row.gb_s, 1)])
    }));
    lines
}
