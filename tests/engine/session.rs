//! Streaming: states stay on the device, steps have the bits of the whole sequence, and training beside them sees
//! nothing.

use bptt::gpu::GpuOptions;
use bptt::ndarray::{Array2, Array3, Axis, concatenate, s};
use bptt::{
    Backend, Cell, Cpu, Engine, EngineOptions, Error, Gpu, Inference, Input, Inspection, Layers, Model, Optimizer,
    Parameters, Readout, Real, Sequence, Session, StatefulRows, States, Trainer, Training, block_on,
};
use std::ops::Range;

use crate::common::gpu::{gpu, open};
use crate::common::{CELLS, Case, PLACES, fill};

type RealOf<B> = <<B as Backend>::Engine as Parameters>::Real;

fn engine_of<B: Backend>(backend: &B, case: &Case, model: &Model) -> B::Engine {
    engine_with(backend, case, model, &EngineOptions::default())
}

fn engine_with<B: Backend>(backend: &B, case: &Case, model: &Model, options: &EngineOptions) -> B::Engine {
    let mut engine = backend.engine(model, options).unwrap();
    engine.set_parameters(&case.parameters(model)).unwrap();
    engine
}

fn session<B: Backend>(backend: &B, case: &Case) -> Session<B::Engine> {
    Session::new(engine_of(backend, case, &case.model()), case.rows).unwrap()
}

/// Steps of a sequence of full rows. The first has its initial states.
fn piece<R: Real>(sequence: &Sequence<R>, steps: Range<usize>) -> Sequence<R> {
    Sequence {
        input: match &sequence.input {
            Input::Dense(x) => Input::Dense(x.slice(s![steps.clone(), .., ..]).to_owned()),
            Input::Tokens(tokens) => Input::Tokens(tokens.slice(s![steps.clone(), ..]).to_owned()),
            _ => unreachable!("the crate has no third kind"),
        },
        lengths: None,
        resets: sequence.resets.as_ref().map(|resets| resets.slice(s![steps.clone(), ..]).to_owned()),
        initial: sequence.initial.clone().filter(|_| steps.start == 0),
    }
}

/// The outputs of each piece that ends at these steps.
fn stream<E: Engine>(session: &mut Session<E>, sequence: &Sequence<E::Real>, ends: &[usize]) -> Vec<Array3<E::Real>> {
    let firsts = std::iter::once(&0).chain(ends);
    let step =
        |(first, end): (&usize, &usize)| block_on(session.step(&piece(sequence, *first..*end))).unwrap().to_owned();
    firsts.zip(ends).map(step).collect()
}

fn joined<R: Real>(outputs: &[Array3<R>]) -> Array3<R> {
    let views: Vec<_> = outputs.iter().map(|outputs| outputs.view()).collect();
    concatenate(Axis(0), &views).unwrap()
}

/// Every cell with every kind of input and head.
fn cases() -> Vec<Case> {
    let projected = cases_like(Case::new(Cell::Lstm).projected(5));
    CELLS.into_iter().flat_map(cases_of).chain(projected).collect()
}

/// Every kind of input and head, ten rows and ten steps, of a cell.
pub(crate) fn cases_of(cell: Cell) -> Vec<Case> {
    cases_like(Case::new(cell))
}

fn cases_like(case: Case) -> Vec<Case> {
    let case = Case { layers: 2, ..case }.sizes([10, 10, 5, 7, 3]);
    let dense = PLACES.into_iter().map(|at| Case { at, ..case.clone() });
    let resets = Case { resets: true, initial: false, ..case.clone() };
    let tokens = Case { tokens: true, ..case.clone() };
    let vectors = [case.clone().embedded(6), case.clone().tied(6), Case { bias: false, layers: 1, ..case.clone() }];
    dense.chain([resets, tokens]).chain(vectors).collect()
}

pub(crate) fn steps_have_the_bits_of_the_whole_sequence<B: Backend>(backend: &B, cases: Vec<Case>) {
    steps_have_the_bits_of_the_whole_sequence_with(backend, &EngineOptions::default(), cases);
}

