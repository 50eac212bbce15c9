//! What does not fit a network is refused by name on either backend, before anything of it is computed.

use crate::common;
use crate::common::Case;
use bptt::ndarray::{Array2, Array3};
use bptt::{
    Backend, Batch, Cell, Cpu, EngineOptions, Error, Inference, Input, Inspection, Layers, Model, Optimizer,
    OutputGradient, Parameters, Recurrent, Sequence, StateDict, StatefulRows, States, Trainer, Training,
};
use pollster::block_on;

#[track_caller]
fn message<T>(result: bptt::Result<T>) -> String {
    result.err().unwrap().to_string()
}

/// `case`'s network with one batch in its sums.
fn engine<B: Backend>(backend: &B, case: &Case) -> B::Engine {
    let mut engine = backend.engine(&case.model(), &EngineOptions::default()).unwrap();
    engine.set_parameters(&case.parameters(&case.model())).unwrap();
    block_on(engine.accumulate(&case.batch(), None)).unwrap();
    engine
}

/// A sequence is refused with `expected` by every call that takes one, and the gradient sums stay as they are.
fn a_sequence_is_refused<B: Backend>(backend: &B, case: &Case, change: impl Fn(&mut Sequence), expected: &str) {
    let mut engine = engine(backend, case);
    let sums = block_on(engine.gradients()).unwrap();
    let mut batch = case.batch();
    change(&mut batch.sequence);
    assert_eq!(message(block_on(engine.logits(&batch.sequence))), expected);
    assert_eq!(message(block_on(engine.evaluate(&batch))), expected);
    assert_eq!(message(block_on(engine.accumulate(&batch, None))), expected);
    assert_eq!(message(engine.planned_bytes(&batch.sequence)), expected);
    assert_eq!(message(block_on(engine.forward(&batch.sequence.to()))), expected);
    assert_eq!(block_on(engine.gradients()).unwrap(), sums, "{expected}");
    let mut trainer = Trainer::new(backend, &case.model(), Optimizer::sgd(0.1), 1).unwrap();
    assert_eq!(message(block_on(trainer.step(&batch))), expected);
    assert_eq!(message(block_on(trainer.predict(&batch.sequence))), expected);
}

fn sequences_are_refused<B: Backend>(backend: &B) {
    let dense = Case { ragged: true, ..Case::new(Cell::Gru) };
    let tokens = Case { tokens: true, ..dense.clone() };
    let lstm = Case::new(Cell::Lstm);
    // T 4, B 3, I 2, H 3.
    a_sequence_is_refused(
        backend,
        &tokens,
        |sequence| {
            sequence.input = Input::Tokens(Array2::from_shape_fn((4, 3), |(t, row)| 2 * u32::from((t, row) == (1, 2))))
        },
        "tokens[1, 2]: expected a token below 2, got 2",
    );
    let x = |sequence: &mut Sequence| sequence.input = Input::Dense(Array3::zeros((4, 3, 5)));
    a_sequence_is_refused(backend, &dense, x, "x: expected shape [4, 3, 2], got [4, 3, 5]");
    let of = |h: [usize; 3], c: Option<[usize; 3]>| {
        move |sequence: &mut Sequence| {
            sequence.initial = Some(States { h: Array3::zeros(h), c: c.map(Array3::zeros) });
        }
    };
    a_sequence_is_refused(backend, &dense, of([1, 3, 4], None), "h_0: expected shape [1, 3, 3], got [1, 3, 4]");
    a_sequence_is_refused(backend, &dense, of([2, 3, 3], None), "h_0: expected shape [1, 3, 3], got [2, 3, 3]");
    a_sequence_is_refused(backend, &dense, of([1, 2, 3], None), "h_0: expected shape [1, 3, 3], got [1, 2, 3]");
    a_sequence_is_refused(backend, &dense, of([1, 3, 3], Some([1, 3, 3])), "the cell gru has no c_0");
    a_sequence_is_refused(backend, &lstm, of([1, 3, 3], None), "the cell lstm needs c_0 beside h_0");
    let narrow = of([1, 3, 3], Some([1, 3, 2]));
    a_sequence_is_refused(backend, &lstm, narrow, "c_0: expected shape [1, 3, 3], got [1, 3, 2]");
    let lengths = |lengths: &[usize]| {
        let lengths = lengths.to_vec();
        move |sequence: &mut Sequence| sequence.lengths = Some(lengths.clone())
    };
    a_sequence_is_refused(backend, &dense, lengths(&[4, 0, 1]), "lengths[1]: expected 1 to T = 4, got 0");
    a_sequence_is_refused(backend, &dense, lengths(&[4, 4, 5]), "lengths[2]: expected 1 to T = 4, got 5");
    a_sequence_is_refused(backend, &dense, lengths(&[4, 4]), "lengths: expected shape [3], got [2]");
}

