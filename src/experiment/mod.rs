//! Experiments: what a trained model is beyond its weights, how each kind of data becomes batches, what is measured and against
//! which baseline, and the folder in which all of it is kept.

pub mod config;
pub mod files;
pub mod measure;
pub mod model;
pub mod network;
pub mod resume;
pub mod settings;
pub mod tasks;
