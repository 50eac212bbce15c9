//! A run that is gone on with from a checkpoint ends as the one that was never stopped, to the last bit.

use std::io::Cursor;

use bptt::data::{AddingTask, Examples, SequentialBatches, ShuffledBatches};
use bptt::train::{
    Checkpoint, Decay, KeepWeights, Metrics, Observer, Outcome, RunLength, RunOptions, Schedule, StepCounts,
    StopReason, TrainerState, WriteSeek, resume, run,
};
use bptt::{
    Backend, Cell, Cpu, EngineOptions, Error, Layout, Model, Optimizer, OptimizerKind, Parameters, Real, Recurrent,
    Trainer, TrainerOptions,
};
use pollster::block_on;

use crate::common::continued::Continued;
use crate::common::gpu;

const TASK: AddingTask = AddingTask { length: 6 };
const STEPS: u64 = 23;

/// Keeps every step and, of those that are asked for, every checkpoint as a file.
struct Kept {
    every: u64,
    stop_after: u64,
    told: u64,
    metrics: Vec<Metrics>,
    files: Vec<Vec<u8>>,
    file: Cursor<Vec<u8>>,
}

impl Kept {
    fn new(every: u64, stop_after: u64) -> Self {
        Self { every, stop_after, told: 0, metrics: Vec::new(), files: Vec::new(), file: Cursor::default() }
    }
}

impl Observer for Kept {
    fn step(&mut self, metrics: &Metrics, _: StepCounts) -> bptt::Result<()> {
        self.metrics.push(*metrics);
        Ok(())
    }

    fn stop(&mut self, _step: u64) -> bool {
        self.told += 1;
        self.told == self.stop_after
    }

    fn wants_checkpoint(&mut self, step: u64) -> bool {
        step.is_multiple_of(self.every) || self.told == self.stop_after
    }

    fn checkpoint(&mut self, step: u64) -> bptt::Result<Option<(&mut dyn WriteSeek, String)>> {
        assert_eq!(step, self.metrics.last().map_or(0, |last| last.step), "every step was told before");
        Ok(Some((&mut self.file, "a note of the caller's".into())))
    }

    fn checkpoint_written(&mut self, written: bptt::Result<()>) -> bptt::Result<()> {
        self.files.push(std::mem::take(&mut self.file).into_inner());
        written
    }
}

fn options() -> RunOptions {
    let decay = Decay::Plateau { patience: 2, factor: 0.5 };
    RunOptions::new(RunLength::Steps(STEPS))
        .accumulate(2)
        .schedule(Schedule::new(decay).warmup(4))
        .validate_every(3)
        .keep(KeepWeights::Best)
}

/// An optimizer's rule, and the decay of an average of the weights.
#[derive(Clone, Copy)]
struct Setup {
    rule: OptimizerKind,
    ema_decay: Option<f64>,
}

const fn of(rule: OptimizerKind) -> Setup {
    Setup { rule, ema_decay: None }
}

fn trainer<B: Backend>(backend: &B, Setup { rule, ema_decay }: Setup) -> Trainer<B::Engine> {
    let recurrent = Recurrent::new(Cell::Lstm, AddingTask::INPUTS, 5).layers(2).dropout(0.2).recurrent_dropout(0.3);
    let engine = EngineOptions::default().ema_decay(ema_decay);
    let options = TrainerOptions::default().micro_batch(3).carry_state(true).engine(engine);
    let optimizer = Optimizer::new(rule, 0.05).clip_norm(1.0);
    Trainer::with_options(backend, &Model::new(recurrent, TASK.head()), optimizer, 7, options).unwrap()
}

const ADAM: Setup = of(OptimizerKind::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 });

#[test]
fn the_test_run_has_a_best_step_before_its_last_and_a_falling_rate() {
    let mut kept = Kept::new(1000, u64::MAX);
    let (outcome, _) = go(&Cpu::<f32>::new(), ADAM, &options(), None, &mut kept);
    assert!(outcome.best.is_some_and(|best| best.step < STEPS), "{outcome:?}");
    assert!(kept.metrics.iter().any(|step| step.lr < 0.05 && step.step > 5));
}

