//! A network's weights on the device, and the constants of its kernels.

pub(crate) mod halves;
pub(crate) mod transposed;

use std::ops::Range;

use self::halves::HalfWeights;
use self::transposed::{TransposedWeights, UpdatedCopies};
use crate::engine::{self, EngineOptions};
use crate::error::Result;
use crate::gpu::commands::builder::{Binding, Matrix, allocate};
use crate::gpu::commands::program::GpuCommand;
use crate::gpu::commands::uniforms::LossScale;
use crate::gpu::device::Gpu;
use crate::memory::{Memory, MemoryPart};
use crate::model::plan::{LOSS_SUMS, ParameterPlan, Storage, TensorSpec, Vec4Sizes};
use crate::model::{Loss, Model, Role};

/// Bytes of the sums of losses, and of the dropout parameters.
pub(crate) const LOSS: u64 = 4 * LOSS_SUMS as u64;
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
    /// The moving average of the parameters, if there is one.
    pub(crate) averaged: Option<wgpu::Buffer>,
    /// Σ w·loss in [`LOSS_SUMS`] parts, which [`loss_sum`] adds.
    pub(crate) loss: wgpu::Buffer,
    /// The dropout parameters of the current pass.
    pub(crate) dropout_params: wgpu::Buffer,
    /// If the device reads W_hh transposed.
    pub(crate) packed: Option<TransposedWeights>,
    /// If the recurrent steps read W_hh in halves.
    pub(crate) halves: Option<HalfWeights>,
    /// The scale of gradients in halves, as `LossScale`.
    pub(crate) loss_scale: Option<wgpu::Buffer>,
}

/// The scale of gradients in halves, and its bytes. They are divided by Σ w only by the update: in units of the loss of one
/// prediction this leaves room for gradients of 255, and for 2⁻³² before one becomes 0.
const LOSS_SCALE: engine::LossScale = engine::LossScale { exponent: 8, good_updates: 0 };
pub(crate) const LOSS_SCALE_BYTES: u64 = 16;

/// Parameters that a step kernel reads in one binding.
pub(crate) struct StepParameters {
    pub(crate) binding: Binding,
    /// The first vec4 of the cell's own parameters, and vec4 from one of them to the next.
    pub(crate) first: u32,
    pub(crate) ld: u32,
}

/// Σ w·loss from its parts on the device, in the order of the kernel `norm`: four by four, then in a tree.
pub(crate) fn loss_sum(parts: &[f32]) -> f64 {
    let mut sums: Vec<f32> = parts.as_chunks().0.iter().map(|[x, y, z, w]| (x + y) + (z + w)).collect();
    while sums.len() > 1 {
        let upper = sums.split_off(sums.len() / 2);
        sums.iter_mut().zip(upper).for_each(|(sum, upper)| *sum += upper);
    }
    sums[0].into()
}

impl DeviceWeights {
    pub(crate) fn new(gpu: &Gpu, model: &Model, options: &EngineOptions) -> Result<Self> {
        let plan = ParameterPlan::new(model);
        let block = |name: String| allocate(gpu, &block(&plan, name));
        let optimizer_state = options.optimizer.map_or(0, |rule| rule.state_blocks());
        let parameters = block("parameters".into())?;
        let sizes = Vec4Sizes::new(model, options.precision);
        let (has_w_hh, halves) = (sizes.recurrent4 > 0, !sizes.storage.is_full());
        let packed = (has_w_hh && gpu.limits().packs_weights())
            .then(|| TransposedWeights::new(gpu, model, &plan, &parameters, sizes.storage))
            .transpose()?;
        let half_weights =
            (has_w_hh && halves).then(|| HalfWeights::new(gpu, model, &plan, &parameters)).transpose()?;
        let loss_scale = halves.then(|| loss_scale(gpu)).transpose()?;
        Ok(Self {
            model: model.clone(),
            sizes,
            parameters,
            gradients: block("gradients".into())?,
            optimizer_state: (0..optimizer_state)
                .map(|index| block(format!("optimizer state {index}")))
                .collect::<Result<_>>()?,
            averaged: options.ema_decay.map(|_| block("averaged parameters".into())).transpose()?,
            loss: allocate(gpu, &TensorSpec { name: "loss".into(), bytes: LOSS })?,
            dropout_params: allocate(gpu, &TensorSpec { name: "dropout_params".into(), bytes: DROPOUT_PARAMS })?,
            packed,
            halves: half_weights,
            loss_scale,
            plan,
        })
    }

