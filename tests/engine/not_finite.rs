//! What becomes of training where a loss or a gradient norm is not finite: it ends, passes the step over, or goes back.

use std::io::Cursor;

use bptt::data::{AddingTask, Batches, Examples, ShuffledBatches};
use bptt::train::{
    Checkpoint, Metrics, Observer, Outcome, RunLength, RunOptions, StepCounts, TrainerState, WriteSeek, resume, run,
};
use bptt::{
    Backend, Batch, Cell, Cpu, EngineOptions, Error, Input, Layers, Loss, Model, Optimizer, Parameters, Real,
    Recurrent, Result, SkippedUpdates, Targets, Trainer, TrainerOptions, Training,
};
use pollster::block_on;

use crate::common::{Case, gpu};

const TASK: AddingTask = AddingTask { length: 6 };
const STEPS: u64 = 14;

/// Batches of which those of some numbers have targets whose squared distance from anything is beyond f32.
struct Poisoned<'a>(ShuffledBatches<&'a dyn Examples>, &'a [u64]);

impl Batches for Poisoned<'_> {
    fn per_epoch(&self) -> u64 {
        self.0.per_epoch()
    }

    fn batch(&self, number: u64) -> Result<Batch> {
        let batch = self.0.batch(number)?;
        Ok(if self.1.contains(&number) { poisoned(batch) } else { batch })
    }

    fn largest(&self) -> Result<Batch> {
        self.0.largest()
    }

    fn continues(&self, _: u64) -> bool {
        true
    }
}

fn poisoned(mut batch: Batch) -> Batch {
    if let Targets::Values(values) = &mut batch.targets {
        values.fill(f32::MAX);
    }
    batch
}

/// Every step, and a checkpoint behind each as a file.
#[derive(Default)]
struct Kept {
    metrics: Vec<Metrics>,
    files: Vec<Vec<u8>>,
    file: Cursor<Vec<u8>>,
}

impl Observer for Kept {
    fn step(&mut self, metrics: &Metrics, _: StepCounts) -> Result<()> {
        self.metrics.push(*metrics);
        Ok(())
    }

    fn wants_checkpoint(&mut self, _: u64) -> bool {
        true
    }

    fn checkpoint(&mut self, _: u64) -> Result<Option<(&mut dyn WriteSeek, String)>> {
        Ok(Some((&mut self.file, String::new())))
    }

    fn checkpoint_written(&mut self, written: Result<()>) -> Result<()> {
        self.files.push(std::mem::take(&mut self.file).into_inner());
        written
    }
}

fn trainer<B: Backend>(backend: &B, optimizer: Optimizer, skips: u32) -> Trainer<B::Engine> {
    let recurrent = Recurrent::new(Cell::Lstm, AddingTask::INPUTS, 5).recurrent_dropout(0.3);
    let engine = EngineOptions::default().max_skipped_updates(skips);
    let options = TrainerOptions::default().carry_state(true).engine(engine);
    Trainer::with_options(backend, &Model::new(recurrent, TASK.head()), optimizer, 7, options).unwrap()
}

const RATE: f64 = 0.05;

/// A run whose steps of these numbers, counted from 1, are bad.
struct Go<'a> {
    bad: &'a [u64],
    skips: u32,
    backs: u32,
    from: Option<&'a [u8]>,
}

impl Go<'_> {
    fn go<B: Backend>(&self, backend: &B, observer: &mut dyn Observer) -> (Result<Outcome>, TrainerState)
    where
        B::Engine: bptt::Engine<Real = f32>,
    {
        let train = TASK.examples(1, 0, 36).unwrap();
        let bad: Vec<u64> = self.bad.iter().map(|step| step - 1).collect();
        let batches = Poisoned(ShuffledBatches::new(&train as &dyn Examples, 4, 1, 1).unwrap(), &bad);
        let mut trainer = trainer(backend, Optimizer::adam(RATE), self.skips);
        let duration = RunLength::Steps(STEPS);
        let options = RunOptions::new(duration).validate_every(3).max_rollbacks(self.backs);
        let outcome = match self.from {
            None => block_on(run(&mut trainer, &batches, None, &options, observer)),
            Some(file) => {
                let checkpoint = Checkpoint::from_bytes(file).unwrap().0;
                block_on(resume(&mut trainer, checkpoint, &batches, None, &options, observer))
            }
        };
        (outcome, block_on(trainer.state()).unwrap())
    }
}

