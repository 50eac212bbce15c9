//! A network with its trainer, on the selected device.

use std::io::Write;
use std::sync::Arc;

use ndarray::{Array2, Array3, ArrayView2};

use super::session::NetworkSession;
use crate::communicator::Communicator;
use crate::cpu::CpuEngine;
use crate::data::{Batches, Examples};
use crate::gpu::GpuEngine;
use crate::train::{Checkpoint, Observer, Outcome, RunOptions, evaluate, predict, predict_each, resume, run};
use crate::{Batch, Error, HiddenGradientNorms, Inspection, Model, Parameters, Profile, Result, Sequence, StepReport};
use crate::{StateDict, Trainer};

/// A network with its trainer, on a device selected at run time. Its refusals become [`Error::Failed`]: settings are
/// checked before, so the cause is in the data or the numbers.
pub struct Network(AnyTrainer);

enum AnyTrainer {
    Cpu(Box<Trainer<CpuEngine<f32>>>),
    Gpu(Box<Trainer<GpuEngine>>),
}

/// The same expression for either trainer.
macro_rules! with_trainer {
    ($network:expr, $trainer:ident => $body:expr) => {
        match &mut $network.0 {
            AnyTrainer::Cpu($trainer) => $body,
            AnyTrainer::Gpu($trainer) => $body,
        }
    };
}

impl From<Trainer<CpuEngine<f32>>> for Network {
    fn from(trainer: Trainer<CpuEngine<f32>>) -> Self {
        Self(AnyTrainer::Cpu(Box::new(trainer)))
    }
}

impl From<Trainer<GpuEngine>> for Network {
    fn from(trainer: Trainer<GpuEngine>) -> Self {
        Self(AnyTrainer::Gpu(Box::new(trainer)))
    }
}

impl Network {
    /// The form of the network.
    pub fn model(&mut self) -> &Model {
        with_trainer!(self, trainer => trainer.engine().model())
    }

    /// Makes the network that of one of several ranks, on devices of different arithmetic if they are `mixed`: see
    /// [`Trainer::with_communicator`] and [`Trainer::sharing_weights`].
    ///
    /// # Errors
    /// As of these.
    pub fn with_communicator(self, communicator: Arc<dyn Communicator>, mixed: bool) -> Result<Self> {
        let joined = match self.0 {
            AnyTrainer::Cpu(trainer) => {
                trainer.with_communicator(communicator).map(|of| of.sharing_weights(mixed).into())
            }
            AnyTrainer::Gpu(trainer) => {
                trainer.with_communicator(communicator).map(|of| of.sharing_weights(mixed).into())
            }
        };
        joined.map_err(Error::failed)
    }

    /// Trains from the first step, or from a checkpoint to the end of its run: see [`run`] and [`resume`].
    ///
    /// # Errors
    /// As of these.
    pub async fn run(
        &mut self,
        from: Option<Checkpoint>,
        training: &dyn Batches,
        validation: Option<&dyn Batches>,
        options: &RunOptions,
        observer: &mut dyn Observer,
    ) -> Result<Outcome> {
        let outcome = with_trainer!(self, trainer => match from {
            None => run(trainer, training, validation, options, observer).await,
            Some(checkpoint) => resume(trainer, checkpoint, training, validation, options, observer).await,
        });
        outcome.map_err(Error::failed)
    }

    /// The loss over an epoch of batches, reduced as in training.
    ///
    /// # Errors
    /// Those of the batches and the device.
    pub async fn evaluate(&mut self, batches: &dyn Batches) -> Result<f64> {
        with_trainer!(self, trainer => evaluate(trainer, batches).await).map_err(Error::failed)
    }

    /// ŷ of each example, \[P, O\], computed `rows` examples at a time.
    ///
    /// # Errors
    /// Those of the examples and the device.
    pub async fn predict(&mut self, examples: &dyn Examples, rows: usize) -> Result<Vec<Array2<f32>>> {
        with_trainer!(self, trainer => predict(trainer, examples, rows).await).map_err(Error::failed)
    }

    /// Passes ŷ of each example, \[P, O\], to `each` with the example's index, in any order.
    ///
    /// # Errors
    /// Those of the examples, the device and `each`.
    pub async fn predict_each(
        &mut self,
        examples: &dyn Examples,
        rows: usize,
        each: &mut impl FnMut(usize, ArrayView2<'_, f32>) -> Result<()>,
    ) -> Result<()> {
        with_trainer!(self, trainer => predict_each(trainer, examples, rows, each).await).map_err(Error::failed)
    }

    /// The logits of each prediction, \[P, B, O\].
    ///
    /// # Errors
    /// Where the sequence does not fit the model, and those of the device.
    pub async fn logits(&mut self, sequence: &Sequence) -> Result<Array3<f32>> {
        let logits = with_trainer!(self, trainer => trainer.logits(sequence).await).map_err(Error::failed)?;
        Ok(logits.logits)
    }

    /// Streams through the network: `rows` rows, which start from zero.
    ///
    /// # Errors
    /// Where the network reads in both directions, and those of the device.
    pub fn session(&mut self, rows: usize) -> Result<NetworkSession<'_>> {
        let session = match &mut self.0 {
            AnyTrainer::Cpu(trainer) => trainer.session(rows).map(NetworkSession::Cpu),
            AnyTrainer::Gpu(trainer) => trainer.session(rows).map(NetworkSession::Gpu),
        };
        session.map_err(Error::failed)
    }