#[test]
fn mismatched_tokens_inputs_states_and_lengths_are_refused() {
    sequences_are_refused(&Cpu::<f64>::with_threads(1).unwrap());
    sequences_are_refused(&Cpu::new());
    common::gpu::gpu().iter().for_each(sequences_are_refused);
}

fn gradients_and_states_are_refused<B: Backend>(backend: &B) {
    let case = Case::new(Cell::Gru);
    let mut engine = engine(backend, &case);
    block_on(engine.forward(&case.sequence())).unwrap();
    let none = OutputGradient::default;
    let zeros = |shape: [usize; 3]| Some(Array3::from_elem(shape, Default::default()));
    for (gradient, expected) in [
        (OutputGradient { output: zeros([4, 3, 4]), ..none() }, "d_output: expected shape [4, 3, 3], got [4, 3, 4]"),
        (OutputGradient { h_n: zeros([1, 4, 3]), ..none() }, "d_h_n: expected shape [1, 3, 3], got [1, 4, 3]"),
        (OutputGradient { c_n: zeros([1, 3, 3]), ..none() }, "the cell gru has no d_c_n"),
    ] {
        assert_eq!(message(block_on(engine.backward(&gradient))), expected);
    }
    let carried = States { h: zeros([1, 3, 5]).unwrap(), c: None };
    assert!(message(engine.set_states(Some(&carried))).contains("expected shape [1, 3, 3], got [1, 3, 5]"));
    assert!(block_on(engine.states()).unwrap().is_none());
    let batch: Batch = case.batch();
    assert!(block_on(engine.accumulate(&batch, Some(StatefulRows { first_row: 2, rows: 4 }))).is_err());
}

#[test]
fn gradients_and_carried_states_of_another_shape_are_refused() {
    gradients_and_states_are_refused(&Cpu::<f64>::with_threads(1).unwrap());
    common::gpu::gpu().iter().for_each(gradients_and_states_are_refused);
}

fn rates_are_refused<B: Backend>(backend: &B) {
    let two = Recurrent::new(Cell::Lstm, 2, 3).layers(2);
    for rate in [-0.5, 1.0, 1.5, f64::NAN, f64::INFINITY] {
        for (name, recurrent) in
            [("dropout", two.clone().dropout(rate)), ("recurrent_dropout", two.clone().recurrent_dropout(rate))]
        {
            let engine = backend.engine(&Model::headless(recurrent), &EngineOptions::default());
            assert_eq!(message(engine), format!("{name}: expected a number from 0 to below 1, got {rate}"));
        }
    }
}

#[test]
fn dropout_outside_of_0_to_1_is_refused() {
    rates_are_refused(&Cpu::new());
    common::gpu::gpu().iter().for_each(rates_are_refused);
}

fn another_state_dict_is_refused<B: Backend>(backend: &B) {
    let case = Case::new(Cell::Gru);
    let trainer = |case: &Case| Trainer::new(backend, &case.model(), Optimizer::sgd(0.1), 1).unwrap();
    let mut own = trainer(&case);
    let before = block_on(own.state_dict()).unwrap();
    // H 4 where 3 is due, and without one of the tensors.
    let wider = block_on(trainer(&case.clone().sizes([4, 3, 2, 4, 2])).state_dict()).unwrap();
    let wrong: StateDict<_> = wider
        .iter()
        .filter(|(name, _)| *name != "head.bias")
        .map(|(name, array)| (name.to_owned(), array.clone()))
        .collect();
    let Err(Error::StateDict(lines)) = own.load_state_dict(&wrong) else { panic!("taken") };
    let expected = [
        "shape mismatch: rnn.weight_ih_l0: expected [9, 2], got [12, 2]",
        "shape mismatch: rnn.weight_hh_l0: expected [9, 3], got [12, 4]",
        "shape mismatch: rnn.bias_ih_l0: expected [9], got [12]",
        "shape mismatch: rnn.bias_hh_l0: expected [9], got [12]",
        "shape mismatch: head.weight: expected [2, 3], got [2, 4]",
        "missing: head.bias [2]",
    ];
    assert_eq!(lines, expected);
    assert_eq!(block_on(own.state_dict()).unwrap(), before);
}

#[test]
fn a_state_dict_of_another_hidden_size_is_refused_and_the_weights_stay() {
    another_state_dict_is_refused(&Cpu::new());
    common::gpu::gpu().iter().for_each(another_state_dict_is_refused);
}
