//! One time step of a block: the cell of each row, forward or backward, for the instruction set found at run time.

use pulp::{Arch, Simd, WithSimd};

use super::column_sum;
use super::gru_step;
use super::lstm_step;
use super::mask::StepMask;
use super::rnn_step;
use crate::model::Cell;
use crate::real::Real;

/// The step and its rows.
#[derive(Clone, Copy)]
pub(crate) struct StepRows<'a> {
    pub(crate) cell: Cell,
    pub(crate) mask: &'a StepMask,
    pub(crate) t: usize,
    /// H.
    pub(crate) hidden: usize,
    /// The first of the direction's columns in the layer's output, \[rows, D·H\].
    pub(crate) column: usize,
}

/// A forward step: the gates, and the states before and after. c is empty if the cell has none.
pub(crate) struct ForwardStep<'a, R> {
    pub(crate) step: StepRows<'a>,
    /// \[rows, kept\]: z, converted to what the backward pass needs: the gates, or the RNN's h_t.
    pub(crate) gates: &'a mut [R],
    pub(crate) h_before: &'a [R],
    pub(crate) c_before: &'a [R],
    pub(crate) h: &'a mut [R],
    pub(crate) c: &'a mut [R],
    /// \[rows, D·H\].
    pub(crate) output: &'a mut [R],
}

/// A backward step.
pub(crate) struct BackwardStep<'a, R> {
    pub(crate) step: StepRows<'a>,
    /// \[rows, kept\]: overwritten by the gradients.
    pub(crate) gates: &'a mut [R],
    pub(crate) h_before: &'a [R],
    pub(crate) c_before: &'a [R],
    /// The gradient of h_t from above, \[rows, D·H\]. `None`: 0.
    pub(crate) d_output: Option<&'a [R]>,
    /// dh_t, converted to what bypasses the product to h_{t−1}.
    pub(crate) dh: &'a mut [R],
    /// dc_t, converted to dc_{t−1}.
    pub(crate) dc: &'a mut [R],
    pub(crate) bias_sum: &'a mut [R],
    /// Accumulates the square of the whole dh_t, if requested.
    pub(crate) square: Option<&'a mut f64>,
}

impl<R: Real> ForwardStep<'_, R> {
    pub(crate) fn run(self) {
        Arch::new().dispatch(self);
    }
}

impl<R: Real> BackwardStep<'_, R> {
    pub(crate) fn run(self) {
        Arch::new().dispatch(self);
    }
}

impl<R: Real> WithSimd for ForwardStep<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let StepRows { cell, mask, t, hidden, column } = self.step;
        let (kept, width, cell_state) =
            (self.gates.len() / mask.rows, self.output.len() / mask.rows, self.c.len() / mask.rows);
        for row in 0..mask.rows {
            let h_before = &self.h_before[row * hidden..][..hidden];
            let c_before = &self.c_before[row * cell_state..][..cell_state];
            let h = &mut self.h[row * hidden..][..hidden];
            let c = &mut self.c[row * cell_state..][..cell_state];
            let output = &mut self.output[row * width + column..][..hidden];
            if !mask.active(t, row) {
                h.copy_from_slice(h_before);
                c.copy_from_slice(c_before);
                output.fill(R::zero());
                continue;
            }
            let gates = &mut self.gates[row * kept..][..kept];
            match cell {
                Cell::Rnn(activation) => rnn_step::forward(activation, gates, h),
                Cell::Lstm => lstm_step::forward(gates, c_before, c, h),
                Cell::Gru => gru_step::forward(gates, h_before, h),
            }
            output.copy_from_slice(h);
        }
    }
}

impl<R: Real> WithSimd for BackwardStep<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let StepRows { cell, mask, t, hidden, column } = self.step;
        let (kept, cell_state) = (self.gates.len() / mask.rows, self.dc.len() / mask.rows);
        for row in 0..mask.rows {
            let gates = &mut self.gates[row * kept..][..kept];
            if !mask.active(t, row) {
                // dh and dc pass through unchanged.
                gates.fill(R::zero());
                continue;
            }
            let h_before = &self.h_before[row * hidden..][..hidden];
            let c_before = &self.c_before[row * cell_state..][..cell_state];
            let dh = &mut self.dh[row * hidden..][..hidden];
            let dc = &mut self.dc[row * cell_state..][..cell_state];
            if let Some(d_output) = self.d_output {
                let width = d_output.len() / mask.rows;
                let d_output = &d_output[row * width + column..][..hidden];
                dh.iter_mut().zip(d_output).for_each(|(dh, d_output)| *dh += *d_output);
            }
            if let Some(square) = &mut self.square {
                **square += dh.iter().map(|dh| dh.as_f64() * dh.as_f64()).sum::<f64>();
            }
            match cell {
                Cell::Rnn(activation) => rnn_step::backward(activation, gates, dh),
                Cell::Lstm => lstm_step::backward(gates, c_before, dh, dc),
                Cell::Gru => gru_step::backward(gates, h_before, dh),
            }
        }
        column_sum::add(self.bias_sum, self.gates);
    }
}
