//! A sequence in pieces, each from the final states of the one before, is the whole sequence; and none of it is seen by
//! the training that goes on beside it.

use bptt::{
    Backend, Batch, Cell, Cpu, EngineOptions, Inference, Input, Layers, Optimizer, OptimizerStep, Parameters, Readout,
    Real, Sequence, StatefulRows, States, Targets, Trainer, Training,
};
use std::ops::Range;

use crate::common::gpu::gpu;
use crate::common::{CELLS, Case, assert_close, losses, wide};
use bptt::ndarray::{ArrayD, Axis, IxDyn, concatenate, s};
use pollster::block_on;

fn engine<B: Backend>(backend: &B, case: &Case, options: &EngineOptions) -> B::Engine {
    let model = case.model();
    let mut engine = backend.engine(&model, options).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    engine
}

/// Steps of a batch with a head at every step, as a batch of their own without initial states.
fn piece(batch: &Batch, steps: Range<usize>) -> Batch {
    let sequence = Sequence {
        input: match &batch.sequence.input {
            Input::Dense(x) => Input::Dense(x.slice(s![steps.clone(), .., ..]).to_owned()),
            Input::Tokens(tokens) => Input::Tokens(tokens.slice(s![steps.clone(), ..]).to_owned()),
            _ => unreachable!("the crate has no third kind"),
        },
        lengths: None,
        resets: batch.sequence.resets.as_ref().map(|resets| resets.slice(s![steps.clone(), ..]).to_owned()),
        initial: None,
    };
    let targets = match &batch.targets {
        Targets::Values(values) => Targets::Values(values.slice(s![steps.clone(), .., ..]).to_owned()),
        Targets::Classes(classes) => Targets::Classes(classes.slice(s![steps.clone(), ..]).to_owned()),
        _ => unreachable!("the crate has no third kind"),
    };
    Batch { sequence, targets, weights: batch.weights.as_ref().map(|w| w.slice(s![steps, ..]).to_owned()) }
}

#[track_caller]
fn assert_states_close<R: Real>(name: &str, got: &States<R>, want: &States<R>, relative: f64, floor: f64) {
    assert_close(&format!("{name}: h_n"), &wide(&got.h), &wide(&want.h), relative, floor);
    assert_eq!(got.c.is_some(), want.c.is_some(), "{name}");
    for (got, want) in got.c.iter().zip(&want.c) {
        assert_close(&format!("{name}: c_n"), &wide(got), &wide(want), relative, floor);
    }
}

fn pieces_give_the_logits_loss_and_final_states_of_the_whole<B: Backend>(backend: &B, relative: f64, floor: f64) {
    for (index, cell) in CELLS.into_iter().enumerate() {
        let case = Case { layers: 2, resets: true, weights: true, tokens: index % 2 == 1, ..Case::new(cell) };
        let case = case.sizes([9, 11, 5, 6, 3]).with_loss(losses()[index].clone());
        let batch = case.batch();
        let mut engine = engine(backend, &case, &EngineOptions::default());
        let whole = block_on(engine.logits(&batch.sequence)).unwrap();
        let loss = block_on(engine.evaluate(&batch)).unwrap().loss_sum;
        // In some pieces of unequal length; and a step at a time, as a text is sampled.
        for ends in [vec![4, 5, 9], (1..=9).collect()] {
            let name = format!("{case}, in {} pieces", ends.len());
            let (mut states, mut first, mut sum, mut logits) = (batch.sequence.initial.clone(), 0, 0.0, Vec::new());
            for end in ends {
                let mut piece = piece(&batch, first..end);
                piece.sequence.initial = states;
                let said = block_on(engine.logits(&piece.sequence)).unwrap();
                let evaluated = block_on(engine.evaluate(&piece)).unwrap();
                assert_eq!(said.states, evaluated.states, "{name}");
                states = Some(said.states.to_f32());
                logits.push(said.logits);
                sum += evaluated.loss_sum;
                first = end;
            }
            let views: Vec<_> = logits.iter().map(|logits| logits.view()).collect();
            let logits = concatenate(Axis(0), &views).unwrap();
            assert_close(&format!("{name}: logits"), &wide(&logits), &wide(&whole.logits), relative, floor);
            let array = |loss| ArrayD::from_elem(IxDyn(&[]), loss);
            assert_close(&format!("{name}: loss"), &array(sum), &array(loss), relative, floor);
            assert_states_close(&name, &states.unwrap(), &whole.states.to_f32(), relative, floor);
        }
    }
}

#[test]
fn pieces_give_the_logits_loss_and_final_states_of_the_whole_on_the_cpu() {
    pieces_give_the_logits_loss_and_final_states_of_the_whole(&Cpu::<f32>::new(), 1e-5, 1.0);
    // What is handed on is rounded to f32.
    pieces_give_the_logits_loss_and_final_states_of_the_whole(&Cpu::<f64>::default(), 1e-6, 1.0);
}

