//! The trainer: from a batch to an update.

use std::ops::Range;
use std::sync::Arc;

use ndarray::ArrayD;

use super::options::TrainerOptions;
use crate::batch::{Batch, InputGradient, Sequence, States, Validated};
use crate::communicator::{Ranks, SentBytes, SumsAhead};
use crate::dropout::DropoutKey;
use crate::engine::passes::{Objective, check_weight};
use crate::engine::{Backend, CustomLoss, CustomOptimizer, Engine, StatefulRows, StepReport, check_carries};
use crate::error::{Error, Result};
use crate::gradient_norms::HiddenGradientNorms;
use crate::model::{Layout, Model};
use crate::optim::{Optimizer, OptimizerStep};
use crate::real::Real;

/// The origin of the engine's gradient sums, with their Σ w.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum GradientSums {
    /// No sums, or an incomplete batch after an error.
    Nothing,
    /// Batches not yet used by an update, with this many rows in total.
    Open { weight: f64, rows: usize },
    /// Batches used by the last update.
    Used(f64),
}

/// Trains a model with a head. See the example on the crate's front page.
///
/// Steps are enqueued, and reports arrive some steps late: [`step`](Self::step) returns the report of an earlier step
/// once [`TrainerOptions::in_flight`] submissions are pending. [`loss`](Self::loss) and [`finish`](Self::finish) wait.
///
/// # Non-finite steps
///
/// A step whose loss or gradient norm is not finite changes nothing. More than
/// [`EngineOptions::max_skipped_updates`](crate::EngineOptions::max_skipped_updates) of them in a row stop updating:
/// the steps enqueued behind the bad one change nothing either. The call that would return the bad step's report
/// ([`step`](Self::step), [`update`](Self::update), [`finish`](Self::finish) or [`loss`](Self::loss)) returns
/// [`Error::NonFinite`] with the step's number. From then on these four return the same error and enqueue nothing,
/// until [`load_state_dict`](Self::load_state_dict) sets new parameters or [`restore`](Self::restore) an earlier state.
/// [`state_dict`](Self::state_dict), [`evaluate`](Self::evaluate), [`predict`](Self::predict) and the others still
/// work, with the parameters from before the bad step; [`gradients`](Self::gradients) returns those of the batches
/// accumulated last.
#[derive(Debug)]
pub struct Trainer<E: Engine> {
    pub(super) engine: E,
    pub(super) optimizer: Optimizer,
    pub(super) options: TrainerOptions,
    pub(super) seed: u64,
    pub(super) step: u64,
    /// The last report that a step has returned.
    pub(super) last_report: Option<StepReport>,
    pub(super) sums: GradientSums,
    pub(super) takes_gradient_norms: bool,
    /// The norms of ∂L/∂h_t that belong to the sums, not divided.
    pub(super) gradient_norms: Option<HiddenGradientNorms>,
    /// dx, dh_0 and dc_0 of the last batch, not divided, if it was split.
    pub(super) input_gradient: Option<InputGradient<E::Real>>,
    /// The other ranks, if there are any.
    pub(super) ranks: Option<Ranks>,
    /// Whether the ranks take rank 0's weights after every update.
    pub(super) shares_weights: bool,
    /// The comparisons of ranks at the beginning of steps that are still to come.
    pub(super) comparisons: u8,
    /// The bytes sent to other ranks.
    pub(super) sent: SentBytes,
    /// The sums over ranks that have begun before the update.
    pub(super) sums_ahead: Option<SumsAhead<E::Real>>,
    /// The digest of the batches that belong to the sums, if there are other ranks.
    pub(super) batches_digest: u64,
}

impl<E: Engine> Trainer<E> {
    /// Creates a trainer. `seed` determines the initial parameters, which are drawn as in PyTorch, and the dropout masks.
    /// [`SavedModel::trainer`](crate::SavedModel::trainer) creates one with the parameters of a file.
    ///
    /// # Errors
    /// Those of [`with_options`](Self::with_options).
    pub fn new<B: Backend<Engine = E>>(backend: &B, model: &Model, optimizer: Optimizer, seed: u64) -> Result<Self> {
        Self::with_options(backend, model, optimizer, seed, TrainerOptions::default())
    }

    /// Creates a trainer with options. Its parameters are drawn by [`TrainerOptions::initialisation`].
    ///
    /// # Errors
    /// Those of [`Model::validate`] and [`Optimizer::validate`]; [`Error::Value`] for an `in_flight` or `micro_batch`
    /// of 0; [`Error::Unsupported`] for a model without a head, and for carried states in a network with a reverse direction;
    /// those of [`Backend::engine`], such as [`Error::NoMemory`].
    pub fn with_options<B: Backend<Engine = E>>(
        backend: &B,
        model: &Model,
        optimizer: Optimizer,
        seed: u64,
        options: TrainerOptions,
    ) -> Result<Self> {
        let mut trainer = Self::zeroed(backend, model, optimizer, seed, options)?;
        trainer.engine.initialise(trainer.options.initialisation, seed)?;
        trainer.restart_average()?;
        Ok(trainer)
    }

