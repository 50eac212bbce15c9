//! Sequences of numbers or of tokens, each with a length of its own.

use std::path::Path;

use ndarray::{Array2, Array3, Axis, s};

use super::InputLimit;
use crate::allocate;
use crate::error::Result;
use crate::real::Real;
use crate::sizes::Count;

/// Sequences, each with a length of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Steps {
    /// Numbers, \[T, I\] each, with one I.
    Dense(Vec<Array2<f32>>),
    /// Numbers likewise, as f64 has them: what is read from files that hold more than f32 does, so that
    /// [`Labelled::scaled`](super::Labelled::scaled) loses nothing of it. A batch has them as f32.
    Wide(Vec<Array2<f64>>),
    /// Token ids, T each.
    Tokens(Vec<Vec<u32>>),
}

/// The bytes that `sequences` arrays of `numbers` numbers in all take: a short one takes more for where its numbers lie than
/// for these.
pub(super) fn bytes_of(sequences: usize, numbers: Count, wide: bool) -> Count {
    // The least that an allocator hands out, or what it adds.
    const ALLOCATED: usize = 32;
    let (each, number) = match wide {
        true => (size_of::<Array2<f64>>(), size_of::<f64>()),
        false => (size_of::<Array2<f32>>(), size_of::<f32>()),
    };
    Count::from(sequences) * (each + ALLOCATED) + numbers * number
}

/// Sequences that come one by one, of which nobody knows beforehand how many there will be.
pub(super) struct Growing<'a> {
    sequences: Vec<Array2<f64>>,
    numbers: Count,
    limit: InputLimit,
    path: &'a Path,
}

impl<'a> Growing<'a> {
    /// Those of the file at `path`, of which no more than `limit` is held.
    pub(super) fn new(path: &'a Path, limit: InputLimit) -> Self {
        Self { sequences: Vec::new(), numbers: Count::default(), limit, path }
    }

    pub(super) fn first(&self) -> Option<&Array2<f64>> {
        self.sequences.first()
    }

    /// One more.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) where they come to more than is allowed, and
    /// [`Error::NoMemory`](crate::Error::NoMemory).
    pub(super) fn push(&mut self, sequence: Array2<f64>) -> Result<()> {
        let len = self.sequences.len();
        self.numbers = self.numbers + sequence.len();
        if bytes_of(len + 1, self.numbers, true).get() > self.limit.0 {
            return Err(self.limit.exceeded(self.path, "", "in memory for its sequences"));
        }
        if len == self.sequences.capacity() {
            allocate::reserve(&mut self.sequences, len.max(16), "the sequences")?;
        }
        self.sequences.push(sequence);
        Ok(())
    }

    /// All of them; none where the file had none.
    pub(super) fn into_steps(self) -> Option<Steps> {
        (!self.sequences.is_empty()).then_some(Steps::Wide(self.sequences))
    }
}

