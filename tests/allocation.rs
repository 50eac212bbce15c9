//! A training step of a shape that was seen before allocates nothing.

#![allow(unsafe_code, reason = "a global allocator is unsafe to implement; this one only counts")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands, as it should")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bptt::{At, Cell, Cpu, Loss, Optimizer, Trainer};
use common::Case;

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The CPU path never waits, so its futures are ready at once; and this allocates nothing of its own.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the CPU path waited"),
    }
}

// The one test of this file: what another one allocated beside it would be counted too.
#[test]
fn a_second_step_on_one_thread_allocates_nothing() {
    for cell in [common::CELLS[0], Cell::Lstm, Cell::Gru] {
        for tokens in [false, true] {
            let case = Case { ragged: true, bidirectional: true, layers: 2, tokens, weights: true, ..Case::new(cell) };
            let case = Case { at: if tokens { At::Last } else { At::Every }, loss: Loss::CrossEntropy, ..case };
            let case = Case { dropout: (0.2, 0.3), ..case }.sizes([9, 19, 5, 33, 4]);
            let cpu = Cpu::<f32>::with_threads(1).unwrap();
            let optimizer = Optimizer::adam(0.01).clip_norm(1.0);
            let mut trainer = Trainer::new(&cpu, &case.model(), optimizer, 1).unwrap();
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
