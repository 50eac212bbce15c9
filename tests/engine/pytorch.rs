//! What PyTorch computes in float64, to the last named gradient, at two sizes: the fixtures of `tests/fixtures/make.py`
//! and `make_large.py`.
//!
//! What each claim says is a function over a backend; a path joins by a line that calls it with that path's tolerance.

use crate::common;
use crate::common::fixtures::{Case, Fixtures};
use crate::common::{Named, assert_close, by_name, wide};
use bptt::ndarray::{Array1, ArrayD};
use bptt::{
    Backend, Cpu, EngineOptions, Inference, Layers, Layout, Model, Optimizer, OptimizerKind, OptimizerStep,
    OutputGradient, Parameters, Real, Reduction, States, Trainer, TrainerOptions, Training,
};
use pollster::block_on;

type RealOf<B> = <<B as Backend>::Engine as Parameters>::Real;

/// How near to PyTorch's float64 a path comes.
#[derive(Clone, Copy)]
enum Within {
    /// To 1e-10 of each number, or 1e-12: both sides round each of the operations behind a number by 1.1e-16, in
    /// another order, and what is left of terms that cancelled has no better than that.
    F64,
    /// To 20 times the distance of PyTorch's own float32, or 1e-6, of the tensor's largest element: the sums of a path
    /// have another order than PyTorch's, and their errors are as random as its own.
    F32,
}

/// Each of the arrays that a run named against the case's tensor of that name.
fn assert_all(case: Case<'_>, named: Named, within: Within) {
    for (name, got) in named.into_iter().flat_map(|(name, array)| case.kept(&name, array)) {
        let want = case.get(&name);
        let (relative, floor) = match within {
            Within::F64 => (1e-10, 1e-2),
            Within::F32 => {
                let largest = want.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
                (f64::max(20.0 * case.distance(&name), 1e-6), largest)
            }
        };
        assert_close(&format!("{}: {name}", case.name), &got, want, relative, floor);
    }
}

/// `{before}h{after}` and, for the LSTM, `{before}c{after}`.
fn named_states<R: Real>(before: &str, states: &States<R>, after: &str) -> Named {
    let arrays = [("h", Some(&states.h)), ("c", states.c.as_ref())];
    let there = arrays.into_iter().filter_map(|(letter, array)| Some((format!("{before}{letter}{after}"), array?)));
    there.map(|(name, array)| (name, wide(array))).collect()
}

/// One number a step, or a single one.
fn list(name: &str, values: impl IntoIterator<Item = f64>) -> (String, ArrayD<f64>) {
    (name.into(), Array1::from_iter(values).into_dyn())
}

fn outputs_states_and_gradients_equal_pytorchs<B: Backend>(
    backend: &B,
    stem: &str,
    chunk: Option<usize>,
    within: Within,
) {
    let fixtures = Fixtures::read(stem);
    for case in fixtures.cases() {
        let model = Model::headless(case.recurrent());
        let options = EngineOptions::default().chunk(chunk);
        let mut engine = backend.engine(&model, &options).unwrap();
        engine.set_parameters(&case.block(&Layout::new(&model), "weight")).unwrap();
        engine.set_dropout(case.masks());
        let result = block_on(engine.forward(&case.sequence())).unwrap();
        let mut named = named_states("", &result.states, "_n");
        named.push(("output".into(), wide(&result.output)));

        let gradient = OutputGradient {
            output: Some(case.array3::<RealOf<B>>("d_output")),
            h_n: Some(case.array3("d_h_n")),
            c_n: case.find("d_c_n").map(|_| case.array3("d_c_n")),
        };
        let below = block_on(engine.backward(&gradient)).unwrap();
        named.push(("dx".into(), wide(&below.x.unwrap())));
        named.extend(named_states("d", &below.initial, "_0"));
        let sums = block_on(engine.gradients()).unwrap();
        named.extend(by_name(engine.layout(), &sums, "gradient/"));
        assert_all(case, named, within);
    }
}

