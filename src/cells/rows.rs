//! One time step of a block of rows on the CPU: the cell of each row, forward or backward, for the instruction set
//! found at run time.

use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};

use super::functions::{BackwardInput, CellFunctions, ForwardInput};
use super::lanes::Lanes;
use crate::real::Real;

/// Units at once: two AVX registers of f32.
const LANES: usize = 16;

/// The step and its rows.
#[derive(Clone, Copy)]
pub(crate) struct StepRows<'a, R> {
    /// The length of each row. Step `t` of a row is padding if `t` is not below it.
    pub(crate) lengths: &'a [usize],
    pub(crate) t: usize,
    /// H.
    pub(crate) hidden: usize,
    /// The first of the direction's columns in the layer's output, \[rows, D·S\].
    pub(crate) column: usize,
    /// \[P, H\]: the cell's own parameters.
    pub(crate) parameters: &'a [R],
}

/// A forward step: the sums, and the states before and after. c is empty if the cell has none.
pub(crate) struct ForwardRows<'a, R> {
    pub(crate) step: StepRows<'a, R>,
    /// \[rows, kept\]: the sums, converted to what the backward pass needs.
    pub(crate) kept: &'a mut [R],
    pub(crate) h_before: &'a [R],
    pub(crate) c_before: &'a [R],
    pub(crate) h: &'a mut [R],
    pub(crate) c: &'a mut [R],
    /// \[rows, D·S\]. `None`: the output is a projection of h.
    pub(crate) output: Option<&'a mut [R]>,
}

/// A backward step.
pub(crate) struct BackwardRows<'a, R> {
    pub(crate) step: StepRows<'a, R>,
    /// \[rows, kept\]: overwritten by the gradients of the sums and of the cell's own parameters.
    pub(crate) kept: &'a mut [R],
    pub(crate) h_before: &'a [R],
    pub(crate) c_before: &'a [R],
    /// The gradient of h_t from above, \[rows, D·S\]. `None`: 0, or already in `dh`.
    pub(crate) d_output: Option<&'a [R]>,
    /// dh_t, converted to what bypasses the product to h_{t−1}.
    pub(crate) dh: &'a mut [R],
    /// dc_t, converted to dc_{t−1}.
    pub(crate) dc: &'a mut [R],
    /// Accumulates the square of the whole dh_t, if requested.
    pub(crate) square: Option<&'a mut f64>,
}

impl<R> StepRows<'_, R> {
    /// Splits after `rows` rows.
    fn split(self, rows: usize) -> (Self, Self) {
        let (lengths, others) = self.lengths.split_at(rows);
        (Self { lengths, ..self }, Self { lengths: others, ..self })
    }
}

impl<R> ForwardRows<'_, R> {
    /// Splits after `rows` rows.
    pub(crate) fn split(self, rows: usize) -> (Self, Self) {
        let all = self.step.lengths.len();
        let (step, step_after) = self.step.split(rows);
        let (kept, kept_after) = split_mut(self.kept, rows, all);
        let (h_before, h_before_after) = split(self.h_before, rows, all);
        let (c_before, c_before_after) = split(self.c_before, rows, all);
        let (h, h_after) = split_mut(self.h, rows, all);
        let (c, c_after) = split_mut(self.c, rows, all);
        let (output, output_after) = self.output.map(|output| split_mut(output, rows, all)).unzip();
        let after = ForwardRows {
            step: step_after,
            kept: kept_after,
            h_before: h_before_after,
            c_before: c_before_after,
            h: h_after,
            c: c_after,
            output: output_after,
        };
        (Self { step, kept, h_before, c_before, h, c, output }, after)
    }
}

