//! The update on the device (division, norm, clipping, optimizer) and its reports, which arrive some steps later.

use std::collections::VecDeque;
use std::ops::Range;

use super::average::{self, WeightAverage};
use super::hooks::GpuUpdate;
use crate::engine::parameter_groups::{GroupSettings, UpdateRange};
use crate::engine::{EngineOptions, SkippedUpdates, StepReport};
use crate::error::{Error, Result};
use crate::gpu::commands::builder::{self, Binding, allocate, bind};
use crate::gpu::commands::program::{BufferOffset, GpuCommand};
use crate::gpu::commands::recorder::{Insertion, Recorder, Submission};
use crate::gpu::commands::uniforms::{LossScale, Status, Update as Uniform};
use crate::gpu::device::Gpu;
use crate::gpu::device::kernel::{Constants, NORM, NORM_PARTIAL, UPDATE, UPDATE_TRANSPOSED, flag};
use crate::gpu::weights::DeviceWeights;
use crate::gpu::weights::halves::HalfWeights;
use crate::gpu::weights::transposed::UpdatedCopies;
use crate::model::plan::{ALIGNMENT, Cost, DeviceLimits, ParameterPlan, TensorSpec};
use crate::model::{Layout, Tensor};
use crate::optim::{Coefficients, OptimizerKind, OptimizerStep, rounded};

/// The commands of an update and the outstanding reports.
#[derive(Debug)]
pub(crate) struct Updater {
    /// The maximum number of bad steps in a row that are skipped.
    max_skipped_updates: u32,
    commands: Vec<GpuCommand>,
    average: Option<WeightAverage>,
    /// One per range, written at each step.
    uniforms: wgpu::Buffer,
    ranges: Vec<DeviceRange>,
    status: wgpu::Buffer,
    loss_scale: Option<wgpu::Buffer>,
    partials: wgpu::Buffer,
    /// A kernel binds three blocks of optimizer state, however many there are, and no buffer twice.
    unused: [wgpu::Buffer; 3],
    /// Coefficients that depend on the number of skipped updates, for each possible number.
    choices: wgpu::Buffer,
    pending: VecDeque<PendingUpdate>,
    /// Steps that arrived before their report was requested.
    arrived: VecDeque<(u64, Status)>,
    /// The skipped updates up to the last arrived step: as counted by the host and by the device.
    in_all: u64,
    known: u32,
    free: Vec<wgpu::Buffer>,
}

#[derive(Debug)]
struct PendingUpdate {
    step: u64,
    buffer: wgpu::Buffer,
    submission: Submission,
}

const STATUS_BYTES: u64 = 48;

/// The maximum number of updates with unknown outcome when another one is recorded.
const UNKNOWN: usize = 63;

const CHOICES_BYTES: u64 = 16 * (UNKNOWN as u64 + 1);

/// Consecutive parameters on the device that are updated with the same settings.
#[derive(Debug)]
struct DeviceRange {
    /// In vec4 of the parameters' block.
    vec4s: Range<usize>,
    /// The partial sums of the norm over it.
    partials: Range<usize>,
    settings: GroupSettings,
}

impl DeviceRange {
    /// All ranges. Each reaches to the next tensor of the layout, with the zeros before that.
    fn all(limits: &DeviceLimits, plan: &ParameterPlan, layout: &Layout, ranges: &[UpdateRange]) -> Vec<Self> {
        let place = |tensor: usize| {
            layout.tensors().get(tensor).map_or(plan.len, |tensor: &Tensor| plan.get(tensor.role).offset) / 4
        };
        let mut partials = 0;
        let range = |UpdateRange { tensors, settings }: &UpdateRange| {
            let vec4s = place(tensors.start)..place(tensors.end);
            let first = partials;
            partials += limits.norm_groups(vec4s.len());
            Self { vec4s, partials: first..partials, settings: *settings }
        };
        ranges.iter().map(range).collect()
    }

