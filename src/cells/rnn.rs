//! The vanilla (Elman) RNN: h_t = f(z_t). Keeps h_t, from which f′ follows.

use super::activation::Activation;
use super::functions::{BackwardInput, BackwardOutput, CellFunctions, ForwardInput, ForwardOutput, Sum, UnitParameter};
use super::lanes::Lanes;
use crate::real::Real;

/// The RNN with activation number `F`: 0 tanh, 1 relu, 2 sigmoid, 3 identity.
pub(super) struct Rnn<const F: usize>;

impl<const F: usize> Rnn<F> {
    const ACTIVATION: Activation = [Activation::Tanh, Activation::Relu, Activation::Sigmoid, Activation::Identity][F];
}

impl<const F: usize> CellFunctions<1> for Rnn<F> {
    const NAME: &'static str = "rnn";
    const SUMS: [Sum; 1] = [Sum::of_both("", 0, 0)];
    const CELL_STATE: bool = false;
    const PARAMETERS: [UnitParameter; 0] = [];
    const WGSL: &'static str = include_str!("rnn.wgsl");
    const CONSTANTS: &'static [(&'static str, f64)] = &[("ACTIVATION", F as f64)];

    #[inline(always)]
    fn forward<R: Real, const N: usize>(unit: ForwardInput<R, N, 1>) -> ForwardOutput<R, N, 1> {
        let [z] = unit.sums;
        let h = match Self::ACTIVATION {
            Activation::Tanh => z.tanh(),
            // This form propagates NaN.
            Activation::Relu => z.map(|z| if z < R::zero() { R::zero() } else { z }),
            Activation::Sigmoid => z.sigmoid(),
            Activation::Identity => z,
        };
        ForwardOutput { kept: [h], h, c: Lanes::zero() }
    }

    #[inline(always)]
    fn backward<R: Real, const N: usize>(unit: BackwardInput<R, N, 1>) -> BackwardOutput<R, N, 1> {
        let [h] = unit.kept;
        let dz = unit.dh * h.map(|h| Self::ACTIVATION.derivative(h));
        BackwardOutput { sums: [dz], dh: Lanes::zero(), dc: Lanes::zero(), parameters: [] }
    }
}
