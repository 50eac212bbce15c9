//! The CPU path: the reference that the GPU is proven against, and what runs where there is no GPU.
//!
//! Threads take blocks of batch rows, each for the whole sequence, so that the small products of the time steps stay on one
//! thread. Where there are fewer blocks than threads, those without one share each product of the others that is worth it.
//! The blocks and the chunks of the update are fixed by shapes alone, and every other sum is of one thread wherever its work
//! is cut: the results are the same bits for every number of threads.

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

/// The CPU, computing in `f32` or in `f64`.
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
    /// All cores, in rayon's global pool.
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
    /// `count` threads in a pool of their own; with 1 everything runs on the calling thread.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) for 0, [`Error::Unsupported`](crate::Error::Unsupported) where the threads
    /// cannot be started.
    pub fn with_threads(count: usize) -> Result<Self> {
        Ok(Self { threads: Threads::new(count)?, real: PhantomData })
    }
}

impl<R: Real> Sealed for Cpu<R> {}

impl<R: Real> Backend for Cpu<R> {
    type Engine = CpuEngine<R>;

    /// `options.kernel` has no bearing here, and `options.chunk` none but with `options.recompute`: nothing else limits the
    /// steps that are kept at once.
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