    /// Its part of a block with a number for every parameter.
    fn of(&self, block: &wgpu::Buffer) -> Binding {
        let Range { start, end } = self.vec4s;
        Binding { buffer: block.clone(), offset: 16 * start as u64, bytes: 16 * (end - start) as u64 }
    }
}

/// The number of partial sums of the norm.
fn partials(ranges: &[DeviceRange]) -> usize {
    ranges.last().map_or(0, |last| last.partials.end)
}

fn partials_bytes(ranges: &[DeviceRange]) -> u64 {
    8 * partials(ranges).next_multiple_of(2) as u64
}

/// The bytes that an updater allocates.
pub(crate) fn planned_bytes(
    limits: &DeviceLimits,
    parameters: &ParameterPlan,
    layout: &Layout,
    ranges: &[UpdateRange],
) -> u64 {
    let ranges = DeviceRange::all(limits, parameters, layout, ranges);
    let uniforms = ALIGNMENT * ranges.len() as u64;
    STATUS_BYTES + partials_bytes(&ranges) + uniforms + CHOICES_BYTES + 3 * 16
}

impl Updater {
    pub(crate) fn new(
        gpu: &Gpu,
        weights: &DeviceWeights,
        rule: OptimizerKind,
        (layout, ranges): (&Layout, &[UpdateRange]),
        options: &EngineOptions,
    ) -> Result<Self> {
        let ranges = DeviceRange::all(&gpu.limits(), &weights.plan, layout, ranges);
        let buffer = |name: &str, bytes| allocate(gpu, &TensorSpec { name: name.into(), bytes });
        let status = buffer("status", STATUS_BYTES)?;
        let partials = buffer("norm partials", partials_bytes(&ranges))?;
        let choices = buffer("update choices", CHOICES_BYTES)?;
        let unused = [
            buffer("unused optimizer state 0", 16)?,
            buffer("unused optimizer state 1", 16)?,
            buffer("unused optimizer state 2", 16)?,
        ];
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniforms = gpu.buffer("update uniforms", ALIGNMENT * ranges.len() as u64, usage)?;
        let average = weights.averaged.as_ref().zip(options.ema_decay);
        let average = average.map(|(averaged, decay)| WeightAverage::new(gpu, weights, averaged, &status, decay));
        let mut updater = Self {
            max_skipped_updates: options.max_skipped_updates,
            commands: Vec::new(),
            average: average.transpose()?,
            uniforms,
            ranges,
            status,
            loss_scale: weights.loss_scale.clone(),
            partials,
            unused,
            choices,
            pending: VecDeque::new(),
            arrived: VecDeque::new(),
            in_all: 0,
            known: 0,
            free: Vec::new(),
        };
        updater.commands = updater.record(gpu, weights, rule);
        Ok(updater)
    }

