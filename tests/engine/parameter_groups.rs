//! Parameter groups against the formulas in f64, on either backend.

use std::ops::Range;

use crate::common::Case;
use crate::common::gpu::{gpu, open};
use bptt::gpu::{GpuOptions, Tiles};
use bptt::{
    Backend, Cell, Cpu, Engine, EngineOptions, Error, Inspection, Layers, MemoryPart, Optimizer, OptimizerKind,
    OptimizerStep, ParameterGroup, Parameters, Real, Targets, Trainer, TrainerOptions, Training,
};
use pollster::block_on;

const STEPS: u64 = 6;
const CLIP: f64 = 0.01;

/// Of more than one chunk of the norm on either backend, and of sizes that are no multiples of 4.
fn case() -> Case {
    Case { initial: false, layers: 2, ..Case::new(Cell::Gru) }.sizes([4, 3, 3, 31, 5]).embedded(7)
}

fn optimizers() -> Vec<Optimizer> {
    let sgd = |momentum| Optimizer::new(OptimizerKind::Sgd { momentum, dampening: 0.0, nesterov: false }, 0.05);
    let all = [sgd(0.0), sgd(0.9), Optimizer::rmsprop(0.01), Optimizer::adam(0.01), Optimizer::adamw(0.01)];
    all.map(|optimizer| optimizer.weight_decay(0.1)).into()
}

fn groups() -> Vec<ParameterGroup> {
    vec![
        ParameterGroup::new("embedding.*").frozen(),
        ParameterGroup::new("head.*").learning_rate_factor(4.0).weight_decay(0.0),
        ParameterGroup::new("*.bias_?h_l1").learning_rate_factor(0.5),
    ]
}

/// The learning-rate factor, weight decay and tensors of [`groups`], by hand.
fn settings(name: &str, decay: f64) -> Option<(f64, f64)> {
    match name {
        "embedding.weight" => None,
        "head.weight" | "head.bias" => Some((4.0, 0.0)),
        "rnn.bias_ih_l1" | "rnn.bias_hh_l1" => Some((0.5, decay)),
        _ => Some((1.0, decay)),
    }
}

fn engine<B: Backend>(backend: &B, optimizer: Optimizer, groups: Vec<ParameterGroup>) -> B::Engine {
    let (case, model) = (case(), case().model());
    let options = EngineOptions::default().optimizer(optimizer.kind).parameter_groups(groups);
    let mut engine = backend.engine(&model, &options).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    engine
}

fn wide<R: Real>(numbers: Vec<R>) -> Vec<f64> {
    numbers.into_iter().map(|number| number.as_f64()).collect()
}

/// Parameters and optimizer state.
fn blocks<E: Engine>(engine: &mut E) -> Vec<Vec<f64>> {
    let mut blocks = vec![wide(block_on(engine.parameters()).unwrap())];
    blocks.extend(block_on(engine.optimizer_state()).unwrap().into_iter().map(wide));
    blocks
}

/// One step over the batch, and its report's norm.
fn step<E: Engine>(engine: &mut E, optimizer: Optimizer, step: u64) -> f64 {
    block_on(engine.accumulate(&case().batch(), None)).unwrap();
    block_on(engine.update(&OptimizerStep::new(optimizer, step, 12.0))).unwrap();
    block_on(engine.report()).unwrap().unwrap().norm
}

/// The update of one range by torch.optim's formulas; `blocks` holds the parameters and then the state.
fn update(
    optimizer: Optimizer,
    (factor, decay): (f64, f64),
    t: u64,
    at: Range<usize>,
    g: &[f64],
    blocks: &mut [Vec<f64>],
) {
    let rate = factor * optimizer.learning_rate;
    for i in at {
        let w = blocks[0][i];
        match optimizer.kind {
            OptimizerKind::Sgd { momentum, .. } => {
                let mut d = g[i] + decay * w;
                if momentum != 0.0 {
                    blocks[1][i] = if t == 1 { d } else { momentum * blocks[1][i] + d };
                    d = blocks[1][i];
                }
                blocks[0][i] = w - rate * d;
            }
            OptimizerKind::RmsProp { alpha, eps, .. } => {
                let d = g[i] + decay * w;
                blocks[1][i] = alpha * blocks[1][i] + (1.0 - alpha) * d * d;
                blocks[0][i] = w - rate * d / (blocks[1][i].sqrt() + eps);
            }
            OptimizerKind::Adam { beta1, beta2, eps } | OptimizerKind::AdamW { beta1, beta2, eps } => {
                let decoupled = matches!(optimizer.kind, OptimizerKind::AdamW { .. });
                let (d, w) = if decoupled { (g[i], w - rate * decay * w) } else { (g[i] + decay * w, w) };
                blocks[1][i] = beta1 * blocks[1][i] + (1.0 - beta1) * d;
                blocks[2][i] = beta2 * blocks[2][i] + (1.0 - beta2) * d * d;
                let m = blocks[1][i] / (1.0 - beta1.powi(t as i32));
                let v = blocks[2][i] / (1.0 - beta2.powi(t as i32));
                blocks[0][i] = w - rate * m / (v.sqrt() + eps);
            }
            _ => unreachable!(),
        }
    }
}

