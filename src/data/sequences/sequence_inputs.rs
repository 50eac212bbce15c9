//! Sequences of numbers or tokens of different lengths.

use std::path::Path;

use ndarray::{Array3, s};

use super::super::input::file::MemoryUse;
use super::super::{InputLimit, PackedSequences};
use crate::allocate;
use crate::error::Result;

/// Sequences of different lengths.
#[derive(Clone, Debug, PartialEq)]
pub enum SequenceInputs {
    /// Numbers, \[T, I\] each, that are exact in f32 or scaled.
    Dense(PackedSequences),
    /// Numbers in f64, as read from files, so that
    /// [`LabelledSequences::scaled`](super::super::LabelledSequences::scaled) loses nothing. Batches have them in f32.
    Wide(PackedSequences),
    /// Token ids, T each.
    Tokens(Vec<Vec<u32>>),
}

/// Collects sequences whose number is not known in advance.
pub(in crate::data) struct SequencesBuilder<'a> {
    sequences: PackedSequences,
    memory: MemoryUse<'a>,
}

impl<'a> SequencesBuilder<'a> {
    /// For the file at `path`, with a memory limit.
    pub(in crate::data) fn new(path: &'a Path, limit: InputLimit) -> Self {
        Self { sequences: PackedSequences::default(), memory: MemoryUse::new(limit, path, IN_MEMORY) }
    }

    /// T of the first sequence.
    pub(in crate::data) fn first(&self) -> Option<usize> {
        (!self.sequences.is_empty()).then(|| self.sequences.length(0))
    }

    /// Adds a sequence, by dimension.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) if the limit is exceeded, and [`Error::NoMemory`](crate::Error::NoMemory).
    pub(in crate::data) fn push(&mut self, dimensions: &[Vec<f64>]) -> Result<()> {
        if self.sequences.is_empty() {
            self.sequences = PackedSequences::new(dimensions.len());
        }
        let steps = dimensions.first().map_or(0, Vec::len);
        self.sequences.push_with(steps, |t, i| Ok(dimensions[i][t]))?;
        // The line of each is stored too.
        let lines = self.sequences.len() as u64 * size_of::<usize>() as u64;
        self.memory.set(self.sequences.bytes() + lines)
    }

    /// All sequences; `None` if there are none.
    pub(in crate::data) fn into_steps(self) -> Option<SequenceInputs> {
        (!self.sequences.is_empty()).then_some(SequenceInputs::Wide(self.sequences))
    }
}

/// The description of the counted memory.
pub(in crate::data) const IN_MEMORY: &str = "in memory for its sequences";

impl SequenceInputs {
    #[cfg(test)]
    pub(crate) fn dense(sequences: Vec<ndarray::Array2<f32>>) -> Self {
        Self::Dense(sequences.try_into().unwrap())
    }

    #[cfg(test)]
    pub(crate) fn wide(sequences: Vec<ndarray::Array2<f64>>) -> Self {
        Self::Wide(sequences.try_into().unwrap())
    }

    /// N, the number of sequences.
    pub fn len(&self) -> usize {
        match self {
            SequenceInputs::Dense(sequences) | SequenceInputs::Wide(sequences) => sequences.len(),
            SequenceInputs::Tokens(sequences) => sequences.len(),
        }
    }

    /// Whether there are no sequences.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// T of a sequence below [`len`](Self::len).
    pub fn length(&self, sequence: usize) -> usize {
        match self {
            SequenceInputs::Dense(sequences) | SequenceInputs::Wide(sequences) => sequences.length(sequence),
            SequenceInputs::Tokens(sequences) => sequences[sequence].len(),
        }
    }

    /// I for sequences of numbers. For tokens it is the size of their vocabulary.
    pub fn dimensions(&self) -> Option<usize> {
        self.sequences().filter(|sequences| !sequences.is_empty()).map(PackedSequences::width)
    }

    fn sequences(&self) -> Option<&PackedSequences> {
        match self {
            SequenceInputs::Dense(sequences) | SequenceInputs::Wide(sequences) => Some(sequences),
            SequenceInputs::Tokens(_) => None,
        }
    }

    /// The numbers of one dimension at every step of the given sequences, for fitting a scaling; empty for tokens.
    pub fn values(&self, sequences: &[usize], dimension: usize) -> impl Iterator<Item = f64> {
        let all = self.sequences().into_iter();
        all.flat_map(move |all| sequences.iter().flat_map(move |sequence| all.values(*sequence, dimension)))
    }

    /// The distance from 1 to the next number in the type of the source, for
    /// [`Scaling::fit_rounded`](super::super::Scaling::fit_rounded).
    pub fn precision(&self) -> f64 {
        match self {
            SequenceInputs::Dense(_) => f32::EPSILON.into(),
            SequenceInputs::Wide(_) | SequenceInputs::Tokens(_) => f64::EPSILON,
        }
    }

    /// The first refused number, with its sequence, step and dimension.
    pub(super) fn find(&self, refused: impl Fn(f64) -> bool) -> Option<([usize; 3], f64)> {
        let all = self.sequences()?;
        let width = all.width().max(1);
        (0..all.len()).find_map(|sequence| {
            let found = all.numbers(sequence).enumerate().find(|(_, number)| refused(*number));
            found.map(|(index, number)| ([sequence, index / width, index % width], number))
        })
    }

    /// Replaces every number by `f(place, number)`; `place` is sequence, step and dimension. Tokens are unchanged. The
    /// memory of the old numbers is released while they are converted.
    pub(super) fn map(self, f: impl FnMut([usize; 3], f64) -> Result<f32>) -> Result<Self> {
        match self {
            SequenceInputs::Dense(sequences) | SequenceInputs::Wide(sequences) => {
                Ok(SequenceInputs::Dense(sequences.map(f)?))
            }
            tokens @ SequenceInputs::Tokens(_) => Ok(tokens),
        }
    }

    /// The dimensions with these indices, in this order.
    pub(super) fn arrange(&mut self, order: &[usize]) {
        match self {
            SequenceInputs::Dense(all) | SequenceInputs::Wide(all) => all.arrange(order),
            SequenceInputs::Tokens(_) => {}
        }
    }

    /// See [`LabelledSequences::mask`](super::super::LabelledSequences::mask).
    pub(super) fn mask(&mut self) {
        match self {
            SequenceInputs::Dense(all) | SequenceInputs::Wide(all) => all.mask(),
            SequenceInputs::Tokens(_) => {}
        }
    }

    /// x of a batch of `rows`, \[T, B, I\], zero after the end of each row; `None` for tokens.
    ///
    /// # Errors
    /// [`Error::NoMemory`](crate::Error::NoMemory) if it cannot be allocated.
    pub(super) fn padded(&self, rows: &[usize], steps: usize) -> Result<Option<Array3<f32>>> {
        let Some(all) = self.sequences().filter(|all| !all.is_empty()) else { return Ok(None) };
        let mut x = allocate::array((steps, rows.len(), all.width()), "x of a batch")?;
        for (b, row) in rows.iter().enumerate() {
            let places = x.slice_mut(s![..all.length(*row), b, ..]);
            places.into_iter().zip(all.numbers(*row)).for_each(|(x, number)| *x = number as f32);
        }
        Ok(Some(x))
    }
}
