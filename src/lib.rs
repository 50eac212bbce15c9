//! placeholder
mod backend;
mod batch;
mod cpu;
mod elementary;
mod error;
pub mod model;
mod optim;
mod real;
mod train;

pub use backend::{Backend, Carry, Engine, EngineOptions, Report};
pub use batch::{Batch, Input, InputGradient, Output, OutputGradient, Sequence, States, Targets};
pub use cpu::{Cpu, CpuEngine};
pub use error::{Error, Result};
pub use model::{
    Activation, At, Cell, Head, Initialisation, Layout, Loss, Model, Recurrent, RecurrentInit, Reduction, StateDict,
};
pub use optim::{Optimizer, Rule, Update};
pub use real::Real;
pub use train::{Trainer, TrainerOptions};
pub use {ndarray, wgpu};
