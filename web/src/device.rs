//! The device on which a room trains.

use bptt::gpu::AdapterChoice;
use bptt::wgpu::DeviceType;
use bptt::{Cpu, Error, Gpu, GpuOptions, Result};
use serde::Serialize;

/// Why there is no GPU; a browser may also have WebGPU and no adapter for it, as on a machine without a driver.
const NO_WEBGPU: &str = "this browser has no WebGPU, or no driver for it";

/// A device that is ready to compute. Clones share it.
#[derive(Clone)]
pub struct Device {
    pub(crate) backend: AnyBackend,
    description: Description,
}

/// A backend whose type is not known at compile time.
#[derive(Clone)]
pub(crate) enum AnyBackend {
    Cpu(Cpu),
    Gpu(Gpu),
}

/// A device in words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    /// `gpu` or `cpu`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Whether it is a software driver, or the CPU in one thread: the page then takes smaller defaults.
    pub software: bool,
    /// What may surprise about the choice; empty if nothing does.
    pub note: String,
}

impl Device {
    /// Opens `gpu`, `cpu` or `auto`: a hardware GPU if there is one, and otherwise the CPU, with the reason in the
    /// [note](Description::note). A software driver is taken only for `gpu`, since the CPU backend is faster.
    ///
    /// # Errors
    /// [`Error::NoDevice`] where `gpu` has no adapter; [`Error::Value`] for another choice.
    pub async fn open(choice: &str) -> Result<Self> {
        match choice {
            "cpu" => Self::cpu(""),
            "gpu" => match Self::gpu(AdapterChoice::Best).await {
                Err(Error::NoDevice(_)) => Err(Error::NoDevice(NO_WEBGPU.into())),
                opened => opened,
            },
            "auto" => match Self::gpu(AdapterChoice::Hardware).await {
                Ok(device) => Ok(device),
                Err(Error::NoDevice(_)) if Gpu::adapters().await.is_empty() => Self::cpu(NO_WEBGPU),
                Err(Error::NoDevice(_)) => Self::cpu("the only WebGPU adapter is a software driver, which is slower"),
                Err(error) => Self::cpu(&error.to_string()),
            },
            _ => {
                Err(Error::Value { what: "the device".into(), expected: "auto, gpu or cpu".into(), got: choice.into() })
            }
        }
    }

    async fn gpu(adapter: AdapterChoice) -> Result<Self> {
        let gpu = Gpu::new(GpuOptions::default().adapter(adapter).deferred(true)).await?;
        let info = gpu.info();
        let is_software = info.device_type == DeviceType::Cpu;
        let name = if info.name.is_empty() { "WebGPU, without a name".into() } else { info.name.clone() };
        let note = if is_software { "a software driver, which is slower than the CPU" } else { "" };
        let description = Description { kind: "gpu", name, software: is_software, note: note.into() };
        Ok(Self { backend: AnyBackend::Gpu(gpu), description })
    }

    /// The CPU in one thread. `reason`: why not a GPU, if one was looked for.
    fn cpu(reason: &str) -> Result<Self> {
        let cpu = Cpu::with_threads(1)?;
        let vectors = if cfg!(target_feature = "simd128") { ", with vector instructions (simd128)" } else { "" };
        let note = if reason.is_empty() { String::new() } else { format!("{reason}; computing on the CPU instead") };
        let description = Description { kind: "cpu", name: format!("CPU, one thread{vectors}"), software: true, note };
        Ok(Self { backend: AnyBackend::Cpu(cpu), description })
    }

    /// The device in words.
    pub fn describe(&self) -> &Description {
        &self.description
    }
}