fn losses_and_gradients_equal_pytorchs<B: Backend>(backend: &B, stem: &str, chunk: Option<usize>, within: Within) {
    let fixtures = Fixtures::read(stem);
    for case in fixtures.cases() {
        let (model, batch) = (case.model(), case.batch());
        batch.validate(&model).unwrap();
        // Learns at a rate of 0, to read the loss and the norm where training reads them.
        let optimizer = Optimizer::sgd(0.0);
        let rule = Some(optimizer.kind);
        let options = EngineOptions::default().chunk(chunk).optimizer(rule).input_gradient(true);
        let mut engine = backend.engine(&model, &options).unwrap();
        let weights = case.block(&Layout::new(&model), "weight");
        engine.set_parameters(&weights).unwrap();
        let divisor = match model.head.as_ref().unwrap().reduction {
            Reduction::Mean | Reduction::SumOverOutputs => batch.total_weight(),
            Reduction::Sum => 1.0,
            other => panic!("no fixture has {other:?}"),
        };
        let evaluated = block_on(engine.evaluate(&batch)).unwrap().loss_sum / divisor;
        assert_all(case, vec![list("loss", [evaluated])], within);

        block_on(engine.accumulate(&batch, None)).unwrap();
        block_on(engine.update(&OptimizerStep::new(optimizer, 1, divisor))).unwrap();
        let report = block_on(engine.report()).unwrap().unwrap();
        assert_eq!(block_on(engine.parameters()).unwrap(), weights, "{}: a rate of 0 changes no weight", case.name);

        let below = block_on(engine.input_gradient()).unwrap();
        let gradients = block_on(engine.gradients()).unwrap();
        let mut sums = by_name(engine.layout(), &gradients, "gradient/");
        sums.extend(below.x.iter().map(|dx| ("dx".to_owned(), wide(dx))));
        sums.extend(named_states("d", &below.initial, "_0"));
        let mut named: Named = sums.into_iter().map(|(name, sum)| (name, sum / divisor)).collect();
        named.extend([list("loss", [report.loss]), list("norm", [report.norm])]);
        assert_all(case, named, within);
    }
}

fn logits_and_predictions_equal_pytorchs<B: Backend>(backend: &B, stem: &str, chunk: Option<usize>, within: Within) {
    let fixtures = Fixtures::read(stem);
    for case in fixtures.cases() {
        let model = case.model();
        let options = EngineOptions::default().chunk(chunk);
        let mut engine = backend.engine(&model, &options).unwrap();
        engine.set_parameters(&case.block(&Layout::new(&model), "weight")).unwrap();
        let mut logits = block_on(engine.logits(&case.sequence::<f32>())).unwrap().logits;
        assert_all(case, vec![("logits".into(), wide(&logits))], within);
        model.head.unwrap().loss.output(&mut logits);
        assert_all(case, vec![("predictions".into(), wide(&logits))], within);
    }
}

fn ten_steps_of_every_optimizer_reach_pytorchs_weights<B: Backend>(
    backend: &B,
    stem: &str,
    micro_batch: Option<usize>,
    within: Within,
) {
    let fixtures = Fixtures::read(stem);
    let start = fixtures.case("start");
    let (model, batch) = (start.model(), start.batch());
    for case in fixtures.cases().filter(|case| case.name != start.name) {
        let optimizer: Optimizer = case.setting("optimizer");
        let options = TrainerOptions::default().micro_batch(micro_batch);
        let mut trainer = Trainer::with_options(backend, &model, optimizer, 1, options).unwrap();
        let weights = start.block(&Layout::new(&model), "weight");
        trainer.engine().set_parameters(&weights).unwrap();
        let mut reports = Vec::new();
        for _ in 0..10 {
            reports.extend(block_on(trainer.step(&batch)).unwrap());
        }
        reports.extend(block_on(trainer.finish()).unwrap());
        let steps: Vec<u64> = reports.iter().map(|report| report.step).collect();
        assert_eq!(steps, Vec::from_iter(1..=10), "{}", case.name);
        let weights = block_on(trainer.engine().parameters()).unwrap();
        let mut named = by_name(&Layout::new(&model), &weights, "weight/");
        named.push(list("losses", reports.iter().map(|report| report.loss)));
        named.push(list("norms", reports.iter().map(|report| report.norm)));
        assert_all(case, named, within);
    }
}

/// dx, dh_0, dc_0 and the parameters' gradients of a stack in which gradients of `output`, h_n and c_n come down one
/// after the other: the sums take them up, and each of them alone is zero for the two others.
fn gradients_of_each_result_add_up_to_pytorchs<B: Backend>(backend: &B, stem: &str, within: Within) {
    let fixtures = Fixtures::read(stem);
    for case in fixtures.cases() {
        let model = Model::headless(case.recurrent());
        let mut engine = backend.engine(&model, &EngineOptions::default()).unwrap();
        engine.set_parameters(&case.block(&Layout::new(&model), "weight")).unwrap();
        let none = OutputGradient::<RealOf<B>>::default;
        let parts = [
            Some(OutputGradient { output: Some(case.array3("d_output")), ..none() }),
            Some(OutputGradient { h_n: Some(case.array3("d_h_n")), ..none() }),
            case.find("d_c_n").map(|_| OutputGradient { c_n: Some(case.array3("d_c_n")), ..none() }),
        ];
        let mut named = Named::new();
        for part in parts.into_iter().flatten() {
            block_on(engine.forward(&case.sequence())).unwrap();
            let below = block_on(engine.backward(&part)).unwrap();
            let mut arrays = vec![("dx".to_owned(), wide(&below.x.unwrap()))];
            arrays.extend(named_states("d", &below.initial, "_0"));
            if named.is_empty() {
                named = arrays
            } else {
                named.iter_mut().zip(arrays).for_each(|((_, sum), (_, array))| *sum += &array)
            }
        }
        let sums = block_on(engine.gradients()).unwrap();
        named.extend(by_name(engine.layout(), &sums, "gradient/"));
        assert_all(case, named, within);
    }
}

