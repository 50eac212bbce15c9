//! What a trainer's network answers: losses, logits, predictions.

use std::ops::Range;

use ndarray::{Array3, s};

use super::trainer::Trainer;
use crate::batch::{Batch, Sequence, States, Validated};
use crate::engine::{Engine, Evaluation, Logits};
use crate::error::Result;
use crate::real::Real;

/// What the network predicts for a sequence, and where the sequence ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction<R = f32> {
    /// ŷ = g(a) for every prediction, \[P, B, O\]: the head's output function over its logits, which are 0 at padding.
    pub y: Array3<R>,
    /// Each row's own final states, h_n and c_n.
    pub states: States<R>,
}

impl<E: Engine> Trainer<E> {
    /// The loss of a batch, reduced as in training, and its final states: see
    /// [`Inference::evaluate`](crate::Inference::evaluate). In micro-batches where it has more rows than those, so that
    /// it takes no more memory than a step. Neither what was accumulated nor the carried state changes.
    ///
    /// # Errors
    /// What [`Batch::validate`] refuses; [`Error::Value`](crate::Error::Value) where the weights of a mean add up to 0.
    pub async fn evaluate(&mut self, batch: &Batch) -> Result<Evaluation<E::Real>> {
        let batch = Validated::batch(batch, self.engine.model())?;
        let divisor = self.engine.model().need_head()?.divisor(batch.total_weight())?;
        let Evaluation { loss, states } = self.sum_losses(batch).await?;
        Ok(Evaluation { loss: loss / divisor, states })
    }

    /// Σ w·loss and the final states, in micro-batches.
    pub(super) async fn loss_sum(&mut self, batch: &Batch) -> Result<Evaluation<E::Real>> {
        let batch = Validated::batch(batch, self.engine.model())?;
        self.sum_losses(batch).await
    }

    async fn sum_losses(&mut self, batch: Validated<'_, Batch>) -> Result<Evaluation<E::Real>> {
        let rows = batch.sequence.shape().1;
        let (mut loss, mut joined) = (0.0, None);
        for part in self.parts(rows) {
            if part.len() == rows {
                return self.engine.evaluate_validated(batch).await;
            }
            let of_part = self.engine.evaluate_validated(batch.rows(part.clone())).await?;
            loss += of_part.loss;
            let recurrent = &self.engine.model().recurrent;
            put_rows(joined.get_or_insert_with(|| States::zeros(recurrent, rows)), part, &of_part.states);
        }
        let states = joined.unwrap_or_else(|| States::zeros(&self.engine.model().recurrent, rows));
        Ok(Evaluation { loss, states })
    }

    /// The head's logits for every prediction, and the final states, with which a further piece can begin: see
    /// [`Inference::logits`](crate::Inference::logits). In micro-batches where the sequence has more rows than those.
    ///
    /// # Errors
    /// What [`Sequence::validate`] refuses.
    pub async fn logits(&mut self, sequence: &Sequence) -> Result<Logits<E::Real>> {
        let sequence = Validated::sequence(sequence, self.engine.model())?;
        let (steps, rows) = sequence.shape();
        let head = self.engine.model().need_head()?;
        let shape = (head.predictions(steps), rows, head.outputs);
        let mut joined = None;
        for part in self.parts(rows) {
            if part.len() == rows {
                return self.engine.logits_validated(sequence).await;
            }
            let of_part = self.engine.logits_validated(sequence.rows(part.clone())).await?;
            let recurrent = &self.engine.model().recurrent;
            let (logits, states) = joined
                .get_or_insert_with(|| (Array3::from_elem(shape, E::Real::default()), States::zeros(recurrent, rows)));
            logits.slice_mut(s![.., part.clone(), ..]).assign(&of_part.logits);
            put_rows(states, part, &of_part.states);
        }
        match joined {
            Some((logits, states)) => Ok(Logits { logits, states }),
            None => self.engine.logits_validated(sequence).await,
        }
    }

    /// ŷ for every prediction, and the final states: the head's output function over [`logits`](Self::logits).
    ///
    /// # Errors
    /// What [`Sequence::validate`] refuses.
    pub async fn predict(&mut self, sequence: &Sequence) -> Result<Prediction<E::Real>> {
        let Logits { logits: mut y, states } = self.logits(sequence).await?;
        self.engine.model().need_head()?.loss.output(&mut y);
        Ok(Prediction { y, states })
    }
}

/// Puts the states of some rows where they stand among all.
fn put_rows<R: Real>(all: &mut States<R>, rows: Range<usize>, of_rows: &States<R>) {
    all.h.slice_mut(s![.., rows.clone(), ..]).assign(&of_rows.h);
    if let (Some(all), Some(c)) = (&mut all.c, &of_rows.c) {
        all.slice_mut(s![.., rows, ..]).assign(c);
    }
}
