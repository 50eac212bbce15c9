//! Sequences of numbers in one buffer: their steps are concatenated, so that a short sequence needs little more than
//! its numbers.

use std::ops::Range;

use ndarray::Array2;

use crate::allocate;
use crate::error::{Error, Result};
use crate::real::Real;
use crate::sizes::Count;

/// Numbers per block of memory; a longer sequence is one block. Blocks are freed one by one while they are converted.
const BLOCK: usize = 1 << 16;

/// The name of the allocation in errors.
const WHAT: &str = "the sequences";

/// Sequences of numbers, \[T, I\] each, with a common I and their own T. Values are exact f64, but a block is stored as
/// f32 if that holds all of its numbers exactly.
#[derive(Clone, Debug, Default)]
pub struct PackedSequences {
    /// I.
    width: usize,
    len: usize,
    /// T, if all are equal.
    steps: usize,
    /// Otherwise the end of each, counted in steps of all.
    ends: Vec<usize>,
    blocks: Vec<Block>,
    bytes: Count,
}

/// A block of whole sequences.
#[derive(Clone, Debug)]
struct Block {
    /// Its first step, counted through all.
    begin: usize,
    numbers: BlockNumbers,
}

#[derive(Clone, Debug)]
enum BlockNumbers {
    /// All of them are exact in f32.
    Single(Vec<f32>),
    Double(Vec<f64>),
}

/// Whether f32 holds it exactly.
fn is_single(number: f64) -> bool {
    f64::from(number as f32) == number || number.is_nan()
}

impl BlockNumbers {
    fn len(&self) -> usize {
        match self {
            Self::Single(numbers) => numbers.len(),
            Self::Double(numbers) => numbers.len(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Single(numbers) => size_of_val(&numbers[..]),
            Self::Double(numbers) => size_of_val(&numbers[..]),
        }
    }

    /// Reserves space for `more` numbers. A few are reallocated with their block.
    fn reserve(&mut self, more: usize) -> Result<()> {
        match self {
            _ if more < BLOCK => Ok(()),
            Self::Single(numbers) => allocate::reserve(numbers, more, WHAT),
            Self::Double(numbers) => allocate::reserve(numbers, more, WHAT),
        }
    }

    /// As f64.
    fn widen(&mut self) -> Result<()> {
        if let Self::Single(numbers) = self {
            let mut wide = Vec::new();
            allocate::reserve(&mut wide, numbers.capacity(), WHAT)?;
            wide.extend(numbers.iter().map(|number| f64::from(*number)));
            *self = Self::Double(wide);
        }
        Ok(())
    }

    fn push(&mut self, number: f64) -> Result<()> {
        if !is_single(number) {
            self.widen()?;
        }
        match self {
            Self::Single(numbers) => numbers.push(number as f32),
            Self::Double(numbers) => numbers.push(number),
        }
        Ok(())
    }

    fn get(&self, index: usize) -> Option<f64> {
        match self {
            Self::Single(numbers) => numbers.get(index).copied().map(f64::from),
            Self::Double(numbers) => numbers.get(index).copied(),
        }
    }

    #[cfg(feature = "csv")]
    fn set(&mut self, index: usize, number: f64) -> Result<()> {
        if !is_single(number) {
            self.widen()?;
        }
        match self {
            Self::Single(numbers) => numbers[index] = number as f32,
            Self::Double(numbers) => numbers[index] = number,
        }
        Ok(())
    }

    /// Replaces each row of `width` numbers by `made` numbers from `maker`.
    fn remake(&mut self, width: usize, made: usize, mut maker: impl RowMaker) {
        fn each<R: Real>(numbers: &mut Vec<R>, [width, made]: [usize; 2], maker: &mut impl RowMaker) {
            let width = width.max(1);
            let mut rows = Vec::with_capacity(numbers.len() / width * made);
            numbers.chunks(width).for_each(|row| maker.make(row, &mut rows));
            *numbers = rows;
        }
        match self {
            Self::Single(numbers) => each(numbers, [width, made], &mut maker),
            Self::Double(numbers) => each(numbers, [width, made], &mut maker),
        }
    }
}

/// Makes one row of numbers from another, of either type.
trait RowMaker {
    fn make<R: Real>(&mut self, row: &[R], made: &mut Vec<R>);
}

/// The numbers at these indices.
struct Select<'a>(&'a [usize]);

