//! Engines, trainers and the futures of their methods are `Send`, so that any executor can run them.

use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::common::Case;
use crate::common::gpu::gpu;
use bptt::data::{AddingTask, ShuffledBatches, SyntheticExamples};
use bptt::experiment::config::{Config, Data, RunConfig, TaskConfig, TaskName, TrainingConfig};
use bptt::experiment::{Experiment, LoadedModel, Missing, Settings, TrainingRun};
use bptt::train::{Metrics, Observer, RunOptions, StepCounts, evaluate, predict, resume, run};
use bptt::{
    Backend, Cell, Cpu, EngineOptions, FlatBlock, Gpu, Inference, Inspection, Layers, Model, Optimizer, OptimizerStep,
    OutputGradient, Parameters, Recurrent, Trainer, Training, Wait, block_on,
};

/// As an executor's `spawn`: takes what a thread of its own can run to the end.
fn spawn<F: Future<Output: Send> + Send + 'static>(future: F) -> thread::JoinHandle<F::Output> {
    thread::spawn(move || block_on(future))
}

/// Sums the losses of the steps.
#[derive(Default)]
struct Losses(f64);

impl Observer for Losses {
    fn step(&mut self, metrics: &Metrics, _: StepCounts) -> bptt::Result<()> {
        self.0 += metrics.loss;
        Ok(())
    }
}

const TASK: AddingTask = AddingTask { length: 6 };

fn batches(first: u64) -> ShuffledBatches<SyntheticExamples<AddingTask>> {
    ShuffledBatches::new(TASK.examples(1, first, 8).unwrap(), 4, 1, 1).unwrap()
}

/// Trains a few steps on another thread, and gives the losses and the last one.
macro_rules! spawned_run {
    ($backend:expr) => {{
        let backend = $backend;
        let model = Model::new(Recurrent::new(Cell::Gru, AddingTask::INPUTS, 5), TASK.head());
        let mut trainer = Trainer::new(&backend, &model, Optimizer::sgd(0.1), 1).unwrap();
        let (train, validation, mut observer) = (batches(0), batches(8), Losses::default());
        let finished = spawn(async move {
            let outcome = run(&mut trainer, &train, Some(&validation), &RunOptions::default(), &mut observer).await?;
            Ok::<_, bptt::Error>((observer.0, outcome.last.loss, evaluate(&mut trainer, &validation).await?))
        });
        finished.join().unwrap().unwrap()
    }};
}

#[test]
fn a_run_that_is_spawned_on_another_thread_trains_as_on_this_one() {
    let here = {
        let model = Model::new(Recurrent::new(Cell::Gru, AddingTask::INPUTS, 5), TASK.head());
        let mut trainer = Trainer::new(&Cpu::<f64>::default(), &model, Optimizer::sgd(0.1), 1).unwrap();
        let mut observer = Losses::default();
        let (train, validation) = (batches(0), batches(8));
        let outcome =
            run(&mut trainer, &train, Some(&validation), &RunOptions::default(), &mut observer).wait().unwrap();
        (observer.0, outcome.last.loss, evaluate(&mut trainer, &validation).wait().unwrap())
    };
    assert_eq!(spawned_run!(Cpu::<f64>::default()), here);
    let near = |(sum, last, validation): (f64, f64, f64)| {
        for (got, want) in [(sum, here.0), (last, here.1), (validation, here.2)] {
            assert!((got - want).abs() < 1e-5, "{got} where {want} is due");
        }
    };
    near(spawned_run!(Cpu::new()));
    if let Some(gpu) = gpu() {
        near(spawned_run!(gpu));
    }
}

fn send<T: Send>(_: T) {}

