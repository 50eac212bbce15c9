//! The interface between training and the compute backends: sealed traits at the level of a training step.
//!
//! A [`Backend`] creates an [`Engine`], which is one network on its device. The engine's methods are grouped by caller:
//! [`Layers`] for callers with their own head, [`Training`] for a training step, [`Inference`] for a
//! trained network, [`Inspection`] for diagnostics. All share [`Parameters`]. A [`Session`] streams through a network.

mod backend;
#[cfg(not(target_arch = "wasm32"))]
mod blocking;
pub(crate) mod calls;
pub(crate) mod hooks;
mod inference;
mod inspection;
mod layers;
mod options;
mod parameters;
pub(crate) mod passes;
mod results;
pub(crate) mod sealed;
mod session;
pub(crate) mod streaming;
mod training;

pub use backend::Backend;
pub(crate) use backend::platform;
#[cfg(not(target_arch = "wasm32"))]
pub use blocking::{Wait, block_on};
pub(crate) use calls::no_input_gradient;
pub use hooks::{CustomLoss, CustomOptimizer, Hooks};
pub use inference::Inference;
pub use inspection::Inspection;
pub use layers::Layers;
pub use options::{EngineOptions, ParameterGroup, StatefulRows};
pub(crate) use options::{check_carries, parameter_groups};
pub use parameters::{FlatBlock, Parameters};
pub(crate) use parameters::{
    append_to, check_not_exchanged, check_optimizer_state, no_average, no_optimizer_block, numbers_of, read_tensor,
    shaped, take_from,
};
pub use results::{Compilation, Logits, LossScale, LossSum, SkippedUpdates, StepReport};
pub use session::{EngineHandle, Session, Snapshot};
pub use training::Training;

/// A network on a device: forward and backward passes, and the parts of a training step.
///
/// All shapes are checked before anything is dispatched, and no call panics on its input. A call that rejects its input
/// changes nothing.
///
/// # Order of calls
///
/// The rules are the same on every backend, and so are the error messages.
///
/// * [`forward`](Layers::forward), [`backward`](Layers::backward), [`accumulate`](Training::accumulate),
///   [`logits`](Inference::logits) and [`evaluate`](Inference::evaluate) are passes. Each pass discards what the last
///   one left for [`backward`](Layers::backward), [`input_gradient`](Layers::input_gradient) and
///   [`hidden_gradient_norms`](Inspection::hidden_gradient_norms). The gradient sums and the carried state are kept.
///   A [`Session`]'s steps are passes too.
/// * A forward pass allows one backward pass. [`set_parameters`](Parameters::set_parameters) and
///   [`update`](Training::update) also invalidate it, because going backward would mix old and new weights. They do not
///   affect [`input_gradient`](Layers::input_gradient) and
///   [`hidden_gradient_norms`](Inspection::hidden_gradient_norms).
/// * [`accumulate`](Training::accumulate) and [`backward`](Layers::backward) add to the gradient sums. After an update
///   the sums can still be read; the next of these passes starts them from zero.
///   [`clear_gradients`](Layers::clear_gradients) clears them immediately.
///
/// # Non-finite steps
///
/// An update whose loss or gradient norm is not finite changes nothing. Up to [`EngineOptions::max_skipped_updates`] of
/// these in a row are skipped; one more stops updating: neither it nor the updates enqueued behind it change the
/// parameters or the optimizer state. The caller learns of this when the step's [`report`](Training::report) arrives.
/// From then on [`report`](Training::report), [`update`](Training::update) and [`may_update`](Training::may_update)
/// return the same [`Error::NonFinite`](crate::Error::NonFinite) and enqueue nothing. All other calls still work, with
/// the parameters from before the bad step. [`set_parameters`](Parameters::set_parameters) and
/// [`restart`](Training::restart) allow updates again.
pub trait Engine: Layers + Training + Inference + Inspection + EngineHandle<Engine = Self> {}

impl<E: Layers + Training + Inference + Inspection + EngineHandle<Engine = E>> Engine for E {}
