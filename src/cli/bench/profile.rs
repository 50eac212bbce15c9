//! Where the time of a training step goes.

use std::time::Instant;

use bptt::experiment::network::Network;
use bptt::{Batch, Result};
use serde_json::{Value, json};

use super::fields::{median, round};
use crate::cli::terminal::printed::note;
use crate::cli::terminal::profile_table;
use crate::cli::terminal::profile_table::{Row, rows, table};

/// Takes further steps: some to see how long the host is at one before the device has it all, and as many with a profile.
/// Tells people in a table, and programs what is returned. `whole`: milliseconds of a step.
pub(crate) fn profile(
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
    let rows = rows(&profile, steps as f64);
    table(&rows, is_cpu).into_iter().for_each(note);
    note(match (profile_table::whole(&profile).map(|all| all / steps as f64), is_cpu) {
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