#[test]
fn parameters_have_pytorchs_names_shapes_and_order() {
    for (stem, with_head, count) in [
        ("stack", false, 32),
        ("head", true, 24),
        ("dropout", false, 3),
        ("loss", true, 12),
        ("likelihood", true, 9),
        ("embedding", true, 4),
        ("projected_stack", false, 8),
        ("projected_head", true, 3),
        ("large_stack", false, 24),
        ("large_head", true, 5),
    ] {
        let fixtures = Fixtures::read(stem);
        assert_eq!(fixtures.cases().count(), count);
        for case in fixtures.cases() {
            let model = if with_head { case.model() } else { Model::headless(case.recurrent()) };
            let layout = Layout::new(&model);
            let names: Vec<&str> = layout.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
            let theirs = case.parameter_names();
            let prefix = if with_head { "" } else { "rnn." };
            let theirs: Vec<String> = theirs.iter().map(|name| format!("{prefix}{name}")).collect();
            assert_eq!(names, theirs, "{}", case.name);
            for tensor in layout.tensors() {
                let shape = case.get(&format!("weight/{}", tensor.name)).shape();
                assert_eq!(shape, tensor.shape, "{}: {}", case.name, tensor.name);
            }
        }
    }
}

#[test]
fn a_single_wrong_element_shows_in_both_checksum_products() {
    let fixtures = Fixtures::read("large_stack");
    let case = fixtures.case("gru-l2d2-packed");
    let name = "gradient/weight_hh_l1_reverse";
    let right = ArrayD::zeros(vec![144, 48]);
    for (row, column) in [(0, 0), (77, 5), (143, 47)] {
        let mut wrong = right.clone();
        wrong[[row, column]] = 1.0;
        let differs = |at: usize| {
            let (got, want) = (case.kept(name, wrong.clone()), case.kept(name, right.clone()));
            (&got[at].1 - &want[at].1).iter().map(|difference| difference.abs() >= 0.5).collect::<Vec<_>>()
        };
        assert_eq!(differs(0), (0..144).map(|other| other == row).collect::<Vec<_>>());
        assert_eq!(differs(1), (0..48).map(|other| other == column).collect::<Vec<_>>());
    }
}

#[test]
fn the_fixtures_have_ten_steps_of_every_optimizer() {
    let settings = |stem: &str| -> Vec<Optimizer> {
        let fixtures = Fixtures::read(stem);
        fixtures.cases().filter(|case| case.name != "start").map(|case| case.setting("optimizer")).collect()
    };
    let all = settings("optimizer");
    all.iter().for_each(|optimizer| optimizer.validate().unwrap());
    let has = |holds: fn(&Optimizer) -> bool| all.iter().any(holds);
    assert!(has(|o| matches!(o.kind, OptimizerKind::Sgd { momentum: 0.0, .. })));
    assert!(has(|o| matches!(o.kind, OptimizerKind::Sgd { dampening, .. } if dampening > 0.0)));
    assert!(has(|o| matches!(o.kind, OptimizerKind::Sgd { nesterov: true, .. })));
    assert!(has(|o| matches!(o.kind, OptimizerKind::RmsProp { momentum: 0.0, centered: false, .. })));
    assert!(has(|o| matches!(o.kind, OptimizerKind::RmsProp { centered: true, .. })));
    assert!(has(|o| matches!(o.kind, OptimizerKind::Adam { .. }) && o.weight_decay > 0.0));
    assert!(has(|o| matches!(o.kind, OptimizerKind::AdamW { .. }) && o.weight_decay > 0.0));
    assert!(has(|o| o.clip_norm.is_some() && o.clip_value.is_some()));
    // At the large size all but RMSprop: see make_large.py.
    let rules = |all: &[Optimizer]| all.iter().map(|optimizer| optimizer.kind).collect::<Vec<_>>();
    let mut others = rules(&all);
    others.retain(|rule| !matches!(rule, OptimizerKind::RmsProp { .. }));
    assert_eq!(rules(&settings("large_optimizer")), others);
}

fn cpu_f64() -> Cpu<f64> {
    Cpu::with_threads(1).unwrap()
}

