//! Thread time by phase.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::profile::{Profile, ProfilePart};

/// A phase of a pass or update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Packing weights into panels.
    Packing,
    /// Loading a batch into its blocks.
    Load,
    /// x · W_ihᵀ for all steps.
    Projection,
    Forward,
    /// Logits, loss and da.
    Head,
    HeadBackward,
    Backward,
    /// dz · W_ih for all steps.
    InputGradient,
    WeightGradients,
    Norm,
    Update,
}

impl Phase {
    const ALL: [(Self, &'static str); 11] = [
        (Self::Packing, "weights packed"),
        (Self::Load, "load"),
        (Self::Projection, "input projection"),
        (Self::Forward, "steps forward"),
        (Self::Head, "head and loss"),
        (Self::HeadBackward, "head backward"),
        (Self::Backward, "steps backward"),
        (Self::InputGradient, "input gradient"),
        (Self::WeightGradients, "weight gradients"),
        (Self::Norm, "norm"),
        (Self::Update, "update"),
    ];
}

#[derive(Debug, Default)]
struct Counter {
    nanoseconds: AtomicU64,
    calls: AtomicU64,
    operations: AtomicU64,
}

/// Counts nothing until started.
#[derive(Debug, Default)]
pub(crate) struct Clock(Option<Box<[Counter; Phase::ALL.len()]>>);

/// The start of a phase; empty if the clock is off.
#[must_use]
pub(crate) struct Timer(Option<Instant>);

impl Clock {
    pub(crate) fn set(&mut self, on: bool) -> Result<()> {
        if on && cfg!(target_family = "wasm") {
            return Err(Error::Unsupported("a profile needs a clock, which this platform does not have".into()));
        }
        self.0 = on.then(Box::default);
        Ok(())
    }

    pub(crate) fn begin(&self) -> Timer {
        Timer(self.0.as_ref().map(|_| Instant::now()))
    }

    /// Ends a phase with this many operations in products.
    pub(crate) fn end(&self, timer: Timer, phase: Phase, operations: impl FnOnce() -> usize) {
        let Some((counters, timer)) = self.0.as_ref().zip(timer.0) else { return };
        let Counter { nanoseconds, calls, operations: all } = &counters[phase as usize];
        nanoseconds.fetch_add(timer.elapsed().as_nanos() as u64, Ordering::Relaxed);
        calls.fetch_add(1, Ordering::Relaxed);
        all.fetch_add(operations() as u64, Ordering::Relaxed);
    }

    /// The counts since the last call.
    pub(crate) fn take(&self) -> Result<Profile> {
        let counters = self.0.as_ref().ok_or_else(Profile::none)?;
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        let parts = Phase::ALL.iter().zip(counters.iter()).map(|((_, name), counter)| ProfilePart {
            name: (*name).into(),
            calls: take(&counter.calls),
            seconds: Some(take(&counter.nanoseconds) as f64 * 1e-9),
            operations: take(&counter.operations),
            bytes: 0,
        });
        Ok(Profile { parts: parts.filter(|part| part.calls > 0).collect(), ..Profile::default() })
    }
}

/// Operations of a product of `rows` rows with a weight of this many numbers.
pub(crate) fn product(rows: usize, weight: usize) -> usize {
    2 * rows * weight
}
