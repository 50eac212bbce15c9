//! The seam between training and the paths that compute: sealed traits at the height of a training step.
//!
//! [`Backend`] is a place where networks can be made, [`Engine`] a network there. What an engine does is cut by who calls
//! it: [`Layers`] for who has a loss and an optimizer of their own, [`Training`] for a training step, [`Inference`] for a
//! trained network, [`Inspection`] for who looks in, all over the same [`Parameters`].

mod backend;
pub(crate) mod calls;
mod inference;
mod inspection;
mod layers;
mod options;
mod parameters;
pub(crate) mod passes;
mod results;
pub(crate) mod sealed;
mod training;

pub use backend::Backend;
pub(crate) use backend::platform;
pub use inference::Inference;
pub use inspection::Inspection;
pub use layers::Layers;
pub use options::{EngineOptions, StatefulRows};
pub use parameters::{FlatBlock, Parameters};
pub(crate) use parameters::{check_optimizer_state, no_optimizer_block, numbers_of};
pub use results::{Evaluation, Logits, SkippedUpdates, StepReport};
pub use training::Training;

/// A network on a device: raw forward and backward, and the parts of a training step.
///
/// Nothing is dispatched before all shapes are checked, and no call panics on its input. What a call refuses for its input
/// leaves everything as it is.
///
/// # Order of calls
///
/// The same on every path, with the same words where a call is refused.
///
/// * [`forward`](Layers::forward), [`accumulate`](Training::accumulate), [`logits`](Inference::logits) and
///   [`evaluate`](Inference::evaluate) are passes, and so is [`backward`](Layers::backward). A pass begins over what
///   the one before it left: what [`backward`](Layers::backward) goes back from, what
///   [`input_gradient`](Layers::input_gradient) and
///   [`hidden_gradient_norms`](Inspection::hidden_gradient_norms) answer. Neither the gradient sums nor the carried
///   state is a part of that.
/// * A forward pass serves one backward pass. [`set_parameters`](Parameters::set_parameters) and
///   [`update`](Training::update) end that too, since going back would mix the weights of before and after; what a
///   batch left stays there for
///   [`input_gradient`](Layers::input_gradient) and [`hidden_gradient_norms`](Inspection::hidden_gradient_norms).
/// * The gradient sums grow with each [`accumulate`](Training::accumulate) and [`backward`](Layers::backward). An
///   update leaves them to be read, and the next of these passes starts them anew;
///   [`clear_gradients`](Layers::clear_gradients) makes them 0 at once, as they are in the beginning.
///
/// # Where a step is not finite
///
/// An update whose loss or gradient norm is not finite changes nothing. One more of these in a row than
/// [`EngineOptions::max_skipped_updates`] ends updating: that one and those enqueued behind it change neither the
/// parameters nor the rule's numbers. Who trains on hears of it when its [`report`](Training::report) comes, which is
/// as late as reports are asked for. From then on [`report`](Training::report), [`update`](Training::update) and
/// [`may_update`](Training::may_update) answer with the same
/// [`Error::NonFinite`](crate::Error::NonFinite), and nothing is enqueued; every other call works as before, with the
/// parameters from before the bad step. [`set_parameters`](Parameters::set_parameters) and
/// [`restart`](Training::restart) let updates go on.
pub trait Engine: Layers + Training + Inference + Inspection {}

impl<E: Layers + Training + Inference + Inspection> Engine for E {}
