//! Several ranks train as one does: the same numbers up to rounding, and the same bits on every rank and in every run.

use std::io::Cursor;
use std::sync::{Arc, Mutex};
use std::thread;

use bptt::communicator::{Communicator, LocalCommunicator};
use bptt::data::{AddingTask, Batches, Examples, SequentialBatches, ShuffledBatches};
use bptt::ndarray::{ArrayD, s};
use bptt::train::{
    Checkpoint, KeepWeights, Metrics, Observer, RunLength, RunOptions, StepCounts, StopReason, WriteSeek,
    bytes_sent_per_step, evaluate, predict, resume, run,
};
use bptt::{
    Backend, Batch, Cell, Cpu, CpuEngine, CpuPredictions, Engine, EngineOptions, HiddenGradientNorms, Input, Loss,
    Model, Optimizer, ParameterGroup, Parameters, Readout, Real, Recurrent, Sequence, Targets, Trainer, TrainerOptions,
    Wait, block_on,
};

use crate::common::continued::Continued;
use crate::common::gpu::gpu;
use crate::common::{Case, choice, wide};

type Rank = Option<Arc<dyn Communicator>>;

/// What `f` returns on every rank, each on a thread of its own. One rank has no communicator.
fn on_ranks<T: Send>(size: usize, f: impl Fn(Rank) -> T + Sync) -> Vec<T> {
    if size == 1 {
        return vec![f(None)];
    }
    thread::scope(|scope| {
        let begin = |rank: LocalCommunicator| scope.spawn(|| f(Some(Arc::new(rank))));
        let ranks: Vec<_> = LocalCommunicator::ranks(size).into_iter().map(begin).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

/// The result of all ranks, which must be the same.
fn together<T: Send + PartialEq>(size: usize, f: impl Fn(Rank) -> T + Sync) -> T {
    let mut all = on_ranks(size, f);
    let first = all.remove(0);
    for (rank, other) in (1..).zip(&all) {
        assert!(*other == first, "rank {rank} of {size} has another result than rank 0");
    }
    first
}

fn joined<E: Engine>(trainer: Trainer<E>, rank: Rank) -> Trainer<E> {
    match rank {
        Some(communicator) => trainer.with_communicator(communicator).unwrap(),
        None => trainer,
    }
}

/// A case with its options, as one of the kinds of data would have it.
struct Training {
    case: Case,
    options: TrainerOptions,
    optimizer: Optimizer,
}

impl Training {
    fn trainer<B: Backend>(&self, backend: &B, rank: Rank) -> Trainer<B::Engine> {
        let (model, options) = (self.case.model(), self.options.clone());
        joined(Trainer::with_options(backend, &model, self.optimizer, 1, options).unwrap(), rank)
    }

    /// The batch of a step: the case's, its steps moved around.
    fn batch(&self, step: usize) -> Batch {
        let mut batch = self.case.batch();
        let from = |t: usize| (t + 3 * step) % self.case.steps;
        match &mut batch.sequence.input {
            Input::Dense(x) => {
                let before = x.clone();
                (0..self.case.steps)
                    .for_each(|t| x.slice_mut(s![t, .., ..]).assign(&before.slice(s![from(t), .., ..])));
            }
            Input::Tokens(tokens) => {
                let (before, vocabulary) = (tokens.clone(), self.case.model().vocabulary() as u32);
                tokens.indexed_iter_mut().for_each(|((t, row), token)| {
                    *token = (before[[from(t), row]] + choice(3, step, 2)) % vocabulary;
                });
            }
            _ => unreachable!("a case has one of both"),
        }
        batch
    }

    /// The losses of some steps, and the parameters after them.
    fn losses<B: Backend + Sync>(
        &self,
        backend: &B,
        rank: Rank,
        steps: usize,
    ) -> (Vec<f64>, Vec<<B::Engine as Parameters>::Real>) {
        let mut trainer = self.trainer(backend, rank);
        let mut reports = Vec::new();
        for step in 0..steps {
            reports.extend(trainer.step(&self.batch(step)).wait().unwrap());
        }
        reports.extend(trainer.finish().wait().unwrap());
        assert_eq!(reports.len(), steps);
        (reports.iter().map(|report| report.loss).collect(), trainer.engine().parameters().wait().unwrap())
    }
}

/// Text whose rows continue those of the batch before, sequences of different lengths with a class each and dropout, and
/// a series with a number at each step. 10 rows, which 4 ranks share as 2, 3, 2 and 3.
fn trainings() -> [Training; 3] {
    let text = Case { tokens: true, initial: false, loss: Loss::CrossEntropy, ..Case::new(Cell::Lstm) };
    let classes = Case {
        ragged: true,
        initial: false,
        weights: true,
        layers: 2,
        dropout: (0.25, 0.125),
        loss: Loss::CrossEntropy,
        at: Readout::Final,
        ..Case::new(Cell::Gru)
    };
    let series = Case { initial: false, ..Case::new(Cell::Gru) };
    let options = TrainerOptions::default();
    [
        Training {
            case: text.sizes([6, 10, 7, 8, 7]),
            options: options.clone().carry_state(true),
            optimizer: Optimizer::adam(1e-2).clip_norm(0.1),
        },
        Training {
            case: classes.sizes([7, 10, 3, 6, 4]),
            options: options.clone().micro_batch(2),
            optimizer: Optimizer::adam(1e-3),
        },
        Training { case: series.sizes([9, 10, 1, 8, 1]), options, optimizer: Optimizer::sgd(0.05).momentum(0.9) },
    ]
}

#[test]
fn four_ranks_have_the_losses_of_one_in_f64() {
    for training in trainings() {
        let (one, _) = together(1, |rank| training.losses(&Cpu::<f64>::default(), rank, 200));
        let (four, _) = together(4, |rank| training.losses(&Cpu::<f64>::default(), rank, 200));
        let far = one.iter().zip(&four).map(|(one, four)| (one - four).abs()).fold(0.0, f64::max);
        assert!(far < 1e-9, "{}: {far:e}", training.case);
    }
}

#[test]
fn four_ranks_have_the_same_bits_in_every_run_and_other_bits_than_one() {
    for training in trainings() {
        let of = |size| together(size, |rank| training.losses(&Cpu::<f32>::default(), rank, 20));
        let (first, second) = (of(4), of(4));
        assert_eq!(first, second, "{}", training.case);
        // Otherwise the rows were not shared out.
        assert_ne!(of(1).1, first.1, "{}", training.case);
    }
}

fn far<R: Real>(a: &[R], b: &[R]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = square(&mut a.iter().zip(b).map(|(a, b)| a.as_f64() - b.as_f64()));
    difference / square(&mut b.iter().map(|b| b.as_f64()))
}

/// The gradients of one step as those of one rank, before and after its update.
fn gradients_are_those_of_one<B: Backend + Sync>(backend: &B, size: usize, relative: f64) {
    for training in trainings() {
        let of = |size| {
            together(size, |rank| {
                let mut trainer = training.trainer(backend, rank);
                trainer.accumulate(&training.batch(0)).wait().unwrap();
                let flat =
                    |dict: bptt::StateDict<_>| dict.iter().flat_map(|(_, array)| array.iter().copied()).collect();
                let before: Vec<_> = flat(trainer.gradients().wait().unwrap());
                let loss = trainer.accumulated_loss().wait().unwrap();
                trainer.update().wait().unwrap();
                let after = flat(trainer.gradients().wait().unwrap());
                assert!(before == after, "{}: the gradients change with the update", training.case);
                // A GPU has it in f32.
                let again = trainer.accumulated_loss().wait().unwrap();
                assert!((loss - again).abs() < 1e-7 * loss, "{}: {loss} {again}", training.case);
                let head = trainer.gradient("head.weight").wait().unwrap();
                let report = trainer.finish().wait().unwrap()[0];
                (before, wide(&head), [loss, report.loss, report.norm])
            })
        };
        let ((one, head, numbers), (many, heads, others)) = (of(1), of(size));
        assert!(far(&many, &one) < relative, "{}: {:e}", training.case, far(&many, &one));
        let values = |array: &ArrayD<f64>| array.iter().copied().collect::<Vec<_>>();
        assert!(far(&values(&heads), &values(&head)) < relative);
        for (one, other) in numbers.iter().zip(&others) {
            assert!((one - other).abs() < relative * one.abs(), "{}: {numbers:?} {others:?}", training.case);
        }
    }
}

#[test]
fn gradients_are_those_of_one_rank_on_the_cpu() {
    gradients_are_those_of_one(&Cpu::<f32>::default(), 4, 1e-5);
}

#[test]
fn gradients_are_those_of_one_rank_on_the_gpu() {
    gpu().iter().for_each(|gpu| gradients_are_those_of_one(gpu, 2, 1e-5));
}

#[test]
fn two_ranks_train_as_one_on_the_gpu() {
    let Some(gpu) = gpu() else { return };
    for training in trainings() {
        let of = |size| together(size, |rank| training.losses(&gpu, rank, 4));
        let ((one, weights), two) = (of(1), of(2));
        assert_eq!(two, of(2), "{}", training.case);
        assert!(far(&two.1, &weights) < 1e-4, "{}", training.case);
        assert!(one.iter().zip(&two.0).all(|(one, two)| (one - two).abs() < 1e-4 * one), "{one:?} {:?}", two.0);
    }
}

#[test]
fn a_batch_of_fewer_rows_than_ranks_leaves_some_without() {
    let [mut text, mut classes, mut series] = trainings();
    for training in [&mut text, &mut classes, &mut series] {
        training.case.rows = 2;
        let of = |size| {
            together(size, |rank| {
                let mut trainer = training.trainer(&Cpu::<f64>::default(), rank);
                for step in 0..5 {
                    trainer.step(&training.batch(step)).wait().unwrap();
                }
                let loss = trainer.evaluate(&training.batch(1)).wait().unwrap();
                let y = trainer.predict(&training.batch(1).sequence).wait().unwrap().y;
                let states = trainer.states().wait().unwrap();
                (loss, y, states, trainer.engine().parameters().wait().unwrap())
            })
        };
        let ((evaluation, y, states, one), (evaluations, ys, all_states, four)) = (of(1), of(4));
        assert!(far(&four, &one) < 1e-12 && (evaluation.loss - evaluations.loss).abs() < 1e-12);
        assert!((&y - &ys).iter().all(|difference| difference.abs() < 1e-12));
        assert_eq!(states.is_some(), training.options.carry_state);
        if let Some((states, all)) = states.zip(all_states) {
            assert!((&states.h - &all.h).iter().all(|difference| difference.abs() < 1e-12), "{}", training.case);
        }
    }
}

#[test]
fn accumulated_batches_keep_the_row_numbers_of_the_step() {
    let [_, training, _] = trainings();
    // The rows of the second batch have other dropout masks than those of the first.
    let of = |size| {
        together(size, |rank| {
            let mut trainer = training.trainer(&Cpu::<f64>::default(), rank);
            for _ in 0..3 {
                trainer.accumulate(&training.batch(0)).wait().unwrap();
                trainer.accumulate(&training.batch(1)).wait().unwrap();
                trainer.update().wait().unwrap();
            }
            trainer.engine().parameters().wait().unwrap()
        })
    };
    assert!(far(&of(3), &of(1)) < 1e-12);
}

#[test]
fn a_custom_loss_gets_the_rows_of_the_whole_batch() {
    let [.., training] = trainings();
    let batch = training.batch(0);
    let Targets::Values(targets) = &batch.targets else { unreachable!("a series") };
    let squares = |predictions: CpuPredictions<'_, f64>| {
        let losses = predictions.map(|prediction| {
            let error = prediction.logits[0] - f64::from(targets[[prediction.p, prediction.row, 0]]);
            prediction.logits[0] = 2.0 * error;
            error * error
        });
        losses.sum::<f64>()
    };
    let weight = batch.sequence.time_steps() as f64;
    let of = |size| {
        together(size, |rank| {
            let mut trainer = training.trainer(&Cpu::<f64>::default(), rank);
            trainer.step_with(&batch.sequence, weight, &squares).wait().unwrap();
            let loss = trainer.evaluate_with(&batch.sequence, weight, &squares).wait().unwrap().loss;
            (loss, trainer.engine().parameters().wait().unwrap())
        })
    };
    let (one, four) = (of(1), of(4));
    assert!((one.0 - four.0).abs() < 1e-12 && far(&four.1, &one.1) < 1e-12);
}

#[test]
fn evaluation_and_prediction_are_those_of_one_rank() {
    for training in trainings() {
        let of = |size| {
            together(size, |rank| {
                let mut trainer = training.trainer(&Cpu::<f32>::default(), rank);
                let (evaluation, prediction) = block_on(async {
                    let evaluation = trainer.evaluate(&training.batch(1)).await.unwrap();
                    (evaluation, trainer.predict(&training.batch(1).sequence).await.unwrap())
                });
                (evaluation, prediction)
            })
        };
        let ((evaluation, prediction), (evaluations, predictions)) = (of(1), of(4));
        assert_eq!(prediction, predictions, "{}", training.case);
        assert_eq!(evaluation.states, evaluations.states, "{}", training.case);
        assert!((evaluation.loss - evaluations.loss).abs() < 1e-6 * evaluation.loss, "{}", training.case);
    }
}

#[test]
fn gradients_of_inputs_and_hidden_states_are_those_of_the_whole_batch() {
    let [_, mut classes, mut series] = trainings();
    for training in [&mut classes, &mut series] {
        training.options = training.options.clone().engine(EngineOptions::default().input_gradient(true));
        for rows in [10, 2] {
            training.case.rows = rows;
            let of = |size| {
                together(size, |rank| {
                    let mut trainer = training.trainer(&Cpu::<f64>::default(), rank);
                    trainer.set_hidden_gradient_norms(true);
                    trainer.accumulate(&training.batch(0)).wait().unwrap();
                    trainer.accumulate(&training.batch(1)).wait().unwrap();
                    let gradient = trainer.input_gradient().wait().unwrap();
                    let norms = trainer.hidden_gradient_norms().unwrap().norms;
                    trainer.evaluate(&training.batch(0)).wait().unwrap();
                    let error = trainer.input_gradient().wait().unwrap_err().to_string();
                    (gradient, norms, error)
                })
            };
            let ((gradient, norms, error), (gradients, all_norms, errors)) = (of(1), of(4));
            let (x, xs) = (gradient.x.unwrap(), gradients.x.unwrap());
            assert!((&x - &xs).iter().all(|difference| difference.abs() < 1e-14), "{}", training.case);
            let h = &gradient.initial.h - &gradients.initial.h;
            assert!(h.iter().all(|difference| difference.abs() < 1e-14), "{}", training.case);
            assert!((&norms - &all_norms).iter().all(|difference| difference.abs() < 1e-14), "{}", training.case);
            assert_eq!(error, errors);
        }
    }
}

#[test]
fn frozen_tensors_stay_and_their_gradients_are_those_of_the_whole_batch() {
    let [.., mut training] = trainings();
    let groups =
        [ParameterGroup::new("rnn.weight_hh*").frozen(), ParameterGroup::new("head.bias").learning_rate_factor(2.0)];
    training.options.engine = EngineOptions::default().parameter_groups(groups);
    let of = |size| {
        together(size, |rank| {
            let mut trainer = training.trainer(&Cpu::<f64>::default(), rank);
            trainer.step(&training.batch(0)).wait().unwrap();
            let frozen = trainer.gradient("rnn.weight_hh_l0").wait().unwrap();
            let all = trainer.gradients().wait().unwrap();
            assert_eq!(all.get("rnn.weight_hh_l0"), Some(&frozen));
            (all, trainer.engine().parameters().wait().unwrap())
        })
    };
    let ((one, weights), (four, others)) = (of(1), of(4));
    assert!(far(&others, &weights) < 1e-13);
    for ((name, one), (_, four)) in one.iter().zip(four.iter()) {
        assert!((one - four).iter().all(|difference| difference.abs() < 1e-13), "{name}");
    }
}

#[test]
fn every_rank_sends_the_bytes_that_are_planned() {
    let [.., mut training] = trainings();
    training.options.engine =
        EngineOptions::default().parameter_groups([ParameterGroup::new("rnn.weight_hh*").frozen()]);
    let batches = Repeated(training.batch(0));
    let sent = on_ranks(3, |rank| {
        let communicator = rank.clone().unwrap();
        let mut trainer = training.trainer(&Cpu::<f32>::default(), rank);
        let mut watched = Watched { communicator: Some(communicator.clone()), ..Watched::default() };
        let steps = RunOptions::new(RunLength::Steps(6));
        let counted = run(&mut trainer, &batches, None, &steps, &mut watched).wait().unwrap().bytes_sent_per_step;
        let planned =
            bytes_sent_per_step::<f32>(&training.case.model(), &training.options.engine, communicator.rank(), 3)
                .unwrap();
        (watched.sent, planned, counted)
    });
    for (sent, planned, counted) in sent {
        // The first two steps compare the ranks too, and the last is followed by the end of the run.
        let steps: Vec<u64> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(steps[2..], [planned; 3], "{steps:?}");
        assert_eq!(counted, Some(planned));
    }
}

/// One batch, over and over.
struct Repeated(Batch);

impl Batches for Repeated {
    fn per_epoch(&self) -> u64 {
        4
    }

    fn batch(&self, _: u64) -> bptt::Result<Batch> {
        Ok(self.0.clone())
    }

    fn largest(&self) -> bptt::Result<Batch> {
        Ok(self.0.clone())
    }
}

/// Keeps what it is told, and asks for what a test wants.
#[derive(Default)]
struct Watched {
    metrics: Vec<Metrics>,
    norms: Vec<(u64, HiddenGradientNorms)>,
    stop_after: Option<u64>,
    asked: u64,
    checkpoint_at: Option<u64>,
    norms_at: Option<u64>,
    fail_at: Option<u64>,
    writes: bool,
    file: Cursor<Vec<u8>>,
    communicator: Rank,
    sent: Vec<u64>,
}

impl Observer for Watched {
    fn step(&mut self, metrics: &Metrics, _: StepCounts) -> bptt::Result<()> {
        self.metrics.push(*metrics);
        if self.fail_at == Some(metrics.step) {
            return Err(bptt::Error::Failed("no space left for metrics".into()));
        }
        Ok(())
    }

    fn wants_hidden_gradient_norms(&mut self, step: u64) -> bool {
        self.norms_at == Some(step)
    }

    fn hidden_gradient_norms(&mut self, step: u64, norms: &HiddenGradientNorms) -> bptt::Result<()> {
        self.norms.push((step, norms.clone()));
        Ok(())
    }

    fn stop(&mut self, _step: u64) -> bool {
        self.sent.extend(self.communicator.as_ref().map(|communicator| communicator.bytes_sent()));
        self.asked += 1;
        self.stop_after == Some(self.asked)
    }

    fn wants_checkpoint(&mut self, step: u64) -> bool {
        self.checkpoint_at == Some(step)
    }

    fn checkpoint(&mut self, _: u64) -> bptt::Result<Option<(&mut dyn WriteSeek, String)>> {
        Ok(self.writes.then_some((&mut self.file, String::new())))
    }
}

const TASK: AddingTask = AddingTask { length: 6 };

fn adding(rank: Rank) -> Trainer<CpuEngine<f64>> {
    let model = Model::new(Recurrent::new(Cell::Lstm, AddingTask::INPUTS, 5), TASK.head());
    let options = TrainerOptions::default().carry_state(true).engine(EngineOptions::default().ema_decay(0.9));
    let backend = Cpu::<f64>::default();
    joined(Trainer::with_options(&backend, &model, Optimizer::adam(1e-2), 1, options).unwrap(), rank)
}

/// A run over 24 steps, on its own or from a checkpoint, with validation and the best weights kept. Its outcome, and the
/// parameters at the end.
fn run_adding(
    rank: Rank,
    from: Option<&[u8]>,
    watched: &mut Watched,
) -> bptt::Result<(bptt::train::Outcome, Vec<f64>)> {
    let (train, validation) = (TASK.examples(1, 0, 30).unwrap(), TASK.examples(1, 40, 7).unwrap());
    let train = Continued(ShuffledBatches::new(&train as &dyn Examples, 5, 1, 1).unwrap());
    let validation = SequentialBatches::new(&validation, 3).unwrap();
    let options = RunOptions::new(RunLength::Steps(24)).validate_every(4).keep(KeepWeights::Best);
    let mut trainer = adding(rank);
    let mut outcome = match from {
        None => run(&mut trainer, &train, Some(&validation), &options, watched).wait()?,
        Some(bytes) => {
            let (checkpoint, _) = Checkpoint::from_bytes(bytes)?;
            resume(&mut trainer, checkpoint, &train, Some(&validation), &options, watched).wait()?
        }
    };
    // What a rank has sent is its own.
    outcome.bytes_sent_per_step = None;
    Ok((outcome, trainer.engine().parameters().wait()?))
}

#[test]
fn a_checkpoint_of_four_ranks_resumes_on_four_to_the_bit_and_on_two() {
    let whole = together(4, |rank| run_adding(rank, None, &mut Watched::default()).unwrap());
    // One rank writes, and has the carried states of all rows.
    let files = on_ranks(4, |rank| {
        let writes = rank.as_ref().unwrap().rank() == 2;
        let mut watched = Watched { checkpoint_at: Some(10), writes, ..Watched::default() };
        let ended = run_adding(rank, None, &mut watched).unwrap();
        assert_eq!(ended, whole);
        watched.file.into_inner()
    });
    assert!(files.iter().enumerate().all(|(rank, file)| file.is_empty() == (rank != 2)));
    let resumed = |size| together(size, |rank| run_adding(rank, Some(&files[2]), &mut Watched::default()).unwrap());
    assert_eq!(resumed(4), whole);
    for size in [1, 2] {
        let (outcome, parameters) = resumed(size);
        assert!(far(&parameters, &whole.1) < 1e-10, "{size} ranks");
        assert!((outcome.best.unwrap().val_loss - whole.0.best.unwrap().val_loss).abs() < 1e-10);
    }
}

#[test]
fn what_one_rank_asks_for_all_ranks_do() {
    let all = on_ranks(3, |rank| {
        let own = rank.as_ref().unwrap().rank();
        let only = |rank: usize, step: u64| (own == rank).then_some(step);
        let mut watched = Watched {
            stop_after: only(1, 9),
            checkpoint_at: only(2, 5),
            norms_at: only(0, 3),
            writes: true,
            ..Watched::default()
        };
        let (outcome, parameters) = run_adding(rank, None, &mut watched).unwrap();
        assert_eq!(outcome.stop_reason, StopReason::Stopped);
        (outcome, parameters, watched.metrics, watched.norms, watched.file.into_inner())
    });
    let (outcome, _, metrics, norms, file) = &all[0];
    assert_eq!((outcome.last.step, metrics.len(), norms.len(), norms[0].0), (9, 9, 1, 3));
    assert!(!file.is_empty());
    assert!(all.iter().all(|other| *other == all[0]));
}

#[test]
fn evaluation_and_prediction_over_batches_are_those_of_one_rank() {
    let examples = TASK.examples(1, 0, 11).unwrap();
    let continued = Continued(ShuffledBatches::new(&examples as &dyn Examples, 11, 1, 1).unwrap());
    let of = |size| {
        together(size, |rank| {
            let mut trainer = adding(rank);
            let losses = [
                evaluate(&mut trainer, &SequentialBatches::new(&examples, 4).unwrap()).wait().unwrap(),
                evaluate(&mut trainer, &continued).wait().unwrap(),
            ];
            (losses, predict(&mut trainer, &examples, 4).wait().unwrap())
        })
    };
    let ((losses, predictions), (others, all)) = (of(1), of(3));
    assert!(losses.iter().zip(&others).all(|(one, many)| (one - many).abs() < 1e-13));
    assert_eq!(predictions, all);
}

#[test]
fn an_error_of_one_rank_is_an_error_of_all() {
    // A rank that fails in the middle, one that fails after the last step, and one whose callback fails.
    for step in [7, 24] {
        let errors = on_ranks(3, |rank| {
            let fails = rank.as_ref().unwrap().rank() == 1;
            let mut watched = Watched { fail_at: fails.then_some(step), ..Watched::default() };
            run_adding(rank, None, &mut watched).unwrap_err().to_string()
        });
        assert_eq!(errors[1], "no space left for metrics");
        assert_eq!([&errors[0], &errors[2]], ["rank 1: no space left for metrics"; 2]);
    }
    let errors = on_ranks(2, |rank| {
        let fails = rank.as_ref().unwrap().rank() == 0;
        let mut trainer = adding(rank);
        let each = |_: usize, _: bptt::ndarray::ArrayView2<'_, f64>| {
            if fails { Err(bptt::Error::Failed("a full disk".into())) } else { Ok(()) }
        };
        let examples = TASK.examples(1, 0, 6).unwrap();
        let error = bptt::train::predict_each(&mut trainer, &examples, 2, each).wait().unwrap_err().to_string();
        let later = trainer.predict(&Sequence::dense(bptt::ndarray::Array3::<f64>::ones((6, 2, 2)))).wait();
        (error, later.unwrap_err().to_string())
    });
    assert_eq!([&errors[0].0, &errors[1].0], ["a full disk", "rank 0: a full disk"]);
    assert!(errors.iter().all(|(_, later)| later.starts_with("the ranks have parted")), "{errors:?}");
}

#[test]
fn ranks_that_begin_differently_are_named() {
    let error_of = |make: &(dyn Fn(usize) -> Trainer<CpuEngine<f32>> + Sync),
                    batch: &(dyn Fn(usize) -> Batch + Sync)| {
        together(3, |rank| {
            let communicator = rank.unwrap();
            let own = communicator.rank();
            let mut trainer = make(own).with_communicator(communicator).unwrap();
            let mut steps = || {
                trainer.step(&batch(own)).wait()?;
                trainer.step(&batch(own)).wait()
            };
            steps().unwrap_err().to_string()
        })
    };
    let [_, _, training] = trainings();
    let seeded = |seed| Trainer::new(&Cpu::<f32>::default(), &training.case.model(), training.optimizer, seed).unwrap();
    let same = |_| training.batch(0);
    let error = error_of(&|rank| seeded(if rank == 2 { 5 } else { 1 }), &same);
    assert!(error.starts_with("rank 2 differs from rank 0 in the seed: "), "{error}");
    let moved = |rank| {
        let mut trainer = seeded(1);
        if rank == 1 {
            let mut weights = trainer.engine().parameters().wait().unwrap();
            weights[3] += 1e-6;
            trainer.engine().set_parameters(&weights).unwrap();
        }
        trainer
    };
    let error = error_of(&moved, &same);
    assert!(error.starts_with("rank 1 differs from rank 0 in the parameters: "), "{error}");
    let error = error_of(&|_| seeded(1), &|rank| training.batch(usize::from(rank == 1)));
    assert!(error.starts_with("step 1: the batches of rank 1 are not those of rank 0: "), "{error}");
}

#[test]
fn a_step_that_is_not_finite_on_one_rank_is_so_on_all() {
    let [.., mut training] = trainings();
    training.options.engine = EngineOptions::default().max_skipped_updates(1);
    let mut batch = training.batch(0);
    // In the rows of the last rank alone.
    let Input::Dense(x) = &mut batch.sequence.input else { unreachable!("a series") };
    x[[2, 9, 0]] = f32::INFINITY;
    let [first, second] = together(4, |rank| {
        let mut trainer = training.trainer(&Cpu::<f32>::default(), rank);
        trainer.step(&training.batch(0)).wait().unwrap();
        trainer.step(&batch).wait().unwrap();
        let reports = trainer.finish().wait().unwrap();
        trainer.step(&batch).wait().unwrap();
        let error = trainer.loss().wait().unwrap_err().to_string();
        let weights = trainer.engine().parameters().wait().unwrap();
        assert!(weights.iter().all(|weight| weight.is_finite()));
        assert!(error.starts_with("step 3: the "), "{error}");
        // The ranks go on together.
        trainer.load_state_dict(&trainer_weights(&training)).unwrap();
        trainer.step(&training.batch(0)).wait().unwrap();
        trainer.finish().wait().unwrap();
        [reports[0].skipped, reports[1].skipped]
    });
    assert!(!first && second);
}

fn trainer_weights(training: &Training) -> bptt::StateDict<f32> {
    training.trainer(&Cpu::<f32>::default(), None).state_dict().wait().unwrap()
}

#[test]
fn a_communicator_of_one_rank_changes_nothing() {
    let [text, ..] = trainings();
    let alone = text.losses(&Cpu::<f32>::default(), None, 5);
    let communicator = Arc::new(LocalCommunicator::ranks(1).remove(0));
    let one = text.losses(&Cpu::<f32>::default(), Some(communicator.clone()), 5);
    assert_eq!((alone, communicator.bytes_sent()), (one, 0));
}

/// A rank of another machine, that notes which thread adds up gradients.
#[derive(Debug)]
struct Noted {
    rank: Arc<dyn Communicator>,
    threads: Mutex<Vec<Option<String>>>,
}

impl Communicator for Noted {
    fn rank(&self) -> usize {
        self.rank.rank()
    }

    fn size(&self) -> usize {
        self.rank.size()
    }

    fn sum_f32(&self, values: &mut [f32]) -> bptt::Result<()> {
        self.threads.lock().unwrap().push(thread::current().name().map(str::to_owned));
        self.rank.sum_f32(values)
    }

    fn sum_f64(&self, values: &mut [f64]) -> bptt::Result<()> {
        self.rank.sum_f64(values)
    }

    fn gather(&self, message: &[u8]) -> bptt::Result<Vec<Vec<u8>>> {
        self.rank.gather(message)
    }

    fn broadcast(&self, from: usize, message: &mut Vec<u8>) -> bptt::Result<()> {
        self.rank.broadcast(from, message)
    }

    fn bytes_sent(&self) -> u64 {
        self.rank.bytes_sent()
    }
}

#[test]
fn sums_that_begin_within_the_backward_pass_have_the_bits_of_sums_after_it() {
    for training in trainings() {
        let of = |step: fn(&mut Trainer<CpuEngine>, &Batch)| {
            on_ranks(3, |rank| {
                let noted = Arc::new(Noted { rank: rank.unwrap(), threads: Mutex::default() });
                let mut trainer = training.trainer(&Cpu::new(), Some(noted.clone()));
                (0..4).for_each(|number| step(&mut trainer, &training.batch(number)));
                let weights = trainer.engine().parameters().wait().unwrap();
                let sums = (weights, noted.bytes_sent());
                (sums, noted.threads.lock().unwrap().clone())
            })
        };
        let within = of(|trainer, batch| trainer.step(batch).wait().map(|_| ()).unwrap());
        let after = of(|trainer, batch| {
            trainer.accumulate(batch).wait().unwrap();
            trainer.update().wait().unwrap();
        });
        for ((within, threads), (after, later)) in within.iter().zip(&after) {
            assert!(within == after);
            let of_their_own = |threads: &[Option<String>]| {
                threads.iter().filter(|name| name.as_deref() == Some("sums over ranks")).count()
            };
            // Four steps with the head and each layer. A single layer leaves nothing to compute meanwhile.
            let series = if training.case.layers > 1 { 1 + training.case.layers } else { 0 };
            assert_eq!(of_their_own(threads), 4 * series, "{threads:?}");
            assert_eq!(of_their_own(later), 0);
        }
    }
}

#[test]
fn a_step_that_is_refused_adds_up_nothing_and_the_next_one_has_its_batch_too() {
    let [_, training, _] = trainings();
    let of = |size| {
        together(size, |rank| {
            let mut trainer = training.trainer(&Cpu::<f64>::default(), rank);
            let mut without_weight = training.batch(0);
            without_weight.weights = without_weight.weights.map(|weights| weights * 0.0);
            let refused = trainer.step(&without_weight).wait().unwrap_err().to_string();
            trainer.step(&training.batch(1)).wait().unwrap();
            (refused, trainer.engine().parameters().wait().unwrap())
        })
    };
    let ((why, one), (also, three)) = (of(1), of(3));
    assert_eq!(why, also);
    assert!(far(&three, &one) < 1e-12);
}
