//! Where the time goes: profiles count what was done, and change nothing of it.

use std::collections::BTreeSet;

use crate::common::gpu::open;
use bptt::gpu::kernels::{CompiledKernel, compiled_kernels};
use bptt::gpu::{GpuOptions, Tiles};
use bptt::ndarray::{Array2, Array3};
use bptt::{
    Backend, Batch, Cell, Cpu, EngineOptions, Error, Head, Inspection, Loss, Model, Optimizer, OptimizerStep,
    Parameters, Profile, ProfilePart, Readout, Recurrent, Sequence, Targets, Training,
};
use pollster::block_on;

const ROWS: usize = 20;
const STEPS: usize = 7;

fn work() -> (Model, Batch) {
    let model =
        Model::new(Recurrent::new(Cell::Lstm, 8, 12).layers(2), Head::new(4, Loss::CrossEntropy, Readout::PerStep));
    let x = Array3::from_shape_fn((STEPS, ROWS, 8), |(t, b, i)| ((t * 31 + b * 17 + i * 7) % 23) as f32 / 11.0 - 1.0);
    let classes = Array2::from_shape_fn((STEPS, ROWS), |(t, b)| ((t + b) % 4) as u32);
    (model, Batch::new(Sequence::dense(x), Targets::Classes(classes)))
}

/// The parameters after two steps, and the profile of them where it is asked for.
fn train<B: Backend>(backend: &B, profiled: bool) -> (Vec<f64>, Option<Profile>) {
    use bptt::Real;
    let (model, batch) = work();
    let optimizer = Optimizer::adam(0.01);
    let options = EngineOptions::default().optimizer(optimizer.kind);
    let mut engine = backend.engine(&model, &options).unwrap();
    let real = |value: f64| <B::Engine as Parameters>::Real::from_f64(value);
    let count = engine.layout().len();
    engine.set_parameters(&(0..count).map(|i| real(((i * 7) % 13) as f64 / 40.0 - 0.15)).collect::<Vec<_>>()).unwrap();
    assert!(matches!(block_on(engine.profile()), Err(Error::Unsupported(_))));
    engine.set_profile(profiled).unwrap();
    for step in 1..=2 {
        block_on(engine.accumulate(&batch, None)).unwrap();
        block_on(engine.update(&OptimizerStep::new(optimizer, step, (STEPS * ROWS) as f64))).unwrap();
        block_on(engine.report()).unwrap();
    }
    let profile = profiled.then(|| block_on(engine.profile()).unwrap());
    if profiled {
        assert!(block_on(engine.profile()).unwrap().parts.is_empty(), "what was told is not told again");
    }
    let parameters = block_on(engine.parameters()).unwrap();
    (parameters.into_iter().map(Real::as_f64).collect(), profile)
}

fn part<'p>(profile: &'p Profile, name: &str) -> &'p ProfilePart {
    let found = profile.parts.iter().find(|part| part.name == name);
    found.unwrap_or_else(|| panic!("{name} is not in {profile:?}"))
}

#[test]
fn the_cpu_profiles_every_phase_with_its_operations() {
    for threads in [1, 3] {
        let cpu = Cpu::<f32>::with_threads(threads).unwrap();
        let (plain, _) = train(&cpu, false);
        let (profiled, profile) = train(&cpu, true);
        assert_eq!(plain, profiled);
        let profile = profile.unwrap();
        // Two steps, 2·T·B operations a weight.
        let products = |weights: usize| (2 * 2 * STEPS * ROWS * weights) as u64;
        let (input, recurrent, head) = (48 * 8 + 48 * 12, 2 * 48 * 12, 4 * 12);
        let expected = [
            ("input projection", input),
            ("steps forward", recurrent),
            ("head and loss", head),
            ("head backward", head),
            ("steps backward", recurrent),
            // No dx is asked for.
            ("input gradient", 48 * 12),
            ("weight gradients", input + recurrent + head),
        ];
        for (name, weights) in expected {
            let part = part(&profile, name);
            assert_eq!(part.operations, products(weights), "{name}");
            assert!(part.seconds.unwrap() > 0.0, "{name}");
        }
        assert_eq!((part(&profile, "norm").calls, part(&profile, "update").calls), (2, 2));
    }
}

