//! A network's weights on the device, and the constants of its kernels.

pub(crate) mod transposed;

use self::transposed::TransposedWeights;
use crate::error::Result;
use crate::gpu::commands::builder::{Binding, Matrix, allocate};
use crate::gpu::device::Gpu;
use crate::gpu::device::kernel::{
    GRU_BACKWARD, GRU_BACKWARD_NORMS, GRU_FORWARD, LSTM_BACKWARD, LSTM_BACKWARD_NORMS, LSTM_FORWARD, RNN_BACKWARD,
    RNN_BACKWARD_NORMS, RNN_FORWARD, ShaderEntry,
};
use crate::memory::{Memory, MemoryPart};
use crate::model::plan::{ParameterPlan, TensorSpec, Vec4Sizes};
use crate::model::{Activation, Cell, Loss, Model, Role};
use crate::optim::OptimizerKind;

/// Bytes of Σ w·loss, and of the dropout parameters.
pub(crate) const LOSS: u64 = 16;
pub(crate) const DROPOUT_PARAMS: u64 = 32;

/// A block of all parameters, or of one optimizer-state or gradient value for each.
pub(crate) fn block(parameters: &ParameterPlan, name: impl Into<String>) -> TensorSpec {
    TensorSpec { name: name.into(), bytes: parameters.bytes() }
}

/// Parameters, gradient sums and optimizer state, each one block in the plan's layout.
#[derive(Debug)]
pub(crate) struct DeviceWeights {
    pub(crate) model: Model,
    pub(crate) plan: ParameterPlan,
    pub(crate) sizes: Vec4Sizes,
    pub(crate) parameters: wgpu::Buffer,
    pub(crate) gradients: wgpu::Buffer,
    pub(crate) optimizer_state: Vec<wgpu::Buffer>,
    /// Σ w·loss, one number.
    pub(crate) loss: wgpu::Buffer,
    /// The dropout parameters of the current pass.
    pub(crate) dropout_params: wgpu::Buffer,
    /// If the device reads W_hh transposed.
    pub(crate) packed: Option<TransposedWeights>,
}

impl DeviceWeights {
    pub(crate) fn new(gpu: &Gpu, model: &Model, rule: Option<OptimizerKind>) -> Result<Self> {
        let plan = ParameterPlan::new(model);
        let block = |name: String| allocate(gpu, &block(&plan, name));
        let optimizer_state = rule.map_or(0, |rule| rule.state_blocks());
        let parameters = block("parameters".into())?;
        let packed = if gpu.limits().packs_weights() {
            Some(TransposedWeights::new(gpu, model, &plan, &parameters)?)
        } else {
            None
        };
        Ok(Self {
            model: model.clone(),
            sizes: Vec4Sizes::new(model),
            parameters,
            gradients: block("gradients".into())?,
            optimizer_state: (0..optimizer_state)
                .map(|index| block(format!("optimizer state {index}")))
                .collect::<Result<_>>()?,
            loss: allocate(gpu, &TensorSpec { name: "loss".into(), bytes: LOSS })?,
            dropout_params: allocate(gpu, &TensorSpec { name: "dropout_params".into(), bytes: DROPOUT_PARAMS })?,
            packed,
            plan,
        })
    }

    pub(crate) fn memory(&self) -> Memory {
        let mut memory = Memory::default();
        memory.add(
            MemoryPart::Weights,
            self.parameters.size() + self.packed.as_ref().map_or(0, TransposedWeights::bytes),
        );
        memory.add(MemoryPart::Gradients, self.gradients.size());
        memory.add(MemoryPart::Optimizer, self.optimizer_state.iter().map(wgpu::Buffer::size).sum());
        memory.add(MemoryPart::Workspace, self.loss.size() + self.dropout_params.size());
        memory
    }

    /// A parameter as a matrix, a bias as one row.
    pub(crate) fn parameter(&self, role: Role) -> Matrix {
        self.view(&self.parameters, role)
    }

    /// The gradient of a parameter.
    pub(crate) fn gradient(&self, role: Role) -> Matrix {
        self.view(&self.gradients, role)
    }

    fn view(&self, block: &wgpu::Buffer, role: Role) -> Matrix {
        let tensor = self.plan.get(role);
        let (offset, bytes) = tensor.bytes();
        Matrix { binding: Binding { buffer: block.clone(), offset, bytes }, first: 0, ld: tensor.ld() }
    }

    /// The cell's forward step kernel.
    pub(crate) fn forward_step(&self) -> ShaderEntry {
        match self.model.recurrent.cell {
            Cell::Rnn(_) => RNN_FORWARD,
            Cell::Lstm => LSTM_FORWARD,
            Cell::Gru => GRU_FORWARD,
        }
    }

    /// The cell's backward step kernel; with `gradient_norms` the one that stores dh_t in place of dy_t.
    pub(crate) fn backward_step(&self, gradient_norms: bool) -> ShaderEntry {
        match (self.model.recurrent.cell, gradient_norms) {
            (Cell::Rnn(_), false) => RNN_BACKWARD,
            (Cell::Rnn(_), true) => RNN_BACKWARD_NORMS,
            (Cell::Lstm, false) => LSTM_BACKWARD,
            (Cell::Lstm, true) => LSTM_BACKWARD_NORMS,
            (Cell::Gru, false) => GRU_BACKWARD,
            (Cell::Gru, true) => GRU_BACKWARD_NORMS,
        }
    }

    /// The number of the vanilla RNN's activation in the shaders.
    pub(crate) fn activation(&self) -> f64 {
        match self.model.recurrent.cell {
            Cell::Rnn(Activation::Relu) => 1.0,
            Cell::Rnn(Activation::Sigmoid) => 2.0,
            Cell::Rnn(Activation::Identity) => 3.0,
            _ => 0.0,
        }
    }

    /// The number of the loss in the shaders.
    pub(crate) fn loss_kind(&self) -> f64 {
        match self.model.head.as_ref().map(|head| &head.loss) {
            None | Some(Loss::SquaredError) => 0.0,
            Some(Loss::BinaryCrossEntropy) => 1.0,
            Some(Loss::CrossEntropy | Loss::SmoothedCrossEntropy { .. }) => 2.0,
            Some(Loss::AbsoluteError) => 3.0,
            Some(Loss::Huber { .. }) => 4.0,
            Some(Loss::Quantile { .. }) => 5.0,
        }
    }

    /// The column in z at which the gradient of the recurrent product begins: the GRU has dn before it.
    pub(crate) fn recurrent_column(&self) -> usize {
        if self.model.recurrent.cell == Cell::Gru { self.sizes.h4 } else { 0 }
    }

    /// G·H in vec4.
    pub(crate) fn gates4(&self) -> usize {
        self.model.recurrent.cell.gates() * self.sizes.h4
    }
}
