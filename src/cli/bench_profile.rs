//! Where the time of a training step goes.

use std::time::Instant;

use bptt::{Batch, Profile, Result};
use serde_json::{Value, json};

use super::bench::{median, note, round};
use super::network::Network;

/// Takes further steps: some to see how long the host is at one before the device has it all, and as many with a profile.
/// Tells people in a table, and programs what is returned. `whole`: milliseconds of a step.
pub(super) fn profile(
    network: &mut dyn Network,
    batch: &Batch,
    steps: usize,
    whole: f64,
    is_cpu: bool,
) -> Result<Value> {
    let mut host = Vec::new();
    for _ in 0..steps {
        let begun = Instant::now();
        network.step(batch)?;
        host.push(begun.elapsed().as_secs_f64() * 1e3);
        network.wait()?;
    }
    host.sort_by(f64::total_cmp);
    let host = median(&host);
    network.set_profile(true)?;
    for _ in 0..steps {
        network.step(batch)?;
        network.wait()?;
    }
    let profile = network.profile()?;
    network.set_profile(false)?;
    let all: Option<f64> = profile.parts.iter().map(|part| part.seconds).sum();
    let rows: Vec<Row> = rows(&profile, steps as f64, all);
    let told = told(&rows, all.map(|all| all * 1e3 / steps as f64), host, whole, is_cpu);
    told.into_iter().for_each(note);
    let parts = rows.iter().map(|row| {
        let Row { name, calls, ms, share, gflops, gb_s } = row;
        let of = |value: Option<f64>, digits| value.map_or(Value::Null, |value| round(value, digits));
        json!({
            "name": name, "calls": round(*calls, 2), "ms": of(*ms, 5), "share": of(*share, 4), "gflops": of(*gflops, 2),
            "gb_s": of(*gb_s, 2),
        })
    });
    let parts: Vec<Value> = parts.collect();
    Ok(match is_cpu {
        true => json!({"steps": steps, "parts": parts}),
        false => json!({"steps": steps, "host_ms": round(host, 4), "parts": parts}),
    })
}

/// A kernel or a phase in a step.
struct Row {
    name: String,
    calls: f64,
    ms: Option<f64>,
    share: Option<f64>,
    gflops: Option<f64>,
    gb_s: Option<f64>,
}

/// The longest first.
fn rows(profile: &Profile, steps: f64, all: Option<f64>) -> Vec<Row> {
    let row = |part: &bptt::ProfilePart| {
        let a_second = |count: u64| {
            part.seconds.filter(|seconds| count > 0 && *seconds > 0.0).map(|seconds| count as f64 / seconds / 1e9)
        };
        Row {
            name: part.name.clone(),
            calls: part.calls as f64 / steps,
            ms: part.seconds.map(|seconds| seconds * 1e3 / steps),
            share: part.seconds.zip(all.filter(|all| *all > 0.0)).map(|(seconds, all)| seconds / all),
            gflops: a_second(part.operations),
            gb_s: a_second(part.bytes),
        }
    };
    let mut rows: Vec<Row> = profile.parts.iter().map(row).collect();
    rows.sort_by(|a, b| b.ms.unwrap_or(0.0).total_cmp(&a.ms.unwrap_or(0.0)));
    rows
}

fn told(rows: &[Row], all: Option<f64>, host: f64, whole: f64, is_cpu: bool) -> Vec<String> {
    let of = |value: Option<f64>, digits: usize| value.map_or("–".into(), |value| format!("{value:.digits$}"));
    let (name, calls) = if is_cpu { ("phase", "calls") } else { ("kernel", "calls") };
    let line = |name: &str, calls: &str, rest: [String; 4]| {
        let [ms, share, gflops, gb_s] = rest;
        format!("{name:<18}{calls:>7}{ms:>11}{share:>8}{gflops:>10}{gb_s:>9}")
    };
    let head = ["ms", "share", "GFLOP/s", "GB/s"].map(str::to_owned);
    let mut lines = vec![line(name, calls, head)];
    lines.extend(rows.iter().map(|row| {
        let share = row.share.map_or("–".into(), |share| format!("{:.1}%", 100.0 * share));
        let calls = format!("{:.0}", row.calls);
        line(&row.name, &calls, [of(row.ms, 4), share, of(row.gflops, 1), of(row.gb_s, 1)])
    }));
    lines.push(match (all, is_cpu) {
        (Some(all), true) => format!("all threads together: {all:.3} ms in a step of {whole:.3} ms"),
        (Some(all), false) => format!(
            "the kernels: {all:.3} ms in a step of {whole:.3} ms, copies between buffers not counted; the host hands it \
             over in {host:.3} ms"
        ),
        (None, _) => format!(
            "this driver has no timestamps, so the time of each kernel is not known; a step takes {whole:.3} ms, of \
             which the host hands it over in {host:.3} ms"
        ),
    });
    lines
}
