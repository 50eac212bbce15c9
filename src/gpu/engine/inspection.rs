//! Diagnostics of a GPU engine.

use ndarray::Array2;

use super::GpuEngine;
use super::planned::cached_passes;
use crate::batch::{Batch, Validated};
use crate::engine::passes::Objective;
use crate::engine::{Backend, Compilation, Inspection};
use crate::error::Result;
use crate::gpu::pass::Pass;
use crate::gradient_norms::HiddenGradientNorms;
use crate::memory::{BatchShape, Memory, MemoryPart};
use crate::model::RecurrentKernel;
use crate::model::plan::{Checkpointing, carried_states};
use crate::profile::Profile;
use crate::real::Real;
use crate::sizes::ON_DEVICE;

impl Inspection for GpuEngine {
    fn set_profile(&mut self, on: bool) -> Result<()> {
        self.recorder.set_profile(on);
        Ok(())
    }

    async fn profile(&mut self) -> Result<Profile> {
        self.recorder.profile().await
    }

    fn set_hidden_gradient_norms(&mut self, on: bool) {
        self.gradient_norms = on;
    }

    async fn hidden_gradient_norms(&mut self) -> Result<HiddenGradientNorms> {
        self.last.gradient_norms()?;
        let Some(norms) = self.passes.last().and_then(Pass::norms) else { return Err(HiddenGradientNorms::none()) };
        let pairs = self.read_buffer(norms).await?;
        let plan = &self.pass().plan;
        let shape = (self.weights.model.recurrent.num_layer_directions(), plan.steps);
        let parts = plan.gradient_norm_parts();
        let square = |pair: &[f32]| f64::from(pair[0]).powi(2) * f64::from(pair[1]);
        let norm = |step: &[f32]| step.chunks_exact(2).map(square).sum::<f64>().sqrt();
        let mut steps = pairs.chunks_exact(2 * parts);
        let norms = Array2::from_shape_simple_fn(shape, || steps.next().map_or(f64::NAN, norm));
        Ok(HiddenGradientNorms { norms })
    }

    async fn compile<S: Real>(&mut self, batch: &Batch<S>) -> Result<Compilation> {
        let batch = Validated::batch::<f32>(batch, &self.weights.model)?;
        self.prepare(self.objective_shape(&Objective::Batch(batch)))?;
        self.prepare_gradient_norms()?;
        self.gpu.compile_next().await
    }

    fn kernel(&self, rows: usize) -> Option<RecurrentKernel> {
        self.gpu.planned_kernel(&self.weights.model, &self.options, rows)
    }

    /// Buffers shared by the passes are attributed as in the last pass; the rest of them counts as workspace.
    fn memory(&self) -> Memory {
        let last = self.passes.last().map_or(Memory::default(), |pass| pass.plan.memory);
        let mut memory = self.fixed_memory() + last;
        memory.add(MemoryPart::Workspace, self.passes.iter().map(Pass::own_bytes).sum());
        memory.add(MemoryPart::Workspace, self.arena.bytes().saturating_sub(last.total()));
        memory
    }

    fn plan(&self, batch_shape: BatchShape) -> Result<Memory> {
        batch_shape.check(&self.weights.model, ON_DEVICE)?;
        let shape = self.shape(batch_shape, self.options.input_gradient, Checkpointing::Borders);
        let carried = if batch_shape.carried > 0 && self.carried.is_none() {
            carried_states(&self.weights.model, &self.weights.sizes, batch_shape.carried).bytes
        } else {
            0
        };
        let mut memory = match self.passes.iter().find(|pass| pass.shape == shape) {
            Some(pass) => {
                let mut memory = self.memory();
                memory.add(MemoryPart::Workspace, if self.gradient_norms { pass.gradient_norm_bytes() } else { 0 });
                memory
            }
            None => {
                let plan = self.plan_of(shape)?;
                let planned = plan.planned(&self.weights.model);
                let gradient_norms =
                    if self.gradient_norms { plan.planned_gradient_norms(&self.weights.model) } else { 0 };
                let with_others = self.with_pass(&plan);
                let further = cached_passes(batch_shape.shapes).saturating_sub(self.passes.len() as u64);
                let further = further * plan.planned_further(&self.weights.model, self.gradient_norms);
                // Beyond the budget, the other passes are dropped.
                let alone = self.options.check_memory(with_others.total() + gradient_norms + carried).is_err();
                let mut memory = if alone { self.fixed_memory() + planned } else { with_others };
                memory.add(MemoryPart::Workspace, gradient_norms + further);
                memory
            }
        };
        memory.add(MemoryPart::Carried, carried);
        Ok(memory)
    }
}
