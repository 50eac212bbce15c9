//! One straight walk from a batch to an update.

use std::ops::Range;

use crate::batch::{Batch, InputGradient, States, Validated};
use crate::dropout::DropoutKey;
use crate::engine::{Backend, Engine, EngineOptions, FlatBlock, StatefulRows, StepReport};
use crate::error::{Error, Result};
use crate::gradient_norms::HiddenGradientNorms;
use crate::model::{Initialisation, Model, StateDict};
use crate::optim::{Optimizer, OptimizerStep};
use crate::real::Real;

/// What a [`Trainer`] can be told beside model, optimizer and seed.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainerOptions {
    /// How the parameters begin.
    pub initialisation: Initialisation,
    /// The most rows that go through the device at once; a larger batch runs in micro-batches, with the same result, in
    /// training as in evaluation and prediction.
    pub micro_batch: Option<usize>,
    /// Truncated BPTT: each batch continues from the final states of the one before, whether or not an update came
    /// between them.
    pub carry_state: bool,
    /// The most submissions with steps not yet reported, at least 1. A step is one, or on a GPU a few short ones are.
    pub in_flight: usize,
    /// What the engine is told: chunk, memory, dx.
    pub engine: EngineOptions,
}

impl Default for TrainerOptions {
    fn default() -> Self {
        Self {
            initialisation: Initialisation::default(),
            micro_batch: None,
            carry_state: false,
            in_flight: 3,
            engine: EngineOptions::default(),
        }
    }
}

/// Whose gradient sums the engine holds, with their Σ w.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum GradientSums {
    /// Nobody's, or those of a batch that an error left half done.
    Nothing,
    /// Those of batches that no update has used yet, of so many rows in all.
    Open { weight: f64, rows: usize },
    /// Those that the last update has used.
    Used(f64),
}

/// Trains a model with a head: see the example at the crate's root.
///
/// # Where a step is not finite
///
/// A step whose loss or gradient norm is not finite changes nothing, and beyond
/// [`EngineOptions::max_skipped_updates`](crate::EngineOptions::max_skipped_updates) of them in a row it ends updating.
/// Its report comes as late as any: until then the steps enqueued behind it change nothing either. The call that would
/// give that report answers
/// [`Error::NonFinite`] with the step's number instead: [`step`](Self::step), [`update`](Self::update),
/// [`finish`](Self::finish) or [`loss`](Self::loss). From then on all four answer so, and enqueue nothing, until
/// [`load_state_dict`](Self::load_state_dict) brings other parameters or [`restore`](Self::restore) a state from before.
/// [`state_dict`](Self::state_dict), [`evaluate`](Self::evaluate), [`predict`](Self::predict) and the others go on to answer,
/// by the parameters from before the bad step; [`gradients`](Self::gradients) are those of the batches accumulated last.
#[derive(Debug)]
pub struct Trainer<E: Engine> {
    pub(super) engine: E,
    pub(super) optimizer: Optimizer,
    pub(super) options: TrainerOptions,
    pub(super) seed: u64,
    pub(super) step: u64,
    pub(super) sums: GradientSums,
    takes_gradient_norms: bool,
    /// The norms of ∂L/∂h_t that go with the sums, not divided.
    gradient_norms: Option<HiddenGradientNorms>,
}

impl<E: Engine> Trainer<E> {
    /// A trainer whose parameters, and what dropout drops, are drawn from `seed`.
    pub fn new<B: Backend<Engine = E>>(backend: &B, model: &Model, optimizer: Optimizer, seed: u64) -> Result<Self> {
        Self::with_options(backend, model, optimizer, seed, TrainerOptions::default())
    }

    /// A trainer with options.
    pub fn with_options<B: Backend<Engine = E>>(
        backend: &B,
        model: &Model,
        optimizer: Optimizer,
        seed: u64,
        mut options: TrainerOptions,
    ) -> Result<Self> {
        model.validate()?;
        optimizer.validate_in::<E::Real>()?;
        model.need_head()?;
        if options.carry_state && model.recurrent.bidirectional {
            let reason = "state cannot be carried in two directions: the reverse one starts at each row's end";
            return Err(Error::Unsupported(reason.into()));
        }
        for (name, count) in [("in_flight", Some(options.in_flight)), ("micro_batch", options.micro_batch)] {
            if count == Some(0) {
                return Err(Error::value(name, "at least 1", 0));
            }
        }
        options.engine.optimizer = Some(optimizer.kind);
        let mut engine = backend.engine(model, &options.engine)?;
        let block = options.initialisation.try_draw(model, seed)?;
        let (tensors, mut block) = (engine.layout().tensors().len(), block.iter());
        engine.write_tensors(FlatBlock::Parameters, 0..tensors, &mut |piece| fill(piece, &mut block))?;
        Ok(Self {
            engine,
            optimizer,
            options,
            seed,
            step: 0,
            sums: GradientSums::Nothing,
            takes_gradient_norms: false,
            gradient_norms: None,
        })
    }

