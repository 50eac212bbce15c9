//! Which adapter is opened: a software driver is not taken in silence.

use std::sync::Mutex;

use bptt::gpu::{AdapterChoice, GpuOptions};
use bptt::wgpu::DeviceType;
use bptt::{Gpu, Wait, block_on};

use crate::common::gpu::gpu;

/// The warnings of the test program.
struct Warnings(Mutex<Vec<String>>);

impl log::Log for Warnings {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

static WARNINGS: Warnings = Warnings(Mutex::new(Vec::new()));

#[test]
fn a_software_driver_is_announced_and_refused_if_hardware_is_required() {
    if gpu().is_none() {
        return;
    }
    log::set_logger(&WARNINGS).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let best = Gpu::new(GpuOptions::default()).wait().unwrap();
    let announced = format!("no hardware GPU was found: using the software driver {}, which is", best.info().name);
    let is_announced = WARNINGS.0.lock().unwrap().iter().any(|warning| warning.starts_with(&announced));
    assert_eq!(is_announced, best.info().device_type == DeviceType::Cpu);

    let hardware = Gpu::new(GpuOptions::default().adapter(AdapterChoice::Hardware)).wait();
    let adapters = block_on(Gpu::adapters());
    match adapters.iter().map(|adapter| adapter.get_info()).find(|info| info.device_type != DeviceType::Cpu) {
        Some(first) => assert_eq!(hardware.unwrap().info().name, first.name),
        None => {
            let refused = hardware.unwrap_err().to_string();
            assert!(refused.starts_with("no GPU: no hardware GPU was found, only the software drivers ["), "{refused}");
        }
    }
}
