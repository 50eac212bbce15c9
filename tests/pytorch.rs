//! What PyTorch computes in float64, to the last named gradient: the fixtures of `tests/fixtures/make.py`.
//!
//! What each claim says is a function over a backend; a path joins by a line that calls it with that path's tolerance.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands, as it should")]

mod common;
#[path = "common/fixtures.rs"]
mod fixtures;

use bptt::ndarray::{Array1, ArrayD};
use bptt::{
    Backend, Cpu, Engine, EngineOptions, Layout, Model, Optimizer, OutputGradient, Real, Reduction, Rule, States,
    Trainer, TrainerOptions, Update,
};
use common::{Named, assert_close, by_name, wide};
use fixtures::{Case, Fixtures};
use pollster::block_on;

type RealOf<B> = <<B as Backend>::Engine as Engine>::Real;

/// Each of the arrays that a run named against the case's tensor of that name.
fn assert_all(case: Case<'_>, named: Named, relative: f64, floor: f64) {
    for (name, got) in named {
        assert_close(&format!("{}: {name}", case.name), &got, case.get(&name), relative, floor);
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
    (relative, floor): (f64, f64),
) {
    let fixtures = Fixtures::read(stem);
    for case in fixtures.cases() {
        let model = Model::headless(case.recurrent());
        let options = EngineOptions { chunk, ..EngineOptions::default() };
        let mut engine = backend.engine(&model, &options).unwrap();
        engine.set_parameters(&case.block(&Layout::new(&model), "weight")).unwrap();
        engine.set_masks(case.masks());
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
        assert_all(case, named, relative, floor);
    }
}

fn losses_and_gradients_equal_pytorchs<B: Backend>(backend: &B, chunk: Option<usize>, relative: f64, floor: f64) {
    for fixtures in [Fixtures::read("head"), Fixtures::read("loss")] {
        losses_and_gradients_equal_those_of(&fixtures, backend, chunk, relative, floor);
    }
}

fn losses_and_gradients_equal_those_of<B: Backend>(
    fixtures: &Fixtures,
    backend: &B,
    chunk: Option<usize>,
    relative: f64,
    floor: f64,
) {
    for case in fixtures.cases() {
        let (model, batch) = (case.model(), case.batch());
        batch.validate(&model).unwrap();
        // Learns at a rate of 0, to read the loss and the norm where training reads them.
        let optimizer = Optimizer::sgd(0.0);
        let rule = Some(optimizer.rule);
        let options = EngineOptions { chunk, rule, input_gradient: true, ..EngineOptions::default() };
        let mut engine = backend.engine(&model, &options).unwrap();
        let weights = case.block(&Layout::new(&model), "weight");
        engine.set_parameters(&weights).unwrap();
        let divisor = match model.head.as_ref().unwrap().reduction {
            Reduction::Mean | Reduction::SumOverOutputs => batch.total_weight(),
            Reduction::Sum => 1.0,
        };
        let evaluated = block_on(engine.evaluate(&batch)).unwrap().loss / divisor;
        assert_all(case, vec![list("loss", [evaluated])], relative, floor);

        block_on(engine.accumulate(&batch, None)).unwrap();
        block_on(engine.update(&Update { optimizer, step: 1, divisor })).unwrap();
        let report = block_on(engine.report()).unwrap().unwrap();
        let squares = case.block::<f64>(engine.layout(), "gradient").into_iter().map(|d| d * d);
        let norm = Array1::from_elem(1, squares.sum::<f64>().sqrt()).into_dyn();
        assert_close(&format!("{}: norm", case.name), &list("", [report.norm]).1, &norm, relative, floor);
        assert_eq!(block_on(engine.parameters()).unwrap(), weights, "{}: a rate of 0 changes no weight", case.name);

        let below = block_on(engine.input_gradient()).unwrap();
        let gradients = block_on(engine.gradients()).unwrap();
        let mut sums = by_name(engine.layout(), &gradients, "gradient/");
        sums.push(("dx".into(), wide(&below.x.unwrap())));
        sums.extend(named_states("d", &below.initial, "_0"));
        let mut named: Named = sums.into_iter().map(|(name, sum)| (name, sum / divisor)).collect();
        named.push(list("loss", [report.loss]));
        assert_all(case, named, relative, floor);
    }
}

fn logits_and_predictions_equal_pytorchs<B: Backend>(backend: &B, chunk: Option<usize>, relative: f64, floor: f64) {
    for fixtures in [Fixtures::read("head"), Fixtures::read("loss")] {
        logits_and_predictions_equal_those_of(&fixtures, backend, chunk, relative, floor);
    }
}

fn logits_and_predictions_equal_those_of<B: Backend>(
    fixtures: &Fixtures,
    backend: &B,
    chunk: Option<usize>,
    relative: f64,
    floor: f64,
) {
    for case in fixtures.cases() {
        let model = case.model();
        let options = EngineOptions { chunk, ..EngineOptions::default() };
        let mut engine = backend.engine(&model, &options).unwrap();
        engine.set_parameters(&case.block(&Layout::new(&model), "weight")).unwrap();
        let mut logits = block_on(engine.logits(&case.sequence())).unwrap().logits;
        assert_all(case, vec![("logits".into(), wide(&logits))], relative, floor);
        model.head.unwrap().loss.output(&mut logits);
        assert_all(case, vec![("predictions".into(), wide(&logits))], relative, floor);
    }
}

fn ten_steps_of_every_optimizer_end_at_pytorchs_weights<B: Backend>(
    backend: &B,
    micro_batch: Option<usize>,
    relative: f64,
    floor: f64,
) {
    let fixtures = Fixtures::read("optimizer");
    let start = fixtures.case("start");
    let (model, batch) = (start.model(), start.batch());
    for case in fixtures.cases().filter(|case| case.name != start.name) {
        let optimizer: Optimizer = serde_json::from_value(case.description.clone()).unwrap();
        let options = TrainerOptions { micro_batch, ..TrainerOptions::default() };
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
        assert_all(case, named, relative, floor);
    }
}

#[test]
fn parameters_have_pytorchs_names_shapes_and_order() {
    for (stem, with_head, count) in
        [("stack", false, 32), ("head", true, 24), ("dropout", false, 3), ("loss", true, 12)]
    {
        let fixtures = Fixtures::read(stem);
        assert_eq!(fixtures.cases().count(), count);
        for case in fixtures.cases() {
            let model = if with_head { case.model() } else { Model::headless(case.recurrent()) };
            let layout = Layout::new(&model);
            let names: Vec<&str> = layout.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
            assert_eq!(names, case.parameter_names(), "{}", case.name);
            for tensor in layout.tensors() {
                let shape = case.get(&format!("weight/{}", tensor.name)).shape();
                assert_eq!(shape, tensor.shape, "{}: {}", case.name, tensor.name);
            }
        }
    }
}

#[test]
fn every_rule_has_ten_steps_to_be_held_against() {
    let fixtures = Fixtures::read("optimizer");
    let settings = fixtures.cases().filter(|case| case.name != "start");
    let all: Vec<Optimizer> = settings.map(|case| serde_json::from_value(case.description.clone()).unwrap()).collect();
    all.iter().for_each(|optimizer| optimizer.validate().unwrap());
    let has = |holds: fn(&Optimizer) -> bool| all.iter().any(holds);
    assert!(has(|o| matches!(o.rule, Rule::Sgd { momentum: 0.0, .. })));
    assert!(has(|o| matches!(o.rule, Rule::Sgd { dampening, .. } if dampening > 0.0)));
    assert!(has(|o| matches!(o.rule, Rule::Sgd { nesterov: true, .. })));
    assert!(has(|o| matches!(o.rule, Rule::RmsProp { momentum: 0.0, centered: false, .. })));
    assert!(has(|o| matches!(o.rule, Rule::RmsProp { centered: true, .. })));
    assert!(has(|o| matches!(o.rule, Rule::Adam { .. }) && o.weight_decay > 0.0));
    assert!(has(|o| matches!(o.rule, Rule::AdamW { .. }) && o.weight_decay > 0.0));
    assert!(has(|o| o.clip_norm.is_some() && o.clip_value.is_some()));
}

/// f64: both sides round each of the few hundred operations behind a number by 1.1e-16, in another order. The floor is
/// the size below which a number is what is left of terms that cancelled.
const F64: (f64, f64) = (1e-10, 1e-2);
/// f32 rounds each operation by u = 6e-8. A gradient sums T·B = 35 products of order 1, each of which came through up
/// to T·L = 14 products of at most 2·H = 8 terms: errors that add up as a random walk make u·√(35 + 14·8) = 7e-7. The
/// worst of some twenty thousand numbers may be five times that, relative · floor = 4e-6. Ten steps of RMSprop or Adam
/// divide a gradient by its own size, so that a small one's error counts in full: the weights end within the same.
const F32: (f64, f64) = (2e-5, 0.2);

fn cpu_f64() -> Cpu<f64> {
    Cpu::with_threads(1).unwrap()
}

#[test]
fn outputs_states_and_gradients_equal_pytorchs_in_f64() {
    outputs_states_and_gradients_equal_pytorchs(&cpu_f64(), "stack", None, F64);
}

#[test]
fn outputs_states_and_gradients_equal_pytorchs_in_f32() {
    outputs_states_and_gradients_equal_pytorchs(&Cpu::new(), "stack", None, F32);
}

#[test]
fn outputs_states_and_gradients_through_masks_equal_pytorchs_autograd_in_f64_and_f32() {
    outputs_states_and_gradients_equal_pytorchs(&cpu_f64(), "dropout", None, F64);
    outputs_states_and_gradients_equal_pytorchs(&Cpu::new(), "dropout", None, F32);
}

#[test]
fn outputs_states_and_gradients_through_masks_equal_pytorchs_autograd_on_the_gpu_in_chunks_of_3_and_t() {
    let Some(gpu) = common::gpu::gpu() else { return };
    outputs_states_and_gradients_equal_pytorchs(&gpu, "dropout", None, F32);
    outputs_states_and_gradients_equal_pytorchs(&gpu, "dropout", Some(3), F32);
}

#[test]
fn losses_and_gradients_equal_pytorchs_in_f64() {
    losses_and_gradients_equal_pytorchs(&cpu_f64(), None, F64.0, F64.1);
}

#[test]
fn losses_and_gradients_equal_pytorchs_in_f32() {
    losses_and_gradients_equal_pytorchs(&Cpu::new(), None, F32.0, F32.1);
}

#[test]
fn logits_and_predictions_equal_pytorchs_in_f64() {
    logits_and_predictions_equal_pytorchs(&cpu_f64(), None, F64.0, F64.1);
}

#[test]
fn logits_and_predictions_equal_pytorchs_in_f32() {
    logits_and_predictions_equal_pytorchs(&Cpu::new(), None, F32.0, F32.1);
}

#[test]
fn ten_steps_of_every_optimizer_end_at_pytorchs_weights_in_f64() {
    ten_steps_of_every_optimizer_end_at_pytorchs_weights(&cpu_f64(), None, F64.0, F64.1);
}

#[test]
fn ten_steps_of_every_optimizer_end_at_pytorchs_weights_in_f32() {
    ten_steps_of_every_optimizer_end_at_pytorchs_weights(&Cpu::new(), None, F32.0, F32.1);
}

#[test]
fn ten_steps_in_micro_batches_of_two_rows_end_at_pytorchs_weights_in_f64() {
    ten_steps_of_every_optimizer_end_at_pytorchs_weights(&cpu_f64(), Some(2), F64.0, F64.1);
}

#[test]
fn outputs_states_and_gradients_equal_pytorchs_on_the_gpu_in_chunks_of_3_and_t() {
    let Some(gpu) = common::gpu::gpu() else { return };
    outputs_states_and_gradients_equal_pytorchs(&gpu, "stack", None, F32);
    outputs_states_and_gradients_equal_pytorchs(&gpu, "stack", Some(3), F32);
}

#[test]
fn losses_logits_and_gradients_equal_pytorchs_on_the_gpu() {
    let Some(gpu) = common::gpu::gpu() else { return };
    losses_and_gradients_equal_pytorchs(&gpu, None, F32.0, F32.1);
    logits_and_predictions_equal_pytorchs(&gpu, Some(3), F32.0, F32.1);
}

#[test]
fn ten_steps_of_every_optimizer_end_at_pytorchs_weights_on_the_gpu() {
    let Some(gpu) = common::gpu::gpu() else { return };
    ten_steps_of_every_optimizer_end_at_pytorchs_weights(&gpu, None, F32.0, F32.1);
}
