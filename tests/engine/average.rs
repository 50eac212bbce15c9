//! The moving average of the parameters, against its definition in f64.

use bptt::data::{AddingTask, SequentialBatches, ShuffledBatches};
use bptt::gpu::GpuOptions;
use bptt::train::{KeepWeights, RunLength, RunOptions, evaluate, run};

use crate::common::Case;
use crate::common::gpu::{gpu, open};
use bptt::{
    Backend, Batch, Cell, Cpu, Engine, EngineOptions, Error, FlatBlock, Input, Inspection, Layers, Layout, MemoryPart,
    Model, Optimizer, OptimizerStep, ParameterGroup, Parameters, Real, Recurrent, Trainer, TrainerOptions, Training,
    wgpu,
};
use pollster::block_on;

const DECAY: f64 = 0.9;

/// Of more than one chunk, and of sizes that are no multiples of 4.
fn case() -> Case {
    Case { initial: false, layers: 2, ..Case::new(Cell::Gru) }.sizes([4, 3, 3, 31, 5])
}

fn options() -> EngineOptions {
    EngineOptions::default().ema_decay(DECAY).max_skipped_updates(5)
}

fn trainer<B: Backend>(backend: &B, options: EngineOptions) -> Trainer<B::Engine> {
    let options = TrainerOptions::default().engine(options).micro_batch(2);
    Trainer::with_options(backend, &case().model(), Optimizer::adam(0.01), 3, options).unwrap()
}

/// A batch whose loss is not a number.
fn bad() -> Batch {
    let mut batch = case().batch();
    if let Input::Dense(x) = &mut batch.sequence.input {
        x.fill(f32::NAN);
    }
    batch
}

fn block<E: Engine>(engine: &mut E, block: FlatBlock) -> Vec<f64> {
    let mut numbers = Vec::new();
    block_on(engine.read_block(block, &mut numbers)).unwrap();
    numbers.into_iter().map(|number| number.as_f64()).collect()
}

fn assert_close(got: &[f64], want: &[f64], within: f64) {
    assert_eq!(got.len(), want.len());
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= within, "{got} at {index}, expected {want}");
    }
}

fn the_average_follows_its_definition<B: Backend>(backend: &B, within: f64) {
    let frozen = ParameterGroup::new("head.bias").frozen();
    for decay in [0.0, DECAY, 0.999] {
        let mut trainer = trainer(backend, options().ema_decay(decay).parameter_groups([frozen.clone()]));
        let engine = trainer.engine();
        let first = block(engine, FlatBlock::Parameters);
        assert_eq!(block(engine, FlatBlock::AveragedParameters), first);
        let mut want: Option<Vec<f64>> = None;
        // The first update that is made is not the first step.
        for is_bad in [true, false, false, true, true, false, false] {
            block_on(trainer.step(&if is_bad { bad() } else { case().batch() })).unwrap();
            let engine = trainer.engine();
            let parameters = block(engine, FlatBlock::Parameters);
            let got = block(engine, FlatBlock::AveragedParameters);
            want = match want {
                None if is_bad => {
                    assert_eq!(got, first);
                    continue;
                }
                None => {
                    assert_eq!(got, parameters, "it begins as a copy");
                    Some(parameters)
                }
                Some(want) if is_bad => Some(want),
                Some(want) => {
                    let pairs = want.iter().zip(&parameters);
                    Some(pairs.map(|(a, w)| decay * a + (1.0 - decay) * w).collect())
                }
            };
            assert_close(&got, want.as_deref().unwrap(), within);
        }
        let bias = trainer.engine().layout().tensors().last().unwrap().range();
        let engine = trainer.engine();
        assert_eq!(block(engine, FlatBlock::AveragedParameters)[bias.clone()], first[bias], "frozen");
        assert_eq!(block(engine, FlatBlock::AveragedParameters) == block(engine, FlatBlock::Parameters), decay == 0.0);
    }
}

#[test]
fn the_average_follows_its_definition_on_both_backends() {
    the_average_follows_its_definition(&Cpu::<f64>::with_threads(1).unwrap(), 1e-15);
    the_average_follows_its_definition(&Cpu::<f32>::with_threads(3).unwrap(), 2e-7);
    gpu().iter().for_each(|gpu| the_average_follows_its_definition(gpu, 2e-7));
}

