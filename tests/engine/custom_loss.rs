//! A loss of the caller: the cross-entropy of this crate written as one gives the same bits, and log-cosh the right
//! gradient.

use crate::common::gpu::{gpu, open};
use crate::common::{
    Case, Named, PLACES, assert_all_close, assert_close, assert_same_bits, fill, gradients, masks, wide,
};
use bptt::gpu::{GpuEngine, GpuOptions};
use bptt::ndarray::{Array2, Array3, ArrayD, IxDyn, s};
use bptt::wgpu::{self, BufferUsages};
use bptt::{
    Backend, Batch, Cell, Cpu, CpuEngine, CpuPredictions, CustomLoss, Engine, EngineOptions, Gpu, GpuPredictions,
    Inference, Layers, Loss, Model, Optimizer, OptimizerStep, Parameters, Real, Sequence, StatefulRows, StepReport,
    Targets, Trainer, TrainerOptions, Training, Wait,
};

/// Softmax and cross-entropy as in shaders/loss.wgsl, for at most 8 outputs.
const CROSS_ENTROPY: &str = "
    @group(0) @binding(0) var<storage, read> classes: array<u32>;
    @group(0) @binding(1) var<storage, read> sizes: vec2u; // O, and numbers from one prediction to the next
    @group(0) @binding(2) var<storage, read_write> a: array<f32>;
    @group(0) @binding(3) var<storage, read_write> losses: array<f32>;
    @compute @workgroup_size(64) fn cross_entropy(@builtin(global_invocation_id) id: vec3u) {
        let p = id.x;
        if p >= arrayLength(&losses) { return; }
        let row = p * sizes.y;
        var largest = -3.4028234e38;
        for (var o = 0u; o < sizes.x; o++) { largest = max(largest, a[row + o]); }
        var total = 0.0;
        for (var o = 0u; o < sizes.x; o++) { total += exp(a[row + o] - largest); }
        losses[p] = largest - a[row + classes[p]] + log(total);
        for (var o = 0u; o < sizes.x; o++) {
            a[row + o] = exp(a[row + o] - largest) / total - select(0.0, 1.0, o == classes[p]);
        }
        // What is left in padding does not matter.
        for (var o = sizes.x; o < sizes.y; o++) { a[row + o] = 7.0; }
    }";

/// log cosh(a − y), for any number of outputs; summed, not averaged, over them.
const LOG_COSH: &str = "
    @group(0) @binding(0) var<storage, read> targets: array<f32>;
    @group(0) @binding(1) var<storage, read> sizes: vec2u;
    @group(0) @binding(2) var<storage, read_write> a: array<f32>;
    @group(0) @binding(3) var<storage, read_write> losses: array<f32>;
    @compute @workgroup_size(64) fn log_cosh(@builtin(global_invocation_id) id: vec3u) {
        let p = id.x;
        if p >= arrayLength(&losses) { return; }
        var sum = 0.0;
        for (var o = 0u; o < sizes.x; o++) {
            let error = clamp(a[p * sizes.y + o] - targets[p * sizes.x + o], -40.0, 40.0);
            sum += abs(error) + log(0.5 + 0.5 * exp(-2.0 * abs(error)));
            a[p * sizes.y + o] = tanh(error);
        }
        losses[p] = sum;
    }";

/// A kernel, and the buffers of the targets and the sizes.
struct Kernel(wgpu::ComputePipeline, [wgpu::Buffer; 2]);

impl Kernel {
    fn new(gpu: &Gpu, wgsl: &str, targets: usize) -> Self {
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST;
        let buffer = |numbers: usize| {
            let size = 4 * numbers as u64;
            gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        };
        Self(gpu.compute_pipeline(wgsl).unwrap(), [buffer(targets), buffer(2)])
    }

    fn record(&self, range: &mut GpuPredictions<'_>, targets: &[u32]) {
        let Self(pipeline, [of_targets, of_sizes]) = self;
        range.write(of_targets, 0, bytemuck::cast_slice(targets));
        range.write(of_sizes, 0, bytemuck::cast_slice(&[range.outputs as u32, range.stride as u32]));
        let own = [of_targets.as_entire_buffer_binding(), of_sizes.as_entire_buffer_binding()];
        let buffers = [&own[..], &[range.logits.clone(), range.losses.clone()]].concat();
        range.dispatch(pipeline, &buffers, [(range.count() as u32).div_ceil(64), 1, 1]);
    }
}

