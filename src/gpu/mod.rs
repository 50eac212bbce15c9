//! The GPU backend: WGSL kernels, and the host code that dispatches the unrolled forward and backward passes.
//!
//! There are three layers: the plan in [`crate::model`] computes all sizes; a `Pass` is the list of commands for one
//! \[T, B\], created once; [`GpuEngine`] stages a batch, records the commands and submits them.

mod backend;
mod commands;
mod device;
mod engine;
mod pass;
mod record;
mod weights;

#[cfg(test)]
mod tests;

pub use device::{AdapterChoice, Counters, Gpu, GpuOptions, Tiles, required_features, required_limits};
pub use engine::{DeviceArrays, GpuEngine, GpuPredictions, GpuUpdate};

/// The kernels and their uniforms as data: for tests that hold them against the WGSL, and for tools that show what a
/// driver's compiler makes of them. Also one kernel by itself, for benches.
pub mod kernels {
    pub use super::commands::product::DeviceProduct;
    pub use super::commands::uniforms::UNIFORMS;
    pub use super::device::compiled_kernels;
    pub use super::device::kernel::{Access, CompiledKernel, ShaderEntry, shader_entries};
    pub use super::engine::planned::step_demand;
    pub use crate::model::plan::StepDemand;
}
