//! One time step of a row of the vanilla RNN: h_t = f(z_t).

use super::activation;
use crate::model::Activation;
use crate::real::Real;

/// Converts z \[H\] to h_t in place, and copies it to h.
#[inline(always)]
pub(crate) fn forward<R: Real>(f: Activation, z: &mut [R], h: &mut [R]) {
    // The match is outside the loops, so that each of them vectorises.
    match f {
        Activation::Tanh => apply(z, h, |z| activation::forward(Activation::Tanh, z)),
        Activation::Relu => apply(z, h, |z| activation::forward(Activation::Relu, z)),
        Activation::Sigmoid => apply(z, h, |z| activation::forward(Activation::Sigmoid, z)),
        Activation::Identity => h.copy_from_slice(z),
    }
}

/// From dh_t \[H\], writes dz_t over h_t. dh becomes 0, since nothing of it bypasses the product to h_{t−1}.
#[inline(always)]
pub(crate) fn backward<R: Real>(f: Activation, h: &mut [R], dh: &mut [R]) {
    match f {
        Activation::Tanh => apply_back(h, dh, |h| Activation::Tanh.derivative(h)),
        Activation::Relu => apply_back(h, dh, |h| Activation::Relu.derivative(h)),
        Activation::Sigmoid => apply_back(h, dh, |h| Activation::Sigmoid.derivative(h)),
        Activation::Identity => apply_back(h, dh, |h| Activation::Identity.derivative(h)),
    }
}

#[inline(always)]
fn apply_back<R: Real>(h: &mut [R], dh: &mut [R], derivative: impl Fn(R) -> R) {
    for (h, dh) in h.iter_mut().zip(dh) {
        *h = *dh * derivative(*h);
        *dh = R::zero();
    }
}

#[inline(always)]
fn apply<R: Real>(z: &mut [R], h: &mut [R], f: impl Fn(R) -> R) {
    for (z, h) in z.iter_mut().zip(h) {
        *h = f(*z);
        *z = *h;
    }
}
