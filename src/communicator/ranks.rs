//! What a trainer does with a communicator.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Communicator, part_of_rank};
use crate::error::{Error, Result};
use crate::real::{ForEachReal, Real};

/// The numbers that ranks add up when they agree to go on.
pub(crate) const AGREED: usize = 3;

/// A communicator of at least two ranks, and whether they still make the same calls. Copies share both.
#[derive(Clone, Debug)]
pub(crate) struct Ranks {
    communicator: Arc<dyn Communicator>,
    parted: Arc<AtomicBool>,
}

impl Ranks {
    /// `None` for a communicator of one rank, which has nothing to exchange.
    ///
    /// # Errors
    /// [`Error::Value`] for a rank that is not below the size.
    pub(crate) fn new(communicator: Arc<dyn Communicator>) -> Result<Option<Self>> {
        let (rank, size) = (communicator.rank(), communicator.size());
        if rank >= size {
            return Err(Error::value("the communicator's rank", format!("a number below its size of {size}"), rank));
        }
        Ok((size > 1).then(|| Self { communicator, parted: Arc::default() }))
    }

    pub(crate) fn communicator(&self) -> &Arc<dyn Communicator> {
        &self.communicator
    }

    /// Whether this is rank 0.
    pub(crate) fn leads(&self) -> bool {
        self.communicator.rank() == 0
    }

    pub(crate) fn size(&self) -> usize {
        self.communicator.size()
    }

    /// The rows of a batch, or other elements, that belong to this rank.
    pub(crate) fn own(&self, count: usize) -> Range<usize> {
        self.of(count, self.communicator.rank())
    }

    /// Those of any rank.
    pub(crate) fn of(&self, count: usize, rank: usize) -> Range<usize> {
        part_of_rank(count, rank, self.size())
    }

    /// Whether an exchange has failed, on this rank or another one.
    pub(crate) fn have_parted(&self) -> bool {
        self.parted.load(Ordering::Relaxed)
    }

    /// Begins every exchange: the ranks tell each other whether all of them are there, and add up some numbers. A rank that
    /// fails calls this with its error, wherever it is; the others receive it where they are next, in place of an exchange
    /// that would never end.
    ///
    /// # Errors
    /// The rank's own error, or [`Error::Failed`] with that of the first other rank that has one. The ranks have then parted.
    pub(crate) fn agree(&self, local: Result<[f64; AGREED]>) -> Result<[f64; AGREED]> {
        if self.have_parted() {
            return local.and_then(|_| Err(parted()));
        }
        let mut sums = [0.0; AGREED + 1];
        match &local {
            Ok(values) => sums[1..].copy_from_slice(values),
            Err(_) => sums[0] = 1.0,
        }
        if let Err(error) = self.exchanged(self.communicator.sum_f64(&mut sums)) {
            return local.and(Err(error));
        }
        let [failed, sums @ ..] = sums;
        if failed == 0.0 {
            return Ok(sums);
        }
        let message = local.as_ref().err().map(Error::to_string).unwrap_or_default();
        let all = self.exchanged(self.communicator.gather(message.as_bytes()));
        self.parted.store(true, Ordering::Relaxed);
        local?;
        let all = all?;
        let (rank, message) = all.iter().enumerate().find(|(_, message)| !message.is_empty()).unwrap_or((0, &all[0]));
        Err(Error::Failed(format!("rank {rank}: {}", String::from_utf8_lossy(message))))
    }

    /// Replaces the values by their sums over all ranks. Follows an [`agree`](Self::agree).
    pub(crate) fn sum<R: Real>(&self, values: &mut [R]) -> Result<()> {
        self.exchanged(R::choose(self).sum_over_ranks(values))
    }

    /// The messages of all ranks. Follows an [`agree`](Self::agree), unless none of them can have failed since another
    /// exchange.
    pub(crate) fn gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.exchanged(self.communicator.gather(message))
    }

    /// The numbers of all ranks, in their order. Like [`gather`](Self::gather).
    pub(crate) fn gather_numbers<R: Real>(&self, numbers: impl Iterator<Item = R>) -> Result<Vec<Vec<R>>> {
        let mut message = Vec::new();
        numbers.for_each(|number| number.put_le_bytes(&mut message));
        let numbers = |message: &Vec<u8>| message.chunks_exact(size_of::<R>()).map(R::from_le_bytes).collect();
        Ok(self.gather(&message)?.iter().map(numbers).collect())
    }

    /// Replaces the numbers by those of rank 0. Like [`gather`](Self::gather).
    pub(crate) fn take_first<R: Real>(&self, numbers: &mut Vec<R>) -> Result<()> {
        let mut message = Vec::new();
        if self.communicator.rank() == 0 {
            numbers.iter().for_each(|number| number.put_le_bytes(&mut message));
        }
        self.exchanged(self.communicator.broadcast(0, &mut message))?;
        if self.communicator.rank() > 0 {
            numbers.clear();
            numbers.extend(message.chunks_exact(size_of::<R>()).map(R::from_le_bytes));
        }
        Ok(())
    }

    /// Passes on the result of an exchange.
    fn exchanged<T>(&self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.parted.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// The error of an exchange after one that has failed.
fn parted() -> Error {
    let reason =
        "the ranks have parted after an error of one of them, and exchange nothing more: create their trainers anew";
    Error::Failed(reason.into())
}

/// Sums in a number type.
pub(crate) trait SumOverRanks<R> {
    fn sum_over_ranks(&self, values: &mut [R]) -> Result<()>;
}

impl SumOverRanks<f32> for Ranks {
    fn sum_over_ranks(&self, values: &mut [f32]) -> Result<()> {
        self.communicator.sum_f32(values)
    }
}

impl SumOverRanks<f64> for Ranks {
    fn sum_over_ranks(&self, values: &mut [f64]) -> Result<()> {
        self.communicator.sum_f64(values)
    }
}

impl ForEachReal for Ranks {
    type Of<R: Real> = dyn SumOverRanks<R>;

    fn single(&self) -> &Self::Of<f32> {
        self
    }

    fn double(&self) -> &Self::Of<f64> {
        self
    }
}
