//! Training, generic over the path that computes.

mod trainer;

pub use trainer::{Trainer, TrainerOptions};
