//! Which device a command runs on.

use bptt::wgpu::{self, AdapterInfo, DeviceType, Limits};
use bptt::{Cpu, Error, Result};

/// How to come by a driver.
pub(crate) const DRIVER: &str =
    "for a GPU install its vendor's Vulkan driver, for a software one: apt-get install mesa-vulkan-drivers";

/// A device that is ready to work.
pub(crate) enum Device {
    /// The CPU path.
    Cpu(Cpu),
}

/// A device, and how it came to be this one.
pub(crate) struct Chosen {
    pub(crate) device: Device,
    /// What `--device` may say to get it again.
    pub(crate) name: String,
    /// Why not another, where that may surprise.
    pub(crate) note: Option<String>,
}

/// A GPU as the driver describes it.
pub(crate) struct Adapter {
    pub(crate) info: AdapterInfo,
    pub(crate) limits: Limits,
}

/// The GPUs that the drivers offer, software ones among them; their order is that of `--device INDEX`.
pub(crate) fn adapters() -> Vec<Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let found = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    found.iter().map(|adapter| Adapter { info: adapter.get_info(), limits: adapter.limits() }).collect()
}

/// Opens what `asked` names: `auto`, `gpu`, `cpu`, an index, or a part of a GPU's name.
///
/// # Errors
/// [`Error::NoDevice`] where nothing answers to it, with what there is.
pub(crate) fn choose(asked: &str, threads: Option<usize>) -> Result<Chosen> {
    let adapters = if asked == "cpu" { Vec::new() } else { adapters() };
    let infos: Vec<&AdapterInfo> = adapters.iter().map(|adapter| &adapter.info).collect();
    match pick(asked, &infos)? {
        Pick::Gpu(index) => open_gpu(index, &adapters[index]),
        Pick::Cpu(note) => {
            let cpu = match threads {
                Some(threads) => Cpu::with_threads(threads)?,
                None => Cpu::new(),
            };
            Ok(Chosen { device: Device::Cpu(cpu), name: "cpu".into(), note })
        }
    }
}

/// Opens the GPU at `index` of [`adapters`].
fn open_gpu(_index: usize, adapter: &Adapter) -> Result<Chosen> {
    Err(Error::NoDevice(format!("{}: this build has the CPU path alone; --device cpu", adapter.info.name)))
}

#[derive(Debug, PartialEq)]
enum Pick {
    /// The GPU of this index.
    Gpu(usize),
    /// The CPU path, with what there is to say about it.
    Cpu(Option<String>),
}

/// The choice itself, over any list of adapters.
fn pick(asked: &str, adapters: &[&AdapterInfo]) -> Result<Pick> {
    let best = |software: bool| {
        let suits = |info: &&AdapterInfo| software || rank(info.device_type) < rank(DeviceType::Cpu);
        let ranked = adapters.iter().enumerate().filter(|(_, info)| suits(info));
        ranked.min_by_key(|(_, info)| rank(info.device_type)).map(|(index, _)| index)
    };
    let lower = asked.to_lowercase();
    match lower.as_str() {
        "cpu" => Ok(Pick::Cpu(None)),
        "auto" => Ok(match (best(false), adapters.first()) {
            (Some(index), _) => Pick::Gpu(index),
            (None, Some(info)) => {
                let name = &info.name;
                Pick::Cpu(Some(format!(
                    "no GPU but a software driver, {name}, which is slower than this path\n{DRIVER}"
                )))
            }
            (None, None) => Pick::Cpu(Some(format!("no GPU driver answers\n{DRIVER}"))),
        }),
        "gpu" => match best(true) {
            Some(index) => Ok(Pick::Gpu(index)),
            None => Err(Error::NoDevice(format!("--device gpu: no GPU driver answers; {DRIVER}"))),
        },
        "" => Err(unknown(asked, adapters)),
        _ => {
            let index = match lower.parse::<usize>() {
                Ok(index) => Some(index).filter(|index| *index < adapters.len()),
                Err(_) => adapters.iter().position(|info| info.name.to_lowercase().contains(&lower)),
            };
            index.map(Pick::Gpu).ok_or_else(|| unknown(asked, adapters))
        }
    }
}

/// The lower the sooner taken.
fn rank(kind: DeviceType) -> u8 {
    match kind {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu | DeviceType::VirtualGpu => 1,
        DeviceType::Other => 2,
        DeviceType::Cpu => 3,
    }
}

fn unknown(asked: &str, adapters: &[&AdapterInfo]) -> Error {
    let list: String = adapters.iter().enumerate().map(|(index, info)| format!("\n  {index}  {}", info.name)).collect();
    let found = if list.is_empty() { " no GPU".into() } else { list };
    Error::NoDevice(format!("--device {asked}: expected auto, gpu, cpu, an index or a part of a name; found{found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(name: &str, kind: DeviceType) -> AdapterInfo {
        AdapterInfo { name: name.into(), ..AdapterInfo::new(kind, wgpu::Backend::Vulkan) }
    }

    #[test]
    fn auto_takes_a_discrete_gpu_before_an_integrated_one_and_never_a_software_driver() {
        let soft = adapter("llvmpipe", DeviceType::Cpu);
        let integrated = adapter("Intel Iris", DeviceType::IntegratedGpu);
        let discrete = adapter("NVIDIA H100", DeviceType::DiscreteGpu);
        assert_eq!(pick("auto", &[&soft, &integrated, &discrete]).unwrap(), Pick::Gpu(2));
        assert_eq!(pick("auto", &[&soft, &integrated]).unwrap(), Pick::Gpu(1));
        assert!(matches!(pick("auto", &[&soft]).unwrap(), Pick::Cpu(Some(note)) if note.contains("llvmpipe")));
        assert!(matches!(pick("auto", &[]).unwrap(), Pick::Cpu(Some(note)) if note.contains("mesa-vulkan-drivers")));
        assert_eq!(pick("gpu", &[&soft]).unwrap(), Pick::Gpu(0));
        assert_eq!(pick("cpu", &[&discrete]).unwrap(), Pick::Cpu(None));
    }

    #[test]
    fn a_device_is_found_by_index_and_by_a_part_of_its_name() {
        let soft = adapter("llvmpipe (LLVM 15)", DeviceType::Cpu);
        let discrete = adapter("NVIDIA H100", DeviceType::DiscreteGpu);
        assert_eq!(pick("h100", &[&soft, &discrete]).unwrap(), Pick::Gpu(1));
        assert_eq!(pick("0", &[&soft, &discrete]).unwrap(), Pick::Gpu(0));
        let error = pick("2", &[&soft, &discrete]).unwrap_err().to_string();
        assert!(error.contains("--device 2") && error.contains("1  NVIDIA H100"), "{error}");
        assert!(pick("gpu", &[]).unwrap_err().to_string().contains("vendor's Vulkan driver"));
    }
}
