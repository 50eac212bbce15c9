//! A trainer's named parameters, their average, and its state between two steps.

use std::borrow::Borrow;
use std::io::Write;
use std::ops::{Deref, DerefMut};

use super::options::TrainerOptions;
use super::trainer::{GradientSums, Trainer};
use crate::batch::States;
use crate::engine::{Backend, Engine, FlatBlock, SkippedUpdates, check_optimizer_state, read_tensor};
use crate::error::{Error, Result};
use crate::model::safetensors::{begin, dtype, unwritten, write_numbers};
use crate::model::{SavedModel, StateDict};
use crate::optim::Optimizer;
use crate::real::Real;

/// Everything that a trainer's next steps depend on besides its model, optimizer, options and seed, bit for bit.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrainerState<R = f32> {
    /// The number of updates so far.
    pub step: u64,
    /// The parameters in the layout's order.
    pub parameters: Vec<R>,
    /// The [name](crate::OptimizerKind::name) of the optimizer. `None` in a checkpoint of before this was stored, if the
    /// optimizer was one of this crate.
    pub optimizer: Option<String>,
    /// The optimizer state: see [`Parameters::optimizer_state`](crate::Parameters::optimizer_state).
    pub optimizer_state: Vec<Vec<R>>,
    /// The average of the parameters, with [`EngineOptions::ema_decay`](crate::EngineOptions::ema_decay).
    pub averaged: Option<Vec<R>>,
    /// The carried states, if any.
    pub carried: Option<States<R>>,
    /// The skipped updates: see [`EngineOptions::max_skipped_updates`](crate::EngineOptions::max_skipped_updates).
    pub skipped: SkippedUpdates,
}

/// A trainer that computes with the average of its parameters: see [`Trainer::averaged`]. The parameters return to their
/// place when this is dropped, or the outermost of several.
#[derive(Debug)]
pub struct Averaged<'a, E: Engine> {
    trainer: &'a mut Trainer<E>,
    /// Whether the parameters were in their place before.
    is_outermost: bool,
}

impl<E: Engine> Deref for Averaged<'_, E> {
    type Target = Trainer<E>;

    fn deref(&self) -> &Trainer<E> {
        self.trainer
    }
}

impl<E: Engine> DerefMut for Averaged<'_, E> {
    fn deref_mut(&mut self) -> &mut Trainer<E> {
        self.trainer
    }
}

impl<E: Engine> Drop for Averaged<'_, E> {
    fn drop(&mut self) {
        if self.is_outermost {
            // Fails without an average only, and there is one.
            let _ = self.trainer.end_average();
        }
    }
}

impl<R: Real> SavedModel<R> {
    /// Creates a trainer of the model that begins with its weights. `seed` determines the dropout masks; the options'
    /// initialisation is not used.
    ///
    /// # Errors
    /// Those of [`Trainer::with_options`]; [`Error::StateDict`] if the weights are not those of the model.
    pub fn trainer<B: Backend>(
        &self,
        backend: &B,
        optimizer: Optimizer,
        seed: u64,
        options: TrainerOptions,
    ) -> Result<Trainer<B::Engine>> {
        let mut trainer = Trainer::zeroed(backend, self.model(), optimizer, seed, options)?;
        trainer.load_state_dict(&self.weights)?;
        Ok(trainer)
    }
}

