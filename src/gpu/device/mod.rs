//! The GPU device: choosing an adapter, or using a device of the host program.

mod cell_kernel;
mod compilation;
mod expansion;
pub(crate) mod kernel;
mod limits;
mod product_kernel;
pub(crate) mod signal;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
#[cfg(not(target_arch = "wasm32"))]
use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use self::kernel::{CompiledKernel, Constants, Kernel, NARROW, ShaderEntry, backward_step, forward_step};
pub use self::limits::{required_features, required_limits};
use crate::error::{Error, Result};
use crate::model::Cell;
use crate::model::plan::{StepForm, Storage};

/// The choice of an adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdapterChoice {
    /// A discrete GPU, otherwise an integrated or virtual one, otherwise a software driver, which is logged as a warning
    /// (crate `log`) because it is slower than the [`Cpu`](crate::Cpu) backend.
    #[default]
    Best,
    /// As `Best`, without software drivers: [`Gpu::new`] fails where there is only one.
    Hardware,
    /// The first adapter, in the order of `Best`, whose name contains this text. Case-insensitive.
    Name(String),
    /// The adapter at this index of [`Gpu::adapters`].
    Index(usize),
}

/// Options of [`Gpu::new`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuOptions {
    /// The adapter.
    pub adapter: AdapterChoice,
    /// Whether all shaders keep their runtime checks, not only those whose indices come from data.
    pub checked: bool,
    /// The kind of device for which tiles and workgroups are chosen.
    pub tiles: Tiles,
    /// Whether to request timestamps from the device, if the adapter supports them: see
    /// [`Inspection::profile`](crate::Inspection::profile).
    pub profile: bool,
    /// Whether a kernel is compiled when it first runs, and not when an engine or a shape of batches first needs it. All of
    /// a network's take seconds with some drivers; [`Inspection::compile`](crate::Inspection::compile) compiles them one by
    /// one before, so that a program stays responsive and can show how far it is.
    pub deferred: bool,
}

impl GpuOptions {
    /// Sets the choice of the adapter.
    pub fn adapter(mut self, adapter: AdapterChoice) -> Self {
        self.adapter = adapter;
        self
    }

    /// Sets whether all shaders keep their runtime checks.
    pub fn checked(mut self, checked: bool) -> Self {
        self.checked = checked;
        self
    }

    /// Sets the kind of device for which tiles and workgroups are chosen.
    pub fn tiles(mut self, tiles: Tiles) -> Self {
        self.tiles = tiles;
        self
    }

    /// Sets whether to request timestamps from the device.
    pub fn profile(mut self, profile: bool) -> Self {
        self.profile = profile;
        self
    }

    /// Sets whether a kernel is compiled when it first runs.
    pub fn deferred(mut self, deferred: bool) -> Self {
        self.deferred = deferred;
        self
    }
}

/// The kind of device for which tiles and workgroups are chosen. Results differ by rounding only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tiles {
    /// By the type of the adapter.
    #[default]
    Auto,
    /// A hardware GPU.
    Hardware,
    /// A software driver on the CPU.
    Software,
}

/// Counts of queue operations, for tests and profiling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// The number of submissions.
    pub submits: u64,
    /// The number of buffers mapped for reading.
    pub maps: u64,
}

/// A GPU device on which networks are created. Cloning clones a handle.
#[derive(Clone, Debug)]
pub struct Gpu(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    software: bool,
    trusted: bool,
    deferred: bool,
    failure: Arc<Mutex<DeviceErrors>>,
    kernels: Mutex<BTreeMap<String, Arc<Kernel>>>,
    submits: AtomicU64,
    maps: AtomicU64,
    /// A memory limit set by tests; 0: none.
    #[cfg(test)]
    most: AtomicU64,
    /// The maximum bytes of all buffers when one was created.
    #[cfg(test)]
    peak: AtomicU64,
}

#[cfg(test)]
impl Inner {
    /// Whether a buffer of this size exceeds a test's memory limit.
    fn is_full(&self, bytes: u64) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        let held = self.device.get_internal_counters().hal.buffer_memory.read();
        let held = held as u64 + bytes;
        let full = most > 0 && held > most;
        if !full {
            self.peak.fetch_max(held, Ordering::Relaxed);
        }
        full
    }
}

