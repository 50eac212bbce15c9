//! Learns a text character by character and continues it: random windows of the text for training, a `Session` for
//! sampling.
//!
//! `cargo run --release --example character_model -- FILE`

use std::path::Path;

use bptt::data::{RandomWindows, Text, TextSplit, TextUnit, Vocabulary};
use bptt::ndarray::Array2;
use bptt::train::{RunLength, RunOptions, Sampling, evaluate, run};
use bptt::{Cell, Cpu, Head, Loss, Model, Optimizer, Readout, Recurrent, Result, Sequence, Trainer};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Time steps of a window, and windows of a batch.
const WINDOW: usize = 50;
const ROWS: usize = 16;

pub(crate) async fn continue_text(text: &Text, steps: u64, prime: &str, length: usize) -> Result<(f64, String)> {
    // The vocabulary comes from the training split alone; a character that it lacks is the unknown.
    let split = TextSplit::shares(text.len(), WINDOW, [0.9, 0.1, 0.0])?;
    let vocabulary = Vocabulary::characters(&text.histogram(split.train.clone())?, 1)?;
    let training = RandomWindows::new(text, &vocabulary, split.train, WINDOW, ROWS, 1)?;
    let validation = RandomWindows::new(text, &vocabulary, split.validation, WINDOW, ROWS, 2)?;

    // Characters are one-hot inputs; an embedding would be `Model::embedding`.
    let size = vocabulary.len();
    let head = Head::new(size, Loss::CrossEntropy, Readout::PerStep);
    let model = Model::new(Recurrent::new(Cell::Gru, size, 64), head);
    let backend = Cpu::new(); // or Gpu::new(GpuOptions::default()).await?
    let mut trainer = Trainer::new(&backend, &model, Optimizer::adam(5e-3).clip_norm(1.0), 1)?;
    run(&mut trainer, &training, None, &RunOptions::new(RunLength::Steps(steps)), &mut ()).await?;
    let nats = evaluate(&mut trainer, &validation).await?;

    // The states stay in the session: it reads the prime at once, and then each character that was drawn.
    let sampling = Sampling::default().temperature(0.7);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut session = trainer.into_session(1)?;
    let (mut input, mut drawn) = (vocabulary.encode(prime), Vec::new());
    for _ in 0..length {
        let tokens = Array2::from_shape_fn((input.len(), 1), |(t, _)| input[t]); // [T, B]
        let logits = session.step(&Sequence::tokens(tokens)).await?; // [T, B, O]
        let last: Vec<f32> = logits.outer_iter().next_back().into_iter().flatten().copied().collect();
        let unknown = vocabulary.unknown().map(|id| id as usize);
        let id = sampling.pick(&last, unknown, &mut rng)? as u32;
        drawn.push(id);
        input = vec![id];
    }
    Ok((nats, prime.to_owned() + &String::from_utf8_lossy(&vocabulary.decode(&drawn)?)))
}

fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "docs/design.md".into());
    let text = Text::open(Path::new(&path), TextUnit::Characters, &mut |_| {})?;
    let (nats, sample) = bptt::block_on(continue_text(&text, 400, "The ", 200))?;
    println!("{nats:.2} nats per character of the validation split\n\n{sample}");
    Ok(())
}
