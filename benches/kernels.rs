//! Matrix products, forward passes and training steps, CPU and GPU side by side; steps of a stream on the CPU.
//!
//! `cargo bench` runs everything on the CPU backend and, if available, on the best GPU (including software drivers).
//! `cargo bench -- training_step/lstm` runs a part.

use bptt::{
    Activation, Backend, Batch, Cell, Cpu, EngineOptions, Head, Inference, Initialisation, Loss, Model, Optimizer,
    Parameters, Readout, Recurrent, Sequence, Session, Targets, Trainer,
};
use std::hint::black_box;
use std::time::Duration;

use bptt::gpu::kernels::DeviceProduct;
use bptt::gpu::{Gpu, GpuOptions};
use bptt::ndarray::{Array2, Array3};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pollster::block_on;

/// Name, and B, T, I, H, O.
const SIZES: [(&str, [usize; 5]); 3] =
    [("S", [16, 32, 32, 64, 32]), ("M", [64, 128, 128, 256, 128]), ("S-B512", [512, 32, 32, 64, 32])];

const CELLS: [Cell; 3] = [Cell::Rnn(Activation::Tanh), Cell::Lstm, Cell::Gru];

fn gpu() -> Option<Gpu> {
    block_on(Gpu::new(GpuOptions::default())).inspect_err(|error| eprintln!("{error}")).ok()
}

fn work(cell: Cell, [b, t, i, h, o]: [usize; 5]) -> (Model, Batch) {
    let model = Model::new(Recurrent::new(cell, i, h), Head::new(o, Loss::CrossEntropy, Readout::PerStep));
    let x = Array3::from_shape_fn((t, b, i), |(t, b, i)| ((t * 31 + b * 17 + i * 7) % 23) as f32 / 11.0 - 1.0);
    let classes = Array2::from_shape_fn((t, b), |(t, b)| ((t + b) % o) as u32);
    (model, Batch::new(Sequence::dense(x), Targets::Classes(classes)))
}

/// C = A · B with the shapes of the input projection, and square.
fn matmul(criterion: &mut Criterion) {
    let gpu = gpu();
    let mut group = criterion.benchmark_group("matmul");
    for [m, n, k] in [[512, 256, 32], [8192, 1024, 128], [512, 512, 512]] {
        group.throughput(Throughput::Elements((2 * m * n * k) as u64));
        let name = format!("{m}x{n}x{k}");
        let (a, b) = (vec![0.5f32; m * k], vec![0.5f32; n * k]);
        let mut c = vec![0.0f32; m * n];
        let weight = bptt::cpu::kernels::PackedWeight::new(&b, [n, k]);
        group.bench_function(BenchmarkId::new("cpu", &name), |bencher| {
            bencher.iter(|| weight.product(black_box(&a), m, &mut c));
        });
        if let Some(product) = gpu.as_ref().map(|gpu| DeviceProduct::new(gpu, [m, n, k], true).unwrap()) {
            group.bench_function(BenchmarkId::new("gpu", &name), |bencher| {
                bencher.iter(|| product.run(1).unwrap());
            });
        }
    }
    group.finish();
}

fn forward_on<B: Backend>(criterion: &mut Criterion, backend: &B, path: &str) {
    let mut group = criterion.benchmark_group("forward");
    for cell in CELLS {
        for (size, shape) in SIZES {
            let (model, batch) = work(cell, shape);
            let mut engine = backend.engine(&model, &EngineOptions::default()).unwrap();
            group.throughput(Throughput::Elements((shape[0] * shape[1]) as u64));
            group.bench_function(format!("{}/{size}/{path}", cell.name()), |bencher| {
                bencher.iter(|| block_on(engine.evaluate(&batch)).unwrap());
            });
        }
    }
    group.finish();
}

fn step_on<B: Backend>(criterion: &mut Criterion, backend: &B, path: &str) {
    let mut group = criterion.benchmark_group("training_step");
    for cell in CELLS {
        for (size, shape) in SIZES {
            let (model, batch) = work(cell, shape);
            let mut trainer = Trainer::new(backend, &model, Optimizer::sgd(0.01), 1).unwrap();
            group.throughput(Throughput::Elements((shape[0] * shape[1]) as u64));
            group.bench_function(format!("{}/{size}/{path}", cell.name()), |bencher| {
                bencher.iter(|| {
                    block_on(trainer.step(&batch)).unwrap();
                    block_on(trainer.finish()).unwrap();
                });
            });
        }
    }
    group.finish();
}

fn forward(criterion: &mut Criterion) {
    forward_on(criterion, &Cpu::new(), "cpu");
    gpu().iter().for_each(|gpu| forward_on(criterion, gpu, "gpu"));
}

fn training_step(criterion: &mut Criterion) {
    step_on(criterion, &Cpu::new(), "cpu");
    gpu().iter().for_each(|gpu| step_on(criterion, gpu, "gpu"));
}

/// A step of a stream of one row: an LSTM of 40 units with one input and one output, as amplifiers are modelled by.
fn stream(criterion: &mut Criterion) {
    let head = Head::new(1, Loss::SquaredError, Readout::PerStep);
    let model = Model::new(Recurrent::new(Cell::Lstm, 1, 40), head);
    let mut engine = Cpu::<f32>::with_threads(1).unwrap().engine(&model, &EngineOptions::default()).unwrap();
    engine.initialise(Initialisation::default(), 1).unwrap();
    let mut session = Session::new(engine, 1).unwrap();
    let mut group = criterion.benchmark_group("stream");
    for steps in [1, 64] {
        let x = Sequence::dense(Array3::from_shape_fn((steps, 1, 1), |(t, ..)| (t as f32 * 0.1).sin()));
        group.throughput(Throughput::Elements(steps as u64));
        group.bench_function(format!("lstm/{steps}/cpu"), |bencher| {
            bencher.iter(|| black_box(block_on(session.step(&x)).unwrap())[[0, 0, 0]]);
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    targets = matmul, forward, training_step, stream
}
criterion_main!(benches);