pub(crate) fn steps_have_the_bits_of_the_whole_sequence_with<B: Backend>(
    backend: &B,
    options: &EngineOptions,
    cases: Vec<Case>,
) {
    let session = |case: &Case| Session::new(engine_with(backend, case, &case.model(), options), case.rows).unwrap();
    for case in cases {
        let sequence: Sequence<RealOf<B>> = case.sequence();
        let (whole, singles) = ([case.steps], Vec::from_iter(1..=case.steps));
        let mut once = session(&case);
        let want = stream(&mut once, &sequence, &whole).remove(0);
        let states = block_on(once.states()).unwrap();
        for ends in [&singles[..], &[3, 4, 10]] {
            let mut session = session(&case);
            let outputs = stream(&mut session, &sequence, ends);
            assert_eq!(block_on(session.states()).unwrap(), states, "{case}");
            match case.at {
                Readout::PerStep => assert_eq!(joined(&outputs), want, "{case}"),
                Readout::Final => assert_eq!(outputs.last(), Some(&want), "{case}"),
                // The mean is over the time steps of each call.
                Readout::MeanPool => assert_eq!(outputs.last().map(|last| last.dim()), Some(want.dim()), "{case}"),
                other => panic!("{case}: no expectation for {other:?}"),
            }
        }
    }
}

#[test]
fn one_step_at_a_time_has_the_bits_of_the_whole_sequence_on_the_cpu() {
    steps_have_the_bits_of_the_whole_sequence(&Cpu::<f32>::with_threads(1).unwrap(), cases());
    steps_have_the_bits_of_the_whole_sequence(&Cpu::<f64>::with_threads(3).unwrap(), cases());
}

#[test]
fn one_step_at_a_time_has_the_bits_of_the_whole_sequence_on_the_gpu() {
    gpu().iter().for_each(|gpu| steps_have_the_bits_of_the_whole_sequence(gpu, cases()));
}

/// Of networks as large as those that are used, whose kernels are not those of small ones.
fn one_step_of_a_large_network_has_the_bits_of_the_whole<B: Backend>(backend: &B) {
    for hidden in [128, 300] {
        let case = Case::new(Cell::Lstm).sizes([10, 10, 33, hidden, 40]);
        let sequence: Sequence<RealOf<B>> = case.sequence();
        let want = stream(&mut session(backend, &case), &sequence, &[10]).remove(0);
        let singles: Vec<usize> = (1..=10).collect();
        let outputs = stream(&mut session(backend, &case), &sequence, &singles);
        assert_eq!(joined(&outputs), want, "{case}");
    }
}

#[test]
fn one_step_of_a_large_network_has_the_bits_of_the_whole_on_either_backend() {
    one_step_of_a_large_network_has_the_bits_of_the_whole(&Cpu::new());
    gpu().iter().for_each(one_step_of_a_large_network_has_the_bits_of_the_whole);
}

/// With rows of different lengths, outputs at padding are 0, whatever the buffer held before.
fn a_session_gives_the_logits_and_states_of_a_pass<B: Backend<Engine: Engine<Real = f32>>>(backend: &B) {
    for at in PLACES {
        let full = Case { at, layers: 2, ..Case::new(Cell::Gru) }.sizes([6, 5, 3, 9, 4]);
        let ragged = Case { ragged: true, ..full.clone() };
        let mut engine = engine_of(backend, &full, &full.model());
        let want = block_on(engine.logits(&ragged.sequence::<f32>())).unwrap();
        let mut session = Session::new(engine, 5).unwrap();
        block_on(session.step(&full.sequence())).unwrap();
        assert_eq!(block_on(session.step(&ragged.sequence())).unwrap(), want.logits, "{ragged}");
        assert_eq!(block_on(session.states()).unwrap(), want.states, "{ragged}");
    }
    // Without a head, those of the layers.
    let case = Case { ragged: true, layers: 2, ..Case::new(Cell::Lstm) }.sizes([6, 5, 3, 9, 4]);
    let mut engine = engine_of(backend, &case, &case.headless());
    let want = block_on(engine.forward(&case.sequence())).unwrap();
    let mut session = Session::new(&mut engine, 5).unwrap();
    assert_eq!(block_on(session.step(&case.sequence())).unwrap(), want.output);
    assert_eq!(block_on(session.states()).unwrap(), want.states);
}

#[test]
fn a_session_gives_the_logits_and_states_of_a_pass_on_either_backend() {
    a_session_gives_the_logits_and_states_of_a_pass(&Cpu::<f32>::new());
    gpu().iter().for_each(a_session_gives_the_logits_and_states_of_a_pass);
}

fn x<R: Real>(case: &Case, seed: u64) -> Sequence<R> {
    Sequence::dense(fill((2, case.rows, case.inputs), seed))
}

