//! Where a network computes: the choice of the device and the number type, for every class alike.

use bptt::{Backend, Cpu, CpuEngine, Engine, GpuEngine};
use pyo3::prelude::*;

use crate::arrays::value;
use crate::compute::{self, Shared};
use crate::errors::OrRaise;

/// What is made on a backend.
pub(crate) trait Make: Send {
    /// Its type on an engine.
    type Made<E: Engine + Send>: Send;

    /// Makes it.
    fn make<B: Backend<Engine: Send>>(self, backend: &B) -> bptt::Result<Self::Made<B::Engine>>;
}

/// What was made, on the CPU in f32 or f64 or on a GPU in f32.
pub(crate) enum Placed<M: Make> {
    Single(Box<Shared<M::Made<CpuEngine<f32>>>>),
    Double(Box<Shared<M::Made<CpuEngine<f64>>>>),
    Gpu(Box<Shared<M::Made<GpuEngine>>>),
}

/// The same expression for each of them.
macro_rules! on_each {
    ($placed:expr, $shared:ident => $body:expr) => {
        match &$placed {
            $crate::placed::Placed::Single($shared) => $body,
            $crate::placed::Placed::Double($shared) => $body,
            $crate::placed::Placed::Gpu($shared) => $body,
        }
    };
}
pub(crate) use on_each;

/// The caller's choice.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) device: &'a str,
    pub(crate) threads: Option<usize>,
    pub(crate) dtype: &'a str,
}

impl<M: Make> Placed<M> {
    /// Makes it in its place, which is returned in words.
    pub(crate) fn new(py: Python<'_>, wanted: M, place: Place<'_>) -> PyResult<(Self, String)> {
        let Place { device, threads, dtype } = place;
        match dtype {
            "float32" => match compute::gpu(py, device)? {
                Some(gpu) => {
                    let made = py.detach(|| wanted.make(&gpu)).or_raise()?;
                    Ok((Self::Gpu(Box::new(Shared::new(made, true, None))), gpu.describe()))
                }
                None => {
                    let (made, words) = on_cpu(py, threads, |cpu: &Cpu<f32>| wanted.make(cpu))?;
                    Ok((Self::Single(made), words))
                }
            },
            "float64" if !["auto", "cpu"].contains(&device.to_lowercase().as_str()) => {
                value("dtype", "float32 on a GPU, which computes in no other", dtype)
            }
            "float64" => {
                let (made, words) = on_cpu(py, threads, |cpu: &Cpu<f64>| wanted.make(cpu))?;
                Ok((Self::Double(made), words))
            }
            _ => value("dtype", "float32 or float64", dtype),
        }
    }
}

/// What is made with the CPU's threads of this process, and the CPU in words.
fn on_cpu<T: bptt::Real, R: Send>(
    py: Python<'_>,
    threads: Option<usize>,
    make: impl FnOnce(&Cpu<T>) -> bptt::Result<R> + Send,
) -> PyResult<(Box<Shared<R>>, String)> {
    let pool = compute::pool(py, threads)?;
    // The backend takes the threads of whichever pool calls it, which after a fork is another one.
    let made = py.detach(|| {
        pool.install(|| {
            let cpu = Cpu::<T>::default();
            Ok((make(&cpu)?, cpu.describe()))
        })
    });
    let (made, words) = made.or_raise()?;
    Ok((Box::new(Shared::new(made, false, threads)), words))
}
