//! Waiting for a future on the calling thread, for native programs without an executor.

use std::future::{Future, IntoFuture};

/// Runs a future on the calling thread and returns its output. Not available in a browser, which must not block.
///
/// For a single call, [`Wait::wait`] reads better.
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    pollster::block_on(future)
}

/// Adds [`wait`](Self::wait) to every future. Not available in a browser, which must not block.
///
/// ```
/// use bptt::{Gpu, Wait};
/// let adapters = Gpu::adapters().wait();
/// ```
pub trait Wait: Future + Sized {
    /// Runs the future on the calling thread and returns its output, as [`block_on`] does.
    fn wait(self) -> Self::Output {
        block_on(self)
    }
}

impl<F: Future> Wait for F {}