fn assert_close(got: &[f64], want: &[f64], within: f64, what: &str) {
    assert_eq!(got.len(), want.len());
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= within, "{what} at {index}: {got}, expected {want}");
    }
}

#[test]
fn groups_and_clipping_follow_pytorchs_formulas() {
    let cpu = Cpu::<f64>::with_threads(1).unwrap();
    for optimizer in optimizers() {
        let optimizer = optimizer.clip_norm(CLIP);
        let mut engine = engine(&cpu, optimizer, groups());
        let layout = engine.layout().clone();
        let trained: Vec<_> = layout
            .tensors()
            .iter()
            .filter_map(|tensor| Some((tensor.range(), settings(&tensor.name, optimizer.weight_decay)?)))
            .collect();
        let frozen = layout.tensors()[layout.index_of("embedding.weight").unwrap()].range();
        let mut want = blocks(&mut engine);
        let before = want[0][frozen.clone()].to_vec();
        for t in 1..=STEPS {
            let norm = step(&mut engine, optimizer, t);
            // The frozen tensor's too is computed.
            let mut g = wide(block_on(engine.gradients()).unwrap());
            assert!(g[frozen.clone()].iter().any(|g| *g != 0.0));
            g.iter_mut().for_each(|g| *g /= 12.0);
            let counted = trained.iter().flat_map(|(range, _)| &g[range.clone()]);
            let expected = counted.map(|g| g * g).sum::<f64>().sqrt();
            assert!((norm - expected).abs() < 1e-12 * expected, "{norm}, expected {expected}");
            assert!(expected > CLIP, "the limit is met: {expected}");
            g.iter_mut().for_each(|g| *g *= CLIP / (expected + 1e-6));
            for (range, settings) in &trained {
                update(optimizer, *settings, t, range.clone(), &g, &mut want);
            }
            let got = blocks(&mut engine);
            for (index, (got, want)) in got.iter().zip(&want).enumerate() {
                assert_close(got, want, 1e-13, &format!("{:?}, step {t}, block {index}", optimizer.kind));
            }
            assert_eq!(got[0][frozen.clone()], before);
            assert!(got[1..].iter().all(|block| block[frozen.clone()].iter().all(|number| *number == 0.0)));
        }
    }
}

#[test]
fn groups_on_the_gpu_equal_those_in_f64() {
    let Some(gpu) = gpu() else { return };
    for optimizer in optimizers() {
        let optimizer = optimizer.clip_norm(CLIP);
        let mut reference = engine(&Cpu::<f64>::with_threads(1).unwrap(), optimizer, groups());
        let mut engine = engine(&gpu, optimizer, groups());
        let frozen = engine.layout().tensors()[0].range();
        let before = blocks(&mut engine)[0][frozen.clone()].to_vec();
        for t in 1..=STEPS {
            let (norm, expected) = (step(&mut engine, optimizer, t), step(&mut reference, optimizer, t));
            assert!((norm - expected).abs() < 1e-5 * expected, "{norm}, expected {expected}");
        }
        let (got, want) = (blocks(&mut engine), blocks(&mut reference));
        for (index, (got, want)) in got.iter().zip(&want).enumerate() {
            assert_close(got, want, 2e-5, &format!("{:?}, block {index}", optimizer.kind));
        }
        assert_eq!(got[0][frozen.clone()], before);
        assert!(got[1..].iter().all(|block| block[frozen.clone()].iter().all(|number| *number == 0.0)));
    }
}

