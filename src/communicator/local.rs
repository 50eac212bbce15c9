//! Ranks that are threads of one process.

use std::fmt;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use super::{Communicator, bytes_of_broadcast, bytes_of_gather, bytes_of_sum, part_of_rank};
use crate::error::{Error, Result};

/// A rank among threads of one process, for several GPUs of one machine, or to try out ranks without processes. See the
/// example at [`Communicator`].
///
/// Each handle belongs to one thread. Dropping it leaves the group: calls of the others then fail with an error that names
/// the rank. Calls that do not fit each other fail on every rank.
///
/// Sums are taken as [`bytes_of_sum`] describes it, each rank adding up its part, and bytes are counted by the functions of
/// this module, although memory is shared and nothing is sent.
pub struct LocalCommunicator {
    rank: usize,
    group: Arc<Group>,
    sent: AtomicU64,
}

/// What the ranks of a group share.
struct Group {
    meeting: Mutex<Meeting>,
    changed: Condvar,
    /// What each rank gives, and the part that it has added up.
    slots: Vec<Slot>,
}

#[derive(Default)]
struct Slot {
    f32s: Exchange<f32>,
    f64s: Exchange<f64>,
    message: RwLock<Vec<u8>>,
}

#[derive(Default)]
struct Exchange<T> {
    given: RwLock<Vec<T>>,
    sums: RwLock<Vec<T>>,
}

/// A collective call, by what it does and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    SumF32(usize),
    SumF64(usize),
    Gather,
    Broadcast { from: usize },
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SumF32(length) => write!(f, "sum_f32 of {length} values"),
            Self::SumF64(length) => write!(f, "sum_f64 of {length} values"),
            Self::Gather => f.write_str("gather"),
            Self::Broadcast { from } => write!(f, "broadcast from rank {from}"),
        }
    }
}

/// Where ranks wait for each other.
struct Meeting {
    /// The ranks that have arrived, and how often all have.
    arrived: usize,
    rounds: u64,
    /// The call that each rank makes.
    calls: Vec<Option<Call>>,
    /// The first rank that left.
    gone: Option<usize>,
    /// The calls that did not fit each other.
    mismatch: Option<String>,
}

impl LocalCommunicator {
    /// The handles of a group of `size` ranks, in their order. No ranks for 0.
    pub fn ranks(size: usize) -> Vec<Self> {
        let meeting = Meeting { arrived: 0, rounds: 0, calls: vec![None; size], gone: None, mismatch: None };
        let slots = (0..size).map(|_| Slot::default()).collect();
        let group = Arc::new(Group { meeting: Mutex::new(meeting), changed: Condvar::new(), slots });
        (0..size).map(|rank| Self { rank, group: group.clone(), sent: AtomicU64::new(0) }).collect()
    }

    /// Waits until all ranks are here, and checks that all make the same call.
    fn meet(&self, call: Call) -> Result<()> {
        let Group { meeting, changed, slots } = &*self.group;
        let mut now = lock(meeting);
        let round = now.rounds;
        if let Some(error) = now.error() {
            return Err(error);
        }
        now.calls[self.rank] = Some(call);
        now.arrived += 1;
        if now.arrived == slots.len() {
            let different = now
                .calls
                .iter()
                .enumerate()
                .find_map(|(rank, other)| other.filter(|other| *other != call).map(|other| (rank, other)));
            if let Some((other, theirs)) = different {
                let (rank, reason) = (self.rank, "all ranks must make the same calls in the same order");
                now.mismatch = Some(format!("rank {rank} called {call} and rank {other} called {theirs}: {reason}"));
            }
            (now.arrived, now.rounds) = (0, round + 1);
            changed.notify_all();
        }
        while now.rounds == round {
            if let Some(error) = now.error() {
                return Err(error);
            }
            now = changed.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        // A rank that has left after this meeting was in it.
        now.mismatch.clone().map_or(Ok(()), |mismatch| Err(Error::Failed(mismatch)))
    }

    fn sum<T: Copy + AddAssign>(&self, values: &mut [T], of: impl Fn(&Slot) -> &Exchange<T>, call: Call) -> Result<()> {
        let Group { slots, .. } = &*self.group;
        let (length, size) = (values.len(), slots.len());
        let own = of(&slots[self.rank]);
        put(&own.given, values);
        self.meet(call)?;
        let part = part_of_rank(length, self.rank, size);
        {
            let mut sums = write(&own.sums);
            sums.clear();
            for (rank, slot) in slots.iter().enumerate() {
                let given = read(&of(slot).given);
                if rank == 0 {
                    sums.extend_from_slice(&given[part.clone()]);
                } else {
                    sums.iter_mut().zip(&given[part.clone()]).for_each(|(sum, value)| *sum += *value);
                }
            }
        }
        self.meet(call)?;
        for (rank, slot) in slots.iter().enumerate() {
            values[part_of_rank(length, rank, size)].copy_from_slice(&read(&of(slot).sums));
        }
        self.sent.fetch_add(bytes_of_sum(length, size_of::<T>(), self.rank, size), Ordering::Relaxed);
        Ok(())
    }

    /// Gives every rank's message to `take`, once all are there.
    fn messages<T>(&self, message: &[u8], call: Call, take: impl FnOnce(&[Slot]) -> T) -> Result<T> {
        let slots = &self.group.slots;
        put(&slots[self.rank].message, message);
        self.meet(call)?;
        let taken = take(slots);
        // A message stays until all have read it.
        self.meet(call)?;
        Ok(taken)
    }
}

impl Communicator for LocalCommunicator {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.group.slots.len()
    }

