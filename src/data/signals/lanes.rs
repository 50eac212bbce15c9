//! Reads a signal from end to end, in parallel lanes.

use std::ops::{Deref, Range};

use ndarray::{Array2, Array3, s};

use super::signal::Signal;
use crate::allocate;
use crate::batch::{Batch, Sequence, Targets};
use crate::data::Batches;
use crate::error::{Error, Result};

const WHAT: &str = "a batch of a signal";

/// Batches that continue where the previous ones ended, for truncated BPTT and for evaluation with carried state, as
/// [`ContiguousStreams`](crate::data::ContiguousStreams) are for a text.
///
/// A part of a signal is cut into B lanes of similar length; batch n of an epoch has the n-th window of T steps of
/// each: x \[T, B, I\], with the targets of the same steps. In an epoch every step of the part is predicted exactly
/// once. All batches have the same shape: where a lane has ended, and where a target is missing, the weight is 0.
///
/// With a warm-up of W, a lane begins W steps before its share, or at the beginning of the signal if that is nearer,
/// with weights of 0, so that its state is no longer that of the beginning when it is first measured. The signal is a
/// reference to one, or an `Arc`.
pub struct SignalLanes<S> {
    signal: S,
    part: Range<usize>,
    window: usize,
    rows: usize,
    warm_up: usize,
    /// The number of steps of the longest lane.
    longest: usize,
}

/// The steps of a lane.
struct Lane {
    /// From the first one that is read.
    read: Range<usize>,
    /// The first one that is predicted.
    first: usize,
}

impl<S: Deref<Target = Signal>> SignalLanes<S> {
    /// At most `rows` lanes (B; no more than have a window each) over the steps `part`, in windows of `window` steps (T; at
    /// most the length of a lane), each after a warm-up of `warm_up` steps (W).
    ///
    /// # Errors
    /// [`Error::Value`] for sizes of 0, and for a part that is empty or not within the signal.
    pub fn new(signal: S, part: Range<usize>, window: usize, rows: usize, warm_up: usize) -> Result<Self> {
        if let Some((name, _)) = [("window", window), ("batch", rows)].iter().find(|(_, size)| *size == 0) {
            return Err(Error::value(*name, "at least 1", 0));
        }
        if part.is_empty() || part.end > signal.len() {
            let expected = format!("a range within 0..{}", signal.len());
            return Err(Error::value("the part of the signal", expected, format!("{part:?}")));
        }
        let rows = rows.min((part.len() / window).max(1));
        let mut lanes = Self { signal, part, window, rows, warm_up, longest: 0 };
        lanes.longest = (0..rows).map(|row| lanes.lane(row).read.len()).max().unwrap_or_default();
        lanes.window = lanes.longest.min(window);
        Ok(lanes)
    }

    /// B, the number of lanes.
    pub fn rows(&self) -> usize {
        self.rows
    }

    fn lane(&self, row: usize) -> Lane {
        let (share, longer) = (self.part.len() / self.rows, self.part.len() % self.rows);
        let begin = |row: usize| self.part.start + row * share + row.min(longer);
        let first = begin(row);
        Lane { read: first.saturating_sub(self.warm_up)..begin(row + 1), first }
    }

    /// The steps that row `row` of batch `number` reads, from its first one on; they may end before T.
    fn steps(&self, number: u64, row: usize) -> Range<usize> {
        let Range { start, end } = self.lane(row).read;
        let begin = end.min(start + (number % self.per_epoch()) as usize * self.window);
        begin..end.min(begin + self.window)
    }

    /// The step that row `row` of batch `number` predicts at its step `t`; `None` in the warm-up and after the end.
    pub fn predicted(&self, number: u64, row: usize, t: usize) -> Option<usize> {
        let step = self.steps(number, row).nth(t)?;
        (step >= self.lane(row).first).then_some(step)
    }

    /// Whether batch `number` has a step to learn or to measure: one with its targets, after the warm-up.
    pub fn counts(&self, number: u64) -> bool {
        (0..self.rows).any(|row| self.steps(number, row).any(|step| self.counted(row, step)))
    }

    /// Whether a step that a row reads has a weight.
    fn counted(&self, row: usize, step: usize) -> bool {
        step >= self.lane(row).first && self.signal.is_known(step)
    }

    /// The number of batches of an epoch, as of [`Batches`].
    pub fn per_epoch(&self) -> u64 {
        self.longest.div_ceil(self.window) as u64
    }

    /// x of batch `number`, \[T, B, I\].
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    pub fn inputs(&self, number: u64) -> Result<Array3<f32>> {
        let mut x = allocate::array((self.window, self.rows, self.signal.x().ncols()), WHAT)?;
        for row in 0..self.rows {
            let steps = self.steps(number, row);
            x.slice_mut(s![..steps.len(), row, ..]).assign(&self.signal.x().slice(s![steps, ..]));
        }
        Ok(x)
    }
}

impl<S: Deref<Target = Signal> + Send + Sync> Batches for SignalLanes<S> {
    fn per_epoch(&self) -> u64 {
        Self::per_epoch(self)
    }

