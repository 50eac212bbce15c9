//! The buffers of a block of batch rows: everything that one thread needs to process these rows over a chunk of the
//! sequence, which is the whole sequence unless the pass recomputes.
//!
//! All buffers have the layout `[t, row in block, ·]`, so that a time step of a block and its whole chunk are
//! contiguous. Buffers grow and are kept, so a step of a known shape allocates nothing.

use super::buffer_sizes::SPAN;
use crate::cpu::kernels::mask::StepMask;
use std::ops::Range;

use ndarray::Array2;

use super::mapped_model::MappedModel;
use crate::dropout::DropoutParams;
use crate::memory::{Memory, MemoryPart};
use crate::real::Real;

/// The buffers of one (layer, direction).
#[derive(Debug, Default)]
pub(crate) struct LayerState<R> {
    /// \[held, rows, kept\]: z, then the gates, then their gradients.
    pub(crate) gates: Vec<R>,
    /// \[held + 1, rows, S\]: the state entering each step, 0 at resets, and the one leaving the last.
    pub(crate) h: Vec<R>,
    /// \[held + 1, rows, H\]: the same for the cell state; empty if there is none.
    pub(crate) c: Vec<R>,
    /// \[held + 1, rows, H\]: before and after each step what the cell computes and W_hr projects to h. This, the next
    /// and `dm` are empty without a projection.
    pub(crate) m: Vec<R>,
    /// \[held, rows, S\]: the whole dh_t of each step, 0 at padding.
    pub(crate) projected_dh: Vec<R>,
    /// \[chunks + 1, rows, S\]: the state entering each chunk, and the final one.
    pub(super) border_h: Vec<R>,
    /// \[chunks + 1, rows, H\]: the same for the cell state.
    pub(super) border_c: Vec<R>,
    /// \[rows, S\]: dh, propagated backward; finally dh_0.
    pub(crate) dh: Vec<R>,
    /// \[rows, H\]: the same for the cell state.
    pub(crate) dc: Vec<R>,
    /// \[rows, H\]: the gradient of m_t.
    pub(crate) dm: Vec<R>,
    /// \[kept\]: the gates' gradients summed over steps and rows.
    pub(crate) bias_sum: Vec<R>,
    /// Whether recurrent dropout is active in this pass.
    pub(crate) drops: bool,
    /// \[rows, S\]: its mask as factors. This and the next are empty without recurrent dropout.
    pub(crate) factors: Vec<R>,
    /// \[rows, S\]: h through the mask, as read by the recurrent product; backward its gradient.
    pub(crate) masked: Vec<R>,
    /// \[rows, G·H\]: the recurrent product as computed by several threads.
    pub(crate) shares: Vec<R>,
}

/// The head's buffers.
#[derive(Debug, Default)]
pub(crate) struct HeadState<R> {
    /// \[rows, D·S\]: the features of a head with one prediction per row. A head at every step reads the output itself.
    pub(crate) features: Vec<R>,
    /// The gradient of the features.
    pub(crate) d_features: Vec<R>,
    /// \[held, rows, O\], or \[rows, O\] for one prediction per row: the logits a, then da.
    pub(crate) logits: Vec<R>,
    /// \[O\]: da summed over predictions and rows.
    pub(crate) bias_sum: Vec<R>,
    /// Σ w·loss.
    pub(crate) loss: f64,
}