/// Cross-entropy with classes \[P, B\].
struct CrossEntropy(Array2<u32>, Option<Kernel>);

impl CrossEntropy {
    fn new(case: &Case, gpu: Option<&Gpu>) -> Self {
        let Targets::Classes(classes) = case.batch().targets else { panic!("{case} has no classes") };
        let kernel = gpu.map(|gpu| Kernel::new(gpu, CROSS_ENTROPY, classes.len()));
        Self(classes, kernel)
    }
}

impl<R: Real> CustomLoss<CpuEngine<R>> for CrossEntropy {
    fn loss(&self, predictions: CpuPredictions<'_, R>) -> f64 {
        let losses = predictions.map(|prediction| {
            let (a, class) = (prediction.logits, self.0[[prediction.p, prediction.row]] as usize);
            let max = a.iter().copied().fold(R::neg_infinity(), |max, a| if a > max { a } else { max });
            let of_class = max.as_f64() - a[class].as_f64();
            a.iter_mut().for_each(|a| *a = (*a - max).vector_exp());
            let total: R = a.iter().copied().sum();
            a.iter_mut().for_each(|e| *e *= R::one() / total);
            a[class] -= R::one();
            total.as_f64().ln() + of_class
        });
        losses.sum()
    }
}

impl CustomLoss<GpuEngine> for CrossEntropy {
    fn loss(&self, mut range: GpuPredictions<'_>) {
        let classes: Vec<u32> = self.0.slice(s![range.p.clone(), range.rows.clone()]).iter().copied().collect();
        self.1.as_ref().unwrap().record(&mut range, &classes);
    }
}

/// Log-cosh with targets \[P, B, O\].
struct LogCosh(Array3<f32>, Option<Kernel>);

impl LogCosh {
    fn new(case: &Case, gpu: Option<&Gpu>) -> Self {
        let targets = fill((case.predictions(), case.rows, case.outputs), 4);
        let kernel = gpu.map(|gpu| Kernel::new(gpu, LOG_COSH, targets.len()));
        Self(targets, kernel)
    }
}

impl<R: Real> CustomLoss<CpuEngine<R>> for LogCosh {
    fn loss(&self, predictions: CpuPredictions<'_, R>) -> f64 {
        let losses = predictions.map(|prediction| {
            let mut sum = 0.0;
            for (o, a) in prediction.logits.iter_mut().enumerate() {
                let error = a.as_f64() - f64::from(self.0[[prediction.p, prediction.row, o]]);
                *a = R::from_f64(error.tanh());
                sum += error.cosh().ln();
            }
            sum
        });
        losses.sum()
    }
}

impl CustomLoss<GpuEngine> for LogCosh {
    fn loss(&self, mut range: GpuPredictions<'_>) {
        let part = self.0.slice(s![range.p.clone(), range.rows.clone(), ..]);
        let targets: Vec<u32> = part.iter().map(|y| y.to_bits()).collect();
        self.1.as_ref().unwrap().record(&mut range, &targets);
    }
}

/// Every place of the head, ragged, in one and two directions, over 140 steps: several chunks of 64 or less.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for at in PLACES {
        for (cell, bidirectional) in [(Cell::Lstm, false), (Cell::Gru, true)] {
            let case = Case { at, bidirectional, ragged: true, resets: true, layers: 2, ..Case::new(cell) };
            let case = Case { loss: Loss::CrossEntropy, dropout: (0.2, 0.3), initial: false, ..case };
            cases.push(case.sizes([140, 5, 3, 7, 5]));
        }
    }
    cases
}

