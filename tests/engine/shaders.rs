//! The shaders as text, held against what the host says of them. No GPU is needed.

use std::collections::BTreeSet;

use crate::common::CELLS;
use bptt::gpu::kernels::{Access, ShaderEntry, UNIFORMS, shader_entries};
use naga::back::{hlsl, msl};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

/// All kernels, with the steps of every kind of cell.
fn entries() -> Vec<ShaderEntry> {
    let mut cells = CELLS.to_vec();
    #[cfg(feature = "experiment")]
    cells.extend(crate::cells::outside());
    shader_entries(&cells)
}

fn parse(stem: &ShaderEntry) -> (naga::Module, ModuleInfo) {
    let source = stem.source();
    let module = naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|error| panic!("{}: {}", stem.label(), error.emit_to_string(&source)));
    // That of `pack2x16float` and `unpack2x16float`.
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::SHADER_FLOAT16_IN_FLOAT32);
    let info = validator.validate(&module).unwrap_or_else(|error| panic!("{}: {error:?}", stem.label()));
    (module, info)
}

fn entry_point(stem: &ShaderEntry, module: &naga::Module) -> usize {
    let place = module.entry_points.iter().position(|entry| entry.name == stem.name);
    place.unwrap_or_else(|| panic!("{}: the shader has no entry point of that name", stem.label()))
}

#[test]
fn every_shader_file_belongs_to_a_kernel() {
    let entries = entries();
    let used: BTreeSet<&str> = entries.iter().flat_map(|stem| stem.sources.iter().map(|(file, _)| *file)).collect();
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders")).unwrap();
    for file in folder.map(|file| file.unwrap().file_name().into_string().unwrap()) {
        assert!(used.contains(file.as_str()), "shaders/{file} belongs to no kernel");
    }
    let cells = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/cells")).unwrap();
    let cells = cells.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "wgsl"));
    let mut count = 0;
    for path in cells {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(entries.iter().any(|stem| stem.source().contains(&text)), "{} belongs to no cell", path.display());
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn host_structs_have_the_fields_and_offsets_of_the_wgsl_structs() {
    let mut seen = BTreeSet::new();
    for stem in &entries() {
        let (module, _) = parse(stem);
        for (_, variable) in module.global_variables.iter().filter(|(_, variable)| variable.binding.is_some()) {
            let kind = &module.types[variable.ty];
            let (Some(name), naga::TypeInner::Struct { members, .. }) = (&kind.name, &kind.inner) else { continue };
            let host = UNIFORMS.iter().find(|(host, _)| host == name);
            let (_, fields) = host.unwrap_or_else(|| panic!("{}: the host has no struct {name}", stem.label()));
            let wgsl: Vec<(&str, u32)> =
                members.iter().map(|member| (member.name.as_deref().unwrap(), member.offset)).collect();
            let host: Vec<(&str, u32)> = fields.iter().map(|(field, offset)| (*field, *offset as u32)).collect();
            assert_eq!(wgsl, host, "{}: struct {name}", stem.label());
            seen.insert(name.clone());
        }
    }
    let all: BTreeSet<String> = UNIFORMS.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(seen, all);
}

#[test]
fn host_bindings_are_those_used_by_each_entry_point() {
    for stem in &entries() {
        let (module, info) = parse(stem);
        let uses = info.get_entry_point(entry_point(stem, &module));
        let mut wgsl: Vec<(u32, Access)> = Vec::new();
        for (handle, variable) in module.global_variables.iter() {
            let Some(binding) = variable.binding.as_ref().filter(|_| !uses[handle].is_empty()) else { continue };
            assert_eq!(binding.group, 0, "{}", stem.label());
            let access = match variable.space {
                naga::AddressSpace::Uniform => {
                    let of = module.types[variable.ty].name.as_deref();
                    if binding.binding == 0 {
                        assert_eq!(of, Some(stem.uniform), "{}", stem.label());
                        Access::Uniform
                    } else {
                        assert_eq!(of, Some("LossScale"), "{}", stem.label());
                        Access::Scale
                    }
                }
                naga::AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE) => {
                    Access::ReadWrite
                }
                _ => Access::Read,
            };
            wgsl.push((binding.binding, access));
        }
        wgsl.sort_by_key(|(binding, _)| *binding);
        let host: Vec<_> = std::iter::once((0, Access::Uniform)).chain(stem.bindings()).collect();
        assert_eq!(wgsl, host, "{}", stem.label());
        let buffers = stem.bindings().into_iter().filter(|(_, access)| *access != Access::Scale).count();
        assert!(buffers <= 8, "{}: WebGPU promises 8 storage buffers", stem.label());
    }
}

#[test]
fn workgroups_stay_within_default_device_limits() {
    for stem in &entries() {
        let (module, info) = parse(stem);
        // What the host sets is no larger than what stands there.
        let entry = Some((naga::ShaderStage::Compute, stem.name));
        let (module, _) = naga::back::pipeline_constants::process_overrides(&module, &info, entry, &Default::default())
            .unwrap_or_else(|error| panic!("{}: {error}", stem.label()));
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        let entry = module.entry_points.iter().find(|entry| entry.name == stem.name).unwrap();
        assert!(entry.workgroup_size.iter().product::<u32>() <= 256, "{}", stem.label());
        let shared = module.global_variables.iter().filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup);
        let bytes: u32 = shared.map(|(_, variable)| layouter[variable.ty].size).sum();
        assert!(bytes <= 16 * 1024, "{}: {bytes} bytes of workgroup memory", stem.label());
        if stem.uniform == "Step" {
            // Only threads that share a product have some.
            let splits = stem.source().contains("shared_tile[");
            assert_eq!(bytes, if splits { 16 * 1024 } else { 0 }, "{}: its memory", stem.label());
        }
    }
}

#[test]
fn every_shader_translates_to_metal_and_direct3d() {
    for stem in &entries() {
        let (module, info) = parse(stem);
        let constants = Default::default();
        let entry = Some((naga::ShaderStage::Compute, stem.name));
        let (module, info) = naga::back::pipeline_constants::process_overrides(&module, &info, entry, &constants)
            .unwrap_or_else(|error| panic!("{}: {error}", stem.label()));
        let options = msl::Options { fake_missing_bindings: true, ..Default::default() };
        msl::write_string(&module, &info, &options, &msl::PipelineOptions::default())
            .unwrap_or_else(|error| panic!("{} in Metal: {error}", stem.label()));
        let options = hlsl::Options { fake_missing_bindings: true, ..Default::default() };
        let mut text = String::new();
        hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions::default())
            .write(&module, &info, None)
            .unwrap_or_else(|error| panic!("{} in HLSL: {error}", stem.label()));
        assert!(!text.is_empty());
    }
}

#[test]
fn kernels_with_indices_from_data_keep_their_checks() {
    let entries = shader_entries(&CELLS);
    let mut checked: Vec<&str> = entries.iter().filter(|stem| stem.data_indices).map(|stem| stem.name).collect();
    // Each with its variant for halves.
    checked.dedup();
    assert_eq!(checked, ["gather", "scatter", "embed", "embed_backward", "loss"]);
}
