//! Which device a command runs on.

use std::error::Error as _;

use bptt::experiment::config::agree::{unsupported, words};
use bptt::experiment::files::arithmetic::Arithmetic;
use bptt::experiment::network::Network;
use bptt::gpu::{AdapterChoice, GpuOptions};
use bptt::wgpu::{AdapterInfo, DeviceType};
use bptt::{
    Backend, BatchShape, Cpu, EngineOptions, Error, Gpu, Memory, Model, Optimizer, RecurrentKernel, Result, Trainer,
    TrainerOptions,
};

use super::free_memory::resident;
use super::gradients::{Gradients, Subject};

/// How to come by a driver.
pub(crate) const DRIVER: &str =
    "for a GPU install its vendor's Vulkan driver, for a software one: apt-get install mesa-vulkan-drivers";

/// A device that is ready to work, and how it came to be this one.
pub(crate) struct Opened {
    device: Device,
    /// How it takes the recurrent steps, where it is a GPU.
    kernel: RecurrentKernel,
    /// What `--device` may say to get this very one again: `cpu`, or a GPU's [`identities`].
    pub(crate) name: String,
    /// Why not another, where that may surprise.
    pub(crate) note: Option<String>,
    /// What the driver took of the machine's memory when it was opened.
    pub(crate) driver: u64,
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

