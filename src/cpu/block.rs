//! The buffers of a block of batch rows: all that one thread needs to take these rows through a chunk of the sequence,
//! which is the whole of it unless the pass keeps no more than the states between chunks.
//!
//! Everything is laid out `[t, row in block, ·]`, so that a time step of a block, and a block's whole chunk, are each
//! contiguous. Buffers grow and are kept, so a step of a shape that was seen before allocates nothing.

use std::ops::Range;

use ndarray::{Array2, Array3, ArrayViewMut1, s};

use super::dropout;
use super::network::Network;
use super::room::{Room, Wanted};
use crate::batch::{Input, OutputGradient, Sequence, States};
use crate::dropout::Draw;
use crate::error::Result;
use crate::memory::{Memory, MemoryPart};
use crate::real::Real;
use crate::room;

/// Steps whose products are made as one: those of the head and of the weights' gradients, whose spans are added from the last
/// to the first. A constant, so that no sum depends on how many steps a pass holds at once.
pub(super) const SPAN: usize = 64;

/// Which steps of the rows count.
#[derive(Debug, Default)]
pub(super) struct Mask {
    pub(super) rows: usize,
    /// The longest row's length: nothing of the block is computed beyond it.
    pub(super) steps: usize,
    pub(super) lengths: Vec<usize>,
    /// \[D, steps, rows\]; empty: all kept.
    keeps: Vec<bool>,
}

impl Mask {
    /// Whether step `t` of `row` is no padding.
    #[inline(always)]
    pub(super) fn active(&self, t: usize, row: usize) -> bool {
        t < self.lengths[row]
    }

    /// The rows whose state must not enter step `t`: those where a sequence starts anew.
    pub(super) fn starts(&self, direction: usize, t: usize) -> impl Iterator<Item = usize> + '_ {
        let first = (direction * self.steps + t) * self.rows;
        let keeps = if self.keeps.is_empty() { &[][..] } else { &self.keeps[first..][..self.rows] };
        keeps.iter().enumerate().filter(|(_, keeps)| !**keeps).map(|(row, _)| row)
    }
}

/// The buffers of one (layer, direction).
#[derive(Debug, Default)]
pub(super) struct StackState<R> {
    /// \[held, rows, kept\]: z, then the gates, then their gradients.
    pub(super) gates: Vec<R>,
    /// \[held + 1, rows, H\]: the state that enters each step, 0 where a sequence starts anew, and the one that leaves the
    /// last.
    pub(super) h: Vec<R>,
    /// The same of the cell state; empty where there is none.
    pub(super) c: Vec<R>,
    /// \[chunks + 1, rows, H\]: the state that enters each chunk, and the final one.
    border_h: Vec<R>,
    /// The same of the cell state.
    border_c: Vec<R>,
    /// \[rows, H\]: dh on its way back; at the end dh_0.
    pub(super) dh: Vec<R>,
    /// The same of the cell state.
    pub(super) dc: Vec<R>,
    /// \[kept\]: the gates' gradients summed over steps and rows.
    pub(super) bias_sum: Vec<R>,
    /// Whether recurrent dropout drops anything in this pass.
    pub(super) drops: bool,
    /// \[rows, H\]: its mask as factors. Empty, as the next, where the network has none.
    pub(super) factors: Vec<R>,
    /// \[rows, H\]: what the recurrent product reads through that mask, and backward the gradient of that.
    pub(super) masked: Vec<R>,
    /// \[rows, G·H\]: what the threads of a team make of the recurrent product.
    pub(super) shares: Vec<R>,
}

/// The head's buffers.
#[derive(Debug, Default)]
pub(super) struct HeadState<R> {
    /// \[rows, D·H\]: what a head with one prediction a row reads. At every step it reads the output itself.
    pub(super) features: Vec<R>,
    /// The gradient of that.
    pub(super) d_features: Vec<R>,
    /// \[held, rows, O\], or \[rows, O\] of one prediction a row: the logits a, then da.
    pub(super) logits: Vec<R>,
    /// \[O\]: da summed over predictions and rows.
    pub(super) bias_sum: Vec<R>,
    /// Σ w·loss.
    pub(super) loss: f64,
}

