//! The ranks of `mpirun -n N bptt train …`: processes that a launcher started, each with its share of every batch.

use std::env;

use bptt::Result;
use bptt::experiment::RunRanks;
use bptt::experiment::device::open::Place;

use crate::cli::args::RankSums;
use crate::cli::exit::Failure;

/// A number that a launcher tells its processes, in the variables of Open MPI, of MPICH (Slurm, Intel MPI), of MVAPICH, and
/// of Slurm, which tells them without MPI too.
struct Told([&'static str; 4]);

const SIZE: Told = Told(["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"]);
const RANK: Told = Told(["OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "SLURM_PROCID"]);
const LOCAL_RANK: Told =
    Told(["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "MV2_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"]);
const LOCAL_SIZE: Told =
    Told(["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "MV2_COMM_WORLD_LOCAL_SIZE", "SLURM_STEP_TASKS_PER_NODE"]);

impl Told {
    fn number(&self) -> Option<usize> {
        // `4(x2),3` are the tasks of each node.
        let number = |text: String| text.split(['(', ',']).next().and_then(|number| number.parse().ok());
        self.0.iter().find_map(|name| env::var(name).ok().and_then(number))
    }
}

/// The number of processes that a launcher started with this one; 1 without a launcher.
fn launched() -> usize {
    SIZE.number().unwrap_or(1)
}

/// Whether this process follows the first of a launcher's, which speaks for all.
pub(crate) fn follows() -> bool {
    launched() > 1 && rank_in_run().or_else(|| RANK.number()).is_some_and(|rank| rank > 0)
}

/// The place of this process among those of a launcher; `None` without one.
pub(crate) fn place() -> Option<Place> {
    let place =
        || Place { local_rank: LOCAL_RANK.number().unwrap_or(0), local_size: LOCAL_SIZE.number().unwrap_or(1).max(1) };
    (launched() > 1).then(place)
}

/// Refuses a command that ranks cannot share: each of them would do the same work.
pub(crate) fn refuse() -> Result<()> {
    match launched() {
        1 => Ok(()),
        size => Err(bptt::Error::Unsupported(format!(
            "expected to be started once, got {size} processes of a launcher, each of which would do the same: of the \
             commands, train and sweep are shared out to them"
        ))),
    }
}

#[cfg(feature = "mpi")]
mod joined {
    use std::sync::{Arc, Mutex, PoisonError};
    use std::thread;
    use std::time::Duration;

    use bptt::communicator::{Communicator, MpiCommunicator, MpiSum};

    use super::{Failure, Place, RankSums, Result, RunRanks};
    use crate::cli::terminal::printed::eprint_lines;

    /// What ends with the process.
    static JOINED: Mutex<Option<(Arc<MpiCommunicator>, Option<RunRanks>)>> = Mutex::new(None);

    /// How long rank 0 has to report an error of all before another rank ends it.
    const FOR_RANK_0: Duration = Duration::from_secs(5);

    pub(crate) fn join(sums: RankSums) -> Result<Option<RunRanks>> {
        if super::launched() == 1 {
            return Ok(None);
        }
        let world = Arc::new(MpiCommunicator::world(match sums {
            RankSums::RankOrder => MpiSum::RankOrder,
            RankSums::AnyOrder => MpiSum::AllReduce,
        })?);
        let (started, found) = (super::launched(), world.size());
        if found != started {
            return Err(bptt::Error::Unsupported(format!(
                "expected {started} ranks, as many processes as the launcher started, but MPI finds {found}: start them with \
                 the mpirun of the MPI that the program was built with, or with srun --mpi=pmix or another of srun --mpi=list"
            )));
        }
        let place = Place { local_rank: world.local_rank(), local_size: world.local_size() };
        let ranks = RunRanks::new(world.clone(), world.processor_name(), place);
        *JOINED.lock().unwrap_or_else(PoisonError::into_inner) = Some((world, ranks.clone()));
        Ok(ranks)
    }

    pub(crate) fn rank_in_run() -> Option<usize> {
        JOINED.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(world, _)| world.rank())
    }

    pub(crate) fn end(failure: Option<&Failure>) {
        let joined = JOINED.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((world, ranks)) = joined else { return };
        let are_together = ranks.is_none_or(|ranks| ranks.have_failed());
        // A signal stops all of them too. Dropped, it waits for the others.
        let Some(failure @ Failure::Error(_)) = failure.filter(|_| !are_together) else { return };
        if world.rank() > 0 {
            thread::sleep(FOR_RANK_0);
            eprint_lines(&format!("rank {}: error: {}", world.rank(), failure.message().unwrap_or_default()));
        }
        world.abort(i32::from(failure.code()))
    }
}

#[cfg(not(feature = "mpi"))]
mod joined {
    use super::{Failure, RankSums, Result, RunRanks};

    pub(crate) fn join(_: RankSums) -> Result<Option<RunRanks>> {
        match super::launched() {
            1 => Ok(None),
            size => Err(bptt::Error::Unsupported(format!(
                "expected a program with MPI, since a launcher started {size} processes, got one without, of which each \
                 would train the same: build it with --features mpi (docs/ranks.md)"
            ))),
        }
    }

    pub(crate) fn rank_in_run() -> Option<usize> {
        None
    }

    pub(crate) fn end(_: Option<&Failure>) {}
}

/// Ends this process's part: waits for the other ranks, or ends all of them after an error. Rank 0 has reported that; another
/// rank reports its own if rank 0 has not ended by then.
pub(crate) use joined::end;
/// Joins the processes that a launcher started; `None` for one alone.
///
/// # Errors
/// Without MPI in this program, and those of MPI.
pub(crate) use joined::join;
/// The number of this process among those that [`join`] joined to one run, whose errors rank 0 reports; `None` for one alone.
pub(crate) use joined::rank_in_run;
