//! Losses and predictions over many batches.

use ndarray::{Array2, ArrayView2, s};

use super::trainer::Trainer;
use crate::data::{Batches, Examples, SequentialBatches};
use crate::engine::Engine;
use crate::error::{Error, Result};

/// The loss over one epoch of batches, reduced as in training. Rows that continue the previous batch start from its
/// final states, which stay on the device. Of several [ranks](Trainer::with_communicator) each computes its rows of every
/// batch, and all return the same loss. [Waits](crate#waiting).
///
/// # Errors
/// Those of the batches, and of [`Trainer::evaluate`] for a batch that does not fit the model;
/// [`Error::Value`](crate::Error::Value) for a batch that continues one with another number of rows.
pub async fn evaluate<E: Engine>(trainer: &mut Trainer<E>, batches: &dyn Batches) -> Result<f64> {
    let own = own_sums(trainer, batches).await;
    let (weight, sum) = trainer.agreed_sum(own)?;
    Ok(sum / trainer.engine().model().require_head()?.divisor(weight)?)
}

/// Σ w over all rows, and Σ w·loss over this rank's.
async fn own_sums<E: Engine>(trainer: &mut Trainer<E>, batches: &dyn Batches) -> Result<(f64, f64)> {
    let (mut sum, mut weight) = (0.0, 0.0);
    let continues = |number| number < batches.per_epoch() && batches.continues(number);
    let mut states: Option<E::DeviceStates> = None;
    let mut rows_before = 0;
    for number in 0..batches.per_epoch() {
        let mut batch = batches.batch(number)?;
        batch.sequence.initial = None;
        weight += batch.total_weight();
        let rows = batch.sequence.shape().1;
        let mut from = states.take().filter(|_| continues(number));
        if from.is_some() && rows != rows_before {
            let expected = format!("{rows_before}, as in the batch that it continues");
            return Err(Error::value(format!("the rows of batch {number}"), expected, rows));
        }
        if from.is_none() && continues(number + 1) {
            from = Some(trainer.engine().zero_states(rows)?);
        }
        sum += match &mut from {
            Some(from) => trainer.loss_from(&batch, from).await?,
            None => trainer.own_loss_sum(&batch).await?,
        };
        (states, rows_before) = (from, rows);
    }
    Ok((weight, sum))
}

/// Predictions ŷ for all `examples`, `rows` at a time: \[P, O\] each, in order.
/// [Waits](crate#waiting).
///
/// # Errors
/// Those of the examples, and of [`Trainer::predict`] for a batch that does not fit the model.
pub async fn predict<E: Engine>(
    trainer: &mut Trainer<E>,
    examples: &dyn Examples,
    rows: usize,
) -> Result<Vec<Array2<E::Real>>> {
    let mut predictions = vec![Array2::default((0, 0)); examples.len()];
    predict_each(trainer, examples, rows, |example, prediction| {
        predictions[example] = prediction.to_owned();
        Ok(())
    })
    .await?;
    Ok(predictions)
}

/// Like [`predict`], but passes each prediction to `each`, with the number of its example, as soon as it is available,
/// and does not keep it. Shorter examples come first. Every one of several [ranks](Trainer::with_communicator) receives all.
///
/// # Errors
/// The errors of `each` and of [`Trainer::predict`].
pub async fn predict_each<E: Engine>(
    trainer: &mut Trainer<E>,
    examples: &dyn Examples,
    rows: usize,
    each: impl FnMut(usize, ArrayView2<'_, E::Real>) -> Result<()>,
) -> Result<()> {
    let predicted = predict_batches(trainer, examples, rows, each).await;
    trainer.ended(predicted)
}

/// Predicts batch by batch; the other ranks, if there are any, do not know of an error of `each` yet.
async fn predict_batches<E: Engine>(
    trainer: &mut Trainer<E>,
    examples: &dyn Examples,
    rows: usize,
    mut each: impl FnMut(usize, ArrayView2<'_, E::Real>) -> Result<()>,
) -> Result<()> {
    let batches = SequentialBatches::new(examples, rows)?;
    for number in 0..batches.per_epoch() {
        let batch = batches.batch(number)?;
        let outputs = trainer.predict(&batch.sequence).await?.y;
        for (row, example) in batches.examples(number).iter().enumerate() {
            let steps = outputs.shape()[0].min(batch.sequence.length(row));
            each(*example, outputs.slice(s![..steps, row, ..]))?;
        }
    }
    Ok(())
}
