//! A cell's step over the rows of a block, as work that threads may share.

use crate::cells::{BackwardRows, ForwardRows};
use crate::cpu::parallel::threads::RowWork;
use crate::real::Real;

impl<R: Real> RowWork for ForwardRows<'_, R> {
    fn rows(&self) -> usize {
        self.step.lengths.len()
    }

    fn split(self, rows: usize) -> (Self, Self) {
        self.split(rows)
    }
}

impl<R: Real> RowWork for BackwardRows<'_, R> {
    fn rows(&self) -> usize {
        self.step.lengths.len()
    }

    fn split(self, rows: usize) -> (Self, Self) {
        self.split(rows)
    }
}

#[cfg(test)]
mod tests {
    use crate::cells::{Activation, BackwardRows, Cell, ForwardRows, StepRows};

    const ROWS: usize = 4;
    const HIDDEN: usize = 19;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|at| (at * 7919 % 1000 + seed) as f32 / 500.0 - 1.0).collect()
    }

    /// What a forward and a backward step leave, with the rows split after `first`.
    fn step(cell: Cell, first: usize) -> [Vec<f32>; 7] {
        let definition = cell.definition();
        let (units, state) = (ROWS * HIDDEN, if definition.has_cell_state() { ROWS * HIDDEN } else { 0 });
        // The second row has ended.
        let lengths = [3, 1, 2, 3];
        let step = StepRows { lengths: &lengths, t: 1, hidden: HIDDEN, column: HIDDEN, parameters: &[] };
        let (h_before, c_before, d_output) = (numbers(units, 1), numbers(state, 2), numbers(2 * units, 3));
        let (mut kept, mut h, mut c) =
            (numbers(ROWS * definition.kept() * HIDDEN, 4), numbers(units, 5), c_before.clone());
        let (mut dh, mut dc, mut output) = (numbers(units, 6), numbers(state, 7), numbers(2 * units, 8));
        let rows = definition.rows();
        let forward = ForwardRows {
            step,
            kept: &mut kept,
            h_before: &h_before,
            c_before: &c_before,
            h: &mut h,
            c: &mut c,
            output: Some(&mut output),
        };
        let (above, below) = forward.split(first);
        [below, above].into_iter().for_each(|part| rows.forward(part));
        let gates = kept.clone();
        let backward = BackwardRows {
            step,
            kept: &mut kept,
            h_before: &h_before,
            c_before: &c_before,
            d_output: Some(&d_output),
            dh: &mut dh,
            dc: &mut dc,
            square: None,
        };
        let (above, below) = backward.split(first);
        [below, above].into_iter().for_each(|part| rows.backward(part));
        [gates, h, c, output, kept, dh, dc]
    }

    #[test]
    fn a_step_has_the_same_bits_wherever_its_rows_are_split() {
        for cell in [Cell::Rnn(Activation::Tanh), Cell::Lstm, Cell::Gru] {
            let whole = step(cell, ROWS);
            (0..ROWS).for_each(|first| assert_eq!(step(cell, first), whole, "{cell:?}, split after {first}"));
        }
    }
}