    /// The commands of an update: the norm of all ranges together, then the update of each.
    fn record(&self, gpu: &Gpu, weights: &DeviceWeights, rule: OptimizerKind) -> Vec<GpuCommand> {
        let Self { ranges, status, partials, choices, unused, uniforms, .. } = self;
        let (limits, whole) = (gpu.limits(), Binding::whole);
        let mut commands = Vec::new();
        let mut dispatch = |entry, constants: Constants<'_>, range: usize, bindings: &[Binding], grid, cost| {
            let kernel = gpu.kernel(entry, constants);
            let bindings = bind(gpu.device(), &kernel, uniforms, bindings);
            let offset = range as u32 * ALIGNMENT as u32;
            commands.push(GpuCommand::Dispatch { kernel, bindings, offset, grid, cost });
        };
        for (index, range) in ranges.iter().enumerate() {
            // Gradients are read twice, the second time from a cache.
            let cost = Cost::each(4 * range.vec4s.len(), 4, 1);
            let bindings = [range.of(&weights.gradients), whole(partials)];
            dispatch(NORM_PARTIAL, &[], index, &bindings, [range.partials.len() as u32, 1, 1], cost);
        }
        let mut bindings = vec![whole(partials), whole(&weights.loss), whole(status), whole(choices)];
        bindings.extend(self.loss_scale.as_ref().map(whole));
        dispatch(
            NORM.stored(weights.sizes.storage),
            &[],
            0,
            &bindings,
            [1, 1, 1],
            Cost::each(2 * self::partials(ranges), 2, 1),
        );
        // Reads the gradient; reads and writes the parameter and the optimizer state.
        let cost = |range: &DeviceRange| Cost::each(4 * range.vec4s.len(), 2, 3 + 2 * weights.optimizer_state.len());
        let (kind, momentum, nesterov, centered) = match rule {
            OptimizerKind::Sgd { momentum, nesterov, .. } => (0.0, momentum != 0.0, nesterov, false),
            OptimizerKind::RmsProp { momentum, centered, .. } => (1.0, momentum != 0.0, false, centered),
            OptimizerKind::Adam { .. } | OptimizerKind::AdamW { .. } => (2.0, false, false, false),
            OptimizerKind::Custom(_) => {
                let own = |(index, range)| GpuCommand::Custom { index, cost: cost(range) };
                commands.extend(ranges.iter().enumerate().map(own));
                return commands;
            }
        };
        let constants =
            [("RULE", kind), ("MOMENTUM", flag(momentum)), ("NESTEROV", flag(nesterov)), ("CENTERED", flag(centered))];
        for (index, range) in ranges.iter().enumerate() {
            let state = |index: usize| match weights.optimizer_state.get(index) {
                Some(block) => range.of(block),
                None => whole(&unused[index]),
            };
            let (gradients, parameters) = (range.of(&weights.gradients), range.of(&weights.parameters));
            let mut bindings = vec![gradients, whole(status), parameters, state(0), state(1), state(2)];
            let count = range.vec4s.len();
            let (entry, grid) = match weights.copies_within(&range.vec4s) {
                Some(UpdatedCopies { copies, places, of, shape: shape @ [rows4, columns4] }) => {
                    bindings.extend([whole(places), whole(copies)]);
                    let others = count - 4 * rows4 * columns4 * of.len();
                    (UPDATE_TRANSPOSED.stored(weights.sizes.storage), limits.with_blocks(others, of.len(), shape))
                }
                None => (UPDATE, limits.elements(count)),
            };
            dispatch(entry, &constants, index, &bindings, grid, cost(range));
        }
        commands.extend(weights.halves.iter().flat_map(HalfWeights::commands).cloned());
        commands
    }

    pub(crate) fn bytes(&self) -> u64 {
        let buffers = [&self.status, &self.partials, &self.uniforms, &self.choices];
        let average = self.average.as_ref().map_or(0, |_| average::UNIFORM_BYTES);
        buffers.into_iter().chain(&self.unused).map(wgpu::Buffer::size).sum::<u64>() + average
    }

    /// The range with this index, for an optimizer of the caller.
    fn custom_update<'a>(
        &'a self,
        index: usize,
        weights: &'a DeviceWeights,
        insertion: Insertion<'a>,
    ) -> GpuUpdate<'a> {
        let range = &self.ranges[index];
        let (first, bytes) = (16 * range.vec4s.start as u64, 16 * range.vec4s.len() as u64);
        let of = |block| builder::range(block, first, bytes);
        GpuUpdate {
            count: range.vec4s.len(),
            settings: builder::range(&self.uniforms, index as u64 * ALIGNMENT, ALIGNMENT),
            gradient_sums: of(&weights.gradients),
            status: builder::range(&self.status, 0, STATUS_BYTES),
            parameters: of(&weights.parameters),
            state: weights.optimizer_state.iter().map(of).collect(),
            insertion,
        }
    }

    /// Records a valid update, reported by [`Updater::report`], with the optimizer of the caller if it has one. If
    /// updates may be skipped, waits so that at most [`UNKNOWN`] of them are outstanding.
    pub(super) async fn update(
        &mut self,
        gpu: &Gpu,
        recorder: &Recorder,
        update: &OptimizerStep,
        weights: &DeviceWeights,
        custom: impl Fn(GpuUpdate<'_>),
    ) -> Result<()> {
        while self.max_skipped_updates > 0 && self.pending.len() > UNKNOWN {
            let arrived = self.arrival(recorder).await?;
            self.arrived.extend(arrived);
        }
        // Without skipping, no update follows a bad one.
        let unknown = if self.max_skipped_updates > 0 { self.pending.len() as u64 } else { 0 };
        let choices: Vec<[f32; 4]> = (0..=unknown)
            .map(|unknown| {
                let skipped = self.in_all + unknown;
                let Coefficients { rate, root_bias2, fresh, .. } = update.coefficients(skipped);
                let average = self.average.as_ref().map_or(0.0, |of| update.average_weight(of.decay, skipped));
                [rounded(rate), rounded(root_bias2), rounded(fresh), rounded(average)]
            })
            .collect();
        recorder.write(&BufferOffset::of(&self.choices), &choices);
        let mut uniforms = vec![0; self.uniforms.size() as usize];
        for (range, bytes) in self.ranges.iter().zip(uniforms.chunks_exact_mut(ALIGNMENT as usize)) {
            let copies = weights.copies_within(&range.vec4s);
            let (of, [rows4, columns4]) = copies.map_or((0..0, [0; 2]), |copies| (copies.of, copies.shape));
            let uniform = Uniform {
                first: range.vec4s.start as u32,
                recurrent: of.len() as u32,
                first_recurrent: of.start as u32,
                rows4: rows4 as u32,
                columns4: columns4 as u32,
                count: range.vec4s.len() as u32,
                partials: partials(&self.ranges) as u32,
                known: self.known,
                choices: choices.len() as u32,
                max_skipped_updates: self.max_skipped_updates,
                first_partial: range.partials.start as u32,
                rate_factor: rounded(range.settings.learning_rate_factor),
                updates: update.updates(self.in_all) as u32,
                ..uniform(&range.settings.of(update))
            };
            bytes[..size_of::<Uniform>()].copy_from_slice(bytemuck::bytes_of(&uniform));
        }
        recorder.write(&BufferOffset::of(&self.uniforms), &uniforms);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let buffer = self.free.pop().map_or_else(|| gpu.buffer("report", STATUS_BYTES, usage), Ok)?;
        let commands = self.commands.iter().chain(self.average.as_ref().map(|average| &average.update));
        recorder.record_with(commands, |index, insertion| custom(self.custom_update(index, weights, insertion)));
        recorder.record([&GpuCommand::Copy {
            from: BufferOffset::of(&self.status),
            to: BufferOffset::of(&buffer),
            bytes: STATUS_BYTES,
        }]);
        self.pending.push_back(PendingUpdate { step: update.step, buffer, submission: recorder.end_step() });
        gpu.check()
    }

    pub(crate) fn average(&self) -> Option<&WeightAverage> {
        self.average.as_ref()
    }

    /// The status of the last step.
    pub(crate) fn status(&self) -> &wgpu::Buffer {
        &self.status
    }

    pub(crate) fn unreported(&self) -> usize {
        self.arrived.len() + self.pending.len()
    }

    /// Submissions with updates not yet reported; an arrived one counts as one.
    pub(crate) fn in_flight(&self) -> usize {
        let begins = |(index, pending): (usize, &PendingUpdate)| {
            index == 0 || !pending.submission.is(&self.pending[index - 1].submission)
        };
        self.arrived.len() + self.pending.iter().enumerate().filter(|pending| begins(*pending)).count()
    }

    /// Waits for the oldest outstanding step and returns its status.
    async fn arrival(&mut self, recorder: &Recorder) -> Result<Option<(u64, Status)>> {
        let Some(PendingUpdate { step, buffer, submission }) = self.pending.pop_front() else { return Ok(None) };
        let read = bytemuck::pod_read_unaligned::<Status>;
        let status = recorder.read(&submission, &buffer, size_of::<Status>() as u64, read).await?;
        self.free.push(buffer);
        self.in_all = self.skipped(&status).in_all;
        self.known = status.skipped;
        Ok(Some((step, status)))
    }

    /// Waits for the oldest report.
    pub(crate) async fn report(&mut self, recorder: &Recorder) -> Result<Option<StepReport>> {
        let oldest = match self.arrived.pop_front() {
            None => self.arrival(recorder).await?,
            arrived => arrived,
        };
        let Some((step, status)) = oldest else { return Ok(None) };
        if status.bad_in_row > self.max_skipped_updates {
            let what = if status.bad_norm == 0 { "loss" } else { "gradient norm" };
            // Reports are in order: this is the bad step, and those behind it changed nothing. The device counts those
            // as skipped too.
            self.in_all += self.pending.len() as u64;
            self.known = self.known.wrapping_add(self.pending.len() as u32);
            self.pending.clear();
            self.arrived.clear();
            return Err(Error::NonFinite { step, what });
        }
        let skipped = status.bad_in_row > 0;
        Ok(Some(StepReport { step, loss: status.loss.into(), norm: status.norm.into(), skipped }))
    }

    /// The skipped updates up to the one with this status, which is not older than the last arrived one.
    pub(crate) fn skipped(&self, status: &Status) -> SkippedUpdates {
        let since = status.skipped.wrapping_sub(self.known);
        SkippedUpdates { in_row: status.bad_in_row, in_all: self.in_all + u64::from(since), loss_scale: None }
    }

    /// The skipped updates up to the last arrived one, including those behind a bad one that stopped updating.
    pub(crate) fn skipped_in_all(&self) -> u64 {
        self.in_all
    }

    /// Discards outstanding reports and continues as after `skipped` updates.
    pub(crate) fn restart(&mut self, recorder: &Recorder, skipped: SkippedUpdates) {
        self.pending.clear();
        self.arrived.clear();
        let SkippedUpdates { in_row, in_all, loss_scale } = skipped.within(self.max_skipped_updates);
        if let Some((buffer, scale)) = self.loss_scale.as_ref().zip(loss_scale) {
            recorder.write(&BufferOffset::of(buffer), &[LossScale::from(scale)]);
        }
        (self.in_all, self.known) = (in_all, 0);
        recorder.write(&BufferOffset::of(&self.status), &[Status { bad_in_row: in_row, ..Status::default() }]);
    }
}

