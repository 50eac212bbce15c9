//! A cell's definition without its type: what the engines, the plan and the layout ask.

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;

use super::functions::{CellFunctions, Sum, UnitParameter};
use super::rows::{self, BackwardRows, CellRows, ForwardRows};
use crate::real::{ForEachReal, Real};

/// A [`CellFunctions`] whose type is not known.
pub(crate) trait CellDefinition: CellRows<f32> + CellRows<f64> + fmt::Debug + Sync {
    /// [`CellFunctions::NAME`].
    fn name(&self) -> &'static str;
    /// [`CellFunctions::SUMS`].
    fn sums(&self) -> &'static [Sum];
    /// [`CellFunctions::CELL_STATE`].
    fn has_cell_state(&self) -> bool;
    /// [`CellFunctions::PARAMETERS`].
    fn parameters(&self) -> &'static [UnitParameter];
    /// [`CellFunctions::FORGET_GATE`].
    fn forget_gate(&self) -> Option<usize>;
    /// [`CellFunctions::WGSL`].
    fn wgsl(&self) -> &'static str;
    /// [`CellFunctions::CONSTANTS`].
    fn constants(&self) -> &'static [(&'static str, f64)];
    /// The identity of the cell: two cells may have the same name.
    fn identity(&self) -> TypeId;
}

/// A value without size that stands for the functions of `F`.
struct Definition<F, const S: usize, const P: usize>(PhantomData<fn() -> F>);

/// The definition by `F`.
pub(super) fn define<F: CellFunctions<S, P>, const S: usize, const P: usize>() -> &'static dyn CellDefinition {
    const { &Definition::<F, S, P>(PhantomData) }
}

impl<F: CellFunctions<S, P>, const S: usize, const P: usize> fmt::Debug for Definition<F, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(F::NAME)
    }
}

impl<F: CellFunctions<S, P>, const S: usize, const P: usize> CellDefinition for Definition<F, S, P> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn sums(&self) -> &'static [Sum] {
        const { &F::SUMS }
    }

    fn has_cell_state(&self) -> bool {
        F::CELL_STATE
    }

    fn parameters(&self) -> &'static [UnitParameter] {
        const { &F::PARAMETERS }
    }

    fn forget_gate(&self) -> Option<usize> {
        F::FORGET_GATE
    }

    fn wgsl(&self) -> &'static str {
        F::WGSL
    }

    fn constants(&self) -> &'static [(&'static str, f64)] {
        F::CONSTANTS
    }

    fn identity(&self) -> TypeId {
        TypeId::of::<F>()
    }
}

impl<R: Real, F: CellFunctions<S, P>, const S: usize, const P: usize> CellRows<R> for Definition<F, S, P> {
    fn forward(&self, rows: ForwardRows<'_, R>) {
        rows::forward::<F, R, S, P>(rows);
    }

    fn backward(&self, rows: BackwardRows<'_, R>) {
        rows::backward::<F, R, S, P>(rows);
    }
}

/// A run of a cell's sums that are contiguous both in a unit and among the blocks of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SumSpan {
    /// The first sum.
    pub(crate) sum: usize,
    /// The first block of the weight.
    pub(crate) block: usize,
    /// The number of sums, and blocks.
    pub(crate) count: usize,
}

impl dyn CellDefinition {
    /// The number of blocks of W_ih, \[·H, I\], and of sums that read x_t: the first ones.
    pub(crate) fn input_gates(&self) -> usize {
        self.sums().iter().filter(|sum| sum.input.is_some()).count()
    }

    /// The number of blocks of W_hh, \[·H, S\], and of sums that read h_{t−1}: the last ones.
    pub(crate) fn recurrent_gates(&self) -> usize {
        self.sums().iter().filter(|sum| sum.recurrent.is_some()).count()
    }

    /// The first sum that reads h_{t−1}.
    pub(crate) fn first_recurrent(&self) -> usize {
        self.sums().len() - self.recurrent_gates()
    }

    /// Numbers that a unit keeps of a step: in place of the sums what backward needs, then their gradients; and this
    /// step's gradients of the unit's own parameters.
    pub(crate) fn kept(&self) -> usize {
        self.sums().len() + self.parameters().len()
    }

    /// The sum that block `block` of W_ih feeds.
    pub(crate) fn sum_of_input(&self, block: usize) -> usize {
        self.sums().iter().position(|sum| sum.input == Some(block)).unwrap_or_default()
    }

    /// The sums that W_ih and b_ih feed, in the order of its blocks. No list: a pass after an update goes through them.
    pub(crate) fn input_spans(&self) -> impl Iterator<Item = SumSpan> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            let (block, gates) = (next, self.input_gates());
            let sum = self.sum_of_input(block);
            while next < gates && self.sum_of_input(next) == sum + next - block {
                next += 1;
            }
            (next > block).then_some(SumSpan { sum, block, count: next - block })
        })
    }

    /// The sums that W_hh and b_hh feed: one span in every cell, so the product of a time step is one product.
    pub(crate) fn recurrent_span(&self) -> SumSpan {
        SumSpan { sum: self.first_recurrent(), block: 0, count: self.recurrent_gates() }
    }

    /// The names of the gates that W_hh feeds, in the order of its blocks.
    pub(crate) fn recurrent_names(&self) -> impl Iterator<Item = &'static str> {
        self.sums().iter().filter(|sum| sum.recurrent.is_some()).map(|sum| sum.name)
    }

    /// The steps of the CPU backend, in numbers of this type.
    pub(crate) fn rows<R: Real>(&self) -> &dyn CellRows<R> {
        R::choose(self)
    }
}

impl ForEachReal for dyn CellDefinition {
    type Of<R: Real> = dyn CellRows<R>;

    fn single(&self) -> &Self::Of<f32> {
        self
    }

    fn double(&self) -> &Self::Of<f64> {
        self
    }
}
