//! Makes batches of examples, shuffled in each epoch or in their own order.

use std::sync::{Mutex, PoisonError};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::batch::Batch;
use crate::data::{Batches, Examples};
use crate::error::{Error, Result};
use crate::model::uniform;

/// Buckets of examples of similar length, so that batches have little padding.
///
/// T of a batch is the longest example of its bucket, so few different shapes occur, each with its own plan.
#[derive(Clone, Debug)]
struct LengthBuckets {
    /// The longest example of each bucket, ascending.
    longest: Vec<usize>,
}

impl LengthBuckets {
    /// At most `most` buckets, with borders that minimise the padding.
    fn new(examples: &dyn Examples, most: usize) -> Self {
        // The number of examples of each length.
        let mut counts = std::collections::BTreeMap::<usize, u64>::new();
        (0..examples.len()).for_each(|example| *counts.entry(examples.steps(example)).or_default() += 1);
        let (mut lengths, mut counts): (Vec<usize>, Vec<u64>) = counts.into_iter().unzip();
        // Lengths closer than this are merged: the search below is quadratic in the number of lengths.
        const FINE: usize = 256;
        if lengths.len() > FINE {
            let width = lengths.len().div_ceil(FINE);
            counts = counts.chunks(width).map(|chunk| chunk.iter().sum()).collect();
            lengths = lengths.chunks(width).filter_map(|chunk| chunk.last().copied()).collect();
        }
        // before[i]: examples shorter than lengths[i].
        let mut before = vec![0];
        counts.iter().for_each(|count| before.push(before[before.len() - 1] + count));
        // cost[i]: the fewest padded steps of all rows, with lengths up to i in the buckets so far.
        let steps = |from: usize, last: usize| (before[last + 1] - before[from]) * lengths[last] as u64;
        let mut cost: Vec<u64> = (0..lengths.len()).map(|last| steps(0, last)).collect();
        let mut froms = Vec::new();
        for _ in 1..most.min(lengths.len()) {
            let best = |last: usize| {
                let options = (1..=last).map(|from| (cost[from - 1] + steps(from, last), from));
                options.chain([(steps(0, last), 0)]).min().unwrap_or_default()
            };
            let (next, from): (Vec<u64>, Vec<usize>) = (0..lengths.len()).map(best).unzip();
            cost = next;
            froms.push(from);
        }
        let mut longest = Vec::new();
        let mut end = lengths.len();
        for from in froms.iter().map(Some).rev().chain([None]) {
            if end == 0 {
                break;
            }
            longest.insert(0, lengths[end - 1]);
            end = from.map_or(0, |from| from[end - 1]);
        }
        Self { longest }
    }

    /// The bucket of an example with `steps` steps.
    fn of(&self, steps: usize) -> usize {
        self.longest.partition_point(|longest| *longest < steps)
    }
}

/// Each example once per epoch, in an order drawn from a seed for each epoch.
pub struct ShuffledBatches<E> {
    examples: E,
    rows: usize,
    seed: u64,
    buckets: LengthBuckets,
    /// The last shuffled epoch.
    drawn: Mutex<Option<(u64, EpochOrder)>>,
}

/// The batches of an epoch.
enum EpochOrder {
    /// The examples with one T.
    Alike(Vec<usize>),
    /// The examples and the T of each.
    Each(Vec<(Vec<usize>, usize)>),
}

impl<E: Examples> ShuffledBatches<E> {
    /// Batches of `rows` examples; the last one of an epoch may be smaller. Examples of similar length are grouped into
    /// at most `buckets` buckets; 1: no grouping.
    ///
    /// # Errors
    /// [`Error::Value`] if there are no examples, rows or buckets.
    pub fn new(examples: E, rows: usize, buckets: usize, seed: u64) -> Result<Self> {
        at_least_1(&[("the training examples", examples.len()), ("batch", rows), ("buckets of lengths", buckets)])?;
        let buckets = LengthBuckets::new(&examples, buckets);
        Ok(Self { examples, rows, seed, buckets, drawn: Mutex::default() })
    }

