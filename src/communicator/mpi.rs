//! Ranks that are processes, joined by MPI.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::{initialize_with_threading, processor_name};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives as _, Equivalence, Root as _};

use super::{Communicator, SUM_PIECE, bytes_of_broadcast, bytes_of_gather, bytes_of_sum, part_of_rank, pieces};
use crate::error::{Error, Result};

/// How sums are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MpiSum {
    /// In the order of ranks, which gives the same bits in every run: `MPI_Alltoallv` brings each rank its part of all
    /// others, which it adds up, and `MPI_Allgatherv` distributes the sums.
    #[default]
    RankOrder,
    /// By `MPI_Allreduce`, in an order that the MPI library chooses, and so without a promise of the same bits in another
    /// run, with another library or another network. This is without the [contract](Communicator#contract) of sums. Bytes are
    /// counted as those of the other way.
    AllReduce,
}

/// A rank among the processes of `MPI_COMM_WORLD`, which `mpirun -n N` starts. Without `mpirun` there is one.
///
/// A thread of its own initialises MPI, makes all calls and ends MPI when the communicator is dropped, so that a library
/// with `MPI_THREAD_FUNNELED` will do. Values are copied to that thread and back.
///
/// `MPI_Finalize` waits for the other ranks, and so do their collective calls. A process that ends early, with an error,
/// should therefore call [`abort`](Self::abort), unless the error is one that all ranks have. A panic does so too. An error
/// within MPI ends all processes, as it does by default.
pub struct MpiCommunicator {
    requests: Mutex<Thread>,
    place: Place,
    sent: AtomicU64,
}

/// The thread that calls MPI.
struct Thread {
    to: Sender<Request>,
    from: Receiver<Reply>,
    thread: Option<JoinHandle<()>>,
}

/// Where a rank is.
#[derive(Clone, Debug)]
struct Place {
    rank: usize,
    size: usize,
    local_rank: usize,
    local_size: usize,
    processor: String,
}

enum Request {
    SumF32(Vec<f32>),
    SumF64(Vec<f64>),
    Gather(Vec<u8>),
    Broadcast { from: usize, message: Vec<u8> },
    Abort(i32),
}

enum Reply {
    Place(Place),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Messages(Vec<Vec<u8>>),
    Failed(String),
}

impl MpiCommunicator {
    /// Initialises MPI and joins all its processes. Once in a process: MPI cannot begin again.
    ///
    /// # Errors
    /// [`Error::Failed`] if MPI is or was initialised, or no thread can be started.
    pub fn world(sum: MpiSum) -> Result<Self> {
        let (to, requests) = channel();
        let (replies, from) = channel();
        let thread = thread::Builder::new().name("mpi".into()).spawn(move || serve(sum, &requests, &replies));
        let thread = thread.map_err(|error| Error::Failed(format!("no thread for MPI: {error}")))?;
        match from.recv() {
            Ok(Reply::Place(place)) => {
                let requests = Mutex::new(Thread { to, from, thread: Some(thread) });
                Ok(Self { requests, place, sent: AtomicU64::new(0) })
            }
            Ok(Reply::Failed(reason)) => Err(Error::Failed(reason)),
            Ok(_) | Err(_) => Err(ended()),
        }
    }

    /// The number of this rank among those of its machine, from 0: for the choice of a GPU.
    pub fn local_rank(&self) -> usize {
        self.place.local_rank
    }

    /// The number of ranks on this machine.
    pub fn local_size(&self) -> usize {
        self.place.local_size
    }

    /// The name of this machine, as MPI knows it.
    pub fn processor_name(&self) -> &str {
        &self.place.processor
    }

    /// Ends the processes of all ranks at once, with an exit status for `mpirun`.
    pub fn abort(&self, status: i32) -> ! {
        // The thread ends the process. Where it is not there, neither is MPI.
        let _ = self.call(Request::Abort(status));
        std::process::exit(status)
    }

    fn call(&self, request: Request) -> Result<Reply> {
        let thread = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        thread.to.send(request).map_err(|_| ended())?;
        thread.from.recv().map_err(|_| ended())
    }