    /// ‖∂L/∂h_t‖ of a batch as in a training step, and the report of that step's update.
    ///
    /// # Errors
    /// If the batch does not fit the model or has weight 0, and errors of the device.
    pub async fn hidden_gradient_norms(&mut self, batch: &Batch) -> Result<(HiddenGradientNorms, StepReport)> {
        let measured = with_trainer!(self, trainer => {
            trainer.set_hidden_gradient_norms(true);
            let accumulated = trainer.accumulate(batch).await;
            trainer.set_hidden_gradient_norms(false);
            accumulated.map_err(Error::failed)?;
            let norms = trainer.hidden_gradient_norms().map_err(Error::failed)?;
            let first = trainer.update().await.map_err(Error::failed)?;
            let report = trainer.finish().await.map_err(Error::failed)?.pop().or(first);
            (norms, report)
        });
        let (norms, report) = measured;
        let report = report.ok_or_else(|| Error::Failed("an update without a report".into()))?;
        Ok((norms, report))
    }

    /// Enqueues a training step.
    ///
    /// # Errors
    /// Where the batch does not fit the model, and those of the device.
    pub async fn step(&mut self, batch: &Batch) -> Result<()> {
        with_trainer!(self, trainer => trainer.step(batch).await).map_err(Error::failed).map(|_| ())
    }

    /// Waits for all enqueued steps and returns the loss of the last one.
    ///
    /// # Errors
    /// [`Error::NonFinite`] of a step, and those of the device.
    pub async fn wait(&mut self) -> Result<Option<f64>> {
        with_trainer!(self, trainer => trainer.loss().await).map_err(Error::failed)
    }

    /// The weights by name.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn state_dict(&mut self) -> Result<StateDict> {
        with_trainer!(self, trainer => trainer.state_dict().await).map_err(Error::failed)
    }

    /// Writes the weights as a safetensors file, tensor by tensor, with the metadata `note`, a key and a text.
    ///
    /// # Errors
    /// Those of the device and of writing.
    pub async fn write_weights(&mut self, to: &mut (dyn Write + Send), note: (&str, &str)) -> Result<()> {
        with_trainer!(self, trainer => trainer.write_safetensors(to, Some(note)).await).map_err(Error::failed)
    }

    /// Sets the weights by name.
    ///
    /// # Errors
    /// [`Error::StateDict`] lists every tensor that is missing, unknown or has another shape.
    pub fn load_state_dict(&mut self, weights: &StateDict) -> Result<()> {
        with_trainer!(self, trainer => trainer.load_state_dict(weights))
    }

    /// Sets whether later steps are timed, kernel by kernel.
    ///
    /// # Errors
    /// Those of the device.
    pub fn set_profile(&mut self, on: bool) -> Result<()> {
        with_trainer!(self, trainer => trainer.engine().set_profile(on))
    }

    /// The time since [`set_profile`](Self::set_profile), by kernel or phase.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where no steps were timed.
    pub async fn profile(&mut self) -> Result<Profile> {
        with_trainer!(self, trainer => trainer.engine().profile().await)
    }

    /// Bytes held on its device.
    pub fn bytes(&mut self) -> u64 {
        with_trainer!(self, trainer => trainer.engine().bytes())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Cell, Cpu, Head, Loss, Optimizer, Readout, Recurrent, Targets};
    use ndarray::{Array2, Array3};
    use pollster::block_on;

    use super::*;

    #[test]
    fn a_failed_norm_computation_is_reported_and_later_steps_skip_it() {
        let head = Head::new(1, Loss::SquaredError, Readout::Final);
        let model = Model::new(Recurrent::new(Cell::Gru, 2, 3), head);
        let trainer = Trainer::new(&Cpu::new(), &model, Optimizer::sgd(0.0), 1).unwrap();
        let mut network = Network::from(trainer);
        let batch = |inputs: usize, weight: f32| {
            let x = Array3::from_elem((4, 1, inputs), 0.5);
            let batch = Batch::new(Sequence::dense(x), Targets::Values(Array3::zeros((1, 1, 1))));
            batch.weights(Array2::from_elem((1, 1), weight))
        };
        let failed = |flow| matches!(flow, Err(Error::Failed(_)));
        // It does not fit.
        assert!(failed(block_on(network.hidden_gradient_norms(&batch(5, 1.0)))));
        block_on(network.step(&batch(2, 1.0))).unwrap();
        assert!(with_trainer!(network, trainer => trainer.hidden_gradient_norms().is_err()));
        // Its mean would divide by 0.
        assert!(failed(block_on(network.hidden_gradient_norms(&batch(2, 0.0)))));
        assert!(block_on(network.hidden_gradient_norms(&batch(2, 1.0))).is_ok());
    }
}
