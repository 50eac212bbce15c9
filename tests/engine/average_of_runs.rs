//! What a run leaves of the moving average of the parameters, and of the parameters themselves.

use std::io::Cursor;

use bptt::data::{AddingTask, Batches, SequentialBatches, ShuffledBatches};
use bptt::train::{
    Checkpoint, KeepWeights, Metrics, Observer, RunLength, RunOptions, StepCounts, WriteSeek, evaluate, resume, run,
};
use bptt::{
    Backend, Batch, Cell, Cpu, EngineOptions, Error, Input, Model, Optimizer, Recurrent, Result, Trainer,
    TrainerOptions, Wait,
};

use crate::common::gpu::gpu;

const TASK: AddingTask = AddingTask { length: 6 };

fn trainer<B: Backend>(backend: &B, decay: impl Into<Option<f64>>) -> Trainer<B::Engine> {
    let model = Model::new(Recurrent::new(Cell::Gru, AddingTask::INPUTS, 5), TASK.head());
    let engine = EngineOptions::default().ema_decay(decay);
    let options = TrainerOptions::default().in_flight(1).engine(engine);
    Trainer::with_options(backend, &model, Optimizer::sgd(0.9).clip_norm(1.0), 1, options).unwrap()
}

fn batches() -> impl Batches {
    ShuffledBatches::new(TASK.examples(1, 0, 40).unwrap(), 4, 1, 1).unwrap()
}

fn validation() -> impl Batches {
    SequentialBatches::new(TASK.examples(1, 40, 20).unwrap(), 20).unwrap()
}

fn options(keep: KeepWeights) -> RunOptions {
    RunOptions::new(RunLength::Steps(37)).validate_every(3).keep(keep)
}

/// Keeps the checkpoint of a step, and fails at a step.
#[derive(Default)]
struct Observed {
    checkpoint_at: Option<u64>,
    fails_at: Option<u64>,
    file: Cursor<Vec<u8>>,
}

impl Observer for Observed {
    fn step(&mut self, metrics: &Metrics, _: StepCounts) -> Result<()> {
        if self.fails_at == Some(metrics.step) { Err(Error::Failed("no room".into())) } else { Ok(()) }
    }

    fn wants_checkpoint(&mut self, step: u64) -> bool {
        self.checkpoint_at == Some(step)
    }

    fn checkpoint(&mut self, step: u64) -> Result<Option<(&mut dyn WriteSeek, String)>> {
        if self.fails_at == Some(step) {
            return Err(Error::Failed("no room".into()));
        }
        Ok(Some((&mut self.file, String::new())))
    }
}

fn the_average_begins_anew_with_the_best_weights<B: Backend>(backend: &B) {
    let (train, validation, options) = (batches(), validation(), options(KeepWeights::Best));
    let mut trainer = trainer(backend, 0.9);
    let outcome = run(&mut trainer, &train, Some(&validation), &options, &mut ()).wait().unwrap();
    let best = outcome.best.unwrap();
    assert!(best.step < outcome.last.step, "the best is not the last");
    let kept = trainer.state_dict().wait().unwrap();
    assert_eq!(trainer.averaged_state_dict().wait().unwrap(), kept);
    let loss = evaluate(&mut *trainer.averaged().unwrap(), &validation).wait().unwrap();
    assert_eq!(loss, best.val_loss);
    // A run that ends before its first step does not lose them.
    let mut failing = Observed { checkpoint_at: Some(0), fails_at: Some(37), ..Observed::default() };
    let failed = run(&mut trainer, &train, Some(&validation), &options, &mut failing).wait();
    assert_eq!(failed.unwrap_err().to_string(), "no room");
    assert_eq!(trainer.state_dict().wait().unwrap(), kept);
}

#[test]
fn after_a_run_that_kept_the_best_weights_the_average_begins_anew_with_them() {
    the_average_begins_anew_with_the_best_weights(&Cpu::<f32>::with_threads(1).unwrap());
    gpu().iter().for_each(the_average_begins_anew_with_the_best_weights);
}

