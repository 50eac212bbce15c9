//! Options of an engine.

pub(crate) mod parameter_groups;

pub use self::parameter_groups::ParameterGroup;
use crate::error::{Error, Result};
use crate::memory::{BatchShape, Memory};
use crate::model::{Model, Precision, RecurrentKernel};
use crate::optim::OptimizerKind;
use crate::sizes::{Count, ON_HOST};

/// Options of an engine, fixed when it is created.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct EngineOptions {
    /// The kind of optimizer whose state the engine keeps. `None`: the engine never updates.
    pub optimizer: Option<OptimizerKind>,
    /// Tensors with another learning rate or weight decay, or frozen ones; of several groups that match a tensor the first
    /// decides. Empty: every tensor has the optimizer's settings. A group that decides for no tensor is refused.
    pub parameter_groups: Vec<ParameterGroup>,
    /// The decay d of an exponential moving average of the parameters, from 0 to below 1: ā ← d·ā + (1 − d)·w after each
    /// update that was made, from a copy of the parameters after the first one on. `None`: there is no average. See
    /// [`FlatBlock::AveragedParameters`](super::FlatBlock::AveragedParameters) and
    /// [`Trainer::averaged`](crate::Trainer::averaged).
    pub ema_decay: Option<f64>,
    /// Time steps per chunk. `None`: as many as the device limits allow, or with [`recompute`](Self::recompute) the
    /// number that needs the least memory. Changes results by rounding only; on the CPU backend, which uses multiples
    /// of 64, not at all.
    pub chunk: Option<usize>,
    /// Gradient checkpointing over time. A training pass keeps only the states between chunks and recomputes each chunk
    /// before its backward pass, which costs one more forward pass. Results are the same bits as without it at the same
    /// chunk length. Requires a network that reads forward only.
    pub recompute: bool,
    /// How the GPU backend dispatches the recurrent steps.
    pub kernel: RecurrentKernel,
    /// How the GPU backend stores the histories of z and h, and copies of W_hh. The CPU backend has
    /// [`F32`](Precision::F32) only, which is there the backend's own number type.
    pub precision: Precision,
    /// Whether [`Training::accumulate`](super::Training::accumulate) also computes dx, dh_0 and dc_0.
    pub input_gradient: bool,
    /// How many updates in a row may be skipped because the loss or the gradient norm is not finite in the backend's
    /// number type. One more stops updating. As with PyTorch's `GradScaler`, a skipped update leaves no trace: weights
    /// and optimizer state stay, and the optimizer's own count (Adam's t, SGD's first step) includes only updates that
    /// were applied. The step number still advances, and with it schedules and dropout masks.
    pub max_skipped_updates: u32,
    /// Memory budget in bytes: on the GPU backend for everything the engine holds on the device, on the CPU backend for
    /// a training batch.
    pub memory: Option<u64>,
}

impl EngineOptions {
    /// Sets the kind of optimizer whose state the engine keeps: [`optimizer`](Self#structfield.optimizer).
    pub fn optimizer(mut self, optimizer: impl Into<Option<OptimizerKind>>) -> Self {
        self.optimizer = optimizer.into();
        self
    }

    /// Sets the parameter groups: [`parameter_groups`](Self#structfield.parameter_groups).
    pub fn parameter_groups(mut self, parameter_groups: impl Into<Vec<ParameterGroup>>) -> Self {
        self.parameter_groups = parameter_groups.into();
        self
    }

    /// Sets the decay of an average of the parameters: [`ema_decay`](Self#structfield.ema_decay).
    pub fn ema_decay(mut self, ema_decay: impl Into<Option<f64>>) -> Self {
        self.ema_decay = ema_decay.into();
        self
    }

    /// Sets the time steps per chunk: [`chunk`](Self#structfield.chunk).
    pub fn chunk(mut self, chunk: impl Into<Option<usize>>) -> Self {
        self.chunk = chunk.into();
        self
    }

    /// Sets gradient checkpointing over time: [`recompute`](Self#structfield.recompute).
    pub fn recompute(mut self, recompute: bool) -> Self {
        self.recompute = recompute;
        self
    }

    /// Sets how the GPU backend dispatches the recurrent steps.
    pub fn kernel(mut self, kernel: RecurrentKernel) -> Self {
        self.kernel = kernel;
        self
    }

    /// Sets how the GPU backend stores z, h and copies of W_hh: [`precision`](Self#structfield.precision).
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Sets whether training passes also compute dx, dh_0 and dc_0.
    pub fn input_gradient(mut self, input_gradient: bool) -> Self {
        self.input_gradient = input_gradient;
        self
    }

