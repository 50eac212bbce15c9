//! A network on a GPU: stages a batch, records the commands of its shape, submits them.

use std::ops::Range;

use ndarray::Array2;

use super::arena::Arena;
use super::blocks::array;
use super::builder::{Binding, allocate};
use super::carried::Carried;
use super::device::Gpu;
use super::network::Network;
use super::pass::{Aim, Lists, Pass};
use super::planned::{LOSSES, further, planned, shape};
use super::program::{Command, Place};
use super::recorder::Recorder;
use super::uniforms::Status;
use super::updater::Updater;
use super::{dropout, staging};
use crate::backend::{
    Backend, Carry, Engine, EngineOptions, Evaluation, FlatBlock, Logits, Report, Skipped, platform, sealed,
};
use crate::batch::{Batch, Input, InputGradient, Output, OutputGradient, Sequence, States};
use crate::calls::{Ended, LastPass};
use crate::dropout::{Draw, Masks};
use crate::error::{Error, Result};
use crate::flow::Flow;
use crate::memory::{Extent, Memory, MemoryPart};
use crate::model::plan::{Keeps, SequencePlan, Shape, TensorId, TensorSpec, carried_states, vec4s};
use crate::model::{Layout, Model, RecurrentKernel};
use crate::optim::Update;
use crate::profile::Profile;
use crate::sizes::ON_DEVICE;

/// Passes kept at a time; the one unused for longest goes first. They share their buffers, so that one more takes uniforms
/// alone.
pub(super) const PASSES: usize = 6;

/// Counts the orders in which this path has added its sums up. It grows with every change of a shader, a plan or wgpu after
/// which the same run has other bits on the same device and driver.
const ORDER_OF_SUMS: u32 = 1;

/// A network on a GPU. Made by [`Backend::engine`].
#[derive(Debug)]
pub struct GpuEngine {
    pub(super) gpu: Gpu,
    pub(super) network: Network,
    pub(super) layout: Layout,
    pub(super) options: EngineOptions,
    pub(super) updater: Option<Updater>,
    /// The last one used stands last.
    pub(super) passes: Vec<Pass>,
    pub(super) arena: Arena,
    pub(super) carried: Option<Carried>,
    /// Two places of 16 bytes: for the loss of a step under way while a batch is evaluated, and for that batch's.
    pub(super) losses: wgpu::Buffer,
    /// Whether the parameters changed since W_hh was last packed.
    unpacked: bool,
    /// Whether the gradient sums belong to an update that is done, so that the next pass starts them anew.
    used: bool,
    /// Whether they are to be cleared before anything reads them or adds to them: the commands then go with those.
    cleared: bool,
    /// What the pass that was used last holds.
    pub(super) last: LastPass,
    /// Whether backward passes take the norms of dh_t.
    pub(super) flow: bool,
    ended: Ended,
    masks: Option<Masks>,
    pub(super) recorder: Recorder,
    words: Vec<u32>,
    numbers: Vec<f32>,
}

impl sealed::Sealed for Gpu {}
impl sealed::Sealed for GpuEngine {}

impl Backend for Gpu {
    type Engine = GpuEngine;

    fn engine(&self, model: &Model, options: &EngineOptions) -> Result<GpuEngine> {
        model.validate()?;
        options.validate(model)?;
        options.kernel.check(model.recurrent.hidden_size)?;
        let network = Network::new(self, model, options.rule)?;
        let updater = options.rule.map(|rule| Updater::new(self, &network, rule, options.skips)).transpose()?;
        self.check()?;
        Ok(GpuEngine {
            gpu: self.clone(),
            layout: Layout::new(model),
            network,
            options: options.clone(),
            updater,
            passes: Vec::new(),
            arena: Arena::default(),
            carried: None,
            losses: allocate(self, &TensorSpec { name: "losses".into(), bytes: LOSSES })?,
            unpacked: true,
            used: false,
            cleared: false,
            last: LastPass::default(),
            flow: false,
            ended: Ended::default(),
            masks: None,
            recorder: Recorder::with_uploads(self)?,
            words: Vec::new(),
            numbers: Vec::new(),
        })
    }

    fn plan(&self, model: &Model, options: &EngineOptions, extent: Extent, flow: bool) -> Result<Memory> {
        planned(&self.limits(), model, options, flow, extent)
    }

    fn planned_kernel(&self, model: &Model, options: &EngineOptions, rows: usize) -> Option<RecurrentKernel> {
        let recurrent = &model.recurrent;
        let (h4, gates) = (vec4s(recurrent.hidden_size).max(1), recurrent.cell.gates());
        Some(self.limits().steps(rows, h4, gates, options.kernel).kernel)
    }

