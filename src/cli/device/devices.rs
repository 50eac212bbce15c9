//! `bptt devices`.

use bptt::format::bytes;
use bptt::wgpu::AdapterInfo;
use bptt::{Backend, Cpu, Gpu, Result};
use clap::Args;
use serde_json::json;

use crate::cli::terminal::printed::{print_json, print_line};
use bptt::experiment::device::selection::{INSTALL_DRIVER, identities};

#[derive(Args)]
pub(crate) struct DevicesArgs {
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Lists the GPUs with their limits, and the CPU.
pub(crate) async fn devices(args: &DevicesArgs) -> Result<()> {
    let found = Gpu::adapters().await;
    let infos: Vec<AdapterInfo> = found.iter().map(|adapter| adapter.get_info()).collect();
    if args.json {
        let limits = found.iter().map(|adapter| adapter.limits());
        let gpus = infos.iter().zip(identities(&infos)).zip(limits).map(|((info, identity), limits)| {
            json!({
                "name": info.name, "identity": identity, "backend": info.backend.to_string(), "kind": kind(info.device_type),
                "driver": format!("{} {}", info.driver, info.driver_info),
                "max_buffer_bytes": limits.max_buffer_size,
                "max_storage_binding_bytes": limits.max_storage_buffer_binding_size,
            })
        });
        print_json(json!({"gpus": gpus.collect::<Vec<_>>(), "cpu": Cpu::new().describe()}));
        return Ok(());
    }
    for (index, (adapter, identity)) in found.iter().zip(identities(&infos)).enumerate() {
        let (info, limits) = (&infos[index], adapter.limits());
        print_line(format!("{index:<5}{identity}"));
        print_line(format!("     {}, {} {}", kind(info.device_type), info.driver, info.driver_info));
        print_line(format!(
            "     a buffer {}, a storage binding {}, a workgroup {} invocations and {}",
            bytes(limits.max_buffer_size),
            bytes(limits.max_storage_buffer_binding_size),
            limits.max_compute_invocations_per_workgroup,
            bytes(u64::from(limits.max_compute_workgroup_storage_size)),
        ));
    }
    print_line(format!("{:<5}{}", "cpu", Cpu::new().describe()));
    if found.is_empty() {
        print_line("");
        print_line(format!("no GPU driver found; {INSTALL_DRIVER}"));
    }
    Ok(())
}

fn kind(kind: bptt::wgpu::DeviceType) -> &'static str {
    use bptt::wgpu::DeviceType;
    match kind {
        DeviceType::DiscreteGpu => "discrete GPU",
        DeviceType::IntegratedGpu => "integrated GPU",
        DeviceType::VirtualGpu => "virtual GPU",
        DeviceType::Cpu => "software driver on the CPU",
        DeviceType::Other => "other",
    }
}