/// What training and evaluation leave: two batches with norms of dh_t and carried states, then an update.
fn accumulated<E: Engine>(engine: &mut E, case: &Case, loss: Option<&dyn CustomLoss<E>>) -> Named {
    let (model, batch) = (case.model(), case.batch());
    engine.set_parameters(&case.parameters(&model)).unwrap();
    engine.set_dropout(masks(1));
    engine.set_hidden_gradient_norms(true);
    let evaluation = match loss {
        Some(loss) => engine.evaluate_with(&batch.sequence, loss).wait().unwrap(),
        None => engine.evaluate(&batch).wait().unwrap(),
    };
    let mut named = vec![("evaluation".into(), number(evaluation.loss_sum))];
    named.push(("h_n".into(), wide(&evaluation.states.h)));
    let carry = (!case.bidirectional).then_some(StatefulRows { first_row: 1, rows: case.rows + 2 });
    for _ in 0..2 {
        match loss {
            Some(loss) => engine.accumulate_with(&batch.sequence, loss, carry).wait().unwrap(),
            None => engine.accumulate(&batch, carry).wait().unwrap(),
        }
        named.push(("norms".into(), wide(&engine.hidden_gradient_norms().wait().unwrap().norms)));
        named.extend(engine.input_gradient().wait().unwrap().x.iter().map(|x| ("dx".into(), wide(x))));
    }
    named.push(("Σ loss".into(), number(engine.loss_sum().wait().unwrap())));
    named.extend(gradients(engine));
    engine.update(&OptimizerStep::new(Optimizer::sgd(0.1), 1, 3.0)).wait().unwrap();
    let report = engine.report().wait().unwrap().unwrap();
    named.extend([("loss".into(), number(report.loss)), ("norm".into(), number(report.norm))]);
    named
}

fn number(value: f64) -> ArrayD<f64> {
    ArrayD::from_elem(IxDyn(&[]), value)
}

/// Compares a backend's own cross-entropy with that of the caller.
fn hold_cross_entropy<B: Backend>(backend: &B, gpu: Option<&Gpu>)
where
    CrossEntropy: CustomLoss<B::Engine>,
{
    for case in cases() {
        for (chunk, recompute) in [(None, false), (Some(64), false), (Some(50), true)] {
            if recompute && case.bidirectional {
                continue;
            }
            let options = EngineOptions::default().optimizer(Optimizer::sgd(0.1).kind).input_gradient(true);
            let options = options.chunk(chunk).recompute(recompute);
            let engine = || backend.engine(&case.model(), &options).unwrap();
            let loss = CrossEntropy::new(&case, gpu);
            let custom = accumulated(&mut engine(), &case, Some(&loss));
            assert_same_bits(&case, &custom, &accumulated(&mut engine(), &case, None));
        }
    }
}

#[test]
fn a_cross_entropy_of_the_caller_gives_the_bits_of_the_built_in_one_on_the_cpu() {
    hold_cross_entropy(&Cpu::new(), None);
    hold_cross_entropy(&Cpu::<f64>::with_threads(2).unwrap(), None);
}

#[test]
fn a_cross_entropy_of_the_caller_gives_the_bits_of_the_built_in_one_on_the_gpu() {
    let Some(gpu) = gpu() else { return };
    hold_cross_entropy(&gpu, Some(&gpu));
}

/// Three steps of a trainer in micro-batches of two rows, with carried states and dropout.
fn hold_trainer<B: Backend>(backend: &B, gpu: Option<&Gpu>)
where
    CrossEntropy: CustomLoss<B::Engine>,
    B::Engine: Parameters<Real = f32>,
{
    for case in cases().into_iter().filter(|case| !case.bidirectional) {
        let options = TrainerOptions::default().micro_batch(2).carry_state(true);
        let make = || {
            let optimizer = Optimizer::adam(1e-2).clip_norm(0.1);
            Trainer::with_options(backend, &case.model(), optimizer, 1, options.clone()).unwrap()
        };
        let (mut own, mut built_in) = (make(), make());
        let (loss, batch) = (CrossEntropy::new(&case, gpu), case.batch());
        let weight = batch.total_weight();
        for _ in 0..3 {
            own.step_with(&batch.sequence, weight, &loss).wait().unwrap();
            built_in.step(&batch).wait().unwrap();
        }
        assert_eq!(own.finish().wait().unwrap(), built_in.finish().wait().unwrap(), "{case}");
        assert_eq!(own.state().wait().unwrap(), built_in.state().wait().unwrap(), "{case}");
        let evaluation = own.evaluate_with(&batch.sequence, weight, &loss).wait().unwrap();
        assert_eq!(evaluation, built_in.evaluate(&batch).wait().unwrap(), "{case}");
    }
}

