//! The CPU backend: the reference for the GPU tests, and the fallback without a GPU.
//!
//! Each thread processes blocks of batch rows for the whole sequence, so that the small products of the time steps stay
//! on one thread. If there are fewer blocks than threads, the others share the larger products. Blocks and the chunks
//! of the update follow from shapes alone, and every sum is computed by one thread: the results have the same bits for
//! any number of threads.

mod arithmetic;
mod engine;
mod gemm;
pub mod kernels;
mod parallel;
mod pass;

use std::marker::PhantomData;

use self::parallel::threads::Threads;
use crate::engine::{Backend, EngineOptions, sealed::Sealed};
use crate::error::Result;
use crate::memory::{BatchShape, Memory};
use crate::model::{Model, RecurrentKernel};
use crate::real::Real;

pub use self::engine::CpuEngine;
pub use self::kernels::update::{CpuUpdate, GradientScale};
pub use self::pass::predictions::{CpuPrediction, CpuPredictions};

/// The CPU backend, in `f32` or `f64`.
///
/// ```
/// use bptt::Cpu;
/// let cpu = Cpu::new(); // f32, all cores
/// let reference = Cpu::<f64>::with_threads(1)?;
/// # Ok::<(), bptt::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cpu<R: Real = f32> {
    threads: Threads,
    real: PhantomData<R>,
}

impl Cpu<f32> {
    /// Uses all cores, with rayon's global pool.
    #[allow(clippy::new_without_default, reason = "Default stands for every R")]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<R: Real> Default for Cpu<R> {
    fn default() -> Self {
        Self { threads: Threads::all(), real: PhantomData }
    }
}

impl<R: Real> Cpu<R> {
    /// Uses `count` threads in a separate pool; with 1, everything runs on the calling thread.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) for 0; [`Error::Unsupported`](crate::Error::Unsupported) if the threads
    /// cannot be started.
    pub fn with_threads(count: usize) -> Result<Self> {
        Ok(Self { threads: Threads::new(count)?, real: PhantomData })
    }
}

impl<R: Real> Sealed for Cpu<R> {}

impl<R: Real> Backend for Cpu<R> {
    type Engine = CpuEngine<R>;

    /// Ignores `options.kernel`, and `options.chunk` unless `options.recompute` is set: nothing else limits the number
    /// of steps held at once.
    fn engine(&self, model: &Model, options: &EngineOptions) -> Result<CpuEngine<R>> {
        CpuEngine::new(self.threads.clone(), model, options)
    }

    fn plan(
        &self,
        model: &Model,
        options: &EngineOptions,
        batch_shape: BatchShape,
        gradient_norms: bool,
    ) -> Result<Memory> {
        CpuEngine::<R>::planned(&self.threads, model, options, gradient_norms, batch_shape)
    }

    fn planned_kernel(&self, _: &Model, _: &EngineOptions, _: usize) -> Option<RecurrentKernel> {
        None
    }

    fn describe(&self) -> String {
        let bits = 8 * size_of::<R>();
        match self.threads.count() {
            1 => format!("CPU, f{bits}, 1 thread"),
            count => format!("CPU, f{bits}, {count} threads"),
        }
    }

    fn arithmetic(&self) -> Vec<(&'static str, String)> {
        arithmetic::arithmetic::<R>()
    }
}