    /// What the bits of its results depend on.
    pub(crate) fn arithmetic(&self) -> Arithmetic {
        match &self.device {
            Device::Cpu(backend) => Arithmetic::of(backend),
            Device::Gpu(backend) => Arithmetic::of(backend),
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

    /// How a network on it takes the recurrent steps of so many rows, where it is a GPU.
    pub(crate) fn kernel(&self, model: &Model, rows: usize) -> Option<RecurrentKernel> {
        let options = EngineOptions { kernel: self.kernel, ..EngineOptions::default() };
        match &self.device {
            Device::Cpu(backend) => backend.planned_kernel(model, &options, rows),
            Device::Gpu(backend) => backend.planned_kernel(model, &options, rows),
        }
    }

    /// The same in words.
    pub(crate) fn describe_kernel(&self, model: &Model, rows: usize) -> Option<String> {
        let taken = match self.kernel(model, rows)? {
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

    /// What networks of a model take on it, made with these options; with `flow` also for the norms of ∂L/∂h_t.
    pub(crate) fn planner<'a>(&'a self, model: &'a Model, options: EngineOptions, flow: bool) -> Result<Planner<'a>> {
        self.check_kernel(model)?;
        Ok(Planner { opened: self, model, options: EngineOptions { kernel: self.kernel, ..options }, flow })
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

/// What training takes on a device, told before anything of it is taken.
pub(crate) struct Planner<'a> {
    pub(crate) opened: &'a Opened,
    pub(crate) model: &'a Model,
    options: EngineOptions,
    flow: bool,
}

impl Planner<'_> {
    /// What is taken once a batch of this shape was learned from.
    pub(crate) fn plan(&self, batch_shape: BatchShape) -> Result<Memory> {
        let Self { opened, model, options, flow } = self;
        match &opened.device {
            Device::Cpu(backend) => backend.plan(model, options, batch_shape, *flow),
            Device::Gpu(backend) => backend.plan(model, options, batch_shape, *flow),
        }
    }

    /// The most rows, up to `most`, with which that and `beside` bytes a row stay within `budget`.
    pub(crate) fn largest_rows(&self, batch_shape: BatchShape, budget: u64, most: usize, beside: u64) -> Result<usize> {
        let Self { opened, model, options, flow } = self;
        let network = (*model, options, *flow);
        match &opened.device {
            Device::Cpu(backend) => backend.largest_rows(network, batch_shape, budget, most, beside),
            Device::Gpu(backend) => backend.largest_rows(network, batch_shape, budget, most, beside),
        }
    }
}

/// Opens what `asked` names: `auto`, `gpu`, `cpu`, an index, a GPU's identity or a part of its name. Threads are the CPU
/// path's, the kernel is a GPU's.
///
/// # Errors
/// [`Error::NoDevice`] where nothing answers to it, or GPUs of several names do, with what there is.
pub(crate) fn open(asked: &str, threads: Option<usize>, kernel: RecurrentKernel) -> Result<Opened> {
    open_for(asked, threads, kernel, false)
}

/// The same, with `profile` with the timestamps that a profile needs, where the device has them.
pub(crate) fn open_for(asked: &str, threads: Option<usize>, kernel: RecurrentKernel, profile: bool) -> Result<Opened> {
    let before = resident();
    let adapters = if asked.eq_ignore_ascii_case("cpu") { Vec::new() } else { pollster::block_on(Gpu::adapters()) };
    let infos: Vec<AdapterInfo> = adapters.iter().map(|adapter| adapter.get_info()).collect();
    match pick(asked, &infos)? {
        Pick::Gpu(index, note) => {
            let options = GpuOptions { adapter: AdapterChoice::Index(index), profile, ..GpuOptions::default() };
            let gpu = pollster::block_on(Gpu::new(options))?;
            let (name, driver) = (identities(&infos).swap_remove(index), resident().saturating_sub(before));
            Ok(Opened { name, device: Device::Gpu(gpu), kernel, note, driver })
        }
        Pick::Cpu(note) => {
            let cpu = match threads {
                Some(threads) => Cpu::with_threads(threads)?,
                None => {
                    // This thread takes its share: to hand each step over and be woken at its end takes longer than a small
                    // one. Where the pool is there already, it stays as it is.
                    let pool = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
                    if let Err(error) = pool
                        && error.source().is_some()
                    {
                        let reason = "the threads of the CPU path cannot be started, for lack of memory or of threads";
                        return Err(Error::Failed(format!("{reason}: {error}; take fewer with --threads")));
                    }
                    Cpu::new()
                }
            };
            Ok(Opened { device: Device::Cpu(cpu), kernel, name: "cpu".into(), note, driver: 0 })
        }
    }
}

#[derive(Debug, PartialEq)]
enum Pick {
    /// The GPU of this index, with what there is to say about it.
    Gpu(usize, Option<String>),
    /// The CPU path, likewise.
    Cpu(Option<String>),
}

/// What tells each adapter from all others: `NVIDIA GeForce RTX 3080, vulkan, 0000:01:00.0`, its name, the API that reaches it,
/// and its place on the bus where the driver says so. Equal ones are numbered.
pub(crate) fn identities(adapters: &[AdapterInfo]) -> Vec<String> {
    let plain = |info: &AdapterInfo| {
        let address = &info.device_pci_bus_id;
        let place = if address.is_empty() { String::new() } else { format!(", {address}") };
        format!("{}{place}", without_address(info))
    };
    let all: Vec<String> = adapters.iter().map(plain).collect();
    let numbered = |(index, identity): (usize, &String)| match all.iter().filter(|other| *other == identity).count() {
        1 => identity.clone(),
        _ => format!("{identity}, #{}", all[..=index].iter().filter(|other| *other == identity).count()),
    };
    all.iter().enumerate().map(numbered).collect()
}

/// What a card keeps when it moves to another slot.
fn without_address(info: &AdapterInfo) -> String {
    format!("{}, {}", info.name, info.backend)
}

/// The choice itself, over the adapters in the order of [`Gpu::adapters`]: real GPUs before software drivers.
fn pick(asked: &str, adapters: &[AdapterInfo]) -> Result<Pick> {
    let lower = asked.to_lowercase();
    match lower.as_str() {
        "cpu" => Ok(Pick::Cpu(None)),
        "auto" => Ok(match adapters.first() {
            Some(info) if info.device_type != DeviceType::Cpu => Pick::Gpu(0, None),
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
        "gpu" => Ok(Pick::Gpu(0, None)),
        "" => Err(unknown(asked, adapters)),
        // `3080` is a part of a name.
        _ => match lower.parse::<usize>() {
            Ok(index) if index < adapters.len() => Ok(Pick::Gpu(index, None)),
            Ok(index) if index < 100 => Err(unknown(asked, adapters)),
            _ => by_name(asked, adapters),
        },
    }
}

/// The adapter of an identity, else of a name, else the one whose name has this part.
fn by_name(asked: &str, adapters: &[AdapterInfo]) -> Result<Pick> {
    let lower = asked.to_lowercase();
    let identities = identities(adapters);
    if let Some(index) = identities.iter().position(|identity| identity.to_lowercase() == lower) {
        return Ok(Pick::Gpu(index, None));
    }
    if let Some(index) =
        adapters.iter().position(|info| lower.starts_with(&(without_address(info) + ", ").to_lowercase()))
    {
        let note = format!("{asked} is not there; {} takes its place", identities[index]);
        return Ok(Pick::Gpu(index, Some(note)));
    }
    let such = |matches: &dyn Fn(&str) -> bool| -> Vec<usize> {
        (0..adapters.len()).filter(|index| matches(&adapters[*index].name.to_lowercase())).collect()
    };
    let exact = such(&|name| name == lower);
    let found = if exact.is_empty() { such(&|name| name.contains(&lower)) } else { exact };
    match found[..] {
        [] => Err(unknown(asked, adapters)),
        [index] => Ok(Pick::Gpu(index, None)),
        [first, ..] if found.iter().all(|index| adapters[*index].name == adapters[first].name) => {
            let note = format!("{} GPUs are called so; this is {}", found.len(), identities[first]);
            Ok(Pick::Gpu(first, Some(note)))
        }
        _ => Err(Error::NoDevice(format!(
            "--device {asked}: expected one GPU, got several; name one by its index or by more of its name{}",
            listed(&identities, &found)
        ))),
    }
}

fn unknown(asked: &str, adapters: &[AdapterInfo]) -> Error {
    let all: Vec<usize> = (0..adapters.len()).collect();
    let found = if all.is_empty() { " no GPU".into() } else { listed(&identities(adapters), &all) };
    Error::NoDevice(format!("--device {asked}: expected auto, gpu, cpu, an index or a part of a name; found{found}"))
}

/// A line each.
fn listed(identities: &[String], indices: &[usize]) -> String {
    indices.iter().map(|index| format!("\n  {index}  {}", identities[*index])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bptt::wgpu;

    fn adapter(name: &str, kind: DeviceType) -> AdapterInfo {
        AdapterInfo { name: name.into(), ..AdapterInfo::new(kind, wgpu::Backend::Vulkan) }
    }

    fn at(name: &str, address: &str) -> AdapterInfo {
        AdapterInfo { device_pci_bus_id: address.into(), ..adapter(name, DeviceType::DiscreteGpu) }
    }

    #[test]
    fn auto_takes_the_first_gpu_and_never_a_software_driver() {
        let soft = adapter("llvmpipe", DeviceType::Cpu);
        let integrated = adapter("Intel Iris", DeviceType::IntegratedGpu);
        assert_eq!(pick("auto", &[integrated.clone(), soft.clone()]).unwrap(), Pick::Gpu(0, None));
        let only = [soft];
        assert!(matches!(pick("auto", &only).unwrap(), Pick::Cpu(Some(note)) if note.contains("llvmpipe")));
        assert!(matches!(pick("auto", &[]).unwrap(), Pick::Cpu(Some(note)) if note.contains("mesa-vulkan-drivers")));
        assert_eq!(pick("gpu", &only).unwrap(), Pick::Gpu(0, None));
        assert_eq!(pick("cpu", &[integrated]).unwrap(), Pick::Cpu(None));
    }

    #[test]
    fn a_device_is_found_by_index_and_by_a_part_of_its_name() {
        let soft = adapter("llvmpipe (LLVM 15)", DeviceType::Cpu);
        let both = [soft, adapter("NVIDIA H100", DeviceType::DiscreteGpu)];
        assert_eq!(pick("h100", &both).unwrap(), Pick::Gpu(1, None));
        assert_eq!(pick("0", &both).unwrap(), Pick::Gpu(0, None));
        let error = pick("2", &both).unwrap_err().to_string();
        assert!(error.contains("--device 2") && error.contains("1  NVIDIA H100"), "{error}");
        assert!(pick("gpu", &[]).unwrap_err().to_string().contains("vendor's Vulkan driver"));
    }

    #[test]
    fn a_name_that_is_part_of_another_is_still_its_own() {
        let cards = [at("RTX 3080 Ti", "0000:01:00.0"), at("RTX 3080", "0000:02:00.0")];
        assert_eq!(pick("rtx 3080", &cards).unwrap(), Pick::Gpu(1, None));
        assert_eq!(pick("3080 ti", &cards).unwrap(), Pick::Gpu(0, None));
        let error = pick("3080", &cards).unwrap_err().to_string();
        let list = "\n  0  RTX 3080 Ti, vulkan, 0000:01:00.0\n  1  RTX 3080, vulkan, 0000:02:00.0";
        assert!(error.contains("--device 3080: expected one GPU, got several") && error.ends_with(list), "{error}");
    }

    #[test]
    fn every_adapter_is_found_again_by_its_identity_also_among_equals() {
        let cards = [
            at("RTX 3080 Ti", "0000:01:00.0"),
            at("RTX 3080", "0000:02:00.0"),
            at("RTX 3080", "0000:03:00.0"),
            AdapterInfo { backend: wgpu::Backend::Dx12, ..at("RTX 3080", "") },
            at("Twin", ""),
            at("Twin", ""),
        ];
        for (index, identity) in identities(&cards).iter().enumerate() {
            assert_eq!(pick(identity, &cards).unwrap(), Pick::Gpu(index, None), "{identity}");
        }
        let first = "3 GPUs are called so; this is RTX 3080, vulkan, 0000:02:00.0";
        assert_eq!(pick("RTX 3080", &cards).unwrap(), Pick::Gpu(1, Some(first.into())));
    }

    #[test]
    fn a_card_that_moved_to_another_slot_is_taken_with_a_word_and_another_card_never() {
        let cards = [at("RTX 3080 Ti", "0000:01:00.0"), at("RTX 3080", "0000:02:00.0")];
        let note = "RTX 3080, vulkan, 0000:09:00.0 is not there; RTX 3080, vulkan, 0000:02:00.0 takes its place";
        let moved = pick("RTX 3080, vulkan, 0000:09:00.0", &cards).unwrap();
        assert_eq!(moved, Pick::Gpu(1, Some(note.into())));
        for other in ["RTX 3080, dx12, 0000:02:00.0", "RTX 3090, vulkan, 0000:02:00.0"] {
            assert!(pick(other, &cards).unwrap_err().to_string().contains("1  RTX 3080, vulkan"), "{other}");
        }
    }
}
