//! The profile of a training step as a table and as JSON.

use bptt::experiment::bench::statistics::round;
use bptt::experiment::bench::timing::StepProfile;
use bptt::format::bytes;
use serde_json::{Value, json};

use crate::cli::terminal::profile_table::{Row, rows, table, whole};

/// The table, and its sum compared with the time of a step.
pub(crate) fn profile_lines(of: &StepProfile, step_ms: f64, is_cpu: bool) -> Vec<String> {
    let StepProfile { steps, host_ms, profile } = of;
    let mut lines = table(&rows(profile, *steps as f64), is_cpu);
    lines.push(match (whole(profile).map(|all| all / *steps as f64), is_cpu) {
        (Some(all), true) => format!("all threads together: {all:.3} ms in a step of {step_ms:.3} ms"),
        (Some(all), false) => format!(
            "the kernels: {all:.3} ms in a step of {step_ms:.3} ms, copies between buffers not counted; the host hands it \
             over in {host_ms:.3} ms"
        ),
        (None, _) => format!(
            "this driver has no timestamps, so the time of each kernel is not known; a step takes {step_ms:.3} ms, of \
             which the host hands it over in {host_ms:.3} ms"
        ),
    });
    if !is_cpu {
        let a_step = |count: u64| bytes(count / (*steps).max(1) as u64);
        let (uploaded, downloaded) = (a_step(profile.uploaded), a_step(profile.downloaded));
        lines.push(format!("copied per step: {uploaded} to the device, {downloaded} back"));
    }
    lines
}

/// The profile as JSON.
pub(crate) fn profile_json(of: &StepProfile, is_cpu: bool) -> Value {
    let StepProfile { steps, host_ms, profile } = of;
    let rows = rows(profile, *steps as f64);
    let parts = rows.iter().map(|row| {
        let Row { name, calls, ms, share, gflops, gb_s } = row;
        let of = |value: Option<f64>, digits| value.map_or(Value::Null, |value| round(value, digits));
        json!({
            "name": name, "calls": round(*calls, 2), "ms": of(*ms, 5), "share": of(*share, 4), "gflops": of(*gflops, 2),
            "gb_s": of(*gb_s, 2),
        })
    });
    let parts: Vec<Value> = parts.collect();
    if is_cpu {
        json!({"steps": steps, "parts": parts})
    } else {
        let a_step = |count: u64| count / (*steps).max(1) as u64;
        json!({
            "steps": steps, "host_ms": round(*host_ms, 4), "uploaded_bytes": a_step(profile.uploaded),
            "downloaded_bytes": a_step(profile.downloaded), "parts": parts,
        })
    }
}
