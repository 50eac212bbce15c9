//! The passes of a GPU engine: stage a batch, record the commands of its shape, submit.

use super::GpuEngine;
use super::hooks::{GpuPredictions, GpuUpdate};
use super::stage::clear;
use super::transfer::array;
use crate::batch::{Output, Sequence, Validated};
use crate::engine::passes::{CompletedSums, Objective, Passes};
use crate::engine::streaming::Streaming;
use crate::engine::{Hooks, Inference, Logits, LossSum, StatefulRows};
use crate::error::Result;
use crate::gpu::commands::builder::{self, Binding};
use crate::gpu::commands::program::{BufferOffset, GpuCommand};
use crate::gpu::commands::recorder::Insertion;
use crate::gpu::pass::carried::CarriedStates;
use crate::gpu::pass::staging::{self, HostInputs};
use crate::gpu::pass::{Pass, PassKind};
use crate::gpu::weights::{LOSS, loss_sum};
use crate::model::plan::{Checkpointing, PassShape};
use crate::real::Real;

impl Hooks for GpuEngine {
    type Predictions<'a> = GpuPredictions<'a>;
    type Losses = ();
    type Update<'a> = GpuUpdate<'a>;
}

impl Passes for GpuEngine {
    async fn forward_validated(&mut self, sequence: Validated<'_, Sequence>) -> Result<Output> {
        let sequence = &*sequence;
        let dropout = self.dropout_params(sequence.shape().1)?;
        self.prepare(self.shape(sequence.batch_shape(), true, Checkpointing::Output))?;
        self.stage(sequence, HostInputs::Backward, dropout);
        let begin = self.begin(sequence, None);
        let pass = self.pass();
        self.recorder.record(begin.iter().chain(pass.forward(PassKind::Output).into_iter().flatten()));
        let (recurrent, plan) = (&self.weights.model.recurrent, &pass.plan);
        let (y, states) = self.read_with_states(self.layers_output().collect()).await?;
        let y = staging::unpack(&y, recurrent.state_size(), recurrent.directions()).collect();
        let output = array((plan.steps, plan.rows, recurrent.output_size()), y)?;
        self.last.finished_forward(sequence.batch_shape());
        Ok(Output { output, states })
    }

    async fn accumulate_validated<S: Real>(
        &mut self,
        objective: Objective<'_, S, Self>,
        carry: Option<StatefulRows>,
        _: Option<&mut CompletedSums<'_, f32>>,
    ) -> Result<()> {
        let sequence = objective.sequence();
        let dropout = self.dropout_params(sequence.shape().1)?;
        if let Some(carry) = carry {
            let held = self.carried.as_ref().map(|carried| carried.rows);
            carry.check(&self.weights.model, sequence.shape().1, held)?;
        }
        self.prepare(self.objective_shape(&objective))?;
        self.prepare_gradient_norms()?;
        if let (Some(carry), None) = (carry, &self.carried) {
            self.carried = Some(self.zero_states(carry.rows)?);
        }
        self.stage(sequence, host_inputs(&objective), dropout);
        let mut begin = self.reset_sums();
        begin.extend(self.pack());
        let carried = self.carried.as_ref().zip(carry);
        begin.extend(self.enter(sequence, carried));
        let leave =
            carried.map(|(carried, carry)| carried.leave(&self.weights, self.pass(), carry)).unwrap_or_default();
        let pass = self.pass();
        let mut lists = vec![&begin[..]];
        lists.extend(pass.forward(PassKind::Gradient));
        lists.push(&leave);
        lists.extend(pass.gradient(self.gradient_norms));
        self.record_objective(&objective, lists.into_iter().flatten());
        self.last.accumulated(sequence.batch_shape(), self.gradient_norms);
        self.gpu.check()
    }

    async fn logits_validated<S: Real>(&mut self, sequence: Validated<'_, Sequence<S>>) -> Result<Logits> {
        let sequence = &*sequence;
        let outputs = self.weights.model.require_head()?.outputs;
        self.prepare(self.shape(sequence.batch_shape(), self.options.input_gradient, Checkpointing::Logits))?;
        self.stage(sequence, HostInputs::Forward, None);
        let begin = self.begin(sequence, None);
        let pass = self.pass();
        self.recorder.record(begin.iter().chain(pass.forward(PassKind::Logits).into_iter().flatten()));
        let (logits, states) = self.read_with_states(self.head_output().collect()).await?;
        let (steps, rows) = sequence.shape();
        let shape @ (predictions, ..) = self.weights.model.output_shape(steps, rows);
        let mut logits = array(shape, staging::unpack(&logits, outputs, 1).collect())?;
        for row in (0..rows).filter(|_| predictions > 1) {
            logits.slice_mut(ndarray::s![sequence.length(row).., row, ..]).fill(0.0);
        }
        Ok(Logits { logits, states })
    }