    /// A trainer whose parameters are zero.
    pub(super) fn zeroed<B: Backend<Engine = E>>(
        backend: &B,
        model: &Model,
        optimizer: Optimizer,
        seed: u64,
        mut options: TrainerOptions,
    ) -> Result<Self> {
        model.validate()?;
        optimizer.validate_in::<E::Real>()?;
        model.require_head()?;
        if options.carry_state {
            check_carries(model)?;
        }
        for (name, count) in [("in_flight", Some(options.in_flight)), ("micro_batch", options.micro_batch)] {
            if count == Some(0) {
                return Err(Error::value(name, "at least 1", 0));
            }
        }
        options.engine.optimizer = Some(optimizer.kind);
        Ok(Self {
            engine: backend.engine(model, &options.engine)?,
            optimizer,
            options,
            seed,
            step: 0,
            last_report: None,
            sums: GradientSums::Nothing,
            takes_gradient_norms: false,
            gradient_norms: None,
            input_gradient: None,
            ranks: None,
            shares_weights: false,
            comparisons: 0,
            sent: SentBytes::default(),
            sums_ahead: None,
            batches_digest: 0,
        })
    }

    /// Gives the trainer the optimizer that [`Optimizer::custom`] stands for. Updates need it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the trainer was created with another kind of optimizer.
    pub fn custom_optimizer(mut self, optimizer: impl CustomOptimizer<E> + 'static) -> Result<Self> {
        self.engine.set_custom_optimizer(Arc::new(optimizer))?;
        Ok(self)
    }

    /// [Enqueues](crate#waiting) one training step: [`accumulate`](Self::accumulate), then [`update`](Self::update). Batches accumulated
    /// before this call are part of the step.
    ///
    /// # Errors
    /// The errors of both; before anything is computed, [`Error::NonFinite`] once updating has stopped, and those of
    /// [`Training::check_update`](crate::Training::check_update).
    pub async fn step<S: Real>(&mut self, batch: &Batch<S>) -> Result<Option<StepReport>> {
        self.engine.may_update()?;
        self.check_step()?;
        self.accumulate_last(batch).await?;
        self.update().await
    }

    /// [Enqueues](crate#waiting) forward and backward passes over a batch, split into micro-batches if needed, and adds its weighted
    /// gradients to those since the last update. Several batches before one update equal one batch with all their rows.
    /// This includes dropout, whose [`DropoutKey`] counts the updates and the rows since the last update.
    ///
    /// # Errors
    /// The errors of [`Batch::validate`], which leave everything unchanged. An error of the engine discards the
    /// accumulated gradients, which may contain part of the batch.
    pub async fn accumulate<S: Real>(&mut self, batch: &Batch<S>) -> Result<()> {
        self.accumulate_batch(batch, false).await
    }

    /// Like [`accumulate`](Self::accumulate), of the last batch before an update, which comes next: sums over ranks may begin
    /// within its backward pass.
    pub(super) async fn accumulate_last<S: Real>(&mut self, batch: &Batch<S>) -> Result<()> {
        self.accumulate_batch(batch, true).await
    }

    async fn accumulate_batch<S: Real>(&mut self, batch: &Batch<S>, is_last: bool) -> Result<()> {
        let batch = Validated::batch::<E::Real>(batch, self.engine.model())?;
        let weight = batch.total_weight();
        self.accumulate_objective(Objective::Batch(batch), weight, is_last).await
    }

    /// [Enqueues](crate#waiting) one training step with a loss of your own: [`accumulate_with`](Self::accumulate_with), then
    /// [`update`](Self::update).
    ///
    /// # Errors
    /// The errors of both; before anything is computed, [`Error::NonFinite`] once updating has stopped, and those of
    /// [`Training::check_update`](crate::Training::check_update).
    pub async fn step_with<S: Real>(
        &mut self,
        sequence: &Sequence<S>,
        weight: f64,
        loss: &dyn CustomLoss<E>,
    ) -> Result<Option<StepReport>> {
        self.engine.may_update()?;
        self.check_step()?;
        self.accumulate_own(sequence, weight, loss, true).await?;
        self.update().await
    }

