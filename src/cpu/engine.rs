//! A network on the CPU.

use std::collections::VecDeque;

use ndarray::{Array2, Array3};

use super::block::{Block, ROWS, Start};
use super::network::Network;
use super::norm::{CHUNK, norm};
use super::pass::{Passes, Then, blocks_of};
use super::threads::Threads;
use super::update::{self, Scale, Slots};
use crate::backend::{Carry, Engine, EngineOptions, Evaluation, Logits, Report, sealed::Sealed};
use crate::batch::{Batch, Input, InputGradient, Output, OutputGradient, Sequence, States};
use crate::dropout::{Draw, Masks};
use crate::error::{Error, Result};
use crate::flow::Flow;
use crate::model::{Layout, Model};
use crate::optim::Update;
use crate::real::Real;

/// What the blocks hold from the last pass.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Held {
    Nothing,
    /// A forward pass of \[T, B\], ready for its backward pass.
    Forward(usize, usize),
    /// The gradients of a batch of \[T, B\] with dense or token input.
    Gradient(usize, usize, bool),
}

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
    held: Held,
    masks: Option<Masks>,
    /// Whether backward passes take the norms of dh_t.
    takes_flow: bool,
    /// Those of the last pass.
    flow: Option<Flow>,
    /// The blocks of passes that must leave `blocks` alone: logits and evaluation.
    aside: Vec<Block<R>>,
    carried: Option<States<R>>,
    reports: VecDeque<Report>,
    /// The update that ended updating, and what was not finite.
    refused: Option<(u64, &'static str)>,
    refusals: usize,
    /// Bad updates in a row.
    bad_in_row: u32,
}

