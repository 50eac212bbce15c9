//! The activation f of the vanilla RNN, vectorised; its derivative is [`Activation::derivative`].

use crate::model::Activation;
use crate::real::Real;

/// h = f(z).
#[inline(always)]
pub(crate) fn forward<R: Real>(activation: Activation, z: R) -> R {
    match activation {
        Activation::Tanh => z.vector_tanh(),
        // This form propagates NaN.
        Activation::Relu => {
            if z < R::zero() {
                R::zero()
            } else {
                z
            }
        }
        Activation::Sigmoid => z.vector_sigmoid(),
        Activation::Identity => z,
    }
}
