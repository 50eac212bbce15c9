//! A loss of your own on either backend: log cosh(a − y), less sensitive to outliers than the squared error. The network
//! learns to repeat the last number but one, from targets of which one in eleven is far off.
//!
//! `cargo run --release --example own_loss`

use bptt::ndarray::{Array3, s};
use bptt::wgpu::{self, BufferUsages};
use bptt::{
    Backend, Cell, Cpu, CpuEngine, CpuPredictions, CustomLoss, Gpu, GpuPredictions, Head, Loss, Model, Optimizer,
    Readout, Recurrent, Sequence, Trainer, Wait, gpu::GpuEngine,
};

const KERNEL: &str = "
    @group(0) @binding(0) var<storage, read> targets: array<f32>;
    @group(0) @binding(1) var<storage, read_write> a: array<vec4f>; // O = 1, in rows of whole vec4
    @group(0) @binding(2) var<storage, read_write> losses: array<f32>;
    @compute @workgroup_size(GROUP)
    fn log_cosh(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
        let i = linear(id, groups); if i >= arrayLength(&losses) { return; }
        let error = clamp(a[i].x - targets[i], -40.0, 40.0);
        losses[i] = abs(error) + log(0.5 + 0.5 * exp(-2.0 * abs(error)));
        a[i].x = tanh(error);
    }";

/// The targets [T, B, 1], and on a GPU the kernel and a buffer for the targets.
pub(crate) struct LogCosh(Array3<f32>, Option<(wgpu::ComputePipeline, wgpu::Buffer)>);

impl CustomLoss<CpuEngine> for LogCosh {
    fn loss(&self, predictions: CpuPredictions<'_>) -> f64 {
        let losses = predictions.map(|prediction| {
            let error = prediction.logits[0] - self.0[[prediction.p, prediction.row, 0]];
            prediction.logits[0] = error.tanh();
            f64::from(error.abs() + (0.5 + 0.5 * (-2.0 * error.abs()).exp()).ln())
        });
        losses.sum()
    }
}

impl CustomLoss<GpuEngine> for LogCosh {
    fn loss(&self, mut range: GpuPredictions<'_>) {
        let Self(targets, Some((pipeline, buffer))) = self else { panic!("a GPU needs the kernel") };
        let targets: Vec<f32> = targets.slice(s![range.p.clone(), range.rows.clone(), ..]).iter().copied().collect();
        range.write(buffer, 0, bytemuck::cast_slice(&targets));
        let buffers = [buffer.as_entire_buffer_binding(), range.logits.clone(), range.losses.clone()];
        range.dispatch(pipeline, &buffers, range.groups());
    }
}

fn kernel(gpu: &Gpu) -> bptt::Result<(wgpu::ComputePipeline, wgpu::Buffer)> {
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST;
    let targets = wgpu::BufferDescriptor { label: None, size: 4 * 320, usage, mapped_at_creation: false };
    Ok((gpu.compute_pipeline(&[GpuPredictions::WGSL, KERNEL].concat())?, gpu.device().create_buffer(&targets)))
}

/// The mean loss before and after training; of the head, only O and the readout are used.
pub(crate) fn train<B: Backend>(backend: &B, gpu: Option<&Gpu>) -> bptt::Result<[f64; 2]>
where
    LogCosh: CustomLoss<B::Engine>,
{
    let x = Array3::from_shape_fn((20, 16, 1), |(t, b, _)| ((t * 37 + b * 101) % 17) as f32 / 8.0 - 1.0); // [T, B, I]
    let target = |(t, b, _): (usize, usize, usize)| if (t * 16 + b) % 11 == 0 { 9.0 } else { x[[t.max(1) - 1, b, 0]] };
    let loss = LogCosh(Array3::from_shape_fn(x.dim(), target), gpu.map(kernel).transpose()?);
    let model = Model::new(Recurrent::new(Cell::Gru, 1, 8), Head::new(1, Loss::SquaredError, Readout::PerStep));
    let mut trainer = Trainer::new(backend, &model, Optimizer::adam(1e-2), 1)?;
    let (weight, sequence) = (x.len() as f64, Sequence::dense(x)); // Σ w: the number of predictions
    let before = trainer.evaluate_with(&sequence, weight, &loss).wait()?.loss;
    for _ in 0..300 {
        trainer.step_with(&sequence, weight, &loss).wait()?;
    }
    Ok([before, trainer.evaluate_with(&sequence, weight, &loss).wait()?.loss])
}

fn main() -> bptt::Result<()> {
    let ([before, after], device) = match Gpu::new(Default::default()).wait() {
        Ok(gpu) => (train(&gpu, Some(&gpu))?, gpu.describe()),
        Err(error) => (train(&Cpu::new(), None)?, format!("the CPU: {error}")),
    };
    println!("mean loss {before:.3} before training, {after:.3} after, on {device}");
    Ok(())
}
