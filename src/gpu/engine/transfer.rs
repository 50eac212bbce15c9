//! Reading results and transferring flat blocks, in pieces.

use std::collections::VecDeque;
use std::ops::Range;

use ndarray::Array3;

use super::GpuEngine;
use crate::allocate;
use crate::batch::{InputGradient, States};
use crate::engine::{FlatBlock, no_average, no_optimizer_block, numbers_of};
use crate::error::{Error, Result};
use crate::gpu::commands::program::{BufferOffset, GpuCommand};
use crate::gpu::pass::staging;
use crate::model::plan::{RowSpan, StateKind};

/// Elements per piece of parameter transfers: 8 MiB.
const PIECE: usize = 2 << 20;

/// The minimum bytes per read when memory is short.
const READ_LEAST: u64 = 64 << 10;

impl GpuEngine {
    pub(crate) fn block(&self, block: FlatBlock) -> Result<wgpu::Buffer> {
        match block {
            FlatBlock::Parameters => Ok(self.weights.parameters.clone()),
            FlatBlock::OptimizerState(index) => {
                let optimizer_state = &self.weights.optimizer_state;
                optimizer_state.get(index).cloned().ok_or_else(|| no_optimizer_block(index, optimizer_state.len()))
            }
            FlatBlock::AveragedParameters => self.weights.averaged.clone().ok_or_else(no_average),
        }
    }

    /// The spans of some of the layout's tensors.
    pub(crate) fn spans(&self, tensors: Range<usize>) -> Result<Vec<RowSpan>> {
        numbers_of(&self.layout, &tensors)?;
        Ok(self.weights.plan.spans(&self.layout.tensors()[tensors], PIECE).collect())
    }