#[test]
fn pieces_give_the_logits_loss_and_final_states_of_the_whole_on_the_gpu() {
    gpu().iter().for_each(|gpu| pieces_give_the_logits_loss_and_final_states_of_the_whole(gpu, 1e-5, 1.0));
}

/// Over rows of differing lengths and in both directions too.
fn final_states_of_inference_equal_those_of_forward<B: Backend>(backend: &B) {
    for cell in CELLS {
        for (at, chunk) in [(Readout::PerStep, None), (Readout::Final, Some(3))] {
            let case = Case { at, ragged: true, resets: true, bidirectional: true, layers: 2, ..Case::new(cell) };
            let case = case.sizes([7, 11, 3, 5, 2]);
            let mut engine = engine(backend, &case, &EngineOptions::default().chunk(chunk));
            let want = block_on(engine.forward(&case.sequence())).unwrap().states;
            assert_eq!(block_on(engine.logits(&case.sequence::<f32>())).unwrap().states, want, "{case}");
            assert_eq!(block_on(engine.evaluate(&case.batch())).unwrap().states, want, "{case}");
        }
    }
}

#[test]
fn final_states_of_inference_equal_those_of_forward_on_the_cpu() {
    final_states_of_inference_equal_those_of_forward(&Cpu::<f32>::new());
    final_states_of_inference_equal_those_of_forward(&Cpu::<f64>::default());
}

#[test]
fn final_states_of_inference_equal_those_of_forward_on_the_gpu() {
    gpu().iter().for_each(final_states_of_inference_equal_those_of_forward);
}

fn inference_between_batches_changes_no_bit_of_training<B: Backend>(backend: &B) {
    for cell in [CELLS[0], Cell::Lstm, Cell::Gru] {
        let case = Case { initial: false, layers: 2, ..Case::new(cell) }.sizes([5, 11, 3, 6, 2]);
        let optimizer = Optimizer::adam(0.01);
        let batch = case.batch();
        let run = |infers: bool| {
            let options = EngineOptions::default().optimizer(optimizer.kind);
            let mut engine = engine(backend, &case, &options);
            for _ in 0..2 {
                block_on(engine.accumulate(&batch, Some(StatefulRows { first_row: 0, rows: 11 }))).unwrap();
                if infers {
                    block_on(engine.logits(&batch.sequence)).unwrap();
                    block_on(engine.evaluate(&batch)).unwrap();
                }
            }
            let gradients = block_on(engine.gradients()).unwrap();
            let states = block_on(engine.states()).unwrap();
            block_on(engine.update(&OptimizerStep::new(optimizer, 1, 3.0))).unwrap();
            (gradients, states, block_on(engine.report()).unwrap(), block_on(engine.parameters()).unwrap())
        };
        assert_eq!(run(true), run(false), "{case}");
    }
}

#[test]
fn inference_between_batches_changes_no_bit_of_training_on_the_cpu() {
    inference_between_batches_changes_no_bit_of_training(&Cpu::<f32>::new());
}

#[test]
fn inference_between_batches_changes_no_bit_of_training_on_the_gpu() {
    gpu().iter().for_each(inference_between_batches_changes_no_bit_of_training);
}

fn a_trainer_passes_states_on_and_divides_the_loss<B: Backend>(backend: &B) {
    let case = Case { weights: true, ..Case::new(Cell::Lstm) }.sizes([6, 3, 2, 4, 2]);
    let batch = case.batch();
    let mut trainer = Trainer::new(backend, &case.model(), Optimizer::sgd(0.1), 1).unwrap();
    let whole = block_on(trainer.predict(&batch.sequence)).unwrap();
    let loss = block_on(trainer.evaluate(&batch)).unwrap().loss;
    let [mut first, mut second] = [0..2, 2..6].map(|steps| piece(&batch, steps));
    first.sequence.initial = batch.sequence.initial.clone();
    let before = block_on(trainer.evaluate(&first)).unwrap();
    second.sequence.initial = Some(before.states.to_f32());
    let after = block_on(trainer.evaluate(&second)).unwrap();
    let weights = [&first, &second].map(Batch::total_weight);
    let mean = (weights[0] * before.loss + weights[1] * after.loss) / batch.total_weight();
    assert!((mean - loss).abs() < 1e-5 * loss, "{mean} {loss}");
    let predicted = block_on(trainer.predict(&second.sequence)).unwrap();
    let want = whole.y.slice(s![2.., .., ..]).to_owned();
    assert_close("ŷ of the second piece", &wide(&predicted.y), &wide(&want), 1e-5, 1.0);
    assert_states_close("the second piece", &predicted.states, &whole.states, 1e-5, 1.0);
    assert_states_close("evaluated", &after.states, &whole.states, 1e-5, 1.0);
}

#[test]
fn a_trainer_passes_states_on_and_divides_the_loss_on_both_backends() {
    a_trainer_passes_states_on_and_divides_the_loss(&Cpu::<f32>::new());
    gpu().iter().for_each(a_trainer_passes_states_on_and_divides_the_loss);
}
