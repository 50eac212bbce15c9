//! The choices that change nothing but speed: the recurrent kernel, the tiles, the shaders' checks.

use crate::common;
use crate::common::gpu::open;
use crate::common::{Case, Named, assert_close, assert_same_bits, by_name, fill, masks, wide};
use bptt::gpu::{GpuOptions, Tiles};
use bptt::ndarray::{Array2, s};
use bptt::{
    Activation, Backend, Batch, Cell, Cpu, EngineOptions, Gpu, Inference, Inspection, Layers, Loss, Optimizer,
    OptimizerStep, Parameters, RecurrentKernel, Sequence, Targets, Training,
};
use pollster::block_on;

const KERNELS: [RecurrentKernel; 2] = [RecurrentKernel::Sequence, RecurrentKernel::Step];

/// As in tests/engine/gpu.rs.
const RELATIVE: f64 = 5e-5;
const FLOOR: f64 = 0.2;

/// Every device that the options make of the one there is, in words.
pub(crate) fn gpus() -> Vec<(String, Gpu)> {
    let mut gpus = Vec::new();
    for tiles in [Tiles::Hardware, Tiles::Software] {
        for checked in [false, true] {
            let gpu = open(GpuOptions::default().tiles(tiles).checked(checked));
            gpus.extend(gpu.map(|gpu| (format!("{tiles:?}, checked {checked}"), gpu)));
        }
    }
    gpus
}

/// What [`results`] says, with a kernel and a chunk.
fn all<B: Backend>(backend: &B, case: &Case, kernel: RecurrentKernel, chunk: Option<usize>) -> Named {
    results(backend, case, EngineOptions::default().kernel(kernel).chunk(chunk))
}

/// Loss, logits, gradients, their norms at every step, and the parameters after two updates.
pub(crate) fn results<B: Backend>(backend: &B, case: &Case, options: EngineOptions) -> Named {
    let model = case.model();
    let optimizer = Optimizer::sgd(0.1);
    let options = options.optimizer(optimizer.kind).input_gradient(true);
    let mut engine = backend.engine(&model, &options).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    let batch = case.batch();
    let mut named = Named::new();
    for step in 1..=2 {
        engine.set_hidden_gradient_norms(step == 1);
        engine.set_dropout(masks(step));
        block_on(engine.accumulate(&batch, None)).unwrap();
        named.extend(common::gradients(&mut engine));
        let gradient = block_on(engine.input_gradient()).unwrap();
        named.extend(gradient.x.iter().map(|dx| ("dx".into(), wide(dx))));
        named.push(("dh_0".into(), wide(&gradient.initial.h)));
        named.extend(gradient.initial.c.iter().map(|dc| ("dc_0".into(), wide(dc))));
        if step == 1 {
            named.push(("flow".into(), block_on(engine.hidden_gradient_norms()).unwrap().norms.into_dyn()));
        }
        block_on(engine.update(&OptimizerStep::new(optimizer, step, batch.total_weight()))).unwrap();
        let report = block_on(engine.report()).unwrap().unwrap();
        named.push((format!("loss of step {step}"), Array2::from_elem((1, 1), report.loss).into_dyn()));
    }
    // What the last update left is what the next forward pass reads.
    named.push(("logits".into(), wide(&block_on(engine.logits(&batch.sequence)).unwrap().logits)));
    let parameters = block_on(engine.parameters()).unwrap();
    named.extend(by_name(engine.layout(), &parameters, ""));
    named
}

/// Every cell at sizes up to and beyond those where a step changes its form; on the other axes in another order.
pub(crate) fn cases() -> Vec<Case> {
    const HIDDEN: [usize; 14] = [1, 3, 17, 33, 64, 65, 130, 76, 77, 88, 89, 156, 157, 513];
    const OTHERS: [usize; 7] = [1, 3, 17, 33, 64, 65, 130];
    let mut cases = Vec::new();
    for (c, cell) in [Cell::Rnn(Activation::Sigmoid), Cell::Lstm, Cell::Gru].into_iter().enumerate() {
        for (i, hidden) in HIDDEN.into_iter().enumerate() {
            let size = |axis: usize| OTHERS[(i + c + axis) % OTHERS.len()];
            let case = Case {
                ragged: i % 2 == 0,
                bidirectional: i % 3 == 1,
                layers: 1 + i % 2,
                tokens: i % 3 == 2,
                weights: i % 4 == 1,
                resets: i % 5 == 3,
                dropout: (if i % 2 == 1 { 0.3 } else { 0.0 }, if (i + c) % 2 == 1 { 0.4 } else { 0.0 }),
                ..Case::new(cell)
            };
            cases.push(case.sizes([[6, 3, 9][i % 3], size(1), size(3), hidden, size(5)]));
        }
    }
    cases
}

