//! How much of the gradient reaches each step: the norms of ∂L/∂h_t.

use ndarray::{Array2, s};

use crate::error::{Error, Result};

/// The norm of ∂L/∂h_t for every (layer, direction) and step.
///
/// ∂L/∂h_t is the whole gradient that arrives at h_t of a (layer, direction): dh_t of the crate's equations, what comes from
/// the layer above (or the head) at step t together with what flows back from the step after it. The norm is taken over
/// all rows and units; a row beyond its length has no part in it.
#[derive(Clone, Debug, PartialEq)]
pub struct HiddenGradientNorms {
    /// ‖∂L/∂h_t‖, \[L·D, T\].
    pub norms: Array2<f64>,
}

impl HiddenGradientNorms {
    /// Adds the rows of another batch, aligned at step 0: squares add up, and a step that only one of them has is its own.
    ///
    /// # Errors
    /// [`Error::Shape`] where the other is of another number of layers and directions.
    pub fn add_rows(&mut self, other: &HiddenGradientNorms) -> Result<()> {
        let ((layer_directions, steps), (others, more)) = (self.norms.dim(), other.norms.dim());
        if layer_directions != others {
            return Err(Error::shape("the other flow's norms", &[layer_directions, more], other.norms.shape()));
        }
        if more > steps {
            let mut longer = Array2::zeros((layer_directions, more));
            longer.slice_mut(s![.., ..steps]).assign(&self.norms);
            self.norms = longer;
        }
        let mut shared = self.norms.slice_mut(s![.., ..more]);
        shared.zip_mut_with(&other.norms, |norm, other| *norm = norm.hypot(*other));
        Ok(())
    }

    pub(crate) fn none() -> Error {
        let reason = "the norms of ∂L/∂h_t need a backward pass after set_hidden_gradient_norms(true), and no other pass after it";
        Error::Unsupported(reason.into())
    }
}
