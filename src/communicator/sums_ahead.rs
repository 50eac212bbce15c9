//! Sums over ranks that another thread takes.

use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use super::ranks::{AGREED, Ranks};
use crate::error::{Error, Result};
use crate::real::Real;

/// A series of tensors, as a range of them, with their gradient sums: of this rank, then of all.
type SeriesSums<R> = (Range<usize>, Vec<R>);

/// A thread that adds up the gradients of some series of tensors over ranks, in their order. From its beginning to its end the
/// rank exchanges nothing else. Every element is added up as without it, so the bits are the same, and whether a rank has such
/// a thread is its own affair.
#[derive(Debug)]
pub(crate) struct SumsAhead<R> {
    /// All series in their order, each with its range in the flat block.
    series: Vec<(Range<usize>, Range<usize>)>,
    to: Sender<SeriesSums<R>>,
    thread: JoinHandle<Result<Vec<SeriesSums<R>>>>,
}

impl<R: Real> SumsAhead<R> {
    /// Begins a thread for these series, each with its range in the flat block.
    ///
    /// # Errors
    /// Where no thread can be had, as in a browser.
    pub(crate) fn begin(ranks: Ranks, series: Vec<(Range<usize>, Range<usize>)>) -> std::io::Result<Self> {
        let (to, given) = channel();
        let thread = Builder::new().name("sums over ranks".into()).spawn(move || sum_all(&ranks, given))?;
        Ok(Self { series, to, thread })
    }

    /// Takes complete sums of this rank, with their range in the flat block.
    pub(crate) fn give(&self, numbers: Range<usize>, sums: &[R]) {
        for (tensors, part) in &self.series {
            if numbers.start <= part.start && part.end <= numbers.end {
                let part = sums[part.start - numbers.start..part.end - numbers.start].to_vec();
                // A thread that has ended early has an error to return.
                let _ = self.to.send((tensors.clone(), part));
            }
        }
    }

    /// Waits for the sums over all ranks of what has been given.
    ///
    /// # Errors
    /// Of another rank, and of the exchange.
    pub(crate) fn finish(self) -> Result<Vec<SeriesSums<R>>> {
        drop(self.to);
        let lost = |_| Err(Error::Failed("the thread that adds up gradients over ranks panicked".into()));
        self.thread.join().unwrap_or_else(lost)
    }
}

/// Adds up each series as soon as it is given.
fn sum_all<R: Real>(ranks: &Ranks, given: Receiver<SeriesSums<R>>) -> Result<Vec<SeriesSums<R>>> {
    let summed = |(tensors, mut sums): SeriesSums<R>| {
        ranks.agree(Ok([0.0; AGREED]))?;
        ranks.sum(&mut sums)?;
        Ok((tensors, sums))
    };
    given.into_iter().map(summed).collect()
}
