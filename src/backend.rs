//! The seam between training and the paths that compute: two sealed traits at the height of a training step.

use std::ops::Range;

use ndarray::Array3;

use crate::batch::{Batch, InputGradient, Output, OutputGradient, Sequence, States};
use crate::calls::check_slots;
use crate::dropout::Masks;
use crate::error::{Error, Result};
use crate::flow::Flow;
use crate::memory::{Extent, Memory};
use crate::model::{Layout, Model, RecurrentKernel};
use crate::optim::{Rule, Update};
use crate::profile::Profile;
use crate::real::Real;
use crate::room::reserve;
use crate::sizes::{Count, ON_HOST};

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// What an engine is made for beside its model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineOptions {
    /// The rule whose per-weight numbers are kept; `None`: this engine never updates.
    pub rule: Option<Rule>,
    /// The time steps of a chunk; `None`: as many as the limits allow, with [`recompute`](Self::recompute) as takes the
    /// least memory. The results do not depend on it beyond rounding; on the CPU path, which takes whole multiples of 64,
    /// to the last bit.
    pub chunk: Option<usize>,
    /// Whether a training pass keeps only the states between chunks, and goes forward through a chunk again before it goes
    /// backward: what is kept then grows with the number of chunks and the length of one, for one more forward pass.
    /// Everything it computes is the same, to the last bit, as without for the same chunk. Needs a network of one direction.
    pub recompute: bool,
    /// How the GPU path dispatches the recurrent steps.
    pub kernel: RecurrentKernel,
    /// Whether [`Engine::accumulate`] also computes dx, dh_0 and dc_0.
    pub input_gradient: bool,
    /// Updates in a row that are passed over where the loss or the gradient norm is not finite in the type that the path
    /// computes in; one more ends updating. One passed over leaves no trace, as with PyTorch's `GradScaler`: weights and the
    /// optimizer's numbers stay, and what an optimizer counts, Adam's t or SGD's first step, are the updates made. The
    /// steps' own numbers go on, and with them schedules and the masks of dropout.
    pub skips: u32,
    /// A budget in bytes for everything that the engine holds on the device; on the CPU path for what a training batch
    /// takes.
    pub memory: Option<u64>,
}

/// Which rows of the carried state a batch continues, for truncated BPTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carry {
    /// The batch's first row among all.
    pub first_row: usize,
    /// All rows: B of the whole batch, of which this one may be a part.
    pub rows: usize,
}

impl EngineOptions {
    /// Refuses what has no meaning for the model.
    pub(crate) fn validate(&self, model: &Model) -> Result<()> {
        if self.chunk == Some(0) {
            return Err(Error::value("chunk", "at least 1 time step", 0));
        }
        if self.recompute && model.recurrent.bidirectional {
            // Each direction would need the other's outputs of a chunk at another time than it goes through that chunk.
            let reason = "recompute needs a network of one direction: this one reads in two";
            return Err(Error::Unsupported(reason.into()));
        }
        Ok(())
    }

    /// Refuses what would take more than the budget.
    pub(crate) fn check_memory(&self, bytes: u64) -> Result<()> {
        match self.memory.filter(|budget| bytes > *budget) {
            Some(budget) => Err(over_budget("weights and a pass over the batch", bytes, budget)),
            None => Ok(()),
        }
    }
}

impl Carry {
    /// Refuses rows beyond all rows, and what cannot be carried; `held` rows are those carried so far.
    pub(crate) fn check(&self, model: &Model, rows: usize, held: Option<usize>) -> Result<()> {
        if model.recurrent.bidirectional {
            let reason = "state cannot be carried in two directions: the reverse one starts at each row's end";
            return Err(Error::Unsupported(reason.into()));
        }
        if self.first_row.checked_add(rows).is_none_or(|end| end > self.rows) {
            let most = self.rows.saturating_sub(rows);
            return Err(Error::value("carry.first_row", format!("at most {most}"), self.first_row));
        }
        match held.filter(|held| *held != self.rows) {
            Some(held) => {
                let expected = format!("{held}, whose states are carried: reset them for another number of rows");
                Err(Error::value("the rows of the batch", expected, self.rows))
            }
            None => {
                let extent = Extent { steps: 1, rows, tokens: false, resets: false, carried: self.rows, shapes: 1 };
                extent.check(model, ON_HOST)
            }
        }
    }
}

