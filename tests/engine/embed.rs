//! The recurrent layers inside a host program: its own device, its own buffers.

use crate::common::gpu::gpu;
use crate::common::{CELLS, Case, masks};
use bptt::gpu::{DeviceArrays, required_features, required_limits};
use bptt::ndarray::ArrayD;
use bptt::wgpu::{self, BufferUsages};
use bptt::{Backend, Cell, EngineOptions, Error, Gpu, Layers, Parameters};
use pollster::block_on;

fn upload(gpu: &Gpu, numbers: impl IntoIterator<Item = f32>) -> wgpu::Buffer {
    let numbers: Vec<f32> = numbers.into_iter().collect();
    let buffer = empty(gpu, numbers.len());
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    gpu.queue().write_buffer(&buffer, 0, &bytes);
    buffer
}

fn empty(gpu: &Gpu, numbers: usize) -> wgpu::Buffer {
    gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4 * numbers as u64,
        usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

fn download(gpu: &Gpu, buffer: &wgpu::Buffer) -> Vec<f32> {
    let staging = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: buffer.size(),
        usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, None);
    gpu.queue().submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |_| ());
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let view = staging.slice(..).get_mapped_range().unwrap();
    view.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// The host program's device: opened by it, with what the crate says it needs.
fn host_device() -> Option<Gpu> {
    gpu()?;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = block_on(instance.request_adapter(&Default::default())).unwrap();
    let (device, queue) = block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        required_features: required_features(),
        required_limits: required_limits(&adapter.limits()),
        ..Default::default()
    }))
    .unwrap();
    Some(Gpu::from_device(device, queue).unwrap())
}

#[test]
fn device_buffers_of_a_host_program_give_the_bits_of_arrays() {
    let Some(gpu) = host_device() else { return };
    for case in CELLS.map(Case::new).into_iter().chain([Case::new(Cell::Lstm).projected(5)]) {
        for (bidirectional, layers, chunk) in [(false, 1, None), (true, 2, Some(3))] {
            let dropout = if layers > 1 { (0.3, 0.4) } else { (0.0, 0.0) };
            let case = Case { bidirectional, layers, dropout, ragged: true, ..case.clone() }.sizes([7, 5, 3, 6, 1]);
            let model = case.headless();
            let options = EngineOptions::default().chunk(chunk);
            let mut engine = gpu.engine(&model, &options).unwrap();
            engine.set_parameters(&case.parameters(&model)).unwrap();
            engine.set_dropout(masks(1));
            let sequence = case.sequence::<f32>();
            let gradient = case.output_gradient::<f32>();
            let arrays = block_on(engine.forward(&sequence)).unwrap();
            let input_gradient = block_on(engine.backward(&gradient)).unwrap();
            let sums = block_on(engine.gradients()).unwrap();

            let bptt::Input::Dense(mut x) = sequence.input.clone() else { unreachable!("the case is dense") };
            let mut d_output = gradient.output.clone().unwrap();
            for row in 0..case.rows {
                x.slice_mut(bptt::ndarray::s![sequence.length(row).., row, ..]).fill(f32::NAN);
                d_output.slice_mut(bptt::ndarray::s![sequence.length(row).., row, ..]).fill(f32::NAN);
            }
            let (stacks, width) = (case.recurrent().num_layer_directions(), case.recurrent().output_size());
            let of_h = stacks * case.rows * case.recurrent().state_size();
            let of_c = stacks * case.rows * case.hidden;
            let initial = sequence.initial.clone().unwrap();
            let lstm = case.cell == Cell::Lstm;
            let optional = |array: Option<bptt::ndarray::Array3<f32>>| array.map(|array| upload(&gpu, array));
            let (x, h_0, c_0) = (upload(&gpu, x), upload(&gpu, initial.h), optional(initial.c));
            let output = empty(&gpu, case.steps * case.rows * width);
            let (h_n, c_n) = (empty(&gpu, of_h), lstm.then(|| empty(&gpu, of_c)));
            engine
                .forward_on_device(
                    (case.steps, case.rows),
                    sequence.lengths.as_deref(),
                    DeviceArrays { sequence: Some(&x), h: Some(&h_0), c: c_0.as_ref() },
                    DeviceArrays { sequence: Some(&output), h: Some(&h_n), c: c_n.as_ref() },
                )
                .unwrap();
            let (d_h_n, d_c_n) = (upload(&gpu, gradient.h_n.clone().unwrap()), optional(gradient.c_n.clone()));
            let d_output = upload(&gpu, d_output);
            let dx = empty(&gpu, case.steps * case.rows * case.inputs);
            let (dh_0, dc_0) = (empty(&gpu, of_h), lstm.then(|| empty(&gpu, of_c)));
            engine.clear_gradients();
            engine
                .backward_on_device(
                    DeviceArrays { sequence: Some(&d_output), h: Some(&d_h_n), c: d_c_n.as_ref() },
                    DeviceArrays { sequence: Some(&dx), h: Some(&dh_0), c: dc_0.as_ref() },
                )
                .unwrap();
            let same = |name: &str, buffer: &wgpu::Buffer, array: Vec<f32>| {
                let equal = download(&gpu, buffer).iter().zip(&array).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(equal, "{case}: {name}");
            };
            same("output", &output, arrays.output.into_iter().collect());
            same("h_n", &h_n, arrays.states.h.into_iter().collect());
            same("dx", &dx, input_gradient.x.unwrap().into_iter().collect());
            same("dh_0", &dh_0, input_gradient.initial.h.into_iter().collect());
            if let (Some(c_n), Some(dc_0)) = (c_n, dc_0) {
                same("c_n", &c_n, arrays.states.c.unwrap().into_iter().collect());
                same("dc_0", &dc_0, input_gradient.initial.c.unwrap().into_iter().collect());
            }
            assert_eq!(block_on(engine.gradients()).unwrap(), sums, "{case}");
        }
    }
}