/// A block of rows.
#[derive(Debug, Default)]
pub(crate) struct RowBlock<R> {
    /// The index of its first row in the batch.
    pub(crate) first_row: usize,
    pub(crate) mask: StepMask,
    /// Steps per chunk, and the range of the chunk being held; empty if all rows have ended before it.
    pub(super) chunk: usize,
    pub(crate) held: Range<usize>,
    /// The dropout parameters for the block's rows. `None`: no dropout.
    pub(super) draw: Option<DropoutParams>,
    /// 0 at padding: x as given, \[steps, rows, I\], or the tokens' vectors, \[held, rows, I\].
    pub(crate) x: Vec<R>,
    /// \[steps, rows\], valid tokens even at padding. Empty if x is given.
    pub(crate) tokens: Vec<u32>,
    /// Whether the tokens are one-hot, selecting columns of W_ih.
    pub(crate) one_hot: bool,
    pub(crate) layer_directions: Vec<LayerState<R>>,
    /// \[held, rows, D·S\] for each layer, 0 at padding.
    pub(crate) outputs: Vec<Vec<R>>,
    /// The gradient of the current layer's output.
    pub(crate) d_output: Vec<R>,
    /// The same for the layer below.
    pub(crate) d_below: Vec<R>,
    /// dx, in the layout of x.
    pub(crate) d_input: Vec<R>,
    pub(crate) head: HeadState<R>,
    /// \[L·D, steps\]: the squares of dh_t summed over rows and units; empty if not requested.
    pub(crate) squares: Vec<f64>,
}

/// How a pass processes its rows.
#[derive(Clone, Copy)]
pub(crate) struct ChunkPlan {
    /// Steps held at once.
    pub(crate) chunk: usize,
    /// Whether a backward pass follows.
    pub(crate) backward: bool,
    /// Whether it computes dx, if x is given.
    pub(crate) dx: bool,
}

/// The history indices of the states entering and leaving step `t`.
pub(crate) fn history_indices(direction: usize, t: usize) -> (usize, usize) {
    if direction == 0 { (t, t + 1) } else { (t + 1, t) }
}

impl<R: Real> RowBlock<R> {
    /// The dropout parameters, if there is dropout between `layer` and the next.
    pub(crate) fn draw_above(&self, model: &MappedModel, layer: usize) -> Option<DropoutParams> {
        self.draw.filter(|draw| draw.between.drops() && layer + 1 < model.recurrent.layers)
    }

    /// The number of chunks in the block's steps.
    pub(crate) fn chunks(&self) -> usize {
        self.mask.steps.div_ceil(self.chunk)
    }

    /// Moves to a chunk. Returns whether any row reaches it.
    pub(crate) fn move_to_chunk(&mut self, chunk: usize) -> bool {
        let border = |chunk: usize| (chunk * self.chunk).min(self.mask.steps);
        self.held = border(chunk)..border(chunk + 1);
        !self.held.is_empty()
    }

    /// Whether the current chunk is the first in the forward pass.
    pub(crate) fn is_first(&self) -> bool {
        self.held.start == 0
    }

    /// Whether it is the first in the backward pass.
    pub(crate) fn is_last(&self) -> bool {
        self.held.end == self.mask.steps
    }

    /// The number of rows in the current chunk, over all its steps.
    pub(crate) fn held_rows(&self) -> usize {
        self.held.len() * self.mask.rows
    }

    /// The rows of each span in the chunk.
    pub(crate) fn spans(&self) -> impl DoubleEndedIterator<Item = Range<usize>> + use<R> {
        let (held, rows) = (self.held.len(), self.mask.rows);
        (0..held).step_by(SPAN).map(move |first| first * rows..held.min(first + SPAN) * rows)
    }

    /// The chunk's part of a buffer for all steps, with `size` numbers per row.
    pub(crate) fn held_part(&self, size: usize) -> Range<usize> {
        self.held.start * self.mask.rows * size..self.held.end * self.mask.rows * size
    }

    /// The range of the chunk's x and dx.
    pub(crate) fn input_part(&self, model: &MappedModel) -> Range<usize> {
        let size = model.recurrent.input_size;
        if model.embedding.is_some() { 0..self.held_rows() * size } else { self.held_part(size) }
    }

    /// The state that left the previous chunk enters the current one.
    pub(crate) fn enter(&mut self, model: &MappedModel, layer_direction: usize) {
        let index = if model.layer_directions[layer_direction].direction == 0 { 0 } else { self.held.len() };
        self.each_border(model, layer_direction, self.held.start / self.chunk, index, |border, index| {
            index.copy_from_slice(border)
        });
        // A projected cell does not read m_{t−1}, which padding passes on to dW_hr, times 0.
        let size = self.mask.rows * model.projected();
        self.layer_directions[layer_direction].m[index * size..][..size].fill(R::zero());
    }

