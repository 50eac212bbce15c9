//! Experiments: what a trained model is beyond its weights, how each kind of data becomes batches, what is measured and against
//! which baseline, and the folder in which all of it is kept.

pub mod bench;
pub mod config;
pub mod device;
pub mod files;
pub mod gradcheck;
pub mod gradient_flow;
pub mod measure;
pub mod memory;
pub mod model;
pub mod resume;
pub mod settings;
pub mod setup;
pub mod tasks;
