//! The parameters as the device holds them: one block, each tensor at an aligned offset, rows rounded up to whole vec4.

use super::{ALIGNMENT, vec4s};
use crate::model::{Cell, Layout, Model, Role};

/// An axis of a parameter as blocks of `size` that take `padded` each: gates, or the directions of the layer below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Blocks {
    count: usize,
    size: usize,
    padded: usize,
    /// Whether the last block stands first: the GRU's W_ih and b_ih are kept in the order n, r, z.
    last_first: bool,
}

impl Blocks {
    fn new(count: usize, size: usize) -> Self {
        Self { count, size, padded: 4 * vec4s(size), last_first: false }
    }

    fn one() -> Self {
        Self { count: 1, size: 1, padded: 1, last_first: false }
    }

    fn padded_len(&self) -> usize {
        self.count * self.padded
    }

    /// Pairs of (index in PyTorch's axis, index on the device).
    fn pairs(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.count).flat_map(move |block| {
            let place = if self.last_first { (block + 1) % self.count } else { block };
            (0..self.size).map(move |i| (block * self.size + i, place * self.padded + i))
        })
    }
}

/// A parameter on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceTensor {
    pub(crate) role: Role,
    /// The first number's index in the block, aligned.
    pub(crate) offset: usize,
    rows: Blocks,
    columns: Blocks,
}

impl DeviceTensor {
    fn len(&self) -> usize {
        self.rows.padded_len() * self.columns.padded_len()
    }

    /// Bytes from the block's begin, and bytes.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (4 * self.offset as u64, 4 * self.len() as u64)
    }

    /// Rows, with those that fill gates up.
    pub(crate) fn rows(&self) -> usize {
        self.rows.padded_len()
    }

    /// The leading dimension in vec4.
    pub(crate) fn ld(&self) -> usize {
        self.columns.padded_len() / 4
    }
}

/// Where each parameter lies on the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParameterPlan {
    tensors: Vec<DeviceTensor>,
    /// Numbers in the block.
    pub(crate) len: usize,
    /// Whether the embedding is the head's weight too.
    tied: bool,
}

impl ParameterPlan {
    /// Biases are there even where the model has none: then they are zero, get no gradient and stay so.
    pub(crate) fn new(model: &Model) -> Self {
        let r = &model.recurrent;
        let gates = Blocks::new(r.cell.gates(), r.hidden_size);
        let input_gates = Blocks { last_first: r.cell == Cell::Gru, ..gates };
        let mut plan = Self { tensors: Vec::new(), len: 0, tied: model.is_tied() };
        let output = Blocks::new(r.directions(), r.hidden_size);
        // Tied vectors lie as the head reads them.
        let input = if model.is_tied() { output } else { Blocks::new(1, r.input_size) };
        if let Some(embedding) = &model.embedding {
            plan.push(Role::Embedding, Blocks::new(1, embedding.vocabulary), input);
        }
        for stack in 0..r.stacks() {
            let input = if stack < r.directions() { input } else { output };
            plan.push(Role::WeightIh { stack }, input_gates, input);
            plan.push(Role::WeightHh { stack }, gates, Blocks::new(1, r.hidden_size));
            plan.push(Role::BiasIh { stack }, Blocks::one(), input_gates);
            plan.push(Role::BiasHh { stack }, Blocks::one(), gates);
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

    /// The tensor of a role. Every role of the model is there.
    pub(crate) fn get(&self, role: Role) -> &DeviceTensor {
        let role = if role == Role::HeadWeight && self.tied { Role::Embedding } else { role };
        self.tensors.iter().find(|tensor| tensor.role == role).expect("the plan holds every role of its model")
    }

    pub(crate) fn bytes(&self) -> u64 {
        4 * self.len as u64
    }

    /// PyTorch's flat block in the device's layout.
    pub(crate) fn pack(&self, layout: &Layout, block: &[f32]) -> Vec<f32> {
        let mut device = vec![0.0; self.len];
        self.each(layout, |host, there| device[there] = block[host]);
        device
    }

    /// The device's block in PyTorch's flat layout.
    pub(crate) fn unpack(&self, layout: &Layout, device: &[f32]) -> Vec<f32> {
        let mut block = vec![0.0; layout.len()];
        self.each(layout, |host, there| block[host] = device[there]);
        block
    }

    fn each(&self, layout: &Layout, mut pair: impl FnMut(usize, usize)) {
        for tensor in &self.tensors {
            let Some(host) = layout.find(tensor.role) else { continue };
            let columns = tensor.columns.count * tensor.columns.size;
            for (row, device_row) in tensor.rows.pairs() {
                for (column, device_column) in tensor.columns.pairs() {
                    let there = tensor.offset + device_row * tensor.columns.padded_len() + device_column;
                    pair(host.offset + row * columns + column, there);
                }
            }
        }
    }
}
