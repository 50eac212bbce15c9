//! Sizes at the ends of what a number can hold: either backend refuses the same ones in the same words, before it takes
//! anything, and every call ends.

use crate::common;
use crate::common::Case;
use crate::common::gpu::gpu;
use bptt::gpu::DeviceArrays;
use bptt::{
    Backend, BatchShape, Cell, Cpu, Embedding, EngineOptions, Error, Head, Inspection, Loss, Model, OptimizerKind,
    Readout, Recurrent, RecurrentKernel, Result, Sequence, StatefulRows, Training,
};
use pollster::block_on;

const SIZES: [usize; 10] = [0, 1, 3, 1 << 16, (1 << 31) - 1, 1 << 32, 1 << 40, 1 << 62, usize::MAX - 1, usize::MAX];

/// Networks of every kind that a plan makes a difference of, with what their engines are told.
fn networks() -> Vec<(Model, EngineOptions)> {
    let plain = Model::new(Recurrent::new(Cell::Lstm, 3, 5), Head::new(2, Loss::SquaredError, Readout::PerStep));
    let cell = common::CELLS[0];
    let deep = Recurrent::new(cell, 2, 300).layers(3).dropout(0.1).recurrent_dropout(0.2);
    let both = Recurrent::new(Cell::Gru, 7, 33).layers(2).bidirectional(true);
    let tied = Model::new(Recurrent::new(Cell::Gru, 8, 8), Head::new(50, Loss::CrossEntropy, Readout::PerStep));
    let wide = Model::new(Recurrent::new(cell, 1 << 20, 1), Head::new(1 << 20, Loss::CrossEntropy, Readout::Final));
    let options = |chunk, recompute| {
        EngineOptions::default()
            .optimizer(OptimizerKind::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 })
            .input_gradient(true)
            .chunk(chunk)
            .recompute(recompute)
    };
    vec![
        (plain.clone(), options(None, false)),
        (plain.clone(), options(Some(1), false)),
        (plain.clone(), options(None, true)),
        (plain, options(Some(usize::MAX), true)),
        (Model::new(deep, Head::new(1, Loss::SquaredError, Readout::MeanPool)), options(Some(7), true)),
        (Model::new(both, Head::new(4, Loss::CrossEntropy, Readout::Final)), options(None, false)),
        (tied.embedding(Embedding::tied(50)), options(None, true)),
        (wide, options(None, false)),
    ]
}

fn extents() -> impl Iterator<Item = BatchShape> {
    let pairs = SIZES.into_iter().flat_map(|steps| SIZES.map(|rows| (steps, rows)));
    pairs.flat_map(|(steps, rows)| {
        [(0, false, false), (rows, true, true), (usize::MAX, false, true)].map(|(carried, tokens, resets)| {
            BatchShape::new(steps, rows).tokens(tokens).resets(resets).carried(carried).shapes(usize::MAX)
        })
    })
}

/// Whether it is the GPU's own refusal, of what the CPU backend takes.
fn is_the_devices(error: &Error) -> bool {
    match error {
        Error::Limit { limit, .. } => limit.starts_with("the device's largest"),
        Error::Value { what, .. } => ["T·B", "B", "the time steps", "input_size"].contains(&what.as_str()),
        _ => false,
    }
}

#[track_caller]
fn refused_alike<T: std::fmt::Debug>(on_cpu: &Result<T>, on_gpu: &Result<T>, what: &dyn std::fmt::Debug) {
    match (on_cpu, on_gpu) {
        (Err(cpu), Err(gpu)) => assert_eq!(cpu.to_string(), gpu.to_string(), "{what:?}"),
        (Err(cpu), Ok(_)) => panic!("{what:?}: refused on the CPU alone: {cpu}"),
        (Ok(_), Err(gpu)) => assert!(is_the_devices(gpu), "{what:?}: refused on the GPU alone: {gpu}"),
        (Ok(_), Ok(_)) => {}
    }
}

#[test]
fn plans_of_any_size_end_and_both_backends_refuse_the_same_ones_in_the_same_words() {
    let (cpu, gpu) = (Cpu::<f32>::with_threads(1).unwrap(), gpu());
    let mut refused = 0;
    for (model, options) in networks() {
        let engine = cpu.engine(&model, &options).unwrap();
        for batch_shape in extents() {
            let on_cpu = cpu.plan(&model, &options, batch_shape, true);
            refused += usize::from(on_cpu.is_err());
            let of_engine = engine.plan(batch_shape).map(|memory| memory.total());
            match (&on_cpu, of_engine) {
                (Err(error), Err(other)) => assert_eq!(error.to_string(), other.to_string()),
                // The norms of the gradient flow are in one of them.
                (Ok(memory), Ok(total)) => assert!(memory.total() >= total && total > 0, "{batch_shape:?}"),
                (planned, of_engine) => panic!("{batch_shape:?}: {planned:?}, {of_engine:?}"),
            }
            let Some(gpu) = &gpu else { continue };
            refused_alike(&on_cpu, &gpu.plan(&model, &options, batch_shape, true), &(batch_shape, &options));
        }
    }
    assert!(refused > 1000, "{refused}");
    let none = BatchShape::new(0, usize::MAX);
    let (model, options) = &networks()[0];
    let words = |batch_shape| cpu.plan(model, options, batch_shape, false).unwrap_err().to_string();
    let expected = "the batch's [T, B]: expected at least 1 step and 1 row, got [0, 18446744073709551615]";
    assert_eq!(words(none), expected);
    let most = words(none.steps(1 << 32).rows(1 << 32));
    assert!(most.starts_with("a pass over [T, B] = [4294967296, 4294967296] needs "), "{most}");
    let carried = words(none.steps(1).rows(1).carried(usize::MAX));
    assert!(carried.starts_with("the carried states of 18446744073709551615 rows needs "), "{carried}");
}