    fn describe(&self) -> String {
        let info = self.info();
        format!("{} ({}, {})", info.name, info.backend, info.driver_info)
    }

    fn arithmetic(&self) -> Vec<(&'static str, String)> {
        let info = self.info();
        // Long sums are cut into other parts there; otherwise tiles and kernels change no order.
        let cut = if self.limits().software { "for a software driver" } else { "for a GPU" };
        vec![
            ("device", info.name.clone()),
            ("numbers", "f32".into()),
            ("interface", info.backend.to_string()),
            ("driver", format!("{} {}", info.driver, info.driver_info)),
            ("order of sums", format!("{ORDER_OF_SUMS}, {cut}")),
            ("elementary functions", platform()),
        ]
    }
}

impl GpuEngine {
    /// The pass for a shape: the one at hand, or a new one.
    pub(super) fn prepare(&mut self, shape: Shape) -> Result<()> {
        self.recorder.begin_pass();
        self.last.begin();
        let place = match self.passes.iter().position(|pass| pass.shape == shape) {
            Some(place) => place,
            None => {
                if self.passes.len() == PASSES {
                    self.drop_pass();
                }
                let plan = self.plan_of(shape)?;
                self.make_room(&plan)?;
                let pass = match self.make_pass(shape, plan) {
                    // What other shapes have taken may be what is missing.
                    Err(Error::OutOfMemory { .. }) => {
                        self.let_go();
                        self.plan_of(shape).and_then(|plan| self.make_pass(shape, plan))
                    }
                    made => made,
                };
                if pass.is_err() {
                    // A part of what it takes may be there, which no pass is going to work on.
                    self.let_go();
                }
                self.passes.push(pass?);
                self.passes.len() - 1
            }
        };
        let pass = self.passes.remove(place);
        self.passes.push(pass);
        Ok(())
    }

    fn make_pass(&mut self, shape: Shape, plan: SequencePlan) -> Result<Pass> {
        let buffers = self.arena.take(&self.gpu, &plan.tensors)?;
        Pass::new(&self.gpu, &self.network, shape, plan, buffers)
    }

    fn plan_of(&self, shape: Shape) -> Result<SequencePlan> {
        let (limits, options) = (self.gpu.limits(), &self.options);
        let (model, parameters) = (&self.network.model, &self.network.plan);
        SequencePlan::new(model, parameters, &limits, shape, options.chunk, options.kernel)
    }

    /// Lets go of the pass that was unused for longest. What is recorded of it would hold on to its buffers.
    pub(super) fn drop_pass(&mut self) {
        self.recorder.submit();
        self.passes.remove(0);
    }

    /// Makes the backward pass of the pass at hand ready, where it is to take the norms of dh_t.
    pub(super) fn prepare_flow(&mut self) -> Result<()> {
        if !self.flow {
            return Ok(());
        }
        let wanted = self.pass().flow_bytes();
        while self.passes.len() > 1 && self.options.check_memory(self.bytes() + wanted).is_err() {
            self.drop_pass();
        }
        self.options.check_memory(self.bytes() + wanted)?;
        let make = |engine: &mut Self| match engine.passes.last_mut() {
            Some(pass) => pass.make_flow(&engine.gpu, &engine.network),
            None => Ok(()),
        };
        self.without_others(make)
    }

