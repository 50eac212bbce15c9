//! The time of a step on N ranks.

use crate::communicator::{bytes_of_sum, pieces};
use crate::experiment::device::open::OpenDevice;
use crate::experiment::ranks::StepBytes;
use crate::experiment::settings::Settings;
use crate::experiment::setup::engine_options;
use crate::train::sums_of_step;
use crate::{Error, Model, Result};

/// The most ranks that are planned.
pub const MOST_RANKS: usize = 1024;

/// Bytes of all parts from which an all-gather goes round a ring: "long messages" of Thakur, Rabenseifner and Gropp.
const LONG: usize = 512 << 10;

/// The network between ranks, of which each has a link of its own that sends and receives at the same time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Bytes a second in each direction, above 0.
    pub bandwidth: f64,
    /// Seconds that a message takes besides its bytes, at least 0.
    pub latency: f64,
}

impl Link {
    /// Gigabit Ethernet: 1 Gbit/s, and 50 µs for a message of a program to one on another machine.
    pub const GIGABIT_ETHERNET: Self = Self { bandwidth: 125e6, latency: 50e-6 };

    /// Seconds of a sum of `count` elements of `element` bytes over `ranks`: for each piece of n elements, of which every rank
    /// adds up nᵣ,
    ///
    /// * `MPI_Alltoallv` by pairwise exchange: N − 1 messages of a rank, one after another. The rank with most bytes sends the
    ///   n − nᵣ elements of the others, or receives its own from them, (N − 1)·nᵣ;
    /// * `MPI_Allgatherv`: n − nᵣ elements, in ⌈log₂ N⌉ messages (Bruck, recursive doubling) below 512 KiB, and from there on
    ///   in the N − 1 of a ring.
    fn seconds_of_sum(self, (count, element): (usize, usize), ranks: usize) -> f64 {
        let others = ranks as f64 - 1.0;
        let seconds = |messages: f64, elements: f64| {
            self.latency * messages + if elements > 0.0 { elements * element as f64 / self.bandwidth } else { 0.0 }
        };
        let of_piece = |length: usize| {
            let (least, most) = (length / ranks, length.div_ceil(ranks));
            let of_others = (length - least) as f64;
            let rounds = if length * element < LONG { f64::from(ranks.next_power_of_two().ilog2()) } else { others };
            seconds(others, of_others.max(others * most as f64)) + seconds(rounds, of_others)
        };
        if ranks < 2 { 0.0 } else { pieces(count).map(|piece| of_piece(piece.len())).sum() }
    }
}

/// The time of a step on one rank that computes the whole batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepTime {
    /// Seconds of the whole batch.
    pub whole: f64,
    /// Seconds of these that fewer rows do not save.
    pub fixed: f64,
}

impl StepTime {
    /// From the seconds of a step of `rows` rows, and of a step of one. The line through both is used, unless it falls or
    /// would leave less than nothing for no row.
    pub fn from_two(whole: f64, rows: usize, one: f64) -> Self {
        let of_row = (whole - one) / (rows as f64 - 1.0).max(1.0);
        let of_row = if rows > 1 { of_row.clamp(0.0, whole / rows as f64) } else { 0.0 };
        Self { whole, fixed: (whole - of_row * rows as f64).max(0.0) }
    }

    /// Seconds of `rows` of the batch's rows.
    fn of_rows(self, rows: usize, batch: usize) -> f64 {
        self.fixed + (self.whole - self.fixed) * rows as f64 / batch as f64
    }
}

/// A step that is shared out to ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SharedStep {
    /// The number of ranks.
    pub ranks: usize,
    /// Rows of the batch of all.
    pub batch: usize,
    /// Rows of the rank that has most.
    pub rows: usize,
    /// Seconds in which it computes them.
    pub compute: f64,
    /// Seconds of the sums over ranks.
    pub exchange: f64,
    /// Rows a second of all ranks, relative to one rank with the batch that was timed.
    pub speed_up: f64,
}

impl SharedStep {
    /// Seconds of the step.
    pub fn seconds(&self) -> f64 {
        self.compute + self.exchange
    }

    /// The speed-up per rank, 1 at best.
    pub fn efficiency(&self) -> f64 {
        self.speed_up / self.ranks as f64
    }
}

/// A model's step on any number of ranks.
#[derive(Clone, Debug)]
pub struct Scaling {
    /// Rows of a batch.
    pub(super) batch: usize,
    /// The sums of a step: the number of elements, and the bytes of one.
    pub(super) sums: Vec<(usize, usize)>,
    /// The network between ranks.
    pub(super) link: Link,
    /// The step on one rank.
    pub(super) step: StepTime,
}