impl<R> BackwardRows<'_, R> {
    /// Splits after `rows` rows. The first part accumulates the square, if requested.
    pub(crate) fn split(self, rows: usize) -> (Self, Self) {
        let all = self.step.lengths.len();
        let (step, step_after) = self.step.split(rows);
        let (kept, kept_after) = split_mut(self.kept, rows, all);
        let (h_before, h_before_after) = split(self.h_before, rows, all);
        let (c_before, c_before_after) = split(self.c_before, rows, all);
        let (d_output, d_output_after) = self.d_output.map(|d_output| split(d_output, rows, all)).unzip();
        let (dh, dh_after) = split_mut(self.dh, rows, all);
        let (dc, dc_after) = split_mut(self.dc, rows, all);
        let after = BackwardRows {
            step: step_after,
            kept: kept_after,
            h_before: h_before_after,
            c_before: c_before_after,
            d_output: d_output_after,
            dh: dh_after,
            dc: dc_after,
            square: None,
        };
        (Self { step, kept, h_before, c_before, d_output, dh, dc, square: self.square }, after)
    }
}

/// The numbers of the first `rows` of `all` rows, and those of the others.
fn split<R>(numbers: &[R], rows: usize, all: usize) -> (&[R], &[R]) {
    numbers.split_at(numbers.len() / all * rows)
}

/// The mutable [`split`].
fn split_mut<R>(numbers: &mut [R], rows: usize, all: usize) -> (&mut [R], &mut [R]) {
    numbers.split_at_mut(numbers.len() / all * rows)
}

/// The steps of a cell in numbers of one type. The cell is chosen once a step, and its functions are inlined in the
/// loops over rows and units.
pub(crate) trait CellRows<R> {
    fn forward(&self, rows: ForwardRows<'_, R>);
    fn backward(&self, rows: BackwardRows<'_, R>);
}

/// A forward step of the cell that `F` defines.
pub(super) fn forward<F: CellFunctions<S, P>, R: Real, const S: usize, const P: usize>(rows: ForwardRows<'_, R>) {
    Arch::new().dispatch(OfCell::<F, _, S, P>(rows, PhantomData));
}

/// A backward step of the cell that `F` defines.
pub(super) fn backward<F: CellFunctions<S, P>, R: Real, const S: usize, const P: usize>(rows: BackwardRows<'_, R>) {
    Arch::new().dispatch(OfCell::<F, _, S, P>(rows, PhantomData));
}

/// A step with its cell.
struct OfCell<F, Rows, const S: usize, const P: usize>(Rows, PhantomData<F>);

impl<F: CellFunctions<S, P>, R: Real, const S: usize, const P: usize> WithSimd for OfCell<F, ForwardRows<'_, R>, S, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<I: Simd>(self, _: I) {
        let ForwardRows { step, kept, h_before, c_before, h, c, mut output } = self.0;
        let StepRows { lengths, t, hidden, column, parameters } = step;
        let state = if F::CELL_STATE { hidden } else { 0 };
        for (row, length) in lengths.iter().enumerate() {
            let h_before = &h_before[row * hidden..][..hidden];
            let c_before = &c_before[row * state..][..state];
            let h = &mut h[row * hidden..][..hidden];
            let c = &mut c[row * state..][..state];
            let output = output.as_deref_mut().map(|output| {
                let width = output.len() / lengths.len();
                &mut output[row * width + column..][..hidden]
            });
            if t >= *length {
                h.copy_from_slice(h_before);
                c.copy_from_slice(c_before);
                output.into_iter().for_each(|output| output.fill(R::zero()));
                continue;
            }
            let kept = &mut kept[row * (S + P) * hidden..][..(S + P) * hidden];
            let mut row = ForwardRow { parameters, kept, h_before, c_before, h: &mut *h, c };
            let whole = hidden - hidden % LANES;
            for at in (0..whole).step_by(LANES) {
                row.units::<F, LANES, S, P>(at);
            }
            for at in whole..hidden {
                row.units::<F, 1, S, P>(at);
            }
            output.into_iter().for_each(|output| output.copy_from_slice(h));
        }
    }
}

