//! The run loop: every example once an epoch, in an order of its own, and the weights that were asked for at the end.

use std::sync::Mutex;

use bptt::data::{AddingTask, Batches, Examples, SequentialBatches, ShuffledBatches, SyntheticExamples};
use bptt::train::{
    Decay, KeepWeights, Metrics, Observer, RunLength, RunOptions, Schedule, StepCounts, StopReason, evaluate, run,
};
use bptt::{
    Batch, Cell, Cpu, CpuEngine, Error, Model, Optimizer, Recurrent, Sequence, Targets, Trainer, TrainerOptions,
    ndarray,
};

/// Examples that remember which of them were asked for.
struct Watched {
    examples: SyntheticExamples<AddingTask>,
    asked: Mutex<Vec<Vec<usize>>>,
}

impl Examples for Watched {
    fn len(&self) -> usize {
        self.examples.len()
    }

    fn steps(&self, example: usize) -> usize {
        self.examples.steps(example)
    }

    fn batch(&self, examples: &[usize], steps: usize) -> bptt::Result<Batch> {
        self.asked.lock().unwrap().push(examples.to_vec());
        self.examples.batch(examples, steps)
    }
}

#[derive(Default)]
struct Kept(Vec<Metrics>);

impl Observer for Kept {
    fn step(&mut self, metrics: &Metrics, _: StepCounts) -> bptt::Result<()> {
        self.0.push(*metrics);
        Ok(())
    }
}

const TASK: AddingTask = AddingTask { length: 6 };

fn trainer(optimizer: Optimizer) -> Trainer<CpuEngine<f32>> {
    let model = Model::new(Recurrent::new(Cell::Gru, AddingTask::INPUTS, 5), TASK.head());
    let options = TrainerOptions::default().micro_batch(3);
    Trainer::with_options(&Cpu::new(), &model, optimizer, 1, options).unwrap()
}

fn options(duration: RunLength, keep: KeepWeights) -> RunOptions {
    RunOptions::new(duration).keep(keep)
}

/// Four examples a batch, in an order of their own each epoch.
fn shuffled(examples: &dyn Examples) -> ShuffledBatches<&dyn Examples> {
    ShuffledBatches::new(examples, 4, 1, 1).unwrap()
}

#[test]
fn an_epoch_holds_every_example_once_and_the_next_is_ordered_differently() {
    let watched = Watched { examples: TASK.examples(1, 0, 10).unwrap(), asked: Mutex::default() };
    let mut trainer = trainer(Optimizer::adam(1e-3));
    let options = options(RunLength::Epochs(2), KeepWeights::Last);
    pollster::block_on(run(&mut trainer, &shuffled(&watched), None, &options, &mut ())).unwrap();
    let asked = watched.asked.into_inner().unwrap();
    assert_eq!(asked.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2, 4, 4, 2]);
    let [first, second] = [0..3, 3..6].map(|epoch| asked[epoch].concat());
    assert_ne!(first, second);
    for mut epoch in [first, second] {
        epoch.sort_unstable();
        assert_eq!(epoch, (0..10).collect::<Vec<_>>());
    }
}

#[test]
fn every_step_is_reported_in_order_with_its_validation() {
    let (train, validation) = (TASK.examples(1, 0, 10).unwrap(), TASK.examples(1, 10, 7).unwrap());
    let mut kept = Kept::default();
    let options = options(RunLength::Steps(5), KeepWeights::Last).validate_every(2);
    let mut trainer = trainer(Optimizer::adam(1e-2));
    let outcome = pollster::block_on(run(
        &mut trainer,
        &shuffled(&train),
        Some(&SequentialBatches::new(&validation, 3).unwrap()),
        &options,
        &mut kept,
    ))
    .unwrap();
    let steps: Vec<_> =
        kept.0.iter().map(|metrics| (metrics.step, metrics.epoch, metrics.val_loss.is_some())).collect();
    assert_eq!(steps, [(1, 1, false), (2, 1, true), (3, 1, false), (4, 2, true), (5, 2, true)]);
    let now = pollster::block_on(evaluate(&mut trainer, &SequentialBatches::new(&validation, 100).unwrap())).unwrap();
    assert!((now - outcome.last.val_loss.unwrap()).abs() < 1e-6);
}

#[test]
fn the_best_weights_are_those_of_the_lowest_validation_loss() {
    let (train, validation) = (TASK.examples(1, 0, 40).unwrap(), TASK.examples(1, 40, 50).unwrap());
    // So high a rate, measured so often, that the last step is not the best.
    let mut trainer = trainer(Optimizer::sgd(0.9).clip_norm(1.0));
    let options = options(RunLength::Steps(37), KeepWeights::Best).validate_every(1);
    let outcome = pollster::block_on(run(
        &mut trainer,
        &shuffled(&train),
        Some(&SequentialBatches::new(&validation, 3).unwrap()),
        &options,
        &mut (),
    ))
    .unwrap();
    let best = outcome.best.unwrap();
    assert!(best.step < outcome.last.step, "{outcome:?}");
    let now = pollster::block_on(evaluate(&mut trainer, &SequentialBatches::new(&validation, 50).unwrap())).unwrap();
    assert!((now - best.val_loss).abs() < 1e-6, "{now} {best:?}");
}

