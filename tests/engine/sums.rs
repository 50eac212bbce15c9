//! What an engine leaves summed and a trainer divides: losses and gradients, of whole batches and by tensor.

use crate::common::gpu::gpu;
use crate::common::{CELLS, Case, assert_close, fill, wide};
use bptt::ndarray::{ArrayD, IxDyn};
use bptt::{
    Backend, Cpu, EngineOptions, Error, InputGradient, Layers, Optimizer, Parameters, Real, Reduction, Trainer,
    TrainerOptions, Training, Wait,
};

// Its `main` is not called.
#[allow(dead_code)]
#[path = "../../examples/own_steps.rs"]
mod own_steps;

/// Cases whose weights do not sum to a whole number, with both kinds of divisor.
fn cases() -> impl Iterator<Item = Case> {
    CELLS.into_iter().flat_map(|cell| {
        [Reduction::Mean, Reduction::Sum].map(|reduction| Case {
            reduction,
            ragged: true,
            weights: true,
            ..Case::new(cell).sizes([5, 7, 3, 6, 2])
        })
    })
}

fn trainer<B: Backend>(backend: &B, case: &Case, micro_batch: Option<usize>) -> Trainer<B::Engine> {
    let engine = EngineOptions::default().input_gradient(true);
    let options = TrainerOptions::default().micro_batch(micro_batch).engine(engine);
    Trainer::with_options(backend, &case.model(), Optimizer::sgd(0.1), 1, options).unwrap()
}

fn near(what: &str, got: f64, want: f64, relative: f64) {
    assert!((got - want).abs() <= relative * want.abs(), "{what}: {got} where {want} is due");
}

fn losses_are_told_without_an_update<B: Backend>(backend: &B, relative: f64) {
    for case in cases() {
        let mut trainer = trainer(backend, &case, Some(3));
        let refused = trainer.accumulated_loss().wait().unwrap_err().to_string();
        assert_eq!(refused, "a loss needs an accumulated batch");
        let batch = case.batch();
        trainer.accumulate(&batch).wait().unwrap();
        let loss = trainer.accumulated_loss().wait().unwrap();
        near("evaluated", trainer.evaluate(&batch).wait().unwrap().loss, loss, relative);
        let divisor = if case.reduction == Reduction::Sum { 1.0 } else { batch.total_weight() };
        near("summed", trainer.engine().loss_sum().wait().unwrap() / divisor, loss, 1e-12);
        // The same rows again: both sums are doubled.
        trainer.accumulate(&batch).wait().unwrap();
        let twice = if case.reduction == Reduction::Sum { 2.0 } else { 1.0 };
        let both = trainer.accumulated_loss().wait().unwrap();
        near("twice", both, twice * loss, relative);
        trainer.update().wait().unwrap();
        // It stays readable after the update, which did not change it.
        near("after the update", trainer.accumulated_loss().wait().unwrap(), both, 0.0);
        near("reported", trainer.loss().wait().unwrap().unwrap(), both, relative);
        trainer.accumulate(&batch).wait().unwrap();
        let next = trainer.accumulated_loss().wait().unwrap();
        near("the next", trainer.evaluate(&batch).wait().unwrap().loss, next, relative);
        trainer.engine().clear_gradients();
        assert_eq!(trainer.engine().loss_sum().wait().unwrap(), 0.0);
    }
}

#[test]
fn the_loss_of_accumulated_batches_is_read_without_an_update_on_the_cpu() {
    losses_are_told_without_an_update(&Cpu::<f64>::default(), 1e-12);
}

#[test]
fn the_loss_of_accumulated_batches_is_read_without_an_update_on_the_gpu() {
    gpu().iter().for_each(|gpu| losses_are_told_without_an_update(gpu, 1e-5));
}

