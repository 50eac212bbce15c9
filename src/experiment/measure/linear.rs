//! Least squares: what no network is needed for to read targets from inputs of the same time.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};
use serde::{Deserialize, Serialize};

use crate::data::Signal;
use crate::data::common::least_squares::solve_with_ridge;

/// Maximum number of inputs of a fit, whose cost grows with their square.
const INPUTS: usize = 256;

/// Maximum number of products of a fit; of a longer part every k-th step is taken.
const PRODUCTS: usize = 1 << 31;

/// A linear function of the inputs of a step and those before it, fitted to training steps, in the network's units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct LinearFit {
    /// The number of steps that are read; the last one is the target's own.
    pub(crate) steps: usize,
    /// The mean of each target over the fitted steps.
    pub(crate) mean: Vec<f64>,
    /// By target: the factors of the inputs, step by step, and the constant.
    factors: Vec<Vec<f64>>,
}

impl LinearFit {
    /// The number of steps of a fit that is to read `window` steps of I inputs: as many of the last ones as it can.
    pub(crate) fn steps_of(window: usize, inputs: usize) -> usize {
        (INPUTS / inputs.max(1)).clamp(1, window)
    }

    /// Fits to the steps of `part` whose targets are known, with `steps` steps of inputs each; `None` if there are none.
    pub(crate) fn fit(signal: &Signal, part: Range<usize>, steps: usize) -> Option<Self> {
        let begin = part.start.max(steps - 1);
        let known: Vec<usize> = (begin..part.end).filter(|step| signal.is_known(*step)).collect();
        let size = steps * signal.x().ncols() + 1;
        let every = (known.len() * size * size).div_ceil(PRODUCTS).max(1);
        let taken: Vec<usize> = known.iter().copied().step_by(every).collect();
        let outputs = signal.y().ncols();
        let mean_of = |output: usize| {
            known.iter().map(|step| f64::from(signal.y()[[*step, output]])).sum::<f64>() / known.len() as f64
        };
        let mut squares = Array2::<f64>::zeros((size, size));
        let mut products = Array2::<f64>::zeros((size, outputs));
        // In blocks, whose products are those of matrices.
        for block in taken.chunks(1 << 10) {
            let mut inputs = Array2::<f64>::ones((block.len(), size));
            let mut targets = Array2::<f64>::zeros((block.len(), outputs));
            for (row, step) in block.iter().enumerate() {
                let read = signal.x().slice_move(s![step + 1 - steps..=*step, ..]);
                inputs.row_mut(row).iter_mut().zip(read).for_each(|(input, value)| *input = f64::from(*value));
                let of_row = signal.y().slice_move(s![*step, ..]);
                targets.row_mut(row).iter_mut().zip(of_row).for_each(|(target, value)| *target = f64::from(*value));
            }
            squares += &inputs.t().dot(&inputs);
            products += &inputs.t().dot(&targets);
        }
        solve_with_ridge(&mut squares, &mut products);
        let factors = products.columns().into_iter().map(|column| column.to_vec()).collect();
        (!taken.is_empty()).then(|| Self { steps, mean: (0..outputs).map(mean_of).collect(), factors })
    }

    /// Whether it is for signals of these sizes: one from a file may be for none.
    pub(crate) fn fits(&self, inputs: usize, outputs: usize) -> bool {
        let size = self.steps.checked_mul(inputs).and_then(|size| size.checked_add(1));
        self.steps > 0
            && [self.mean.len(), self.factors.len()] == [outputs; 2]
            && self.factors.iter().all(|factors| Some(factors.len()) == size)
    }