fn ranges_of_the_same_settings_give_the_bits_of_one<B: Backend>(backend: &B) {
    for optimizer in optimizers() {
        let run = |groups: Vec<ParameterGroup>| {
            let mut engine = engine(backend, optimizer, groups);
            (1..=STEPS).for_each(|t| assert!(step(&mut engine, optimizer, t) > 0.0));
            blocks(&mut engine)
        };
        // The same numbers, but settings of their own.
        let own = |pattern: &str| ParameterGroup::new(pattern).weight_decay(optimizer.weight_decay);
        let want = run(Vec::new());
        assert_eq!(run(vec![own("*weight_?h_l0"), own("head.bias")]), want, "{:?}", optimizer.kind);
        assert_eq!(run(vec![ParameterGroup::new("*")]), want, "{:?}", optimizer.kind);
        assert_ne!(run(groups())[0], want[0], "{:?}", optimizer.kind);
    }
}

#[test]
fn ranges_of_the_same_settings_give_the_bits_of_one_on_both_backends() {
    ranges_of_the_same_settings_give_the_bits_of_one(&Cpu::<f32>::with_threads(1).unwrap());
    ranges_of_the_same_settings_give_the_bits_of_one(&Cpu::<f32>::with_threads(3).unwrap());
    gpu().iter().for_each(ranges_of_the_same_settings_give_the_bits_of_one);
}

#[test]
fn an_update_leaves_the_copies_of_w_hh_on_a_gpu_as_if_they_were_made_anew() {
    let Some(gpu) = open(GpuOptions::default().tiles(Tiles::Hardware)) else { return };
    let of_w_hh = |layer| ParameterGroup::new(format!("*.weight_hh_l{layer}"));
    let apart = vec![of_w_hh(0).frozen(), of_w_hh(1).learning_rate_factor(0.5)];
    for optimizer in optimizers() {
        for groups in [Vec::new(), groups(), apart.clone()] {
            let mut kept = engine(&gpu, optimizer, groups.clone());
            let mut anew = engine(&gpu, optimizer, groups);
            for number in 1..=STEPS {
                step(&mut kept, optimizer, number);
                step(&mut anew, optimizer, number);
                let parameters = block_on(anew.parameters()).unwrap();
                anew.set_parameters(&parameters).unwrap();
            }
            assert_eq!(blocks(&mut kept), blocks(&mut anew), "{optimizer:?}");
        }
    }
}

fn a_factor_of_0_is_not_frozen<B: Backend>(backend: &B) {
    let optimizer = Optimizer::adam(0.01).weight_decay(0.1);
    let mut norms = Vec::new();
    for (frozen, group) in [(true, ParameterGroup::new("head.*").frozen()), (false, ParameterGroup::new("head.*"))] {
        let mut engine = engine(backend, optimizer, vec![group.learning_rate_factor(0.0)]);
        let head = engine.layout().tensors().iter().find(|tensor| tensor.name == "head.weight").unwrap().range();
        let before = blocks(&mut engine)[0][head.clone()].to_vec();
        norms.push(step(&mut engine, optimizer, 1));
        let after = blocks(&mut engine);
        assert_eq!(after[0][head.clone()], before);
        assert_eq!(after[1][head].iter().all(|m| *m == 0.0), frozen);
    }
    assert!(norms[0] < norms[1], "{norms:?}");
}

#[test]
fn a_factor_of_0_keeps_the_weights_but_counts_in_the_norm_and_the_optimizer_state() {
    a_factor_of_0_is_not_frozen(&Cpu::<f64>::with_threads(1).unwrap());
    gpu().iter().for_each(a_factor_of_0_is_not_frozen);
}

fn a_restored_trainer_goes_on_with_its_groups<B: Backend>(backend: &B) {
    let optimizer = Optimizer::adamw(0.01).clip_norm(CLIP);
    let make = || {
        let options = TrainerOptions::default().engine(EngineOptions::default().parameter_groups(groups()));
        Trainer::with_options(backend, &case().model(), optimizer, 3, options).unwrap()
    };
    let go = |trainer: &mut Trainer<B::Engine>| {
        for t in 1..=4 {
            // As a schedule does.
            trainer.set_learning_rate(0.01 / f64::from(t)).unwrap();
            block_on(trainer.step(&case().batch())).unwrap();
        }
        block_on(trainer.state()).unwrap()
    };
    let (mut trainer, mut restored) = (make(), make());
    restored.restore(&go(&mut trainer)).unwrap();
    assert_eq!(go(&mut restored), go(&mut trainer));
}