/// Steps and what became of them.
fn told(metrics: &[Metrics]) -> Vec<(u64, bool, bool, f64)> {
    let finite = |told: &Metrics| told.loss.is_finite() && told.grad_norm.is_finite();
    metrics.iter().map(|told| (told.step, finite(told), told.skipped, told.lr)).collect()
}

/// As text, in which what is no number equals itself.
fn text(metrics: &[Metrics]) -> String {
    metrics.iter().map(|metrics| serde_json::to_string(metrics).unwrap() + "\n").collect()
}

fn as_many_bad_steps_in_a_row_as_were_allowed_change_nothing_and_one_more_ends_it<B: Backend>(backend: &B) {
    let train = TASK.examples(1, 0, 4).unwrap();
    let good = train.batch(&[0, 1, 2, 3], 6).unwrap();
    let bad = poisoned(good.clone());
    let mut trainer = trainer(backend, Optimizer::sgd(RATE), 2);
    let mut step = |bad_one| {
        trainer.reset_state().unwrap();
        let stepped = block_on(trainer.step(if bad_one { &bad } else { &good }));
        let report = stepped.and_then(|_| block_on(trainer.finish())).map(|reports| reports[0]);
        (report, block_on(trainer.state()).unwrap())
    };
    for in_row in [1, 2, 0, 1, 0, 0] {
        let before = step(false).1;
        let mut last = before.clone();
        for count in 1..=in_row {
            let (report, after) = step(true);
            assert!(report.is_ok_and(|report| report.skipped && !(report.loss + report.norm).is_finite()));
            assert_eq!((&after.parameters, after.skipped.in_row), (&before.parameters, count));
            last = after;
        }
        let (report, after) = step(false);
        assert!(report.is_ok_and(|report| !report.skipped && (report.loss + report.norm).is_finite()));
        assert!(after.skipped.in_row == 0 && after.parameters != last.parameters);
    }
    let before = step(false).1;
    for _ in 0..2 {
        assert!(step(true).0.is_ok());
    }
    let third = before.step + 3;
    for (bad_one, expected) in [(true, third), (true, third), (false, third)] {
        let (report, after) = step(bad_one);
        assert!(matches!(report, Err(Error::NonFinite { step, .. }) if step == expected), "{report:?}");
        assert_eq!(after.parameters, before.parameters);
    }
    trainer.restore(&before).unwrap();
    block_on(trainer.step(&good)).unwrap();
    assert!(!block_on(trainer.finish()).unwrap()[0].skipped, "a trainer that was restored goes on");
}

fn a_run_passes_bad_steps_over_and_says_so<B: Backend>(backend: &B)
where
    B::Engine: bptt::Engine<Real = f32>,
{
    let run = |bad, from| {
        let mut kept = Kept::default();
        let (outcome, state) = Go { bad, skips: 2, backs: 0, from }.go(backend, &mut kept);
        (outcome, state, kept)
    };
    let bad = &[2, 6, 7, STEPS];
    let (outcome, state, kept) = run(bad, None);
    assert_eq!(outcome.unwrap().last.step, STEPS);
    let want: Vec<_> = (1..=STEPS).map(|step| (step, !bad.contains(&step), bad.contains(&step), RATE)).collect();
    assert_eq!(told(&kept.metrics), want);
    let line = text(&kept.metrics[1..2]);
    assert!(line.contains("\"grad_norm\":null") && line.contains("\"skipped\":true"), "{line}");
    assert!(!text(&kept.metrics[..1]).contains("skipped"));
    assert!(serde_json::from_str::<Metrics>(&line).unwrap().grad_norm.is_nan());
    for (step, file) in kept.files.iter().enumerate() {
        let (_, end, rest) = run(bad, Some(file));
        assert_eq!((end, text(&rest.metrics)), (state.clone(), text(&kept.metrics[step..])), "from step {step}");
    }
    // The third in a row is one too many, wherever the run was cut off before.
    let (outcome, state, kept) = run(&[6, 7, 8], None);
    assert!(matches!(outcome, Err(Error::NonFinite { step: 8, .. })), "{outcome:?}");
    assert_eq!(kept.metrics.len(), 7);
    for file in &kept.files {
        let (outcome, end, _) = run(&[6, 7, 8], Some(file));
        assert!(matches!(outcome, Err(Error::NonFinite { step: 8, .. })), "{outcome:?}");
        assert_eq!(end.parameters, state.parameters);
    }
}

