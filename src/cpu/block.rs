//! The buffers of a block of batch rows: all that one thread needs to take these rows through the whole sequence.
//!
//! Everything is laid out `[t, row in block, ·]`, so that a time step of a block, and a block's whole sequence, are
//! each contiguous. Buffers grow and are kept, so a step of a shape that was seen before allocates nothing.

use ndarray::{Array2, Array3, s};

use super::dropout;
use super::network::Network;
use crate::batch::{Input, OutputGradient, Sequence, States};
use crate::dropout::Draw;
use crate::real::Real;

/// Rows in a block. A constant, never a matter of threads or of B: so the order of every sum is the same everywhere.
pub(super) const ROWS: usize = 8;

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
    /// \[steps, rows, kept\]: z, then the gates, then their gradients.
    pub(super) gates: Vec<R>,
    /// \[steps + 1, rows, H\]: the state that enters each step, 0 where a sequence starts anew, and the final state.
    pub(super) h: Vec<R>,
    /// The same of the cell state; empty where there is none.
    pub(super) c: Vec<R>,
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
}

/// The head's buffers.
#[derive(Debug, Default)]
pub(super) struct HeadState<R> {
    /// \[rows, D·H\]: what a head with one prediction a row reads. At every step it reads the output itself.
    pub(super) features: Vec<R>,
    /// \[predictions, rows, O\]: the logits a, then da.
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
    /// What dropout draws for the block's rows; `None`: it drops nothing.
    draw: Option<Draw>,
    /// \[steps, rows, I\], 0 at padding: given, or the tokens' vectors.
    pub(super) x: Vec<R>,
    /// \[steps, rows\]; whatever lies at padding is a valid token. Empty where x is given.
    pub(super) tokens: Vec<u32>,
    /// Whether the tokens stand for one-hot vectors, of which W_ih takes its columns.
    pub(super) one_hot: bool,
    pub(super) stacks: Vec<StackState<R>>,
    /// \[steps, rows, D·H\] for each layer, 0 at padding.
    pub(super) outputs: Vec<Vec<R>>,
    /// The gradient of the output of the layer at hand; at the end dx.
    pub(super) d_output: Vec<R>,
    /// The same of the layer below.
    pub(super) d_below: Vec<R>,
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
    /// Takes over the rows from `first_row` on, at most [`ROWS`], and makes room for their pass.
    pub(super) fn load<S: Real>(
        &mut self,
        network: &Network,
        sequence: &Sequence<S>,
        start: Start<'_, S, R>,
        draw: Option<Draw>,
    ) {
        let first_row = self.first_row;
        self.load_mask(network, sequence);
        self.load_input(network, sequence);
        self.make_room(network);
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

    /// The draw, where it drops what `layer` hands to the next.
    pub(super) fn draw_above(&self, network: &Network, layer: usize) -> Option<Draw> {
        self.draw.filter(|draw| draw.between.drops() && layer + 1 < network.recurrent.layers)
    }

    fn load_mask<S: Real>(&mut self, network: &Network, sequence: &Sequence<S>) {
        let first_row = self.first_row;
        let mask = &mut self.mask;
        mask.rows = ROWS.min(sequence.shape().1 - first_row);
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
                fit(&mut self.x, mask.steps * mask.rows * size);
                let mut to = self.x.chunks_exact_mut(size);
                for t in 0..mask.steps {
                    for (row, to) in to.by_ref().take(mask.rows).enumerate() {
                        if mask.active(t, row) {
                            let from = x.slice(s![t, first_row + row, ..]);
                            to.iter_mut().zip(&from).for_each(|(to, from)| *to = R::from_wide(from.to_wide()));
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

    fn make_room(&mut self, network: &Network) {
        let (steps, rows) = (self.mask.steps, self.mask.rows);
        let (hidden, cell_state, width) = (network.hidden(), network.cell_state(), network.recurrent.output_size());
        self.stacks.resize_with(network.stacks.len(), StackState::default);
        for state in &mut self.stacks {
            fit(&mut state.gates, steps * rows * network.kept());
            fit(&mut state.h, (steps + 1) * rows * hidden);
            fit(&mut state.c, (steps + 1) * rows * cell_state);
            fit(&mut state.dh, rows * hidden);
            fit(&mut state.dc, rows * cell_state);
            fit(&mut state.bias_sum, network.kept());
            fit(&mut state.factors, rows * network.masked());
            fit(&mut state.masked, rows * network.masked());
        }
        self.outputs.resize_with(network.recurrent.layers, Vec::new);
        self.outputs.iter_mut().for_each(|output| fit(output, steps * rows * width));
        if network.embedding.is_some() {
            fit(&mut self.x, steps * rows * network.recurrent.input_size);
        }
        let widest = width.max(network.recurrent.input_size);
        fit(&mut self.d_output, steps * rows * widest);
        fit(&mut self.d_below, steps * rows * widest);
        if let Some(head) = &network.head {
            fit(&mut self.head.features, rows * width);
            fit(&mut self.head.logits, head.predictions(steps) * rows * head.outputs);
            fit(&mut self.head.bias_sum, head.outputs);
        }
    }

    /// The bytes of a block of `rows` full rows, as [`make_room`](Self::make_room) and the input take them.
    pub(super) fn planned_bytes(network: &Network, steps: usize, rows: usize, dense: bool) -> usize {
        let (hidden, cell_state, width) = (network.hidden(), network.cell_state(), network.recurrent.output_size());
        let input = network.recurrent.input_size;
        let x = dense || network.embedding.is_some();
        let (kept, states) = (network.kept(), hidden + cell_state);
        let stack = steps * rows * kept + (steps + 2) * rows * states + kept + 2 * rows * network.masked();
        let sequences = network.recurrent.layers * width + 2 * width.max(input) + if x { input } else { 0 };
        let head = network
            .head
            .as_ref()
            .map_or(0, |head| rows * width + head.predictions(steps) * rows * head.outputs + head.outputs);
        let tokens = if dense { 0 } else { steps * rows };
        (network.stacks.len() * stack + steps * rows * sequences + head) * size_of::<R>() + tokens * size_of::<u32>()
    }

    /// Takes over the gradient of what the stack put out; what lies at padding is never read.
    pub(super) fn load_gradient(&mut self, network: &Network, gradient: &OutputGradient<R>) {
        let (rows, first_row) = (self.mask.rows, self.first_row);
        if let Some(d_output) = &gradient.output {
            let mut to = self.d_output.chunks_exact_mut(network.recurrent.output_size());
            for t in 0..self.mask.steps {
                for (row, to) in to.by_ref().take(rows).enumerate() {
                    let from = d_output.slice(s![t, first_row + row, ..]);
                    to.iter_mut().zip(&from).for_each(|(to, from)| *to = *from);
                }
            }
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

    /// The slot that the first step reads.
    fn first_slot(&self, network: &Network, stack: usize) -> usize {
        if network.stacks[stack].direction == 0 { 0 } else { self.mask.steps }
    }

    fn start_at_zero(&mut self, network: &Network, stack: usize) {
        let (slot, rows) = (self.first_slot(network, stack), self.mask.rows);
        let state = &mut self.stacks[stack];
        for (history, size) in [(&mut state.h, network.hidden()), (&mut state.c, network.cell_state())] {
            history[slot * rows * size..][..rows * size].fill(R::zero());
        }
    }

    fn start_from<S: Real>(&mut self, network: &Network, stack: usize, states: &States<S>, first_row: usize) {
        let (slot, rows, hidden) = (self.first_slot(network, stack), self.mask.rows, network.hidden());
        let state = &mut self.stacks[stack];
        for (history, from) in [(&mut state.h, Some(&states.h)), (&mut state.c, states.c.as_ref())] {
            let Some(from) = from else { continue };
            let from = from.slice(s![stack, first_row..first_row + rows, ..]);
            let to = &mut history[slot * rows * hidden..][..rows * hidden];
            to.iter_mut().zip(&from).for_each(|(to, from)| *to = R::from_wide(from.to_wide()));
        }
    }

    /// \[rows, H\]: the final h of a (layer, direction).
    pub(super) fn final_h(&self, network: &Network, stack: usize) -> &[R] {
        self.final_of(network, stack, &self.stacks[stack].h)
    }

    fn final_of<'a>(&self, network: &Network, stack: usize, history: &'a [R]) -> &'a [R] {
        let slot = if network.stacks[stack].direction == 0 { self.mask.steps } else { 0 };
        let size = self.mask.rows * network.hidden();
        &history[slot * size..][..size]
    }

    /// Writes the final states into the rows from `offset` + the block's first on.
    pub(super) fn store_states(&self, network: &Network, states: &mut States<R>, offset: usize) {
        for stack in 0..self.stacks.len() {
            self.store_rows(&mut states.h, stack, offset, self.final_h(network, stack));
            if let Some(c) = &mut states.c {
                self.store_rows(c, stack, offset, self.final_of(network, stack, &self.stacks[stack].c));
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
    pub(super) fn store_sequence(&self, to: &mut Array3<R>, from: &[R]) {
        let size = to.shape()[2];
        let mut from = from.chunks_exact(size);
        for t in 0..self.mask.steps.min(to.shape()[0]) {
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
    pub(super) fn bytes(&self) -> usize {
        let stacks = self.stacks.iter().map(|state| {
            let StackState { gates, h, c, dh, dc, bias_sum, factors, masked, .. } = state;
            [gates, h, c, dh, dc, bias_sum, factors, masked].map(Vec::len).iter().sum::<usize>()
        });
        let own = [&self.x, &self.d_output, &self.d_below, &self.head.features, &self.head.logits, &self.head.bias_sum];
        let numbers = stacks.sum::<usize>()
            + self.outputs.iter().map(Vec::len).sum::<usize>()
            + own.map(Vec::len).iter().sum::<usize>();
        numbers * size_of::<R>() + self.tokens.len() * size_of::<u32>() + self.squares.len() * size_of::<f64>()
    }
}
