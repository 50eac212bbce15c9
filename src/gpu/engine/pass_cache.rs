//! The cache of passes over recent shapes, within the memory budget.

use super::GpuEngine;
use super::planned::shape;
use super::updater::Updater;
use crate::engine::Inspection;
use crate::error::{Error, Result};
use crate::gpu::commands::program::BufferOffset;
use crate::gpu::pass::{Lists, PASSES, Pass};
use crate::memory::{BatchShape, Memory, MemoryPart};
use crate::model::plan::{Checkpointing, PassShape, SequencePlan, Span, TensorId};

impl GpuEngine {
    /// Prepares the pass for a shape: from the cache, or a new one.
    pub(crate) fn prepare(&mut self, shape: PassShape) -> Result<()> {
        self.recorder.begin_pass();
        self.last.begin();
        let place = match self.passes.iter().position(|pass| pass.shape == shape) {
            Some(place) => place,
            None => {
                if self.passes.len() == PASSES {
                    self.drop_pass();
                }
                let plan = self.plan_of(shape)?;
                self.make_room(&plan)?;
                let pass = match self.make_pass(shape, plan) {
                    // The passes over other shapes may hold the missing memory.
                    Err(Error::OutOfMemory { .. }) => {
                        self.release_all();
                        self.plan_of(shape).and_then(|plan| self.make_pass(shape, plan))
                    }
                    made => made,
                };
                if pass.is_err() {
                    // Some buffers may have been allocated without a pass that uses them.
                    self.release_all();
                }
                self.passes.push(pass?);
                self.passes.len() - 1
            }
        };
        let pass = self.passes.remove(place);
        self.passes.push(pass);
        Ok(())
    }

    fn make_pass(&mut self, shape: PassShape, plan: SequencePlan) -> Result<Pass> {
        let buffers = self.arena.take(&self.gpu, &plan.tensors)?;
        Pass::new(&self.gpu, &self.weights, shape, plan, buffers)
    }

    pub(super) fn plan_of(&self, shape: PassShape) -> Result<SequencePlan> {
        let (limits, options) = (self.gpu.limits(), &self.options);
        let (model, parameters) = (&self.weights.model, &self.weights.plan);
        SequencePlan::new(model, parameters, &limits, shape, options.chunk, options.kernel)
    }

    /// Drops the least recently used pass. Recorded commands would keep its buffers alive.
    pub(crate) fn drop_pass(&mut self) {
        self.recorder.submit();
        self.passes.remove(0);
    }

    /// Prepares the current pass to record the norms of dh_t, if requested.
    pub(crate) fn prepare_gradient_norms(&mut self) -> Result<()> {
        if !self.gradient_norms {
            return Ok(());
        }
        let wanted = self.pass().gradient_norm_bytes();
        while self.passes.len() > 1 && self.options.check_memory(self.bytes() + wanted).is_err() {
            self.drop_pass();
        }
        self.options.check_memory(self.bytes() + wanted)?;
        let make = |engine: &mut Self| match engine.passes.last_mut() {
            Some(pass) => pass.make_gradient_norms(&engine.gpu, &engine.weights),
            None => Ok(()),
        };
        self.without_others(make)
    }

    /// The commands of the backward pass. The norms of dh_t are available after their submission.
    pub(crate) fn backward_lists(&self) -> Lists<'_> {
        self.pass().backward(self.gradient_norms)
    }

    pub(crate) fn pass(&self) -> &Pass {
        self.passes.last().expect("a pass was prepared")
    }

    /// The shape of a pass with the given checkpointing if the others recompute.
    pub(crate) fn shape(&self, batch_shape: BatchShape, dx: bool, checkpointing: Checkpointing) -> PassShape {
        shape(&self.options, batch_shape, dx, checkpointing)
    }

    /// The position and bytes of a span of the current pass.
    pub(crate) fn span(&self, span: Span) -> (BufferOffset, u64) {
        let buffer = self.pass().buffers[span.tensor.0].clone();
        (BufferOffset { buffer, offset: span.offset }, span.bytes)
    }

    /// The position and bytes of a whole tensor of the current pass.
    pub(crate) fn tensor(&self, id: TensorId) -> (BufferOffset, u64) {
        self.span(self.pass().plan.whole(id))
    }

    /// Before allocating, drops passes whose buffers are too small to share, and others until this one fits into the
    /// memory budget.
    pub(crate) fn make_room(&mut self, plan: &SequencePlan) -> Result<()> {
        if !self.passes.is_empty() && !self.arena.holds(&plan.tensors) {
            self.recorder.submit();
            self.passes.clear();
            // The device still uses the small buffers, which must be freed before larger ones are allocated.
            self.gpu.wait_idle();
        }
        let fits = |engine: &Self| engine.options.check_memory(engine.with_pass(plan).total());
        while !self.passes.is_empty() && fits(self).is_err() {
            self.drop_pass();
        }
        if fits(self).is_err() {
            // Earlier passes made the buffers larger than this one needs.
            self.arena.clear();
        }
        fits(self)
    }

    /// Drops all passes and their buffers, and waits until the device has freed them.
    pub(crate) fn release_all(&mut self) {
        self.recorder.submit();
        self.passes.clear();
        self.arena.clear();
        self.gpu.wait_idle();
    }

    /// Runs `make`, which allocates for the current pass. If the device runs out of memory, drops the passes over other
    /// shapes and unneeded buffers and tries again.
    pub(crate) fn without_others<T>(&mut self, mut make: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        match make(self) {
            Err(Error::OutOfMemory { .. }) => {
                self.recorder.submit();
                self.passes.drain(..self.passes.len().saturating_sub(1));
                self.arena.truncate(self.passes.last().map_or(0, |pass| pass.buffers.len()));
                self.gpu.wait_idle();
                make(self)
            }
            made => made,
        }
    }

    /// The memory with a further pass of this plan on the shared buffers, besides the passes that remain.
    pub(crate) fn with_pass(&self, plan: &SequencePlan) -> Memory {
        let planned = plan.planned(&self.weights.model);
        let mut memory = self.fixed_memory() + planned;
        let passes = self.passes.iter().filter(|_| self.arena.holds(&plan.tensors));
        memory.add(MemoryPart::Workspace, passes.map(Pass::own_bytes).sum());
        memory.add(MemoryPart::Workspace, self.arena.planned(&plan.tensors) - plan.memory.total());
        memory
    }

    /// The memory that does not depend on batches.
    pub(crate) fn fixed_memory(&self) -> Memory {
        let mut memory = self.weights.memory();
        memory.add(MemoryPart::Optimizer, self.updater.as_ref().map_or(0, Updater::bytes));
        memory.add(MemoryPart::Carried, self.carried.as_ref().map_or(0, |carried| carried.states.size()));
        memory.add(MemoryPart::Workspace, self.losses.size() + self.recorder.bytes());
        memory
    }
}