    /// Saves the state that leaves the chunk.
    pub(crate) fn leave(&mut self, model: &MappedModel, layer_direction: usize) {
        let index = if model.layer_directions[layer_direction].direction == 0 { self.held.len() } else { 0 };
        let border = self.held.start / self.chunk + 1;
        self.each_border(model, layer_direction, border, index, |border, index| border.copy_from_slice(index));
    }

    fn each_border(
        &mut self,
        model: &MappedModel,
        layer_direction: usize,
        border: usize,
        index: usize,
        copy: impl Fn(&mut [R], &mut [R]),
    ) {
        let (rows, state) = (self.mask.rows, &mut self.layer_directions[layer_direction]);
        for (borders, history, size) in [
            (&mut state.border_h, &mut state.h, rows * model.state_size()),
            (&mut state.border_c, &mut state.c, rows * model.cell_state()),
        ] {
            copy(&mut borders[border * size..][..size], &mut history[index * size..][..size]);
        }
    }

    /// Resets the squares of dh_t, or clears them if `on` is false.
    pub(crate) fn begin_squares(&mut self, on: bool) {
        self.squares.clear();
        self.squares.resize(if on { self.layer_directions.len() * self.mask.steps } else { 0 }, 0.0);
    }

    /// Adds the squares of dh_t to \[L·D, T\].
    pub(crate) fn add_squares(&self, squares: &mut Array2<f64>) {
        for (mut to, from) in squares.rows_mut().into_iter().zip(self.squares.chunks_exact(self.mask.steps)) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
        }
    }

    /// The final h of a (layer, direction), \[rows, S\].
    pub(crate) fn final_h(&self, model: &MappedModel, layer_direction: usize) -> &[R] {
        self.final_of(model.state_size(), &self.layer_directions[layer_direction].border_h)
    }

    /// The final c of a (layer, direction), \[rows, H\].
    pub(super) fn final_c(&self, model: &MappedModel, layer_direction: usize) -> &[R] {
        self.final_of(model.cell_state(), &self.layer_directions[layer_direction].border_c)
    }

    fn final_of<'a>(&self, size: usize, borders: &'a [R]) -> &'a [R] {
        let size = self.mask.rows * size;
        &borders[self.chunks() * size..][..size]
    }

    /// The memory of all buffers.
    pub(crate) fn memory(&self) -> Memory {
        let mut memory = Memory::default();
        let mut add = |part, buffers: &[&Vec<R>]| {
            let numbers = buffers.iter().map(|buffer| buffer.len()).sum::<usize>();
            memory.add(part, (numbers * size_of::<R>()) as u64);
        };
        for state in &self.layer_directions {
            let LayerState { gates, h, c, m, projected_dh, border_h, border_c, .. } = state;
            let LayerState { dh, dc, dm, bias_sum, factors, masked, shares, .. } = state;
            add(MemoryPart::Gates, &[gates]);
            add(MemoryPart::States, &[h, c, m, border_h, border_c]);
            add(MemoryPart::Outputs, &[projected_dh]);
            add(MemoryPart::Workspace, &[dh, dc, dm, bias_sum, factors, masked, shares]);
        }
        self.outputs.iter().for_each(|output| add(MemoryPart::Outputs, &[output]));
        add(MemoryPart::Outputs, &[&self.d_output, &self.d_below, &self.d_input]);
        let HeadState { features, d_features, logits, bias_sum, .. } = &self.head;
        add(MemoryPart::Head, &[features, d_features, logits, bias_sum]);
        add(MemoryPart::Input, &[&self.x]);
        memory.add(MemoryPart::Input, (self.tokens.len() * size_of::<u32>()) as u64);
        memory.add(MemoryPart::Input, (self.mask.lengths.len() * size_of::<usize>() + self.mask.keeps.len()) as u64);
        memory.add(MemoryPart::Workspace, (self.squares.len() * size_of::<f64>()) as u64);
        memory
    }
}
