//! An open device and the networks on it.

use std::error::Error as _;

use wgpu::{AdapterInfo, DeviceType};

use super::free_memory::resident;
use super::network::Network;
pub use super::selection::Place;
use super::selection::{Selection, at_place, identities, select, threads_at};
use crate::experiment::config::RunConfig;
use crate::experiment::config::agree::{unsupported, words};
use crate::experiment::files::arithmetic::Arithmetic;
use crate::gpu::{AdapterChoice, GpuOptions};
use crate::{
    Backend, BatchShape, Cpu, EngineOptions, Error, Gpu, Memory, Model, Optimizer, Precision, RecurrentKernel, Result,
    Trainer, TrainerOptions,
};

/// Options of the device to open.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceOptions {
    /// `auto`, `gpu`, `cpu`, or a GPU by its index, its identity or a part of its name.
    pub name: String,
    /// Threads of the CPU backend; `None`: all cores.
    pub threads: Option<usize>,
    /// How a GPU runs the recurrent steps.
    pub kernel: RecurrentKernel,
    /// How a GPU stores z, h and copies of W_hh.
    pub precision: Precision,
    /// Whether to ask a GPU for the timestamps that a profile needs.
    pub profile: bool,
    /// The place of a rank on its machine: it takes the GPU of its number, and its share of the threads.
    pub place: Option<Place>,
}

impl Default for DeviceOptions {
    /// The first hardware GPU, or else the CPU backend with all cores.
    fn default() -> Self {
        let (kernel, precision) = (RecurrentKernel::default(), Precision::default());
        Self { name: "auto".into(), threads: None, kernel, precision, profile: false, place: None }
    }
}

impl From<&RunConfig> for DeviceOptions {
    /// `auto` without a device.
    fn from(run: &RunConfig) -> Self {
        let RunConfig { device, threads, kernel, precision, .. } = run;
        Self {
            name: device.clone().unwrap_or_else(|| "auto".into()),
            threads: *threads,
            kernel: kernel.unwrap_or_default(),
            precision: precision.unwrap_or_default(),
            profile: false,
            place: None,
        }
    }
}

/// A device that is ready to compute.
pub struct OpenDevice {
    backend: AnyBackend,
    /// How a GPU runs the recurrent steps, and stores what they read.
    kernel: RecurrentKernel,
    precision: Precision,
    /// The name by which `--device` selects this device: `cpu`, or a GPU's identity.
    pub name: String,
    /// A note on the selection, if it may surprise.
    pub note: Option<String>,
    /// Bytes of the machine's memory that the GPU's driver took when the device was opened.
    pub driver_bytes: u64,
}

/// A backend whose type is not known at compile time.
pub(crate) enum AnyBackend {
    Cpu(Cpu),
    Gpu(Gpu),
}

/// The same expression for either backend.
macro_rules! with_backend {
    ($device:expr, $backend:ident => $body:expr) => {
        match &$device.backend {
            AnyBackend::Cpu($backend) => $body,
            AnyBackend::Gpu($backend) => $body,
        }
    };
}

impl OpenDevice {
    /// Opens the device that the options name.
    ///
    /// # Errors
    /// [`Error::NoDevice`] if no device matches the name or several different ones do; it lists all devices.
    pub async fn open(options: &DeviceOptions) -> Result<Self> {
        let DeviceOptions { name, threads, kernel, precision, profile, place } = options;
        let (kernel, precision, before) = (*kernel, *precision, resident());
        let adapters = if name.eq_ignore_ascii_case("cpu") { Vec::new() } else { Gpu::adapters().await };
        let infos: Vec<AdapterInfo> = adapters.iter().map(|adapter| adapter.get_info()).collect();
        match at_place(select(name, &infos)?, name, &infos, *place) {
            Selection::Gpu(index, note) => {
                let adapter = AdapterChoice::Index(index);
                let gpu = Gpu::new(GpuOptions { adapter, profile: *profile, ..GpuOptions::default() }).await?;
                let name = identities(&infos).swap_remove(index);
                let driver_bytes = resident().saturating_sub(before);
                Ok(Self { backend: AnyBackend::Gpu(gpu), kernel, precision, name, note, driver_bytes })
            }
            Selection::Cpu(note) => {
                let backend = AnyBackend::Cpu(cpu(threads.or(place.map(threads_at)))?);
                Ok(Self { backend, kernel, precision, name: "cpu".into(), note, driver_bytes: 0 })
            }
        }
    }

