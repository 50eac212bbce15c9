//! Numbers far from 1: what a path computes of them keeps its digits, and both backends mean the same by a setting that
//! their type cannot hold.

use crate::common;
use crate::common::Case;
use crate::common::gpu::gpu;
use bptt::ndarray::{Array2, Array3};
use bptt::{
    Activation, Backend, Batch, Cell, Cpu, EngineOptions, Error, Inference, Layers, Loss, Model, Optimizer,
    OptimizerKind, OptimizerStep, OutputGradient, Parameters, Readout, Real, Sequence, StepReport, Targets, Trainer,
    Training,
};
use pollster::block_on;

/// An engine whose parameters are 0 but for those of these names.
fn engine<B: Backend>(backend: &B, model: &Model, rule: Option<OptimizerKind>, set: &[(&str, Vec<f64>)]) -> B::Engine {
    let mut engine = backend.engine(model, &EngineOptions::default().optimizer(rule)).unwrap();
    let mut block = vec![<B::Engine as Parameters>::Real::from_f64(0.0); engine.layout().len()];
    for (name, values) in set {
        let tensor = engine.layout().tensors().iter().find(|tensor| tensor.name.ends_with(name)).unwrap().clone();
        assert_eq!(tensor.len(), values.len(), "{name}");
        block[tensor.range()].iter_mut().zip(values).for_each(|(to, value)| *to = Real::from_f64(*value));
    }
    engine.set_parameters(&block).unwrap();
    engine
}

/// `$test` on the CPU in f32 and f64, and on the GPU.
macro_rules! on_every_path {
    ($test:expr) => {
        $test(&Cpu::<f64>::with_threads(1).unwrap(), "f64");
        $test(&Cpu::<f32>::with_threads(1).unwrap(), "f32");
        if let Some(gpu) = gpu() {
            $test(&gpu, "GPU");
        }
    };
}

/// (h, dx) of one step over rows of one number each, by the one weight that is not 0.
fn one_step<B: Backend>(backend: &B, cell: Cell, x: &[f32]) -> Vec<(f64, f64)> {
    let case = Case { initial: false, ..Case::new(cell) }.sizes([1, x.len(), 1, 1, 1]);
    let weights = match cell {
        Cell::Lstm => vec![0.0, 0.0, 1.0, 0.0],
        Cell::Gru => vec![0.0, 0.0, 1.0],
        Cell::Rnn(_) => vec![1.0],
        other => unreachable!("{other:?}"),
    };
    let mut engine = engine(backend, &case.headless(), None, &[("weight_ih_l0", weights)]);
    let real = |value: f32| <B::Engine as Parameters>::Real::from_f64(value.into());
    let dense = Array3::from_shape_fn((1, x.len(), 1), |(_, row, _)| real(x[row]));
    let h = block_on(engine.forward(&Sequence::dense(dense))).unwrap().output;
    let output = Some(Array3::from_elem((1, x.len(), 1), real(1.0)));
    let dx = block_on(engine.backward(&OutputGradient { output, ..OutputGradient::default() })).unwrap().x.unwrap();
    h.iter().zip(&dx).map(|(h, dx)| (h.as_f64(), dx.as_f64())).collect()
}

fn small_inputs_keep_their_digits_through_every_activation<B: Backend>(backend: &B, path: &str) {
    let magnitudes = (0..400).map(|i| 10f64.powf(-30.0 + 31.2 * f64::from(i) / 399.0) as f32);
    let x: Vec<f32> = magnitudes.flat_map(|x| [x, -x]).chain([0.2499, 0.25, 0.2501, 40.0, -200.0]).collect();
    for cell in [Cell::Rnn(Activation::Tanh), Cell::Rnn(Activation::Sigmoid), Cell::Lstm, Cell::Gru] {
        for (x, (h, dx)) in x.iter().zip(one_step(backend, cell, &x)) {
            let x = f64::from(*x);
            let tanh = x.tanh();
            let (want, slope) = match cell {
                Cell::Rnn(Activation::Sigmoid) => {
                    let h = 1.0 / (1.0 + (-x).exp());
                    (h, h * (1.0 - h))
                }
                // Half of what enters, and half of what leaves.
                Cell::Lstm => {
                    ((0.5 * tanh).tanh() / 2.0, (1.0 - (0.5 * tanh).tanh().powi(2)) / 4.0 * (1.0 - tanh * tanh))
                }
                Cell::Gru => (tanh / 2.0, (1.0 - tanh * tanh) / 2.0),
                Cell::Rnn(_) => (tanh, 1.0 - tanh * tanh),
                other => unreachable!("{other:?}"),
            };
            // What saturates is a difference of numbers near 1; a tail below f32 is 0 or the least that is held.
            let right = (h - want).abs() <= 2e-6 * want.abs() + 1e-34 && (dx - slope).abs() <= 2e-6 * slope + 3e-7;
            assert!(right, "{path}, {cell:?}, x {x:e}: {h:e} and {dx:e}, expected {want:e} and {slope:e}");
        }
    }
}

