//! A network on the CPU.

use std::collections::VecDeque;
use std::ops::Range;

use ndarray::Array2;

use super::block::{Block, Course, Start};
use super::clock::Phase;
use super::network::Network;
use super::norm::norm;
use super::pass::{Goal, Passes, Rows, Then};
use super::room::{carried, chunk, fixed, of_batch, squares};
use super::threads::Threads;
use super::update::{self, Scale, Slots};
use crate::backend::{Carry, Engine, EngineOptions, Evaluation, FlatBlock, Logits, Report, Skipped, sealed::Sealed};
use crate::batch::{Batch, InputGradient, Output, OutputGradient, Sequence, States};
use crate::calls::{Ended, LastPass, no_slot, numbers_of};
use crate::dropout::{Draw, Masks};
use crate::error::Result;
use crate::flow::Flow;
use crate::memory::{Extent, Memory, MemoryPart};
use crate::model::{At, Layout, Model, RecurrentKernel};
use crate::optim::Update;
use crate::profile::Profile;
use crate::real::Real;
use crate::room;
use crate::sizes::ON_HOST;

/// A network on the CPU; made by [`Backend::engine`](crate::Backend::engine) of [`Cpu`](crate::Cpu).
#[derive(Debug)]
pub struct CpuEngine<R: Real> {
    model: Model,
    layout: Layout,
    options: EngineOptions,
    passes: Passes<R>,
    gradients: Vec<R>,
    /// Σ w·loss that goes with the gradients.
    loss: f64,
    /// Whether the sums were used by an update, so that the next pass starts them anew.
    used: bool,
    slots: Slots<R>,
    squares: Vec<f64>,
    blocks: Vec<Block<R>>,
    /// What the blocks hold.
    last: LastPass,
    masks: Option<Masks>,
    /// Whether backward passes take the norms of dh_t.
    takes_flow: bool,
    /// Those of the last pass.
    flow: Option<Flow>,
    carried: Option<States<R>>,
    reports: VecDeque<Report>,
    /// The update that ended updating, and what was not finite.
    refused: Option<(u64, &'static str)>,
    refusals: usize,
    /// The bad updates.
    skipped: Skipped,
    ended: Ended,
}

impl<R: Real> CpuEngine<R> {
    pub(super) fn new(threads: Threads, model: &Model, options: &EngineOptions) -> Result<Self> {
        model.validate()?;
        options.validate(model)?;
        let layout = Layout::new(model);
        let network = Network::new(model, &layout);
        Ok(Self {
            slots: Slots::new(options.rule, layout.len())?,
            squares: room::zeros(squares(&layout), "the norm's sums")?,
            gradients: room::zeros(layout.len(), "the gradients")?,
            passes: Passes::new(threads, network, &layout)?,
            loss: 0.0,
            used: false,
            blocks: Vec::new(),
            last: LastPass::default(),
            masks: None,
            takes_flow: false,
            flow: None,
            carried: None,
            reports: VecDeque::new(),
            refused: None,
            refusals: 0,
            skipped: Skipped::default(),
            ended: Ended::default(),
            model: model.clone(),
            options: options.clone(),
            layout,
        })
    }

    /// What a new engine, made with these, holds after a batch of this extent; with `flow` also for the norms of dh_t.
    pub(super) fn planned(
        threads: &Threads,
        model: &Model,
        options: &EngineOptions,
        flow: bool,
        extent: Extent,
    ) -> Result<Memory> {
        model.validate()?;
        options.validate(model)?;
        extent.check(model, ON_HOST)?;
        let layout = Layout::new(model);
        let network = Network::new(model, &layout);
        let of_extent = of_batch::<R>(&network, options, flow, extent) + carried::<R>(&network, extent.carried);
        Ok(fixed::<R>(&network, &layout, options, threads.count()) + of_extent)
    }

    fn block(&mut self, block: FlatBlock) -> Result<&mut [R]> {
        let count = self.slot_count();
        match block {
            FlatBlock::Parameters => Ok(&mut self.passes.parameters),
            FlatBlock::Slot(slot) if slot < count => Ok(&mut self.slots.0[slot]),
            FlatBlock::Slot(slot) => Err(no_slot(slot, count)),
        }
    }

    /// Starts the sums anew where an update has used them.
    fn open_sums(&mut self) {
        if self.used {
            self.clear_gradients();
        }
    }

    /// What dropout draws for a training pass over `rows` rows.
    fn draw(&self, rows: usize) -> Result<Option<Draw>> {
        let recurrent = &self.passes.network.recurrent;
        self.masks.map(|masks| Draw::new(masks, recurrent, rows)).transpose()
    }