    /// Opens the device for a trained model. The CPU backend applies one that was trained with halves in its own precision,
    /// which is the greater one.
    ///
    /// # Errors
    /// As of [`open`](Self::open).
    pub(crate) async fn open_for_inference(options: &DeviceOptions) -> Result<Self> {
        let mut device = Self::open(options).await?;
        if device.is_cpu() {
            device.precision = Precision::F32;
        }
        Ok(device)
    }

    pub(crate) fn backend(&self) -> &AnyBackend {
        &self.backend
    }

    /// The GPU, for engines of the caller's own; `None` for the CPU backend.
    pub fn gpu(&self) -> Option<&Gpu> {
        match &self.backend {
            AnyBackend::Cpu(_) => None,
            AnyBackend::Gpu(gpu) => Some(gpu),
        }
    }

    /// Describes the device in words.
    pub fn describe(&self) -> String {
        with_backend!(self, backend => backend.describe())
    }

    /// What the bits of its results depend on.
    pub fn arithmetic(&self) -> Arithmetic {
        with_backend!(self, backend => Arithmetic::of(backend))
    }

    /// These options of an engine, with what was requested of this device.
    pub(crate) fn engine_options(&self, options: EngineOptions) -> EngineOptions {
        EngineOptions { kernel: self.kernel, precision: self.precision, ..options }
    }

    /// The requested precision.
    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// The kernel of the recurrent steps of `rows` rows; `None` on the CPU backend.
    pub fn kernel(&self, model: &Model, rows: usize) -> Option<RecurrentKernel> {
        let options = self.engine_options(EngineOptions::default());
        with_backend!(self, backend => backend.planned_kernel(model, &options, rows))
    }

    /// The same in words, with the precision if it is not f32.
    pub fn describe_kernel(&self, model: &Model, rows: usize) -> Option<String> {
        let chosen = match self.kernel(model, rows)? {
            RecurrentKernel::Sequence => "one dispatch per sequence",
            _ => "one dispatch per step",
        };
        let halves = match self.precision {
            Precision::F32 => String::new(),
            Precision::F16 => ", z, h and W_hh read as halves (--precision f16)".into(),
        };
        Some(format!("{chosen} (run.kernel {}){halves}", words(&self.kernel)))
    }

    /// Whether this is the CPU backend.
    pub fn is_cpu(&self) -> bool {
        matches!(self.backend, AnyBackend::Cpu(_))
    }

    /// Whether it uses the machine's memory.
    pub(crate) fn shares_memory(&self) -> bool {
        match &self.backend {
            AnyBackend::Cpu(_) => true,
            AnyBackend::Gpu(gpu) => {
                matches!(gpu.info().device_type, DeviceType::Cpu | DeviceType::IntegratedGpu)
            }
        }
    }

    /// Refuses a kernel that cannot hold the model, and a precision that the CPU backend does not have.
    pub(crate) fn check_options(&self, model: &Model) -> Result<()> {
        if self.is_cpu() && self.precision != Precision::F32 {
            return Err(unsupported(
                "--precision f16 (run.precision) is how a GPU stores z and h, and the device is the CPU: take f32, or name a \
                 GPU with --device",
            ));
        }
        if self.is_cpu() || self.kernel != RecurrentKernel::Sequence {
            return Ok(());
        }
        let (hidden, most) = (model.recurrent.hidden_size, RecurrentKernel::SEQUENCE_UNITS);
        if model.recurrent.proj_size.is_some() {
            return Err(unsupported(
                "run.kernel sequence does not project h (model.proj-size): take --set run.kernel=step, or auto",
            ));
        }
        if hidden > most {
            return Err(unsupported(format!(
                "run.kernel sequence takes networks of at most {most} hidden units, which a workgroup holds, and \
                 this one has {hidden}: take --set run.kernel=step, or auto"
            )));
        }
        Ok(())
    }

