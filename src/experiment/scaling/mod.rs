//! What more ranks bring, on paper: the time of a training step on N ranks, from that on one.
//!
//! A step on N ranks takes the time in which a rank computes its rows, and after it that of the sums over ranks. Of the first
//! a part is the same for any number of rows: a recurrent network goes through its time steps one after another, and each takes
//! a while even with one row, and so does the update. It is Amdahl's law with a fixed part that is measured.
//!
//! The sums are those of [`bytes_sent_per_step`](crate::train::bytes_sent_per_step). Each is an `MPI_Alltoallv` and an
//! `MPI_Allgatherv`, whose times are those of Thakur, Rabenseifner and Gropp, "Optimization of Collective Communication
//! Operations in MPICH", IJHPCA 19 (2005), pages 49–66: latency × messages + bytes / bandwidth. See [`Link`].

mod describe;
mod model;
mod timed;

pub use model::{Link, MOST_RANKS, Scaling, SharedStep, StepTime};
pub use timed::{TimedStep, time_step};
