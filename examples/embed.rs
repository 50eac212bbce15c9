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

pub(crate) async fn run(steps: usize) -> Result<Vec<f32>, Box<dyn std::error::Error>> {
    // The program opens the device with the limits that bptt requires.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await?;
    let (required_features, required_limits) = (required_features(), required_limits(&adapter.limits()));
    let descriptor = wgpu::DeviceDescriptor { required_features, required_limits, ..Default::default() };
    let (device, queue) = adapter.request_device(&descriptor).await?;
    let gpu = Gpu::from_device(device.clone(), queue.clone())?;

    let model = Model::headless(Recurrent::new(Cell::Gru, 1, HIDDEN));
    let mut layers = gpu.engine(&model, &EngineOptions::default())?;
    let mut weights = Initialisation::default().draw(&model, 1)?;
    let mut velocity = vec![0.0; weights.len()];

    // x, the output and its gradient stay on the device. The program's own head is the first hidden unit.
    let buffer = |numbers: usize, usage| {
        let size = 4 * numbers as u64;
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    };
    let array = |numbers| buffer(numbers, BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC);
    let (x, output, d_output) = (array(STEPS * ROWS), array(STEPS * ROWS * HIDDEN), array(STEPS * ROWS * HIDDEN));
    let staging = buffer(STEPS * ROWS * HIDDEN, BufferUsages::MAP_READ | BufferUsages::COPY_DST);
    let signal = |t: usize, row: usize| (((t * 37 + row * 101) % 17) as f32 / 8.0 - 1.0) * 0.8;
    let xs: Vec<f32> = (0..STEPS * ROWS).map(|i| signal(i / ROWS, i % ROWS)).collect();
    queue.write_buffer(&x, 0, bytemuck::cast_slice(&xs));

    let mut losses = Vec::new();
    for _ in 0..steps {
        layers.set_parameters(&weights)?;
        let on = |sequence| DeviceArrays { sequence: Some(sequence), ..Default::default() };
        layers.forward_on_device((STEPS, ROWS), None, on(&x), on(&output))?;

        // The program's own loss: squared error of the first unit against the signal three steps before.
        let mut encoder = device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&output, 0, &staging, 0, None);
        queue.submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., |_| ());
        device.poll(wgpu::PollType::wait_indefinitely())?;
        let outputs: Vec<f32> = bytemuck::cast_slice(&staging.slice(..).get_mapped_range()?).to_vec();
        staging.unmap();
        let (mut loss, mut gradient) = (0.0, vec![0.0; outputs.len()]);
        for (i, h) in outputs.chunks_exact(HIDDEN).enumerate().skip(DELAY * ROWS) {
            let (error, count) = (h[0] - xs[i - DELAY * ROWS], ((STEPS - DELAY) * ROWS) as f32);
            loss += error * error / count;
            gradient[i * HIDDEN] = 2.0 * error / count;
        }
        losses.push(loss);
        queue.write_buffer(&d_output, 0, bytemuck::cast_slice(&gradient));
        layers.clear_gradients();
        layers.backward_on_device(on(&d_output), DeviceArrays::default())?;

        // The program's own optimizer: SGD with momentum.
        for ((w, v), g) in weights.iter_mut().zip(&mut velocity).zip(layers.gradients().await?) {
            *v = 0.9 * *v - 0.3 * g;
            *w += *v;
        }
    }
    Ok(losses)
}

fn main() -> bptt::Result<()> {
    let losses = bptt::block_on(run(401)).map_err(|error| bptt::Error::Failed(error.to_string()))?;
    losses.iter().enumerate().step_by(100).for_each(|(step, loss)| println!("step {step:3}: loss {loss:.5}"));
    Ok(())
}
