//! Prefetched batches are those of the wrapped ones, from another thread.

use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use bptt::data::{
    AddingTask, Batches, ContiguousStreams, PrefetchedBatches, RandomWindows, ShuffledBatches, SyntheticExamples, Text,
    TextUnit, Vocabulary,
};
use bptt::train::{RunLength, RunOptions, run};
use bptt::{Batch, Cell, Cpu, Error, Model, Optimizer, Recurrent, Result, Trainer, Wait};

const TASK: AddingTask = AddingTask { length: 6 };

fn shuffled() -> ShuffledBatches<SyntheticExamples<AddingTask>> {
    ShuffledBatches::new(TASK.examples(1, 0, 10).unwrap(), 4, 1, 1).unwrap()
}

/// Who asked for which number.
type Asked = Arc<Mutex<Vec<(u64, ThreadId)>>>;

/// Batches that remember who asked for which number, and refuse or panic at some.
struct Watched {
    batches: ShuffledBatches<SyntheticExamples<AddingTask>>,
    asked: Asked,
    refused: Option<u64>,
    panicking: Option<u64>,
}

impl Batches for Watched {
    fn per_epoch(&self) -> u64 {
        self.batches.per_epoch()
    }

    fn batch(&self, number: u64) -> Result<Batch> {
        self.asked.lock().unwrap().push((number, thread::current().id()));
        assert_ne!(Some(number), self.panicking, "batch {number} panics");
        if Some(number) == self.refused {
            return Err(Error::Failed(format!("batch {number} is gone")));
        }
        self.batches.batch(number)
    }

    fn largest(&self) -> Result<Batch> {
        self.batches.largest()
    }

    fn continues(&self, number: u64) -> bool {
        number % 2 == 1
    }
}

fn watched(refused: Option<u64>, panicking: Option<u64>) -> (PrefetchedBatches<Watched>, Asked) {
    let asked = Arc::default();
    let batches = Watched { batches: shuffled(), asked: Arc::clone(&asked), refused, panicking };
    (PrefetchedBatches::new(batches), asked)
}

#[test]
fn prefetched_batches_are_the_same_in_any_order_of_numbers() {
    let (prefetched, asked) = watched(None, None);
    let plain = shuffled();
    for number in [0, 1, 2, 3, 3, 2, 7, 8, 9, 0, u64::MAX, 0, 1] {
        assert_eq!(prefetched.batch(number).ok(), plain.batch(number).ok(), "batch {number}");
    }
    assert_eq!(prefetched.per_epoch(), plain.per_epoch());
    assert_eq!(prefetched.largest().unwrap(), plain.largest().unwrap());
    assert_eq!([4, 5].map(|number| prefetched.continues(number)), [false, true]);
    // The first of each row of numbers is prepared here, those behind it on the other thread.
    let here = thread::current().id();
    let asked = asked.lock().unwrap();
    let on_the_other = |number| asked.iter().any(|(of, thread)| *of == number && *thread != here);
    assert!([1, 2, 3, 8, 9].into_iter().all(on_the_other), "{asked:?}");
    assert!(![0, 7, u64::MAX].into_iter().any(on_the_other), "{asked:?}");
}

#[test]
fn an_error_is_that_of_its_own_number() {
    let (prefetched, _) = watched(Some(2), None);
    for number in [0, 1] {
        prefetched.batch(number).unwrap();
    }
    for _ in 0..2 {
        assert_eq!(prefetched.batch(2).unwrap_err().to_string(), "batch 2 is gone");
    }
    prefetched.batch(3).unwrap();
}

#[test]
fn a_panic_comes_where_its_batch_is_asked_for_and_the_others_are_still_given() {
    let (prefetched, _) = watched(None, Some(2));
    for number in [0, 1, 5, 1] {
        assert_eq!(prefetched.batch(number).unwrap(), shuffled().batch(number).unwrap());
    }
    let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| prefetched.batch(2)));
    assert!(asked.is_err());
    assert_eq!(prefetched.batch(3).unwrap(), shuffled().batch(3).unwrap());
}

#[test]
fn dropping_the_batches_ends_the_thread() {
    let (prefetched, asked) = watched(None, None);
    prefetched.batch(0).unwrap();
    drop(prefetched);
    // The thread held the batches, and with them this.
    assert_eq!(Arc::strong_count(&asked), 1);
}

#[test]
fn a_run_over_prefetched_batches_gives_the_same_bits() {
    let trained = |batches: &dyn Batches| {
        let model = Model::new(Recurrent::new(Cell::Gru, AddingTask::INPUTS, 5), TASK.head());
        let mut trainer = Trainer::new(&Cpu::new(), &model, Optimizer::adam(1e-2), 1).unwrap();
        let options = RunOptions::new(RunLength::Epochs(3)).accumulate(2);
        let outcome = run(&mut trainer, batches, None, &options, &mut ()).wait().unwrap();
        (trainer.state_dict().wait().unwrap(), outcome.last.loss.to_bits())
    };
    assert_eq!(trained(&PrefetchedBatches::new(shuffled())), trained(&shuffled()));
}

#[test]
fn batches_of_a_shared_text_can_be_prefetched() {
    let text =
        Arc::new(Text::from_bytes(b"shared by two threads".to_vec(), "a.txt".as_ref(), TextUnit::Bytes).unwrap());
    let vocabulary = Arc::new(Vocabulary::bytes());
    let streams = ContiguousStreams::new(text.clone(), vocabulary.clone(), 0..20, 5, 2, 0).unwrap();
    let windows = RandomWindows::new(text.clone(), vocabulary.clone(), 0..20, 5, 2, 1).unwrap();
    let (of_text, of_vocabulary) = (&*text, &*vocabulary);
    let plain = ContiguousStreams::new(of_text, of_vocabulary, 0..20, 5, 2, 0).unwrap();
    let prefetched = PrefetchedBatches::new(streams);
    for number in 0..4 {
        assert_eq!(prefetched.batch(number).unwrap(), plain.batch(number).unwrap());
        assert_eq!(prefetched.continues(number), plain.continues(number));
    }
    assert_eq!(PrefetchedBatches::new(windows).batch(0).unwrap().sequence.shape(), (5, 2));
}
