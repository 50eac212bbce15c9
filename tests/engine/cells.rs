//! Cells that are defined outside of the crate: those of the examples, and definitions that are refused.

use crate::common::gpu::gpu;
use crate::common::{Case, assert_all_close, assert_same_bits, raw, trained};
use crate::{finite_differences, recompute, session};
use bptt::cells::{
    BackwardInput, BackwardOutput, CellFunctions, ForwardInput, ForwardOutput, Initial, Lanes, Sum, UnitParameter,
};
use bptt::interchange::keras;
use bptt::interchange::onnx::{self, ModelInput};
use bptt::{
    Backend, Cell, Cpu, EngineOptions, Gpu, Initialisation, Layout, Model, Optimizer, Readout, Real, Recurrent,
    SavedModel, Trainer,
};
use pollster::block_on;

#[allow(dead_code, unreachable_pub, reason = "its main is not called")]
#[path = "../../examples/min_gru.rs"]
mod min_gru;
#[allow(dead_code, unreachable_pub, reason = "its main is not called")]
#[path = "../../examples/peephole_lstm.rs"]
mod peephole_lstm;

use min_gru::MinGru;
use peephole_lstm::PeepholeLstm;

/// As in tests/engine/gpu.rs.
const RELATIVE: f64 = 5e-5;
const FLOOR: f64 = 0.2;

/// The cells of the examples, one with parameters of its own and one without W_hh, and one with sums of every kind.
pub(crate) fn outside() -> [Cell; 3] {
    [Cell::custom(PeepholeLstm).unwrap(), Cell::custom(MinGru).unwrap(), Cell::custom(Mixed).unwrap()]
}

/// A cell with all that the examples leave out: sums that read x, h and both, in another order than the blocks of W_ih; a
/// single parameter; and c beside a path of h that bypasses W_hh. c_t = σ(b) ∘ c_{t−1} + tanh a, h_t = σ(d) ∘ tanh c_t + w ∘ h_{t−1}.
struct Mixed;

impl CellFunctions<3, 1> for Mixed {
    const NAME: &'static str = "mixed";
    const SUMS: [Sum; 3] = [Sum::of_input("a", 1), Sum::of_both("b", 0, 0), Sum::of_state("d", 1)];
    const CELL_STATE: bool = true;
    const PARAMETERS: [UnitParameter; 1] = [UnitParameter { name: "weight_h", initial: Initial::Uniform }];
    const WGSL: &'static str = "
        fn cell_forward(unit: ForwardInput) -> ForwardOutput {
            let a = tanh_(unit.sums[0]);
            let b = sigmoid(unit.sums[1]);
            let d = sigmoid(unit.sums[2]);
            let c = b * unit.c + a;
            return ForwardOutput(array(a, b, d), d * tanh_(c) + unit.parameters[0] * unit.h, c);
        }

        fn cell_backward(unit: BackwardInput) -> BackwardOutput {
            let a = unit.kept[0];
            let b = unit.kept[1];
            let d = unit.kept[2];
            let tanh_c = tanh_(b * unit.c + a);
            let dc = unit.dc + unit.dh * d * d_tanh(tanh_c);
            let sums = array(dc * d_tanh(a), dc * unit.c * d_sigmoid(b), unit.dh * tanh_c * d_sigmoid(d));
            return BackwardOutput(sums, unit.dh * unit.parameters[0], dc * b, array(unit.dh * unit.h));
        }
    ";

    fn forward<R: Real, const N: usize>(unit: ForwardInput<R, N, 3, 1>) -> ForwardOutput<R, N, 3> {
        let ([a, b, d], [w]) = (unit.sums, unit.parameters);
        let (a, b, d) = (a.tanh(), b.sigmoid(), d.sigmoid());
        let c = b * unit.c + a;
        ForwardOutput { kept: [a, b, d], h: d * c.tanh() + w * unit.h, c }
    }

