//! The LSTM: i, f, o = σ(·), g = tanh(·); c_t = f ∘ c_{t−1} + i ∘ g; h_t = o ∘ tanh c_t (Hochreiter & Schmidhuber 1997
//! with the forget gate of Gers et al. 2000).

use super::functions::{BackwardInput, BackwardOutput, CellFunctions, ForwardInput, ForwardOutput, Sum, UnitParameter};
use super::lanes::Lanes;
use crate::real::Real;

pub(super) struct Lstm;

impl CellFunctions<4> for Lstm {
    const NAME: &'static str = "lstm";
    const SUMS: [Sum; 4] =
        [Sum::of_both("i", 0, 0), Sum::of_both("f", 1, 1), Sum::of_both("g", 2, 2), Sum::of_both("o", 3, 3)];
    const CELL_STATE: bool = true;
    const PARAMETERS: [UnitParameter; 0] = [];
    const WGSL: &'static str = include_str!("lstm.wgsl");
    const FORGET_GATE: Option<usize> = Some(1);

    #[inline(always)]
    fn forward<R: Real, const N: usize>(unit: ForwardInput<R, N, 4>) -> ForwardOutput<R, N, 4> {
        let [i, f, g, o] = unit.sums;
        let (i, f, g, o) = (i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid());
        let c = f * unit.c + i * g;
        ForwardOutput { kept: [i, f, g, o], h: o * c.tanh(), c }
    }

    #[inline(always)]
    fn backward<R: Real, const N: usize>(unit: BackwardInput<R, N, 4>) -> BackwardOutput<R, N, 4> {
        let one = Lanes::one();
        let ([i, f, g, o], dh) = (unit.kept, unit.dh);
        let tanh_c = (f * unit.c + i * g).tanh();
        let dc = unit.dc + dh * o * (one - tanh_c * tanh_c);
        let di = dc * g * i * (one - i);
        let df = dc * unit.c * f * (one - f);
        let dg = dc * i * (one - g * g);
        let d_o = dh * tanh_c * o * (one - o);
        BackwardOutput { sums: [di, df, dg, d_o], dh: Lanes::zero(), dc: dc * f, parameters: [] }
    }
}
