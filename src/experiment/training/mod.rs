//! Training: from settings to a run's folder with its weights, logs, pictures and report.

mod described;
mod followed;
mod loaded;
mod missing;
mod opened;
mod pace;
mod recent_loss;
mod recorder;
mod report;
mod run;

pub use followed::FollowedRun;
pub use loaded::Experiment;
pub use missing::Missing;
pub use pace::{Pace, ResumedProgress, TrainingClock, TrainingLength, seconds_text};
pub use recent_loss::RecentLoss;
pub(crate) use report::joined;
pub use run::{TrainedSteps, TrainingRun};
