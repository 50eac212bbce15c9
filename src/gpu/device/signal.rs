//! Mapped buffers as futures.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
#[cfg(not(target_arch = "wasm32"))]
use std::time::Duration;

use super::Gpu;
use crate::error::{Error, Result};

type Answer = std::result::Result<(), String>;

/// Set once by a device callback, awaited by one task.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signal(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<(Option<Answer>, Option<Waker>)>,
    is_set: Condvar,
}

impl Signal {
    fn set(&self, answer: Answer) {
        let mut state = self.lock();
        state.0 = Some(answer);
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
        self.0.is_set.notify_all();
    }

    /// Whether it is set now, or by another thread within this time.
    #[cfg(not(target_arch = "wasm32"))]
    fn is_set_within(&self, time: Duration) -> bool {
        let waited = self.0.is_set.wait_timeout_while(self.lock(), time, |state| state.0.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.0.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, (Option<Answer>, Option<Waker>)> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Signal {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let mut state = self.lock();
        match state.0.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.1 = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Gpu {
    /// Starts mapping a buffer; [`Gpu::wait`] waits for it.
    pub(crate) fn map(&self, buffer: &wgpu::Buffer) -> Signal {
        self.0.maps.fetch_add(1, Ordering::Relaxed);
        let signal = Signal::default();
        let done = signal.clone();
        buffer.map_async(wgpu::MapMode::Read, .., move |result| done.set(result.map_err(|error| error.to_string())));
        signal
    }

    /// Waits until the submission (all if `None`) has finished and the mapping is ready.
    pub(crate) async fn wait(&self, submission: Option<wgpu::SubmissionIndex>, mapped: Signal) -> Result<()> {
        // In a browser the event loop runs callbacks; elsewhere they run only within a poll.
        #[cfg(not(target_arch = "wasm32"))]
        let polled = self.0.device.poll(wgpu::PollType::Wait { submission_index: submission, timeout: None });
        #[cfg(target_arch = "wasm32")]
        let polled = Ok::<_, wgpu::PollError>(submission);
        // An unknown submission means that the device was lost.
        self.check()?;
        polled.map_err(|error| Error::Device(error.to_string()))?;
        // Another thread that polls the same device may have taken the callback and not run it yet.
        #[cfg(not(target_arch = "wasm32"))]
        while !mapped.is_set_within(Duration::from_millis(10)) {
            self.0.device.poll(wgpu::PollType::Poll).map_err(|error| Error::Device(error.to_string()))?;
        }
        let mapped = mapped.await;
        // In a browser, what went wrong before is known only now.
        #[cfg(target_arch = "wasm32")]
        self.check()?;
        mapped.map_err(Error::Device)
    }
}
