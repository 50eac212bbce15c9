//! Half precision on the GPU: z, h and copies of W_hh are stored as halves, everything else is as in f32.

use bptt::ndarray::{Array2, Array3};
use bptt::{
    Activation, Backend, Batch, Cell, Cpu, EngineOptions, Error, Gpu, GpuOptions, Inspection, Layers, Loss, LossScale,
    Model, Optimizer, OptimizerStep, Parameters, Precision, Readout, RecurrentKernel, Sequence, SkippedUpdates,
    StatefulRows, Targets, Trainer, TrainerOptions, Training,
};
use pollster::block_on;

use crate::common::gpu::{gpu, open};
use crate::common::{CELLS, Case, Named, assert_same_bits, fill, projected, table};
use crate::kernels::{cases, gpus, results};
use crate::session::{cases_of, steps_have_the_bits_of_the_whole_sequence_with};

const KERNELS: [RecurrentKernel; 2] = [RecurrentKernel::Sequence, RecurrentKernel::Step];

/// Of the largest number of a tensor. A half has a relative error of 2⁻¹¹, or 2⁻¹⁰ on drivers that truncate; a sum's error is
/// that of a few such numbers.
const RELATIVE: f64 = 16.0 / 1024.0;
const FLOOR: f64 = 0.2;

fn halves() -> EngineOptions {
    EngineOptions::default().precision(Precision::F16)
}

/// The largest difference, relative to the largest number.
fn deviation(got: &Named, want: &Named) -> (f64, String) {
    let of = |((name, got), (_, want)): (&(String, _), &(String, bptt::ndarray::ArrayD<f64>))| {
        let got: &bptt::ndarray::ArrayD<f64> = got;
        let largest = want.iter().fold(FLOOR, |largest, value| largest.max(value.abs()));
        let worst = got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f64::max);
        assert!(got.iter().all(|value| value.is_finite()), "{name} is not finite");
        (worst / largest, name.clone())
    };
    got.iter().zip(want).map(of).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
}

#[test]
fn every_kernel_and_tile_is_as_near_to_f64_as_halves_are() {
    let gpus = gpus();
    for (i, case) in cases().into_iter().enumerate() {
        let chunk = [None, Some(4)][i % 2];
        let want = results(&Cpu::<f64>::with_threads(2).unwrap(), &case, EngineOptions::default().chunk(chunk));
        // On one of the devices, without the shaders' checks, which change no bit.
        let (device, gpu) = &gpus[i / 2 % 2 * 2];
        let kernel = KERNELS[i / 4 % 2];
        let got = results(gpu, &case, halves().kernel(kernel).chunk(chunk));
        let (worst, name) = deviation(&got, &want);
        assert!(worst < RELATIVE, "{device}, {kernel:?}, {case}: {name} differs by {worst:.1e}");
    }
}

#[test]
fn projections_embeddings_and_all_readouts_are_as_near_to_f64_as_halves_are() {
    let gpus = gpus();
    // The derivative of a ReLU jumps where rounding moves a sum over 0.
    let smooth = |case: &Case| case.scale <= 1.0 && case.cell != Cell::Rnn(Activation::Relu);
    for (i, case) in table().into_iter().chain(projected()).filter(smooth).enumerate() {
        let want = results(&Cpu::<f64>::with_threads(2).unwrap(), &case, EngineOptions::default());
        let (device, gpu) = &gpus[2 * (i % 2)];
        let (worst, name) = deviation(&results(gpu, &case, halves()), &want);
        assert!(worst < RELATIVE, "{device}, {case}: {name} differs by {worst:.1e}");
    }
}

#[cfg(feature = "experiment")]
#[test]
fn cells_from_outside_are_as_near_to_f64_as_halves_are() {
    let gpus = gpus();
    for (i, case) in crate::cells::outside().into_iter().flat_map(cases_of).enumerate() {
        let want = results(&Cpu::<f64>::with_threads(2).unwrap(), &case, EngineOptions::default());
        let (device, gpu) = &gpus[2 * (i % 2)];
        let (worst, name) = deviation(&results(gpu, &case, halves()), &want);
        assert!(worst < RELATIVE, "{device}, {case}: {name} differs by {worst:.1e}");
    }
}

#[test]
fn steps_of_many_rows_and_units_are_as_near_to_f64_as_halves_are() {
    let Some(gpu) = open(GpuOptions::default().tiles(bptt::gpu::Tiles::Hardware)) else { return };
    let many = |cell, sizes| Case { ragged: true, resets: true, dropout: (0.0, 0.3), ..Case::new(cell) }.sizes(sizes);
    for case in [many(Cell::Lstm, [3, 65, 5, 517, 3]), many(Cell::Gru, [3, 130, 3, 345, 5])] {
        let want = results(&Cpu::<f64>::with_threads(2).unwrap(), &case, EngineOptions::default());
        let (worst, name) = deviation(&results(&gpu, &case, halves()), &want);
        assert!(worst < RELATIVE, "{case}: {name} differs by {worst:.1e}");
    }
}