impl RowMaker for Select<'_> {
    fn make<R: Real>(&mut self, row: &[R], made: &mut Vec<R>) {
        made.extend(self.0.iter().filter_map(|index| row.get(*index).copied()));
    }
}

/// Replaces missing numbers by 0, and appends the mask.
struct Mask;

impl RowMaker for Mask {
    fn make<R: Real>(&mut self, row: &[R], made: &mut Vec<R>) {
        made.extend(row.iter().map(|number| if number.is_nan() { R::zero() } else { *number }));
        made.extend(row.iter().map(|number| if number.is_nan() { R::one() } else { R::zero() }));
    }
}

impl PackedSequences {
    /// No sequences yet, with I = `width`.
    pub fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// Sequences of zeros with these lengths.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    #[cfg(feature = "csv")]
    pub(in crate::data) fn zeros(width: usize, lengths: impl IntoIterator<Item = usize>) -> Result<Self> {
        let mut sequences = Self::new(width);
        for length in lengths {
            sequences.push_with(length, |_, _| Ok(0.0))?;
        }
        Ok(sequences)
    }

    /// N.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no sequences.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// I.
    pub fn width(&self) -> usize {
        self.width
    }

    /// T of a sequence; 0 if it does not exist.
    pub fn length(&self, sequence: usize) -> usize {
        self.step_range(sequence).len()
    }

    /// The memory in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// The steps of a sequence, counted through all.
    fn step_range(&self, sequence: usize) -> Range<usize> {
        match (sequence < self.len, self.ends.get(sequence)) {
            (false, _) => 0..0,
            (true, None) => sequence.saturating_mul(self.steps)..(sequence + 1).saturating_mul(self.steps),
            (true, Some(end)) => sequence.checked_sub(1).map_or(0, |before| self.ends[before])..*end,
        }
    }

    /// The block of a step, counted through all, and the step's offset in it.
    fn block(&self, step: usize) -> Option<(usize, usize)> {
        let block = self.blocks.partition_point(|block| block.begin <= step).checked_sub(1)?;
        Some((block, (step - self.blocks[block].begin) * self.width))
    }

    /// The number of a sequence at a step and dimension, all counted from 0; `None` if it does not exist.
    pub fn get(&self, sequence: usize, step: usize, dimension: usize) -> Option<f64> {
        let steps = self.step_range(sequence);
        if step >= steps.len() || dimension >= self.width {
            return None;
        }
        let (block, begin) = self.block(steps.start + step)?;
        self.blocks[block].numbers.get(begin + dimension)
    }

    /// Sets a number at an existing step, counted through all.
    #[cfg(feature = "csv")]
    pub(in crate::data) fn set(&mut self, step: usize, dimension: usize, number: f64) -> Result<()> {
        let Some((block, begin)) = self.block(step) else { return Ok(()) };
        let numbers = &mut self.blocks[block].numbers;
        let before = numbers.bytes();
        numbers.set(begin + dimension, number)?;
        let more = numbers.bytes() - before;
        self.bytes = self.bytes + more;
        Ok(())
    }

    /// The numbers of a sequence, step by step, T · I; empty if it does not exist.
    pub fn numbers(&self, sequence: usize) -> impl Iterator<Item = f64> {
        let steps = self.step_range(sequence);
        let (single, double): (&[f32], &[f64]) = match self.block(steps.start) {
            None => (&[], &[]),
            Some((block, begin)) => {
                let all = begin..begin + steps.len() * self.width;
                match &self.blocks[block].numbers {
                    BlockNumbers::Single(numbers) => (numbers.get(all).unwrap_or_default(), &[]),
                    BlockNumbers::Double(numbers) => (&[], numbers.get(all).unwrap_or_default()),
                }
            }
        };
        single.iter().map(|number| f64::from(*number)).chain(double.iter().copied())
    }

    /// The numbers of one dimension; empty if it does not exist.
    pub fn values(&self, sequence: usize, dimension: usize) -> impl Iterator<Item = f64> {
        let there = dimension < self.width;
        self.numbers(sequence).skip(dimension).step_by(self.width.max(1)).filter(move |_| there)
    }

