//! Benchmarks: the training step of a fixed network, the basics of a device, and comparisons with earlier measurements.

pub mod basics;
pub mod compare;
pub mod machine;
pub mod statistics;
pub mod sweep;
pub mod timing;
pub mod workload;
