//! Training, generic over the path that computes.

mod checkpoint;
mod confusion;
mod flow;
mod metrics;
mod run;
mod sampling;
mod schedule;
mod trainer;

pub use checkpoint::{Checkpoint, SavedWeights, WriteSeek};
pub use confusion::ConfusionMatrix;
pub use flow::{StepFactor, last_alone, mean_derivative, recurrent_radii, spectral_radius};
pub use metrics::Metrics;
pub use run::{
    Best, Duration, Ended, Keep, Observer, Outcome, RunOptions, Work, evaluate, predict, predict_each, resume, run,
};
pub use sampling::Sampling;
pub use schedule::{Decay, Schedule};
pub use trainer::{Prediction, Trainer, TrainerOptions, TrainerState};
