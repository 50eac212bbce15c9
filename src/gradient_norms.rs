//! How much gradient reaches each time step: the norms of ∂L/∂h_t.

use ndarray::{Array2, s};

use crate::error::{Error, Result};

/// The norm of ∂L/∂h_t for every (layer, direction) and step.
///
/// ∂L/∂h_t is the total gradient with respect to h_t of a (layer, direction), dh_t in the crate's equations: the part
/// from the layer above (or the head) at step t plus the part from the next step. The norm runs over all rows and
/// units. Rows that have ended do not contribute.
#[derive(Clone, Debug, PartialEq)]
pub struct HiddenGradientNorms {
    /// ‖∂L/∂h_t‖, \[L·D, T\].
    pub norms: Array2<f64>,
}

impl HiddenGradientNorms {
    /// Adds the norms of another batch, aligned at step 0. Squares are added; a step that only one of them has is
    /// copied.
    ///
    /// # Errors
    /// [`Error::Shape`] if the other has a different number of (layer, direction) pairs.
    pub fn add_rows(&mut self, other: &HiddenGradientNorms) -> Result<()> {
        let ((layer_directions, steps), (others, more)) = (self.norms.dim(), other.norms.dim());
        if layer_directions != others {
            return Err(Error::shape(
                "the norms of ∂L/∂h_t to be added",
                &[layer_directions, more],
                other.norms.shape(),
            ));
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
        let reason = "the norms of ∂L/∂h_t need a backward pass directly before, with set_hidden_gradient_norms(true)";
        Error::Unsupported(reason.into())
    }
}
