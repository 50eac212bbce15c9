//! The run loop: every example once an epoch, in an order of its own, and the weights that were asked for at the end.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands, as it should")]

use std::cell::RefCell;

use bptt::data::{Adding, Examples, Synthetic};
use bptt::train::{Duration, Keep, Metrics, Observer, RunOptions, evaluate, run};
use bptt::{Batch, Cell, Cpu, CpuEngine, Error, Model, Optimizer, Recurrent, Trainer, TrainerOptions};

/// Examples that remember which of them were asked for.
struct Watched {
    examples: Synthetic<Adding>,
    asked: RefCell<Vec<Vec<usize>>>,
}

impl Examples for Watched {
    fn len(&self) -> usize {
        self.examples.len()
    }

    fn batch(&self, examples: &[usize]) -> Batch {
        self.asked.borrow_mut().push(examples.to_vec());
        self.examples.batch(examples)
    }
}

#[derive(Default)]
struct Kept(Vec<Metrics>);

impl Observer for Kept {
    fn step(&mut self, metrics: &Metrics) -> bptt::Result<()> {
        self.0.push(*metrics);
        Ok(())
    }
}

const TASK: Adding = Adding { length: 6 };

fn trainer(optimizer: Optimizer) -> Trainer<CpuEngine<f32>> {
    let model = Model::new(Recurrent::new(Cell::Gru, Adding::INPUTS, 5), TASK.head());
    let options = TrainerOptions { micro_batch: Some(3), ..TrainerOptions::default() };
    Trainer::with_options(&Cpu::new(), &model, optimizer, 1, options).unwrap()
}

fn options(duration: Duration, keep: Keep) -> RunOptions {
    RunOptions { batch: 4, duration, seed: 1, validate_every: None, keep }
}

#[test]
fn an_epoch_holds_every_example_once_and_the_next_in_another_order() {
    let watched = Watched { examples: TASK.examples(1, 0, 10).unwrap(), asked: RefCell::default() };
    let mut trainer = trainer(Optimizer::adam(1e-3));
    let options = options(Duration::Epochs(2), Keep::Last);
    pollster::block_on(run(&mut trainer, &watched, None, &options, &mut ())).unwrap();
    let asked = watched.asked.into_inner();
    assert_eq!(asked.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2, 4, 4, 2]);
    let [first, second] = [0..3, 3..6].map(|epoch| asked[epoch].concat());
    assert_ne!(first, second);
    for mut epoch in [first, second] {
        epoch.sort_unstable();
        assert_eq!(epoch, (0..10).collect::<Vec<_>>());
    }
}

#[test]
fn every_step_is_reported_in_order_and_validation_goes_with_the_step_before_it() {
    let (train, validation) = (TASK.examples(1, 0, 10).unwrap(), TASK.examples(1, 10, 7).unwrap());
    let mut kept = Kept::default();
    let options = RunOptions { validate_every: Some(2), ..options(Duration::Steps(5), Keep::Last) };
    let mut trainer = trainer(Optimizer::adam(1e-2));
    let outcome = pollster::block_on(run(&mut trainer, &train, Some(&validation), &options, &mut kept)).unwrap();
    let steps: Vec<_> =
        kept.0.iter().map(|metrics| (metrics.step, metrics.epoch, metrics.val_loss.is_some())).collect();
    assert_eq!(steps, [(1, 1, false), (2, 1, true), (3, 1, false), (4, 2, true), (5, 2, true)]);
    let now = pollster::block_on(evaluate(&mut trainer, &validation, 100)).unwrap();
    assert!((now - outcome.last.val_loss.unwrap()).abs() < 1e-6);
}

#[test]
fn the_best_weights_are_those_of_the_lowest_validation_loss() {
    let (train, validation) = (TASK.examples(1, 0, 40).unwrap(), TASK.examples(1, 40, 50).unwrap());
    // So high a rate, measured so often, that the last step is not the best.
    let mut trainer = trainer(Optimizer::sgd(0.9).clip_norm(1.0));
    let options = RunOptions { validate_every: Some(1), ..options(Duration::Steps(37), Keep::Best) };
    let outcome = pollster::block_on(run(&mut trainer, &train, Some(&validation), &options, &mut ())).unwrap();
    let best = outcome.best.unwrap();
    assert!(best.step < outcome.last.step, "{outcome:?}");
    let now = pollster::block_on(evaluate(&mut trainer, &validation, 3)).unwrap();
    assert!((now - best.val_loss).abs() < 1e-6, "{now} {best:?}");
}

#[test]
fn a_run_that_diverges_reports_its_good_steps_and_stops() {
    let train = TASK.examples(1, 0, 40).unwrap();
    let mut kept = Kept::default();
    let mut trainer = trainer(Optimizer::sgd(1e30));
    let options = options(Duration::Epochs(6), Keep::Last);
    let error = pollster::block_on(run(&mut trainer, &train, None, &options, &mut kept)).unwrap_err();
    let Error::NonFinite { step, .. } = error else { panic!("{error}") };
    assert_eq!(kept.0.len() as u64, step - 1);
    let weights = pollster::block_on(trainer.state_dict()).unwrap();
    assert!(weights.iter().all(|(_, array)| array.iter().all(|value| value.is_finite())));
}

#[test]
fn a_run_of_nothing_is_refused() {
    let train = TASK.examples(1, 0, 40).unwrap();
    let empty = TASK.examples(1, 0, 0).unwrap();
    let mut trainer = trainer(Optimizer::sgd(0.1));
    let mut refused = |train: &dyn Examples, options: RunOptions| {
        pollster::block_on(run(&mut trainer, train, None, &options, &mut ())).unwrap_err().to_string()
    };
    let usual = options(Duration::Epochs(1), Keep::Last);
    assert!(refused(&empty, usual).contains("the training examples"));
    assert!(refused(&train, RunOptions { batch: 0, ..usual }).contains("batch"));
    assert!(refused(&train, RunOptions { duration: Duration::Steps(0), ..usual }).contains("the steps of the run"));
    assert!(refused(&train, RunOptions { validate_every: Some(0), ..usual }).contains("validate_every"));
}
