//! Writes and commands before a pass.

use super::GpuEngine;
use crate::batch::{Input, Sequence};
use crate::dropout::DropoutParams;
use crate::engine::StatefulRows;
use crate::error::Result;
use crate::gpu::commands::program::{BufferOffset, GpuCommand};
use crate::gpu::pass::carried::CarriedStates;
use crate::gpu::pass::staging::{self, HostInputs};
use crate::gpu::record::dropout;
use crate::model::plan::StateKind;
use crate::real::Real;

impl GpuEngine {
    /// The dropout parameters of a training pass over `rows` rows.
    pub(crate) fn dropout_params(&self, rows: usize) -> Result<Option<DropoutParams>> {
        self.masks.map(|masks| DropoutParams::new(masks, &self.weights.model.recurrent, rows)).transpose()
    }

    /// Writes the dropout parameters of the pass, if the network has dropout.
    pub(crate) fn stage_dropout(&self, dropout: Option<DropoutParams>) {
        let recurrent = &self.weights.model.recurrent;
        if recurrent.dropout > 0.0 || recurrent.recurrent_dropout > 0.0 {
            self.recorder.write(&BufferOffset::of(&self.weights.dropout_params), &[dropout::uniform(dropout)]);
        }
    }

    /// Writes x, the other host inputs, initial states and dropout parameters. Large writes first, so that the others
    /// stay in one submission with the commands that read them.
    pub(super) fn stage<S: Real>(
        &mut self,
        sequence: &Sequence<S>,
        inputs: HostInputs<'_, S>,
        dropout: Option<DropoutParams>,
    ) {
        let mut numbers = std::mem::take(&mut self.numbers);
        let pass = self.pass();
        if let Input::Dense(x) = &sequence.input {
            for chunk in &pass.plan.chunks {
                let alive = |t, row| t < sequence.length(row);
                staging::pack(x, chunk.steps.clone(), 1, alive, &mut numbers);
                let x = chunk.x.expect("dense input has x");
                self.recorder.write(&BufferOffset::of(&pass.buffers[x.0]), &numbers);
            }
        }
        if let Some(states) = &sequence.initial {
            let arrays = states.arrays().flat_map(|array| (0..array.dim().0).map(move |index| (array, index)));
            for ((array, index), ends) in arrays.zip(&pass.ends) {
                staging::pack(array, index..index + 1, 1, |_, _| true, &mut numbers);
                self.write_state(&ends.enters, ends.of.0, &numbers);
            }
        }
        self.numbers = numbers;
        self.stage_host_inputs(sequence, inputs);
        self.stage_dropout(dropout);
    }

    /// Writes packed numbers of states as they are stored, and returns their bytes.
    pub(super) fn write_state(&self, to: &BufferOffset, kind: StateKind, numbers: &[f32]) -> u64 {
        let storage = self.weights.sizes.storage_of(kind);
        if storage.is_full() {
            self.recorder.write(to, numbers);
        } else {
            self.recorder.write(to, &staging::to_halves(numbers));
        }
        storage.bytes(numbers.len() as u64)
    }

    pub(crate) fn stage_host_inputs<S: Real>(&mut self, sequence: &Sequence<S>, inputs: HostInputs<'_, S>) {
        let mut words = std::mem::take(&mut self.words);
        let pass = self.pass();
        for index in 0..pass.plan.chunks.len() {
            staging::host_inputs(&self.weights.model, &pass.plan, index, sequence, inputs, &mut words);
            let buffer = &pass.buffers[pass.plan.chunks[index].host_inputs.0];
            self.recorder.write(&BufferOffset::of(buffer), &words);
        }
        self.words = words;
    }

    /// Commands that copy the carried states to the initial ones, or clear those, unless the sequence has its own.
    pub(super) fn enter<S: Real>(
        &self,
        sequence: &Sequence<S>,
        carried: Option<(&CarriedStates, StatefulRows)>,
    ) -> Vec<GpuCommand> {
        match (&sequence.initial, carried) {
            (Some(_), _) => Vec::new(),
            (None, Some((carried, carry))) => carried.enter(&self.weights, self.pass(), carry),
            (None, None) => self.pass().enter_zero(),
        }
    }

    /// Prepares a forward pass.
    pub(super) fn begin<S: Real>(
        &mut self,
        sequence: &Sequence<S>,
        carried: Option<(&CarriedStates, StatefulRows)>,
    ) -> Vec<GpuCommand> {
        let mut begin = self.pack();
        begin.extend(self.enter(sequence, carried));
        begin
    }

    /// Commands that reset the gradient sums if the next pass starts from zero.
    pub(crate) fn reset_sums(&mut self) -> Vec<GpuCommand> {
        self.cleared |= std::mem::take(&mut self.used);
        self.clear_sums()
    }

    /// Commands that clear the gradient sums if requested.
    pub(super) fn clear_sums(&mut self) -> Vec<GpuCommand> {
        if std::mem::take(&mut self.cleared) {
            [&self.weights.gradients, &self.weights.loss].map(clear).into()
        } else {
            Vec::new()
        }
    }

    /// Commands that copy W_hh as the steps of the next pass read it, if the parameters changed.
    pub(crate) fn pack(&mut self) -> Vec<GpuCommand> {
        if std::mem::take(&mut self.unpacked) { self.weights.copy_commands() } else { Vec::new() }
    }
}

/// A command that fills a buffer with zeros.
pub(super) fn clear(buffer: &wgpu::Buffer) -> GpuCommand {
    GpuCommand::Clear { to: BufferOffset::of(buffer), bytes: buffer.size() }
}
