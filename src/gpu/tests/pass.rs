//! Whole passes: what they are cut into, and what an earlier one left.

use crate::engine::{Layers, Parameters, Training};
use pollster::block_on;

use super::common::gpu;
use super::{nan, number};
use crate::gpu::commands::builder::{Binding, bind};
use crate::gpu::commands::program::{BufferOffset, GpuCommand};
use crate::gpu::commands::recorder::Recorder;
use crate::gpu::commands::uniforms::Reduce;
use crate::gpu::device::kernel::REDUCE;
use crate::model::DeviceLimits;
use crate::model::plan::{ALIGNMENT, Cost};

#[test]
fn work_beyond_the_limit_is_split_into_ordered_submissions() {
    let Some(gpu) = gpu() else { return };
    let buffer = |bytes: u64, usage| {
        gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes,
            usage,
            mapped_at_creation: false,
        })
    };
    let storage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let (value, total) = (buffer(16, storage), buffer(16, storage));
    gpu.queue().write_buffer(&value, 0, bytemuck::cast_slice(&[1.0f32; 4]));
    let uniforms = buffer(ALIGNMENT, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST);
    let uniform = Reduce { begin: [0, 1, 1, 1], parts: [1; 4], count: 1, ..Reduce::default() };
    gpu.queue().write_buffer(&uniforms, 0, bytemuck::bytes_of(&uniform));
    let kernel = gpu.kernel(REDUCE, &[]);
    let bindings = bind(gpu.device(), &kernel, &uniforms, &[Binding::whole(&value), Binding::whole(&total)]);
    let add =
        GpuCommand::Dispatch { kernel, bindings, offset: 0, grid: [1, 1, 1], cost: Cost { operations: 10, bytes: 0 } };
    let staging = buffer(16, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let before = gpu.counters().submits;
    let mut recorder = Recorder::new(&gpu);
    recorder.limit = 25;
    recorder.record(std::iter::repeat_n(&add, 8));
    let to = BufferOffset::of(&staging);
    recorder.record([&GpuCommand::Copy { from: Binding::whole(&total).position(0), to, bytes: 16 }]);
    let submission = recorder.submit();
    // Other tests submit to the same device, so there may be more.
    assert!(gpu.counters().submits - before >= 3);
    let numbers: Vec<f32> = block_on(recorder.read(&submission, &staging, 16, bytemuck::pod_collect_to_vec)).unwrap();
    assert_eq!(numbers[0], 8.0);
}

#[test]
fn a_sequence_beyond_the_binding_limit_is_chunked_and_a_step_beyond_it_is_refused() {
    use crate::model::plan::{Checkpointing, ParameterPlan, PassShape, SequencePlan};
    use crate::{Cell, Model, Precision, Recurrent, RecurrentKernel};
    let model = Model::headless(Recurrent::new(Cell::Lstm, 8, 64));
    let parameters = ParameterPlan::new(&model);
    let limits = DeviceLimits { max_binding: 1 << 20, software: true, ..DeviceLimits::LEAST_GPU };
    let plan = |rows| {
        let shape = PassShape {
            steps: 1000,
            rows,
            tokens: false,
            dx: true,
            resets: false,
            checkpointing: Checkpointing::Everything,
            custom_loss: false,
            precision: Precision::F32,
        };
        SequencePlan::new(&model, &parameters, &limits, shape, None, RecurrentKernel::Auto)
    };
    let cut = plan(16).unwrap();
    assert!(cut.chunks.len() > 1);
    assert!(cut.tensors.iter().all(|spec| spec.bytes <= limits.max_binding));
    let covered: Vec<usize> = cut.chunks.iter().flat_map(|chunk| chunk.steps.clone()).collect();
    assert!(covered.into_iter().eq(0..1000));
    // Whatever the length of the last chunk, the parts of its products find room in scratch.
    for software in [true, false] {
        let limits = DeviceLimits { software, ..limits };
        for steps in 60..130 {
            let shape = PassShape {
                steps,
                rows: 5,
                tokens: false,
                dx: true,
                resets: false,
                checkpointing: Checkpointing::Everything,
                custom_loss: false,
                precision: Precision::F32,
            };
            let plan = SequencePlan::new(&model, &parameters, &limits, shape, Some(60), RecurrentKernel::Auto).unwrap();
            let room = plan.tensors[plan.scratch.0].bytes;
            let k = plan.chunks.iter().map(|chunk| 5 * chunk.steps.len());
            assert!(k.into_iter().all(|k| limits.weight_gradients(&[(256, 64)], k)[0].scratch <= room), "T = {steps}");
        }
    }
    let error = plan(4096).unwrap_err().to_string();
    assert!(
        error.starts_with("z_l0[0] needs 4194304 bytes, more than the device's largest storage binding"),
        "{error}"
    );
}

#[test]
fn nothing_left_in_a_buffer_reaches_the_next_pass() {
    use crate::{Activation, Backend, Batch, Cell, EngineOptions, Head, Loss, Model, Readout, Recurrent, Sequence};
    let Some(gpu) = gpu() else { return };
    for cell in [Cell::Rnn(Activation::Sigmoid), Cell::Lstm, Cell::Gru] {
        for at in [Readout::PerStep, Readout::Final, Readout::MeanPool] {
            let recurrent = Recurrent::new(cell, 3, 5).layers(2).bidirectional(true);
            let model = Model::new(recurrent, Head::new(3, Loss::SquaredError, at));
            let options = EngineOptions { chunk: Some(3), input_gradient: true, ..EngineOptions::default() };
            let mut engine = gpu.engine(&model, &options).unwrap();
            engine.initialise(crate::Initialisation::default(), 1).unwrap();
            let x = ndarray::Array3::from_shape_fn((7, 4, 3), |(t, b, i)| number(1, 12 * t + 3 * b + i));
            let predictions = if at == Readout::PerStep { 7 } else { 1 };
            let y = ndarray::Array3::from_shape_fn((predictions, 4, 3), |(p, b, o)| number(2, 12 * p + 3 * b + o));
            let sequence = Sequence::dense(x).lengths(vec![7, 1, 5, 3]);
            let batch = Batch::new(sequence, crate::Targets::Values(y));
            let results = |engine: &mut crate::gpu::GpuEngine| {
                engine.clear_gradients();
                block_on(engine.accumulate(&batch, None)).unwrap();
                (block_on(engine.gradients()).unwrap(), block_on(engine.input_gradient()).unwrap())
            };
            let clean = results(&mut engine);
            for buffer in &engine.pass().buffers {
                gpu.queue().write_buffer(buffer, 0, bytemuck::cast_slice(&nan(buffer.size() as usize / 4)));
            }
            let (gradients, input) = results(&mut engine);
            assert!(gradients.iter().zip(&clean.0).all(|(a, b)| a.to_bits() == b.to_bits()), "{cell:?} {at:?}");
            assert_eq!(input, clean.1, "{cell:?} {at:?}");
        }
    }
}
