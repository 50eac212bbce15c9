//! Losses and predictions over many batches.

use ndarray::{Array2, ArrayView2, s};

use super::trainer::Trainer;
use crate::batch::States;
use crate::data::{Batches, Examples, SequentialBatches};
use crate::engine::Engine;
use crate::error::Result;

/// The loss over one epoch of batches, reduced as in training. Rows that continue the previous batch start from its
/// final states. [Waits](crate#waiting).
///
/// # Errors
/// Those of the batches, and of [`Trainer::evaluate`] for a batch that does not fit the model.
pub async fn evaluate<E: Engine>(trainer: &mut Trainer<E>, batches: &dyn Batches) -> Result<f64> {
    let (mut sum, mut weight) = (0.0, 0.0);
    let mut states: Option<States<E::Real>> = None;
    for number in 0..batches.per_epoch() {
        let mut batch = batches.batch(number)?;
        let before = states.take().filter(|_| batches.continues(number));
        batch.sequence.initial = before.as_ref().map(States::to_f32);
        weight += batch.total_weight();
        let evaluation = trainer.loss_sum(&batch).await?;
        sum += evaluation.loss_sum;
        states = Some(evaluation.states);
    }
    Ok(sum / trainer.engine().model().require_head()?.divisor(weight)?)
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
/// and does not keep it. Shorter examples come first.
///
/// # Errors
/// The errors of `each` and of [`Trainer::predict`].
pub async fn predict_each<E: Engine>(
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