/// What an update reports, some steps late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// The step, counted from 1.
    pub step: u64,
    /// The loss that the update saw, divided as the gradients are.
    pub loss: f64,
    /// The global norm of the gradient before clipping.
    pub norm: f64,
    /// Whether the update changed nothing, since one of the two is not finite: see [`EngineOptions::skips`].
    pub skipped: bool,
}

/// The updates that were passed over: see [`EngineOptions::skips`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// In a row, up to the last update.
    pub in_row: u32,
    /// In all, with those behind one that ended updating: a step's number less these is the number of updates made.
    pub in_all: u64,
}

impl Skipped {
    /// As it is where no bad step has ended updating.
    pub(crate) fn within(self, skips: u32) -> Self {
        Self { in_row: self.in_row.min(skips), ..self }
    }
}

/// What the head says of a sequence, and where the sequence ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits<R = f32> {
    /// The logits a of every prediction, \[P, B, O\]; 0 at padding.
    pub logits: Array3<R>,
    /// Each row's own final states, h_n and c_n.
    pub states: States<R>,
}

/// The loss of a batch, and where its sequence ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation<R = f32> {
    /// Σ w·loss from an [`Engine`]; divided as in training from a [`Trainer`](crate::Trainer).
    pub loss: f64,
    /// Each row's own final states, h_n and c_n.
    pub states: States<R>,
}

/// A flat block of numbers in the layout's order that an engine keeps between its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlatBlock {
    /// The parameters.
    Parameters,
    /// The rule's number of this index for each of them, of [`Rule::slots`].
    Slot(usize),
}