#[test]
fn a_diverging_run_reports_its_good_steps_and_stops() {
    let train = TASK.examples(1, 0, 40).unwrap();
    let mut kept = Kept::default();
    let mut trainer = trainer(Optimizer::sgd(1e30));
    let options = options(RunLength::Epochs(6), KeepWeights::Last);
    let error = pollster::block_on(run(&mut trainer, &shuffled(&train), None, &options, &mut kept)).unwrap_err();
    let Error::NonFinite { step, .. } = error else { panic!("{error}") };
    assert_eq!(kept.0.len() as u64, step - 1);
    let weights = pollster::block_on(trainer.state_dict()).unwrap();
    assert!(weights.iter().all(|(_, array)| array.iter().all(|value| value.is_finite())));
}

#[test]
fn a_diverging_run_returns_its_best_weights_if_they_are_kept() {
    let (train, validation) = (TASK.examples(1, 0, 40).unwrap(), TASK.examples(1, 40, 50).unwrap());
    let validation = SequentialBatches::new(&validation, 50).unwrap();
    // The rate rises until the network breaks.
    let schedule = Schedule::new(Decay::Constant).warmup(40);
    let mut trainer = trainer(Optimizer::sgd(1e30));
    let options = options(RunLength::Steps(40), KeepWeights::Best).validate_every(1).schedule(schedule);
    let mut kept = Kept::default();
    let outcome = pollster::block_on(run(&mut trainer, &shuffled(&train), Some(&validation), &options, &mut kept));
    assert!(matches!(outcome, Err(Error::NonFinite { .. })), "{outcome:?}");
    let best = kept.0.iter().filter_map(|metrics| metrics.val_loss).fold(f64::INFINITY, f64::min);
    let now = pollster::block_on(evaluate(&mut trainer, &validation)).unwrap();
    assert!((now - best).abs() < 1e-6 * best, "{now} {best}");
    assert_eq!(trainer.optimizer().learning_rate, 1e30);
}

#[test]
fn a_run_of_zero_steps_is_refused() {
    let train = TASK.examples(1, 0, 40).unwrap();
    let empty = TASK.examples(1, 0, 0).unwrap();
    assert!(ShuffledBatches::new(&empty, 4, 1, 1).err().unwrap().to_string().contains("the training examples"));
    assert!(ShuffledBatches::new(&train, 0, 1, 1).err().unwrap().to_string().contains("batch"));
    let mut trainer = trainer(Optimizer::sgd(0.1));
    let mut refused = |options: RunOptions| {
        pollster::block_on(run(&mut trainer, &shuffled(&train), None, &options, &mut ())).unwrap_err().to_string()
    };
    let usual = options(RunLength::Epochs(1), KeepWeights::Last);
    assert!(refused(usual.duration(RunLength::Steps(0))).contains("the steps of the run"));
    assert!(refused(usual.validate_every(0)).contains("validate_every"));
    assert!(refused(usual.accumulate(0)).contains("accumulate"));
    assert!(refused(usual.patience(0)).contains("patience"));
}

#[test]
fn a_step_of_two_accumulated_batches_equals_one_batch_of_both() {
    let train = TASK.examples(1, 0, 16).unwrap();
    let weights = |rows, accumulate| {
        let mut trainer = trainer(Optimizer::sgd(0.3));
        let options = options(RunLength::Epochs(1), KeepWeights::Last).accumulate(accumulate);
        let batches = SequentialBatches::new(&train, rows).unwrap();
        pollster::block_on(run(&mut trainer, &batches, None, &options, &mut ())).unwrap();
        pollster::block_on(trainer.state_dict()).unwrap()
    };
    let (two, one) = (weights(4, 2), weights(8, 1));
    for ((name, two), (_, one)) in two.iter().zip(one.iter()) {
        assert!(two.iter().zip(one).all(|(a, b)| (a - b).abs() < 1e-6), "{name}: {two} {one}");
    }
}

#[test]
fn each_step_uses_the_rate_of_the_schedule_and_the_trainers_rate_is_restored() {
    let train = TASK.examples(1, 0, 16).unwrap();
    let mut kept = Kept::default();
    let schedule = Schedule::new(Decay::Step { every: 3, factor: 0.1 }).warmup(2);
    let options = options(RunLength::Steps(6), KeepWeights::Last).schedule(schedule);
    let mut trainer = trainer(Optimizer::sgd(0.5));
    pollster::block_on(run(&mut trainer, &shuffled(&train), None, &options, &mut kept)).unwrap();
    let rates: Vec<f64> = kept.0.iter().map(|metrics| metrics.lr).collect();
    assert_eq!(rates, [0.25, 0.5, 0.5, 0.5, 0.5, 0.05]);
    assert_eq!(trainer.optimizer().learning_rate, 0.5);
}

