//! The reverse direction alone: a network that reads each row from its end is the forward one over the reversed rows.

use crate::common::gpu::gpu;
use crate::common::{CELLS, Case, PLACES, assert_close, assert_same_bits, gradients, wide};
use bptt::interchange::keras;
use bptt::interchange::onnx::{self, ModelInput};
use bptt::ndarray::{Array2, Array3};
use bptt::{
    Backend, Cell, Cpu, Direction, Engine, EngineOptions, Inference, Initialisation, Input, Layers, Layout, Model,
    OutputGradient, Parameters, Readout, Recurrent, Sequence, StateDict, States,
};
use pollster::block_on;

/// Where step `t` of a row of `length` steps is in the reversed row. Padding stays where it is.
fn mirrored(t: usize, length: usize) -> usize {
    if t < length { length - 1 - t } else { t }
}

/// \[T, B, ·\] with every row reversed; padding becomes NaN.
fn reversed_rows(of: &Array3<f32>, sequence: &Sequence) -> Array3<f32> {
    Array3::from_shape_fn(of.dim(), |(t, row, i)| {
        let length = sequence.length(row);
        if t < length { of[[mirrored(t, length), row, i]] } else { f32::NAN }
    })
}

/// The sequence with every row reversed, its tokens and resets too.
fn reversed(sequence: &Sequence) -> Sequence {
    let (steps, rows) = sequence.shape();
    let input = match &sequence.input {
        Input::Dense(x) => Input::Dense(reversed_rows(x, sequence)),
        Input::Tokens(tokens) => Input::Tokens(Array2::from_shape_fn((steps, rows), |(t, row)| {
            tokens[[mirrored(t, sequence.length(row)), row]]
        })),
        _ => unreachable!("the crate has no third kind"),
    };
    // A reset before step t is one after step t − 1, which is before it in the other direction.
    let resets = sequence.resets.as_ref().map(|resets| {
        Array2::from_shape_fn((steps, rows), |(t, row)| {
            let length = sequence.length(row);
            (1..length).contains(&t) && resets[[length - t, row]]
        })
    });
    Sequence { input, resets, ..sequence.clone() }
}

/// The output with padding left out.
fn own_steps(of: Array3<f32>, sequence: &Sequence) -> Array3<f32> {
    Array3::from_shape_fn(of.dim(), |at| if at.0 < sequence.length(at.1) { of[at] } else { 0.0 })
}

fn same(case: &Case, name: &str, got: &Array3<f32>, want: &Array3<f32>) {
    assert_same_bits(case, &vec![(name.into(), wide(got))], &vec![(name.into(), wide(want))]);
}

fn same_states(case: &Case, of: &str, got: &States, want: &States) {
    same(case, &format!("h_{of}"), &got.h, &want.h);
    got.c.iter().zip(&want.c).for_each(|(got, want)| same(case, &format!("c_{of}"), got, want));
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for cell in CELLS {
        for (ragged, layers) in [(false, 1), (true, 1), (false, 2), (true, 2)] {
            let case = Case { ragged, layers, reverse: true, ..Case::new(cell) }.sizes([9, 6, 3, 7, 3]);
            cases.push(Case { resets: true, ..case.clone() });
            cases.push(case);
        }
        let tokens = Case { ragged: true, layers: 2, reverse: true, ..Case::new(cell) }.sizes([7, 5, 4, 6, 3]);
        cases.push(tokens.clone().embedded(9));
        cases.push(Case { tokens: true, ..tokens });
    }
    cases
}