    /// Appends a sequence; `number(step, dimension)` is called step by step.
    ///
    /// # Errors
    /// Those of `number`, and [`Error::NoMemory`].
    pub(in crate::data) fn push_with(
        &mut self,
        steps: usize,
        mut number: impl FnMut(usize, usize) -> Result<f64>,
    ) -> Result<()> {
        let begin = self.step_range(self.len.wrapping_sub(1)).end;
        let more = steps.saturating_mul(self.width);
        let full = self.blocks.last().is_none_or(|block| {
            let len = block.numbers.len();
            len > 0 && len.saturating_add(more) > BLOCK
        });
        if full {
            // If one needs f64, the next ones usually will too.
            let room = if self.blocks.is_empty() || more > BLOCK { 0 } else { BLOCK };
            let mut numbers = Vec::new();
            allocate::reserve(&mut numbers, room, WHAT)?;
            allocate::push(&mut self.blocks, Block { begin, numbers: BlockNumbers::Single(numbers) }, WHAT)?;
        }
        if let Some(Block { numbers, .. }) = self.blocks.last_mut() {
            let before = numbers.bytes();
            numbers.reserve(more)?;
            for t in 0..steps {
                for i in 0..self.width {
                    numbers.push(number(t, i)?)?;
                }
            }
            self.bytes = self.bytes + (numbers.bytes() - before);
        }
        if self.len == 0 {
            self.steps = steps;
        } else if self.ends.is_empty() && steps != self.steps {
            allocate::reserve(&mut self.ends, self.len, WHAT)?;
            self.ends.extend((1..=self.len).map(|sequences| sequences * self.steps));
            self.bytes = self.bytes + Count::from(self.len) * size_of::<usize>();
        }
        if !self.ends.is_empty() {
            allocate::push(&mut self.ends, begin + steps, WHAT)?;
            self.bytes = self.bytes + size_of::<usize>();
        }
        self.len += 1;
        Ok(())
    }

    /// Replaces every number by `f(place, number)`; `place` is sequence, step and dimension.
    ///
    /// # Errors
    /// Those of `f`.
    pub(super) fn map(mut self, mut f: impl FnMut([usize; 3], f64) -> Result<f32>) -> Result<Self> {
        let mut blocks = std::mem::take(&mut self.blocks);
        let mut sequence = 0;
        self.bytes = Count::from(self.ends.len()) * size_of::<usize>();
        for Block { begin, numbers } in &mut blocks {
            let mut place = |index: usize| {
                let step = *begin + index / self.width;
                while step >= self.step_range(sequence).end && sequence + 1 < self.len {
                    sequence += 1;
                }
                [sequence, step - self.step_range(sequence).start, index % self.width]
            };
            match numbers {
                BlockNumbers::Single(numbers) => {
                    for (index, number) in numbers.iter_mut().enumerate() {
                        *number = f(place(index), f64::from(*number))?;
                    }
                }
                BlockNumbers::Double(wide) => {
                    let mut mapped = Vec::new();
                    allocate::reserve(&mut mapped, wide.len(), WHAT)?;
                    for (index, number) in wide.iter().enumerate() {
                        mapped.push(f(place(index), *number)?);
                    }
                    *numbers = BlockNumbers::Single(mapped);
                }
            }
            self.bytes = self.bytes + numbers.bytes();
        }
        self.blocks = blocks;
        Ok(self)
    }

    /// The dimensions with these indices, in this order.
    pub(super) fn arrange(&mut self, order: &[usize]) {
        self.remake(order.len(), || Select(order));
    }

    /// See [`LabelledSequences::mask`](super::super::LabelledSequences::mask).
    pub(super) fn mask(&mut self) {
        self.remake(2 * self.width, || Mask);
    }

    fn remake<M: RowMaker>(&mut self, width: usize, maker: impl Fn() -> M) {
        for Block { numbers, .. } in &mut self.blocks {
            numbers.remake(self.width, width, maker());
        }
        self.width = width;
        let numbers = self.blocks.iter().map(|block| block.numbers.bytes()).sum::<usize>();
        self.bytes = Count::from(self.ends.len()) * size_of::<usize>() + numbers;
    }
}

impl PartialEq for PackedSequences {
    /// Equal by value, however they are stored.
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len
            && self.width == other.width
            && (0..self.len).all(|of| self.length(of) == other.length(of) && self.numbers(of).eq(other.numbers(of)))
    }
}

impl<R: Real> TryFrom<Vec<Array2<R>>> for PackedSequences {
    type Error = Error;

