//! Several batches accumulated before an update make the step of one batch that has all their rows.

use crate::common::gpu::gpu;
use crate::common::{CELLS, Case, assert_close, fill, wide};
use bptt::ndarray::{ArrayD, IxDyn, s};
use bptt::{
    Backend, Batch, Cell, Cpu, Engine, EngineOptions, Error, Input, Optimizer, Real, Reduction, Sequence, StepReport,
    Trainer, TrainerOptions,
};
use pollster::block_on;

/// Parameters and reports after three updates, each by all of `batches`.
fn trained<B: Backend>(backend: &B, case: &Case, batches: &[Batch]) -> (ArrayD<f64>, Vec<StepReport>) {
    let options = TrainerOptions::default().micro_batch(4);
    let optimizer = Optimizer::adam(0.01).clip_norm(0.1);
    let mut trainer = Trainer::with_options(backend, &case.model(), optimizer, 1, options).unwrap();
    let mut reports = Vec::new();
    for _ in 0..3 {
        for batch in batches {
            block_on(trainer.accumulate(batch)).unwrap();
        }
        reports.extend(block_on(trainer.update()).unwrap());
    }
    reports.extend(block_on(trainer.finish()).unwrap());
    assert_eq!(trainer.steps(), 3);
    (parameters(&mut trainer), reports)
}

fn parameters<E: Engine>(trainer: &mut Trainer<E>) -> ArrayD<f64> {
    let block = block_on(trainer.engine().parameters()).unwrap();
    ArrayD::from_shape_vec(vec![block.len()], block.iter().map(|value| value.as_f64()).collect()).unwrap()
}

fn accumulated_batches_equal_one_large_batch<B: Backend>(backend: &B, relative: f64) {
    let projected = Case::new(Cell::Lstm).projected(5);
    for case in [CELLS[0], Cell::Lstm, Cell::Gru].map(Case::new).into_iter().chain([projected]) {
        for reduction in [Reduction::Mean, Reduction::Sum] {
            // Batches of 5, 1 and 9 rows whose weights differ, so that a mean of means would be another number.
            let case = Case { reduction, ragged: true, weights: true, ..case.clone() }.sizes([5, 15, 3, 6, 2]);
            let batch = case.batch();
            let parts = [0..5, 5..6, 6..15].map(|rows| batch.rows(rows));
            let (got, reports) = trained(backend, &case, &parts);
            let (want, wanted) = trained(backend, &case, &[batch]);
            assert_close(&format!("{case}: parameters"), &got, &want, relative, 0.1);
            for (got, want) in reports.iter().zip(&wanted) {
                assert_eq!(got.step, want.step, "{case}");
                for (what, got, want) in [("loss", got.loss, want.loss), ("norm", got.norm, want.norm)] {
                    assert!((got - want).abs() < relative * want, "{case}: {what} {got} {want}");
                }
            }
            assert_eq!(reports.len(), wanted.len(), "{case}");
        }
    }
}

#[test]
fn accumulated_batches_equal_one_large_batch_on_the_cpu() {
    accumulated_batches_equal_one_large_batch(&Cpu::<f64>::default(), 1e-11);
}

#[test]
fn accumulated_batches_equal_one_large_batch_on_the_gpu() {
    gpu().iter().for_each(|gpu| accumulated_batches_equal_one_large_batch(gpu, 1e-4));
}

fn state_is_carried_between_accumulated_batches<B: Backend>(backend: &B, relative: f64) {
    let projected = Case::new(Cell::Lstm).projected(5);
    for case in [CELLS[0], Cell::Lstm, Cell::Gru].map(Case::new).into_iter().chain([projected]) {
        let case = Case { initial: false, layers: 2, ..case }.sizes([8, 5, 3, 6, 2]);
        let whole: Sequence = case.sequence();
        let Input::Dense(x) = &whole.input else { unreachable!("the case is dense") };
        let y = fill((8, 5, 2), 4);
        let windows = [0..3, 3..8].map(|steps| {
            let x = x.slice(s![steps.clone(), .., ..]).to_owned();
            Batch::new(Sequence::dense(x), bptt::Targets::Values(y.slice(s![steps, .., ..]).to_owned()))
        });
        let options = TrainerOptions::default().carry_state(true).micro_batch(2);
        let mut trainer = Trainer::with_options(backend, &case.model(), Optimizer::sgd(0.1), 1, options).unwrap();
        let long = Batch::new(whole, bptt::Targets::Values(y));
        let want = block_on(trainer.evaluate(&long)).unwrap();
        for window in &windows {
            block_on(trainer.accumulate(window)).unwrap();
        }
        let got = block_on(trainer.states()).unwrap().unwrap();
        assert_close(&format!("{case}: h_n"), &wide(&got.h), &wide(&want.states.h), relative, 1.0);
        block_on(trainer.update()).unwrap();
        // The same weights all the while, so the loss is that of one long pass.
        let loss = block_on(trainer.loss()).unwrap().unwrap();
        let array = |loss| ArrayD::from_elem(IxDyn(&[]), loss);
        assert_close(&format!("{case}: loss"), &array(loss), &array(want.loss), relative, 1.0);
    }
}

#[test]
fn state_is_carried_between_accumulated_batches_on_the_cpu() {
    state_is_carried_between_accumulated_batches(&Cpu::<f64>::default(), 1e-13);
}

#[test]
fn state_is_carried_between_accumulated_batches_on_the_gpu() {
    gpu().iter().for_each(|gpu| state_is_carried_between_accumulated_batches(gpu, 1e-5));
}

