//! Losses, logits and predictions of a trainer.

use ndarray::{Array3, s};

use super::trainer::Trainer;
use crate::batch::{Batch, Sequence, States, Validated};
use crate::engine::passes::{Objective, check_weight};
use crate::engine::{CustomLoss, Engine, Logits, LossSum, Session, StatefulRows};
use crate::error::Result;
use crate::real::Real;

/// The predictions for a sequence, and the final states.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Prediction<R = f32> {
    /// ŷ = g(a) for every prediction, \[P, B, O\]: the head's output function of the logits, which are 0 at padding.
    pub y: Array3<R>,
    /// The final states h_n and c_n of each row.
    pub states: States<R>,
}

/// The loss of a batch, and the final states.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Evaluation<R = f32> {
    /// The loss, divided as in training: by Σ w, or by 1 for [`Reduction::Sum`](crate::Reduction::Sum).
    pub loss: f64,
    /// The final states h_n and c_n of each row.
    pub states: States<R>,
}

impl<E: Engine> Trainer<E> {
    /// The loss of a batch, divided as in training, and the final states: see
    /// [`Inference::evaluate`](crate::Inference::evaluate). Larger batches are split into micro-batches, so that
    /// evaluation needs no more memory than a step. Changes neither accumulated gradients nor the carried state.
    /// [Waits](crate#waiting).
    ///
    /// # Errors
    /// The errors of [`Batch::validate`]; [`Error::Value`](crate::Error::Value) if the weights of a mean sum to 0.
    pub async fn evaluate<S: Real>(&mut self, batch: &Batch<S>) -> Result<Evaluation<E::Real>> {
        let batch = Validated::batch::<E::Real>(batch, self.engine.model())?;
        let divisor = self.engine.model().require_head()?.divisor(batch.total_weight())?;
        self.evaluation(Objective::Batch(batch), divisor).await
    }

    /// Like [`evaluate`](Self::evaluate), with a loss of your own over the sequence; `weight` is its Σ w, as of
    /// [`accumulate_with`](Self::accumulate_with). The gradient that the loss leaves is not used.
    /// [Waits](crate#waiting).
    ///
    /// # Errors
    /// The errors of [`Sequence::validate`]; [`Error::Value`](crate::Error::Value) for a weight that is negative or not
    /// finite, or that is 0 for a mean.
    pub async fn evaluate_with<S: Real>(
        &mut self,
        sequence: &Sequence<S>,
        weight: f64,
        loss: &dyn CustomLoss<E>,
    ) -> Result<Evaluation<E::Real>> {
        let objective = Objective::custom(sequence, loss, self.engine.model())?;
        let divisor = self.engine.model().require_head()?.divisor(check_weight(weight)?)?;
        self.evaluation(objective, divisor).await
    }

    /// The loss and the final states of all rows.
    async fn evaluation<S: Real>(
        &mut self,
        objective: Objective<'_, S, E>,
        divisor: f64,
    ) -> Result<Evaluation<E::Real>> {
        let own = self.sum_losses(objective).await;
        let (mut states, loss_sum) = self.agreed_sum(own.map(|LossSum { loss_sum, states }| (states, loss_sum)))?;
        self.join_rows(states.arrays_mut().collect())?;
        Ok(Evaluation { loss: loss_sum / divisor, states })
    }

    /// Σ w·loss over this rank's rows, in micro-batches.
    pub(super) async fn own_loss_sum<S: Real>(&mut self, batch: &Batch<S>) -> Result<f64> {
        let batch = Validated::batch::<E::Real>(batch, self.engine.model())?;
        Ok(self.sum_losses(Objective::Batch(batch)).await?.loss_sum)
    }

    /// Σ w·loss over this rank's rows of a batch, which start from `states` and leave their final states there, on the
    /// device, in micro-batches.
    pub(super) async fn loss_from<S: Real>(&mut self, batch: &Batch<S>, states: &mut E::DeviceStates) -> Result<f64> {
        let objective = Objective::Batch(Validated::batch::<E::Real>(batch, self.engine.model())?);
        let (rows, mut sum) = (batch.sequence.shape().1, 0.0);
        for part in self.parts(self.own_rows(rows)) {
            let of_part = objective.rows(part.clone());
            sum += self.engine.loss_from(of_part, states, StatefulRows { first_row: part.start, rows }).await?;
        }
        Ok(sum)
    }

