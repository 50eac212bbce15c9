//! Training, generic over the path that computes.

mod metrics;
mod run;
mod sampling;
mod trainer;

pub use metrics::{Metrics, rmse};
pub use run::{Best, Duration, Keep, Observer, Outcome, RunOptions, evaluate, predict, run};
pub use sampling::Sampling;
pub use trainer::{Trainer, TrainerOptions};