fn an_update_without_a_batch_is_refused<B: Backend>(backend: &B) {
    let case = Case::new(Cell::Gru);
    let mut trainer = Trainer::new(backend, &case.model(), Optimizer::sgd(0.1), 1).unwrap();
    assert!(matches!(block_on(trainer.gradients()).unwrap_err(), Error::Unsupported(_)));
    let refused = |trainer: &mut Trainer<B::Engine>| {
        let error = block_on(trainer.update()).unwrap_err().to_string();
        assert_eq!(error, "an update needs an accumulated batch: none was accumulated since the last update");
    };
    refused(&mut trainer);
    block_on(trainer.step(&case.batch())).unwrap();
    refused(&mut trainer);
    assert_eq!(trainer.steps(), 1);
}

#[test]
fn an_update_without_a_batch_is_refused_on_both_backends() {
    an_update_without_a_batch_is_refused(&Cpu::<f64>::default());
    gpu().iter().for_each(an_update_without_a_batch_is_refused);
}

fn a_mismatched_batch_keeps_the_accumulated_gradients<B: Backend>(backend: &B) {
    let case = Case { ragged: true, ..Case::new(Cell::Lstm) };
    let wrong = Batch::new(Sequence::dense(fill((4, 3, 7), 1)), case.batch().targets);
    let run = |disturbed: bool| {
        let mut trainer = Trainer::new(backend, &case.model(), Optimizer::adam(0.1), 1).unwrap();
        block_on(trainer.accumulate(&case.batch().rows(0..1))).unwrap();
        if disturbed {
            assert!(matches!(block_on(trainer.accumulate(&wrong)).unwrap_err(), Error::Shape { .. }));
        }
        block_on(trainer.accumulate(&case.batch().rows(1..3))).unwrap();
        block_on(trainer.update()).unwrap();
        (parameters(&mut trainer), block_on(trainer.finish()).unwrap())
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn a_mismatched_batch_keeps_the_accumulated_gradients_on_both_backends() {
    a_mismatched_batch_keeps_the_accumulated_gradients(&Cpu::<f64>::default());
    gpu().iter().for_each(a_mismatched_batch_keeps_the_accumulated_gradients);
}

fn gradients_before_and_after_an_update_are_equal<B: Backend>(backend: &B) {
    let case = Case { weights: true, ..Case::new(Cell::Gru) };
    let mut trainer = Trainer::new(backend, &case.model(), Optimizer::sgd(0.1), 1).unwrap();
    block_on(trainer.accumulate(&case.batch().rows(0..1))).unwrap();
    let first = block_on(trainer.gradients()).unwrap();
    block_on(trainer.accumulate(&case.batch().rows(1..3))).unwrap();
    let open = block_on(trainer.gradients()).unwrap();
    assert_ne!(open, first);
    block_on(trainer.update()).unwrap();
    assert_eq!(block_on(trainer.gradients()).unwrap(), open);
}

#[test]
fn gradients_before_and_after_an_update_are_equal_on_both_backends() {
    gradients_before_and_after_an_update_are_equal(&Cpu::<f64>::default());
    gpu().iter().for_each(gradients_before_and_after_an_update_are_equal);
}

fn batches_of_weight_0_wait_for_a_weighted_one<B: Backend>(backend: &B) {
    let case = Case::new(Cell::Gru);
    let weightless = case.batch().weights(bptt::ndarray::Array2::zeros((4, 3)));
    let run = |weightless: Option<&Batch>| {
        let mut trainer = Trainer::new(backend, &case.model(), Optimizer::adam(0.1), 1).unwrap();
        if let Some(weightless) = weightless {
            let error = block_on(trainer.step(weightless)).unwrap_err().to_string();
            assert_eq!(error, "the weights of the predictions: expected a sum above 0, got 0");
        }
        block_on(trainer.step(&case.batch())).unwrap();
        (parameters(&mut trainer), block_on(trainer.finish()).unwrap())
    };
    assert_eq!(run(Some(&weightless)), run(None));
}

#[test]
fn batches_of_weight_0_wait_for_a_weighted_one_on_both_backends() {
    batches_of_weight_0_wait_for_a_weighted_one(&Cpu::<f64>::default());
    gpu().iter().for_each(batches_of_weight_0_wait_for_a_weighted_one);
}

fn an_engine_error_discards_the_accumulated_gradients<B: Backend>(backend: &B) {
    let case = Case::new(Cell::Gru).sizes([64, 64, 8, 32, 2]);
    let engine = EngineOptions::default().memory(1 << 20);
    let options = TrainerOptions::default().engine(engine);
    let mut trainer = Trainer::with_options(backend, &case.model(), Optimizer::adam(0.1), 1, options.clone()).unwrap();
    let small = case.batch().rows(0..4);
    block_on(trainer.accumulate(&small)).unwrap();
    assert!(matches!(block_on(trainer.accumulate(&case.batch())).unwrap_err(), Error::Limit { .. }));
    assert!(block_on(trainer.update()).is_err());
    block_on(trainer.step(&small)).unwrap();
    let mut fresh = Trainer::with_options(backend, &case.model(), Optimizer::adam(0.1), 1, options).unwrap();
    block_on(fresh.step(&small)).unwrap();
    assert_eq!(parameters(&mut trainer), parameters(&mut fresh));
}

#[test]
fn an_engine_error_discards_the_accumulated_gradients_on_both_backends() {
    an_engine_error_discards_the_accumulated_gradients(&Cpu::<f32>::new());
    gpu().iter().for_each(an_engine_error_discards_the_accumulated_gradients);
}
