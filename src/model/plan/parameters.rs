//! The parameters on the device: one block with aligned tensors and rows padded to whole vec4.

use super::{ALIGNMENT, vec4s};
use crate::model::{Cell, Model, Role, Tensor};

/// An axis of a parameter, as blocks of `size` elements padded to `padded`: gates, or the directions of the layer
/// below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Blocks {
    count: usize,
    size: usize,
    padded: usize,
    /// The blocks of W_ih and b_ih are stored in the order of the cell's sums, so that the product with them makes
    /// contiguous sums.
    cell: Option<Cell>,
}

impl Blocks {
    fn new(count: usize, size: usize) -> Self {
        Self { count, size, padded: 4 * vec4s(size), cell: None }
    }

    fn one() -> Self {
        Self { count: 1, size: 1, padded: 1, cell: None }
    }

    fn padded_len(&self) -> usize {
        self.count * self.padded
    }

    /// The index on the device at which a block begins.
    fn place(&self, block: usize) -> usize {
        self.cell.map_or(block, |cell| cell.definition().sum_of_input(block)) * self.padded
    }

    /// Pairs of (index in PyTorch's axis, index on the device).
    fn pairs(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.count)
            .flat_map(move |block| (0..self.size).map(move |i| (block * self.size + i, self.place(block) + i)))
    }

    /// Runs of at most `most` indices that are consecutive on both sides, in PyTorch's order: the length, and the first
    /// index on the device.
    fn runs(self, most: usize) -> impl Iterator<Item = (usize, usize)> {
        (0..self.count).flat_map(move |block| {
            (0..self.size).step_by(most).map(move |first| (most.min(self.size - first), self.place(block) + first))
        })
    }
}

/// A parameter on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceTensor {
    pub(crate) role: Role,
    /// The index of the first element in the block; aligned.
    pub(crate) offset: usize,
    rows: Blocks,
    columns: Blocks,
}

impl DeviceTensor {
    fn len(&self) -> usize {
        self.rows.padded_len() * self.columns.padded_len()
    }

    /// The offset in bytes from the beginning of the block, and the size in bytes.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (4 * self.offset as u64, 4 * self.len() as u64)
    }

    /// The number of rows, including padding.
    pub(crate) fn rows(&self) -> usize {
        self.rows.padded_len()
    }

    /// The leading dimension in vec4.
    pub(crate) fn ld(&self) -> usize {
        self.columns.padded_len() / 4
    }
}

/// The position of each parameter on the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParameterPlan {
    tensors: Vec<DeviceTensor>,
    /// The number of elements in the block.
    pub(crate) len: usize,
    /// Whether the embedding is also the head's weight.
    tied: bool,
}

impl ParameterPlan {
    /// Biases exist even if the model has none: they are zero, have no gradient and stay zero.
    pub(crate) fn new(model: &Model) -> Self {
        let r = &model.recurrent;
        let gates = Blocks::new(r.cell.recurrent_gates(), r.hidden_size);
        let input_gates = Blocks { cell: Some(r.cell), ..Blocks::new(r.cell.input_gates(), r.hidden_size) };
        let mut plan = Self { tensors: Vec::new(), len: 0, tied: model.is_tied() };
        let output = Blocks::new(r.directions(), r.state_size());
        // A tied embedding is stored as the head reads it.
        let input = if model.is_tied() { output } else { Blocks::new(1, r.input_size) };
        if let Some(embedding) = &model.embedding {
            plan.push(Role::Embedding, Blocks::new(1, embedding.vocabulary), input);
        }
        for layer_direction in 0..r.num_layer_directions() {
            let input = if layer_direction < r.directions() { input } else { output };
            plan.push(Role::WeightIh { layer_direction }, input_gates, input);
            let (units, state) = (Blocks::new(1, r.hidden_size), Blocks::new(1, r.state_size()));
            if gates.count > 0 {
                plan.push(Role::WeightHh { layer_direction }, gates, state);
            }
            plan.push(Role::BiasIh { layer_direction }, Blocks::one(), input_gates);
            if gates.count > 0 {
                plan.push(Role::BiasHh { layer_direction }, Blocks::one(), gates);
            }
            // Behind W_hh and b_hh, so that a step kernel binds them together.
            for index in 0..r.cell.definition().parameters().len() {
                plan.push(Role::CellParameter { layer_direction, index }, Blocks::one(), units);
            }
            if r.proj_size.is_some() {
                plan.push(Role::WeightHr { layer_direction }, state, units);
            }
        }
        if let Some(head) = &model.head {
            if !plan.tied {
                plan.push(Role::HeadWeight, Blocks::new(1, head.outputs), output);
            }
            plan.push(Role::HeadBias, Blocks::one(), Blocks::new(1, head.outputs));
        }
        plan
    }

    fn push(&mut self, role: Role, rows: Blocks, columns: Blocks) {
        let tensor = DeviceTensor { role, offset: self.len, rows, columns };
        self.len += tensor.len().next_multiple_of(ALIGNMENT as usize / 4);
        self.tensors.push(tensor);
    }

    /// The tensor with a role that the model has.
    pub(crate) fn get(&self, role: Role) -> &DeviceTensor {
        let role = if role == Role::HeadWeight && self.tied { Role::Embedding } else { role };
        self.tensors.iter().find(|tensor| tensor.role == role).expect("the plan holds every role of its model")
    }

    pub(crate) fn bytes(&self) -> u64 {
        4 * self.len as u64
    }

    /// The spans of some tensors of the host's layout, in order, in pieces of at most about `most` elements.
    pub(crate) fn spans(&self, tensors: &[Tensor], most: usize) -> impl Iterator<Item = RowSpan> {
        tensors.iter().flat_map(move |tensor| {
            let DeviceTensor { offset, rows, columns, .. } = *self.get(tensor.role);
            let padded = columns.padded_len();
            rows.runs((most / padded).max(1)).map(move |(rows, place)| RowSpan {
                rows,
                columns,
                first: offset + place * padded,
            })
        })
    }
}

/// Consecutive rows of a tensor, on the host and on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowSpan {
    rows: usize,
    columns: Blocks,
    /// The index of the first element in the device's block.
    first: usize,
}

impl RowSpan {
    /// The number of elements on the host.
    pub(crate) fn len(&self) -> usize {
        self.rows * self.columns.count * self.columns.size
    }

    /// The offset in bytes in the device's block, and the size in bytes there.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (4 * self.first as u64, 4 * (self.rows * self.columns.padded_len()) as u64)
    }

    /// Converts PyTorch's rows to the device's layout.
    pub(crate) fn pack(&self, host: &[f32], device: &mut Vec<f32>) {
        device.clear();
        device.resize(self.rows * self.columns.padded_len(), 0.0);
        self.each(|here, there| device[there] = host[here]);
    }

    /// Converts the device's rows to PyTorch's layout and appends them.
    pub(crate) fn unpack(&self, device: &[f32], host: &mut Vec<f32>) {
        let before = host.len();
        host.resize(before + self.len(), 0.0);
        self.each(|here, there| host[before + here] = device[there]);
    }

    fn each(&self, mut pair: impl FnMut(usize, usize)) {
        let columns = self.columns.count * self.columns.size;
        for row in 0..self.rows {
            for (column, device_column) in self.columns.pairs() {
                pair(row * columns + column, row * self.columns.padded_len() + device_column);
            }
        }
    }
}