/// What is left of a run: its outcome, and the state that the trainer ends with.
type End<R> = (Outcome, TrainerState<R>);

fn go<B: Backend>(
    backend: &B,
    setup: Setup,
    options: &RunOptions,
    from: Option<&[u8]>,
    observer: &mut dyn Observer,
) -> End<<B::Engine as Parameters>::Real> {
    let (train, validation) = (TASK.examples(1, 0, 36).unwrap(), TASK.examples(1, 36, 12).unwrap());
    let batches = Continued(ShuffledBatches::new(&train as &dyn Examples, 4, 1, 1).unwrap());
    let validation = SequentialBatches::new(&validation as &dyn Examples, 4).unwrap();
    let mut trainer = trainer(backend, setup);
    let outcome = match from {
        None => block_on(run(&mut trainer, &batches, Some(&validation), options, observer)),
        Some(file) => {
            let (checkpoint, note) = Checkpoint::from_bytes(file).unwrap();
            assert_eq!(note, "a note of the caller's");
            block_on(resume(&mut trainer, checkpoint, &batches, Some(&validation), options, observer))
        }
    };
    (outcome.unwrap(), block_on(trainer.state()).unwrap())
}

fn every_checkpoint_leads_to_the_same_end<B: Backend>(backend: &B, setup: Setup, options: &RunOptions) {
    let alone = go(backend, setup, options, None, &mut ());
    let mut kept = Kept::new(1, u64::MAX);
    let whole = go(backend, setup, options, None, &mut kept);
    assert_eq!(whole, alone, "checkpoints change nothing");
    assert_eq!(kept.files.len() as u64, STEPS + 1);
    for (step, file) in kept.files.iter().enumerate() {
        let mut rest = Kept::new(1, u64::MAX);
        let end = go(backend, setup, options, Some(file), &mut rest);
        assert_eq!(end, whole, "from step {step}");
        assert_eq!(rest.metrics, kept.metrics[step..], "from step {step}");
        assert_eq!(rest.files, kept.files[step + usize::from(step > 0)..], "from step {step}");
    }
}

#[test]
fn every_checkpoint_leads_to_the_same_end_on_the_cpu_for_every_optimizer() {
    let momentum = OptimizerKind::Sgd { momentum: 0.9, dampening: 0.0, nesterov: true };
    let rmsprop = OptimizerKind::RmsProp { alpha: 0.99, eps: 1e-8, momentum: 0.9, centered: true };
    let sgd = OptimizerKind::Sgd { momentum: 0.0, dampening: 0.0, nesterov: false };
    for setup in [ADAM, of(momentum), of(rmsprop), of(sgd)] {
        every_checkpoint_leads_to_the_same_end(&Cpu::<f32>::new(), setup, &options());
    }
    every_checkpoint_leads_to_the_same_end(&Cpu::<f64>::with_threads(1).unwrap(), ADAM, &options());
}

#[test]
fn every_checkpoint_leads_to_the_same_end_on_the_gpu() {
    gpu::gpu().iter().for_each(|gpu| every_checkpoint_leads_to_the_same_end(gpu, ADAM, &options()));
}

#[test]
fn every_checkpoint_leads_to_the_same_end_with_an_average_of_the_weights() {
    let averaged = Setup { ema_decay: Some(0.8), ..ADAM };
    // With what a rollback returns to.
    let all = [options().max_rollbacks(1), options().keep(KeepWeights::Last)];
    for options in &all {
        every_checkpoint_leads_to_the_same_end(&Cpu::<f32>::new(), averaged, options);
    }
    gpu::gpu().iter().for_each(|gpu| every_checkpoint_leads_to_the_same_end(gpu, averaged, &all[0]));
}

