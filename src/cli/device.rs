//! Which device a command runs on.

use bptt::gpu::{AdapterChoice, GpuOptions};
use bptt::wgpu::{AdapterInfo, DeviceType};
use bptt::{Backend, Cpu, Error, Gpu, Model, Optimizer, RecurrentKernel, Result, Trainer, TrainerOptions};

use super::gradients::{Gradients, Subject};
use super::network::Network;
use super::settings::{unsupported, words};

/// How to come by a driver.
pub(crate) const DRIVER: &str =
    "for a GPU install its vendor's Vulkan driver, for a software one: apt-get install mesa-vulkan-drivers";

/// A device that is ready to work, and how it came to be this one.
pub(crate) struct Opened {
    device: Device,
    /// How it takes the recurrent steps, where it is a GPU.
    kernel: RecurrentKernel,
    /// What `--device` may say to get it again.
    pub(crate) name: String,
    /// Why not another, where that may surprise.
    pub(crate) note: Option<String>,
}

enum Device {
    Cpu(Cpu),
    Gpu(Gpu),
}

impl Opened {
    /// The device in words.
    pub(crate) fn describe(&self) -> String {
        match &self.device {
            Device::Cpu(backend) => backend.describe(),
            Device::Gpu(backend) => backend.describe(),
        }
    }

    /// All gradients as it computes them.
    pub(crate) fn gradients(&self, subject: &Subject<'_>) -> Result<Gradients> {
        self.check_kernel(subject.model)?;
        match &self.device {
            Device::Cpu(backend) => subject.analytic(backend, self.kernel),
            Device::Gpu(backend) => subject.analytic(backend, self.kernel),
        }
    }

    /// The GPU, where it is one.
    pub(crate) fn gpu(&self) -> Option<&Gpu> {
        match &self.device {
            Device::Cpu(_) => None,
            Device::Gpu(gpu) => Some(gpu),
        }
    }

    /// In words how a network on it takes the recurrent steps of so many rows, where it is a GPU.
    pub(crate) fn describe_kernel(&self, network: &mut dyn Network, rows: usize) -> Option<String> {
        let taken = match network.kernel(rows)? {
            RecurrentKernel::Sequence => "a dispatch a sequence",
            _ => "a dispatch a step",
        };
        Some(format!("{taken}, by --kernel {}", words(&self.kernel)))
    }

    /// Whether it is the CPU path.
    pub(crate) fn is_cpu(&self) -> bool {
        matches!(self.device, Device::Cpu(_))
    }

    /// Whether its memory is the machine's.
    pub(crate) fn shares_memory(&self) -> bool {
        match &self.device {
            Device::Cpu(_) => true,
            Device::Gpu(gpu) => matches!(gpu.info().device_type, DeviceType::Cpu | DeviceType::IntegratedGpu),
        }
    }

    /// Refuses a kernel that cannot hold the model.
    fn check_kernel(&self, model: &Model) -> Result<()> {
        let (hidden, most) = (model.recurrent.hidden_size, RecurrentKernel::SEQUENCE_UNITS);
        match !self.is_cpu() && self.kernel == RecurrentKernel::Sequence && hidden > most {
            true => Err(unsupported(format!(
                "--kernel sequence (run.kernel) takes networks of at most {most} hidden units, which a workgroup holds, and \
                 this one has {hidden}: take --kernel step, or auto"
            ))),
            false => Ok(()),
        }
    }

    /// A network on it, with weights drawn from `seed`.
    pub(crate) fn network(
        &self,
        model: &Model,
        optimizer: Optimizer,
        seed: u64,
        mut options: TrainerOptions,
    ) -> Result<Box<dyn Network>> {
        self.check_kernel(model)?;
        options.engine.kernel = self.kernel;
        Ok(match &self.device {
            Device::Cpu(backend) => Box::new(Trainer::with_options(backend, model, optimizer, seed, options)?),
            Device::Gpu(backend) => Box::new(Trainer::with_options(backend, model, optimizer, seed, options)?),
        })
    }
}

/// Opens what `asked` names: `auto`, `gpu`, `cpu`, an index, or a part of a GPU's name. Threads are the CPU path's, the kernel
/// is a GPU's.
///
/// # Errors
/// [`Error::NoDevice`] where nothing answers to it, with what there is.
pub(crate) fn open(asked: &str, threads: Option<usize>, kernel: RecurrentKernel) -> Result<Opened> {
    open_for(asked, threads, kernel, false)
}

