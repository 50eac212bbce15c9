//! Streams several signals at once through a small network, step by step; the states stay on the device. The network has
//! learned to name the signal that a row carries: a sine, a triangle or a square wave.
//!
//! `cargo run --release --example streaming`

use bptt::ndarray::{Array2, Array3};
use bptt::{Batch, Cell, Cpu, Head, Loss, Model, Optimizer, Readout, Recurrent, Sequence, Targets, Trainer};

const ROWS: usize = 6;
const NAMES: [&str; 3] = ["sine", "triangle", "square"];

/// The wave of a kind at time `t`, with a phase of its own in each row.
fn wave(kind: usize, t: usize, row: usize) -> f32 {
    let phase = t as f32 * 0.9 + row as f32 * 1.7;
    match kind {
        0 => phase.sin(),
        1 => phase.sin().asin() * std::f32::consts::FRAC_2_PI,
        _ => phase.sin().signum(),
    }
}

/// The most probable signal in each row, in words.
fn names(logits: bptt::ndarray::ArrayView3<'_, f32>) -> Vec<&'static str> {
    let last = logits.outer_iter().next_back().into_iter();
    let rows = last.flat_map(|step| step.outer_iter().map(|row| row.to_vec()).collect::<Vec<_>>());
    rows.map(|row| (0..3).max_by(|a, b| row[*a].total_cmp(&row[*b])).map_or("", |kind| NAMES[kind])).collect()
}

pub(crate) async fn run() -> bptt::Result<Vec<String>> {
    let model = Model::new(Recurrent::new(Cell::Gru, 1, 16), Head::new(3, Loss::CrossEntropy, Readout::PerStep));
    let backend = Cpu::new(); // or Gpu::new(GpuOptions::default()).await?
    let mut trainer = Trainer::new(&backend, &model, Optimizer::adam(2e-2).clip_norm(1.0), 1)?;
    for step in 0..150 {
        let x = Array3::from_shape_fn((20, 12, 1), |(t, row, _)| wave(row % 3, t + 7 * step, row));
        let kinds = Array2::from_shape_fn((20, 12), |(_, row)| (row % 3) as u32);
        trainer.step(&Batch::new(Sequence::dense(x), Targets::Classes(kinds))).await?;
    }

    let mut session = trainer.into_session(ROWS)?;
    let mut kinds = [0, 1, 2, 0, 1, 2];
    let input = |kinds: &[usize; ROWS], t| Array3::from_shape_fn((1, ROWS, 1), |(_, row, _)| wave(kinds[row], t, row));
    let mut lines = Vec::new();
    for t in 0..15 {
        let logits = session.step(&Sequence::dense(input(&kinds, t))).await?; // [1, ROWS, 3]
        if t % 7 == 0 {
            lines.push(format!("after {:2} steps: {}", t + 1, names(logits).join(", ")));
        }
    }

    // Another signal begins in row 0, and starts from zero. The other rows go on.
    session.reset_row(0)?;
    kinds[0] = 2;
    // The states at this time, copied on the device; `states` would copy them to the host.
    let snapshot = session.snapshot()?;
    // Steps can be enqueued before the first of their outputs is read.
    for t in 15..30 {
        session.enqueue(&Sequence::dense(input(&kinds, t)))?;
    }
    let mut last = Vec::new();
    while let Some(logits) = session.outputs().await? {
        last = names(logits);
    }
    lines.push(format!("row 0 anew:      {}", last.join(", ")));

    // Back to the snapshot, and all 15 steps in one call: the same.
    session.restore(&snapshot)?;
    let x = Array3::from_shape_fn((15, ROWS, 1), |(t, row, _)| wave(kinds[row], 15 + t, row));
    lines.push(format!("the same again:  {}", names(session.step(&Sequence::dense(x)).await?).join(", ")));
    Ok(lines)
}

fn main() -> bptt::Result<()> {
    bptt::block_on(run())?.iter().for_each(|line| println!("{line}"));
    Ok(())
}