/// A block of rows.
#[derive(Debug, Default)]
pub(super) struct Block<R> {
    /// The index of the first row in the batch.
    pub(super) first_row: usize,
    pub(super) mask: Mask,
    /// Steps of a chunk, and those of the chunk that is held: none, where all rows have ended before it.
    chunk: usize,
    pub(super) held: Range<usize>,
    /// What dropout draws for the block's rows; `None`: it drops nothing.
    draw: Option<Draw>,
    /// 0 at padding: x as it was given, \[steps, rows, I\], or the tokens' vectors, \[held, rows, I\].
    pub(super) x: Vec<R>,
    /// \[steps, rows\]; whatever lies at padding is a valid token. Empty where x is given.
    pub(super) tokens: Vec<u32>,
    /// Whether the tokens stand for one-hot vectors, of which W_ih takes its columns.
    pub(super) one_hot: bool,
    pub(super) stacks: Vec<StackState<R>>,
    /// \[held, rows, D·H\] for each layer, 0 at padding.
    pub(super) outputs: Vec<Vec<R>>,
    /// The gradient of the output of the layer at hand.
    pub(super) d_output: Vec<R>,
    /// The same of the layer below.
    pub(super) d_below: Vec<R>,
    /// dx, as x lies.
    pub(super) d_input: Vec<R>,
    pub(super) head: HeadState<R>,
    /// \[L·D, steps\]: the squares of dh_t summed over rows and units; empty where they are not asked for.
    pub(super) squares: Vec<f64>,
}

