//! The commands of a pass over one \[T, B\], created once.

pub(crate) mod arena;
pub(crate) mod carried;
pub(crate) mod staging;

use std::ops::Range;

use crate::error::Result;
use crate::gpu::commands::builder::{Binding, Builder, BuiltCommands, ListId, allocate};
use crate::gpu::commands::program::{BufferOffset, GpuCommand};
use crate::gpu::device::Gpu;
use crate::gpu::record::{Recording, StateOf, backward, forward, head, loss};
use crate::gpu::weights::DeviceWeights;
use crate::model::plan::{PassShape, SequencePlan};
use crate::model::{Head, Readout};

/// The number of cached passes; the least recently used one is dropped first. They share their buffers, so a further
/// pass needs only uniforms.
pub(crate) const PASSES: usize = 6;

/// The commands of a pass over one \[T, B\], with their buffers.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) shape: PassShape,
    pub(crate) plan: SequencePlan,
    pub(crate) buffers: Vec<wgpu::Buffer>,
    /// Transposed copies of what tokens select, before the first chunk.
    token_weights: Vec<GpuCommand>,
    chunk_sequences: Vec<ChunkSequence>,
    /// Whether the head reads the last layer's y.
    head_reads_y: bool,
    /// The commands of a head with one prediction per row, after all chunks.
    head: HeadCommands,
    clear_carries: Vec<GpuCommand>,
    /// In the order of [`carried::all_states`].
    pub(crate) ends: Vec<StateEnds>,
    uniform_bytes: u64,
    gradient_norms: Option<NormsPass>,
}

/// The positions of an initial and a final state in a pass.
#[derive(Debug)]
pub(crate) struct StateEnds {
    /// The state, and its (layer, direction).
    pub(crate) of: StateOf,
    pub(crate) enters: BufferOffset,
    pub(crate) leaves: BufferOffset,
    pub(crate) bytes: u64,
}

/// The backward pass of every chunk sequence with the norms of dh_t, on the same buffers.
#[derive(Debug)]
struct NormsPass {
    chunk_sequences: Vec<Vec<GpuCommand>>,
    norms: wgpu::Buffer,
    uniform_bytes: u64,
}

/// The commands of chunks that go through all layers together: see [`Recording::chunk_sequences`].
#[derive(Debug)]
struct ChunkSequence {
    /// Run before the first forward pass only.
    keep: Vec<GpuCommand>,
    forward: Vec<GpuCommand>,
    /// Writes the last layer's y.
    output: Vec<GpuCommand>,
    features: Vec<GpuCommand>,
    /// The commands of a head at every step.
    head: HeadCommands,
    output_gradient: Vec<GpuCommand>,
    backward: Vec<GpuCommand>,
}

#[derive(Debug)]
struct HeadCommands {
    logits: Vec<GpuCommand>,
    loss: Vec<GpuCommand>,
    backward: Vec<GpuCommand>,
}

/// The purpose of a forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PassKind {
    /// The output of the recurrent layers.
    Output,
    /// The logits.
    Logits,
    /// The loss.
    Loss,
    /// The loss and a backward pass.
    Gradient,
}

/// Consecutive lists of commands.
pub(crate) type Lists<'p> = Vec<&'p [GpuCommand]>;

/// The lists of a [`ChunkSequence`] under construction.
struct ChunkSequenceIds {
    layers: [ListId; 6],
    head: [ListId; 3],
}