#[test]
fn the_gpu_profiles_every_kernel_and_computes_the_same_bits() {
    let Some(gpu) = open(GpuOptions::default().profile(true)) else { return };
    let (plain, _) = train(&gpu, false);
    let (profiled, profile) = train(&gpu, true);
    assert_eq!(plain, profiled);
    let profile = profile.unwrap();
    let has_timestamps = gpu.device().features().contains(bptt::wgpu::Features::TIMESTAMP_QUERY);
    for part in &profile.parts {
        assert_eq!(part.seconds.is_some(), has_timestamps, "{part:?}");
        assert!(part.calls > 0 && part.operations > 0 && part.bytes > 0, "{part:?}");
        assert!(part.seconds.is_none_or(|seconds| (0.0..60.0).contains(&seconds)), "{part:?}");
    }
    // Every size is a multiple of 4, so nothing is added to them.
    let products = |weights: usize| (2 * 2 * STEPS * ROWS * weights) as u64;
    let (input, head) = (48 * 8 + 48 * 12, 4 * 12);
    assert_eq!(part(&profile, "matmul nt").operations, products(input + head));
    assert_eq!(part(&profile, "matmul nn").operations, products(48 * 12 + head));
    assert_eq!(part(&profile, "matmul tn").operations, products(input + 2 * 48 * 12 + head));
    assert_eq!(part(&profile, "lstm_forward").operations, products(2 * 48 * 12));
    assert_eq!(part(&profile, "update").calls, 2);
}

#[test]
fn a_device_without_timestamps_still_counts_calls() {
    let Some(gpu) = open(GpuOptions::default()) else { return };
    assert!(!gpu.device().features().contains(bptt::wgpu::Features::TIMESTAMP_QUERY));
    let (_, profile) = train(&gpu, true);
    let profile = profile.unwrap();
    assert!(profile.parts.iter().all(|part| part.seconds.is_none() && part.calls > 0), "{profile:?}");
}

#[test]
fn a_profile_adds_no_submission() {
    let Some(gpu) = open(GpuOptions::default().profile(true)) else { return };
    let submits = |profiled| {
        let before = gpu.counters().submits;
        train(&gpu, profiled);
        gpu.counters().submits - before
    };
    assert_eq!(submits(false), submits(true));
}

#[test]
fn every_kernel_that_a_profile_counts_is_among_the_compiled_ones() {
    let gpu = open(GpuOptions::default().tiles(Tiles::Hardware).profile(true));
    let Some(gpu) = gpu.filter(|gpu| gpu.device().features().contains(bptt::wgpu::Features::TIMESTAMP_QUERY)) else {
        return;
    };
    assert!(compiled_kernels(&gpu).is_empty());
    let (_, profile) = train(&gpu, true);
    let profile = profile.unwrap();
    let dispatched: BTreeSet<&str> = profile.parts.iter().map(|part| part.name.as_str()).collect();
    let compiled = compiled_kernels(&gpu);
    let names: BTreeSet<&str> = compiled.iter().map(|kernel| kernel.name.as_str()).collect();
    // Those that copy outputs to the host are compiled with the pass, too.
    assert!(dispatched.len() > 10 && dispatched.is_subset(&names), "{dispatched:?}, of {names:?}");
    for kernel in &compiled {
        let source = kernel.entry.source();
        for (constant, _) in &kernel.constants {
            assert!(source.contains(&format!("override {constant}:")), "{}: {constant}", kernel.name);
        }
        assert_eq!(kernel.checked, kernel.name == "loss", "{}", kernel.name);
        assert_eq!(kernel.entry.is_recurrent_step(), kernel.name.starts_with("lstm_"), "{}", kernel.name);
    }
    let sums_parts = |kernel: &&CompiledKernel| kernel.constants.iter().any(|(name, _)| name == "PARTS");
    assert_eq!(compiled.iter().filter(sums_parts).count(), 2, "forward and backward: {compiled:?}");
}
