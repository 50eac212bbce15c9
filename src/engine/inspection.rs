//! Diagnostics of an engine: gradient norms, time and memory.

use super::options::largest_rows;
use super::parameters::Parameters;
use super::results::Compilation;
use crate::batch::{Batch, Sequence};
use crate::error::Result;
use crate::gradient_norms::HiddenGradientNorms;
use crate::memory::{BatchShape, Memory};
use crate::model::RecurrentKernel;
use crate::profile::Profile;
use crate::real::Real;

/// Gradient norms, kernel times, and the memory that an engine uses or will use.
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Inspection: Parameters {
    /// Sets whether later backward passes record the norm of ∂L/∂h_t for every step, layer and direction. Off by
    /// default. All other results stay the same, bit for bit.
    fn set_hidden_gradient_norms(&mut self, on: bool);

    /// The norms of ∂L/∂h_t from the last pass, which must be [`accumulate`](super::Training::accumulate) or
    /// [`backward`](super::Layers::backward). Like the gradients, they belong to the weighted sum and are not divided
    /// by Σ w. [Waits](crate#waiting) for the pass.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) if the last pass was not a backward pass, or
    /// [`set_hidden_gradient_norms`](Self::set_hidden_gradient_norms) was off.
    async fn hidden_gradient_norms(&mut self) -> Result<HiddenGradientNorms>;

    /// Sets whether later passes and updates are timed. Off by default, at no cost. Results stay the same, bit for bit.
    ///
    /// The GPU backend times kernels if its device has `TIMESTAMP_QUERY` (see `GpuOptions::profile`), and otherwise
    /// only counts them. While profiling, consecutive dispatches of one kernel get a compute pass of their own. Buffer
    /// copies are not timed.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) if the platform has no clock: on the CPU backend in a browser.
    fn set_profile(&mut self, on: bool) -> Result<()>;

    /// The time spent in passes and updates since the last call, or since [`set_profile`](Self::set_profile).
    /// [Waits](crate#waiting) for them.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) if profiling is off.
    async fn profile(&mut self) -> Result<Profile>;

    /// Compiles one of the kernels that a training step over a batch of this shape needs, and the engines on the same
    /// device so far, if they are not compiled: with `GpuOptions::deferred` they are compiled when they first run, or one
    /// by one by this. [Waits](crate#waiting) for the compiler. It is a pass that computes nothing: see [`Engine`](super::Engine). On the
    /// CPU backend there are no kernels.
    ///
    /// ```
    /// # use bptt::ndarray::Array3;
    /// # use bptt::{Batch, Cell, Cpu, Head, Inspection, Loss, Model, Optimizer, Readout, Recurrent, Sequence, Targets, Trainer, Wait};
    /// # let model = Model::new(Recurrent::new(Cell::Gru, 2, 8), Head::new(1, Loss::SquaredError, Readout::Final));
    /// # let batch: Batch = Batch::new(Sequence::dense(Array3::zeros((5, 4, 2))), Targets::Values(Array3::zeros((1, 4, 1))));
    /// let backend = Cpu::new(); // or Gpu::new(GpuOptions::default().deferred(true)).wait()?
    /// let mut trainer = Trainer::new(&backend, &model, Optimizer::adam(1e-2), 1)?;
    /// loop {
    ///     let compilation = trainer.engine().compile(&batch).wait()?;
    ///     println!("{} of {} kernels", compilation.compiled, compilation.kernels);
    ///     if compilation.is_complete() {
    ///         break;
    ///     }
    /// }
    /// # Ok::<(), bptt::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`accumulate`](super::Training::accumulate) before anything is computed;
    /// [`Error::Unsupported`](crate::Error::Unsupported) with the message of a compiler that refuses a kernel.
    async fn compile<S: Real>(&mut self, batch: &Batch<S>) -> Result<Compilation>;

    /// How the recurrent steps over `rows` rows are dispatched; never [`RecurrentKernel::Auto`]. `None` on the CPU
    /// backend, which has no dispatches.
    fn kernel(&self, rows: usize) -> Option<RecurrentKernel>;

    /// The device memory in use, including cached passes over other shapes. On the GPU backend, passes share their
    /// buffers.
    fn memory(&self) -> Memory;

    /// The planned memory after [`accumulate`](super::Training::accumulate) over a batch of this shape. Nothing is
    /// allocated. For a new engine this is also the maximum over any batches with at most this many rows, steps and
    /// [`shapes`](BatchShape::shapes). Temporary staging memory is not included; on the GPU backend a step stages as
    /// many bytes as [`MemoryPart::Input`](crate::MemoryPart::Input).
    ///
    /// # Errors
    /// The errors that a batch of this size would return.
    fn plan(&self, batch_shape: BatchShape) -> Result<Memory>;

    /// Total device memory in use, in bytes.
    fn bytes(&self) -> u64 {
        self.memory().total()
    }

    /// Total bytes of [`plan`](Self::plan) for a sequence.
    ///
    /// # Errors
    /// The errors that a batch with this sequence would return.
    fn planned_bytes<S: Real>(&self, sequence: &Sequence<S>) -> Result<u64> {
        sequence.validate(self.model())?;
        Ok(self.plan(sequence.batch_shape())?.total())
    }

    /// The largest number of rows, at most `most`, for which the planned memory plus `beside` bytes per row fits into
    /// `budget` bytes. The `rows` of `batch_shape` are ignored.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit) if not even one row fits, and [`Error::Value`](crate::Error::Value) for
    /// sizes that cannot be planned.
    fn largest_rows(&self, batch_shape: BatchShape, budget: u64, most: usize, beside: u64) -> Result<usize> {
        largest_rows(|rows| self.plan(BatchShape { rows, ..batch_shape }), budget, most, beside)
    }
}