const STACKS: [&str; 4] = ["stack", "dropout", "projected_stack", "large_stack"];
const HEADS: [&str; 6] = ["head", "loss", "likelihood", "embedding", "projected_head", "large_head"];
const OPTIMIZERS: [&str; 2] = ["optimizer", "large_optimizer"];

#[test]
fn outputs_states_and_gradients_equal_pytorchs_in_f64() {
    STACKS.iter().for_each(|stem| outputs_states_and_gradients_equal_pytorchs(&cpu_f64(), stem, None, Within::F64));
}

#[test]
fn outputs_states_and_gradients_equal_pytorchs_in_f32() {
    STACKS.iter().for_each(|stem| outputs_states_and_gradients_equal_pytorchs(&Cpu::new(), stem, None, Within::F32));
}

#[test]
fn outputs_states_and_gradients_equal_pytorchs_on_the_gpu() {
    let Some(gpu) = common::gpu::gpu() else { return };
    STACKS.iter().for_each(|stem| outputs_states_and_gradients_equal_pytorchs(&gpu, stem, None, Within::F32));
}

#[test]
fn outputs_states_and_gradients_equal_pytorchs_on_the_gpu_in_chunks_of_3() {
    let Some(gpu) = common::gpu::gpu() else { return };
    STACKS.iter().for_each(|stem| outputs_states_and_gradients_equal_pytorchs(&gpu, stem, Some(3), Within::F32));
}

#[test]
fn the_gradients_of_output_h_n_and_c_n_alone_add_up_to_pytorchs() {
    gradients_of_each_result_add_up_to_pytorchs(&cpu_f64(), "stack", Within::F64);
    gradients_of_each_result_add_up_to_pytorchs(&cpu_f64(), "projected_stack", Within::F64);
    gradients_of_each_result_add_up_to_pytorchs(&cpu_f64(), "large_stack", Within::F64);
    for stem in ["stack", "projected_stack"] {
        common::gpu::gpu().iter().for_each(|gpu| gradients_of_each_result_add_up_to_pytorchs(gpu, stem, Within::F32));
    }
}

#[test]
fn losses_and_gradients_equal_pytorchs_in_f64() {
    HEADS.iter().for_each(|stem| losses_and_gradients_equal_pytorchs(&cpu_f64(), stem, None, Within::F64));
}

#[test]
fn losses_and_gradients_equal_pytorchs_in_f32() {
    HEADS.iter().for_each(|stem| losses_and_gradients_equal_pytorchs(&Cpu::new(), stem, None, Within::F32));
}

#[test]
fn losses_and_gradients_equal_pytorchs_on_the_gpu() {
    let Some(gpu) = common::gpu::gpu() else { return };
    HEADS.iter().for_each(|stem| losses_and_gradients_equal_pytorchs(&gpu, stem, None, Within::F32));
}

#[test]
fn logits_and_predictions_equal_pytorchs_in_f64() {
    HEADS.iter().for_each(|stem| logits_and_predictions_equal_pytorchs(&cpu_f64(), stem, None, Within::F64));
}

#[test]
fn logits_and_predictions_equal_pytorchs_in_f32() {
    HEADS.iter().for_each(|stem| logits_and_predictions_equal_pytorchs(&Cpu::new(), stem, None, Within::F32));
}

#[test]
fn logits_and_predictions_equal_pytorchs_on_the_gpu_in_chunks_of_3() {
    let Some(gpu) = common::gpu::gpu() else { return };
    HEADS.iter().for_each(|stem| logits_and_predictions_equal_pytorchs(&gpu, stem, Some(3), Within::F32));
}

#[test]
fn ten_steps_of_every_optimizer_reach_pytorchs_weights_in_f64() {
    for stem in OPTIMIZERS {
        ten_steps_of_every_optimizer_reach_pytorchs_weights(&cpu_f64(), stem, None, Within::F64);
    }
}

#[test]
fn ten_steps_of_every_optimizer_reach_pytorchs_weights_in_f32() {
    for stem in OPTIMIZERS {
        ten_steps_of_every_optimizer_reach_pytorchs_weights(&Cpu::new(), stem, None, Within::F32);
    }
}

#[test]
fn ten_steps_of_every_optimizer_reach_pytorchs_weights_on_the_gpu() {
    let Some(gpu) = common::gpu::gpu() else { return };
    for stem in OPTIMIZERS {
        ten_steps_of_every_optimizer_reach_pytorchs_weights(&gpu, stem, None, Within::F32);
    }
}

#[test]
fn ten_steps_in_micro_batches_of_two_rows_reach_pytorchs_weights_in_f64() {
    ten_steps_of_every_optimizer_reach_pytorchs_weights(&cpu_f64(), "optimizer", Some(2), Within::F64);
}
