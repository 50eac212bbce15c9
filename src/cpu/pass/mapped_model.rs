//! A model with the positions of its parameters.

use std::ops::Range;

use crate::model::{Cell, Head, Layout, Model, Recurrent, Role};

/// Gates that are contiguous both among the numbers kept per unit and among the rows of a weight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GateSpan {
    /// The first gate among those kept.
    pub(crate) kept: usize,
    /// The first gate in PyTorch's order, which is that of the weight's rows.
    pub(crate) weight: usize,
    /// The number of gates.
    pub(crate) gates: usize,
}

/// Numbers kept per unit in the forward pass, later overwritten by their gradients.
pub(crate) fn kept(cell: Cell) -> usize {
    match cell {
        Cell::Rnn(_) => 1,
        Cell::Lstm | Cell::Gru => 4,
    }
}

/// The kept gates that W_ih and b_ih affect. The GRU keeps n, r, z, hn: see
/// [`gru_step`](crate::cpu::kernels::gru_step).
pub(crate) fn input_spans(cell: Cell) -> &'static [GateSpan] {
    match cell {
        Cell::Rnn(_) => &[GateSpan { kept: 0, weight: 0, gates: 1 }],
        Cell::Lstm => &[GateSpan { kept: 0, weight: 0, gates: 4 }],
        Cell::Gru => &[GateSpan { kept: 1, weight: 0, gates: 2 }, GateSpan { kept: 0, weight: 2, gates: 1 }],
    }
}

/// The kept gates that W_hh and b_hh affect. One span in every cell, so the product of a time step is one product.
pub(crate) fn hidden_span(cell: Cell) -> GateSpan {
    match cell {
        Cell::Rnn(_) => GateSpan { kept: 0, weight: 0, gates: 1 },
        Cell::Lstm => GateSpan { kept: 0, weight: 0, gates: 4 },
        Cell::Gru => GateSpan { kept: 1, weight: 0, gates: 3 },
    }
}

/// A (layer, direction).
#[derive(Debug)]
pub(crate) struct LayerDirection {
    pub(crate) direction: usize,
    /// The layer's input size per time step.
    pub(crate) input: usize,
    /// The range of W_ih, \[G·H, input\], in the block of parameters.
    pub(crate) weight_ih: Range<usize>,
    /// The range of W_hh, \[G·H, H\].
    pub(crate) weight_hh: Range<usize>,
    /// The ranges of b_ih and b_hh.
    pub(crate) bias: Option<(Range<usize>, Range<usize>)>,
}

/// A model, with the lookups of a pass.
#[derive(Debug)]
pub(crate) struct MappedModel {
    /// The range of the embedding, \[V, I\].
    pub(crate) embedding: Option<Range<usize>>,
    pub(crate) recurrent: Recurrent,
    pub(crate) head: Option<Head>,
    pub(crate) layer_directions: Vec<LayerDirection>,
    /// The ranges of W_hy and b_y.
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

    /// Whether the embedding is tied to W_hy.
    pub(crate) fn is_tied(&self) -> bool {
        self.head_weights.as_ref().is_some_and(|(weight, _)| self.embedding.as_ref() == Some(weight))
    }

    pub(crate) fn hidden(&self) -> usize {
        self.recurrent.hidden_size
    }

    /// Rows per block in a batch of `rows`: few, so that many threads have a block, but more if W_hh does not stay in a
    /// core's own cache between steps and must be loaded for all rows of a block at once. Independent of the number of
    /// threads, so that every sum has the same order everywhere.
    pub(crate) fn block_rows(&self, rows: usize) -> usize {
        let weights = self.recurrent.cell.gates() * self.hidden() * self.hidden();
        let blocks = if weights <= 0x4_0000 { 8 } else { 4 };
        rows.div_ceil(blocks).next_multiple_of(4).min(32)
    }

    /// The number of blocks.
    pub(crate) fn blocks(&self, rows: usize) -> usize {
        rows.div_ceil(self.block_rows(rows))
    }

    /// Numbers that a (layer, direction) keeps per time step and row.
    pub(crate) fn kept(&self) -> usize {
        kept(self.recurrent.cell) * self.hidden()
    }

    /// Numbers per row for masked h: H with recurrent dropout, otherwise 0.
    pub(crate) fn masked(&self) -> usize {
        if self.recurrent.recurrent_dropout > 0.0 { self.hidden() } else { 0 }
    }

    /// Numbers per row for the cell state: H if the cell has one, otherwise 0.
    pub(crate) fn cell_state(&self) -> usize {
        if self.recurrent.cell.has_cell_state() { self.hidden() } else { 0 }
    }
}
