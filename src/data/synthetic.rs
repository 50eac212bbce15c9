//! Tasks that need a memory as long as the sequence, generated from a seed.

use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::Examples;
use crate::allocate;
use crate::batch::{Batch, Sequence, Targets};
use crate::error::{Error, Result};
use crate::model::{Head, Loss, Readout, uniform};

/// The adding problem (Hochreiter & Schmidhuber 1997, in the form of Le, Jaitly & Hinton 2015).
///
/// x is \[T, B, 2\]: a number uniform in \[0, 1) and a mark, which is 1 at one step of the first half, at one of the
/// second, and 0 elsewhere. The target after the last step is the sum of the two marked numbers. Always predicting 1
/// gives a squared error of 1/6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddingTask {
    /// T, at least 2.
    pub length: usize,
}

/// The copying memory problem (Hochreiter & Schmidhuber 1997, in the form of Arjovsky, Shah & Bengio 2016).
///
/// Tokens, \[T, B\] with T = delay + 2·recall: `recall` symbols uniform among `symbols`, then `delay − 1` blanks, a
/// delimiter, and `recall` blanks, during which the symbols must be repeated in order. The target of every earlier step
/// is the blank. All steps have equal weight, so predicting without memory gives a cross-entropy of recall ·
/// ln(symbols) / T.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyTask {
    /// Steps between the last symbol and the first repetition, at least 1.
    pub delay: usize,
    /// The number of symbols, at least 1. The blank and the delimiter are two more.
    pub symbols: usize,
    /// The number of symbols to remember, at least 1.
    pub recall: usize,
}

impl AddingTask {
    /// I: the number and the mark.
    pub const INPUTS: usize = 2;

    /// One output after the last step, squared error.
    pub fn head(&self) -> Head {
        Head::new(1, Loss::SquaredError, Readout::Final)
    }

    /// The loss of always predicting 1.
    pub fn baseline(&self) -> f64 {
        1.0 / 6.0
    }

    /// Examples `first..first + count` of the stream of `seed`.
    ///
    /// # Errors
    /// [`Error::Value`] for a length below 2.
    pub fn examples(self, seed: u64, first: u64, count: usize) -> Result<SyntheticExamples<Self>> {
        match self.length {
            0 | 1 => Err(Error::value("the length of the adding problem", "at least 2", self.length)),
            _ => Ok(SyntheticExamples { task: self, seed, first, count }),
        }
    }
}

impl CopyTask {
    /// The setting of Arjovsky et al.: 10 of 8 symbols.
    pub fn new(delay: usize) -> Self {
        Self { delay, symbols: 8, recall: 10 }
    }

    /// T.
    pub fn length(&self) -> usize {
        self.delay + 2 * self.recall
    }

    /// I: the symbols, the blank and the delimiter.
    pub fn inputs(&self) -> usize {
        self.symbols + 2
    }

    /// One output per symbol and one for the blank at every step, cross-entropy.
    pub fn head(&self) -> Head {
        Head::new(self.symbols + 1, Loss::CrossEntropy, Readout::PerStep)
    }

    /// The loss of knowing when symbols must be repeated, but not which.
    pub fn baseline(&self) -> f64 {
        self.recall as f64 * (self.symbols as f64).ln() / self.length() as f64
    }

    /// Examples `first..first + count` of the stream of `seed`.
    ///
    /// # Errors
    /// [`Error::Value`] for a size of 0.
    pub fn examples(self, seed: u64, first: u64, count: usize) -> Result<SyntheticExamples<Self>> {
        let sizes = [("delay", self.delay), ("symbols", self.symbols), ("recall", self.recall)];
        match sizes.iter().find(|(_, size)| *size == 0) {
            Some((name, _)) => Err(Error::value(format!("the {name} of the copying problem"), "at least 1", 0)),
            None => Ok(SyntheticExamples { task: self, seed, first, count }),
        }
    }
}

/// Examples of a synthetic task. Each has a random stream of its own, so it depends only on the seed and its number,
/// and is generated on demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntheticExamples<T> {
    task: T,
    seed: u64,
    first: u64,
    count: usize,
}

impl<T> SyntheticExamples<T> {
    fn rng(&self, example: usize) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // The lower half of the streams belongs to the run: initialisation and shuffling.
        rng.set_stream((1 << 63) + self.first + example as u64);
        rng
    }
}

/// Uniform among `start..start + n`.
fn below(n: usize, rng: &mut ChaCha8Rng) -> usize {
    (uniform(rng) * n as f64) as usize
}