#[test]
fn small_inputs_keep_their_digits_through_every_activation_on_every_backend() {
    on_every_path!(small_inputs_keep_their_digits_through_every_activation);
}

/// Loss and its gradient over the head's bias of a network whose logits are that bias: 3 rows of one prediction.
pub(crate) fn of_logits<B: Backend>(
    backend: &B,
    loss: Loss,
    logits: &[f64],
    targets: Targets,
    weights: &[f32],
) -> (f64, Vec<f64>) {
    let case =
        Case { initial: false, loss, at: Readout::Final, ..Case::new(Cell::Gru) }.sizes([2, 3, 1, 2, logits.len()]);
    let mut engine = engine(backend, &case.model(), None, &[("head.bias", logits.to_vec())]);
    let mut batch = Batch::new(Sequence::dense(Array3::zeros((2, 3, 1))), targets);
    batch.weights = Some(Array2::from_shape_fn((1, 3), |(_, row)| weights[row]));
    block_on(engine.accumulate(&batch, None)).unwrap();
    let gradient = common::gradients(&mut engine).into_iter().find(|(name, _)| name == "d head.bias").unwrap().1;
    (block_on(engine.evaluate(&batch)).unwrap().loss_sum, gradient.iter().copied().collect())
}

fn close(got: f64, want: f64) -> bool {
    (got - want).abs() <= 3e-6 * want.abs() + 1e-37
}

fn cross_entropy_of_equal_logits_is_the_logarithm_of_their_number<B: Backend>(backend: &B, path: &str) {
    for outputs in [2, 4, 9, 130] {
        for logit in [0.0, 1.0, 1e4, 1e6, 1e8, -1e8, 3e37] {
            for smoothing in [0.0, 0.25] {
                let loss = match smoothing {
                    0.0 => Loss::CrossEntropy,
                    smoothing => Loss::SmoothedCrossEntropy { smoothing },
                };
                // As class weights are given: by the weight of each prediction.
                let weights = [0.5, 2.0, 0.0];
                let classes = Targets::Classes(Array2::from_shape_fn((1, 3), |(_, row)| (row % outputs) as u32));
                let (loss, gradient) = of_logits(backend, loss, &vec![logit; outputs], classes, &weights);
                let what = format!("{path}, {outputs} logits of {logit:e}, smoothing {smoothing}");
                assert!(close(loss, 2.5 * (outputs as f64).ln()), "{what}: {loss}");
                for (o, got) in gradient.into_iter().enumerate() {
                    let own = weights.get(o).filter(|_| o < 2).map_or(0.0, |weight| f64::from(*weight));
                    let want = (1.0 - smoothing) * (2.5 / outputs as f64 - own);
                    assert!((got - want).abs() <= 3e-6, "{what}: {got} {want}");
                }
            }
        }
    }
}

#[test]
fn cross_entropy_of_equal_logits_is_the_log_of_their_number() {
    on_every_path!(cross_entropy_of_equal_logits_is_the_logarithm_of_their_number);
}

fn binary_cross_entropy_keeps_its_digits<B: Backend>(backend: &B, path: &str) {
    for logit in [0.0, 1e-4, 0.7, 20.0, 60.0, 1e4, 1e6, 1e8] {
        for sign in [1.0, -1.0] {
            for y in [0.0f32, 0.25, 1.0 - 1e-6, 1.0] {
                let logits = [sign * logit];
                let values = Targets::Values(Array3::from_elem((1, 3, 1), y));
                let (loss, gradient) = of_logits(backend, Loss::BinaryCrossEntropy, &logits, values, &[1.0, 0.0, 0.5]);
                let (a, y) = (f64::from(logits[0] as f32), f64::from(y));
                // Each part by itself, none of which is a difference.
                let want = 1.5 * (if a < 0.0 { -a * y } else { a * (1.0 - y) } + (-a.abs()).exp().ln_1p());
                assert!(close(loss, want), "{path}, logit {a:e}, target {y}: {loss:e}, expected {want:e}");
                let want = 1.5 * (1.0 / (1.0 + (-a).exp()) - y);
                assert!((gradient[0] - want).abs() <= 3e-7, "{path}, logit {a:e}, target {y}: {} {want}", gradient[0]);
            }
        }
    }
}