/// The same, with `profile` with the timestamps that a profile needs, where the device has them.
pub(crate) fn open_for(asked: &str, threads: Option<usize>, kernel: RecurrentKernel, profile: bool) -> Result<Opened> {
    let adapters = if asked.eq_ignore_ascii_case("cpu") { Vec::new() } else { pollster::block_on(Gpu::adapters()) };
    let infos: Vec<AdapterInfo> = adapters.iter().map(|adapter| adapter.get_info()).collect();
    match pick(asked, &infos.iter().collect::<Vec<_>>())? {
        Pick::Gpu(index) => {
            let options = GpuOptions { adapter: AdapterChoice::Index(index), profile, ..GpuOptions::default() };
            let gpu = pollster::block_on(Gpu::new(options))?;
            Ok(Opened { name: gpu.info().name.clone(), device: Device::Gpu(gpu), kernel, note: None })
        }
        Pick::Cpu(note) => {
            let cpu = match threads {
                Some(threads) => Cpu::with_threads(threads)?,
                None => {
                    // This thread takes its share: to hand each step over and be woken at its end takes longer than a small
                    // one. Where the pool is there already, it stays as it is.
                    let _ = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
                    Cpu::new()
                }
            };
            Ok(Opened { device: Device::Cpu(cpu), kernel, name: "cpu".into(), note })
        }
    }
}

#[derive(Debug, PartialEq)]
enum Pick {
    /// The GPU of this index.
    Gpu(usize),
    /// The CPU path, with what there is to say about it.
    Cpu(Option<String>),
}

/// The choice itself, over the adapters in the order of [`Gpu::adapters`]: real GPUs before software drivers.
fn pick(asked: &str, adapters: &[&AdapterInfo]) -> Result<Pick> {
    let lower = asked.to_lowercase();
    match lower.as_str() {
        "cpu" => Ok(Pick::Cpu(None)),
        "auto" => Ok(match adapters.first() {
            Some(info) if info.device_type != DeviceType::Cpu => Pick::Gpu(0),
            Some(info) => {
                let name = &info.name;
                Pick::Cpu(Some(format!(
                    "no GPU but a software driver, {name}, which is slower than this path\n\
                     for a GPU install its vendor's Vulkan driver; --device gpu takes the software one"
                )))
            }
            None => Pick::Cpu(Some(format!("no GPU driver answers\n{DRIVER}"))),
        }),
        "gpu" if adapters.is_empty() => Err(Error::NoDevice(format!("--device gpu: no GPU driver answers; {DRIVER}"))),
        "gpu" => Ok(Pick::Gpu(0)),
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

fn unknown(asked: &str, adapters: &[&AdapterInfo]) -> Error {
    let list: String = adapters.iter().enumerate().map(|(index, info)| format!("\n  {index}  {}", info.name)).collect();
    let found = if list.is_empty() { " no GPU".into() } else { list };
    Error::NoDevice(format!("--device {asked}: expected auto, gpu, cpu, an index or a part of a name; found{found}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bptt::wgpu;

    fn adapter(name: &str, kind: DeviceType) -> AdapterInfo {
        AdapterInfo { name: name.into(), ..AdapterInfo::new(kind, wgpu::Backend::Vulkan) }
    }

    #[test]
    fn auto_takes_the_first_gpu_and_never_a_software_driver() {
        let soft = adapter("llvmpipe", DeviceType::Cpu);
        let integrated = adapter("Intel Iris", DeviceType::IntegratedGpu);
        assert_eq!(pick("auto", &[&integrated, &soft]).unwrap(), Pick::Gpu(0));
        assert!(matches!(pick("auto", &[&soft]).unwrap(), Pick::Cpu(Some(note)) if note.contains("llvmpipe")));
        assert!(matches!(pick("auto", &[]).unwrap(), Pick::Cpu(Some(note)) if note.contains("mesa-vulkan-drivers")));
        assert_eq!(pick("gpu", &[&soft]).unwrap(), Pick::Gpu(0));
        assert_eq!(pick("cpu", &[&integrated]).unwrap(), Pick::Cpu(None));
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