impl Pass {
    /// Builds the commands of a plan for `shape` on these buffers.
    pub(crate) fn new(
        gpu: &Gpu,
        weights: &DeviceWeights,
        shape: PassShape,
        plan: SequencePlan,
        buffers: Vec<wgpu::Buffer>,
    ) -> Result<Self> {
        let mut builder = Builder::on(gpu, &plan, buffers, weights.loss_scale.as_ref());
        let mut recording = Recording { builder: &mut builder, weights, gradient_norms: None };
        let recurrent = &weights.model.recurrent;
        let ends = carried::all_states(recurrent)
            .map(|of| {
                let (enters, leaves) = recording.ends(of);
                StateEnds { of, enters, leaves, bytes: recording.state_bytes(of.0) }
            })
            .collect();
        let head = weights.model.head.as_ref();
        let every = head.is_some_and(|head| head.readout == Readout::PerStep);
        let chunk_sequences: Vec<ChunkSequenceIds> = recording
            .chunk_sequences()
            .into_iter()
            .map(|chunk_range| chunk_sequence(&mut recording, head, chunk_range, shape))
            .collect();
        forward::transpose_token_weights(&mut recording);
        let token_weights = recording.builder.end_list();
        // With a head at every step, each chunk sequence has its own predictions.
        let runs = if every { 0..0 } else { 0..plan.predictions.len() };
        let single = head_commands(&mut recording, head, runs);
        head::clear_carries(&mut recording);
        let clear_carries = recording.builder.end_list();
        let head_reads_y = head.is_some_and(|head| match head.readout {
            Readout::PerStep => !recording.outputs_history(recurrent.layers - 1),
            Readout::Final => false,
            Readout::MeanPool => true,
        });
        let mut built = builder.finish()?;
        gpu.check()?;
        Ok(Self {
            shape,
            head_reads_y,
            chunk_sequences: chunk_sequences.into_iter().map(|ids| ChunkSequence::take(&mut built, ids)).collect(),
            token_weights: built.take(token_weights),
            head: HeadCommands::take(&mut built, single),
            clear_carries: built.take(clear_carries),
            buffers: built.buffers,
            uniform_bytes: built.uniform_bytes,
            ends,
            plan,
            gradient_norms: None,
        })
    }

    /// Bytes that [`make_gradient_norms`](Self::make_gradient_norms) will allocate: its uniforms are about as many as
    /// all others. 0 if already done.
    pub(crate) fn gradient_norm_bytes(&self) -> u64 {
        if self.gradient_norms.is_some() { 0 } else { self.plan.gradient_norms().bytes + self.uniform_bytes }
    }

    /// Creates the backward pass with the norms of dh_t, if it does not exist.
    pub(crate) fn make_gradient_norms(&mut self, gpu: &Gpu, weights: &DeviceWeights) -> Result<()> {
        if self.gradient_norms.is_some() {
            return Ok(());
        }
        let norms = allocate(gpu, &self.plan.gradient_norms())?;
        let mut builder = Builder::on(gpu, &self.plan, self.buffers.clone(), weights.loss_scale.as_ref());
        let mut recording = Recording { builder: &mut builder, weights, gradient_norms: Some(Binding::whole(&norms)) };
        let mut lists = Vec::new();
        for chunk_range in recording.chunk_sequences() {
            backward::backward(&mut recording, chunk_range, self.shape.resets);
            lists.push(recording.builder.end_list());
        }
        let mut built = builder.finish()?;
        gpu.check()?;
        let chunk_sequences = lists.into_iter().map(|list| built.take(list)).collect();
        self.gradient_norms = Some(NormsPass { chunk_sequences, uniform_bytes: built.uniform_bytes, norms });
        Ok(())
    }

    /// The norms of dh_t, in parts.
    pub(crate) fn norms(&self) -> Option<&wgpu::Buffer> {
        self.gradient_norms.as_ref().map(|gradient_norms| &gradient_norms.norms)
    }