#[test]
fn binary_cross_entropy_keeps_its_digits_for_large_logits_and_near_0() {
    on_every_path!(binary_cross_entropy_keeps_its_digits);
}

fn quantiles_near_0_and_1_keep_their_digits<B: Backend>(backend: &B, path: &str) {
    let quantiles = vec![1e-7, 1e-3, 0.5, 0.999, 1.0 - 1e-7, 1.0 - 1e-12];
    for (logit, target) in [(2.0, 0.5f32), (-1.0, 0.5)] {
        let values = Targets::Values(Array3::from_elem((1, 3, 1), target));
        let loss = Loss::Quantile { quantiles: quantiles.clone() };
        let (_, gradient) = of_logits(backend, loss, &[logit; 6], values, &[1.0, 0.0, 0.5]);
        for (q, got) in quantiles.iter().zip(gradient) {
            // The loss is averaged over the outputs.
            let want = 1.5 / 6.0 * if logit > 0.5 { 1.0 - q } else { -q };
            assert!(close(got, want), "{path}, quantile {q}, logit {logit}: {got:e}, expected {want:e}");
        }
    }
}

#[test]
fn quantiles_near_0_and_1_keep_their_digits_on_every_backend() {
    on_every_path!(quantiles_near_0_and_1_keep_their_digits);
}

/// The report and the parameters of one clipped step of h_t = `growth`·h_{t−1}, whose one input is at the first step.
fn exploding<B: Backend>(backend: &B, growth: f64, steps: usize, rule: Optimizer) -> (StepReport, Vec<f64>) {
    let case = Case {
        initial: false,
        bias: false,
        loss: Loss::AbsoluteError,
        at: Readout::Final,
        ..Case::new(Cell::Rnn(Activation::Identity))
    };
    let case = case.sizes([steps, 2, 1, 3, 1]);
    let identity: Vec<f64> = (0..9).map(|i| if i % 4 == 0 { growth } else { 0.0 }).collect();
    let set =
        [("weight_ih_l0", vec![1.0, -0.5, 0.25]), ("weight_hh_l0", identity), ("head.weight", vec![0.5, 1.0, 2.0])];
    let mut engine = engine(backend, &case.model(), Some(rule.kind), &set);
    let x = Array3::from_shape_fn((steps, 2, 1), |(t, row, _)| if t == 0 { 1.0 + row as f32 } else { 0.0 });
    let batch = Batch::new(Sequence::dense(x), Targets::Values(Array3::zeros((1, 2, 1))));
    block_on(engine.accumulate(&batch, None)).unwrap();
    block_on(engine.update(&OptimizerStep::new(rule, 1, 2.0))).unwrap();
    let report = block_on(engine.report()).unwrap().unwrap();
    (report, block_on(engine.parameters()).unwrap().into_iter().map(|w| w.as_f64()).collect())
}

#[test]
fn gradient_norms_whose_squares_overflow_or_underflow_f32_are_right() {
    let reference = Cpu::<f64>::with_threads(1).unwrap();
    let clipped = Optimizer::sgd(0.5).clip_norm(1.0);
    for (growth, steps) in [(1.3, 200), (1.3, 300), (0.5, 90), (1.0, 5)] {
        let (want, parameters) = exploding(&reference, growth, steps, clipped);
        let check = |path: &str, (report, got): (StepReport, Vec<f64>)| {
            let what = format!("{path}, {growth}, {steps} steps: {report:?}, expected {want:?}");
            assert!(!report.skipped && (report.norm / want.norm - 1.0).abs() < 1e-4, "{what}");
            let right = got.iter().zip(&parameters).all(|(got, want)| (got - want).abs() < 1e-4);
            assert!(right, "{what}: {got:?}, expected {parameters:?}");
        };
        check("f32", exploding(&Cpu::<f32>::with_threads(1).unwrap(), growth, steps, clipped));
        if let Some(gpu) = gpu() {
            check("GPU", exploding(&gpu, growth, steps, clipped));
        }
    }
    // Beyond the squares of f64.
    let (report, parameters) = exploding(&reference, 1.3, 1500, clipped);
    assert!(report.norm > 1e165 && report.norm.is_finite() && parameters.iter().all(|w| w.is_finite()), "{report:?}");
}

