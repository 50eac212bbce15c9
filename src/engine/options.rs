//! What an engine is made for beside its model.

use crate::error::{Error, Result};
use crate::memory::{BatchShape, Memory};
use crate::model::{Model, RecurrentKernel};
use crate::optim::OptimizerKind;
use crate::sizes::{Count, ON_HOST};

/// What an engine is made for beside its model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineOptions {
    /// The rule whose per-weight numbers are kept; `None`: this engine never updates.
    pub optimizer: Option<OptimizerKind>,
    /// The time steps of a chunk; `None`: as many as the limits allow, with [`recompute`](Self::recompute) as takes the
    /// least memory. The results do not depend on it beyond rounding; on the CPU path, which takes whole multiples of 64,
    /// to the last bit.
    pub chunk: Option<usize>,
    /// Whether a training pass keeps only the states between chunks, and goes forward through a chunk again before it goes
    /// backward: what is kept then grows with the number of chunks and the length of one, for one more forward pass.
    /// Everything it computes is the same, to the last bit, as without for the same chunk. Needs a network of one direction.
    pub recompute: bool,
    /// How the GPU path dispatches the recurrent steps.
    pub kernel: RecurrentKernel,
    /// Whether [`Training::accumulate`](super::Training::accumulate) also computes dx, dh_0 and dc_0.
    pub input_gradient: bool,
    /// Updates in a row that are passed over where the loss or the gradient norm is not finite in the type that the path
    /// computes in; one more ends updating. One passed over leaves no trace, as with PyTorch's `GradScaler`: weights and the
    /// optimizer's numbers stay, and what an optimizer counts, Adam's t or SGD's first step, are the updates made. The
    /// steps' own numbers go on, and with them schedules and the masks of dropout.
    pub max_skipped_updates: u32,
    /// A budget in bytes for everything that the engine holds on the device; on the CPU path for what a training batch
    /// takes.
    pub memory: Option<u64>,
}

impl EngineOptions {
    /// Refuses what has no meaning for the model.
    pub(crate) fn validate(&self, model: &Model) -> Result<()> {
        if self.chunk == Some(0) {
            return Err(Error::value("chunk", "at least 1 time step", 0));
        }
        if self.recompute && model.recurrent.bidirectional {
            // Each direction would need the other's outputs of a chunk at another time than it goes through that chunk.
            let reason = "recompute needs a network of one direction: this one reads in two";
            return Err(Error::Unsupported(reason.into()));
        }
        Ok(())
    }

    /// Refuses what would take more than the budget.
    pub(crate) fn check_memory(&self, bytes: u64) -> Result<()> {
        match self.memory.filter(|budget| bytes > *budget) {
            Some(budget) => Err(over_budget("weights and a pass over the batch", bytes, budget)),
            None => Ok(()),
        }
    }
}

/// Which rows of the carried state a batch continues, for truncated BPTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatefulRows {
    /// The batch's first row among all.
    pub first_row: usize,
    /// All rows: B of the whole batch, of which this one may be a part.
    pub rows: usize,
}

impl StatefulRows {
    /// Refuses rows beyond all rows, and what cannot be carried; `held` rows are those carried so far.
    pub(crate) fn check(&self, model: &Model, rows: usize, held: Option<usize>) -> Result<()> {
        if model.recurrent.bidirectional {
            let reason = "state cannot be carried in two directions: the reverse one starts at each row's end";
            return Err(Error::Unsupported(reason.into()));
        }
        if self.first_row.checked_add(rows).is_none_or(|end| end > self.rows) {
            let most = self.rows.saturating_sub(rows);
            return Err(Error::value("carry.first_row", format!("at most {most}"), self.first_row));
        }
        match held.filter(|held| *held != self.rows) {
            Some(held) => {
                let expected = format!("{held}, whose states are carried: reset them for another number of rows");
                Err(Error::value("the rows of the batch", expected, self.rows))
            }
            None => {
                let batch_shape =
                    BatchShape { steps: 1, rows, tokens: false, resets: false, carried: self.rows, shapes: 1 };
                batch_shape.check(model, ON_HOST)
            }
        }
    }
}

/// The most rows, up to `most`, for which a plan, and `beside` bytes for each, stay within `budget` bytes.
pub(super) fn largest_rows(
    plan: impl Fn(usize) -> Result<Memory>,
    budget: u64,
    most: usize,
    beside: u64,
) -> Result<usize> {
    let bytes = |rows| Ok((Count::from(beside) * rows + plan(rows)?.total()).get());
    // More than can be planned does not fit either.
    let fits = |rows| bytes(rows).is_ok_and(|bytes: u64| bytes <= budget);
    let one = bytes(1)?;
    if one > budget {
        return Err(over_budget("weights and a pass over one row", one, budget));
    }
    // At least `least` rows fit, and `beyond` do not, or are not asked for.
    let (mut least, mut beyond) = (1, most.max(1).saturating_add(1));
    while beyond - least > 1 {
        let middle = least + (beyond - least) / 2;
        if fits(middle) { least = middle } else { beyond = middle }
    }
    Ok(least)
}

fn over_budget(tensor: &str, bytes: u64, limit_bytes: u64) -> Error {
    let remedy = "take a smaller batch, micro-batches, or recompute";
    Error::Limit { tensor: tensor.into(), bytes, limit: "the memory budget", limit_bytes, remedy }
}
