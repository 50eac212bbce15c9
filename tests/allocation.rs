//! A training step of a shape that was seen before allocates nothing, and a long run holds no more than a short one.

#![allow(unsafe_code, reason = "a global allocator is unsafe to implement; this one only counts")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands, as it should")]

use bptt::{
    Backend, Cell, Cpu, EngineOptions, Gpu, Inspection, Loss, Optimizer, ParameterGroup, Parameters, Readout, Real,
    Session, Trainer, TrainerOptions, wgpu,
};
mod common;
#[allow(unreachable_pub, dead_code, reason = "shared with tests that use more of it")]
#[path = "common/counting.rs"]
mod counting;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use bptt::gpu::GpuOptions;
use common::Case;
use common::gpu::open;
use counting::{ALLOCATIONS, HELD};
use pollster::block_on;

/// The CPU backend never waits, so its futures are ready at once; and this allocates nothing of its own.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the CPU backend waited"),
    }
}

fn a_second_step_on_one_thread_allocates_nothing() {
    for cell in [common::CELLS[0], Cell::Lstm, Cell::Gru] {
        for tokens in [false, true] {
            let case = Case { ragged: true, bidirectional: true, layers: 2, tokens, weights: true, ..Case::new(cell) };
            let case =
                Case { at: if tokens { Readout::Final } else { Readout::PerStep }, loss: Loss::CrossEntropy, ..case };
            let case = Case { dropout: (0.2, 0.3), ..case }.sizes([9, 19, 5, 33, 4]);
            let cpu = Cpu::<f32>::with_threads(1).unwrap();
            let optimizer = Optimizer::adam(0.01).clip_norm(1.0);
            let group = ParameterGroup::new("head.*").learning_rate_factor(2.0);
            let engine = EngineOptions::default().parameter_groups([group]).ema_decay(0.9);
            let options = TrainerOptions::default().engine(engine);
            let mut trainer = Trainer::with_options(&cpu, &case.model(), optimizer, 1, options).unwrap();
            let batch = case.batch();
            let steps = |trainer: &mut Trainer<_>| {
                for _ in 0..4 {
                    ready(trainer.step(&batch)).unwrap();
                }
            };
            steps(&mut trainer);
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            steps(&mut trainer);
            assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "{case}");
        }
    }
}

/// A session's steps in turn over two shapes, by all kinds of inputs and outputs, and what is done between steps.
fn a_session_on_one_thread_allocates_nothing_after_the_first_step_of_a_shape<R: Real>() {
    for cell in [common::CELLS[0], Cell::Lstm, Cell::Gru] {
        let case = Case { layers: 2, initial: false, resets: true, ..Case::new(cell) }.sizes([5, 10, 5, 33, 4]);
        let tokens = Case { tokens: true, ..case.clone() };
        let last = Case { at: Readout::Final, ragged: true, ..case.clone() };
        let models = [case.model(), case.headless()];
        let of_cases = [tokens, last, case.clone().embedded(6)].map(|case| (case.model(), case));
        for (model, case) in models.map(|model| (model, case.clone())).into_iter().chain(of_cases) {
            let cpu = Cpu::<R>::with_threads(1).unwrap();
            let mut engine = cpu.engine(&model, &EngineOptions::default()).unwrap();
            engine.set_parameters(&case.parameters(&model)).unwrap();
            let mut session = Session::new(engine, case.rows).unwrap();
            let sequences = [&case, &case.clone().sizes([1, 10, 5, 33, 4])].map(Case::sequence::<R>);
            let snapshot = session.snapshot().unwrap();
            let mut steps = || {
                for sequence in sequences.iter().chain(&sequences) {
                    ready(session.step(sequence)).unwrap();
                    session.reset_row(3).unwrap();
                    session.enqueue(sequence).unwrap();
                    session.enqueue(sequence).unwrap();
                    while ready(session.outputs()).unwrap().is_some() {}
                }
                session.restore(&snapshot).unwrap();
                session.reset();
            };
            steps();
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            steps();
            assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "{case}, head {}", model.head.is_some());
        }
    }
}

/// Training with its reports, its batches of several shapes, carried states and a checkpoint's state now and then: what
/// is allocated is let go of, on the host and, by `objects`, on the device.
fn ten_thousand_steps_hold_no_more_than_a_hundred_did<B: Backend>(backend: &B, objects: impl Fn() -> Vec<isize>) {
    let case = Case { initial: false, ..Case::new(Cell::Gru) };
    let options = TrainerOptions::default().carry_state(true);
    let mut trainer = Trainer::with_options(backend, &case.model(), Optimizer::adam(1e-3), 1, options).unwrap();
    let cases = [1, 2].map(|steps| case.clone().sizes([steps, 1, 2, 3, 2]));
    let mut held = |steps: usize| {
        for step in 0..steps {
            block_on(trainer.step(&cases[step % 2].batch())).unwrap();
            if step % 50 == 49 {
                block_on(trainer.finish()).unwrap();
                block_on(trainer.state()).unwrap();
            }
        }
        (HELD.load(Ordering::Relaxed), objects(), trainer.engine().bytes())
    };
    let (first, after) = (held(100), held(10_000));
    assert_eq!((&after.1, after.2), (&first.1, first.2));
    // Threads have a little of their own, which comes and goes.
    assert!(after.0 < first.0 + 16 * 1024, "{} bytes were held after 100 steps, {} after 10,100", first.0, after.0);
}

/// What wgpu counts on a device once it is idle. How many command encoders are at hand depends on how fast it is.
fn objects(gpu: &Gpu) -> Vec<isize> {
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let hal = gpu.device().get_internal_counters().hal;
    assert!(hal.command_encoders.read() <= 16);
    let objects = [&hal.buffers, &hal.bind_groups, &hal.compute_pipelines, &hal.shader_modules, &hal.fences];
    let bytes = [&hal.buffer_memory, &hal.memory_allocations];
    objects.into_iter().chain(bytes).map(|counter| counter.read()).collect()
}

// The one test of this file: what another one allocated beside it would be counted too.
#[test]
fn a_second_step_allocates_nothing_and_ten_thousand_steps_hold_no_more_than_a_hundred() {
    a_second_step_on_one_thread_allocates_nothing();
    a_session_on_one_thread_allocates_nothing_after_the_first_step_of_a_shape::<f32>();
    a_session_on_one_thread_allocates_nothing_after_the_first_step_of_a_shape::<f64>();
    ten_thousand_steps_hold_no_more_than_a_hundred_did(&Cpu::<f32>::new(), Vec::new);
    if let Some(gpu) = open(GpuOptions::default()) {
        ten_thousand_steps_hold_no_more_than_a_hundred_did(&gpu, || objects(&gpu));
    }
}