#[test]
fn a_trainer_steps_with_a_loss_of_the_caller_as_with_that_of_the_head() {
    hold_trainer(&Cpu::new(), None);
    let Some(gpu) = gpu() else { return };
    hold_trainer(&gpu, Some(&gpu));
}

/// Loss, gradients and norms with log-cosh.
fn with_log_cosh<B: Backend>(backend: &B, case: &Case, gpu: Option<&Gpu>) -> Named
where
    LogCosh: CustomLoss<B::Engine>,
{
    let options = EngineOptions::default().optimizer(Optimizer::sgd(0.1).kind).input_gradient(true).chunk(3);
    let mut engine = backend.engine(&case.model(), &options).unwrap();
    accumulated(&mut engine, case, Some(&LogCosh::new(case, gpu)))
}

fn log_cosh_cases() -> impl Iterator<Item = Case> {
    PLACES.into_iter().map(|at| Case { at, ragged: true, ..Case::new(Cell::Gru) }.sizes([7, 5, 3, 4, 6]))
}

#[test]
fn the_gradient_of_log_cosh_is_that_of_central_differences() {
    const STEP: f64 = 1.0 / 131_072.0;
    for case in log_cosh_cases() {
        let (loss, sequence) = (LogCosh::new(&case, None), case.batch().sequence);
        let mut engine = Cpu::<f64>::with_threads(1).unwrap().engine(&case.model(), &EngineOptions::default()).unwrap();
        let mut block: Vec<f64> = case.parameters(&case.model());
        engine.set_parameters(&block).unwrap();
        engine.accumulate_with(&sequence, &loss, None).wait().unwrap();
        let gradient = engine.gradients().wait().unwrap();
        let mut at = |index: usize, by: f64| {
            block[index] += by;
            engine.set_parameters(&block).unwrap();
            block[index] -= by;
            engine.evaluate_with(&sequence, &loss).wait().unwrap().loss_sum
        };
        let differences: Vec<f64> =
            (0..gradient.len()).map(|index| (at(index, STEP) - at(index, -STEP)) / (2.0 * STEP)).collect();
        let array = |numbers| ArrayD::from_shape_vec(IxDyn(&[gradient.len()]), numbers).unwrap();
        assert_close(&case.to_string(), &array(gradient.clone()), &array(differences), 1e-6, 1e-3);
    }
}

#[test]
fn log_cosh_agrees_between_f64_f32_and_the_gpu() {
    let gpu = gpu();
    for case in log_cosh_cases() {
        let exact = with_log_cosh(&Cpu::<f64>::default(), &case, None);
        assert_all_close(&case, &with_log_cosh(&Cpu::new(), &case, None), &exact, 1e-4, 1e-2);
        let Some(gpu) = &gpu else { return };
        assert_all_close(&case, &with_log_cosh(gpu, &case, Some(gpu)), &exact, 1e-4, 1e-2);
    }
}

#[test]
fn a_loss_of_the_caller_adds_no_submission_and_no_read_back_and_its_writes_do_not_overtake() {
    let Some(gpu) = open(GpuOptions::default()) else { return };
    let case = Case { initial: false, loss: Loss::CrossEntropy, ..Case::new(Cell::Gru) }.sizes([6, 4, 2, 5, 3]);
    // Two batches in turn: a class that is written too early is that of the other batch.
    let losses = [0, 1].map(|shift| {
        let CrossEntropy(classes, kernel) = CrossEntropy::new(&case, Some(&gpu));
        CrossEntropy(classes.mapv_into(|class| (class + shift) % 3), kernel)
    });
    // One buffer for both.
    let kernel = || losses[0].1.as_ref().unwrap();
    let shared = |step: usize| {
        let classes = &losses[step % 2].0;
        move |mut range: GpuPredictions<'_>| {
            let classes: Vec<u32> = classes.slice(s![range.p.clone(), range.rows.clone()]).iter().copied().collect();
            kernel().record(&mut range, &classes);
        }
    };
    let batches = losses.each_ref().map(|loss| Batch { targets: Targets::Classes(loss.0.clone()), ..case.batch() });
    let make = || {
        let options = TrainerOptions::default().in_flight(8);
        Trainer::with_options(&gpu, &case.model(), Optimizer::sgd(0.1), 1, options).unwrap()
    };
    let (mut own, mut built_in) = (make(), make());
    let start = gpu.counters();
    for step in 0..9 {
        own.step_with(&batches[0].sequence, 24.0, &shared(step)).wait().unwrap();
    }
    let middle = gpu.counters();
    for step in 0..9 {
        built_in.step(&batches[step % 2]).wait().unwrap();
    }
    let end = gpu.counters();
    assert_eq!(
        (middle.submits - start.submits, middle.maps - start.maps),
        (end.submits - middle.submits, end.maps - middle.maps)
    );
    assert_eq!(own.state().wait().unwrap(), built_in.state().wait().unwrap());
}

