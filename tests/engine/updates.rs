//! What an optimizer counts: the updates that were made, also where some were passed over, and beyond what 32 bits
//! hold.

use crate::common::Case;
use crate::common::gpu::gpu;
use bptt::{
    Activation, Backend, Batch, Cell, Cpu, DropoutKey, EngineOptions, Error, Input, Layers, Optimizer, OptimizerKind,
    OptimizerStep, Parameters, Real, SkippedUpdates, Trainer, TrainerOptions, Training,
};
use pollster::block_on;

/// Every rule that begins other than it goes on, or keeps something.
fn optimizers() -> Vec<Optimizer> {
    let sgd =
        |momentum, dampening, nesterov| Optimizer::new(OptimizerKind::Sgd { momentum, dampening, nesterov }, 0.05);
    let rmsprop =
        |centered| Optimizer::new(OptimizerKind::RmsProp { alpha: 0.9, eps: 1e-4, momentum: 0.5, centered }, 0.01);
    vec![
        Optimizer::sgd(0.05),
        sgd(0.9, 0.5, false),
        sgd(0.9, 0.0, true),
        rmsprop(false),
        rmsprop(true),
        Optimizer::adam(0.01),
        Optimizer::adamw(0.01).clip_norm(0.5),
    ]
}

fn case() -> Case {
    Case { initial: false, ..Case::new(Cell::Rnn(Activation::Tanh)) }.sizes([3, 2, 2, 3, 1])
}

/// A batch whose loss is not a number.
fn bad(mut batch: Batch) -> Batch {
    if let Input::Dense(x) = &mut batch.sequence.input {
        x.fill(f32::NAN);
    }
    batch
}

/// Parameters and slots after `steps` steps of which those that `is_bad` names are bad, or are left out. Every
/// `report_every` steps all reports are taken; 0: none before the end.
fn numbers<B: Backend>(
    backend: &B,
    optimizer: Optimizer,
    steps: u64,
    is_bad: impl Fn(u64) -> bool,
    leave_out: bool,
    report_every: u64,
) -> Vec<Vec<f64>> {
    let (case, model) = (case(), case().model());
    let options = EngineOptions::default().optimizer(optimizer.kind).max_skipped_updates(3);
    let mut engine = backend.engine(&model, &options).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    let (good, bad) = (case.batch(), bad(case.batch()));
    let (mut step, mut skipped) = (0, 0);
    for number in 1..=steps {
        if is_bad(number) && leave_out {
            continue;
        }
        step += 1;
        block_on(engine.accumulate(if is_bad(number) { &bad } else { &good }, None)).unwrap();
        block_on(engine.update(&OptimizerStep::new(optimizer, step, 6.0))).unwrap();
        let all = number == steps || (report_every > 0 && number % report_every == 0);
        while let Some(report) = if all { block_on(engine.report()).unwrap() } else { None } {
            skipped += u64::from(report.skipped);
        }
    }
    assert_eq!(engine.unreported(), 0);
    let counted = block_on(engine.skipped()).unwrap();
    assert_eq!(skipped, counted.in_all);
    let wide =
        |numbers: Vec<<B::Engine as Parameters>::Real>| numbers.into_iter().map(|value| value.as_f64()).collect();
    let mut all = vec![wide(block_on(engine.parameters()).unwrap())];
    all.extend(block_on(engine.optimizer_state()).unwrap().into_iter().map(wide));
    all
}

fn a_skipped_step_leaves_no_trace<B: Backend>(backend: &B) {
    for optimizer in optimizers() {
        for (name, is_bad) in [
            ("the first", (|number| number == 1) as fn(u64) -> bool),
            ("the first three", |number| number <= 3),
            ("the second, third and fifth", |number| [2, 3, 5].contains(&number)),
        ] {
            let want = numbers(backend, optimizer, 9, is_bad, true, 0);
            for report_every in [0, 1, 4] {
                let got = numbers(backend, optimizer, 9, is_bad, false, report_every);
                assert_eq!(got, want, "{name}, {:?}, reports every {report_every} steps", optimizer.kind);
            }
        }
    }
}

#[test]
fn a_skipped_step_leaves_no_trace_on_the_cpu() {
    a_skipped_step_leaves_no_trace(&Cpu::<f32>::with_threads(1).unwrap());
}

#[test]
fn a_skipped_step_leaves_no_trace_on_the_gpu() {
    gpu().iter().for_each(a_skipped_step_leaves_no_trace);
}