    fn backward<R: Real, const N: usize>(unit: BackwardInput<R, N, 3, 1>) -> BackwardOutput<R, N, 3, 1> {
        let one = Lanes::one();
        let ([a, b, d], [w]) = (unit.kept, unit.parameters);
        let tanh_c = (b * unit.c + a).tanh();
        let dc = unit.dc + unit.dh * d * (one - tanh_c * tanh_c);
        let sums = [dc * (one - a * a), dc * unit.c * b * (one - b), unit.dh * tanh_c * d * (one - d)];
        BackwardOutput { sums, dh: unit.dh * w, dc: dc * b, parameters: [unit.dh * unit.h] }
    }
}

/// A cell whose WGSL is not a number where a parameter is 0, as it is in the units beyond H: h_t = tanh(a) w / w.
struct Singular;

impl CellFunctions<1, 1> for Singular {
    const NAME: &'static str = "singular";
    const SUMS: [Sum; 1] = [Sum::of_both("a", 0, 0)];
    const CELL_STATE: bool = false;
    const PARAMETERS: [UnitParameter; 1] = [UnitParameter { name: "weight_w", initial: Initial::Uniform }];
    const WGSL: &'static str = "
        fn cell_forward(unit: ForwardInput) -> ForwardOutput {
            let a = tanh_(unit.sums[0]) * (unit.parameters[0] / unit.parameters[0]);
            return ForwardOutput(array(a), a);
        }

        fn cell_backward(unit: BackwardInput) -> BackwardOutput {
            let one = unit.parameters[0] / unit.parameters[0];
            let nothing = unit.parameters[0] - unit.parameters[0] * one;
            return BackwardOutput(array(unit.dh * one * d_tanh(unit.kept[0])), nothing, array(nothing));
        }
    ";

    fn forward<R: Real, const N: usize>(unit: ForwardInput<R, N, 1, 1>) -> ForwardOutput<R, N, 1> {
        let a = unit.sums[0].tanh();
        ForwardOutput { kept: [a], h: a, c: Lanes::zero() }
    }

    fn backward<R: Real, const N: usize>(unit: BackwardInput<R, N, 1, 1>) -> BackwardOutput<R, N, 1, 1> {
        let a = unit.kept[0];
        let sums = [unit.dh * (Lanes::one() - a * a)];
        BackwardOutput { sums, dh: Lanes::zero(), dc: Lanes::zero(), parameters: [Lanes::zero()] }
    }
}

/// The cells over ragged rows, layers, directions and inputs.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for cell in outside() {
        // Without W_hh there is nothing that recurrent dropout could act on.
        let recurrent = if cell.recurrent_gates() > 0 { 0.4 } else { 0.0 };
        let case = Case { ragged: true, weights: true, ..Case::new(cell) };
        cases.push(case.clone());
        let two = Case { layers: 2, bidirectional: true, dropout: (0.3, recurrent), ..case.clone() };
        cases.push(two.clone());
        cases.push(Case { tokens: true, resets: true, ..two.clone() });
        cases.push(Case { bias: false, at: Readout::MeanPool, resets: true, dropout: (0.0, 0.0), ..two });
    }
    cases
}

#[test]
fn the_cells_of_the_examples_learn_and_pass_their_gradient_check() {
    let devices = if gpu().is_some() { &["cpu", "gpu"][..] } else { &["cpu"] };
    for device in devices {
        let checked = [block_on(peephole_lstm::check(device)).unwrap(), block_on(min_gru::check(device)).unwrap()];
        // Two layers in two directions of seven steps: every tensor, dx and dh at every step.
        assert!(checked.iter().all(|(_, gradients)| *gradients > 40), "{checked:?}");
    }
    for (first, last) in [block_on(peephole_lstm::train(120)).unwrap(), block_on(min_gru::train(120)).unwrap()] {
        assert!(last < 0.6 * first, "{first} {last}");
    }
}

#[test]
fn gradients_of_cells_from_outside_are_those_of_finite_differences() {
    cases().iter().for_each(finite_differences::check);
}