#[test]
fn a_kernel_that_does_not_compile_is_refused_with_the_compilers_message() {
    let Some(gpu) = gpu() else { return };
    let refused = gpu.compute_pipeline("@compute @workgroup_size(64) fn loss() { let x = unknown; }").unwrap_err();
    assert!(refused.to_string().contains("the WGSL of the kernel: "), "{refused}");
    assert!(refused.to_string().contains("unknown"), "{refused}");
}

/// A loss that must not be called.
struct Unused;

impl CustomLoss<CpuEngine> for Unused {
    fn loss(&self, _: CpuPredictions<'_>) -> f64 {
        panic!("the step was not refused")
    }
}

impl CustomLoss<GpuEngine> for Unused {
    fn loss(&self, _: GpuPredictions<'_>) {
        panic!("the step was not refused")
    }
}

/// What refuses a step with a loss of the caller, in words. The loss is not called, and the next step is as if the refused
/// ones had not been tried.
fn refusals<B: Backend>(backend: &B, gpu: Option<&Gpu>) -> Vec<String>
where
    Unused: CustomLoss<B::Engine>,
    CrossEntropy: CustomLoss<B::Engine>,
    B::Engine: Parameters<Real = f32>,
{
    let case = Case { initial: false, loss: Loss::CrossEntropy, ..Case::new(Cell::Gru) }.sizes([6, 4, 2, 5, 3]);
    let (sequence, weight) = (case.batch().sequence, 24.0);
    let make = |optimizer: Optimizer| {
        let options = TrainerOptions::default().engine(EngineOptions::default().ema_decay(0.5));
        Trainer::with_options(backend, &case.model(), optimizer, 1, options).unwrap()
    };
    let mut refused = Vec::new();
    let mut refuse = |answer: bptt::Result<Option<StepReport>>| refused.push(answer.unwrap_err().to_string());

    let [mut trainer, mut other] = [0.1, 0.1].map(|rate| make(Optimizer::sgd(rate)));
    for weight in [-1.0, f64::NAN, f64::INFINITY] {
        refuse(trainer.step_with(&sequence, weight, &Unused).wait());
    }
    let wide = Sequence::dense(Array3::<f32>::zeros((6, 4, 3)));
    refuse(trainer.step_with(&wide, weight, &Unused).wait());
    refuse(trainer.averaged().unwrap().step_with(&sequence, weight, &Unused).wait());
    let loss = CrossEntropy::new(&case, gpu);
    for trainer in [&mut trainer, &mut other] {
        trainer.step_with(&sequence, weight, &loss).wait().unwrap();
    }
    assert_eq!(trainer.finish().wait().unwrap(), other.finish().wait().unwrap());
    assert_eq!(trainer.state().wait().unwrap(), other.state().wait().unwrap());

    let mut without_optimizer = make(Optimizer::custom("own", 0, 0.1));
    refuse(without_optimizer.step_with(&sequence, weight, &Unused).wait());
    without_optimizer.state().wait().unwrap(); // refused if a batch had been accumulated

    let nan = Sequence::dense(Array3::from_elem((6, 4, 2), f32::NAN));
    trainer.step_with(&nan, weight, &loss).wait().unwrap();
    trainer.finish().wait().unwrap_err();
    refuse(trainer.step_with(&sequence, weight, &Unused).wait());

    let headless = Model::headless(case.model().recurrent);
    let mut engine = backend.engine(&headless, &EngineOptions::default()).unwrap();
    refused.push(engine.accumulate_with(&sequence, &Unused, None).wait().unwrap_err().to_string());
    refused
}

