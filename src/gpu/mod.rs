//! The GPU path: WGSL kernels, and the host that dispatches the unroll and the reverse time loop.
//!
//! In three layers: the plan in [`crate::model`] says what there is; a `Pass` is the list of commands over one \[T, B\],
//! made once; [`GpuEngine`] stages a batch, records the list and submits it.

mod arena;
mod backward;
mod blocks;
mod builder;
mod carried;
mod device;
mod device_arrays;
mod dropout;
mod embedding;
mod engine;
mod forward;
mod head;
mod kernel;
mod network;
mod packed;
mod pass;
mod planned;
mod product;
mod profiler;
mod program;
mod recorder;
mod signal;
mod staging;
mod uniforms;
mod updater;

#[cfg(test)]
mod tests;

pub use device::{AdapterChoice, Counters, Gpu, GpuOptions, Tiles, required_features, required_limits};
pub use device_arrays::DeviceArrays;
pub use engine::GpuEngine;

/// The kernels and their uniforms as data, for tests that hold them against the WGSL; and one by itself, for benches.
pub mod kernels {
    pub use super::kernel::{Access, STEMS, Stem};
    pub use super::product::Product;
    pub use super::uniforms::UNIFORMS;
}