#[test]
fn on_a_gpu_cells_from_outside_equal_the_cpu_in_f64_whole_and_in_chunks() {
    let Some(gpu) = gpu() else { return };
    for case in cases().into_iter().flat_map(|case| [case.clone(), case.sizes([9, 17, 5, 33, 3])]) {
        let cpu = Cpu::<f64>::with_threads(2).unwrap();
        let want = (raw(&cpu, &case, None), trained(&cpu, &case, None, Optimizer::sgd(0.1), 2));
        for chunk in [None, Some(3)] {
            assert_all_close(&case, &raw(&gpu, &case, chunk), &want.0, RELATIVE, FLOOR);
            assert_all_close(&case, &trained(&gpu, &case, chunk, Optimizer::sgd(0.1), 2), &want.1, RELATIVE, FLOOR);
        }
    }
}

#[test]
fn on_a_gpu_a_cell_that_is_not_a_number_at_zero_does_not_reach_the_units_that_exist() {
    let Some(gpu) = gpu() else { return };
    let case = Case { layers: 2, ..Case::new(Cell::custom(Singular).unwrap()) }.sizes([6, 3, 3, 5, 2]);
    let cpu = Cpu::<f64>::with_threads(1).unwrap();
    assert_all_close(&case, &raw(&gpu, &case, None), &raw(&cpu, &case, None), RELATIVE, FLOOR);
    let train = |gpu: &Gpu| trained(gpu, &case, None, Optimizer::sgd(0.1), 2);
    assert_all_close(&case, &train(&gpu), &trained(&cpu, &case, None, Optimizer::sgd(0.1), 2), RELATIVE, FLOOR);
}

#[test]
fn cells_from_outside_recompute_to_the_same_bits_on_either_backend() {
    for case in cases().into_iter().filter(|case| !case.bidirectional || case.bias) {
        let case = Case { bidirectional: false, ..case }.sizes([7, 5, 3, 6, 2]);
        let cpu = Cpu::<f32>::with_threads(1).unwrap();
        assert_same_bits(&case, &recompute::all(&cpu, &case, true, 3), &recompute::all(&cpu, &case, false, 3));
        let Some(gpu) = gpu() else { continue };
        assert_same_bits(&case, &recompute::all(&gpu, &case, true, 3), &recompute::all(&gpu, &case, false, 3));
    }
}

/// Two steps of training, and the same where another trainer takes the second from the state after the first.
fn a_state_goes_on<B: Backend>(backend: &B, case: &Case) {
    let (model, batch) = (case.model(), case.batch());
    let new = || Trainer::new(backend, &model, Optimizer::adam(0.01), 1).unwrap();
    let mut first = new();
    block_on(first.step(&batch)).unwrap();
    let state = block_on(first.state()).unwrap();
    let mut second = new();
    second.restore(&state).unwrap();
    let ends = [&mut first, &mut second].map(|trainer| {
        block_on(trainer.step(&batch)).unwrap();
        block_on(trainer.state_dict()).unwrap()
    });
    assert!(ends[0] == ends[1], "{case}");
}

#[test]
fn training_goes_on_from_a_state_and_sessions_stream_with_the_same_bits_for_cells_from_outside() {
    for case in cases() {
        a_state_goes_on(&Cpu::<f32>::with_threads(1).unwrap(), &case);
        gpu().iter().for_each(|gpu| a_state_goes_on(gpu, &case));
    }
    for cell in outside() {
        let cases = session::cases_of(cell);
        session::steps_have_the_bits_of_the_whole_sequence(&Cpu::<f64>::with_threads(1).unwrap(), cases.clone());
        gpu().iter().for_each(|gpu| session::steps_have_the_bits_of_the_whole_sequence(gpu, cases.clone()));
    }
}

