//! The norms of ∂L/∂h_t: what they are, and that both backends take them without changing anything else.

use crate::common::gpu::gpu;
use crate::common::{CELLS, Case, PLACES, assert_close, assert_same_bits, by_name, fill, masks, table, wide};
use bptt::model::Role;
use bptt::ndarray::{Array2, Array3, Axis, s};
use bptt::{
    Activation, Backend, Batch, Cell, Cpu, Direction, EngineOptions, Error, HiddenGradientNorms, Input, Inspection,
    Layers, Model, Optimizer, OutputGradient, Parameters, Readout, Real, Recurrent, Reduction, Sequence, States,
    Trainer, TrainerOptions, Training,
};
use pollster::block_on;

type RealOf<B> = <<B as Backend>::Engine as Parameters>::Real;

/// As in tests/engine/gpu.rs.
const RELATIVE: f64 = 5e-5;
const FLOOR: f64 = 0.2;

fn reference() -> Cpu<f64> {
    Cpu::with_threads(1).unwrap()
}

fn engine<B: Backend>(backend: &B, model: &Model, block: &[f64], chunk: Option<usize>) -> B::Engine {
    let options = EngineOptions::default().chunk(chunk).input_gradient(true);
    let mut engine = backend.engine(model, &options).unwrap();
    engine.set_parameters(&block.iter().map(|w| RealOf::<B>::from_f64(*w)).collect::<Vec<_>>()).unwrap();
    engine.set_dropout(masks(1));
    engine.set_hidden_gradient_norms(true);
    engine
}

/// Those of a case through its head.
fn flow<B: Backend>(backend: &B, case: &Case, chunk: Option<usize>) -> Array2<f64> {
    let model = case.model();
    let mut engine = engine(backend, &model, &case.parameters(&model), chunk);
    block_on(engine.accumulate(&case.batch(), None)).unwrap();
    block_on(engine.hidden_gradient_norms()).unwrap().norms
}

#[track_caller]
fn assert_norms(name: &str, got: &Array2<f64>, want: &Array2<f64>, relative: f64, floor: f64) {
    assert_close(name, &got.clone().into_dyn(), &want.clone().into_dyn(), relative, floor);
}

/// What begins with h_t as its initial state has the gradient of h_t as its dh_0, whose norm is then that of the whole:
/// of h_t flowing on, for which the output's own part at step t is added by hand.
#[test]
fn the_norm_at_a_step_is_that_of_dh_0_of_the_remaining_sequence() {
    for case in CELLS.map(Case::new).into_iter().chain([Case::new(Cell::Lstm).projected(2)]) {
        for (ragged, resets) in [(false, false), (true, false), (true, true)] {
            let case = Case { ragged, resets, ..case.clone() }.sizes([6, 4, 2, 3, 2]);
            let model = case.headless();
            let mut engine = engine(&reference(), &model, &case.parameters(&model), None);
            engine.set_dropout(None);
            let (sequence, gradient): (Sequence<f64>, OutputGradient<f64>) = (case.sequence(), case.output_gradient());
            block_on(engine.forward(&sequence)).unwrap();
            block_on(engine.backward(&gradient)).unwrap();
            let norms = block_on(engine.hidden_gradient_norms()).unwrap().norms;
            let lengths = case.lengths().unwrap_or(vec![case.steps; case.rows]);
            for t in 0..case.steps {
                let mut square = 0.0f64;
                for row in (0..case.rows).filter(|row| t < lengths[*row]) {
                    let one = sequence.rows(row..row + 1);
                    let dy = gradient.output.as_ref().unwrap().slice(s![.., row..row + 1, ..]).to_owned();
                    let ends = |array: &Option<Array3<f64>>| {
                        array.as_ref().map(|array| array.slice(s![.., row..row + 1, ..]).to_owned())
                    };
                    let (h_n, c_n) = (ends(&gradient.h_n), ends(&gradient.c_n));
                    // What h_t is: the final state of the steps up to it.
                    let head = Sequence { lengths: None, ..cut(&one, 0, t + 1) };
                    let states = block_on(engine.forward(&head)).unwrap().states;
                    let mut dh = dy.slice(s![t, 0, ..]).to_owned();
                    if t + 1 < lengths[row] {
                        let rest = Sequence { lengths: None, initial: Some(states), ..cut(&one, t + 1, lengths[row]) };
                        let output = dy.slice(s![t + 1..lengths[row], .., ..]).to_owned();
                        block_on(engine.forward(&rest)).unwrap();
                        let back = OutputGradient { output: Some(output), h_n, c_n };
                        let back = block_on(engine.backward(&back)).unwrap();
                        dh += &back.initial.h.slice(s![0, 0, ..]);
                    } else {
                        dh += &h_n.unwrap().slice(s![0, 0, ..]);
                    }
                    square += dh.iter().map(|dh| dh * dh).sum::<f64>();
                }
                let (got, want) = (norms[[0, t]], square.sqrt());
                assert!((got - want).abs() <= 1e-12 * want.max(1.0), "{case}: step {t}: {got} {want}");
            }
        }
    }
}