impl<F: CellFunctions<S, P>, R: Real, const S: usize, const P: usize> WithSimd
    for OfCell<F, BackwardRows<'_, R>, S, P>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<I: Simd>(self, _: I) {
        let BackwardRows { step, kept, h_before, c_before, d_output, dh, dc, mut square } = self.0;
        let StepRows { lengths, t, hidden, column, parameters } = step;
        let state = if F::CELL_STATE { hidden } else { 0 };
        for (row, length) in lengths.iter().enumerate() {
            let kept = &mut kept[row * (S + P) * hidden..][..(S + P) * hidden];
            if t >= *length {
                // dh and dc pass through unchanged.
                kept.fill(R::zero());
                continue;
            }
            let h_before = &h_before[row * hidden..][..hidden];
            let c_before = &c_before[row * state..][..state];
            let dh = &mut dh[row * hidden..][..hidden];
            let dc = &mut dc[row * state..][..state];
            if let Some(d_output) = d_output {
                let width = d_output.len() / lengths.len();
                let d_output = &d_output[row * width + column..][..hidden];
                dh.iter_mut().zip(d_output).for_each(|(dh, d_output)| *dh += *d_output);
            }
            if let Some(square) = &mut square {
                **square += dh.iter().map(|dh| dh.as_f64() * dh.as_f64()).sum::<f64>();
            }
            let mut row = BackwardRow { parameters, kept, h_before, c_before, dh, dc };
            let whole = hidden - hidden % LANES;
            for at in (0..whole).step_by(LANES) {
                row.units::<F, LANES, S, P>(at);
            }
            for at in whole..hidden {
                row.units::<F, 1, S, P>(at);
            }
        }
    }
}

/// One row of a forward step.
struct ForwardRow<'a, R> {
    parameters: &'a [R],
    kept: &'a mut [R],
    h_before: &'a [R],
    c_before: &'a [R],
    h: &'a mut [R],
    c: &'a mut [R],
}

impl<R: Real> ForwardRow<'_, R> {
    /// The `N` units from `at` on.
    #[inline(always)]
    fn units<F: CellFunctions<S, P>, const N: usize, const S: usize, const P: usize>(&mut self, at: usize) {
        let hidden = self.h.len();
        let output = F::forward::<R, N>(ForwardInput {
            sums: strided(self.kept, at, hidden),
            h: Lanes::load(self.h_before, at),
            c: if F::CELL_STATE { Lanes::load(self.c_before, at) } else { Lanes::zero() },
            parameters: strided(self.parameters, at, hidden),
        });
        for (index, kept) in output.kept.iter().enumerate() {
            kept.store(self.kept, index * hidden + at);
        }
        output.h.store(self.h, at);
        if F::CELL_STATE {
            output.c.store(self.c, at);
        }
    }
}

/// One row of a backward step.
struct BackwardRow<'a, R> {
    parameters: &'a [R],
    kept: &'a mut [R],
    h_before: &'a [R],
    c_before: &'a [R],
    dh: &'a mut [R],
    dc: &'a mut [R],
}

impl<R: Real> BackwardRow<'_, R> {
    /// The `N` units from `at` on.
    #[inline(always)]
    fn units<F: CellFunctions<S, P>, const N: usize, const S: usize, const P: usize>(&mut self, at: usize) {
        let hidden = self.dh.len();
        let output = F::backward::<R, N>(BackwardInput {
            kept: strided(self.kept, at, hidden),
            h: Lanes::load(self.h_before, at),
            c: if F::CELL_STATE { Lanes::load(self.c_before, at) } else { Lanes::zero() },
            parameters: strided(self.parameters, at, hidden),
            dh: Lanes::load(self.dh, at),
            dc: if F::CELL_STATE { Lanes::load(self.dc, at) } else { Lanes::zero() },
        });
        for (index, gradient) in output.sums.iter().enumerate() {
            gradient.store(self.kept, index * hidden + at);
        }
        for (index, gradient) in output.parameters.iter().enumerate() {
            gradient.store(self.kept, (S + index) * hidden + at);
        }
        output.dh.store(self.dh, at);
        if F::CELL_STATE {
            output.dc.store(self.dc, at);
        }
    }
}

/// The numbers at `at`, at `at + stride` and so on.
#[inline(always)]
fn strided<R: Real, const N: usize, const K: usize>(from: &[R], at: usize, stride: usize) -> [Lanes<R, N>; K] {
    let mut all = [Lanes::zero(); K];
    for (index, lanes) in all.iter_mut().enumerate() {
        *lanes = Lanes::load(from, index * stride + at);
    }
    all
}
