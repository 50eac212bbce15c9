//! Which calls may follow which, what a step that is not finite leaves, and evaluation in micro-batches: the same on
//! either path, word for word.

use crate::common::gpu::gpu;
use crate::common::{CELLS, Case, assert_close, wide};
use bptt::ndarray::{Array3, ArrayD, IxDyn, s};
use bptt::{
    Backend, Batch, Cell, Cpu, Engine, EngineOptions, Error, Inference, Input, Inspection, Layers, Optimizer,
    OptimizerStep, Parameters, Readout, Sequence, Targets, Trainer, TrainerOptions, Training,
};
use pollster::block_on;

fn engine<B: Backend>(backend: &B, case: &Case, options: EngineOptions) -> B::Engine {
    let model = case.model();
    let options = options.optimizer(Optimizer::sgd(0.1).kind);
    let mut engine = backend.engine(&model, &options).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    engine
}

fn update() -> OptimizerStep {
    OptimizerStep::new(Optimizer::sgd(0.1), 1, 2.0)
}

#[track_caller]
fn refused<T>(answer: bptt::Result<T>, message: &str) {
    let error = answer.err().unwrap().to_string();
    assert!(error.starts_with(message), "{error}");
}

fn cleared_gradients_are_0_for_readers_and_updates<B: Backend>(backend: &B) {
    for (case, updates) in [(Case::new(Cell::Gru), false), (Case::new(Cell::Lstm), true)] {
        let mut engine = engine(backend, &case, EngineOptions::default());
        let before = block_on(engine.parameters()).unwrap();
        block_on(engine.accumulate(&case.batch(), None)).unwrap();
        let grown = block_on(engine.gradients()).unwrap();
        engine.clear_gradients();
        if updates {
            block_on(engine.update(&update())).unwrap();
            let report = block_on(engine.report()).unwrap().unwrap();
            assert_eq!((report.loss, report.norm), (0.0, 0.0));
            assert!(block_on(engine.parameters()).unwrap() == before, "an update by nothing");
        }
        let zero = |sums: Vec<<B::Engine as Parameters>::Real>| sums.into_iter().all(|sum| sum == Default::default());
        assert!(zero(block_on(engine.gradients()).unwrap()), "{case}");
        block_on(engine.accumulate(&case.batch(), None)).unwrap();
        assert!(block_on(engine.gradients()).unwrap() == grown, "{case}");
    }
}

#[test]
fn cleared_gradients_are_0_for_readers_and_updates_on_both_backends() {
    cleared_gradients_are_0_for_readers_and_updates(&Cpu::<f32>::new());
    gpu().iter().for_each(cleared_gradients_are_0_for_readers_and_updates);
}

const BACKWARD: &str = "backward needs a forward pass directly before it, with no other pass, no parameter change";
const GRADIENT: &str = "dx, dh_0 and dc_0 need an accumulate directly before, with no other pass in between";
const NOT_ASKED: &str = "dx, dh_0 and dc_0 need EngineOptions::input_gradient, which is not set";
const FLOW: &str = "the norms of ∂L/∂h_t need a backward pass directly before, with set_hidden_gradient_norms(true)";