impl Steps {
    /// N, how many sequences there are.
    pub fn len(&self) -> usize {
        match self {
            Steps::Dense(sequences) => sequences.len(),
            Steps::Wide(sequences) => sequences.len(),
            Steps::Tokens(sequences) => sequences.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// T of a sequence below [`len`](Self::len).
    pub fn length(&self, sequence: usize) -> usize {
        match self {
            Steps::Dense(sequences) => sequences[sequence].nrows(),
            Steps::Wide(sequences) => sequences[sequence].nrows(),
            Steps::Tokens(sequences) => sequences[sequence].len(),
        }
    }

    /// I, where the sequences are of numbers: the first one's. That of tokens is the size of their vocabulary.
    pub fn dimensions(&self) -> Option<usize> {
        match self.is_empty() {
            true => None,
            false => self.width(0),
        }
    }

    /// I of a sequence below [`len`](Self::len), where it is of numbers.
    pub(super) fn width(&self, sequence: usize) -> Option<usize> {
        match self {
            Steps::Dense(sequences) => Some(sequences[sequence].ncols()),
            Steps::Wide(sequences) => Some(sequences[sequence].ncols()),
            Steps::Tokens(_) => None,
        }
    }

    /// The numbers of one dimension at every step of the named sequences, which a scaling is fitted to; none where the
    /// sequences are of tokens.
    pub fn values(&self, sequences: &[usize], dimension: usize) -> impl Iterator<Item = f64> {
        fn column<R: Real>(all: &[Array2<R>], sequences: &[usize], dimension: usize) -> impl Iterator<Item = f64> {
            let all = sequences.iter().filter_map(|sequence| all.get(*sequence));
            all.flat_map(move |steps| (0..steps.nrows()).filter_map(move |t| steps.get([t, dimension])))
                .map(|number| number.as_f64())
        }
        let (single, wide): (&[Array2<f32>], &[Array2<f64>]) = match self {
            Steps::Dense(all) => (all, &[]),
            Steps::Wide(all) => (&[], all),
            Steps::Tokens(_) => (&[], &[]),
        };
        column(single, sequences, dimension).chain(column(wide, sequences, dimension))
    }

    /// The distance from 1 to the next number of the type that the numbers are kept in, which
    /// [`Scaling::fit_rounded`](super::Scaling::fit_rounded) wants.
    pub fn precision(&self) -> f64 {
        match self {
            Steps::Dense(_) => f32::EPSILON.into(),
            Steps::Wide(_) | Steps::Tokens(_) => f64::EPSILON,
        }
    }

    /// The first number that is refused, with its sequence, step and dimension.
    pub(super) fn find(&self, refused: impl Fn(f64) -> bool) -> Option<([usize; 3], f64)> {
        fn find<R: Real>(all: &[Array2<R>], refused: impl Fn(f64) -> bool) -> Option<([usize; 3], f64)> {
            all.iter().enumerate().find_map(|(sequence, steps)| {
                let found = steps.indexed_iter().find(|(_, number)| refused(number.as_f64()));
                found.map(|((t, i), number)| ([sequence, t, i], number.as_f64()))
            })
        }
        match self {
            Steps::Dense(all) => find(all, refused),
            Steps::Wide(all) => find(all, refused),
            Steps::Tokens(_) => None,
        }
    }

    /// With `f(place, number)` in the place of every number, `place` being sequence, step and dimension. Tokens stay as
    /// they are. The numbers that come go as their sequence is done.
    pub(super) fn map(self, mut f: impl FnMut([usize; 3], f64) -> Result<f32>) -> Result<Self> {
        Ok(match self {
            Steps::Dense(mut sequences) => {
                for (n, steps) in sequences.iter_mut().enumerate() {
                    for ((t, i), number) in steps.indexed_iter_mut() {
                        *number = f([n, t, i], number.as_f64())?;
                    }
                }
                Steps::Dense(sequences)
            }
            Steps::Wide(sequences) => {
                let mut mapped = Vec::with_capacity(sequences.len());
                for (n, steps) in sequences.into_iter().enumerate() {
                    let mut single = Array2::zeros(steps.raw_dim());
                    for (single, ((t, i), number)) in single.iter_mut().zip(steps.indexed_iter()) {
                        *single = f([n, t, i], *number)?;
                    }
                    mapped.push(single);
                }
                Steps::Dense(mapped)
            }
            tokens @ Steps::Tokens(_) => tokens,
        })
    }

    /// The dimensions of these indices, in this order.
    pub(super) fn arrange(&mut self, order: &[usize]) {
        match self {
            Steps::Dense(all) => all.iter_mut().for_each(|steps| *steps = steps.select(Axis(1), order)),
            Steps::Wide(all) => all.iter_mut().for_each(|steps| *steps = steps.select(Axis(1), order)),
            Steps::Tokens(_) => {}
        }
    }

    /// See [`Labelled::mask`](super::Labelled::mask).
    pub(super) fn mask(&mut self) {
        fn mask<R: Real>(all: &mut [Array2<R>]) {
            for steps in all {
                let missing = steps.mapv(|number| if number.is_nan() { R::one() } else { R::zero() });
                let known = steps.mapv(|number| if number.is_nan() { R::zero() } else { number });
                *steps = ndarray::concatenate![Axis(1), known, missing];
            }
        }
        match self {
            Steps::Dense(all) => mask(all),
            Steps::Wide(all) => mask(all),
            Steps::Tokens(_) => {}
        }
    }

    /// x of a batch of `rows`, \[T, B, I\], with zeros behind the steps of each; `None` for tokens.
    ///
    /// # Errors
    /// [`Error::NoMemory`](crate::Error::NoMemory) where there is none for it.
    pub(super) fn padded(&self, rows: &[usize], steps: usize) -> Result<Option<Array3<f32>>> {
        fn fill<R: Real>(x: &mut Array3<f32>, all: &[Array2<R>], rows: &[usize]) {
            for (b, row) in rows.iter().enumerate() {
                let numbers = &all[*row];
                x.slice_mut(s![..numbers.nrows(), b, ..])
                    .zip_mut_with(numbers, |x, number| *x = number.as_f64() as f32);
            }
        }
        let Some(dimensions) = self.dimensions() else { return Ok(None) };
        let mut x = allocate::array((steps, rows.len(), dimensions), "x of a batch")?;
        match self {
            Steps::Dense(all) => fill(&mut x, all, rows),
            Steps::Wide(all) => fill(&mut x, all, rows),
            Steps::Tokens(_) => return Ok(None),
        }
        Ok(Some(x))
    }
}
