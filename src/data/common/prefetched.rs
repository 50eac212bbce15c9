//! The next batch, prepared on another thread.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::batch::Batch;
use crate::data::Batches;
use crate::error::Result;

/// Prepares batch n + 1 on a thread of its own while batch n is in use. The batches and their errors are those of `B`,
/// bit for bit, under the same numbers.
///
/// It holds one batch more in memory, and prepares one in vain wherever the numbers do not ascend one by one, as at the
/// end of a run. Where there are no threads, as in a browser, each batch is prepared when it is asked for.
///
/// It is for batches that take long to prepare, such as those of large files or with augmentation. Training on the CPU
/// with this crate's own batches gains nothing measurable, since preparing one takes a small share of a step: 0.4 %
/// with a text, 0.7 % with labelled sequences of 8 columns, 4 % with the sunspot numbers and 16 hidden units (CPU time
/// on 2 virtual EPYC cores, 2026-11-29). The program does not use it.
///
/// ```
/// use bptt::data::{AddingTask, Batches, PrefetchedBatches, ShuffledBatches};
/// let batches = ShuffledBatches::new(AddingTask { length: 20 }.examples(1, 0, 64)?, 16, 1, 1)?;
/// let same = ShuffledBatches::new(AddingTask { length: 20 }.examples(1, 0, 64)?, 16, 1, 1)?;
/// let prefetched = PrefetchedBatches::new(batches);
/// assert_eq!(prefetched.batch(3)?, same.batch(3)?);
/// # Ok::<(), bptt::Error>(())
/// ```
pub struct PrefetchedBatches<B> {
    batches: Arc<B>,
    /// `None` where there are no threads.
    worker: Option<Worker>,
}

/// The thread that prepares batches.
struct Worker {
    exchange: Mutex<Exchange>,
    thread: Option<JoinHandle<()>>,
}

/// What the callers and the thread have exchanged.
struct Exchange {
    /// `None` once the thread is to end.
    numbers: Option<Sender<u64>>,
    prepared: Receiver<Result<Batch>>,
    /// The number whose batch the thread prepares or has prepared.
    next: Option<u64>,
}

impl<B: Batches + 'static> PrefetchedBatches<B> {
    /// Prefetches from `batches`. Nothing is prepared before the first batch is asked for.
    pub fn new(batches: B) -> Self {
        let batches = Arc::new(batches);
        Self { worker: Worker::new(batches.clone()), batches }
    }
}

impl Worker {
    fn new<B: Batches + 'static>(batches: Arc<B>) -> Option<Self> {
        let (numbers, asked) = channel::<u64>();
        let (answers, prepared) = channel();
        let prepare = move || {
            for number in asked {
                // The receiver lives until the thread has ended.
                let _ = answers.send(batches.batch(number));
            }
        };
        let thread = Builder::new().name("bptt batches".into()).spawn(prepare).ok()?;
        let exchange = Mutex::new(Exchange { numbers: Some(numbers), prepared, next: None });
        Some(Self { exchange, thread: Some(thread) })
    }

    fn lock(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The batch of a number if it is the one that the thread has prepared, waiting for it; then asks for the next.
    fn exchange(&self, number: u64) -> Option<Result<Batch>> {
        let mut exchange = self.lock();
        // The same batch again: what is prepared is still the next one.
        if exchange.next.is_some() && exchange.next == number.checked_add(1) {
            return None;
        }
        let before = exchange.next.take();
        // A thread that has panicked answers no more.
        let prepared = before.and_then(|_| exchange.prepared.recv().ok()).filter(|_| before == Some(number));
        let next = number.checked_add(1);
        if let (Some(numbers), Some(next)) = (&exchange.numbers, next)
            && numbers.send(next).is_ok()
        {
            exchange.next = Some(next);
        }
        prepared
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.lock().numbers = None;
        // A panic of the thread is repeated where its batch is asked for.
        self.thread.take().map(JoinHandle::join);
    }
}

impl<B: Batches> Batches for PrefetchedBatches<B> {
    fn per_epoch(&self) -> u64 {
        self.batches.per_epoch()
    }

    fn batch(&self, number: u64) -> Result<Batch> {
        let prepared = self.worker.as_ref().and_then(|worker| worker.exchange(number));
        prepared.unwrap_or_else(|| self.batches.batch(number))
    }

    fn largest(&self) -> Result<Batch> {
        self.batches.largest()
    }

    fn continues(&self, number: u64) -> bool {
        self.batches.continues(number)
    }
}
