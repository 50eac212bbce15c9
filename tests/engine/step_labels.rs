//! Labels at every step of a sequence: a missing one has no influence.

use std::sync::Arc;

use bptt::data::{Examples, LabelledSequences, Labels, LabelsPer, PackedSequences, SequenceInputs, Subset};
use bptt::ndarray::{Array2, array};
use bptt::{Backend, Batch, Cell, Cpu, Model, Optimizer, Recurrent, StateDict, Targets, Trainer};
use pollster::block_on;

use crate::common::gpu::gpu;

/// The loss and the weights after two steps.
fn learned<B: Backend>(backend: &B, model: &Model, batch: &Batch) -> (f64, StateDict) {
    let mut trainer = Trainer::new(backend, model, Optimizer::adam(0.1), 1).unwrap();
    block_on(async {
        trainer.step(batch).await.unwrap();
        trainer.step(batch).await.unwrap();
        (trainer.loss().await.unwrap().unwrap(), trainer.state_dict().await.unwrap().to())
    })
}

fn batch_of(labels: Labels) -> (Model, Batch) {
    let steps = |length: usize| Array2::from_shape_fn((length, 2), |(t, i)| ((3 * t + i) as f32).sin());
    let input = SequenceInputs::Dense(PackedSequences::try_from(vec![steps(4), steps(3)]).unwrap());
    let labelled = LabelledSequences::new(input, labels).labels_per(LabelsPer::Step);
    let model = Model::new(Recurrent::new(Cell::Gru, 2, 5), labelled.head().unwrap());
    (model, Subset::new(Arc::new(labelled), vec![0, 1]).unwrap().batch(&[0, 1], 4).unwrap())
}

/// Sets the target of every prediction of weight 0, padding among them.
fn with_another_target(mut batch: Batch, number: u32) -> Batch {
    let ignored: Vec<(usize, usize)> =
        (0..8).map(|n| (n / 2, n % 2)).filter(|(p, row)| batch.weight(*p, *row) == 0.0).collect();
    assert_eq!(ignored.len(), 3);
    for (p, row) in ignored {
        match &mut batch.targets {
            Targets::Classes(classes) => classes[[p, row]] = number,
            Targets::Values(values) => values.slice_mut(bptt::ndarray::s![p, row, ..]).fill(number as f32),
            _ => unreachable!(),
        }
    }
    batch
}

#[test]
fn a_missing_label_of_a_step_changes_no_bit_whatever_stands_there() {
    const MISSING: u32 = Labels::MISSING;
    let classes = |names: &[&str]| Labels::Classes {
        names: names.iter().map(|name| (*name).into()).collect(),
        of: vec![1, MISSING, 0, 1, 0, 1, MISSING],
    };
    let nan = f64::NAN;
    let values = array![[1.0, 2.0], [nan, nan], [0.5, 0.0], [-1.0, 3.0], [0.0, 0.0], [2.0, 1.0], [nan, nan]];
    for labels in [classes(&["a", "b"]), classes(&["a", "b", "c"]), Labels::Values(values)] {
        let (model, batch) = batch_of(labels);
        assert_eq!(batch.total_weight(), 5.0);
        for number in [2, 1_000_000] {
            let other = with_another_target(batch.clone(), number);
            assert_eq!(learned(&Cpu::new(), &model, &batch), learned(&Cpu::new(), &model, &other));
            if let Some(gpu) = gpu() {
                assert_eq!(learned(&gpu, &model, &batch), learned(&gpu, &model, &other));
            }
        }
    }
}
