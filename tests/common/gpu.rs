//! The device of the GPU tests, opened once a test binary.

use std::sync::OnceLock;

use bptt::Gpu;
use bptt::gpu::{AdapterChoice, GpuOptions};
use pollster::block_on;

/// The GPU, or `None` where the machine has none. With BPTT_REQUIRE_GPU=1 there has to be one, so that nothing is
/// passed over in silence; BPTT_ADAPTER picks one by a part of its name.
pub fn gpu() -> Option<Gpu> {
    static DEVICE: OnceLock<Option<Gpu>> = OnceLock::new();
    DEVICE.get_or_init(|| open(GpuOptions::default())).clone()
}

/// A device of its own, for tests that count, or that want checks or tiles other than the usual ones.
pub fn open(options: GpuOptions) -> Option<Gpu> {
    let adapter = std::env::var("BPTT_ADAPTER").map_or(AdapterChoice::Best, AdapterChoice::Name);
    match block_on(Gpu::new(options.adapter(adapter))) {
        Ok(gpu) => Some(gpu),
        Err(error) if std::env::var_os("BPTT_REQUIRE_GPU").is_some() => panic!("BPTT_REQUIRE_GPU is set, but {error}"),
        Err(error) => {
            println!("not run: {error}");
            None
        }
    }
}
