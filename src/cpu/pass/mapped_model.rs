//! A model with the positions of its parameters.

use std::ops::Range;

use crate::cells::CellDefinition;
use crate::model::{Head, Layout, Model, Recurrent, Role};

/// A (layer, direction).
#[derive(Debug)]
pub(crate) struct LayerDirection {
    /// 0 forward in time, 1 reverse.
    pub(crate) direction: usize,
    /// The index among the directions of its layer.
    pub(crate) place: usize,
    /// The layer's input size per time step.
    pub(crate) input: usize,
    /// The range of W_ih, \[G·H, input\], in the block of parameters.
    pub(crate) weight_ih: Range<usize>,
    /// The range of W_hh, \[G·H, S\].
    pub(crate) weight_hh: Range<usize>,
    /// The range of W_hr, \[S, H\]; empty if h is not projected.
    pub(crate) weight_hr: Range<usize>,
    /// The ranges of b_ih and b_hh.
    pub(crate) bias_ih: Option<Range<usize>>,
    pub(crate) bias_hh: Option<Range<usize>>,
    /// The range of the cell's own parameters, \[P, H\].
    pub(crate) parameters: Range<usize>,
}

impl LayerDirection {
    /// The numbers of the weights that each time step multiplies by.
    pub(crate) fn step_weights(&self) -> usize {
        self.weight_hh.len() + self.weight_hr.len()
    }
}

/// A model, with the lookups of a pass.
#[derive(Debug)]
pub(crate) struct MappedModel {
    /// The range of the embedding, \[V, I\].
    pub(crate) embedding: Option<Range<usize>>,
    pub(crate) recurrent: Recurrent,
    pub(crate) cell: &'static dyn CellDefinition,
    pub(crate) head: Option<Head>,
    pub(crate) layer_directions: Vec<LayerDirection>,
    /// The ranges of W_hy and b_y.
    pub(crate) head_weights: Option<(Range<usize>, Range<usize>)>,
}

impl MappedModel {
    pub(crate) fn new(model: &Model, layout: &Layout) -> Self {
        let recurrent = model.recurrent.clone();
        let cell = recurrent.cell.definition();
        let place = |role| layout.find(role).map(|tensor| tensor.range());
        let own_parameters = |layer_direction| {
            let own = |index| place(Role::CellParameter { layer_direction, index });
            let len = cell.parameters().len() * recurrent.hidden_size;
            own(0).map_or(0..0, |first| first.start..first.start + len)
        };
        let layer_direction = |layer_direction| LayerDirection {
            direction: usize::from(recurrent.is_reverse(layer_direction)),
            place: layer_direction % recurrent.directions(),
            input: recurrent.layer_input_size(layer_direction / recurrent.directions()),
            weight_ih: place(Role::WeightIh { layer_direction }).unwrap_or_default(),
            weight_hh: place(Role::WeightHh { layer_direction }).unwrap_or_default(),
            weight_hr: place(Role::WeightHr { layer_direction }).unwrap_or_default(),
            bias_ih: place(Role::BiasIh { layer_direction }),
            bias_hh: place(Role::BiasHh { layer_direction }),
            parameters: own_parameters(layer_direction),
        };
        let layer_directions = (0..recurrent.num_layer_directions()).map(layer_direction).collect();
        let head_weights = place(Role::HeadWeight).zip(place(Role::HeadBias));
        let (embedding, head) = (place(Role::Embedding), model.head.clone());
        Self { embedding, recurrent, cell, head, layer_directions, head_weights }
    }

    /// Whether the embedding is tied to W_hy.
    pub(crate) fn is_tied(&self) -> bool {
        self.head_weights.as_ref().is_some_and(|(weight, _)| self.embedding.as_ref() == Some(weight))
    }

    pub(crate) fn hidden(&self) -> usize {
        self.recurrent.hidden_size
    }

    /// S.
    pub(crate) fn state_size(&self) -> usize {
        self.recurrent.state_size()
    }

    /// Numbers per row that are projected to h: H, or 0 without a projection.
    pub(crate) fn projected(&self) -> usize {
        self.recurrent.proj_size.map_or(0, |_| self.hidden())
    }

    /// Rows per block in a batch of `rows`: few, so that many threads have a block, but more if W_hh does not stay in a
    /// core's own cache between steps and must be loaded for all rows of a block at once. Independent of the number of
    /// threads, so that every sum has the same order everywhere.
    pub(crate) fn block_rows(&self, rows: usize) -> usize {
        let weights = self.cell.recurrent_gates() * self.hidden() * self.state_size();
        let blocks = if weights <= 0x4_0000 { 8 } else { 4 };
        rows.div_ceil(blocks).next_multiple_of(4).min(32)
    }

    /// The number of blocks.
    pub(crate) fn blocks(&self, rows: usize) -> usize {
        rows.div_ceil(self.block_rows(rows))
    }

    /// Numbers that a (layer, direction) keeps per time step and row.
    pub(crate) fn kept(&self) -> usize {
        self.cell.kept() * self.hidden()
    }

    /// Numbers per row for masked h: S with recurrent dropout, otherwise 0.
    pub(crate) fn masked(&self) -> usize {
        if self.recurrent.recurrent_dropout > 0.0 { self.state_size() } else { 0 }
    }

    /// Numbers per row for the cell state: H if the cell has one, otherwise 0.
    pub(crate) fn cell_state(&self) -> usize {
        if self.cell.has_cell_state() { self.hidden() } else { 0 }
    }
}