#[test]
fn steps_in_flight_beyond_the_prepared_counts_are_counted() {
    let Some(gpu) = gpu() else { return };
    for optimizer in [Optimizer::adam(0.01), optimizers()[1]] {
        // At first as many are bad as good, so that a count of steps soon differs from one of updates.
        let is_bad = |number: u64| number % 2 == 1 && number < 90;
        assert_eq!(
            numbers(&gpu, optimizer, 200, is_bad, false, 0),
            numbers(&gpu, optimizer, 200, is_bad, true, 0),
            "{:?}",
            optimizer.kind
        );
    }
}

fn a_trainers_state_counts_updates_and_steps_separately<B: Backend>(backend: &B) {
    let (case, optimizer) = (case(), Optimizer::adam(0.01));
    let make = || {
        let engine = EngineOptions::default().max_skipped_updates(2);
        let options = TrainerOptions::default().engine(engine);
        Trainer::with_options(backend, &case.model(), optimizer, 3, options).unwrap()
    };
    let (good, bad) = (case.batch(), bad(case.batch()));
    let mut trainer = make();
    let go = |trainer: &mut Trainer<B::Engine>, steps: &[bool]| {
        for good_one in steps {
            block_on(trainer.step(if *good_one { &good } else { &bad })).unwrap();
        }
        block_on(trainer.state()).unwrap()
    };
    let state = go(&mut trainer, &[false, true, false, false]);
    assert_eq!((state.step, state.skipped), (4, SkippedUpdates { in_row: 2, in_all: 3, loss_scale: None }));
    let want = go(&mut trainer, &[true, false, true]);
    assert_eq!(want.skipped, SkippedUpdates { in_row: 0, in_all: 4, loss_scale: None });
    let mut restored = make();
    restored.restore(&state).unwrap();
    assert_eq!(go(&mut restored, &[true, false, true]), want);
    // And as if there had been three steps.
    let only_good = go(&mut make(), &[true, true, true]);
    assert_eq!((only_good.parameters, only_good.optimizer_state), (want.parameters, want.optimizer_state));
}

#[test]
fn a_trainers_state_counts_updates_and_steps_separately_on_both_backends() {
    a_trainers_state_counts_updates_and_steps_separately(&Cpu::<f32>::with_threads(1).unwrap());
    a_trainers_state_counts_updates_and_steps_separately(&Cpu::<f64>::with_threads(1).unwrap());
    gpu().iter().for_each(a_trainers_state_counts_updates_and_steps_separately);
}

fn steps_after_training_stopped_are_not_counted_as_updates<B: Backend>(backend: &B) {
    let case = case();
    let make = || {
        // So many that none of them is waited for.
        let options = TrainerOptions::default().in_flight(9);
        Trainer::with_options(backend, &case.model(), Optimizer::adam(0.01), 3, options).unwrap()
    };
    let (good, bad) = (case.batch(), bad(case.batch()));
    let go = |trainer: &mut Trainer<B::Engine>, batches: &[&Batch]| {
        for batch in batches {
            block_on(trainer.step(batch)).unwrap();
        }
        block_on(trainer.finish()).map(drop)
    };
    let mut trainer = make();
    let ended = go(&mut trainer, &[&good, &good, &bad, &good, &good, &good]);
    assert!(matches!(ended, Err(Error::NonFinite { step: 3, .. })), "{ended:?}");
    let state = block_on(trainer.state()).unwrap();
    assert_eq!((state.step, state.skipped.in_all), (6, 4));
    let weights = block_on(trainer.state_dict()).unwrap();
    let mut only_good = make();
    go(&mut only_good, &[&good; 4]).unwrap();
    let want = block_on(only_good.state()).unwrap();
    // By weights of the caller's, and from the state.
    trainer.load_state_dict(&weights).unwrap();
    let mut restored = make();
    restored.restore(&state).unwrap();
    for mut trainer in [trainer, restored] {
        go(&mut trainer, &[&good; 2]).unwrap();
        let got = block_on(trainer.state()).unwrap();
        assert_eq!((got.step, got.skipped.in_all), (8, 4));
        assert_eq!((got.parameters, got.optimizer_state), (want.parameters.clone(), want.optimizer_state.clone()));
    }
}

#[test]
fn steps_after_training_stopped_are_not_counted_as_updates_on_both_backends() {
    steps_after_training_stopped_are_not_counted_as_updates(&Cpu::<f32>::with_threads(1).unwrap());
    gpu().iter().for_each(steps_after_training_stopped_are_not_counted_as_updates);
}

