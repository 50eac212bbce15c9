//! The activations of the vanilla RNN.

use serde::{Deserialize, Serialize};

use crate::real::Real;

/// The activation function f of the vanilla RNN, h_t = f(z_t).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Activation {
    /// tanh(z), derivative 1 − h².
    #[default]
    Tanh,
    /// max(z, 0), derivative \[h > 0\].
    Relu,
    /// 1 / (1 + e^−z), derivative h(1 − h).
    Sigmoid,
    /// z, derivative 1.
    Identity,
}

impl Activation {
    /// f′(z), computed from h = f(z).
    #[inline(always)]
    pub fn derivative<R: Real>(self, h: R) -> R {
        match self {
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
}
