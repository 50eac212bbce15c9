//! placeholder

// A library never panics on its input and never prints: both are the caller's to decide.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr))]

mod backend;
mod batch;
pub mod cpu;
pub mod data;
mod elementary;
mod error;
pub mod gpu;
pub mod model;
mod optim;
mod real;
pub mod train;

pub use backend::{Backend, Carry, Engine, EngineOptions, Report};
pub use batch::{Batch, Input, InputGradient, Output, OutputGradient, Sequence, States, Targets};
pub use cpu::{Cpu, CpuEngine};
pub use error::{Error, Result};
pub use gpu::Gpu;
pub use model::{
    Activation, At, Cell, Head, Initialisation, Layout, Loss, Model, Recurrent, RecurrentInit, Reduction, StateDict,
};
pub use optim::{Optimizer, Rule, Update};
pub use real::Real;
pub use train::{Trainer, TrainerOptions};
pub use {ndarray, wgpu};
