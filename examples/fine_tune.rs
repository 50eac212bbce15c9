//! Fine-tunes a trained model on other data: the embedding stays as it was, the head learns faster, and an average of the
//! weights is measured and kept. The model has learned to count in steps of 1, and now counts in steps of 5.
//!
//! `cargo run --release --example fine_tune`

use bptt::ndarray::Array2;
use bptt::{
    Backend, Batch, Cell, Cpu, Embedding, Engine, EngineOptions, Head, Loss, Model, Optimizer, ParameterGroup,
    Parameters, Readout, Recurrent, Result, SavedModel, Sequence, Targets, Trainer, TrainerOptions, Wait,
};

const TOKENS: usize = 12;

/// Rows that count in steps of `stride`, and as the class of each step the token that follows.
fn batch(stride: usize) -> Batch {
    let tokens =
        |first: usize| Array2::from_shape_fn((6, TOKENS), |(t, b)| ((b + stride * (first + t)) % TOKENS) as u32);
    Batch::new(Sequence::tokens(tokens(0)), Targets::Classes(tokens(1))) // both [T, B]
}

fn train(trainer: &mut Trainer<impl Engine>, stride: usize, steps: usize) -> Result<()> {
    for _ in 0..steps {
        trainer.step(&batch(stride)).wait()?;
    }
    Ok(())
}

/// A model that counts in steps of 1.
pub(crate) fn pretrained(backend: &impl Backend<Engine: Parameters<Real = f32>>) -> Result<SavedModel> {
    let head = Head::new(TOKENS, Loss::CrossEntropy, Readout::PerStep);
    let model = Model::new(Recurrent::new(Cell::Gru, 8, 16), head).embedding(Embedding::new(TOKENS));
    let mut trainer = Trainer::new(backend, &model, Optimizer::adam(1e-2), 1)?;
    train(&mut trainer, 1, 200)?;
    trainer.saved_model().wait()
}

/// The model with the average of its weights, and its loss: before, with the weights after the last step, and with their
/// average.
pub(crate) fn fine_tune(
    backend: &impl Backend<Engine: Parameters<Real = f32>>,
    saved: &SavedModel,
) -> Result<(SavedModel, [f64; 3])> {
    // Patterns of the layout's names, of which the first that matches applies.
    let groups = [ParameterGroup::new("embedding.*").frozen(), ParameterGroup::new("head.*").learning_rate_factor(4.0)];
    let engine = EngineOptions::default().parameter_groups(groups).ema_decay(0.95);
    let options = TrainerOptions::default().engine(engine);
    let mut trainer = saved.trainer(backend, Optimizer::adamw(5e-3).clip_norm(1.0), 1, options)?;

    let before = trainer.evaluate(&batch(5)).wait()?.loss;
    train(&mut trainer, 5, 200)?;
    let after = trainer.evaluate(&batch(5)).wait()?.loss;
    let mut averaged = trainer.averaged()?; // the weights return to their place when this is dropped
    let of_average = averaged.evaluate(&batch(5)).wait()?.loss;
    Ok((averaged.saved_model().wait()?, [before, after, of_average]))
}

fn main() -> Result<()> {
    let backend = Cpu::new(); // or Gpu::new(Default::default()).wait()?
    let saved = pretrained(&backend)?; // or SavedModel::load("model.safetensors")?
    let (tuned, [before, after, of_average]) = fine_tune(&backend, &saved)?;
    println!("loss {before:.3} before, {after:.3} after, {of_average:.3} with the average of the weights");
    tuned.save(std::env::temp_dir().join("fine_tuned.safetensors"))
}