#[test]
fn a_cell_has_the_tensors_that_its_definition_names() {
    let names = |cell| {
        let layout = Layout::new(&Model::headless(Recurrent::new(cell, 2, 3)));
        layout.tensors().iter().map(|tensor| (tensor.name.clone(), tensor.shape.clone())).collect::<Vec<_>>()
    };
    let named = |name: &str, shape: &[usize]| (name.to_owned(), shape.to_vec());
    let peephole = Cell::custom(PeepholeLstm).unwrap();
    assert_eq!(
        names(peephole),
        [
            named("rnn.weight_ih_l0", &[12, 2]),
            named("rnn.weight_hh_l0", &[12, 3]),
            named("rnn.bias_ih_l0", &[12]),
            named("rnn.bias_hh_l0", &[12]),
            named("rnn.weight_ci_l0", &[3]),
            named("rnn.weight_cf_l0", &[3]),
            named("rnn.weight_co_l0", &[3]),
        ]
    );
    assert_eq!(
        names(Cell::custom(MinGru).unwrap()),
        [named("rnn.weight_ih_l0", &[6, 2]), named("rnn.bias_ih_l0", &[6])]
    );
    // The forget gate has its bias, and a parameter the values that its definition gives it.
    let model = Model::headless(Recurrent::new(peephole, 2, 3));
    let drawn = Initialisation::default().forget_bias(1.0).draw(&model, 1).unwrap();
    let dict = Layout::new(&model).to_state_dict(&drawn);
    let values = |name: &str| dict.get(name).unwrap().iter().copied().collect::<Vec<f32>>();
    assert_eq!((&values("rnn.bias_ih_l0")[3..6], values("rnn.weight_co_l0")), (&[1.0; 3][..], vec![0.0; 3]));
    assert!(values("rnn.weight_ci_l0").iter().all(|value| *value != 0.0 && value.abs() <= 1.0 / 3f32.sqrt()));
    assert_eq!(peephole, Cell::custom(PeepholeLstm).unwrap());
    assert_ne!(peephole, Cell::custom(MinGru).unwrap());
}

#[test]
fn what_a_cell_from_outside_cannot_do_is_refused_with_the_reason() {
    let cell = Cell::custom(MinGru).unwrap();
    let model = Model::headless(Recurrent::new(cell, 2, 3));
    let refused =
        Model::headless(Recurrent::new(cell, 2, 3).recurrent_dropout(0.5)).validate().unwrap_err().to_string();
    assert_eq!(
        refused,
        "recurrent dropout acts on h in the product with W_hh, which the cell min_gru does not have; use dropout"
    );
    let layout = Layout::new(&model);
    let dict = layout.to_state_dict(&Initialisation::default().draw(&model, 1).unwrap());
    let onnx = onnx::export(&model, &dict, ModelInput::Dense, &[]).unwrap_err().to_string();
    assert_eq!(onnx, "ONNX has the cells RNN, LSTM and GRU, and the network's is min_gru");
    let named = "a model's description names the cells rnn, lstm and gru, and the network's is min_gru, which another crate \
                 defines; keep its weights as a state dict";
    assert_eq!(serde_json::to_string(&model).unwrap_err().to_string(), named);
    let saved = SavedModel::new(model.clone(), dict.clone()).write_to(&mut Vec::new()).unwrap_err();
    assert_eq!(saved.to_string(), named);
    let keras = keras::weights(&model, &dict).unwrap_err().to_string();
    assert_eq!(keras, "Keras has the cells RNN, LSTM and GRU, and the network's is min_gru");
}

/// A cell with a fault, chosen by its number; otherwise an RNN of a doubled sum.
struct Faulty<const FAULT: usize>;

