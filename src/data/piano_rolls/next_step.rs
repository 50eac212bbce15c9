//! Piano rolls as examples that predict the next step.

use std::ops::Deref;

use super::super::Examples;
use super::pieces::PianoRolls;
use crate::allocate;
use crate::batch::{Batch, Sequence, Targets};
use crate::error::{Error, Result};

/// Pieces in which each step predicts the next: x is \[T, B, K\], all steps but the last, 1 where a key is active and 0
/// elsewhere; the targets are all steps but the first, at every step, for binary cross-entropy. The rolls are a
/// reference to them, or an `Arc`.
pub struct NextStep<P> {
    rolls: P,
    pieces: Vec<usize>,
}

impl<P: Deref<Target = PianoRolls>> NextStep<P> {
    /// One example for each of `pieces`, by their numbers in [`PianoRolls::pieces`].
    ///
    /// # Errors
    /// [`Error::Value`] for a number out of range.
    pub fn new(rolls: P, pieces: impl IntoIterator<Item = usize>) -> Result<Self> {
        let pieces: Vec<usize> = pieces.into_iter().collect();
        match pieces.iter().find(|piece| **piece >= rolls.pieces().len()) {
            Some(piece) => Err(Error::value("a piece", format!("a number below {}", rolls.pieces().len()), piece)),
            None => Ok(Self { rolls, pieces }),
        }
    }
}

impl<P: Deref<Target = PianoRolls> + Send + Sync> Examples for NextStep<P> {
    fn len(&self) -> usize {
        self.pieces.len()
    }

    fn steps(&self, example: usize) -> usize {
        self.rolls.pieces()[self.pieces[example]].len() - 1
    }

    fn batch(&self, examples: &[usize], steps: usize) -> Result<Batch> {
        let shape = (steps, examples.len(), self.rolls.keys().len());
        let (mut x, mut y) =
            (allocate::array(shape, "x of a batch")?, allocate::array(shape, "the targets of a batch")?);
        for (b, example) in examples.iter().enumerate() {
            for (t, frames) in self.rolls.pieces()[self.pieces[*example]].windows(2).enumerate() {
                frames[0].iter().for_each(|key| x[[t, b, *key as usize]] = 1.0);
                frames[1].iter().for_each(|key| y[[t, b, *key as usize]] = 1.0);
            }
        }
        let lengths = examples.iter().map(|example| self.steps(*example)).collect();
        Ok(Batch::new(Sequence::dense(x).lengths(lengths), Targets::Values(y)))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Axis, s};

    use super::*;
    use crate::batch::Input;
    use crate::data::PianoKeys;

    fn rolls() -> PianoRolls {
        let pieces = vec![vec![vec![0], vec![], vec![2, 1, 2]], vec![vec![1], vec![0, 2]]];
        PianoRolls::new(PianoKeys::Numbers(60..=62), pieces, Some([0..1, 1..1, 1..2])).unwrap()
    }

    #[test]
    fn each_frame_predicts_the_next() {
        let rolls = rolls();
        let examples = NextStep::new(&rolls, [1, 0]).unwrap();
        assert_eq!((examples.len(), examples.steps(0), examples.steps(1)), (2, 1, 2));
        let batch = examples.batch(&[1, 0], 3).unwrap();
        let (Input::Dense(x), Targets::Values(y)) = (&batch.sequence.input, &batch.targets) else { panic!() };
        assert_eq!((x.shape(), y.shape()), ([3, 2, 3].as_slice(), [3, 2, 3].as_slice()));
        assert_eq!(batch.sequence.lengths, Some(vec![2, 1]));
        let frames = |array: &Array3<f32>, b| array.index_axis(Axis(1), b).to_owned().into_raw_vec_and_offset().0;
        assert_eq!(frames(x, 0), [1., 0., 0., 0., 0., 0., 0., 0., 0.]);
        assert_eq!(frames(y, 0), [0., 0., 0., 0., 1., 1., 0., 0., 0.]);
        assert_eq!(frames(x, 1), [0., 1., 0., 0., 0., 0., 0., 0., 0.]);
        assert_eq!(y.slice(s![0, 1, ..]).to_vec(), [1., 0., 1.]);
        assert!(NextStep::new(&rolls, [2]).is_err());
    }
}