    /// # Errors
    /// [`Error::Shape`] if they do not all have the same I: names the sequence, counted from 1.
    fn try_from(arrays: Vec<Array2<R>>) -> Result<Self> {
        let mut sequences = Self::new(arrays.first().map_or(0, Array2::ncols));
        for (n, array) in arrays.iter().enumerate() {
            let (steps, width) = array.dim();
            if width != sequences.width {
                return Err(Error::shape(format!("sequence {}", n + 1), &[steps, sequences.width], &[steps, width]));
            }
            sequences.push_with(steps, |t, i| Ok(array[[t, i]].as_f64()))?;
        }
        Ok(sequences)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::data::corruption::{below, number, rng};

    /// BlockNumbers that f32 has, and of some sequences others among them.
    fn draw(rng: &mut ChaCha8Rng, longest: usize) -> Vec<Array2<f64>> {
        let (n, width) = (1 + below(8, rng), 1 + below(3, rng));
        let steps = 1 + below(longest, rng);
        let same = below(2, rng) == 0;
        let sequence = |rng: &mut ChaCha8Rng| {
            let (steps, wide) = (if same { steps } else { below(longest, rng) }, below(3, rng) == 0);
            Array2::from_shape_simple_fn((steps, width), || {
                let number = number(rng);
                if wide { number } else { f64::from(number as f32) }
            })
        };
        (0..n).map(|_| sequence(rng)).collect()
    }

    fn taken(sequences: &PackedSequences) -> Vec<Array2<f64>> {
        let shape = |of| (sequences.length(of), sequences.width());
        (0..sequences.len())
            .map(|of| Array2::from_shape_vec(shape(of), sequences.numbers(of).collect()).unwrap())
            .collect()
    }

    #[test]
    fn packed_values_are_exact_across_block_borders() {
        let mut rng = rng(0);
        for longest in [3, 50, 40_000] {
            for _ in 0..8 {
                let arrays = draw(&mut rng, longest);
                let sequences = PackedSequences::try_from(arrays.clone()).unwrap();
                assert_eq!(taken(&sequences), arrays);
                let width = sequences.width();
                for (of, array) in arrays.iter().enumerate() {
                    for i in 0..width {
                        assert!(sequences.values(of, i).eq(array.column(i).iter().copied()));
                    }
                    let (t, i) = (below(array.nrows().max(1), &mut rng), below(width, &mut rng));
                    assert_eq!(sequences.get(of, t, i), array.get((t, i)).copied());
                }
                // The same, put in one by one at steps that come in any order.
                let lengths: Vec<usize> = arrays.iter().map(Array2::nrows).collect();
                let mut set = PackedSequences::zeros(width, lengths.iter().copied()).unwrap();
                let steps: Vec<_> = arrays.iter().flat_map(|array| array.rows()).enumerate().collect();
                for (step, row) in steps.iter().rev() {
                    row.iter().enumerate().for_each(|(i, number)| set.set(*step, i, *number).unwrap());
                }
                assert_eq!(set, sequences);
                let halves = |array: &Array2<f64>| array.mapv(|number| f64::from((number / 2.0) as f32));
                let mapped = sequences.map(|[of, t, i], number| {
                    assert_eq!(number, arrays[of][[t, i]]);
                    Ok((number / 2.0) as f32)
                });
                assert_eq!(taken(&mapped.unwrap()), arrays.iter().map(halves).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn dimensions_are_ordered_and_masked_in_every_block() {
        let arrays: Vec<Array2<f64>> = (0..3).map(|n| Array2::from_elem((30_000, 2), f64::from(n) + 0.1)).collect();
        let mut sequences = PackedSequences::try_from(arrays).unwrap();
        sequences.set(1, 0, f64::NAN).unwrap();
        sequences.arrange(&[1, 0]);
        sequences.mask();
        assert_eq!((sequences.width(), sequences.numbers(0).skip(4).take(4).collect()), (4, vec![0.1, 0.0, 0.0, 1.0]));
        assert!(sequences.numbers(2).skip(4).take(4).eq([2.1, 2.1, 0.0, 0.0]));
    }

    #[test]
    fn values_are_stored_in_f32_if_exact_and_equal_lengths_cost_nothing() {
        let of = |arrays: Vec<Array2<f64>>| PackedSequences::try_from(arrays).unwrap().bytes();
        assert_eq!(of(vec![array![[1.0]]; 1000]), 4000);
        assert_eq!(of(vec![array![[0.1]]; 1000]), 8000);
        assert_eq!(of(vec![array![[1.0]], array![[1.0], [2.0]]]), 12 + 2 * size_of::<usize>() as u64);
        assert_eq!(of(vec![array![[1.0]], array![[0.1]]]), 16);
        assert_eq!(PackedSequences::new(3).numbers(0).count() + PackedSequences::new(0).values(7, 7).count(), 0);
    }
}
