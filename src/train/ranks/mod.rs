//! A trainer that is one of several ranks: rows are shared out, sums are taken over ranks, and results are put together.

mod ahead;
mod begin;
mod rows;
mod sent;
mod sums;

pub use self::sums::bytes_sent_per_step;
#[cfg(feature = "experiment")]
pub(crate) use self::sums::sums_of_step;

use std::ops::Range;
use std::sync::Arc;

use super::trainer::Trainer;
use crate::communicator::{AGREED, Communicator, Ranks, SentBytes};
use crate::engine::Engine;
use crate::error::{Error, Result};

impl<E: Engine> Trainer<E> {
    /// Makes the trainer one of several ranks that train together: see [`communicator`](crate::communicator), which has an
    /// example. A communicator of one rank changes nothing.
    ///
    /// Every rank makes the same calls in the same order, with the same whole batches, on a trainer with the same model,
    /// optimizer, options, seed and weights; [`micro_batch`](crate::TrainerOptions::micro_batch) and what else decides only
    /// how a device computes its rows may differ. The first two steps compare what the ranks start with and end the first
    /// step with, and every update compares its batches; a difference is an error that names the rank.
    ///
    /// * **Batches.** Each rank computes its rows of a batch, [`part_of_rank`](crate::communicator::part_of_rank), with their
    ///   row numbers in the whole batch, on which dropout and carried states depend. Σ w is that of the whole batch.
    /// * **Updates** add up the gradient sums and losses in the order of ranks, and then every rank makes the same update:
    ///   clipping, norms, skipped updates and the average of the weights are those of the whole batch. Frozen tensors are not
    ///   exchanged.
    /// * **Results** are those of the whole batch on every rank: losses, predictions, gradients, norms, states and
    ///   checkpoints. Those that need the other ranks' part are collective: every call that [waits](crate#waiting) for losses,
    ///   predictions, gradients or carried states.
    /// * The result is that of one rank up to rounding, and for a number of ranks the same in every run, bit for bit, on
    ///   devices with the same [`arithmetic`](crate::Backend::arithmetic).
    ///
    /// An error of one rank in such a call is an error of all, which name the rank, instead of a wait without end. The ranks
    /// then exchange nothing more. Errors in the caller's own code between calls do not reach the others: drop the
    /// communicator, or end the process.
    ///
    /// [`session`](Self::session), [`engine`](Self::engine) and [`step`](Self::step)'s reports are the rank's own; the
    /// reports are the same on all.
    ///
    /// # Errors
    /// [`Error::Value`] for a communicator whose rank is not below its size; [`Error::Unsupported`] if batches have been
    /// accumulated since the last update.
    pub fn with_communicator(mut self, communicator: Arc<dyn Communicator>) -> Result<Self> {
        self.check_between_steps()?;
        self.ranks = Ranks::new(communicator)?;
        self.sent = SentBytes::default();
        // The sums of an earlier update are those of a whole batch, and not of this rank's rows.
        self.sums = super::trainer::GradientSums::Nothing;
        self.restart_comparison();
        Ok(self)
    }

    /// Whether all ranks take rank 0's parameters, optimizer state and average of the parameters, before the first step and
    /// after every update. For devices of different [`arithmetic`](crate::Backend::arithmetic): their updates differ in the
    /// last bits, and their weights would part step by step. Off by default, where such a difference is an error. It sends
    /// these blocks in every step, and waits for the update.
    pub fn sharing_weights(mut self, on: bool) -> Self {
        self.shares_weights = on;
        self
    }

    /// The communicator, if the trainer is one of several ranks.
    pub fn communicator(&self) -> Option<&Arc<dyn Communicator>> {
        self.ranks.as_ref().map(Ranks::communicator)
    }

    /// The rows of a batch that this rank computes: all without others.
    pub(super) fn own_rows(&self, rows: usize) -> Range<usize> {
        self.ranks.as_ref().map_or(0..rows, |ranks| ranks.own(rows))
    }

    /// A result of this rank, once all have one without an error. Without ranks what is given, as of the following.
    pub(super) fn agreed<T>(&self, local: Result<T>) -> Result<T> {
        let (value, _) = self.agreed_sum(local.map(|value| (value, 0.0)))?;
        Ok(value)
    }

    /// A result of this rank, and the sum of a number over all ranks.
    pub(super) fn agreed_sum<T>(&self, local: Result<(T, f64)>) -> Result<(T, f64)> {
        let (value, number) = self.announced(local)?;
        let Some(ranks) = &self.ranks else { return Ok((value, number)) };
        let [sum, ..] = ranks.agree(Ok([number, 0.0, 0.0]))?;
        Ok((value, sum))
    }

    /// The sum of a number over all ranks.
    pub(super) fn sum_of_ranks(&self, local: Result<f64>) -> Result<f64> {
        let ((), sum) = self.agreed_sum(local.map(|number| ((), number)))?;
        Ok(sum)
    }

    /// Tells the other ranks of an error, which they receive in their next exchange.
    pub(super) fn announced<T>(&self, result: Result<T>) -> Result<T> {
        match (result, &self.ranks) {
            (Err(error), Some(ranks)) => Err(ranks.agree(Err(error)).err().unwrap_or_else(unexpected)),
            (result, _) => result,
        }
    }

    /// Ends a run or another series of exchanges, as the last of them: an error of any rank, wherever it was, is one of all.
    pub(super) fn ended<T>(&self, result: Result<T>) -> Result<T> {
        match &result {
            // All ranks have it alike, and go on.
            Err(Error::NonFinite { .. }) => result,
            _ => self.agreed(result),
        }
    }

    /// What any rank asks for.
    pub(super) fn any_rank_asks(&self, local: [bool; AGREED]) -> Result<[bool; AGREED]> {
        let Some(ranks) = &self.ranks else { return Ok(local) };
        Ok(ranks.agree(Ok(local.map(|asks| f64::from(u8::from(asks)))))?.map(|ranks| ranks > 0.0))
    }
}

/// What cannot be: an exchange of an error without one.
fn unexpected() -> Error {
    Error::Failed("an error of this rank was lost".into())
}