/// The layers alone, forward and backward, and the heads.
fn reversing_the_rows_reverses_the_network<B: Backend<Engine: Engine<Real = f32>>>(backend: &B) {
    for case in cases() {
        let forward = Case { reverse: false, ..case.clone() };
        let (sequence, mirror) = (case.sequence(), reversed(&case.sequence()));
        let options = EngineOptions::default().input_gradient(true);
        let of = |case: &Case, model: &Model| {
            let mut engine = backend.engine(model, &options).unwrap();
            engine.set_parameters(&case.parameters(model)).unwrap();
            engine
        };
        let (mut own, mut other) = (of(&case, &case.headless()), of(&forward, &forward.headless()));
        let output = block_on(own.forward(&sequence)).unwrap();
        let expected = block_on(other.forward(&mirror)).unwrap();
        let turned = own_steps(reversed_rows(&expected.output, &sequence), &sequence);
        same(&case, "output", &output.output, &turned);
        same_states(&case, "n", &output.states, &expected.states);

        let gradient: OutputGradient = case.output_gradient();
        let d_output = gradient.output.as_ref().map(|output| reversed_rows(output, &sequence));
        let mirror_gradient = OutputGradient { output: d_output, ..gradient.clone() };
        let d_input = block_on(own.backward(&gradient)).unwrap();
        let expected = block_on(other.backward(&mirror_gradient)).unwrap();
        same_states(&case, "0", &d_input.initial, &expected.initial);
        if let (Some(dx), Some(expected)) = (&d_input.x, &expected.x) {
            same(&case, "dx", dx, &own_steps(reversed_rows(expected, &sequence), &sequence));
        }
        // Sums over time, in another order.
        for ((name, got), (_, want)) in gradients(&mut own).iter().zip(&gradients(&mut other)) {
            assert_close(&format!("{case}: {name}"), got, want, 2e-5, 1.0);
        }

        for at in PLACES {
            let (case, forward) = (Case { at, ..case.clone() }, Case { at, ..forward.clone() });
            let (mut own, mut other) = (of(&case, &case.model()), of(&forward, &forward.model()));
            let logits = block_on(own.logits(&sequence)).unwrap().logits;
            let expected = block_on(other.logits(&mirror)).unwrap().logits;
            match at {
                Readout::PerStep => {
                    same(&case, "logits", &logits, &own_steps(reversed_rows(&expected, &sequence), &sequence));
                }
                Readout::Final => same(&case, "logits", &logits, &expected),
                _ => assert_close(&format!("{case}: logits"), &wide(&logits), &wide(&expected), 1e-5, 1.0),
            }
        }
    }
}

#[test]
fn a_reverse_network_is_the_forward_one_over_reversed_rows_to_the_bit() {
    reversing_the_rows_reverses_the_network(&Cpu::<f32>::new());
    reversing_the_rows_reverses_the_network(&Cpu::<f32>::with_threads(2).unwrap());
}

#[test]
fn on_a_gpu_a_reverse_network_is_the_forward_one_over_reversed_rows_to_the_bit() {
    gpu().iter().for_each(reversing_the_rows_reverses_the_network);
}

#[test]
fn a_reverse_network_is_the_second_half_of_one_in_both_directions() {
    for cell in CELLS {
        let both = Case { bidirectional: true, ragged: true, ..Case::new(cell) }.sizes([6, 4, 3, 5, 2]);
        let reverse = Case { bidirectional: false, reverse: true, ..both.clone() };
        let [of_both, of_reverse] = [both.headless(), reverse.headless()].map(|model| Layout::new(&model));
        let weights = of_both.to_state_dict(&both.parameters::<f32>(&both.headless()));
        let own: StateDict = weights
            .iter()
            .filter(|(name, _)| name.ends_with("_reverse"))
            .map(|(name, array)| (name.to_owned(), array.clone()))
            .collect();
        let output = |case: &Case, block: Vec<f32>, sequence: &Sequence| {
            let mut engine = Cpu::<f32>::new().engine(&case.headless(), &EngineOptions::default()).unwrap();
            engine.set_parameters(&block).unwrap();
            block_on(engine.forward(sequence)).unwrap()
        };
        let sequence = Sequence { initial: None, ..both.sequence() };
        let whole = output(&both, of_both.to_block(&weights).unwrap(), &sequence);
        // The names of the reverse direction are those of PyTorch.
        let half = output(&reverse, of_reverse.to_block(&own).unwrap(), &sequence);
        let columns = bptt::ndarray::s![.., .., 5..];
        same(&reverse, "output", &half.output, &whole.output.slice(columns).to_owned());
        let last = bptt::ndarray::s![1..2, .., ..];
        same(&reverse, "h_n", &half.states.h, &whole.states.h.slice(last).to_owned());
    }
}

#[test]
fn other_formats_have_the_reverse_direction_by_their_own_names() {
    let model = Model::headless(Recurrent::new(Cell::Gru, 2, 3).layers(2).direction(Direction::Reverse));
    let weights = Layout::new(&model).to_state_dict(&Initialisation::default().draw(&model, 1).unwrap());
    let names: Vec<&str> = weights.iter().map(|(name, _)| name).filter(|name| name.contains("weight")).collect();
    assert_eq!(
        names,
        [
            "rnn.weight_hh_l0_reverse",
            "rnn.weight_hh_l1_reverse",
            "rnn.weight_ih_l0_reverse",
            "rnn.weight_ih_l1_reverse"
        ]
    );
    let arrays = keras::weights(&model, &weights).unwrap();
    let names: Vec<&str> = arrays.iter().map(|(name, _)| name).filter(|name| name.contains("l0")).collect();
    assert_eq!(names, ["l0/bias", "l0/kernel", "l0/recurrent_kernel"]);
    assert_eq!(keras::state_dict(&model, &arrays).unwrap(), weights);
    let file = onnx::export(&model, &weights, ModelInput::Dense, &[]).unwrap();
    let text = String::from_utf8_lossy(&file);
    assert!(text.contains("reverse") && !text.contains("bidirectional") && !text.contains("forward"), "{text}");
}