#[test]
fn a_mismatched_buffer_and_backward_without_forward_are_refused_by_name() {
    let Some(gpu) = gpu() else { return };
    let case = Case::new(Cell::Gru);
    let mut engine = gpu.engine(&case.headless(), &EngineOptions::default()).unwrap();
    let short = empty(&gpu, 5);
    let on = |sequence| DeviceArrays { sequence: Some(sequence), ..DeviceArrays::default() };
    let error = engine.forward_on_device((4, 3), None, on(&short), DeviceArrays::default()).unwrap_err();
    assert_eq!(error.to_string(), "x: expected a buffer of 96 bytes, got 20 bytes");
    let x = empty(&gpu, 24);
    let error = engine.forward_on_device((4, 3), Some(&[4, 5, 1]), on(&x), DeviceArrays::default()).unwrap_err();
    assert_eq!(error.to_string(), "lengths[1]: expected 1 to T = 4, got 5");
    let error = engine.backward_on_device(DeviceArrays::default(), DeviceArrays::default()).unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)));
}

#[test]
fn a_device_with_low_limits_is_refused_with_the_name_of_the_limit() {
    if gpu().is_none() {
        return;
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = block_on(instance.request_adapter(&Default::default())).unwrap();
    let (device, queue) = block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        required_limits: wgpu::Limits::downlevel_defaults(),
        ..Default::default()
    }))
    .unwrap();
    let error = Gpu::from_device(device, queue).unwrap_err().to_string();
    assert!(error.contains("max_storage_buffers_per_shader_stage is 4 where 8 is needed"), "{error}");
}

#[test]
fn omitted_gradients_count_as_zero() {
    let Some(gpu) = gpu() else { return };
    let case = Case::new(Cell::Lstm);
    let mut engine = gpu.engine(&case.headless(), &EngineOptions::default()).unwrap();
    engine.set_parameters(&case.parameters(&case.headless())).unwrap();
    block_on(engine.forward(&case.sequence())).unwrap();
    let none = block_on(engine.backward(&Default::default())).unwrap();
    let zero = |array: &bptt::ndarray::Array3<f32>| array.iter().all(|value| *value == 0.0);
    assert!(zero(none.x.as_ref().unwrap()) && zero(&none.initial.h) && zero(none.initial.c.as_ref().unwrap()));
    let sums = ArrayD::from_shape_vec(vec![engine.layout().len()], block_on(engine.gradients()).unwrap()).unwrap();
    assert!(sums.iter().all(|value| *value == 0.0));
}
