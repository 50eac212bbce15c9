//! Ranks that train one model together, and what they exchange.
//!
//! A *rank* is one of N participants with the same model, the same batches in the same order and a trainer of its own: N
//! processes under `mpirun`, or N threads of one process, each with a GPU. A [`Communicator`] is what joins them. Give it to a
//! trainer with [`Trainer::with_communicator`](crate::Trainer::with_communicator), which says what is then shared out.
//!
//! [`LocalCommunicator`] joins threads. `MpiCommunicator`, with the crate's feature `mpi`, joins processes. Another transport
//! is another implementation of the trait; nothing else in this crate knows about one.

mod local;
#[cfg(feature = "mpi")]
mod mpi;
mod ranks;
mod sent;
mod sums_ahead;

use std::fmt::Debug;
use std::ops::Range;

use crate::error::Result;

pub use self::local::LocalCommunicator;
#[cfg(feature = "mpi")]
pub use self::mpi::{MpiCommunicator, MpiSum};
pub(crate) use self::ranks::{AGREED, Ranks};
pub(crate) use self::sent::SentBytes;
pub(crate) use self::sums_ahead::SumsAhead;

/// What joins N ranks, numbered from 0: sums over them, and messages to all of them.
///
/// The sums, [`gather`](Self::gather) and [`broadcast`](Self::broadcast) are *collective*: every rank makes the same calls in
/// the same order, one at a time but not always on the same thread, with the same lengths where it says so, and each call
/// blocks the thread until the others have made it too. Every rank therefore needs a thread or process of its own.
///
/// # Contract
///
/// * A sum is taken in the order of ranks, ((r₀ + r₁) + r₂) + …, for every element on its own, in the element's number type.
///   Every rank receives the same bits, and the same inputs give the same bits in every run.
/// * A rank that has left, because its handle was dropped or its process ended, makes the others' calls fail, or ends their
///   processes. It must not leave them waiting.
/// * After an error the ranks may have parted: nothing further is exchanged.
///
/// ```
/// use std::sync::Arc;
/// use std::thread;
///
/// use bptt::communicator::{Communicator, LocalCommunicator};
/// use bptt::ndarray::Array3;
/// use bptt::{Batch, Cell, Cpu, Head, Loss, Model, Optimizer, Readout, Recurrent, Sequence, Targets, Trainer, Wait};
///
/// let model = Model::new(Recurrent::new(Cell::Gru, 2, 8), Head::new(1, Loss::SquaredError, Readout::Final));
/// let x = Array3::from_shape_fn((5, 6, 2), |(t, b, i)| (t * b + i) as f32 * 0.1); // [T, B, I]
/// let batch = Batch::new(Sequence::dense(x), Targets::Values(Array3::ones((1, 6, 1))));
/// let train = |communicator: Option<LocalCommunicator>| -> bptt::Result<f64> {
///     let mut trainer = Trainer::new(&Cpu::new(), &model, Optimizer::adam(1e-2), 1)?;
///     if let Some(communicator) = communicator {
///         trainer = trainer.with_communicator(Arc::new(communicator))?;
///     }
///     for _ in 0..10 {
///         trainer.step(&batch).wait()?; // every rank is given the whole batch, and computes its rows of it
///     }
///     Ok(trainer.loss().wait()?.expect("ten steps"))
/// };
///
/// let alone = train(None)?;
/// let losses = thread::scope(|scope| {
///     let ranks = LocalCommunicator::ranks(3).into_iter().map(|rank| scope.spawn(|| train(Some(rank))));
///     ranks.collect::<Vec<_>>().into_iter().map(|rank| rank.join().expect("no panic")).collect::<Vec<_>>()
/// });
/// let first = losses[0].as_ref().expect("rank 0");
/// for loss in &losses {
///     let loss = loss.as_ref().expect("every rank");
///     assert_eq!(loss.to_bits(), first.to_bits()); // the same on every rank
///     assert!((loss - alone).abs() < 1e-6); // that of one rank, up to rounding
/// }
/// # Ok::<(), bptt::Error>(())
/// ```
pub trait Communicator: Debug + Send + Sync {
    /// The number of this rank, below [`size`](Self::size).
    fn rank(&self) -> usize;

    /// The number of ranks, at least 1.
    fn size(&self) -> usize;

    /// Whether messages between ranks go over a network, so that it pays to send gradients while others are still computed.
    /// Ranks of one machine exchange through memory, and need not say the same.
    fn crosses_machines(&self) -> bool {
        true
    }

    /// Replaces the values by their sums over all ranks. The length is the same on every rank. Collective.
    ///
    /// # Errors
    /// [`Error::Failed`](crate::Error::Failed) if another rank has left or made another call, and where the transport fails.
    fn sum_f32(&self, values: &mut [f32]) -> Result<()>;