impl<E: Engine> Trainer<E> {
    /// The trainer with the average of its parameters in their place, for evaluation and prediction:
    ///
    /// ```
    /// # use bptt::{*, ndarray::Array3};
    /// # let model = Model::new(Recurrent::new(Cell::Gru, 1, 4), Head::new(1, Loss::SquaredError, Readout::Final));
    /// # let batch: Batch = Batch::new(Sequence::dense(Array3::ones((3, 2, 1))), Targets::Values(Array3::ones((1, 2, 1))));
    /// let options = TrainerOptions::default().engine(EngineOptions::default().ema_decay(0.999));
    /// let mut trainer = Trainer::with_options(&Cpu::new(), &model, Optimizer::adam(1e-3), 1, options)?;
    /// trainer.step(&batch).wait()?;
    /// let loss = trainer.averaged()?.evaluate(&batch).wait()?.loss;
    /// # assert!(loss.is_finite());
    /// # Ok::<(), bptt::Error>(())
    /// ```
    ///
    /// The two blocks are exchanged on the device, and again when the result is dropped; nothing is copied to the host.
    /// [`step`](Self::step), [`update`](Self::update), [`state`](Self::state), [`train::run`](crate::train::run) and
    /// checkpoints are refused in between. A second call in between changes nothing: the parameters return with the first.
    /// The average starts with the initial parameters, and anew with those of [`load_state_dict`](Self::load_state_dict)
    /// and with the best ones that a run has kept.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without [`EngineOptions::ema_decay`](crate::EngineOptions::ema_decay).
    pub fn averaged(&mut self) -> Result<Averaged<'_, E>> {
        let is_outermost = !self.engine.is_exchanged();
        if is_outermost {
            self.engine.exchange_average()?;
        }
        Ok(Averaged { trainer: self, is_outermost })
    }

    /// Whether the engine averages its parameters.
    pub(super) fn averages(&self) -> bool {
        self.options.engine.ema_decay.is_some()
    }

    /// The block that is measured and kept: the average, if there is one.
    pub(super) fn kept_block(&self) -> FlatBlock {
        if self.averages() { FlatBlock::AveragedParameters } else { FlatBlock::Parameters }
    }

    /// Begins the average with the parameters.
    pub(super) fn restart_average(&mut self) -> Result<()> {
        match self.kept_block() {
            FlatBlock::Parameters => Ok(()),
            averaged => self.engine.copy_block(FlatBlock::Parameters, averaged),
        }
    }

    /// Brings the parameters back into their place.
    fn end_average(&mut self) -> Result<()> {
        if self.engine.is_exchanged() { self.engine.exchange_average() } else { Ok(()) }
    }

    /// The parameters, by PyTorch's names, in the backend's number type; their average while it is
    /// [in their place](Self::averaged). [Waits](crate#waiting).
    ///
    /// # Errors
    /// Those of the device.
    pub async fn state_dict(&mut self) -> Result<StateDict<E::Real>> {
        self.state_dict_of(FlatBlock::Parameters).await
    }

    /// The average of the parameters, likewise, whether or not it is in their place. [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Unsupported`] without [`EngineOptions::ema_decay`](crate::EngineOptions::ema_decay); those of the device.
    pub async fn averaged_state_dict(&mut self) -> Result<StateDict<E::Real>> {
        // While they are exchanged, the average is in the parameters' place.
        let block = if self.engine.is_exchanged() { FlatBlock::Parameters } else { FlatBlock::AveragedParameters };
        self.state_dict_of(block).await
    }

    async fn state_dict_of(&mut self, block: FlatBlock) -> Result<StateDict<E::Real>> {
        let mut tensors = Vec::new();
        for (name, tensor) in self.named() {
            tensors.push((name, read_tensor(&mut self.engine, block, tensor).await?));
        }
        Ok(tensors.into_iter().collect())
    }

    /// Writes the parameters as [`StateDict::write_safetensors`] writes their [`state_dict`](Self::state_dict), tensor
    /// by tensor, without a copy. [Waits](crate#waiting).
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the format does not allow the header; [`Error::Io`], without a file name, if `to`
    /// fails.
    pub async fn write_safetensors(&mut self, to: &mut (dyn Write + Send), note: Option<(&str, &str)>) -> Result<()> {
        let named = self.named();
        let tensors = self.engine.layout().tensors();
        let shapes = named.iter().map(|(name, tensor)| (name.as_str(), tensors[*tensor].shape.as_slice()));
        to.write_all(&begin(dtype::<E::Real>(), shapes, note)?).map_err(unwritten)?;
        for (_, tensor) in named {
            let mut take = |piece: &[E::Real]| write_numbers(to, piece.iter().copied()).map_err(unwritten);
            self.engine.read_tensors(FlatBlock::Parameters, tensor..tensor + 1, &mut take).await?;
        }
        Ok(())
    }

    /// The model with its parameters, to be saved: see [`SavedModel`]. [Waits](crate#waiting).
    ///
    /// # Errors
    /// Those of the device.
    pub async fn saved_model(&mut self) -> Result<SavedModel<E::Real>> {
        let weights = self.state_dict().await?;
        Ok(SavedModel::new(self.engine.model().clone(), weights).with_step(self.step))
    }

    /// The names of the state dict, in order, each with the index of its tensor in the layout.
    fn named(&self) -> Vec<(String, usize)> {
        self.engine.layout().named().into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect()
    }

    /// Replaces the parameters. Clears a bad step that stopped updating, if it has been reported. The optimizer state
    /// is unchanged, and an average of the parameters begins anew with these.
    ///
    /// # Errors
    /// [`Error::StateDict`] lists every difference; the parameters are then unchanged.
    pub fn load_state_dict<S: Real>(&mut self, dict: &StateDict<S>) -> Result<()> {
        self.engine.load_state_dict(dict)?;
        self.restart_comparison();
        self.restart_average()
    }

    /// The state between two steps. [Waits](crate#waiting) for all enqueued steps; their reports remain available.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a batch was accumulated after the last update: its gradients are not part of the
    /// state; or while the parameters are exchanged with their average.
    pub async fn state(&mut self) -> Result<TrainerState<E::Real>> {
        self.check_between_steps()?;
        let mut averaged = self.averages().then(Vec::new);
        if let Some(averaged) = &mut averaged {
            self.engine.read_block(FlatBlock::AveragedParameters, averaged).await?;
        }
        Ok(TrainerState {
            step: self.step,
            parameters: self.engine.parameters().await?,
            optimizer: Some(self.optimizer.kind.name().to_owned()),
            optimizer_state: self.engine.optimizer_state().await?,
            averaged,
            carried: self.carried_states().await?,
            skipped: self.engine.skipped().await?,
        })
    }

    pub(super) fn check_between_steps(&self) -> Result<()> {
        if let GradientSums::Open { .. } = self.sums {
            let reason = "a trainer's state is that between two steps: a batch was accumulated since the last update";
            return Err(Error::Unsupported(reason.into()));
        }
        self.check_in_place("a trainer's state has its parameters")
    }

    /// Refuses what needs the parameters while their average is in their place.
    pub(super) fn check_in_place(&self, need: &str) -> Result<()> {
        if self.engine.is_exchanged() {
            let reason = format!("{need}, and their average is in their place: drop Trainer::averaged");
            return Err(Error::Unsupported(reason));
        }
        Ok(())
    }

    /// Restores the state of a trainer with the same model, optimizer, options and seed. The next steps give the same
    /// bits. Discards accumulated gradients, outstanding reports and a bad step that stopped updating.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for the state of an optimizer of another name; [`Error::Shape`] and the like if the state does
    /// not fit the model; the trainer is then unchanged.
    pub fn restore(&mut self, state: &TrainerState<E::Real>) -> Result<()> {
        let TrainerState { step, parameters, optimizer, optimizer_state, averaged, carried, skipped } = state;
        self.check_optimizer(optimizer.as_deref())?;
        let optimizer_state = optimizer_state.iter().collect();
        self.restore_from((*step, *skipped), (parameters, averaged.as_ref()), optimizer_state, carried.as_ref())
    }

    /// Checks that a state belongs to the trainer's optimizer, by its name. A state without one belongs to any optimizer of
    /// this crate whose state has as many blocks, which is checked apart.
    pub(super) fn check_optimizer(&self, got: Option<&str>) -> Result<()> {
        let kind = self.optimizer.kind;
        let fits = got.map_or_else(|| kind.custom_name().is_none(), |got| got == kind.name());
        if fits {
            return Ok(());
        }
        let (got, ours) = (got.unwrap_or("an optimizer of this crate"), kind.name());
        let reason = format!(
            "the optimizer state is that of {got}, and this trainer's optimizer is {ours}: create the trainer with {got}, or \
             load only the weights"
        );
        Err(Error::Unsupported(reason))
    }

    /// Checks that a state has an average of this length if the engine has one.
    fn check_average(&self, got: Option<usize>) -> Result<()> {
        let expected = self.averages().then(|| self.engine.layout().len());
        match (expected, got) {
            (Some(expected), Some(got)) if expected != got => {
                Err(Error::shape("the averaged parameters of the state", &[expected], &[got]))
            }
            (Some(_), None) => Err(Error::value(
                "the averaged parameters of the state",
                "an average, since EngineOptions::ema_decay is set",
                "none",
            )),
            (None, Some(_)) => Err(Error::value(
                "the averaged parameters of the state",
                "none, since EngineOptions::ema_decay is not set",
                "an average",
            )),
            _ => Ok(()),
        }
    }

    /// Restores from blocks that are borrowed or owned. An owned block is freed as soon as it is copied.
    pub(super) fn restore_from<B: Borrow<Vec<E::Real>>>(
        &mut self,
        (step, skipped): (u64, SkippedUpdates),
        (parameters, averaged): (B, Option<B>),
        optimizer_state: Vec<B>,
        carried: Option<&States<E::Real>>,
    ) -> Result<()> {
        if let Some(carried) = carried {
            carried.check(&self.engine.model().recurrent, carried.h.shape()[1], "carried")?;
        }
        let (expected, got) = (self.engine.layout().len(), parameters.borrow().len());
        if got != expected {
            return Err(Error::shape("the parameters of the state", &[expected], &[got]));
        }
        check_optimizer_state(&optimizer_state, self.engine.optimizer_blocks(), expected)?;
        self.check_average(averaged.as_ref().map(|averaged| averaged.borrow().len()))?;
        self.end_average()?;
        for (index, numbers) in optimizer_state.into_iter().enumerate() {
            self.engine.write_block(FlatBlock::OptimizerState(index), numbers.borrow())?;
        }
        if let Some(averaged) = averaged {
            self.engine.write_block(FlatBlock::AveragedParameters, averaged.borrow())?;
        }
        self.engine.set_parameters(parameters.borrow())?;
        self.engine.set_states(carried)?;
        self.engine.clear_gradients();
        self.engine.restart(skipped)?;
        (self.step, self.last_report, self.sums) = (step, None, GradientSums::Nothing);
        self.restart_comparison();
        Ok(())
    }
}
