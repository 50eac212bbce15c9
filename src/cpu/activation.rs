//! f of the vanilla RNN and its derivative, which all four activations give from the output alone.

use crate::model::Activation;
use crate::real::Real;

/// h = f(z).
#[inline(always)]
pub(super) fn forward<R: Real>(activation: Activation, z: R) -> R {
    match activation {
        Activation::Tanh => z.vector_tanh(),
        // Written so that NaN stays NaN.
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

/// f'(z) from h = f(z).
#[inline(always)]
pub(super) fn derivative<R: Real>(activation: Activation, h: R) -> R {
    match activation {
        Activation::Tanh => R::one() - h * h,
        Activation::Relu => {
            if h > R::zero() {
                R::one()
            } else {
                R::zero()
            }
        }
        Activation::Sigmoid => h * (R::one() - h),
        Activation::Identity => R::one(),
    }
}
