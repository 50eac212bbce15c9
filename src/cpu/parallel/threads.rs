//! Work distributed over threads in parts that do not depend on their number.

use std::fmt;
use std::sync::Arc;

use rayon::ThreadPool;

use crate::error::{Error, Result};

/// Work that can be split between parts. Parts follow from shapes alone, so the result does not depend on which thread
/// computes which.
pub(crate) trait Divide: Send + Sized {
    /// The number of parts.
    fn parts(&self) -> usize;

    /// Splits after `parts` parts.
    fn divide(self, parts: usize) -> (Self, Self);
}

/// Work on the rows of a block, none of which needs another.
pub(crate) trait RowWork: Send + Sized {
    fn rows(&self) -> usize;

    /// Splits after `rows` rows.
    fn split(self, rows: usize) -> (Self, Self);
}

/// A slice can be split between any elements.
impl<T: Send> Divide for &mut [T] {
    fn parts(&self) -> usize {
        self.len()
    }

    fn divide(self, parts: usize) -> (Self, Self) {
        self.split_at_mut(parts)
    }
}

/// The threads that run the parts.
#[derive(Clone)]
pub(crate) enum Threads {
    /// The calling thread.
    One,
    /// This many threads, from rayon's global pool. If called within another pool, that pool's threads, however many.
    Global(usize),
    /// A separate pool.
    Own(Arc<ThreadPool>),
}

impl Threads {
    /// As many threads as cores, or one if the platform has no threads.
    pub(crate) fn all() -> Self {
        match rayon::current_num_threads() {
            1 => Self::One,
            count => Self::Global(count),
        }
    }

    pub(crate) fn new(count: usize) -> Result<Self> {
        match count {
            0 => Err(Error::value("threads", "at least 1", count)),
            1 => Ok(Self::One),
            _ => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
                let refused = |error| Error::Unsupported(format!("{count} threads cannot be started: {error}"));
                Ok(Self::Own(Arc::new(pool.map_err(refused)?)))
            }
        }
    }

    pub(crate) fn count(&self) -> usize {
        match self {
            Self::One => 1,
            Self::Global(count) => *count,
            Self::Own(pool) => pool.current_num_threads(),
        }
    }

    /// The index of the running thread, below their number. Two threads of a larger pool may have the same index.
    pub(crate) fn index(&self) -> usize {
        match self {
            Self::One => 0,
            Self::Global(_) | Self::Own(_) => rayon::current_thread_index().unwrap_or_default() % self.count(),
        }
    }

    /// Calls `f` on one of the threads if it will distribute work of this many parts repeatedly: entering the pool from
    /// outside each time would cost a sleep and a wake-up.
    pub(crate) fn within<T: Send>(&self, parts: usize, f: impl FnOnce() -> T + Send) -> T {
        match self {
            Self::Own(pool) if parts > 1 => pool.install(f),
            Self::Global(_) if parts > 1 => rayon::scope(|_| f()),
            Self::One | Self::Global(_) | Self::Own(_) => f(),
        }
    }

    /// Calls `f` once per part. A single part stays on the calling thread, since waking another one takes longer than
    /// many a part, such as one row's time step.
    pub(crate) fn each<D: Divide>(&self, work: D, f: impl Fn(D) + Sync) {
        match self {
            Self::One => spread(work, &f, false),
            Self::Own(pool) if work.parts() > 1 => pool.install(|| spread(work, &f, true)),
            Self::Global(_) | Self::Own(_) => spread(work, &f, true),
        }
    }
}

/// Splits the work in halves down to single parts.
fn spread<D: Divide>(work: D, f: &(impl Fn(D) + Sync), join: bool) {
    match work.parts() {
        0 => {}
        1 => f(work),
        parts => {
            let (a, b) = work.divide(parts / 2);
            if join {
                rayon::join(|| spread(a, f, true), || spread(b, f, true));
            } else {
                spread(a, f, false);
                spread(b, f, false);
            }
        }
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Threads({})", self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::Threads;

    #[test]
    fn one_task_runs_on_the_calling_thread_and_several_on_the_pool() {
        let threads = Threads::new(2).unwrap();
        let caller = std::thread::current().id();
        let on_caller = |part: &mut [bool]| part[0] = std::thread::current().id() == caller;
        let (mut one, mut two) = ([false], [true; 2]);
        threads.each(&mut one[..], on_caller);
        threads.each(&mut two[..], on_caller);
        assert_eq!((one, two), ([true], [false; 2]));
    }

    #[test]
    fn thread_indices_stay_below_the_count_in_pools_of_any_size() {
        let counted = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap().install(Threads::all);
        assert_eq!(counted.count(), 3);
        for others in [2, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(others).build().unwrap();
            let numbers = pool.broadcast(|_| (counted.index(), counted.count()));
            assert!(numbers.iter().all(|(index, count)| index < count && *count == 3), "{numbers:?}");
        }
    }
}
