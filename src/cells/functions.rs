//! What defines a cell.

use super::lanes::Lanes;
use crate::real::Real;

/// A sum of a unit: its row of a block of W_ih times x_t with the bias, its row of a block of W_hh times h_{t−1} with
/// the bias, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    pub(super) name: &'static str,
    pub(crate) input: Option<usize>,
    pub(crate) recurrent: Option<usize>,
}

impl Sum {
    /// A sum of gate `name` that reads x_t through block `block` of W_ih.
    pub const fn of_input(name: &'static str, block: usize) -> Self {
        Self { name, input: Some(block), recurrent: None }
    }

    /// A sum of gate `name` that reads h_{t−1} through block `block` of W_hh.
    pub const fn of_state(name: &'static str, block: usize) -> Self {
        Self { name, input: None, recurrent: Some(block) }
    }

    /// A sum of gate `name` that reads both, through blocks `input` of W_ih and `recurrent` of W_hh.
    pub const fn of_both(name: &'static str, input: usize, recurrent: usize) -> Self {
        Self { name, input: Some(input), recurrent: Some(recurrent) }
    }
}

/// A trained vector \[H\] of a cell besides the weights and biases, such as a peephole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitParameter {
    /// The name in state dicts without the layer: `weight_ci` for `weight_ci_l0`.
    pub name: &'static str,
    /// The initial values.
    pub initial: Initial,
}

/// The initial values of a [`UnitParameter`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// Uniform in ±1/√H, like weights and biases.
    Uniform,
    /// The same value for every unit.
    Constant(f32),
}

/// The inputs of a forward step, for `N` units of a row.
#[derive(Clone, Copy, Debug)]
pub struct ForwardInput<R, const N: usize, const S: usize, const P: usize = 0> {
    /// The sums, in the order of [`CellFunctions::SUMS`].
    pub sums: [Lanes<R, N>; S],
    /// h_{t−1}.
    pub h: Lanes<R, N>,
    /// c_{t−1}; 0 in a cell without c.
    pub c: Lanes<R, N>,
    /// The cell's own parameters, in the order of [`CellFunctions::PARAMETERS`].
    pub parameters: [Lanes<R, N>; P],
}

/// The results of a forward step, for `N` units of a row.
#[derive(Clone, Copy, Debug)]
pub struct ForwardOutput<R, const N: usize, const S: usize> {
    /// The values that the backward step needs, usually the gates. They replace the sums.
    pub kept: [Lanes<R, N>; S],
    /// h_t.
    pub h: Lanes<R, N>,
    /// c_t; not read in a cell without c.
    pub c: Lanes<R, N>,
}

/// The inputs of a backward step, for `N` units of a row. c_t is not passed: compute it from the kept values
/// and c_{t−1}.
#[derive(Clone, Copy, Debug)]
pub struct BackwardInput<R, const N: usize, const S: usize, const P: usize = 0> {
    /// [`ForwardOutput::kept`] of this step.
    pub kept: [Lanes<R, N>; S],
    /// h_{t−1}.
    pub h: Lanes<R, N>,
    /// c_{t−1}; 0 in a cell without c.
    pub c: Lanes<R, N>,
    /// The cell's own parameters.
    pub parameters: [Lanes<R, N>; P],
    /// dh_t, from the layer above and from step t + 1.
    pub dh: Lanes<R, N>,
    /// dc_t, from step t + 1; 0 in a cell without c.
    pub dc: Lanes<R, N>,
}

/// The results of a backward step, for `N` units of a row.
#[derive(Clone, Copy, Debug)]
pub struct BackwardOutput<R, const N: usize, const S: usize, const P: usize = 0> {
    /// The gradients of the sums.
    pub sums: [Lanes<R, N>; S],
    /// The part of dh_{t−1} that does not pass through W_hh; 0 if there is none.
    pub dh: Lanes<R, N>,
    /// dc_{t−1}; not read in a cell without c.
    pub dc: Lanes<R, N>,
    /// This step's part of the gradients of the cell's own parameters.
    pub parameters: [Lanes<R, N>; P],
}

/// A cell, with `S` sums a unit and `P` parameters of its own a unit.
///
/// A step of a unit reads its sums, its states h_{t−1} and c_{t−1}, and its own parameters, and leaves its h_t and c_t.
/// Units meet only in the products with W_ih and W_hh, which make the sums and which a cell does not see.
///
/// The functions are written twice, in Rust for the CPU backend and in WGSL for the GPU backend. `bptt`'s gradient
/// tests compare them with each other and with finite differences.
///
/// The two Rust functions are generic over f32 and f64 and over the number of units; mark them `#[inline(always)]`, so
/// that they are compiled for the instruction set found at run time.
pub trait CellFunctions<const S: usize, const P: usize = 0>: Sized + 'static {
    /// The name in messages, profiles and ONNX graphs: lower case, such as `lstm`.
    const NAME: &'static str;
    /// The sums of a unit. Those that read x_t come first and those that read h_{t−1} last; the latter are in the order
    /// of their blocks in W_hh. So both products, and their gradients, are contiguous.
    const SUMS: [Sum; S];
    /// Whether the cell has a state c besides h.
    const CELL_STATE: bool;
    /// The parameters of a unit besides W_ih, W_hh and the biases.
    const PARAMETERS: [UnitParameter; P];
    /// The index of the sum whose biases [`Initialisation::forget_bias`](crate::Initialisation::forget_bias) sets.
    const FORGET_GATE: Option<usize> = None;

    /// The two functions in WGSL. They see 4 units as a `vec4f`, in structs with the fields of those here; `c` and `dc`
    /// are fields only in a cell with c, and `parameters` in one with parameters. `sigmoid`, `d_sigmoid`, `tanh_` and
    /// `d_tanh` are available, the derivatives as functions of the outputs.
    ///
    /// ```wgsl
    /// fn cell_forward(unit: ForwardInput) -> ForwardOutput
    /// fn cell_backward(unit: BackwardInput) -> BackwardOutput
    /// ```
    const WGSL: &'static str;
    /// The values of `override` constants in the WGSL.
    const CONSTANTS: &'static [(&'static str, f64)] = &[];

    /// One step forward.
    fn forward<R: Real, const N: usize>(unit: ForwardInput<R, N, S, P>) -> ForwardOutput<R, N, S>;

    /// One step backward.
    fn backward<R: Real, const N: usize>(unit: BackwardInput<R, N, S, P>) -> BackwardOutput<R, N, S, P>;
}
