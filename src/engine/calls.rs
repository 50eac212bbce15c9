//! The rules for the order of calls. Both backends use them, and so reject the same calls with the same messages.

use crate::batch::OutputGradient;
use crate::error::{Error, Result};
use crate::gradient_norms::HiddenGradientNorms;
use crate::memory::BatchShape;
use crate::model::Recurrent;
use crate::real::Real;

/// What the last pass left available to the calls after it: see [`Engine`](crate::Engine).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LastPass {
    left: Available,
    /// Whether it recorded the norms of dh_t.
    gradient_norms: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Available {
    #[default]
    Nothing,
    /// Everything that a backward pass needs.
    Forward(BatchShape),
    /// dx, dh_0 and dc_0 of a batch.
    Gradient(BatchShape),
}

impl LastPass {
    /// A pass begins and discards what the last one left.
    pub(crate) fn begin(&mut self) {
        *self = Self::default();
    }

    /// The pass ran forward through the recurrent layers.
    pub(crate) fn finished_forward(&mut self, batch_shape: BatchShape) {
        self.left = Available::Forward(batch_shape);
    }

    /// The pass ran backward from the caller's gradient and returned dx, dh_0 and dc_0.
    pub(crate) fn finished_backward(&mut self, gradient_norms: bool) {
        *self = Self { left: Available::Nothing, gradient_norms };
    }

    /// The pass ran forward and backward through a batch.
    pub(crate) fn accumulated(&mut self, batch_shape: BatchShape, gradient_norms: bool) {
        *self = Self { left: Available::Gradient(batch_shape), gradient_norms };
    }

    /// The parameters change. A backward pass would now mix old and new weights.
    pub(crate) fn parameters_change(&mut self) {
        if let Available::Forward(_) = self.left {
            self.left = Available::Nothing;
        }
    }

    /// The shape of the forward pass that a backward pass may follow.
    pub(crate) fn forward(&self) -> Result<BatchShape> {
        match self.left {
            Available::Forward(batch_shape) => Ok(batch_shape),
            _ => {
                let reason = "backward needs a forward pass directly before it, with no other pass, no parameter change and \
                              no earlier backward in between";
                Err(Error::Unsupported(reason.into()))
            }
        }
    }

    /// Like [`forward`](Self::forward), and checks that `gradient` fits that pass.
    pub(crate) fn forward_for<R: Real>(
        &self,
        gradient: &OutputGradient<R>,
        recurrent: &Recurrent,
    ) -> Result<BatchShape> {
        let batch_shape = self.forward()?;
        gradient.validate(recurrent, batch_shape.steps, batch_shape.rows)?;
        Ok(batch_shape)
    }

    /// The shape of the batch whose dx, dh_0 and dc_0 are available. `asked`: whether the engine computes them.
    pub(crate) fn gradient(&self, asked: bool) -> Result<BatchShape> {
        match self.left {
            _ if !asked => {
                let reason = "dx, dh_0 and dc_0 need EngineOptions::input_gradient, which is not set";
                Err(Error::Unsupported(reason.into()))
            }
            Available::Gradient(batch_shape) => Ok(batch_shape),
            _ => Err(no_input_gradient()),
        }
    }

    /// Fails unless the last pass recorded the norms of dh_t.
    pub(crate) fn gradient_norms(&self) -> Result<()> {
        if self.gradient_norms { Ok(()) } else { Err(HiddenGradientNorms::none()) }
    }
}

/// The error for dx, dh_0 and dc_0 that are not there.
pub(crate) fn no_input_gradient() -> Error {
    let reason = "dx, dh_0 and dc_0 need an accumulate directly before, with no other pass in between";
    Error::Unsupported(reason.into())
}

/// The non-finite step that stopped updating, known once it has been reported.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct BadStep(Option<(u64, &'static str)>);

impl BadStep {
    /// Records the step and returns its error, which all later calls return too.
    pub(crate) fn report(&mut self, step: u64, what: &'static str) -> Error {
        self.0 = Some((step, what));
        Error::NonFinite { step, what }
    }

    /// Fails once a bad step has been reported.
    pub(crate) fn check(&self) -> Result<()> {
        self.0.map_or(Ok(()), |(step, what)| Err(Error::NonFinite { step, what }))
    }

    /// Whether a bad step has been reported.
    pub(crate) fn is_reported(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }
}