#[test]
fn halves_are_used_and_kernels_change_no_bit_of_them() {
    for (_, gpu) in gpus().iter().step_by(2) {
        for case in cases().into_iter().filter(|case| case.hidden == 33 || case.hidden == 64) {
            let first = results(gpu, &case, halves().kernel(KERNELS[0]));
            KERNELS
                .iter()
                .for_each(|kernel| assert_same_bits(&case, &results(gpu, &case, halves().kernel(*kernel)), &first));
            assert_ne!(first, results(gpu, &case, EngineOptions::default()), "{case}");
        }
    }
}

#[test]
fn recomputed_chunks_have_the_same_bits_in_halves() {
    let Some(gpu) = gpu() else { return };
    for cell in CELLS {
        let case = Case { ragged: true, resets: true, layers: 2, ..Case::new(cell) }.sizes([9, 5, 3, 17, 4]);
        let options = halves().chunk(3);
        assert_same_bits(&case, &results(&gpu, &case, options.clone().recompute(true)), &results(&gpu, &case, options));
    }
}

#[test]
fn steps_of_a_session_have_the_bits_of_the_whole_sequence_in_halves() {
    let Some(gpu) = gpu() else { return };
    steps_have_the_bits_of_the_whole_sequence_with(&gpu, &halves(), CELLS.into_iter().flat_map(cases_of).collect());
}

#[test]
fn gates_and_copies_of_weights_take_half_the_memory_and_states_less() {
    let Some(gpu) = open(GpuOptions::default().tiles(bptt::gpu::Tiles::Hardware)) else { return };
    let case = Case { initial: false, ..Case::new(Cell::Lstm) }.sizes([40, 16, 8, 128, 8]);
    let of = |options: EngineOptions| {
        let options = options.optimizer(Optimizer::sgd(0.1).kind);
        let planned = gpu.plan(&case.model(), &options, case.batch().sequence.batch_shape(), false).unwrap();
        let mut engine = gpu.engine(&case.model(), &options).unwrap();
        block_on(engine.accumulate(&case.batch(), None)).unwrap();
        assert!(engine.memory().total() <= planned.total(), "the plan is a bound");
        planned
    };
    let (full, half) = (of(EngineOptions::default()), of(halves()));
    let bytes = |memory: &bptt::Memory, part| memory.of(part);
    use bptt::MemoryPart::{Gates, States, Weights};
    assert_eq!(bytes(&half, Gates), bytes(&full, Gates) / 2);
    assert!(bytes(&half, States) < bytes(&full, States));
    // Two copies in halves in place of one in f32, but for uniforms.
    assert!(bytes(&half, Weights).abs_diff(bytes(&full, Weights)) < 1024);
}

/// A network whose gradients are `by` times those of another.
fn weighted(by: f32) -> (Case, Batch) {
    let case = Case { loss: Loss::SquaredError, at: Readout::PerStep, ..Case::new(Cell::Gru) }.sizes([6, 4, 3, 9, 2]);
    let mut batch = case.batch();
    batch.weights = Some(Array2::from_elem((6, 4), by));
    (case, batch)
}

fn gradients(gpu: &Gpu, by: f32, options: EngineOptions) -> Vec<f32> {
    let (case, batch) = weighted(by);
    let mut engine = gpu.engine(&case.model(), &options).unwrap();
    engine.set_parameters(&case.parameters(&case.model())).unwrap();
    block_on(engine.accumulate(&batch, None)).unwrap();
    block_on(engine.gradients()).unwrap()
}

#[test]
fn gradients_that_halves_alone_would_lose_keep_their_digits() {
    let Some(gpu) = gpu() else { return };
    let by = 2.0f32.powi(-14);
    let largest = gradients(&gpu, 1.0, EngineOptions::default()).iter().fold(0.0f32, |most, g| most.max(g.abs()));
    let wide = gradients(&gpu, 1.0, halves());
    for (small, wide) in gradients(&gpu, by, halves()).iter().zip(wide) {
        assert!((small / by - wide).abs() < 1e-3 * largest, "{} instead of {wide}", small / by);
    }
}

