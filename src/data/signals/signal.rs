//! Inputs and targets of the same times.

use ndarray::{Array2, ArrayView2};

use crate::error::{Error, Result};

/// A long signal in a network's units: N steps of I inputs, and O targets of the same times.
///
/// A target is read from the inputs up to its own time, and is not an input itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    x: Array2<f32>,
    /// 0 if missing.
    y: Array2<f32>,
    /// Whether each step has all of its targets; `None`: every step has.
    known: Option<Vec<bool>>,
}

impl Signal {
    /// From x, \[N, I\], and y, \[N, O\]. A target that is NaN is missing: its step is neither learned from nor measured.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of steps in y; [`Error::Value`] for a number that is infinite, and for an
    /// input that is NaN, by step and column, counted from 1.
    pub fn new(x: Array2<f32>, mut y: Array2<f32>) -> Result<Self> {
        if x.nrows() != y.nrows() {
            return Err(Error::shape("y", &[x.nrows(), y.ncols()], y.shape()));
        }
        let refused = |name: &str, at: (usize, usize), value: f32| {
            Error::value(format!("{name}, step {}, column {}", at.0 + 1, at.1 + 1), "a finite number", value)
        };
        if let Some((at, value)) = x.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(refused("x", at, *value));
        }
        if let Some((at, value)) = y.indexed_iter().find(|(_, value)| value.is_infinite()) {
            return Err(refused("y", at, *value));
        }
        let known: Vec<bool> = y.rows().into_iter().map(|row| row.iter().all(|value| !value.is_nan())).collect();
        y.mapv_inplace(|value| if value.is_nan() { 0.0 } else { value });
        let known = Some(known).filter(|known| known.contains(&false));
        Ok(Self { x, y, known })
    }

    /// N, the number of steps.
    pub fn len(&self) -> usize {
        self.x.nrows()
    }

    /// Whether there are no steps.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// x, \[N, I\].
    pub fn x(&self) -> ArrayView2<'_, f32> {
        self.x.view()
    }

    /// y, \[N, O\]; 0 if missing.
    pub fn y(&self) -> ArrayView2<'_, f32> {
        self.y.view()
    }

    /// Whether a step has all of its targets.
    pub fn is_known(&self, step: usize) -> bool {
        self.known.as_ref().is_none_or(|known| known[step])
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_step_without_all_its_targets_is_unknown_and_an_input_must_be_finite() {
        let x = array![[1.0], [2.0], [3.0]];
        let nan = f32::NAN;
        let signal = Signal::new(x.clone(), array![[1.0, 2.0], [nan, 3.0], [4.0, nan]]).unwrap();
        assert_eq!([0, 1, 2].map(|step| signal.is_known(step)), [true, false, false]);
        assert_eq!(signal.y(), array![[1.0, 2.0], [0.0, 3.0], [4.0, 0.0]]);
        assert!(Signal::new(x.clone(), array![[1.0], [2.0], [3.0]]).unwrap().known.is_none());
        let refusal = |x, y| Signal::new(x, y).unwrap_err().to_string();
        let message = "y, step 2, column 1: expected a finite number, got inf";
        assert_eq!(refusal(x.clone(), array![[0.0], [f32::INFINITY], [0.0]]), message);
        let message = "x, step 1, column 2: expected a finite number, got NaN";
        assert_eq!(refusal(array![[0.0, nan]], array![[0.0]]), message);
        assert!(refusal(x, array![[0.0]]).starts_with("y: expected shape [3, 1]"));
    }
}