impl Scaling {
    /// Of the step of these settings with `batch` rows.
    ///
    /// # Errors
    /// [`Error::Value`] for no rows, and for a link or time that is not a number in its range.
    pub fn new(
        (device, settings, model): (&OpenDevice, &Settings, &Model),
        batch: usize,
        link: Link,
        step: StepTime,
    ) -> Result<Self> {
        Self::of_sums(sums_of_step::<f32>(model, &engine_options(device, settings))?, batch, link, step)
    }

    fn of_sums(sums: Vec<(usize, usize)>, batch: usize, link: Link, step: StepTime) -> Result<Self> {
        if batch == 0 {
            return Err(Error::value("the batch", "at least 1 row", batch));
        }
        for (what, ok, got) in [
            ("the bandwidth", link.bandwidth > 0.0, link.bandwidth),
            ("the latency", link.latency >= 0.0 && link.latency.is_finite(), link.latency),
            ("the time of a step", step.whole > 0.0 && step.whole.is_finite(), step.whole),
            ("the fixed part of the time of a step", (0.0..=step.whole).contains(&step.fixed), step.fixed),
        ] {
            if !ok {
                return Err(Error::value(what, "a number in its range", got));
            }
        }
        Ok(Self { batch, sums, link, step })
    }

    /// The bytes that the ranks send in a step.
    pub fn bytes(&self, ranks: usize) -> StepBytes {
        let of_rank = |rank: usize| {
            self.sums.iter().map(|(count, element)| bytes_of_sum(*count, *element, rank, ranks)).sum::<u64>()
        };
        StepBytes::of((0..ranks).map(of_rank))
    }

    fn shared(&self, ranks: usize, batch: usize) -> SharedStep {
        let rows = batch.div_ceil(ranks);
        let compute = self.step.of_rows(rows, self.batch);
        let exchange = self.sums.iter().map(|sum| self.link.seconds_of_sum(*sum, ranks)).sum::<f64>();
        let speed_up = self.step.whole / (compute + exchange) * (batch as f64 / self.batch as f64);
        SharedStep { ranks, batch, rows, compute, exchange, speed_up }
    }

    /// Strong scaling: the batch shared out to so many ranks, at least 1.
    pub fn strong(&self, ranks: usize) -> SharedStep {
        self.shared(ranks.max(1), self.batch)
    }

    /// Weak scaling: so many ranks, at least 1, with as many rows each as the batch has.
    pub fn weak(&self, ranks: usize) -> SharedStep {
        self.shared(ranks.max(1), self.batch.saturating_mul(ranks.max(1)))
    }

