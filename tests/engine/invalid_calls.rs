//! Invalid arguments at random, of every public call: both backends refuse them in the same words, and change nothing.

use std::ops::Range;

use crate::common::gpu::gpu;
use crate::common::{Case, fill};
use crate::random_calls::{BATCH_FAULTS, Data, Dice, Fault, SEQUENCE_FAULTS, draw_case};
use bptt::gpu::GpuEngine;
use bptt::ndarray::{Array3, ArrayD, IxDyn};
use bptt::{
    Backend, BatchShape, Cpu, CpuEngine, CpuPredictions, CustomLoss, DropoutKey, EngineOptions, Error, FlatBlock,
    GpuPredictions, Inference, Inspection, Layers, Optimizer, OptimizerStep, OutputGradient, Parameters,
    RecurrentKernel, Result, Session, StateDict, StatefulRows, States, Trainer, TrainerOptions, Training, Wait,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// A loss that is never reached.
struct Unreached;

impl CustomLoss<CpuEngine> for Unreached {
    fn loss(&self, _: CpuPredictions<'_>) -> f64 {
        panic!("a refused call reached the loss")
    }
}

impl CustomLoss<GpuEngine> for Unreached {
    fn loss(&self, _: GpuPredictions<'_>) {
        panic!("a refused call reached the loss")
    }
}

/// How often the calls are drawn.
const ROWS: u64 = 60;

/// What was refused, and in which words.
struct Refusals(Vec<(String, String)>);

impl Refusals {
    #[track_caller]
    fn push<T>(&mut self, call: impl Into<String>, result: Result<T>) {
        let call = call.into();
        match result {
            Ok(_) => panic!("{call} was accepted"),
            Err(error) => self.0.push((call, error.to_string())),
        }
    }
}

fn data(case: &Case, fault: Fault) -> Data {
    Data { case: case.clone(), fault: Some(fault) }
}

fn bad_options(dice: &mut Dice) -> TrainerOptions {
    let options = TrainerOptions::default();
    match dice.below(3) {
        0 => options.in_flight(0),
        1 => options.micro_batch(0),
        _ => options.engine(EngineOptions::default().chunk(0)),
    }
}

fn bad_optimizer(good: Optimizer, dice: &mut Dice) -> Optimizer {
    let bad = dice.of(&[-1.0, f64::NAN, f64::INFINITY, -1e-300]);
    match dice.below(5) {
        0 => good.learning_rate(bad),
        1 => good.weight_decay(bad),
        2 => good.momentum(bad),
        3 => good.clip_norm(dice.of(&[0.0, -1.0, f64::NAN])),
        _ => good.clip_value(dice.of(&[0.0, -1.0, f64::NAN])),
    }
}

fn bad_step(good: Optimizer, dice: &mut Dice) -> OptimizerStep {
    match dice.below(4) {
        0 => OptimizerStep::new(good, 0, 1.0),
        1 => OptimizerStep::new(good, 1, dice.of(&[0.0, -1.0, f64::NAN, f64::INFINITY, 1e-40, 1e300])),
        2 => OptimizerStep::new(Optimizer::rmsprop(0.1), 1, 1.0),
        _ => OptimizerStep::new(bad_optimizer(good, dice), 1, 1.0),
    }
}

/// Gradients of another shape than the forward pass.
fn bad_gradient(case: &Case, dice: &mut Dice) -> OutputGradient {
    let recurrent = case.recurrent();
    let (steps, rows) = (case.steps, case.rows);
    let states = (recurrent.num_layer_directions(), rows, recurrent.hidden_size);
    let mut gradient = OutputGradient::default();
    match dice.below(3) {
        0 => {
            let (t, b, size) = (steps, rows, recurrent.output_size());
            gradient.output =
                Some(Array3::zeros(dice.of(&[(t + 1, b, size), (t, b + 1, size), (t, b, size + 1), (0, 0, 0)])));
        }
        1 => {
            gradient.h_n = Some(Array3::zeros(dice.of(&[(states.0 + 1, states.1, states.2), (states.0, 0, states.2)])))
        }
        _ if recurrent.cell.has_cell_state() => gradient.c_n = Some(Array3::zeros((states.0, states.1, states.2 + 1))),
        _ => gradient.c_n = Some(Array3::zeros(states)),
    }
    gradient
}

/// States of another network or of no rows.
fn bad_states(case: &Case, dice: &mut Dice) -> States {
    let mut states = States::zeros(&case.recurrent(), case.rows);
    match dice.below(3) {
        0 => states.h = Array3::zeros((states.h.dim().0, case.rows, states.h.dim().2 + 1)),
        1 => states = States::zeros(&case.recurrent(), 0),
        _ => states.c = if states.c.is_some() { None } else { Some(states.h.clone()) },
    }
    states
}

/// A range of tensors that is not within `count`.
fn bad_range(count: usize, dice: &mut Dice) -> Range<usize> {
    dice.of(&[0..count + 1, count + 1..count + 2, Range { start: 2, end: 1 }, usize::MAX - 1..usize::MAX])
}

/// Every call of an engine with invalid arguments; the parameters, gradients and carried states stay.
fn of_engine<B: Backend>(backend: &B, number: u64, refused: &mut Refusals)
where
    B::Engine: Parameters<Real = f32>,
    Unreached: CustomLoss<B::Engine>,
{
    let dice = &mut Dice(ChaCha8Rng::seed_from_u64(number));
    let case = Case { dropout: (0.0, 0.4), ..draw_case(dice) };
    let (model, optimizer) = (case.model(), Optimizer::sgd(0.1).momentum(0.9));
    let options = EngineOptions::default().optimizer(optimizer.kind);
    let mut engine = backend.engine(&model, &options).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    engine.accumulate(&case.batch(), None).wait().unwrap();
    let count = engine.layout().tensors().len();
    let before = (engine.parameters().wait().unwrap(), engine.gradients().wait().unwrap());

    refused.push("input_gradient", engine.input_gradient().wait());
    refused.push("hidden_gradient_norms", engine.hidden_gradient_norms().wait());
    refused.push("profile", engine.profile().wait());
    let fault = dice.of(&SEQUENCE_FAULTS);
    let sequence = data(&case, fault).sequence();
    refused.push(format!("forward {fault:?}"), engine.forward(&sequence).wait());
    refused.push(format!("logits {fault:?}"), engine.logits(&sequence).wait());
    refused.push(format!("planned_bytes {fault:?}"), engine.planned_bytes(&sequence));
    let fault = dice.of(&[&SEQUENCE_FAULTS[..], &BATCH_FAULTS].concat());
    let batch = data(&case, fault).batch();
    refused.push(format!("accumulate {fault:?}"), engine.accumulate(&batch, None).wait());
    refused.push(format!("evaluate {fault:?}"), engine.evaluate(&batch).wait());
    let beyond = StatefulRows { first_row: dice.of(&[1, 7, usize::MAX]), rows: case.rows };
    refused.push(format!("accumulate {beyond:?}"), engine.accumulate(&case.batch(), Some(beyond)).wait());
    let fault = dice.of(&SEQUENCE_FAULTS);
    let sequence = data(&case, fault).sequence::<f32>();
    refused.push(format!("accumulate_with {fault:?}"), engine.accumulate_with(&sequence, &Unreached, None).wait());
    refused.push(format!("evaluate_with {fault:?}"), engine.evaluate_with(&sequence, &Unreached).wait());
    let sequence = case.sequence::<f32>();
    refused.push("accumulate_with beyond", engine.accumulate_with(&sequence, &Unreached, Some(beyond)).wait());
    let mut headless = backend.engine(&case.headless(), &EngineOptions::default()).unwrap();
    refused.push("accumulate_with headless", headless.accumulate_with(&sequence, &Unreached, None).wait());
    refused.push("evaluate_with headless", headless.evaluate_with(&sequence, &Unreached).wait());
    refused.push("set_states", engine.set_states(Some(&bad_states(&case, dice))));
    let step = bad_step(optimizer, dice);
    refused.push(format!("update {step:?}"), engine.update(&step).wait());

    let range = bad_range(count, dice);
    let block = dice.of(&[FlatBlock::Parameters, FlatBlock::OptimizerState(0)]);
    refused.push("read_tensors", engine.read_tensors(block, range.clone(), &mut |_| Ok(())).wait());
    refused.push("write_tensors", engine.write_tensors(block, range.clone(), &mut |_| Ok(())));
    refused.push("read_gradients", engine.read_gradients(range, &mut |_| Ok(())).wait());
    let none = FlatBlock::OptimizerState(dice.of(&[1, 2, usize::MAX]));
    refused.push("read_block", engine.read_block(none, &mut Vec::new()).wait());
    let length = dice.of(&[0, before.0.len() - 1, before.0.len() + 1]);
    refused.push("write_block", engine.write_block(none, &before.0));
    refused.push("write_block of another length", engine.write_block(block, &vec![0.0; length]));
    refused.push("set_parameters", engine.set_parameters(&vec![0.0; length]));
    let blocks = dice.of(&[vec![], vec![before.0.clone(); 2], vec![vec![0.0; length]]]);
    refused.push("set_optimizer_state", engine.set_optimizer_state(&blocks));
    let name = dice.of(&["", "rnn.weight_hh_l9", "weight_hh_l0", "head"]);
    let array: ArrayD<f32> = fill(IxDyn(&[3, 1, 2]), 1);
    refused.push("parameter", engine.parameter(name).wait());
    refused.push("gradient", engine.gradient(name).wait());
    refused.push("set_parameter", engine.set_parameter(name, &array));
    refused.push("set_parameter of another shape", engine.set_parameter("rnn.weight_hh_l0", &array));
    let shape = BatchShape::new(dice.of(&[0, 3]), 0);
    refused.push("plan", engine.plan(shape));
    refused.push("plan of the backend", backend.plan(&model, &options, shape, false));

    // The sums can still be read and added to; nothing of the above is in them.
    assert_eq!((engine.parameters().wait().unwrap(), engine.gradients().wait().unwrap()), before, "{case}");
    assert!(engine.states().wait().unwrap().is_none(), "{case}");

    engine.forward(&case.sequence()).wait().unwrap();
    refused.push("backward", engine.backward(&bad_gradient(&case, dice)).wait());
    engine.backward(&OutputGradient::default()).wait().unwrap();
    refused.push("a second backward", engine.backward(&OutputGradient::default()).wait());
    engine.set_dropout(Some(DropoutKey { seed: 1, step: 1, first_row: dice.of(&[u32::MAX as usize + 1, usize::MAX]) }));
    refused.push("forward with dropout", engine.forward(&case.sequence()).wait());
    refused.push("accumulate with dropout", engine.accumulate(&case.batch(), None).wait());
}

/// Every call of a session with invalid arguments.
fn of_session<B: Backend>(backend: &B, number: u64, refused: &mut Refusals)
where
    B::Engine: Parameters<Real = f32>,
    Unreached: CustomLoss<B::Engine>,
{
    let dice = &mut Dice(ChaCha8Rng::seed_from_u64(number));
    let case = Case { initial: false, ..draw_case(dice) };
    let engine = || backend.engine(&case.model(), &EngineOptions::default()).unwrap();
    if case.bidirectional || case.reverse {
        return refused.push("a session with a reverse direction", Session::new(engine(), case.rows));
    }
    refused.push("a session of no rows", Session::new(engine(), 0));
    let mut session = Session::new(engine(), case.rows).unwrap();
    session.step(&case.sequence()).wait().unwrap();
    let before = session.states().wait().unwrap();
    let fault = dice.of(&SEQUENCE_FAULTS);
    refused.push(format!("step {fault:?}"), session.step(&data(&case, fault).sequence()).wait().map(|_| ()));
    let more = Case { rows: case.rows + 1, ..case.clone() };
    refused.push("step of other rows", session.step(&more.sequence()).wait().map(|_| ()));
    refused.push("enqueue of other rows", session.enqueue(&more.sequence()));
    refused.push("reset_row", session.reset_row(dice.of(&[case.rows, usize::MAX])));
    refused.push("set_states", session.set_states(&bad_states(&case, dice)));
    let snapshot = Session::new(engine(), case.rows).unwrap().snapshot().unwrap();
    refused.push("restore", session.restore(&snapshot));
    assert_eq!(session.states().wait().unwrap(), before, "{case}");
    session.enqueue(&case.sequence()).unwrap();
    refused.push("step before outputs", session.step(&case.sequence()).wait().map(|_| ()));
}

/// Every call of a trainer with invalid arguments; its state stays.
fn of_trainer<B: Backend>(backend: &B, number: u64, refused: &mut Refusals)
where
    B::Engine: Parameters<Real = f32>,
    Unreached: CustomLoss<B::Engine>,
{
    let dice = &mut Dice(ChaCha8Rng::seed_from_u64(number));
    let case = draw_case(dice);
    let (model, optimizer) = (case.model(), Optimizer::adam(0.1));
    refused.push("options", Trainer::with_options(backend, &model, optimizer, 1, bad_options(dice)));
    refused.push("optimizer", Trainer::new(backend, &model, bad_optimizer(optimizer, dice), 1));
    refused.push("headless", Trainer::new(backend, &case.headless(), optimizer, 1));
    let mut trainer = Trainer::new(backend, &model, optimizer, 1).unwrap();
    refused.push("update", trainer.update().wait());
    refused.push("gradients", trainer.gradients().wait());
    refused.push("gradient", trainer.gradient("head.bias").wait());
    refused.push("accumulated_loss", trainer.accumulated_loss().wait());
    refused.push("input_gradient", trainer.input_gradient().wait());
    refused.push("hidden_gradient_norms", trainer.hidden_gradient_norms());
    trainer.step(&case.batch()).wait().unwrap();
    trainer.finish().wait().unwrap();
    let before = trainer.state().wait().unwrap();
    let fault = dice.of(&[&SEQUENCE_FAULTS[..], &BATCH_FAULTS].concat());
    let batch = data(&case, fault).batch();
    refused.push(format!("step {fault:?}"), trainer.step(&batch).wait());
    refused.push(format!("evaluate {fault:?}"), trainer.evaluate(&batch).wait());
    let fault = dice.of(&SEQUENCE_FAULTS);
    refused.push(format!("predict {fault:?}"), trainer.predict(&data(&case, fault).sequence::<f32>()).wait());
    let sequence = data(&case, fault).sequence::<f32>();
    refused.push(format!("step_with {fault:?}"), trainer.step_with(&sequence, 1.0, &Unreached).wait());
    let (sequence, weight) = (case.sequence::<f32>(), dice.of(&[-1.0, f64::NAN, f64::INFINITY]));
    refused.push("step_with a weight", trainer.step_with(&sequence, weight, &Unreached).wait());
    refused.push("evaluate_with a weight", trainer.evaluate_with(&sequence, weight, &Unreached).wait());
    refused.push("set_learning_rate", trainer.set_learning_rate(dice.of(&[-1.0, f64::NAN, f64::INFINITY])));
    let mut dict: Vec<(String, ArrayD<f32>)> = Vec::new();
    dict.extend(trainer.state_dict().wait().unwrap().iter().map(|(name, array)| (name.to_owned(), array.clone())));
    let at = dice.below(dict.len());
    match dice.below(3) {
        0 => dict[at].0 += "_",
        1 => dict[at].1 = ArrayD::zeros(IxDyn(&[1, 2, 3])),
        _ => dict.push(("other".into(), ArrayD::zeros(IxDyn(&[1])))),
    }
    refused.push("load_state_dict", trainer.load_state_dict(&dict.into_iter().collect::<StateDict>()));
    let mut other = before.clone();
    match dice.below(3) {
        0 => drop(other.parameters.pop()),
        1 => drop(other.optimizer_state.pop()),
        _ => other.carried = Some(bad_states(&case, dice)),
    }
    refused.push("restore", trainer.restore(&other));
    assert_eq!(trainer.state().wait().unwrap(), before, "{case}");
}

/// Models and options that are no network.
fn of_backend<B: Backend>(backend: &B, number: u64, refused: &mut Refusals) {
    let dice = &mut Dice(ChaCha8Rng::seed_from_u64(number));
    let case = draw_case(dice);
    let mut model = case.model();
    match dice.below(5) {
        0 => model.recurrent.hidden_size = dice.of(&[0, usize::MAX]),
        1 => model.recurrent.layers = dice.of(&[0, 65, usize::MAX]),
        2 => model.recurrent.recurrent_dropout = dice.of(&[-0.1, 1.0, f64::NAN]),
        3 => model.recurrent.input_size = 0,
        _ => model.head.iter_mut().for_each(|head| head.outputs = 0),
    }
    let options = EngineOptions::default();
    refused.push("a model", backend.engine(&model, &options));
    refused.push("the plan of a model", backend.plan(&model, &options, BatchShape::new(3, 2), false));
    let both = Case { bidirectional: true, ..Case::new(case.cell) }.model();
    let options = dice.of(&[options.clone().chunk(0), options.recompute(true)]);
    refused.push("options", backend.engine(&both, &options));
    refused.push("the plan of options", backend.plan(&both, &options, BatchShape::new(3, 2), false));
    assert!(matches!(backend.engine(&both, &options), Err(Error::Value { .. } | Error::Unsupported(_))));
    let fits = EngineOptions::default().kernel(RecurrentKernel::Auto);
    assert!(backend.engine(&both, &fits).is_ok());
}

fn refusals<B: Backend>(backend: &B, number: u64) -> Vec<(String, String)>
where
    B::Engine: Parameters<Real = f32>,
    Unreached: CustomLoss<B::Engine>,
{
    let mut refused = Refusals(Vec::new());
    of_backend(backend, number, &mut refused);
    of_engine(backend, number, &mut refused);
    of_session(backend, number, &mut refused);
    of_trainer(backend, number, &mut refused);
    refused.0
}

#[test]
fn both_backends_refuse_invalid_arguments_of_every_call_in_the_same_words() {
    let Some(gpu) = gpu() else { return };
    for number in 0..ROWS {
        assert_eq!(refusals(&gpu, number), refusals(&Cpu::new(), number), "row {number}");
    }
}
