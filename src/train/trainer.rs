//! One straight walk from a batch to an update.

use std::borrow::Borrow;
use std::io::Write;
use std::ops::Range;

use ndarray::{Array3, ArrayD, IxDyn, s};
use safetensors::tensor::Dtype;

use crate::backend::{Backend, Carry, Engine, EngineOptions, Evaluation, FlatBlock, Logits, Report, Skipped};
use crate::batch::{Batch, InputGradient, Sequence, States};
use crate::calls::check_slots;
use crate::dropout::Masks;
use crate::error::{Error, Result};
use crate::flow::Flow;
use crate::model::safetensors::{begin, unwritten, write_numbers};
use crate::model::{Initialisation, Model, StateDict, Tensor};
use crate::optim::{Optimizer, Update};
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

/// What the network predicts for a sequence, and where the sequence ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction<R = f32> {
    /// ŷ = g(a) for every prediction, \[P, B, O\]: the head's output function over its logits, which are 0 at padding.
    pub y: Array3<R>,
    /// Each row's own final states, h_n and c_n.
    pub states: States<R>,
}

/// What a trainer's next steps depend on beside its model, optimizer, options and seed, to the bit.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainerState<R = f32> {
    /// The updates so far.
    pub step: u64,
    /// The parameters in the layout's order.
    pub parameters: Vec<R>,
    /// What the optimizer keeps of each of them: see [`Engine::slots`].
    pub slots: Vec<Vec<R>>,
    /// The carried states, where any are.
    pub carried: Option<States<R>>,
    /// The updates that were passed over: see [`EngineOptions::skips`].
    pub skipped: Skipped,
}