    fn input_gradient_of(&self, extent: Extent) -> Result<InputGradient<R>> {
        let Extent { steps, rows, tokens, .. } = extent;
        let recurrent = &self.passes.network.recurrent;
        let mut initial = States::try_zeros(recurrent, rows, "dh_0 and dc_0")?;
        let shape = (steps, rows, recurrent.input_size);
        let mut x = if tokens { None } else { Some(room::array(shape, "dx")?) };
        for block in &self.blocks[..self.passes.network.blocks(rows)] {
            block.store_initial_gradient(&mut initial);
            if let Some(x) = &mut x {
                block.store_sequence(x, 0..block.mask.steps, &block.d_input);
            }
        }
        Ok(InputGradient { x, initial })
    }

    /// How a training pass over so many steps goes.
    fn course(&self, steps: usize, dx: bool) -> Course {
        Course { chunk: chunk(&self.passes.network, &self.options, steps), backward: true, dx }
    }

    /// A pass begins, in the blocks of the one before it.
    fn begin_pass(&mut self) {
        self.last.begin();
        self.flow = None;
    }

    /// A forward pass that none goes back through.
    fn aside(&self, steps: usize) -> Course {
        Course { chunk: self.passes.shortest_chunk(steps), backward: false, dx: false }
    }

    /// What is there whatever the batch.
    fn fixed_memory(&self) -> Memory {
        let mut memory = Memory::default();
        let carried = self.carried.as_ref().map_or(0, |s| s.h.len() + s.c.as_ref().map_or(0, |c| c.len()));
        let numbers = [
            (MemoryPart::Gradients, self.gradients.len()),
            (MemoryPart::Optimizer, self.slots.0.iter().map(Vec::len).sum()),
            (MemoryPart::Carried, carried),
        ];
        numbers.iter().for_each(|(part, numbers)| memory.add(*part, (numbers * size_of::<R>()) as u64));
        memory.add(MemoryPart::Weights, self.passes.weight_bytes() as u64);
        memory.add(MemoryPart::Workspace, self.passes.room_bytes() as u64);
        memory.add(MemoryPart::Optimizer, (self.squares.len() * size_of::<f64>()) as u64);
        memory
    }

    fn flow_of(&self, steps: usize, rows: usize) -> Flow {
        let mut squares = Array2::zeros((self.passes.network.recurrent.stacks(), steps));
        self.blocks[..self.passes.network.blocks(rows)].iter().for_each(|block| block.add_flow(&mut squares));
        Flow { norms: squares.mapv_into(f64::sqrt) }
    }

    fn apply(&mut self, update: &Update) {
        self.used = true;
        if self.refused.is_some() {
            self.refusals += 1;
            self.skipped.in_all += 1;
            return;
        }
        let Passes { threads, clock, .. } = &self.passes;
        let norm = norm(threads, clock, &self.gradients, &mut self.squares) / update.divisor;
        // What is beyond the path's type is not finite, in whatever type it was added up.
        let held = |value: f64| if R::from_wide(value).is_finite() { value } else { R::from_wide(value).to_wide() };
        let (loss, norm) = (held(held(self.loss) / update.divisor), held(norm));
        let bad = [("loss", loss), ("gradient norm", norm)].into_iter().find(|(_, value)| !value.is_finite());
        if let Some((what, _)) = bad {
            self.skipped.in_row = self.skipped.in_row.saturating_add(1);
            self.skipped.in_all += 1;
            if self.skipped.in_row > self.options.skips {
                self.refused = Some((update.step, what));
                self.refusals += 1;
            } else {
                self.reports.push_back(Report { step: update.step, loss, norm, skipped: true });
            }
            return;
        }
        self.skipped.in_row = 0;
        let coefficients = update.coefficients(self.skipped.in_all);
        let (rule, scale) = (update.optimizer.rule, Scale::new(update, &coefficients, norm));
        let [a, b, c] = &mut self.slots.0;
        let weights =
            update::Weights { parameters: &mut self.passes.parameters, gradients: &self.gradients, slots: [a, b, c] };
        let clock = &self.passes.clock;
        self.passes.threads.each(weights, |part| {
            let begun = clock.begin();
            update::apply(rule, &coefficients, scale, part);
            clock.end(begun, Phase::Update, || 0);
        });
        self.passes.parameters_changed();
        self.reports.push_back(Report { step: update.step, loss, norm, skipped: false });
    }

    fn carried_rows(&self) -> Option<usize> {
        self.carried.as_ref().map(|states| states.h.shape()[1])
    }
}

impl<R: Real> Sealed for CpuEngine<R> {}

impl<R: Real> Engine for CpuEngine<R> {
    type Real = R;

