//! The bytes that a rank sends for a step, counted.

use crate::engine::Engine;
use crate::train::trainer::Trainer;

impl<E: Engine> Trainer<E> {
    /// The bytes that the communicator has counted so far.
    fn bytes_sent(&self) -> u64 {
        self.communicator().map_or(0, |communicator| communicator.bytes_sent())
    }

    /// Begins to count those of a run.
    pub(in crate::train) fn restart_count(&mut self) {
        self.sent.restart();
    }

    /// Begins to count those of a step, of which nothing has been exchanged.
    pub(in crate::train) fn begin_count(&mut self) {
        self.sent.begin(self.bytes_sent());
    }

    /// Ends the count of a step.
    pub(in crate::train) fn end_count(&mut self) {
        self.sent.end(self.bytes_sent());
    }

    /// The fewest bytes of a step since [`restart_count`](Self::restart_count); `None` without steps or other ranks.
    pub(in crate::train) fn bytes_of_steps(&self) -> Option<u64> {
        self.sent.least().filter(|_| self.communicator().is_some())
    }
}
