//! A loss and an optimizer of the caller's own.

use std::fmt;
use std::sync::Arc;

use super::sealed::Sealed;
use crate::error::{Error, Result};
use crate::optim::OptimizerKind;

/// What an engine hands to a loss and an optimizer of the caller's own, and what it takes back.
pub trait Hooks: Sealed {
    /// Consecutive predictions of a pass: [`CpuPredictions`](crate::CpuPredictions) or
    /// [`GpuPredictions`](crate::GpuPredictions).
    type Predictions<'a>;

    /// Σ loss of these predictions, as an f64, on the CPU backend. On the GPU backend `()`, because the losses stay on
    /// the device.
    type Losses;

    /// Weights to be updated: [`CpuUpdate`](crate::CpuUpdate) or [`GpuUpdate`](crate::GpuUpdate).
    type Update<'a>;
}

/// A loss of your own, for [`Trainer::step_with`](crate::Trainer::step_with) and
/// [`Training::accumulate_with`](crate::Training::accumulate_with). The engine runs forward, calls it with the logits,
/// and runs backward from what it leaves there.
///
/// It has targets and settings of its own; a prediction has the index p of its step (0 for a head with one prediction
/// per row) and that of its row in the batch, by which to find its target. It is a sum over predictions: a pass over
/// many steps or rows calls it several times, each time with some of the predictions, and with `recompute` or threads
/// in any order.
///
/// For the logits a of each prediction it leaves ∂loss/∂a in their place, not divided by Σ w, and adds its loss. The
/// engine takes care of padding: on the CPU the loss is not called for it, and on a GPU what it leaves there becomes 0.
/// Dropout, gradient norms, reports and non-finite steps are as with a loss of the head.
///
/// On the CPU backend a closure will do. Blocks of rows run on several threads, so it is [`Sync`] and returns Σ loss:
///
/// ```
/// use bptt::ndarray::Array3;
/// use bptt::{Cell, Cpu, CpuPredictions, Head, Loss, Model, Optimizer, Readout, Recurrent, Sequence, Trainer, Wait};
///
/// let model = Model::new(Recurrent::new(Cell::Gru, 2, 8), Head::new(1, Loss::SquaredError, Readout::PerStep));
/// let mut trainer = Trainer::new(&Cpu::new(), &model, Optimizer::adam(1e-2), 1)?;
/// let sequence = Sequence::dense(Array3::from_elem((5, 4, 2), 0.5f32)); // [T, B, I]
/// let targets = Array3::<f32>::zeros((5, 4, 1)); // [P, B, O]
/// let log_cosh = |predictions: CpuPredictions<'_>| {
///     let losses = predictions.map(|prediction| {
///         let error = prediction.logits[0] - targets[[prediction.p, prediction.row, 0]];
///         prediction.logits[0] = error.tanh();
///         f64::from(error.cosh().ln())
///     });
///     losses.sum::<f64>()
/// };
/// let weight = sequence.time_steps() as f64; // Σ w: the number of predictions, 20
/// trainer.step_with(&sequence, weight, &log_cosh).wait()?;
/// println!("loss {:?}", trainer.loss().wait()?);
/// # Ok::<(), bptt::Error>(())
/// ```
///
/// On the GPU backend it records commands into the submission of the step: see
/// [`GpuPredictions`](crate::GpuPredictions). `examples/own_loss.rs` implements the trait for both backends. In a
/// browser, wgpu's handles are [`Sync`] with wgpu's feature `fragile-send-sync-non-atomic-wasm`.
pub trait CustomLoss<E: Hooks + ?Sized>: Sync {
    /// Computes the loss of each prediction, and leaves its gradient in place of the logits.
    fn loss(&self, predictions: E::Predictions<'_>) -> E::Losses;
}

impl<E: Hooks + ?Sized, F: Fn(E::Predictions<'_>) -> E::Losses + Sync> CustomLoss<E> for F {
    fn loss(&self, predictions: E::Predictions<'_>) -> E::Losses {
        self(predictions)
    }
}

/// An optimizer of your own, for [`Optimizer::custom`](crate::Optimizer::custom). The trainer takes it with
/// [`Trainer::custom_optimizer`](crate::Trainer::custom_optimizer), an engine with
/// [`Training::set_custom_optimizer`](crate::Training::set_custom_optimizer); then everything that updates uses it,
/// such as [`train::run`](crate::train::run).
///
/// It replaces the last part of an update. What comes before stays the engine's: it takes the norm, and a step whose
/// loss or norm is not finite changes nothing. Gradients arrive as sums;
/// [`GradientScale::gradient`](crate::GradientScale::gradient), in WGSL `gradient(i)`, divides one by Σ w and clips it.
/// The optimizer reads them with the learning rate and weight decay, and changes parameters and the state values that
/// the engine keeps for it, which start as 0 and are part of
/// [`Parameters::optimizer_state`](crate::Parameters::optimizer_state) and of checkpoints. What it keeps elsewhere is
/// not. With parameter groups it is called for each range of parameters with the same settings, and frozen ones do not
/// reach it. An average of the parameters follows it.
///
/// On the CPU backend a closure will do. It is called for pieces of the weights, on several threads:
///
/// ```
/// use bptt::ndarray::Array3;
/// use bptt::{
///     Batch, Cell, Cpu, CpuUpdate, Head, Loss, Model, Optimizer, Readout, Recurrent, Sequence, Targets, Trainer, Wait,
/// };
///
/// // Chen et al. 2023: the sign of a momentum.
/// let lion = |update: CpuUpdate<'_>| {
///     let CpuUpdate { parameters, gradient_sums, state: [momentum, ..], scale, learning_rate, .. } = update;
///     for ((w, sum), m) in parameters.iter_mut().zip(gradient_sums).zip(momentum) {
///         let g = scale.gradient(*sum); // divided and clipped
///         let direction = 0.9 * *m + 0.1 * g;
///         // `signum` of 0 is 1.
///         *w -= if direction == 0.0 { 0.0 } else { learning_rate * direction.signum() };
///         *m = 0.99 * *m + 0.01 * g;
///     }
/// };
/// let model = Model::new(Recurrent::new(Cell::Gru, 2, 8), Head::new(1, Loss::SquaredError, Readout::Final));
/// let optimizer = Optimizer::custom("lion", 1, 1e-3).clip_norm(1.0); // one state value per weight
/// let mut trainer = Trainer::new(&Cpu::new(), &model, optimizer, 1)?.custom_optimizer(lion)?;
/// let batch: Batch = Batch::new(Sequence::dense(Array3::ones((5, 4, 2))), Targets::Values(Array3::ones((1, 4, 1))));
/// trainer.step(&batch).wait()?;
/// # Ok::<(), bptt::Error>(())
/// ```
///
/// On the GPU backend it records commands into the submission of the step: see [`GpuUpdate`](crate::GpuUpdate). In a
/// browser, wgpu's handles are [`Send`] and [`Sync`] with wgpu's feature `fragile-send-sync-non-atomic-wasm`.
pub trait CustomOptimizer<E: Hooks + ?Sized>: Send + Sync {
    /// Updates some of the weights.
    fn update(&self, update: E::Update<'_>);
}

impl<E: Hooks + ?Sized, F: Fn(E::Update<'_>) + Send + Sync> CustomOptimizer<E> for F {
    fn update(&self, update: E::Update<'_>) {
        self(update);
    }
}

/// The optimizer of the caller that an engine has been given.
pub(crate) struct OptimizerHook<E: Hooks>(Option<Arc<dyn CustomOptimizer<E>>>);

impl<E: Hooks> OptimizerHook<E> {
    pub(crate) const NONE: Self = Self(None);

