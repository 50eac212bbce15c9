//! Training, generic over the path that computes.

mod metrics;
mod run;
mod trainer;

pub use metrics::Metrics;
pub use run::{Best, Duration, Keep, Observer, Outcome, RunOptions, evaluate, predict, run};
pub use trainer::{Trainer, TrainerOptions};