/// The uniform: everything that does not depend on the number of updates. 1 − β and the like are computed in f64.
fn uniform(update: &OptimizerStep) -> Uniform {
    let Coefficients { shrink, coupled_decay, .. } = update.coefficients(0);
    let (momentum, alpha, eps) = match update.optimizer.kind {
        OptimizerKind::Sgd { momentum, .. } => (momentum, 0.0, 0.0),
        OptimizerKind::RmsProp { alpha, eps, momentum, .. } => (momentum, alpha, eps),
        OptimizerKind::Adam { beta1, beta2, eps } | OptimizerKind::AdamW { beta1, beta2, eps } => (beta1, beta2, eps),
        OptimizerKind::Custom(_) => (0.0, 0.0, 0.0),
    };
    // A clipping bound beyond all finite numbers clips nothing.
    let clip = |clip: Option<f64>| clip.filter(|clip| *clip <= f32::MAX.into()).map_or(0.0, rounded);
    Uniform {
        step: update.step as u32,
        inverse_divisor: rounded(1.0 / update.divisor),
        clip_norm: clip(update.optimizer.clip_norm),
        clip_value: clip(update.optimizer.clip_value),
        shrink: rounded(shrink),
        decay: rounded(coupled_decay),
        momentum: rounded(momentum),
        alpha: rounded(alpha),
        eps: rounded(eps),
        one_minus_momentum: rounded(1.0 - momentum),
        one_minus_alpha: rounded(1.0 - alpha),
        ..Uniform::default()
    }
}