fn the_average_is_measured_without_a_trace<B: Backend>(backend: &B) {
    let make = |averages: bool| trainer(backend, if averages { options() } else { EngineOptions::default() });
    let (mut trainer, mut unmeasured, mut plain) = (make(true), make(true), make(false));
    let batch = case().batch();
    for _ in 0..5 {
        for trainer in [&mut trainer, &mut unmeasured, &mut plain] {
            block_on(trainer.step(&batch)).unwrap();
        }
        let weights = block_on(trainer.averaged_state_dict()).unwrap();
        let mut loaded = make(false);
        loaded.load_state_dict(&weights).unwrap();
        let own = block_on(trainer.evaluate(&batch)).unwrap();
        {
            let mut averaged = trainer.averaged().unwrap();
            assert_eq!(block_on(averaged.evaluate(&batch)).unwrap(), block_on(loaded.evaluate(&batch)).unwrap());
            let (got, want) = (averaged.predict(&batch.sequence), loaded.predict(&batch.sequence));
            assert_eq!(block_on(got).unwrap(), block_on(want).unwrap());
            assert_eq!(block_on(averaged.state_dict()).unwrap(), weights);
        }
        assert_eq!(block_on(trainer.evaluate(&batch)).unwrap(), own);
        assert_eq!(own, block_on(plain.evaluate(&batch)).unwrap());
    }
    let [state, unmeasured, plain] = [trainer, unmeasured, plain].map(|mut trainer| block_on(trainer.state()).unwrap());
    assert_eq!(state, unmeasured);
    assert_ne!(state.averaged.as_ref(), Some(&state.parameters));
    assert_eq!((state.parameters, state.optimizer_state), (plain.parameters, plain.optimizer_state));
}

#[test]
fn the_average_is_measured_without_a_trace_on_both_backends() {
    the_average_is_measured_without_a_trace(&Cpu::<f32>::with_threads(1).unwrap());
    gpu().iter().for_each(the_average_is_measured_without_a_trace);
}

fn refusals_name_what_is_missing<B: Backend>(backend: &B) {
    let unsupported = |result: bptt::Result<()>, part: &str| match result {
        Err(Error::Unsupported(reason)) => assert!(reason.contains(part), "{reason}"),
        other => panic!("{part}: {other:?}"),
    };
    let mut plain = trainer(backend, EngineOptions::default());
    unsupported(plain.averaged().map(drop), "needs EngineOptions::ema_decay");
    unsupported(block_on(plain.averaged_state_dict()).map(drop), "needs EngineOptions::ema_decay");
    for (from, to) in
        [(FlatBlock::AveragedParameters, FlatBlock::Parameters), (FlatBlock::Parameters, FlatBlock::AveragedParameters)]
    {
        unsupported(plain.engine().copy_block(from, to), "needs EngineOptions::ema_decay");
    }
    let mut trainer = trainer(backend, options());
    block_on(trainer.step(&case().batch())).unwrap();
    let before = block_on(trainer.state()).unwrap();
    {
        let mut averaged = trainer.averaged().unwrap();
        block_on(averaged.accumulate(&case().batch())).unwrap();
        unsupported(block_on(averaged.update()).map(drop), "their average is in their place");
        let step = OptimizerStep::new(Optimizer::adam(0.01), 2, 1.0);
        unsupported(block_on(averaged.engine().update(&step)), "their average is in their place");
        averaged.engine().clear_gradients();
        // A state is restored into its places, which ends the exchange.
        averaged.restore(&before).unwrap();
        assert!(!averaged.engine().is_exchanged());
    }
    assert_eq!(block_on(trainer.state()).unwrap(), before);
    unsupported(block_on(trainer.averaged().unwrap().state()).map(drop), "drop Trainer::averaged");
    // Without an average a state has no place in it, nor the other way round.
    let of_plain = block_on(plain.state()).unwrap();
    for error in [plain.restore(&before).unwrap_err(), trainer.restore(&of_plain).unwrap_err()] {
        let Error::Value { what, .. } = error else { panic!("{error}") };
        assert_eq!(what, "the averaged parameters of the state");
    }
    assert_eq!(block_on(trainer.state()).unwrap(), before);
    for decay in [-0.1, 1.0, f64::NAN] {
        let options = options().ema_decay(decay).optimizer(Optimizer::adam(0.01).kind);
        let Err(Error::Value { what, .. }) = backend.engine(&case().model(), &options) else { panic!("{decay}") };
        assert_eq!(what, "ema_decay");
    }
    unsupported(backend.engine(&case().model(), &options()).map(drop), "which need EngineOptions::optimizer");
}