    /// Like [`accumulate`](Self::accumulate), with a loss of your own in place of the head's. `weight` is its Σ w: what the
    /// update divides the sums of the loss and its gradient by, unless the head's reduction is
    /// [`Reduction::Sum`](crate::Reduction::Sum). For a mean of the
    /// losses it is the number of predictions without padding: [`Sequence::time_steps`] for a head at every step, the number
    /// of rows otherwise. Micro-batches call the loss with the rows' indices in `sequence`. [Enqueues](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Value`] for a weight that is negative or not finite, and the errors of [`Sequence::validate`], which leave
    /// everything unchanged; otherwise those of [`accumulate`](Self::accumulate).
    pub async fn accumulate_with<S: Real>(
        &mut self,
        sequence: &Sequence<S>,
        weight: f64,
        loss: &dyn CustomLoss<E>,
    ) -> Result<()> {
        self.accumulate_own(sequence, weight, loss, false).await
    }

    async fn accumulate_own<S: Real>(
        &mut self,
        sequence: &Sequence<S>,
        weight: f64,
        loss: &dyn CustomLoss<E>,
        is_last: bool,
    ) -> Result<()> {
        let objective = Objective::custom(sequence, loss, self.engine.model())?;
        let weight = check_weight(weight)?;
        self.accumulate_objective(objective, weight, is_last).await
    }

    async fn accumulate_objective<S: Real>(
        &mut self,
        objective: Objective<'_, S, E>,
        added: f64,
        is_last: bool,
    ) -> Result<()> {
        let (weight, rows_before) = match std::mem::replace(&mut self.sums, GradientSums::Nothing) {
            GradientSums::Open { weight, rows } => (weight, rows),
            GradientSums::Nothing | GradientSums::Used(_) => {
                self.compare_at_step().await?;
                self.engine.clear_gradients();
                self.gradient_norms = None;
                self.batches_digest = 0;
                (0.0, 0)
            }
        };
        self.digest_batch(objective.sequence(), added);
        let (steps, rows) = objective.sequence().shape();
        let sums_ahead = is_last && self.sums_begin_early(weight + added);
        let accumulated = self.accumulate_rows(&objective, rows_before, sums_ahead).await;
        if accumulated.is_err() {
            self.end_sums_ahead();
        }
        let norms = self.announced(accumulated)?;
        self.join_batch((steps, rows), norms)?;
        self.sums = GradientSums::Open { weight: weight + added, rows: rows_before + rows };
        Ok(())
    }

    /// Accumulates this rank's rows of a batch, and returns the norms of ∂L/∂h_t over them if there are other ranks.
    async fn accumulate_rows<S: Real>(
        &mut self,
        objective: &Objective<'_, S, E>,
        rows_before: usize,
        sums_ahead: bool,
    ) -> Result<Option<HiddenGradientNorms>> {
        let rows = objective.sequence().shape().1;
        let (seed, step, carries) = (self.seed, self.step + 1, self.options.carry_state);
        self.input_gradient = None;
        let mut own_norms = None;
        let own_rows = self.own_rows(rows);
        for part in self.parts(own_rows.clone()) {
            let first_row = part.start;
            let of_part = objective.rows(part.clone());
            self.engine.set_dropout(Some(DropoutKey { seed, step, first_row: rows_before + first_row }));
            let carry = carries.then_some(StatefulRows { first_row, rows });
            let ahead = if sums_ahead && part.end == own_rows.end { self.begin_sums_ahead()? } else { None };
            let mut completed = |numbers, sums: &[E::Real]| {
                if let Some(ahead) = &ahead {
                    ahead.give(numbers, sums);
                }
            };
            let accumulated = self.engine.accumulate_validated(of_part, carry, Some(&mut completed)).await;
            self.sums_ahead = ahead;
            accumulated?;
            self.add_gradient_norms(&mut own_norms).await?;
            if (part.len() < rows || self.ranks.is_some()) && self.options.engine.input_gradient {
                let of_part = self.engine.input_gradient().await?;
                InputGradient::put_rows(&mut self.input_gradient, rows, part, &of_part);
            }
        }
        Ok(own_norms)
    }

    /// Refuses a step whose update would be refused. Its Σ w is not known yet.
    pub(super) fn check_step(&self) -> Result<()> {
        self.engine.check_update(&OptimizerStep::new(self.optimizer, self.step + 1, 1.0))
    }