    /// The commands of the backward pass; the norms of dh_t are there once they were submitted.
    pub(super) fn backward_lists(&self) -> Lists<'_> {
        self.pass().backward(self.flow)
    }

    pub(super) fn pass(&self) -> &Pass {
        self.passes.last().expect("a pass was prepared")
    }

    /// The shape of a pass that keeps `keeps` of each chunk where the others are made again.
    pub(super) fn shape(&self, extent: Extent, dx: bool, keeps: Keeps) -> Shape {
        shape(&self.options, extent, dx, keeps)
    }

    /// What dropout draws for a training pass over `rows` rows.
    pub(super) fn draw(&self, rows: usize) -> Result<Option<Draw>> {
        self.masks.map(|masks| Draw::new(masks, &self.network.model.recurrent, rows)).transpose()
    }

    /// Writes what dropout draws in the pass, where the network has any.
    pub(super) fn stage_draw(&self, draw: Option<Draw>) {
        let recurrent = &self.network.model.recurrent;
        if recurrent.dropout > 0.0 || recurrent.recurrent_dropout > 0.0 {
            self.recorder.write(&Place::of(&self.network.draw), &[dropout::uniform(draw)]);
        }
    }

    /// Writes x, labels, initial states where the sequence brings some, and what dropout draws. What is large first: the
    /// other writes then stay in one submission with what reads them.
    fn stage(&mut self, sequence: &Sequence, batch: Option<&Batch>, draw: Option<Draw>) {
        let mut numbers = std::mem::take(&mut self.numbers);
        let pass = self.pass();
        if let Input::Dense(x) = &sequence.input {
            for chunk in &pass.plan.chunks {
                let alive = |t, row| t < sequence.length(row);
                staging::pack(x, chunk.steps.clone(), 1, alive, &mut numbers);
                let x = chunk.x.expect("dense input has x");
                self.recorder.write(&Place::of(&pass.buffers[x.0]), &numbers);
            }
        }
        if let Some(states) = &sequence.initial {
            let stacks = self.network.model.recurrent.stacks();
            for (kind, array) in std::iter::once(&states.h).chain(&states.c).enumerate() {
                for stack in 0..stacks {
                    staging::pack(array, stack..stack + 1, 1, |_, _| true, &mut numbers);
                    self.recorder.write(&pass.ends[kind * stacks + stack].0, &numbers);
                }
            }
        }
        self.numbers = numbers;
        self.stage_labels(sequence, batch);
        self.stage_draw(draw);
    }

    pub(super) fn stage_labels(&mut self, sequence: &Sequence, batch: Option<&Batch>) {
        let mut words = std::mem::take(&mut self.words);
        let pass = self.pass();
        for index in 0..pass.plan.chunks.len() {
            staging::labels(&self.network.model, &pass.plan, index, sequence, batch, &mut words);
            let buffer = &pass.buffers[pass.plan.chunks[index].labels.0];
            self.recorder.write(&Place::of(buffer), &words);
        }
        self.words = words;
    }

    /// Commands that bring states of zero, unless the sequence brought its own.
    fn enter(&self, sequence: &Sequence) -> Vec<Command> {
        match sequence.initial {
            Some(_) => Vec::new(),
            None => self.pass().enter_zero(&self.network),
        }
    }

    /// What comes before a forward pass that continues from no carried state.
    fn begin(&mut self, sequence: &Sequence) -> Vec<Command> {
        let mut begin = self.pack();
        begin.extend(self.enter(sequence));
        begin
    }

    /// Commands that start the gradient sums anew, where a pass is to.
    pub(super) fn fresh_sums(&mut self) -> Vec<Command> {
        self.cleared |= std::mem::take(&mut self.used);
        self.cleared_sums()
    }

    /// Commands that clear the gradient sums where that was asked for.
    fn cleared_sums(&mut self) -> Vec<Command> {
        match std::mem::take(&mut self.cleared) {
            true => [&self.network.gradients, &self.network.loss].map(clear).into(),
            false => Vec::new(),
        }
    }

    /// Commands that pack W_hh for the forward pass to come, where the parameters have changed and the device reads it so.
    pub(super) fn pack(&mut self) -> Vec<Command> {
        match (std::mem::take(&mut self.unpacked), &self.network.packed) {
            (true, Some(packed)) => packed.commands().to_vec(),
            _ => Vec::new(),
        }
    }

    fn whole(&self, buffer: &wgpu::Buffer) -> (Place, u64) {
        (Place::of(buffer), buffer.size())
    }

    pub(super) fn tensor(&self, id: TensorId) -> (Place, u64) {
        let pass = self.pass();
        (Place::of(&pass.buffers[id.0]), pass.plan.whole(id).bytes)
    }
}

fn clear(buffer: &wgpu::Buffer) -> Command {
    Command::Clear { to: Place::of(buffer), bytes: buffer.size() }
}

impl Engine for GpuEngine {
    type Real = f32;