#[test]
fn a_checkpoints_weights_are_those_that_the_run_ends_with() {
    let averaged = Setup { ema_decay: Some(0.8), ..ADAM };
    for setup in [ADAM, averaged] {
        for keep in [KeepWeights::Best, KeepWeights::Last] {
            let mut kept = Kept::new(1, u64::MAX);
            let (outcome, state) = go(&Cpu::<f32>::new(), setup, &options().keep(keep), None, &mut kept);
            let model = trainer(&Cpu::<f32>::new(), setup).engine().model().clone();
            let want = Layout::new(&model).to_state_dict(&state.parameters);
            let step = if keep == KeepWeights::Best { outcome.best.unwrap().step } else { STEPS };
            let file = kept.files.last().unwrap();
            let (checkpoint, _) = Checkpoint::<f32>::from_bytes(file).unwrap();
            assert_eq!(checkpoint.weights(&model).unwrap(), (want.clone(), step));
            let read = Checkpoint::<f32>::read_weights(&file[..], file.len() as u64, &model).unwrap();
            assert_eq!((read.weights, read.weights_step, read.step), (want, step, STEPS));
            assert_eq!(state.averaged.is_some(), setup.ema_decay.is_some());
        }
    }
}

#[test]
fn a_run_stopped_anywhere_resumes_to_the_same_end() {
    let (cpu, options) = (Cpu::<f32>::new(), options());
    let mut all = Kept::new(1000, u64::MAX);
    let whole = go(&cpu, ADAM, &options, None, &mut all);
    for stop_after in 1..STEPS {
        let mut first = Kept::new(1000, stop_after);
        let stopped = go(&cpu, ADAM, &options, None, &mut first);
        assert_eq!((stopped.0.stop_reason, stopped.0.last.step), (StopReason::Stopped, stop_after));
        let mut second = Kept::new(1000, u64::MAX);
        assert_eq!(go(&cpu, ADAM, &options, first.files.last().map(Vec::as_slice), &mut second), whole);
        assert_eq!([first.metrics, second.metrics].concat(), all.metrics, "stopped after step {stop_after}");
    }
}

#[test]
fn a_run_that_stopped_early_stays_finished_when_resumed() {
    let cpu = Cpu::<f32>::new();
    let options = options().patience(2).duration(RunLength::Steps(400));
    let mut kept = Kept::new(1, u64::MAX);
    let whole = go(&cpu, ADAM, &options, None, &mut kept);
    assert_eq!(whole.0.stop_reason, StopReason::NoImprovement);
    let mut rest = Kept::new(1, u64::MAX);
    assert_eq!(go(&cpu, ADAM, &options, kept.files.last().map(Vec::as_slice), &mut rest), whole);
    assert_eq!((rest.metrics.len(), rest.files.len()), (0, 0));
}

fn a_file() -> Vec<u8> {
    let mut kept = Kept::new(4, u64::MAX);
    go(&Cpu::<f32>::new(), ADAM, &options().duration(RunLength::Steps(4)), None, &mut kept);
    kept.files.pop().unwrap()
}

fn refused<R: Real>(bytes: &[u8]) -> String {
    let Err(error @ Error::Unsupported(_)) = Checkpoint::<R>::from_bytes(bytes) else { panic!("it was read") };
    error.to_string()
}

#[test]
fn a_checkpoint_truncated_at_any_length_is_refused() {
    let file = a_file();
    for length in 0..file.len() {
        refused::<f32>(&file[..length]);
    }
    refused::<f32>(&[&file[..], &[0]].concat());
}

#[test]
fn a_checkpoint_with_any_byte_changed_is_refused() {
    let file = a_file();
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1 << (at % 8);
        refused::<f32>(&changed);
    }
}

#[test]
fn a_checkpoint_of_another_version_or_type_is_refused_by_name() {
    let mut file = a_file();
    assert!(refused::<f64>(&file).contains("parameters: expected element type F64, got F32"));
    file[8] = 3;
    assert!(refused::<f32>(&file).contains("expected version 2, got 3"));
    assert!(refused::<f32>(b"{\"a model\"}").contains("expected at least 64 bytes"));
}

