//! Signals: targets from inputs of the same time.

pub(crate) mod audio_data;
pub mod audio_task;
mod reading;
mod sensor_data;
pub mod sensor_task;