    /// [Enqueues](crate#waiting) an update from the gradients accumulated since the last one: divides the sums by their Σ w (by 1 for
    /// [`Reduction::Sum`](crate::Reduction::Sum)), clips, and applies the optimizer. With `in_flight` submissions
    /// pending, waits for the oldest report and returns it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if nothing was accumulated; [`Error::Value`] if the weights of a mean sum to 0, in which
    /// case another batch can be accumulated; those of [`Training::check_update`](crate::Training::check_update);
    /// [`Error::NonFinite`] once an earlier step has stopped updating.
    pub async fn update(&mut self) -> Result<Option<StepReport>> {
        let GradientSums::Open { weight, .. } = self.sums else {
            let reason = "an update needs an accumulated batch: none was accumulated since the last update";
            return Err(Error::Unsupported(reason.into()));
        };
        let divisor = self.engine.model().require_head()?.divisor(weight)?;
        let update = OptimizerStep::new(self.optimizer, self.step + 1, divisor);
        if self.ranks.is_some() {
            // Sums are added up once: what would refuse them comes before.
            self.engine.may_update()?;
            self.engine.check_update(&update)?;
            self.sums = GradientSums::Nothing;
            self.sum_over_ranks().await?;
        }
        let updated = self.engine.update(&update).await;
        self.announced(updated)?;
        self.share_weights().await?;
        self.sums = GradientSums::Used(weight);
        self.step += 1;
        if self.engine.in_flight() >= self.options.in_flight { self.report().await } else { Ok(None) }
    }

    /// The report of the oldest step that has not been reported.
    pub(super) async fn report(&mut self) -> Result<Option<StepReport>> {
        let report = self.engine.report().await?;
        self.last_report = report.or(self.last_report);
        Ok(report)
    }

    /// [Waits](crate#waiting) for all enqueued steps and returns the outstanding reports, oldest first.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if one of the steps stopped updating. The reports of the good steps before it are then
    /// lost; [`Training::report`](crate::Training::report) returns them one by one.
    pub async fn finish(&mut self) -> Result<Vec<StepReport>> {
        let mut reports = Vec::new();
        while let Some(report) = self.report().await? {
            reports.push(report);
        }
        Ok(reports)
    }

    /// [Waits](crate#waiting) for all enqueued steps and returns the last one's loss, whether or not it has been reported
    /// before. `None` before the first step, after [`restore`](Self::restore), and if the engine itself was asked for the
    /// report.
    ///
    /// # Errors
    /// Same as [`finish`](Self::finish).
    pub async fn loss(&mut self) -> Result<Option<f64>> {
        self.finish().await?;
        Ok(self.last_report.filter(|report| report.step == self.step).map(|report| report.loss))
    }
}

/// What a trainer is and has between steps.
impl<E: Engine> Trainer<E> {
    /// The carried states of all rows. `None` before the first batch. [Waits](crate#waiting).
    ///
    /// # Errors
    /// Those of the device.
    pub async fn states(&mut self) -> Result<Option<States<E::Real>>> {
        self.carried_states().await
    }

    /// Resets the carried state: the next batch starts from zero.
    ///
    /// # Errors
    /// Those of the device.
    pub fn reset_state(&mut self) -> Result<()> {
        self.engine.set_states(None)
    }

    /// The model.
    pub fn model(&self) -> &Model {
        self.engine.model()
    }

    /// The names, shapes and positions of the parameters.
    pub fn layout(&self) -> &Layout {
        self.engine.layout()
    }

    /// One tensor of the parameters, by [`Layout`] name, or of their average while it is [in their place](Self::averaged).
    /// [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Value`] for a name that the layout does not have; those of the device.
    pub async fn parameter(&mut self, name: &str) -> Result<ArrayD<E::Real>> {
        self.engine.parameter(name).await
    }

    /// The number of updates enqueued so far.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The options, with the [`optimizer`](crate::EngineOptions::optimizer) of the engine.
    pub fn options(&self) -> &TrainerOptions {
        &self.options
    }

    /// The optimizer. Its learning rate can change between steps, its kind cannot.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// Sets the learning rate η of later steps.
    ///
    /// # Errors
    /// [`Error::Value`] for a rate that is negative, or not finite in the engine's numbers.
    pub fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        let optimizer = Optimizer { learning_rate, ..self.optimizer };
        optimizer.validate_in::<E::Real>()?;
        self.optimizer = optimizer;
        Ok(())
    }

    /// Sets the largest norm of the gradient of later steps, see [`Optimizer::clip_norm`]; `None`: no clipping.
    ///
    /// # Errors
    /// [`Error::Value`] for a norm that is not above 0, or not finite in the engine's numbers.
    pub fn set_clip_norm(&mut self, clip_norm: Option<f64>) -> Result<()> {
        let optimizer = self.optimizer.clip_norm(clip_norm);
        optimizer.validate_in::<E::Real>()?;
        self.optimizer = optimizer;
        Ok(())
    }

    /// The micro-batches of a range of rows.
    pub(super) fn parts(&self, rows: Range<usize>) -> impl ExactSizeIterator<Item = Range<usize>> + use<E> {
        let most = rows.len().max(1);
        let part = self.options.micro_batch.unwrap_or(most).clamp(1, most);
        rows.clone().step_by(part).map(move |first| first..rows.end.min(first + part))
    }

    /// The underlying engine.
    pub fn engine(&mut self) -> &mut E {
        &mut self.engine
    }
}
