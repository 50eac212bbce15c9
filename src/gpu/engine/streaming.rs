//! Streaming through a GPU engine.

use super::GpuEngine;
use super::stage::clear;
use crate::allocate;
use crate::batch::{Sequence, States, Validated};
use crate::engine::StatefulRows;
use crate::engine::passes::Objective;
use crate::engine::streaming::Streaming;
use crate::error::{Error, Result};
use crate::gpu::commands::program::{BufferOffset, GpuCommand};
use crate::gpu::commands::recorder::Submission;
use crate::gpu::pass::PassKind;
use crate::gpu::pass::carried::CarriedStates;
use crate::gpu::pass::staging::{self, HostInputs};
use crate::gpu::weights::loss_sum;
use crate::model::plan::{Checkpointing, StateKind};
use crate::real::Real;

/// The outputs of a step, copied to a buffer that the host can map.
#[derive(Debug, Default)]
pub struct DeviceOutputs {
    buffer: Option<wgpu::Buffer>,
    bytes: u64,
    submission: Submission,
}

impl GpuEngine {
    /// Reads carried states. Waits for all earlier calls.
    pub(super) async fn states_on_host(&self, carried: &CarriedStates) -> Result<States> {
        let numbers = self.read_buffer(&carried.states).await?;
        self.states_in_storage(&numbers, carried.rows)
    }
}

impl Streaming for GpuEngine {
    type DeviceStates = CarriedStates;
    type DeviceOutputs = DeviceOutputs;

    fn states_bytes(states: &CarriedStates) -> u64 {
        states.states.size()
    }

    fn outputs_bytes(outputs: &DeviceOutputs) -> u64 {
        outputs.buffer.as_ref().map_or(0, wgpu::Buffer::size)
    }

    fn zero_states(&mut self, rows: usize) -> Result<CarriedStates> {
        self.without_others(|engine| CarriedStates::new(&engine.gpu, &engine.weights, rows))
    }

    fn clear_states(&mut self, states: &mut CarriedStates, row: Option<usize>) {
        match row {
            Some(row) => self.recorder.record(&states.clear_row(&self.weights, row)),
            None => self.recorder.record([&clear(&states.states)]),
        }
    }

    fn copy_states(&mut self, from: &CarriedStates, to: &mut CarriedStates) {
        let [from, to] = [from, to].map(|states| &states.states);
        let bytes = from.size();
        let (from, to) = (BufferOffset::of(from), BufferOffset::of(to));
        self.recorder.record([&GpuCommand::Copy { from, to, bytes }]);
    }

    fn write_states(&mut self, from: &States, to: &mut CarriedStates) -> Result<()> {
        let (mut numbers, mut offset) = (std::mem::take(&mut self.numbers), 0);
        for (array, kind) in from.arrays().zip([StateKind::H, StateKind::C]) {
            staging::pack(array, 0..array.dim().0, 1, |_, _| true, &mut numbers);
            offset += self.write_state(&BufferOffset { buffer: to.states.clone(), offset }, kind, &numbers);
        }
        self.numbers = numbers;
        self.gpu.check()
    }

    async fn read_states(&mut self, states: &CarriedStates) -> Result<States> {
        self.states_on_host(states).await
    }

    fn advance(
        &mut self,
        sequence: Validated<'_, Sequence>,
        states: &mut CarriedStates,
        outputs: &mut DeviceOutputs,
    ) -> Result<()> {
        let sequence = &*sequence;
        let (kind, checkpointing) = match self.weights.model.head {
            Some(_) => (PassKind::Logits, Checkpointing::Logits),
            None => (PassKind::Output, Checkpointing::Output),
        };
        self.prepare(self.shape(sequence.batch_shape(), self.options.input_gradient, checkpointing))?;
        let ranges: Vec<_> = match kind {
            PassKind::Output => self.layers_output().collect(),
            _ => self.head_output().collect(),
        };
        outputs.bytes = ranges.iter().map(|(_, bytes)| bytes).sum();
        let buffer = match outputs.buffer.take().filter(|buffer| buffer.size() >= outputs.bytes) {
            Some(buffer) => buffer,
            None => {
                self.gpu.limits().check_buffer("the outputs", outputs.bytes)?;
                let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
                self.without_others(|engine| engine.gpu.buffer("the outputs", outputs.bytes, usage))?
            }
        };
        self.stage(sequence, HostInputs::Forward, None);
        let carry = StatefulRows { first_row: 0, rows: states.rows };
        let begin = self.begin(sequence, Some((states, carry)));
        let pass = self.pass();
        let leave = states.leave(&self.weights, pass, carry);
        let mut offset = 0;
        let copies = ranges.into_iter().map(|(from, bytes)| {
            let to = BufferOffset { buffer: buffer.clone(), offset };
            offset += bytes;
            GpuCommand::Copy { from, to, bytes }
        });
        let copies: Vec<GpuCommand> = copies.collect();
        let forward = pass.forward(kind).into_iter().flatten();
        self.recorder.record(begin.iter().chain(forward).chain(&leave).chain(&copies));
        outputs.submission = self.recorder.end_step();
        outputs.buffer = Some(buffer);
        self.gpu.check()
    }

    async fn loss_from<S: Real>(
        &mut self,
        objective: Objective<'_, S, Self>,
        states: &mut CarriedStates,
        rows: StatefulRows,
    ) -> Result<f64> {
        let loss = self.record_loss(&objective, Some((states, rows)))?;
        Ok(loss_sum(&self.read(&[loss]).await?))
    }

    async fn read_outputs(&mut self, outputs: &mut DeviceOutputs, to: &mut Vec<f32>) -> Result<()> {
        let Some(buffer) = &outputs.buffer else { return Err(Error::Failed("the step has no outputs".into())) };
        let model = &self.weights.model;
        let (part, parts) = match &model.head {
            Some(head) => (head.outputs, 1),
            None => (model.recurrent.state_size(), model.recurrent.directions()),
        };
        let take = |bytes: &[u8]| {
            let numbers: &[f32] = bytemuck::cast_slice(bytes);
            to.clear();
            allocate::reserve(to, numbers.len(), "the outputs")?;
            to.extend(staging::unpack(numbers, part, parts));
            Ok(())
        };
        self.recorder.read(&outputs.submission, buffer, outputs.bytes, take).await?
    }
}