    fn crosses_machines(&self) -> bool {
        false
    }

    fn sum_f32(&self, values: &mut [f32]) -> Result<()> {
        let call = Call::SumF32(values.len());
        self.sum(values, |slot| &slot.f32s, call)
    }

    fn sum_f64(&self, values: &mut [f64]) -> Result<()> {
        let call = Call::SumF64(values.len());
        self.sum(values, |slot| &slot.f64s, call)
    }

    fn gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>> {
        let take = |slots: &[Slot]| slots.iter().map(|slot| read(&slot.message).clone()).collect();
        let all = self.messages(message, Call::Gather, take)?;
        self.sent.fetch_add(bytes_of_gather(message.len(), self.size()), Ordering::Relaxed);
        Ok(all)
    }

    fn broadcast(&self, from: usize, message: &mut Vec<u8>) -> Result<()> {
        let size = self.size();
        if from >= size {
            return Err(Error::value("the rank to broadcast from", format!("a number below {size}"), from));
        }
        let own: &[u8] = if from == self.rank { message } else { &[] };
        let all = self.messages(own, Call::Broadcast { from }, |slots| read(&slots[from].message).clone())?;
        *message = all;
        if from == self.rank {
            self.sent.fetch_add(bytes_of_broadcast(message.len(), size), Ordering::Relaxed);
        }
        Ok(())
    }

    fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for LocalCommunicator {
    fn drop(&mut self) {
        let mut meeting = lock(&self.group.meeting);
        meeting.gone.get_or_insert(self.rank);
        self.group.changed.notify_all();
    }
}

impl fmt::Debug for LocalCommunicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalCommunicator(rank {} of {})", self.rank, self.group.slots.len())
    }
}

impl Meeting {
    /// Why no call can succeed any more.
    fn error(&self) -> Option<Error> {
        if let Some(mismatch) = &self.mismatch {
            return Some(Error::Failed(mismatch.clone()));
        }
        self.gone.map(|rank| Error::Failed(format!("rank {rank} has left before the others were done")))
    }
}

/// A panic elsewhere does not damage what is shared: whoever panics drops its handle, and the others' calls fail.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<Vec<T>>) -> impl std::ops::Deref<Target = Vec<T>> + '_ {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<Vec<T>>) -> impl std::ops::DerefMut<Target = Vec<T>> + '_ {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn put<T: Copy>(lock: &RwLock<Vec<T>>, values: &[T]) {
    let mut to = write(lock);
    to.clear();
    to.extend_from_slice(values);
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// What `f` returns on every rank, each on a thread of its own.
    fn on<T: Send>(size: usize, f: impl Fn(LocalCommunicator) -> T + Sync) -> Vec<T> {
        thread::scope(|scope| {
            let ranks = LocalCommunicator::ranks(size).into_iter().map(|rank| scope.spawn(|| f(rank)));
            ranks.collect::<Vec<_>>().into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    #[test]
    fn a_sum_is_taken_in_the_order_of_ranks() {
        // In another order the small number would be lost, or not be.
        let given = [1e8f32, 1.0, -1e8, 0.5];
        let sums = on(4, |ranks| {
            let mut values = [given[ranks.rank()]; 7];
            ranks.sum_f32(&mut values).unwrap();
            values
        });
        let expected = ((1e8f32 + 1.0) - 1e8) + 0.5;
        assert_eq!(sums, [[expected; 7]; 4]);
    }

    #[test]
    fn sums_and_messages_of_any_length_arrive_and_their_bytes_are_counted() {
        let sent = on(3, |ranks| {
            let rank = ranks.rank();
            let mut expected = 0;
            for length in [0, 1, 2, 5, 1000] {
                let mut values: Vec<f64> = (0..length).map(|index| (index * (rank + 1)) as f64).collect();
                ranks.sum_f64(&mut values).unwrap();
                assert!(values.iter().enumerate().all(|(index, value)| *value == (6 * index) as f64), "{values:?}");
                let all = ranks.gather(&vec![rank as u8; rank * length]).unwrap();
                assert!(all.iter().enumerate().all(|(from, message)| *message == vec![from as u8; from * length]));
                let mut message = vec![rank as u8; length];
                ranks.broadcast(1, &mut message).unwrap();
                assert_eq!(message, vec![1; length]);
                expected += bytes_of_sum(length, 8, rank, 3) + bytes_of_gather(rank * length, 3);
                expected += if rank == 1 { bytes_of_broadcast(length, 3) } else { 0 };
            }
            (ranks.bytes_sent(), expected)
        });
        assert!(sent.iter().all(|(sent, expected)| sent == expected && *sent > 0), "{sent:?}");
    }

    #[test]
    fn a_rank_that_leaves_ends_the_calls_of_the_others() {
        let errors = on(3, |ranks| {
            if ranks.rank() == 1 {
                return String::new();
            }
            ranks.sum_f32(&mut [1.0]).unwrap_err().to_string()
        });
        assert_eq!(errors[0], "rank 1 has left before the others were done");
        assert_eq!(errors[0], errors[2]);
    }

    #[test]
    fn calls_that_differ_fail_on_every_rank() {
        let errors = on(2, |ranks| {
            let mut values = vec![0.0; 2 + ranks.rank()];
            ranks.sum_f64(&mut values).unwrap_err().to_string()
        });
        assert!(errors.iter().all(|error| error.contains("sum_f64 of 2 values") && error.contains("of 3 values")));
    }
}
