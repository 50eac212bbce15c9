//! A network on whichever device was chosen: what the commands ask of it, without its types.

use std::io::Write;

use ndarray::{Array2, Array3, ArrayView2};
use pollster::block_on;

use crate::data::{Batches, Examples};
use crate::train::{Checkpoint, Observer, Outcome, RunOptions, evaluate, predict, predict_each, resume, run};
use crate::{
    Batch, Engine, Error, HiddenGradientNorms, Model, Profile, Result, Sequence, StateDict, States, StepReport, Trainer,
};

/// A trainer whose backend is not known at compile time.
pub trait Network {
    /// The form of the network.
    fn model(&mut self) -> &Model;
    /// A run, or what is left of it after a checkpoint.
    fn run(
        &mut self,
        from: Option<Checkpoint>,
        training: &dyn Batches,
        validation: Option<&dyn Batches>,
        options: &RunOptions,
        observer: &mut dyn Observer,
    ) -> Result<Outcome>;
    /// The loss over an epoch of batches, reduced as in training.
    fn evaluate(&mut self, batches: &dyn Batches) -> Result<f64>;
    /// ŷ for each example, \[P, O\], `rows` at a time.
    fn predict(&mut self, examples: &dyn Examples, rows: usize) -> Result<Vec<Array2<f32>>>;
    /// The same, each handed over with its example's number, in no order of theirs.
    fn predict_each(
        &mut self,
        examples: &dyn Examples,
        rows: usize,
        each: &mut dyn FnMut(usize, ArrayView2<'_, f32>) -> Result<()>,
    ) -> Result<()>;
    /// The logits of each prediction, \[P, B, O\], and each row's final states.
    fn logits(&mut self, sequence: &Sequence) -> Result<(Array3<f32>, States)>;
    /// The norms of ∂L/∂h_t of a batch, as of a training step, and what its update reports.
    fn hidden_gradient_norms(&mut self, batch: &Batch) -> Result<(HiddenGradientNorms, StepReport)>;
    /// Enqueues a training step.
    fn step(&mut self, batch: &Batch) -> Result<()>;
    /// Waits for every enqueued step, and tells the last one's loss.
    fn wait(&mut self) -> Result<Option<f64>>;
    /// The weights by name.
    fn state_dict(&mut self) -> Result<StateDict>;
    /// Writes the weights as a safetensors file with a note, tensor by tensor.
    fn write_weights(&mut self, to: &mut dyn Write, note: (&str, &str)) -> Result<()>;
    /// Sets the weights by name.
    fn load_state_dict(&mut self, weights: &StateDict) -> Result<()>;
    /// Whether the steps to come are timed, kernel by kernel.
    fn set_profile(&mut self, on: bool) -> Result<()>;
    /// What they took since then.
    fn profile(&mut self) -> Result<Profile>;
    /// Bytes that it holds on its device.
    fn bytes(&mut self) -> u64;
}

/// What became of a computation: what it refuses now is in the data or the numbers, since the settings were checked before.
fn done<T>(result: Result<T>) -> Result<T> {
    result.map_err(Error::failed)
}

impl<E: Engine<Real = f32>> Network for Trainer<E> {
    fn model(&mut self) -> &Model {
        self.engine().model()
    }

    fn run(
        &mut self,
        from: Option<Checkpoint>,
        training: &dyn Batches,
        validation: Option<&dyn Batches>,
        options: &RunOptions,
        observer: &mut dyn Observer,
    ) -> Result<Outcome> {
        match from {
            None => done(block_on(run(self, training, validation, options, observer))),
            Some(checkpoint) => done(block_on(resume(self, checkpoint, training, validation, options, observer))),
        }
    }

    fn evaluate(&mut self, batches: &dyn Batches) -> Result<f64> {
        done(block_on(evaluate(self, batches)))
    }

    fn predict(&mut self, examples: &dyn Examples, rows: usize) -> Result<Vec<Array2<f32>>> {
        done(block_on(predict(self, examples, rows)))
    }

    fn predict_each(
        &mut self,
        examples: &dyn Examples,
        rows: usize,
        each: &mut dyn FnMut(usize, ArrayView2<'_, f32>) -> Result<()>,
    ) -> Result<()> {
        done(block_on(predict_each(self, examples, rows, each)))
    }

    fn logits(&mut self, sequence: &Sequence) -> Result<(Array3<f32>, States)> {
        let logits = done(block_on(Trainer::logits(self, sequence)))?;
        Ok((logits.logits, logits.states))
    }

    fn hidden_gradient_norms(&mut self, batch: &Batch) -> Result<(HiddenGradientNorms, StepReport)> {
        self.set_hidden_gradient_norms(true);
        let taken = done(block_on(self.accumulate(batch)));
        self.set_hidden_gradient_norms(false);
        taken?;
        let flow = done(Trainer::hidden_gradient_norms(self))?;
        let first = done(block_on(self.update()))?;
        let report = done(block_on(self.finish()))?.pop().or(first);
        let report = report.ok_or_else(|| Error::Failed("an update without a report".into()))?;
        Ok((flow, report))
    }

    fn step(&mut self, batch: &Batch) -> Result<()> {
        done(block_on(Trainer::step(self, batch))).map(|_| ())
    }

    fn wait(&mut self) -> Result<Option<f64>> {
        done(block_on(self.loss()))
    }

    fn state_dict(&mut self) -> Result<StateDict> {
        done(block_on(Trainer::state_dict(self)))
    }

    fn write_weights(&mut self, to: &mut dyn Write, note: (&str, &str)) -> Result<()> {
        done(block_on(self.write_safetensors(to, Some(note))))
    }

    fn load_state_dict(&mut self, weights: &StateDict) -> Result<()> {
        Trainer::load_state_dict(self, weights)
    }

    fn set_profile(&mut self, on: bool) -> Result<()> {
        self.engine().set_profile(on)
    }

    fn profile(&mut self) -> Result<Profile> {
        block_on(self.engine().profile())
    }

    fn bytes(&mut self) -> u64 {
        self.engine().bytes()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Cell, Cpu, Head, Loss, Optimizer, Readout, Recurrent, Targets};
    use ndarray::{Array2, Array3};

    use super::*;

    #[test]
    fn a_flow_that_cannot_be_computed_failed_and_the_steps_after_it_take_none() {
        let head = Head::new(1, Loss::SquaredError, Readout::Final);
        let model = Model::new(Recurrent::new(Cell::Gru, 2, 3), head);
        let mut trainer = Trainer::new(&Cpu::new(), &model, Optimizer::sgd(0.0), 1).unwrap();
        let batch = |inputs: usize, weight: f32| {
            let x = Array3::from_elem((4, 1, inputs), 0.5);
            let batch = Batch::new(Sequence::dense(x), Targets::Values(Array3::zeros((1, 1, 1))));
            batch.weights(Array2::from_elem((1, 1), weight))
        };
        let failed = |flow| matches!(flow, Err(Error::Failed(_)));
        // It does not fit.
        assert!(failed(Network::hidden_gradient_norms(&mut trainer, &batch(5, 1.0))));
        block_on(Trainer::step(&mut trainer, &batch(2, 1.0))).unwrap();
        assert!(Trainer::hidden_gradient_norms(&trainer).is_err());
        // Its mean would divide by 0.
        assert!(failed(Network::hidden_gradient_norms(&mut trainer, &batch(2, 0.0))));
        assert!(Network::hidden_gradient_norms(&mut trainer, &batch(2, 1.0)).is_ok());
    }
}