    fn model(&self) -> &Model {
        &self.network.model
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn slot_count(&self) -> usize {
        self.network.slots.len()
    }

    async fn read_tensors(
        &mut self,
        block: FlatBlock,
        tensors: Range<usize>,
        take: &mut dyn FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let buffer = self.block(block)?;
        self.read_spans(&buffer, tensors, take).await
    }

    fn write_tensors(
        &mut self,
        block: FlatBlock,
        tensors: Range<usize>,
        fill: &mut dyn FnMut(&mut [f32]) -> Result<()>,
    ) -> Result<()> {
        let (buffer, spans) = (self.block(block)?, self.spans(tensors)?);
        if let FlatBlock::Parameters = block {
            self.last.parameters_change();
            if self.ended.is_told() {
                let in_all = self.updater.as_ref().map_or(0, Updater::skipped_in_all);
                self.restart(Skipped { in_row: 0, in_all })?;
            }
            self.unpacked = true;
        }
        self.write_spans(&buffer, &spans, fill)?;
        self.gpu.check()
    }

    async fn gradients(&mut self) -> Result<Vec<f32>> {
        let cleared = self.cleared_sums();
        self.recorder.record(&cleared);
        self.read_block_of(&self.network.gradients).await
    }

    fn clear_gradients(&mut self) {
        (self.used, self.cleared) = (false, true);
    }

    fn set_masks(&mut self, masks: Option<Masks>) {
        self.masks = masks;
    }

    async fn forward(&mut self, sequence: &Sequence) -> Result<Output> {
        sequence.validate(&self.network.model)?;
        let draw = self.draw(sequence.shape().1)?;
        self.prepare(self.shape(sequence.extent(), true, Keeps::Output))?;
        self.stage(sequence, None, draw);
        let begin = self.begin(sequence);
        let pass = self.pass();
        self.recorder.record(begin.iter().chain(pass.forward(Aim::Output).into_iter().flatten()));
        let recurrent = &self.network.model.recurrent;
        let (plan, last) = (&pass.plan, recurrent.layers - 1);
        let outputs = plan.chunks.iter().map(|chunk| self.tensor(chunk.y[last])).collect();
        let (y, states) = self.read_with_states(outputs).await?;
        let y = staging::unpack(&y, recurrent.hidden_size, recurrent.directions()).collect();
        let output = array((plan.steps, plan.rows, recurrent.output_size()), y)?;
        self.last.went_forward(sequence.extent());
        Ok(Output { output, states })
    }

    async fn backward(&mut self, gradient: &OutputGradient) -> Result<InputGradient> {
        let recurrent = self.network.model.recurrent.clone();
        self.last.forward_for(gradient, &recurrent)?;
        self.prepare_flow()?;
        self.last.begin();
        let mut begin = self.fresh_sums();
        let mut numbers = std::mem::take(&mut self.numbers);
        let pass = self.pass();
        for chunk in &pass.plan.chunks {
            let (place, bytes) = self.tensor(chunk.y[recurrent.layers - 1]);
            match &gradient.output {
                Some(output) => {
                    // The kernels read dy only where a row is alive: what lies at padding needs no mask here.
                    let alive = |_, _| true;
                    staging::pack(output, chunk.steps.clone(), recurrent.directions(), alive, &mut numbers);
                    self.recorder.write(&place, &numbers);
                }
                None => begin.push(Command::Clear { to: place, bytes }),
            }
        }
        for (carries, array) in [(&pass.plan.carry_h, &gradient.h_n), (&pass.plan.carry_c, &gradient.c_n)] {
            for (stack, carry) in carries.iter().enumerate() {
                let (place, bytes) = self.tensor(*carry);
                match array {
                    Some(array) => {
                        staging::pack(array, stack..stack + 1, 1, |_, _| true, &mut numbers);
                        self.recorder.write(&place, &numbers);
                    }
                    None => begin.push(Command::Clear { to: place, bytes }),
                }
            }
        }
        self.numbers = numbers;
        self.recorder.record(begin.iter().chain(self.backward_lists().into_iter().flatten()));
        let gradient = self.read_input_gradient().await?;
        self.last.went_back(self.flow);
        Ok(gradient)
    }

    fn set_profile(&mut self, on: bool) -> Result<()> {
        self.recorder.set_profile(on);
        Ok(())
    }

    async fn profile(&mut self) -> Result<Profile> {
        self.recorder.profile().await
    }

    async fn accumulate(&mut self, batch: &Batch, carry: Option<Carry>) -> Result<()> {
        batch.validate(&self.network.model)?;
        let sequence = &batch.sequence;
        let draw = self.draw(sequence.shape().1)?;
        if let Some(carry) = carry {
            let held = self.carried.as_ref().map(|carried| carried.rows);
            carry.check(&self.network.model, sequence.shape().1, held)?;
        }
        self.prepare(self.shape(sequence.extent(), self.options.input_gradient, Keeps::Borders))?;
        self.prepare_flow()?;
        if let (Some(carry), None) = (carry, &self.carried) {
            self.carried = Some(self.without_others(|engine| Carried::new(&engine.gpu, &engine.network, carry.rows))?);
        }
        self.stage(sequence, Some(batch), draw);
        let mut begin = self.fresh_sums();
        begin.extend(self.pack());
        let carried = self.carried.as_ref().zip(carry);
        begin.extend(match carried.filter(|_| sequence.initial.is_none()) {
            Some((carried, carry)) => carried.enter(&self.network, self.pass(), carry),
            None => self.enter(sequence),
        });
        let leave =
            carried.map(|(carried, carry)| carried.leave(&self.network, self.pass(), carry)).unwrap_or_default();
        let pass = self.pass();
        let mut lists = vec![&begin[..]];
        lists.extend(pass.forward(Aim::Gradient));
        lists.push(&leave);
        lists.extend(pass.gradient(self.flow));
        self.recorder.record(lists.into_iter().flatten());
        self.last.accumulated(sequence.extent(), self.flow);
        self.gpu.check()
    }

    async fn input_gradient(&mut self) -> Result<InputGradient> {
        self.last.gradient(self.options.input_gradient)?;
        self.read_input_gradient().await
    }

    fn set_flow(&mut self, on: bool) {
        self.flow = on;
    }

    async fn flow(&mut self) -> Result<Flow> {
        self.last.flow()?;
        let Some(norms) = self.passes.last().and_then(Pass::norms) else { return Err(Flow::none()) };
        let pairs = self.read(&[self.whole(norms)]).await?;
        let plan = &self.pass().plan;
        let shape = (self.network.model.recurrent.stacks(), plan.steps);
        let parts = plan.flow_parts();
        let square = |pair: &[f32]| f64::from(pair[0]).powi(2) * f64::from(pair[1]);
        let norm = |step: &[f32]| step.chunks_exact(2).map(square).sum::<f64>().sqrt();
        let mut steps = pairs.chunks_exact(2 * parts);
        let norms = Array2::from_shape_simple_fn(shape, || steps.next().map_or(f64::NAN, norm));
        Ok(Flow { norms })
    }

    async fn update(&mut self, update: &Update) -> Result<()> {
        update.validate::<f32>(self.options.rule)?;
        self.ended.check()?;
        let cleared = self.cleared_sums();
        self.recorder.record(&cleared);
        self.last.parameters_change();
        self.unpacked = true;
        // Without a rule no update is valid.
        if let Some(updater) = &mut self.updater {
            updater.update(&self.gpu, &self.recorder, update).await?;
        }
        self.used = true;
        Ok(())
    }

    async fn report(&mut self) -> Result<Option<Report>> {
        self.ended.check()?;
        let Some(updater) = &mut self.updater else { return Ok(None) };
        match updater.report(&self.recorder).await {
            Err(Error::NonFinite { step, what }) => Err(self.ended.tell(step, what)),
            report => report,
        }
    }

    async fn skipped(&mut self) -> Result<Skipped> {
        let Some(updater) = &self.updater else { return Ok(Skipped::default()) };
        let status = self.read(&[self.whole(updater.status())]).await?;
        let status: Status = bytemuck::pod_read_unaligned(&bytemuck::cast_slice(&status)[..size_of::<Status>()]);
        Ok(updater.skipped(&status))
    }

    fn restart(&mut self, skipped: Skipped) -> Result<()> {
        if let Some(updater) = &mut self.updater {
            updater.restart(&self.recorder, skipped);
        }
        self.ended.forget();
        self.gpu.check()
    }

    fn may_update(&self) -> Result<()> {
        self.ended.check()
    }

    fn unreported(&self) -> usize {
        self.updater.as_ref().map_or(0, Updater::unreported)
    }

    fn in_flight(&self) -> usize {
        self.updater.as_ref().map_or(0, Updater::in_flight)
    }

    async fn logits(&mut self, sequence: &Sequence) -> Result<Logits> {
        sequence.validate(&self.network.model)?;
        let head = self.network.model.need_head()?.clone();
        self.prepare(self.shape(sequence.extent(), self.options.input_gradient, Keeps::Logits))?;
        self.stage(sequence, None, None);
        let begin = self.begin(sequence);
        let pass = self.pass();
        self.recorder.record(begin.iter().chain(pass.forward(Aim::Logits).into_iter().flatten()));
        let logits = pass.plan.predictions.iter().map(|run| self.tensor(run.logits)).collect();
        let (logits, states) = self.read_with_states(logits).await?;
        let (steps, rows) = sequence.shape();
        let predictions = head.predictions(steps);
        let mut logits = array((predictions, rows, head.outputs), staging::unpack(&logits, head.outputs, 1).collect())?;
        for row in (0..rows).filter(|_| predictions > 1) {
            logits.slice_mut(ndarray::s![sequence.length(row).., row, ..]).fill(0.0);
        }
        Ok(Logits { logits, states })
    }

    async fn evaluate(&mut self, batch: &Batch) -> Result<Evaluation> {
        batch.validate(&self.network.model)?;
        self.prepare(self.shape(batch.sequence.extent(), self.options.input_gradient, Keeps::Borders))?;
        self.stage(&batch.sequence, Some(batch), None);
        let enter = self.begin(&batch.sequence);
        let pass = self.pass();
        // The loss of a step under way is put aside, and brought back before the host waits.
        let (loss, losses) = (Binding::whole(&self.network.loss), Binding::whole(&self.losses));
        let copy = |from: Place, to: Place| Command::Copy { from, to, bytes: 16 };
        let begin = [copy(loss.place(0), losses.place(0)), clear(&self.network.loss)];
        let end = [copy(loss.place(0), losses.place(16)), copy(losses.place(0), loss.place(0))];
        let forward = pass.forward(Aim::Loss).into_iter().flatten();
        self.recorder.record(begin.iter().chain(&enter).chain(forward).chain(&end));
        let (loss, states) = self.read_with_states(vec![(losses.place(16), 16)]).await?;
        Ok(Evaluation { loss: loss[0].into(), states })
    }

    async fn states(&mut self) -> Result<Option<States>> {
        let Some(carried) = &self.carried else { return Ok(None) };
        let rows = carried.rows;
        let numbers = self.read(&[self.whole(&carried.states)]).await?;
        self.states_from(&numbers, rows).map(Some)
    }

    fn set_states(&mut self, states: Option<&States>) -> Result<()> {
        let Some(states) = states else {
            self.carried = None;
            return Ok(());
        };
        let rows = states.h.dim().1;
        states.check(&self.network.model.recurrent, rows, "carried")?;
        let carried = Carried::new(&self.gpu, &self.network, rows)?;
        let mut packed = Vec::new();
        let mut all = Vec::new();
        for array in std::iter::once(&states.h).chain(&states.c) {
            staging::pack(array, 0..array.dim().0, 1, |_, _| true, &mut packed);
            all.extend_from_slice(&packed);
        }
        self.recorder.write(&Place::of(&carried.states), &all);
        self.carried = Some(carried);
        self.gpu.check()
    }

    fn kernel(&self, rows: usize) -> Option<RecurrentKernel> {
        self.gpu.planned_kernel(&self.network.model, &self.options, rows)
    }

    /// The buffers that the passes share count as those of the last pass; what others need beyond it, as workspace.
    fn memory(&self) -> Memory {
        let last = self.passes.last().map_or(Memory::default(), |pass| pass.plan.memory);
        let mut memory = self.fixed_memory() + last;
        memory.add(MemoryPart::Workspace, self.passes.iter().map(Pass::own_bytes).sum());
        memory.add(MemoryPart::Workspace, self.arena.bytes().saturating_sub(last.total()));
        memory
    }

    fn plan(&self, extent: Extent) -> Result<Memory> {
        extent.check(&self.network.model, ON_DEVICE)?;
        let shape = self.shape(extent, self.options.input_gradient, Keeps::Borders);
        let carried = match extent.carried > 0 && self.carried.is_none() {
            true => carried_states(&self.network.model, extent.carried).bytes,
            false => 0,
        };
        let mut memory = match self.passes.iter().find(|pass| pass.shape == shape) {
            Some(pass) => {
                let mut memory = self.memory();
                memory.add(MemoryPart::Workspace, if self.flow { pass.flow_bytes() } else { 0 });
                memory
            }
            None => {
                let plan = self.plan_of(shape)?;
                let planned = plan.planned(&self.network.model);
                let flow = if self.flow { plan.planned_flow(&self.network.model) } else { 0 };
                let with_others = self.with_pass(&plan);
                let further = further(extent.shapes).saturating_sub(self.passes.len() as u64);
                let further = further * plan.planned_further(&self.network.model, self.flow);
                // Beyond the budget the others are let go.
                let alone = self.options.check_memory(with_others.total() + flow + carried).is_err();
                let mut memory = if alone { self.fixed_memory() + planned } else { with_others };
                memory.add(MemoryPart::Workspace, flow + further);
                memory
            }
        };
        memory.add(MemoryPart::Carried, carried);
        Ok(memory)
    }
}