/// A place where networks can be made: [`Gpu`](crate::Gpu) or [`Cpu`](crate::Cpu).
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Backend: sealed::Sealed + Clone {
    /// What holds a network's weights and buffers there.
    type Engine: Engine;

    /// Allocates a network with weights of zero.
    fn engine(&self, model: &Model, options: &EngineOptions) -> Result<Self::Engine>;

    /// What an engine with these options holds on its device once a batch of this extent went through
    /// [`Engine::accumulate`], by the plan: neither an engine nor anything of it is made. With `flow` also what
    /// [`Engine::set_flow`] takes.
    ///
    /// # Errors
    /// Those with which such an engine, or the batch for its sizes, would be refused.
    fn plan(&self, model: &Model, options: &EngineOptions, extent: Extent, flow: bool) -> Result<Memory>;

    /// [`Engine::largest_rows`] of an engine of such a model, with such options and with or without `flow`.
    ///
    /// # Errors
    /// As there.
    fn largest_rows(
        &self,
        (model, options, flow): (&Model, &EngineOptions, bool),
        extent: Extent,
        budget: u64,
        most: usize,
        beside: u64,
    ) -> Result<usize> {
        largest_rows(|rows| self.plan(model, options, Extent { rows, ..extent }, flow), budget, most, beside)
    }

    /// [`Engine::kernel`] of such an engine.
    fn planned_kernel(&self, model: &Model, options: &EngineOptions, rows: usize) -> Option<RecurrentKernel>;

    /// The device in words.
    fn describe(&self) -> String;

    /// What the bits of results depend on beside the model, the data, the settings and the calls, as names and values. Where
    /// all of them are equal the same calls give the same bits; elsewhere the last bits may differ.
    fn arithmetic(&self) -> Vec<(&'static str, String)>;
}

/// Where exp, ln, cos and the like of the standard library come from, on whose last bits losses and schedules depend.
pub(crate) fn platform() -> String {
    let abi = match () {
        () if cfg!(target_env = "gnu") => " gnu",
        () if cfg!(target_env = "musl") => " musl",
        () if cfg!(target_env = "msvc") => " msvc",
        () => "",
    };
    format!("{} {}{abi}", std::env::consts::ARCH, std::env::consts::OS)
}

/// A network on a device: raw forward and backward, and the parts of a training step.
///
/// Nothing is dispatched before all shapes are checked, and no call panics on its input. What a call refuses for its input
/// leaves everything as it is.
///
/// # Order of calls
///
/// The same on every path, with the same words where a call is refused.
///
/// * [`forward`](Self::forward), [`accumulate`](Self::accumulate), [`logits`](Self::logits) and
///   [`evaluate`](Self::evaluate) are passes, and so is [`backward`](Self::backward). A pass begins over what the one before
///   it left: what [`backward`](Self::backward) goes back from, what [`input_gradient`](Self::input_gradient) and
///   [`flow`](Self::flow) answer. Neither the gradient sums nor the carried state is a part of that.
/// * A forward pass serves one backward pass. [`set_parameters`](Self::set_parameters) and [`update`](Self::update) end that
///   too, since going back would mix the weights of before and after; what a batch left stays there for
///   [`input_gradient`](Self::input_gradient) and [`flow`](Self::flow).
/// * The gradient sums grow with each [`accumulate`](Self::accumulate) and [`backward`](Self::backward). An update leaves them
///   to be read, and the next of these passes starts them anew; [`clear_gradients`](Self::clear_gradients) makes them 0 at
///   once, as they are in the beginning.
///
/// # Where a step is not finite
///
/// An update whose loss or gradient norm is not finite changes nothing. One more of these in a row than
/// [`EngineOptions::skips`] ends updating: that one and those enqueued behind it change neither the parameters nor the rule's
/// numbers. Who trains on hears of it when its [`report`](Self::report) comes, which is as late as reports are asked for. From
/// then on [`report`](Self::report), [`update`](Self::update) and [`may_update`](Self::may_update) answer with the same
/// [`Error::NonFinite`], and nothing is enqueued; every other call works as before, with the parameters from before the bad
/// step. [`set_parameters`](Self::set_parameters) and [`restart`](Self::restart) let updates go on.
#[allow(async_fn_in_trait, reason = "sealed: the two implementors are known, and callers need no Send bound")]
pub trait Engine: sealed::Sealed {
    /// The type that the path computes in.
    type Real: Real;

    /// The model.
    fn model(&self) -> &Model;

    /// Where each parameter lies in the flat block.
    fn layout(&self) -> &Layout;

    /// The blocks of the rule's numbers, [`Rule::slots`].
    fn slot_count(&self) -> usize;

    /// Hands `take` the numbers of some of the layout's [`tensors`](Layout::tensors), by their indices there, in their order
    /// and in pieces: the CPU path its own, which are not copied, the GPU path some megabytes at a time.
    ///
    /// # Errors
    /// [`Error::Value`] for a tensor or a block that is not there; those of `take`, after which it is not called again.
    async fn read_tensors(
        &mut self,
        block: FlatBlock,
        tensors: Range<usize>,
        take: &mut dyn FnMut(&[Self::Real]) -> Result<()>,
    ) -> Result<()>;

    /// Has `fill` bring the numbers of some tensors, likewise in pieces. Of the parameters: the bad step that ended updating
    /// is forgotten, once its report was given.
    ///
    /// # Errors
    /// [`Error::Value`] for a tensor or a block that is not there; those of `fill`, after which the pieces before are other
    /// numbers and those behind are as they were.
    fn write_tensors(
        &mut self,
        block: FlatBlock,
        tensors: Range<usize>,
        fill: &mut dyn FnMut(&mut [Self::Real]) -> Result<()>,
    ) -> Result<()>;

    /// The parameters as one flat block in the layout's order.
    async fn parameters(&mut self) -> Result<Vec<Self::Real>> {
        let mut numbers = Vec::new();
        self.read_block(FlatBlock::Parameters, &mut numbers).await?;
        Ok(numbers)
    }

    /// A block as a whole, in the place of what `to` held.
    ///
    /// # Errors
    /// [`Error::Value`] for one that is not there; [`Error::NoMemory`] where there is none for it.
    async fn read_block(&mut self, block: FlatBlock, to: &mut Vec<Self::Real>) -> Result<()> {
        let (length, all) = (self.layout().len(), 0..self.layout().tensors().len());
        to.clear();
        reserve(to, length, "a copy of the parameters")?;
        let mut take = |piece: &[Self::Real]| {
            to.extend_from_slice(piece);
            Ok(())
        };
        self.read_tensors(block, all, &mut take).await
    }

    /// Replaces a block as a whole.
    ///
    /// # Errors
    /// [`Error::Shape`] for another length than the layout's, [`Error::Value`] for a block that is not there.
    fn write_block(&mut self, block: FlatBlock, numbers: &[Self::Real]) -> Result<()> {
        let (expected, all) = (self.layout().len(), 0..self.layout().tensors().len());
        if numbers.len() != expected {
            let name = match block {
                FlatBlock::Parameters => "parameters".into(),
                FlatBlock::Slot(slot) => format!("slot {slot}"),
            };
            return Err(Error::shape(name, &[expected], &[numbers.len()]));
        }
        let mut rest = numbers;
        self.write_tensors(block, all, &mut |piece| {
            let (now, later) = rest.split_at(piece.len());
            piece.copy_from_slice(now);
            rest = later;
            Ok(())
        })
    }

    /// Replaces all parameters. The length must be the layout's. The bad step that ended updating is forgotten, once its
    /// report was given.
    fn set_parameters(&mut self, block: &[Self::Real]) -> Result<()> {
        self.write_block(FlatBlock::Parameters, block)
    }

    /// The numbers that the rule keeps for each parameter, [`Rule::slots`] flat blocks in the layout's order.
    async fn slots(&mut self) -> Result<Vec<Vec<Self::Real>>> {
        let mut slots = Vec::new();
        for slot in 0..self.slot_count() {
            let mut numbers = Vec::new();
            self.read_block(FlatBlock::Slot(slot), &mut numbers).await?;
            slots.push(numbers);
        }
        Ok(slots)
    }

    /// Replaces them: as many blocks as there are, each of the layout's length.
    fn set_slots(&mut self, slots: &[Vec<Self::Real>]) -> Result<()> {
        check_slots(slots, self.slot_count(), self.layout().len())?;
        let mut blocks = slots.iter().enumerate();
        blocks.try_for_each(|(slot, numbers)| self.write_block(FlatBlock::Slot(slot), numbers))
    }

    /// The gradient sums since the last update, as one flat block: not divided by Σ w.
    async fn gradients(&mut self) -> Result<Vec<Self::Real>>;

    /// Makes the gradient sums, and the loss that goes with them, 0.
    fn clear_gradients(&mut self);

    /// Which masks dropout draws in the calls of [`forward`](Self::forward) and [`accumulate`](Self::accumulate) to come;
    /// `None`, as an engine begins: nothing is dropped. A backward pass goes through the masks of its forward pass. Each
    /// training step has another [`Masks::step`]; [`logits`](Self::logits) and [`evaluate`](Self::evaluate) drop nothing.
    fn set_masks(&mut self, masks: Option<Masks>);

    /// The forward pass of the stack alone. What backward needs is kept until the next call.
    async fn forward(&mut self, sequence: &Sequence<Self::Real>) -> Result<Output<Self::Real>>;

    /// The backward pass of the last [`forward`](Self::forward): adds to the gradient sums and returns dx, dh_0, dc_0.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where no forward pass came before it, or another pass or a change of the parameters between the
    /// two; [`Error::Shape`] for a gradient that does not fit it, which leaves the forward pass as it is.
    async fn backward(&mut self, gradient: &OutputGradient<Self::Real>) -> Result<InputGradient<Self::Real>>;

    /// Whether the backward passes to come also take the norm of ∂L/∂h_t for every step, layer and direction. As an engine
    /// begins, none does. All else that they compute is the same, to the last bit.
    fn set_flow(&mut self, on: bool);

    /// The norms of ∂L/∂h_t of the last [`accumulate`](Self::accumulate) or [`backward`](Self::backward), and of no other
    /// before it: of the weighted sum, as the gradients are, not divided by Σ w. Waits for it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the last pass was no backward one, or [`set_flow`](Self::set_flow) was off.
    async fn flow(&mut self) -> Result<Flow>;

    /// Whether the passes and updates to come are timed. As an engine begins, none is, which costs nothing. All that they
    /// compute is the same, to the last bit.
    ///
    /// The GPU path times kernels where its device has `TIMESTAMP_QUERY` (see `GpuOptions::profile`), and otherwise counts
    /// them. Each kernel's dispatches then have compute passes of their own; copies between buffers are in none of them.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the platform has no clock: on the CPU path in a browser.
    fn set_profile(&mut self, on: bool) -> Result<()>;

    /// What the passes and updates took since the last call, or since [`set_profile`](Self::set_profile). Waits for them.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where they were not timed.
    async fn profile(&mut self) -> Result<Profile>;

    /// Forward, loss and backward of a batch: adds Σ w·loss and its gradient to the sums. With `carry` the rows
    /// continue from the carried state, unless the sequence brings its own, and leave theirs there.
    /// Enqueues. Who calls it bounds the steps [in flight](Self::in_flight), by [`report`](Self::report).
    async fn accumulate(&mut self, batch: &Batch, carry: Option<Carry>) -> Result<()>;

    /// dx, dh_0 and dc_0 of the last [`accumulate`](Self::accumulate), as sums; needs `options.input_gradient`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without that option, and where the last pass was another.
    async fn input_gradient(&mut self) -> Result<InputGradient<Self::Real>>;

    /// Divides the sums, clips and updates the parameters. The sums stay readable until the next
    /// [`accumulate`](Self::accumulate) or [`backward`](Self::backward), which starts them anew. Where the loss or the
    /// norm is not finite it changes nothing, and after more than [`EngineOptions::skips`] such updates in a row no later
    /// one does. Enqueues.
    ///
    /// # Errors
    /// Those of other settings than can be taken, or of another rule than the engine was made for;
    /// [`Error::NonFinite`] once a report said that updating has ended.
    async fn update(&mut self, update: &Update) -> Result<()>;

    /// The report of the oldest update that was not yet reported, waiting for it; `None` when all were.
    ///
    /// # Errors
    /// [`Error::NonFinite`] names the bad step that ended updating, and goes on to do so: those behind it have no report.
    async fn report(&mut self) -> Result<Option<Report>>;

    /// How many updates were passed over up to the last one. Waits for it.
    async fn skipped(&mut self) -> Result<Skipped>;

    /// Whether updates still do anything, as far as was reported.
    ///
    /// # Errors
    /// [`Error::NonFinite`] names the bad step that ended them, once its report was given.
    fn may_update(&self) -> Result<()>;

    /// Lets go of the reports not yet given, and goes on as after so many updates that were passed over. A bad step that
    /// ended updating is forgotten: in a row there were then as many as [`EngineOptions::skips`] at the most.
    fn restart(&mut self, skipped: Skipped) -> Result<()>;

    /// How many updates were enqueued and not yet reported.
    fn unreported(&self) -> usize;

    /// How many submissions these are in: on a GPU a few short updates share one.
    fn in_flight(&self) -> usize;

    /// The head's logits for every prediction, and the final states. Starts from the sequence's own initial states or
    /// from zero: a long sequence can be taken in pieces, down to one step at a time, by handing the final states of a
    /// piece ([`States::to_f32`]) to the next. Touches neither the gradient sums nor the carried state. Takes all rows at
    /// once; a [`Trainer`](crate::Trainer) takes them in its micro-batches.
    async fn logits(&mut self, sequence: &Sequence<f32>) -> Result<Logits<Self::Real>>;

    /// Σ w·loss of a batch, and the final states, under the same conditions as [`logits`](Self::logits).
    async fn evaluate(&mut self, batch: &Batch) -> Result<Evaluation<Self::Real>>;

    /// The carried states of all rows; `None` before any were carried or set.
    async fn states(&mut self) -> Result<Option<States<Self::Real>>>;

    /// Replaces the carried states; `None`: the next batch starts from zero.
    fn set_states(&mut self, states: Option<&States<Self::Real>>) -> Result<()>;

    /// How the recurrent steps over `rows` rows are dispatched, never [`RecurrentKernel::Auto`]; `None` on the CPU path,
    /// which dispatches none.
    fn kernel(&self, rows: usize) -> Option<RecurrentKernel>;

    /// What the engine holds on its device: of passes over several shapes too, which on the GPU path share their buffers.
    fn memory(&self) -> Memory;

    /// What it will hold once a batch of this extent went through [`accumulate`](Self::accumulate), by the plan: nothing is
    /// allocated. Of a new engine that is also the most that it holds after any batches of as many
    /// [`shapes`](Extent::shapes), none of more rows or steps. Staging that comes and goes is not counted; on the GPU path
    /// a step has passed as many bytes through it as [`MemoryPart::Input`](crate::MemoryPart::Input) has.
    ///
    /// # Errors
    /// Those with which the batch would be refused for its sizes.
    fn plan(&self, extent: Extent) -> Result<Memory>;

    /// Bytes that the engine holds on its device.
    fn bytes(&self) -> u64 {
        self.memory().total()
    }

    /// The bytes of [`plan`](Self::plan) for a sequence.
    ///
    /// # Errors
    /// Those with which a batch of this sequence would be refused.
    fn planned_bytes(&self, sequence: &Sequence<f32>) -> Result<u64> {
        sequence.validate(self.model())?;
        Ok(self.plan(sequence.extent())?.total())
    }

    /// The most rows, up to `most`, for which the plan, and `beside` bytes for each row that the caller has, stay within
    /// `budget` bytes in all; the rows of `extent` do not count.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit) where not even one row does, and [`Error::Value`](crate::Error::Value) for
    /// other sizes than can be planned.
    fn largest_rows(&self, extent: Extent, budget: u64, most: usize, beside: u64) -> Result<usize> {
        largest_rows(|rows| self.plan(Extent { rows, ..extent }), budget, most, beside)
    }
}

/// The most rows, up to `most`, for which a plan, and `beside` bytes for each, stay within `budget` bytes.
fn largest_rows(plan: impl Fn(usize) -> Result<Memory>, budget: u64, most: usize, beside: u64) -> Result<usize> {
    let bytes = |rows| Ok((Count::from(beside) * rows + plan(rows)?.total()).get());
    // More than can be planned does not fit either.
    let fits = |rows| bytes(rows).is_ok_and(|bytes: u64| bytes <= budget);
    let one = bytes(1)?;
    if one > budget {
        return Err(over_budget("weights and a pass over one row", one, budget));
    }
    // At least `least` rows fit, and `beyond` do not, or are not asked for.
    let (mut least, mut beyond) = (1, most.max(1).saturating_add(1));
    while beyond - least > 1 {
        let middle = least + (beyond - least) / 2;
        if fits(middle) { least = middle } else { beyond = middle }
    }
    Ok(least)
}

fn over_budget(tensor: &str, bytes: u64, limit_bytes: u64) -> Error {
    let remedy = "take a smaller batch, micro-batches, or recompute";
    Error::Limit { tensor: tensor.into(), bytes, limit: "the memory budget", limit_bytes, remedy }
}
