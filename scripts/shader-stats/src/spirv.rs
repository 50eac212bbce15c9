//! WGSL to SPIR-V, as wgpu does it for a Vulkan 1.3 driver with robustBufferAccess2: `Options` as `vulkan/adapter.rs`
//! of `wgpu-hal` 30 makes them, changed for kernels without checks as in its `vulkan/device.rs`.

use std::error::Error;

use bptt::gpu::kernels::CompiledKernel;
use naga::ShaderStage;
use naga::back::pipeline_constants::process_overrides;
use naga::back::spv::{
    BindingInfo, Options, PipelineOptions, WriterFlags, ZeroInitializeWorkgroupMemoryMode, write_vec,
};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// A kernel in SPIR-V.
pub struct Module {
    pub words: Vec<u32>,
    /// The workgroup's size.
    pub group: [u32; 3],
}

/// Translates a kernel.
///
/// # Errors
/// Those of naga, with the place in the text.
pub fn translate(kernel: &CompiledKernel) -> Result<Module, Box<dyn Error>> {
    let source = kernel.entry.source();
    let module = naga::front::wgsl::parse_str(&source).map_err(|error| error.emit_to_string(&source))?;
    // That of `pack2x16float` and `unpack2x16float`.
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::SHADER_FLOAT16_IN_FLOAT32);
    let info = validator.validate(&module).map_err(|error| error.emit_to_string(&source))?;
    let (stage, name) = (ShaderStage::Compute, kernel.entry.name);
    let constants = kernel.constants.iter().cloned().collect();
    let (module, info) = process_overrides(&module, &info, Some((stage, name)), &constants)?;
    let entry = module.entry_points.iter().find(|entry| entry.name == name).ok_or("no entry point of that name")?;
    let index = if kernel.checked { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
    let options = Options {
        lang_version: (1, 6),
        flags: WriterFlags::LABEL_VARYINGS | WriterFlags::FORCE_POINT_SIZE,
        // A descriptor's number is its place in the layout: the uniform, then the storage bindings without gaps.
        binding_map: std::iter::once(0)
            .chain(kernel.entry.bindings().iter().map(|(binding, _)| *binding))
            .zip(0..)
            .map(|(binding, number)| {
                let number = BindingInfo { descriptor_set: 0, binding: number, binding_array_size: None };
                (naga::ResourceBinding { group: 0, binding }, number)
            })
            .collect(),
        // Any: what a driver cannot do, it refuses.
        capabilities: None,
        bounds_check_policies: BoundsCheckPolicies {
            index,
            buffer: BoundsCheckPolicy::Unchecked,
            image_load: BoundsCheckPolicy::Unchecked,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: kernel.checked,
        emit_int_div_checks: kernel.checked,
        ..Options::default()
    };
    let pipeline = PipelineOptions { shader_stage: stage, entry_point: name.into() };
    let words = write_vec(&module, &info, &options, Some(&pipeline))?;
    Ok(Module { words, group: entry.workgroup_size })
}
