//! The GRU (Cho et al. 2014, with the reset gate applied after the recurrent product, as in cuDNN and PyTorch):
//! r, z = σ(·); n = tanh(z_n + r ∘ hn); h_t = (1 − z) ∘ n + z ∘ h_{t−1}, where hn is W_hn h_{t−1} + b_hn.
//!
//! The gate n has two sums, one from each product, since r lies between them.

use super::functions::{BackwardInput, BackwardOutput, CellFunctions, ForwardInput, ForwardOutput, Sum, UnitParameter};
use super::lanes::Lanes;
use crate::real::Real;

pub(super) struct Gru;

impl CellFunctions<4> for Gru {
    const NAME: &'static str = "gru";
    const SUMS: [Sum; 4] =
        [Sum::of_input("n", 2), Sum::of_both("r", 0, 0), Sum::of_both("z", 1, 1), Sum::of_state("n", 2)];
    const CELL_STATE: bool = false;
    const PARAMETERS: [UnitParameter; 0] = [];
    const WGSL: &'static str = include_str!("gru.wgsl");

    #[inline(always)]
    fn forward<R: Real, const N: usize>(unit: ForwardInput<R, N, 4>) -> ForwardOutput<R, N, 4> {
        let [z_n, r, z, hn] = unit.sums;
        let (r, z) = (r.sigmoid(), z.sigmoid());
        let n = (z_n + r * hn).tanh();
        let h = (Lanes::one() - z) * n + z * unit.h;
        ForwardOutput { kept: [n, r, z, hn], h, c: Lanes::zero() }
    }

    #[inline(always)]
    fn backward<R: Real, const N: usize>(unit: BackwardInput<R, N, 4>) -> BackwardOutput<R, N, 4> {
        let one = Lanes::one();
        let ([n, r, z, hn], dh) = (unit.kept, unit.dh);
        let dn = dh * (one - z) * (one - n * n);
        let dr = dn * hn * r * (one - r);
        let dz = dh * (unit.h - n) * z * (one - z);
        BackwardOutput { sums: [dn, dr, dz, dn * r], dh: dh * z, dc: Lanes::zero(), parameters: [] }
    }
}
