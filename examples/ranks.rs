//! Trains a small network on several processes, and prints what shows that they agree: the losses, and a digest of the
//! parameters on every rank.
//!
//! ```text
//! cargo build --features mpi --example ranks
//! mpirun -n 4 target/debug/examples/ranks
//! ```
//!
//! The losses are those of one rank up to rounding. The digest is the same on every rank, and the same in every run on as
//! many ranks. With the argument `allreduce` the MPI library chooses the order of sums.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bptt::communicator::{Communicator, MpiCommunicator, MpiSum};
use bptt::data::{AddingTask, SequentialBatches, ShuffledBatches};
use bptt::train::{self, Metrics, Observer, RunLength, RunOptions, StepCounts, bytes_sent_per_step};
use bptt::{Cell, Cpu, Model, Optimizer, Parameters, Recurrent, Result, Trainer, TrainerOptions, Wait};

/// Prints some losses, on the first rank alone.
struct Printed {
    first: bool,
}

impl Observer for Printed {
    fn step(&mut self, metrics: &Metrics, _: StepCounts) -> Result<()> {
        if self.first && (metrics.step.is_multiple_of(25) || metrics.step == 1) {
            println!("step {:3}  loss {:.7}", metrics.step, metrics.loss);
        }
        Ok(())
    }
}

fn train_rank(communicator: Arc<MpiCommunicator>) -> Result<()> {
    let (rank, size) = (communicator.rank(), communicator.size());
    let task = AddingTask { length: 20 };
    let model = Model::new(Recurrent::new(Cell::Gru, AddingTask::INPUTS, 24).layers(2).dropout(0.1), task.head());
    let options = TrainerOptions::default();
    // On several GPUs, open the one with the number communicator.local_rank().
    let mut trainer = Trainer::with_options(&Cpu::new(), &model, Optimizer::adam(3e-3).clip_norm(1.0), 1, options)?
        .with_communicator(communicator.clone())?;
    // Every rank has all examples, and computes its rows of each batch.
    let (examples, tests) = (task.examples(1, 0, 640)?, task.examples(1, 640, 100)?);
    let (batches, tests) = (ShuffledBatches::new(&examples, 32, 1, 1)?, SequentialBatches::new(&tests, 50)?);
    let run_options = RunOptions::new(RunLength::Steps(100));
    let mut printed = Printed { first: rank == 0 };
    train::run(&mut trainer, &batches, Some(&tests), &run_options, &mut printed).wait()?;
    let test = train::evaluate(&mut trainer, &tests).wait()?;
    let mut hasher = DefaultHasher::new();
    trainer.engine().parameters().wait()?.iter().for_each(|value| value.to_bits().hash(&mut hasher));
    let planned = if size > 1 { bytes_sent_per_step::<f32>(&model, &trainer.options().engine, rank, size)? } else { 0 };
    println!(
        "rank {rank} of {size}, {} of {} on {}: test loss {test:.7}, parameters {:016x}, {planned} bytes sent a step, {} in \
         all",
        communicator.local_rank(),
        communicator.local_size(),
        communicator.processor_name(),
        hasher.finish(),
        communicator.bytes_sent()
    );
    Ok(())
}

fn main() -> Result<()> {
    let sum = match std::env::args().nth(1).as_deref() {
        Some("allreduce") => MpiSum::AllReduce,
        _ => MpiSum::RankOrder,
    };
    let communicator = Arc::new(MpiCommunicator::world(sum)?);
    train_rank(communicator.clone()).inspect_err(|error| {
        eprintln!("rank {}: {error}", communicator.rank());
        communicator.abort(1);
    })
}
