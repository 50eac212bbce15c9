//! Division, norm, clipping and the update, on the device; and the reports that come back some steps later.

use std::collections::VecDeque;

use super::builder::{Binding, allocate, bind};
use super::device::Gpu;
use super::kernel::{NORM, NORM_PARTIAL, UPDATE};
use super::network::Network;
use super::program::{Command, Place};
use super::recorder::{Recorder, Submission};
use super::uniforms::{Status, Update as Uniform};
use crate::backend::Report;
use crate::error::{Error, Result};
use crate::model::plan::{ALIGNMENT, Cost, TensorSpec};
use crate::optim::{Rule, Update, rounded};

/// The commands of an update and the reports under way.
#[derive(Debug)]
pub(super) struct Updater {
    /// Bad steps in a row that are passed over.
    skips: u32,
    commands: Vec<Command>,
    /// Written anew each step.
    uniforms: wgpu::Buffer,
    /// vec4 of parameters.
    count: usize,
    status: wgpu::Buffer,
    partials: wgpu::Buffer,
    /// A kernel binds three slots whatever its rule keeps, and no buffer twice.
    unused: [wgpu::Buffer; 3],
    pending: VecDeque<Pending>,
    free: Vec<wgpu::Buffer>,
}

#[derive(Debug)]
struct Pending {
    step: u64,
    buffer: wgpu::Buffer,
    submission: Submission,
}

const STATUS_BYTES: u64 = 32;