fn a_pass_does_not_depend_on_the_previous_one<B: Backend>(backend: &B) {
    let case = Case { ragged: true, ..Case::new(Cell::Lstm) };
    let batch = case.batch();
    let options = EngineOptions::default().input_gradient(true);
    let mut engine = engine(backend, &case, options);
    engine.set_hidden_gradient_norms(true);
    let passes: [fn(&mut B::Engine, &Batch); 4] = [
        |engine, batch| drop(block_on(engine.evaluate(batch)).unwrap()),
        |engine, batch| drop(block_on(engine.logits(&batch.sequence)).unwrap()),
        |engine, batch| block_on(engine.accumulate(batch, None)).unwrap(),
        |engine, _| {
            let parameters = block_on(engine.parameters()).unwrap();
            engine.set_parameters(&parameters).unwrap();
        },
    ];
    for pass in passes {
        block_on(engine.forward(&case.sequence())).unwrap();
        pass(&mut engine, &batch);
        refused(block_on(engine.backward(&case.output_gradient())), BACKWARD);
    }
    for pass in &passes[..2] {
        block_on(engine.accumulate(&batch, None)).unwrap();
        // Not a pass: what it left stays.
        block_on(engine.update(&update())).unwrap();
        block_on(engine.report()).unwrap();
        engine.clear_gradients();
        block_on(engine.input_gradient()).unwrap();
        block_on(engine.hidden_gradient_norms()).unwrap();
        pass(&mut engine, &batch);
        refused(block_on(engine.input_gradient()), GRADIENT);
        refused(block_on(engine.hidden_gradient_norms()), FLOW);
    }
    // Nor is there a gradient of the input where it was not asked for.
    let mut plain = self::engine(backend, &case, EngineOptions::default());
    block_on(plain.accumulate(&batch, None)).unwrap();
    refused(block_on(plain.input_gradient()), NOT_ASKED);
    // Refused for its input, a call leaves what is there.
    block_on(engine.forward(&case.sequence())).unwrap();
    let wrong = Batch::new(Sequence::dense(Array3::zeros((1, 1, 9))), batch.targets.clone());
    refused(block_on(engine.evaluate(&wrong)), "x: expected shape");
    block_on(engine.backward(&case.output_gradient())).unwrap();
}

#[test]
fn a_pass_does_not_depend_on_the_previous_one_on_both_backends() {
    a_pass_does_not_depend_on_the_previous_one(&Cpu::<f32>::new());
    gpu().iter().for_each(a_pass_does_not_depend_on_the_previous_one);
}

/// A batch whose loss is not a number.
fn poisoned(case: &Case) -> Batch {
    let mut batch = case.batch();
    if let Input::Dense(x) = &mut batch.sequence.input {
        x.slice_mut(s![0, 0, ..]).fill(f32::NAN);
    }
    batch
}

fn every_call_after_a_non_finite_step_reports_it<B: Backend>(backend: &B)
where
    B::Engine: Engine<Real = f32>,
{
    let case = Case::new(Cell::Gru);
    for in_flight in [1, 3] {
        let options = TrainerOptions::default().in_flight(in_flight);
        let mut trainer = Trainer::with_options(backend, &case.model(), Optimizer::sgd(0.1), 1, options).unwrap();
        block_on(trainer.step(&case.batch())).unwrap();
        block_on(trainer.finish()).unwrap();
        let good = block_on(trainer.state()).unwrap();
        let loss = block_on(trainer.evaluate(&case.batch())).unwrap().loss;
        let is_told = |error: Error| matches!(error, Error::NonFinite { step: 2, .. });
        // Some steps later at most, whatever they are.
        let steps = (0..40).map(|step| if step == 0 { poisoned(&case) } else { case.batch() });
        let told = steps.map(|batch| block_on(trainer.step(&batch))).find_map(Result::err);
        assert!(is_told(told.unwrap()), "in_flight {in_flight}");
        let steps = trainer.steps();
        for _ in 0..2 {
            assert!(is_told(block_on(trainer.step(&case.batch())).unwrap_err()));
            assert!(is_told(block_on(trainer.finish()).unwrap_err()));
            assert!(is_told(block_on(trainer.loss()).unwrap_err()));
            assert!(is_told(trainer.engine().may_update().unwrap_err()));
            block_on(trainer.accumulate(&case.batch())).unwrap();
            assert!(is_told(block_on(trainer.update()).unwrap_err()));
            assert_eq!(trainer.engine().unreported(), 0);
        }
        assert_eq!(trainer.steps(), steps);
        // All else answers, by the weights from before.
        assert_eq!(block_on(trainer.evaluate(&case.batch())).unwrap().loss, loss);
        let weights = block_on(trainer.state_dict()).unwrap();
        let mut other = Trainer::new(backend, &case.model(), Optimizer::sgd(0.1), 1).unwrap();
        other.restore(&good).unwrap();
        assert_eq!(block_on(other.state_dict()).unwrap(), weights);
        // Weights of the caller's, or a state, let it go on.
        let goes_on = |trainer: &mut Trainer<B::Engine>| {
            block_on(trainer.step(&case.batch())).unwrap();
            assert!(!block_on(trainer.finish()).unwrap().last().is_some_and(|report| report.skipped));
            assert_ne!(block_on(trainer.state_dict()).unwrap(), weights);
        };
        trainer.engine().clear_gradients();
        trainer.load_state_dict(&weights).unwrap();
        goes_on(&mut trainer);
        trainer.restore(&good).unwrap();
        block_on(trainer.step(&poisoned(&case))).ok();
        assert!(is_told(block_on(trainer.finish()).unwrap_err()));
        // The state of one that has ended is that of one that may go on, with none left to be passed over.
        let ended = block_on(trainer.state()).unwrap();
        trainer.restore(&ended).unwrap();
        goes_on(&mut trainer);
    }
}