fn the_parameters_stay<B: Backend>(backend: &B) {
    let (train, options) = (batches(), options(KeepWeights::Last));
    let [averaged, plain] = [Some(0.9), None].map(|decay| {
        let mut trainer = trainer(backend, decay);
        let mut failing = Observed { fails_at: Some(7), ..Observed::default() };
        let failed = run(&mut trainer, &train, None, &options, &mut failing).wait();
        assert_eq!(failed.unwrap_err().to_string(), "no room");
        trainer.state().wait().unwrap()
    });
    assert_eq!((averaged.step, &averaged.parameters), (plain.step, &plain.parameters));
    assert_ne!(averaged.averaged, Some(averaged.parameters));
}

#[test]
fn after_an_error_of_the_observer_the_parameters_are_those_that_training_goes_on_from() {
    the_parameters_stay(&Cpu::<f32>::with_threads(1).unwrap());
    gpu().iter().for_each(the_parameters_stay);
}

/// The batches up to a step, and from then on some without a loss.
struct Poisoned<B>(B, u64);

impl<B: Batches> Batches for Poisoned<B> {
    fn per_epoch(&self) -> u64 {
        self.0.per_epoch()
    }

    fn largest(&self) -> Result<Batch> {
        self.0.largest()
    }

    fn batch(&self, number: u64) -> Result<Batch> {
        let mut batch = self.0.batch(number)?;
        if let Input::Dense(x) = &mut batch.sequence.input
            && number >= self.1
        {
            x.fill(f32::NAN);
        }
        Ok(batch)
    }
}

fn the_average_is_kept<B: Backend>(backend: &B) {
    let options = options(KeepWeights::Last);
    let mut stopped = trainer(backend, 0.9);
    let failed = run(&mut stopped, &Poisoned(batches(), 7), None, &options, &mut ()).wait();
    assert!(matches!(failed, Err(Error::NonFinite { step: 8, .. })), "{failed:?}");
    let mut whole = trainer(backend, 0.9);
    let seven = RunOptions::new(RunLength::Steps(7)).keep(KeepWeights::Last);
    run(&mut whole, &batches(), None, &seven, &mut ()).wait().unwrap();
    assert_eq!(stopped.state_dict().wait().unwrap(), whole.state_dict().wait().unwrap());
}

#[test]
fn after_a_step_without_a_finite_loss_a_run_keeps_the_average_of_the_steps_before() {
    the_average_is_kept(&Cpu::<f32>::with_threads(1).unwrap());
    gpu().iter().for_each(the_average_is_kept);
}

fn a_run_is_refused<B: Backend>(backend: &B) -> String {
    let (train, options) = (batches(), options(KeepWeights::Last));
    let mut observer = Observed { checkpoint_at: Some(5), ..Observed::default() };
    run(&mut trainer(backend, 0.9), &train, None, &options, &mut observer).wait().unwrap();
    let (checkpoint, _) = Checkpoint::from_bytes(&observer.file.into_inner()).unwrap();
    let mut trainer = trainer(backend, 0.9);
    for number in 0..3 {
        trainer.step(&train.batch(number).unwrap()).wait().unwrap();
    }
    trainer.finish().wait().unwrap();
    let before = trainer.state().wait().unwrap();
    let mut averaged = trainer.averaged().unwrap();
    let refused = run(&mut averaged, &train, None, &options, &mut ()).wait().unwrap_err();
    let not_resumed = resume(&mut averaged, checkpoint, &train, None, &options, &mut ()).wait().unwrap_err();
    assert_eq!(not_resumed.to_string(), refused.to_string());
    drop(averaged);
    assert_eq!(trainer.state().wait().unwrap(), before);
    refused.to_string()
}

#[test]
fn a_run_is_refused_while_the_average_is_in_the_parameters_place_and_changes_nothing() {
    let refused = a_run_is_refused(&Cpu::<f32>::with_threads(1).unwrap());
    let words = "a run trains the parameters, and their average is in their place: drop Trainer::averaged";
    assert_eq!(refused, words);
    if let Some(gpu) = gpu() {
        assert_eq!(a_run_is_refused(&gpu), words);
    }
}