    fn batch(&self, number: u64) -> Result<Batch> {
        let mut y: Array3<f32> = allocate::array((self.window, self.rows, self.signal.y().ncols()), WHAT)?;
        let mut weights: Array2<f32> = allocate::array((self.window, self.rows), WHAT)?;
        for row in 0..self.rows {
            let steps = self.steps(number, row);
            y.slice_mut(s![..steps.len(), row, ..]).assign(&self.signal.y().slice(s![steps.clone(), ..]));
            let counts = steps.map(|step| f32::from(u8::from(self.counted(row, step))));
            weights.column_mut(row).iter_mut().zip(counts).for_each(|(weight, counts)| *weight = counts);
        }
        Ok(Batch::new(Sequence::dense(self.inputs(number)?), Targets::Values(y)).weights(weights))
    }

    fn largest(&self) -> Result<Batch> {
        // All have the same shape.
        self.batch(0)
    }

    fn continues(&self, number: u64) -> bool {
        !number.is_multiple_of(self.per_epoch())
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::batch::Input;
    use crate::model::uniform;

    /// Each input is the number of its step, each target its negative; every seventh target is missing.
    fn counted(steps: usize) -> Signal {
        let numbers = || (0..steps).map(|step| step as f32);
        let x = Array2::from_shape_vec((steps, 1), numbers().collect()).unwrap();
        let y = numbers().map(|number| if number % 7.0 == 3.0 { f32::NAN } else { -number });
        Signal::new(x, Array2::from_shape_vec((steps, 1), y.collect()).unwrap()).unwrap()
    }

    #[test]
    fn every_known_step_of_a_part_is_predicted_once_in_its_lanes_order_after_the_warm_up() {
        let signal = counted(2000);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut below = |n: usize| (uniform(&mut rng) * n as f64) as usize;
        for _ in 0..300 {
            let (rows, warm_up, window) = (1 + below(9), below(2) * below(60), 1 + below(40));
            let start = below(2) * below(1000);
            let part = start..start + 1 + below(400);
            let lanes = SignalLanes::new(&signal, part.clone(), window, rows, warm_up).unwrap();
            let epoch = 2 * lanes.per_epoch();
            let mut predicted = vec![0; 2000];
            let mut before: Vec<Option<usize>> = vec![None; lanes.rows()];
            for number in epoch..epoch + lanes.per_epoch() {
                assert_eq!(lanes.continues(number), number != epoch);
                let batch = lanes.batch(number).unwrap();
                let (Input::Dense(x), Targets::Values(y)) = (&batch.sequence.input, &batch.targets) else { panic!() };
                assert!(batch.sequence.lengths.is_none());
                assert_eq!(lanes.counts(number), batch.total_weight() > 0.0);
                for (row, before) in before.iter_mut().enumerate() {
                    let read = lanes.steps(number, row);
                    for (t, step) in read.enumerate() {
                        assert_eq!(x[[t, row, 0]], step as f32);
                        assert!(before.is_none_or(|before| step == before + 1));
                        // A lane begins this long before its first prediction, or with the signal.
                        let first = lanes.lane(row).first;
                        assert!(before.is_some() || step == first - first.min(warm_up));
                        *before = Some(step);
                        let at = lanes.predicted(number, row, t);
                        assert_eq!(batch.weight(t, row), f32::from(at.is_some() && step % 7 != 3));
                        if let Some(at) = at {
                            predicted[at] += 1;
                            assert_eq!(y[[t, row, 0]], if at % 7 == 3 { 0.0 } else { -(at as f32) });
                        }
                    }
                    let ended = lanes.steps(number, row).len()..x.dim().0;
                    assert!(ended.into_iter().all(|t| batch.weight(t, row) == 0.0 && x[[t, row, 0]] == 0.0));
                }
            }
            let expected = (0..2000).map(|step| i32::from(part.contains(&step)));
            assert_eq!(predicted, expected.collect::<Vec<_>>(), "{part:?} {rows} {window} {warm_up}");
        }
    }

    #[test]
    fn sizes_of_0_and_parts_outside_of_the_signal_are_refused() {
        let signal = counted(10);
        let refusal = |part, window, rows| SignalLanes::new(&signal, part, window, rows, 0).err().unwrap().to_string();
        assert_eq!(refusal(0..10, 0, 1), "window: expected at least 1, got 0");
        assert_eq!(refusal(0..10, 1, 0), "batch: expected at least 1, got 0");
        let message = "the part of the signal: expected a range within 0..10, got 4..11";
        assert_eq!(refusal(4..11, 1, 1), message);
        assert!(refusal(4..4, 1, 1).contains("got 4..4"));
        let most = SignalLanes::new(&signal, 3..6, usize::MAX, usize::MAX, usize::MAX).unwrap();
        assert_eq!((most.rows(), most.window), (1, 6));
        assert_eq!(SignalLanes::new(&signal, 1..10, 2, 9, 0).unwrap().rows(), 4);
    }
}