fn a_reset_row_starts_from_zero_and_the_others_go_on<B: Backend>(backend: &B) {
    for cell in [CELLS[0], Cell::Lstm, Cell::Gru] {
        let case = Case { layers: 2, ..Case::new(cell) }.sizes([2, 6, 3, 5, 2]);
        let (mut session, mut fresh) = (session(backend, &case), session(backend, &case));
        block_on(session.step(&x(&case, 1))).unwrap();
        let before = block_on(session.states()).unwrap();
        session.reset_row(4).unwrap();
        let mut want = before.clone();
        want.h.index_axis_mut(Axis(1), 4).fill(RealOf::<B>::from_f64(0.0));
        want.c.iter_mut().for_each(|c| c.index_axis_mut(Axis(1), 4).fill(RealOf::<B>::from_f64(0.0)));
        assert_ne!(before, want);
        assert_eq!(block_on(session.states()).unwrap(), want, "{case}");
        let outputs = block_on(session.step(&x(&case, 2))).unwrap().to_owned();
        let of_new = block_on(fresh.step(&x(&case, 2))).unwrap();
        assert_eq!(outputs.index_axis(Axis(1), 4), of_new.index_axis(Axis(1), 4), "{case}");
        assert_ne!(outputs.index_axis(Axis(1), 3), of_new.index_axis(Axis(1), 3), "{case}");
        session.reset();
        assert_eq!(block_on(session.states()).unwrap(), States::zeros(&case.recurrent(), 6), "{case}");
    }
}

#[test]
fn a_reset_row_starts_from_zero_and_the_others_go_on_on_either_backend() {
    a_reset_row_starts_from_zero_and_the_others_go_on(&Cpu::<f32>::new());
    a_reset_row_starts_from_zero_and_the_others_go_on(&Cpu::<f64>::default());
    gpu().iter().for_each(a_reset_row_starts_from_zero_and_the_others_go_on);
}

fn states_that_were_kept_give_the_same_outputs_again<B: Backend>(backend: &B) {
    let case = Case { layers: 2, ..Case::new(Cell::Lstm) }.sizes([2, 3, 3, 5, 2]);
    let mut session = session(backend, &case);
    block_on(session.step(&x(&case, 1))).unwrap();
    let (states, snapshot) = (block_on(session.states()).unwrap(), session.snapshot().unwrap());
    let want = block_on(session.step(&x(&case, 2))).unwrap().to_owned();
    for _ in 0..2 {
        session.restore(&snapshot).unwrap();
        assert_eq!(block_on(session.step(&x(&case, 2))).unwrap(), want);
    }
    session.set_states(&states).unwrap();
    assert_eq!(block_on(session.step(&x(&case, 2))).unwrap(), want);
    // In a session of another engine, too.
    let mut other = self::session(backend, &case);
    other.set_states(&states).unwrap();
    assert_eq!(block_on(other.step(&x(&case, 2))).unwrap(), want);
    let refused = other.restore(&snapshot).unwrap_err().to_string();
    assert!(refused.contains("its own session"), "{refused}");
    // The engine that comes back is the same one.
    let mut engine = session.into_engine();
    let mut again = Session::new(&mut engine, 3).unwrap();
    again.set_states(&states).unwrap();
    assert_eq!(block_on(again.step(&x(&case, 2))).unwrap(), want);
}

#[test]
fn states_that_were_kept_give_the_same_outputs_again_on_either_backend() {
    states_that_were_kept_give_the_same_outputs_again(&Cpu::<f32>::new());
    states_that_were_kept_give_the_same_outputs_again(&Cpu::<f64>::default());
    gpu().iter().for_each(states_that_were_kept_give_the_same_outputs_again);
}

fn enqueued_steps_are_read_in_order<B: Backend>(backend: &B) {
    let case = Case::new(Cell::Gru).sizes([2, 3, 3, 5, 2]);
    let (mut session, mut waiting) = (session(backend, &case), session(backend, &case));
    for _ in 0..2 {
        (1..=6).for_each(|seed| session.enqueue(&x(&case, seed)).unwrap());
        assert_eq!(session.unread(), 6);
        let refused = block_on(session.step(&x(&case, 1))).unwrap_err().to_string();
        assert!(refused.contains("6 enqueued steps"), "{refused}");
        for seed in 1..=6 {
            let want = block_on(waiting.step(&x(&case, seed))).unwrap();
            assert_eq!(block_on(session.outputs()).unwrap(), Some(want));
        }
        assert_eq!(block_on(session.outputs()).unwrap(), None);
    }
}