fn a_run_goes_back_to_its_last_checkpoint_at_half_the_rate<B: Backend>(backend: &B)
where
    B::Engine: bptt::Engine<Real = f32>,
{
    let run = |bad, from| {
        let mut kept = Kept::default();
        let (outcome, state) = Go { bad, skips: 0, backs: 2, from }.go(backend, &mut kept);
        (outcome, state, kept)
    };
    let bad = &[8, 9];
    let (outcome, state, kept) = run(bad, None);
    outcome.unwrap();
    let rate = |step| {
        if step > 9 {
            RATE / 4.0
        } else if step > 8 {
            RATE / 2.0
        } else {
            RATE
        }
    };
    let want: Vec<_> = (1..=STEPS).map(|step| (step, !bad.contains(&step), bad.contains(&step), rate(step))).collect();
    assert_eq!(told(&kept.metrics), want);

    // By hand: the weights that were there after step 6, and the steps behind the bad ones.
    let after_6 = Checkpoint::from_bytes(&kept.files[6]).unwrap().0;
    let mut by_hand = trainer(backend, Optimizer::adam(RATE / 4.0), 0);
    let train = TASK.examples(1, 0, 36).unwrap();
    let batches = ShuffledBatches::new(&train as &dyn Examples, 4, 1, 1).unwrap();
    let options = RunOptions::new(RunLength::Steps(6));
    block_on(resume(&mut by_hand, after_6, &batches, None, &options, &mut ())).unwrap();
    let mut after = block_on(by_hand.state()).unwrap();
    // What the optimizer counts are the six updates that these weights have seen.
    (after.step, after.skipped) = (9, SkippedUpdates { in_row: 0, in_all: 3, loss_scale: None });
    after.carried = None;
    by_hand.restore(&after).unwrap();
    for number in 9..STEPS {
        block_on(by_hand.step(&batches.batch(number).unwrap())).unwrap();
    }
    assert_eq!(block_on(by_hand.state()).unwrap(), state);

    for file in &kept.files {
        let step = Checkpoint::<f32>::from_bytes(file).unwrap().0.step() as usize;
        let (_, end, rest) = run(bad, Some(file));
        assert_eq!((end, text(&rest.metrics)), (state.clone(), text(&kept.metrics[step..])), "from step {step}");
    }
    let (outcome, _, kept) = run(&[2, 3, 11], None);
    assert!(matches!(outcome, Err(Error::NonFinite { step: 11, .. })), "{outcome:?}");
    assert_eq!(kept.metrics.len(), 10);
}

#[test]
fn consecutive_bad_steps_are_counted_on_the_cpu() {
    as_many_bad_steps_in_a_row_as_were_allowed_change_nothing_and_one_more_ends_it(&Cpu::<f32>::new());
}

#[test]
fn consecutive_bad_steps_are_counted_on_the_gpu() {
    gpu::gpu().iter().for_each(as_many_bad_steps_in_a_row_as_were_allowed_change_nothing_and_one_more_ends_it);
}

#[test]
fn a_run_on_the_cpu_skips_bad_steps_and_reports_them() {
    a_run_passes_bad_steps_over_and_says_so(&Cpu::<f32>::new());
}

#[test]
fn a_run_on_the_gpu_skips_bad_steps_and_reports_them() {
    gpu::gpu().iter().for_each(a_run_passes_bad_steps_over_and_says_so);
}

#[test]
fn a_run_on_the_cpu_rolls_back_at_half_the_rate() {
    a_run_goes_back_to_its_last_checkpoint_at_half_the_rate(&Cpu::<f32>::new());
}

#[test]
fn a_run_on_the_gpu_rolls_back_at_half_the_rate() {
    gpu::gpu().iter().for_each(a_run_goes_back_to_its_last_checkpoint_at_half_the_rate);
}

/// WGSL's `clamp` may turn what is not a number into a bound.
fn the_gradient_of_hubers_loss_stays_nan<B: Backend>(backend: &B) {
    let case = Case { loss: Loss::Huber { delta: 0.5 }, ..Case::new(Cell::Gru) };
    let model = case.model();
    let mut engine = backend.engine(&model, &EngineOptions::default()).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    let mut batch = case.batch();
    if let Input::Dense(x) = &mut batch.sequence.input {
        x.fill(f32::NAN);
    }
    block_on(engine.accumulate(&batch, None)).unwrap();
    let gradient = block_on(engine.gradient("head.bias")).unwrap();
    assert!(gradient.iter().all(|value| value.as_f64().is_nan()), "{gradient:?}");
}

#[test]
fn the_gradient_of_hubers_loss_of_a_nan_is_nan_on_either_backend() {
    the_gradient_of_hubers_loss_stays_nan(&Cpu::<f32>::new());
    gpu::gpu().iter().for_each(the_gradient_of_hubers_loss_stays_nan);
}
