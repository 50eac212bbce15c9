//! The gradients that a trainer has accumulated, and the loss that belongs to them.

use ndarray::ArrayD;

use super::trainer::{GradientSums, Trainer};
use crate::batch::{Batch, InputGradient, States};
use crate::engine::{Engine, no_input_gradient, shaped};
use crate::error::{Error, Result};
use crate::gradient_norms::HiddenGradientNorms;
use crate::model::StateDict;
use crate::real::Real;

impl<E: Engine> Trainer<E> {
    /// The gradients of the batches accumulated since the last update, or otherwise of those that it used, by parameter
    /// name. Divided as for an update, before clipping. [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Unsupported`] before the first batch.
    pub async fn gradients(&mut self) -> Result<StateDict<E::Real>> {
        let factor = E::Real::from_f64(1.0 / self.divisor("gradients need an accumulated batch")?);
        let all = 0..self.engine.layout().tensors().len();
        let mut block = self.gradient_sums(all).await?;
        block.iter_mut().for_each(|value| *value *= factor);
        Ok(self.engine.layout().to_state_dict(&block))
    }

    /// One tensor of the [`gradients`](Self::gradients), by [`Layout`](crate::Layout) name. [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Unsupported`] before the first batch; [`Error::Value`] for a name that the layout does not have.
    pub async fn gradient(&mut self, name: &str) -> Result<ArrayD<E::Real>> {
        let factor = E::Real::from_f64(1.0 / self.divisor("gradients need an accumulated batch")?);
        let tensor = self.engine.layout().index_of(name)?;
        let mut block = self.gradient_sums(tensor..tensor + 1).await?;
        block.iter_mut().for_each(|value| *value *= factor);
        shaped(&self.engine.layout().tensors()[tensor].shape, block)
    }

    /// The loss of the batches accumulated since the last update, or otherwise of those that it used: what the step's
    /// report has, without an update. Divided like the gradients. [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Unsupported`] before the first batch; [`Error::Value`] if the weights of a mean sum to 0.
    pub async fn accumulated_loss(&mut self) -> Result<f64> {
        let divisor = self.divisor("a loss needs an accumulated batch")?;
        Ok(self.loss_sum_of_gradients().await? / divisor)
    }

    /// The divisor of the engine's sums.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with `reason` without sums.
    fn divisor(&self, reason: &str) -> Result<f64> {
        let (GradientSums::Open { weight, .. } | GradientSums::Used(weight)) = self.sums else {
            return Err(Error::Unsupported(reason.into()));
        };
        self.engine.model().require_head()?.divisor(weight)
    }

    /// Sets whether to record the norms of ∂L/∂h_t for [`hidden_gradient_norms`](Self::hidden_gradient_norms). This
    /// [waits](crate#waiting) for each batch. All other results stay the same, bit for bit.
    pub fn set_hidden_gradient_norms(&mut self, on: bool) {
        self.takes_gradient_norms = on;
        self.engine.set_hidden_gradient_norms(on);
    }

    /// Adds the norms of the last (micro-)batch, if they are recorded: to those of the sums, or, if there are other ranks, to
    /// this rank's own of the batch.
    pub(super) async fn add_gradient_norms(&mut self, own: &mut Option<HiddenGradientNorms>) -> Result<()> {
        if !self.takes_gradient_norms {
            return Ok(());
        }
        let of_rows = self.engine.hidden_gradient_norms().await?;
        if self.ranks.is_some() { add(own, of_rows) } else { self.add_norms(of_rows) }
    }

    /// Adds norms to those of the sums.
    pub(super) fn add_norms(&mut self, of_rows: HiddenGradientNorms) -> Result<()> {
        add(&mut self.gradient_norms, of_rows)
    }

    /// The norms of ∂L/∂h_t of the batches accumulated since the last update, or otherwise of those that it used.
    /// Divided like the gradients, before clipping. Squares are added over (micro-)batches.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if no batch was accumulated with
    /// [`set_hidden_gradient_norms`](Self::set_hidden_gradient_norms) on.
    pub fn hidden_gradient_norms(&self) -> Result<HiddenGradientNorms> {
        let reason = "gradient norms need a batch accumulated after set_hidden_gradient_norms(true)";
        let Some(gradient_norms) = &self.gradient_norms else { return Err(Error::Unsupported(reason.into())) };
        let divisor = self.divisor(reason)?;
        Ok(HiddenGradientNorms { norms: &gradient_norms.norms / divisor })
    }

    /// The [norms of ∂L/∂h_t](Self::hidden_gradient_norms) of a batch, as in a training step with the current parameters, and
    /// no effect on later steps: its gradients are discarded, and the carried states stay those before it. The gradients that
    /// the last update used are discarded too. [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a batch was accumulated since the last update; the errors of
    /// [`accumulate`](Self::accumulate); [`Error::Value`] if the weights of a mean sum to 0.
    pub async fn hidden_gradient_norms_of<S: Real>(&mut self, batch: &Batch<S>) -> Result<HiddenGradientNorms> {
        if let GradientSums::Open { .. } = self.sums {
            let reason =
                "the norms of a batch are measured between two steps: a batch was accumulated since the last update";
            return Err(Error::Unsupported(reason.into()));
        }
        let carried = if self.options.carry_state { self.engine.states().await? } else { None };
        let before = self.takes_gradient_norms;
        self.set_hidden_gradient_norms(true);
        let accumulated = self.accumulate(batch).await;
        self.set_hidden_gradient_norms(before);
        let norms = accumulated.and_then(|()| self.hidden_gradient_norms());
        (self.sums, self.gradient_norms) = (GradientSums::Nothing, None);
        if self.options.carry_state {
            self.engine.set_states(carried.as_ref())?;
        }
        norms
    }

    /// dx, dh_0 and dc_0 of the last batch. Divided like the gradients. Requires
    /// [`EngineOptions::input_gradient`](crate::EngineOptions::input_gradient); with it, a batch that is split waits
    /// for each of its micro-batches. [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Unsupported`] without that option, or after an evaluation or prediction.
    pub async fn input_gradient(&mut self) -> Result<InputGradient<E::Real>> {
        let mut whole = if self.ranks.is_some() && self.options.engine.input_gradient {
            // The engine of a rank without rows has none.
            self.input_gradient.clone().ok_or_else(no_input_gradient)?
        } else {
            // Of the last micro-batch, if the batch was split; refused where it is out of date.
            let last = self.engine.input_gradient().await?;
            self.input_gradient.clone().unwrap_or(last)
        };
        let factor = E::Real::from_f64(1.0 / self.divisor("dx, dh_0 and dc_0 need an accumulated batch")?);
        let InputGradient { x, initial: States { h, c } } = &mut whole;
        x.iter_mut().chain([h]).chain(c).for_each(|array| array.mapv_inplace(|value| value * factor));
        Ok(whole)
    }
}

/// Adds norms to others, if there are any.
fn add(to: &mut Option<HiddenGradientNorms>, of_rows: HiddenGradientNorms) -> Result<()> {
    match to {
        Some(norms) => norms.add_rows(&of_rows),
        None => {
            *to = Some(of_rows);
            Ok(())
        }
    }
}
