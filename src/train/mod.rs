//! Training, generic over the backend.

mod checkpoint;
mod confusion;
mod evaluate;
mod gradient_decay;
mod gradients;
mod inference;
mod metrics;
mod options;
mod progress;
mod ranks;
mod run;
mod sampling;
mod schedule;
mod state;
mod trainer;

pub use checkpoint::{Checkpoint, SavedWeights, WriteSeek};
pub use confusion::ConfusionMatrix;
pub use evaluate::{evaluate, predict, predict_each};
pub use gradient_decay::{GradientDecay, last_alone, mean_derivative, recurrent_radii, spectral_radius};
pub use inference::{Evaluation, Prediction};
pub use metrics::Metrics;
pub use options::{KeepWeights, RunLength, RunOptions, TrainerOptions};
pub use progress::BestValidation;
pub use ranks::bytes_sent_per_step;
#[cfg(feature = "experiment")]
pub(crate) use ranks::sums_of_step;
pub use run::{Observer, Outcome, StepCounts, StopReason, resume, run};
pub use sampling::Sampling;
pub use schedule::{Decay, Schedule};
pub use state::{Averaged, TrainerState};
pub use trainer::Trainer;
