//! A network's weights on the device, and the constants that its kernels are made with.

use super::builder::{Binding, Matrix, allocate};
use super::device::Gpu;
use super::kernel::{
    GRU_BACKWARD, GRU_BACKWARD_FLOW, GRU_FORWARD, LSTM_BACKWARD, LSTM_BACKWARD_FLOW, LSTM_FORWARD, RNN_BACKWARD,
    RNN_BACKWARD_FLOW, RNN_FORWARD, Stem,
};
use super::packed::Packed;
use super::planned::{DRAW, LOSS, block};
use crate::error::Result;
use crate::memory::{Memory, MemoryPart};
use crate::model::plan::{ParameterPlan, Sizes, TensorSpec};
use crate::model::{Activation, Cell, Loss, Model, Role};
use crate::optim::Rule;

/// Parameters, gradient sums and the optimizer's slots, each one block in the plan's layout.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) model: Model,
    pub(super) plan: ParameterPlan,
    pub(super) sizes: Sizes,
    pub(super) parameters: wgpu::Buffer,
    pub(super) gradients: wgpu::Buffer,
    pub(super) slots: Vec<wgpu::Buffer>,
    /// Σ w·loss, one number.
    pub(super) loss: wgpu::Buffer,
    /// What dropout draws in the pass under way.
    pub(super) draw: wgpu::Buffer,
    /// Where the device reads W_hh so.
    pub(super) packed: Option<Packed>,
}

impl Network {
    pub(super) fn new(gpu: &Gpu, model: &Model, rule: Option<Rule>) -> Result<Self> {
        let plan = ParameterPlan::new(model);
        let block = |name: String| allocate(gpu, &block(&plan, name));
        let slots = rule.map_or(0, |rule| rule.slots());
        let parameters = block("parameters".into())?;
        let packed = match gpu.limits().packs_weights() {
            true => Some(Packed::new(gpu, model, &plan, &parameters)?),
            false => None,
        };
        Ok(Self {
            model: model.clone(),
            sizes: Sizes::new(model),
            parameters,
            gradients: block("gradients".into())?,
            slots: (0..slots).map(|slot| block(format!("optimizer slot {slot}"))).collect::<Result<_>>()?,
            loss: allocate(gpu, &TensorSpec { name: "loss".into(), bytes: LOSS })?,
            draw: allocate(gpu, &TensorSpec { name: "draw".into(), bytes: DRAW })?,
            packed,
            plan,
        })
    }

    pub(super) fn memory(&self) -> Memory {
        let mut memory = Memory::default();
        memory.add(MemoryPart::Weights, self.parameters.size() + self.packed.as_ref().map_or(0, Packed::bytes));
        memory.add(MemoryPart::Gradients, self.gradients.size());
        memory.add(MemoryPart::Optimizer, self.slots.iter().map(wgpu::Buffer::size).sum());
        memory.add(MemoryPart::Workspace, self.loss.size() + self.draw.size());
        memory
    }

    /// A parameter as a matrix, or a bias as one row.
    pub(super) fn parameter(&self, role: Role) -> Matrix {
        self.view(&self.parameters, role)
    }

    /// Its gradient.
    pub(super) fn gradient(&self, role: Role) -> Matrix {
        self.view(&self.gradients, role)
    }

    fn view(&self, block: &wgpu::Buffer, role: Role) -> Matrix {
        let tensor = self.plan.get(role);
        let (offset, bytes) = tensor.bytes();
        Matrix { binding: Binding { buffer: block.clone(), offset, bytes }, first: 0, ld: tensor.ld() }
    }

    /// The cell's step forward.
    pub(super) fn forward_step(&self) -> Stem {
        match self.model.recurrent.cell {
            Cell::Rnn(_) => RNN_FORWARD,
            Cell::Lstm => LSTM_FORWARD,
            Cell::Gru => GRU_FORWARD,
        }
    }

    /// The cell's step backward; with `flow` the one that leaves dh_t in the place of dy_t.
    pub(super) fn backward_step(&self, flow: bool) -> Stem {
        match (self.model.recurrent.cell, flow) {
            (Cell::Rnn(_), false) => RNN_BACKWARD,
            (Cell::Rnn(_), true) => RNN_BACKWARD_FLOW,
            (Cell::Lstm, false) => LSTM_BACKWARD,
            (Cell::Lstm, true) => LSTM_BACKWARD_FLOW,
            (Cell::Gru, false) => GRU_BACKWARD,
            (Cell::Gru, true) => GRU_BACKWARD_FLOW,
        }
    }

    /// The vanilla RNN's activation as the shaders count them.
    pub(super) fn activation(&self) -> f64 {
        match self.model.recurrent.cell {
            Cell::Rnn(Activation::Relu) => 1.0,
            Cell::Rnn(Activation::Sigmoid) => 2.0,
            Cell::Rnn(Activation::Identity) => 3.0,
            _ => 0.0,
        }
    }

    /// The loss as the shader counts them.
    pub(super) fn loss_kind(&self) -> f64 {
        match self.model.head.as_ref().map(|head| &head.loss) {
            None | Some(Loss::SquaredError) => 0.0,
            Some(Loss::BinaryCrossEntropy) => 1.0,
            Some(Loss::CrossEntropy | Loss::SmoothedCrossEntropy { .. }) => 2.0,
            Some(Loss::AbsoluteError) => 3.0,
            Some(Loss::Huber { .. }) => 4.0,
            Some(Loss::Quantile { .. }) => 5.0,
        }
    }

    /// Where the gradient of the recurrent product begins in a row of z: the GRU keeps dn before it.
    pub(super) fn recurrent_column(&self) -> usize {
        if self.model.recurrent.cell == Cell::Gru { self.sizes.h4 } else { 0 }
    }

    /// G·H in vec4.
    pub(super) fn gates4(&self) -> usize {
        self.model.recurrent.cell.gates() * self.sizes.h4
    }
}
