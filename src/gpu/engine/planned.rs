//! The planned memory of a GPU engine.

use super::{average, updater};
use crate::engine::EngineOptions;
use crate::engine::parameter_groups::update_ranges;
use crate::error::Result;
use crate::gpu::commands::recorder::UPLOADS;
use crate::gpu::device::Gpu;
use crate::gpu::pass::PASSES;
use crate::gpu::weights::halves::HalfWeights;
use crate::gpu::weights::transposed::TransposedWeights;
use crate::gpu::weights::{DROPOUT_PARAMS, LOSS, LOSS_SCALE_BYTES, block};
use crate::memory::{BatchShape, Memory, MemoryPart};
use crate::model::plan::{
    Checkpointing, DeviceLimits, ParameterPlan, PassShape, SequencePlan, StepDemand, Storage, Vec4Sizes, carried_states,
};
use crate::model::{Layout, Model, Precision, RecurrentKernel};
use crate::sizes::ON_DEVICE;

/// Bytes of the losses of a step in progress and of a batch being evaluated.
pub(crate) const LOSSES: u64 = 2 * LOSS;

/// The shape of a pass with the given checkpointing if the others recompute.
pub(crate) fn shape(
    options: &EngineOptions,
    batch_shape: BatchShape,
    dx: bool,
    checkpointing: Checkpointing,
) -> PassShape {
    let BatchShape { steps, rows, tokens, resets, .. } = batch_shape;
    let checkpointing = if options.recompute { checkpointing } else { Checkpointing::Everything };
    PassShape {
        steps,
        rows,
        tokens,
        dx: dx && !tokens,
        resets,
        checkpointing,
        custom_loss: false,
        precision: options.precision,
    }
}

/// The memory that does not depend on batches.
fn fixed(limits: &DeviceLimits, model: &Model, parameters: &ParameterPlan, options: &EngineOptions) -> Result<Memory> {
    limits.check(&block(parameters, "parameters"))?;
    let layout = Layout::new(model);
    let ranges = update_ranges(&options.parameter_groups, &layout)?;
    let bytes = parameters.bytes();
    let has_w_hh = model.recurrent.cell.recurrent_gates() > 0;
    let storage = Storage::of(options.precision);
    let mut packed = 0;
    if has_w_hh && limits.packs_weights() {
        packed += TransposedWeights::planned_bytes(model, parameters, storage);
    }
    if has_w_hh && !storage.is_full() {
        packed += HalfWeights::planned_bytes(model, parameters);
    }
    let mut memory = Memory::default();
    memory.add(MemoryPart::Weights, bytes + packed);
    memory.add(MemoryPart::Gradients, bytes);
    if options.ema_decay.is_some() {
        memory.add(MemoryPart::Optimizer, bytes + average::UNIFORM_BYTES);
    }
    if let Some(rule) = options.optimizer {
        memory.add(
            MemoryPart::Optimizer,
            rule.state_blocks() as u64 * bytes + updater::planned_bytes(limits, parameters, &layout, &ranges),
        );
    }
    let scale = if storage.is_full() { 0 } else { LOSS_SCALE_BYTES };
    memory.add(MemoryPart::Workspace, LOSS + DROPOUT_PARAMS + LOSSES + UPLOADS as u64 + scale);
    Ok(memory)
}

/// The number of cached passes besides the current one, for batches of `shapes` shapes.
pub(crate) fn cached_passes(shapes: usize) -> u64 {
    shapes.clamp(1, PASSES) as u64 - 1
}

/// The memory of a new engine after a batch of this shape; with `gradient_norms` including the norms of dh_t.
pub(crate) fn planned(
    limits: &DeviceLimits,
    model: &Model,
    options: &EngineOptions,
    gradient_norms: bool,
    batch_shape: BatchShape,
) -> Result<Memory> {
    model.validate()?;
    options.validate(model)?;
    options.kernel.check(&model.recurrent)?;
    batch_shape.check(model, ON_DEVICE)?;
    let parameters = ParameterPlan::new(model);
    let mut memory = fixed(limits, model, &parameters, options)?;
    let shape = shape(options, batch_shape, options.input_gradient, Checkpointing::Borders);
    let plan = SequencePlan::new(model, &parameters, limits, shape, options.chunk, options.kernel)?;
    memory += plan.planned(model);
    memory.add(MemoryPart::Workspace, if gradient_norms { plan.planned_gradient_norms(model) } else { 0 });
    memory.add(MemoryPart::Workspace, cached_passes(batch_shape.shapes) * plan.planned_further(model, gradient_norms));
    if batch_shape.carried > 0 {
        let carried = carried_states(model, &Vec4Sizes::new(model, options.precision), batch_shape.carried);
        limits.check(&carried)?;
        memory.add(MemoryPart::Carried, carried.bytes);
    }
    Ok(memory)
}

/// What a step of a network over `rows` rows asks of a device, forward and backward.
pub fn step_demand(gpu: &Gpu, model: &Model, rows: usize) -> [StepDemand; 2] {
    let recurrent = &model.recurrent;
    let kernel = RecurrentKernel::Auto.for_network(recurrent);
    gpu.limits().step_demand(rows, &Vec4Sizes::new(model, Precision::F32), recurrent.cell.recurrent_gates(), kernel)
}