    /// Enqueues one training step: [`accumulate`](Self::accumulate), then [`update`](Self::update). Batches accumulated
    /// before it are part of the step.
    ///
    /// # Errors
    /// Those of either; [`Error::NonFinite`] before anything is computed, once it was told that updating has ended.
    pub async fn step(&mut self, batch: &Batch) -> Result<Option<StepReport>> {
        self.engine.may_update()?;
        self.accumulate(batch).await?;
        self.update().await
    }

    /// Enqueues forward and backward of a batch, in micro-batches where it has more rows than those: adds its weighted
    /// gradients to those of the batches since the last update. Several batches before an update make the step of one
    /// batch that has all their rows; for dropout too, whose [`DropoutKey`] count the updates, from 1, and the rows since the
    /// last one.
    ///
    /// # Errors
    /// What [`Batch::validate`] refuses, which leaves everything as it is. An error of the engine lets go of what was
    /// accumulated, since a part of the batch may be in it.
    pub async fn accumulate(&mut self, batch: &Batch) -> Result<()> {
        let batch = Validated::batch(batch, self.engine.model())?;
        let (weight, rows_before) = match std::mem::replace(&mut self.sums, GradientSums::Nothing) {
            GradientSums::Open { weight, rows } => (weight, rows),
            GradientSums::Nothing | GradientSums::Used(_) => {
                self.engine.clear_gradients();
                self.gradient_norms = None;
                (0.0, 0)
            }
        };
        let rows = batch.sequence.shape().1;
        let (seed, step, carries) = (self.seed, self.step + 1, self.options.carry_state);
        for part in self.parts(rows) {
            let first_row = part.start;
            let of_part = if part.len() < rows { batch.rows(part) } else { batch.by_ref() };
            self.engine.set_dropout(Some(DropoutKey { seed, step, first_row: rows_before + first_row }));
            let carry = carries.then_some(StatefulRows { first_row, rows });
            self.engine.accumulate_validated(of_part, carry).await?;
            self.add_squares().await?;
        }
        self.sums = GradientSums::Open { weight: weight + batch.total_weight(), rows: rows_before + rows };
        Ok(())
    }

    /// Enqueues an update by what was accumulated since the last one: divides the sums by the Σ w of these batches (by 1
    /// for the reduction `Sum`), clips, and takes the optimizer's step. Where those not yet reported are in as many
    /// submissions as `in_flight` it waits for the oldest and returns its report.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where nothing was accumulated; [`Error::Value`] where the weights of a mean add up to 0,
    /// which a further batch may mend; [`Error::NonFinite`] when an earlier step's report says so, and ever after.
    pub async fn update(&mut self) -> Result<Option<StepReport>> {
        let GradientSums::Open { weight, .. } = self.sums else {
            let reason = "an update needs a batch that was accumulated since the last update";
            return Err(Error::Unsupported(reason.into()));
        };
        let divisor = self.engine.model().need_head()?.divisor(weight)?;
        self.engine.update(&OptimizerStep { optimizer: self.optimizer, step: self.step + 1, divisor }).await?;
        self.sums = GradientSums::Used(weight);
        self.step += 1;
        match self.engine.in_flight() >= self.options.in_flight {
            true => self.engine.report().await,
            false => Ok(None),
        }
    }

    /// Waits for every enqueued step and returns the reports not yet given, oldest first.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where one of the steps ended updating, and ever after. The reports of the good steps before
    /// it are then lost; [`Training::report`](crate::Training::report) gives them one by one.
    pub async fn finish(&mut self) -> Result<Vec<StepReport>> {
        let mut reports = Vec::new();
        while let Some(report) = self.engine.report().await? {
            reports.push(report);
        }
        Ok(reports)
    }

    /// Waits for every enqueued step and returns the last one's loss; `None` where all were reported before.
    ///
    /// # Errors
    /// Those of [`finish`](Self::finish).
    pub async fn loss(&mut self) -> Result<Option<f64>> {
        Ok(self.finish().await?.last().map(|report| report.loss))
    }