    fn count(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The error of a call after the thread's end.
fn ended() -> Error {
    Error::Failed("MPI has ended in this process".into())
}

/// An answer to another request.
fn unexpected() -> Error {
    Error::Failed("the thread of MPI answered another request".into())
}

impl Communicator for MpiCommunicator {
    fn rank(&self) -> usize {
        self.place.rank
    }

    fn size(&self) -> usize {
        self.place.size
    }

    fn crosses_machines(&self) -> bool {
        self.place.local_size < self.place.size
    }

    fn sum_f32(&self, values: &mut [f32]) -> Result<()> {
        let Reply::F32(sums) = self.call(Request::SumF32(values.to_vec()))? else { return Err(unexpected()) };
        values.copy_from_slice(&sums);
        self.count(bytes_of_sum(values.len(), size_of::<f32>(), self.place.rank, self.place.size));
        Ok(())
    }

    fn sum_f64(&self, values: &mut [f64]) -> Result<()> {
        let Reply::F64(sums) = self.call(Request::SumF64(values.to_vec()))? else { return Err(unexpected()) };
        values.copy_from_slice(&sums);
        self.count(bytes_of_sum(values.len(), size_of::<f64>(), self.place.rank, self.place.size));
        Ok(())
    }

    fn gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>> {
        let Reply::Messages(all) = self.call(Request::Gather(message.to_vec()))? else { return Err(unexpected()) };
        self.count(bytes_of_gather(message.len(), self.place.size));
        Ok(all)
    }

    fn broadcast(&self, from: usize, message: &mut Vec<u8>) -> Result<()> {
        let Place { rank, size, .. } = self.place;
        if from >= size {
            return Err(Error::value("the rank to broadcast from", format!("a number below {size}"), from));
        }
        let own = if from == rank { std::mem::take(message) } else { Vec::new() };
        let reply = self.call(Request::Broadcast { from, message: own })?;
        let Reply::Messages(mut all) = reply else { return Err(unexpected()) };
        *message = all.pop().ok_or_else(unexpected)?;
        if from == rank {
            self.count(bytes_of_broadcast(message.len(), size));
        }
        Ok(())
    }

    fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for MpiCommunicator {
    fn drop(&mut self) {
        if thread::panicking() && self.place.size > 1 {
            // The others would wait for this rank without end.
            self.abort(101);
        }
        let thread = self.requests.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Without a sender the thread ends MPI and itself.
        thread.to = channel().0;
        if let Some(thread) = thread.thread.take() {
            // It does not panic; if it did, there would be nothing to end.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for MpiCommunicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { rank, size, local_rank, processor, .. } = &self.place;
        write!(f, "MpiCommunicator(rank {rank} of {size}, rank {local_rank} on {processor})")
    }
}

/// Initialises MPI and answers requests until nobody can send any more.
fn serve(sum: MpiSum, requests: &Receiver<Request>, replies: &Sender<Reply>) {
    let Some((universe, _)) = initialize_with_threading(Threading::Funneled) else {
        let reason = "MPI was initialised in this process before: it begins once";
        // Nobody listens only where nobody is left to tell.
        let _ = replies.send(Reply::Failed(reason.into()));
        return;
    };
    let world = universe.world();
    let local = world.split_shared(world.rank());
    let number = |count: i32| usize::try_from(count).unwrap_or_default();
    let place = Place {
        rank: number(world.rank()),
        size: number(world.size()),
        local_rank: number(local.rank()),
        local_size: number(local.size()),
        processor: processor_name().unwrap_or_default(),
    };
    let ranks = World { world: &world, rank: place.rank, size: place.size, sum };
    if replies.send(Reply::Place(place)).is_err() {
        return;
    }
    while let Ok(request) = requests.recv() {
        let reply = match request {
            Request::SumF32(values) => Reply::F32(ranks.sum(values)),
            Request::SumF64(values) => Reply::F64(ranks.sum(values)),
            Request::Gather(message) => Reply::Messages(ranks.gather(&message)),
            Request::Broadcast { from, message } => Reply::Messages(vec![ranks.broadcast(from, message)]),
            Request::Abort(status) => world.abort(status),
        };
        if replies.send(reply).is_err() {
            return;
        }
    }
}

/// The processes, on the thread that calls MPI.
struct World<'a> {
    world: &'a SimpleCommunicator,
    rank: usize,
    size: usize,
    sum: MpiSum,
}

impl World<'_> {
    fn sum<T>(&self, mut values: Vec<T>) -> Vec<T>
    where
        T: Equivalence + Copy + Default + std::ops::AddAssign,
    {
        for piece in pieces(values.len()) {
            match self.sum {
                MpiSum::RankOrder => self.sum_in_rank_order(&mut values[piece]),
                MpiSum::AllReduce => {
                    let given = values[piece.clone()].to_vec();
                    self.world.all_reduce_into(&given[..], &mut values[piece], SystemOperation::sum());
                }
            }
        }
        values
    }

    fn sum_in_rank_order<T>(&self, values: &mut [T])
    where
        T: Equivalence + Copy + Default + std::ops::AddAssign,
    {
        let parts: Vec<Range<usize>> = (0..self.size).map(|rank| part_of_rank(values.len(), rank, self.size)).collect();
        let own = parts[self.rank].len();
        let (counts, begins) = counts(&parts);
        // This rank's part, of every rank.
        let mut given = vec![T::default(); own * self.size];
        let (given_counts, given_begins) =
            self::counts(&(0..self.size).map(|rank| rank * own..(rank + 1) * own).collect::<Vec<_>>());
        self.world.all_to_all_varcount_into(
            &Partition::new(&*values, &counts[..], &begins[..]),
            &mut PartitionMut::new(&mut given[..], given_counts, given_begins),
        );
        let (sums, others) = given.split_at_mut(own);
        for other in others.chunks_exact(own.max(1)) {
            sums.iter_mut().zip(other).for_each(|(sum, value)| *sum += *value);
        }
        self.world.all_gather_varcount_into(&*sums, &mut PartitionMut::new(values, counts, begins));
    }

    fn gather(&self, message: &[u8]) -> Vec<Vec<u8>> {
        let mut lengths = vec![0u64; self.size];
        self.world.all_gather_into(&(message.len() as u64), &mut lengths[..]);
        let lengths: Vec<usize> = lengths.into_iter().map(|length| length as usize).collect();
        let mut all: Vec<Vec<u8>> = lengths.iter().map(|length| Vec::with_capacity(*length)).collect();
        let most = lengths.iter().copied().max().unwrap_or_default();
        // All messages of a round together have counts within 31 bits.
        let round = ((1 << 30) / self.size).max(1);
        for first in (0..most).step_by(round) {
            let part = |length: usize| first.min(length)..(first + round).min(length);
            let mut end = 0;
            let parts = lengths.iter().map(|length| {
                let begin = end;
                end += part(*length).len();
                begin..end
            });
            let parts: Vec<Range<usize>> = parts.collect();
            let mut received = vec![0u8; end];
            let (counts, begins) = counts(&parts);
            let mut to = PartitionMut::new(&mut received[..], counts, begins);
            self.world.all_gather_varcount_into(&message[part(message.len())], &mut to);
            all.iter_mut().zip(&parts).for_each(|(all, part)| all.extend_from_slice(&received[part.clone()]));
        }
        all
    }

    fn broadcast(&self, from: usize, mut message: Vec<u8>) -> Vec<u8> {
        let root = self.world.process_at_rank(from as i32);
        let mut length = message.len() as u64;
        root.broadcast_into(&mut length);
        message.resize(length as usize, 0);
        message.chunks_mut(SUM_PIECE).for_each(|piece| root.broadcast_into(piece));
        message
    }
}

/// The lengths and beginnings of ranges, as MPI counts. Those of a piece fit.
fn counts(parts: &[Range<usize>]) -> (Vec<i32>, Vec<i32>) {
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    parts.iter().map(|part| (count(part.len()), count(part.start))).unzip()
}
