//! Reads the steps of a signal one by one, each after its own window.

use std::ops::Deref;

use ndarray::{Array2, Array3, s};

use super::signal::Signal;
use crate::allocate;
use crate::batch::{Batch, Sequence, Targets};
use crate::data::Examples;
use crate::error::{Error, Result};

const WHAT: &str = "a batch of windows";

/// Steps of a signal as examples of their own: each is predicted from the last W steps up to its own, x \[W, B, I\], from
/// a state of zero. The first steps of a signal have shorter windows. A step without a target has weight 0.
pub struct SignalWindows<S> {
    signal: S,
    steps: Vec<usize>,
    window: usize,
}

impl<S: Deref<Target = Signal>> SignalWindows<S> {
    /// Predicts `steps` of a signal, in this order, each from a window of `window` steps (W).
    ///
    /// # Errors
    /// [`Error::Value`] for a window of 0, and for a step that is not in the signal.
    pub fn new(signal: S, steps: Vec<usize>, window: usize) -> Result<Self> {
        if window == 0 {
            return Err(Error::value("window", "at least 1", 0));
        }
        match steps.iter().find(|step| **step >= signal.len()) {
            Some(step) => Err(Error::value("the steps", format!("below {}", signal.len()), step)),
            None => Ok(Self { window: window.min(signal.len().max(1)), signal, steps }),
        }
    }

    /// The predicted steps.
    pub fn predicted(&self) -> &[usize] {
        &self.steps
    }
}

impl<S: Deref<Target = Signal> + Send + Sync> Examples for SignalWindows<S> {
    fn len(&self) -> usize {
        self.steps.len()
    }

    fn steps(&self, _: usize) -> usize {
        self.window
    }

    fn batch(&self, examples: &[usize], steps: usize) -> Result<Batch> {
        let (inputs, outputs, rows) = (self.signal.x().ncols(), self.signal.y().ncols(), examples.len());
        let mut x: Array3<f32> = allocate::array((steps, rows, inputs), WHAT)?;
        let mut y: Array3<f32> = allocate::array((1, rows, outputs), WHAT)?;
        let mut weights: Array2<f32> = allocate::array((1, rows), WHAT)?;
        let mut lengths = Vec::with_capacity(rows);
        for (row, example) in examples.iter().enumerate() {
            let step = self.steps[*example];
            let window = (step + 1).saturating_sub(self.window)..step + 1;
            lengths.push(window.len());
            x.slice_mut(s![..window.len(), row, ..]).assign(&self.signal.x().slice(s![window, ..]));
            y.slice_mut(s![0, row, ..]).assign(&self.signal.y().row(step));
            weights[[0, row]] = f32::from(u8::from(self.signal.is_known(step)));
        }
        let mut sequence = Sequence::dense(x);
        sequence.lengths = Some(lengths).filter(|lengths| lengths.iter().any(|length| *length < steps));
        Ok(Batch::new(sequence, Targets::Values(y)).weights(weights))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::batch::Input;

    #[test]
    fn a_step_is_read_with_those_before_it_and_the_first_ones_have_shorter_windows() {
        let y = array![[10.0], [20.0], [f32::NAN], [40.0], [50.0]];
        let signal = Signal::new(array![[1.0], [2.0], [3.0], [4.0], [5.0]], y).unwrap();
        let windows = SignalWindows::new(&signal, vec![0, 2, 4], 3).unwrap();
        assert_eq!((windows.len(), windows.steps(0), windows.predicted()), (3, 3, &[0, 2, 4][..]));
        let batch = windows.batch(&[2, 0, 1], 3).unwrap();
        let Input::Dense(x) = &batch.sequence.input else { panic!() };
        assert_eq!(x.slice(s![.., .., 0]), array![[3.0, 1.0, 1.0], [4.0, 0.0, 2.0], [5.0, 0.0, 3.0]]);
        assert_eq!(batch.sequence.lengths, Some(vec![3, 1, 3]));
        let Targets::Values(y) = &batch.targets else { panic!() };
        assert_eq!(y.slice(s![0, .., 0]), array![50.0, 10.0, 0.0]);
        assert_eq!([0, 1, 2].map(|row| batch.weight(0, row)), [1.0, 1.0, 0.0]);
        assert!(windows.batch(&[1, 2], 3).unwrap().sequence.lengths.is_none());
        assert!(SignalWindows::new(&signal, vec![5], 3).is_err() && SignalWindows::new(&signal, vec![], 0).is_err());
    }
}