#[test]
fn a_loss_or_norm_beyond_f32_is_skipped_in_f32_and_not_in_f64() {
    fn skipped<B: Backend>(backend: &B, target: f32, loss: Loss) -> (bool, Vec<f64>) {
        let case = Case { initial: false, loss, at: Readout::Final, ..Case::new(Cell::Gru) }.sizes([1, 1, 1, 1, 1]);
        let optimizer = Optimizer::sgd(1e-30).clip_norm(1.0);
        let options = EngineOptions::default().optimizer(optimizer.kind).max_skipped_updates(1);
        let mut engine = backend.engine(&case.model(), &options).unwrap();
        let values = Targets::Values(Array3::from_elem((1, 1, 1), target));
        block_on(engine.accumulate(&Batch::new(Sequence::dense(Array3::zeros((1, 1, 1))), values), None)).unwrap();
        block_on(engine.update(&OptimizerStep::new(optimizer, 1, 1.0))).unwrap();
        let report = block_on(engine.report()).unwrap().unwrap();
        assert_eq!(report.skipped, !(report.loss.is_finite() && report.norm.is_finite()), "{report:?}");
        (report.skipped, vec![report.loss, report.norm])
    }
    for (target, loss, bad) in [
        (1e18, Loss::SquaredError, false),
        (1e20, Loss::SquaredError, true),
        (1e20, Loss::AbsoluteError, false),
        (3e38, Loss::AbsoluteError, false),
    ] {
        assert!(!skipped(&Cpu::<f64>::with_threads(1).unwrap(), target, loss.clone()).0);
        let (on_cpu, told) = skipped(&Cpu::<f32>::with_threads(1).unwrap(), target, loss.clone());
        assert_eq!(on_cpu, bad, "{target:e}, {loss:?}: {told:?}");
        if let Some(gpu) = gpu() {
            let (on_gpu, told) = skipped(&gpu, target, loss.clone());
            assert_eq!(on_gpu, bad, "{target:e}, {loss:?}: {told:?}");
        }
    }
}

/// The parameters after some steps, of which the first ones see only the first of two inputs.
fn after_steps<B: Backend>(backend: &B, optimizer: Optimizer) -> Vec<f64> {
    let case = Case { initial: false, ..Case::new(Cell::Lstm) }.sizes([3, 2, 2, 3, 1]);
    let model = case.model();
    let options = EngineOptions::default().optimizer(optimizer.kind);
    let mut engine = backend.engine(&model, &options).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    let mut batch = case.batch();
    batch.sequence =
        Sequence::dense(Array3::from_shape_fn(
            (3, 2, 2),
            |(t, row, i)| {
                if i == 0 { 0.5 + (t + 2 * row) as f32 / 8.0 } else { 0.0 }
            },
        ));
    for step in 1..=4 {
        block_on(engine.accumulate(&batch, None)).unwrap();
        block_on(engine.update(&OptimizerStep::new(optimizer, step, batch.total_weight()))).unwrap();
    }
    while block_on(engine.report()).unwrap().is_some() {}
    block_on(engine.parameters()).unwrap().into_iter().map(|w| w.as_f64()).collect()
}

/// Both backends in f32 as the one in f64.
fn assert_one_meaning(optimizer: Optimizer, tolerance: f64) {
    let want = after_steps(&Cpu::<f64>::with_threads(1).unwrap(), optimizer);
    assert!(want.iter().all(|w| w.is_finite()), "{optimizer:?}: {want:?}");
    let check = |path: &str, got: Vec<f64>| {
        let right = got.iter().zip(&want).all(|(got, want)| (got - want).abs() <= tolerance);
        assert!(right, "{path}, {optimizer:?}: {got:?}, expected {want:?}");
    };
    check("f32", after_steps(&Cpu::<f32>::with_threads(1).unwrap(), optimizer));
    if let Some(gpu) = gpu() {
        check("GPU", after_steps(&gpu, optimizer));
    }
}

/// Every rule that divides by a root.
fn rules(eps: f64) -> Vec<OptimizerKind> {
    let mut rules = vec![
        OptimizerKind::Adam { beta1: 0.9, beta2: 0.99, eps },
        OptimizerKind::AdamW { beta1: 0.5, beta2: 0.9, eps },
    ];
    for (momentum, centered) in [(0.0, false), (0.9, false), (0.0, true), (0.9, true)] {
        rules.push(OptimizerKind::RmsProp { alpha: 0.9, eps, momentum, centered });
    }
    rules
}

#[test]
fn with_an_epsilon_of_0_a_weight_without_a_gradient_stays_unchanged() {
    for eps in [0.0, 1e-46] {
        for rule in rules(eps) {
            assert_one_meaning(Optimizer::new(rule, 1e-3), 2e-5);
        }
    }
}