/// Whose gradient sums the engine holds, with their Σ w.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sums {
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
/// [`EngineOptions::skips`](crate::EngineOptions::skips) of them in a row it ends updating. Its report comes as late as any:
/// until then the steps enqueued behind it change nothing either. The call that would give that report answers
/// [`Error::NonFinite`] with the step's number instead: [`step`](Self::step), [`update`](Self::update),
/// [`finish`](Self::finish) or [`loss`](Self::loss). From then on all four answer so, and enqueue nothing, until
/// [`load_state_dict`](Self::load_state_dict) brings other parameters or [`restore`](Self::restore) a state from before.
/// [`state_dict`](Self::state_dict), [`evaluate`](Self::evaluate), [`predict`](Self::predict) and the others go on to answer,
/// by the parameters from before the bad step; [`gradients`](Self::gradients) are those of the batches accumulated last.
#[derive(Debug)]
pub struct Trainer<E: Engine> {
    engine: E,
    optimizer: Optimizer,
    options: TrainerOptions,
    seed: u64,
    step: u64,
    sums: Sums,
    takes_flow: bool,
    /// The norms of ∂L/∂h_t that go with the sums, not divided.
    flow: Option<Flow>,
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
        options.engine.rule = Some(optimizer.rule);
        let mut engine = backend.engine(model, &options.engine)?;
        let block = options.initialisation.try_draw(model, seed)?;
        let (tensors, mut block) = (engine.layout().tensors().len(), block.iter());
        engine.write_tensors(FlatBlock::Parameters, 0..tensors, &mut |piece| fill(piece, &mut block))?;
        Ok(Self { engine, optimizer, options, seed, step: 0, sums: Sums::Nothing, takes_flow: false, flow: None })
    }

    /// Enqueues one training step: [`accumulate`](Self::accumulate), then [`update`](Self::update). Batches accumulated
    /// before it are part of the step.
    ///
    /// # Errors
    /// Those of either; [`Error::NonFinite`] before anything is computed, once it was told that updating has ended.
    pub async fn step(&mut self, batch: &Batch) -> Result<Option<Report>> {
        self.engine.may_update()?;
        self.accumulate(batch).await?;
        self.update().await
    }

    /// Enqueues forward and backward of a batch, in micro-batches where it has more rows than those: adds its weighted
    /// gradients to those of the batches since the last update. Several batches before an update make the step of one
    /// batch that has all their rows; for dropout too, whose [`Masks`] count the updates, from 1, and the rows since the
    /// last one.
    ///
    /// # Errors
    /// What [`Batch::validate`] refuses, which leaves everything as it is. An error of the engine lets go of what was
    /// accumulated, since a part of the batch may be in it.
    pub async fn accumulate(&mut self, batch: &Batch) -> Result<()> {
        batch.validate(self.engine.model())?;
        let (weight, rows_before) = match std::mem::replace(&mut self.sums, Sums::Nothing) {
            Sums::Open { weight, rows } => (weight, rows),
            Sums::Nothing | Sums::Used(_) => {
                self.engine.clear_gradients();
                self.flow = None;
                (0.0, 0)
            }
        };
        let rows = batch.sequence.shape().1;
        let (seed, step, carries) = (self.seed, self.step + 1, self.options.carry_state);
        for part in self.parts(rows) {
            let first_row = part.start;
            let of_part = (part.len() < rows).then(|| batch.rows(part));
            self.engine.set_masks(Some(Masks { seed, step, first_row: rows_before + first_row }));
            let carry = carries.then_some(Carry { first_row, rows });
            self.engine.accumulate(of_part.as_ref().unwrap_or(batch), carry).await?;
            self.add_flow().await?;
        }
        self.sums = Sums::Open { weight: weight + batch.total_weight(), rows: rows_before + rows };
        Ok(())
    }

    /// Enqueues an update by what was accumulated since the last one: divides the sums by the Σ w of these batches (by 1
    /// for the reduction `Sum`), clips, and takes the optimizer's step. Where those not yet reported are in as many
    /// submissions as `in_flight` it waits for the oldest and returns its report.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where nothing was accumulated; [`Error::Value`] where the weights of a mean add up to 0,
    /// which a further batch may mend; [`Error::NonFinite`] when an earlier step's report says so, and ever after.
    pub async fn update(&mut self) -> Result<Option<Report>> {
        let Sums::Open { weight, .. } = self.sums else {
            let reason = "an update needs a batch that was accumulated since the last update";
            return Err(Error::Unsupported(reason.into()));
        };
        let divisor = self.engine.model().need_head()?.divisor(weight)?;
        self.engine.update(&Update { optimizer: self.optimizer, step: self.step + 1, divisor }).await?;
        self.sums = Sums::Used(weight);
        self.step += 1;
        match self.engine.in_flight() >= self.options.in_flight {
            true => self.engine.report().await,
            false => Ok(None),
        }
    }

    /// Waits for every enqueued step and returns the reports not yet given, oldest first.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where one of the steps ended updating, and ever after. The reports of the good steps before it are
    /// then lost; [`Engine::report`] gives them one by one.
    pub async fn finish(&mut self) -> Result<Vec<Report>> {
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

    /// The loss of a batch, reduced as in training, and its final states: see [`Engine::evaluate`]. In micro-batches where it
    /// has more rows than those, so that it takes no more memory than a step. Neither what was accumulated nor the carried
    /// state changes.
    ///
    /// # Errors
    /// What [`Batch::validate`] refuses; [`Error::Value`] where the weights of a mean add up to 0.
    pub async fn evaluate(&mut self, batch: &Batch) -> Result<Evaluation<E::Real>> {
        batch.validate(self.engine.model())?;
        let divisor = self.engine.model().need_head()?.divisor(batch.total_weight())?;
        let Evaluation { loss, states } = self.loss_sum(batch).await?;
        Ok(Evaluation { loss: loss / divisor, states })
    }

    /// Σ w·loss and the final states, in micro-batches.
    pub(super) async fn loss_sum(&mut self, batch: &Batch) -> Result<Evaluation<E::Real>> {
        batch.validate(self.engine.model())?;
        let rows = batch.sequence.shape().1;
        let (mut loss, mut joined) = (0.0, None);
        for part in self.parts(rows) {
            if part.len() == rows {
                return self.engine.evaluate(batch).await;
            }
            let of_part = self.engine.evaluate(&batch.rows(part.clone())).await?;
            loss += of_part.loss;
            let recurrent = &self.engine.model().recurrent;
            put_rows(joined.get_or_insert_with(|| States::zeros(recurrent, rows)), part, &of_part.states);
        }
        let states = joined.unwrap_or_else(|| States::zeros(&self.engine.model().recurrent, rows));
        Ok(Evaluation { loss, states })
    }

    /// The head's logits for every prediction, and the final states, with which a further piece can begin: see
    /// [`Engine::logits`]. In micro-batches where the sequence has more rows than those.
    ///
    /// # Errors
    /// What [`Sequence::validate`] refuses.
    pub async fn logits(&mut self, sequence: &Sequence) -> Result<Logits<E::Real>> {
        sequence.validate(self.engine.model())?;
        let (steps, rows) = sequence.shape();
        let head = self.engine.model().need_head()?;
        let shape = (head.predictions(steps), rows, head.outputs);
        let mut joined = None;
        for part in self.parts(rows) {
            if part.len() == rows {
                return self.engine.logits(sequence).await;
            }
            let of_part = self.engine.logits(&sequence.rows(part.clone())).await?;
            let recurrent = &self.engine.model().recurrent;
            let (logits, states) = joined
                .get_or_insert_with(|| (Array3::from_elem(shape, E::Real::default()), States::zeros(recurrent, rows)));
            logits.slice_mut(s![.., part.clone(), ..]).assign(&of_part.logits);
            put_rows(states, part, &of_part.states);
        }
        match joined {
            Some((logits, states)) => Ok(Logits { logits, states }),
            None => self.engine.logits(sequence).await,
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

    /// The parameters, by PyTorch's names.
    pub async fn state_dict(&mut self) -> Result<StateDict> {
        let mut tensors = Vec::new();
        for (name, tensor) in self.named() {
            let Tensor { shape, .. } = &self.engine.layout().tensors()[tensor];
            let (shape, mut values) = (IxDyn(shape), Vec::with_capacity(shape.iter().product()));
            let mut take = |piece: &[E::Real]| {
                values.extend(piece.iter().map(|value| value.to_wide() as f32));
                Ok(())
            };
            self.engine.read_tensors(FlatBlock::Parameters, tensor..tensor + 1, &mut take).await?;
            let array = ArrayD::from_shape_vec(shape, values).map_err(|error| Error::Failed(error.to_string()))?;
            tensors.push((name, array));
        }
        Ok(tensors.into_iter().collect())
    }

    /// Writes the parameters as [`StateDict::write_safetensors`] writes their [`state_dict`](Self::state_dict), tensor by
    /// tensor: no copy of them is made.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the format refuses the header; [`Error::Io`], without a file's name, where `to` fails.
    pub async fn write_safetensors(&mut self, to: &mut dyn Write, note: Option<(&str, &str)>) -> Result<()> {
        let named = self.named();
        let tensors = self.engine.layout().tensors();
        let shapes = named.iter().map(|(name, tensor)| (name.as_str(), tensors[*tensor].shape.as_slice()));
        to.write_all(&begin(Dtype::F32, shapes, note)?).map_err(unwritten)?;
        for (_, tensor) in named {
            let mut take = |piece: &[E::Real]| {
                let values = piece.iter().map(|value| value.to_wide() as f32);
                write_numbers(to, values).map_err(unwritten)
            };
            self.engine.read_tensors(FlatBlock::Parameters, tensor..tensor + 1, &mut take).await?;
        }
        Ok(())
    }

    /// The names of the state dict, in their order, and of each the tensor of the layout.
    fn named(&self) -> Vec<(String, usize)> {
        self.engine.layout().named().into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect()
    }

    /// Replaces the parameters. A bad step that ended updating is forgotten, once it was told; what the optimizer keeps of
    /// each parameter stays as it was before that step.
    ///
    /// # Errors
    /// [`Error::StateDict`] lists every difference; the parameters then stay as they are.
    pub fn load_state_dict(&mut self, dict: &StateDict) -> Result<()> {
        for (tensor, array) in self.engine.layout().arrays(dict)?.into_iter().enumerate() {
            let mut values = array.iter();
            let fill = &mut |piece: &mut [E::Real]| fill(piece, &mut values);
            self.engine.write_tensors(FlatBlock::Parameters, tensor..tensor + 1, fill)?;
        }
        Ok(())
    }

    /// The state between two steps. Waits for every enqueued one; their reports remain to be taken.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where a batch was accumulated that no update has used: its gradients are not part of it.
    pub async fn state(&mut self) -> Result<TrainerState<E::Real>> {
        self.check_between_steps()?;
        Ok(TrainerState {
            step: self.step,
            parameters: self.engine.parameters().await?,
            slots: self.engine.slots().await?,
            carried: self.engine.states().await?,
            skipped: self.engine.skipped().await?,
        })
    }

    pub(super) fn check_between_steps(&self) -> Result<()> {
        if let Sums::Open { .. } = self.sums {
            let reason = "a trainer's state is that between two steps: a batch was accumulated since the last update";
            return Err(Error::Unsupported(reason.into()));
        }
        Ok(())
    }

    /// Goes on from the state of a trainer of the same model, optimizer, options and seed: the next steps have the same
    /// bits. What was accumulated is let go of, and so are reports not yet given and a bad step that ended updating.
    ///
    /// # Errors
    /// Where something of it does not fit the model or the optimizer's rule; then nothing of it is taken over.
    pub fn restore(&mut self, state: &TrainerState<E::Real>) -> Result<()> {
        let TrainerState { step, parameters, slots, carried, skipped } = state;
        self.take_over((*step, *skipped), parameters, slots.iter().collect(), carried.as_ref())
    }

    /// The same, of blocks that may be the caller's or not: each that is not is let go of once it is taken over.
    pub(super) fn take_over<B: Borrow<Vec<E::Real>>>(
        &mut self,
        (step, skipped): (u64, Skipped),
        parameters: B,
        slots: Vec<B>,
        carried: Option<&States<E::Real>>,
    ) -> Result<()> {
        if let Some(carried) = carried {
            carried.check(&self.engine.model().recurrent, carried.h.shape()[1], "carried")?;
        }
        let (expected, got) = (self.engine.layout().len(), parameters.borrow().len());
        if got != expected {
            return Err(Error::shape("the parameters of the state", &[expected], &[got]));
        }
        check_slots(&slots, self.engine.slot_count(), expected)?;
        for (slot, numbers) in slots.into_iter().enumerate() {
            self.engine.write_block(FlatBlock::Slot(slot), numbers.borrow())?;
        }
        self.engine.set_parameters(parameters.borrow())?;
        self.engine.set_states(carried)?;
        self.engine.clear_gradients();
        self.engine.restart(skipped)?;
        (self.step, self.sums) = (step, Sums::Nothing);
        Ok(())
    }

    /// The gradients of the batches accumulated since the last update, or else of those that it used, divided as for an
    /// update and before clipping, by the parameters' names.
    ///
    /// # Errors
    /// [`Error::Unsupported`] before the first batch.
    pub async fn gradients(&mut self) -> Result<StateDict> {
        let (Sums::Open { weight, .. } | Sums::Used(weight)) = self.sums else {
            return Err(Error::Unsupported("gradients need a batch that was accumulated".into()));
        };
        let divisor = self.engine.model().need_head()?.divisor(weight)?;
        let mut block = self.engine.gradients().await?;
        let factor = <E::Real as crate::Real>::from_wide(1.0 / divisor);
        block.iter_mut().for_each(|value| *value *= factor);
        Ok(self.engine.layout().to_state_dict(&block))
    }

    /// Whether the batches to come also give the norms of ∂L/∂h_t, for [`flow`](Self::flow). Each is then waited for; all
    /// else is the same, to the last bit.
    pub fn set_flow(&mut self, on: bool) {
        self.takes_flow = on;
        self.engine.set_flow(on);
    }

    async fn add_flow(&mut self) -> Result<()> {
        if self.takes_flow {
            let of_rows = self.engine.flow().await?;
            match &mut self.flow {
                Some(flow) => flow.add_rows(&of_rows)?,
                None => self.flow = Some(of_rows),
            }
        }
        Ok(())
    }

    /// The norms of ∂L/∂h_t of the batches accumulated since the last update, or else of those that it used, divided as
    /// the gradients are, before clipping: squares add up over (micro-)batches.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where no batch was accumulated under [`set_flow`](Self::set_flow).
    pub fn flow(&self) -> Result<Flow> {
        let (Some(flow), Sums::Open { weight, .. } | Sums::Used(weight)) = (&self.flow, self.sums) else {
            return Err(Error::Unsupported("a flow needs a batch that was accumulated after set_flow(true)".into()));
        };
        let divisor = self.engine.model().need_head()?.divisor(weight)?;
        Ok(Flow { norms: &flow.norms / divisor })
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
    fn parts(&self, rows: usize) -> impl Iterator<Item = Range<usize>> + use<E> {
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

/// Puts the states of some rows where they stand among all.
fn put_rows<R: crate::Real>(all: &mut States<R>, rows: Range<usize>, of_rows: &States<R>) {
    all.h.slice_mut(s![.., rows.clone(), ..]).assign(&of_rows.h);
    if let (Some(all), Some(c)) = (&mut all.c, &of_rows.c) {
        all.slice_mut(s![.., rows, ..]).assign(c);
    }
}

/// Fills a piece with the next values.
fn fill<'a, R: crate::Real>(piece: &mut [R], values: &mut impl Iterator<Item = &'a f32>) -> Result<()> {
    piece.iter_mut().zip(values).for_each(|(to, value)| *to = R::from_wide(f64::from(*value)));
    Ok(())
}