#[test]
fn a_step_beyond_the_range_of_halves_is_skipped_and_halves_the_loss_scale() {
    let Some(gpu) = gpu() else { return };
    let optimizer = Optimizer::sgd(0.0);
    let (case, good) = weighted(1.0);
    let (_, mut bad) = weighted(1.0);
    // Gradients of 1000 times 256 are no halves; they are after a few steps.
    if let Targets::Values(values) = &mut bad.targets {
        values.fill(1000.0);
    }
    let options = TrainerOptions::default().engine(halves().max_skipped_updates(20));
    let mut trainer = Trainer::with_options(&gpu, &case.model(), optimizer, 1, options.clone()).unwrap();
    let exponent = |state: &bptt::train::TrainerState| state.skipped.loss_scale.unwrap().exponent;
    let start = exponent(&block_on(trainer.state()).unwrap());
    let mut skipped = 0;
    loop {
        block_on(trainer.step(&bad)).unwrap();
        let report = block_on(trainer.finish()).unwrap()[0];
        let state = block_on(trainer.state()).unwrap();
        if !report.skipped {
            assert!(skipped >= 1, "the first step fits into halves");
            assert_eq!((exponent(&state), state.skipped.in_row), (start - skipped, 0));
            assert!(report.norm.is_finite());
            break;
        }
        skipped += 1;
        assert!(report.loss.is_finite(), "the loss itself is not scaled");
        assert_eq!(state.skipped.loss_scale, Some(LossScale { exponent: start - skipped, good_updates: 0 }));
    }
    block_on(trainer.step(&good)).unwrap();
    let state = block_on(trainer.state()).unwrap();
    assert_eq!(state.skipped.loss_scale.unwrap().good_updates, 2);
    // It comes back with the trainer's state.
    let mut other = Trainer::with_options(&gpu, &case.model(), optimizer, 1, options).unwrap();
    other.restore(&state).unwrap();
    assert_eq!(block_on(other.state()).unwrap(), state);
}

#[test]
fn the_loss_scale_doubles_after_2000_good_updates() {
    let Some(gpu) = gpu() else { return };
    let (case, batch) = weighted(1.0);
    let optimizer = Optimizer::sgd(0.0);
    let mut engine = gpu.engine(&case.model(), &halves().optimizer(optimizer.kind)).unwrap();
    let scale = |exponent, good_updates| Some(LossScale { exponent, good_updates });
    let skipped = |loss_scale| SkippedUpdates { loss_scale, ..SkippedUpdates::default() };
    let step = |engine: &mut bptt::GpuEngine| {
        block_on(engine.accumulate(&batch, None)).unwrap();
        block_on(engine.update(&OptimizerStep::new(optimizer, 1, batch.total_weight()))).unwrap();
        block_on(engine.skipped()).unwrap().loss_scale
    };
    engine.restart(skipped(scale(3, 1998))).unwrap();
    assert_eq!(step(&mut engine), scale(3, 1999));
    assert_eq!(step(&mut engine), scale(4, 0));
    engine.restart(skipped(scale(24, 1999))).unwrap();
    assert_eq!(step(&mut engine), scale(24, 0), "the largest");
    // A state of before, without a scale, leaves it.
    engine.restart(skipped(None)).unwrap();
    assert_eq!(step(&mut engine), scale(24, 1));
}

#[test]
fn carried_states_in_halves_continue_a_sequence() {
    let Some(gpu) = gpu() else { return };
    for cell in [Cell::Rnn(Activation::Tanh), Cell::Lstm] {
        let case = Case { initial: false, loss: Loss::SquaredError, at: Readout::PerStep, ..Case::new(cell) };
        let case = case.sizes([4, 3, 2, 7, 1]);
        let make = || {
            let mut engine = gpu.engine(&case.model(), &halves()).unwrap();
            engine.set_parameters(&case.parameters(&case.model())).unwrap();
            engine
        };
        let batch = |first: usize| {
            let x: Array3<f32> = fill((8, 3, 2), 1);
            let x = x.slice(bptt::ndarray::s![first..first + 4, .., ..]).to_owned();
            Batch::new(Sequence::dense(x), Targets::Values(Array3::zeros((4, 3, 1))))
        };
        let rows = Some(StatefulRows { first_row: 0, rows: 3 });
        let mut engine = make();
        block_on(engine.accumulate(&batch(0), rows)).unwrap();
        let between = block_on(engine.states()).unwrap().unwrap();
        block_on(engine.accumulate(&batch(4), rows)).unwrap();
        let want = block_on(engine.states()).unwrap();
        // The states between are halves, so that they are the same after the way over the host.
        let mut other = make();
        other.set_states(Some(&between)).unwrap();
        block_on(other.accumulate(&batch(4), rows)).unwrap();
        assert_eq!(block_on(other.states()).unwrap(), want);
        let mut given = batch(4);
        given.sequence.initial = Some(between);
        let mut third = make();
        block_on(third.accumulate(&given, None)).unwrap();
        assert_ne!(want, None);
    }
}

#[test]
fn the_cpu_backend_refuses_half_precision_with_the_reason() {
    let model = Model::headless(bptt::Recurrent::new(Cell::Lstm, 2, 3));
    let refused = Cpu::<f32>::new().engine(&model, &halves()).err().unwrap();
    assert!(matches!(refused, Error::Unsupported(_)));
    assert!(refused.to_string().contains("precision f16 is how the GPU backend stores z and h"), "{refused}");
}