#[test]
fn every_kernel_tile_and_bounds_check_equals_the_cpu_in_f64() {
    let gpus = gpus();
    for (i, case) in cases().into_iter().enumerate() {
        let chunk = [None, Some(4)][i % 2];
        let want = all(&Cpu::<f64>::with_threads(2).unwrap(), &case, RecurrentKernel::Auto, chunk);
        for (d, (device, gpu)) in gpus.iter().enumerate() {
            for (k, kernel) in KERNELS.into_iter().enumerate() {
                // With their checks on shaders are compiled once more, which takes longest: every case takes another
                // place.
                if d % 2 == 1 && (d / 2 + k + i) % 4 != 0 {
                    continue;
                }
                let got = all(gpu, &case, kernel, chunk);
                for ((name, got), (_, want)) in got.iter().zip(&want) {
                    // Sums over all rows are as exact as their largest terms.
                    let largest = want.iter().fold(FLOOR, |largest, value| largest.max(value.abs()));
                    assert_close(&format!("{device}, {kernel:?}, {case}: {name}"), got, want, RELATIVE, largest);
                }
            }
        }
    }
}

#[test]
fn kernels_and_bounds_checks_change_no_bit_over_20_runs() {
    for pair in gpus().chunks(2) {
        for case in cases().into_iter().filter(|case| case.hidden == 33 || case.hidden == 64) {
            let first = all(&pair[0].1, &case, KERNELS[0], None);
            for (_, gpu) in pair {
                for kernel in KERNELS {
                    assert_same_bits(&case, &all(gpu, &case, kernel, None), &first);
                }
            }
        }
        let case = Case { ragged: true, dropout: (0.0, 0.3), ..Case::new(Cell::Lstm) }.sizes([9, 17, 5, 33, 3]);
        for kernel in KERNELS {
            let first = all(&pair[0].1, &case, kernel, Some(4));
            (1..20).for_each(|_| assert_same_bits(&case, &all(&pair[0].1, &case, kernel, Some(4)), &first));
        }
    }
}

#[test]
fn steps_of_many_rows_and_units_equal_the_cpu_in_f64() {
    let many = |cell, sizes| Case { ragged: true, resets: true, dropout: (0.0, 0.3), ..Case::new(cell) }.sizes(sizes);
    let cases = [
        many(Cell::Rnn(Activation::Tanh), [3, 257, 3, 200, 3]),
        many(Cell::Lstm, [3, 65, 5, 517, 3]),
        Case { bidirectional: true, ..many(Cell::Gru, [3, 130, 3, 345, 5]) },
        Case { proj_size: Some(250), ..many(Cell::Lstm, [3, 257, 3, 261, 2]) },
    ];
    for (i, case) in cases.into_iter().enumerate() {
        let chunk = [None, Some(2)][i % 2];
        let want = all(&Cpu::<f64>::with_threads(2).unwrap(), &case, RecurrentKernel::Auto, chunk);
        let Some(gpu) = open(GpuOptions::default().tiles(Tiles::Hardware).checked(i % 2 == 1)) else { return };
        let got = all(&gpu, &case, RecurrentKernel::Step, chunk);
        for ((name, got), (_, want)) in got.iter().zip(&want) {
            let largest = want.iter().fold(FLOOR, |largest, value| largest.max(value.abs()));
            assert_close(&format!("{case}: {name}"), got, want, RELATIVE, largest);
        }
    }
}

/// What the first 3 of `rows` rows predict, and the gradients of their inputs.
fn of_three_rows(gpu: &Gpu, cell: Cell, hidden: usize, rows: usize) -> Named {
    let (steps, inputs) = (5, 2);
    let case = Case { loss: Loss::SquaredError, dropout: (0.0, 0.3), ..Case::new(cell) };
    let case = case.sizes([steps, rows, inputs, hidden, 1]);
    let model = case.model();
    let options = EngineOptions::default().kernel(RecurrentKernel::Step).input_gradient(true);
    let mut engine = gpu.engine(&model, &options).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    engine.set_dropout(masks(1));
    // Rows first, so that the first ones are the same beside any number of others.
    let of_rows = |columns, seed| fill::<f32, _>((rows, steps, columns), seed).permuted_axes([1, 0, 2]).to_owned();
    let batch = Batch::new(Sequence::dense(of_rows(inputs, 1)), Targets::Values(of_rows(1, 4)));
    block_on(engine.accumulate(&batch, None)).unwrap();
    let dx = block_on(engine.input_gradient()).unwrap().x.unwrap();
    let logits = block_on(engine.logits(&batch.sequence)).unwrap().logits;
    let first = |array: &bptt::ndarray::Array3<f32>| wide(&array.slice(s![.., ..3, ..]).to_owned());
    vec![("dx".into(), first(&dx)), ("logits".into(), first(&logits))]
}