#[test]
fn refusals_name_what_is_missing_on_both_backends() {
    refusals_name_what_is_missing(&Cpu::<f32>::with_threads(1).unwrap());
    gpu().iter().for_each(refusals_name_what_is_missing);
}

fn new_parameters_begin_the_average_anew<B: Backend>(backend: &B) {
    let mut trainer = trainer(backend, options());
    for _ in 0..3 {
        block_on(trainer.step(&case().batch())).unwrap();
    }
    let weights = block_on(trainer.state_dict()).unwrap();
    assert_ne!(block_on(trainer.averaged_state_dict()).unwrap(), weights);
    trainer.load_state_dict(&weights).unwrap();
    assert_eq!(block_on(trainer.averaged_state_dict()).unwrap(), weights);
}

#[test]
fn new_parameters_begin_the_average_anew_on_both_backends() {
    new_parameters_begin_the_average_anew(&Cpu::<f32>::with_threads(1).unwrap());
    gpu().iter().for_each(new_parameters_begin_the_average_anew);
}

fn a_nested_average_is_the_average<B: Backend>(backend: &B) {
    let (mut trainer, batch) = (trainer(backend, options()), case().batch());
    for _ in 0..3 {
        block_on(trainer.step(&batch)).unwrap();
    }
    let before = block_on(trainer.state()).unwrap();
    let weights = block_on(trainer.averaged_state_dict()).unwrap();
    let own = block_on(trainer.evaluate(&batch)).unwrap();
    let mut outer = trainer.averaged().unwrap();
    let want = block_on(outer.evaluate(&batch)).unwrap();
    assert_ne!(want, own);
    {
        let mut inner = outer.averaged().unwrap();
        assert_eq!(block_on(inner.evaluate(&batch)).unwrap(), want);
        assert_eq!(block_on(inner.averaged_state_dict()).unwrap(), weights);
    }
    assert_eq!(block_on(outer.evaluate(&batch)).unwrap(), want);
    assert_eq!(block_on(outer.averaged_state_dict()).unwrap(), weights);
    drop(outer);
    assert_eq!(block_on(trainer.evaluate(&batch)).unwrap(), own);
    assert_eq!(block_on(trainer.state()).unwrap(), before);
}

#[test]
fn a_nested_average_is_the_average_and_ends_with_the_outermost_on_both_backends() {
    a_nested_average_is_the_average(&Cpu::<f32>::with_threads(1).unwrap());
    gpu().iter().for_each(a_nested_average_is_the_average);
}

fn a_refused_step_leaves_no_gradients<B: Backend>(backend: &B) {
    let [mut refused, mut untouched] = [(); 2].map(|()| {
        let mut trainer = trainer(backend, options());
        block_on(trainer.step(&case().batch())).unwrap();
        trainer
    });
    let error = block_on(refused.averaged().unwrap().step(&bad())).unwrap_err();
    assert!(error.to_string().contains("their average is in their place"), "{error}");
    let [refused, untouched] = [&mut refused, &mut untouched].map(|trainer| {
        block_on(trainer.step(&case().batch())).unwrap();
        block_on(trainer.state()).unwrap()
    });
    assert_eq!(refused, untouched);
}

#[test]
fn a_step_refused_for_the_average_leaves_no_gradients_on_both_backends() {
    a_refused_step_leaves_no_gradients(&Cpu::<f32>::with_threads(1).unwrap());
    gpu().iter().for_each(a_refused_step_leaves_no_gradients);
}