/// Steps of a sequence of one row.
fn cut(sequence: &Sequence<f64>, from: usize, until: usize) -> Sequence<f64> {
    let Input::Dense(x) = &sequence.input else { unreachable!() };
    Sequence {
        input: Input::Dense(x.slice(s![from..until, .., ..]).to_owned()),
        resets: sequence.resets.as_ref().map(|resets| resets.slice(s![from..until, ..]).to_owned()),
        ..sequence.clone()
    }
}

/// ∂L/∂h_t of every unit by central differences in h_t, the loss that of the steps after it.
#[test]
fn the_norm_at_a_step_equals_finite_differences_in_the_state() {
    const STEP: f64 = 1.0 / 131_072.0;
    for cell in CELLS {
        let case = Case { rows: 1, at: Readout::Final, ..Case::new(cell) }.sizes([6, 1, 2, 3, 2]);
        let model = case.model();
        let mut engine = engine(&reference(), &model, &case.parameters(&model), None);
        engine.set_dropout(None);
        let batch = case.batch();
        block_on(engine.accumulate(&batch, None)).unwrap();
        let norms = block_on(engine.hidden_gradient_norms()).unwrap().norms;
        let wide: Sequence<f64> = case.sequence();
        for t in 0..case.steps - 1 {
            let states = block_on(engine.forward(&cut(&wide, 0, t + 1))).unwrap().states;
            let mut square = 0.0f64;
            for unit in 0..case.hidden {
                let mut loss = |by: f64| {
                    // The states enter in f64, where the head has no raw pass: its loss by hand, averaged over two
                    // outputs.
                    let mut states: States<f64> = states.clone();
                    states.h[[0, 0, unit]] += by;
                    let rest = Sequence { initial: Some(states), ..cut(&wide, t + 1, case.steps) };
                    let h = block_on(engine.forward(&rest)).unwrap().states.h;
                    let block = block_on(engine.parameters()).unwrap();
                    let parameters = by_name(engine.layout(), &block, "");
                    let of = |name: &str| &parameters.iter().find(|(other, _)| other == name).unwrap().1;
                    let weight = of("head.weight").clone().into_dimensionality::<bptt::ndarray::Ix2>().unwrap();
                    let a: bptt::ndarray::Array1<f64> = weight.dot(&h.slice(s![0, 0, ..]));
                    let bptt::Targets::Values(y) = &batch.targets else { unreachable!() };
                    let error = |((a, b), y): ((&f64, &f64), &f32)| (a + b - f64::from(*y)).powi(2);
                    a.iter().zip(of("head.bias")).zip(y).map(error).sum::<f64>() / 2.0
                };
                square += ((loss(STEP) - loss(-STEP)) / (2.0 * STEP)).powi(2);
            }
            let (got, want) = (norms[[0, t]], square.sqrt());
            assert!((got - want).abs() <= 1e-6 * want.max(1e-3), "{case}: step {t}: {got} {want}");
        }
    }
}

