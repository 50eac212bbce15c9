//! The recurrent layers alone, forward and backward.

use std::ops::Range;

use ndarray::ArrayD;

use super::parameters::{append_to, shaped};
use super::passes::Passes;
use crate::allocate::reserve;
use crate::batch::{InputGradient, Output, OutputGradient, Sequence, Validated};
use crate::dropout::DropoutKey;
use crate::error::Result;

/// Forward and backward passes of the recurrent layers, and the gradient sums. For callers with their own head.
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Layers: Passes {
    /// Sets the dropout masks of later calls to [`forward`](Self::forward) and
    /// [`accumulate`](super::Training::accumulate). `None`, the default, disables dropout. A backward pass uses the
    /// masks of its forward pass. Use a new [`DropoutKey::step`] for each training step.
    /// [`logits`](super::Inference::logits) and [`evaluate`](super::Inference::evaluate) never use dropout.
    fn set_dropout(&mut self, masks: Option<DropoutKey>);

    /// Runs the recurrent layers forward. Keeps what [`backward`](Self::backward) needs until the next pass.
    /// [Waits](crate#waiting) for the output.
    ///
    /// # Errors
    /// Those of [`Sequence::validate`]; [`Error::Limit`](crate::Error::Limit),
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) or [`Error::NoMemory`](crate::Error::NoMemory) where there is
    /// no room for it; those of the device.
    async fn forward(&mut self, sequence: &Sequence<Self::Real>) -> Result<Output<Self::Real>> {
        let sequence = Validated::sequence(sequence, self.model())?;
        self.forward_validated(sequence).await
    }

    /// Runs the last [`forward`](Self::forward) backward: adds to the gradient sums and returns dx, dh_0 and dc_0.
    /// [Waits](crate#waiting) for these.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) if there was no forward pass, or another pass or a parameter
    /// change came after it. [`Error::Shape`](crate::Error::Shape) if the gradient does not fit the forward pass, which
    /// then stays usable.
    async fn backward(&mut self, gradient: &OutputGradient<Self::Real>) -> Result<InputGradient<Self::Real>>;

    /// dx, dh_0 and dc_0 of the last [`accumulate`](super::Training::accumulate), as weighted sums. Requires
    /// [`EngineOptions::input_gradient`](crate::EngineOptions::input_gradient). [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) without that option, or if another pass came after
    /// `accumulate`.
    async fn input_gradient(&mut self) -> Result<InputGradient<Self::Real>>;

    /// Reads the gradient sums since the last update for some of the layout's tensors, given by index, as
    /// [`read_tensors`](super::Parameters::read_tensors) does. Not divided by Σ w. [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) for a tensor that does not exist. An error of `take` stops reading and is
    /// returned.
    async fn read_gradients(
        &mut self,
        tensors: Range<usize>,
        take: &mut (dyn FnMut(&[Self::Real]) -> Result<()> + Send),
    ) -> Result<()>;

    /// Hands out the gradient sums since the last update of some of the layout's tensors, given by index, and takes back what
    /// `change` leaves of them: for a sum over ranks, or another change before the update. It is called once, with the
    /// numbers of all these tensors. Not divided by Σ w, and without the scale of half precision. The CPU backend hands out
    /// its own memory without a copy, the GPU backend reads a copy back and writes it. [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) for a tensor that does not exist;
    /// [`Error::NoMemory`](crate::Error::NoMemory) for the copy. An error of `change` is returned, and leaves the sums
    /// undefined until [`clear_gradients`](Self::clear_gradients).
    async fn change_gradients(
        &mut self,
        tensors: Range<usize>,
        change: &mut (dyn FnMut(&mut [Self::Real]) -> Result<()> + Send),
    ) -> Result<()>;

    /// The gradient sums since the last update, as one flat block in the layout's order. Not divided by Σ w.
    /// [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::NoMemory`](crate::Error::NoMemory), and those of the device.
    async fn gradients(&mut self) -> Result<Vec<Self::Real>> {
        let (mut numbers, all) = (Vec::new(), 0..self.layout().tensors().len());
        reserve(&mut numbers, self.layout().len(), "a copy of the gradients")?;
        self.read_gradients(all, &mut append_to(&mut numbers)).await?;
        Ok(numbers)
    }

    /// The gradient sums of one tensor since the last update, by [`Layout`](crate::Layout) name. Not divided by Σ w.
    /// [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) for a name that the layout does not have.
    async fn gradient(&mut self, name: &str) -> Result<ArrayD<Self::Real>> {
        let tensor = self.layout().index_of(name)?;
        let (mut numbers, shape) = (Vec::new(), self.layout().tensors()[tensor].shape.clone());
        reserve(&mut numbers, shape.iter().product(), "a copy of a tensor")?;
        self.read_gradients(tensor..tensor + 1, &mut append_to(&mut numbers)).await?;
        shaped(&shape, numbers)
    }

    /// Sets the gradient sums, and the loss that belongs to them, to 0.
    fn clear_gradients(&mut self);
}
