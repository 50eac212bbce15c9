//! A Vulkan driver as a compiler: pipelines are made of SPIR-V and asked for their statistics and assembly
//! (`VK_KHR_pipeline_executable_properties`). Nothing runs.

use std::error::Error;
use std::ffi::{CStr, CString, c_char};

use ash::{ext, khr, vk};
use bptt::gpu::kernels::ShaderEntry;

use crate::spirv::Module;

/// What the driver says of a pipeline.
pub struct Compiled {
    /// Figures by the driver's names for them.
    pub statistics: Vec<(String, u64)>,
    pub assembly: String,
}

impl Compiled {
    /// A figure by the driver's name for it.
    ///
    /// # Errors
    /// If the driver has none of that name.
    pub fn statistic(&self, name: &str) -> Result<u64, String> {
        let found = self.statistics.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<&str> = self.statistics.iter().map(|(name, _)| name.as_str()).collect();
            format!("the driver has no statistic \"{name}\", only {}", names.join(", "))
        })
    }
}

/// A Vulkan driver. Its handles are closed with the process.
pub struct Driver {
    _entry: ash::Entry,
    device: ash::Device,
    executables: khr::pipeline_executable_properties::Device,
    /// The device, and the driver with its version.
    pub name: String,
    /// Whether the chip counts stores apart from loads: RDNA does, earlier ones wait for both with one counter.
    pub counts_stores_apart: bool,
}

impl Driver {
    /// Opens the first device of the driver that the environment names, with the features that wgpu turns on and that
    /// change code: checked buffers.
    ///
    /// # Errors
    /// If there is no loader or no such device, or if it cannot be asked about its pipelines.
    pub fn open() -> Result<Self, Box<dyn Error>> {
        // SAFETY: the loader is the system's, and every structure lives until the call that reads it returns.
        unsafe {
            let entry = ash::Entry::load().map_err(|error| format!("no Vulkan loader (libvulkan1): {error}"))?;
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let instance =
                entry.create_instance(&vk::InstanceCreateInfo::default().application_info(&application), None)?;
            let devices = instance.enumerate_physical_devices()?;
            let physical = *devices.first().ok_or("the driver has no device")?;
            let mut version = vk::PhysicalDeviceDriverProperties::default();
            let mut subgroups = vk::PhysicalDeviceSubgroupSizeControlProperties::default();
            let mut properties =
                vk::PhysicalDeviceProperties2::default().push_next(&mut version).push_next(&mut subgroups);
            instance.get_physical_device_properties2(physical, &mut properties);
            let device_name = text(&properties.properties.device_name);
            let name = format!("{device_name}, {}", text(&version.driver_info));
            let mut features =
                vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
            let mut robustness = vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true);
            let base = vk::PhysicalDeviceFeatures::default().robust_buffer_access(true);
            let extensions = [khr::pipeline_executable_properties::NAME, ext::robustness2::NAME].map(CStr::as_ptr);
            let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
            let info = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queues)
                .enabled_features(&base)
                .enabled_extension_names(&extensions)
                .push_next(&mut features)
                .push_next(&mut robustness);
            let device = instance.create_device(physical, &info, None).map_err(|error| format!("{name}: {error}"))?;
            let executables = khr::pipeline_executable_properties::Device::new(&instance, &device);
            let counts_stores_apart = subgroups.min_subgroup_size < 64;
            Ok(Self { _entry: entry, device, executables, name, counts_stores_apart })
        }
    }

    /// Compiles a kernel.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn compile(&self, entry: &ShaderEntry, module: &Module) -> Result<Compiled, Box<dyn Error>> {
        let device = &self.device;
        let name = CString::new(entry.name)?;
        let count = 1 + entry.bindings().len() as u32;
        let bindings: Vec<_> = (0..count)
            .map(|binding| {
                let uniform = vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC;
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding)
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
                    .descriptor_type(if binding == 0 { uniform } else { vk::DescriptorType::STORAGE_BUFFER })
            })
            .collect();
        // SAFETY: naga has validated the module, and every handle is destroyed after its last use.
        unsafe {
            let shader =
                device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(&module.words), None)?;
            let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let sets = [device.create_descriptor_set_layout(&info, None)?];
            let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = device.create_pipeline_layout(&info, None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(shader)
                .name(&name);
            let info = vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout).flags(
                vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                    | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR,
            );
            let made = device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            let pipeline = made.map_err(|(_, error)| error)?[0];
            let compiled = self.ask(pipeline);
            device.destroy_pipeline(pipeline, None);
            device.destroy_pipeline_layout(layout, None);
            device.destroy_descriptor_set_layout(sets[0], None);
            device.destroy_shader_module(shader, None);
            compiled
        }
    }

    /// What the driver says of the one executable of a compute pipeline.
    ///
    /// # Safety
    /// The pipeline lives and was made to be asked.
    unsafe fn ask(&self, pipeline: vk::Pipeline) -> Result<Compiled, Box<dyn Error>> {
        let executable = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
        // SAFETY: the pipeline is as the caller promises, and the buffers are as long as the driver said.
        unsafe {
            let statistics = self.executables.get_pipeline_executable_statistics(&executable)?;
            let statistics = statistics.iter().map(|statistic| {
                let value = match statistic.format {
                    vk::PipelineExecutableStatisticFormatKHR::BOOL32 => statistic.value.b32.into(),
                    vk::PipelineExecutableStatisticFormatKHR::FLOAT64 => statistic.value.f64 as u64,
                    _ => statistic.value.u64,
                };
                (text(&statistic.name), value)
            });
            let ask = self.executables.fp().get_pipeline_executable_internal_representations_khr;
            let mut count = 0;
            ask(self.device.handle(), &executable, &mut count, std::ptr::null_mut()).result()?;
            let mut forms = vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
            // Once for the lengths, then for the texts.
            ask(self.device.handle(), &executable, &mut count, forms.as_mut_ptr()).result()?;
            let mut texts: Vec<Vec<u8>> = forms.iter().map(|form| vec![0; form.data_size]).collect();
            for (form, text) in forms.iter_mut().zip(&mut texts) {
                form.p_data = text.as_mut_ptr().cast();
            }
            ask(self.device.handle(), &executable, &mut count, forms.as_mut_ptr()).result()?;
            // The forms follow the compiler's stages.
            let last = texts.last().ok_or("the driver gives no assembly")?;
            let assembly = CStr::from_bytes_until_nul(last)?.to_string_lossy().into_owned();
            Ok(Compiled { statistics: statistics.collect(), assembly })
        }
    }
}

/// A text in an array that a zero ends.
fn text(letters: &[c_char]) -> String {
    let bytes: Vec<u8> = letters.iter().map(|letter| *letter as u8).take_while(|letter| *letter != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
