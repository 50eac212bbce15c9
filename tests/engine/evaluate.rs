//! The loss over batches that continue each other: their states stay on the device.

use crate::common::gpu::gpu;
use crate::common::{CELLS, Case};
use bptt::data::Batches;
use bptt::train::evaluate;
use bptt::{Backend, Batch, Cell, Cpu, Engine, Inspection, Optimizer, Result, Trainer, TrainerOptions, Wait};

/// Batches of some rows each. Number 3, and any of other rows, begins anew unless `broken`.
struct Streams {
    case: Case,
    rows: [usize; 6],
    broken: bool,
}

impl Batches for Streams {
    fn per_epoch(&self) -> u64 {
        self.rows.len() as u64
    }

    fn batch(&self, number: u64) -> Result<Batch> {
        let rows = self.rows[number as usize];
        let case = Case { rows, scale: 1.0 + number as f64, initial: false, ..self.case.clone() };
        Ok(case.batch())
    }

    fn largest(&self) -> Result<Batch> {
        self.batch(0)
    }

    fn continues(&self, number: u64) -> bool {
        let number = number as usize;
        self.broken || number > 0 && number != 3 && self.rows[number] == self.rows[number - 1]
    }
}

fn trainer<B: Backend>(backend: &B, case: &Case, micro_batch: Option<usize>) -> Trainer<B::Engine> {
    let options = TrainerOptions::default().micro_batch(micro_batch);
    Trainer::with_options(backend, &case.model(), Optimizer::sgd(0.1), 3, options).unwrap()
}

/// The same with the states passed through the host.
fn through_the_host<E: Engine<Real = f32>>(trainer: &mut Trainer<E>, streams: &Streams, micro_batch: usize) -> f64 {
    let (mut sum, mut weight, mut states) = (0.0, 0.0, None);
    for number in 0..streams.per_epoch() {
        let mut batch = streams.batch(number).unwrap();
        batch.sequence.initial = states.take().filter(|_| streams.continues(number));
        weight += batch.total_weight();
        let (rows, mut of_batch) = (batch.sequence.shape().1, 0.0);
        let mut all = bptt::States::zeros(&streams.case.recurrent(), rows);
        for first in (0..rows).step_by(micro_batch) {
            let part = first..rows.min(first + micro_batch);
            let of_part = trainer.engine().evaluate(&batch.rows(part.clone())).wait().unwrap();
            of_batch += of_part.loss_sum;
            let at = bptt::ndarray::s![.., part, ..];
            all.h.slice_mut(at).assign(&of_part.states.h);
            all.c.iter_mut().zip(&of_part.states.c).for_each(|(all, c)| all.slice_mut(at).assign(c));
        }
        sum += of_batch;
        states = Some(all);
    }
    sum / weight
}

fn states_on_the_device_give_the_same_bits<B: Backend<Engine: Engine<Real = f32>>>(backend: &B) {
    for cell in CELLS {
        let case = Case { layers: 2, ragged: true, weights: true, ..Case::new(cell) }.sizes([5, 7, 3, 6, 2]);
        let streams = Streams { case: case.clone(), rows: [7, 7, 7, 7, 7, 4], broken: false };
        for micro_batch in [None, Some(3)] {
            let mut trainer = trainer(backend, &case, micro_batch);
            let got = evaluate(&mut trainer, &streams).wait().unwrap();
            let want = through_the_host(&mut trainer, &streams, micro_batch.unwrap_or(7));
            assert_eq!(got.to_bits(), want.to_bits(), "{case}, {micro_batch:?}: {got} {want}");
        }
    }
}

#[test]
fn an_evaluation_that_keeps_states_on_the_device_gives_the_bits_of_one_through_the_host() {
    states_on_the_device_give_the_same_bits(&Cpu::<f32>::new());
    gpu().iter().for_each(states_on_the_device_give_the_same_bits);
}

#[test]
fn a_batch_that_continues_one_of_other_rows_is_refused_by_its_number() {
    let case = Case::new(Cell::Gru).sizes([5, 7, 3, 6, 2]);
    let streams = Streams { case: case.clone(), rows: [7, 7, 6, 6, 6, 6], broken: true };
    let error = evaluate(&mut trainer(&Cpu::<f32>::new(), &case, None), &streams).wait().unwrap_err();
    assert_eq!(error.to_string(), "the rows of batch 2: expected 7, as in the batch that it continues, got 6");
}

#[test]
fn on_a_gpu_an_evaluation_copies_no_states_to_the_host() {
    let Some(gpu) = gpu() else { return };
    let moved = [4, 40].map(|hidden| {
        let case = Case::new(Cell::Lstm).sizes([5, 7, 3, hidden, 2]);
        let streams = Streams { case: case.clone(), rows: [7; 6], broken: true };
        let mut trainer = trainer(&gpu, &case, None);
        evaluate(&mut trainer, &streams).wait().unwrap();
        trainer.engine().set_profile(true).unwrap();
        evaluate(&mut trainer, &streams).wait().unwrap();
        let profile = trainer.engine().profile().wait().unwrap();
        (profile.uploaded, profile.downloaded)
    });
    assert_eq!(moved[0], moved[1]);
    // The sums of the losses of each batch.
    assert_eq!(moved[0].1, 6 * 4096);
}