/// What h and c begin with.
#[derive(Clone, Copy)]
pub(super) enum Start<'a, S, R> {
    /// Zero.
    Zero,
    /// The sequence's own.
    Given(&'a States<S>),
    /// The rows of the carried states from this one on.
    Carried(&'a States<R>, usize),
}

/// What a pass is to do with the rows it takes over.
#[derive(Clone, Copy)]
pub(super) struct Course {
    /// Steps that are held at once.
    pub(super) chunk: usize,
    /// Whether a backward pass follows.
    pub(super) backward: bool,
    /// Whether that is to end in dx, where x is given.
    pub(super) dx: bool,
}

/// The slots in a history of the state that enters step `t` and of the one that leaves it.
pub(super) fn slots(direction: usize, t: usize) -> (usize, usize) {
    if direction == 0 { (t, t + 1) } else { (t + 1, t) }
}

/// Makes room without giving any back.
pub(super) fn fit<T: Clone + Default>(buffer: &mut Vec<T>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
}

impl<R: Real> Block<R> {
    /// Takes over the rows from `first_row` on, a block of them, and makes room for their pass.
    pub(super) fn load<S: Real>(
        &mut self,
        network: &Network,
        sequence: &Sequence<S>,
        start: Start<'_, S, R>,
        draw: Option<Draw>,
        course: Course,
    ) {
        let first_row = self.first_row;
        self.load_mask(network, sequence);
        self.make_room(&Self::room(network, sequence, (self.mask.steps, self.mask.rows), course));
        self.load_input(network, sequence);
        self.chunk = course.chunk;
        self.head.loss = 0.0;
        self.draw = draw.map(|draw| draw.at_row(first_row));
        let draw = self.draw.filter(|draw| draw.recurrent.drops());
        for (stack, state) in self.stacks.iter_mut().enumerate() {
            state.drops = draw.is_some();
            if let Some(draw) = &draw {
                let factors = &mut state.factors[..self.mask.rows * network.hidden()];
                dropout::recurrent(draw, stack, factors, network.hidden());
            }
        }
        for stack in 0..network.stacks.len() {
            match start {
                Start::Zero => self.start_at_zero(network, stack),
                Start::Given(states) => self.start_from(network, stack, states, first_row),
                Start::Carried(states, offset) => self.start_from(network, stack, states, offset + first_row),
            }
        }
    }

    /// Asks for the memory of a pass over the rows from the first one on; [`load`](Self::load) then asks for no more of it.
    ///
    /// # Errors
    /// [`Error::NoMemory`](crate::Error::NoMemory) names the buffer.
    pub(super) fn reserve<S: Real>(&mut self, network: &Network, sequence: &Sequence<S>, course: Course) -> Result<()> {
        let rows = network.block_rows(sequence.shape().1).min(sequence.shape().1 - self.first_row);
        let steps = (self.first_row..self.first_row + rows).map(|row| sequence.length(row)).max().unwrap_or_default();
        let wanted = Self::room(network, sequence, (steps, rows), course);
        let more =
            |buffer: &mut Vec<R>, len: usize, what| room::reserve(buffer, len.saturating_sub(buffer.len()), what);
        self.stacks.resize_with(network.stacks.len(), StackState::default);
        for state in &mut self.stacks {
            more(&mut state.gates, wanted.gates, "the gates of every step")?;
            for (buffer, len) in [(&mut state.h, wanted.h), (&mut state.c, wanted.c)] {
                more(buffer, len, "the states of every step")?;
            }
            for (buffer, len) in [(&mut state.border_h, wanted.border_h), (&mut state.border_c, wanted.border_c)] {
                more(buffer, len, "the states between chunks")?;
            }
        }
        self.outputs.resize_with(network.recurrent.layers, Vec::new);
        for (buffer, len) in self
            .outputs
            .iter_mut()
            .map(|output| (output, wanted.output))
            .chain([(&mut self.d_output, wanted.d_output), (&mut self.d_below, wanted.d_below)])
        {
            more(buffer, len, "what the layers hand on at every step")?;
        }
        more(&mut self.x, wanted.x, "x")?;
        more(&mut self.d_input, wanted.d_input, "the gradient of x")?;
        more(&mut self.head.logits, wanted.logits, "the logits")?;
        self.tokens.clear();
        room::reserve(&mut self.tokens, wanted.tokens, "the tokens")?;
        self.mask.keeps.clear();
        room::reserve(&mut self.mask.keeps, wanted.keeps, "where states are kept")
    }

    fn room<S: Real>(network: &Network, sequence: &Sequence<S>, shape: (usize, usize), course: Course) -> Room {
        let ((steps, rows), Course { chunk, backward, dx }) = (shape, course);
        let (dense, resets) = (matches!(sequence.input, Input::Dense(_)), sequence.resets.is_some());
        Room::new(network, Wanted { steps, rows, chunk, dense, backward, dx, resets })
    }

    /// The draw, where it drops what `layer` hands to the next.
    pub(super) fn draw_above(&self, network: &Network, layer: usize) -> Option<Draw> {
        self.draw.filter(|draw| draw.between.drops() && layer + 1 < network.recurrent.layers)
    }

    /// How many chunks the block's own steps are cut into.
    pub(super) fn chunks(&self) -> usize {
        self.mask.steps.div_ceil(self.chunk)
    }

    /// Turns to a chunk, and tells whether any row reaches into it.
    pub(super) fn hold(&mut self, chunk: usize) -> bool {
        let border = |chunk: usize| (chunk * self.chunk).min(self.mask.steps);
        self.held = border(chunk)..border(chunk + 1);
        !self.held.is_empty()
    }

    /// Whether the chunk at hand is the first to go forward.
    pub(super) fn is_first(&self) -> bool {
        self.held.start == 0
    }

    /// Whether it is the first to go backward.
    pub(super) fn is_last(&self) -> bool {
        self.held.end == self.mask.steps
    }

    /// The rows of the chunk at hand, one behind the other.
    pub(super) fn held_rows(&self) -> usize {
        self.held.len() * self.mask.rows
    }

    /// The same of each span of it.
    pub(super) fn spans(&self) -> impl DoubleEndedIterator<Item = Range<usize>> + use<R> {
        let (held, rows) = (self.held.len(), self.mask.rows);
        (0..held).step_by(SPAN).map(move |first| first * rows..held.min(first + SPAN) * rows)
    }

    /// The chunk's part of a buffer that has all steps, of `size` numbers a row.
    pub(super) fn held_part(&self, size: usize) -> Range<usize> {
        self.held.start * self.mask.rows * size..self.held.end * self.mask.rows * size
    }

    /// The place of the chunk's x, and of its dx.
    pub(super) fn input_part(&self, network: &Network) -> Range<usize> {
        let size = network.recurrent.input_size;
        if network.embedding.is_some() { 0..self.held_rows() * size } else { self.held_part(size) }
    }

    /// The state that leaves the chunk before enters the one at hand.
    pub(super) fn enter(&mut self, network: &Network, stack: usize) {
        let slot = if network.stacks[stack].direction == 0 { 0 } else { self.held.len() };
        self.each_border(network, stack, self.held.start / self.chunk, slot, |border, slot| {
            slot.copy_from_slice(border)
        });
    }

    /// Keeps the state that leaves it.
    pub(super) fn leave(&mut self, network: &Network, stack: usize) {
        let slot = if network.stacks[stack].direction == 0 { self.held.len() } else { 0 };
        let border = self.held.start / self.chunk + 1;
        self.each_border(network, stack, border, slot, |border, slot| border.copy_from_slice(slot));
    }

    fn each_border(
        &mut self,
        network: &Network,
        stack: usize,
        border: usize,
        slot: usize,
        copy: impl Fn(&mut [R], &mut [R]),
    ) {
        let (rows, state) = (self.mask.rows, &mut self.stacks[stack]);
        for (borders, history, size) in [
            (&mut state.border_h, &mut state.h, rows * network.hidden()),
            (&mut state.border_c, &mut state.c, rows * network.cell_state()),
        ] {
            copy(&mut borders[border * size..][..size], &mut history[slot * size..][..size]);
        }
    }

    fn load_mask<S: Real>(&mut self, network: &Network, sequence: &Sequence<S>) {
        let first_row = self.first_row;
        let mask = &mut self.mask;
        let rows = sequence.shape().1;
        mask.rows = network.block_rows(rows).min(rows - first_row);
        mask.lengths.clear();
        mask.lengths.extend((0..mask.rows).map(|row| sequence.length(first_row + row)));
        mask.steps = mask.lengths.iter().copied().max().unwrap_or(0);
        mask.keeps.clear();
        if sequence.resets.is_some() {
            for direction in 0..network.recurrent.directions() {
                for t in 0..mask.steps {
                    // Through the padding a state is carried whatever stands there.
                    let lengths = &mask.lengths;
                    let keeps = |row| t >= lengths[row] || sequence.keeps(direction, t, first_row + row);
                    mask.keeps.extend((0..mask.rows).map(keeps));
                }
            }
        }
    }

    fn load_input<S: Real>(&mut self, network: &Network, sequence: &Sequence<S>) {
        let (mask, first_row) = (&self.mask, self.first_row);
        self.tokens.clear();
        self.one_hot = matches!(sequence.input, Input::Tokens(_)) && network.embedding.is_none();
        match &sequence.input {
            Input::Dense(x) => {
                let size = network.recurrent.input_size;
                let mut to = self.x.chunks_exact_mut(size);
                for t in 0..mask.steps {
                    for (row, to) in to.by_ref().take(mask.rows).enumerate() {
                        if mask.active(t, row) {
                            let from = x.slice(s![t, first_row + row, ..]);
                            let mut to = ArrayViewMut1::from(to);
                            to.zip_mut_with(&from, |to, from| *to = R::from_wide(from.to_wide()));
                        } else {
                            to.fill(R::zero());
                        }
                    }
                }
            }
            Input::Tokens(tokens) => {
                for t in 0..mask.steps {
                    let token = |row| if mask.active(t, row) { tokens[[t, first_row + row]] } else { 0 };
                    self.tokens.extend((0..mask.rows).map(token));
                }
            }
        }
    }

    /// Begins the squares of dh_t at 0, or has none.
    pub(super) fn begin_flow(&mut self, on: bool) {
        self.squares.clear();
        self.squares.resize(if on { self.stacks.len() * self.mask.steps } else { 0 }, 0.0);
    }

    /// Adds the squares of dh_t to \[L·D, T\].
    pub(super) fn add_flow(&self, squares: &mut Array2<f64>) {
        for (mut to, from) in squares.rows_mut().into_iter().zip(self.squares.chunks_exact(self.mask.steps)) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
        }
    }

    fn make_room(&mut self, room: &Room) {
        for state in &mut self.stacks {
            fit(&mut state.gates, room.gates);
            fit(&mut state.h, room.h);
            fit(&mut state.c, room.c);
            fit(&mut state.border_h, room.border_h);
            fit(&mut state.border_c, room.border_c);
            fit(&mut state.dh, room.dh);
            fit(&mut state.dc, room.dc);
            fit(&mut state.bias_sum, room.bias_sum);
            fit(&mut state.factors, room.masked);
            fit(&mut state.masked, room.masked);
            fit(&mut state.shares, room.shares);
        }
        self.outputs.iter_mut().for_each(|output| fit(output, room.output));
        fit(&mut self.x, room.x);
        fit(&mut self.d_output, room.d_output);
        fit(&mut self.d_below, room.d_below);
        fit(&mut self.d_input, room.d_input);
        fit(&mut self.head.features, room.features);
        fit(&mut self.head.d_features, room.d_features);
        fit(&mut self.head.logits, room.logits);
        fit(&mut self.head.bias_sum, room.head_bias_sum);
    }

    /// Takes over the gradient of what the stack put out in the chunk at hand; what lies at padding is never read.
    pub(super) fn load_gradient(&mut self, network: &Network, gradient: &OutputGradient<R>) {
        let (rows, first_row) = (self.mask.rows, self.first_row);
        if let Some(d_output) = &gradient.output {
            let mut to = self.d_output.chunks_exact_mut(network.recurrent.output_size());
            for t in self.held.clone() {
                for (row, to) in to.by_ref().take(rows).enumerate() {
                    let from = d_output.slice(s![t, first_row + row, ..]);
                    to.iter_mut().zip(&from).for_each(|(to, from)| *to = *from);
                }
            }
        }
        if !self.is_last() {
            return;
        }
        for (stack, state) in self.stacks.iter_mut().enumerate() {
            for (to, from) in [(&mut state.dh, &gradient.h_n), (&mut state.dc, &gradient.c_n)] {
                to.fill(R::zero());
                if let Some(from) = from {
                    let from = from.slice(s![stack, first_row..first_row + rows, ..]);
                    to.iter_mut().zip(&from).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }

    fn start_at_zero(&mut self, network: &Network, stack: usize) {
        let (rows, state) = (self.mask.rows, &mut self.stacks[stack]);
        for (borders, size) in [(&mut state.border_h, network.hidden()), (&mut state.border_c, network.cell_state())] {
            borders[..rows * size].fill(R::zero());
        }
    }

    fn start_from<S: Real>(&mut self, network: &Network, stack: usize, states: &States<S>, first_row: usize) {
        let (rows, hidden) = (self.mask.rows, network.hidden());
        let state = &mut self.stacks[stack];
        for (borders, from) in [(&mut state.border_h, Some(&states.h)), (&mut state.border_c, states.c.as_ref())] {
            let Some(from) = from else { continue };
            let from = from.slice(s![stack, first_row..first_row + rows, ..]);
            let to = &mut borders[..rows * hidden];
            to.iter_mut().zip(&from).for_each(|(to, from)| *to = R::from_wide(from.to_wide()));
        }
    }

    /// \[rows, H\]: the final h of a (layer, direction).
    pub(super) fn final_h(&self, network: &Network, stack: usize) -> &[R] {
        self.final_of(network, &self.stacks[stack].border_h)
    }

    fn final_of<'a>(&self, network: &Network, borders: &'a [R]) -> &'a [R] {
        let size = self.mask.rows * network.hidden();
        &borders[self.chunks() * size..][..size]
    }

    /// Writes the final states into the rows from `offset` + the block's first on.
    pub(super) fn store_states(&self, network: &Network, states: &mut States<R>, offset: usize) {
        for stack in 0..self.stacks.len() {
            self.store_rows(&mut states.h, stack, offset, self.final_h(network, stack));
            if let Some(c) = &mut states.c {
                self.store_rows(c, stack, offset, self.final_of(network, &self.stacks[stack].border_c));
            }
        }
    }

    /// Writes dh_0 and dc_0.
    pub(super) fn store_initial_gradient(&self, states: &mut States<R>) {
        for (stack, state) in self.stacks.iter().enumerate() {
            self.store_rows(&mut states.h, stack, 0, &state.dh);
            if let Some(c) = &mut states.c {
                self.store_rows(c, stack, 0, &state.dc);
            }
        }
    }

    fn store_rows(&self, to: &mut Array3<R>, stack: usize, offset: usize, from: &[R]) {
        let first = offset + self.first_row;
        let mut to = to.slice_mut(s![stack, first..first + self.mask.rows, ..]);
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }

    /// Writes `from`, \[steps, rows, ·\], into the block's place in \[T, B, ·\], padding left as it is.
    pub(super) fn store_sequence(&self, to: &mut Array3<R>, steps: Range<usize>, from: &[R]) {
        let size = to.shape()[2];
        let mut from = from.chunks_exact(size);
        for t in steps {
            for (row, from) in from.by_ref().take(self.mask.rows).enumerate() {
                // One prediction a row is never padding.
                if self.mask.active(t, row) {
                    let mut to = to.slice_mut(s![t, self.first_row + row, ..]);
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }

    /// The bytes of all buffers.
    pub(super) fn memory(&self) -> Memory {
        let mut memory = Memory::default();
        let mut add = |part, buffers: &[&Vec<R>]| {
            let numbers = buffers.iter().map(|buffer| buffer.len()).sum::<usize>();
            memory.add(part, (numbers * size_of::<R>()) as u64);
        };
        for state in &self.stacks {
            let StackState { gates, h, c, border_h, border_c, dh, dc, bias_sum, factors, masked, shares, .. } = state;
            add(MemoryPart::Gates, &[gates]);
            add(MemoryPart::States, &[h, c, border_h, border_c]);
            add(MemoryPart::Workspace, &[dh, dc, bias_sum, factors, masked, shares]);
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
