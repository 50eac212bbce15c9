//! Benchmarks: the training step of a fixed network, what a device can do, and earlier measurements beside a new one.

pub mod basics;
pub mod compare;
pub mod machine;
pub mod statistics;
pub mod sweep;
pub mod timing;
pub mod workload;