/// The state and the checkpoint of a trainer with Adam are refused by the others, whatever the number of state blocks.
fn hold_another_optimizer<B: Backend>(backend: &B) {
    let momentum = OptimizerKind::Sgd { momentum: 0.9, dampening: 0.0, nesterov: false };
    let rmsprop = OptimizerKind::RmsProp { alpha: 0.99, eps: 1e-8, momentum: 0.9, centered: false };
    let adamw = OptimizerKind::AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    let examples = TASK.examples(1, 0, 12).unwrap();
    let batches = SequentialBatches::new(&examples as &dyn Examples, 4).unwrap();
    let options = RunOptions::new(RunLength::Steps(3));
    let mut kept = Kept::new(3, u64::MAX);
    let mut adam = trainer(backend, ADAM);
    block_on(run(&mut adam, &batches, None, &options, &mut kept)).unwrap();
    let (mut state, file) = (block_on(adam.state()).unwrap(), kept.files.pop().unwrap());
    for (rule, name) in [(momentum, "SGD with momentum"), (rmsprop, "RMSprop with momentum"), (adamw, "AdamW")] {
        let mut other = trainer(backend, of(rule));
        let before = block_on(other.state()).unwrap();
        let (checkpoint, _) = Checkpoint::from_bytes(&file).unwrap();
        let resumed = block_on(resume(&mut other, checkpoint, &batches, None, &options, &mut ())).unwrap_err();
        let want = format!("the optimizer state is that of Adam, and this trainer's optimizer is {name}");
        assert!(resumed.to_string().contains(&want), "{resumed}");
        assert_eq!(other.restore(&state).unwrap_err().to_string(), resumed.to_string());
        assert_eq!(block_on(other.state()).unwrap(), before);
    }
    // Coefficients may change, and a state of before names were stored fits by its number of blocks.
    let mut slower = trainer(backend, of(OptimizerKind::Adam { beta1: 0.8, beta2: 0.99, eps: 1e-8 }));
    slower.restore(&state).unwrap();
    state.optimizer = None;
    slower.restore(&state).unwrap();
    let refused = trainer(backend, of(momentum)).restore(&state).unwrap_err();
    assert_eq!(refused.to_string(), "the optimizer state: expected 1 blocks, got 2");
}

#[test]
fn the_state_of_another_optimizer_is_refused_by_its_name_on_both_backends() {
    hold_another_optimizer(&Cpu::<f32>::new());
    let Some(gpu) = gpu::gpu() else { return };
    hold_another_optimizer(&gpu);
}

#[test]
fn a_mismatched_state_leaves_the_trainer_unchanged() {
    let mut trainer = trainer(&Cpu::<f32>::new(), ADAM);
    let before = block_on(trainer.state()).unwrap();
    let with = |change: &dyn Fn(&mut TrainerState)| {
        let mut state = before.clone();
        state.step = 9;
        change(&mut state);
        state
    };
    let states = [
        (with(&|state| state.parameters.truncate(3)), "the parameters of the state"),
        (with(&|state| state.optimizer_state.truncate(1)), "the optimizer state: expected 2 blocks, got 1"),
        (with(&|state| state.optimizer_state[1].truncate(3)), "optimizer-state block 1"),
        (with(&|state| state.carried = Some(bptt::States { h: Default::default(), c: None })), "h_carried"),
    ];
    for (state, expected) in states {
        let error = trainer.restore(&state).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(block_on(trainer.state()).unwrap(), before);
    }
}

#[test]
fn state_cannot_be_read_between_a_batch_and_its_update() {
    let mut trainer = trainer(&Cpu::<f32>::new(), ADAM);
    let train = TASK.examples(1, 0, 4).unwrap();
    block_on(trainer.accumulate(&train.batch(&[0, 1], 6).unwrap())).unwrap();
    assert!(block_on(trainer.state()).unwrap_err().to_string().contains("between two steps"));
}
