//! Times matrix products and dispatches on a device: the figures behind the choice of kernels and tiles.

use std::time::Instant;

use super::statistics::median;
use crate::Result;
use crate::cpu::kernels::PackedWeight;
use crate::experiment::device::open::{AnyBackend, OpenDevice};
use crate::gpu::kernels::DeviceProduct;

/// m, n, k: a square product, and one with few rows and wide weights.
const PRODUCTS: [[usize; 3]; 2] = [[2048; 3], [128, 4096, 1024]];

/// Dispatches per submission, each depending on the previous one.
const DISPATCHES: usize = 1000;

/// A timed product A · Bᵀ.
pub struct ProductTime {
    /// m, n and k: A is \[m, k\], B is \[n, k\].
    pub sizes: [usize; 3],
    /// Milliseconds of one product.
    pub ms: f64,
    /// Billions of operations per second.
    pub gflops: f64,
}

/// Measured times of matrix products and dispatches.
pub struct Basics {
    /// Products on the kernel of the passes; on the CPU backend on one thread.
    pub products: Vec<ProductTime>,
    /// Microseconds of a dispatch that depends on the previous one; `None` on the CPU backend.
    pub dispatch_us: Option<f64>,
}

/// Measures a device for about `seconds` seconds.
///
/// # Errors
/// Those of the device.
pub fn measure_basics(device: &OpenDevice, seconds: f64) -> Result<Basics> {
    let each = seconds / PRODUCTS.len() as f64;
    let time = |[m, n, k]: [usize; 3]| {
        let ms = match device.backend() {
            AnyBackend::Gpu(gpu) => {
                let product = DeviceProduct::new(gpu, [m, n, k], true)?;
                of_one(each, |times| product.run(times))?
            }
            AnyBackend::Cpu(_) => {
                let (a, b, mut c) = (vec![0.5f32; m * k], vec![0.5f32; n * k], vec![0.0f32; m * n]);
                let weight = PackedWeight::new(&b, [n, k]);
                of_one(each, |times| {
                    (0..times).for_each(|_| weight.product(&a, m, &mut c));
                    Ok(())
                })?
            }
        };
        Ok(ProductTime { sizes: [m, n, k], ms, gflops: 2.0 * (m * n * k) as f64 / ms / 1e6 })
    };
    let products = PRODUCTS.into_iter().map(time).collect::<Result<_>>()?;
    let dispatch_us = match device.backend() {
        AnyBackend::Cpu(_) => None,
        AnyBackend::Gpu(gpu) => {
            let product = DeviceProduct::new(gpu, [4, 4, 4], true)?;
            let one = samples(seconds / 4.0, || product.run(1))?;
            let many = samples(seconds / 4.0, || product.run(DISPATCHES + 1))?;
            Some((median(&many) - median(&one)) * 1e3 / DISPATCHES as f64)
        }
    };
    Ok(Basics { products, dispatch_us })
}

/// Milliseconds per run, in samples long enough that submission time does not matter.
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