/// A list of calls per engine: what is known of a type alone, whatever the values.
macro_rules! futures_are_send {
    ($name:ident, $backend:ty) => {
        #[allow(dead_code, reason = "compiling it is the test")]
        fn $name(backend: &$backend, case: &Case) -> bptt::Result<()> {
            let (batch, sequence) = (case.batch(), case.sequence::<f32>());
            let mut engine = backend.engine(&case.model(), &EngineOptions::default())?;
            send(engine.forward(&case.sequence()));
            send(engine.backward(&OutputGradient::default()));
            send(engine.gradients());
            send(engine.input_gradient());
            send(engine.accumulate(&batch, None));
            let optimizer = Optimizer::sgd(0.1);
            send(engine.update(&OptimizerStep::new(optimizer, 1, 1.0)));
            send(engine.report());
            send(engine.skipped());
            send(engine.states());
            send(engine.logits(&sequence));
            send(engine.evaluate(&batch));
            send(engine.parameters());
            send(engine.optimizer_state());
            send(engine.read_block(FlatBlock::Parameters, &mut Vec::new()));
            send(engine.read_tensors(FlatBlock::Parameters, 0..1, &mut |_| Ok(())));
            send(engine.hidden_gradient_norms());
            send(engine.profile());
            send(engine);
            let mut trainer = Trainer::new(backend, &case.model(), optimizer, 1)?;
            send(trainer.step(&batch));
            send(trainer.accumulate(&batch));
            send(trainer.update());
            send(trainer.finish());
            send(trainer.loss());
            send(trainer.gradients());
            send(trainer.input_gradient());
            send(trainer.states());
            send(trainer.state());
            send(trainer.state_dict());
            send(trainer.write_safetensors(&mut Vec::new(), None));
            send(trainer.evaluate(&batch));
            send(trainer.logits(&sequence));
            send(trainer.predict(&sequence));
            let (batches, options) = (batches(0), RunOptions::default());
            send(run(&mut trainer, &batches, None, &options, &mut ()));
            let (checkpoint, _) = bptt::train::Checkpoint::from_bytes(&[])?;
            send(resume(&mut trainer, checkpoint, &batches, None, &options, &mut ()));
            send(evaluate(&mut trainer, &batches));
            send(predict(&mut trainer, &TASK.examples(1, 0, 8)?, 4));
            send(Gpu::new(Default::default()));
            send(Gpu::adapters());
            let mut session = trainer.into_session(case.rows)?;
            send(session.step(&case.sequence()));
            send(session.outputs());
            send(session.states());
            send(session.snapshot());
            send(session);
            Ok(())
        }
    };
}

futures_are_send!(on_the_cpu_in_f32, Cpu);
futures_are_send!(on_the_cpu_in_f64, Cpu<f64>);
futures_are_send!(on_the_gpu, Gpu);

/// Trains, measures and predicts with the adding task, and gives the predictions.
async fn experiment(out: PathBuf) -> bptt::Result<Vec<u8>> {
    let adding = TaskConfig { name: Some(TaskName::Adding), length: Some(6), ..TaskConfig::default() };
    let training = TrainingConfig { steps: Some(4), ..TrainingConfig::default() };
    let run = RunConfig { device: Some("cpu".into()), threads: Some(1), ..RunConfig::default() };
    let config = Config { data: Some(Data::Task(adding)), run, training, ..Config::default() };
    let mut experiment = Experiment::load(Settings::new(config.clone())?)?;
    let mut missing = Missing::default();
    let (run, mut network) = TrainingRun::open(&mut experiment, None, Some(&out), None).await?;
    let mut steps = run.train(&mut network, |_, _| Ok(()), &mut missing).await?;
    let results = run.measure(network, false, &mut missing).await.unwrap_or_default();
    run.write_results(&mut steps, results, Vec::new(), &mut missing);
    run.finish()?;
    let model = LoadedModel::open(&out)?;
    let mut evaluated = Vec::new();
    for line in model.apply(config).await?.evaluate(false).await?.lines {
        evaluated.extend_from_slice(line.as_bytes());
    }
    Ok(evaluated)
}

#[test]
fn an_experiment_can_be_spawned_on_another_thread() {
    let folder = tempfile::tempdir().unwrap();
    let here = block_on(experiment(folder.path().join("here"))).unwrap();
    let there = spawn(experiment(folder.path().join("there"))).join().unwrap().unwrap();
    assert!(!here.is_empty());
    assert_eq!(here, there);
}

#[test]
fn a_native_future_is_ready_when_it_is_first_polled() {
    fn ready<F: Future>(future: F) -> F::Output {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("pending"),
        }
    }
    fn check<B: Backend>(backend: &B) {
        let case = Case::new(Cell::Gru);
        let mut trainer = Trainer::new(backend, &case.model(), Optimizer::sgd(0.1), 1).unwrap();
        for _ in 0..5 {
            ready(trainer.step(&case.batch())).unwrap();
        }
        assert!(ready(trainer.loss()).unwrap().is_some());
        ready(trainer.state_dict()).unwrap();
        ready(trainer.predict(&case.sequence::<f32>())).unwrap();
        let mut session = trainer.session(case.rows).unwrap();
        ready(session.step(&case.sequence())).unwrap();
        ready(session.states()).unwrap();
    }
    check(&Cpu::new());
    // Threads that share a device also run each other's callbacks.
    if let Some(gpu) = gpu() {
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(|| check(&gpu)))));
    }
}