    /// # Errors
    /// [`Error::Unsupported`] if the engine was created for an optimizer of this crate, or for none.
    pub(crate) fn set(&mut self, made_for: Option<OptimizerKind>, own: Arc<dyn CustomOptimizer<E>>) -> Result<()> {
        if made_for.and_then(|kind| kind.custom_name()).is_none() {
            let reason = "a custom optimizer needs settings of Optimizer::custom: the engine was created for an optimizer of \
                          this crate, or for none";
            return Err(Error::Unsupported(reason.into()));
        }
        self.0 = Some(own);
        Ok(())
    }

    /// Fails if an update of this kind needs an optimizer that has not been given.
    pub(crate) fn check(&self, kind: OptimizerKind) -> Result<()> {
        match kind.custom_name().filter(|_| self.0.is_none()) {
            Some(name) => Err(Error::Unsupported(format!(
                "the custom optimizer '{name}' has not been given: call Trainer::custom_optimizer, or on an engine \
                 Training::set_custom_optimizer, before the first update"
            ))),
            None => Ok(()),
        }
    }

    /// Calls the optimizer, which has been checked for.
    pub(crate) fn update(&self, update: E::Update<'_>) {
        if let Some(own) = &self.0 {
            own.update(update);
        }
    }
}

impl<E: Hooks> fmt::Debug for OptimizerHook<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "OptimizerHook(Some(..))" } else { "OptimizerHook(None)" })
    }
}