    /// The gradients of the batches accumulated since the last update, or else of those that it used, divided as for an
    /// update and before clipping, by the parameters' names.
    ///
    /// # Errors
    /// [`Error::Unsupported`] before the first batch.
    pub async fn gradients(&mut self) -> Result<StateDict> {
        let (GradientSums::Open { weight, .. } | GradientSums::Used(weight)) = self.sums else {
            return Err(Error::Unsupported("gradients need a batch that was accumulated".into()));
        };
        let divisor = self.engine.model().need_head()?.divisor(weight)?;
        let mut block = self.engine.gradients().await?;
        let factor = E::Real::from_f64(1.0 / divisor);
        block.iter_mut().for_each(|value| *value *= factor);
        Ok(self.engine.layout().to_state_dict(&block))
    }

    /// Whether the batches to come also give the norms of ∂L/∂h_t, for
    /// [`hidden_gradient_norms`](Self::hidden_gradient_norms). Each is then waited for; all else is the same, to the
    /// last bit.
    pub fn set_hidden_gradient_norms(&mut self, on: bool) {
        self.takes_gradient_norms = on;
        self.engine.set_hidden_gradient_norms(on);
    }

    async fn add_squares(&mut self) -> Result<()> {
        if self.takes_gradient_norms {
            let of_rows = self.engine.hidden_gradient_norms().await?;
            match &mut self.gradient_norms {
                Some(gradient_norms) => gradient_norms.add_rows(&of_rows)?,
                None => self.gradient_norms = Some(of_rows),
            }
        }
        Ok(())
    }

    /// The norms of ∂L/∂h_t of the batches accumulated since the last update, or else of those that it used, divided as
    /// the gradients are, before clipping: squares add up over (micro-)batches.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where no batch was accumulated under
    /// [`set_hidden_gradient_norms`](Self::set_hidden_gradient_norms).
    pub fn hidden_gradient_norms(&self) -> Result<HiddenGradientNorms> {
        let (Some(gradient_norms), GradientSums::Open { weight, .. } | GradientSums::Used(weight)) =
            (&self.gradient_norms, self.sums)
        else {
            return Err(Error::Unsupported(
                "gradient norms need a batch that was accumulated after set_hidden_gradient_norms(true)".into(),
            ));
        };
        let divisor = self.engine.model().need_head()?.divisor(weight)?;
        Ok(HiddenGradientNorms { norms: &gradient_norms.norms / divisor })
    }

    /// dx, dh_0 and dc_0 of the last (micro-)batch, as weighted sums; needs `options.engine.input_gradient`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without that option, and where something was evaluated or predicted since.
    pub async fn input_gradient(&mut self) -> Result<InputGradient<E::Real>> {
        self.engine.input_gradient().await
    }

    /// The carried states; `None` before the first batch.
    pub async fn states(&mut self) -> Result<Option<States<E::Real>>> {
        self.engine.states().await
    }

    /// The next batch starts from states of zero.
    pub fn reset_state(&mut self) -> Result<()> {
        self.engine.set_states(None)
    }

    /// The updates enqueued so far.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The optimizer; its rate may be changed between steps, its rule may not.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// Sets η for the steps to come.
    pub fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        let optimizer = Optimizer { learning_rate, ..self.optimizer };
        optimizer.validate_in::<E::Real>()?;
        self.optimizer = optimizer;
        Ok(())
    }

    /// The micro-batches of a batch of so many rows.
    pub(super) fn parts(&self, rows: usize) -> impl Iterator<Item = Range<usize>> + use<E> {
        let part = self.options.micro_batch.unwrap_or(rows).clamp(1, rows.max(1));
        (0..rows).step_by(part).map(move |first| first..rows.min(first + part))
    }

    /// The most rows that go through the device at once, where that was told.
    pub fn micro_batch(&self) -> Option<usize> {
        self.options.micro_batch
    }

    /// Sets the most rows that go through the device at once; `None`: all of a batch.
    ///
    /// # Errors
    /// [`Error::Value`] for 0.
    pub fn set_micro_batch(&mut self, rows: Option<usize>) -> Result<()> {
        match rows {
            Some(0) => Err(Error::value("micro_batch", "at least 1", 0)),
            rows => {
                self.options.micro_batch = rows;
                Ok(())
            }
        }
    }

    /// The engine underneath.
    pub fn engine(&mut self) -> &mut E {
        &mut self.engine
    }
}

/// Fills a piece with the next values.
pub(super) fn fill<'a, R: Real>(piece: &mut [R], values: &mut impl Iterator<Item = &'a f32>) -> Result<()> {
    piece.iter_mut().zip(values).for_each(|(to, value)| *to = R::from_f64(f64::from(*value)));
    Ok(())
}
