//! Where the parameters of each (layer, direction) lie.

use std::ops::Range;

use crate::model::{Cell, Head, Layout, Model, Recurrent, Role};

/// Gates that lie side by side both among the numbers kept for a unit and among the rows of a weight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GateSpan {
    /// The first gate among those kept.
    pub(crate) kept: usize,
    /// The first gate in PyTorch's order, that of the weight's rows.
    pub(crate) weight: usize,
    /// How many.
    pub(crate) gates: usize,
}

/// How many numbers a unit keeps forward, to be overwritten by their gradients backward.
pub(crate) fn kept(cell: Cell) -> usize {
    match cell {
        Cell::Rnn(_) => 1,
        Cell::Lstm | Cell::Gru => 4,
    }
}

/// Which kept gates W_ih and b_ih reach. The GRU keeps n, r, z, hn: see [`gru_step`](crate::cpu::kernels::gru_step).
pub(crate) fn input_spans(cell: Cell) -> &'static [GateSpan] {
    match cell {
        Cell::Rnn(_) => &[GateSpan { kept: 0, weight: 0, gates: 1 }],
        Cell::Lstm => &[GateSpan { kept: 0, weight: 0, gates: 4 }],
        Cell::Gru => &[GateSpan { kept: 1, weight: 0, gates: 2 }, GateSpan { kept: 0, weight: 2, gates: 1 }],
    }
}

/// Which kept gates W_hh and b_hh reach: one span in every cell, so the product of each time step is one product.
pub(crate) fn hidden_span(cell: Cell) -> GateSpan {
    match cell {
        Cell::Rnn(_) => GateSpan { kept: 0, weight: 0, gates: 1 },
        Cell::Lstm => GateSpan { kept: 0, weight: 0, gates: 4 },
        Cell::Gru => GateSpan { kept: 1, weight: 0, gates: 3 },
    }
}

/// One (layer, direction).
#[derive(Debug)]
pub(crate) struct LayerDirection {
    pub(crate) direction: usize,
    /// What the layer reads a time step.
    pub(crate) input: usize,
    /// The place of W_ih, \[G·H, input\], in the block of parameters.
    pub(crate) weight_ih: Range<usize>,
    /// The place of W_hh, \[G·H, H\].
    pub(crate) weight_hh: Range<usize>,
    /// The places of b_ih and b_hh.
    pub(crate) bias: Option<(Range<usize>, Range<usize>)>,
}

/// A model, with what the pass over it looks up.
#[derive(Debug)]
pub(crate) struct MappedModel {
    /// The place of the embedding's vectors, \[V, I\].
    pub(crate) embedding: Option<Range<usize>>,
    pub(crate) recurrent: Recurrent,
    pub(crate) head: Option<Head>,
    pub(crate) layer_directions: Vec<LayerDirection>,
    /// The places of W_hy and b_y.
    pub(crate) head_weights: Option<(Range<usize>, Range<usize>)>,
}

impl MappedModel {
    pub(crate) fn new(model: &Model, layout: &Layout) -> Self {
        let recurrent = model.recurrent.clone();
        let place = |role| layout.find(role).map(|tensor| tensor.range());
        let layer_direction = |layer_direction| LayerDirection {
            direction: layer_direction % recurrent.directions(),
            input: recurrent.layer_input_size(layer_direction / recurrent.directions()),
            weight_ih: place(Role::WeightIh { layer_direction }).unwrap_or_default(),
            weight_hh: place(Role::WeightHh { layer_direction }).unwrap_or_default(),
            bias: place(Role::BiasIh { layer_direction }).zip(place(Role::BiasHh { layer_direction })),
        };
        let layer_directions = (0..recurrent.num_layer_directions()).map(layer_direction).collect();
        let head_weights = place(Role::HeadWeight).zip(place(Role::HeadBias));
        Self { embedding: place(Role::Embedding), recurrent, head: model.head.clone(), layer_directions, head_weights }
    }

    /// Whether the embedding's vectors are W_hy.
    pub(crate) fn is_tied(&self) -> bool {
        self.head_weights.as_ref().is_some_and(|(weight, _)| self.embedding.as_ref() == Some(weight))
    }

    pub(crate) fn hidden(&self) -> usize {
        self.recurrent.hidden_size
    }

    /// Rows in a block of a batch of `rows`: few, so that there is a block for many a thread, but more where W_hh does
    /// not stay in a core's own cache from step to step, and is fetched for all rows of a block at once. Never a matter
    /// of threads: so the order of every sum is the same everywhere.
    pub(crate) fn block_rows(&self, rows: usize) -> usize {
        let weights = self.recurrent.cell.gates() * self.hidden() * self.hidden();
        let blocks = if weights <= 0x4_0000 { 8 } else { 4 };
        rows.div_ceil(blocks).next_multiple_of(4).min(32)
    }

    /// How many blocks that makes.
    pub(crate) fn blocks(&self, rows: usize) -> usize {
        rows.div_ceil(self.block_rows(rows))
    }

    /// The numbers that a (layer, direction) keeps of a time step of a row.
    pub(crate) fn kept(&self) -> usize {
        kept(self.recurrent.cell) * self.hidden()
    }

    /// The numbers of a row's h that recurrent dropout needs beside it: H, or 0 where the network has none.
    pub(crate) fn masked(&self) -> usize {
        if self.recurrent.recurrent_dropout > 0.0 { self.hidden() } else { 0 }
    }

    /// The numbers of a row's cell state: H, or 0 where the cell has none.
    pub(crate) fn cell_state(&self) -> usize {
        if self.recurrent.cell.has_cell_state() { self.hidden() } else { 0 }
    }
}