#[test]
fn a_run_ends_when_its_patience_is_exhausted() {
    let (train, validation) = (TASK.examples(1, 0, 40).unwrap(), TASK.examples(1, 40, 20).unwrap());
    let validation = SequentialBatches::new(&validation, 20).unwrap();
    // Nothing is learned at a rate of 0, so the first validation stays the best.
    let mut trainer = trainer(Optimizer::sgd(0.0));
    let options = options(RunLength::Steps(100), KeepWeights::Best).validate_every(2).patience(3);
    let outcome = pollster::block_on(run(&mut trainer, &shuffled(&train), Some(&validation), &options, &mut ()));
    let outcome = outcome.unwrap();
    assert_eq!((outcome.stop_reason, outcome.last.step, outcome.best.unwrap().step), (StopReason::NoImprovement, 8, 2));
}

/// Asks for the end after so many reported steps.
struct Impatient(u64);

impl Observer for Impatient {
    fn step(&mut self, _: &Metrics, _: StepCounts) -> bptt::Result<()> {
        self.0 = self.0.saturating_sub(1);
        Ok(())
    }

    fn stop(&mut self, _step: u64) -> bool {
        self.0 == 0
    }
}

#[test]
fn a_stopped_run_reports_the_step_in_flight_and_keeps_its_weights() {
    let train = TASK.examples(1, 0, 40).unwrap();
    let mut stopped = trainer(Optimizer::sgd(0.1));
    let long = options(RunLength::Steps(1000), KeepWeights::Last);
    let outcome = pollster::block_on(run(&mut stopped, &shuffled(&train), None, &long, &mut Impatient(5))).unwrap();
    assert_eq!(outcome.stop_reason, StopReason::Stopped);
    assert_eq!(outcome.last.step, stopped.steps());
    let mut short = trainer(Optimizer::sgd(0.1));
    let options = options(RunLength::Steps(outcome.last.step), KeepWeights::Last);
    pollster::block_on(run(&mut short, &shuffled(&train), None, &options, &mut ())).unwrap();
    let [a, b] = [&mut stopped, &mut short].map(|trainer| pollster::block_on(trainer.state_dict()).unwrap());
    assert_eq!(a, b);
}

/// One example a step of the time of each row, for the lengths that are given.
struct Lengths(Vec<usize>);

impl Examples for Lengths {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn steps(&self, example: usize) -> usize {
        self.0[example]
    }

    fn batch(&self, examples: &[usize], steps: usize) -> bptt::Result<Batch> {
        let x = ndarray::Array3::zeros((steps, examples.len(), 1));
        let targets =
            Targets::Classes(ndarray::Array2::from_shape_fn((1, examples.len()), |(_, b)| examples[b] as u32));
        let lengths = examples.iter().map(|example| self.0[*example]).collect();
        Ok(Batch::new(Sequence::dense(x).lengths(lengths), targets))
    }
}

#[test]
fn no_batch_exceeds_the_largest_one_reported() {
    let examples = Lengths((0..50).map(|example| 1 + (example * 37) % 90).collect());
    for (rows, buckets) in [(8, 1), (8, 6), (64, 3), (50, 1)] {
        let shuffled: Box<dyn Batches + '_> = Box::new(ShuffledBatches::new(&examples, rows, buckets, 1).unwrap());
        let in_order: Box<dyn Batches + '_> = Box::new(SequentialBatches::new(&examples, rows).unwrap());
        for batches in [shuffled, in_order] {
            let shapes = (0..3 * batches.per_epoch()).map(|number| batches.batch(number).unwrap().sequence.shape());
            let (steps, most): (Vec<usize>, Vec<usize>) = shapes.unzip();
            let largest = (steps.into_iter().max().unwrap(), most.into_iter().max().unwrap());
            assert_eq!(batches.largest().unwrap().sequence.shape(), largest, "{rows} rows, {buckets} buckets");
        }
    }
}

#[test]
fn buckets_hold_every_example_once_in_few_shapes_with_little_padding() {
    let lengths: Vec<usize> = (0..200).map(|example| 1 + (example * 37) % 90).collect();
    let examples = Lengths(lengths.clone());
    let padded = |buckets| {
        let batches = ShuffledBatches::new(&examples, 8, buckets, 1).unwrap();
        let (mut seen, mut shapes, mut cells) = (Vec::new(), std::collections::BTreeSet::new(), 0);
        for number in 0..batches.per_epoch() {
            let batch = batches.batch(number).unwrap();
            assert_eq!(batch, batches.batch(number).unwrap());
            let Targets::Classes(classes) = &batch.targets else { panic!() };
            seen.extend(classes.iter().map(|class| *class as usize));
            let (steps, rows) = batch.sequence.shape();
            assert!(rows == 8 || number + 1 == batches.per_epoch());
            shapes.insert(steps);
            cells += steps * rows;
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..200).collect::<Vec<_>>());
        (shapes.len(), cells as f64 / lengths.iter().sum::<usize>() as f64)
    };
    let (one, six) = (padded(1), padded(6));
    assert_eq!(one.0, 1);
    assert!(six.0 <= 6, "{six:?}");
    assert!(six.1 < 1.25 && one.1 > 1.9, "{six:?} {one:?}");
}