    /// The transposed copies of what lies within these vec4 of the parameters, if there are any.
    pub(crate) fn copies_within(&self, vec4s: &Range<usize>) -> Option<UpdatedCopies<'_>> {
        self.packed.as_ref().and_then(|packed| packed.within(vec4s))
    }

    pub(crate) fn memory(&self) -> Memory {
        let mut memory = Memory::default();
        memory.add(
            MemoryPart::Weights,
            self.parameters.size()
                + self.packed.as_ref().map_or(0, TransposedWeights::bytes)
                + self.halves.as_ref().map_or(0, HalfWeights::bytes),
        );
        memory.add(MemoryPart::Gradients, self.gradients.size());
        let kept = self.optimizer_state.iter().chain(&self.averaged);
        memory.add(MemoryPart::Optimizer, kept.map(wgpu::Buffer::size).sum());
        let scale = self.loss_scale.as_ref().map_or(0, wgpu::Buffer::size);
        memory.add(MemoryPart::Workspace, self.loss.size() + self.dropout_params.size() + scale);
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
        Matrix {
            binding: Binding { buffer: block.clone(), offset, bytes },
            first: 0,
            ld: tensor.ld(),
            storage: Storage::Full,
        }
    }

    /// The vectors of forward steps: b_hh, and the cell's own parameters.
    pub(crate) fn step_vectors(&self, layer_direction: usize) -> Option<StepParameters> {
        self.step_parameters(layer_direction, Role::BiasHh { layer_direction })
    }

    /// W_hh as forward steps read it.
    pub(crate) fn forward_weights(&self, layer_direction: usize) -> Binding {
        match (&self.packed, &self.halves) {
            (Some(packed), _) => packed.weight(layer_direction),
            (None, Some(halves)) => halves.weight(layer_direction),
            (None, None) => self.parameter(Role::WeightHh { layer_direction }).binding,
        }
    }

    /// The commands that bring the copies of W_hh up to date.
    pub(crate) fn copy_commands(&self) -> Vec<GpuCommand> {
        let transposed = self.packed.iter().flat_map(TransposedWeights::commands);
        transposed.chain(self.halves.iter().flat_map(HalfWeights::commands)).cloned().collect()
    }

    /// W_hh and the cell's own parameters behind it, as backward steps read them.
    pub(crate) fn step_weights(&self, layer_direction: usize) -> Option<StepParameters> {
        if let Some(halves) = &self.halves {
            let (first, ld) = HalfWeights::own_parameters(&self.model, &self.plan, layer_direction);
            return Some(StepParameters { binding: halves.weight(layer_direction), first, ld });
        }
        self.step_parameters(layer_direction, Role::WeightHh { layer_direction })
    }

    /// From `first`, if the cell has W_hh, to the last of the cell's own parameters, if it has any.
    fn step_parameters(&self, layer_direction: usize, first: Role) -> Option<StepParameters> {
        let cell = self.model.recurrent.cell.definition();
        let own = (0..cell.parameters().len()).map(|index| Role::CellParameter { layer_direction, index });
        let recurrent = (cell.recurrent_gates() > 0).then_some(first);
        let spans: Vec<(u64, u64)> = recurrent.into_iter().chain(own).map(|role| self.plan.get(role).bytes()).collect();
        let (&(offset, _), &(last, bytes)) = spans.first().zip(spans.last())?;
        let own = &spans[usize::from(recurrent.is_some())..];
        let vec4s = |from: u64, to: u64| ((to - from) / 16) as u32;
        Some(StepParameters {
            binding: Binding { buffer: self.parameters.clone(), offset, bytes: last + bytes - offset },
            first: own.first().map_or(0, |(at, _)| vec4s(offset, *at)),
            ld: own.get(1).map_or(0, |(second, _)| vec4s(own[0].0, *second)),
        })
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
            Some(Loss::Gaussian) => 6.0,
            Some(Loss::StudentT) => 7.0,
            Some(Loss::NegativeBinomial) => 8.0,
        }
    }
}

/// The buffer of the loss scale, at its initial value.
fn loss_scale(gpu: &Gpu) -> Result<wgpu::Buffer> {
    use wgpu::BufferUsages as Usage;
    let usage = Usage::UNIFORM | Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
    let buffer = gpu.buffer("loss scale", LOSS_SCALE_BYTES, usage)?;
    gpu.queue().write_buffer(&buffer, 0, bytemuck::bytes_of(&LossScale::from(LOSS_SCALE)));
    Ok(buffer)
}

impl From<engine::LossScale> for LossScale {
    fn from(engine::LossScale { exponent, good_updates: good }: engine::LossScale) -> Self {
        // A state of a caller may hold any number.
        let factor = 2.0f32.powi(exponent.clamp(-24, 24));
        Self { factor, inverse: 1.0 / factor, good }
    }
}

impl From<LossScale> for engine::LossScale {
    fn from(LossScale { factor, good, .. }: LossScale) -> Self {
        Self { exponent: factor.log2().round() as i32, good_updates: good }
    }
}
