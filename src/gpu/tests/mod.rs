//! Each kernel by itself at sizes that do not divide evenly: outputs begin as NaN, and guard regions lie behind them.

mod halves;
mod loss;
mod memory;
mod pass;
mod product;
mod rows;
mod sums;
mod update;

use pollster::block_on;

use crate::gpu::commands::builder::{Binding, bind};
use crate::gpu::commands::program::{BufferOffset, GpuCommand};
use crate::gpu::commands::recorder::Recorder;
use crate::gpu::commands::uniforms::Uniform;
use crate::gpu::device::Gpu;
use crate::gpu::device::kernel::{Access, Constants, ShaderEntry};
use crate::model::plan::{ALIGNMENT, Cost, Grid, vec4s};

/// The device that the tests outside of the crate take.
#[allow(unreachable_pub, reason = "there it is shared by name")]
#[path = "../../../tests/common/gpu.rs"]
mod common;

const SIZES: [usize; 7] = [1, 3, 17, 33, 64, 65, 130];

/// What lies behind every buffer, and must still lie there afterwards.
const GUARD: [f32; 64] = [12345.0; 64];

/// Runs a kernel over buffers in the order of its bindings, and returns those that it may write.
fn run<U: Uniform>(
    gpu: &Gpu,
    entry: ShaderEntry,
    constants: Constants<'_>,
    uniform: &U,
    buffers: &[&[f32]],
    grid: Grid,
) -> Vec<Vec<f32>> {
    assert_eq!((entry.uniform, entry.bindings().len()), (U::NAME, buffers.len()), "{}", entry.name);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let make = |size, usage| {
        gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    };
    let bindings: Vec<Binding> = buffers
        .iter()
        .map(|numbers| {
            let bytes = 4 * numbers.len() as u64;
            let buffer = make(bytes + 256, usage);
            gpu.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(numbers));
            gpu.queue().write_buffer(&buffer, bytes, bytemuck::cast_slice(&GUARD));
            // The guard is bound too: a driver may drop what is written beyond a binding.
            Binding { buffer, offset: 0, bytes: bytes + 256 }
        })
        .collect();
    let uniforms = make(ALIGNMENT, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST);
    gpu.queue().write_buffer(&uniforms, 0, bytemuck::bytes_of(uniform));
    let kernel = gpu.kernel(entry, constants);
    let group = bind(gpu.device(), &kernel, &uniforms, &bindings);
    let recorder = Recorder::new(gpu);
    recorder.record([&GpuCommand::Dispatch { kernel, bindings: group, offset: 0, grid, cost: Cost::default() }]);
    recorder.submit();
    let accesses = entry.bindings();
    let written = accesses.iter().zip(&bindings).filter(|((_, access), _)| *access == Access::ReadWrite);
    let numbers = written.map(|(_, binding)| {
        let size = binding.buffer.size();
        let staging = make(size, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        let recorder = Recorder::new(gpu);
        recorder.record([&GpuCommand::Copy { from: binding.position(0), to: BufferOffset::of(&staging), bytes: size }]);
        let submission = recorder.submit();
        let read = recorder.read(&submission, &staging, size, bytemuck::pod_collect_to_vec);
        let mut numbers: Vec<f32> = block_on(read).unwrap();
        let guard = numbers.split_off(numbers.len() - GUARD.len());
        assert_eq!(guard, GUARD, "{} wrote behind a buffer", entry.name);
        numbers
    });
    numbers.collect()
}

/// Multiples of 1/8 in ±1: sums of their products are exact in f32, so that results can be compared with `==`.
fn number(seed: usize, index: usize) -> f32 {
    let mixed = (index * 2 + 1).wrapping_mul(0x9e37_79b9).wrapping_add(seed.wrapping_mul(0x85eb_ca6b)) as u32;
    ((mixed ^ (mixed >> 15)).wrapping_mul(0x846c_a68b) >> 28) as f32 / 8.0 - 1.0
}

/// A matrix in whole vec4 a row, what is added zero; and its element as a function.
fn matrix(seed: usize, rows: usize, columns: usize) -> (Vec<f32>, impl Fn(usize, usize) -> f32) {
    let ld = 4 * vec4s(columns);
    let at = move |row: usize, column: usize| number(seed, row * columns + column);
    let packed = (0..rows * ld).map(|i| if i % ld < columns { at(i / ld, i % ld) } else { 0.0 }).collect();
    (packed, at)
}

fn nan(count: usize) -> Vec<f32> {
    vec![f32::NAN; count]
}

fn floats(words: &[u32]) -> Vec<f32> {
    words.iter().map(|word| f32::from_bits(*word)).collect()
}