    /// Σ w·loss and the final states of this rank's rows, the others being 0, in micro-batches.
    async fn sum_losses<S: Real>(&mut self, objective: Objective<'_, S, E>) -> Result<LossSum<E::Real>> {
        let rows = objective.sequence().shape().1;
        let parts = self.parts(self.own_rows(rows));
        if self.ranks.is_some() {
            // As an engine's is after another pass.
            self.input_gradient = None;
        }
        if parts.len() == 1 && self.ranks.is_none() {
            return self.engine.evaluate_validated(objective).await;
        }
        let mut sum = LossSum { loss_sum: 0.0, states: States::zeros(&self.engine.model().recurrent, rows) };
        for part in parts {
            let of_part = self.engine.evaluate_validated(objective.rows(part.clone())).await?;
            sum.loss_sum += of_part.loss_sum;
            sum.states.put_rows(part, &of_part.states);
        }
        Ok(sum)
    }

    /// The head's logits for every prediction, and the final states, from which the next piece of a long sequence can
    /// start: see [`Inference::logits`](crate::Inference::logits). Larger batches are split into micro-batches.
    /// [Waits](crate#waiting).
    ///
    /// # Errors
    /// The errors of [`Sequence::validate`].
    pub async fn logits<S: Real>(&mut self, sequence: &Sequence<S>) -> Result<Logits<E::Real>> {
        let sequence = Validated::sequence(sequence, self.engine.model())?;
        self.engine.model().require_head()?;
        let own = self.own_logits(sequence).await;
        let Logits { mut logits, mut states } = self.agreed(own)?;
        self.join_rows(std::iter::once(&mut logits).chain(states.arrays_mut()).collect())?;
        Ok(Logits { logits, states })
    }

    /// The logits and final states of this rank's rows, the others being 0, in micro-batches.
    async fn own_logits<S: Real>(&mut self, sequence: Validated<'_, Sequence<S>>) -> Result<Logits<E::Real>> {
        let (steps, rows) = sequence.shape();
        let model = self.engine.model();
        let parts = self.parts(self.own_rows(rows));
        if self.ranks.is_some() {
            self.input_gradient = None;
        } else if parts.len() == 1 {
            return self.engine.logits_validated(sequence).await;
        }
        let logits = Array3::from_elem(model.output_shape(steps, rows), E::Real::default());
        let mut joined = Logits { logits, states: States::zeros(&model.recurrent, rows) };
        for part in parts {
            let of_part = self.engine.logits_validated(sequence.rows(part.clone())).await?;
            joined.logits.slice_mut(s![.., part.clone(), ..]).assign(&of_part.logits);
            joined.states.put_rows(part, &of_part.states);
        }
        Ok(joined)
    }

    /// The predictions ŷ, and the final states: the head's output function of [`logits`](Self::logits).
    /// [Waits](crate#waiting).
    ///
    /// # Errors
    /// The errors of [`Sequence::validate`].
    pub async fn predict<S: Real>(&mut self, sequence: &Sequence<S>) -> Result<Prediction<E::Real>> {
        let Logits { logits: mut y, states } = self.logits(sequence).await?;
        self.engine.model().require_head()?.loss.output(&mut y);
        Ok(Prediction { y, states })
    }

    /// Streams through the network as it is now: `rows` rows whose states stay on the device from step to step. Does
    /// not use micro-batches. Changes neither accumulated gradients nor the carried state.
    ///
    /// # Errors
    /// Same as [`Session::new`].
    pub fn session(&mut self, rows: usize) -> Result<Session<&mut E>> {
        Session::new(&mut self.engine, rows)
    }

    /// Ends training and streams through the network: see [`session`](Self::session). Reports that have not been read
    /// are lost.
    ///
    /// # Errors
    /// Same as [`Session::new`].
    pub fn into_session(self, rows: usize) -> Result<Session<E>> {
        Session::new(self.engine, rows)
    }
}
