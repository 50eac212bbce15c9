//! A single matrix product with the kernels of the passes, for benchmarks.

use super::builder::{Binding, bind};
use super::program::GpuCommand;
use super::recorder::Recorder;
use super::uniforms::Matmul;
use crate::error::{Error, Result};
use crate::gpu::device::Gpu;
use crate::gpu::device::kernel::matmul;
use crate::model::plan::{ALIGNMENT, Cost, Storage, vec4s};

/// C \[m, n\] = A · B on the device, with A \[m, k\] stored by rows and B stored as \[k, n\], or transposed as \[n, k\]
/// like weights. Both are zero.
#[derive(Debug)]
pub struct DeviceProduct {
    gpu: Gpu,
    command: GpuCommand,
}

impl DeviceProduct {
    /// Allocates the matrices. m, n and k must be multiples of 4.
    ///
    /// # Errors
    /// [`Error::Value`] for other sizes; [`Error::Device`] where the GPU has no memory for them; [`Error::DeviceLost`].
    pub fn new(gpu: &Gpu, [m, n, k]: [usize; 3], b_transposed: bool) -> Result<Self> {
        if let Some(size) = [m, n, k].iter().find(|size| **size == 0 || !size.is_multiple_of(4)) {
            return Err(Error::value("a size of the product", "a multiple of 4", size));
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let make = |numbers: usize, usage| {
            let size = 4 * numbers as u64;
            gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        };
        let bindings = [m * k, k * n, n, m * n].map(|numbers| Binding::whole(&make(numbers, usage)));
        let plan = gpu.limits().matmul(m, n, k);
        let uniform = Matmul {
            m: [m as u32, 0],
            n4: [vec4s(n) as u32, 0],
            ldb: [vec4s(if b_transposed { k } else { n }) as u32, 0],
            ldc: [vec4s(n) as u32, 0],
            lda: vec4s(k) as u32,
            k: k as u32,
            k_last: k as u32,
            parts: 1,
            ..Matmul::default()
        };
        let uniforms = make(ALIGNMENT as usize / 4, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST);
        gpu.queue().write_buffer(&uniforms, 0, bytemuck::bytes_of(&uniform));
        let (entry, constants) = matmul(plan.tile, [Storage::Full; 3], (false, b_transposed), false);
        let kernel = gpu.kernel(entry, &constants);
        let bindings = bind(gpu.device(), &kernel, &uniforms, &bindings);
        gpu.check()?;
        let command = GpuCommand::Dispatch {
            kernel,
            bindings,
            offset: 0,
            grid: plan.grid,
            cost: Cost::product(m, vec4s(n), &plan, [Storage::Full; 3], false),
        };
        Ok(Self { gpu: gpu.clone(), command })
    }

    /// Computes C `times` times in one submission and waits.
    ///
    /// # Errors
    /// [`Error::Device`] and [`Error::DeviceLost`].
    pub fn run(&self, times: usize) -> Result<()> {
        let recorder = Recorder::new(&self.gpu);
        recorder.record(std::iter::repeat_n(&self.command, times));
        let submission = recorder.submit();
        let wait = wgpu::PollType::Wait { submission_index: submission.index(), timeout: None };
        self.gpu.device().poll(wait).map_err(|error| Error::Device(error.to_string()))?;
        self.gpu.check()
    }
}