impl Updater {
    pub(super) fn new(gpu: &Gpu, network: &Network, rule: Rule, skips: u32) -> Result<Self> {
        let limits = gpu.limits();
        let count = network.plan.len / 4;
        let buffer = |name: &str, bytes| allocate(gpu, &TensorSpec { name: name.into(), bytes });
        let status = buffer("status", STATUS_BYTES)?;
        let partials = buffer("norm partials", 8 * limits.norm_groups(count).next_multiple_of(2) as u64)?;
        let unused = [buffer("unused slot 0", 16)?, buffer("unused slot 1", 16)?, buffer("unused slot 2", 16)?];
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniforms = gpu.buffer("update uniforms", ALIGNMENT, usage)?;
        let whole = Binding::whole;
        let slot = |index: usize| whole(network.slots.get(index).unwrap_or(&unused[index]));
        let flag = |on: bool| f64::from(u8::from(on));
        let (kind, momentum, nesterov, centered) = match rule {
            Rule::Sgd { momentum, nesterov, .. } => (0.0, momentum != 0.0, nesterov, false),
            Rule::RmsProp { momentum, centered, .. } => (1.0, momentum != 0.0, false, centered),
            Rule::Adam { .. } | Rule::AdamW { .. } => (2.0, false, false, false),
        };
        let constants =
            [("RULE", kind), ("MOMENTUM", flag(momentum)), ("NESTEROV", flag(nesterov)), ("CENTERED", flag(centered))];
        let (gradients, parameters) = (whole(&network.gradients), whole(&network.parameters));
        let norm = Cost::each(2 * limits.norm_groups(count), 2, 1);
        let dispatches = [
            (
                NORM_PARTIAL,
                &[][..],
                vec![gradients.clone(), whole(&partials)],
                [limits.norm_groups(count) as u32, 1, 1],
                // They are read twice, the second time from a cache.
                Cost::each(4 * count, 4, 1),
            ),
            (NORM, &[], vec![whole(&partials), whole(&network.loss), whole(&status)], [1, 1, 1], norm),
            (
                UPDATE,
                &constants,
                vec![gradients, whole(&status), parameters, slot(0), slot(1), slot(2)],
                limits.elements(count),
                // The gradient is read, the parameter and the rule's numbers are read and written.
                Cost::each(4 * count, 2, 3 + 2 * network.slots.len()),
            ),
        ];
        let commands = dispatches.into_iter().map(|(stem, constants, bindings, grid, cost)| {
            let kernel = gpu.kernel(stem, constants);
            let bindings = bind(gpu.device(), &kernel, &uniforms, &bindings);
            Command::Dispatch { kernel, bindings, offset: 0, grid, cost }
        });
        Ok(Self {
            skips,
            commands: commands.collect(),
            uniforms,
            count,
            status,
            partials,
            unused,
            pending: VecDeque::new(),
            free: Vec::new(),
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        let buffers = [&self.status, &self.partials, &self.uniforms];
        buffers.into_iter().chain(&self.unused).map(wgpu::Buffer::size).sum()
    }

    /// Records a valid update; its report follows in [`Updater::report`].
    pub(super) fn update(&mut self, gpu: &Gpu, recorder: &Recorder, update: &Update) -> Result<()> {
        let partials = gpu.limits().norm_groups(self.count);
        recorder.write(&Place::of(&self.uniforms), &[uniform(update, self.count, partials, self.skips)]);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let buffer = self.free.pop().map_or_else(|| gpu.buffer("report", STATUS_BYTES, usage), Ok)?;
        recorder.record(&self.commands);
        recorder.record([&Command::Copy {
            from: Place::of(&self.status),
            to: Place::of(&buffer),
            bytes: STATUS_BYTES,
        }]);
        self.pending.push_back(Pending { step: update.step, buffer, submission: recorder.end_step() });
        gpu.check()
    }

    /// What the last step reports.
    pub(super) fn status(&self) -> &wgpu::Buffer {
        &self.status
    }

    pub(super) fn unreported(&self) -> usize {
        self.pending.len()
    }

    /// Submissions that hold updates not yet reported.
    pub(super) fn in_flight(&self) -> usize {
        let begins = |(index, pending): (usize, &Pending)| {
            index == 0 || !pending.submission.is(&self.pending[index - 1].submission)
        };
        self.pending.iter().enumerate().filter(|pending| begins(*pending)).count()
    }

    /// The oldest report, waited for.
    pub(super) async fn report(&mut self, recorder: &Recorder) -> Result<Option<Report>> {
        let Some(Pending { step, buffer, submission }) = self.pending.pop_front() else { return Ok(None) };
        recorder.arrival(&submission, &buffer).await?;
        let status: Status = {
            let view = buffer.slice(..).get_mapped_range().map_err(|error| Error::Device(error.to_string()))?;
            bytemuck::pod_read_unaligned(&view[..size_of::<Status>()])
        };
        buffer.unmap();
        self.free.push(buffer);
        if status.bad_in_row > self.skips {
            let what = if status.bad_norm == 0 { "loss" } else { "gradient norm" };
            // Reports come in order: this step is the bad one, and those behind it have changed nothing.
            self.pending.clear();
            return Err(Error::NonFinite { step, what });
        }
        let skipped = status.bad_in_row > 0;
        Ok(Some(Report { step, loss: status.loss.into(), norm: status.norm.into(), skipped }))
    }

    /// Lets go of the reports under way; from now on it is as after `skipped` skipped steps in a row.
    pub(super) fn restart(&mut self, recorder: &Recorder, skipped: u32) {
        self.pending.clear();
        recorder.write(&Place::of(&self.status), &[Status { bad_in_row: skipped, ..Status::default() }]);
    }
}

/// Everything that depends on the step is computed here, in f64.
fn uniform(update: &Update, count: usize, partials: usize, skips: u32) -> Uniform {
    let coefficients = update.coefficients();
    let (momentum, alpha, eps) = match update.optimizer.rule {
        Rule::Sgd { momentum, dampening, .. } => (momentum, 1.0 - dampening, 0.0),
        Rule::RmsProp { alpha, eps, momentum, .. } => (momentum, alpha, eps),
        Rule::Adam { beta1, beta2, eps } | Rule::AdamW { beta1, beta2, eps } => (beta1, beta2, eps),
    };
    // A clip beyond all finite numbers clips nothing.
    let clip = |clip: Option<f64>| clip.filter(|clip| *clip <= f32::MAX.into()).map_or(0.0, rounded);
    Uniform {
        count: count as u32,
        partials: partials as u32,
        step: update.step as u32,
        inverse_divisor: rounded(1.0 / update.divisor),
        clip_norm: clip(update.optimizer.clip_norm),
        clip_value: clip(update.optimizer.clip_value),
        rate: rounded(coefficients.rate),
        root_bias2: rounded(coefficients.root_bias2),
        shrink: rounded(coefficients.shrink),
        decay: rounded(coefficients.coupled_decay),
        momentum: rounded(momentum),
        alpha: rounded(alpha),
        eps: rounded(eps),
        one_minus_momentum: rounded(1.0 - momentum),
        one_minus_alpha: rounded(1.0 - alpha),
        skips,
    }
}