    /// The forward commands, from x and the initial states to the final states and the result of `kind`.
    pub(crate) fn forward(&self, kind: PassKind) -> Lists<'_> {
        let mut lists: Lists<'_> = vec![&self.token_weights];
        for ChunkSequence { keep, forward, output, features, head, .. } in &self.chunk_sequences {
            lists.extend([&keep[..], forward]);
            if kind == PassKind::Output || self.head_reads_y {
                lists.push(output);
            }
            if kind != PassKind::Output {
                lists.push(features);
            }
            // Going backward, they are repeated for each chunk after its recomputation.
            if let PassKind::Logits | PassKind::Loss = kind {
                lists.push(&head.logits);
            }
            if kind == PassKind::Loss {
                lists.push(&head.loss);
            }
        }
        if kind != PassKind::Output {
            lists.push(&self.head.logits);
        }
        if let PassKind::Loss | PassKind::Gradient = kind {
            lists.push(&self.head.loss);
        }
        lists
    }

    /// The backward commands of a pass of kind [`PassKind::Gradient`], from the logits to every gradient sum, with the
    /// losses. With `gradient_norms` they also record the norms of dh_t, which needs
    /// [`make_gradient_norms`](Self::make_gradient_norms).
    pub(crate) fn gradient(&self, gradient_norms: bool) -> Lists<'_> {
        let mut lists: Lists<'_> = vec![&self.clear_carries, &self.head.backward];
        for (index, chunk_sequence) in self.chunk_sequences.iter().enumerate().rev() {
            if self.is_recomputed(index) {
                lists.push(&chunk_sequence.forward);
                if self.head_reads_y {
                    lists.push(&chunk_sequence.output);
                }
            }
            let HeadCommands { logits, loss, backward } = &chunk_sequence.head;
            lists.extend([
                &logits[..],
                loss,
                backward,
                &chunk_sequence.output_gradient,
                self.chunk_sequence_backward(index, gradient_norms),
            ]);
        }
        lists
    }

    /// The backward commands of a pass of kind [`PassKind::Output`], from dy in the last layer's y. `gradient_norms` as
    /// above.
    pub(crate) fn backward(&self, gradient_norms: bool) -> Lists<'_> {
        let mut lists: Lists<'_> = Vec::new();
        for (index, chunk_sequence) in self.chunk_sequences.iter().enumerate().rev() {
            if self.is_recomputed(index) {
                lists.push(&chunk_sequence.forward);
            }
            lists.push(self.chunk_sequence_backward(index, gradient_norms));
        }
        lists
    }

    fn chunk_sequence_backward(&self, chunk_sequence: usize, gradient_norms: bool) -> &[GpuCommand] {
        match self.gradient_norms.as_ref().filter(|_| gradient_norms) {
            Some(gradient_norms) => &gradient_norms.chunk_sequences[chunk_sequence],
            None => &self.chunk_sequences[chunk_sequence].backward,
        }
    }

    /// Whether a later chunk sequence has overwritten the buffers of this one.
    fn is_recomputed(&self, chunk_sequence: usize) -> bool {
        self.plan.chunks[0].border.is_some() && chunk_sequence + 1 < self.chunk_sequences.len()
    }

    /// Bytes besides the shared buffers: uniforms, and the norms of dh_t.
    pub(crate) fn own_bytes(&self) -> u64 {
        self.uniform_bytes
            + self
                .gradient_norms
                .as_ref()
                .map_or(0, |gradient_norms| gradient_norms.norms.size() + gradient_norms.uniform_bytes)
    }

    /// Commands that clear the initial states.
    pub(crate) fn enter_zero(&self) -> Vec<GpuCommand> {
        self.ends.iter().map(|ends| GpuCommand::Clear { to: ends.enters.clone(), bytes: ends.bytes }).collect()
    }
}

fn chunk_sequence(
    recording: &mut Recording<'_, '_>,
    head: Option<&Head>,
    chunk_range: Range<usize>,
    shape: PassShape,
) -> ChunkSequenceIds {
    let recurrent = &recording.weights.model.recurrent;
    forward::keep(recording, chunk_range.start);
    let keep = recording.builder.end_list();
    forward::forward(recording, chunk_range.clone());
    let forward = recording.builder.end_list();
    forward::outputs(recording, recurrent.layers - 1, chunk_range.clone());
    let output = recording.builder.end_list();
    head::features(recording, chunk_range.clone());
    let features = recording.builder.end_list();
    let every = head.filter(|head| head.readout == Readout::PerStep);
    let commands = head_commands(recording, every, chunk_range.clone());
    if let Some(head) = head {
        head::output_gradient(recording, head, chunk_range.clone());
    }
    let output_gradient = recording.builder.end_list();
    backward::backward(recording, chunk_range, shape.resets);
    let backward = recording.builder.end_list();
    ChunkSequenceIds { layers: [keep, forward, output, features, output_gradient, backward], head: commands }
}

fn head_commands(recording: &mut Recording<'_, '_>, head: Option<&Head>, runs: Range<usize>) -> [ListId; 3] {
    head.into_iter().for_each(|head| head::logits(recording, head, runs.clone()));
    let logits = recording.builder.end_list();
    head.into_iter().for_each(|head| loss::loss_and_gradient(recording, head, runs.clone()));
    let loss = recording.builder.end_list();
    head.into_iter().for_each(|head| head::backward(recording, head, runs.clone()));
    [logits, loss, recording.builder.end_list()]
}

impl ChunkSequence {
    fn take(built: &mut BuiltCommands, ids: ChunkSequenceIds) -> Self {
        let [keep, forward, output, features, output_gradient, backward] = ids.layers.map(|list| built.take(list));
        let head = HeadCommands::take(built, ids.head);
        Self { keep, forward, output, features, head, output_gradient, backward }
    }
}

impl HeadCommands {
    fn take(built: &mut BuiltCommands, ids: [ListId; 3]) -> Self {
        let [logits, loss, backward] = ids.map(|list| built.take(list));
        Self { logits, loss, backward }
    }
}