    /// Plans the memory of networks of a model with these options; with `gradient_norms` also of ‖∂L/∂h_t‖.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the device's kernel cannot hold the model or the CPU lacks the precision.
    pub fn planner<'a>(
        &'a self,
        model: &'a Model,
        options: EngineOptions,
        gradient_norms: bool,
    ) -> Result<NetworkPlanner<'a>> {
        self.check_options(model)?;
        let options = self.engine_options(options);
        Ok(NetworkPlanner { device: self, model, options, gradient_norms })
    }

    /// A network on the device, with weights drawn from `seed`.
    ///
    /// # Errors
    /// As of [`Trainer::with_options`], and where the device's kernel cannot hold the model or the CPU lacks the precision.
    pub fn network(
        &self,
        model: &Model,
        optimizer: Optimizer,
        seed: u64,
        mut options: TrainerOptions,
    ) -> Result<Network> {
        self.check_options(model)?;
        options.engine = self.engine_options(options.engine);
        Ok(match &self.backend {
            AnyBackend::Cpu(backend) => Trainer::with_options(backend, model, optimizer, seed, options)?.into(),
            AnyBackend::Gpu(backend) => Trainer::with_options(backend, model, optimizer, seed, options)?.into(),
        })
    }
}

fn cpu(threads: Option<usize>) -> Result<Cpu> {
    if let Some(threads) = threads {
        return Cpu::with_threads(threads);
    }
    // The caller's own pool. A global one with a thread of another pool is refused, and could never be made again.
    if rayon::current_thread_index().is_some() {
        return Ok(Cpu::new());
    }
    // This thread takes part in the work: handing over a small step and being woken takes longer than computing it. An
    // existing pool is kept.
    let pool = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
    if let Err(error) = pool
        && error.source().is_some()
    {
        let reason = "the threads of the CPU backend cannot be started, for lack of memory or of threads";
        return Err(Error::Failed(format!("{reason}: {error}; take fewer with --threads")));
    }
    Ok(Cpu::new())
}

/// Plans the memory of networks of one model on a device. Allocates nothing.
pub struct NetworkPlanner<'a> {
    pub(crate) device: &'a OpenDevice,
    pub(crate) model: &'a Model,
    options: EngineOptions,
    gradient_norms: bool,
}

impl NetworkPlanner<'_> {
    /// The memory of a network after a training step with a batch of this shape.
    ///
    /// # Errors
    /// [`Error::Limit`] where the device cannot hold it.
    pub(crate) fn plan(&self, batch_shape: BatchShape) -> Result<Memory> {
        let Self { device, model, options, gradient_norms } = self;
        with_backend!(device, backend => backend.plan(model, options, batch_shape, *gradient_norms))
    }

    /// The largest number of rows, at most `most`, with which that and `beside` bytes per row fit into `budget` bytes.
    ///
    /// # Errors
    /// [`Error::Limit`] where not even one row fits.
    pub(crate) fn largest_rows(&self, batch_shape: BatchShape, budget: u64, most: usize, beside: u64) -> Result<usize> {
        let Self { device, model, options, gradient_norms } = self;
        let network = (*model, options, *gradient_norms);
        with_backend!(device, backend => backend.largest_rows(network, batch_shape, budget, most, beside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Wait;

    #[test]
    fn the_cpu_of_a_pool_leaves_the_global_pool_to_others() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
        let options = DeviceOptions { name: "cpu".into(), ..DeviceOptions::default() };
        let device = pool.install(|| OpenDevice::open(&options).wait()).expect("the CPU");
        assert!(device.describe().contains("2 threads"), "{}", device.describe());
        // It panics where the global pool has been refused.
        assert!(std::thread::spawn(rayon::current_num_threads).join().is_ok());
    }
}