fn tensors_are_read_and_written_by_name<B: Backend>(backend: &B) {
    let case = Case::new(CELLS[0]).tied(4);
    let mut trainer = trainer(backend, &case, None);
    trainer.accumulate(&case.batch()).wait().unwrap();
    let all = trainer.gradients().wait().unwrap();
    let divisor = case.batch().total_weight();
    for (name, want) in all.iter() {
        assert_eq!(wide(&trainer.gradient(name).wait().unwrap()), wide(want), "{name}");
        let sum = wide(&trainer.engine().gradient(name).wait().unwrap()) / divisor;
        assert_close(name, &sum, &wide(want), 1e-6, 1e-6);
    }
    let refused = trainer.gradient("rnn.weight_hh_l7").wait().unwrap_err().to_string();
    let names =
        "embedding.weight, head.bias, head.weight, rnn.bias_hh_l0, rnn.bias_ih_l0, rnn.weight_hh_l0, rnn.weight_ih_l0";
    assert_eq!(refused, format!("the name of a tensor: expected one of {names}, got rnn.weight_hh_l7"));
    let engine = trainer.engine();
    let before = engine.parameters().wait().unwrap();
    let w_hh: ArrayD<<B::Engine as Parameters>::Real> = fill(IxDyn(&[case.hidden, case.hidden]), 5);
    engine.set_parameter("rnn.weight_hh_l0", &w_hh).unwrap();
    assert_eq!(engine.parameter("rnn.weight_hh_l0").wait().unwrap(), w_hh);
    let range = engine.layout().tensors()[engine.layout().index_of("rnn.weight_hh_l0").unwrap()].range();
    let after = engine.parameters().wait().unwrap();
    for (at, (before, after)) in before.iter().zip(&after).enumerate() {
        assert_eq!(before == after, !range.contains(&at), "element {at}");
    }
    // A tied embedding has two names.
    assert_eq!(engine.parameter("head.weight").wait().unwrap(), engine.parameter("embedding.weight").wait().unwrap());
    let refused = engine.set_parameter("head.bias", &w_hh).unwrap_err().to_string();
    assert!(refused.starts_with("head.bias: expected shape [4], got ["), "{refused}");
}

#[test]
fn a_tensor_and_its_gradient_go_by_name() {
    tensors_are_read_and_written_by_name(&Cpu::new());
    gpu().iter().for_each(tensors_are_read_and_written_by_name);
}

fn numbers<R: Real>(gradient: &InputGradient<R>) -> [ArrayD<f64>; 2] {
    [wide(gradient.x.as_ref().unwrap()), wide(&gradient.initial.h)]
}

fn the_input_gradient_is_whole_and_divided<B: Backend>(backend: &B, relative: f64) {
    for case in cases() {
        let batch = case.batch();
        let divisor = if case.reduction == Reduction::Sum { 1.0 } else { batch.total_weight() };
        let mut whole = trainer(backend, &case, None);
        whole.accumulate(&batch).wait().unwrap();
        let want = numbers(&whole.engine().input_gradient().wait().unwrap()).map(|sum| sum / divisor);
        for micro_batch in [None, Some(1), Some(3), Some(7)] {
            let mut trainer = trainer(backend, &case, micro_batch);
            for _ in 0..2 {
                trainer.step(&batch).wait().unwrap();
                trainer.finish().wait().unwrap();
                trainer.engine().set_parameters(&whole.engine().parameters().wait().unwrap()).unwrap();
                let got = numbers(&trainer.input_gradient().wait().unwrap());
                for (what, (got, want)) in ["dx", "dh_0"].into_iter().zip(got.iter().zip(&want)) {
                    assert_close(&format!("{case}: {what} in parts of {micro_batch:?}"), got, want, relative, 0.1);
                }
            }
            trainer.evaluate(&batch).wait().unwrap();
            assert!(matches!(trainer.input_gradient().wait(), Err(Error::Unsupported(_))));
        }
    }
}

#[test]
fn the_input_gradient_of_a_split_batch_is_that_of_the_whole_and_divided_on_the_cpu() {
    the_input_gradient_is_whole_and_divided(&Cpu::<f64>::default(), 1e-11);
}

#[test]
fn the_input_gradient_of_a_split_batch_is_that_of_the_whole_and_divided_on_the_gpu() {
    gpu().iter().for_each(|gpu| the_input_gradient_is_whole_and_divided(gpu, 1e-4));
}

#[test]
fn the_example_with_its_own_steps_learns() {
    let (losses, unseen) = own_steps::train(&Cpu::new()).unwrap();
    assert_eq!(losses.len(), 200);
    assert!(losses[0] > 0.5 && unseen < 0.2, "{} {unseen}", losses[0]);
}
