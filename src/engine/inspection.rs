//! What can be seen of an engine: gradient norms, time, memory.

use super::options::largest_rows;
use super::parameters::Parameters;
use crate::batch::Sequence;
use crate::error::Result;
use crate::gradient_norms::HiddenGradientNorms;
use crate::memory::{BatchShape, Memory};
use crate::model::RecurrentKernel;
use crate::profile::Profile;

/// Gradient norms, the time that kernels take, and the memory that an engine holds or is going to hold.
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Inspection: Parameters {
    /// Whether the backward passes to come also take the norm of ∂L/∂h_t for every step, layer and direction. As an engine
    /// begins, none does. All else that they compute is the same, to the last bit.
    fn set_hidden_gradient_norms(&mut self, on: bool);

    /// The norms of ∂L/∂h_t of the last [`accumulate`](super::Training::accumulate) or
    /// [`backward`](super::Layers::backward), and of no other before it: of the weighted sum, as the gradients are, not
    /// divided by Σ w. Waits for it.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) where the last pass was no backward one, or
    /// [`set_hidden_gradient_norms`](Self::set_hidden_gradient_norms) was off.
    async fn hidden_gradient_norms(&mut self) -> Result<HiddenGradientNorms>;

    /// Whether the passes and updates to come are timed. As an engine begins, none is, which costs nothing. All that they
    /// compute is the same, to the last bit.
    ///
    /// The GPU path times kernels where its device has `TIMESTAMP_QUERY` (see `GpuOptions::profile`), and otherwise counts
    /// them. Each kernel's dispatches then have compute passes of their own; copies between buffers are in none of them.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) where the platform has no clock: on the CPU path in a browser.
    fn set_profile(&mut self, on: bool) -> Result<()>;

    /// What the passes and updates took since the last call, or since [`set_profile`](Self::set_profile). Waits for them.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) where they were not timed.
    async fn profile(&mut self) -> Result<Profile>;

    /// How the recurrent steps over `rows` rows are dispatched, never [`RecurrentKernel::Auto`]; `None` on the CPU path,
    /// which dispatches none.
    fn kernel(&self, rows: usize) -> Option<RecurrentKernel>;

    /// What the engine holds on its device: of passes over several shapes too, which on the GPU path share their buffers.
    fn memory(&self) -> Memory;

    /// What it will hold once a batch of this shape went through [`accumulate`](super::Training::accumulate), by the
    /// plan: nothing is allocated. Of a new engine that is also the most that it holds after any batches of as many
    /// [`shapes`](BatchShape::shapes), none of more rows or steps. Staging that comes and goes is not counted; on the
    /// GPU path a step has passed as many bytes through it as [`MemoryPart::Input`](crate::MemoryPart::Input) has.
    ///
    /// # Errors
    /// Those with which the batch would be refused for its sizes.
    fn plan(&self, batch_shape: BatchShape) -> Result<Memory>;

    /// Bytes that the engine holds on its device.
    fn bytes(&self) -> u64 {
        self.memory().total()
    }

    /// The bytes of [`plan`](Self::plan) for a sequence.
    ///
    /// # Errors
    /// Those with which a batch of this sequence would be refused.
    fn planned_bytes(&self, sequence: &Sequence<f32>) -> Result<u64> {
        sequence.validate(self.model())?;
        Ok(self.plan(sequence.batch_shape())?.total())
    }

    /// The most rows, up to `most`, for which the plan, and `beside` bytes for each row that the caller has, stay within
    /// `budget` bytes in all; the rows of `batch_shape` do not count.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit) where not even one row does, and [`Error::Value`](crate::Error::Value) for
    /// other sizes than can be planned.
    fn largest_rows(&self, batch_shape: BatchShape, budget: u64, most: usize, beside: u64) -> Result<usize> {
        largest_rows(|rows| self.plan(BatchShape { rows, ..batch_shape }), budget, most, beside)
    }
}
