//! Embeds the recurrent layers in a program with its own wgpu device, data, loss and optimizer. It learns to echo a
//! signal three steps late.
//!
//! `cargo run --release --example embed`

use bptt::gpu::{DeviceArrays, required_features, required_limits};
use bptt::wgpu::{self, BufferUsages};
use bptt::{Backend, Cell, EngineOptions, Gpu, Initialisation, Layers, Model, Parameters, Recurrent};

const STEPS: usize = 20;
const ROWS: usize = 16;
const HIDDEN: usize = 8;
const DELAY: usize = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    bptt::block_on(run())
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    // The program opens the device with the limits that bptt requires.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await?;
    let (device, queue) = adapter
        .request_device(&wgpu::DeviceDescriptor {
            required_features: required_features(),
            required_limits: required_limits(&adapter.limits()),
            ..Default::default()
        })
        .await?;
    let gpu = Gpu::from_device(device.clone(), queue.clone())?;

    let model = Model::headless(Recurrent::new(Cell::Gru, 1, HIDDEN));
    let mut layers = gpu.engine(&model, &EngineOptions::default())?;
    let mut weights = Initialisation::default().draw(&model, 1);
    let mut velocity = vec![0.0; weights.len()];

    // x and d_output stay on the device. The program's own head is the first hidden unit.
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
    let buffer = |numbers: usize| {
        let size = 4 * numbers as u64;
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    };
    let (x, output, d_output) = (buffer(STEPS * ROWS), buffer(STEPS * ROWS * HIDDEN), buffer(STEPS * ROWS * HIDDEN));
    let signal = |t: usize, row: usize| (((t * 37 + row * 101) % 17) as f32 / 8.0 - 1.0) * 0.8;
    let xs: Vec<f32> = (0..STEPS * ROWS).map(|i| signal(i / ROWS, i % ROWS)).collect();
    write(&queue, &x, &xs);

    for step in 0..=400 {
        layers.set_parameters(&weights)?;
        let on = |sequence| DeviceArrays { sequence: Some(sequence), ..Default::default() };
        layers.forward_on_device((STEPS, ROWS), None, on(&x), on(&output))?;

        // The program's own loss: squared error of the first unit against the signal three steps before.
        let outputs = read(&device, &queue, &output)?;
        let mut gradient = vec![0.0; outputs.len()];
        let mut loss = 0.0;
        for (i, h) in outputs.chunks_exact(HIDDEN).enumerate().skip(DELAY * ROWS) {
            let error = h[0] - xs[i - DELAY * ROWS];
            loss += error * error / ((STEPS - DELAY) * ROWS) as f32;
            gradient[i * HIDDEN] = 2.0 * error / ((STEPS - DELAY) * ROWS) as f32;
        }
        write(&queue, &d_output, &gradient);
        layers.clear_gradients();
        layers.backward_on_device(on(&d_output), DeviceArrays::default())?;

        // The program's own optimizer: SGD with momentum.
        for ((w, v), g) in weights.iter_mut().zip(&mut velocity).zip(layers.gradients().await?) {
            *v = 0.9 * *v - 0.3 * g;
            *w += *v;
        }
        if step % 100 == 0 {
            println!("step {step:3}: loss {loss:.5}");
        }
    }
    Ok(())
}

fn write(queue: &wgpu::Queue, buffer: &wgpu::Buffer, numbers: &[f32]) {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    queue.write_buffer(buffer, 0, &bytes);
}

fn read(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    buffer: &wgpu::Buffer,
) -> Result<Vec<f32>, Box<dyn std::error::Error>> {
    let staging = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: buffer.size(),
        usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, None);
    queue.submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |_| ());
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let bytes = staging.slice(..).get_mapped_range()?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}