    /// Sets how many updates in a row may be skipped: [`max_skipped_updates`](Self#structfield.max_skipped_updates).
    pub fn max_skipped_updates(mut self, max_skipped_updates: u32) -> Self {
        self.max_skipped_updates = max_skipped_updates;
        self
    }

    /// Sets the memory budget in bytes: [`memory`](Self#structfield.memory).
    pub fn memory(mut self, memory: impl Into<Option<u64>>) -> Self {
        self.memory = memory.into();
        self
    }

    /// Checks the options against the model.
    pub(crate) fn validate(&self, model: &Model) -> Result<()> {
        if self.chunk == Some(0) {
            return Err(Error::value("chunk", "at least 1 time step", 0));
        }
        self.optimizer.map_or(Ok(()), |kind| kind.check_custom())?;
        if let Some(decay) = self.ema_decay {
            if !(0.0..1.0).contains(&decay) {
                return Err(Error::value("ema_decay", "a number from 0 to below 1", decay));
            }
            if self.optimizer.is_none() {
                let reason = "ema_decay averages the parameters over updates, which need EngineOptions::optimizer";
                return Err(Error::Unsupported(reason.into()));
            }
        }
        if self.recompute && model.recurrent.has_reverse() {
            // The chunks of a pass follow each other forward in time. With both directions, each needs the other's outputs of
            // a chunk before the other has reached it.
            let reason = "recompute needs a network that reads forward only; this one has a reverse direction";
            return Err(Error::Unsupported(reason.into()));
        }
        Ok(())
    }

    /// Fails if `bytes` exceed the budget.
    pub(crate) fn check_memory(&self, bytes: u64) -> Result<()> {
        match self.memory.filter(|budget| bytes > *budget) {
            Some(budget) => Err(over_budget("weights and a pass over the batch", bytes, budget)),
            None => Ok(()),
        }
    }
}

/// The rows of the carried state that a batch continues, for truncated BPTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatefulRows {
    /// The batch's first row among all rows.
    pub first_row: usize,
    /// The total number of rows: B of the whole batch, of which this one may be a part.
    pub rows: usize,
}

impl StatefulRows {
    /// Checks the row range, and that the state of `model` can be carried. `held`: the number of rows carried so far.
    pub(crate) fn check(&self, model: &Model, rows: usize, held: Option<usize>) -> Result<()> {
        check_carries(model)?;
        if self.first_row.checked_add(rows).is_none_or(|end| end > self.rows) {
            let most = self.rows.saturating_sub(rows);
            return Err(Error::value("carry.first_row", format!("at most {most}"), self.first_row));
        }
        match held.filter(|held| *held != self.rows) {
            Some(held) => {
                let expected =
                    format!("{held}, the number of rows whose state is carried; reset the state to change it");
                Err(Error::value("the rows of the batch", expected, self.rows))
            }
            None => BatchShape::new(1, rows).carried(self.rows).check(model, ON_HOST),
        }
    }
}

/// Checks that the state of `model` can be carried from batch to batch.
pub(crate) fn check_carries(model: &Model) -> Result<()> {
    if model.recurrent.has_reverse() {
        let reason = "state cannot be carried in a network with a reverse direction, which starts at each row's end";
        return Err(Error::Unsupported(reason.into()));
    }
    Ok(())
}

/// The largest number of rows, at most `most`, for which a plan plus `beside` bytes per row fits into `budget` bytes.
pub(in crate::engine) fn largest_rows(
    plan: impl Fn(usize) -> Result<Memory>,
    budget: u64,
    most: usize,
    beside: u64,
) -> Result<usize> {
    let bytes = |rows| Ok((Count::from(beside) * rows + plan(rows)?.total()).get());
    // Sizes that cannot be planned do not fit either.
    let fits = |rows| bytes(rows).is_ok_and(|bytes: u64| bytes <= budget);
    let one = bytes(1)?;
    if one > budget {
        return Err(over_budget("weights and a pass over one row", one, budget));
    }
    // Invariant: `least` rows fit, and `beyond` rows do not fit or are more than `most`.
    let (mut least, mut beyond) = (1, most.max(1).saturating_add(1));
    while beyond - least > 1 {
        let middle = least + (beyond - least) / 2;
        if fits(middle) { least = middle } else { beyond = middle }
    }
    Ok(least)
}

fn over_budget(tensor: &str, bytes: u64, limit_bytes: u64) -> Error {
    let remedy = "use a smaller batch, micro-batches or recompute";
    Error::Limit { tensor: tensor.into(), bytes, limit: "the memory budget", limit_bytes, remedy }
}
