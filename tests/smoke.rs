#![allow(missing_docs)]
use bptt::gpu::GpuOptions;
use bptt::ndarray::{Array2, Array3};
use bptt::*;

#[test]
fn smoke() {
    pollster::block_on(async {
        let gpu =
            Gpu::new(GpuOptions { checked: std::env::var("CHECKED").is_ok(), ..Default::default() }).await.unwrap();
        println!("{}", gpu.describe());
        for cell in [Cell::Rnn(Activation::Tanh), Cell::Rnn(Activation::Sigmoid), Cell::Lstm, Cell::Gru] {
            for (layers, bi) in [(1, false), (2, true)] {
                for chunk in [None, Some(3)] {
                    for at in [At::Every, At::Last] {
                        let (t, b, i, h, o) = (7, 5, 3, 6, 3);
                        let model = Model::new(
                            Recurrent::new(cell, i, h).layers(layers).bidirectional(bi),
                            Head::new(o, Loss::CrossEntropy, at),
                        );
                        let x = Array3::from_shape_fn((t, b, i), |(t, b, i)| {
                            ((t * 31 + b * 17 + i * 7) % 23) as f32 / 11.0 - 1.0
                        });
                        let p = if at == At::Every { t } else { 1 };
                        let y = Array2::from_shape_fn((p, b), |(t, b)| ((t + b) % o) as u32);
                        let batch = Batch::new(
                            if std::env::var("FULL").is_ok() {
                                Sequence::dense(x)
                            } else {
                                Sequence::dense(x).lengths(vec![7, 3, 5, 1, 7])
                            },
                            Targets::Classes(y),
                        );
                        let opt = TrainerOptions {
                            engine: EngineOptions { chunk, ..Default::default() },
                            micro_batch: chunk,
                            ..Default::default()
                        };
                        let mut g =
                            Trainer::with_options(&gpu, &model, Optimizer::adam(1e-2).clip_norm(1.0), 1, opt.clone())
                                .unwrap();
                        let mut c =
                            Trainer::with_options(&Cpu::new(), &model, Optimizer::adam(1e-2).clip_norm(1.0), 1, opt)
                                .unwrap();
                        for s in 0..5 {
                            g.step(&batch).await.unwrap();
                            c.step(&batch).await.unwrap();
                            if s == 0 {
                                let (gg, cc) = (g.gradients().await.unwrap(), c.gradients().await.unwrap());
                                for (name, a) in gg.iter() {
                                    let b = cc.get(name).unwrap();
                                    let d = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                                    if !(d < 1e-5) {
                                        println!("{cell:?} {layers} {chunk:?} {at:?} {name} {d} {a:?} {b:?}");
                                        println!("{:?} {:?}", g.finish().await, c.finish().await);
                                        panic!();
                                    }
                                }
                            }
                        }
                        let (a, b) = (g.finish().await.unwrap(), c.finish().await.unwrap());
                        println!("{cell:?} {layers} {bi} {chunk:?} {at:?} {:?} {:?}", a.last(), b.last());
                    }
                }
            }
        }
    });
}