/// Errors that the device raised asynchronously.
#[derive(Debug, Default)]
struct DeviceErrors {
    /// The reason of a device loss.
    lost: Option<String>,
    /// An error since the last check.
    error: Option<String>,
    /// All errors so far.
    count: u64,
}

fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    // Debug builds would otherwise enable validation layers, which are very slow with software drivers.
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    wgpu::Instance::new(descriptor)
}

impl Gpu {
    /// The adapters that can train, in the order of [`AdapterChoice::Best`]. Empty without a driver.
    /// [Waits](crate#waiting) for the drivers.
    pub async fn adapters() -> Vec<wgpu::Adapter> {
        let mut adapters = instance().enumerate_adapters(wgpu::Backends::all()).await;
        adapters.retain(|adapter| {
            let limits = adapter.limits();
            required_limits(&limits).check_limits(&limits)
                && adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
        });
        adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::VirtualGpu => 1,
            wgpu::DeviceType::Other => 2,
            wgpu::DeviceType::Cpu => 3,
        });
        adapters
    }

    /// Opens a device. [Waits](crate#waiting) for the driver. Unless [`GpuOptions::adapter`] is
    /// [`AdapterChoice::Hardware`], it may be a software driver: [`info`](Self::info) has its type.
    ///
    /// # Errors
    /// [`Error::NoDevice`] if no adapter matches; the message lists the available ones.
    pub async fn new(options: GpuOptions) -> Result<Self> {
        let mut adapters = Self::adapters().await;
        let names: Vec<String> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
        let is_software = |adapter: &wgpu::Adapter| adapter.get_info().device_type == wgpu::DeviceType::Cpu;
        let index = match &options.adapter {
            AdapterChoice::Best => {
                if let Some(software) = adapters.first().filter(|first| is_software(first)) {
                    log::warn!(
                        "no hardware GPU was found: using the software driver {}, which is slower than the CPU backend",
                        software.get_info().name
                    );
                }
                0
            }
            AdapterChoice::Hardware => adapters.iter().position(|adapter| !is_software(adapter)).unwrap_or(usize::MAX),
            AdapterChoice::Index(index) => *index,
            AdapterChoice::Name(part) => {
                let part = part.to_lowercase();
                names.iter().position(|name| name.to_lowercase().contains(&part)).unwrap_or(usize::MAX)
            }
        };
        if index >= adapters.len() {
            return Err(Error::NoDevice(match (adapters.is_empty(), &options.adapter) {
                (true, _) => "no driver answered that can run compute shaders".into(),
                (_, AdapterChoice::Hardware) => {
                    format!("no hardware GPU was found, only the software drivers {names:?}")
                }
                (_, AdapterChoice::Name(part)) => format!("no adapter's name contains {part:?}; there are {names:?}"),
                (_, _) => format!("no adapter at index {index}; there are {names:?}"),
            }));
        }
        let adapter = adapters.swap_remove(index);
        let timestamps = if options.profile { wgpu::Features::TIMESTAMP_QUERY } else { wgpu::Features::empty() };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("bptt"),
            required_features: required_features() | (timestamps & adapter.features()),
            required_limits: required_limits(&adapter.limits()),
            ..Default::default()
        };
        let opened = adapter.request_device(&descriptor).await;
        let (device, queue) = opened.map_err(|error| Error::NoDevice(format!("{}: {error}", names[index])))?;
        let gpu = Self::wrap(device, queue, options.tiles, [!options.checked, options.deferred]);
        let failure = gpu.0.failure.clone();
        gpu.0.device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let error = error.to_string();
            log::error!("{error}");
            let mut failure = lock(&failure);
            failure.count += 1;
            failure.error.get_or_insert(error);
        }));
        let failure = gpu.0.failure.clone();
        gpu.0.device.set_device_lost_callback(move |_, reason| {
            log::error!("the device was lost: {reason}");
            lock(&failure).lost.get_or_insert(reason);
        });
        Ok(gpu)
    }

    /// Uses a device that the host program opened, with at least [`required_limits`] and [`required_features`].
    /// Asynchronous errors of the device go to the host program's handlers.
    ///
    /// # Errors
    /// [`Error::Device`] with the name of a limit that is too low.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Self::from_device_with_tiles(device, queue, Tiles::Auto)
    }

    /// Like [`from_device`](Self::from_device), with tiles and workgroups for a kind of device, whatever the adapter
    /// says that it is.
    ///
    /// # Errors
    /// [`Error::Device`] with the name of a limit that is too low.
    pub fn from_device_with_tiles(device: wgpu::Device, queue: wgpu::Queue, tiles: Tiles) -> Result<Self> {
        let limits = device.limits();
        let mut short = Vec::new();
        let needed = required_limits(&limits);
        needed.check_limits_with_fail_fn(&limits, false, |name, wanted, allowed| {
            short.push(format!("{name} is {allowed} where {wanted} is needed"));
        });
        if short.is_empty() {
            Ok(Self::wrap(device, queue, tiles, [true, false]))
        } else {
            Err(Error::Device(short.join("; ")))
        }
    }

    fn wrap(device: wgpu::Device, queue: wgpu::Queue, tiles: Tiles, [trusted, deferred]: [bool; 2]) -> Self {
        let info = device.adapter_info();
        Self(Arc::new(Inner {
            device,
            queue,
            software: match tiles {
                Tiles::Auto => info.device_type == wgpu::DeviceType::Cpu,
                Tiles::Hardware => false,
                Tiles::Software => true,
            },
            info,
            trusted,
            deferred,
            failure: Arc::default(),
            kernels: Mutex::default(),
            submits: AtomicU64::new(0),
            maps: AtomicU64::new(0),
            #[cfg(test)]
            most: AtomicU64::new(0),
            #[cfg(test)]
            peak: AtomicU64::new(0),
        }))
    }

    /// The wgpu device.
    pub fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    /// The wgpu queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    /// The adapter: name, driver and type.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.0.info
    }

    /// Limits the memory for buffers to this many bytes in total; 0: no limit.
    #[cfg(test)]
    pub(crate) fn hold_at_most(&self, bytes: u64) {
        self.0.most.store(bytes, Ordering::Relaxed);
    }

    /// The bytes of all existing buffers once the device is idle, and their maximum since the last call.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (u64, u64) {
        self.wait_idle();
        let held = self.0.device.get_internal_counters().hal.buffer_memory.read() as u64;
        (held, self.0.peak.swap(held, Ordering::Relaxed))
    }

    /// The operations so far.
    pub fn counters(&self) -> Counters {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters { submits: load(&self.0.submits), maps: load(&self.0.maps) }
    }

    /// The number of errors that the device has raised so far. None are seen of a device that another program opened.
    pub(crate) fn errors(&self) -> u64 {
        lock(&self.0.failure).count
    }

    /// Returns an error that the device raised since the last check, or its loss.
    pub(crate) fn check(&self) -> Result<()> {
        // A loss is reported by a callback, which runs within a poll. Calls on a lost device raise no error.
        let _ = self.0.device.poll(wgpu::PollType::Poll);
        let mut failure = lock(&self.0.failure);
        let error = failure.error.take();
        match (&failure.lost, error) {
            (Some(reason), _) => Err(Error::DeviceLost(reason.clone())),
            (None, Some(error)) => Err(Error::Device(error)),
            (None, None) => Ok(()),
        }
    }

    /// The kernel of an entry point with these constants. Compiled once per device, and here unless that is deferred.
    pub(crate) fn kernel(&self, entry: ShaderEntry, constants: Constants<'_>) -> Arc<Kernel> {
        // Variants of an entry point are joined from different files.
        let files: Vec<&str> = entry.sources.iter().map(|(file, _)| *file).collect();
        let (cell, ShaderEntry { name, step, tile, storage, .. }) = (entry.cell_identity(), entry);
        let key = format!("{name} {files:?} {cell:?} {step:?} {tile:?} {storage:?} {constants:?}");
        let mut kernels = lock(&self.0.kernels);
        let make = || Arc::new(Kernel::new(&self.0.device, entry, constants, self.0.trusted));
        let kernel = kernels.entry(key).or_insert_with(make).clone();
        drop(kernels);
        if !self.0.deferred {
            kernel.pipeline(&self.0.device);
        }
        kernel
    }

    /// Compiles the steps of a cell that another crate defines, so that an error of its WGSL comes back as such.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the compiler's message.
    pub(crate) fn check_cell(&self, cell: Cell) -> Result<()> {
        if !matches!(cell, Cell::Custom(_)) {
            return Ok(());
        }
        for entry in [forward_step(cell, false, StepForm::DEFAULT), backward_step(cell, false, StepForm::DEFAULT)] {
            let kernel = Kernel::new(&self.0.device, entry, cell.definition().constants(), false);
            let make = || kernel.pipeline(&self.0.device).clone();
            self.compiled(&format!("the WGSL of the cell {}", cell.name()), make)?;
        }
        Ok(())
    }

    /// Compiles a kernel for halves, since a few drivers cannot.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the compiler's message.
    pub(crate) fn check_halves(&self) -> Result<()> {
        let kernel = Kernel::new(&self.0.device, NARROW.stored(Storage::Halves), &[], self.0.trusted);
        let make = || kernel.pipeline(&self.0.device).clone();
        self.compiled("precision f16", make).map(drop)
    }

    /// Compiles a kernel of your own from WGSL that has one entry point, for a [`CustomLoss`](crate::CustomLoss). Its
    /// bindings are those that it uses.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the compiler's message.
    pub fn compute_pipeline(&self, wgsl: &str) -> Result<wgpu::ComputePipeline> {
        self.compiled("the WGSL of the kernel", || {
            let source = wgpu::ShaderSource::Wgsl(wgsl.into());
            let module = self.0.device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
            self.0.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: None,
                module: &module,
                entry_point: None,
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        })
    }

    /// What `make` compiles.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the compiler's message after `what`. In a browser it arrives later, and
    /// [`check`](Self::check) reports it.
    fn compiled<T>(&self, what: &str, make: impl FnOnce() -> T) -> Result<T> {
        #[cfg(not(target_arch = "wasm32"))]
        let scope = self.0.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = make();
        #[cfg(not(target_arch = "wasm32"))]
        if let Poll::Ready(Some(error)) = pin!(scope.pop()).poll(&mut Context::from_waker(Waker::noop())) {
            return Err(Error::Unsupported(format!("{what}: {error}")));
        }
        #[cfg(target_arch = "wasm32")]
        let _ = what;
        Ok(made)
    }

    /// Waits until freed buffers are available again. Not possible in a browser.
    pub(crate) fn wait_idle(&self) {
        #[cfg(not(target_arch = "wasm32"))]
        let _ = self.0.device.poll(wgpu::PollType::wait_indefinitely());
    }

    /// Creates a buffer.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the device has no memory for it.
    pub(crate) fn buffer(&self, name: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let descriptor = wgpu::BufferDescriptor { label: Some(name), size: bytes, usage, mapped_at_creation: false };
        // In a browser the answer arrives later and [`Gpu::check`] reports it; elsewhere it arrives at once.
        #[cfg(not(target_arch = "wasm32"))]
        let scope = self.0.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        #[cfg(test)]
        if self.0.is_full(bytes) {
            drop(scope);
            return Err(Error::OutOfMemory { tensor: name.into(), bytes });
        }
        let buffer = self.0.device.create_buffer(&descriptor);
        #[cfg(not(target_arch = "wasm32"))]
        if let Poll::Ready(Some(_)) = pin!(scope.pop()).poll(&mut Context::from_waker(Waker::noop())) {
            return Err(Error::OutOfMemory { tensor: name.into(), bytes });
        }
        Ok(buffer)
    }

    pub(crate) fn submit(&self, commands: wgpu::CommandBuffer) -> wgpu::SubmissionIndex {
        self.0.submits.fetch_add(1, Ordering::Relaxed);
        self.0.queue.submit([commands])
    }
}

/// The kernels of the engines on a device so far: each entry point with each set of constants that
/// their plans chose. Sorted by entry point.
pub fn compiled_kernels(gpu: &Gpu) -> Vec<CompiledKernel> {
    lock(&gpu.0.kernels).values().map(|kernel| kernel.compiled.clone()).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