#[test]
fn every_call_after_a_non_finite_step_reports_it_on_both_backends() {
    every_call_after_a_non_finite_step_reports_it(&Cpu::<f32>::new());
    gpu().iter().for_each(every_call_after_a_non_finite_step_reports_it);
}

fn evaluation_and_prediction_in_micro_batches_give_the_same_result<B: Backend>(backend: &B, relative: f64) {
    for (cell, at) in CELLS.into_iter().zip([Readout::PerStep, Readout::Final, Readout::MeanPool].into_iter().cycle()) {
        let case = Case { at, ragged: true, weights: true, layers: 2, resets: true, ..Case::new(cell) };
        let case = case.sizes([6, 11, 3, 5, 2]);
        let batch = case.batch();
        let make = |micro_batch| {
            let options = TrainerOptions::default().micro_batch(micro_batch);
            Trainer::with_options(backend, &case.model(), Optimizer::sgd(0.1), 1, options).unwrap()
        };
        let mut whole = make(None);
        let (want, predicted) =
            (block_on(whole.evaluate(&batch)).unwrap(), block_on(whole.predict(&batch.sequence)).unwrap());
        for rows in [1, 4, 10, 11, 50] {
            let mut parts = make(Some(rows));
            let got = block_on(parts.evaluate(&batch)).unwrap();
            let array = |loss| ArrayD::from_elem(IxDyn(&[]), loss);
            assert_close(&format!("{case}: loss"), &array(got.loss), &array(want.loss), relative, 0.1);
            assert_close(&format!("{case}: h_n"), &wide(&got.states.h), &wide(&want.states.h), relative, 1.0);
            let got = block_on(parts.predict(&batch.sequence)).unwrap();
            assert_close(&format!("{case}: ŷ"), &wide(&got.y), &wide(&predicted.y), relative, 1.0);
            for (got, want) in got.states.c.iter().zip(&predicted.states.c) {
                assert_close(&format!("{case}: c_n"), &wide(got), &wide(want), relative, 1.0);
            }
        }
    }
}

#[test]
fn evaluation_and_prediction_in_micro_batches_give_the_same_result_on_both_backends() {
    evaluation_and_prediction_in_micro_batches_give_the_same_result(&Cpu::<f64>::default(), 1e-12);
    gpu().iter().for_each(|gpu| evaluation_and_prediction_in_micro_batches_give_the_same_result(gpu, 1e-5));
}

/// The last loss, whether its report came with the step, with `finish` or has not come yet.
fn the_last_loss_remains<B: Backend>(backend: &B) {
    let case = Case::new(Cell::Gru);
    for in_flight in [1, 2, 8] {
        let options = TrainerOptions::default().in_flight(in_flight);
        let mut trainer = Trainer::with_options(backend, &case.model(), Optimizer::sgd(0.1), 1, options).unwrap();
        assert_eq!(block_on(trainer.loss()).unwrap(), None);
        let first = block_on(trainer.state()).unwrap();
        let mut losses = Vec::new();
        for _ in 0..3 {
            block_on(trainer.step(&case.batch())).unwrap();
            losses.push(block_on(trainer.loss()).unwrap().unwrap());
            assert_eq!(block_on(trainer.finish()).unwrap(), []);
            assert_eq!(block_on(trainer.loss()).unwrap().as_ref(), losses.last());
        }
        assert!(losses[0] > losses[1] && losses[1] > losses[2], "{losses:?}");
        // The engine's own reports are not the trainer's.
        block_on(trainer.step(&case.batch())).unwrap();
        let report = block_on(trainer.engine().report()).unwrap();
        assert_eq!(block_on(trainer.loss()).unwrap().is_none(), report.is_some());
        trainer.restore(&first).unwrap();
        assert_eq!(block_on(trainer.loss()).unwrap(), None);
    }
}

