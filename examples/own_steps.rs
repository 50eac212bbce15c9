//! Training steps written by hand on an `Engine`: micro-batches, a learning rate of one's own, and reports that arrive late. The
//! network learns whether the sum of a row is above 0.
//!
//! `cargo run --release --example own_steps`

use bptt::ndarray::{Array2, Array3, Axis};
use bptt::{
    Backend, Batch, Cell, Cpu, EngineOptions, Head, Inference, Initialisation, Loss, Model, Optimizer, OptimizerStep,
    Parameters, Readout, Recurrent, Sequence, Targets, Training, Wait,
};

const STEPS: u64 = 200;
const ROWS: usize = 64;
const MICRO_BATCH: usize = 16;
/// Steps enqueued and not yet reported.
const IN_FLIGHT: usize = 3;

/// Rows of 20 numbers, and class 1 where their sum is above 0.
fn batch(seed: usize) -> Batch {
    let x = Array3::from_shape_fn((20, ROWS, 1), |(t, b, _)| ((t * 7 + b * 13 + seed) % 23) as f32 / 11.0 - 1.0);
    let classes = Array2::from_shape_fn((1, ROWS), |(_, b)| u32::from(x.index_axis(Axis(1), b).sum() > 0.0));
    Batch::new(Sequence::dense(x), Targets::Classes(classes))
}

/// Trains on any backend; the losses of the steps, and that of a batch that it has not seen.
pub(crate) fn train(backend: &impl Backend) -> bptt::Result<(Vec<f64>, f64)> {
    let model = Model::new(Recurrent::new(Cell::Gru, 1, 16), Head::new(2, Loss::CrossEntropy, Readout::Final));
    let optimizer = Optimizer::adam(1e-2).clip_norm(1.0);
    let mut engine = backend.engine(&model, &EngineOptions::default().optimizer(optimizer.kind))?;
    engine.initialise(Initialisation::default(), 1)?; // until then, its weights are zero
    let mut losses = Vec::new();
    for step in 1..=STEPS {
        let batch = batch(step as usize % 20);
        for rows in (0..ROWS).step_by(MICRO_BATCH).map(|row| row..row + MICRO_BATCH) {
            engine.accumulate(&batch.rows(rows), None).wait()?;
        }
        // One's own schedule: a linear warm-up.
        let optimizer = optimizer.learning_rate(1e-2 * (step as f64 / 20.0).min(1.0));
        engine.update(&OptimizerStep::new(optimizer, step, batch.total_weight())).wait()?;
        while engine.in_flight() >= IN_FLIGHT {
            losses.extend(engine.report().wait()?.map(|report| report.loss));
        }
    }
    while let Some(report) = engine.report().wait()? {
        losses.push(report.loss);
    }
    let unseen = batch(21);
    Ok((losses, engine.evaluate(&unseen).wait()?.loss_sum / unseen.total_weight()))
}

fn main() -> bptt::Result<()> {
    let (losses, unseen) = train(&Cpu::new())?; // or Gpu::new(Default::default()).wait()?
    println!("loss {:.4} at first, {:.4} in the end, {unseen:.4} on a new batch", losses[0], losses[losses.len() - 1]);
    Ok(())
}