#[test]
fn both_backends_refuse_a_step_with_a_loss_of_the_caller_in_the_same_words_and_leave_no_trace() {
    let refused = refusals(&Cpu::new(), None);
    let expected = [
        "weight: expected a finite number of at least 0, got -1",
        "weight: expected a finite number of at least 0, got NaN",
        "weight: expected a finite number of at least 0, got inf",
        "x: expected shape [6, 4, 2], got [6, 4, 3]",
        "an update needs the parameters, and their average is in their place",
        "the custom optimizer 'own' has not been given",
        "step 2: the loss is not finite",
        "this call needs a head, which the model lacks",
    ];
    assert_eq!(refused.len(), expected.len());
    for (refused, expected) in refused.iter().zip(expected) {
        assert!(refused.starts_with(expected), "{refused}, expected {expected}");
    }
    let Some(gpu) = gpu() else { return };
    assert_eq!(refusals(&gpu, Some(&gpu)), refused);
}

#[test]
fn a_nan_of_a_callers_loss_skips_the_update_as_any_other() {
    let case = Case::new(Cell::Gru);
    let mut trainer = Trainer::new(&Cpu::new(), &case.model(), Optimizer::sgd(0.1), 1).unwrap();
    let before = trainer.state().wait().unwrap().parameters;
    let nan = |predictions: CpuPredictions<'_>| predictions.map(|_| f64::NAN).sum::<f64>();
    trainer.step_with(&case.sequence::<f32>(), 12.0, &nan).wait().unwrap();
    let refused = trainer.finish().wait().unwrap_err();
    assert!(matches!(refused, bptt::Error::NonFinite { step: 1, what: "loss" }), "{refused}");
    assert_eq!(trainer.state().wait().unwrap().parameters, before);
}

#[test]
fn steps_that_share_a_submission_with_a_refused_command_of_the_caller_are_not_reported() {
    let Some(gpu) = open(GpuOptions::default()) else { return };
    let case = Case { initial: false, ..Case::new(Cell::Gru) }.sizes([6, 4, 2, 5, 3]);
    let buffer = |usage| {
        let descriptor = wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false };
        gpu.device().create_buffer(&descriptor)
    };
    // It cannot be a source.
    let (target, source) = (buffer(wgpu::BufferUsages::COPY_DST), buffer(wgpu::BufferUsages::COPY_DST));
    let wrong = |mut range: GpuPredictions<'_>| range.encoder().copy_buffer_to_buffer(&source, 0, &target, 0, 64);
    let options = TrainerOptions::default().in_flight(8);
    let mut trainer = Trainer::with_options(&gpu, &case.model(), Optimizer::sgd(0.1), 1, options).unwrap();
    // The buffers of both kinds of pass exist, and a submission has ended, so that the next one begins here.
    trainer.step(&case.batch()).wait().unwrap();
    trainer.step_with(&case.sequence::<f32>(), 24.0, &|_: GpuPredictions<'_>| {}).wait().unwrap();
    assert_eq!(trainer.finish().wait().unwrap().len(), 2);
    let mut failed = trainer.step(&case.batch()).wait().is_err();
    failed |= trainer.step_with(&case.sequence::<f32>(), 24.0, &wrong).wait().is_err();
    // Whoever asks for a report of either step gets an error, not a loss of 0.
    for _ in 0..2 {
        match trainer.engine().report().wait() {
            Err(bptt::Error::Device(_)) => failed = true,
            Ok(None) if failed => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(failed);
}

#[test]
fn unaligned_bytes_of_the_caller_are_refused_and_the_step_goes_on() {
    let Some(gpu) = open(GpuOptions::default()) else { return };
    let case = Case { initial: false, ..Case::new(Cell::Gru) }.sizes([6, 4, 2, 5, 3]);
    let usage = wgpu::BufferUsages::COPY_DST;
    let descriptor = wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false };
    let buffer = gpu.device().create_buffer(&descriptor);
    let mut trainer = Trainer::new(&gpu, &case.model(), Optimizer::sgd(0.1), 1).unwrap();
    let unaligned = |mut range: GpuPredictions<'_>| range.write(&buffer, 0, &[0; 6]);
    let refused = trainer.step_with(&case.sequence::<f32>(), 24.0, &unaligned).wait().unwrap_err().to_string();
    assert!(refused.contains("6"), "{refused}");
    trainer.step(&case.batch()).wait().unwrap();
    assert!(trainer.loss().wait().unwrap().unwrap() > 0.0);
}
