//! One time step of a row of the vanilla RNN: h_t = f(z_t).

use super::activation;
use crate::model::Activation;
use crate::real::Real;

/// Reads z \[H\], writes h_t \[H\].
#[inline(always)]
pub(super) fn forward<R: Real>(f: Activation, z: &[R], h: &mut [R]) {
    // The choice stands outside the loops, so that each of them is vector code.
    match f {
        Activation::Tanh => apply(z, h, |z| activation::forward(Activation::Tanh, z)),
        Activation::Relu => apply(z, h, |z| activation::forward(Activation::Relu, z)),
        Activation::Sigmoid => apply(z, h, |z| activation::forward(Activation::Sigmoid, z)),
        Activation::Identity => h.copy_from_slice(z),
    }
}

/// From dh_t \[H\] and h_t \[H\] writes dz_t over z. Nothing of dh_t reaches h_{t−1} past the product: dh becomes 0.
#[inline(always)]
pub(super) fn backward<R: Real>(f: Activation, z: &mut [R], h: &[R], dh: &mut [R]) {
    for ((z, h), dh) in z.iter_mut().zip(h).zip(dh) {
        *z = *dh * activation::derivative(f, *h);
        *dh = R::zero();
    }
}

#[inline(always)]
fn apply<R: Real>(z: &[R], h: &mut [R], f: impl Fn(R) -> R) {
    h.iter_mut().zip(z).for_each(|(h, z)| *h = f(*z));
}