#[test]
fn an_earlier_error_of_the_device_does_not_leave_the_average_in_the_parameters_place() {
    // A device of its own, whose error no other test is told.
    let Some(gpu) = open(GpuOptions::default()) else { return };
    let mut trainer = trainer(&gpu, options());
    block_on(trainer.step(&case().batch())).unwrap();
    block_on(trainer.finish()).unwrap();
    let before = block_on(trainer.state()).unwrap();
    let fault = || {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::STORAGE;
        let buffer = wgpu::BufferDescriptor { label: None, size: 16, usage, mapped_at_creation: false };
        drop(gpu.device().create_buffer(&buffer));
    };
    fault();
    {
        let mut averaged = trainer.averaged().unwrap();
        let told = block_on(averaged.evaluate(&case().batch()));
        assert!(matches!(told, Err(Error::Device(_))), "{told:?}");
        fault();
    }
    assert!(!trainer.engine().is_exchanged());
    let told = block_on(trainer.evaluate(&case().batch()));
    assert!(matches!(told, Err(Error::Device(_))), "{told:?}");
    assert_eq!(block_on(trainer.state()).unwrap(), before);
}

fn the_average_is_planned<B: Backend>(backend: &B) {
    let (model, shape) = (case().model(), case().batch().sequence.batch_shape());
    let of = |options: EngineOptions| {
        let options = options.optimizer(Optimizer::adam(0.01).kind);
        let engine = backend.engine(&model, &options).unwrap();
        let planned = backend.plan(&model, &options, shape, false).unwrap();
        assert_eq!(engine.plan(shape).unwrap(), planned);
        assert_eq!(engine.memory().of(MemoryPart::Optimizer), planned.of(MemoryPart::Optimizer));
        planned.of(MemoryPart::Optimizer)
    };
    let numbers = size_of::<<B::Engine as Parameters>::Real>() * Layout::new(&model).len();
    assert!(of(options()) >= of(options().ema_decay(None)) + numbers as u64);
}

#[test]
fn the_average_is_planned_on_both_backends() {
    the_average_is_planned(&Cpu::<f64>::with_threads(1).unwrap());
    gpu().iter().for_each(the_average_is_planned);
}

fn a_run_measures_and_keeps_the_average<B: Backend>(backend: &B) {
    let task = AddingTask { length: 6 };
    let (train, validation) = (task.examples(1, 0, 40).unwrap(), task.examples(1, 40, 20).unwrap());
    let (train, validation) =
        (ShuffledBatches::new(&train, 4, 1, 1).unwrap(), SequentialBatches::new(&validation, 20).unwrap());
    let model = Model::new(Recurrent::new(Cell::Gru, AddingTask::INPUTS, 5), task.head());
    let optimizer = Optimizer::sgd(0.9).clip_norm(1.0);
    let of = |decay: Option<f64>, keep: KeepWeights| {
        let options = TrainerOptions::default().engine(EngineOptions::default().ema_decay(decay));
        let mut trainer = Trainer::with_options(backend, &model, optimizer, 1, options).unwrap();
        let options = RunOptions::new(RunLength::Steps(37)).validate_every(3).keep(keep);
        let outcome = block_on(run(&mut trainer, &train, Some(&validation), &options, &mut ())).unwrap();
        let loss = block_on(evaluate(&mut trainer, &validation)).unwrap();
        (outcome, loss, trainer)
    };
    let (plain, ..) = of(None, KeepWeights::Best);
    let (last, loss, mut trainer) = of(Some(0.9), KeepWeights::Last);
    assert_eq!(last.last.val_loss, Some(loss));
    assert_eq!(last.last.loss, plain.last.loss, "the training is the same");
    assert_ne!(last.last.val_loss, plain.last.val_loss);
    assert_eq!(block_on(trainer.state_dict()).unwrap(), block_on(trainer.averaged_state_dict()).unwrap());
    let (best, loss, _) = of(Some(0.9), KeepWeights::Best);
    assert_eq!(best.best, last.best);
    assert_ne!(best.best, plain.best);
    assert_eq!(best.best.map(|best| best.val_loss), Some(loss));
    // What a decay of 0 averages are the weights themselves.
    let (itself, ..) = of(Some(0.0), KeepWeights::Best);
    assert_eq!(itself, plain);
}

#[test]
fn a_run_measures_and_keeps_the_average_on_both_backends() {
    a_run_measures_and_keeps_the_average(&Cpu::<f32>::with_threads(1).unwrap());
    gpu().iter().for_each(a_run_measures_and_keeps_the_average);
}
