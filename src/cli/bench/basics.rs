//! What a device can do before any network: the figures that the choice of kernels and tiles rests on.

use std::time::Instant;

use bptt::Result;
use bptt::cpu::kernels::PackedWeight;
use bptt::gpu::kernels::DeviceProduct;
use serde_json::{Value, json};

use super::fields::{Fields, median, round};
use crate::cli::device::opened::Opened;
use crate::cli::terminal::printed::eprint_line;

/// m, n, k: square, and as a few rows meet wide weights.
const PRODUCTS: [[usize; 3]; 2] = [[2048; 3], [128, 4096, 1024]];

/// Dispatches of a submission, of which each waits for the one before.
const DISPATCHES: usize = 1000;

/// Products A · Bᵀ on the kernel of the passes, on the CPU path on one thread; and on a GPU what a dispatch costs that depends on
/// the one before. Takes about `seconds`.
pub(crate) fn basics(opened: &Opened, seconds: f64) -> Result<Fields> {
    let mut products = Vec::new();
    let each = seconds / PRODUCTS.len() as f64;
    for [m, n, k] in PRODUCTS {
        let ms = match opened.gpu() {
            Some(gpu) => {
                let product = DeviceProduct::new(gpu, [m, n, k], true)?;
                of_one(each, |times| product.run(times))?
            }
            None => {
                let (a, b, mut c) = (vec![0.5f32; m * k], vec![0.5f32; n * k], vec![0.0f32; m * n]);
                let weight = PackedWeight::new(&b, [n, k]);
                of_one(each, |times| {
                    (0..times).for_each(|_| weight.product(&a, m, &mut c));
                    Ok(())
                })?
            }
        };
        let gflops = 2.0 * (m * n * k) as f64 / ms / 1e6;
        eprint_line(format!("A · Bᵀ, {m} × {n} × {k}: {ms:.3} ms, {gflops:.0} GFLOP/s"));
        products.push(json!({"m": m, "n": n, "k": k, "ms": round(ms, 4), "gflops": round(gflops, 1)}));
    }
    let dispatch = opened.gpu().map(|gpu| {
        let product = DeviceProduct::new(gpu, [4, 4, 4], true)?;
        let one = samples(seconds / 4.0, || product.run(1))?;
        let many = samples(seconds / 4.0, || product.run(DISPATCHES + 1))?;
        Ok((median(&many) - median(&one)) * 1e3 / DISPATCHES as f64)
    });
    let dispatch: Option<f64> = dispatch.transpose()?;
    if let Some(microseconds) = dispatch {
        eprint_line(format!("a dispatch that waits for the one before: {microseconds:.2} µs"));
    }
    Ok(vec![
        ("peer", json!("bptt")),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("basics", json!(true)),
        ("device", json!(opened.name)),
        ("adapter", json!(opened.describe())),
        ("products", json!(products)),
        ("dispatch_us", dispatch.map_or(Value::Null, |microseconds| round(microseconds, 3))),
    ])
}

/// Milliseconds of one of many, in samples long enough that handing them over does not count.
fn of_one(seconds: f64, mut run: impl FnMut(usize) -> Result<()>) -> Result<f64> {
    run(1)?;
    let once = Instant::now();
    run(1)?;
    let times = (0.02 / once.elapsed().as_secs_f64()).ceil().clamp(1.0, 1000.0) as usize;
    Ok(median(&samples(seconds, || run(times))?) / times as f64)
}

/// Milliseconds of each of at least three runs, sorted.
fn samples(seconds: f64, mut run: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    let (begun, mut samples) = (Instant::now(), Vec::new());
    while samples.len() < 3 || begun.elapsed().as_secs_f64() < seconds {
        let sample = Instant::now();
        run()?;
        samples.push(sample.elapsed().as_secs_f64() * 1e3);
    }
    samples.sort_by(f64::total_cmp);
    Ok(samples)
}