#[test]
fn settings_that_round_to_0_or_1_in_f32_mean_the_rounded_value_on_every_backend() {
    for momentum in [1e-46, 1e-40, 1.0 - 1e-12] {
        let rule = |nesterov, dampening| OptimizerKind::Sgd { momentum, dampening, nesterov };
        assert_one_meaning(Optimizer::new(rule(false, 0.5), 0.1), 1e-6);
        assert_one_meaning(Optimizer::new(rule(true, 0.0), 0.1), 1e-6);
    }
    for (beta1, beta2) in [(1e-46, 0.99), (1.0 - 1e-12, 0.99), (0.9, 1e-46), (0.9, 1.0 - 1e-12)] {
        assert_one_meaning(Optimizer::new(OptimizerKind::Adam { beta1, beta2, eps: 1e-4 }, 1e-3), 2e-5);
    }
    for alpha in [1e-46, 1.0 - 1e-12] {
        let rule = OptimizerKind::RmsProp { alpha, eps: 1e-4, momentum: 0.0, centered: false };
        assert_one_meaning(Optimizer::new(rule, 1e-7), 2e-5);
    }
    for tiny in [1e-46, 1e-40] {
        assert_one_meaning(Optimizer::sgd(tiny), 1e-7);
        assert_one_meaning(Optimizer::sgd(0.1).weight_decay(tiny), 1e-6);
        assert_one_meaning(Optimizer::adamw(1e-3).weight_decay(tiny), 2e-5);
    }
    // Beyond every number that f32 holds nothing is clipped.
    let loose = Optimizer::sgd(0.1).clip_norm(f64::INFINITY).clip_value(1e39);
    assert_one_meaning(loose, 1e-6);
}

fn what_a_type_cannot_hold<B: Backend>(backend: &B, path: &str) {
    let narrow = path != "f64";
    let model = Case::new(Cell::Gru).model();
    let sgd = Optimizer::sgd(0.1);
    let with_rule = |rule| Optimizer::new(rule, 0.1);
    for (name, optimizer) in [
        ("clip_norm", sgd.clip_norm(1e-46)),
        ("clip_norm", sgd.clip_norm(1e-39)),
        ("clip_value", sgd.clip_value(1e-46)),
        ("learning_rate", Optimizer::sgd(1e39)),
        ("learning_rate", Optimizer::adam(1e38)),
        ("learning_rate times weight_decay", Optimizer::adamw(1e10).weight_decay(1e30)),
        ("weight_decay", sgd.weight_decay(1e39)),
        ("momentum", with_rule(OptimizerKind::Sgd { momentum: 1e39, dampening: 0.0, nesterov: false })),
        ("dampening", with_rule(OptimizerKind::Sgd { momentum: 0.9, dampening: -1e39, nesterov: false })),
        ("eps", with_rule(OptimizerKind::Adam { beta1: 0.9, beta2: 0.99, eps: 1e39 })),
        ("eps", with_rule(OptimizerKind::RmsProp { alpha: 0.9, eps: 1e39, momentum: 0.0, centered: false })),
        ("alpha", with_rule(OptimizerKind::RmsProp { alpha: 1e39, eps: 1e-8, momentum: 0.0, centered: false })),
    ] {
        let made = Trainer::new(backend, &model, optimizer, 1).map(drop);
        let options = EngineOptions::default().optimizer(optimizer.kind);
        let mut engine = backend.engine(&model, &options).unwrap();
        let updated = block_on(engine.update(&OptimizerStep::new(optimizer, 1, 1.0)));
        for result in [made, updated] {
            let named = matches!(&result, Err(Error::Value { what, .. }) if what == name);
            assert!(if narrow { named } else { result.is_ok() }, "{path}, {name}: {result:?}");
        }
    }
    let mut trainer = Trainer::new(backend, &model, sgd, 1).unwrap();
    assert_eq!(trainer.set_learning_rate(1e39).is_err(), narrow);
    let mut engine = backend.engine(&model, &EngineOptions::default().optimizer(sgd.kind)).unwrap();
    for divisor in [1e-45, 1e38] {
        let result = block_on(engine.update(&OptimizerStep::new(sgd, 1, divisor)));
        assert_eq!(result.is_err(), narrow, "{path}, divisor {divisor:e}: {result:?}");
    }
}

#[test]
fn a_setting_that_the_number_type_cannot_hold_is_refused_by_name() {
    on_every_path!(what_a_type_cannot_hold);
}
