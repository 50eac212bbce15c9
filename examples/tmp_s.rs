#![allow(missing_docs)]
use bptt::ndarray::{Array2, Array3};
use bptt::*;
fn main() {
    pollster::block_on(async {
        let gpu = Gpu::new(Default::default()).await.unwrap();
        for (name, b, t, i, h, o, reps) in [("S", 16, 32, 32, 64, 32, 40), ("M", 64, 128, 128, 256, 128, 2)] {
            for cell in [Cell::Rnn(Activation::Tanh), Cell::Lstm, Cell::Gru] {
                let model = Model::new(Recurrent::new(cell, i, h), Head::new(o, Loss::CrossEntropy, At::Every));
                let x =
                    Array3::from_shape_fn((t, b, i), |(t, b, i)| ((t * 31 + b * 17 + i * 7) % 23) as f32 / 11.0 - 1.0);
                let y = Array2::from_shape_fn((t, b), |(t, b)| ((t + b) % o) as u32);
                let batch = Batch::new(Sequence::dense(x), Targets::Classes(y));
                async fn go<B: Backend>(b: &B, model: &Model, batch: &Batch, reps: usize) -> f64 {
                    let mut g = Trainer::new(b, model, Optimizer::sgd(1e-2), 1).unwrap();
                    for _ in 0..3 {
                        g.step(batch).await.unwrap();
                    }
                    g.finish().await.unwrap();
                    let s = std::time::Instant::now();
                    for _ in 0..reps {
                        g.step(batch).await.unwrap();
                    }
                    g.finish().await.unwrap();
                    s.elapsed().as_secs_f64() * 1e3 / reps as f64
                }
                println!(
                    "{name} {cell:?} gpu {:.2} ms, cpu {:.2} ms",
                    go(&gpu, &model, &batch, reps).await,
                    go(&Cpu::new(), &model, &batch, reps).await
                );
            }
        }
    });
}