/// The parameters after three steps from `first` on, with recurrent dropout; and the step that a bad one is reported
/// by.
fn from_step<B: Backend>(backend: &B, optimizer: Optimizer, first: u64, dropout: f64) -> (Vec<f64>, u64) {
    let case = Case { dropout: (0.0, dropout), ..case() }.sizes([4, 3, 2, 9, 1]);
    let model = case.model();
    let options = EngineOptions::default().optimizer(optimizer.kind);
    let mut engine = backend.engine(&model, &options).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    let mut go = |step, batch: &Batch| {
        engine.set_dropout(Some(DropoutKey { seed: 5, step, first_row: 0 }));
        block_on(engine.accumulate(batch, None)).unwrap();
        block_on(engine.update(&OptimizerStep::new(optimizer, step, 12.0))).unwrap();
        block_on(engine.report())
    };
    for step in first..first + 3 {
        assert_eq!(go(step, &case.batch()).unwrap().unwrap().step, step);
    }
    let error = go(first + 3, &bad(case.batch())).unwrap_err();
    let Error::NonFinite { step, .. } = error else { panic!("{error}") };
    (block_on(engine.parameters()).unwrap().into_iter().map(|w| w.as_f64()).collect(), step)
}

#[test]
fn steps_beyond_32_bits_are_the_same_on_both_backends() {
    let optimizers = [optimizers()[1], Optimizer::adam(0.01)];
    for optimizer in optimizers {
        for first in [1, (1 << 32) - 1, 1 << 32, (1 << 32) + 1, (1 << 40) + 1] {
            let (want, step) = from_step(&Cpu::<f64>::with_threads(1).unwrap(), optimizer, first, 0.5);
            assert_eq!(step, first + 3);
            if let Some(gpu) = gpu() {
                let (got, step) = from_step(&gpu, optimizer, first, 0.5);
                assert_eq!(step, first + 3);
                let close = got.iter().zip(&want).all(|(got, want)| (got - want).abs() < 2e-5);
                assert!(close, "{:?} from step {first}: {got:?}, expected {want:?}", optimizer.kind);
            }
        }
    }
}

#[test]
fn updates_beyond_32_bits_are_not_treated_as_the_first() {
    let cpu = Cpu::<f64>::with_threads(1).unwrap();
    for optimizer in [optimizers()[1], Optimizer::adam(0.01)] {
        // Without dropout nothing but what an optimizer counts tells steps apart, and it has no more to correct.
        let of = |first| from_step(&cpu, optimizer, first, 0.0).0;
        let late = of((1 << 40) + 500);
        for first in [1 << 20, (1 << 32) - 1, 1 << 32, (1 << 32) + 1, (1 << 40) + 1] {
            assert_eq!(of(first), late, "{:?} from step {first}", optimizer.kind);
        }
        assert_ne!(of(1), late, "{:?}", optimizer.kind);
    }
}

/// Plain descent has no state, so that a step with another clipping is the first step of a trainer that has it.
fn clipping_changes_between_steps<B: Backend>(backend: &B) {
    let trainer =
        |clip: Option<f64>| Trainer::new(backend, &case().model(), Optimizer::sgd(0.05).clip_norm(clip), 3).unwrap();
    let step = |trainer: &mut Trainer<B::Engine>| {
        block_on(trainer.step(&case().batch())).unwrap();
        block_on(trainer.state_dict()).unwrap()
    };
    let mut changed = trainer(None);
    let after_one = step(&mut changed);
    assert!(changed.set_clip_norm(Some(0.0)).is_err() && changed.optimizer().clip_norm.is_none());
    changed.set_clip_norm(Some(1e-3)).unwrap();
    let after_two = step(&mut changed);
    let mut clipped = trainer(Some(1e-3));
    clipped.load_state_dict(&after_one).unwrap();
    assert_eq!(step(&mut clipped), after_two);
    let mut free = trainer(None);
    free.load_state_dict(&after_one).unwrap();
    assert_ne!(step(&mut free), after_two);
}

#[test]
fn clipping_changes_between_steps_on_both_backends() {
    clipping_changes_between_steps(&Cpu::<f32>::with_threads(1).unwrap());
    clipping_changes_between_steps(&Cpu::<f64>::with_threads(1).unwrap());
    gpu().iter().for_each(clipping_changes_between_steps);
}