/// With the identity as activation and as W_ih dz_t is dh_t and dx_t is dz_t, side by side where there are two
/// directions: for any layers above, heads, lengths, resets and masks.
#[test]
fn the_norms_of_the_lowest_layer_are_those_of_dx_under_the_identity() {
    for bidirectional in [false, true] {
        for (ragged, resets) in [(false, false), (true, false), (true, true)] {
            for (layers, dropout) in [(1, (0.0, 0.3)), (3, (0.0, 0.0)), (3, (0.4, 0.3))] {
                for at in PLACES {
                    let hidden = 3;
                    let inputs = if bidirectional { 2 * hidden } else { hidden };
                    let case = Case { bidirectional, ragged, resets, layers, dropout, at, ..Case::new(CELLS[3]) };
                    let case = case.sizes([6, 11, inputs, hidden, 2]);
                    let model = case.model();
                    let mut block: Vec<f64> = case.parameters(&model);
                    let layout = bptt::Layout::new(&model);
                    for direction in 0..1 + usize::from(bidirectional) {
                        let role = Role::WeightIh { layer_direction: direction };
                        let tensor = layout.tensors().iter().find(|tensor| tensor.role == role).unwrap();
                        for (index, value) in block[tensor.range()].iter_mut().enumerate() {
                            let (unit, input) = (index / inputs, index % inputs);
                            *value = f64::from(u8::from(input == direction * hidden + unit));
                        }
                    }
                    let mut engine = engine(&reference(), &model, &block, None);
                    block_on(engine.accumulate(&case.batch(), None)).unwrap();
                    let dx = block_on(engine.input_gradient()).unwrap().x.unwrap();
                    let norms = block_on(engine.hidden_gradient_norms()).unwrap().norms;
                    for direction in 0..1 + usize::from(bidirectional) {
                        for (t, dx) in dx.axis_iter(Axis(0)).enumerate() {
                            let of = dx.slice(s![.., direction * hidden..(direction + 1) * hidden]);
                            let want = of.iter().map(|dx| dx * dx).sum::<f64>().sqrt();
                            let got = norms[[direction, t]];
                            assert!((got - want).abs() <= 1e-12, "{case}: direction {direction}, step {t}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_norms_of_a_layer_are_those_of_the_layer_alone_on_the_same_input() {
    for cell in CELLS {
        for bidirectional in [false, true] {
            let two = Case { layers: 2, bidirectional, ragged: true, initial: false, ..Case::new(cell) };
            let model = two.headless();
            let block: Vec<f64> = two.parameters(&model);
            let mut whole = engine(&reference(), &model, &block, None);
            whole.set_dropout(None);
            block_on(whole.forward(&two.sequence())).unwrap();
            let gradient: OutputGradient<f64> = OutputGradient { h_n: None, c_n: None, ..two.output_gradient() };
            block_on(whole.backward(&gradient)).unwrap();
            let norms = block_on(whole.hidden_gradient_norms()).unwrap().norms;

            let lower = Case { layers: 1, ..two.clone() };
            let upper = Case { inputs: lower.recurrent().output_size(), ..lower.clone() };
            let (below, above) = block.split_at(bptt::Layout::new(&lower.headless()).len());
            let mut below = engine(&reference(), &lower.headless(), below, None);
            let mut above = engine(&reference(), &upper.headless(), above, None);
            let x = block_on(below.forward(&two.sequence())).unwrap().output;
            let sequence = Sequence { input: Input::Dense(x), ..two.sequence() };
            block_on(above.forward(&sequence)).unwrap();
            block_on(above.backward(&gradient)).unwrap();
            let want = block_on(above.hidden_gradient_norms()).unwrap().norms;
            let directions = 1 + usize::from(bidirectional);
            let got = norms.slice(s![directions.., ..]).to_owned();
            assert_norms(&format!("{two}"), &got, &want, 1e-12, 1.0);
        }
    }
}

fn equals_the_cpu_in_f64<B: Backend>(backend: &B, chunk: Option<usize>) {
    for case in table() {
        let want = flow(&reference(), &case, None);
        assert_norms(&case.to_string(), &flow(backend, &case, chunk), &want, RELATIVE, FLOOR * case.scale);
    }
}

#[test]
fn the_norms_in_f32_equal_those_in_f64() {
    equals_the_cpu_in_f64(&Cpu::new(), None);
}

#[test]
fn the_norms_on_the_gpu_equal_those_on_the_cpu_in_f64() {
    gpu().iter().for_each(|gpu| equals_the_cpu_in_f64(gpu, None));
}

#[test]
fn the_norms_on_the_gpu_in_chunks_of_3_steps_equal_those_on_the_cpu_in_f64() {
    gpu().iter().for_each(|gpu| equals_the_cpu_in_f64(gpu, Some(3)));
}

/// Everything else that a training step gives, with the norms asked for and without.
fn nothing_else_changes<B: Backend>(backend: &B) {
    for case in table().into_iter().step_by(4) {
        let run = |on: bool| {
            let model = case.model();
            let optimizer = Optimizer::adam(0.01).clip_norm(0.1);
            let options = TrainerOptions::default().engine(EngineOptions::default().input_gradient(true));
            let mut trainer = Trainer::with_options(backend, &model, optimizer, 3, options).unwrap();
            trainer.set_hidden_gradient_norms(on);
            for _ in 0..2 {
                block_on(trainer.step(&case.batch())).unwrap();
            }
            let gradient = block_on(trainer.input_gradient()).unwrap();
            let mut named = vec![("dh_0".to_owned(), wide(&gradient.initial.h))];
            named.extend(gradient.x.as_ref().map(|x| ("dx".to_owned(), wide(x))));
            let block = block_on(trainer.engine().gradients()).unwrap();
            named.extend(by_name(trainer.engine().layout(), &block, "d "));
            let block = block_on(trainer.engine().parameters()).unwrap();
            named.extend(by_name(trainer.engine().layout(), &block, ""));
            named
        };
        assert_same_bits(&case, &run(true), &run(false));
    }
}

#[test]
fn requesting_norms_changes_no_other_bit_on_the_cpu() {
    nothing_else_changes(&Cpu::new());
}

#[test]
fn requesting_norms_changes_no_other_bit_on_the_gpu() {
    gpu().iter().for_each(nothing_else_changes);
}

/// Batches and micro-batches before an update, of different T, give the norms of the one batch that has all their rows.
fn squares_add_up_over_rows<B: Backend>(backend: &B, relative: f64) {
    for reduction in [Reduction::Mean, Reduction::Sum] {
        let case = Case { reduction, ragged: true, weights: true, dropout: (0.0, 0.3), ..Case::new(Cell::Gru) };
        let case = case.sizes([5, 15, 3, 6, 2]);
        let of = |batches: &[Batch], micro_batch| {
            let options = TrainerOptions::default().micro_batch(micro_batch);
            let mut trainer = Trainer::with_options(backend, &case.model(), Optimizer::sgd(0.0), 1, options).unwrap();
            trainer.set_hidden_gradient_norms(true);
            for batch in batches {
                block_on(trainer.accumulate(batch)).unwrap();
            }
            let open = trainer.hidden_gradient_norms().unwrap();
            block_on(trainer.update()).unwrap();
            assert_eq!(trainer.hidden_gradient_norms().unwrap(), open, "an update leaves them");
            open.norms
        };
        let batch = case.batch();
        let want = of(std::slice::from_ref(&batch), None);
        let parts = [0..5, 5..6, 6..15].map(|rows| batch.rows(rows));
        assert_norms("three batches", &of(&parts, Some(4)), &want, relative, 1e-3);
    }
}

#[test]
fn the_squares_of_micro_batches_add_up_on_the_cpu() {
    squares_add_up_over_rows(&reference(), 1e-12);
}

#[test]
fn the_squares_of_micro_batches_add_up_on_the_gpu() {
    gpu().iter().for_each(|gpu| squares_add_up_over_rows(gpu, RELATIVE));
}

#[test]
fn norms_of_a_longer_batch_add_up_step_by_step() {
    let mut flow = HiddenGradientNorms { norms: Array2::from_elem((2, 2), 3.0) };
    flow.add_rows(&HiddenGradientNorms { norms: Array2::from_elem((2, 3), 4.0) }).unwrap();
    assert_eq!(flow.norms, bptt::ndarray::arr2(&[[5.0, 5.0, 4.0], [5.0, 5.0, 4.0]]));
    flow.add_rows(&HiddenGradientNorms { norms: Array2::from_elem((2, 1), 12.0) }).unwrap();
    assert_eq!(flow.norms.column(0).to_vec(), [13.0, 13.0]);
    let error = flow.add_rows(&HiddenGradientNorms { norms: Array2::zeros((1, 3)) }).unwrap_err();
    assert!(error.to_string().contains("[2, 3], got [1, 3]"), "{error}");
}

/// What has vanished is still told: its square, 1e-60 here, is far below what an f32 holds.
fn a_vanished_gradient_has_its_norm<B: Backend>(backend: &B) {
    for (steps, factor) in [(100, 0.5), (60, 4.0)] {
        let recurrent = Recurrent::new(Cell::Rnn(Activation::Identity), 1, 5).bias(false);
        let w_hh = (0..25).map(|index| if index % 6 == 0 { factor } else { 0.0 });
        let block: Vec<f64> = [0.0; 5].into_iter().chain(w_hh).collect();
        let mut engine = engine(backend, &Model::headless(recurrent), &block, Some(32));
        engine.set_dropout(None);
        block_on(engine.forward(&Sequence::dense(Array3::zeros((steps, 3, 1))))).unwrap();
        let d_h_n: Array3<RealOf<B>> = fill((1, 3, 5), 4);
        let want = wide(&d_h_n).iter().map(|d| d * d).sum::<f64>().sqrt();
        block_on(engine.backward(&OutputGradient { h_n: Some(d_h_n), ..OutputGradient::default() })).unwrap();
        let norms = block_on(engine.hidden_gradient_norms()).unwrap().norms;
        for t in 0..steps {
            let (got, want) = (norms[[0, t]], want * f64::powi(factor, (steps - 1 - t) as i32));
            assert!((got - want).abs() <= 1e-6 * want, "{factor} a step: step {t}: {got} {want}");
        }
    }
}

#[test]
fn vanished_and_exploded_gradients_have_finite_norms_on_the_cpu() {
    a_vanished_gradient_has_its_norm(&Cpu::new());
}

#[test]
fn vanished_and_exploded_gradients_have_finite_norms_on_the_gpu() {
    gpu().iter().for_each(a_vanished_gradient_has_its_norm);
}

fn only_a_backward_pass_has_norms<B: Backend>(backend: &B) {
    let case = Case::new(Cell::Lstm);
    let model = case.model();
    let mut engine = engine(backend, &model, &case.parameters(&model), None);
    let refused = |error: Error| assert!(error.to_string().contains("set_hidden_gradient_norms"), "{error}");
    refused(block_on(engine.hidden_gradient_norms()).unwrap_err());
    block_on(engine.accumulate(&case.batch(), None)).unwrap();
    block_on(engine.hidden_gradient_norms()).unwrap();
    block_on(engine.forward(&case.sequence())).unwrap();
    refused(block_on(engine.hidden_gradient_norms()).unwrap_err());
    engine.set_hidden_gradient_norms(false);
    block_on(engine.accumulate(&case.batch(), None)).unwrap();
    refused(block_on(engine.hidden_gradient_norms()).unwrap_err());
    // A backward pass that was made without them is made again with them.
    engine.set_hidden_gradient_norms(true);
    block_on(engine.accumulate(&case.batch(), None)).unwrap();
    assert_eq!(block_on(engine.hidden_gradient_norms()).unwrap().norms.dim(), (1, case.steps));

    let mut trainer = Trainer::new(backend, &model, Optimizer::sgd(0.1), 1).unwrap();
    block_on(trainer.accumulate(&case.batch())).unwrap();
    refused(trainer.hidden_gradient_norms().unwrap_err());
}

#[test]
fn only_a_requested_backward_pass_has_norms_on_the_cpu() {
    only_a_backward_pass_has_norms(&Cpu::new());
}

#[test]
fn only_a_requested_backward_pass_has_norms_on_the_gpu() {
    gpu().iter().for_each(only_a_backward_pass_has_norms);
}

fn norms_are_planned_within_the_budget<B: Backend>(backend: &B) {
    let case = Case { layers: 2, bidirectional: true, ..Case::new(Cell::Gru) }.sizes([40, 9, 3, 5, 2]);
    let (model, batch) = (case.model(), case.batch());
    let planned = |flow: bool, options: &EngineOptions| {
        let mut engine = backend.engine(&model, options).unwrap();
        engine.set_hidden_gradient_norms(flow);
        let planned = engine.planned_bytes(&batch.sequence).unwrap();
        (planned, block_on(engine.accumulate(&batch, None)).map(|()| engine.bytes()))
    };
    let (without, _) = planned(false, &EngineOptions::default());
    let (with, held) = planned(true, &EngineOptions::default());
    assert!(without < with && held.unwrap() <= with, "{without} {with}");
    let budget = EngineOptions::default().memory(without);
    planned(false, &budget).1.unwrap();
    // A plan is a little more than what is then held, and the norms may still fit beside that.
    match planned(true, &budget).1 {
        Ok(held) => assert!(held <= without, "{held} {without}"),
        Err(error) => assert!(matches!(error, Error::Limit { limit: "the memory budget", .. }), "{error}"),
    }
}

#[test]
fn norms_are_planned_within_the_budget_on_the_cpu() {
    norms_are_planned_within_the_budget(&Cpu::new());
}

#[test]
fn norms_are_planned_within_the_budget_on_the_gpu() {
    gpu().iter().for_each(norms_are_planned_within_the_budget);
}

/// What training steps give, with the norms of a batch measured between them and without.
fn measuring_between_steps_has_no_effect<B: Backend>(backend: &B) {
    for case in table().into_iter().step_by(5) {
        let case = Case { initial: false, ..case };
        let run = |measures: bool| {
            let engine = EngineOptions::default().input_gradient(true);
            let carries = case.direction() == Direction::Forward;
            let options = TrainerOptions::default().carry_state(carries).micro_batch(Some(2)).engine(engine);
            let mut trainer = Trainer::with_options(backend, &case.model(), Optimizer::adam(0.01), 3, options).unwrap();
            for _ in 0..3 {
                if measures {
                    let [first, second] =
                        [(); 2].map(|()| block_on(trainer.hidden_gradient_norms_of(&case.batch())).unwrap().norms);
                    assert_eq!(first, second, "{case}");
                    assert!(block_on(trainer.gradients()).is_err(), "{case}: the gradients are discarded");
                    // Those of the step that follows.
                    trainer.set_hidden_gradient_norms(true);
                    block_on(trainer.accumulate(&case.batch())).unwrap();
                    trainer.set_hidden_gradient_norms(false);
                    assert_eq!(trainer.hidden_gradient_norms().unwrap().norms, first, "{case}");
                    let refused = block_on(trainer.hidden_gradient_norms_of(&case.batch()));
                    assert!(matches!(refused, Err(Error::Unsupported(_))), "{case}: {refused:?}");
                    block_on(trainer.update()).unwrap();
                } else {
                    block_on(trainer.step(&case.batch())).unwrap();
                }
            }
            let block = block_on(trainer.engine().parameters()).unwrap();
            by_name(trainer.engine().layout(), &block, "")
        };
        assert_same_bits(&case, &run(true), &run(false));
    }
}

#[test]
fn the_norms_of_a_batch_between_steps_have_no_effect_on_the_cpu() {
    measuring_between_steps_has_no_effect(&Cpu::new());
    measuring_between_steps_has_no_effect(&reference());
}

#[test]
fn the_norms_of_a_batch_between_steps_have_no_effect_on_the_gpu() {
    gpu().iter().for_each(measuring_between_steps_has_no_effect);
}