impl<const FAULT: usize> CellFunctions<2, 2> for Faulty<FAULT> {
    const NAME: &'static str = if FAULT == 0 { "gru" } else { "faulty" };
    const SUMS: [Sum; 2] = match FAULT {
        1 => [Sum::of_state("a", 0), Sum::of_input("b", 0)],
        _ => [Sum::of_input("a", 0), Sum::of_state("b", 0)],
    };
    const CELL_STATE: bool = false;
    const PARAMETERS: [UnitParameter; 2] = [
        UnitParameter { name: "weight_a", initial: Initial::Uniform },
        UnitParameter { name: if FAULT == 2 { "bias_hh" } else { "weight_b" }, initial: Initial::Uniform },
    ];
    const FORGET_GATE: Option<usize> = if FAULT == 3 { Some(2) } else { None };
    const CONSTANTS: &'static [(&'static str, f64)] = if FAULT == 5 { &[("MISSING", 1.0)] } else { &[] };
    const WGSL: &'static str = if FAULT == 4 {
        "fn cell_forward(unit: ForwardInput) -> ForwardOutput { return no_such_function(unit); }"
    } else {
        "
        fn cell_forward(unit: ForwardInput) -> ForwardOutput {
            return ForwardOutput(unit.sums, unit.sums[0] + unit.sums[1]);
        }
        fn cell_backward(unit: BackwardInput) -> BackwardOutput {
            return BackwardOutput(array(unit.dh, unit.dh), vec4f(0.0), array(vec4f(0.0), vec4f(0.0)));
        }
        "
    };

    fn forward<R: Real, const N: usize>(unit: ForwardInput<R, N, 2, 2>) -> ForwardOutput<R, N, 2> {
        ForwardOutput { kept: unit.sums, h: unit.sums[0] + unit.sums[1], c: Lanes::zero() }
    }

    fn backward<R: Real, const N: usize>(unit: BackwardInput<R, N, 2, 2>) -> BackwardOutput<R, N, 2, 2> {
        let zero = Lanes::zero();
        BackwardOutput { sums: [unit.dh; 2], dh: zero, dc: zero, parameters: [zero; 2] }
    }
}

#[test]
fn a_definition_that_contradicts_itself_is_refused_by_what_is_wrong_with_it() {
    let refused = |cell: bptt::Result<Cell>| cell.unwrap_err().to_string();
    assert_eq!(
        refused(Cell::custom(Faulty::<0>)),
        "the name of a cell: expected lower-case letters, digits and underscores, and another name than rnn, lstm and gru, \
         got \"gru\""
    );
    assert_eq!(
        refused(Cell::custom(Faulty::<1>)),
        "the sums of the cell faulty: expected those that read x before the others, got sum 0, of gate \"a\" among them"
    );
    assert_eq!(
        refused(Cell::custom(Faulty::<2>)),
        "the parameters of the cell faulty: expected names of lower-case letters, digits and underscores that are not \
         taken, got \"bias_hh\""
    );
    assert_eq!(
        refused(Cell::custom(Faulty::<3>)),
        "FORGET_GATE of the cell faulty: expected the index of one of 2 sums, got 2"
    );
}

#[test]
fn an_error_in_the_wgsl_of_a_cell_is_returned_with_the_message_of_the_compiler() {
    let Some(gpu) = gpu() else { return };
    let engine = |gpu: &Gpu, cell: bptt::Result<Cell>| {
        let model = Model::headless(Recurrent::new(cell.unwrap(), 2, 3));
        gpu.engine(&model, &EngineOptions::default()).map(|_| ()).map_err(|error| error.to_string())
    };
    // On a device of the host program too, whose own handler of errors would panic.
    let foreign = Gpu::from_device(gpu.device().clone(), gpu.queue().clone()).unwrap();
    for gpu in [gpu, foreign] {
        engine(&gpu, Cell::custom(Faulty::<6>)).unwrap();
        let error = engine(&gpu, Cell::custom(Faulty::<4>)).unwrap_err();
        assert!(error.starts_with("the WGSL of the cell faulty: ") && error.contains("no_such_function"), "{error}");
        let error = engine(&gpu, Cell::custom(Faulty::<5>)).unwrap_err();
        assert!(error.starts_with("the WGSL of the cell faulty: ") && error.contains("MISSING"), "{error}");
        engine(&gpu, Cell::custom(MinGru)).unwrap();
    }
}