    /// The order of an epoch: examples shuffled, batches filled bucket by bucket, batches shuffled.
    fn draw(&self, epoch: u64) -> EpochOrder {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // Stream 0 draws the parameters.
        rng.set_stream(1 + epoch);
        let mut order: Vec<usize> = (0..self.examples.len()).collect();
        shuffle(&mut order, &mut rng);
        if self.buckets.longest.len() == 1 {
            return EpochOrder::Alike(order);
        }
        let mut batches = Vec::new();
        let mut rest: Vec<Vec<usize>> = vec![Vec::new(); self.buckets.longest.len()];
        for example in order {
            let bucket = self.buckets.of(self.examples.steps(example));
            rest[bucket].push(example);
            if rest[bucket].len() == self.rows {
                batches.push((std::mem::take(&mut rest[bucket]), self.buckets.longest[bucket]));
            }
        }
        // The rest of a bucket joins the next longer one, so that only one batch is smaller.
        let mut left = Vec::new();
        for (bucket, rest) in rest.into_iter().enumerate() {
            for example in rest {
                left.push(example);
                if left.len() == self.rows {
                    batches.push((std::mem::take(&mut left), self.buckets.longest[bucket]));
                }
            }
        }
        shuffle(&mut batches, &mut rng);
        if !left.is_empty() {
            let steps = left.iter().map(|example| self.buckets.of(self.examples.steps(*example))).max();
            batches.push((left, self.buckets.longest[steps.unwrap_or_default()]));
        }
        EpochOrder::Each(batches)
    }
}

impl<E: Examples> Batches for ShuffledBatches<E> {
    fn per_epoch(&self) -> u64 {
        self.examples.len().div_ceil(self.rows) as u64
    }

    fn batch(&self, number: u64) -> Result<Batch> {
        let (epoch, position) = (number / self.per_epoch(), (number % self.per_epoch()) as usize);
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let batches = match &mut *drawn {
            Some((of, batches)) if *of == epoch => batches,
            other => &mut other.insert((epoch, self.draw(epoch))).1,
        };
        match batches {
            EpochOrder::Alike(order) => {
                let first = position * self.rows;
                self.examples.batch(&order[first..order.len().min(first + self.rows)], self.buckets.longest[0])
            }
            EpochOrder::Each(batches) => {
                let (examples, steps) = &batches[position];
                self.examples.batch(examples, *steps)
            }
        }
    }

    fn largest(&self) -> Result<Batch> {
        // The longest bucket pads any of its rows to its steps.
        let examples: Vec<usize> = (0..self.rows.min(self.examples.len())).collect();
        self.examples.batch(&examples, self.buckets.longest.last().copied().unwrap_or_default())
    }
}

/// Each example once, the shortest first.
pub struct SequentialBatches<E> {
    examples: E,
    rows: usize,
    order: Vec<usize>,
}

impl<E: Examples> SequentialBatches<E> {
    /// Batches of `rows` examples; the last may be smaller.
    ///
    /// # Errors
    /// [`Error::Value`] if there are no examples or rows.
    pub fn new(examples: E, rows: usize) -> Result<Self> {
        at_least_1(&[("the examples", examples.len()), ("batch", rows)])?;
        let mut order: Vec<usize> = (0..examples.len()).collect();
        order.sort_by_key(|example| examples.steps(*example));
        Ok(Self { examples, rows, order })
    }

    /// A batch as long as its longest example.
    fn padded(&self, examples: &[usize]) -> Result<Batch> {
        let steps = examples.iter().map(|example| self.examples.steps(*example)).max().unwrap_or_default();
        self.examples.batch(examples, steps)
    }

    /// The examples in the rows of a batch.
    pub fn examples(&self, number: u64) -> &[usize] {
        let first = (number % self.per_epoch()) as usize * self.rows;
        &self.order[first..self.order.len().min(first + self.rows)]
    }
}

impl<E: Examples> Batches for SequentialBatches<E> {
    fn per_epoch(&self) -> u64 {
        self.order.len().div_ceil(self.rows) as u64
    }

    fn batch(&self, number: u64) -> Result<Batch> {
        self.padded(self.examples(number))
    }

    fn largest(&self) -> Result<Batch> {
        self.padded(&self.order[self.order.len().saturating_sub(self.rows)..])
    }
}

fn at_least_1(counts: &[(&str, usize)]) -> Result<()> {
    match counts.iter().find(|(_, count)| *count == 0) {
        Some((name, _)) => Err(Error::value(*name, "at least 1", 0)),
        None => Ok(()),
    }
}

/// The Fisher–Yates shuffle.
pub(in crate::data) fn shuffle<T>(items: &mut [T], rng: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        let other = (uniform(rng) * (last + 1) as f64) as usize;
        items.swap(last, other);
    }
}
