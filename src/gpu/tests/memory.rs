//! Passes over many shapes in a device's memory.

use crate::engine::{Inspection, Layers, Parameters, Training};
use pollster::block_on;

use super::common::open;
use crate::gpu::{Gpu, GpuEngine, GpuOptions};
use crate::{
    Backend, Batch, BatchShape, Cell, EngineOptions, Error, Head, Loss, Model, Optimizer, Readout, Recurrent, Sequence,
    Targets,
};

/// What writes to the device have under way while a buffer is made, and what every buffer is rounded up by.
const SLACK: u64 = 64 << 10;

fn model() -> Model {
    let recurrent = Recurrent::new(Cell::Lstm, 5, 64).layers(2).dropout(0.1);
    Model::new(recurrent, Head::new(3, Loss::SquaredError, Readout::PerStep))
}

fn options() -> EngineOptions {
    EngineOptions { optimizer: Some(Optimizer::adam(0.1).kind), ..EngineOptions::default() }
}

fn engine(gpu: &Gpu) -> GpuEngine {
    let model = model();
    let mut engine = gpu.engine(&model, &options()).unwrap();
    engine.initialise(crate::Initialisation::default(), 1).unwrap();
    engine
}

fn batch(steps: usize, rows: usize) -> Batch {
    let number = |(t, b, i): (usize, usize, usize)| ((t * 7 + b * 3 + i) % 11) as f32 * 0.1 - 0.5;
    let x = ndarray::Array3::from_shape_fn((steps, rows, 5), number);
    Batch::new(Sequence::dense(x), Targets::Values(ndarray::Array3::from_shape_fn((steps, rows, 3), number)))
}

fn gradients(engine: &mut GpuEngine, batch: &Batch) -> bptt::Result<Vec<f32>> {
    engine.clear_gradients();
    block_on(engine.accumulate(batch, None))?;
    block_on(engine.gradients())
}

#[test]
fn the_plan_for_many_shapes_is_the_peak_of_their_passes() {
    let Some(gpu) = open(GpuOptions::default()) else { return };
    let (before, _) = gpu.held();
    for gradient_norms in [false, true] {
        let batch_shape = BatchShape { steps: 40, rows: 24, shapes: 8, ..batch(1, 1).sequence.batch_shape() };
        let planned = gpu.plan(&model(), &options(), batch_shape, gradient_norms).unwrap().total();
        let one =
            gpu.plan(&model(), &options(), BatchShape { shapes: 1, ..batch_shape }, gradient_norms).unwrap().total();
        let mut engine = engine(&gpu);
        engine.set_hidden_gradient_norms(gradient_norms);
        assert_eq!(engine.plan(batch_shape).unwrap().total(), planned);
        // In any order: the largest early, late and between others that are smaller in either direction.
        let shapes = [(3, 24), (40, 2), (17, 9), (40, 24), (40, 23), (39, 24), (1, 1), (8, 24), (40, 11), (40, 24)];
        for (steps, rows) in shapes {
            gradients(&mut engine, &batch(steps, rows)).unwrap();
            // What reads the gradients back comes and goes.
            let (held, _) = gpu.held();
            assert!(held - before <= planned + SLACK, "[{steps}, {rows}]: {held} less {before}, planned {planned}");
            assert!(engine.bytes() <= planned, "[{steps}, {rows}]: {}, planned {planned}", engine.bytes());
        }
        let (held, peak) = (engine.bytes(), gpu.held().1);
        assert!(peak - before <= planned + SLACK + 4 * engine.layout().len() as u64, "{peak} of {planned}");
        // Nor is it much more than that.
        assert!(held > one - SLACK && planned < held + held / 5, "{held} held, {planned} planned, {one} for one shape");
    }
}

#[test]
fn a_shape_that_does_not_fit_evicts_the_others() {
    let Some(gpu) = open(GpuOptions::default()) else { return };
    // Many rows of few steps have some buffers larger than few rows of many steps, and others smaller.
    let shapes = [(60, 3), (2, 200), (30, 30)];
    let alone: Vec<u64> = shapes
        .iter()
        .map(|(steps, rows)| {
            let mut engine = engine(&gpu);
            gradients(&mut engine, &batch(*steps, *rows)).unwrap();
            gpu.held().0
        })
        .collect();
    let want: Vec<Vec<f32>> =
        shapes.iter().map(|(steps, rows)| gradients(&mut engine(&gpu), &batch(*steps, *rows)).unwrap()).collect();
    let largest = *alone.iter().max().unwrap();
    let mut engine = engine(&gpu);
    gpu.held();
    // Room for what reads the gradients back, and no more.
    gpu.hold_at_most(largest + 4 * engine.layout().len() as u64 + 2 * SLACK);
    for turn in 0..3 {
        for (index, (steps, rows)) in shapes.iter().enumerate() {
            assert!(
                gradients(&mut engine, &batch(*steps, *rows)).unwrap() == want[index],
                "turn {turn}, {steps} × {rows}"
            );
        }
    }
    // What does not fit alone is refused by its name, and what fits goes on as before.
    let error = gradients(&mut engine, &batch(200, 200)).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    assert!(gradients(&mut engine, &batch(60, 3)).unwrap() == want[0]);
    gpu.hold_at_most(0);
    gradients(&mut engine, &batch(200, 200)).unwrap();
}

#[test]
fn gradient_norms_and_carried_states_evict_other_shapes_too() {
    let Some(gpu) = open(GpuOptions::default()) else { return };
    let mut engine = engine(&gpu);
    // The largest first, so that the others find room on its buffers.
    for steps in (1..=6).rev() {
        gradients(&mut engine, &batch(steps, 4)).unwrap();
    }
    engine.set_hidden_gradient_norms(true);
    gradients(&mut engine, &batch(6, 4)).unwrap();
    let passes = engine.passes.len();
    assert!(passes > 4, "{passes}");
    let held = gpu.held().0;
    gpu.hold_at_most(held);
    let carry = Some(bptt::StatefulRows { first_row: 0, rows: 8 });
    block_on(engine.accumulate(&batch(6, 4), carry)).unwrap();
    assert!(engine.passes.len() < passes, "{}", engine.passes.len());
}
