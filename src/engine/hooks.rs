//! A loss of the caller's own.

use super::sealed::Sealed;

/// What an engine hands to a loss of the caller's own, and what it takes back.
pub trait Hooks: Sealed {
    /// Consecutive predictions of a pass: [`CpuPredictions`](crate::CpuPredictions) or
    /// [`GpuPredictions`](crate::GpuPredictions).
    type Predictions<'a>;

    /// Σ loss of these predictions, as an f64, on the CPU backend. On the GPU backend `()`, because the losses stay on the
    /// device.
    type Losses;
}

/// A loss of your own, for [`Trainer::step_with`](crate::Trainer::step_with) and
/// [`Training::accumulate_with`](crate::Training::accumulate_with). The engine runs forward, calls it with the logits,
/// and runs backward from what it leaves there.
///
/// It has targets and settings of its own; a prediction has the index p of its step (0 for a head with one prediction per
/// row) and that of its row in the batch, by which to find its target. It is a sum over predictions: a pass over many steps
/// or rows calls it several times, each time with some of the predictions, and with `recompute` or threads in any order.
///
/// For the logits a of each prediction it leaves ∂loss/∂a in their place, not divided by Σ w, and adds its loss. Padding
/// is the engine's: it is not called for it, or what it leaves there is replaced by 0. Dropout, gradient norms, reports and
/// non-finite steps are as with a loss of the head.
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
/// trainer.step_with(&sequence, 20.0, &log_cosh).wait()?; // Σ w: 20 predictions of weight 1
/// println!("loss {:?}", trainer.loss().wait()?);
/// # Ok::<(), bptt::Error>(())
/// ```
///
/// On the GPU backend it records commands into the submission of the step: see [`GpuPredictions`](crate::GpuPredictions).
/// `examples/own_loss.rs` implements the trait for both backends. In a browser, wgpu's handles are [`Sync`] with wgpu's
/// feature `fragile-send-sync-non-atomic-wasm`.
pub trait CustomLoss<E: Hooks + ?Sized>: Sync {
    /// Computes the loss of each prediction, and leaves its gradient in place of the logits.
    fn loss(&self, predictions: E::Predictions<'_>) -> E::Losses;
}

impl<E: Hooks + ?Sized, F: Fn(E::Predictions<'_>) -> E::Losses + Sync> CustomLoss<E> for F {
    fn loss(&self, predictions: E::Predictions<'_>) -> E::Losses {
        self(predictions)
    }
}