    fn model(&self) -> &Model {
        &self.model
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn slot_count(&self) -> usize {
        self.options.rule.map_or(0, |rule| rule.slots())
    }

    async fn read_tensors(
        &mut self,
        block: FlatBlock,
        tensors: Range<usize>,
        take: &mut dyn FnMut(&[R]) -> Result<()>,
    ) -> Result<()> {
        let numbers = numbers_of(&self.layout, &tensors)?;
        take(&self.block(block)?[numbers])
    }

    fn write_tensors(
        &mut self,
        block: FlatBlock,
        tensors: Range<usize>,
        fill: &mut dyn FnMut(&mut [R]) -> Result<()>,
    ) -> Result<()> {
        let numbers = numbers_of(&self.layout, &tensors)?;
        if let FlatBlock::Parameters = block {
            self.last.parameters_change();
            if self.ended.is_told() {
                self.restart(Skipped { in_row: 0, ..self.skipped })?;
            }
            self.passes.parameters_changed();
        }
        fill(&mut self.block(block)?[numbers])
    }

    async fn gradients(&mut self) -> Result<Vec<R>> {
        Ok(self.gradients.clone())
    }

    fn clear_gradients(&mut self) {
        self.gradients.fill(R::zero());
        self.loss = 0.0;
        self.used = false;
    }

    fn set_masks(&mut self, masks: Option<Masks>) {
        self.masks = masks;
    }

    async fn forward(&mut self, sequence: &Sequence<R>) -> Result<Output<R>> {
        sequence.validate(&self.model)?;
        let (steps, rows) = sequence.shape();
        let draw = self.draw(rows)?;
        self.begin_pass();
        let start = sequence.initial.as_ref().map_or(Start::Zero, Start::Given);
        let mut output = room::array((steps, rows, self.model.recurrent.output_size()), "the output")?;
        let store = |blocks: &[Block<R>]| {
            for block in blocks {
                if let Some(top) = block.outputs.last() {
                    block.store_sequence(&mut output, block.held.clone(), top);
                }
            }
        };
        let course = self.course(steps, true);
        let (blocks, of_sequence) = (&mut self.blocks, Rows { sequence, start, draw });
        self.passes.within(rows, |passes| passes.forward(blocks, of_sequence, course, Then::Stop, store))?;
        self.last.went_forward(sequence.extent());
        Ok(Output { output, states: self.passes.final_states(&self.blocks[..self.passes.network.blocks(rows)], rows) })
    }

    async fn backward(&mut self, gradient: &OutputGradient<R>) -> Result<InputGradient<R>> {
        let extent = self.last.forward_for(gradient, &self.model.recurrent)?;
        let Extent { steps, rows, .. } = extent;
        self.begin_pass();
        self.open_sums();
        let blocks = &mut self.blocks[..self.passes.network.blocks(rows)];
        let (gradients, flow) = (&mut self.gradients, self.takes_flow);
        self.passes.within(rows, |passes| passes.back(blocks, gradient, flow, gradients));
        self.flow = flow.then(|| self.flow_of(steps, rows));
        self.last.went_back(flow);
        self.input_gradient_of(extent)
    }

    fn set_profile(&mut self, on: bool) -> Result<()> {
        self.passes.clock.set(on)
    }

    async fn profile(&mut self) -> Result<Profile> {
        self.passes.clock.take()
    }

    async fn accumulate(&mut self, batch: &Batch, carry: Option<Carry>) -> Result<()> {
        batch.validate(&self.model)?;
        let (steps, rows) = batch.sequence.shape();
        let draw = self.draw(rows)?;
        if let Some(carry) = carry {
            carry.check(&self.model, rows, self.carried_rows())?;
        }
        self.begin_pass();
        self.options.check_memory(self.planned_bytes(&batch.sequence)?)?;
        if let (Some(carry), None) = (carry, &self.carried) {
            self.carried = Some(States::try_zeros(&self.passes.network.recurrent, carry.rows, "the carried states")?);
        }
        self.open_sums();
        let start = match (&batch.sequence.initial, carry, &self.carried) {
            (Some(initial), ..) => Start::Given(initial),
            (None, Some(carry), Some(carried)) => Start::Carried(carried, carry.first_row),
            _ => Start::Zero,
        };
        let (course, flow) = (self.course(steps, self.options.input_gradient), self.takes_flow);
        let of_batch = Rows { sequence: &batch.sequence, start, draw };
        let goal = Goal { batch, flow };
        let (blocks, gradients) = (&mut self.blocks, &mut self.gradients);
        self.passes.within(rows, |passes| passes.train(blocks, of_batch, course, goal, gradients))?;
        let blocks = &self.blocks[..self.passes.network.blocks(rows)];
        self.loss += blocks.iter().map(|block| block.head.loss).sum::<f64>();
        if let (Some(carry), Some(carried)) = (carry, &mut self.carried) {
            blocks.iter().for_each(|block| block.store_states(&self.passes.network, carried, carry.first_row));
        }
        self.flow = flow.then(|| self.flow_of(steps, rows));
        self.last.accumulated(batch.sequence.extent(), flow);
        Ok(())
    }

    async fn input_gradient(&mut self) -> Result<InputGradient<R>> {
        self.input_gradient_of(self.last.gradient(self.options.input_gradient)?)
    }

    fn set_flow(&mut self, on: bool) {
        self.takes_flow = on;
    }

    async fn flow(&mut self) -> Result<Flow> {
        self.last.flow()?;
        self.flow.clone().ok_or_else(Flow::none)
    }

    async fn update(&mut self, update: &Update) -> Result<()> {
        update.validate::<R>(self.options.rule)?;
        self.ended.check()?;
        self.last.parameters_change();
        let threads = self.passes.threads.clone();
        threads.within(self.squares.len(), || self.apply(update));
        Ok(())
    }

    async fn report(&mut self) -> Result<Option<Report>> {
        self.ended.check()?;
        match (self.reports.pop_front(), self.refused) {
            (None, Some((step, what))) => {
                self.refusals = 0;
                Err(self.ended.tell(step, what))
            }
            (report, _) => Ok(report),
        }
    }

    async fn skipped(&mut self) -> Result<Skipped> {
        Ok(self.skipped)
    }

    fn restart(&mut self, skipped: Skipped) -> Result<()> {
        self.reports.clear();
        // Without a rule no update was ever passed over.
        let skipped = self.options.rule.map_or(Skipped::default(), |_| skipped.within(self.options.skips));
        (self.refused, self.refusals, self.skipped) = (None, 0, skipped);
        self.ended.forget();
        Ok(())
    }

    fn may_update(&self) -> Result<()> {
        self.ended.check()
    }

    fn unreported(&self) -> usize {
        self.reports.len() + self.refusals
    }

    fn in_flight(&self) -> usize {
        self.unreported()
    }

    async fn logits(&mut self, sequence: &Sequence<f32>) -> Result<Logits<R>> {
        sequence.validate(&self.model)?;
        self.model.need_head()?;
        self.begin_pass();
        let head = self.model.need_head()?;
        let (steps, rows) = sequence.shape();
        let start = sequence.initial.as_ref().map_or(Start::Zero, Start::Given);
        let mut logits = room::array((head.predictions(steps), rows, head.outputs), "the logits")?;
        let store = |blocks: &[Block<R>]| {
            for block in blocks {
                match head.at {
                    At::Every => block.store_sequence(&mut logits, block.held.clone(), &block.head.logits),
                    At::Last | At::Mean if block.is_last() => {
                        block.store_sequence(&mut logits, 0..1, &block.head.logits)
                    }
                    At::Last | At::Mean => {}
                }
            }
        };
        let course = self.aside(steps);
        let rows_of = Rows { sequence, start, draw: None };
        let blocks = &mut self.blocks;
        self.passes.within(rows, |passes| passes.forward(blocks, rows_of, course, Then::Logits, store))?;
        Ok(Logits { logits, states: self.passes.final_states(&blocks[..self.passes.network.blocks(rows)], rows) })
    }

    async fn evaluate(&mut self, batch: &Batch) -> Result<Evaluation<R>> {
        batch.validate(&self.model)?;
        let sequence = &batch.sequence;
        let (steps, rows) = sequence.shape();
        let start = sequence.initial.as_ref().map_or(Start::Zero, Start::Given);
        let course = self.aside(steps);
        self.begin_pass();
        let rows_of = Rows { sequence, start, draw: None };
        let blocks = &mut self.blocks;
        self.passes.within(rows, |passes| passes.forward(blocks, rows_of, course, Then::Loss(batch), |_| {}))?;
        let blocks = &blocks[..self.passes.network.blocks(rows)];
        let loss = blocks.iter().map(|block| block.head.loss).sum();
        Ok(Evaluation { loss, states: self.passes.final_states(blocks, rows) })
    }

    async fn states(&mut self) -> Result<Option<States<R>>> {
        Ok(self.carried.clone())
    }

    fn set_states(&mut self, states: Option<&States<R>>) -> Result<()> {
        if let Some(states) = states {
            states.check(&self.model.recurrent, states.h.shape()[1], "carried")?;
        }
        self.carried = states.cloned();
        Ok(())
    }

    fn kernel(&self, _rows: usize) -> Option<RecurrentKernel> {
        None
    }

    fn memory(&self) -> Memory {
        self.fixed_memory() + self.blocks.iter().map(Block::memory).sum()
    }

    /// Rows shorter than T take less.
    fn plan(&self, extent: Extent) -> Result<Memory> {
        extent.check(&self.model, ON_HOST)?;
        let network = &self.passes.network;
        let mut planned = of_batch::<R>(network, &self.options, self.takes_flow, extent);
        if self.carried.is_none() {
            planned += carried::<R>(network, extent.carried);
        }
        let held = self.blocks.iter().map(Block::memory).sum();
        Ok(self.fixed_memory() + planned.max(held))
    }
}