#[test]
fn a_row_has_the_same_bits_beside_few_rows_and_beside_many() {
    let Some(gpu) = open(GpuOptions::default().tiles(Tiles::Hardware)) else { return };
    for (cell, hidden, many) in [(Cell::Rnn(Activation::Tanh), 200, 257), (Cell::Lstm, 517, 65), (Cell::Gru, 345, 130)]
    {
        let case = Case::new(cell);
        assert_same_bits(&case, &of_three_rows(&gpu, cell, hidden, many), &of_three_rows(&gpu, cell, hidden, 3));
    }
}

/// The gradients of a long sequence of one row.
fn long<B: Backend>(backend: &B, cell: Cell, steps: usize, kernel: RecurrentKernel) -> Named {
    let case = Case { initial: false, loss: Loss::SquaredError, ..Case::new(cell) }.sizes([steps, 1, 2, 32, 1]);
    let model = case.model();
    let options = EngineOptions::default().kernel(kernel);
    let mut engine = backend.engine(&model, &options).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    let batch: Batch = Batch::new(Sequence::dense(fill((steps, 1, 2), 1)), Targets::Values(fill((steps, 1, 1), 4)));
    block_on(engine.accumulate(&batch, None)).unwrap();
    common::gradients(&mut engine)
}

#[test]
fn gradients_over_100_000_steps_and_over_one_step_equal_the_cpu() {
    for steps in [1, 100_000] {
        for cell in [Cell::Rnn(Activation::Tanh), Cell::Lstm, Cell::Gru] {
            let want = long(&Cpu::<f64>::with_threads(1).unwrap(), cell, steps, RecurrentKernel::Auto);
            for tiles in [Tiles::Hardware, Tiles::Software] {
                let Some(gpu) = open(GpuOptions::default().tiles(tiles)) else { return };
                let got = long(&gpu, cell, steps, RecurrentKernel::Auto);
                for ((name, got), (_, want)) in got.iter().zip(&want) {
                    let largest = want.iter().fold(FLOOR, |largest, value| largest.max(value.abs()));
                    assert_close(&format!("{tiles:?}, {cell:?}, {steps} steps: {name}"), got, want, RELATIVE, largest);
                }
            }
        }
    }
}

#[test]
fn kernels_that_are_compiled_one_by_one_compute_the_same_and_none_is_left_for_the_first_step() {
    let (Some(at_once), Some(deferred)) = (open(GpuOptions::default()), open(GpuOptions::default().deferred(true)))
    else {
        return;
    };
    let batch = || {
        let x = bptt::ndarray::Array3::from_shape_fn((6, 3, 2), |(t, b, i)| (t * 3 + b + i) as f32 * 0.1 - 0.5);
        Batch::new(Sequence::dense(x), Targets::Values(bptt::ndarray::Array3::from_elem((1, 3, 1), 0.25)))
    };
    let model = || {
        let head = bptt::Head::new(1, Loss::SquaredError, bptt::Readout::Final);
        bptt::Model::new(bptt::Recurrent::new(Cell::Gru, 2, 5), head)
    };
    let trainer = |gpu: &Gpu| bptt::Trainer::new(gpu, &model(), Optimizer::adam(0.01), 1).unwrap();
    let (mut one, mut other) = (trainer(&at_once), trainer(&deferred));
    other.engine().set_hidden_gradient_norms(true);
    let mut seen = Vec::new();
    loop {
        let compilation = block_on(other.engine().compile(&batch())).unwrap();
        seen.push(compilation.compiled);
        if compilation.is_complete() {
            break;
        }
        assert!(compilation.compiled < compilation.kernels && seen.len() < 100, "{compilation:?}");
    }
    // One a call, and the first had none before it.
    assert_eq!(seen, (1..=seen.len()).collect::<Vec<_>>());
    let known = bptt::gpu::kernels::compiled_kernels(&deferred).len();
    assert_eq!(known, seen.len());
    other.engine().set_hidden_gradient_norms(false);
    let losses = |trainer: &mut bptt::Trainer<bptt::GpuEngine>| -> Vec<u64> {
        (0..3)
            .map(|_| {
                block_on(trainer.step(&batch())).unwrap();
                block_on(trainer.loss()).unwrap().unwrap().to_bits()
            })
            .collect()
    };
    assert_eq!(losses(&mut one), losses(&mut other));
    assert_eq!(bptt::gpu::kernels::compiled_kernels(&deferred).len(), known);
    // On a device that compiles at once, all are compiled when they are planned.
    assert!(block_on(one.engine().compile(&batch())).unwrap().is_complete());
    // A batch that does not fit is refused before.
    let wrong = Batch::new(
        Sequence::dense(bptt::ndarray::Array3::zeros((6, 3, 4))),
        Targets::Values(bptt::ndarray::Array3::<f32>::zeros((1, 3, 1))),
    );
    assert!(block_on(other.engine().compile(&wrong)).is_err());
}