    /// Like [`sum_f32`](Self::sum_f32), in f64.
    ///
    /// # Errors
    /// Same as [`sum_f32`](Self::sum_f32).
    fn sum_f64(&self, values: &mut [f64]) -> Result<()>;

    /// The messages of all ranks, in their order, which may have different lengths. Every rank receives all. Collective.
    ///
    /// # Errors
    /// Same as [`sum_f32`](Self::sum_f32).
    fn gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>>;

    /// Replaces the message by that of rank `from`, which may have another length. Collective.
    ///
    /// # Errors
    /// Same as [`sum_f32`](Self::sum_f32); [`Error::Value`](crate::Error::Value) if there is no rank `from`.
    fn broadcast(&self, from: usize, message: &mut Vec<u8>) -> Result<()>;

    /// The bytes that this rank has sent to others so far, as counted by [`bytes_of_sum`], [`bytes_of_gather`] and
    /// [`bytes_of_broadcast`] where the implementation says so.
    fn bytes_sent(&self) -> u64;
}

/// The most elements of a sum that are exchanged at a time: 2²⁴. The counts of MPI are 32 bits wide.
pub const SUM_PIECE: usize = 1 << 24;

/// The part of `count` elements or rows that belongs to rank `rank` of `size`: from ⌊count·rank / size⌋ to
/// ⌊count·(rank + 1) / size⌋. Parts follow each other in the order of ranks and differ by one at most; with fewer elements
/// than ranks some are empty.
///
/// # Panics
/// If `rank` is not below `size`.
pub fn part_of_rank(count: usize, rank: usize, size: usize) -> Range<usize> {
    assert!(rank < size, "rank {rank} of {size}");
    let bound = |rank: usize| (count as u128 * rank as u128 / size as u128) as usize;
    bound(rank)..bound(rank + 1)
}

/// The pieces of a sum of `count` elements, at most [`SUM_PIECE`] each.
pub(crate) fn pieces(count: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(SUM_PIECE).map(move |first| first..count.min(first + SUM_PIECE))
}

/// The bytes that a rank sends for a sum of `count` elements of `element` bytes each.
///
/// Of each piece of n ≤ [`SUM_PIECE`] elements every rank r adds up its [part](part_of_rank) of nᵣ elements: it sends the
/// other parts to their ranks, n − nᵣ elements, and its own part to all others once it is added up, (N − 1)·nᵣ elements. With
/// equal parts these are 2·n·(N − 1) / N elements.
pub fn bytes_of_sum(count: usize, element: usize, rank: usize, size: usize) -> u64 {
    let of_piece = |piece: Range<usize>| {
        let own = part_of_rank(piece.len(), rank, size).len() as u64;
        piece.len() as u64 - own + (size as u64 - 1) * own
    };
    element as u64 * pieces(count).map(of_piece).sum::<u64>()
}

/// The bytes that a rank sends to gather its message of `length` bytes: the message and its length, in 8 bytes, to each of the
/// N − 1 others.
pub fn bytes_of_gather(length: usize, size: usize) -> u64 {
    (8 + length as u64) * (size as u64 - 1)
}

/// The bytes that rank `from` sends to broadcast a message of `length` bytes: the message and its length, in 8 bytes, to each
/// of the N − 1 others. The others send nothing.
pub fn bytes_of_broadcast(length: usize, size: usize) -> u64 {
    bytes_of_gather(length, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_element_once_and_differ_by_one_at_most() {
        for (count, size) in [(10, 4), (3, 5), (0, 2), (7, 1), (usize::MAX, 3)] {
            let parts: Vec<_> = (0..size).map(|rank| part_of_rank(count, rank, size)).collect();
            assert_eq!((parts[0].start, parts[size - 1].end), (0, count));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start), "{parts:?}");
            let lengths = || parts.iter().map(ExactSizeIterator::len);
            assert!(lengths().max().unwrap() - lengths().min().unwrap() <= 1, "{parts:?}");
        }
    }

    #[test]
    fn the_bytes_of_a_sum_follow_the_formula() {
        // 12 elements over 4 ranks: 9 to others, and 3 sums to 3 others.
        assert_eq!(bytes_of_sum(12, 4, 1, 4), 4 * (9 + 9));
        assert_eq!(bytes_of_sum(12, 4, 0, 1), 0);
        // Of one element the last rank adds it up.
        assert_eq!((bytes_of_sum(1, 8, 0, 3), bytes_of_sum(1, 8, 2, 3)), (8, 16));
        let two_pieces = bytes_of_sum(SUM_PIECE + 1, 4, 1, 2);
        assert_eq!(two_pieces, bytes_of_sum(SUM_PIECE, 4, 1, 2) + bytes_of_sum(1, 4, 1, 2));
    }
}