    /// The number of ranks, up to [`MOST_RANKS`], with the fastest step of the same batch, and the largest at which a rank is
    /// worth at least half of the only one.
    pub fn where_ranks_stop_paying(&self) -> (SharedStep, SharedStep) {
        let (mut fastest, mut efficient) = (self.strong(1), self.strong(1));
        for step in (2..=MOST_RANKS).map(|ranks| self.strong(ranks)) {
            if step.seconds() < fastest.seconds() {
                fastest = step;
            }
            if step.efficiency() >= 0.5 {
                efficient = step;
            }
        }
        (fastest, efficient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::communicator::SUM_PIECE;

    fn scaling(sums: &[(usize, usize)], batch: usize, link: Link, fixed: f64) -> Scaling {
        Scaling::of_sums(sums.to_vec(), batch, link, StepTime { whole: 1.0, fixed }).unwrap()
    }

    const SUMS: &[(usize, usize)] = &[(4, 8), (100_000, 4)];
    const FREE: Link = Link { bandwidth: f64::INFINITY, latency: 0.0 };

    #[test]
    fn one_rank_sends_nothing_and_takes_the_time_that_was_given() {
        let scaling = scaling(SUMS, 10, Link::GIGABIT_ETHERNET, 0.2);
        for step in [scaling.strong(1), scaling.weak(1)] {
            assert_eq!((step.rows, step.compute, step.exchange, step.speed_up), (10, 1.0, 0.0, 1.0));
        }
        assert_eq!(scaling.bytes(1), StepBytes { most: 0, all: 0 });
    }

    #[test]
    fn without_a_fixed_part_and_for_free_exchanges_n_ranks_are_n_times_as_fast() {
        let scaling = scaling(SUMS, 1024, FREE, 0.0);
        for ranks in [2, 8, 1024] {
            assert_eq!(scaling.strong(ranks).speed_up, ranks as f64);
            assert_eq!((scaling.weak(ranks).seconds(), scaling.weak(ranks).efficiency()), (1.0, 1.0));
        }
        assert_eq!(scaling.where_ranks_stop_paying().0.ranks, 1024);
    }

    #[test]
    fn the_rank_with_most_rows_sets_the_pace_where_rows_do_not_divide() {
        let scaling = scaling(SUMS, 10, FREE, 0.0);
        assert_eq!((scaling.strong(3).rows, scaling.strong(3).seconds()), (4, 0.4));
        // Beyond a row a rank there is nothing to share out.
        assert_eq!((scaling.strong(11).rows, scaling.strong(64).seconds()), (1, 0.1));
        assert_eq!(scaling.where_ranks_stop_paying().0.ranks, 10);
        assert_eq!(scaling.where_ranks_stop_paying().1.ranks, 20);
    }

    #[test]
    fn the_fixed_part_bounds_the_speed_up_as_in_amdahls_law() {
        let scaling = scaling(&[], 1000, FREE, 0.25);
        assert!((scaling.strong(2).speed_up - 1.0 / 0.625).abs() < 1e-12);
        assert!(scaling.strong(1000).speed_up < 4.0);
    }

    #[test]
    fn a_sum_takes_the_time_of_its_messages_and_bytes() {
        let link = Link { bandwidth: 1e6, latency: 1e-3 };
        let near = |sum: (usize, usize), ranks: usize, seconds: f64| {
            let got = link.seconds_of_sum(sum, ranks);
            assert!((got - seconds).abs() < 1e-9 * seconds, "{sum:?} on {ranks}: {got}, not {seconds}");
        };
        // 3 messages and 2 of an all-gather; 3/4 of 4,000 bytes each time.
        near((1000, 4), 4, 5e-3 + 6e-3);
        // A ring for a long one: 3 and 3 messages.
        near((1 << 20, 4), 4, 6e-3 + 2.0 * 0.75 * 4.0 * (1 << 20) as f64 / 1e6);
        // Rank 4 of 5 has one element of 4 more than rank 0: it receives 4, and an all-gather brings rank 0 all 4.
        near((4, 8), 5, (4.0 + 3.0) * 1e-3 + 8.0 * (4.0 + 4.0) / 1e6);
        // Two pieces are two sums.
        let two = link.seconds_of_sum((SUM_PIECE, 4), 2) + link.seconds_of_sum((1, 4), 2);
        near((SUM_PIECE + 1, 4), 2, two);
    }

    #[test]
    fn parts_that_are_equal_take_the_bytes_that_are_counted() {
        let link = Link { bandwidth: 1.0, latency: 0.0 };
        for ranks in [2, 4, 64] {
            let counted = bytes_of_sum(64_000, 4, 0, ranks) as f64;
            assert_eq!(link.seconds_of_sum((64_000, 4), ranks), counted);
        }
    }

    #[test]
    fn the_fixed_part_is_what_the_line_through_two_times_leaves_for_no_row() {
        let time = StepTime::from_two(1.0, 11, 0.5);
        assert!((time.fixed - 0.45).abs() < 1e-12 && (time.of_rows(1, 11) - 0.5).abs() < 1e-12);
        // Noise does not make more rows faster, or no row take less than no time; one row is all fixed.
        assert_eq!(StepTime::from_two(1.0, 11, 1.2).fixed, 1.0);
        assert_eq!(StepTime::from_two(1.0, 10, 0.01).fixed, 0.0);
        assert_eq!(StepTime::from_two(1.0, 1, 1.0).fixed, 1.0);
    }

    #[test]
    fn a_link_or_time_out_of_its_range_is_refused() {
        let (link, step) = (Link::GIGABIT_ETHERNET, StepTime { whole: 1.0, fixed: 0.0 });
        let refused = |batch, link, step| Scaling::of_sums(Vec::new(), batch, link, step).is_err();
        assert!(!refused(1, link, step));
        assert!(refused(0, link, step));
        assert!(refused(1, Link { bandwidth: 0.0, ..link }, step) && refused(1, Link { latency: -1.0, ..link }, step));
        assert!(
            refused(1, link, StepTime { whole: f64::NAN, ..step }) && refused(1, link, StepTime { fixed: 2.0, ..step })
        );
    }
}