#[test]
fn enqueued_steps_are_read_in_order_on_either_backend() {
    enqueued_steps_are_read_in_order(&Cpu::<f32>::new());
    gpu().iter().for_each(enqueued_steps_are_read_in_order);
}

#[test]
fn four_short_steps_share_a_submission_and_none_waits_before_its_outputs_are_read() {
    let Some(gpu) = open(GpuOptions::default()) else { return };
    let case = Case::new(Cell::Lstm).sizes([2, 3, 3, 5, 2]);
    let mut session = session(&gpu, &case);
    block_on(session.step(&x(&case, 1))).unwrap();
    let before = gpu.counters();
    (1..=8).for_each(|seed| session.enqueue(&x(&case, seed)).unwrap());
    let after = gpu.counters();
    assert_eq!((after.submits - before.submits, after.maps - before.maps), (2, 0));
    while block_on(session.outputs()).unwrap().is_some() {}
    assert_eq!(gpu.counters().maps - before.maps, 8);
}

/// The profile's bytes to and from the device in one step.
fn bytes(gpu: &Gpu, case: &Case, sequence: &Sequence) -> (u64, u64) {
    let mut engine = engine_of(gpu, case, &case.model());
    block_on(Session::new(&mut engine, case.rows).unwrap().step(sequence)).unwrap();
    let mut moved = Vec::new();
    for steps in [1, 11] {
        engine.set_profile(true).unwrap();
        let mut session = Session::new(&mut engine, case.rows).unwrap();
        for _ in 0..steps {
            block_on(session.step(sequence)).unwrap();
        }
        drop(session);
        let profile = block_on(engine.profile()).unwrap();
        moved.push((profile.uploaded, profile.downloaded));
    }
    assert_eq!(moved[1], (11 * moved[0].0, 11 * moved[0].1), "{case}");
    moved[0]
}

#[test]
fn a_step_moves_x_the_flags_and_the_outputs_and_no_states() {
    let Some(gpu) = gpu() else { return };
    let case = Case::new(Cell::Lstm).sizes([1, 10, 8, 128, 12]);
    // 10 rows of 8 numbers and a flag each; 10 rows of 12 logits.
    let dense = Sequence::dense(fill((1, 10, 8), 1));
    assert_eq!(bytes(&gpu, &case, &dense), (4 * (10 * 8 + 10), 4 * 10 * 12));
    // The token ids begin at the next multiple of 256 bytes.
    let tokens = Sequence::tokens(Array2::from_elem((1, 10), 3));
    assert_eq!(bytes(&gpu, &Case { tokens: true, ..case.clone() }, &tokens), (256 + 4 * 10, 4 * 10 * 12));
    assert_eq!(bytes(&gpu, &case.embedded(5000), &tokens), (256 + 4 * 10, 4 * 10 * 12));
}

fn a_session_between_two_batches_changes_no_bit_of_the_training<B: Backend<Engine: Engine<Real = f32>>>(backend: &B) {
    let case = Case { initial: false, layers: 2, ..Case::new(Cell::Lstm) }.sizes([5, 11, 3, 6, 2]);
    let batch = case.batch();
    let run = |streams: bool| {
        let mut engine = engine_of(backend, &case, &case.model());
        for _ in 0..2 {
            block_on(engine.accumulate(&batch, Some(StatefulRows { first_row: 0, rows: 11 }))).unwrap();
            if streams {
                let mut session = Session::new(&mut engine, 11).unwrap();
                block_on(session.step(&batch.sequence)).unwrap();
                session.reset();
            }
        }
        (block_on(engine.gradients()).unwrap(), block_on(engine.states()).unwrap())
    };
    assert_eq!(run(true), run(false));
    let mut trainer = Trainer::new(backend, &case.model(), Optimizer::sgd(0.1), 1).unwrap();
    let want = block_on(trainer.logits(&batch.sequence)).unwrap().logits;
    assert_eq!(block_on(trainer.session(11).unwrap().step(&batch.sequence)).unwrap(), want);
    assert_eq!(block_on(trainer.into_session(11).unwrap().step(&batch.sequence)).unwrap(), want);
}

#[test]
fn a_session_between_two_batches_changes_no_bit_of_the_training_on_either_backend() {
    a_session_between_two_batches_changes_no_bit_of_the_training(&Cpu::<f32>::new());
    gpu().iter().for_each(a_session_between_two_batches_changes_no_bit_of_the_training);
}