    async fn evaluate_validated<S: Real>(&mut self, objective: Objective<'_, S, Self>) -> Result<LossSum> {
        let loss = self.record_loss(&objective, None)?;
        let (loss, states) = self.read_with_states(vec![loss]).await?;
        Ok(LossSum { loss_sum: loss_sum(&loss), states })
    }
}

impl Inference for GpuEngine {}

impl GpuEngine {
    /// Records a forward pass up to the loss, from and to the states of some rows if given. Returns where the parts of
    /// the loss are.
    pub(super) fn record_loss<S: Real>(
        &mut self,
        objective: &Objective<'_, S, Self>,
        carried: Option<(&CarriedStates, StatefulRows)>,
    ) -> Result<(BufferOffset, u64)> {
        let sequence = objective.sequence();
        self.prepare(self.objective_shape(objective))?;
        self.stage(sequence, host_inputs(objective), None);
        let enter = self.begin(sequence, carried);
        let pass = self.pass();
        let leave = carried.map(|(states, rows)| states.leave(&self.weights, pass, rows)).unwrap_or_default();
        // The loss of a step in progress is saved, and restored before the host waits.
        let (loss, losses) = (Binding::whole(&self.weights.loss), Binding::whole(&self.losses));
        let copy = |from: BufferOffset, to: BufferOffset| GpuCommand::Copy { from, to, bytes: LOSS };
        let begin = [copy(loss.position(0), losses.position(0)), clear(&self.weights.loss)];
        let end = [copy(loss.position(0), losses.position(LOSS)), copy(losses.position(0), loss.position(0))];
        let forward = pass.forward(PassKind::Loss).into_iter().flatten();
        self.record_objective(objective, begin.iter().chain(&enter).chain(forward).chain(&leave).chain(&end));
        Ok((losses.position(LOSS), LOSS))
    }

    /// The shape of a pass with a loss.
    pub(super) fn objective_shape<S: Real>(&self, objective: &Objective<'_, S, Self>) -> PassShape {
        let batch_shape = objective.sequence().batch_shape();
        let custom_loss = matches!(objective, Objective::Custom { .. });
        PassShape { custom_loss, ..self.shape(batch_shape, self.options.input_gradient, Checkpointing::Borders) }
    }

    /// Records the commands of a pass over `objective`.
    fn record_objective<'c, S: Real>(
        &self,
        objective: &Objective<'_, S, Self>,
        commands: impl IntoIterator<Item = &'c GpuCommand>,
    ) {
        match objective {
            Objective::Batch(_) => self.recorder.record(commands),
            Objective::Custom { loss, first_row, .. } => self.recorder.record_with(commands, |index, insertion| {
                loss.loss(self.predictions(self.pass(), index, *first_row, insertion));
            }),
        }
    }

    /// The range of predictions with this index in a pass.
    fn predictions<'a>(
        &self,
        pass: &'a Pass,
        index: usize,
        first_row: usize,
        insertion: Insertion<'a>,
    ) -> GpuPredictions<'a> {
        let (run, rows) = (&pass.plan.predictions[index], pass.plan.rows);
        let binding = |tensor: usize, numbers: usize| builder::range(&pass.buffers[tensor], 0, 4 * numbers as u64);
        let stride = 4 * self.weights.sizes.o4;
        GpuPredictions {
            p: run.first..run.first + run.rows / rows,
            rows: first_row..first_row + rows,
            outputs: self.weights.model.head.as_ref().map_or(0, |head| head.outputs),
            stride,
            logits: binding(run.logits.0, run.rows * stride),
            losses: binding(pass.plan.custom_losses.expect("the loss is the caller's").0, run.rows),
            insertion,
        }
    }
}

/// What a pass with this loss reads from the host.
fn host_inputs<'a, S: Real>(objective: &'a Objective<'_, S, GpuEngine>) -> HostInputs<'a, S> {
    match objective {
        Objective::Batch(batch) => HostInputs::Batch(batch),
        Objective::Custom { .. } => HostInputs::Custom,
    }
}