#[test]
fn the_last_loss_remains_after_its_report_on_both_backends() {
    the_last_loss_remains(&Cpu::<f32>::new());
    gpu().iter().for_each(the_last_loss_remains);
}

/// More rows than a dispatch has workgroups, and a budget that holds a few of them.
fn evaluation_and_prediction_use_the_micro_batches_of_a_step<B: Backend>(backend: &B) {
    let case = Case { initial: false, ..Case::new(Cell::Gru) }.sizes([1, 70_000, 2, 4, 1]);
    let batch: Batch =
        Batch::new(Sequence::dense(Array3::zeros((1, 70_000, 2))), Targets::Values(Array3::zeros((1, 70_000, 1))));
    let rows = 5000;
    let make = |memory| {
        let engine = EngineOptions::default().memory(memory);
        let options = TrainerOptions::default().micro_batch(rows).engine(engine);
        Trainer::with_options(backend, &case.model(), Optimizer::sgd(0.0), 1, options).unwrap()
    };
    let budget = make(None).engine().planned_bytes(&batch.sequence.rows(0..rows)).unwrap();
    let mut trainer = make(Some(budget));
    block_on(trainer.step(&batch)).unwrap();
    let loss = block_on(trainer.loss()).unwrap().unwrap();
    let evaluated = block_on(trainer.evaluate(&batch)).unwrap();
    assert!((evaluated.loss - loss).abs() <= 1e-5 * loss, "{} {loss}", evaluated.loss);
    assert_eq!(evaluated.states.h.dim(), (1, 70_000, 4));
    let predicted = block_on(trainer.predict(&batch.sequence)).unwrap();
    assert_eq!((predicted.y.dim(), predicted.states), ((1, 70_000, 1), evaluated.states));
    assert!(trainer.engine().bytes() <= budget, "{} of {budget}", trainer.engine().bytes());
}

#[test]
fn evaluation_and_prediction_use_the_micro_batches_of_a_step_on_both_backends() {
    evaluation_and_prediction_use_the_micro_batches_of_a_step(&Cpu::<f32>::new());
    gpu().iter().for_each(evaluation_and_prediction_use_the_micro_batches_of_a_step);
}

fn padding_changes_no_bit<B: Backend>(backend: &B) {
    let case = Case { ragged: true, weights: true, resets: true, ..Case::new(Cell::Gru) }.sizes([7, 5, 3, 6, 2]);
    let run = |batch: &Batch| {
        let mut trainer = Trainer::new(backend, &case.model(), Optimizer::adam(0.1), 1).unwrap();
        block_on(trainer.step(batch)).unwrap();
        let reports = block_on(trainer.finish()).unwrap();
        (reports, block_on(trainer.state_dict()).unwrap(), block_on(trainer.evaluate(batch)).unwrap())
    };
    let mut padded = case.batch();
    for row in 0..case.rows {
        let padding = padded.sequence.length(row)..;
        if let Input::Dense(x) = &mut padded.sequence.input {
            x.slice_mut(s![padding.clone(), row, ..]).fill(f32::NAN);
        }
        if let Targets::Values(values) = &mut padded.targets {
            values.slice_mut(s![padding.clone(), row, ..]).fill(f32::INFINITY);
        }
        padded.sequence.resets.as_mut().unwrap().slice_mut(s![padding.clone(), row]).fill(true);
        let of_row = [f32::NAN, -1.0, f32::INFINITY][row % 3];
        padded.weights.as_mut().unwrap().slice_mut(s![padding, row]).fill(of_row);
    }
    assert_eq!(run(&padded), run(&case.batch()));
    assert_eq!(padded.total_weight(), case.batch().total_weight());
    // Where a prediction stands it is refused as ever.
    padded.weights.as_mut().unwrap()[[0, 1]] = f32::NAN;
    refused(padded.validate(&case.model()), "weights[0, 1]: expected a finite number of at least 0, got NaN");
}

#[test]
fn padding_changes_no_bit_on_both_backends() {
    padding_changes_no_bit(&Cpu::<f32>::new());
    gpu().iter().for_each(padding_changes_no_bit);
}
