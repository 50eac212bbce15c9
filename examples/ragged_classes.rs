//! Classifies sequences of different lengths from data of the program's own: it implements `Examples`, and the library
//! shuffles, groups by length, pads and masks. The classes are rising and falling noisy ramps, and noise alone.
//!
//! `cargo run --release --example ragged_classes`

use bptt::data::{Examples, SequentialBatches, ShuffledBatches};
use bptt::ndarray::{Array2, Array3};
use bptt::train::{ConfusionMatrix, RunLength, RunOptions, predict_each, run};
use bptt::{Batch, Cell, Cpu, Head, Loss, Model, Optimizer, Readout, Recurrent, Result, Sequence, Targets, Trainer};

/// Sequences of one number per time step.
struct Ramps(Vec<Vec<f32>>);

impl Ramps {
    const CLASSES: usize = 3;

    /// `count` sequences of 5 to 40 steps; the class of a sequence is its number mod 3.
    fn new(count: u32, seed: u32) -> Self {
        // A hash of the position (Wellons' lowbias32) is noise enough here.
        let noise = |at: u32| {
            let x = (at ^ (at >> 16)).wrapping_mul(0x7feb_352d);
            let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
            (x ^ (x >> 16)) as f32 / u32::MAX as f32 - 0.5
        };
        let sequence = |number: u32| {
            let slope = [0.1, -0.1, 0.0][number as usize % Self::CLASSES];
            let steps = 5 + (noise(seed + number) * 70.0).abs() as u32;
            (0..steps).map(|t| slope * t as f32 + 2.0 * noise(seed ^ (1000 * number + t))).collect()
        };
        Self((0..count).map(sequence).collect())
    }
}

impl Examples for Ramps {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn steps(&self, example: usize) -> usize {
        self.0[example].len()
    }

    fn batch(&self, examples: &[usize], steps: usize) -> Result<Batch> {
        let rows = examples.len();
        let number = |(t, row, _): (usize, usize, usize)| self.0[examples[row]].get(t).copied().unwrap_or(f32::NAN);
        // Padding is never read, not even NaN.
        let x = Array3::from_shape_fn((steps, rows, 1), number); // [T, B, I]
        let lengths = examples.iter().map(|example| self.steps(*example)).collect();
        let classes = Array2::from_shape_fn((1, rows), |(_, row)| (examples[row] % Self::CLASSES) as u32); // [P, B]
        Ok(Batch::new(Sequence::dense(x).lengths(lengths), Targets::Classes(classes)))
    }
}

pub(crate) async fn train_and_test() -> Result<ConfusionMatrix> {
    let training = ShuffledBatches::new(Ramps::new(600, 1), 32, 4, 1)?; // in 4 groups of similar length
    let test = Ramps::new(300, 700_000);
    let recurrent = Recurrent::new(Cell::Lstm, 1, 16).bidirectional(true);
    let model = Model::new(recurrent, Head::new(Ramps::CLASSES, Loss::CrossEntropy, Readout::Final));
    let backend = Cpu::new(); // or Gpu::new(GpuOptions::default()).await?
    let mut trainer = Trainer::new(&backend, &model, Optimizer::adam(1e-2).clip_norm(1.0), 1)?;
    let validation = SequentialBatches::new(&test, 64)?;
    run(&mut trainer, &training, Some(&validation), &RunOptions::new(RunLength::Epochs(8)), &mut ()).await?;

    let mut pairs = Vec::new();
    predict_each(&mut trainer, &test, 64, |example, probabilities| {
        let largest = |a: &usize, b: &usize| probabilities[[0, *a]].total_cmp(&probabilities[[0, *b]]);
        let predicted = (0..Ramps::CLASSES).max_by(largest).unwrap_or_default();
        pairs.push((example % Ramps::CLASSES, predicted));
        Ok(())
    })
    .await?;
    ConfusionMatrix::new(Ramps::CLASSES, pairs)
}

fn main() -> Result<()> {
    println!("test accuracy {:.1} %", 100.0 * bptt::block_on(train_and_test())?.accuracy());
    Ok(())
}