fn the_largest_rows_are_found<B: Backend>(backend: &B) {
    for (model, options) in networks().into_iter().step_by(3) {
        for batch_shape in extents()
            .filter(|batch_shape| [1, 1 << 16, usize::MAX].contains(&batch_shape.steps) && batch_shape.rows == 1)
        {
            for (budget, most, beside) in [0, 1 << 24, u64::MAX].into_iter().flat_map(|budget| {
                let of_most = [0, 1000, usize::MAX];
                of_most.into_iter().flat_map(move |most| [0, u64::MAX].map(|beside| (budget, most, beside)))
            }) {
                let found = backend.largest_rows((&model, &options, false), batch_shape, budget, most, beside);
                let Ok(rows) = found else { continue };
                assert!((1..=most.max(1)).contains(&rows), "{rows} of {most} for {batch_shape:?}");
                let bytes = |rows| backend.plan(&model, &options, batch_shape.rows(rows), false).map(|it| it.total());
                assert!(bytes(rows).unwrap() <= budget, "{rows} rows for {batch_shape:?} in {budget}");
            }
        }
    }
}

#[test]
fn the_search_for_the_largest_batch_ends_for_any_budget_and_row_limit() {
    the_largest_rows_are_found(&Cpu::<f32>::with_threads(1).unwrap());
    gpu().iter().for_each(the_largest_rows_are_found);
}

#[test]
fn the_planned_kernel_is_the_one_used_for_any_number_of_rows() {
    let Some(gpu) = gpu() else { return };
    for (model, options) in networks() {
        let engine = gpu.engine(&model, &options.clone().kernel(RecurrentKernel::Auto)).unwrap();
        for rows in SIZES {
            assert_eq!(engine.kernel(rows), gpu.planned_kernel(&model, &options, rows));
        }
    }
}

#[test]
fn carrying_too_many_rows_is_refused_and_leaves_the_engine_usable_on_both_backends() {
    let case = Case { initial: false, ..Case::new(Cell::Lstm) };
    let (batch, options) = (case.batch(), EngineOptions::default());
    let mut cpu = Cpu::<f32>::with_threads(1).unwrap().engine(&case.model(), &options).unwrap();
    let mut gpu = gpu().map(|gpu| gpu.engine(&case.model(), &options).unwrap());
    for first_row in SIZES {
        for rows in SIZES.into_iter().filter(|rows| *rows > 1 << 16 || *rows < case.rows) {
            let carry = Some(StatefulRows { first_row, rows });
            let refused = block_on(cpu.accumulate(&batch, carry));
            // A machine may have the memory for some of them.
            cpu.set_states(None).unwrap();
            let Some(gpu) = &mut gpu else { continue };
            let on_gpu = block_on(gpu.accumulate(&batch, carry)).unwrap_err().to_string();
            match refused {
                Err(Error::NoMemory { what, .. }) => assert!(on_gpu.contains("carried states"), "{what}, {on_gpu}"),
                Err(error) => assert_eq!(error.to_string(), on_gpu),
                Ok(()) => assert!(on_gpu.contains("carried states"), "{on_gpu}"),
            }
        }
    }
    block_on(cpu.accumulate(&batch, Some(StatefulRows { first_row: 0, rows: case.rows }))).unwrap();
    gpu.iter_mut().for_each(|gpu| {
        block_on(gpu.accumulate(&batch, Some(StatefulRows { first_row: 0, rows: case.rows }))).unwrap();
    });
}

#[test]
fn forward_on_caller_buffers_refuses_any_other_shape() {
    let Some(gpu) = gpu() else { return };
    let model = Case::new(Cell::Lstm).model();
    let mut engine = gpu.engine(&model, &EngineOptions::default()).unwrap();
    let x = gpu.device().create_buffer(&bptt::wgpu::BufferDescriptor {
        label: None,
        size: 64,
        usage: bptt::wgpu::BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
    let from = DeviceArrays { sequence: Some(&x), ..DeviceArrays::default() };
    for steps in SIZES {
        for rows in SIZES {
            let error = engine.forward_on_device((steps, rows), None, from, DeviceArrays::default()).unwrap_err();
            assert!(matches!(error, Error::Value { .. } | Error::Limit { .. }), "{steps} × {rows}: {error}");
        }
    }
}

#[test]
fn a_row_or_prediction_out_of_range_has_length_0_and_weight_0() {
    let case = Case { ragged: true, weights: true, ..Case::new(Cell::Gru) };
    let mut batch = case.batch();
    let (steps, rows) = batch.sequence.shape();
    for row in [rows, usize::MAX] {
        assert_eq!(batch.sequence.length(row), 0);
        assert_eq!((batch.weight(0, row), batch.weight(steps, 0), batch.weight(usize::MAX, row)), (0.0, 0.0, 0.0));
    }
    // Lengths that are not those of the rows are refused, and not before they are asked for.
    batch.sequence.lengths = Some(vec![1]);
    let _: (u64, f64) = (batch.sequence.time_steps(), batch.total_weight());
    assert!(batch.validate(&case.model()).is_err());
    let _: Sequence = batch.sequence;
}