/// Every message of a session that is not a sequence's own.
fn refusals<B: Backend<Engine: Engine<Real = f32>>>(backend: &B) -> Vec<String> {
    let case = Case::new(Cell::Lstm).sizes([2, 3, 3, 5, 2]);
    let both = Case { bidirectional: true, ..case.clone() };
    let reverse = Case { reverse: true, ..case.clone() };
    let refused =
        |case: &Case, rows| Session::new(engine_of(backend, case, &case.model()), rows).err().unwrap().to_string();
    let mut messages = vec![refused(&both, 3), refused(&reverse, 3), refused(&case, 0), refused(&case, usize::MAX)];
    let mut session = session(backend, &case);
    block_on(session.step(&x(&case, 1))).unwrap();
    let states = block_on(session.states()).unwrap();
    let wrong = [
        Sequence::dense(Array3::zeros((1, 2, 3))),
        Sequence::dense(Array3::zeros((1, 3, 4))),
        Sequence::dense(Array3::zeros((1, 3, 3))).lengths(vec![1, 2, 1]),
    ];
    messages.extend(wrong.iter().map(|sequence| block_on(session.step(sequence)).unwrap_err().to_string()));
    messages.push(session.reset_row(3).unwrap_err().to_string());
    for (cell, rows) in [(Cell::Lstm, 2), (Cell::Gru, 3)] {
        let recurrent = Case { cell, ..case.clone() }.recurrent();
        messages.push(session.set_states(&States::zeros(&recurrent, rows)).unwrap_err().to_string());
    }
    assert_eq!(block_on(session.states()).unwrap(), states, "a call that is refused changes nothing");
    messages
}

#[test]
fn a_session_refuses_with_the_same_words_on_either_backend() {
    let messages = refusals(&Cpu::<f32>::new());
    let expected = [
        "state cannot be carried in a network with a reverse direction, which starts at each row's end",
        "state cannot be carried in a network with a reverse direction, which starts at each row's end",
        "the rows of the session: expected at least 1, got 0",
        "",
        "the rows of the sequence: expected 3, the rows of the session, got 2",
        "x: expected shape [1, 3, 3], got [1, 3, 4]",
        "lengths[1]: expected 1 to T = 1, got 2",
        "the row to reset: expected a row below 3, got 3",
        "h_0: expected shape [1, 3, 5], got [1, 2, 5]",
        "the cell lstm needs c_0 beside h_0",
    ];
    for (message, expected) in messages.iter().zip(expected).filter(|(_, expected)| !expected.is_empty()) {
        assert_eq!(message, expected);
    }
    let rows = &messages[3];
    assert!(rows.contains("18446744073709551615") && rows.contains("fewer rows"), "{rows}");
    gpu().iter().for_each(|gpu| assert_eq!(refusals(gpu), messages));
    let error = Session::new(Cpu::new().engine(&Case::new(Cell::Gru).model(), &EngineOptions::default()).unwrap(), 0);
    assert!(matches!(error, Err(Error::Value { .. })));
}

#[allow(dead_code, reason = "an example has a main of its own")]
#[path = "../../examples/streaming.rs"]
mod streaming;

#[test]
fn the_streaming_example_names_every_signal_after_a_reset_and_after_a_restore() {
    let lines = block_on(streaming::run()).unwrap();
    let last = |line: usize| lines[lines.len() - line].split(": ").nth(1).unwrap().trim().to_owned();
    assert_eq!(lines[lines.len() - 3], "after 15 steps: sine, triangle, square, sine, triangle, square");
    assert_eq!(last(2), "square, triangle, square, sine, triangle, square");
    assert_eq!(last(1), last(2));
}

/// H and O are multiples of 4, so that no backend pads them.
fn the_bytes_of_a_session_are_counted<B: Backend>(backend: &B) {
    let case = Case::new(Cell::Lstm).sizes([3, 10, 5, 128, 40]);
    let (sequence, number) = (case.sequence(), size_of::<RealOf<B>>() as u64);
    let mut session = session(backend, &case);
    assert_eq!(session.bytes(), 2 * 10 * 128 * number);
    for steps in 1..=2 {
        session.enqueue(&piece(&sequence, 0..1)).unwrap();
        assert_eq!(session.bytes(), (2 * 10 * 128 + steps * 10 * 40) * number);
    }
}

#[test]
fn a_session_counts_its_states_and_the_outputs_of_unread_steps() {
    the_bytes_of_a_session_are_counted(&Cpu::<f32>::new());
    the_bytes_of_a_session_are_counted(&Cpu::<f64>::default());
    gpu().iter().for_each(the_bytes_of_a_session_are_counted);
}
