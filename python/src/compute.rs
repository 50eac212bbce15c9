//! Where calls compute: without the GIL, on threads that this process has.
//!
//! A fork keeps the calling thread alone. The threads of a pool are gone in the child, and so is what a driver does for
//! a GPU. So each process makes pools of its own, and a GPU that another process has opened raises.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use bptt::experiment::device::open::{DeviceOptions, OpenDevice};
use bptt::{Error, Gpu, Wait};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::errors::{BpttError, DeviceError, OrRaise};
use crate::logger;

/// The pools of a process by their number of threads (0: as many as cores). Only locked under the GIL, which a process
/// that forks itself holds: in the child it is never locked.
static POOLS: Mutex<(u32, BTreeMap<usize, Arc<ThreadPool>>)> = Mutex::new((0, BTreeMap::new()));

/// The process that has looked for GPUs; 0: none yet.
static LOOKED: AtomicU32 = AtomicU32::new(0);

/// The pool of so many threads of this process.
pub(crate) fn pool(_gil: Python<'_>, threads: Option<usize>) -> PyResult<Arc<ThreadPool>> {
    // 0 is as many as the machine has.
    let threads = threads.unwrap_or(0);
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    let (process, by_threads) = &mut *pools;
    if *process != std::process::id() {
        // To end the threads of the parent's pools would wait for what is not there.
        std::mem::forget(std::mem::take(by_threads));
        *process = std::process::id();
    }
    if let Some(pool) = by_threads.get(&threads) {
        return Ok(pool.clone());
    }
    let name = |index| format!("bptt-{index}");
    let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build();
    let pool = pool.map_err(|error| BpttError::new_err(format!("{threads} threads cannot be started: {error}")))?;
    let pool = Arc::new(pool);
    by_threads.insert(threads, pool.clone());
    Ok(pool)
}

/// The GPU that a name stands for; `None` for the CPU. What was chosen for want of a hardware GPU is logged.
pub(crate) fn gpu(py: Python<'_>, device: &str) -> PyResult<Option<Gpu>> {
    let lower = device.to_lowercase();
    if lower == "cpu" {
        return Ok(None);
    }
    if has_forked() {
        if lower == "auto" {
            let note = "the CPU is used: this process was forked from one that has looked for GPUs";
            logger::warn_once(py, note)?;
            return Ok(None);
        }
        return Err(forked(&format!("device {device:?}")));
    }
    LOOKED.store(std::process::id(), Ordering::Relaxed);
    let options = DeviceOptions { name: device.into(), ..DeviceOptions::default() };
    // On a thread of a pool: the library would make the calling thread part of one that no child has after a fork.
    let pool = pool(py, None)?;
    let opened = py.detach(|| pool.install(|| OpenDevice::open(&options).wait())).or_raise()?;
    if let Some(note) = &opened.note {
        logger::warn_once(py, note)?;
    }
    Ok(opened.gpu().cloned())
}

/// The device to ask the library for: the CPU where the process that this one was forked from has looked for GPUs.
pub(crate) fn usable(py: Python<'_>, device: &str) -> PyResult<String> {
    if device.eq_ignore_ascii_case("cpu") {
        return Ok("cpu".into());
    }
    if has_forked() {
        gpu(py, device)?;
        return Ok("cpu".into());
    }
    LOOKED.store(std::process::id(), Ordering::Relaxed);
    Ok(device.into())
}

/// Likewise, where none is the first one that is found.
pub(crate) fn usable_if_any(py: Python<'_>, device: Option<String>) -> PyResult<String> {
    usable(py, device.as_deref().unwrap_or("auto"))
}

/// Whether another process, this one's parent, has looked for GPUs.
fn has_forked() -> bool {
    let looked = LOOKED.load(Ordering::Relaxed);
    looked != 0 && looked != std::process::id()
}

fn forked(what: &str) -> PyErr {
    DeviceError::new_err(format!(
        "{what}: a GPU does not survive a fork, and this process was forked from one that uses GPUs; start it with the \
         method \"spawn\" (multiprocessing.get_context(\"spawn\")), or take device=\"cpu\""
    ))
}

/// What one call at a time computes with.
#[derive(Debug)]
pub(crate) struct Shared<T> {
    inner: Mutex<T>,
    /// The process that has made it.
    made_by: u32,
    /// The last process that has found it free of threads which a fork left behind. Only changed under the GIL.
    freed_by: AtomicU32,
    is_gpu: bool,
    threads: Option<usize>,
}

impl<T: Send> Shared<T> {
    pub(crate) fn new(inner: T, is_gpu: bool, threads: Option<usize>) -> Self {
        let made_by = std::process::id();
        Self { inner: Mutex::new(inner), made_by, freed_by: AtomicU32::new(made_by), is_gpu, threads }
    }

    /// Computes without the GIL, after the other calls.
    pub(crate) fn compute<R: Send>(
        &self,
        py: Python<'_>,
        f: impl FnOnce(&mut T) -> bptt::Result<R> + Send,
    ) -> PyResult<R> {
        let process = std::process::id();
        if self.is_gpu && self.made_by != process {
            return Err(forked("this network"));
        }
        // No thread of this process has locked it before, since each comes here first: one that has it is the parent's, and
        // does not exist here.
        if self.freed_by.load(Ordering::Relaxed) != process {
            if let Err(TryLockError::WouldBlock) = self.inner.try_lock() {
                return Err(broken("another thread computed with it while the process was forked")).or_raise();
            }
            self.freed_by.store(process, Ordering::Relaxed);
        }
        let pool = if self.is_gpu || self.threads == Some(1) { None } else { Some(pool(py, self.threads)?) };
        let computed = py.detach(|| {
            let mut inner = self.inner.lock().map_err(|_| broken("an earlier call of it has panicked"))?;
            let inner = &mut *inner;
            match pool {
                Some(pool) => pool.install(|| f(inner)),
                None => f(inner),
            }
        });
        computed.or_raise()
    }
}

fn broken(why: &str) -> Error {
    Error::Failed(format!("the network cannot be used: {why}; make a new one"))
}
