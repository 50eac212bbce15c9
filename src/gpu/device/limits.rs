//! What a device must offer, and what the plan depends on.

use super::Gpu;
use crate::model::DeviceLimits;
use crate::model::plan::{MAX_HELD_WEIGHTS, MAX_TURNS_OF_GPUS, MAX_TURNS_OF_SOFTWARE};

/// The limits required of a device for [`Gpu::from_device`]: WebGPU's defaults for compute shaders, and the adapter's
/// largest buffers and bindings, since they bound the length of a time chunk, and workgroup memory.
pub fn required_limits(adapter: &wgpu::Limits) -> wgpu::Limits {
    wgpu::Limits {
        max_buffer_size: adapter.max_buffer_size,
        max_storage_buffer_binding_size: adapter.max_storage_buffer_binding_size,
        max_storage_buffers_per_shader_stage: wgpu::Limits::defaults().max_storage_buffers_per_shader_stage,
        max_compute_workgroup_storage_size: adapter
            .max_compute_workgroup_storage_size
            .max(wgpu::Limits::defaults().max_compute_workgroup_storage_size),
        ..wgpu::Limits::downlevel_defaults()
    }
}

/// The features required of a device for [`Gpu::from_device`]: none beyond WebGPU's base.
pub fn required_features() -> wgpu::Features {
    wgpu::Features::empty()
}

impl Gpu {
    /// The limits that the plan depends on.
    pub fn limits(&self) -> DeviceLimits {
        let limits = self.0.device.limits();
        DeviceLimits {
            max_binding: limits.max_storage_buffer_binding_size,
            max_buffer: limits.max_buffer_size,
            max_groups: limits.max_compute_workgroups_per_dimension,
            max_shared: limits.max_compute_workgroup_storage_size,
            held_weights: held_weights(&self.0.info),
            max_turns: if self.0.info.device_type == wgpu::DeviceType::Cpu {
                MAX_TURNS_OF_SOFTWARE
            } else {
                MAX_TURNS_OF_GPUS
            },
            software: self.0.software,
        }
    }
}

/// The 4 × 4 blocks of weights that a thread of this adapter can keep in registers. AMD's and NVIDIA's have 255 registers
/// in workgroups of 256; Intel's and Apple's have half as many or fewer.
fn held_weights(info: &wgpu::AdapterInfo) -> usize {
    const AMD: u32 = 0x1002;
    const NVIDIA: u32 = 0x10de;
    // A software driver, which gets hardware's tiles in tests, has memory for registers. On wgpu's noop device nothing runs:
    // it shows the plan of other GPUs.
    let enough = matches!(info.vendor, AMD | NVIDIA)
        || info.device_type == wgpu::DeviceType::Cpu
        || info.backend == wgpu::Backend::Noop;
    if enough { MAX_HELD_WEIGHTS } else { 0 }
}