impl Examples for SyntheticExamples<AddingTask> {
    fn len(&self) -> usize {
        self.count
    }

    fn steps(&self, _: usize) -> usize {
        self.task.length
    }

    fn batch(&self, examples: &[usize], _: usize) -> Result<Batch> {
        let (steps, half) = (self.task.length, self.task.length / 2);
        let mut x = allocate::array((steps, examples.len(), AddingTask::INPUTS), "x of a batch")?;
        let mut y = Array3::zeros((1, examples.len(), 1));
        for (b, example) in examples.iter().enumerate() {
            let mut rng = self.rng(*example);
            for t in 0..steps {
                x[[t, b, 0]] = uniform(&mut rng) as f32;
            }
            for t in [below(half, &mut rng), half + below(steps - half, &mut rng)] {
                x[[t, b, 1]] = 1.0;
                y[[0, b, 0]] += x[[t, b, 0]];
            }
        }
        Ok(Batch::new(Sequence::dense(x), Targets::Values(y)))
    }
}

impl Examples for SyntheticExamples<CopyTask> {
    fn len(&self) -> usize {
        self.count
    }

    fn steps(&self, _: usize) -> usize {
        self.task.length()
    }

    fn batch(&self, examples: &[usize], _: usize) -> Result<Batch> {
        let CopyTask { delay, symbols, recall } = self.task;
        let (steps, blank, delimiter) = (self.task.length(), symbols as u32, symbols as u32 + 1);
        let mut tokens = allocate::array((steps, examples.len()), "the tokens of a batch")?;
        tokens.fill(blank);
        let mut classes = allocate::array((steps, examples.len()), "the targets of a batch")?;
        classes.fill(blank);
        for (b, example) in examples.iter().enumerate() {
            let mut rng = self.rng(*example);
            for i in 0..recall {
                let symbol = below(symbols, &mut rng) as u32;
                tokens[[i, b]] = symbol;
                classes[[recall + delay + i, b]] = symbol;
            }
            tokens[[recall + delay - 1, b]] = delimiter;
        }
        Ok(Batch::new(Sequence::tokens(tokens), Targets::Classes(classes)))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::batch::Input;

    #[test]
    fn an_adding_example_marks_one_number_per_half_and_targets_their_sum() {
        for length in [2, 3, 20] {
            let examples = AddingTask { length }.examples(7, 0, 50).unwrap();
            let batch = examples.batch(&(0..50).collect::<Vec<_>>(), length).unwrap();
            let (Input::Dense(x), Targets::Values(y)) = (&batch.sequence.input, &batch.targets) else { panic!() };
            for b in 0..50 {
                let marked: Vec<usize> = (0..length).filter(|t| x[[*t, b, 1]] == 1.0).collect();
                assert!(matches!(marked[..], [i, j] if i < length / 2 && j >= length / 2), "{marked:?}");
                assert_eq!(y[[0, b, 0]], marked.iter().map(|t| x[[*t, b, 0]]).sum::<f32>());
            }
        }
    }

    #[test]
    fn a_copy_example_ends_with_its_start() {
        let task = CopyTask { delay: 3, symbols: 4, recall: 2 };
        let batch = task.examples(1, 0, 9).unwrap().batch(&[4, 8], task.length()).unwrap();
        let (Input::Tokens(x), Targets::Classes(y)) = (&batch.sequence.input, &batch.targets) else { panic!() };
        assert_eq!(x.dim(), (7, 2));
        for b in 0..2 {
            let column = |array: &Array2<u32>| array.column(b).to_vec();
            assert_eq!(column(x)[2..], [4, 4, 5, 4, 4]);
            assert_eq!(column(y)[..5], [4; 5]);
            assert_eq!(column(y)[5..], column(x)[..2]);
        }
    }

    #[test]
    fn an_example_depends_only_on_the_seed_and_its_index() {
        let all = AddingTask { length: 5 }.examples(3, 0, 10).unwrap();
        let late = AddingTask { length: 5 }.examples(3, 6, 4).unwrap();
        assert_eq!(all.batch(&[8], 5).unwrap(), late.batch(&[2], 5).unwrap());
        assert_ne!(all.batch(&[8], 5).unwrap(), all.batch(&[7], 5).unwrap());
        assert_ne!(
            all.batch(&[8], 5).unwrap(),
            AddingTask { length: 5 }.examples(4, 0, 10).unwrap().batch(&[8], 5).unwrap()
        );
    }
}