#[test]
fn a_restored_trainer_goes_on_with_its_groups_on_both_backends() {
    a_restored_trainer_goes_on_with_its_groups(&Cpu::<f32>::with_threads(1).unwrap());
    gpu().iter().for_each(a_restored_trainer_goes_on_with_its_groups);
}

fn groups_are_checked_and_planned<B: Backend>(backend: &B) {
    let (model, optimizer) = (case().model(), Optimizer::adam(0.01));
    let options =
        |groups: Vec<ParameterGroup>| EngineOptions::default().optimizer(optimizer.kind).parameter_groups(groups);
    let unknown = options(vec![ParameterGroup::new("decoder.*").frozen()]);
    let shape = case().batch().sequence.batch_shape();
    let refused = [backend.engine(&model, &unknown).err(), backend.plan(&model, &unknown, shape, false).err()];
    for error in refused {
        let Some(Error::Value { what, expected, got }) = error else { panic!("{error:?}") };
        assert_eq!((what.as_str(), got.as_str()), ("the pattern of a parameter group", "'decoder.*'"));
        assert!(expected.contains("rnn.weight_hh_l1"), "{expected}");
    }
    for groups in [Vec::new(), groups()] {
        let options = options(groups);
        let mut engine = backend.engine(&model, &options).unwrap();
        let planned = backend.plan(&model, &options, shape, false).unwrap();
        assert_eq!(engine.plan(shape).unwrap(), planned);
        block_on(engine.accumulate(&case().batch(), None)).unwrap();
        let held = engine.memory();
        assert_eq!(held.of(MemoryPart::Optimizer), planned.of(MemoryPart::Optimizer));
        assert!(held.total() <= planned.total(), "{held:?}, planned {planned:?}");
        // A rate beyond the type's range changes nothing.
        let before = blocks(&mut engine);
        if options.parameter_groups.len() > 1 {
            let most = if size_of::<<B::Engine as Parameters>::Real>() == 4 { f64::from(f32::MAX) } else { f64::MAX };
            let refused = block_on(engine.update(&OptimizerStep::new(optimizer.learning_rate(most / 20.0), 1, 1.0)));
            let Err(Error::Value { what, .. }) = refused else { panic!("{refused:?}") };
            assert_eq!(what, "learning_rate");
            assert_eq!(blocks(&mut engine), before);
        }
    }
}

#[test]
fn groups_are_checked_and_planned_on_both_backends() {
    groups_are_checked_and_planned(&Cpu::<f32>::with_threads(1).unwrap());
    groups_are_checked_and_planned(&Cpu::<f64>::with_threads(1).unwrap());
    gpu().iter().for_each(groups_are_checked_and_planned);
}

fn a_refused_step_leaves_no_gradients<B: Backend>(backend: &B) {
    let most = if size_of::<<B::Engine as Parameters>::Real>() == 4 { f64::from(f32::MAX) } else { f64::MAX };
    let [refused, untouched] = [true, false].map(|refused| {
        let options = TrainerOptions::default().engine(EngineOptions::default().parameter_groups(groups()));
        let mut trainer = Trainer::with_options(backend, &case().model(), Optimizer::adam(0.01), 3, options).unwrap();
        if refused {
            let mut other = case().batch();
            let Targets::Values(targets) = &mut other.targets else { panic!("the targets of a regression") };
            targets.fill(1.0);
            trainer.set_learning_rate(most / 20.0).unwrap();
            let error = block_on(trainer.step(&other)).unwrap_err();
            assert!(error.to_string().starts_with("learning_rate"), "{error}");
            trainer.set_learning_rate(0.01).unwrap();
        }
        block_on(trainer.step(&case().batch())).unwrap();
        block_on(trainer.state()).unwrap()
    });
    assert_eq!(refused, untouched);
}

#[test]
fn a_step_refused_for_a_group_leaves_no_gradients_on_both_backends() {
    a_refused_step_leaves_no_gradients(&Cpu::<f32>::with_threads(1).unwrap());
    a_refused_step_leaves_no_gradients(&Cpu::<f64>::with_threads(1).unwrap());
    gpu().iter().for_each(a_refused_step_leaves_no_gradients);
}