    /// Reads the numbers of some tensors from a buffer in the parameters' layout, piece by piece, and passes them to
    /// `take`.
    pub(crate) async fn read_spans(
        &self,
        buffer: &wgpu::Buffer,
        tensors: Range<usize>,
        take: &mut (dyn FnMut(&[f32]) -> Result<()> + Send),
    ) -> Result<()> {
        let spans = self.spans(tensors)?;
        let (mut rest, mut numbers) = (&spans[..], Vec::new());
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |span: &&RowSpan| {
                bytes += span.bytes().1;
                bytes <= 4 * PIECE as u64
            };
            // Small spans are read together, since each wait takes time.
            let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            let position =
                |span: &RowSpan| (BufferOffset { buffer: buffer.clone(), offset: span.bytes().0 }, span.bytes().1);
            let read = self.read(&now.iter().map(position).collect::<Vec<_>>()).await?;
            let mut read = &read[..];
            numbers.clear();
            for span in now {
                let (of_span, behind) = read.split_at(span.bytes().1 as usize / 4);
                span.unpack(of_span, &mut numbers);
                read = behind;
            }
            take(&numbers)?;
            rest = later;
        }
        Ok(())
    }

    /// Writes the numbers of some tensors, piece by piece, as provided by `fill`.
    pub(crate) fn write_spans(
        &self,
        buffer: &wgpu::Buffer,
        spans: &[RowSpan],
        fill: &mut (dyn FnMut(&mut [f32]) -> Result<()> + Send),
    ) -> Result<()> {
        let (mut numbers, mut packed) = (Vec::new(), Vec::new());
        for span in spans {
            numbers.resize(span.len(), 0.0);
            fill(&mut numbers)?;
            span.pack(&numbers, &mut packed);
            self.recorder.write(&BufferOffset { buffer: buffer.clone(), offset: span.bytes().0 }, &packed);
        }
        Ok(())
    }

    /// Copies ranges into a readback buffer, waits, and returns their numbers.
    pub(crate) async fn read(&self, ranges: &[(BufferOffset, u64)]) -> Result<Vec<f32>> {
        let bytes = ranges.iter().map(|(_, bytes)| bytes).sum();
        self.gpu.limits().check_buffer("a readback", bytes)?;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let mut size = bytes;
        let staging = loop {
            match self.gpu.buffer("a readback", size, usage) {
                // Reading in pieces takes longer, but needs less memory.
                Err(Error::OutOfMemory { .. }) if size > READ_LEAST => {
                    self.gpu.wait_idle();
                    size = (size / 2).next_multiple_of(16).max(READ_LEAST);
                }
                made => break made?,
            }
        };
        let mut numbers = Vec::new();
        allocate::reserve(&mut numbers, bytes as usize / 4, "a readback")?;
        let mut rest = ranges.iter().cloned().collect::<VecDeque<_>>();
        while !rest.is_empty() {
            let mut filled = 0;
            while let Some((from, left)) = rest.front_mut().filter(|_| filled < size) {
                let bytes = (*left).min(size - filled);
                let to = BufferOffset { buffer: staging.clone(), offset: filled };
                self.recorder.record([&GpuCommand::Copy { from: from.clone(), to, bytes }]);
                (from.offset, *left, filled) = (from.offset + bytes, *left - bytes, filled + bytes);
                if *left == 0 {
                    rest.pop_front();
                }
            }
            let take = |bytes: &[u8]| numbers.extend(bytes.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)));
            self.recorder.read(&self.recorder.submit(), &staging, filled, take).await?;
        }
        Ok(numbers)
    }

    /// Reads a whole buffer.
    pub(super) async fn read_buffer(&self, buffer: &wgpu::Buffer) -> Result<Vec<f32>> {
        self.read(&[(BufferOffset::of(buffer), buffer.size())]).await
    }

    /// The last layer's y of the pass, chunk by chunk.
    pub(super) fn layers_output(&self) -> impl Iterator<Item = (BufferOffset, u64)> + '_ {
        let last = self.weights.model.recurrent.layers - 1;
        self.pass().plan.chunks.iter().map(move |chunk| self.tensor(chunk.y[last]))
    }

    /// The logits of the pass, chunk by chunk.
    pub(super) fn head_output(&self) -> impl Iterator<Item = (BufferOffset, u64)> + '_ {
        self.pass().plan.predictions.iter().map(|run| self.tensor(run.logits))
    }

    /// Like [`read`](Self::read), and also returns the final states of each row.
    pub(crate) async fn read_with_states(&self, mut ranges: Vec<(BufferOffset, u64)>) -> Result<(Vec<f32>, States)> {
        let pass = self.pass();
        let own: u64 = ranges.iter().map(|(_, bytes)| bytes).sum();
        ranges.extend(pass.ends.iter().map(|ends| (ends.leaves.clone(), ends.bytes)));
        let mut numbers = self.read(&ranges).await?;
        let states = self.states_in_storage(&numbers[own as usize / 4..], pass.plan.rows)?;
        numbers.truncate(own as usize / 4);
        Ok((numbers, states))
    }

    /// Converts ranges of padded states as they are stored, in words.
    pub(crate) fn states_in_storage(&self, words: &[f32], rows: usize) -> Result<States> {
        let (recurrent, sizes) = (&self.weights.model.recurrent, &self.weights.sizes);
        if sizes.storage.is_full() {
            return self.states_from(words, rows);
        }
        let (h, c) = words.split_at(sizes.carried_offset(recurrent, StateKind::C, 0, rows) as usize / 4);
        let mut numbers = Vec::new();
        allocate::reserve(&mut numbers, 2 * h.len() + c.len(), "a readback")?;
        numbers.extend(staging::of_halves(h));
        numbers.extend(c);
        self.states_from(&numbers, rows)
    }

    /// Converts ranges of padded states to \[L·D, rows, S\] and \[L·D, rows, H\].
    pub(crate) fn states_from(&self, numbers: &[f32], rows: usize) -> Result<States> {
        let (recurrent, sizes) = (&self.weights.model.recurrent, &self.weights.sizes);
        let (h, c) = numbers.split_at(4 * recurrent.num_layer_directions() * rows * sizes.state4);
        let of = |numbers: &[f32], size: usize| {
            let shape = (recurrent.num_layer_directions(), rows, size);
            array(shape, staging::unpack(numbers, size, 1).collect())
        };
        let c = (!c.is_empty()).then(|| of(c, recurrent.hidden_size)).transpose()?;
        Ok(States { h: of(h, recurrent.state_size())?, c })
    }

    /// Reads dx (if planned) and the gradients of the initial states.
    pub(crate) async fn read_input_gradient(&self) -> Result<InputGradient> {
        let pass = self.pass();
        let (plan, input_size) = (&pass.plan, self.weights.model.recurrent.input_size);
        let asked = plan.chunks.iter().filter(|_| pass.shape.dx).filter_map(|chunk| chunk.dx);
        let mut ranges: Vec<_> = asked.map(|dx| self.tensor(dx)).collect();
        let x_bytes = ranges.iter().map(|(_, bytes)| *bytes as usize).sum::<usize>();
        ranges.extend(plan.carries_of_h().chain(plan.carries_of_c()).map(|carry| self.span(carry)));
        let numbers = self.read(&ranges).await?;
        let (x, states) = numbers.split_at(x_bytes / 4);
        let shape = (plan.steps, plan.rows, input_size);
        let x = (!x.is_empty()).then(|| array(shape, staging::unpack(x, input_size, 1).collect())).transpose()?;
        Ok(InputGradient { x, initial: self.states_from(states, plan.rows)? })
    }
}

pub(crate) fn array(shape: (usize, usize, usize), numbers: Vec<f32>) -> Result<Array3<f32>> {
    Array3::from_shape_vec(shape, numbers)
        .map_err(|error| Error::Device(format!("shape mismatch of a readback: {error}")))
}
