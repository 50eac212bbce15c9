//! An engine's recurrent layers by themselves, forward and backward.

use super::passes::Passes;
use crate::batch::{InputGradient, Output, OutputGradient, Sequence, Validated};
use crate::dropout::DropoutKey;
use crate::error::Result;

/// Forward and backward passes of the recurrent layers, and the gradient sums.
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Layers: Passes {
    /// Which masks dropout draws in the calls of [`forward`](Self::forward) and
    /// [`accumulate`](super::Training::accumulate) to come; `None`, as an engine begins: nothing is dropped. A backward
    /// pass goes through the masks of its forward pass. Each training step has another [`DropoutKey::step`];
    /// [`logits`](super::Inference::logits) and [`evaluate`](super::Inference::evaluate) drop nothing.
    fn set_dropout(&mut self, masks: Option<DropoutKey>);

    /// The forward pass of the stack alone. What backward needs is kept until the next call.
    async fn forward(&mut self, sequence: &Sequence<Self::Real>) -> Result<Output<Self::Real>> {
        let sequence = Validated::sequence(sequence, self.model())?;
        self.forward_validated(sequence).await
    }

    /// The backward pass of the last [`forward`](Self::forward): adds to the gradient sums and returns dx, dh_0, dc_0.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) where no forward pass came before it, or another pass or a
    /// change of the parameters between the two; [`Error::Shape`](crate::Error::Shape) for a gradient that does not fit
    /// it, which leaves the forward pass as it is.
    async fn backward(&mut self, gradient: &OutputGradient<Self::Real>) -> Result<InputGradient<Self::Real>>;

    /// dx, dh_0 and dc_0 of the last [`accumulate`](super::Training::accumulate), as sums; needs `options.input_gradient`.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) without that option, and where the last pass was another.
    async fn input_gradient(&mut self) -> Result<InputGradient<Self::Real>>;

    /// The gradient sums since the last update, as one flat block: not divided by Σ w.
    async fn gradients(&mut self) -> Result<Vec<Self::Real>>;

    /// Makes the gradient sums, and the loss that goes with them, 0.
    fn clear_gradients(&mut self);
}