impl<R: Real> CpuEngine<R> {
    pub(super) fn new(threads: Threads, model: &Model, options: &EngineOptions) -> Result<Self> {
        model.validate()?;
        let layout = Layout::new(model);
        let network = Network::new(model, &layout);
        Ok(Self {
            slots: Slots::new(options.rule, layout.len()),
            squares: vec![0.0; layout.len().div_ceil(CHUNK)],
            gradients: vec![R::zero(); layout.len()],
            passes: Passes::new(threads, network, &layout),
            loss: 0.0,
            used: false,
            blocks: Vec::new(),
            held: Held::Nothing,
            masks: None,
            takes_flow: false,
            flow: None,
            aside: Vec::new(),
            carried: None,
            reports: VecDeque::new(),
            refused: None,
            refusals: 0,
            bad_in_row: 0,
            model: model.clone(),
            options: options.clone(),
            layout,
        })
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

    fn input_gradient_of(&self, steps: usize, rows: usize, dense: bool) -> InputGradient<R> {
        let mut initial = States::zeros(&self.passes.network.recurrent, rows);
        let mut x =
            dense.then(|| Array3::from_elem((steps, rows, self.passes.network.recurrent.input_size), R::zero()));
        for block in &self.blocks[..blocks_of(rows)] {
            block.store_initial_gradient(&mut initial);
            if let Some(x) = &mut x {
                block.store_sequence(x, &block.d_output);
            }
        }
        InputGradient { x, initial }
    }

    fn flow_of(&self, steps: usize, rows: usize) -> Flow {
        let mut squares = Array2::zeros((self.passes.network.recurrent.stacks(), steps));
        self.blocks[..blocks_of(rows)].iter().for_each(|block| block.add_flow(&mut squares));
        Flow { norms: squares.mapv_into(f64::sqrt) }
    }

    /// Makes the carried states ready for `carry`: zero where none were.
    fn open_carried(&mut self, carry: Carry, rows: usize) -> Result<()> {
        let held = self.carried.as_ref().map(|states| states.h.shape()[1]);
        carry.check(&self.model, rows, held)?;
        if held.is_none() {
            self.carried = Some(States::zeros(&self.passes.network.recurrent, carry.rows));
        }
        Ok(())
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

    async fn parameters(&mut self) -> Result<Vec<R>> {
        Ok(self.passes.parameters.clone())
    }

    fn set_parameters(&mut self, block: &[R]) -> Result<()> {
        if block.len() != self.passes.parameters.len() {
            return Err(Error::shape("the block of parameters", &[self.passes.parameters.len()], &[block.len()]));
        }
        self.passes.parameters.copy_from_slice(block);
        self.passes.parameters_changed();
        Ok(())
    }

    async fn slots(&mut self) -> Result<Vec<Vec<R>>> {
        Ok(self.slots.0.iter().filter(|slot| !slot.is_empty()).cloned().collect())
    }

    fn set_slots(&mut self, slots: &[Vec<R>]) -> Result<()> {
        self.options.check_slots(slots, self.layout.len())?;
        self.slots.0.iter_mut().zip(slots).for_each(|(to, from)| to.copy_from_slice(from));
        Ok(())
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
        let start = sequence.initial.as_ref().map_or(Start::Zero, Start::Given);
        self.passes.run(&mut self.blocks, sequence, start, draw, Then::Stop);
        self.held = Held::Forward(steps, rows);
        self.flow = None;
        let recurrent = &self.passes.network.recurrent;
        let mut output = Array3::from_elem((steps, rows, recurrent.output_size()), R::zero());
        let blocks = &self.blocks[..blocks_of(rows)];
        for block in blocks {
            if let Some(top) = block.outputs.last() {
                block.store_sequence(&mut output, top);
            }
        }
        Ok(Output { output, states: self.passes.final_states(blocks, rows) })
    }

    async fn backward(&mut self, gradient: &OutputGradient<R>) -> Result<InputGradient<R>> {
        let Held::Forward(steps, rows) = self.held else {
            let reason = "backward needs a forward pass before it: each forward pass serves one backward pass";
            return Err(Error::Unsupported(reason.into()));
        };
        gradient.validate(&self.model.recurrent, steps, rows)?;
        self.open_sums();
        self.held = Held::Nothing;
        let blocks = &mut self.blocks[..blocks_of(rows)];
        self.passes.back(blocks, gradient, self.takes_flow);
        self.passes.weight_gradients(blocks, &mut self.gradients, false);
        self.flow = self.takes_flow.then(|| self.flow_of(steps, rows));
        let dense = self.blocks[0].tokens.is_empty();
        Ok(self.input_gradient_of(steps, rows, dense))
    }

    async fn accumulate(&mut self, batch: &Batch, carry: Option<Carry>) -> Result<()> {
        batch.validate(&self.model)?;
        let (steps, rows) = batch.sequence.shape();
        let draw = self.draw(rows)?;
        self.options.check_memory(self.planned_bytes(&batch.sequence)?)?;
        if let Some(carry) = carry {
            self.open_carried(carry, rows)?;
        }
        self.open_sums();
        let start = match (&batch.sequence.initial, carry, &self.carried) {
            (Some(initial), ..) => Start::Given(initial),
            (None, Some(carry), Some(carried)) => Start::Carried(carried, carry.first_row),
            _ => Start::Zero,
        };
        let (input, flow) = (self.options.input_gradient, self.takes_flow);
        self.passes.run(&mut self.blocks, &batch.sequence, start, draw, Then::Gradient { batch, input, flow });
        let blocks = &self.blocks[..blocks_of(rows)];
        self.passes.weight_gradients(blocks, &mut self.gradients, true);
        self.loss += blocks.iter().map(|block| block.head.loss).sum::<f64>();
        if let (Some(carry), Some(carried)) = (carry, &mut self.carried) {
            blocks.iter().for_each(|block| block.store_states(&self.passes.network, carried, carry.first_row));
        }
        self.held = Held::Gradient(steps, rows, matches!(batch.sequence.input, Input::Dense(_)));
        self.flow = flow.then(|| self.flow_of(steps, rows));
        Ok(())
    }

    async fn input_gradient(&mut self) -> Result<InputGradient<R>> {
        match self.held {
            Held::Gradient(steps, rows, dense) if self.options.input_gradient => {
                Ok(self.input_gradient_of(steps, rows, dense))
            }
            Held::Gradient(..) => {
                Err(Error::Unsupported("dx is computed only where EngineOptions::input_gradient asks for it".into()))
            }
            _ => Err(Error::Unsupported("dx needs a call of accumulate, and no call of forward after it".into())),
        }
    }

    fn set_flow(&mut self, on: bool) {
        self.takes_flow = on;
    }

    async fn flow(&mut self) -> Result<Flow> {
        self.flow.clone().ok_or_else(Flow::none)
    }

    async fn update(&mut self, update: &Update) -> Result<()> {
        update.validate(self.options.rule)?;
        self.used = true;
        if self.refused.is_some() {
            self.refusals += 1;
            return Ok(());
        }
        let loss = self.loss / update.divisor;
        let norm = norm(&self.passes.threads, &self.gradients, &mut self.squares) / update.divisor;
        let bad = [("loss", loss), ("gradient norm", norm)].into_iter().find(|(_, value)| !value.is_finite());
        if let Some((what, _)) = bad {
            self.bad_in_row += 1;
            if self.bad_in_row > self.options.skips {
                self.refused = Some((update.step, what));
                self.refusals += 1;
            } else {
                self.reports.push_back(Report { step: update.step, loss, norm, skipped: true });
            }
            return Ok(());
        }
        self.bad_in_row = 0;
        let scale = Scale::new(update, norm);
        let [a, b, c] = &mut self.slots.0;
        let weights =
            update::Weights { parameters: &mut self.passes.parameters, gradients: &self.gradients, slots: [a, b, c] };
        self.passes.threads.each(weights, |part| update::apply(update, scale, part));
        self.passes.parameters_changed();
        self.reports.push_back(Report { step: update.step, loss, norm, skipped: false });
        Ok(())
    }

    async fn report(&mut self) -> Result<Option<Report>> {
        match (self.reports.pop_front(), self.refused) {
            (None, Some((step, what))) => Err(Error::NonFinite { step, what }),
            (report, _) => Ok(report),
        }
    }

    async fn skipped(&mut self) -> Result<u32> {
        Ok(self.bad_in_row)
    }

    fn restart(&mut self, skipped: u32) -> Result<()> {
        self.reports.clear();
        (self.refused, self.refusals, self.bad_in_row) = (None, 0, skipped);
        Ok(())
    }

    fn unreported(&self) -> usize {
        self.reports.len() + self.refusals
    }

    async fn logits(&mut self, sequence: &Sequence<f32>) -> Result<Logits<R>> {
        let head = self.model.need_head()?;
        sequence.validate(&self.model)?;
        let (steps, rows) = sequence.shape();
        let start = sequence.initial.as_ref().map_or(Start::Zero, Start::Given);
        self.passes.run(&mut self.aside, sequence, start, None, Then::Logits);
        let mut logits = Array3::from_elem((head.predictions(steps), rows, head.outputs), R::zero());
        let blocks = &self.aside[..blocks_of(rows)];
        blocks.iter().for_each(|block| block.store_sequence(&mut logits, &block.head.logits));
        Ok(Logits { logits, states: self.passes.final_states(blocks, rows) })
    }

    async fn evaluate(&mut self, batch: &Batch) -> Result<Evaluation<R>> {
        batch.validate(&self.model)?;
        let sequence = &batch.sequence;
        let rows = sequence.shape().1;
        let start = sequence.initial.as_ref().map_or(Start::Zero, Start::Given);
        self.passes.run(&mut self.aside, sequence, start, None, Then::Loss(batch));
        let blocks = &self.aside[..blocks_of(rows)];
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

    fn planned_bytes(&self, sequence: &Sequence<f32>) -> Result<u64> {
        sequence.validate(&self.model)?;
        let (steps, rows) = sequence.shape();
        let dense = matches!(sequence.input, Input::Dense(_));
        let block = |rows| Block::<R>::planned_bytes(&self.passes.network, steps, rows, dense);
        let last = match rows % ROWS {
            0 => 0,
            rest => block(rest),
        };
        let held: usize = self.blocks.iter().map(Block::bytes).sum();
        let squares = if self.takes_flow { self.model.recurrent.stacks() * steps * size_of::<f64>() } else { 0 };
        let planned = rows / ROWS * block(ROWS) + last + blocks_of(rows) * squares;
        Ok(self.bytes() + planned.saturating_sub(held) as u64)
    }

    fn bytes(&self) -> u64 {
        let slots = self.slots.0.iter().map(Vec::len).sum::<usize>();
        let carried = self.carried.as_ref().map_or(0, |s| s.h.len() + s.c.as_ref().map_or(0, |c| c.len()));
        let numbers = slots + carried + self.gradients.len();
        let blocks = self.blocks.iter().chain(&self.aside).map(Block::bytes).sum::<usize>();
        (numbers * size_of::<R>() + self.passes.bytes() + blocks) as u64
    }
}
