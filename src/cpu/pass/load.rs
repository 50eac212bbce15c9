//! The input and output of a block: rows of a batch, states and gradients.

use std::ops::Range;

use ndarray::{Array3, ArrayViewMut1, ArrayViewMut3, s};

use super::block::{ChunkPlan, LayerState, RowBlock};
use super::buffer_sizes::{BlockShape, BufferSizes};
use super::mapped_model::MappedModel;
use crate::allocate;
use crate::batch::{Input, OutputGradient, Sequence, States};
use crate::cpu::kernels::dropout;
use crate::dropout::DropoutParams;
use crate::error::Result;
use crate::real::Real;

/// The initial states.
#[derive(Clone, Copy)]
pub(crate) enum InitialState<'a, S, R> {
    /// Zero.
    Zero,
    /// The sequence's initial states.
    Given(&'a States<S>),
    /// The carried states, with the row that the batch starts at.
    Carried(&'a States<R>, usize),
}

/// Resizes without freeing memory.
pub(crate) fn fit<T: Clone + Default>(buffer: &mut Vec<T>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
}

impl<R: Real> RowBlock<R> {
    /// Loads the block's rows, from `first_row` on, and resizes the buffers for their pass.
    pub(crate) fn load<S: Real>(
        &mut self,
        model: &MappedModel,
        sequence: &Sequence<S>,
        start: InitialState<'_, S, R>,
        draw: Option<DropoutParams>,
        plan: ChunkPlan,
    ) {
        let first_row = self.first_row;
        self.load_mask(model, sequence);
        self.make_room(&Self::sizes(model, sequence, (self.mask.steps, self.mask.rows), plan));
        self.load_input(model, sequence);
        self.chunk = plan.chunk;
        self.head.loss = 0.0;
        self.draw = draw.map(|draw| draw.at_row(first_row));
        let draw = self.draw.filter(|draw| draw.recurrent.drops());
        for (layer_direction, state) in self.layer_directions.iter_mut().enumerate() {
            state.drops = draw.is_some();
            if let Some(draw) = &draw {
                let factors = &mut state.factors[..self.mask.rows * model.state_size()];
                dropout::recurrent(draw, layer_direction, factors, model.state_size());
            }
        }
        for layer_direction in 0..model.layer_directions.len() {
            match start {
                InitialState::Zero => self.start_at_zero(model, layer_direction),
                InitialState::Given(states) => self.start_from(model, layer_direction, states, first_row),
                InitialState::Carried(states, offset) => {
                    self.start_from(model, layer_direction, states, offset + first_row)
                }
            }
        }
    }

    /// Reserves the memory of a pass over the rows from `first_row` on; [`load`](Self::load) then allocates nothing.
    ///
    /// # Errors
    /// [`Error::NoMemory`](crate::Error::NoMemory) with the name of the buffer.
    pub(crate) fn reserve<S: Real>(
        &mut self,
        model: &MappedModel,
        sequence: &Sequence<S>,
        plan: ChunkPlan,
    ) -> Result<()> {
        let rows = model.block_rows(sequence.shape().1).min(sequence.shape().1 - self.first_row);
        let steps = (self.first_row..self.first_row + rows).map(|row| sequence.length(row)).max().unwrap_or_default();
        let sizes = Self::sizes(model, sequence, (steps, rows), plan);
        let more =
            |buffer: &mut Vec<R>, len: usize, what| allocate::reserve(buffer, len.saturating_sub(buffer.len()), what);
        self.layer_directions.resize_with(model.layer_directions.len(), LayerState::default);
        for state in &mut self.layer_directions {
            more(&mut state.gates, sizes.gates, "the gates of every step")?;
            for (buffer, len) in [(&mut state.h, sizes.h), (&mut state.c, sizes.c), (&mut state.m, sizes.m)] {
                more(buffer, len, "the states of every step")?;
            }
            more(&mut state.projected_dh, sizes.projected_dh, "the gradients of the states of every step")?;
            for (buffer, len) in [(&mut state.border_h, sizes.border_h), (&mut state.border_c, sizes.border_c)] {
                more(buffer, len, "the states between chunks")?;
            }
        }
        self.outputs.resize_with(model.recurrent.layers, Vec::new);
        for (buffer, len) in self
            .outputs
            .iter_mut()
            .map(|output| (output, sizes.output))
            .chain([(&mut self.d_output, sizes.d_output), (&mut self.d_below, sizes.d_below)])
        {
            more(buffer, len, "what the layers hand on at every step")?;
        }
        more(&mut self.x, sizes.x, "x")?;
        more(&mut self.d_input, sizes.d_input, "the gradient of x")?;
        more(&mut self.head.logits, sizes.logits, "the logits")?;
        self.tokens.clear();
        allocate::reserve(&mut self.tokens, sizes.tokens, "the tokens")?;
        self.mask.keeps.clear();
        allocate::reserve(&mut self.mask.keeps, sizes.keeps, "where states are kept")
    }

    fn sizes<S: Real>(
        model: &MappedModel,
        sequence: &Sequence<S>,
        shape: (usize, usize),
        plan: ChunkPlan,
    ) -> BufferSizes {
        let ((steps, rows), ChunkPlan { chunk, backward, dx }) = (shape, plan);
        let (dense, resets) = (matches!(sequence.input, Input::Dense(_)), sequence.resets.is_some());
        BufferSizes::new(model, BlockShape { steps, rows, chunk, dense, backward, dx, resets })
    }

    fn load_mask<S: Real>(&mut self, model: &MappedModel, sequence: &Sequence<S>) {
        let first_row = self.first_row;
        let mask = &mut self.mask;
        let rows = sequence.shape().1;
        mask.rows = model.block_rows(rows).min(rows - first_row);
        mask.lengths.clear();
        mask.lengths.extend((0..mask.rows).map(|row| sequence.length(first_row + row)));
        mask.steps = mask.lengths.iter().copied().max().unwrap_or(0);
        mask.keeps.clear();
        if sequence.resets.is_some() {
            for place in 0..model.recurrent.directions() {
                let direction = usize::from(model.recurrent.is_reverse(place));
                for t in 0..mask.steps {
                    // The state is carried through padding, whatever it contains.
                    let lengths = &mask.lengths;
                    let keeps = |row| t >= lengths[row] || sequence.keeps(direction, t, first_row + row);
                    mask.keeps.extend((0..mask.rows).map(keeps));
                }
            }
        }
    }

    fn load_input<S: Real>(&mut self, model: &MappedModel, sequence: &Sequence<S>) {
        let (mask, first_row) = (&self.mask, self.first_row);
        self.tokens.clear();
        self.one_hot = matches!(sequence.input, Input::Tokens(_)) && model.embedding.is_none();
        match &sequence.input {
            Input::Dense(x) => {
                let size = model.recurrent.input_size;
                let mut to = self.x.chunks_exact_mut(size);
                for t in 0..mask.steps {
                    for (row, to) in to.by_ref().take(mask.rows).enumerate() {
                        if mask.active(t, row) {
                            let from = x.slice(s![t, first_row + row, ..]);
                            let mut to = ArrayViewMut1::from(to);
                            to.zip_mut_with(&from, |to, from| *to = R::from_f64(from.as_f64()));
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

    fn make_room(&mut self, sizes: &BufferSizes) {
        for state in &mut self.layer_directions {
            fit(&mut state.gates, sizes.gates);
            fit(&mut state.h, sizes.h);
            fit(&mut state.c, sizes.c);
            fit(&mut state.m, sizes.m);
            fit(&mut state.projected_dh, sizes.projected_dh);
            fit(&mut state.border_h, sizes.border_h);
            fit(&mut state.border_c, sizes.border_c);
            fit(&mut state.dh, sizes.dh);
            fit(&mut state.dc, sizes.dc);
            fit(&mut state.dm, sizes.dm);
            fit(&mut state.bias_sum, sizes.bias_sum);
            fit(&mut state.factors, sizes.masked);
            fit(&mut state.masked, sizes.masked);
            fit(&mut state.shares, sizes.shares);
        }
        self.outputs.iter_mut().for_each(|output| fit(output, sizes.output));
        fit(&mut self.x, sizes.x);
        fit(&mut self.d_output, sizes.d_output);
        fit(&mut self.d_below, sizes.d_below);
        fit(&mut self.d_input, sizes.d_input);
        fit(&mut self.head.features, sizes.features);
        fit(&mut self.head.d_features, sizes.d_features);
        fit(&mut self.head.logits, sizes.logits);
        fit(&mut self.head.bias_sum, sizes.head_bias_sum);
    }

    /// Loads the gradient of the layers' output in the current chunk. Padding is never read.
    pub(crate) fn load_gradient(&mut self, model: &MappedModel, gradient: &OutputGradient<R>) {
        let (rows, first_row) = (self.mask.rows, self.first_row);
        if let Some(d_output) = &gradient.output {
            let mut to = self.d_output.chunks_exact_mut(model.recurrent.output_size());
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
        for (layer_direction, state) in self.layer_directions.iter_mut().enumerate() {
            for (to, from) in [(&mut state.dh, &gradient.h_n), (&mut state.dc, &gradient.c_n)] {
                to.fill(R::zero());
                if let Some(from) = from {
                    let from = from.slice(s![layer_direction, first_row..first_row + rows, ..]);
                    to.iter_mut().zip(&from).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }

    fn start_at_zero(&mut self, model: &MappedModel, layer_direction: usize) {
        let (rows, state) = (self.mask.rows, &mut self.layer_directions[layer_direction]);
        for (borders, size) in [(&mut state.border_h, model.state_size()), (&mut state.border_c, model.cell_state())] {
            borders[..rows * size].fill(R::zero());
        }
    }

    fn start_from<S: Real>(
        &mut self,
        model: &MappedModel,
        layer_direction: usize,
        states: &States<S>,
        first_row: usize,
    ) {
        let rows = self.mask.rows;
        let state = &mut self.layer_directions[layer_direction];
        let [of_h, of_c] = [model.state_size(), model.cell_state()].map(|size| rows * size);
        let kinds = [(&mut state.border_h, of_h, Some(&states.h)), (&mut state.border_c, of_c, states.c.as_ref())];
        for (borders, size, from) in kinds {
            let Some(from) = from else { continue };
            let from = from.slice(s![layer_direction, first_row..first_row + rows, ..]);
            let to = &mut borders[..size];
            to.iter_mut().zip(&from).for_each(|(to, from)| *to = R::from_f64(from.as_f64()));
        }
    }

    /// Writes the final states to the block's rows, shifted by `offset`.
    pub(crate) fn store_states(&self, model: &MappedModel, states: &mut States<R>, offset: usize) {
        for layer_direction in 0..self.layer_directions.len() {
            self.store_rows(&mut states.h, layer_direction, offset, self.final_h(model, layer_direction));
            if let Some(c) = &mut states.c {
                self.store_rows(c, layer_direction, offset, self.final_c(model, layer_direction));
            }
        }
    }

    /// Writes dh_0 and dc_0.
    pub(crate) fn store_initial_gradient(&self, states: &mut States<R>) {
        for (layer_direction, state) in self.layer_directions.iter().enumerate() {
            self.store_rows(&mut states.h, layer_direction, 0, &state.dh);
            if let Some(c) = &mut states.c {
                self.store_rows(c, layer_direction, 0, &state.dc);
            }
        }
    }

    fn store_rows(&self, to: &mut Array3<R>, layer_direction: usize, offset: usize, from: &[R]) {
        let first = offset + self.first_row;
        let mut to = to.slice_mut(s![layer_direction, first..first + self.mask.rows, ..]);
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }

    /// Writes `from`, \[steps, rows, ·\], to the block's rows of \[T, B, ·\], leaving padding unchanged.
    pub(crate) fn store_sequence(&self, to: &mut ArrayViewMut3<'_, R>, steps: Range<usize>, from: &[R]) {
        let size = to.shape()[2];
        let mut from = from.chunks_exact(size);
        for t in steps {
            for (row, from) in from.by_ref().take(self.mask.rows).enumerate() {
                // A single prediction per row is never padding.
                if self.mask.active(t, row) {
                    let mut to = to.slice_mut(s![t, self.first_row + row, ..]);
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }
}