    /// The estimates of the steps of `part` from x, \[N, I\]: \[steps, O\]. Inputs before the first step are 0.
    pub(crate) fn predict(&self, x: ArrayView2<'_, f32>, part: Range<usize>) -> Array2<f64> {
        Array2::from_shape_fn((part.len(), self.factors.len()), |(row, output)| {
            let step = part.start + row;
            let absent = self.steps.saturating_sub(step + 1);
            let first = step + 1 + absent - self.steps;
            let Some((constant, factors)) = self.factors[output].split_last() else { return f64::NAN };
            let read = x.slice(s![first..=step, ..]);
            let factors = factors.iter().skip(absent * x.ncols());
            constant + factors.zip(read).map(|(factor, value)| factor * f64::from(*value)).sum::<f64>()
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_linear_function_of_the_last_steps_is_found_and_unknown_targets_are_ignored() {
        // Some numbers that no two steps of are multiples of.
        let x = Array2::from_shape_fn((60, 2), |(step, input)| ((step * step + 7 * input * step) % 11) as f32 - 5.0);
        let y = Array2::from_shape_fn((60, 2), |(step, output)| {
            let before = if step == 0 { 0.0 } else { x[[step - 1, 1]] };
            let value = [2.0 * x[[step, 0]] - 0.5 * before + 1.0, x[[step, 1]] - 3.0][output];
            if step == 9 { 1e6 } else { value }
        });
        let mut marked = y.clone();
        marked.row_mut(9).fill(f32::NAN);
        let signal = Signal::new(x.clone(), marked).unwrap();
        let fit = LinearFit::fit(&signal, 0..40, 2).unwrap();
        let predicted = fit.predict(x.view(), 40..60);
        for (row, step) in (40..60).enumerate() {
            for output in 0..2 {
                let (got, expected) = (predicted[[row, output]], f64::from(y[[step, output]]));
                assert!((got - expected).abs() < 1e-5, "{step} {output}: {got} {expected}");
            }
        }
        // Where the window begins before the signal, what is not there is 0.
        assert!((fit.predict(x.view(), 0..1)[[0, 0]] - f64::from(y[[0, 0]])).abs() < 1e-5);
        assert!(
            (fit.mean[1] - (1..40).filter(|step| *step != 9).map(|step| f64::from(y[[step, 1]])).sum::<f64>() / 38.0)
                .abs()
                < 1e-9
        );
        assert!(LinearFit::fit(&signal, 9..10, 1).is_none());
        assert!(fit.fits(2, 2) && !fit.fits(2, 1) && !fit.fits(3, 2));
        assert!(
            !LinearFit { steps: 0, ..fit.clone() }.fits(2, 2) && !LinearFit { steps: usize::MAX, ..fit }.fits(2, 2)
        );
    }

    /// By hand: the line through (0, 1), (1, 3) and (2, 2) that is nearest in squares is 1.5 + 0.5 x.
    #[test]
    fn least_squares_of_three_points_are_those_of_the_textbook() {
        let signal = Signal::new(array![[0.0], [1.0], [2.0]], array![[1.0], [3.0], [2.0]]).unwrap();
        let fit = LinearFit::fit(&signal, 0..3, 1).unwrap();
        let predicted = fit.predict(array![[0.0], [4.0]].view(), 0..2);
        assert!((predicted[[0, 0]] - 1.5).abs() < 1e-6 && (predicted[[1, 0]] - 3.5).abs() < 1e-6, "{predicted}");
        assert_eq!((fit.mean, LinearFit::steps_of(22, 3), LinearFit::steps_of(400, 2)), (vec![2.0], 22, 128));
    }

    #[test]
    fn inputs_that_are_equal_share_their_factor() {
        let x = Array2::from_shape_fn((20, 2), |(step, _)| (step % 5) as f32);
        let y = Array2::from_shape_fn((20, 1), |(step, _)| 3.0 * (step % 5) as f32);
        let fit = LinearFit::fit(&Signal::new(x.clone(), y).unwrap(), 0..20, 1).unwrap();
        assert!((fit.predict(x.view(), 4..5)[[0, 0]] - 12.0).abs() < 1e-4);
        assert!((fit.factors[0][0] - fit.factors[0][1]).abs() < 1e-3, "{:?}", fit.factors);
    }
}
